//! What is known of all tasks of a plan wherever the plan is, whether its files are at hand or not: it grows with mags and
//! stages, not with files.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::plan::{LayerPlan, LayerSource, MagPlan, MergePlan, ShardPlan};
use super::share::{Weighed, work_bytes};
use crate::error::{Result, VolumeError};
use crate::geometry::Mag;
use crate::voxels::VoxelType;

/// Tasks of a plan, at most: whoever adds up a merge keeps a bit for each.
pub(super) const MOST_TASKS: usize = 1 << 30;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// All tasks, in the order of their numbers.
    pub(super) runs: Vec<TaskRun>,
    /// Numbers by mag, for a dry run.
    pub mags: Vec<MagSummary>,
    /// By mag: where its touched shards begin and end along each additional axis, in voxels; nothing if there are none.
    pub(super) touched: Vec<Vec<(u64, u64)>>,
}

/// Tasks that follow each other and are of one stage and mag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskRun {
    pub(super) stage: usize,
    pub(super) mag: usize,
    pub(super) tasks: usize,
    /// [`work_bytes`] of all.
    pub(super) bytes: u64,
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

impl Outline {
    /// Of a plan whose tasks are all numbered.
    pub(super) fn of(plan: &MergePlan) -> Self {
        let runs = plan.tasks.chunk_by(|a, b| (a.stage, a.mag) == (b.stage, b.mag));
        let run = |part: &[super::plan::Task]| TaskRun {
            stage: part[0].stage,
            mag: part[0].mag,
            tasks: part.len(),
            bytes: part.iter().map(|&task| work_bytes(plan, task)).sum(),
        };
        Self {
            runs: runs.map(run).collect(),
            mags: plan.mags.iter().map(summary).collect(),
            touched: plan.mags.iter().map(|mag| touched_extra(mag).collect()).collect(),
        }
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        self.runs.iter().map(|run| run.tasks).sum()
    }

    /// Bytes that all tasks have to get through.
    pub fn work_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Numbers of the tasks of each stage, in the order in which the stages must run.
    pub fn stages(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        let parts = self.runs.chunk_by(|a, b| a.stage == b.stage);
        let tasks = parts.map(|part| {
            let first = start;
            start += part.iter().map(|run| run.tasks).sum::<usize>();
            first..start
        });
        tasks.collect()
    }

    /// Tasks of each stage, and the bytes that they have to get through.
    pub fn stage_work(&self) -> Vec<(usize, u64)> {
        let sum = |part: &[TaskRun]| (part.iter().map(|run| run.tasks).sum(), part.iter().map(|run| run.bytes).sum());
        self.runs.chunk_by(|a, b| a.stage == b.stage).map(sum).collect()
    }

    /// The run that a task belongs to.
    pub(super) fn run_of(&self, task: usize) -> Option<&TaskRun> {
        let mut end = 0;
        self.runs.iter().find(|run| {
            end += run.tasks;
            task < end
        })
    }

    /// Refuses numbers of tasks that there are not.
    pub fn check_range(&self, tasks: &Range<usize>) -> Result<()> {
        let last = self.task_count();
        if tasks.start <= tasks.end && tasks.end <= last {
            return Ok(());
        }
        let (start, end) = (tasks.start, tasks.end);
        Err(VolumeError::Mismatch(format!("the plan has {last} tasks, there are none from {start} to {end}")))
    }

