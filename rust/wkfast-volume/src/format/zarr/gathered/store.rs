//! The shards that nobody wrote, as files of a store: each read of one is a read of chunks.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::chunks::Chunks;
use super::cut::{Cut, WantedChunk, plan};
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

    /// Reads cut-outs and single chunks together, and returns the chunks of those cut-outs that brought nothing.
    fn read_parts(&self, cuts: &[Cut], single: &[WantedChunk], take: &Take<'_>) -> Result<Vec<WantedChunk>> {
        let limit = self.chunks.grid.chunk_bytes() as u64;
        let of_cuts = cuts.iter().map(|cut| (cut.cut_out.key(), cut.length(&self.chunks)));
        let of_single = single.iter().map(|one| (self.chunks.chunk_key(&one.chunk), limit));
        let parts: Vec<(String, u64)> = of_cuts.chain(of_single).collect();
        let whole = |key, length: &u64| Fetch { origin: Origin::Key(key), part: Part::Whole(*length) };
        let fetches: Vec<Fetch<'_>> = parts.iter().map(|(key, length)| whole(key, length)).collect();
        let left = Mutex::new(Vec::new());
        self.inner.read_batch(&fetches, &|place, found| {
            let Some(cut) = cuts.get(place) else {
                return self.hand_over(&parts[place].0, single[place - cuts.len()].number, found, take);
            };
            if let Some(found) = found.filter(|found| found.bytes.len() as u64 == parts[place].1) {
                return self.hand_out(cut, found.bytes, take);
            }
            left.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&cut.wanted);
            Ok(())
        })?;
        Ok(left.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a chunk to who wants it.
    fn hand_over(&self, key: &str, number: usize, found: Option<Found<'_>>, take: &Take<'_>) -> Result<()> {
        if let Some(found) = &found {
            self.check(key, found.bytes)?;
        }
        take(number, found.map(|found| Found { stamp: Some(self.state()), ..found }))
    }

    /// Gives each chunk of a cut-out to who wants it.
    fn hand_out(&self, cut: &Cut, voxels: &[u8], take: &Take<'_>) -> Result<()> {
        let mut chunk = Vec::new();
        cut.wanted.iter().try_for_each(|one| {
            cut.chunk(&self.chunks, voxels, &one.chunk, &mut chunk);
            take(one.number, Some(Found { bytes: &mut chunk, stamp: Some(self.state()) }))
        })
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
        let mut wanted = Vec::with_capacity(fetches.len());
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
            wanted.push(WantedChunk { chunk, number });
        }
        let is_cut = self.inner.cuts_out() && self.chunks.is_plain;
        let (cuts, single) = if is_cut { plan(&self.chunks, wanted) } else { (Vec::new(), wanted) };
        let left = self.read_parts(&cuts, &single, take)?;
        if left.is_empty() { Ok(()) } else { self.read_parts(&[], &left, take).map(drop) }
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }
}
