//! A store that answers late, as servers do: so that tests and benches on one machine show what waiting costs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Address, BucketStore, Entry, Fetch, ListStore, ReadStore, SharedStore, Stamp, Take, WriteStore, batch};
use crate::error::Result;

/// Another store behind a wait. Every request takes `latency` longer; a batch has up to `in_flight` of them on their way
/// at once.
#[derive(Debug)]
pub struct SlowStore {
    inner: SharedStore,
    latency: Duration,
    in_flight: usize,
}

impl SlowStore {
    /// Puts `inner` at a distance.
    pub fn new(inner: SharedStore, latency: Duration, in_flight: usize) -> Self {
        Self { inner, latency, in_flight }
    }

    fn wait(&self) {
        std::thread::sleep(self.latency);
    }
}

impl ReadStore for SlowStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.wait();
        self.inner.size(key)
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        self.wait();
        self.inner.stamp(key)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.wait();
        self.inner.read(key, limit)
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.wait();
        self.inner.read_into(key, offset, buffer)
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            let mut bytes = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(fetch) = fetches.get(number) else { return };
                self.wait();
                if let Err(error) = batch::read_one(&*self.inner, number, fetch, &mut bytes, take) {
                    next.store(fetches.len(), Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.in_flight.min(fetches.len()) {
                scope.spawn(work);
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn is_far(&self) -> bool {
        true
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

impl ListStore for SlowStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.wait();
        super::list(&*self.inner, prefix)
    }
}
