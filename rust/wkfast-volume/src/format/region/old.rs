//! A shard as it was before it is rewritten.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::format::{MagArray, ShardIndexTable};
use crate::geometry::ShardIndex;

/// Bytes of a far shard that is read whole, at most. What takes its place is in memory, too.
const WHOLE: u64 = 512 << 20;

/// The index of a shard. If it is far, all of its bytes are read with the first that are asked for: nearly all of them are, and
/// each request takes its time. Where every chunk is written anew, none is read.
pub(super) struct OldShard {
    pub(super) table: ShardIndexTable,
    /// Bytes to read at once, none where single runs are.
    whole: u64,
    bytes: Mutex<Option<Arc<[u8]>>>,
}

impl OldShard {
    /// The shard, if there is one.
    pub(super) fn open(array: &dyn MagArray, shard: &ShardIndex) -> Result<Option<Self>> {
        let Some(table) = array.open_shard(shard)? else { return Ok(None) };
        let end = table.spans.iter().flatten().map(|span| span.end).max().unwrap_or(0);
        let whole = if array.store().is_far() && end <= WHOLE { end } else { 0 };
        Ok(Some(Self { table, whole, bytes: Mutex::default() }))
    }

    /// Hands some of its bytes to `take`.
    pub(super) fn read<T>(
        &self,
        array: &dyn MagArray,
        range: Range<u64>,
        take: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        if self.whole == 0 {
            return take(&array.store().read_range(&self.table.key, range)?);
        }
        take(&self.all(array)?[range.start as usize..range.end as usize])
    }

    fn all(&self, array: &dyn MagArray) -> Result<Arc<[u8]>> {
        // Threads that come meanwhile wait for the one that reads.
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*bytes {
            return Ok(Arc::clone(bytes));
        }
        let read: Arc<[u8]> = array.store().read_range(&self.table.key, 0..self.whole)?.into();
        Ok(Arc::clone(bytes.insert(read)))
    }
}
