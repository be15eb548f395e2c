//! One shard of the result: which chunk travels as bytes, which is computed, and in what order they are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::compose::{Beneath, Composed, Composer, Laid, Over};
use super::cover::{Covered, cover_layers};
use super::plan::{LayerPlan, MagPlan, ShardPlan};
use super::report::{ChunkCounts, Conflict, ShardRecord};
use super::tally::Tally;
use super::terms::Terms;
use crate::error::Result;
use crate::format::{EncodedChunk, MagArray, OpenShard, ShardFile, ShardWriter};
use crate::geometry::ChunkIndex;
use crate::work::{Ahead, ReadMag, Stop};

/// Bytes of chunks that are copied before anyone asks again whether to stop.
const LONGEST_RUN: u64 = 32 << 20;

/// Bytes of the voxels that are computed of what is read together of a far fallback.
const FAR_VOXELS: usize = 32 << 20;

/// The arrays that one mag of the result is made from and of.
#[derive(Clone, Debug)]
pub(super) struct MagArrays {
    /// Beneath.
    pub fallback: Arc<dyn MagArray>,
    /// On top, by place in [`MagPlan::layers`].
    pub over: Vec<Over>,
    /// The result.
    pub output: Arc<dyn MagArray>,
}

/// How a shard shares the machine. Its chunks are computed by the pool whose thread writes it.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Chunks of this shard that may be in memory at once.
    pub window: usize,
    /// Encoded bytes of a far fallback that this shard may read together: so many that few requests are waited for one after
    /// the other.
    pub far_bytes: u64,
    /// Set when the work is to end.
    pub stop: &'a Stop,
}

/// One shard about to be written.
#[derive(Debug)]
pub(super) struct ShardMerge<'a> {
    terms: &'a Terms,
    mag: &'a MagPlan,
    shard: &'a ShardPlan,
    arrays: &'a MagArrays,
    /// The fallback's shard, and what is known of it.
    open: Option<OpenShard>,
    fallback: ReadMag,
    /// Whether the fallback's encoded chunks can stand in the result.
    passes: bool,
    /// By place, the layers that cover anything of the chunk.
    covered: BTreeMap<u32, Vec<(usize, Covered)>>,
}

/// A window whose chunks are computed.
#[derive(Debug, Default)]
struct Ready {
    merged: Vec<Merged>,
    ahead: AllAhead,
}

/// What was read ahead for the chunks of a window.
#[derive(Debug, Default)]
struct AllAhead {
    /// Those that are computed; of a far fallback all.
    fallback: Ahead,
    /// By layer.
    over: Vec<Ahead>,
}

/// A chunk ready to be written.
#[derive(Debug, Default)]
struct Merged {
    /// `None` for one that need not be there.
    encoded: Option<Vec<u8>>,
    counts: ChunkCounts,
    tally: Tally,
    conflicts: Vec<Conflict>,
    bytes_read: u64,
}

impl<'a> ShardMerge<'a> {
    /// Reads the index of the fallback's shard.
    pub(super) fn open(
        terms: &'a Terms,
        mag: &'a MagPlan,
        shard: &'a ShardPlan,
        arrays: &'a MagArrays,
    ) -> Result<Self> {
        let fallback = ReadMag::new(arrays.fallback.clone());
        let open = fallback.indexes.open(arrays.fallback.as_ref(), &shard.at)?;
        let layers: Vec<&LayerPlan> = mag.layers.iter().collect();
        let same_type = mag.fallback_type == mag.grid.voxel_type;
        let same_encoding = |open: &OpenShard| open.table.codec.encoding() == arrays.output.codec().encoding();
        Ok(Self {
            passes: same_type && open.as_ref().is_some_and(same_encoding),
            covered: cover_layers(&mag.grid, &shard.at, &layers, &shard.blocks),
            terms,
            mag,
            shard,
            arrays,
            open,
            fallback,
        })
    }

    /// Writes the shard into `file`, computing chunks ahead of the writer.
    pub(super) fn write(&self, file: &mut dyn ShardFile, room: Room) -> Result<ShardRecord> {
        let mut record = ShardRecord::default();
        let mut source = self.open.as_ref().map(OpenShard::file).transpose()?.flatten();
        let mut writer = self.arrays.output.shard_writer(file)?;
        if let Some(places) = self.places_as_in_the_file() {
            writer.prefer_order(places)?;
        }
        let order = writer.order().to_vec();
        let windows = self.windows(&order, room);
        let mut ready = match windows.first() {
            Some(first) => self.compute_all(first, room)?,
            None => Ready::default(),
        };
        for (number, places) in windows.iter().enumerate() {
            room.stop.check()?;
            let (now, mut next) = (std::mem::take(&mut ready), Ok(Ready::default()));
            let written = rayon::in_place_scope(|scope| {
                if let Some(places) = windows.get(number + 1) {
                    scope.spawn(|_| next = self.compute_all(places, room));
                }
                self.write_window(places, now, writer.as_mut(), source.as_mut(), &mut record, room)
            });
            written?;
            ready = next?;
        }
        if self.mag.grid.chunks_in_shard() == 1 && self.mag.recodes && record.chunks.is_none() {
            // A file is a chunk, and there is none.
            return Ok(record);
        }
        writer.finish()?;
        Ok(record)
    }

