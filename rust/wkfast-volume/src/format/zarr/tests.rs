#![allow(clippy::needless_pass_by_value)] // json! makes values, and so it reads

use std::io::{Read, Seek, Write};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::ZarrArray;
use crate::error::VolumeError;
use crate::format::MagArray;
use crate::format::testing::{chunk_voxels, memory, put_shard, shard_bytes, voxels};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::MemoryStore;
use crate::voxels::VoxelType;

fn open_v3(metadata: &Value) -> (Arc<MemoryStore>, Result<ZarrArray, VolumeError>) {
    let store = memory();
    store.insert("1/zarr.json", metadata.to_string().into_bytes()).unwrap();
    let array = ZarrArray::open_v3(store.clone(), "1", None);
    (store, array)
}

fn f_order() -> Value {
    json!({"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}})
}

fn little() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn metadata(data_type: &str, chunk_shape: Value, codecs: Value) -> Value {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": [chunk_shape[0], 100, 100, 100], "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": codecs,
        "dimension_names": ["c", "x", "y", "z"],
    })
}

fn sharded(chunk_shape: Value, codecs: Value, location: &str) -> Value {
    json!([{"name": "sharding_indexed", "configuration": {
        "chunk_shape": chunk_shape, "codecs": codecs, "index_codecs": [little(), {"name": "crc32c"}],
        "index_location": location,
    }}])
}

#[test]
fn a_shard_written_by_hand_reads_as_specified() {
    // Two chunks of 1 × 1 × 1 × 2 voxels along x and z, z fastest in the index; the last one is absent.
    let (store, array) = open_v3(&metadata(
        "uint8",
        json!([1, 2, 1, 4]),
        sharded(json!([1, 1, 1, 2]), json!([f_order(), "bytes"]), "end"),
    ));
    let array = array.unwrap();
    let mut file = vec![1, 2, 3, 4, 5, 6];
    for entry in [[4_u64, 2], [0, 2], [2, 2], [u64::MAX, u64::MAX]].concat() {
        file.extend(entry.to_le_bytes());
    }
    file.extend(crc32c::crc32c(&file[6..]).to_le_bytes());
    store.insert("1/c/0/0/0/1", file.clone()).unwrap();
    let expected = [
        ((0, 0, 2), Some(vec![5, 6])),
        ((0, 0, 3), Some(vec![1, 2])),
        ((1, 0, 2), Some(vec![3, 4])),
        ((1, 0, 3), None),
    ];
    for ((x, y, z), voxels) in expected {
        assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(x, y, z)), voxels);
    }
    assert_eq!(array.list_shards().unwrap().shards, [(ShardIndex::xyz(0, 0, 1), 74)]);
    assert_eq!(array.shard_key(&ShardIndex::xyz(3, 4, 5)), "1/c/0/3/4/5");
}

#[test]
fn equal_chains_share_an_encoding_and_others_do_not() {
    let encoding = |codecs: Value| {
        let (_, array) = open_v3(&metadata("uint32", json!([1, 4, 4, 4]), codecs));
        array.unwrap().codec().encoding().to_owned()
    };
    let zstd = |level: u32| json!({"name": "zstd", "configuration": {"level": level, "checksum": level > 3}});
    let base = encoding(json!([f_order(), little(), zstd(5)]));
    assert_eq!(base, "zstd");
    assert_eq!(base, encoding(json!([f_order(), "bytes", zstd(1)])));
    assert_eq!(
        base,
        encoding(json!([{"name": "transpose", "configuration": {"order": "F"}}, {"name": "endian"}, zstd(1)]))
    );
    assert_eq!(base, encoding(sharded(json!([1, 2, 2, 2]), json!([f_order(), little(), zstd(3)]), "start")));
    assert_eq!(encoding(json!([little(), zstd(5)])), "cxyz, zstd");
    assert_eq!(encoding(json!([f_order(), {"name": "bytes", "configuration": {"endian": "big"}}])), "big endian");
    assert_eq!(encoding(json!([f_order(), little()])), "raw");
    assert_eq!(encoding(json!([f_order(), little(), zstd(5), "crc32c"])), "zstd, crc32c");
}

