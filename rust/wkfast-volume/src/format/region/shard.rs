//! One shard, rewritten with the part of a box that lies in it.

use std::cell::RefCell;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::old::OldShard;
use super::rewrite::Rewrite;
use super::voxels::{SharedBox, Voxels};
use crate::error::{Result, VolumeError};
use crate::format::draft::Draft;
use crate::format::{MagArray, again, decode, fill_absent};
use crate::geometry::{BoundingBox, ChunkIndex, ShardIndex};

/// Chunks that each thread encodes before they are written: enough to keep threads busy, few enough to be small.
const CHUNKS_AHEAD: usize = 4;
/// Bytes of decoded chunks that are encoded before they are written, at most, unless a single one has more.
const BYTES_AHEAD: usize = 64 << 20;
/// How often a shard is written again because somebody else put another in its place meanwhile. One of those who try wins
/// every time, so that many get through.
const TRIES: u32 = 100;
/// How often what looks damaged is looked at again, where its index and its chunks may be of two states.
const LOOKS: u32 = 3;

/// A shard and what goes into it.
pub(super) struct ShardWrite<'a> {
    pub(super) array: &'a dyn MagArray,
    pub(super) shard: ShardIndex,
    pub(super) region: &'a BoundingBox,
    pub(super) voxels: &'a Voxels<'a>,
    pub(super) keep_zeros: bool,
}

/// A chunk's bytes; `None` where it is to be absent.
type Encoded = Option<Vec<u8>>;

thread_local! {
    static CHUNK: RefCell<Vec<u8>> = RefCell::default();
}

