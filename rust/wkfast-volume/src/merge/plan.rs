//! The plan of a merge: every output shard and what goes into it, decided before a byte is written.
//!
//! A plan is plain data. Any process that has it and sees the same files can run any of its tasks; one that has a
//! [part](super::plan_file) of it can run those.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::input::MergeInput;
use super::outline::Outline;
use super::share::bytes_of;
use super::stamp::{ArchiveStamp, MagStamp, check_archives};
use crate::error::{Result, VolumeError};
use crate::format::MagLocation;
use crate::geometry::{BoundingBox, ChunkGrid, Mag, ShardIndex};
use crate::voxels::VoxelType;

/// Changes whenever a plan of an earlier build would be run differently.
pub const PLAN_VERSION: u32 = 2;
/// Letters of [`MergePlan::fingerprint`].
const FINGERPRINT: usize = 32;

/// What [`survey`](super::survey::survey) found out and decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergePlan {
    /// [`PLAN_VERSION`] of the build that made it.
    pub version: u32,
    /// Two plans with the same fingerprint do the same to the same files.
    pub fingerprint: String,
    /// What was asked for.
    pub input: MergeInput,
    /// The files as they were when the plan was made.
    pub stamps: Vec<MagStamp>,
    /// The archives among them, which every process that runs tasks looks at again. Plans of earlier builds have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<ArchiveStamp>,
    /// Mags of the result, finest first.
    pub mags: Vec<MagPlan>,
    /// Extent of the result: the fallback's box and every touched chunk, no more. Unit: mag-1 voxels.
    pub bounding_box: BoundingBox,
    /// Mags of annotations that the fallback lacks.
    pub ignored_mags: Vec<Mag>,
    /// Mags of the fallback that the result will not have.
    pub left_out_mags: Vec<Mag>,
    /// What a user should know before the merge runs.
    pub warnings: Vec<String>,
    /// What is known of all tasks, also where only some are here.
    #[serde(skip)]
    pub(super) outline: Outline,
    /// The tasks that are here, from number [`first`](Self::first) on.
    #[serde(skip)]
    pub(super) tasks: Vec<Task>,
    /// Number of the first task that is here.
    #[serde(skip)]
    pub(super) first: usize,
}

/// One mag of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagPlan {
    /// Magnification.
    pub mag: Mag,
    /// Its folder in the target.
    pub folder: String,
    /// The fallback's mag that the result is modelled on.
    pub fallback: MagLocation,
    /// The fallback's voxel type, which the result's may be wider than.
    pub fallback_type: VoxelType,
    /// Shapes, type and channels of the result.
    pub grid: ChunkGrid,
    /// Voxels of this mag that the bounding box reaches from voxel 0 on.
    pub extent: [u64; 3],
    /// What lies over the fallback, bottom to top: a layer for every annotation that has chunks. Without any, the
    /// fallback is copied.
    pub layers: Vec<LayerPlan>,
    /// Whether the fallback's labels become others.
    #[serde(default)]
    pub relabels: bool,
    /// Whether the fallback is encoded otherwise than it is to lie: it comes from a server that makes chunks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recodes: bool,
    /// Every shard of the result, sorted.
    pub shards: Vec<ShardPlan>,
}

/// One annotation's part in a mag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlan {
    /// Its place in [`MergeInput::annotations`].
    pub annotation: usize,
    /// Where its voxels come from.
    pub source: LayerSource,
    /// Shape in voxels of the blocks that [`ShardPlan::blocks`] counts.
    pub block_shape: [u32; 3],
}

/// Where the voxels that an annotation touched come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum LayerSource {
    /// From the annotation's mag.
    Annotation {
        /// Where it lies.
        location: Box<MagLocation>,
        /// Its voxel type.
        voxel_type: VoxelType,
    },
    /// From a finer mag of the result, by mode.
    Recomputed {
        /// Place of the finer mag in [`MergePlan::mags`].
        from: usize,
        /// Voxels of the finer mag in one of this, along x, y, z.
        factor: [u32; 3],
    },
}

