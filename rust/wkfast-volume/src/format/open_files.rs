//! How many files reads may hold open.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards that a read holds open at most; processes may open some hundred files.
pub(super) const MAX_OPEN: usize = 128;
/// Shards that all reads of a process hold open together.
pub(super) const MAX_OPEN_IN_ALL: usize = 256;

/// Open files of all reads of this process.
pub(super) static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The right of a read to hold so many files open.
pub(super) struct Places {
    all: &'static AtomicUsize,
    count: usize,
}

impl Places {
    /// None if that would be too many for one read, or for all reads together: processes may have a thousand.
    pub(super) fn take(all: &'static AtomicUsize, count: usize) -> Option<Self> {
        if count > MAX_OPEN {
            return None;
        }
        let places = Self { all, count };
        let before = all.fetch_add(count, Ordering::Relaxed);
        (before + count <= MAX_OPEN_IN_ALL).then_some(places)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.all.fetch_sub(self.count, Ordering::Relaxed);
    }
}
