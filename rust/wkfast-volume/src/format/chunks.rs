//! Many chunks read together, and what arrays that lie in files say so that they can be.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::{ChunkCodec, EncodedChunk, IndexCache, MagArray, OpenShard, ShardIndexTable};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::{Fetch, Origin, Part, Stamp};

/// Shards whose chunks are asked for together.
const SHARDS_AT_ONCE: usize = 64;
/// Shards that a read holds open at most; processes may open some hundred files.
pub(super) const MAX_OPEN: usize = 128;
/// Shards that all reads of a process hold open together.
pub(super) const MAX_OPEN_IN_ALL: usize = 256;
/// How often reading is tried anew where files are replaced meanwhile.
const TRIES: usize = 4;

/// A mag whose chunks lie in files of its store.
pub trait StoredArray: MagArray {
    /// Whether chunks are looked up in an index of their file. Else a file is a chunk, and is read as a whole.
    fn is_indexed(&self) -> bool;

    /// What of a shard's file tells where its chunks are.
    fn index_part(&self) -> Part;

    /// Reads the index of a file that holds something. Every span is checked to lie within the file.
    fn parse_index(&self, file: &IndexFile<'_>) -> Result<ShardIndexTable>;

    /// Bytes of a file that is one chunk, at most.
    fn longest_file(&self) -> u64;

    /// Where in a file that is one chunk its encoded bytes lie, and what decodes them.
    fn chunk_in_file(&self, key: &str, bytes: &[u8]) -> Result<(Arc<dyn ChunkCodec>, Range<usize>)>;
}

/// A shard's file while its index is read: what has been read of it, and a way to read more.
pub struct IndexFile<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its bytes in all.
    pub size: u64,
    part: Range<u64>,
    bytes: &'a [u8],
    more: &'a dyn Fn(Range<u64>) -> Result<Vec<u8>>,
}

impl<'a> IndexFile<'a> {
    /// A file of `size` bytes of which `part` was read.
    pub(super) fn new(
        key: &'a str,
        size: u64,
        part: &Part,
        bytes: &'a [u8],
        more: &'a dyn Fn(Range<u64>) -> Result<Vec<u8>>,
    ) -> Self {
        Self { key, size, part: part.range(size), bytes, more }
    }

    /// Bytes of the file: most often among those that were read.
    pub fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        if range.start < self.part.start || range.end > self.part.end || range.start > range.end {
            return (self.more)(range);
        }
        let start = (range.start - self.part.start) as usize;
        let end = (range.end - self.part.start) as usize;
        Ok(self.bytes[start..end].to_vec())
    }
}

/// A chunk as it was read.
#[derive(Debug)]
pub struct FoundChunk<'a> {
    /// Key of the file it is from, for messages.
    pub key: &'a str,
    /// What decodes it.
    pub codec: &'a Arc<dyn ChunkCodec>,
    /// Its encoded bytes; see [`Found::bytes`](crate::store::Found).
    pub bytes: &'a mut Vec<u8>,
}

impl FoundChunk<'_> {
    /// The chunk for good.
    pub fn keep(self) -> EncodedChunk {
        EncodedChunk { key: self.key.to_owned(), codec: Arc::clone(self.codec), bytes: std::mem::take(self.bytes) }
    }
}

/// Gets a chunk with its number among those asked for; `None` where it is absent.
pub type TakeChunk<'a> = dyn Fn(usize, Option<FoundChunk<'_>>) -> Result<()> + Sync + 'a;

