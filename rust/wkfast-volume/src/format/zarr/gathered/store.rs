//! The shards that nobody wrote, as files of a store: each read of one is a read of chunks.

use std::ops::Range;
use std::sync::Arc;

use super::chunks::Chunks;
use crate::error::{Result, VolumeError};
use crate::geometry::ChunkIndex;
use crate::store::{Fetch, Found, Origin, Part, ReadStore, SharedStore, Stamp, Take, check_key};

/// A store that shows chunks as shards that nobody wrote.
#[derive(Debug)]
pub(super) struct GatheredStore {
    pub(super) inner: SharedStore,
    pub(super) chunks: Arc<Chunks>,
}

impl GatheredStore {
    /// The chunk that a span of a shard is; `None` for what is no such span.
    fn chunk(&self, key: &str, range: &Range<u64>) -> Option<ChunkIndex> {
        let Chunks { grid, .. } = &*self.chunks;
        let length = grid.chunk_bytes() as u64;
        let shard = self.chunks.shard_of(key)?;
        let is_one = range.start.is_multiple_of(length) && range.end == range.start + length;
        let place = usize::try_from(range.start / length).ok()?;
        (is_one && place < grid.chunks_in_shard()).then(|| grid.chunk_at(&shard, place))
    }

    fn no_span(&self, key: &str) -> VolumeError {
        VolumeError::corrupt(self.describe(key), "is read in whole chunks only")
    }

    /// Checks what came of a chunk: a chunk, whole.
    fn check(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let expected = self.chunks.grid.chunk_bytes();
        if bytes.len() == expected {
            return Ok(());
        }
        let reason = format!("{} bytes came, a chunk has {expected}", bytes.len());
        Err(VolumeError::corrupt(self.inner.describe(key), reason))
    }

    /// The state of every shard: nobody tells whether one has changed.
    fn state(&self) -> Stamp {
        Stamp { size: self.chunks.shard_size(), modified: None, inode: None }
    }
}

impl ReadStore for GatheredStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.chunks.shard_of(key) {
            Some(_) => Ok(Some(self.chunks.shard_size())),
            None => self.inner.size(key),
        }
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.chunks.shard_of(key).is_none() {
            return self.inner.read(key, limit);
        }
        if !self.chunks.is_single() {
            return Err(self.no_span(key));
        }
        let found = self.inner.read(key, limit)?;
        found.as_deref().map_or(Ok(()), |bytes| self.check(key, bytes))?;
        Ok(found)
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let chunk = self.chunk(key, &range).ok_or_else(|| self.no_span(key))?;
        let name = self.chunks.chunk_key(&chunk);
        let Some(bytes) = self.inner.read(&name, buffer.len() as u64)? else {
            buffer.fill(0);
            return Ok(());
        };
        self.check(&name, &bytes)?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        let limit = self.chunks.grid.chunk_bytes() as u64;
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        for (number, fetch) in fetches.iter().enumerate() {
            let (Origin::Key(key) | Origin::State(key, _)) = fetch.origin else { return Err(self.no_span("")) };
            check_key(key)?;
            if fetch.part == Part::Start(0) {
                let stamp = self.stamp(key)?;
                let mut nothing = Vec::new();
                take(number, stamp.map(|stamp| Found { bytes: &mut nothing, stamp: Some(stamp) }))?;
                continue;
            }
            let range = match &fetch.part {
                Part::Range(range) => range,
                Part::Whole(_) if self.chunks.is_single() => &(0..limit),
                _ => return Err(self.no_span(key)),
            };
            let chunk = self.chunk(key, range).ok_or_else(|| self.no_span(key))?;
            keys.push(self.chunks.chunk_key(&chunk));
            numbers.push(number);
        }
        let whole = |key| Fetch { origin: Origin::Key(key), part: Part::Whole(limit) };
        let wholes: Vec<Fetch<'_>> = keys.iter().map(|key| whole(key)).collect();
        self.inner.read_batch(&wholes, &|place, found| {
            if let Some(found) = &found {
                self.check(&keys[place], found.bytes)?;
            }
            take(numbers[place], found.map(|found| Found { stamp: Some(self.state()), ..found }))
        })
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }
}
