//! How blocks of one grid lie over the chunks of another. Both grids start at voxel 0 of the same mag.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chunk::Overlap;
use super::plan::LayerPlan;
use crate::geometry::{ChunkGrid, ShardIndex};

/// What lies over one chunk of the output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Number of the block among those handed in, and the voxels both share. Blocks never share voxels.
    pub parts: Vec<(usize, Overlap)>,
}

impl Covered {
    /// Whether no voxel of the chunk is left uncovered.
    pub fn is_full(&self) -> bool {
        let covered: usize = self.parts.iter().map(|(_, overlap)| overlap.volume()).sum();
        self.parts.first().is_some_and(|(_, overlap)| covered == overlap.target_shape.iter().product::<usize>())
    }

    /// The number of the block that is exactly this chunk.
    pub fn same_block(&self) -> Option<usize> {
        match self.parts.as_slice() {
            [(block, overlap)] if overlap.size == overlap.source_shape && overlap.size == overlap.target_shape => {
                Some(*block)
            }
            _ => None,
        }
    }
}

/// Chunks of `shard` that `blocks` lie over, by their place in the shard.
pub(super) fn cover(
    grid: &ChunkGrid,
    shard: &ShardIndex,
    block_shape: [u32; 3],
    blocks: &[[u32; 3]],
) -> BTreeMap<u32, Covered> {
    let mut covered = BTreeMap::<u32, Covered>::new();
    for (number, &block) in blocks.iter().enumerate() {
        let axes: [Vec<SharedEdge>; 3] = std::array::from_fn(|axis| {
            let first = u64::from(shard.xyz[axis]) * u64::from(grid.chunks_per_shard[axis]);
            let here = first..first + u64::from(grid.chunks_per_shard[axis]);
            shared_with_chunks(block[axis], block_shape[axis], grid.chunk_shape[axis], here)
        });
        for (place, overlap) in overlaps(grid, block_shape, &axes) {
            covered.entry(place).or_default().parts.push((number, overlap));
        }
    }
    covered
}

/// The same for several layers of blocks: by place, what each layer that is there covers, bottom to top.
pub(super) fn cover_layers(
    grid: &ChunkGrid,
    shard: &ShardIndex,
    layers: &[&LayerPlan],
    blocks: &[Vec<[u32; 3]>],
) -> BTreeMap<u32, Vec<(usize, Covered)>> {
    let mut covered = BTreeMap::<u32, Vec<(usize, Covered)>>::new();
    for (number, (layer, blocks)) in layers.iter().zip(blocks).enumerate() {
        for (place, part) in cover(grid, shard, layer.block_shape, blocks) {
            covered.entry(place).or_default().push((number, part));
        }
    }
    covered
}

/// Blocks of `blocks`, which are sorted, that lie over `chunk`.
pub(super) fn blocks_over(
    chunk_shape: [u32; 3],
    chunk: [u32; 3],
    block_shape: [u32; 3],
    blocks: &[[u32; 3]],
) -> Vec<[u32; 3]> {
    let ranges: [Range<u64>; 3] = std::array::from_fn(|axis| {
        let (start, end) = extent(chunk[axis], chunk_shape[axis]);
        start / u64::from(block_shape[axis])..end.div_ceil(u64::from(block_shape[axis]))
    });
    // Where a chunk has more places than there are blocks, it is the blocks that are looked at.
    let places = ranges.iter().try_fold(1_u64, |count, range| count.checked_mul(range.end - range.start));
    if places.is_none_or(|places| places > blocks.len() as u64) {
        let over = |block: &&[u32; 3]| (0..3).all(|axis| ranges[axis].contains(&u64::from(block[axis])));
        return blocks.iter().filter(over).copied().collect();
    }
    let [xs, ys, zs] = ranges;
    let mut found = Vec::new();
    for x in xs {
        for y in ys.clone() {
            let row = zs.clone().map(|z| [x as u32, y as u32, z as u32]);
            found.extend(row.filter(|block| blocks.binary_search(block).is_ok()));
        }
    }
    found
}

/// Shards that `block` lies over.
pub(super) fn shards_under(grid: &ChunkGrid, block_shape: [u32; 3], block: [u32; 3]) -> Vec<[u32; 3]> {
    let ranges: [Range<u64>; 3] = std::array::from_fn(|axis| {
        let edge = u64::from(grid.chunk_shape[axis]) * u64::from(grid.chunks_per_shard[axis]);
        let (start, end) = extent(block[axis], block_shape[axis]);
        start / edge..end.div_ceil(edge)
    });
    let [xs, ys, zs] = ranges;
    let mut shards = Vec::new();
    for z in zs {
        for y in ys.clone() {
            shards.extend(xs.clone().map(|x| [x as u32, y as u32, z as u32]));
        }
    }
    shards
}

/// First voxel of block `index`, and the first behind it.
fn extent(index: u32, edge: u32) -> (u64, u64) {
    let start = u64::from(index) * u64::from(edge);
    (start, start + u64::from(edge))
}