/// Reads `chunks` as its store likes best, and hands each to `take` as soon as it is there, from several threads at once;
/// some may come twice where files are replaced meanwhile. Call it on the pool that is to decode them.
pub fn read_chunks(
    array: &dyn MagArray,
    indexes: &IndexCache,
    chunks: &[ChunkIndex],
    take: &TakeChunk<'_>,
) -> Result<()> {
    let Some(stored) = array.stored() else { return array.make_chunks(chunks, take) };
    if !stored.is_indexed() {
        return read_files(stored, chunks, take);
    }
    let mut places: Vec<(ShardIndex, usize, usize)> = Vec::with_capacity(chunks.len());
    places.extend(chunks.iter().enumerate().map(|(number, chunk)| {
        let (shard, place) = array.grid().locate(chunk);
        (shard, place, number)
    }));
    places.sort_unstable();
    let by_shard: Vec<_> = places.chunk_by(|one, other| one.0 == other.0).collect();
    by_shard.chunks(SHARDS_AT_ONCE).try_for_each(|shards| {
        let places = Places::take(&OPEN, shards.len());
        let at_once = if places.is_some() { shards.len() } else { rayon::current_num_threads() };
        shards.chunks(at_once).try_for_each(|shards| read_shards_again(stored, indexes, shards, take))
    })
}

/// Chunks of a far store that are read before they are needed, many at once. Of a near one none are: there, reading a
/// chunk when it is needed takes no longer, and no memory.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<ChunkIndex, Option<EncodedChunk>>);

impl Ahead {
    /// Reads `chunks`, if they are far.
    pub fn of(array: &dyn MagArray, indexes: &IndexCache, chunks: impl Iterator<Item = ChunkIndex>) -> Result<Self> {
        if !array.store().is_far() {
            return Ok(Self::default());
        }
        let mut chunks: Vec<ChunkIndex> = chunks.collect();
        chunks.sort_unstable();
        chunks.dedup();
        let found = fetch_chunks(array, indexes, &chunks)?;
        Ok(Self(chunks.into_iter().zip(found).collect()))
    }

    /// What was read of a chunk; `None` if nobody tried.
    pub fn find(&self, chunk: &ChunkIndex) -> Option<Option<&EncodedChunk>> {
        self.0.get(chunk).map(Option::as_ref)
    }

    /// The chunk, read now where it was not read ahead.
    pub fn read_encoded(
        &self,
        array: &dyn MagArray,
        indexes: &IndexCache,
        chunk: &ChunkIndex,
    ) -> Result<Option<EncodedChunk>> {
        match self.find(chunk) {
            Some(found) => Ok(found.cloned()),
            None => indexes.read_encoded(array, chunk),
        }
    }
}

