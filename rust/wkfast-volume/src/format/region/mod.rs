//! Boxes of voxels, at any alignment, out of the chunks that hold them.

mod cache;
mod cut;
mod kept;
mod old;
mod rewrite;
mod shard;
mod voxels;
mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod write_tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::cache::{IndexCache, OpenShard};
use self::cut::{InStick, Stick, sticks};
pub use self::voxels::Voxels;
pub use self::write::{WriteOptions, write_region};
use super::open_files::{OPEN, Places};
use super::{MagArray, decode, fill_absent, read_chunks};
use crate::error::{Result, VolumeError};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, ShardIndex};

/// Coordinates beyond this are a mistake, and would overflow.
const FARTHEST: u64 = 1 << 48;

/// Boxes up to a few 32³ chunks of uint32 are read by the calling thread.
const SMALL: usize = 512 << 10;

/// The shards that a small read touches.
struct Shards<'a> {
    cache: &'a IndexCache,
    /// Those that are there, held open from the start; `None` where they are too many.
    held: Option<HashMap<ShardIndex, OpenShard>>,
}

impl Shards<'_> {
    /// Hands the shard to `read`.
    fn with(
        &self,
        array: &dyn MagArray,
        shard: &ShardIndex,
        read: impl FnOnce(&OpenShard) -> Result<Chunk>,
    ) -> Result<Chunk> {
        match &self.held {
            Some(held) => held.get(shard).map_or(Ok(Chunk::Absent), read),
            None => self.cache.open(array, shard)?.as_ref().map_or(Ok(Chunk::Absent), read),
        }
    }
}

/// What a thread reuses from chunk to chunk.
#[derive(Default)]
struct Scratch {
    encoded: Vec<u8>,
    voxels: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Bytes of the voxels in `region`.
pub fn region_bytes(grid: &ChunkGrid, region: &BoundingBox) -> Result<usize> {
    let voxel = i64::from(grid.channels) * grid.voxel_type.size() as i64;
    let bytes = region.size.iter().try_fold(voxel, |product, &edge| product.checked_mul(edge));
    let bytes = bytes.filter(|_| region.size.iter().all(|&edge| edge >= 0));
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| VolumeError::Mismatch(format!("a box of {:?} voxels cannot be held", region.size)))
}

/// Whether `region` is so small that threads would only delay it.
pub fn is_small(grid: &ChunkGrid, region: &BoundingBox) -> bool {
    region_bytes(grid, region).is_ok_and(|bytes| bytes <= SMALL)
}

/// Reads `region` of `array` into `out`, in Fortran order of (c, x, y, z). `extra` picks a slice of every additional
/// axis. Voxels of absent chunks, and those at negative coordinates, are left as they are in `out`: pass zeros. Where an
/// array states another fill than zero, absent chunks get that.
///
/// Chunks are decoded by all threads of the current rayon pool, each into the part of `out` that is its own; a
/// [small](is_small) box by the calling thread.
pub fn read_region(array: &dyn MagArray, extra: &[u32], region: &BoundingBox, out: &mut [u8]) -> Result<()> {
    read_region_with(&IndexCache::default(), array, extra, region, out)
}

/// [`read_region`] with the indexes of shards that earlier calls have met.
pub fn read_region_with(
    cache: &IndexCache,
    array: &dyn MagArray,
    extra: &[u32],
    region: &BoundingBox,
    out: &mut [u8],
) -> Result<()> {
    let grid = array.grid();
    check_request(grid, extra, region, out.len())?;
    let mut sticks = sticks(grid, extra, region, out);
    if !is_small(grid, region) || array.store().is_far() {
        return read_large(cache, array, sticks);
    }
    if read_kept(cache, array, &mut sticks)? { Ok(()) } else { read_small(cache, array, sticks) }
}