/// The three ways in which WEBKNOSSOS has spelt an annotation's Zarr v3 array.
fn dialect(encoding: &str, declares_blosc: bool) -> Value {
    let blosc = json!({"name": "blosc", "configuration":
        {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 1, "blocksize": 0}});
    let mut codecs = vec![json!({"name": "transpose", "configuration": {"order": "F"}}), little()];
    codecs.extend(declares_blosc.then_some(blosc));
    let mut metadata = metadata("uint32", json!([1, 32, 32, 32]), json!(codecs));
    metadata["chunk_key_encoding"] = json!({"name": encoding, "configuration": {"separator": "."}});
    metadata["shape"] = json!([1, 10, 10, 10]);
    metadata
}

#[test]
fn all_three_dialects_of_annotations_are_read_and_their_shape_bounds_nothing() {
    let (_, writer) = open_v3(&dialect("default", true));
    let expected = voxels(3, 131_072);
    let payload = shard_bytes(&writer.unwrap(), &[Some(expected.clone())]);
    for (declared, declares_blosc, name) in
        [("default", true, "c.0.7.8.9"), ("v2", false, "c.0.7.8.9"), ("v2", true, "0.7.8.9")]
    {
        let store = memory();
        store.insert("v/1/zarr.json", dialect(declared, declares_blosc).to_string().into_bytes()).unwrap();
        store.insert(&format!("v/1/{name}"), payload.clone()).unwrap();
        let array = ZarrArray::open_v3(store, "v/1", None).unwrap();
        assert_eq!(array.list_shards().unwrap().shards, [(ShardIndex::xyz(7, 8, 9), payload.len() as u64)]);
        assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(7, 8, 9)).as_ref(), Some(&expected), "{name}");
        assert_eq!(array.codec().encoding(), "blosc");
    }
}

#[test]
fn a_copy_is_described_without_legacy_spellings() {
    let store = memory();
    store.insert("1/zarr.json", dialect("v2", false).to_string().into_bytes()).unwrap();
    let (_, writer) = open_v3(&dialect("default", true));
    store.insert("1/c.0.1.2.3", shard_bytes(&writer.unwrap(), &[Some(voxels(3, 131_072))])).unwrap();
    let array = ZarrArray::open_v3(store, "1", None).unwrap();
    let files = array.metadata_like(VoxelType::UInt64, [64, 5, 96], &[]).unwrap();
    let like: Value = serde_json::from_slice(&files[0].1).unwrap();
    let blosc = json!({"name": "blosc", "configuration":
        {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 1, "blocksize": 0}});
    assert_eq!(like["codecs"], json!([f_order(), little(), blosc]));
    assert_eq!(like["chunk_key_encoding"], json!({"name": "default", "configuration": {"separator": "."}}));
    assert_eq!((&like["shape"], &like["data_type"]), (&json!([1, 64, 10, 96]), &json!("uint64")));
    let again = open_v3(&like).1.unwrap();
    assert_eq!((again.codec().encoding(), again.grid().voxel_type), ("blosc", VoxelType::UInt64));
}

