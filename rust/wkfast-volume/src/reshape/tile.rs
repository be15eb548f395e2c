//! A tile: chunks of the target that are computed together, because they are made of the same chunks of the source.

use std::cell::RefCell;
use std::ops::Range;

use super::axis::TargetAxis;
use super::{ReshapeJob, Step};
use crate::downsample::{Block, Interpolation, Taps, downsample};
use crate::error::Result;
use crate::geometry::{ChunkGrid, ChunkIndex};
use crate::work::{Ahead, ReadMag};

/// Bytes of finer voxels in a tile, at most, unless a single chunk needs more.
const MAX_SOURCE: u64 = 16 << 20;

/// Voxels or chunks along x, y, z.
pub(super) type Span3 = [Range<u64>; 3];

thread_local! {
    static CHUNK: RefCell<Vec<u8>> = RefCell::default();
}

/// Chunks of the target in a tile, along x, y, z: as many as the source's chunks reach over, in shards whose order is
/// fixed a cube of a power of two, which lies together in that order.
pub(super) fn tile_shape(job: &ReshapeJob) -> [u32; 3] {
    let (from, to, factor) = (job.source.array.grid(), job.target.grid(), job.factor());
    let mut shape: [u32; 3] = std::array::from_fn(|axis| {
        let reach = u64::from(from.chunk_shape[axis]) / (u64::from(to.chunk_shape[axis]) * factor[axis]).max(1);
        (reach.max(1) as u32).min(to.chunks_per_shard[axis])
    });
    let bytes = |shape: [u32; 3]| {
        let finer: u64 = (0..3).map(|axis| u64::from(shape[axis]) * factor[axis]).product();
        finer * to.chunk_bytes() as u64
    };
    if job.target.shape_file().is_none() {
        let least = shape.iter().copied().min().unwrap_or(1);
        shape = [1 << least.ilog2(); 3];
    }
    while bytes(shape) > MAX_SOURCE && shape != [1; 3] {
        shape = shape.map(|edge| (edge / 2).max(1));
    }
    shape
}

impl ReshapeJob {
    /// Chunks of the source that lie under `voxels` of the target.
    pub(super) fn chunks_under(&self, extra: &[u32], voxels: &Span3) -> impl Iterator<Item = ChunkIndex> + use<> {
        chunks_in(self.source.array.grid(), extra, &times(voxels, self.factor()))
    }
}

/// Voxels of a tile, in Fortran order of (c, x, y, z).
pub(super) struct Tile<'a> {
    job: &'a ReshapeJob,
    extra: &'a [u32],
    /// Its voxels in the target.
    at: Span3,
    ahead: &'a Ahead,
}

impl<'a> Tile<'a> {
    /// `ahead` are chunks of the source that were read already.
    pub(super) fn new(job: &'a ReshapeJob, extra: &'a [u32], at: Span3, ahead: &'a Ahead) -> Self {
        Self { job, extra, at, ahead }
    }

    fn shape(&self) -> [usize; 3] {
        self.at.each_ref().map(|range| (range.end - range.start) as usize)
    }

