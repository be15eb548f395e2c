//! One mag made out of another: coarser, cut into other chunks, stored in another way, with other labels, or with what a
//! function makes of its voxels. Shard by shard, each put in place
//! when it is whole, with memory that depends on chunks and threads, never on shards or layers.
//!
//! A chunk that is present stays present, zeros or not, wherever the source's format can tell; a chunk that can stand in
//! the target as it lies in the source is not decoded.

mod axis;
mod change;
mod exchange;
mod run;
mod shard;
mod tile;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::change::Change;
pub use self::exchange::{exchange_folders, restore_folder};
pub use self::run::{Summary, run};
use crate::downsample::Interpolation;
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, MagLocation, open_mag};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, ShardIndex};
use crate::mapping::Relabeling;
use crate::work::ReadMag;

/// What is to be done, as plain data that can be sent to another process. The target exists and is empty, or is to be
/// replaced shard by shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reshape {
    /// The mag that is read.
    pub source: MagLocation,
    /// The mag that is written.
    pub target: MagLocation,
    /// How voxels become voxels.
    pub step: Step,
}

/// How voxels become voxels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// They stay what and where they are.
    Copy,
    /// Several become one.
    #[serde(rename = "downsampling")]
    Downsample(Downsampling),
    /// Labels become others.
    Relabel(Relabeling),
    /// A function makes the voxels of every chunk that is there; see [`ReshapeJob::apply`].
    Apply,
}

/// Makes the voxels of a chunk (second) out of those that it had (first), all in the memory order of
/// [`format`](crate::format); what it returns otherwise says why it could not.
pub type ChunkFunction = dyn Fn(&ChunkIndex, &[u8], &mut [u8]) -> Result<(), String> + Send + Sync;

/// How several voxels become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Downsampling {
    /// Which value is taken.
    pub interpolation: Interpolation,
    /// Finer voxels in a coarser one, along x, y, z.
    pub factor: [u32; 3],
    /// The voxels of the source that count. Coarser voxels that lie across its border are made of those inside,
    /// mirrored.
    pub region: BoundingBox,
    /// Coarser voxels that WEBKNOSSOS's tools compute at once: their `nearest` depends on it.
    pub buffer_shape: [u32; 3],
}

/// A [`Reshape`] with both mags open.
#[derive(Debug)]
pub struct ReshapeJob {
    step: Step,
    source: ReadMag,
    target: Arc<dyn MagArray>,
    shards: Vec<ShardIndex>,
    change: Option<Change>,
    /// The target's shards that were there when it was opened, if it is far.
    there: Option<HashSet<ShardIndex>>,
}

impl ReshapeJob {
    /// Opens both mags and lists the target's shards that get data, in an order that is the same wherever it is asked for.
    pub fn open(reshape: &Reshape) -> Result<Self> {
        let (source, target) = (open_mag(&reshape.source)?, open_mag(&reshape.target)?);
        reshape.target.check_within(&*target)?;
        Self::of(reshape.step.clone(), source, target)
    }

    /// [`open`](Self::open) where the step is to [apply](Step::Apply) a function; `of` makes it for source and target.
    pub fn apply(reshape: &Reshape, of: impl FnOnce(&ChunkGrid, &ChunkGrid) -> Arc<ChunkFunction>) -> Result<Self> {
        let mut job = Self::open(reshape)?;
        job.change = Some(Change::Apply(of(job.source.array.grid(), job.target.grid())));
        Ok(job)
    }

    /// The job between mags that are open.
    pub fn of(step: Step, source: Arc<dyn MagArray>, target: Arc<dyn MagArray>) -> Result<Self> {
        let (from, to) = (source.grid(), target.grid());
        check_voxels(&step, from, to)?;
        if let Step::Downsample(how) = &step {
            let bad = how.factor.contains(&0) || how.buffer_shape.contains(&0);
            if bad || how.region.topleft.iter().chain(&how.region.size).any(|&edge| edge < 0) {
                return Err(VolumeError::Mismatch(format!("cannot downsample so: {how:?}")));
            }
        }
        let change = Change::of(&step, from)?;
        if matches!(step, Step::Relabel(_) | Step::Apply) && from.chunk_shape != to.chunk_shape {
            let (from, to) = (from.chunk_shape, to.chunk_shape);
            return Err(VolumeError::Mismatch(format!("chunks of {from:?} cannot become chunks of {to:?} meanwhile")));
        }
        let there = if target.store().is_far() { Some(shards_of(&*target)?) } else { None };
        let source = ReadMag::new(source);
        let mut job = Self { step, source, target, shards: Vec::new(), change, there };
        job.shards = job.list()?;
        Ok(job)
    }

    /// Shards of the target that get data.
    pub fn shards(&self) -> &[ShardIndex] {
        &self.shards
    }

    /// Bytes of voxels that a shard of the target has, at most.
    pub fn shard_bytes(&self) -> u64 {
        let grid = self.target.grid();
        grid.chunk_bytes() as u64 * grid.chunks_in_shard() as u64
    }

    /// Voxels of the source in one of the target, along x, y, z.
    fn factor(&self) -> [u64; 3] {
        match &self.step {
            Step::Downsample(how) => how.factor.map(u64::from),
            _ => [1; 3],
        }
    }

    /// Voxels of the target that can get data: first, and end.
    fn reach(&self) -> [std::ops::Range<u64>; 3] {
        std::array::from_fn(|axis| match &self.step {
            Step::Downsample(how) => axis::target_range(how, axis),
            _ => 0..u64::from(u32::MAX) << 16,
        })
    }

    fn list(&self) -> Result<Vec<ShardIndex>> {
        let (from, to, factor, reach) = (self.source.array.grid(), self.target.grid(), self.factor(), self.reach());
        let mut shards = std::collections::BTreeSet::new();
        for shard in self.source.shards()? {
            let range = |axis: usize| {
                let length = u64::from(from.chunk_shape[axis]) * u64::from(from.chunks_per_shard[axis]);
                let start = u64::from(shard.xyz[axis]) * length;
                let first = (start / factor[axis]).max(reach[axis].start);
                let end = (start + length).div_ceil(factor[axis]).min(reach[axis].end);
                let edge = u64::from(to.chunk_shape[axis]) * u64::from(to.chunks_per_shard[axis]);
                (first / edge) as u32..if first < end { end.div_ceil(edge) as u32 } else { 0 }
            };
            for z in range(2) {
                for y in range(1) {
                    for x in range(0) {
                        shards.insert(ShardIndex { extra: shard.extra.clone(), xyz: [x, y, z] });
                    }
                }
            }
        }
        Ok(shards.into_iter().collect())
    }
}

/// Voxels keep their channels and axes, and their type unless a function makes them.
fn check_voxels(step: &Step, from: &ChunkGrid, to: &ChunkGrid) -> Result<()> {
    let kept = |grid: &ChunkGrid| {
        let voxel_type = if *step == Step::Apply { None } else { Some(grid.voxel_type) };
        (voxel_type, grid.channels, grid.extra_axes.clone())
    };
    if kept(from) == kept(to) {
        return Ok(());
    }
    let voxels = |grid: &ChunkGrid| {
        format!("voxels of {} × {} (additional axes {:?})", grid.channels, grid.voxel_type.name(), grid.extra_axes)
    };
    Err(VolumeError::Mismatch(format!("{} cannot become {}", voxels(from), voxels(to))))
}

/// The shards that there are of a mag.
fn shards_of(array: &dyn MagArray) -> Result<HashSet<ShardIndex>> {
    Ok(array.list_shards()?.shards.into_iter().map(|(shard, _)| shard).collect())
}