/// What a block shares with one chunk along one axis.
struct SharedEdge {
    /// The chunk, counted from the shard's first.
    chunk: u32,
    /// First common voxel, counted from the block's first and from the chunk's first.
    block_at: usize,
    chunk_at: usize,
    size: usize,
}

fn shared_with_chunks(block: u32, block_edge: u32, chunk_edge: u32, chunks: Range<u64>) -> Vec<SharedEdge> {
    let (start, end) = extent(block, block_edge);
    let edge = u64::from(chunk_edge);
    let under = (start / edge).max(chunks.start)..end.div_ceil(edge).min(chunks.end);
    let mut shared = Vec::new();
    for chunk in under {
        let (from, to) = ((chunk * edge).max(start), ((chunk + 1) * edge).min(end));
        shared.push(SharedEdge {
            chunk: (chunk - chunks.start) as u32,
            block_at: (from - start) as usize,
            chunk_at: (from - chunk * edge) as usize,
            size: (to - from) as usize,
        });
    }
    shared
}

fn overlaps(grid: &ChunkGrid, block_shape: [u32; 3], axes: &[Vec<SharedEdge>; 3]) -> Vec<(u32, Overlap)> {
    let [xs, ys, zs] = axes;
    let [nx, ny, _] = grid.chunks_per_shard;
    let mut found = Vec::with_capacity(xs.len() * ys.len() * zs.len());
    for z in zs {
        for y in ys {
            for x in xs {
                let overlap = Overlap {
                    source_shape: block_shape.map(|edge| edge as usize),
                    source_at: [x.block_at, y.block_at, z.block_at],
                    target_shape: grid.chunk_shape.map(|edge| edge as usize),
                    target_at: [x.chunk_at, y.chunk_at, z.chunk_at],
                    size: [x.size, y.size, z.size],
                };
                found.push((x.chunk + nx * (y.chunk + ny * z.chunk), overlap));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::voxels::VoxelType;

    fn grid(chunk: [u32; 3], per_shard: [u32; 3]) -> ChunkGrid {
        ChunkGrid {
            voxel_type: VoxelType::UInt8,
            channels: 1,
            chunk_shape: chunk,
            chunks_per_shard: per_shard,
            extra_axes: Vec::new(),
        }
    }

    #[test]
    fn equal_grids_meet_in_whole_chunks() {
        let covered = cover(&grid([32; 3], [16; 3]), &ShardIndex::xyz(1, 0, 0), [32; 3], &[[17, 2, 3]]);
        assert_eq!(covered.len(), 1);
        let (place, covered) = covered.into_iter().next().unwrap();
        assert_eq!(place, 1 + 16 * (2 + 16 * 3));
        assert!(covered.is_full());
        assert_eq!(covered.same_block(), Some(0));
    }

    #[test]
    fn a_larger_chunk_is_full_only_when_all_its_blocks_are_there() {
        let all: Vec<[u32; 3]> = (0..8).map(|i| [i % 2, i / 2 % 2, i / 4]).collect();
        let big = grid([64; 3], [1; 3]);
        let full = cover(&big, &ShardIndex::xyz(0, 0, 0), [32; 3], &all);
        assert!(full[&0].is_full() && full[&0].same_block().is_none());
        assert!(!cover(&big, &ShardIndex::xyz(0, 0, 0), [32; 3], &all[1..])[&0].is_full());
    }

    proptest! {
        #[test]
        fn every_voxel_of_a_block_lies_in_exactly_one_chunk_of_one_shard(
            chunk in prop::array::uniform3(1_u32..6),
            per_shard in prop::array::uniform3(1_u32..4),
            block_shape in prop::array::uniform3(1_u32..7),
            block in prop::array::uniform3(0_u32..5),
        ) {
            let grid = grid(chunk, per_shard);
            let mut hits = std::collections::HashMap::<[u64; 3], u32>::new();
            for xyz in shards_under(&grid, block_shape, block) {
                let shard = ShardIndex { extra: Box::default(), xyz };
                let covered = cover(&grid, &shard, block_shape, &[block]);
                prop_assert!(!covered.is_empty());
                for (place, covered) in covered {
                    let at = grid.chunk_at(&shard, place as usize);
                    prop_assert_eq!(grid.locate(&at), (shard.clone(), place as usize));
                    for (_, overlap) in covered.parts {
                        for z in 0..overlap.size[2] { for y in 0..overlap.size[1] { for x in 0..overlap.size[0] {
                            let within = [x, y, z];
                            let voxel: [u64; 3] = std::array::from_fn(|a| u64::from(at.xyz[a] * chunk[a])
                                + (overlap.target_at[a] + within[a]) as u64);
                            for a in 0..3 {
                                let in_block = u64::from(block[a] * block_shape[a])
                                    + (overlap.source_at[a] + within[a]) as u64;
                                prop_assert_eq!(voxel[a], in_block);
                            }
                            *hits.entry(voxel).or_default() += 1;
                        }}}
                    }
                }
            }
            prop_assert_eq!(hits.len() as u32, block_shape.iter().product::<u32>());
            prop_assert!(hits.values().all(|&count| count == 1));
        }
    }
}
