//! Coarser voxels from finer ones: the most frequent value of those that make up one voxel, as layers are downsampled.

use super::chunk::Overlap;
use super::cover::Covered;
use crate::downsample::{Block, Interpolation, Taps, downsample};
use crate::error::Result;
use crate::format::{MagArray, decode};
use crate::geometry::ChunkIndex;

/// Bytes of finer voxels held at once by one thread.
const MAX_SOURCE: usize = 8 << 20;
/// Bytes of decoded finer chunks kept by one thread.
const MAX_CACHE: usize = 8 << 20;

/// `voxels`, a chunk of shape `shape`, with every covered voxel computed anew from `finer`.
pub fn chunk(
    finer: &dyn MagArray,
    factor: [u32; 3],
    covered: &Covered,
    at: &ChunkIndex,
    shape: [u32; 3],
    voxels: &[u8],
) -> Result<Vec<u8>> {
    let mut new = voxels.to_vec();
    let mut reader = Reader { array: finer, extra: &at.extra, decoded: Vec::new() };
    let voxel_bytes = finer.grid().voxel_type.size() * finer.grid().channels as usize;
    let factor = factor.map(|factor| factor as usize);
    for (_, overlap) in &covered.parts {
        for (start, size) in tiles(overlap, factor, voxel_bytes) {
            let source_start: [u64; 3] = std::array::from_fn(|axis| {
                (u64::from(at.xyz[axis]) * u64::from(shape[axis]) + start[axis] as u64) * factor[axis] as u64
            });
            let source_size: [usize; 3] = std::array::from_fn(|axis| size[axis] * factor[axis]);
            let source = reader.read(source_start, source_size)?;
            let taps = std::array::from_fn(|axis| Taps::following(0, factor[axis], size[axis]));
            let (voxel_type, channels) = (finer.grid().voxel_type, finer.grid().channels as usize);
            let block = Block { voxel_type, channels, shape: source_size };
            let shape = shape.map(|edge| edge as usize);
            downsample(Interpolation::Mode, &source, block, &taps, &mut new, shape, start);
        }
    }
    Ok(new)
}

/// Parts (start within the chunk, size) of the common voxels, each small enough for the finer voxels it needs.
fn tiles(overlap: &Overlap, factor: [usize; 3], voxel_bytes: usize) -> Vec<([usize; 3], [usize; 3])> {
    let mut waiting = vec![(overlap.target_at, overlap.size)];
    let mut tiles = Vec::new();
    while let Some((start, size)) = waiting.pop() {
        let source: usize = (0..3).map(|axis| size[axis] * factor[axis]).product::<usize>() * voxel_bytes;
        let longest = (0..3).max_by_key(|&axis| size[axis]).unwrap_or(0);
        if source <= MAX_SOURCE || size[longest] == 1 {
            tiles.push((start, size));
            continue;
        }
        let half = size[longest] / 2;
        let (mut first, mut second) = ((start, size), (start, size));
        first.1[longest] = half;
        second.0[longest] += half;
        second.1[longest] -= half;
        waiting.extend([second, first]);
    }
    tiles
}

/// Reads boxes of voxels, keeping a few decoded chunks.
struct Reader<'a> {
    array: &'a dyn MagArray,
    extra: &'a [u32],
    decoded: Vec<(ChunkIndex, Option<Vec<u8>>)>,
}

impl Reader<'_> {
    fn read(&mut self, start: [u64; 3], size: [usize; 3]) -> Result<Vec<u8>> {
        let grid = self.array.grid().clone();
        let voxel_bytes = grid.voxel_type.size() * grid.channels as usize;
        let mut out = vec![0; size.iter().product::<usize>() * voxel_bytes];
        let range = |axis: usize| {
            let edge = u64::from(grid.chunk_shape[axis]);
            start[axis] / edge..(start[axis] + size[axis] as u64).div_ceil(edge)
        };
        for z in range(2) {
            for y in range(1) {
                for x in range(0) {
                    let xyz = [x as u32, y as u32, z as u32];
                    let index = ChunkIndex { extra: self.extra.into(), xyz };
                    if let Some(voxels) = self.chunk(&index)? {
                        copy_common(voxels, grid.chunk_shape, xyz, &mut out, start, size, voxel_bytes);
                    }
                }
            }
        }
        Ok(out)
    }

    fn chunk(&mut self, index: &ChunkIndex) -> Result<Option<&[u8]>> {
        if let Some(known) = self.decoded.iter().position(|(decoded, _)| decoded == index) {
            return Ok(self.decoded[known].1.as_deref());
        }
        let voxels = match self.array.read_encoded(index)? {
            None => None,
            Some(encoded) => {
                let mut voxels = vec![0; self.array.grid().chunk_bytes()];
                decode(self.array, &*encoded.codec, &encoded.key, index, &encoded.bytes, &mut voxels)?;
                Some(voxels)
            }
        };
        if self.decoded.len() >= (MAX_CACHE / self.array.grid().chunk_bytes().max(1)).max(1) {
            self.decoded.remove(0);
        }
        self.decoded.push((index.clone(), voxels));
        Ok(self.decoded.last().and_then(|(_, voxels)| voxels.as_deref()))
    }
}

/// Copies what chunk `xyz` and the box at `start` have in common.
fn copy_common(
    voxels: &[u8],
    chunk_shape: [u32; 3],
    xyz: [u32; 3],
    out: &mut [u8],
    start: [u64; 3],
    size: [usize; 3],
    voxel_bytes: usize,
) {
    let shape = chunk_shape.map(|edge| edge as usize);
    let first: [u64; 3] = std::array::from_fn(|axis| u64::from(xyz[axis]) * u64::from(chunk_shape[axis]));
    let low: [u64; 3] = std::array::from_fn(|axis| first[axis].max(start[axis]));
    let high: [u64; 3] =
        std::array::from_fn(|axis| (first[axis] + shape[axis] as u64).min(start[axis] + size[axis] as u64));
    let length = (high[0] - low[0]) as usize * voxel_bytes;
    for z in low[2]..high[2] {
        for y in low[1]..high[1] {
            let place = |shape: [usize; 3], origin: [u64; 3]| {
                let [x, y, z] = [low[0] - origin[0], y - origin[1], z - origin[2]].map(|at| at as usize);
                voxel_bytes * (x + shape[0] * (y + shape[1] * z))
            };
            let (from, to) = (place(shape, first), place(size, start));
            out[to..to + length].copy_from_slice(&voxels[from..from + length]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_voxel_once_and_need_bounded_sources() {
        let overlap = Overlap {
            source_shape: [32; 3],
            source_at: [0; 3],
            target_shape: [64, 64, 64],
            target_at: [3, 0, 5],
            size: [32, 31, 30],
        };
        let (factor, voxel_bytes) = ([8, 8, 4], 8);
        let mut hits = vec![0; 64 * 64 * 64];
        for (start, size) in tiles(&overlap, factor, voxel_bytes) {
            let source: usize = (0..3).map(|axis| size[axis] * factor[axis]).product();
            assert!(source * voxel_bytes <= MAX_SOURCE);
            for z in 0..size[2] {
                for y in 0..size[1] {
                    for x in 0..size[0] {
                        hits[start[0] + x + 64 * (start[1] + y + 64 * (start[2] + z))] += 1;
                    }
                }
            }
        }
        assert_eq!(hits.iter().filter(|&&count| count == 1).count(), overlap.volume());
        assert!(hits.iter().all(|&count| count <= 1));
    }
}
