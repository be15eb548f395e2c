//! One mag's chunks as another mag would store them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Result, VolumeError};
use crate::format::{EncodedChunk, IndexCache, MagArray, decode, list_chunks, read_region_with};
use crate::geometry::{BoundingBox, ChunkIndex};

/// Reads from one mag what another is to hold. Both have voxels of one type and the same axes.
#[derive(Debug)]
pub(super) struct Recoder {
    source: Arc<dyn MagArray>,
    target: Arc<dyn MagArray>,
    indexes: IndexCache,
}

impl Recoder {
    pub(super) fn new(source: Arc<dyn MagArray>, target: Arc<dyn MagArray>) -> Self {
        Self { source, target, indexes: IndexCache::default() }
    }

    fn same_cut(&self) -> bool {
        self.source.grid().chunk_shape == self.target.grid().chunk_shape
    }

    /// A chunk as the target stores it, `None` if the source has nothing there.
    pub(super) fn encoded(&self, chunk: &ChunkIndex) -> Result<Option<Vec<u8>>> {
        if !self.same_cut() {
            let voxels = self.region(chunk)?;
            return self.target.codec().encode(&voxels).map(Some).map_err(|reason| self.fault(chunk, reason));
        }
        let Some(found) = self.indexes.read_encoded(&*self.source, chunk)? else { return Ok(None) };
        if found.codec.encoding() == self.target.codec().encoding() {
            return Ok(Some(found.bytes));
        }
        let voxels = decoded(&*self.source, &found, chunk)?;
        self.target.codec().encode(&voxels).map(Some).map_err(|reason| self.fault(chunk, reason))
    }

    /// The voxels that make up a chunk of the target.
    fn region(&self, chunk: &ChunkIndex) -> Result<Vec<u8>> {
        let grid = self.target.grid();
        let size = grid.chunk_shape.map(i64::from);
        let topleft = [0, 1, 2].map(|axis| i64::from(chunk.xyz[axis]) * size[axis]);
        let mut voxels = vec![0; grid.chunk_bytes()];
        read_region_with(&self.indexes, &*self.source, &chunk.extra, &BoundingBox { topleft, size }, &mut voxels)?;
        Ok(voxels)
    }

    fn fault(&self, chunk: &ChunkIndex, reason: String) -> VolumeError {
        let key = self.target.shard_key(chunk);
        VolumeError::corrupt(self.target.store().describe(&key), reason).at_chunk(chunk)
    }
}

/// The voxels of an encoded chunk.
pub(super) fn decoded(array: &dyn MagArray, found: &EncodedChunk, chunk: &ChunkIndex) -> Result<Vec<u8>> {
    let mut voxels = vec![0; array.grid().chunk_bytes()];
    decode(array, &*found.codec, &found.key, chunk, &found.bytes, &mut voxels)?;
    Ok(voxels)
}

/// Chunks of the shape `chunk_shape` for which `source` has any data, sorted.
pub(super) fn chunks_cut_as(source: &dyn MagArray, chunk_shape: [u32; 3]) -> Result<BTreeSet<ChunkIndex>> {
    let present = list_chunks(source)?.into_iter().map(|(chunk, _)| chunk);
    let from = source.grid().chunk_shape;
    if from == chunk_shape {
        return Ok(present.collect());
    }
    let mut chunks = BTreeSet::new();
    for chunk in present {
        let along = |axis: usize| {
            let (start, edge, cut) = (u64::from(chunk.xyz[axis]), u64::from(from[axis]), u64::from(chunk_shape[axis]));
            (start * edge / cut) as u32..=(((start + 1) * edge - 1) / cut) as u32
        };
        for z in along(2) {
            for y in along(1) {
                chunks.extend(along(0).map(|x| ChunkIndex { extra: chunk.extra.clone(), xyz: [x, y, z] }));
            }
        }
    }
    Ok(chunks)
}
