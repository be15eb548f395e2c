//! Who made a merge, as its provenance tells.

use serde::Serialize;
use wkfast_files::Process;

use super::report::Span;

/// With what, and by whom.
#[derive(Debug, Serialize)]
pub(super) struct Credits {
    wkfast: &'static str,
    committed_by: Committer,
    /// Those that did most first.
    workers: Vec<Maker>,
}

#[derive(Debug, Serialize)]
struct Committer {
    host: String,
    process: u32,
    /// In seconds since 1970 by its clock.
    at: f64,
}

/// One process's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Maker {
    host: String,
    process: u32,
    files: usize,
    /// Spent on files, by all of its threads together.
    seconds: f64,
}

/// Every process that wrote files.
#[derive(Debug, Default)]
pub(super) struct Makers(Vec<Maker>);

impl Makers {
    /// Counts a file that `process` wrote.
    pub(super) fn add(&mut self, process: &Process, span: &Span) {
        let is = |maker: &Maker| (&*maker.host, maker.process) == (process.host(), process.number());
        // Files of one process come one after another.
        let place = self.0.iter().rposition(is).unwrap_or_else(|| {
            self.0.push(Maker { host: process.host().to_owned(), process: process.number(), files: 0, seconds: 0.0 });
            self.0.len() - 1
        });
        self.0[place].files += 1;
        self.0[place].seconds += span.length;
    }

    /// What is told of them; committed by this process, now.
    pub(super) fn told(self) -> Credits {
        let Self(mut workers) = self;
        workers.sort_by_key(|maker| std::cmp::Reverse(maker.files));
        let this = Process::this();
        let at = Span::since(std::time::SystemTime::now(), std::time::Instant::now()).start;
        let committed_by = Committer { host: this.host().to_owned(), process: this.number(), at };
        Credits { wkfast: env!("CARGO_PKG_VERSION"), committed_by, workers }
    }
}
