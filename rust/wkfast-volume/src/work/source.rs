//! Chunks of a mag that is read: which there are, and their voxels.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ahead::Ahead;
use crate::error::{Result, VolumeError};
use crate::format::{EncodedChunk, IndexCache, MagArray, OpenShard, decode};
use crate::geometry::{ChunkIndex, ShardIndex};

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = RefCell::default();
}

/// A mag open for reading, with the indexes of shards met lately.
#[derive(Debug)]
pub(crate) struct ReadMag {
    pub(crate) array: Arc<dyn MagArray>,
    pub(crate) indexes: IndexCache,
}

impl ReadMag {
    pub(crate) fn new(array: Arc<dyn MagArray>) -> Self {
        Self { array, indexes: IndexCache::default() }
    }

    /// The shards that have data.
    pub(crate) fn shards(&self) -> Result<Vec<ShardIndex>> {
        if self.array.fill().is_some_and(|fill| fill.iter().any(|&byte| byte != 0)) {
            return Err(VolumeError::Unsupported {
                file: self.array.store().describe(self.array.prefix()),
                what: "has a fill value other than 0: its absent chunks cannot be told to the new mag; \
                       write its voxels into a new layer instead"
                    .to_owned(),
            });
        }
        Ok(self.array.list_shards()?.shards.into_iter().map(|(shard, _)| shard).collect())
    }

    /// Whether an absent chunk and one of zeros are different things in its files.
    pub(crate) fn tells_absence(&self) -> bool {
        !self.is_indexed() || self.array.shape_file().is_some()
    }

    /// Whether indexes tell which chunks there are.
    pub(crate) fn is_indexed(&self) -> bool {
        self.array.grid().chunks_in_shard() > 1
    }

    /// The shard of a chunk, and the chunk's place in it.
    fn open(&self, chunk: &ChunkIndex) -> Result<Option<(OpenShard, usize)>> {
        let (shard, place) = self.array.grid().locate(chunk);
        Ok(self.indexes.open(&*self.array, &shard)?.map(|open| (open, place)))
    }

    /// Whether there is a chunk.
    pub(crate) fn has(&self, chunk: &ChunkIndex, ahead: &Ahead) -> Result<bool> {
        if let Some(found) = ahead.find(chunk) {
            return Ok(found.is_some());
        }
        if self.is_indexed() {
            return Ok(self.open(chunk)?.is_some_and(|(open, place)| open.table.spans[place].is_some()));
        }
        Ok(self.array.store().size(&self.array.shard_key(chunk))?.is_some_and(|size| size > 0))
    }

    /// Whether chunks are worth reading ahead.
    pub(crate) fn is_far(&self) -> bool {
        self.array.store().is_far()
    }

    /// Reads chunks ahead, if they are far. Those that an index once said are absent are taken to be so from then on:
    /// of a large shard with few chunks it would be read again for each part.
    pub(crate) fn ahead(&self, chunks: impl Iterator<Item = ChunkIndex>) -> Result<Ahead> {
        if !self.is_far() || !self.is_indexed() {
            return Ahead::of(&*self.array, &self.indexes, chunks);
        }
        let Some(stored) = self.array.stored() else { return Ahead::of(&*self.array, &self.indexes, chunks) };
        let mut by_shard: BTreeMap<ShardIndex, Vec<(usize, ChunkIndex)>> = BTreeMap::new();
        for chunk in chunks {
            let (shard, place) = self.array.grid().locate(&chunk);
            by_shard.entry(shard).or_default().push((place, chunk));
        }
        let shards: Vec<ShardIndex> = by_shard.keys().cloned().collect();
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        for (open, chunks) in self.indexes.open_many(stored, &shards)?.iter().zip(by_shard.into_values()) {
            for (place, chunk) in chunks {
                let is_there = open.as_ref().is_some_and(|open| open.table.spans[place].is_some());
                if is_there { present.push(chunk) } else { absent.push(chunk) }
            }
        }
        Ok(Ahead::of(&*self.array, &self.indexes, present.into_iter())?.without(absent))
    }

    /// The bytes of a chunk as they lie in its file.
    pub(crate) fn encoded(&self, chunk: &ChunkIndex, ahead: &Ahead) -> Result<Option<EncodedChunk>> {
        match ahead.find(chunk) {
            Some(found) => Ok(found.clone()),
            None => self.indexes.read_encoded(&*self.array, chunk),
        }
    }

    /// Decodes a chunk into `voxels` and tells whether there is one.
    pub(crate) fn read(&self, chunk: &ChunkIndex, ahead: &Ahead, voxels: &mut Vec<u8>) -> Result<bool> {
        match ahead.find(chunk) {
            Some(found) => found.as_ref().map_or(Ok(false), |found| self.decode(found, chunk, voxels)),
            None if self.is_indexed() && !self.is_far() => {
                let Some((open, place)) = self.open(chunk)? else { return Ok(false) };
                self.decode_open(&open, place, chunk, voxels)
            }
            None => {
                let found = self.indexes.read_encoded(&*self.array, chunk)?;
                found.map_or(Ok(false), |found| self.decode(&found, chunk, voxels))
            }
        }
    }

    fn decode(&self, found: &EncodedChunk, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<bool> {
        voxels.resize(self.array.grid().chunk_bytes(), 0);
        decode(&*self.array, &*found.codec, &found.key, chunk, &found.bytes, voxels)?;
        Ok(true)
    }

    /// Decodes the chunk at `place` of an open shard.
    fn decode_open(&self, open: &OpenShard, place: usize, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<bool> {
        let Some(span) = open.table.spans[place].clone() else { return Ok(false) };
        voxels.resize(self.array.grid().chunk_bytes(), 0);
        ENCODED.with_borrow_mut(|encoded| {
            encoded.resize((span.end - span.start) as usize, 0);
            open.read_into(&*self.array, span.start, encoded)?;
            decode(&*self.array, &*open.table.codec, &open.table.key, chunk, encoded, voxels)
        })?;
        Ok(true)
    }
}