#[test]
fn a_v2_copy_keeps_its_order_and_byte_order() {
    let store = memory();
    let zarray = json!({"zarr_format": 2, "shape": [1, 2, 3, 1], "chunks": [1, 2, 3, 1], "dtype": ">u2", "order": "F",
        "compressor": {"id": "zstd", "level": 5}, "fill_value": 0, "dimension_seperator": "/"});
    store.insert(".zarray", zarray.to_string().into_bytes()).unwrap();
    let array = ZarrArray::open_v2(store.clone(), "", None).unwrap();
    let files = array.metadata_like(VoxelType::UInt32, [1, 9, 1], &[]).unwrap();
    store.insert(&files[0].0, files[0].1.clone()).unwrap();
    let like = ZarrArray::open_v2(store, "", None).unwrap();
    assert_eq!((like.codec().encoding(), like.grid().voxel_type), ("big endian, zstd", VoxelType::UInt32));
    assert_eq!(like.metadata["shape"], json!([1, 2, 9, 1]));
    assert_eq!(like.shard_key(&ShardIndex::xyz(1, 2, 3)), "0/1/2/3");
}

#[test]
fn undeclared_blosc_is_not_seen_in_raw_chunks() {
    let store = memory();
    store.insert("1/zarr.json", dialect("v2", false).to_string().into_bytes()).unwrap();
    store.insert("1/0.1.2.3", voxels(1, 131_072)).unwrap();
    let array = ZarrArray::open_v3(store, "1", None).unwrap();
    assert_eq!(array.codec().encoding(), "raw");
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(1, 2, 3)), Some(voxels(1, 131_072)));
}

#[test]
fn additional_axes_are_carried_in_chunk_indices() {
    let mut metadata = metadata(
        "uint8",
        json!([1, 1, 2, 2, 2]),
        json!([{"name": "transpose", "configuration": {"order": "F"}}, "bytes"]),
    );
    metadata["shape"] = json!([1, 5, 9, 9, 9]);
    metadata["dimension_names"] = json!(["c", "t", "x", "y", "z"]);
    let (store, array) = open_v3(&metadata);
    store.insert("1/c/0/4/1/2/3", voxels(1, 8)).unwrap();
    let array = array.unwrap();
    let chunk = ChunkIndex { extra: [4].into(), xyz: [1, 2, 3] };
    assert_eq!(chunk_voxels(&array, &chunk), Some(voxels(1, 8)));
    assert_eq!(array.list_shards().unwrap().shards, [(chunk, 8)]);
    assert_eq!(array.grid().extra_axes, ["t"]);
}

#[test]
fn metadata_that_cannot_be_used_are_refused_with_their_reason() {
    let plain = || metadata("uint32", json!([1, 4, 4, 4]), json!([f_order(), little()]));
    let with = |key: &str, value: Value| {
        let mut changed = plain();
        changed[key] = value;
        changed
    };
    let shape = |shape: Value| with("chunk_grid", json!({"name": "regular", "configuration": {"chunk_shape": shape}}));
    let mut cut_in_shards = with("codecs", sharded(json!([1, 2, 2, 2]), json!([little()]), "end"));
    cut_in_shards["shape"] = json!([3, 9, 9, 9]);
    let cases = [
        (json!({}), "missing field"),
        (with("storage_transformers", json!(["encryption"])), "storage transformer encryption"),
        (with("mirrored", json!(true)), "extension that wkfast does not know"),
        (with("node_type", json!("group")), "describes a group"),
        (with("zarr_format", json!(4)), "version 4"),
        (with("data_type", json!("complex64")), "data type complex64"),
        (with("fill_value", json!(-7)), "fill_value -7 is no uint32"),
        (with("fill_value", json!("NaN")), "fill_value"),
        (with("chunk_grid", json!("rectilinear")), "chunk grid rectilinear"),
        (with("chunk_key_encoding", json!("suffix")), "key encoding suffix"),
        (with("chunk_key_encoding", json!({"name": "v2", "configuration": {"separator": "_"}})), "separator is \"_\""),
        (with("codecs", json!([])), "lack \"bytes\""),
        (with("codecs", json!([little(), "lzma"])), "codec lzma"),
        (
            with("codecs", json!([{"name": "transpose", "configuration": {"order": [0, 1, 2]}}, little()])),
            "does not permute 4",
        ),
        (
            with("codecs", json!([{"name": "transpose", "configuration": {"order": [0, 0, 1, 2]}}, little()])),
            "does not permute 4",
        ),
        (with("codecs", sharded(json!([1, 3, 2, 2]), json!([little()]), "end")), "do not divide"),
        (with("codecs", sharded(json!([1, 0, 2, 2]), json!([little()]), "end")), "do not divide"),
        (with("codecs", sharded(json!([1, 2, 2]), json!([little()]), "end")), "does not have 4 axes"),
        (with("codecs", sharded(json!([1, 2, 2, 2]), json!([little()]), "middle")), "index_location"),
        (with("dimension_names", json!(["c", "x", "y", "y"])), "two axes"),
        (shape(json!([1, 4, 4])), "does not fit 4 axes"),
        (shape(json!([1, 0, 4, 4])), "does not fit 4 axes"),
        (shape(json!([1, 4_294_967_295_u32, 4_294_967_295_u32, 4_294_967_295_u32])), "exceed"),
        (shape(json!([1, -4, 4, 4])), "chunk_shape"),
        (cut_in_shards, "channels cut into several chunks"),
    ];
    for (metadata, reason) in cases {
        let error = open_v3(&metadata).1.unwrap_err().to_string();
        assert!(error.contains("1/zarr.json") && error.contains(reason), "{reason}: {error}");
    }
    let huge = sharded(json!([1, 1, 1, 1]), json!([little()]), "end");
    let mut absurd = metadata("uint8", json!([1, 4_000_000, 4_000, 4_000]), huge);
    absurd["shape"] = json!([1, 1, 1, 1]);
    assert!(open_v3(&absurd).1.unwrap_err().to_string().contains("exceed 16777216 chunks"));
    assert!(matches!(ZarrArray::open_v3(memory(), "1", None), Err(VolumeError::Missing { .. })));
}

