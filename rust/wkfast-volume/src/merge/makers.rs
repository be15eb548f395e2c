//! Who made a merge, as its provenance tells.

use serde::Serialize;
use wkfast_files::Process;

use super::report::{ShardRecord, Span};

/// With what, and by whom.
#[derive(Debug, Serialize)]
pub(super) struct Made {
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

impl Maker {
    pub(super) fn of(process: &Process, done: &[ShardRecord]) -> Self {
        Self {
            host: process.host().to_owned(),
            process: process.number(),
            files: done.len(),
            seconds: done.iter().map(|record| record.span.length).sum(),
        }
    }
}

impl Made {
    /// By `all`, of whom the same process may be several; committed by this one, now.
    pub(super) fn by(all: Vec<Maker>) -> Self {
        let mut workers: Vec<Maker> = Vec::new();
        for one in all.into_iter().filter(|maker| maker.files > 0) {
            match workers.iter_mut().find(|known| (&known.host, known.process) == (&one.host, one.process)) {
                Some(known) => {
                    known.files += one.files;
                    known.seconds += one.seconds;
                }
                None => workers.push(one),
            }
        }
        workers.sort_by_key(|maker| std::cmp::Reverse(maker.files));
        let this = Process::this();
        let at = Span::since(std::time::SystemTime::now(), std::time::Instant::now()).start;
        let committed_by = Committer { host: this.host().to_owned(), process: this.number(), at };
        Self { wkfast: env!("CARGO_PKG_VERSION"), committed_by, workers }
    }
}
