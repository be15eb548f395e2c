//! One shard of the result: which chunk travels as bytes, which is computed, and in what order they are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::chunk::{Policy, overlay};
use super::cover::{Covered, cover};
use super::dtype::widen;
use super::plan::{MagPlan, ShardPlan};
use super::recompute;
use super::report::{ChunkCounts, ShardRecord};
use super::tally::Tally;
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, ShardFile, ShardIndexTable, ShardWriter};
use crate::geometry::ChunkIndex;

/// Bytes of chunks that are copied before anyone asks again whether to stop.
const LONGEST_RUN: u64 = 32 << 20;

/// The arrays that one mag of the result is made from and of.
#[derive(Clone, Debug)]
pub struct MagArrays {
    /// Beneath.
    pub fallback: Arc<dyn MagArray>,
    /// On top.
    pub over: Over,
    /// The result.
    pub output: Arc<dyn MagArray>,
    /// Directory that the result's keys are relative to.
    pub root: PathBuf,
}

/// What lies over the fallback.
#[derive(Clone, Debug)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The annotation's mag.
    Annotation(Arc<dyn MagArray>),
    /// A finer mag of the result, of which `factor` voxels make one.
    Finer {
        /// The finer mag.
        array: Arc<dyn MagArray>,
        /// Its voxels in one of this mag, along x, y, z.
        factor: [u32; 3],
    },
}

/// How a shard shares the machine.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    /// Threads that compute chunks.
    pub pool: &'a rayon::ThreadPool,
    /// Chunks of this shard that may be in memory at once.
    pub window: usize,
    /// Set when the work is to end.
    pub stop: &'a AtomicBool,
}

impl Crew<'_> {
    /// `Err` once the work is to end.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(VolumeError::Interrupted) } else { Ok(()) }
    }
}

/// One shard about to be written.
#[derive(Debug)]
pub struct ShardJob<'a> {
    policy: Policy,
    mag: &'a MagPlan,
    shard: &'a ShardPlan,
    arrays: &'a MagArrays,
    /// Index of the fallback's shard.
    table: Option<ShardIndexTable>,
    /// Whether the fallback's encoded chunks can stand in the result.
    passes: bool,
    covered: BTreeMap<u32, Covered>,
}

/// A chunk ready to be written.
#[derive(Debug, Default)]
struct Merged {
    encoded: Vec<u8>,
    counts: ChunkCounts,
    tally: Tally,
    bytes_read: u64,
}

impl<'a> ShardJob<'a> {
    /// Reads the index of the fallback's shard.
    pub fn open(policy: Policy, mag: &'a MagPlan, shard: &'a ShardPlan, arrays: &'a MagArrays) -> Result<Self> {
        let table = arrays.fallback.open_shard(&shard.at)?;
        let same_type = mag.fallback_type == mag.grid.voxel_type;
        let same_encoding = |table: &ShardIndexTable| table.codec.encoding() == arrays.output.codec().encoding();
        Ok(Self {
            passes: same_type && table.as_ref().is_some_and(same_encoding),
            covered: cover(&mag.grid, &shard.at, mag.block_shape, &shard.blocks),
            policy,
            mag,
            shard,
            arrays,
            table,
        })
    }

    /// Writes the shard into `file`, computing chunks ahead of the writer.
    pub fn write(&self, file: &mut dyn ShardFile, crew: Crew) -> Result<ShardRecord> {
        let mut record = ShardRecord::default();
        let mut source = match &self.table {
            Some(table) => self.arrays.fallback.store().open_file(&table.key)?,
            None => None,
        };
        let mut writer = self.arrays.output.shard_writer(file)?;
        if let Some(table) = &self.table {
            // As in the fallback's file, so that its chunks come in long runs; absent ones last.
            let mut places: Vec<u32> = (0..table.spans.len() as u32).collect();
            places.sort_by_key(|&place| table.spans[place as usize].as_ref().map_or(u64::MAX, |span| span.start));
            writer.prefer_order(places)?;
        }
        let order = writer.order().to_vec();
        let windows = self.windows(&order, crew.window);
        let mut ready = match windows.first() {
            Some(first) => crew.pool.install(|| self.compute_all(first, crew))?,
            None => Vec::new(),
        };
        for (number, places) in windows.iter().enumerate() {
            crew.check()?;
            let (now, mut next) = (std::mem::take(&mut ready), Ok(Vec::new()));
            let written = crew.pool.in_place_scope(|scope| {
                if let Some(places) = windows.get(number + 1) {
                    scope.spawn(|_| next = self.compute_all(places, crew));
                }
                self.write_window(places, now, writer.as_mut(), source.as_mut(), &mut record, crew)
            });
            written?;
            ready = next?;
        }
        writer.finish()?;
        Ok(record)
    }

