//! Arrays that lie in files: what they say so that their indexes and chunks can be read together.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::open_files::MAX_OPEN;
use super::{ChunkCodec, IndexCache, MagArray, ShardIndexTable};
use crate::error::Result;
use crate::geometry::ShardIndex;
use crate::store::{Part, Stamp};

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
    /// Bytes of the file: most often among those that were read.
    pub fn read_range(&self, range: Range<u64>) -> Result<Cow<'a, [u8]>> {
        if range.start < self.part.start || range.end > self.part.end || range.start > range.end {
            return (self.more)(range).map(Cow::Owned);
        }
        let start = (range.start - self.part.start) as usize;
        let end = (range.end - self.part.start) as usize;
        Ok(Cow::Borrowed(&self.bytes[start..end]))
    }
}

/// The index of a file in the state `stamp` whose [part](StoredArray::index_part) is `bytes`; `None` if it holds nothing.
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
    let part = array.index_part().range(stamp.size);
    array.parse_index(&IndexFile { key, size: stamp.size, part, bytes, more }).map(Some)
}

/// Hands over the indexes of `shards` that are there, those of many shards read together. An array that is made while it
/// is read has none.
pub(crate) fn each_index(
    array: &dyn MagArray,
    shards: impl Iterator<Item = ShardIndex>,
    mut take: impl FnMut(&ShardIndex, &ShardIndexTable),
) -> Result<()> {
    let Some(stored) = array.stored() else { return Ok(()) };
    let shards: Vec<ShardIndex> = shards.collect();
    for shards in shards.chunks(MAX_OPEN) {
        let open = IndexCache::default().open_many(stored, shards)?;
        for (shard, open) in shards.iter().zip(&open) {
            if let Some(open) = open {
                take(shard, &open.table);
            }
        }
    }
    Ok(())
}
