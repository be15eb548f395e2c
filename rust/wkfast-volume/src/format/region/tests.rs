use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::cut::sticks;
use super::{IndexCache, read_large, read_region, read_region_with, region_bytes};
use crate::error::VolumeError;
use crate::format::open_files::{MAX_OPEN, MAX_OPEN_IN_ALL, Places};
use crate::format::testing::{memory, put_shard, shard_bytes, voxels};
use crate::format::wkw::{BlockType, Header, WkwArray};
use crate::format::zarr::ZarrArray;
use crate::format::{MagArray, read_encoded_by_index};
use crate::geometry::{BoundingBox, ChunkIndex, ShardIndex};
use crate::store::{CountingStore, DirectoryStore, MemoryStore, SharedStore, SlowStore};
use crate::voxels::VoxelType;
use crate::work::pool_of;

/// The obvious way: voxel by voxel, each from its chunk.
fn read_region_plainly(array: &dyn MagArray, region: &BoundingBox) -> Vec<u8> {
    let grid = array.grid();
    let voxel = grid.channels as usize * grid.voxel_type.size();
    let mut out = Vec::new();
    for z in 0..region.size[2] {
        for y in 0..region.size[1] {
            for x in 0..region.size[0] {
                let at = [region.topleft[0] + x, region.topleft[1] + y, region.topleft[2] + z];
                out.extend(voxel_at(array, at).unwrap_or_else(|| vec![0; voxel]));
            }
        }
    }
    out
}

fn voxel_at(array: &dyn MagArray, at: [i64; 3]) -> Option<Vec<u8>> {
    let grid = array.grid();
    let voxel = grid.channels as usize * grid.voxel_type.size();
    let [x, y, z] = at.map(|coordinate| u32::try_from(coordinate).ok());
    let (at, n) = ([x?, y?, z?], grid.chunk_shape);
    let chunk = ChunkIndex::xyz(at[0] / n[0], at[1] / n[1], at[2] / n[2]);
    let found = read_encoded_by_index(array, &chunk).unwrap()?;
    let mut voxels = vec![0; grid.chunk_bytes()];
    found.codec.decode(&found.bytes, &mut voxels).unwrap();
    let [x, y, z] = [0, 1, 2].map(|axis| (at[axis] % n[axis]) as usize);
    let place = x + n[0] as usize * (y + n[1] as usize * z);
    Some(voxels[place * voxel..(place + 1) * voxel].to_vec())
}

fn wkw(store: &Arc<MemoryStore>, log2_file_edge: u8) -> WkwArray {
    WkwArray::with_header(store.clone(), "1", header(log2_file_edge))
}

fn header(log2_file_edge: u8) -> Header {
    let (block_type, voxel_type) = (BlockType::Lz4, VoxelType::UInt16);
    Header { block_type, voxel_type, channels: 2, log2_block_edge: 2, log2_file_edge, data_offset: 0 }
}

fn zarr(store: &Arc<MemoryStore>, sharded: bool) -> ZarrArray {
    let inner = r#"{"name": "transpose", "configuration": {"order": [1, 3, 2, 0]}}, "bytes", "zstd""#;
    let sharding = format!(
        r#"{{"name": "sharding_indexed", "configuration": {{"chunk_shape": [1, 3, 4, 5], "codecs": [{inner}],
        "index_codecs": ["bytes", "crc32c"]}}}}"#
    );
    let (chunk, codecs) = if sharded { ("[1, 6, 8, 10]", sharding.as_str()) } else { ("[1, 3, 4, 5]", inner) };
    let metadata = format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [1, 9, 9, 9], "data_type": "uint32", "chunk_grid":
        {{"name": "regular", "configuration": {{"chunk_shape": {chunk}}}}}, "chunk_key_encoding": "default",
        "fill_value": 0, "codecs": [{codecs}]}}"#
    );
    store.insert("1/zarr.json", metadata.into_bytes()).unwrap();
    ZarrArray::open_v3(store.clone(), "1", None).unwrap()
}

/// Some chunks of the 2 × 2 × 2 shards at the origin, chosen by the bits of `seed`.
fn fill(array: &dyn MagArray, store: &MemoryStore, seed: u32) {
    let bytes = array.grid().chunk_bytes();
    for (n, (x, y, z)) in (0..2).flat_map(|z| (0..2).flat_map(move |y| (0..2).map(move |x| (x, y, z)))).enumerate() {
        if seed >> n & 1 == 1 {
            let chunks = 0..array.grid().chunks_in_shard() as u32;
            let chunks: Vec<_> = chunks.map(|place| Some(voxels(seed ^ place ^ n as u32, bytes))).collect();
            put_shard(array, store, &ShardIndex::xyz(x, y, z), &chunks);
        }
    }
}