/// The chunks, each in its place.
pub(super) fn fetch_chunks(
    array: &dyn MagArray,
    indexes: &IndexCache,
    chunks: &[ChunkIndex],
) -> Result<Vec<Option<EncodedChunk>>> {
    let kept: Vec<Mutex<Option<EncodedChunk>>> = chunks.iter().map(|_| Mutex::default()).collect();
    read_chunks(array, indexes, chunks, &|number, found| {
        *kept[number].lock().unwrap_or_else(PoisonError::into_inner) = found.map(FoundChunk::keep);
        Ok(())
    })?;
    Ok(kept.into_iter().map(|chunk| chunk.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

/// Open files of all reads of this process.
pub(super) static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The right of a read to hold so many files open.
pub(super) struct Places {
    all: &'static AtomicUsize,
    count: usize,
}

impl Places {
    /// None if that would be too many for one read, or for all reads together: processes may have a thousand.
    pub(super) fn take(all: &'static AtomicUsize, count: usize) -> Option<Self> {
        if count > MAX_OPEN {
            return None;
        }
        let places = Self { all, count };
        let before = all.fetch_add(count, Ordering::Relaxed);
        (before + count <= MAX_OPEN_IN_ALL).then_some(places)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.all.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// What [`MagArray::make_chunks`] does where an array knows no better: one after the other on every thread.
pub(super) fn one_by_one<A: MagArray + ?Sized>(array: &A, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
    chunks.par_iter().with_max_len(1).enumerate().try_for_each(|(number, chunk)| {
        let Some(mut found) = array.read_encoded(chunk)? else { return take(number, None) };
        take(number, Some(FoundChunk { key: &found.key, codec: &found.codec, bytes: &mut found.bytes }))
    })
}

/// Hands over the indexes of `shards` that are there, those of many shards read together.
pub(crate) fn each_index(
    array: &dyn MagArray,
    shards: impl Iterator<Item = ShardIndex>,
    mut take: impl FnMut(&ShardIndex, &ShardIndexTable),
) -> Result<()> {
    let Some(stored) = array.stored() else {
        return shards.map(|shard| Ok((array.open_shard(&shard)?, shard))).try_for_each(|found: Result<_>| {
            let (table, shard) = found?;
            if let Some(table) = table {
                take(&shard, &table);
            }
            Ok(())
        });
    };
    let shards: Vec<ShardIndex> = shards.collect();
    for shards in shards.chunks(SHARDS_AT_ONCE) {
        let open = IndexCache::default().open_many(stored, shards)?;
        for (shard, open) in shards.iter().zip(&open) {
            if let Some(open) = open {
                take(shard, &open.table);
            }
        }
    }
    Ok(())
}

/// Chunks that are files.
fn read_files(array: &dyn StoredArray, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
    let keys: Vec<String> = chunks.iter().map(|chunk| array.shard_key(chunk)).collect();
    let fetch = |key| Fetch { origin: Origin::Key(key), part: Part::Whole(array.longest_file()) };
    let fetches: Vec<Fetch<'_>> = keys.iter().map(|key| fetch(key)).collect();
    array.store().read_batch(&fetches, &|number, found| {
        let Some(found) = found.filter(|found| !found.bytes.is_empty()) else { return take(number, None) };
        let key = &keys[number];
        let (codec, range) = array.chunk_in_file(key, found.bytes)?;
        found.bytes.truncate(range.end);
        found.bytes.drain(..range.start);
        take(number, Some(FoundChunk { key, codec: &codec, bytes: found.bytes }))
    })
}

/// Chunks of shards. Of a far store, files may have been replaced since their indexes were read: then these are.
fn read_shards_again(
    array: &dyn StoredArray,
    indexes: &IndexCache,
    shards: &[&[(ShardIndex, usize, usize)]],
    take: &TakeChunk<'_>,
) -> Result<()> {
    let mut tries = 0;
    loop {
        match read_shards(array, indexes, shards, take) {
            Err(VolumeError::Changed { .. }) if tries < TRIES => {
                tries += 1;
                for places in shards {
                    indexes.forget(&places[0].0);
                }
            }
            done => return done,
        }
    }
}

fn read_shards(
    array: &dyn StoredArray,
    indexes: &IndexCache,
    shards: &[&[(ShardIndex, usize, usize)]],
    take: &TakeChunk<'_>,
) -> Result<()> {
    if array.store().is_far() {
        for places in shards {
            indexes.doubt(&places[0].0, places.iter().map(|&(_, place, _)| place));
        }
    }
    let wanted: Vec<ShardIndex> = shards.iter().map(|places| places[0].0.clone()).collect();
    let open = indexes.open_many(array, &wanted)?;
    let (mut fetches, mut numbers) = (Vec::new(), Vec::new());
    for (places, open) in shards.iter().zip(&open) {
        for &(_, place, number) in *places {
            let span = open.as_ref().and_then(|open| Some((open, open.table.spans[place].clone()?)));
            let Some((open, span)) = span else {
                take(number, None)?;
                continue;
            };
            numbers.push((number, open));
            fetches.push(Fetch { origin: open.origin(), part: Part::Range(span) });
        }
    }
    array.store().read_batch(&fetches, &|fetch, found| {
        let (number, open): (usize, &OpenShard) = numbers[fetch];
        let chunk =
            found.map(|found| FoundChunk { key: &open.table.key, codec: &open.table.codec, bytes: found.bytes });
        take(number, chunk)
    })
}

/// The index of the file that `origin` is, and the file's state; `None` where there is none, or not a byte of it.
pub(super) fn read_index(
    array: &dyn StoredArray,
    key: &str,
    bytes: &[u8],
    stamp: Stamp,
    more: &dyn Fn(Range<u64>) -> Result<Vec<u8>>,
) -> Result<Option<ShardIndexTable>> {
    if stamp.size == 0 {
        return Ok(None);
    }
    array.parse_index(&IndexFile::new(key, stamp.size, &array.index_part(), bytes, more)).map(Some)
}
