//! Many chunks read together.

use std::sync::Arc;

use super::open_files::{MAX_OPEN, OPEN, Places};
use super::{ChunkCodec, EncodedChunk, IndexCache, MagArray, OpenShard, StoredArray, again};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::{Fetch, Origin, Part, Slots, on_pool};

/// How often reading is tried anew where files are replaced meanwhile.
const TRIES: u32 = 4;

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
    by_shard.chunks(MAX_OPEN).try_for_each(|shards| {
        let places = Places::take(&OPEN, shards.len());
        let at_once = if places.is_some() { shards.len() } else { rayon::current_num_threads() };
        shards.chunks(at_once).try_for_each(|shards| read_shards_again(stored, indexes, shards, take))
    })
}

/// The chunks, each in its place.
pub(crate) fn fetch_chunks(
    array: &dyn MagArray,
    indexes: &IndexCache,
    chunks: &[ChunkIndex],
) -> Result<Vec<Option<EncodedChunk>>> {
    let kept = Slots::new(chunks.len());
    read_chunks(array, indexes, chunks, &|number, found| {
        kept.put(number, found.map(FoundChunk::keep));
        Ok(())
    })?;
    Ok(kept.into_vec())
}

/// What [`MagArray::make_chunks`] does where an array knows no better: one after the other on every thread.
pub(super) fn one_by_one<A: MagArray + ?Sized>(array: &A, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
    on_pool(chunks.len(), |number| take_made(number, array.read_encoded(&chunks[number])?, take))
}

/// Hands over a chunk that was made.
pub(crate) fn take_made(number: usize, made: Option<EncodedChunk>, take: &TakeChunk<'_>) -> Result<()> {
    let Some(mut made) = made else { return take(number, None) };
    take(number, Some(FoundChunk { key: &made.key, codec: &made.codec, bytes: &mut made.bytes }))
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
    again(1 + TRIES, || {
        read_shards(array, indexes, shards, take).inspect_err(|error| {
            if matches!(error, VolumeError::Changed { .. }) {
                for places in shards {
                    indexes.forget(&places[0].0);
                }
            }
        })
    })
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