#[test]
fn files_of_channels_are_one_chunk() {
    let mut cut = metadata("uint16", json!([2, 2, 1, 1]), json!([f_order(), little()]));
    cut["shape"] = json!([3, 4, 1, 1]);
    cut["fill_value"] = json!(9);
    let (store, array) = open_v3(&cut);
    let array = array.unwrap();
    // Channels 0 and 1 of two voxels; 2 and padding; of the second chunk only the latter.
    store.insert("1/c/0/0/0/0", vec![1, 0, 2, 0, 3, 0, 4, 0]).unwrap();
    store.insert("1/c/1/0/0/0", vec![5, 0, 7, 7, 6, 0, 7, 7]).unwrap();
    store.insert("1/c/1/1/0/0", vec![5, 0, 7, 7, 6, 0, 7, 7]).unwrap();
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(0, 0, 0)), Some(vec![1, 0, 2, 0, 5, 0, 3, 0, 4, 0, 6, 0]));
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(1, 0, 0)), Some(vec![9, 0, 9, 0, 5, 0, 9, 0, 9, 0, 6, 0]));
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(2, 0, 0)), None);
    let mut listed = array.list_shards().unwrap().shards;
    listed.sort();
    assert_eq!(listed, [(ShardIndex::xyz(0, 0, 0), 16 + 16), (ShardIndex::xyz(1, 0, 0), 16 + 8)]);
    let sizes = ["1/c/0/0/0/0", "1/c/0/1/0/0", "1/c/0/2/0/0"].map(|key| array.store.size(key).unwrap());
    assert_eq!(sizes, [Some(16 + 16), Some(16 + 8), None]);
    // Two files of two channels of two voxels each, and their lengths.
    assert_eq!(array.longest_chunk(), 16 + 2 * super::longest_encoded(8));
    assert!(array.check_current().unwrap_err().to_string().contains("does not write them"));
    // What is modelled on it has all channels in each chunk.
    let like: Value =
        serde_json::from_slice(&array.metadata_like(VoxelType::UInt16, [4, 1, 1], &[]).unwrap()[0].1).unwrap();
    assert_eq!(like["chunk_grid"]["configuration"]["chunk_shape"], json!([3, 2, 1, 1]));
    assert!(open_v3(&like).1.unwrap().check_writable().is_ok());
}

