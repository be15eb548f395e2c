//! What a merge did, in numbers.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::geometry::{BoundingBox, Mag};

/// Where the chunks of rewritten shards came from. Chunks of copied shards are not looked at and count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkCounts {
    /// The fallback's encoded bytes, never decoded.
    pub passed: u64,
    /// The fallback's, encoded anew because the result has a wider type or another encoding.
    pub transcoded: u64,
    /// The fallback's with other labels.
    #[serde(default)]
    pub relabeled: u64,
    /// Wholly the annotation's; of these [`from_annotation_passed`](Self::from_annotation_passed) as encoded bytes.
    pub from_annotation: u64,
    /// See [`from_annotation`](Self::from_annotation).
    pub from_annotation_passed: u64,
    /// Voxels of both sides.
    pub mixed: u64,
    /// Computed from the finer mag.
    pub recomputed: u64,
    /// Chunks of the result that the annotation left without a voxel: erased.
    pub all_zero: u64,
}

impl ChunkCounts {
    /// Whether there is no chunk.
    pub fn is_none(&self) -> bool {
        let Self { passed, transcoded, relabeled, from_annotation, mixed, recomputed, .. } = self;
        [passed, transcoded, relabeled, from_annotation, mixed, recomputed].into_iter().all(|&count| count == 0)
    }

    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.transcoded = self.transcoded.saturating_add(other.transcoded);
        self.relabeled = self.relabeled.saturating_add(other.relabeled);
        self.from_annotation = self.from_annotation.saturating_add(other.from_annotation);
        self.from_annotation_passed = self.from_annotation_passed.saturating_add(other.from_annotation_passed);
        self.mixed = self.mixed.saturating_add(other.mixed);
        self.recomputed = self.recomputed.saturating_add(other.recomputed);
        self.all_zero = self.all_zero.saturating_add(other.all_zero);
    }
}

/// Voxels that two annotations painted differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The lower annotation, by its place in [`MergeInput::annotations`](super::MergeInput::annotations).
    pub first: usize,
    /// The upper one.
    pub second: usize,
    /// Values that are a label in both, but not the same one.
    pub voxels: u64,
}

/// Adds `new` to the counts of each pair.
pub(super) fn add_conflicts(counts: &mut Vec<Conflict>, new: &[Conflict]) {
    for conflict in new {
        match counts.binary_search_by_key(&(conflict.first, conflict.second), |known| (known.first, known.second)) {
            Ok(place) => counts[place].voxels = counts[place].voxels.saturating_add(conflict.voxels),
            Err(place) => counts.insert(place, *conflict),
        }
    }
}

/// What became of one shard: a line of the notes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Number of the task.
    pub task: usize,
    /// Taken over as a file.
    pub copied: bool,
    /// As a hard link.
    #[serde(default)]
    pub linked: bool,
    /// Bytes of the finished file.
    pub file_bytes: u64,
    /// Encoded bytes read from both sides.
    pub bytes_read: u64,
    /// Bytes that it had to get through, by the plan.
    #[serde(default)]
    pub work: u64,
    /// Origin of its chunks.
    pub chunks: ChunkCounts,
    /// What changed against the fallback.
    pub tally: Tally,
    /// Where annotations differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// When it was worked at.
    #[serde(default)]
    pub span: Span,
}

/// When a task was worked at, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Since 1970 by the clock of the machine that did it.
    pub start: f64,
    /// How long it took.
    pub length: f64,
}

impl Span {
    /// From `start`, which is also `began` on the steady clock, to now.
    pub fn since(start: SystemTime, began: Instant) -> Self {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { start, length: began.elapsed().as_secs_f64() }
    }
}

impl ShardRecord {
    /// Adds those of one chunk.
    pub fn add_conflicts(&mut self, new: &[Conflict]) {
        add_conflicts(&mut self.conflicts, new);
    }
}

/// Segments that a report lists one by one.
pub const LISTED_SEGMENTS: usize = 100;

/// Totals of one mag, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Shards taken over as files.
    pub shards_copied: u64,
    /// Of these, hard links.
    pub shards_linked: u64,
    /// Shards written anew.
    pub shards_rewritten: u64,
    /// Origin of the chunks of rewritten shards.
    #[serde(flatten)]
    pub chunks: ChunkCounts,
    /// Values that differ from the fallback's.
    pub voxels_changed: u64,
    /// Of these, values that are zero now.
    pub voxels_erased: u64,
    /// Of these, values that were zero.
    pub voxels_painted: u64,
    /// Values of the fallback whose labels became others; the counts above compare with what they became.
    #[serde(default)]
    pub voxels_relabeled: u64,
    /// Segments that have more voxels than before.
    pub segments_gained: u64,
    /// Segments that have fewer.
    pub segments_lost: u64,
    /// Whether every changed segment was followed; else the two counts are lower bounds.
    pub segments_complete: bool,
    /// Segments that gained most, and the voxels they gained; at most [`LISTED_SEGMENTS`].
    pub largest_gains: Vec<(u64, i64)>,
    /// Segments that lost most, and the voxels they lost as a negative number.
    pub largest_losses: Vec<(u64, i64)>,
    /// Pairs of annotations that painted the same voxels with different labels; pairs that agree are left out.
    pub conflicts: Vec<Conflict>,
    /// Encoded bytes read.
    pub bytes_read: u64,
    /// Bytes of the files written.
    pub bytes_written: u64,
}

/// Totals of one mag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagReport {
    /// Magnification.
    pub mag: Mag,
    /// `fallback`, `annotation`, `recomputed` or `mixed`.
    pub source: String,
    /// The numbers.
    #[serde(flatten)]
    pub totals: Totals,
}

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeReport {
    /// Numbers by mag, finest first.
    pub mags: Vec<MagReport>,
    /// Numbers over all mags, except for voxels and segments, which are those of the finest mag: the same paint would
    /// count once per mag.
    pub total: Totals,
    /// Largest value in the annotation's chunks, 0 without any.
    pub largest_segment_id: u64,
    /// Extent of the result. Unit: mag-1 voxels.
    pub bounding_box: BoundingBox,
    /// Voxel type of the result, numpy's name.
    pub dtype: String,
    /// Mags of the annotation that the fallback lacks.
    pub ignored_mags: Vec<Mag>,
    /// Mags of the fallback that the result does not have.
    pub left_out_mags: Vec<Mag>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Seconds by phase; all but those of the run are of the process that committed.
    pub seconds: Seconds,
}

/// Seconds by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Looking at both sides.
    pub plan: f64,
    /// Copying and merging, by the clock, whoever did it: the time in which at least one worker was at it.
    pub run: f64,
    /// The same, of all workers added up.
    #[serde(default)]
    pub work: f64,
    /// Reading the result back.
    #[serde(default)]
    pub verify: f64,
    /// Making the result durable and final.
    pub commit: f64,
}
