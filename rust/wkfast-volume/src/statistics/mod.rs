//! Size, extent and centre of every segment, streamed: memory is that of the table. Parts of a layer can be counted anywhere;
//! their tables make up that of the whole.

mod table;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::table::{CountedBlock, Row, Table};
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, MagLocation, fill_absent, open_mag};
use crate::geometry::{BoundingBox, ChunkIndex, ShardIndex};
use crate::label::{check, with_width};
use crate::voxels::{Kind, VoxelType};
use crate::work::{Ahead, Driver, Observer, ReadMag, Stop, pool_of};

thread_local! {
    static VOXELS: RefCell<Vec<u8>> = RefCell::default();
}

/// What is to be counted, as plain data that can be sent to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The mag that is read.
    pub source: MagLocation,
    /// The voxels that count, in voxels of the mag.
    pub region: BoundingBox,
    /// First coordinate and end along every additional axis.
    #[serde(default)]
    pub extra: Vec<(u32, u32)>,
}

/// A [`Request`] with the mag open.
#[derive(Debug)]
pub struct CountJob {
    source: ReadMag,
    part: [Range<u64>; 3],
    shards: Vec<ShardIndex>,
}

impl CountJob {
    /// Opens the mag and lists the shards with data in the region, in an order that is the same wherever it is asked for.
    pub fn open(request: &Request) -> Result<Self> {
        let array = open_mag(&request.source)?;
        check(array.grid().voxel_type, array.grid().channels)?;
        if request.extra.len() != array.grid().extra_axes.len() {
            let axes = &array.grid().extra_axes;
            let text = format!("{} ranges for the additional axes {axes:?}", request.extra.len());
            return Err(VolumeError::Mismatch(text));
        }
        let part = std::array::from_fn(|axis| {
            let start = request.region.topleft[axis];
            let end = start.saturating_add(request.region.size[axis]);
            start.max(0) as u64..end.max(0) as u64
        });
        let mut job = Self { source: ReadMag::new(array), part, shards: Vec::new() };
        job.shards = job.list(&request.extra)?;
        Ok(job)
    }

    /// Shards with voxels that count.
    pub fn shards(&self) -> &[ShardIndex] {
        &self.shards
    }

    /// Bytes of voxels in a shard, at most.
    pub fn shard_bytes(&self) -> u64 {
        let grid = self.array().grid();
        grid.chunk_bytes() as u64 * grid.chunks_in_shard() as u64
    }

    fn array(&self) -> &dyn MagArray {
        &*self.source.array
    }

    fn list(&self, extra: &[(u32, u32)]) -> Result<Vec<ShardIndex>> {
        let within = |shard: &ShardIndex| {
            let extra = shard.extra.iter().zip(extra).all(|(at, &(start, end))| (start..end).contains(at));
            extra && (0..3).all(|axis| !self.shared(shard, axis).is_empty())
        };
        let listed = self.array().list_shards()?.shards.into_iter().map(|(shard, _)| shard);
        let mut shards: Vec<_> = listed.filter(within).collect();
        if self.array().fill().is_some_and(|fill| fill.iter().any(|&byte| byte != 0)) {
            shards = self.all_shards(extra);
        }
        shards.sort_unstable();
        Ok(shards)
    }

    /// Every shard of the region: where absent voxels are not zero, they count as well.
    fn all_shards(&self, extra: &[(u32, u32)]) -> Vec<ShardIndex> {
        let mut extras: Vec<Vec<u32>> = vec![Vec::new()];
        for &(start, end) in extra {
            extras = extras.iter().flat_map(|head| (start..end).map(|at| [&head[..], &[at]].concat())).collect();
        }
        let [xs, ys, zs]: [Range<u64>; 3] = std::array::from_fn(|axis| {
            let (part, edge) = (&self.part[axis], self.shard_edge(axis));
            part.start / edge..part.end.div_ceil(edge)
        });
        let mut shards = Vec::new();
        for extra in extras {
            for (z, y) in zs.clone().flat_map(|z| ys.clone().map(move |y| (z, y))) {
                let index = |x| ShardIndex { extra: extra.clone().into(), xyz: [x, y, z].map(|at| at as u32) };
                shards.extend(xs.clone().map(index));
            }
        }
        shards
    }

    fn shard_edge(&self, axis: usize) -> u64 {
        let grid = self.array().grid();
        u64::from(grid.chunk_shape[axis]) * u64::from(grid.chunks_per_shard[axis])
    }