/// One shard of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPlan {
    /// Where it lies.
    pub at: ShardIndex,
    /// Size of the fallback's file, `None` if the fallback has no such shard.
    pub fallback_bytes: Option<u64>,
    /// Touched blocks that lie over it, by layer and sorted; empty for an untouched shard.
    pub blocks: Vec<Vec<[u32; 3]>>,
    /// Its chunks that take no voxel from the fallback.
    pub chunks_replaced: u32,
    /// Its chunks that take some voxels from the blocks and the others from the fallback.
    pub chunks_mixed: u32,
}

impl ShardPlan {
    /// Whether anything lies over it.
    pub fn is_touched(&self) -> bool {
        !self.blocks.is_empty()
    }
}

/// The unit of work: one shard of one mag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Tasks of a stage need all tasks of the stages before, and nothing else.
    pub stage: usize,
    /// Place in [`MergePlan::mags`].
    pub mag: usize,
    /// Place in [`MagPlan::shards`].
    pub shard: usize,
}

impl MergePlan {
    /// Opens both sides and decides. Reads listings and metadata, no voxels, and writes nothing.
    pub fn new(input: MergeInput) -> Result<Self> {
        let sources = super::sides::Sources::open(&input)?;
        Self::of(input, &sources)
    }

    /// The same, of sources that are open already.
    pub fn of(input: MergeInput, sources: &super::sides::Sources) -> Result<Self> {
        super::survey::survey(input, sources)
    }

    /// Opens both sides of a plan that was made elsewhere. An archive that was written since need not hold what was planned.
    pub fn open_sources(&self) -> Result<super::sides::Sources> {
        check_archives(&self.archives)?;
        super::sides::Sources::open(&self.input)
    }

    /// Numbers the tasks of a plan that is whole.
    pub(super) fn assemble(mut self) -> Self {
        self.tasks = self.list_tasks();
        self.outline = Outline::of(&self);
        self
    }

    /// How many tasks there are. They are sorted by stage; a task's number means the same in every process.
    pub fn task_count(&self) -> usize {
        self.outline.task_count()
    }

    /// The task of that number, which must be [here](Self::check_range).
    pub fn task(&self, number: usize) -> Task {
        self.tasks[number - self.first]
    }

    /// What is known of all tasks.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Where a mag of the result lies.
    pub(super) fn result_location(&self, mag: &MagPlan) -> MagLocation {
        let container = self.input.target.container();
        MagLocation { container, prefix: mag.folder.clone(), streamed: None, ..mag.fallback.clone() }
    }

    /// Refuses numbers of tasks that the plan does not have, or that are not here.
    pub fn check_range(&self, tasks: &Range<usize>) -> Result<()> {
        self.outline.check_range(tasks)?;
        let here = self.first..self.first + self.tasks.len();
        if tasks.is_empty() || (here.start <= tasks.start && tasks.end <= here.end) {
            return Ok(());
        }
        Err(VolumeError::Mismatch(format!("of the plan's tasks {here:?} are here, not {tasks:?}")))
    }

    /// Numbers of the tasks of each stage, in the order in which the stages must run.
    pub fn stages(&self) -> Vec<Range<usize>> {
        self.outline.stages()
    }

    /// The mag and the shard of a task.
    pub fn task_parts(&self, task: Task) -> (&MagPlan, &ShardPlan) {
        let mag = &self.mags[task.mag];
        (mag, &mag.shards[task.shard])
    }

    /// All that a dry run tells, as plain data.
    pub fn facts(&self) -> serde_json::Value {
        let names = self.mags.iter().map(|mag| mag.grid.extra_axes.as_slice());
        serde_json::json!({
            "mags": self.outline.mags,
            "bounding_box": self.bounding_box,
            "touched_extra": self.outline.touched_extra(names),
            "dtype": self.mags.first().map(|mag| mag.grid.voxel_type.name()),
            "ignored_mags": self.ignored_mags,
            "left_out_mags": self.left_out_mags,
            "warnings": self.warnings,
            "tasks": self.task_count(),
        })
    }

