//! Whether the runtime waits for servers more than it works, so that more connections are worth having.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// Share of the time spent waiting from which on more connections are worth trying.
const IDLENESS: f64 = 1.0 / 8.0;

/// How much of its time the runtime has had nothing to do.
pub(crate) struct Idleness {
    since: Instant,
    busy: Duration,
}

impl Idleness {
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), busy: busy() }
    }

    /// Whether much of the time since the last look went by with nothing to do: the way to the server and back takes it,
    /// not the work here.
    pub(crate) fn is_idle(&mut self) -> bool {
        let Self { since, busy } = std::mem::replace(self, Self::begin());
        let threads = Handle::current().metrics().num_workers() as f64;
        let (all, busy) =
            ((self.since - since).as_secs_f64() * threads, (self.busy.saturating_sub(busy)).as_secs_f64());
        all - busy > all * IDLENESS
    }
}

fn busy() -> Duration {
    let metrics = Handle::current().metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
}
