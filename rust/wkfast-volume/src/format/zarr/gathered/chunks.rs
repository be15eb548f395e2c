//! Which chunks a server may have, and what it calls them; and the shards that they are thought to lie in.

use std::ops::Range;

use super::super::axes::Axes;
use super::super::keys::KeyStyle;
use super::super::{MOST_OF_SHAPE, below};
use crate::format::join_key;
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, Mag, ShardIndex};

/// Names of shards begin with it.
const SHARD: &str = "chunks of ";

/// The chunks of a server and where they lie.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) prefix: String,
    pub(super) axes: Axes,
    pub(super) keys: KeyStyle,
    pub(super) grid: ChunkGrid,
    /// Chunks along x, y, z of which there may be any.
    pub(super) present: [Range<u32>; 3],
    /// Voxels along x, y, z.
    pub(super) shape: [u64; 3],
    pub(super) mag: Mag,
    /// Whether the bytes of a chunk lie as those of a cut-out do.
    pub(super) is_plain: bool,
}

/// Chunks along an axis that lie in the box and within the array.
pub(super) fn present(layer: &BoundingBox, shape: [u64; 3], grid: &ChunkGrid, axis: usize) -> Range<u32> {
    let edge = u64::from(grid.chunk_shape[axis]);
    let start = u64::try_from(layer.topleft[axis]).unwrap_or(0);
    let end = u64::try_from(layer.topleft[axis].saturating_add(layer.size[axis])).unwrap_or(0).min(shape[axis]);
    let last = u32::try_from(end.div_ceil(edge)).unwrap_or(u32::MAX);
    u32::try_from(start / edge).unwrap_or(u32::MAX).min(last)..last
}

impl Chunks {
    /// Shards along x, y, z.
    pub(super) fn shards(&self) -> [Range<u32>; 3] {
        [0, 1, 2].map(|axis| {
            let (chunks, per_shard) = (&self.present[axis], self.grid.chunks_per_shard[axis]);
            if chunks.is_empty() { 0..0 } else { chunks.start / per_shard..chunks.end.div_ceil(per_shard) }
        })
    }

    pub(super) fn check_count(&self, extra: &[u32]) -> std::result::Result<(), String> {
        let shards = self.shards().map(|range| range.end - range.start);
        let all = shards.iter().chain(extra).try_fold(1_u64, |all, &count| all.checked_mul(count.into()));
        match all {
            Some(all) if all <= MOST_OF_SHAPE => Ok(()),
            _ => Err(format!("reaches over more than {MOST_OF_SHAPE} shards")),
        }
    }

    pub(super) fn has(&self, chunk: &ChunkIndex) -> bool {
        (0..3).all(|axis| self.present[axis].contains(&chunk.xyz[axis]))
    }

    pub(super) fn shard_size(&self) -> u64 {
        self.grid.chunks_in_shard() as u64 * self.grid.chunk_bytes() as u64
    }

    /// Bytes of the chunks of a shard that may be there.
    pub(super) fn bytes_in(&self, shard: &ShardIndex) -> u64 {
        let within = |axis: usize| {
            let first = shard.xyz[axis] * self.grid.chunks_per_shard[axis];
            let last = first + self.grid.chunks_per_shard[axis];
            u64::from(last.min(self.present[axis].end).saturating_sub(first.max(self.present[axis].start)))
        };
        (0..3).map(within).product::<u64>() * self.grid.chunk_bytes() as u64
    }

    /// What the server calls a chunk.
    pub(super) fn chunk_key(&self, chunk: &ChunkIndex) -> String {
        join_key(&self.prefix, &self.keys.key(&self.axes.indices_of(chunk)))
    }

    pub(super) fn shard_key(&self, shard: &ShardIndex) -> String {
        let name = self.keys.key(&self.axes.indices_of(shard));
        join_key(&self.prefix, &format!("{}{name}", self.sign()))
    }

    /// What a shard's name begins with; one of a single chunk is called as that is.
    pub(super) fn sign(&self) -> &'static str {
        if self.is_single() { "" } else { SHARD }
    }

    pub(super) fn is_single(&self) -> bool {
        self.grid.chunks_in_shard() == 1
    }

    /// The shard that is called `key`.
    pub(super) fn shard_of(&self, key: &str) -> Option<ShardIndex> {
        self.axes.shard_at(&self.keys.parse(below(key, &self.prefix)?.strip_prefix(self.sign())?)?)
    }
}