/// Reads what lies in a single chunk that is kept, where one look at the file tells that it is still the same.
fn read_kept(cache: &IndexCache, array: &dyn MagArray, sticks: &mut [Stick<'_>]) -> Result<bool> {
    let [stick] = sticks else { return Ok(false) };
    let mut chunks = stick.chunks();
    let (Some(chunk), None) = (chunks.next(), chunks.next()) else { return Ok(false) };
    let Some((state, voxels)) = cache.chunks.last(&chunk) else { return Ok(false) };
    let Some((stored, disk)) = array.stored().zip(array.store().disk()) else { return Ok(false) };
    let key = stored.shard_key(&array.grid().locate(&chunk).0);
    if disk.sure_state(&key)? != Some(state) {
        return Ok(false);
    }
    stick.take(array.grid(), &chunk, &voxels);
    Ok(true)
}

/// Reads chunk by chunk, on this thread.
fn read_small(cache: &IndexCache, array: &dyn MagArray, sticks: Vec<Stick<'_>>) -> Result<()> {
    let touched = shards_of(array, &sticks);
    let places = Places::take(&OPEN, touched.len());
    let open = |shard: ShardIndex| cache.open(array, &shard).map(|open| open.map(|open| (shard, open))).transpose();
    let held = places.as_ref().map(|_| touched.into_iter().filter_map(open).collect::<Result<_>>()).transpose()?;
    let shards = Shards { cache, held };
    sticks.into_iter().try_for_each(|stick| fill(array, &shards, stick))
}

/// Asks for all chunks together.
fn read_large(cache: &IndexCache, array: &dyn MagArray, sticks: Vec<Stick<'_>>) -> Result<()> {
    let (mut chunks, mut owners) = (Vec::new(), Vec::new());
    for (owner, stick) in sticks.iter().enumerate() {
        chunks.extend(stick.chunks());
        owners.resize(chunks.len(), owner);
    }
    let sticks: Vec<_> = sticks.into_iter().map(Mutex::new).collect();
    read_chunks(array, cache, &chunks, &|number, found| {
        let (chunk, stick) = (&chunks[number], &sticks[owners[number]]);
        SCRATCH.with_borrow_mut(|scratch| {
            match found {
                Some(found) => {
                    scratch.voxels.resize(array.grid().chunk_bytes(), 0);
                    decode(array, &**found.codec, found.key, chunk, found.bytes, &mut scratch.voxels)?;
                }
                None if shows_absence(array) => fill_absent(array, &mut scratch.voxels),
                None => return Ok(()),
            }
            stick.lock().unwrap_or_else(PoisonError::into_inner).take(array.grid(), chunk, &scratch.voxels);
            Ok(())
        })
    })
}

/// Whether absent chunks must be put into a box: `out` has zeros where the array stands for zeros by them, unless a chunk
/// that was there before its file was replaced has been put there.
fn shows_absence(array: &dyn MagArray) -> bool {
    array.fill().is_some() || array.store().disk().is_none()
}

/// Decodes the chunks of a stick into it.
fn fill(array: &dyn MagArray, shards: &Shards<'_>, mut stick: Stick<'_>) -> Result<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        for chunk in stick.chunks() {
            match read_chunk(array, shards, &chunk, scratch)? {
                Chunk::Decoded => stick.take(array.grid(), &chunk, &scratch.voxels),
                Chunk::Kept(voxels) => stick.take(array.grid(), &chunk, &voxels),
                Chunk::Absent if shows_absence(array) => {
                    fill_absent(array, &mut scratch.voxels);
                    stick.take(array.grid(), &chunk, &scratch.voxels);
                }
                Chunk::Absent => {}
            }
        }
        Ok(())
    })
}

fn check_request(grid: &ChunkGrid, extra: &[u32], region: &BoundingBox, length: usize) -> Result<()> {
    if extra.len() != grid.extra_axes.len() {
        let axes = &grid.extra_axes;
        return Err(VolumeError::Mismatch(format!("{} coordinates for the additional axes {axes:?}", extra.len())));
    }
    if region.topleft.iter().any(|coordinate| coordinate.unsigned_abs() > FARTHEST) {
        return Err(VolumeError::Mismatch(format!("a box at {:?} is beyond any layer", region.topleft)));
    }
    let bytes = region_bytes(grid, region)?;
    if length != bytes {
        return Err(VolumeError::Mismatch(format!("a buffer of {length} bytes for a box of {bytes}")));
    }
    Ok(())
}