    /// Refuses an outline that a plan of such mags does not have, where `parts` of its files follow each other.
    pub(super) fn check(&self, mags: &[MagPlan], parts: &[Weighed]) -> Result<()> {
        let fault = |reason: &str| Err(VolumeError::corrupt("merge plan", reason.to_owned()));
        let add = |sum: usize, count: usize| sum.checked_add(count).filter(|&sum| sum <= MOST_TASKS);
        let tasks = self.runs.iter().try_fold(0, |sum, run| add(sum, run.tasks));
        let bytes = self.runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(run.bytes));
        if tasks.is_none() || bytes.is_none() {
            return fault("has more files than a merge can have");
        }
        let mut left = parts.iter();
        for run in &self.runs {
            let (mut tasks, mut bytes) = (run.tasks, run.bytes);
            while tasks > 0 {
                let part = left.next().filter(|part| part.tasks > 0);
                let rest = part.and_then(|part| Some((tasks.checked_sub(part.tasks)?, bytes.checked_sub(part.bytes)?)));
                let Some(rest) = rest else { return fault("its index does not add up") };
                (tasks, bytes) = rest;
            }
            if bytes > 0 || run.tasks == 0 || run.mag >= mags.len() {
                return fault("its index does not add up");
            }
        }
        let is_sorted = self.runs.is_sorted_by(|one, next| (one.stage, one.mag) < (next.stage, next.mag));
        let axes = |(mag, touched): (&MagPlan, &Vec<_>)| [0, mag.grid.extra_axes.len()].contains(&touched.len());
        let fits = self.mags.len() == mags.len() && self.touched.len() == mags.len();
        if left.next().is_some() || !is_sorted || !fits || !mags.iter().zip(&self.touched).all(axes) {
            return fault("its index does not add up");
        }
        Ok(())
    }

    /// Where touched chunks begin and end along the additional axes of the mags, by their names.
    pub(super) fn touched_extra<'n>(&self, names: impl Iterator<Item = &'n [String]>) -> BTreeMap<&'n str, (u64, u64)> {
        let mags = names.zip(&self.touched).flat_map(|(axes, touched)| axes.iter().map(String::as_str).zip(touched));
        mags.fold(BTreeMap::new(), |mut all, (axis, &(start, end))| {
            let known = all.entry(axis).or_insert((start, end));
            *known = (known.0.min(start), known.1.max(end));
            all
        })
    }
}

fn touched_extra(mag: &MagPlan) -> impl Iterator<Item = (u64, u64)> {
    (0..mag.grid.extra_axes.len()).filter_map(|axis| {
        let touched = mag.shards.iter().filter(|shard| shard.is_touched());
        let places = touched.map(|shard| u64::from(shard.at.extra[axis]));
        Some((places.clone().min()?, places.max()? + 1))
    })
}

fn summary(mag: &MagPlan) -> MagSummary {
    let copied = || mag.shards.iter().filter(|shard| mag.is_copied(shard));
    let bytes_of = |shard: &ShardPlan| shard.fallback_bytes;
    let fallback_bytes: u64 = mag.shards.iter().filter_map(bytes_of).sum();
    let bytes_copied: u64 = copied().filter_map(bytes_of).sum();
    let shards_untouched = copied().count();
    let chunks = |count: fn(&ShardPlan) -> u32| mag.shards.iter().map(|shard| u64::from(count(shard))).sum::<u64>();
    let (chunks_replaced, chunks_mixed) = (chunks(|shard| shard.chunks_replaced), chunks(|shard| shard.chunks_mixed));
    MagSummary {
        mag: mag.mag,
        source: source(mag).to_owned(),
        voxel_type: mag.grid.voxel_type,
        shards_untouched,
        shards_touched: mag.shards.len() - shards_untouched,
        annotation_chunks: annotation_chunks(mag),
        chunks_replaced,
        chunks_mixed,
        fallback_bytes,
        bytes_copied,
        bytes_rewritten: fallback_bytes - bytes_copied,
        voxel_bytes: (chunks_replaced + chunks_mixed) * mag.grid.chunk_bytes() as u64,
    }
}

fn is_own(layer: &LayerPlan) -> bool {
    matches!(layer.source, LayerSource::Annotation { .. })
}

/// `fallback`, `annotation`, `recomputed` or `mixed`.
fn source(mag: &MagPlan) -> &'static str {
    match (mag.layers.iter().any(is_own), mag.layers.iter().all(is_own)) {
        (_, true) if mag.layers.is_empty() => "fallback",
        (true, true) => "annotation",
        (true, false) => "mixed",
        (false, _) => "recomputed",
    }
}

