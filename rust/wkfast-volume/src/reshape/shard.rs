//! One shard of the target: its chunks computed ahead by all threads, written in order by one.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::change::ChunkSpace;
use super::tile::{Span3, Tile, tile_shape};
use super::{ReshapeJob, Step};
use crate::error::{Result, VolumeError};
use crate::format::draft::Draft;
use crate::format::{ShardFile, ShardWriter, decode};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::work::{Ahead, Stop};

thread_local! {
    static SPACE: Cell<ChunkSpace> = const { Cell::new(ChunkSpace::NONE) };
}

/// Units of a window, those without data among them: each is kept until it is written, and a file may declare millions.
const MOST_UNITS: usize = 1 << 16;

/// How a shard shares the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share<'a> {
    /// Units of this shard that may be in memory at once.
    pub(super) window: usize,
    /// Set when the work is to end.
    pub(super) stop: &'a Stop,
}

/// What became of a shard's chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChunksDone {
    pub(super) passed: u64,
    pub(super) computed: u64,
}

/// Chunks as they are to be written; `None` where there is none.
type EncodedChunks = Vec<(Option<Vec<u8>>, Fate)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Absent,
    Passed,
    Computed,
}

/// A shard about to be written.
pub(super) struct ShardReshape<'a> {
    job: &'a ReshapeJob,
    shard: &'a ShardIndex,
    /// Whether the source's chunks are the target's, so that their bytes may pass.
    same_chunks: bool,
    tile: [u32; 3],
}

/// Whether the source's chunks are the target's, so that their bytes may pass.
pub(super) fn has_same_chunks(job: &ReshapeJob) -> bool {
    let is_apart = !matches!(job.step, Step::Downsample(_));
    is_apart && job.source.array.grid().chunk_shape == job.target.grid().chunk_shape
}

/// Chunks of the target that are computed together.
pub(super) fn unit_shape(job: &ReshapeJob) -> [u32; 3] {
    if has_same_chunks(job) { [1; 3] } else { tile_shape(job) }
}

impl<'a> ShardReshape<'a> {
    pub(super) fn new(job: &'a ReshapeJob, shard: &'a ShardIndex) -> Self {
        Self { job, shard, same_chunks: has_same_chunks(job), tile: unit_shape(job) }
    }

    /// Writes the shard, or removes it where nothing is in it.
    pub(super) fn write(&self, room: Share) -> Result<ChunksDone> {
        room.stop.check()?;
        if self.is_done()? {
            return Ok(ChunksDone::default());
        }
        let target = &self.job.target;
        let mut draft = Draft::lock_buffered(&**target, &target.shard_key(self.shard))?;
        let counts = if target.grid().chunks_in_shard() == 1 {
            self.write_single(&mut draft, room)?
        } else {
            self.write_shard(&mut draft, room)?
        };
        if counts.passed + counts.computed == 0 {
            draft.remove_target()?;
        } else {
            draft.place()?;
        }
        Ok(counts)
    }