#[test]
fn joined_files_that_are_cut_off_are_refused() {
    let mut cut = metadata("uint8", json!([1, 2, 1, 1]), json!([f_order(), little()]));
    cut["shape"] = json!([2, 2, 1, 1]);
    let (store, array) = open_v3(&cut);
    let array = array.unwrap();
    store.insert("1/c/0/0/0/0", vec![1, 2]).unwrap();
    store.insert("1/c/1/0/0/0", vec![3, 4]).unwrap();
    let chunk = array.read_encoded(&ChunkIndex::xyz(0, 0, 0)).unwrap().unwrap();
    let mut voxels = [0; 4];
    for length in 0..chunk.bytes.len() {
        assert!(chunk.codec.decode(&chunk.bytes[..length], &mut voxels).is_err(), "{length}");
    }
    chunk.codec.decode(&chunk.bytes, &mut voxels).unwrap();
    assert_eq!(voxels, [1, 3, 2, 4]);
}

#[test]
fn a_damaged_shard_is_reported_with_file_and_reason() {
    for location in ["start", "end"] {
        let (store, array) = open_v3(&metadata(
            "uint16",
            json!([1, 8, 8, 8]),
            sharded(json!([1, 4, 4, 4]), json!([f_order(), little(), "crc32c"]), location),
        ));
        let array = array.unwrap();
        let chunks: Vec<_> = (0..8).map(|place| (place != 3).then(|| voxels(place, 128))).collect();
        let whole = shard_bytes(&array, &chunks);
        let index_at = if location == "start" { 0 } else { whole.len() - 132 };
        let change = |at: usize, value: u8| {
            let mut bytes = whole.clone();
            bytes[at] = value;
            bytes
        };
        let forge = |offset: u64, length: u64| {
            let mut bytes = whole.clone();
            bytes[index_at..index_at + 8].copy_from_slice(&offset.to_le_bytes());
            bytes[index_at + 8..index_at + 16].copy_from_slice(&length.to_le_bytes());
            let sum = crc32c::crc32c(&bytes[index_at..index_at + 128]);
            bytes[index_at + 128..index_at + 132].copy_from_slice(&sum.to_le_bytes());
            bytes
        };
        for (bytes, reason) in [
            (whole[..100].to_vec(), "index alone needs 132"),
            (change(index_at + 3, 9), "have the checksum"),
            (forge(whole.len() as u64, 1), "at byte"),
            (forge(0, u64::MAX), "at byte"),
            (forge(u64::MAX, 1), "at byte"),
            (forge(u64::MAX - 3, 9), "at byte"),
        ] {
            store.insert("1/c/0/0/0/0", bytes).unwrap();
            let error = array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap_err().to_string();
            assert!(error.contains("1/c/0/0/0/0") && error.contains(reason), "{location} {reason}: {error}");
        }
        store.insert("1/c/0/0/0/0", whole).unwrap();
        assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(1, 1, 0)), None);
    }
}

