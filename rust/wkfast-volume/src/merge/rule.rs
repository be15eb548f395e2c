//! Rules of callers: which label a voxel gets, asked about runs of voxels that are alike.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chunk::{Moves, Overlap, Voxel, run_length};
use super::tally::Tally;
use crate::error::{Result, VolumeError};
use crate::geometry::ChunkIndex;
use crate::label::with_width;
use crate::voxels::VoxelType;

/// What a plan knows of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleId {
    /// What messages call it.
    pub name: String,
    /// Tells rules apart that decide differently.
    pub digest: String,
    /// Whether it is asked about all annotations at once, instead of about each over what those below have left.
    pub for_all: bool,
}

/// Runs of voxels to be asked about: each has a label of the fallback, and one of every annotation that shows one.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// How many annotations a run has a place for.
    pub layers: usize,
    /// Labels by run and annotation.
    pub painted: Vec<u8>,
    /// 1 where the annotation shows one, by run and annotation.
    pub present: Vec<u8>,
    /// Labels of the fallback by run.
    pub fallback: Vec<u8>,
    /// First byte of each run in the chunk, and its voxels.
    spans: Vec<(usize, usize)>,
}

type Ask = dyn Fn(&ChunkIndex, VoxelType, &Runs, &mut [u8]) -> Result<(), String> + Send + Sync;

/// Finds the label of every run, or says why it cannot.
#[derive(Clone)]
pub struct LabelRule(Arc<Ask>);

impl fmt::Debug for LabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelRule")
    }
}

impl LabelRule {
    /// The rule that `ask` is: it fills the last of its arguments with labels.
    pub fn new(
        ask: impl Fn(&ChunkIndex, VoxelType, &Runs, &mut [u8]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    /// The labels of `runs`.
    pub(super) fn ask(&self, chunk: &ChunkIndex, voxel_type: VoxelType, runs: &Runs) -> Result<Vec<u8>> {
        let mut out = vec![0; runs.fallback.len()];
        let failed = |reason| VolumeError::Rule { chunk: chunk.clone(), reason };
        if !out.is_empty() {
            (self.0)(chunk, voxel_type, runs, &mut out).map_err(failed)?;
        }
        Ok(out)
    }
}

impl Runs {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.spans.len()
    }

    /// One of them alone.
    #[must_use]
    pub fn only(&self, run: usize, width: usize) -> Self {
        let cut = |values: &[u8], length: usize| values[run * length..][..length].to_vec();
        Self {
            layers: self.layers,
            painted: cut(&self.painted, self.layers * width),
            present: cut(&self.present, self.layers),
            fallback: cut(&self.fallback, width),
            spans: vec![self.spans[run]],
        }
    }

    /// A single voxel.
    pub(super) fn of_voxel(shown: &[Option<&[u8]>], below: &[u8]) -> Self {
        let absent = vec![0; below.len()];
        Self {
            layers: shown.len(),
            painted: shown.iter().flat_map(|label| label.unwrap_or(&absent)).copied().collect(),
            present: shown.iter().map(|label| u8::from(label.is_some())).collect(),
            fallback: below.to_vec(),
            spans: vec![(0, 1)],
        }
    }

    /// The voxels that a block shows of a chunk.
    pub(super) fn of_block(voxel_type: VoxelType, overlap: &Overlap, block: &[u8], chunk: &[u8]) -> Self {
        let mut runs = Self { layers: 1, ..Self::default() };
        for (source, target, length) in overlap.rows(voxel_type.size()) {
            let (painted, below) = (&block[source..source + length], &chunk[target..target + length]);
            with_width!(voxel_type, W => runs.add_row::<W>(target, painted, below));
        }
        runs.present = vec![1; runs.spans.len()];
        runs
    }

    fn add_row<const W: usize>(&mut self, first: usize, painted: &[u8], below: &[u8]) {
        let ((painted, _), (below, _)) = (painted.as_chunks::<W>(), below.as_chunks::<W>());
        let mut start = 0;
        while start < painted.len() {
            let length = run_length(&painted[start..], &below[start..]);
            self.painted.extend_from_slice(&painted[start]);
            self.fallback.extend_from_slice(&below[start]);
            self.spans.push((first + start * W, length));
            start += length;
        }
    }

    /// The voxels of a chunk of which any annotation shows something.
    pub(super) fn of_chunk(voxel_type: VoxelType, shown: &[Shown], chunk: &[u8]) -> Self {
        let mut runs = Self { layers: shown.len(), ..Self::default() };
        let width = voxel_type.size();
        let mut last = None;
        for (number, below) in chunk.chunks_exact(width).enumerate() {
            let labels = |number: usize| shown.iter().map(move |one| &one.labels[number * width..][..width]);
            let there = |number: usize| shown.iter().map(move |one| one.present[number]);
            if there(number).all(|there| there == 0) {
                last = None;
                continue;
            }
            let is_alike = |&before: &usize| {
                chunk[before * width..][..width] == *below
                    && labels(before).eq(labels(number))
                    && there(before).eq(there(number))
            };
            if last.as_ref().is_some_and(is_alike) {
                runs.spans.last_mut().expect("the run of the voxel before").1 += 1;
            } else {
                runs.painted.extend(labels(number).flatten());
                runs.present.extend(there(number));
                runs.fallback.extend_from_slice(below);
                runs.spans.push((number * width, 1));
            }
            last = Some(number);
        }
        runs
    }

    /// Writes the labels of the runs into the chunk they were taken from, and counts what changes.
    pub(super) fn put(&self, voxel_type: VoxelType, labels: &[u8], chunk: &mut [u8], tally: &mut Tally) {
        with_voxel_type!(voxel_type, T => self.put_values::<T, { size_of::<T>() }>(labels, chunk, tally));
    }

    fn put_values<T: Voxel<W>, const W: usize>(&self, labels: &[u8], chunk: &mut [u8], tally: &mut Tally) {
        let seen = self.painted.as_chunks::<W>().0.iter().chain(labels.as_chunks::<W>().0);
        let largest = seen.fold(T::default(), |largest, &value| largest.larger(T::read(value)));
        tally.largest_segment_id = tally.largest_segment_id.max(largest.label());
        let mut moves = Moves::new(tally);
        let pairs = self.fallback.as_chunks::<W>().0.iter().zip(labels.as_chunks::<W>().0);
        for ((&old, &new), &(start, voxels)) in pairs.zip(&self.spans) {
            if old != new {
                moves.count(T::read(old), T::read(new), voxels as u64);
                chunk[start..start + voxels * W].as_chunks_mut::<W>().0.fill(new);
            }
        }
        moves.flush();
    }
}

/// What one annotation shows of a chunk.
#[derive(Debug)]
pub(super) struct Shown {
    labels: Vec<u8>,
    /// 1 where it has a chunk, by voxel.
    present: Vec<u8>,
}

impl Shown {
    pub(super) fn nothing(chunk_bytes: usize, voxel_bytes: usize) -> Self {
        Self { labels: vec![0; chunk_bytes], present: vec![0; chunk_bytes / voxel_bytes] }
    }

    pub(super) fn add(&mut self, voxel_bytes: usize, overlap: &Overlap, block: &[u8]) {
        for (source, target, length) in overlap.rows(voxel_bytes) {
            self.labels[target..target + length].copy_from_slice(&block[source..source + length]);
            self.present[target / voxel_bytes..(target + length) / voxel_bytes].fill(1);
        }
    }
}