    /// The plan as JSON, which must be whole.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| VolumeError::io("merge plan", error.into()))
    }

    /// Reads a plan that [`to_json`](Self::to_json) wrote.
    pub fn from_json(text: &str) -> Result<Self> {
        let plan: Self = serde_json::from_str(text)
            .map_err(|error| VolumeError::corrupt("merge plan", format!("is not readable: {error}")))?;
        plan.check()?;
        Ok(plan.assemble())
    }

    /// What the rest of the module indexes by must exist, whoever wrote the file.
    pub(super) fn check(&self) -> Result<()> {
        if self.version != PLAN_VERSION {
            let reason = format!("has version {}, this build runs version {PLAN_VERSION}: plan anew", self.version);
            return Err(VolumeError::corrupt("merge plan", reason));
        }
        // It is looked for in what others have written.
        if self.fingerprint.len() != FINGERPRINT || !self.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(VolumeError::corrupt("merge plan", "has no fingerprint".to_owned()));
        }
        for (place, mag) in self.mags.iter().enumerate() {
            let grid = &mag.grid;
            let shapes = [grid.chunk_shape, grid.chunks_per_shard];
            let bad_layer = |layer: &LayerPlan| {
                let is_later = matches!(layer.source, LayerSource::Recomputed { from, factor }
                    if from >= place || factor.contains(&0));
                is_later || layer.block_shape.contains(&0) || layer.annotation >= self.input.annotations.len()
            };
            let bad_shard = |shard: &ShardPlan| {
                let lacks_layers = shard.is_touched() && shard.blocks.len() != mag.layers.len();
                lacks_layers || shard.at.extra.len() != grid.extra_axes.len() || !grid.has_room_for(&shard.at)
            };
            let bad = shapes.iter().flatten().any(|&edge| edge == 0)
                || mag.layers.iter().any(bad_layer)
                || mag.shards.iter().any(bad_shard);
            if bad {
                return Err(VolumeError::corrupt("merge plan", format!("mag {} refers to nothing", mag.mag)));
            }
            grid.check_size().map_err(|reason| VolumeError::corrupt("merge plan", format!("has {reason}")))?;
            super::input::check_folder(&mag.folder)?;
        }
        let work = self.mags.iter().flat_map(|mag| mag.shards.iter().map(move |shard| bytes_of(mag, shard)));
        match work.fold(0, u64::saturating_add) {
            u64::MAX => Err(VolumeError::corrupt("merge plan", "has more bytes than there can be".to_owned())),
            _ => Ok(()),
        }
    }

    /// The tasks of the shards that are here.
    pub(super) fn list_tasks(&self) -> Vec<Task> {
        let depth = self.depth();
        let mut tasks = Vec::with_capacity(self.mags.iter().map(|mag| mag.shards.len()).sum());
        for (mag, plan) in self.mags.iter().enumerate() {
            tasks.extend(plan.shards.iter().enumerate().map(|(shard, part)| {
                let stage = if part.is_touched() { depth[mag] } else { 0 };
                Task { stage, mag, shard }
            }));
        }
        tasks.sort_by_key(|task| task.stage);
        tasks
    }

    /// Stage of the touched shards of each mag; untouched ones are of the first.
    pub(super) fn depth(&self) -> Vec<usize> {
        let mut depth: Vec<usize> = Vec::new();
        for plan in &self.mags {
            let finer = |layer: &LayerPlan| match layer.source {
                LayerSource::Recomputed { from, .. } => depth[from] + 1,
                LayerSource::Annotation { .. } => 0,
            };
            depth.push(plan.layers.iter().map(finer).max().unwrap_or(0));
        }
        depth
    }
}

impl MagPlan {
    /// Whether `shard` is the fallback's file, byte for byte.
    pub fn is_copied(&self, shard: &ShardPlan) -> bool {
        !shard.is_touched() && self.fallback_type == self.grid.voxel_type && !self.relabels && !self.recodes
    }

    /// The same without its shards.
    pub(super) fn bare(&self) -> Self {
        Self {
            shards: Vec::new(),
            folder: self.folder.clone(),
            fallback: self.fallback.clone(),
            grid: self.grid.clone(),
            layers: self.layers.clone(),
            ..*self
        }
    }
}
