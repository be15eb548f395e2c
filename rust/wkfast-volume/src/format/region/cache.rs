//! Indexes of shards, read once and kept: the index of a large shard outweighs a small box by far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::kept::KeptChunks;
use crate::error::Result;
use crate::format::{EncodedChunk, MagArray, ShardIndexTable};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::{Pinned, Stamp};

/// Spans kept at most: 64 MB of them. When they are more, all are let go.
const MAX_SPANS: usize = (64 << 20) / 24;

/// What was read of a shard, and the state of the file it was read from.
#[derive(Clone, Debug)]
struct Kept {
    stamp: Stamp,
    table: Option<Arc<ShardIndexTable>>,
}

/// A shard's index, and the file that it is the index of.
#[derive(Debug)]
pub struct OpenShard {
    /// The index.
    pub table: Arc<ShardIndexTable>,
    pinned: Option<Pinned>,
}

impl OpenShard {
    /// State of the file, where it is held open.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.pinned.as_ref().map(Pinned::stamp)
    }

    /// Fills `buffer` from `offset` of the shard's file on.
    pub fn read_into(&self, array: &dyn MagArray, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match &self.pinned {
            Some(pinned) => pinned.read_into(offset, buffer),
            None => array.store().read_into(&self.table.key, offset, buffer),
        }
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
    kept: Mutex<(HashMap<ShardIndex, Kept>, usize)>,
    pub(super) chunks: KeptChunks,
}

impl IndexCache {
    /// A file of one chunk, held open; `None` where there is none, or where the store holds none open.
    pub(super) fn open_file(array: &dyn MagArray, chunk: &ChunkIndex) -> Result<Option<OpenShard>> {
        let Some(pinned) = array.store().pin(&array.shard_key(chunk))? else { return Ok(None) };
        let table = array.open_pinned(chunk, &pinned)?;
        Ok(table.map(|table| OpenShard { table: Arc::new(table), pinned: Some(pinned) }))
    }

    /// The index of `shard` with its file, `None` where there is none. The file is held open as long as the result lives,
    /// so that another one that takes its place is never read by this index.
    pub fn open(&self, array: &dyn MagArray, shard: &ShardIndex) -> Result<Option<OpenShard>> {
        let key = array.shard_key(shard);
        let pinned = array.store().pin(&key)?;
        let stamp = match &pinned {
            Some(pinned) => Some(pinned.stamp()),
            None if array.store().pins() => None,
            None => array.store().stamp(&key)?,
        };
        let Some(stamp) = stamp else { return Ok(None) };
        if let Some(kept) = self.lookup(shard).filter(|kept| kept.stamp == stamp) {
            return Ok(kept.table.map(|table| OpenShard { table, pinned }));
        }
        let table = match &pinned {
            Some(pinned) => array.open_pinned(shard, pinned)?,
            None => array.open_shard(shard)?,
        };
        let table = table.map(Arc::new);
        self.keep(shard, Kept { stamp, table: table.clone() });
        Ok(table.map(|table| OpenShard { table, pinned }))
    }

    /// [`MagArray::read_encoded`] of many chunks, with the index of each shard read once.
    pub fn read_encoded(&self, array: &dyn MagArray, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        if array.grid().chunks_in_shard() == 1 {
            return array.read_encoded(chunk);
        }
        let (shard, place) = array.grid().locate(chunk);
        let Some(open) = self.open(array, &shard)? else { return Ok(None) };
        open.encoded(array, place)
    }

    fn lookup(&self, shard: &ShardIndex) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0.get(shard).cloned()
    }

    fn keep(&self, shard: &ShardIndex, entry: Kept) {
        let added = entry.table.as_ref().map_or(1, |table| table.spans.len());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.1 + added > MAX_SPANS {
            *kept = (HashMap::new(), 0);
        }
        kept.0.insert(shard.clone(), entry);
        kept.1 += added;
    }
}