    /// Whether the source has any chunk under `voxels` of the target.
    pub(super) fn has_any_under(&self, voxels: &Span3) -> Result<bool> {
        for chunk in self.job.chunks_under(self.extra, voxels) {
            if self.job.source.has(&chunk, self.ahead)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The voxels, `None` where the source has no chunk for any of them.
    pub(super) fn compute(&self) -> Result<Option<Vec<u8>>> {
        let grid = self.job.target.grid();
        let mut out = vec![0; self.shape().iter().product::<usize>() * grid.channels as usize * grid.voxel_type.size()];
        let found = match &self.job.step {
            // Labels and functions change chunks that stay what they are, never tiles.
            Step::Copy | Step::Relabel(_) | Step::Apply => self.copy(&self.at, &mut out)?,
            Step::Downsample(how) => {
                let shards = grid.chunk_shape.iter().zip(grid.chunks_per_shard);
                let edges: Vec<u64> = shards.map(|(&chunk, count)| u64::from(chunk) * u64::from(count)).collect();
                let axes: [TargetAxis; 3] = std::array::from_fn(|axis| TargetAxis::new(how, axis, edges[axis]));
                self.downsample(how.interpolation, &axes, &mut out)?
            }
        };
        Ok(found.then_some(out))
    }

    fn copy(&self, wanted: &Span3, out: &mut [u8]) -> Result<bool> {
        let start = self.at.each_ref().map(|range| range.start);
        assemble(&self.job.source, self.ahead, self.extra, wanted, out, start, self.shape())
    }

    fn downsample(&self, how: Interpolation, axes: &[TargetAxis; 3], out: &mut [u8]) -> Result<bool> {
        let wanted: Span3 = std::array::from_fn(|axis| intersection(&self.at[axis], &axes[axis].target));
        if wanted.iter().any(Range::is_empty) {
            return Ok(false);
        }
        let plain: Span3 = std::array::from_fn(|axis| axes[axis].plain(&wanted[axis]));
        let mut found = false;
        for part in around(&wanted, &plain) {
            found |= self.looked_up(how, axes, &part, out)?;
        }
        if plain.iter().any(Range::is_empty) {
            return Ok(found);
        }
        let (chunk, factor) = (self.job.source.array.grid().chunk_shape, self.job.factor());
        let direct = (0..3).all(|axis| u64::from(chunk[axis]).is_multiple_of(factor[axis]));
        Ok(found
            | if direct { self.chunk_by_chunk(how, &plain, out)? } else { self.looked_up(how, axes, &plain, out)? })
    }

    /// Coarser voxels each of which lies within one chunk of the source.
    fn chunk_by_chunk(&self, how: Interpolation, wanted: &Span3, out: &mut [u8]) -> Result<bool> {
        let (grid, factor) = (self.job.source.array.grid(), self.job.factor());
        let mut found = false;
        CHUNK.with_borrow_mut(|voxels| {
            for chunk in self.job.chunks_under(self.extra, wanted) {
                if !self.job.source.read(&chunk, self.ahead, voxels)? {
                    continue;
                }
                found = true;
                let start: [u64; 3] =
                    std::array::from_fn(|axis| u64::from(chunk.xyz[axis]) * u64::from(grid.chunk_shape[axis]));
                let part: Span3 = std::array::from_fn(|axis| {
                    let end = start[axis] + u64::from(grid.chunk_shape[axis]);
                    intersection(&wanted[axis], &(start[axis] / factor[axis]..end / factor[axis]))
                });
                let taps = std::array::from_fn(|axis| {
                    let first = part[axis].start * factor[axis] - start[axis];
                    Taps::following(first as usize, factor[axis] as usize, length(&part[axis]))
                });
                self.reduce(how, voxels, grid.chunk_shape.map(|edge| edge as usize), &taps, &part, out);
            }
            Ok(found)
        })
    }

    /// Coarser voxels whose finer ones may lie anywhere near.
    fn looked_up(&self, how: Interpolation, axes: &[TargetAxis; 3], wanted: &Span3, out: &mut [u8]) -> Result<bool> {
        let mut taps: [Taps; 3] = std::array::from_fn(|axis| axes[axis].taps(wanted[axis].clone()));
        let needed: Span3 = taps.each_ref().map(|taps| {
            let (first, last) = (taps.at.iter().min(), taps.at.iter().max());
            first.map_or(0, |&first| first as u64)..last.map_or(0, |&last| last as u64 + 1)
        });
        for (taps, needed) in taps.iter_mut().zip(&needed) {
            taps.at.iter_mut().for_each(|place| *place -= needed.start as usize);
        }
        let grid = self.job.source.array.grid();
        let shape = needed.each_ref().map(length);
        let bytes = shape.iter().product::<usize>() * grid.channels as usize * grid.voxel_type.size();
        let mut voxels = vec![0; bytes];
        let start = needed.each_ref().map(|range| range.start);
        if !assemble(&self.job.source, self.ahead, self.extra, &needed, &mut voxels, start, shape)? {
            return Ok(false);
        }
        self.reduce(how, &voxels, shape, &taps, wanted, out);
        Ok(true)
    }

    fn reduce(
        &self,
        how: Interpolation,
        voxels: &[u8],
        shape: [usize; 3],
        taps: &[Taps; 3],
        part: &Span3,
        out: &mut [u8],
    ) {
        let grid = self.job.source.array.grid();
        let block = Block { voxel_type: grid.voxel_type, channels: grid.channels as usize, shape };
        let at = std::array::from_fn(|axis| (part[axis].start - self.at[axis].start) as usize);
        downsample(how, voxels, block, taps, out, self.shape(), at);
    }
}

/// Copies `wanted` voxels of the source into `out`, whose first voxel is `start`, and tells whether there were any.
fn assemble(
    source: &ReadMag,
    ahead: &Ahead,
    extra: &[u32],
    wanted: &Span3,
    out: &mut [u8],
    start: [u64; 3],
    shape: [usize; 3],
) -> Result<bool> {
    let grid = source.array.grid();
    let voxel = grid.channels as usize * grid.voxel_type.size();
    let mut found = false;
    CHUNK.with_borrow_mut(|voxels| {
        for chunk in chunks_in(grid, extra, wanted) {
            if !source.read(&chunk, ahead, voxels)? {
                continue;
            }
            found = true;
            let first: [u64; 3] =
                std::array::from_fn(|axis| u64::from(chunk.xyz[axis]) * u64::from(grid.chunk_shape[axis]));
            let part: Span3 = std::array::from_fn(|axis| {
                intersection(&wanted[axis], &(first[axis]..first[axis] + u64::from(grid.chunk_shape[axis])))
            });
            let at = |shape: [usize; 3], origin: [u64; 3], y: u64, z: u64| {
                let [x, y, z] = [part[0].start - origin[0], y - origin[1], z - origin[2]].map(|place| place as usize);
                (x + shape[0] * (y + shape[1] * z)) * voxel
            };
            let row = length(&part[0]) * voxel;
            for z in part[2].clone() {
                for y in part[1].clone() {
                    let from = at(grid.chunk_shape.map(|edge| edge as usize), first, y, z);
                    let to = at(shape, start, y, z);
                    out[to..to + row].copy_from_slice(&voxels[from..from + row]);
                }
            }
        }
        Ok(found)
    })
}

/// Chunks that hold some of `voxels`.
fn chunks_in(grid: &ChunkGrid, extra: &[u32], voxels: &Span3) -> impl Iterator<Item = ChunkIndex> + use<> {
    let [xs, ys, zs]: [Range<u32>; 3] = std::array::from_fn(|axis| {
        let edge = u64::from(grid.chunk_shape[axis]);
        (voxels[axis].start / edge) as u32..voxels[axis].end.div_ceil(edge).min(u64::from(u32::MAX)) as u32
    });
    let extra: Box<[u32]> = extra.into();
    zs.flat_map(move |z| {
        let (xs, extra) = (xs.clone(), extra.clone());
        ys.clone().flat_map(move |y| {
            let extra = extra.clone();
            xs.clone().map(move |x| ChunkIndex { extra: extra.clone(), xyz: [x, y, z] })
        })
    })
}

fn times(voxels: &Span3, factor: [u64; 3]) -> Span3 {
    std::array::from_fn(|axis| voxels[axis].start * factor[axis]..voxels[axis].end * factor[axis])
}

fn intersection(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

fn length(range: &Range<u64>) -> usize {
    (range.end - range.start) as usize
}

/// What of `outer` lies around `inner`, which lies in it; all of it where `inner` is empty.
fn around(outer: &Span3, inner: &Span3) -> Vec<Span3> {
    if inner.iter().any(Range::is_empty) {
        return vec![outer.clone()];
    }
    let mut rest = outer.clone();
    let mut parts = Vec::new();
    for axis in (0..3).rev() {
        for side in [rest[axis].start..inner[axis].start, inner[axis].end..rest[axis].end] {
            if !side.is_empty() {
                let mut part = rest.clone();
                part[axis] = side;
                parts.push(part);
            }
        }
        rest[axis] = inner[axis].clone();
    }
    parts
}
