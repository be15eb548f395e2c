//! Boxes of voxels, at any alignment, into the chunks that hold them.
//!
//! A shard is written as a whole under another name and renamed; chunks that the box does not touch are copied as they are.
//! Whole chunks are encoded straight from the caller's memory, partial ones are read, changed and encoded again.
//!
//! Whoever writes a shard holds its lock ([`Draft`](crate::format::draft::Draft)) and, while holding it, never waits for
//! work that others may have queued: a thread of the pool that waits takes up other work, and if that wanted the same
//! lock, it would wait for itself. So shards are spread over the pool, each written by one thread from start to end; or,
//! if they are few, the calling thread writes them one after the other and the pool only encodes.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::check_request;
use super::shard::ShardWrite;
use super::voxels::Voxels;
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, grow};
use crate::geometry::{BoundingBox, ChunkGrid, ShardIndex};

/// How a box is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    /// Keep chunks that are zeros all over, as annotations do, where they mean "erased". Without it they are left out,
    /// and removed where there were any: datasets take absent chunks for zeros.
    pub keep_zeros: bool,
    /// The threads that encode. Without it the current rayon pool is used, a thread for each shard.
    pub pool: Option<&'a ThreadPool>,
}

/// Writes `voxels` into `region` of `array`, whose store must be a directory. `extra` picks a slice of every additional
/// axis. An array that states its shape is grown to hold the region.
///
/// Other writers of the same shards, in this process or another, wait for each other. An error leaves every shard as it
/// was or completely written.
pub fn write_region(
    array: &dyn MagArray,
    extra: &[u32],
    region: &BoundingBox,
    voxels: &Voxels<'_>,
    options: &WriteOptions<'_>,
) -> Result<()> {
    let grid = array.grid();
    check_request(grid, extra, region, voxels.bytes.len())?;
    let end = [0, 1, 2].map(|axis| region.topleft[axis] + region.size[axis]);
    let last = i64::from(u32::MAX);
    if (0..3).any(|axis| region.topleft[axis] < 0 || (end[axis] - 1) / i64::from(grid.chunk_shape[axis]) > last) {
        return Err(VolumeError::Mismatch(format!(
            "a box at {:?} cannot be written: it is out of bounds",
            region.topleft
        )));
    }
    if region.size.contains(&0) {
        return Ok(());
    }
    array.check_current()?;
    grow(array, extra, end.map(|edge| edge as u64))?;
    let shards = shards_of(grid, extra, region);
    let job =
        |shard: &ShardIndex| ShardWrite { array, shard: shard.clone(), region, voxels, keep_zeros: options.keep_zeros };
    match options.pool.filter(|_| rayon::current_thread_index().is_none()) {
        Some(pool) if grid.chunks_in_shard() == 1 || shards.len() >= 4 * pool.current_num_threads() => {
            pool.install(|| shards.par_iter().try_for_each(|shard| job(shard).write()))
        }
        Some(pool) => shards.iter().try_for_each(|shard| job(shard).write_with(pool)),
        None => shards.par_iter().try_for_each(|shard| job(shard).write()),
    }
}

fn shards_of(grid: &ChunkGrid, extra: &[u32], region: &BoundingBox) -> Vec<ShardIndex> {
    let along = |axis: usize| {
        let edge = i64::from(grid.chunk_shape[axis]) * i64::from(grid.chunks_per_shard[axis]);
        let (start, length) = (region.topleft[axis], region.size[axis]);
        (start / edge) as u32..((start + length - 1) / edge + 1) as u32
    };
    let mut shards = Vec::new();
    for z in along(2) {
        for y in along(1) {
            shards.extend(along(0).map(|x| ShardIndex { extra: extra.into(), xyz: [x, y, z] }));
        }
    }
    shards
}