    /// Whether nothing is to be written into the shard and none is there, as far as that can be told without a request:
    /// of small shards under a large one, most are so.
    fn is_done(&self) -> Result<bool> {
        let (source, target) = (&self.job.source, &self.job.target);
        // What lies across the border of a box is made coarser of voxels that may lie under another shard.
        if !source.is_indexed() || matches!(self.job.step, Step::Downsample(_)) {
            return Ok(false);
        }
        let is_there = match &self.job.there {
            Some(there) => there.contains(self.shard),
            None => target.store().size(&target.shard_key(self.shard))?.is_some(),
        };
        if is_there {
            return Ok(false);
        }
        // Its first and its last chunk: there may be many millions between them.
        let whole = self.around(&[0, target.grid().chunks_in_shard() as u32 - 1]);
        for chunk in self.job.chunks_under(&self.shard.extra, &whole) {
            if source.has(&chunk, &Ahead::default())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_single(&self, draft: &mut Draft, room: Share) -> Result<ChunksDone> {
        let mut counts = ChunksDone::default();
        let encoded = self.compute(&[0], &self.read_ahead(&[&[0]])?, room)?;
        if let Some((Some(bytes), fate)) = encoded.into_iter().next() {
            let mut writer = self.job.target.shard_writer(draft)?;
            count(&mut counts, fate);
            writer.append(Some(&bytes))?;
            writer.finish()?;
        }
        Ok(counts)
    }

    fn write_shard(&self, draft: &mut dyn ShardFile, room: Share) -> Result<ChunksDone> {
        let mut counts = ChunksDone::default();
        let mut writer = self.job.target.shard_writer(draft)?;
        writer.prefer_order(self.places_by_tile())?;
        let order = writer.order().to_vec();
        let compute = |window: &[u32]| -> Result<Vec<EncodedChunks>> {
            let units: Vec<&[u32]> = self.units(window).collect();
            let ahead = self.read_ahead(&units)?;
            units.par_iter().with_max_len(1).map(|places| self.compute(places, &ahead, room)).collect()
        };
        let mut windows = self.windows(&order, room.window.max(1)).into_iter();
        let mut current = windows.next().unwrap_or_default();
        let mut ready = compute(current)?;
        while !current.is_empty() {
            room.stop.check()?;
            let next = windows.next().unwrap_or_default();
            let mut coming = Ok(Vec::new());
            // Others compute what comes next while this thread writes what is ready.
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| coming = compute(next));
                ready.into_iter().flatten().try_for_each(|chunk| append(&mut *writer, &chunk, &mut counts))
            })?;
            (current, ready) = (next, coming?);
        }
        writer.finish()?;
        Ok(counts)
    }

    /// The shard's places, those of a tile together.
    fn places_by_tile(&self) -> Vec<u32> {
        let mut places: Vec<u32> = (0..self.job.target.grid().chunks_in_shard() as u32).collect();
        places.sort_by_key(|&place| self.tile_of(place));
        places
    }

    fn tile_of(&self, place: u32) -> [u32; 3] {
        let [nx, ny, _] = self.job.target.grid().chunks_per_shard;
        let within = [place % nx, place / nx % ny, place / (nx * ny)];
        std::array::from_fn(|axis| within[2 - axis] / self.tile[2 - axis])
    }

    /// Cuts the write order into runs of the same tile.
    fn units<'o>(&self, order: &'o [u32]) -> impl Iterator<Item = &'o [u32]> {
        order.chunk_by(|&a, &b| self.tile_of(a) == self.tile_of(b))
    }

    /// Cuts the write order into windows of whole units, of which at most `most` can get data: of a coarse mag, most of
    /// a shard cannot.
    fn windows<'o>(&self, order: &'o [u32], most: usize) -> Vec<&'o [u32]> {
        let (mut windows, mut start, mut end, mut units, mut reached) = (Vec::new(), 0, 0, 0, 0);
        for places in self.units(order) {
            let is_reached = self.is_reached(places);
            if (is_reached && reached == most) || units == MOST_UNITS {
                windows.push(&order[start..end]);
                (start, units, reached) = (end, 0, 0);
            }
            end += places.len();
            units += 1;
            reached += usize::from(is_reached);
        }
        windows.push(&order[start..]);
        windows
    }

    /// Whether any of the chunks at `places` can get data.
    fn is_reached(&self, places: &[u32]) -> bool {
        let reach = self.job.reach();
        places.iter().any(|&place| {
            let overlaps = |(span, reach): (&Range<u64>, &Range<u64>)| span.start < reach.end && reach.start < span.end;
            self.voxels(place).iter().zip(&reach).all(overlaps)
        })
    }

    /// Reads the chunks that `units` are made of, if they are far.
    fn read_ahead(&self, units: &[&[u32]]) -> Result<Ahead> {
        if !self.job.source.is_far() {
            return Ok(Ahead::default());
        }
        let reached = units.iter().filter(|places| self.is_reached(places));
        let mut chunks = Vec::new();
        for places in reached {
            if self.same_chunks {
                chunks.extend(places.iter().map(|&place| self.chunk(place)));
            } else {
                chunks.extend(self.job.chunks_under(&self.shard.extra, &self.around(places)));
            }
        }
        self.job.source.ahead(chunks.into_iter())
    }

    /// The voxels from the first to the last of the chunks at `places`.
    fn around(&self, places: &[u32]) -> Span3 {
        let spans: Vec<Span3> = places.iter().map(|&place| self.voxels(place)).collect();
        std::array::from_fn(|axis| {
            let starts = spans.iter().map(|span| span[axis].start).min().unwrap_or(0);
            starts..spans.iter().map(|span| span[axis].end).max().unwrap_or(0)
        })
    }

    /// The chunks at `places`, which lie in one tile.
    fn compute(&self, places: &[u32], ahead: &Ahead, room: Share) -> Result<EncodedChunks> {
        room.stop.check()?;
        if self.same_chunks {
            return places.iter().map(|&place| self.pass(&self.chunk(place), ahead)).collect();
        }
        if !self.is_reached(places) {
            return Ok(places.iter().map(|_| (None, Fate::Absent)).collect());
        }
        let all = self.around(places);
        let tile = Tile::new(self.job, &self.shard.extra, all.clone(), ahead);
        let voxels = tile.compute()?;
        let Some(voxels) = voxels else { return Ok(places.iter().map(|_| (None, Fate::Absent)).collect()) };
        let grid = self.job.target.grid();
        let mut chunk = Vec::new();
        let mut encoded = EncodedChunks::with_capacity(places.len());
        for &place in places {
            let span = &self.voxels(place);
            let voxels = if places.len() == 1 {
                &voxels
            } else {
                chunk.resize(grid.chunk_bytes(), 0);
                cut(&voxels, &all, span, grid.channels as usize * grid.voxel_type.size(), &mut chunk);
                &chunk
            };
            encoded.push(self.encode(&tile, span, &self.chunk(place), voxels)?);
        }
        Ok(encoded)
    }

    fn encode(
        &self,
        tile: &Tile<'_>,
        span: &Span3,
        chunk: &ChunkIndex,
        voxels: &[u8],
    ) -> Result<(Option<Vec<u8>>, Fate)> {
        if is_zero(voxels) && !(self.job.source.tells_absence() && tile.has_any_under(span)?) {
            return Ok((None, Fate::Absent));
        }
        Ok((Some(self.encoded(chunk, voxels)?), Fate::Computed))
    }

    /// A chunk that is the source's as well: its bytes, encoded anew where the target's codec is another.
    fn pass(&self, chunk: &ChunkIndex, ahead: &Ahead) -> Result<(Option<Vec<u8>>, Fate)> {
        let (source, target) = (&self.job.source, &self.job.target);
        let absent_is_zero = !source.tells_absence() && target.shape_file().is_some();
        let Some(found) = source.encoded(chunk, ahead)? else { return Ok((None, Fate::Absent)) };
        let passes = found.codec.encoding() == target.codec().encoding();
        if passes && !absent_is_zero && self.job.change.is_none() {
            return Ok((Some(found.bytes), Fate::Passed));
        }
        // Taken, not borrowed: a function of the caller's may wait, and this thread be given another chunk meanwhile.
        let mut space = SPACE.take();
        space.voxels.resize(source.array.grid().chunk_bytes(), 0);
        decode(&*source.array, &*found.codec, &found.key, chunk, &found.bytes, &mut space.voxels)?;
        let is_changed = match &self.job.change {
            Some(change) => change.make(chunk, &mut space, target.grid())?,
            None => false,
        };
        let made = if absent_is_zero && is_zero(&space.voxels) {
            (None, Fate::Absent)
        } else if passes && !is_changed {
            (Some(found.bytes), Fate::Passed)
        } else {
            (Some(self.encoded(chunk, &space.voxels)?), Fate::Computed)
        };
        SPACE.set(space);
        Ok(made)
    }

    fn encoded(&self, chunk: &ChunkIndex, voxels: &[u8]) -> Result<Vec<u8>> {
        let target = &self.job.target;
        target.codec().encode(voxels).map_err(|reason| VolumeError::Unsupported {
            file: target.store().describe(&target.shard_key(self.shard)),
            what: format!("chunk {chunk} cannot be encoded: {reason}"),
        })
    }

    fn chunk(&self, place: u32) -> ChunkIndex {
        self.job.target.grid().chunk_at(self.shard, place as usize)
    }

    fn voxels(&self, place: u32) -> Span3 {
        let (chunk, shape) = (self.chunk(place), self.job.target.grid().chunk_shape);
        std::array::from_fn(|axis| {
            let start = u64::from(chunk.xyz[axis]) * u64::from(shape[axis]);
            start..start + u64::from(shape[axis])
        })
    }
}

