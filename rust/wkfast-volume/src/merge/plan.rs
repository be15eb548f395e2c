//! The plan of a merge: every output shard and what goes into it, decided before a byte is written.
//!
//! A plan is plain data. Any process that has it and sees the same files can run any of its tasks.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::input::MergeInput;
use super::stamp::MagStamp;
use crate::error::{Result, VolumeError};
use crate::format::MagLocation;
use crate::geometry::{BoundingBox, ChunkGrid, Mag, ShardIndex};
use crate::voxels::VoxelType;

/// Changes whenever a plan of an earlier build would be run differently.
pub const PLAN_VERSION: u32 = 2;

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
    #[serde(skip)]
    pub(super) tasks: Vec<Task>,
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
        location: MagLocation,
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

/// The plan's numbers, before anything has run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagSummary {
    /// Magnification.
    pub mag: Mag,
    /// `fallback`, `annotation`, `recomputed`, or `mixed` where annotations differ in it.
    pub source: String,
    /// Type of the result.
    pub voxel_type: VoxelType,
    /// Shards that are copied as they are.
    pub shards_untouched: usize,
    /// Shards that are written anew.
    pub shards_touched: usize,
    /// Chunks of all annotations.
    pub annotation_chunks: usize,
    /// See [`ShardPlan::chunks_replaced`].
    pub chunks_replaced: u64,
    /// See [`ShardPlan::chunks_mixed`].
    pub chunks_mixed: u64,
    /// Bytes of the fallback's files.
    pub fallback_bytes: u64,
    /// Of these, bytes of files that are copied as they are.
    pub bytes_copied: u64,
    /// Of these, bytes of files whose chunks are passed through or replaced one by one.
    pub bytes_rewritten: u64,
    /// Bytes of decoded voxels of the chunks that are computed; where types differ, chunks only the fallback has come
    /// on top.
    pub voxel_bytes: u64,
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

    pub(super) fn assemble(mut self) -> Self {
        self.tasks = self.list_tasks();
        self
    }

    /// The tasks, sorted by stage. A task's number means the same in every process.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Where a mag of the result lies.
    pub(super) fn result_location(&self, mag: &MagPlan) -> MagLocation {
        let container = self.input.target.container();
        MagLocation { container, prefix: mag.folder.clone(), streamed: None, ..mag.fallback.clone() }
    }

    /// Refuses numbers of tasks that the plan does not have.
    pub fn check_range(&self, tasks: &Range<usize>) -> Result<()> {
        let last = self.tasks().len();
        if tasks.start <= tasks.end && tasks.end <= last {
            return Ok(());
        }
        Err(VolumeError::Mismatch(format!(
            "the plan has {last} tasks, there are none from {} to {}",
            tasks.start, tasks.end
        )))
    }

    /// Numbers of the tasks of each stage, in the order in which the stages must run.
    pub fn stages(&self) -> Vec<Range<usize>> {
        let mut stages = Vec::new();
        let mut start = 0;
        for part in self.tasks.chunk_by(|a, b| a.stage == b.stage) {
            stages.push(start..start + part.len());
            start += part.len();
        }
        stages
    }

    /// The mag and the shard of a task.
    pub fn task_parts(&self, task: Task) -> (&MagPlan, &ShardPlan) {
        let mag = &self.mags[task.mag];
        (mag, &mag.shards[task.shard])
    }

    /// Numbers by mag, for a dry run.
    pub fn summary(&self) -> Vec<MagSummary> {
        self.mags.iter().map(MagPlan::summary).collect()
    }

    /// All that a dry run tells, as plain data.
    pub fn facts(&self) -> serde_json::Value {
        serde_json::json!({
            "mags": self.summary(),
            "bounding_box": self.bounding_box,
            "touched_extra": self.touched_extra(),
            "dtype": self.mags.first().map(|mag| mag.grid.voxel_type.name()),
            "ignored_mags": self.ignored_mags,
            "left_out_mags": self.left_out_mags,
            "warnings": self.warnings,
            "tasks": self.tasks.len(),
        })
    }

    /// Where touched chunks begin and end along the additional axes, by their names.
    fn touched_extra(&self) -> BTreeMap<&str, (u64, u64)> {
        let mags =
            self.mags.iter().flat_map(|mag| mag.grid.extra_axes.iter().map(String::as_str).zip(mag.touched_extra()));
        mags.fold(BTreeMap::new(), |mut touched, (axis, (start, end))| {
            let known = touched.entry(axis).or_insert((start, end));
            *known = (known.0.min(start), known.1.max(end));
            touched
        })
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| VolumeError::io("merge plan", error.into()))
    }

    /// Reads a plan that [`to_json`](Self::to_json) wrote.
    pub fn from_json(text: &str) -> Result<Self> {
        let plan: Self = serde_json::from_str(text)
            .map_err(|error| VolumeError::corrupt("merge plan", format!("is not readable: {error}")))?;
        if plan.version != PLAN_VERSION {
            let reason = format!("has version {}, this build runs version {PLAN_VERSION}: plan anew", plan.version);
            return Err(VolumeError::corrupt("merge plan", reason));
        }
        plan.check_references()?;
        Ok(plan.assemble())
    }

    /// What the rest of the module indexes by must exist, whoever wrote the file.
    fn check_references(&self) -> Result<()> {
        for (place, mag) in self.mags.iter().enumerate() {
            let grid = &mag.grid;
            let shapes = [grid.chunk_shape, grid.chunks_per_shard];
            let bad_layer = |layer: &LayerPlan| {
                let is_later = matches!(layer.source, LayerSource::Recomputed { from, factor }
                    if from >= place || factor.contains(&0));
                is_later || layer.block_shape.contains(&0) || layer.annotation >= self.input.annotations.len()
            };
            let bad_shard = |shard: &ShardPlan| shard.is_touched() && shard.blocks.len() != mag.layers.len();
            let bad = shapes.iter().flatten().any(|&edge| edge == 0)
                || mag.layers.iter().any(bad_layer)
                || mag.shards.iter().any(bad_shard);
            if bad {
                return Err(VolumeError::corrupt("merge plan", format!("mag {} refers to nothing", mag.mag)));
            }
            super::input::check_folder(&mag.folder)?;
        }
        Ok(())
    }

    fn list_tasks(&self) -> Vec<Task> {
        let mut depth = vec![0; self.mags.len()];
        let mut tasks = Vec::new();
        for (mag, plan) in self.mags.iter().enumerate() {
            let finer = |layer: &LayerPlan| match layer.source {
                LayerSource::Recomputed { from, .. } => depth[from] + 1,
                LayerSource::Annotation { .. } => 0,
            };
            depth[mag] = plan.layers.iter().map(finer).max().unwrap_or(0);
            tasks.extend(plan.shards.iter().enumerate().map(|(shard, part)| {
                let stage = if part.is_touched() { depth[mag] } else { 0 };
                Task { stage, mag, shard }
            }));
        }
        tasks.sort_by_key(|task| task.stage);
        tasks
    }
}

