//! The mag that is read: which chunks it has, and their voxels.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Result, VolumeError};
use crate::format::{EncodedChunk, MagArray, ShardIndexTable};
use crate::geometry::{ChunkIndex, ShardIndex};

/// Spans of shard indexes kept at most, 24 bytes each. When they are more, all are let go.
const MAX_SPANS: usize = 1 << 20;

/// Index of a shard, `None` where there is no shard.
type Table = Option<Arc<ShardIndexTable>>;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = RefCell::default();
}

/// A mag open for reading, with the indexes of shards met lately.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) array: Arc<dyn MagArray>,
    tables: Mutex<(HashMap<ShardIndex, Table>, usize)>,
}

impl Source {
    pub(super) fn new(array: Arc<dyn MagArray>) -> Self {
        Self { array, tables: Mutex::default() }
    }

    /// The shards that have data.
    pub(super) fn shards(&self) -> Result<Vec<ShardIndex>> {
        if self.array.fill().is_some_and(|fill| fill.iter().any(|&byte| byte != 0)) {
            return Err(VolumeError::Unsupported {
                file: self.array.store().describe(self.array.prefix()),
                what: "has a fill value other than 0: its absent chunks cannot be told to the new mag; \
                       write its voxels into a new layer instead"
                    .to_owned(),
            });
        }
        Ok(self.array.list_shards()?.shards.into_iter().map(|(shard, _)| shard).collect())
    }

    /// Whether an absent chunk and one of zeros are different things in its files.
    pub(super) fn tells_absence(&self) -> bool {
        !self.is_indexed() || self.array.shape_file().is_some()
    }

    fn is_indexed(&self) -> bool {
        self.array.grid().chunks_in_shard() > 1
    }

    /// The index of a shard.
    pub(super) fn table(&self, shard: &ShardIndex) -> Result<Table> {
        if let Some(known) = self.lock().0.get(shard) {
            return Ok(known.clone());
        }
        let table = self.array.open_shard(shard)?.map(Arc::new);
        let spans = table.as_ref().map_or(1, |table| table.spans.len());
        let mut kept = self.lock();
        if kept.1 + spans > MAX_SPANS {
            *kept = (HashMap::new(), 0);
        }
        kept.0.insert(shard.clone(), table.clone());
        kept.1 += spans;
        Ok(table)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (HashMap<ShardIndex, Table>, usize)> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self, chunk: &ChunkIndex) -> Result<Option<(Arc<ShardIndexTable>, Range<u64>)>> {
        let (shard, place) = self.array.grid().locate(chunk);
        Ok(self.table(&shard)?.and_then(|table| table.spans[place].clone().map(|span| (table, span))))
    }

    /// Whether there is a chunk.
    pub(super) fn has(&self, chunk: &ChunkIndex) -> Result<bool> {
        if self.is_indexed() {
            return Ok(self.span(chunk)?.is_some());
        }
        Ok(self.array.store().size(&self.array.shard_key(chunk))?.is_some_and(|size| size > 0))
    }

    /// The bytes of a chunk as they lie in its file.
    pub(super) fn encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        if !self.is_indexed() {
            return self.array.read_encoded(chunk);
        }
        let Some((table, span)) = self.span(chunk)? else { return Ok(None) };
        let bytes = self.array.store().read_range(&table.key, span)?;
        Ok(Some(EncodedChunk { key: table.key.clone(), codec: Arc::clone(&table.codec), bytes }))
    }

    /// Decodes a chunk into `voxels` and tells whether there is one.
    pub(super) fn read(&self, chunk: &ChunkIndex, voxels: &mut Vec<u8>) -> Result<bool> {
        voxels.resize(self.array.grid().chunk_bytes(), 0);
        if !self.is_indexed() {
            let Some(found) = self.array.read_encoded(chunk)? else { return Ok(false) };
            found.codec.decode(&found.bytes, voxels).map_err(|reason| self.corrupt(&found.key, reason, chunk))?;
            return Ok(true);
        }
        let Some((table, span)) = self.span(chunk)? else { return Ok(false) };
        ENCODED.with_borrow_mut(|encoded| {
            encoded.resize((span.end - span.start) as usize, 0);
            self.array.store().read_into(&table.key, span.start, encoded)?;
            table.codec.decode(encoded, voxels).map_err(|reason| self.corrupt(&table.key, reason, chunk))
        })?;
        Ok(true)
    }

    fn corrupt(&self, key: &str, reason: String, chunk: &ChunkIndex) -> VolumeError {
        VolumeError::corrupt(self.array.store().describe(key), reason).at_chunk(chunk)
    }
}