    /// Cuts the write order so that each part has at most `window` chunks to compute.
    fn windows<'o>(&self, order: &'o [u32], window: usize) -> Vec<&'o [u32]> {
        let (mut windows, mut start, mut computed) = (Vec::new(), 0, 0);
        for (end, &place) in order.iter().enumerate() {
            if self.is_computed(place) {
                if computed == window {
                    windows.push(&order[start..end]);
                    (start, computed) = (end, 0);
                }
                computed += 1;
            }
        }
        windows.push(&order[start..]);
        windows
    }

    fn is_computed(&self, place: u32) -> bool {
        self.covered.contains_key(&place) || (!self.passes && self.span(place).is_some())
    }

    /// Where the fallback's chunk lies in its file.
    fn span(&self, place: u32) -> Option<Range<u64>> {
        self.table.as_ref().and_then(|table| table.spans[place as usize].clone())
    }

    fn compute_all(&self, places: &[u32], crew: Crew) -> Result<Vec<Merged>> {
        let computed: Vec<u32> = places.iter().copied().filter(|&place| self.is_computed(place)).collect();
        computed
            .into_par_iter()
            .with_max_len(1)
            .map(|place| {
                crew.check()?;
                self.compute(place)
            })
            .collect()
    }

    fn write_window(
        &self,
        places: &[u32],
        merged: Vec<Merged>,
        writer: &mut dyn ShardWriter,
        mut source: Option<&mut File>,
        record: &mut ShardRecord,
        crew: Crew,
    ) -> Result<()> {
        let mut merged = merged.into_iter();
        let mut run = Vec::<Range<u64>>::new();
        for &place in places {
            let span = if self.is_computed(place) { None } else { self.span(place) };
            if let Some(span) = span {
                let follows = run.last().is_some_and(|last| last.end == span.start);
                if !follows || span.end - run[0].start > LONGEST_RUN {
                    self.write_run(&mut run, writer, source.as_deref_mut(), record)?;
                    crew.check()?;
                }
                run.push(span);
                continue;
            }
            self.write_run(&mut run, writer, source.as_deref_mut(), record)?;
            if self.is_computed(place) {
                let chunk = merged.next().expect("one for every computed place");
                record.bytes_read += chunk.bytes_read;
                record.chunks.add(&chunk.counts);
                record.tally.add(&chunk.tally);
                writer.append(Some(&chunk.encoded))?;
            } else {
                writer.append(None)?;
            }
        }
        self.write_run(&mut run, writer, source, record)
    }

    /// Writes encoded chunks of the fallback that lie back to back, without looking at them.
    fn write_run(
        &self,
        run: &mut Vec<Range<u64>>,
        writer: &mut dyn ShardWriter,
        source: Option<&mut File>,
        record: &mut ShardRecord,
    ) -> Result<()> {
        let Some(table) = self.table.as_ref().filter(|_| !run.is_empty()) else { return Ok(()) };
        record.chunks.passed += run.len() as u64;
        record.bytes_read += run[run.len() - 1].end - run[0].start;
        if let Some(source) = source {
            writer.append_run(source, run)?;
        } else {
            for span in run.iter() {
                writer.append(Some(&self.arrays.fallback.store().read_range(&table.key, span.clone())?))?;
            }
        }
        run.clear();
        Ok(())
    }

    fn compute(&self, place: u32) -> Result<Merged> {
        let chunk = self.mag.grid.chunk_at(&self.shard.at, place as usize);
        let mut merged = Merged::default();
        let fallback = match (&self.table, self.span(place)) {
            (Some(table), Some(span)) => Some(self.arrays.fallback.store().read_range(&table.key, span)?),
            _ => None,
        };
        merged.bytes_read += fallback.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let mut voxels = self.fallback_voxels(fallback.as_deref(), &chunk)?;
        let own_bytes = match (self.covered.get(&place), &self.arrays.over) {
            (Some(covered), Over::Annotation(annotation)) => {
                self.lay_annotation(annotation, covered, &chunk, &mut voxels, fallback.is_some(), &mut merged)?
            }
            (Some(covered), Over::Finer { array, factor }) => {
                let size = self.mag.grid.chunk_shape;
                let new = recompute::chunk(array.as_ref(), *factor, covered, &chunk, size, &voxels)?;
                self.lay_recomputed(&new, &mut voxels, &mut merged);
                None
            }
            _ => {
                merged.counts.transcoded += 1;
                None
            }
        };
        let unchanged = self.passes && merged.tally.voxels_changed == 0;
        merged.encoded = match (own_bytes, fallback) {
            (Some(bytes), _) => bytes,
            (None, Some(bytes)) if unchanged => bytes,
            _ => self.arrays.output.codec().encode(&voxels).map_err(|reason| self.corrupt(&chunk, reason))?,
        };
        Ok(merged)
    }

    /// The fallback's chunk in the result's type, zeros where there is none.
    fn fallback_voxels(&self, encoded: Option<&[u8]>, chunk: &ChunkIndex) -> Result<Vec<u8>> {
        let (Some(encoded), Some(table)) = (encoded, &self.table) else {
            return Ok(vec![0; self.mag.grid.chunk_bytes()]);
        };
        let mut voxels = vec![0; self.arrays.fallback.grid().chunk_bytes()];
        table.codec.decode(encoded, &mut voxels).map_err(|reason| self.corrupt(chunk, reason))?;
        let (from, to) = (self.mag.fallback_type, self.mag.grid.voxel_type);
        Ok(if from == to { voxels } else { widen(from, to, &voxels) })
    }

    /// Lays the annotation's blocks over `voxels`. Returns encoded bytes of the annotation that can stand in the
    /// result as they are.
    fn lay_annotation(
        &self,
        annotation: &Arc<dyn MagArray>,
        covered: &Covered,
        chunk: &ChunkIndex,
        voxels: &mut [u8],
        over_something: bool,
        merged: &mut Merged,
    ) -> Result<Option<Vec<u8>>> {
        let (from, to) = (annotation.grid().voxel_type, self.mag.grid.voxel_type);
        let channels = self.mag.grid.channels as usize;
        let mut last = None;
        for (block, overlap) in &covered.parts {
            let index = ChunkIndex { extra: chunk.extra.clone(), xyz: self.shard.blocks[*block] };
            let encoded = annotation.read_encoded(&index)?.ok_or_else(|| VolumeError::Missing {
                what: format!("chunk {index} of the annotation's mag {}", self.mag.mag),
                hint: "the annotation has changed since the merge was planned".to_owned(),
            })?;
            let mut block = vec![0; annotation.grid().chunk_bytes()];
            encoded.codec.decode(&encoded.bytes, &mut block).map_err(|reason| {
                VolumeError::corrupt(annotation.store().describe(&encoded.key), reason).at_chunk(&index)
            })?;
            let block = if from == to { block } else { widen(from, to, &block) };
            overlay(to, channels, self.policy, overlap, &block, voxels, &mut merged.tally);
            merged.bytes_read += encoded.bytes.len() as u64;
            last = Some(encoded);
        }
        let replaced = covered.is_full() && (self.policy == Policy::Chunk || !over_something);
        *(if replaced { &mut merged.counts.from_annotation } else { &mut merged.counts.mixed }) += 1;
        merged.counts.all_zero += u64::from(replaced && voxels.iter().all(|&byte| byte == 0));
        let own = last.filter(|encoded| {
            let encodings = encoded.codec.encoding() == self.arrays.output.codec().encoding();
            replaced && covered.same_block().is_some() && from == to && encodings
        });
        merged.counts.from_annotation_passed += u64::from(own.is_some());
        Ok(own.map(|encoded| encoded.bytes))
    }

    fn lay_recomputed(&self, new: &[u8], voxels: &mut [u8], merged: &mut Merged) {
        let shape = self.mag.grid.chunk_shape.map(|edge| edge as usize);
        let whole = super::chunk::Overlap {
            source_shape: shape,
            source_at: [0; 3],
            target_shape: shape,
            target_at: [0; 3],
            size: shape,
        };
        let channels = self.mag.grid.channels as usize;
        overlay(self.mag.grid.voxel_type, channels, Policy::Chunk, &whole, new, voxels, &mut merged.tally);
        merged.counts.recomputed += 1;
    }

    fn corrupt(&self, chunk: &ChunkIndex, reason: String) -> VolumeError {
        let key = self.arrays.fallback.shard_key(&self.shard.at);
        VolumeError::corrupt(self.arrays.fallback.store().describe(&key), reason).at_chunk(chunk)
    }
}
