//! Indexes of shards, read once and kept: the index of a large shard outweighs a small box by far.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use super::kept::KeptChunks;
use crate::error::Result;
use crate::format::stored::read_index;
use crate::format::{EncodedChunk, MagArray, ShardIndexTable, StoredArray, fetch_chunks};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::{DiskStore, Fetch, Origin, Part, Pinned, Slots, Stamp, on_pool, read_all};

/// Spans kept at most: 64 MB of them. When they are more, all are let go.
const MAX_SPANS: usize = (64 << 20) / 24;

/// What was read of a shard, and the state of the file it was read from.
#[derive(Clone, Debug)]
struct KnownShard {
    stamp: Stamp,
    table: Option<Arc<ShardIndexTable>>,
}

impl KnownShard {
    fn spans(&self) -> usize {
        self.table.as_ref().map_or(1, |table| table.spans.len())
    }
}

/// A shard's index, and the file that it is the index of.
#[derive(Debug)]
pub struct OpenShard {
    /// The index.
    pub table: Arc<ShardIndexTable>,
    file: IndexedFile,
}

/// What an index that was read before is worth.
enum Known {
    Counts(OpenShard),
    /// There is no such file any more.
    Gone,
    Nothing,
}

/// The file that an index was read from.
#[derive(Debug)]
enum IndexedFile {
    /// Held open.
    Held(Pinned),
    /// What has its name, as long as it is in this state.
    Named(Stamp),
}

impl OpenShard {
    /// State of the file, where it is held open.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.file {
            IndexedFile::Held(pinned) => Some(pinned.stamp()),
            IndexedFile::Named(_) => None,
        }
    }

    /// The file itself, where it is one on disk, so that the kernel can copy from it.
    pub(crate) fn file(&self) -> Result<Option<File>> {
        match &self.file {
            IndexedFile::Held(pinned) => pinned.file().map(Some),
            IndexedFile::Named(_) => Ok(None),
        }
    }

    /// Where its bytes are read from.
    pub fn origin(&self) -> Origin<'_> {
        match &self.file {
            IndexedFile::Held(pinned) => Origin::Pinned(pinned),
            IndexedFile::Named(state) => Origin::State(&self.table.key, *state),
        }
    }

    /// Fills `buffer` from `offset` of the shard's file on, or says that another has its name by now.
    pub fn read_into(&self, array: &dyn MagArray, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if let IndexedFile::Held(pinned) = &self.file {
            return pinned.read_into(offset, buffer);
        }
        let part = Part::Range(offset..offset.saturating_add(buffer.len() as u64));
        let read = read_all(&**array.store(), &[Fetch { origin: self.origin(), part }])?;
        match read.into_iter().next().flatten() {
            Some(bytes) => buffer.copy_from_slice(&bytes),
            // A chunk that a server streams, of which there is none: its encoding is that of zeros.
            None => buffer.fill(0),
        }
        Ok(())
    }

    /// The encoded chunk at `place`, `None` if it is absent.
    pub fn encoded(&self, array: &dyn MagArray, place: usize) -> Result<Option<EncodedChunk>> {
        let Some(span) = self.table.spans[place].clone() else { return Ok(None) };
        let mut bytes = vec![0; (span.end - span.start) as usize];
        self.read_into(array, span.start, &mut bytes)?;
        Ok(Some(EncodedChunk { key: self.table.key.clone(), codec: Arc::clone(&self.table.codec), bytes }))
    }
}

/// The indexes of one mag's shards, and chunks that small reads decoded last. A file that has changed is read again.
#[derive(Debug, Default)]
pub struct IndexCache {
    kept: Mutex<(HashMap<ShardIndex, KnownShard>, usize)>,
    pub(super) chunks: KeptChunks,
}

impl IndexCache {
    /// A file of one chunk, held open; `None` where there is none, or where the store holds none open.
    pub(super) fn open_file(array: &dyn StoredArray, chunk: &ChunkIndex) -> Result<Option<OpenShard>> {
        let key = array.shard_key(chunk);
        let Some(pinned) = array.store().disk().map_or(Ok(None), |disk| disk.pin(&key))? else { return Ok(None) };
        let table = read_pinned(array, &key, &pinned)?;
        Ok(table.map(|table| OpenShard { table: Arc::new(table), file: IndexedFile::Held(pinned) }))
    }

    /// The index of `shard` with its file, `None` where there is none, as of an array that is made while it is read. The
    /// file is held open as long as the result lives where it can be, so that another one that takes its place is never read
    /// by this index.
    pub fn open(&self, array: &dyn MagArray, shard: &ShardIndex) -> Result<Option<OpenShard>> {
        let Some(stored) = array.stored() else { return Ok(None) };
        match array.store().disk() {
            Some(disk) => self.open_held(stored, disk, shard),
            None => Ok(self.open_named(stored, std::slice::from_ref(shard))?.pop().flatten()),
        }
    }

    /// [`open`](Self::open) of many shards, whose indexes are read together.
    pub fn open_many(&self, array: &dyn StoredArray, shards: &[ShardIndex]) -> Result<Vec<Option<OpenShard>>> {
        let Some(disk) = array.store().disk() else { return self.open_named(array, shards) };
        let open = Slots::new(shards.len());
        on_pool(shards.len(), |number| {
            open.put(number, self.open_held(array, disk, &shards[number])?);
            Ok(())
        })?;
        Ok(open.into_vec())
    }

