//! Threads that prepare chunks, and the one that takes them in order.

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::Result;

/// Told how many chunks are done, and of how many, on the thread that called; an error ends the work.
pub type Observer<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Chunks under way per thread.
const PER_THREAD: usize = 16;
/// Decoded bytes under way at most, unless one chunk alone has more.
const MOST_BYTES: usize = 64 << 20;

/// Who works, and who is told.
pub struct Crew<'a> {
    /// The threads.
    pub pool: &'a ThreadPool,
    observer: &'a mut Observer<'a>,
    done: u64,
    total: u64,
}

impl<'a> Crew<'a> {
    /// A crew that reports to `observer`.
    pub fn new(pool: &'a ThreadPool, observer: &'a mut Observer<'a>) -> Self {
        Self { pool, observer, done: 0, total: 0 }
    }

    /// Announces work.
    pub(super) fn expect(&mut self, items: usize) {
        self.total += items as u64;
    }

    /// Prepares every item on some thread and hands the results over in the items' order, on this thread.
    ///
    /// `bytes` is what an item takes in memory.
    pub(super) fn each<I: Sync, R: Send>(
        &mut self,
        items: &[I],
        bytes: usize,
        prepare: impl Fn(&I) -> Result<R> + Sync,
        mut take: impl FnMut(&I, R) -> Result<()>,
    ) -> Result<()> {
        let most = PER_THREAD * self.pool.current_num_threads();
        let batch = (MOST_BYTES / bytes.max(1)).clamp(1, most);
        (self.observer)(self.done, self.total)?;
        for items in items.chunks(batch) {
            let prepared: Vec<Result<R>> = self.pool.install(|| items.par_iter().map(&prepare).collect());
            for (item, result) in items.iter().zip(prepared) {
                take(item, result?)?;
            }
            self.done += items.len() as u64;
            (self.observer)(self.done, self.total)?;
        }
        Ok(())
    }
}
