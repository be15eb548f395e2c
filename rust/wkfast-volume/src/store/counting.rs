//! Counts what passes, so that tests can pin the I/O of an operation and reports can state it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Address, BucketStore, Entry, Fetch, ListStore, ReadStore, SharedStore, Stamp, Take, WriteStore};
use crate::error::Result;

/// What has been asked of a store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Calls that listed keys.
    pub lists: u64,
    /// Pieces that were read, whether one by one or in batches.
    pub reads: u64,
    /// Batches of them.
    pub batches: u64,
    /// Questions for size or state of a file.
    pub stats: u64,
    /// Bytes they returned.
    pub bytes: u64,
}

/// A store that counts the calls to the one it wraps. It is never a [disk](ReadStore::disk): every byte passes through it.
#[derive(Debug)]
pub struct CountingStore {
    inner: SharedStore,
    lists: AtomicU64,
    reads: AtomicU64,
    batches: AtomicU64,
    stats: AtomicU64,
    bytes: AtomicU64,
}

impl CountingStore {
    /// Wraps `inner`, counting from zero.
    pub fn new(inner: SharedStore) -> Self {
        Self { inner, lists: 0.into(), reads: 0.into(), batches: 0.into(), stats: 0.into(), bytes: 0.into() }
    }

    /// The counts so far.
    pub fn counts(&self) -> Requests {
        Requests {
            lists: self.lists.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            stats: self.stats.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn count_read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl ReadStore for CountingStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.stats.fetch_add(1, Ordering::Relaxed);
        self.inner.size(key)
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        self.stats.fetch_add(1, Ordering::Relaxed);
        self.inner.stamp(key)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let bytes = self.inner.read(key, limit)?;
        self.count_read(bytes.as_ref().map_or(0, Vec::len));
        Ok(bytes)
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.count_read(buffer.len());
        self.inner.read_into(key, offset, buffer)
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.inner.read_batch(fetches, &|number, found| {
            self.count_read(found.as_ref().map_or(0, |found| found.bytes.len()));
            take(number, found)
        })
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        self.inner.lister().map(|_| self as _)
    }

    fn writer(&self) -> Option<&dyn WriteStore> {
        self.inner.writer()
    }

    fn bucket(&self) -> Option<&dyn BucketStore> {
        self.inner.bucket()
    }

    fn address(&self) -> Option<&Address> {
        self.inner.address()
    }
}

impl ListStore for CountingStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        super::list(&*self.inner, prefix)
    }
}