#[test]
fn shards_copy_runs_and_refuse_wrong_counts() {
    let (_, array) = open_v3(&metadata(
        "uint8",
        json!([1, 4, 4, 4]),
        sharded(json!([1, 2, 2, 2]), json!([f_order(), little()]), "end"),
    ));
    let array = array.unwrap();
    let chunks: Vec<_> = (0..8).map(|place| Some(voxels(place, 8))).collect();
    let original = shard_bytes(&array, &chunks);
    let (mut source, mut target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    source.write_all(&original).unwrap();
    let mut writer = array.shard_writer(&mut target).unwrap();
    let spans: Vec<_> = (0..8).map(|n| n * 8..n * 8 + 8).collect();
    writer.append_run(&mut source, &spans[..5]).unwrap();
    writer.append(Some(&original[40..48])).unwrap();
    writer.append_run(&mut source, &spans[6..]).unwrap();
    assert!(writer.append(None).is_err());
    writer.finish().unwrap();
    let mut copy = Vec::new();
    target.rewind().unwrap();
    target.read_to_end(&mut copy).unwrap();
    assert_eq!(copy, original);
    assert!(array.shard_writer(&mut tempfile::tempfile().unwrap()).unwrap().finish().is_err());
}

#[test]
fn a_shard_may_be_written_in_any_order_that_has_every_place_once() {
    for location in ["start", "end"] {
        let codecs = sharded(json!([1, 2, 2, 2]), json!([f_order(), little()]), location);
        let (store, array) = open_v3(&metadata("uint8", json!([1, 4, 4, 4]), codecs));
        let array = array.unwrap();
        let places = array.grid().chunks_in_shard() as u32;
        let chunks: Vec<_> =
            (0..places).map(|place| (place % 3 > 0).then(|| voxels(place, array.grid().chunk_bytes()))).collect();
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = array.shard_writer(&mut file).unwrap();
        assert!(writer.prefer_order(vec![0; places as usize]).is_err());
        assert!(writer.prefer_order((1..places).collect()).is_err());
        writer.prefer_order((0..places).rev().collect()).unwrap();
        for place in (0..places).rev() {
            let encoded = chunks[place as usize].as_ref().map(|voxels| array.codec().encode(voxels).unwrap());
            writer.append(encoded.as_deref()).unwrap();
        }
        assert!(writer.prefer_order((0..places).collect()).is_err());
        writer.finish().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let shard = ShardIndex::xyz(0, 0, 0);
        store.insert(&array.shard_key(&shard), bytes).unwrap();
        for (place, expected) in chunks.iter().enumerate() {
            assert_eq!(&chunk_voxels(&array, &array.grid().chunk_at(&shard, place)), expected);
        }
    }
}

#[test]
fn a_single_chunk_file_takes_one_chunk() {
    let (_, array) = open_v3(&metadata("uint8", json!([1, 2, 2, 2]), json!([f_order(), little()])));
    let array = array.unwrap();
    let mut file = tempfile::tempfile().unwrap();
    assert!(array.shard_writer(&mut file).unwrap().finish().is_err());
    let mut writer = array.shard_writer(&mut file).unwrap();
    assert!(writer.append(None).is_err());
    assert!(writer.append(Some(&[0; 8])).is_err());
}

#[test]
fn a_v2_array_reads_in_either_order_and_byte_order() {
    let zarray = |order: &str, dtype: &str, separator: Value| {
        json!({"zarr_format": 2, "shape": [1, 2, 3, 1], "chunks": [1, 2, 3, 1], "dtype": dtype, "order": order,
            "compressor": null, "filters": null, "fill_value": 0, "dimension_separator": separator})
    };
    let stored = [0_u8, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6];
    let transposed = [1_u8, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0];
    let little = [1_u8, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0];
    for (order, dtype, separator, name, bytes, expected) in [
        ("F", "<u2", json!("/"), "0/0/0/0", &little, &little),
        ("F", ">u2", json!("."), "0.0.0.0", &stored, &little),
        ("C", ">i2", json!(null), "0.0.0.0", &stored, &transposed),
    ] {
        let store = memory();
        store.insert(".zarray", zarray(order, dtype, separator).to_string().into_bytes()).unwrap();
        store.insert(name, bytes.to_vec()).unwrap();
        let array = ZarrArray::open_v2(store, "", None).unwrap();
        assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(0, 0, 0)).unwrap(), expected, "{order} {dtype}");
    }
}

