//! Chunks that are read before they are needed.

use std::collections::HashMap;

use crate::error::Result;
use crate::format::{EncodedChunk, IndexCache, MagArray, fetch_chunks};
use crate::geometry::ChunkIndex;

/// Chunks of a far store that are read before they are needed, many at once. Of a near one none are: there, reading a
/// chunk when it is needed takes no longer, and no memory.
#[derive(Debug, Default)]
pub(crate) struct Ahead(HashMap<ChunkIndex, Option<EncodedChunk>>);

impl Ahead {
    /// Reads `chunks`, if they are far.
    pub(super) fn of(
        array: &dyn MagArray,
        indexes: &IndexCache,
        chunks: impl Iterator<Item = ChunkIndex>,
    ) -> Result<Self> {
        if !array.store().is_far() {
            return Ok(Self::default());
        }
        let mut chunks: Vec<ChunkIndex> = chunks.collect();
        chunks.sort_unstable();
        chunks.dedup();
        let found = fetch_chunks(array, indexes, &chunks)?;
        Ok(Self(chunks.into_iter().zip(found).collect()))
    }

    /// The same, with chunks that are known to be absent.
    pub(super) fn without(mut self, absent: Vec<ChunkIndex>) -> Self {
        self.0.extend(absent.into_iter().map(|chunk| (chunk, None)));
        self
    }

    /// What was read of a chunk; `None` if nobody tried.
    pub(crate) fn find(&self, chunk: &ChunkIndex) -> Option<&Option<EncodedChunk>> {
        self.0.get(chunk)
    }
}