impl ShardWrite<'_> {
    /// Writes the shard on this thread.
    pub(super) fn write(&self) -> Result<()> {
        self.again(|| self.write_once())
    }

    /// Writes the shard on this thread, which must not be one of the pool's, while the pool encodes.
    pub(super) fn write_with(&self, pool: &ThreadPool) -> Result<()> {
        self.again(|| self.write_once_with(pool))
    }

    /// Writes until nobody came between.
    fn again(&self, write: impl Fn() -> Result<()>) -> Result<()> {
        let (is_far, mut looks) = (self.array.store().is_far(), 1);
        again(TRIES, || {
            write().map_err(|error| match error {
                VolumeError::Corrupt { file, .. } if is_far && looks < LOOKS => {
                    looks += 1;
                    VolumeError::Changed { file }
                }
                error => error,
            })
        })
    }

    fn write_once(&self) -> Result<()> {
        if self.array.grid().chunks_in_shard() == 1 {
            return self.write_chunk();
        }
        self.rewrite(|old, places, rewrite| {
            places.iter().try_for_each(|&place| rewrite.write(place, self.encode(old, place)?.as_deref()))
        })
    }

    fn write_once_with(&self, pool: &ThreadPool) -> Result<()> {
        let most = (BYTES_AHEAD / self.array.grid().chunk_bytes().max(1)).max(1);
        let batch = (pool.current_num_threads() * CHUNKS_AHEAD).min(most);
        self.rewrite(|old, places, rewrite| {
            let encode = |places: &[u32]| -> Result<Vec<Encoded>> {
                places.par_iter().map(|&place| self.encode(old, place)).collect()
            };
            let mut batches = places.chunks(batch);
            let mut current = batches.next().unwrap_or_default();
            let mut ready = pool.install(|| encode(current))?;
            while !current.is_empty() {
                let next = batches.next().unwrap_or_default();
                let mut coming = Ok(Vec::new());
                // The pool encodes the next chunks while this thread writes those that are ready.
                pool.in_place_scope(|scope| {
                    scope.spawn(|_| coming = encode(next));
                    current.iter().zip(ready).try_for_each(|(&place, encoded)| rewrite.write(place, encoded.as_deref()))
                })?;
                (current, ready) = (next, coming?);
            }
            Ok(())
        })
    }

    /// Writes a file of several chunks: `encode` hands over those that the box touches, in the order given.
    fn rewrite(&self, encode: impl FnOnce(Option<&OldShard>, &[u32], &mut Rewrite<'_>) -> Result<()>) -> Result<()> {
        let mut draft = Draft::lock_buffered(self.array, &self.array.shard_key(&self.shard))?;
        // Whoever rewrites the mag does so by another folder in its place: the draft lies in the one that counts now.
        self.array.check_current()?;
        let old = OldShard::open(self.array, &self.shard)?;
        let mut rewrite = Rewrite::start(self.array, old.as_ref(), &mut draft, |place| self.shared(place).is_some())?;
        let places = rewrite.touched();
        encode(old.as_ref(), &places, &mut rewrite)?;
        if !rewrite.finish()? {
            return draft.remove_target();
        }
        if old.is_some() {
            // What a loss of power may take is this write, not the thousands of chunks that were on disk before it.
            draft.sync()?;
        }
        draft.place()
    }

    /// Writes a file that is one chunk.
    fn write_chunk(&self) -> Result<()> {
        let key = self.array.shard_key(&self.shard);
        let whole = self.shared(0).is_some_and(|shared| shared.is_whole(self.array.grid()));
        let ready = if whole { Some(self.encode(None, 0)?) } else { None };
        if matches!(ready, Some(None)) && self.array.store().size(&key)?.is_none() {
            return Ok(());
        }
        let mut draft = Draft::lock(self.array, &key)?;
        self.array.check_current()?;
        let encoded = match ready {
            Some(encoded) => encoded,
            None => self.encode(OldShard::open(self.array, &self.shard)?.as_ref(), 0)?,
        };
        let Some(encoded) = encoded else { return draft.remove_target() };
        let mut writer = self.array.shard_writer(&mut draft)?;
        writer.append(Some(&encoded))?;
        writer.finish()?;
        draft.place()
    }

    fn shared(&self, place: u32) -> Option<SharedBox> {
        let grid = self.array.grid();
        SharedBox::of(grid, grid.chunk_at(&self.shard, place as usize).xyz, self.region)
    }

    /// The chunk at `place` as it is to be from now on.
    fn encode(&self, old: Option<&OldShard>, place: u32) -> Result<Encoded> {
        let grid = self.array.grid();
        let chunk = grid.chunk_at(&self.shard, place as usize);
        let Some(shared) = SharedBox::of(grid, chunk.xyz, self.region) else { return Ok(None) };
        CHUNK.with_borrow_mut(|voxels| {
            voxels.resize(grid.chunk_bytes(), 0);
            if !shared.is_whole(grid) {
                self.read_old(old, place, &chunk, voxels)?;
            }
            self.voxels.put(grid, self.region.size, &shared, voxels);
            if !self.keep_zeros && is_blank(voxels, self.array.fill()) {
                return Ok(None);
            }
            let fault = |reason: String| self.cannot_encode(&chunk, &reason);
            self.array.codec().encode(voxels).map(Some).map_err(fault)
        })
    }

    fn read_old(&self, old: Option<&OldShard>, place: u32, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<()> {
        let found = old.and_then(|old| Some((old, old.table.spans[place as usize].clone()?)));
        if let Some((old, span)) = found {
            let table = &old.table;
            return old.read(self.array, span, |encoded| {
                decode(self.array, &*table.codec, &table.key, chunk, encoded, voxels)
            });
        }
        fill_absent(self.array, voxels);
        Ok(())
    }

    fn cannot_encode(&self, chunk: &ChunkIndex, reason: &str) -> VolumeError {
        let file = self.array.store().describe(&self.array.shard_key(&self.shard));
        VolumeError::Unsupported { file, what: format!("chunk {chunk} cannot be encoded: {reason}") }
    }
}

/// Whether a chunk is what an absent one stands for.
fn is_blank(voxels: &[u8], fill: Option<&[u8]>) -> bool {
    match fill {
        Some(fill) => voxels.chunks_exact(fill.len()).all(|voxel| voxel == fill),
        None => voxels.chunks(256).all(|piece| piece.iter().fold(0, |all, &byte| all | byte) == 0),
    }
}
