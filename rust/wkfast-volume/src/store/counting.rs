//! Counts what passes, so that tests can pin the I/O of an operation and reports can state it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Entry, ReadStore, SharedStore, Stamp};
use crate::error::Result;

/// What has been asked of a store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that listed keys.
    pub lists: u64,
    /// Calls that returned bytes.
    pub reads: u64,
    /// Bytes they returned.
    pub bytes: u64,
    /// Files handed out whole, to be copied by the kernel.
    pub files: u64,
}

/// A store that counts the calls to the one it wraps.
#[derive(Debug)]
pub struct CountingStore {
    inner: SharedStore,
    lists: AtomicU64,
    reads: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
}

impl CountingStore {
    /// Wraps `inner`, counting from zero.
    pub fn new(inner: SharedStore) -> Self {
        Self { inner, lists: 0.into(), reads: 0.into(), bytes: 0.into(), files: 0.into() }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        Counts {
            lists: self.lists.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
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

    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.inner.size(key)
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
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

    fn place(&self, key: &str) -> Result<Option<PathBuf>> {
        self.inner.place(key)
    }

    fn open_file(&self, key: &str) -> Result<Option<File>> {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.inner.open_file(key)
    }
}