impl MagPlan {
    /// Whether `shard` is the fallback's file, byte for byte.
    pub fn is_copied(&self, shard: &ShardPlan) -> bool {
        !shard.is_touched() && self.fallback_type == self.grid.voxel_type && !self.relabels && !self.recodes
    }

    /// Where touched shards begin and end along each additional axis, in voxels; nothing if there are none.
    pub(super) fn touched_extra(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.grid.extra_axes.len()).filter_map(|axis| {
            let touched = self.shards.iter().filter(|shard| shard.is_touched());
            let places = touched.map(|shard| u64::from(shard.at.extra[axis]));
            Some((places.clone().min()?, places.max()? + 1))
        })
    }

    /// `fallback`, `annotation`, `recomputed` or `mixed`.
    fn source(&self) -> &'static str {
        let own = |layer: &LayerPlan| matches!(layer.source, LayerSource::Annotation { .. });
        match (self.layers.iter().any(own), self.layers.iter().all(own)) {
            (_, true) if self.layers.is_empty() => "fallback",
            (true, true) => "annotation",
            (true, false) => "mixed",
            (false, _) => "recomputed",
        }
    }

    /// Chunks of annotations that lie over this mag, each once however many shards it meets.
    fn annotation_chunks(&self) -> usize {
        let own = |layer: &LayerPlan| matches!(layer.source, LayerSource::Annotation { .. });
        let layers: Vec<usize> = (0..self.layers.len()).filter(|&layer| own(&self.layers[layer])).collect();
        let mut blocks = std::collections::HashSet::new();
        for shard in self.shards.iter().filter(|shard| shard.is_touched()) {
            for &layer in &layers {
                blocks.extend(shard.blocks[layer].iter().map(|block| (layer, &shard.at.extra, block)));
            }
        }
        blocks.len()
    }

    fn summary(&self) -> MagSummary {
        let (copied, touched): (Vec<_>, Vec<_>) = self.shards.iter().partition(|shard| self.is_copied(shard));
        let bytes = |shards: &[&ShardPlan]| shards.iter().filter_map(|shard| shard.fallback_bytes).sum();
        let chunks =
            |count: fn(&ShardPlan) -> u32| self.shards.iter().map(|shard| u64::from(count(shard))).sum::<u64>();
        let (chunks_replaced, chunks_mixed) =
            (chunks(|shard| shard.chunks_replaced), chunks(|shard| shard.chunks_mixed));
        MagSummary {
            mag: self.mag,
            source: self.source().to_owned(),
            voxel_type: self.grid.voxel_type,
            shards_untouched: copied.len(),
            shards_touched: touched.len(),
            annotation_chunks: self.annotation_chunks(),
            chunks_replaced,
            chunks_mixed,
            fallback_bytes: self.shards.iter().filter_map(|shard| shard.fallback_bytes).sum(),
            bytes_copied: bytes(&copied),
            bytes_rewritten: bytes(&touched),
            voxel_bytes: (chunks_replaced + chunks_mixed) * self.grid.chunk_bytes() as u64,
        }
    }
}