/// The shards whose indexes the sticks need, each once. A chunk that is a file of its own is read without.
fn shards_of(array: &dyn MagArray, sticks: &[Stick<'_>]) -> Vec<ShardIndex> {
    if array.grid().chunks_in_shard() == 1 {
        return Vec::new();
    }
    let mut shards: Vec<_> = sticks.iter().flat_map(|stick| stick.shards(array.grid())).collect();
    shards.sort_unstable();
    shards.dedup();
    shards
}

/// Where a chunk's voxels are.
enum Chunk {
    /// In the scratch.
    Decoded,
    /// With those that small reads keep.
    Kept(Arc<Vec<u8>>),
    Absent,
}

/// Decodes `chunk`, unless it has been kept.
fn read_chunk(array: &dyn MagArray, shards: &Shards<'_>, chunk: &ChunkIndex, scratch: &mut Scratch) -> Result<Chunk> {
    if array.grid().chunks_in_shard() > 1 {
        let (shard, place) = array.grid().locate(chunk);
        return shards.with(array, &shard, |open| read_open(array, shards, open, place, chunk, scratch));
    }
    if let Some(stored) = array.stored().filter(|stored| stored.store().disk().is_some()) {
        let Some(open) = IndexCache::open_file(stored, chunk)? else { return Ok(Chunk::Absent) };
        return read_open(array, shards, &open, 0, chunk, scratch);
    }
    let Some(found) = array.read_encoded(chunk)? else { return Ok(Chunk::Absent) };
    scratch.voxels.resize(array.grid().chunk_bytes(), 0);
    decode(array, &*found.codec, &found.key, chunk, &found.bytes, &mut scratch.voxels)?;
    Ok(Chunk::Decoded)
}

/// [`read_chunk`] of the chunk at `place` in an open file.
fn read_open(
    array: &dyn MagArray,
    shards: &Shards<'_>,
    open: &OpenShard,
    place: usize,
    chunk: &ChunkIndex,
    scratch: &mut Scratch,
) -> Result<Chunk> {
    let Some(span) = open.table.spans[place].clone() else { return Ok(Chunk::Absent) };
    let state = open.stamp();
    if let Some(voxels) = state.and_then(|state| shards.cache.chunks.find(chunk, state)) {
        return Ok(Chunk::Kept(voxels));
    }
    scratch.encoded.resize((span.end - span.start) as usize, 0);
    scratch.voxels.resize(array.grid().chunk_bytes(), 0);
    open.read_into(array, span.start, &mut scratch.encoded)?;
    decode(array, &*open.table.codec, &open.table.key, chunk, &scratch.encoded, &mut scratch.voxels)?;
    let kept = state.and_then(|state| shards.cache.chunks.keep(chunk, state, &mut scratch.voxels));
    Ok(kept.map_or(Chunk::Decoded, Chunk::Kept))
}

impl Stick<'_> {
    /// Copies what `chunk` and this stick share.
    fn take(&mut self, grid: &ChunkGrid, chunk: &ChunkIndex, voxels: &[u8]) {
        let InStick { chunk_start, stick_start, length } = self.overlap(grid, chunk);
        let voxel = grid.channels as usize * grid.voxel_type.size();
        let [nx, ny, _] = grid.chunk_shape.map(|edge| edge as usize);
        let (row, width) = (length[0] * voxel, self.width * voxel);
        for z in 0..length[2] {
            let plane = &mut self.planes[stick_start[2] + z];
            for y in 0..length[1] {
                let from = (chunk_start[0] + nx * (chunk_start[1] + y + ny * (chunk_start[2] + z))) * voxel;
                let to = (stick_start[1] + y) * width + stick_start[0] * voxel;
                plane[to..to + row].copy_from_slice(&voxels[from..from + row]);
            }
        }
    }
}
