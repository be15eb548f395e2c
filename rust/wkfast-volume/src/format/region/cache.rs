//! Indexes of shards, read once and kept: the index of a large shard outweighs a small box by far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::format::{EncodedChunk, MagArray, ShardIndexTable};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::Stamp;

/// Spans kept at most: 64 MB of them. When they are more, all are let go.
const MAX_SPANS: usize = (64 << 20) / 24;

/// What was read of a shard, and the state of the file it was read from.
#[derive(Clone, Debug)]
struct Kept {
    stamp: Stamp,
    table: Option<Arc<ShardIndexTable>>,
}

/// The indexes of one mag's shards. A file that has changed is read again.
#[derive(Debug, Default)]
pub struct IndexCache {
    kept: Mutex<(HashMap<ShardIndex, Kept>, usize)>,
}

impl IndexCache {
    /// The index of `shard`, `None` where there is none.
    pub(in crate::format) fn open(
        &self,
        array: &dyn MagArray,
        shard: &ShardIndex,
    ) -> Result<Option<Arc<ShardIndexTable>>> {
        let Some(stamp) = array.store().stamp(&array.shard_key(shard))? else { return Ok(None) };
        if let Some(kept) = self.lookup(shard).filter(|kept| kept.stamp == stamp) {
            return Ok(kept.table);
        }
        let table = array.open_shard(shard)?.map(Arc::new);
        self.keep(shard, Kept { stamp, table: table.clone() });
        Ok(table)
    }

    /// [`MagArray::read_encoded`] of many chunks, with the index of each shard read once.
    pub fn read_encoded(&self, array: &dyn MagArray, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        if array.grid().chunks_in_shard() == 1 {
            return array.read_encoded(chunk);
        }
        let (shard, place) = array.grid().locate(chunk);
        let Some(table) = self.open(array, &shard)? else { return Ok(None) };
        let Some(span) = table.spans[place].clone() else { return Ok(None) };
        let bytes = array.store().read_range(&table.key, span)?;
        Ok(Some(EncodedChunk { key: table.key.clone(), codec: Arc::clone(&table.codec), bytes }))
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