    /// Places as in the fallback's file, so that its chunks come in long runs; absent ones last.
    fn places_as_in_the_file(&self) -> Option<Vec<u32>> {
        let spans = &self.open.as_ref()?.table.spans;
        let mut places: Vec<u32> = (0..spans.len() as u32).collect();
        places.sort_by_key(|&place| spans[place as usize].as_ref().map_or(u64::MAX, |span| span.start));
        Some(places)
    }

    fn is_far(&self) -> bool {
        self.arrays.fallback.store().is_far()
    }

    /// Cuts the write order so that each part has at most `window` chunks to compute. Of a far fallback there may be more, and
    /// not too many bytes.
    fn windows<'o>(&self, order: &'o [u32], room: Room) -> Vec<&'o [u32]> {
        let is_far = self.is_far();
        let far = room.window.max(FAR_VOXELS / self.mag.grid.chunk_bytes().max(1));
        let (window, most) = if is_far { (far, room.far_bytes) } else { (room.window, u64::MAX) };
        let (mut windows, mut start, mut computed, mut bytes) = (Vec::new(), 0, 0, 0_u64);
        for (end, &place) in order.iter().enumerate() {
            let length = self.span(place).map_or(0, |span| span.end - span.start);
            let is_computed = self.is_computed(place);
            if (is_computed && computed == window) || (end > start && bytes.saturating_add(length) > most) {
                windows.push(&order[start..end]);
                (start, computed, bytes) = (end, 0, 0);
            }
            computed += usize::from(is_computed);
            bytes = bytes.saturating_add(length);
        }
        windows.push(&order[start..]);
        windows
    }

    fn is_computed(&self, place: u32) -> bool {
        self.covered.contains_key(&place) || ((!self.passes || self.mag.relabels) && self.span(place).is_some())
    }

    /// Where the fallback's chunk lies in its file.
    fn span(&self, place: u32) -> Option<Range<u64>> {
        self.open.as_ref().and_then(|open| open.table.spans[place as usize].clone())
    }

    fn compute_all(&self, places: &[u32], room: Room) -> Result<Ready> {
        let computed: Vec<u32> = places.iter().copied().filter(|&place| self.is_computed(place)).collect();
        let ahead = self.read_ahead(places, &computed)?;
        let merged: Result<Vec<Merged>> = computed
            .into_par_iter()
            .with_max_len(1)
            .map(|place| {
                room.stop.check()?;
                self.compute(place, &ahead)
            })
            .collect();
        Ok(Ready { merged: merged?, ahead })
    }

    /// Reads what the chunks at `places`, some of `all` in the window, are computed of.
    fn read_ahead(&self, all: &[u32], places: &[u32]) -> Result<AllAhead> {
        let of_fallback = if self.is_far() { all } else { places };
        let wanted = of_fallback.iter().filter(|&&place| self.span(place).is_some());
        let chunks = wanted.map(|&place| self.chunk(place));
        let covered = |layer: usize| {
            let laid = places.iter().filter_map(|place| self.covered.get(place)).flatten();
            let parts = laid.filter(move |laid| laid.0 == layer).flat_map(|laid| &laid.1.parts);
            parts.map(move |(number, _)| self.shard.blocks[layer][*number])
        };
        let over = self.arrays.over.iter().enumerate();
        Ok(AllAhead {
            fallback: self.fallback.ahead(chunks)?,
            over: over.map(|(layer, over)| over.ahead(&self.shard.at.extra, covered(layer))).collect::<Result<_>>()?,
        })
    }

    fn chunk(&self, place: u32) -> ChunkIndex {
        self.mag.grid.chunk_at(&self.shard.at, place as usize)
    }

    fn write_window(
        &self,
        places: &[u32],
        ready: Ready,
        writer: &mut dyn ShardWriter,
        mut source: Option<&mut File>,
        record: &mut ShardRecord,
        room: Room,
    ) -> Result<()> {
        let Ready { merged, ahead } = ready;
        let mut merged = merged.into_iter();
        let mut run = Vec::<Range<u64>>::new();
        for &place in places {
            let span = if self.is_computed(place) { None } else { self.span(place) };
            if let Some(Some(found)) = span.as_ref().and_then(|_| ahead.fallback.find(&self.chunk(place))) {
                record.chunks.passed += 1;
                record.bytes_read += found.bytes.len() as u64;
                writer.append(Some(&found.bytes))?;
                continue;
            }
            if let Some(span) = span {
                let follows = run.last().is_some_and(|last| last.end == span.start);
                if !follows || span.end - run[0].start > LONGEST_RUN {
                    self.write_run(&mut run, writer, source.as_deref_mut(), record)?;
                    room.stop.check()?;
                }
                run.push(span);
                continue;
            }
            self.write_run(&mut run, writer, source.as_deref_mut(), record)?;
            if self.is_computed(place) {
                let chunk = merged.next().expect("one for every computed place");
                self.write_merged(&chunk, writer, record)?;
            } else {
                writer.append(None)?;
            }
        }
        self.write_run(&mut run, writer, source, record)
    }

    fn write_merged(&self, chunk: &Merged, writer: &mut dyn ShardWriter, record: &mut ShardRecord) -> Result<()> {
        record.bytes_read += chunk.bytes_read;
        record.chunks.add(&chunk.counts);
        record.tally.add(&chunk.tally);
        record.add_conflicts(&chunk.conflicts);
        if chunk.encoded.is_some() || self.mag.grid.chunks_in_shard() > 1 {
            writer.append(chunk.encoded.as_deref())?;
        }
        Ok(())
    }

    /// Writes encoded chunks of the fallback that lie back to back, without looking at them.
    fn write_run(
        &self,
        run: &mut Vec<Range<u64>>,
        writer: &mut dyn ShardWriter,
        source: Option<&mut File>,
        record: &mut ShardRecord,
    ) -> Result<()> {
        let Some(open) = self.open.as_ref().filter(|_| !run.is_empty()) else { return Ok(()) };
        let (start, end) = (run[0].start, run[run.len() - 1].end);
        record.chunks.passed += run.len() as u64;
        record.bytes_read += end - start;
        if let Some(source) = source {
            writer.append_run(source, run)?;
        } else {
            let mut bytes = vec![0; (end - start) as usize];
            open.read_into(self.arrays.fallback.as_ref(), start, &mut bytes)?;
            for span in run.iter() {
                writer.append(Some(&bytes[(span.start - start) as usize..(span.end - start) as usize]))?;
            }
        }
        run.clear();
        Ok(())
    }

    /// The fallback's encoded chunk.
    fn beneath(&self, place: u32, chunk: &ChunkIndex, ahead: &Ahead) -> Result<Option<EncodedChunk>> {
        match (ahead.find(chunk), &self.open) {
            (Some(found), _) => Ok(found.clone()),
            (None, Some(open)) => open.encoded(self.arrays.fallback.as_ref(), place as usize),
            (None, None) => Ok(None),
        }
    }

    fn compute(&self, place: u32, ahead: &AllAhead) -> Result<Merged> {
        let chunk = self.chunk(place);
        let fallback = self.beneath(place, &chunk, &ahead.fallback)?;
        let beneath = fallback.as_ref().map(|found| Beneath { codec: found.codec.as_ref(), bytes: &found.bytes });
        let maker = Composer {
            terms: self.terms,
            mag: self.mag,
            fallback: self.arrays.fallback.as_ref(),
            over: &self.arrays.over,
            ahead: &ahead.over,
        };
        let covered = self.covered.get(&place).map(Vec::as_slice).unwrap_or_default();
        let layers: Vec<Laid> = covered
            .iter()
            .map(|(layer, covered)| Laid { layer: *layer, covered, blocks: &self.shard.blocks[*layer] })
            .collect();
        let composed = maker.compose(&chunk, beneath, &layers)?;
        let fallback = fallback.map(|found| found.bytes);
        if self.mag.recodes && layers.is_empty() && composed.voxels.iter().all(|&byte| byte == 0) {
            // Of what a server streams nobody knows whether it was stored.
            let bytes_read = fallback.map_or(0, |bytes| bytes.len() as u64);
            return Ok(Merged { bytes_read, ..Merged::default() });
        }
        self.encode(composed, fallback, layers.is_empty()).map_err(|reason| maker.corrupt(&chunk, reason))
    }

    /// The chunk as it is written: as an annotation or the fallback has it encoded, where that is the same.
    fn encode(
        &self,
        mut composed: Composed,
        fallback: Option<Vec<u8>>,
        is_bare: bool,
    ) -> std::result::Result<Merged, String> {
        let bytes_read = composed.bytes_read + fallback.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let codec = self.arrays.output.codec();
        let same = composed.same.take().filter(|same| same.codec.encoding() == codec.encoding());
        composed.counts.from_annotation_passed = u64::from(same.is_some());
        let unchanged = self.passes && composed.tally.voxels_changed == 0 && composed.tally.voxels_relabeled == 0;
        if unchanged && is_bare {
            composed.counts = ChunkCounts { passed: 1, ..ChunkCounts::default() };
        }
        let encoded = match (same, fallback) {
            (Some(same), _) => same.bytes,
            (None, Some(bytes)) if unchanged => bytes,
            _ => codec.encode(&composed.voxels)?,
        };
        let (counts, tally, conflicts) = (composed.counts, composed.tally, composed.conflicts);
        Ok(Merged { encoded: Some(encoded), counts, tally, conflicts, bytes_read })
    }
}