/// A random array: type, lengths of chunks and shards, order of axes, codecs.
fn any_metadata() -> impl Strategy<Value = Value> {
    let compressors = vec![
        json!(null),
        json!({"name": "zstd", "configuration": {"level": 1, "checksum": true}}),
        json!({"name": "gzip", "configuration": {"level": 1}}),
        json!({"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 0}}),
    ];
    (
        proptest::sample::select(&VoxelType::ALL),
        (1_u32..3, 1_u32..5, 1_u32..5, 1_u32..5),
        (1_u32..4, 1_u32..3, 1_u32..4),
        Just(vec![0_u32, 1, 2, 3]).prop_shuffle(),
        proptest::sample::select(compressors),
        (any::<bool>(), any::<bool>(), any::<bool>(), proptest::sample::select(vec!["start", "end"])),
        proptest::sample::select(vec!["/", "."]),
    )
        .prop_map(|(voxel_type, inner, shard, order, compressor, (big, crc, sharding, location), separator)| {
            let (c, x, y, z) = inner;
            let mut codecs = vec![
                json!({"name": "transpose", "configuration": {"order": order}}),
                json!({"name": "bytes", "configuration": {"endian": if big { "big" } else { "little" }}}),
            ];
            codecs.extend((!compressor.is_null()).then_some(compressor));
            codecs.extend(crc.then(|| json!({"name": "crc32c"})));
            let chunk = json!([c, x, y, z]);
            let mut metadata = if sharding {
                let outer = json!([c, x * shard.0, y * shard.1, z * shard.2]);
                metadata(voxel_type.name(), outer, sharded(chunk, json!(codecs), location))
            } else {
                metadata(voxel_type.name(), chunk, json!(codecs))
            };
            metadata["chunk_key_encoding"] = json!({"name": "default", "configuration": {"separator": separator}});
            if voxel_type.name().starts_with("float") {
                metadata["fill_value"] = json!(0.0);
            }
            metadata
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_array_round_trips(metadata in any_metadata(), seed: u32) {
        let (store, array) = open_v3(&metadata);
        let array = array.unwrap();
        let bytes = array.grid().chunk_bytes();
        let places = array.grid().chunks_in_shard() as u32;
        let single = places == 1;
        let chunks: Vec<_> = (0..places).map(|n| (single || (seed >> (n % 32)) & 1 == 1).then(|| voxels(seed ^ n, bytes))).collect();
        let shard = ShardIndex::xyz(seed % 7, 3, 0);
        put_shard(&array, &store, &shard, &chunks);
        for (place, expected) in chunks.iter().enumerate() {
            prop_assert_eq!(&chunk_voxels(&array, &array.grid().chunk_at(&shard, place)), expected);
        }
        prop_assert_eq!(array.list_shards().unwrap().shards[0].0.clone(), shard);
    }

    #[test]
    fn damaged_shards_never_panic(at in 0..2000_usize, value: u8, cut in 0..200_usize) {
        let (store, array) = open_v3(&metadata(
            "uint16", json!([1, 8, 8, 8]), sharded(json!([1, 4, 4, 4]), json!([f_order(), little(), "zstd"]), "end")));
        let array = array.unwrap();
        let chunks: Vec<_> = (0..8).map(|place| Some(voxels(place, 128))).collect();
        let mut bytes = shard_bytes(&array, &chunks);
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(length - cut);
        store.insert("1/c/0/0/0/0", bytes).unwrap();
        if let Ok(Some(table)) = array.open_shard(&ShardIndex::xyz(0, 0, 0)) {
            for span in table.spans.into_iter().flatten() {
                let encoded = array.store().read_range(&table.key, span).unwrap();
                let _ = table.codec.decode(&encoded, &mut [0; 128]);
            }
        }
    }
}

#[test]
fn metadata_that_are_no_text_are_refused_even_where_nobody_needs_it() {
    // What a description passes over may be anything; what is modelled on the metadata would lack everything.
    let array = br#"{"zarr_format": 2, "shape": [1, 8, 8, 8], "chunks": [1, 4, 4, 4], "dtype": "<u2", "order": "F",
        "fill_value": 0, "filters": null, "compressor": null, "note": {"?": 1}}"#;
    let store = crate::format::testing::memory();
    store.insert(".zarray", array.as_slice()).unwrap();
    assert!(ZarrArray::open_v2(store.clone(), "", None).is_ok());
    let damaged: Vec<u8> = array.iter().map(|&byte| if byte == b'?' { 0xff } else { byte }).collect();
    store.insert(".zarray", damaged).unwrap();
    assert!(ZarrArray::open_v2(store, "", None).unwrap_err().to_string().contains("is no usable JSON"));
}

#[test]
fn channels_in_very_many_files_are_refused_and_so_are_files_of_very_many_channels() {
    let array = |channels: u32, per_file: u32| {
        let store = crate::format::testing::memory();
        let json = serde_json::json!({"zarr_format": 2, "shape": [channels, 1, 1, 1], "chunks": [per_file, 1, 1, 1], "dtype": "|u1",
            "order": "C", "fill_value": 0, "filters": null, "compressor": null});
        store.insert(".zarray", json.to_string().into_bytes()).unwrap();
        ZarrArray::open_v2(store, "", None).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(array(1 << 16, 1), Ok(()));
    assert!(array(1 << 30, 1).unwrap_err().contains("1073741824 files"));
    assert!(array(1, u32::MAX).unwrap_err().contains("exceed"));
}

#[test]
fn a_shard_named_so_far_out_that_its_chunks_cannot_be_counted_is_not_listed() {
    let (store, array) =
        open_v3(&metadata("uint8", json!([1, 2, 2, 4]), sharded(json!([1, 1, 1, 1]), json!(["bytes"]), "end")));
    let array = array.unwrap();
    let last = u32::MAX / 4 - 1;
    for at in [last, last + 1, u32::MAX] {
        store.insert(&array.shard_key(&ShardIndex::xyz(0, 0, at)), vec![0; 300]).unwrap();
    }
    let shards: Vec<_> = array.list_shards().unwrap().shards.into_iter().map(|(shard, _)| shard).collect();
    assert_eq!(shards, [ShardIndex::xyz(0, 0, last)]);
    assert_eq!(array.grid().chunk_at(&shards[0], 15).xyz[2], last * 4 + 3);
}

#[test]
fn channels_in_a_billion_files_are_refused_before_one_is_named() {
    for (channels, expected) in [(1_000_000_000, "spread over 1000000000 files"), (65_537, "spread over 65537 files")] {
        let mut described = metadata("uint8", json!([1, 1, 1, 1]), json!(["bytes"]));
        described["shape"][0] = json!(channels);
        let told = open_v3(&described).1.unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
    let mut most = metadata("uint8", json!([1, 4, 4, 4]), json!(["bytes"]));
    most["shape"][0] = json!(65_536);
    assert_eq!(open_v3(&most).1.unwrap().grid().channels, 65_536);
}

#[test]
fn an_array_has_room_for_files_up_to_where_its_shape_ends() {
    let axes = super::Axes::resolve(4, None, None).unwrap();
    let along = |metadata: &Value| super::shards_along(metadata, &axes);
    let mut v3 = metadata("uint8", json!([1, 8, 8, 8]), json!([]));
    v3["shape"] = json!([1, 16, 17, 1]);
    assert_eq!(along(&v3), Some(vec![1, 2, 3, 1]));
    // However channels are cut, their files are one.
    let v2 = json!({"shape": [3, 100, 99, 101], "chunks": [1, 50, 50, 50]});
    assert_eq!(along(&v2), Some(vec![1, 2, 2, 3]));
    assert_eq!(along(&json!({"shape": [1, 16, 17, 1]})), None);
    assert_eq!(along(&json!({"shape": [1, 16], "chunks": [1, 8, 8, 8]})), None);
}