/// Chunks of annotations that lie over a mag. One that meets several shards counts in the first of them alone.
fn annotation_chunks(mag: &MagPlan) -> usize {
    let edges: [u64; 3] =
        std::array::from_fn(|axis| u64::from(mag.grid.chunk_shape[axis]) * u64::from(mag.grid.chunks_per_shard[axis]));
    let layers: Vec<usize> = (0..mag.layers.len()).filter(|&layer| is_own(&mag.layers[layer])).collect();
    let count = |shard: &ShardPlan, layer: usize| {
        let shape = mag.layers[layer].block_shape;
        let begins_here = |block: &&[u32; 3]| {
            let first = |axis: usize| u64::from(block[axis]) * u64::from(shape[axis]) / edges[axis];
            (0..3).all(|axis| first(axis) == u64::from(shard.at.xyz[axis]))
        };
        shard.blocks[layer].iter().filter(begins_here).count()
    };
    let touched = mag.shards.iter().filter(|shard| shard.is_touched());
    touched.map(|shard| layers.iter().map(|&layer| count(shard, layer)).sum::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, simple_case};
    use super::*;

    fn mag() -> MagPlan {
        MergePlan::new(World::build(&simple_case()).input.clone()).unwrap().mags.remove(0)
    }

    /// A painted one, and one that is copied.
    fn shards(mag: &MagPlan) -> [ShardPlan; 2] {
        let painted = mag.shards.iter().find(|shard| shard.is_touched()).unwrap().clone();
        let bare = ShardPlan { blocks: Vec::new(), chunks_replaced: 0, chunks_mixed: 0, ..painted.clone() };
        [painted, bare]
    }

    #[test]
    fn touched_places_along_additional_axes_begin_with_the_first_and_end_behind_the_last() {
        let mut mag = mag();
        mag.grid.extra_axes = vec!["t".to_owned(), "s".to_owned()];
        let [painted, bare] = shards(&mag);
        let at = |shard: &ShardPlan, extra: [u32; 2]| {
            let mut shard = shard.clone();
            shard.at.extra = extra.into();
            shard
        };
        mag.shards = vec![at(&bare, [1, 2]), at(&painted, [3, 9]), at(&painted, [7, 4]), at(&bare, [8, 20])];
        assert_eq!(touched_extra(&mag).collect::<Vec<_>>(), [(3, 8), (4, 10)]);
        mag.shards.retain(|shard| !shard.is_touched());
        assert_eq!(touched_extra(&mag).count(), 0);
    }

    #[test]
    fn over_all_mags_touched_places_are_known_by_the_names_of_their_axes() {
        let touched = vec![vec![(3, 8), (4, 10)], Vec::new(), vec![(5, 6), (1, 7)]];
        let outline = Outline { touched, ..Outline::default() };
        let axes = ["t", "s"].map(str::to_owned);
        let other = ["s", "t"].map(str::to_owned);
        let all = outline.touched_extra([&axes[..], &axes, &other].into_iter());
        assert_eq!(all, BTreeMap::from([("t", (1, 8)), ("s", (4, 10))]));
        assert!(Outline::default().touched_extra([&axes[..]].into_iter()).is_empty());
    }

    #[test]
    fn the_summary_of_a_mag_adds_up_its_shards() {
        let mut mag = mag();
        let [painted, bare] = shards(&mag);
        let with = |shard: &ShardPlan, fallback_bytes, chunks_replaced, chunks_mixed| ShardPlan {
            fallback_bytes,
            chunks_replaced,
            chunks_mixed,
            ..shard.clone()
        };
        mag.shards = vec![
            with(&painted, Some(100), 3, 4),
            with(&painted, None, 10, 0),
            with(&bare, Some(1000), 0, 0),
            with(&bare, Some(7), 0, 0),
            with(&bare, Some(20), 0, 0),
        ];
        let all = summary(&mag);
        assert_eq!((all.shards_untouched, all.shards_touched), (3, 2));
        assert_eq!((all.chunks_replaced, all.chunks_mixed), (13, 4));
        assert_eq!((all.fallback_bytes, all.bytes_copied, all.bytes_rewritten), (1127, 1027, 100));
        // Chunks of 4³ voxels of 4 bytes.
        assert_eq!(all.voxel_bytes, 17 * 256);
        assert_eq!(all.source, "annotation");
    }
}