fn arrays(seed: u32) -> Vec<Box<dyn MagArray>> {
    let stores = [memory(), memory(), memory(), memory()];
    let arrays: Vec<Box<dyn MagArray>> = vec![
        Box::new(wkw(&stores[0], 0)),
        Box::new(wkw(&stores[1], 1)),
        Box::new(zarr(&stores[2], false)),
        Box::new(zarr(&stores[3], true)),
    ];
    for (array, store) in arrays.iter().zip(&stores) {
        fill(&**array, store, seed);
    }
    arrays
}

fn read(array: &dyn MagArray, region: &BoundingBox) -> Vec<u8> {
    let mut out = vec![0; region_bytes(array.grid(), region).unwrap()];
    read_region(array, &[], region, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_box_equals_its_voxels_one_by_one(
        topleft in proptest::array::uniform3(-4..20_i64),
        size in proptest::array::uniform3(0..12_i64),
        seed: u32,
    ) {
        let region = BoundingBox { topleft, size };
        for array in arrays(seed) {
            let expected = read_region_plainly(&*array, &region);
            prop_assert_eq!(&read(&*array, &region), &expected, "{:?}", array.grid());
            let mut out = vec![0; expected.len()];
            let (cache, pool) = (IndexCache::default(), pool_of(2).unwrap());
            pool.install(|| read_large(&cache, &*array, sticks(array.grid(), &[], &region, &mut out))).unwrap();
            prop_assert_eq!(&out, &expected, "all chunks together, {:?}", array.grid());
            prop_assert_eq!(&read(&*far(&*array), &region), &expected, "far, {:?}", array.grid());
        }
    }
}

/// The same array in a store that answers late, in as many requests as are counted.
fn far(array: &dyn MagArray) -> Box<dyn MagArray> {
    let slow: SharedStore = Arc::new(SlowStore::new(array.store().clone(), Duration::ZERO, 8));
    if array.shape_file().is_some() {
        return Box::new(ZarrArray::open_v3(slow, "1", None).unwrap());
    }
    Box::new(WkwArray::with_header(slow, "1", header(array.grid().chunks_per_shard[0].ilog2() as u8)))
}

#[test]
fn a_box_of_a_far_mag_takes_two_rounds_of_requests_and_one_once_its_indexes_are_known() {
    let store = memory();
    fill(&zarr(&store, true), &store, 0x7f);
    let counting = Arc::new(CountingStore::new(Arc::new(SlowStore::new(store.clone(), Duration::ZERO, 8))));
    let array = ZarrArray::open_v3(counting.clone(), "1", None).unwrap();
    let (cache, region) = (IndexCache::default(), BoundingBox { topleft: [1, 1, 1], size: [10, 14, 18] });
    let asked = || {
        let (before, mut out) = (counting.counts(), vec![0; region_bytes(array.grid(), &region).unwrap()]);
        read_region_with(&cache, &array, &[], &region, &mut out).unwrap();
        let after = counting.counts();
        assert_eq!(after.lists, before.lists);
        [after.batches - before.batches, after.reads - before.reads, after.stats - before.stats]
    };
    let (shards, chunks) = (8, 7 * 8);
    assert_eq!(asked(), [2, shards + chunks, 0], "one shard is absent, which is known only once it was asked for");
    // What is absent may come to be: it is asked for again.
    assert_eq!(asked(), [2, 1 + chunks, 0]);
}

#[test]
fn a_far_shard_that_is_replaced_or_removed_is_read_as_it_is_now() {
    let store = memory();
    let model = zarr(&store, true);
    let array = far(&model);
    let (cache, region) = (IndexCache::default(), BoundingBox { topleft: [0; 3], size: [6, 8, 10] });
    let (one, other) = (voxels(1, 240), voxels(2, 240));
    let shard = ShardIndex::xyz(0, 0, 0);
    for chunks in [
        vec![Some(one.clone()); 8],
        [vec![Some(other.clone()); 3], vec![None; 5]].concat(),
        vec![None; 8],
        vec![Some(one.clone()); 8],
    ] {
        put_shard(&model, &store, &shard, &chunks);
        let mut out = vec![0; 4 * 480];
        read_region_with(&cache, &*array, &[], &region, &mut out).unwrap();
        assert_eq!(out, read_region_plainly(&model, &region));
    }
    store.remove(&model.shard_key(&shard));
    let mut out = vec![0; 4 * 480];
    read_region_with(&cache, &*array, &[], &region, &mut out).unwrap();
    assert_eq!(out, vec![0; 4 * 480]);
}

#[test]
fn far_and_negative_places_are_left_alone() {
    for array in arrays(0xff) {
        for topleft in [[-100; 3], [i64::from(u32::MAX) * 40, 0, 0], [1 << 45; 3], [0, -50, 0]] {
            let region = BoundingBox { topleft, size: [3, 4, 5] };
            assert!(read(&*array, &region).iter().all(|&byte| byte == 0), "{topleft:?}");
        }
    }
}

#[test]
fn each_shard_index_and_each_chunk_is_read_once() {
    let store = memory();
    let array = zarr(&store, true);
    fill(&array, &store, 0xff);
    let counting = Arc::new(CountingStore::new(store));
    let array = ZarrArray::open_v3(counting.clone(), "1", None).unwrap();
    let before = counting.counts();
    read(&array, &BoundingBox { topleft: [1, 1, 1], size: [10, 14, 18] });
    let counts = counting.counts();
    assert_eq!(counts.reads - before.reads, 8 + 64);
}

#[test]
fn a_kept_index_is_read_once_and_again_when_the_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, file) = (memory(), folder.path().join("1/c/0/0/0/0"));
    let model = zarr(&memory, true);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(folder.path().join("1/zarr.json"), store_bytes(&memory, "1/zarr.json")).unwrap();
    let write = |chunks: &[Option<Vec<u8>>]| std::fs::write(&file, shard_bytes(&model, chunks)).unwrap();
    write(&vec![Some(voxels(1, 240)); 8]);
    let counting = Arc::new(CountingStore::new(Arc::new(DirectoryStore::open(folder.path()).unwrap())));
    let array = ZarrArray::open_v3(counting.clone(), "1", None).unwrap();
    let cache = IndexCache::default();
    let read = |expected: Vec<u8>| {
        let before = counting.counts().reads;
        let region = BoundingBox { topleft: [0; 3], size: [3, 4, 5] };
        let mut out = vec![0; 240];
        read_region_with(&cache, &array, &[], &region, &mut out).unwrap();
        assert_eq!(out, expected);
        counting.counts().reads - before
    };
    assert_eq!([read(voxels(1, 240)), read(voxels(1, 240))], [2, 1]);
    write(&[vec![Some(voxels(2, 240)); 2], vec![None; 6]].concat());
    assert_eq!([read(voxels(2, 240)), read(voxels(2, 240))], [2, 1]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(read(vec![0; 240]), 0);
}

