//! A shard as it was before it is rewritten.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::format::{MagArray, ShardIndexTable};
use crate::geometry::ShardIndex;

/// Bytes of a far shard that is read whole, at most. What takes its place is in memory, too.
const WHOLE: u64 = 512 << 20;

/// The index of a shard, and its bytes if it is far: nearly all of them are read, and each request takes its time.
pub(super) struct OldShard {
    pub(super) table: ShardIndexTable,
    bytes: Option<Vec<u8>>,
}

impl OldShard {
    /// The shard, if there is one.
    pub(super) fn open(array: &dyn MagArray, shard: &ShardIndex) -> Result<Option<Self>> {
        let Some(table) = array.open_shard(shard)? else { return Ok(None) };
        let end = table.spans.iter().flatten().map(|span| span.end).max().unwrap_or(0);
        let is_read = array.store().is_far() && (1..=WHOLE).contains(&end);
        let bytes = if is_read { Some(array.store().read_range(&table.key, 0..end)?) } else { None };
        Ok(Some(Self { table, bytes }))
    }

    /// Some of its bytes.
    pub(super) fn read(&self, array: &dyn MagArray, range: Range<u64>) -> Result<Cow<'_, [u8]>> {
        match &self.bytes {
            Some(bytes) => Ok(Cow::Borrowed(&bytes[range.start as usize..range.end as usize])),
            None => Ok(Cow::Owned(array.store().read_range(&self.table.key, range)?)),
        }
    }
}
