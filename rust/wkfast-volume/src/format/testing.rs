//! What the tests of all formats share.

use std::io::{Read, Seek};
use std::sync::Arc;

use super::MagArray;
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::MemoryStore;

/// The bytes of a shard with the given voxels at each place, `None` where a chunk is absent.
pub(super) fn shard_bytes(array: &dyn MagArray, chunks: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = array.shard_writer(&mut file).unwrap();
    let order = writer.order().to_vec();
    for place in order {
        let encoded = chunks[place as usize].as_ref().map(|voxels| array.codec().encode(voxels).unwrap());
        writer.append(encoded.as_deref()).unwrap();
    }
    writer.finish().unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Puts a shard into the memory store that `array` reads.
pub(super) fn put_shard(array: &dyn MagArray, store: &MemoryStore, shard: &ShardIndex, chunks: &[Option<Vec<u8>>]) {
    store.insert(&array.shard_key(shard), shard_bytes(array, chunks)).unwrap();
}

/// The voxels of a chunk, read both by the shard's index and alone, which must agree.
pub(super) fn chunk_voxels(array: &dyn MagArray, chunk: &ChunkIndex) -> Option<Vec<u8>> {
    let (shard, place) = array.grid().locate(chunk);
    assert_eq!(&array.grid().chunk_at(&shard, place), chunk);
    let table = array.open_shard(&shard).unwrap();
    let by_index = table.and_then(|table| {
        let bytes = array.store().read_range(&table.key, table.spans[place].clone()?).unwrap();
        Some(decoded(array, &*table.codec, &bytes))
    });
    let alone = array.read_encoded(chunk).unwrap().map(|found| decoded(array, &*found.codec, &found.bytes));
    assert_eq!(by_index, alone);
    alone
}

fn decoded(array: &dyn MagArray, codec: &dyn super::ChunkCodec, bytes: &[u8]) -> Vec<u8> {
    let mut voxels = vec![0xee; array.grid().chunk_bytes()];
    codec.decode(bytes, &mut voxels).unwrap();
    voxels
}

/// Voxels that depend on chunk and place, part smooth and part noise.
pub(super) fn voxels(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|n| ((n / 9).wrapping_mul(seed | 1) >> 5) as u8 ^ if n % 7 == 0 { n as u8 } else { 0 })
        .collect()
}

/// A memory store, and the same as readers share it.
pub(super) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::default())
}
