//! Integer geometry of chunked layers. Units are in the names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::voxels::VoxelType;

/// Magnification: edge lengths of one voxel in mag-1 voxels, along x, y, z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mag(pub [u32; 3]);

impl fmt::Display for Mag {
    /// `1`, `4` or `2-2-1`, as folders are named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.0;
        if x == y && y == z { write!(f, "{x}") } else { write!(f, "{x}-{y}-{z}") }
    }
}

impl FromStr for Mag {
    type Err = String;

    /// Reads what folders are named: `1`, `4`, `2-2-1` or the long form `1-1-1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is no mag such as \"1\" or \"2-2-1\"");
        let edge = |part: &str| match part.parse() {
            Ok(edge) if edge > 0 && part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(edge),
            _ => Err(fault()),
        };
        match *text.split('-').collect::<Vec<_>>() {
            [one] => Ok(Self([edge(one)?; 3])),
            [x, y, z] => Ok(Self([edge(x)?, edge(y)?, edge(z)?])),
            _ => Err(fault()),
        }
    }
}

/// Where a chunk lies in its mag's grid of chunks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkIndex {
    /// Coordinates along additional axes (e.g. time), in the order of [`ChunkGrid::extra_axes`]; empty for 3-D layers.
    pub extra: Box<[u32]>,
    /// Chunk coordinates along x, y, z: the voxel divided by the chunk's shape.
    pub xyz: [u32; 3],
}

impl ChunkIndex {
    /// A chunk of a layer without additional axes.
    pub fn xyz(x: u32, y: u32, z: u32) -> Self {
        Self { extra: Box::default(), xyz: [x, y, z] }
    }
}

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.xyz;
        if self.extra.is_empty() {
            write!(f, "({x}, {y}, {z})")
        } else {
            write!(f, "({:?}; {x}, {y}, {z})", self.extra)
        }
    }
}

/// Where a shard (a WKW file, a Zarr shard or an unsharded Zarr chunk) lies: like [`ChunkIndex`], counted in shards.
pub type ShardIndex = ChunkIndex;

/// A chunk is decoded whole, so its size is bounded.
const MAX_CHUNK_BYTES: u64 = 1 << 30;
/// The index of a shard is held in memory: 16 bytes a chunk.
const MAX_CHUNKS_PER_SHARD: u64 = 1 << 24;

/// How one mag is cut into chunks and chunks are gathered in shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkGrid {
    /// Type of one value.
    pub voxel_type: VoxelType,
    /// Values per voxel; the channel axis is never cut.
    pub channels: u32,
    /// Voxels of this mag in a chunk, along x, y, z.
    pub chunk_shape: [u32; 3],
    /// Chunks in a shard, along x, y, z; `[1, 1, 1]` where every chunk is a file of its own.
    pub chunks_per_shard: [u32; 3],
    /// Names of axes beyond c, x, y, z, each cut into chunks of length 1.
    pub extra_axes: Vec<String>,
}

impl ChunkGrid {
    /// What of its chunks and shards is larger than can be held; metadata and plans may say anything.
    pub(crate) fn check_size(&self) -> Result<(), String> {
        let product = |lengths: &[u32; 3]| lengths.iter().try_fold(1_u64, |product, &n| product.checked_mul(n.into()));
        let values = product(&self.chunk_shape).and_then(|voxels| voxels.checked_mul(self.channels.into()));
        let bytes = values.and_then(|values| values.checked_mul(self.voxel_type.size() as u64));
        if bytes.is_none_or(|bytes| bytes > MAX_CHUNK_BYTES) {
            let (shape, channels) = (self.chunk_shape, self.channels);
            return Err(format!("chunks of {shape:?} voxels of {channels} channels exceed {MAX_CHUNK_BYTES} bytes"));
        }
        if product(&self.chunks_per_shard).is_none_or(|chunks| chunks > MAX_CHUNKS_PER_SHARD) {
            return Err(format!("shards of {:?} chunks exceed {MAX_CHUNKS_PER_SHARD} chunks", self.chunks_per_shard));
        }
        Ok(())
    }

    /// Whether all chunks of `shard` have places that can be counted; a file may be named anything.
    pub(crate) fn has_room_for(&self, shard: &ShardIndex) -> bool {
        shard.xyz.iter().zip(self.chunks_per_shard).all(|(&at, chunks)| at < u32::MAX / chunks.max(1))
    }

    /// Bytes of one decoded chunk.
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_shape.iter().map(|&n| n as usize).product::<usize>()
            * self.channels as usize
            * self.voxel_type.size()
    }

    /// Number of chunks in a shard.
    pub fn chunks_in_shard(&self) -> usize {
        self.chunks_per_shard.iter().map(|&n| n as usize).product()
    }

    /// The shard that holds `chunk`, and the chunk's place in it: x fastest, then y, then z.
    pub fn locate(&self, chunk: &ChunkIndex) -> (ShardIndex, usize) {
        let n = self.chunks_per_shard;
        let shard = std::array::from_fn(|axis| chunk.xyz[axis] / n[axis]);
        let [x, y, z]: [usize; 3] = std::array::from_fn(|axis| (chunk.xyz[axis] % n[axis]) as usize);
        let local = x + n[0] as usize * (y + n[1] as usize * z);
        (ShardIndex { extra: chunk.extra.clone(), xyz: shard }, local)
    }

    /// The chunk at place `local` of `shard`: the inverse of [`locate`](Self::locate).
    pub fn chunk_at(&self, shard: &ShardIndex, local: usize) -> ChunkIndex {
        let [nx, ny, nz] = self.chunks_per_shard;
        let local = local as u32;
        let within = [local % nx, local / nx % ny, local / (nx * ny)];
        let n = [nx, ny, nz];
        ChunkIndex {
            extra: shard.extra.clone(),
            xyz: std::array::from_fn(|axis| shard.xyz[axis] * n[axis] + within[axis]),
        }
    }
}

/// An axis-aligned box, half open. Unit: voxels of the mag it is said to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BoundingBox {
    /// First voxel inside, x, y, z.
    pub topleft: [i64; 3],
    /// Extent along x, y, z; never negative.
    pub size: [i64; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mags_read_as_folders_are_named() {
        for (text, mag, folder) in [("1", [1; 3], "1"), ("2-2-1", [2, 2, 1], "2-2-1"), ("4-4-4", [4; 3], "4")] {
            let read: Mag = text.parse().unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (mag, folder));
        }
        for wrong in ["", "0", "2-2", "1-1-0", "a", "+1", "-1", "1-1-1-1", "header.wkw", "4294967296"] {
            assert!(wrong.parse::<Mag>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_of_chunks_in_shards_count_x_first() {
        let grid = ChunkGrid {
            voxel_type: VoxelType::UInt16,
            channels: 3,
            chunk_shape: [4, 5, 6],
            chunks_per_shard: [2, 3, 4],
            extra_axes: Vec::new(),
        };
        assert_eq!((grid.chunk_bytes(), grid.chunks_in_shard()), (720, 24));
        assert_eq!(grid.locate(&ChunkIndex::xyz(5, 4, 3)), (ShardIndex::xyz(2, 1, 0), 1 + 2 * (1 + 3 * 3)));
        for place in 0..24 {
            assert_eq!(
                grid.locate(&grid.chunk_at(&ShardIndex::xyz(7, 0, 2), place)),
                (ShardIndex::xyz(7, 0, 2), place)
            );
        }
    }
}