    fn open_held(
        &self,
        array: &dyn StoredArray,
        disk: &dyn DiskStore,
        shard: &ShardIndex,
    ) -> Result<Option<OpenShard>> {
        let key = array.shard_key(shard);
        let Some(pinned) = disk.pin(&key)? else { return Ok(None) };
        let stamp = pinned.stamp();
        let known = self.lookup(shard).filter(|kept| kept.stamp == stamp);
        let table = match known {
            Some(kept) => kept.table,
            None => self.keep(shard, stamp, read_pinned(array, &key, &pinned)?),
        };
        Ok(table.map(|table| OpenShard { table, file: IndexedFile::Held(pinned) }))
    }

    /// Of a store that holds no files open.
    fn open_named(&self, array: &dyn StoredArray, shards: &[ShardIndex]) -> Result<Vec<Option<OpenShard>>> {
        let (mut open, mut missing) = (Vec::with_capacity(shards.len()), Vec::new());
        for (place, shard) in shards.iter().enumerate() {
            let key = array.shard_key(shard);
            open.push(match self.known(array, shard, &key)? {
                Known::Counts(known) => Some(known),
                Known::Gone => None,
                Known::Nothing => {
                    missing.push((place, key));
                    None
                }
            });
        }
        let read = Slots::new(missing.len());
        let fetch = |key| Fetch { origin: Origin::Key(key), part: array.index_part() };
        let fetches: Vec<Fetch<'_>> = missing.iter().map(|(_, key)| fetch(key)).collect();
        array.store().read_batch(&fetches, &|number, found| {
            let Some((bytes, stamp)) = found.and_then(|found| Some((found.bytes, found.stamp?))) else { return Ok(()) };
            let key = &missing[number].1;
            let more = |range| array.store().read_range(key, range);
            read.put(number, Some((stamp, read_index(array, key, bytes, stamp, &more)?)));
            Ok(())
        })?;
        for ((place, _), found) in missing.iter().zip(read.into_vec()) {
            let Some((stamp, table)) = found else { continue };
            let table = self.keep(&shards[*place], stamp, table);
            open[*place] = table.map(|table| OpenShard { table, file: IndexedFile::Named(stamp) });
        }
        Ok(open)
    }

    /// What is known of a shard, of a far store until reading it fails.
    fn known(&self, array: &dyn StoredArray, shard: &ShardIndex, key: &str) -> Result<Known> {
        let Some(KnownShard { stamp, table: Some(table) }) = self.lookup(shard) else { return Ok(Known::Nothing) };
        let now = if array.store().is_far() { Some(stamp) } else { array.store().stamp(key)? };
        Ok(match now {
            None => Known::Gone,
            Some(now) if now == stamp => Known::Counts(OpenShard { table, file: IndexedFile::Named(stamp) }),
            Some(_) => Known::Nothing,
        })
    }

    /// [`MagArray::read_encoded`] of many chunks, with the index of each shard read once.
    pub fn read_encoded(&self, array: &dyn MagArray, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        if array.grid().chunks_in_shard() == 1 {
            return array.read_encoded(chunk);
        }
        if array.store().is_far() {
            return Ok(fetch_chunks(array, self, std::slice::from_ref(chunk))?.pop().flatten());
        }
        let (shard, place) = array.grid().locate(chunk);
        let Some(open) = self.open(array, &shard)? else { return Ok(None) };
        open.encoded(array, place)
    }

    fn lookup(&self, shard: &ShardIndex) -> Option<KnownShard> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0.get(shard).cloned()
    }

    /// Lets go what is known of a shard.
    pub(in crate::format) fn forget(&self, shard: &ShardIndex) {
        self.forget_if(shard, |_| true);
    }

    /// Lets go what is known of a shard of a far store that lacks any of the chunks at `places`: reading a chunk shows
    /// whether its file has been replaced, absence shows nothing.
    pub(in crate::format) fn doubt(&self, shard: &ShardIndex, mut places: impl Iterator<Item = usize>) {
        self.forget_if(shard, |table| places.any(|place| table.spans[place].is_none()));
    }

    fn forget_if(&self, shard: &ShardIndex, gone: impl FnOnce(&ShardIndexTable) -> bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.get(shard).is_some_and(|kept| kept.table.as_deref().is_none_or(gone)) {
            kept.1 -= kept.0.remove(shard).map_or(0, |gone| gone.spans());
        }
    }

    fn keep(&self, shard: &ShardIndex, stamp: Stamp, table: Option<ShardIndexTable>) -> Option<Arc<ShardIndexTable>> {
        let table = table.map(Arc::new);
        let entry = KnownShard { stamp, table: table.clone() };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.1 + entry.spans() > MAX_SPANS {
            *kept = (HashMap::new(), 0);
        }
        kept.1 += entry.spans();
        if let Some(before) = kept.0.insert(shard.clone(), entry) {
            kept.1 -= before.spans();
        }
        table
    }
}

/// The index of a file that is held open.
fn read_pinned(array: &dyn StoredArray, key: &str, pinned: &Pinned) -> Result<Option<ShardIndexTable>> {
    let stamp = pinned.stamp();
    let read = |range: std::ops::Range<u64>| {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        pinned.read_into(range.start, &mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(array.index_part().range(stamp.size))?;
    read_index(array, key, &bytes, stamp, &read)
}
