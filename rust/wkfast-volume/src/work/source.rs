//! Chunks of a mag that is read: which there are, and their voxels.

use std::cell::RefCell;
use std::sync::Arc;

use crate::error::{Result, VolumeError};
use crate::format::{Ahead, EncodedChunk, IndexCache, MagArray, OpenShard};
use crate::geometry::{ChunkIndex, ShardIndex};

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = RefCell::default();
}

/// Decodes the chunk at `place` of an open shard into `voxels`, made as long as a chunk, and tells whether there is one.
fn decode_open(
    array: &dyn MagArray,
    open: &OpenShard,
    place: usize,
    chunk: &ChunkIndex,
    voxels: &mut Vec<u8>,
) -> Result<bool> {
    let Some(span) = open.table.spans[place].clone() else { return Ok(false) };
    voxels.resize(array.grid().chunk_bytes(), 0);
    ENCODED.with_borrow_mut(|encoded| {
        encoded.resize((span.end - span.start) as usize, 0);
        open.read_into(array, span.start, encoded)?;
        open.table.codec.decode(encoded, voxels).map_err(|reason| corrupt(array, &open.table.key, reason, chunk))
    })?;
    Ok(true)
}

/// [`decode_open`] of a chunk that is a file of its own.
fn decode_file(array: &dyn MagArray, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<bool> {
    let Some(found) = array.read_encoded(chunk)? else { return Ok(false) };
    decode_found(array, &found, chunk, voxels)
}

fn decode_found(array: &dyn MagArray, found: &EncodedChunk, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<bool> {
    voxels.resize(array.grid().chunk_bytes(), 0);
    found.codec.decode(&found.bytes, voxels).map_err(|reason| corrupt(array, &found.key, reason, chunk))?;
    Ok(true)
}

/// Makes `voxels` a chunk that is absent: zeros, or what the array states instead.
pub(crate) fn fill_absent(array: &dyn MagArray, voxels: &mut Vec<u8>) {
    voxels.clear();
    voxels.resize(array.grid().chunk_bytes(), 0);
    if let Some(fill) = array.fill() {
        voxels.chunks_exact_mut(fill.len()).for_each(|voxel| voxel.copy_from_slice(fill));
    }
}

pub(crate) fn corrupt(array: &dyn MagArray, key: &str, reason: String, chunk: &ChunkIndex) -> VolumeError {
    VolumeError::corrupt(array.store().describe(key), reason).at_chunk(chunk)
}

/// A mag open for reading, with the indexes of shards met lately.
#[derive(Debug)]
pub(crate) struct ReadMag {
    pub(crate) array: Arc<dyn MagArray>,
    indexes: IndexCache,
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

    fn is_indexed(&self) -> bool {
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

    /// Reads chunks ahead, if they are far.
    pub(crate) fn ahead(&self, chunks: impl Iterator<Item = ChunkIndex>) -> Result<Ahead> {
        Ahead::of(&*self.array, &self.indexes, chunks)
    }

    /// The bytes of a chunk as they lie in its file.
    pub(crate) fn encoded(&self, chunk: &ChunkIndex, ahead: &Ahead) -> Result<Option<EncodedChunk>> {
        if let Some(found) = ahead.find(chunk) {
            return Ok(found.cloned());
        }
        if !self.is_indexed() {
            return self.array.read_encoded(chunk);
        }
        self.open(chunk)?.map_or(Ok(None), |(open, place)| open.encoded(&*self.array, place))
    }

    /// Decodes a chunk into `voxels` and tells whether there is one.
    pub(crate) fn read(&self, chunk: &ChunkIndex, ahead: &Ahead, voxels: &mut Vec<u8>) -> Result<bool> {
        if let Some(found) = ahead.find(chunk) {
            let Some(found) = found else { return Ok(false) };
            return decode_found(&*self.array, found, chunk, voxels);
        }
        if !self.is_indexed() {
            return decode_file(&*self.array, chunk, voxels);
        }
        let Some((open, place)) = self.open(chunk)? else { return Ok(false) };
        decode_open(&*self.array, &open, place, chunk, voxels)
    }
}