    /// Voxels of a shard that count, along one axis.
    fn shared(&self, shard: &ShardIndex, axis: usize) -> Range<u64> {
        let start = u64::from(shard.xyz[axis]) * self.shard_edge(axis);
        self.part[axis].start.max(start)..self.part[axis].end.min(start + self.shard_edge(axis))
    }

    /// Counts one shard, its chunks on all threads that are free.
    fn count(&self, shard: &ShardIndex, stop: &Stop) -> Result<Table> {
        let all = self.array().grid().chunks_in_shard();
        let window = if self.source.is_far() { CHUNKS_AHEAD } else { all };
        let mut table = Table::default();
        for start in (0..all).step_by(window) {
            table.merge(self.count_chunks(shard, start..all.min(start + window), stop)?);
        }
        Ok(table)
    }

    /// Counts the chunks at `places` of a shard.
    fn count_chunks(&self, shard: &ShardIndex, places: Range<usize>, stop: &Stop) -> Result<Table> {
        let chunk = |place: usize| self.array().grid().chunk_at(shard, place);
        let ahead = self.source.ahead(places.clone().map(chunk))?;
        let count = |mut table: Table, place: usize| -> Result<Table> {
            stop.check()?;
            self.count_chunk(&chunk(place), &ahead, &mut table)?;
            Ok(table)
        };
        let merged = |mut one: Table, other: Table| {
            one.merge(other);
            Ok(one)
        };
        places
            .into_par_iter()
            .with_min_len(PER_TABLE)
            .try_fold(Table::default, count)
            .try_reduce(Table::default, merged)
    }

    fn count_chunk(&self, chunk: &ChunkIndex, ahead: &Ahead, table: &mut Table) -> Result<()> {
        let grid = self.array().grid();
        let at: [u64; 3] = std::array::from_fn(|axis| u64::from(chunk.xyz[axis]) * u64::from(grid.chunk_shape[axis]));
        let part: [Range<usize>; 3] = std::array::from_fn(|axis| {
            let end = at[axis] + u64::from(grid.chunk_shape[axis]);
            let (first, last) = (self.part[axis].start.max(at[axis]), self.part[axis].end.min(end));
            (first - at[axis].min(first)) as usize..last.saturating_sub(at[axis]) as usize
        });
        if part.iter().any(Range::is_empty) {
            return Ok(());
        }
        VOXELS.with_borrow_mut(|voxels| {
            if !self.source.read(chunk, ahead, voxels)? {
                if self.array().fill().is_none() {
                    return Ok(());
                }
                fill_absent(self.array(), voxels);
            }
            let block = CountedBlock { shape: grid.chunk_shape.map(|edge| edge as usize), part, at };
            add(table, grid.voxel_type, voxels, &block)
        })
    }
}

/// Chunks of a far store that are asked for together.
const CHUNKS_AHEAD: usize = 512;
/// Chunks that are counted into one table, at least.
const PER_TABLE: usize = 64;

/// Adds the voxels of a block, which are labels of one channel in Fortran order, to `table`.
pub fn add(table: &mut Table, voxel_type: VoxelType, voxels: &[u8], block: &CountedBlock) -> Result<()> {
    check(voxel_type, 1)?;
    let signed = voxel_type.kind() == Kind::Signed;
    with_width!(voxel_type, W => table.add::<W>(voxels, signed, block));
    Ok(())
}

/// Counts `shards` (numbers in [`CountJob::shards`]) on `threads` threads.
pub fn run(job: &CountJob, shards: Range<usize>, threads: usize, observer: &mut Observer) -> Result<Table> {
    let all = job.shards().len();
    if shards.start > shards.end || shards.end > all {
        return Err(VolumeError::Mismatch(format!("there are {all} shards, not {shards:?}")));
    }
    let mut table = Table::default();
    if shards.is_empty() {
        return Ok(table);
    }
    let pool = pool_of(threads)?;
    let mut driver = Driver::new(&pool, observer);
    let weight = job.shard_bytes();
    driver.expect(shards.len(), weight * shards.len() as u64);
    let count = |number: usize, stop: &Stop| job.count(&job.shards()[number], stop);
    driver.each(&shards.collect::<Vec<_>>(), |_| weight, count, |part| table.merge(part))?;
    Ok(table)
}
