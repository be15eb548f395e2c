//! A mag that tells tests how much of it was decoded.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::format::{
    ChunkCodec, EncodedChunk, IndexFile, Listing, MagArray, ShardFile, ShardIndexTable, ShardWriter, StoredArray,
};
use crate::geometry::{ChunkGrid, ChunkIndex, ShardIndex};
use crate::store::{Part, SharedStore};
use crate::voxels::VoxelType;

/// Counts what is decoded.
#[derive(Debug)]
struct Counted(Arc<dyn ChunkCodec>, Arc<AtomicUsize>);

impl ChunkCodec for Counted {
    fn encoding(&self) -> &str {
        self.0.encoding()
    }

    fn is_compressed(&self) -> bool {
        self.0.is_compressed()
    }

    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.decode(encoded, voxels)
    }

    fn encode(&self, voxels: &[u8]) -> Result<Vec<u8>, String> {
        self.0.encode(voxels)
    }
}

/// A mag that counts how many of its chunks are decoded.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) inner: Arc<dyn MagArray>,
    pub(super) decoded: Arc<AtomicUsize>,
}

impl Watched {
    fn watch(&self, codec: Arc<dyn ChunkCodec>) -> Arc<dyn ChunkCodec> {
        Arc::new(Counted(codec, self.decoded.clone()))
    }
}

impl MagArray for Watched {
    fn grid(&self) -> &ChunkGrid {
        self.inner.grid()
    }

    fn store(&self) -> &SharedStore {
        self.inner.store()
    }

    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn codec(&self) -> &Arc<dyn ChunkCodec> {
        self.inner.codec()
    }

    fn shard_key(&self, shard: &ShardIndex) -> String {
        self.inner.shard_key(shard)
    }

    fn list_shards(&self) -> Result<Listing> {
        self.inner.list_shards()
    }

    fn stored(&self) -> Option<&dyn StoredArray> {
        self.inner.stored().map(|_| self as _)
    }

    fn read_encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        let found = self.inner.read_encoded(chunk)?;
        Ok(found.map(|found| EncodedChunk { codec: self.watch(found.codec), ..found }))
    }

    fn metadata_like(&self, voxel_type: VoxelType, extent: [u64; 3], extra: &[u64]) -> Result<Vec<(String, Vec<u8>)>> {
        self.inner.metadata_like(voxel_type, extent, extra)
    }

    fn shard_writer<'f>(&self, file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>> {
        self.inner.shard_writer(file)
    }
}

impl Watched {
    fn files(&self) -> &dyn StoredArray {
        self.inner.stored().expect("a mag in files is watched")
    }
}

impl StoredArray for Watched {
    fn is_indexed(&self) -> bool {
        self.files().is_indexed()
    }

    fn index_part(&self) -> Part {
        self.files().index_part()
    }

    fn parse_index(&self, file: &IndexFile<'_>) -> Result<ShardIndexTable> {
        let table = self.files().parse_index(file)?;
        Ok(ShardIndexTable { codec: self.watch(table.codec), ..table })
    }

    fn longest_file(&self) -> u64 {
        self.files().longest_file()
    }

    fn chunk_in_file(&self, key: &str, bytes: &[u8]) -> Result<(Arc<dyn ChunkCodec>, Range<usize>)> {
        let (codec, range) = self.files().chunk_in_file(key, bytes)?;
        Ok((self.watch(codec), range))
    }
}