#[test]
fn a_corrupt_chunk_is_named() {
    let store = memory();
    let array = wkw(&store, 0);
    fill(&array, &store, 0xff);
    let mut file = store_bytes(&store, "1/z1/y0/x1.wkw");
    file[24] = 0xff;
    store.insert("1/z1/y0/x1.wkw", file).unwrap();
    let region = BoundingBox { topleft: [0; 3], size: [8; 3] };
    let error = read_region(&array, &[], &region, &mut vec![0; 2048]).unwrap_err();
    assert!(matches!(error, VolumeError::Corrupt { .. }));
    assert!(error.to_string().contains("1/z1/y0/x1.wkw, chunk (1, 0, 1)"), "{error}");
}

fn store_bytes(store: &MemoryStore, key: &str) -> Vec<u8> {
    crate::store::ReadStore::read(store, key, u64::MAX).unwrap().unwrap()
}

#[test]
fn impossible_requests_are_refused() {
    let array = wkw(&memory(), 0);
    let region = |size| BoundingBox { topleft: [0; 3], size };
    assert!(region_bytes(array.grid(), &region([i64::MAX, 2, 2])).is_err());
    assert!(region_bytes(array.grid(), &region([-1, -1, 2])).is_err());
    assert!(read_region(&array, &[], &region([1, 1, 1]), &mut [0; 5]).is_err());
    let far = BoundingBox { topleft: [i64::MAX, 0, i64::MIN], size: [1, 1, 1] };
    assert!(read_region(&array, &[], &far, &mut [0; 4]).unwrap_err().to_string().contains("beyond any layer"));
    assert!(read_region(&array, &[3], &region([1, 1, 1]), &mut [0; 4]).unwrap_err().to_string().contains("additional"));
}

#[test]
fn reads_together_hold_no_more_files_open_than_they_may() {
    static ALL: AtomicUsize = AtomicUsize::new(0);
    assert!(Places::take(&ALL, MAX_OPEN + 1).is_none());
    let held: Vec<_> = (0..MAX_OPEN_IN_ALL / MAX_OPEN).map(|_| Places::take(&ALL, MAX_OPEN).unwrap()).collect();
    assert!(Places::take(&ALL, 1).is_none());
    drop(held);
    assert!(Places::take(&ALL, MAX_OPEN).is_some());
    assert_eq!(ALL.load(Ordering::Relaxed), 0);
}