fn append(writer: &mut dyn ShardWriter, chunk: &(Option<Vec<u8>>, Fate), counts: &mut ChunksDone) -> Result<()> {
    count(counts, chunk.1);
    writer.append(chunk.0.as_deref())
}

fn count(counts: &mut ChunksDone, fate: Fate) {
    match fate {
        Fate::Absent => {}
        Fate::Passed => counts.passed += 1,
        Fate::Computed => counts.computed += 1,
    }
}

/// Copies the voxels `part` of those in `all` into `out`.
fn cut(voxels: &[u8], all: &Span3, part: &Span3, voxel: usize, out: &mut [u8]) {
    let length = |span: &Span3, axis: usize| (span[axis].end - span[axis].start) as usize;
    let offset: [usize; 3] = std::array::from_fn(|axis| (part[axis].start - all[axis].start) as usize);
    let row = length(part, 0) * voxel;
    for z in 0..length(part, 2) {
        for y in 0..length(part, 1) {
            let line = offset[1] + y + length(all, 1) * (offset[2] + z);
            let from = (offset[0] + length(all, 0) * line) * voxel;
            let to = (y + length(part, 1) * z) * row;
            out[to..to + row].copy_from_slice(&voxels[from..from + row]);
        }
    }
}

fn is_zero(voxels: &[u8]) -> bool {
    voxels.chunks(256).all(|piece| piece.iter().fold(0, |all, &byte| all | byte) == 0)
}
