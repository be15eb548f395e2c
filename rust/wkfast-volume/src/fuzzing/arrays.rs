//! Files of mags.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::format::{
    ChunkCodec, Container, DataFormat, MagArray, MagLocation, ShardFile, ShardIndexTable, discover_in, open_mag_in,
    read_region,
};
use crate::geometry::{BoundingBox, Mag, ShardIndex};
use crate::store::{MemoryStore, SharedStore};

/// Chunks that are looked at of one shard, shards of one mag, and bytes of a chunk that is decoded.
const CHUNKS: usize = 64;
const SHARDS: usize = 4;
const CHUNK_BYTES: usize = 1 << 16;
/// Bytes of a shard that is written.
const SHARD_BYTES: usize = 1 << 14;
/// What stands between the files of a layer.
const BETWEEN: &[u8] = b"\n@@";

impl ShardFile for Cursor<Vec<u8>> {}

fn files(files: &[(&str, &[u8])]) -> SharedStore {
    let store = MemoryStore::default();
    for (key, bytes) in files {
        // Keys that are none are no files.
        let _ = store.insert(key, *bytes);
    }
    Arc::new(store)
}

fn nowhere() -> Container {
    Container::Directory { path: "nowhere".into() }
}

fn open(store: &SharedStore, format: DataFormat, axes: Option<&str>) -> Option<Arc<dyn MagArray>> {
    let order = |axes: &str| axes.chars().zip(0..).map(|(axis, place)| (axis.to_string(), place)).collect();
    let axis_order: Option<BTreeMap<String, u32>> = axes.map(order);
    let location = MagLocation { axis_order, ..MagLocation::new(Mag([1; 3]), format, nowhere(), "") };
    open_mag_in(Arc::clone(store), &location).ok()
}

/// The only file of a mag in WKW.
pub fn wkw(bytes: &[u8]) {
    // Lists of 2^24 places are allowed, and take as long as that many steps do.
    if bytes.get(4).is_some_and(|edges| edges >> 4 > 4) {
        return;
    }
    if let Some(array) = open(&files(&[("z0/y0/x0.wkw", bytes)]), DataFormat::Wkw, None) {
        every_chunk(&*array);
    }
}

/// Which version, and the order of axes that properties state; then the metadata.
pub fn zarr(bytes: &[u8]) {
    let Some((&first, metadata)) = bytes.split_first() else { return };
    let format = if first % 2 == 0 { DataFormat::Zarr } else { DataFormat::Zarr3 };
    let axes = [None, Some("cxyz"), Some("tzyx"), Some("xyz")][usize::from(first / 2 % 4)];
    let Some(array) = open(&files(&[(format.metadata_name(), metadata)]), format, axes) else { return };
    modelled(&*array, format, axes);
    if array.grid().chunk_bytes() * array.grid().chunks_in_shard().min(1 << 10) <= SHARD_BYTES {
        written(&*array, format, axes, metadata);
    }
}

/// A mag that is modelled on another one has the same grid and encoding.
fn modelled(array: &dyn MagArray, format: DataFormat, axes: Option<&str>) {
    let extra = vec![0; array.grid().extra_axes.len()];
    let like = array.metadata_like(array.grid().voxel_type, [7, 9, 11], &extra).expect("of its own type");
    let like: Vec<_> = like.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let again = open(&files(&like), format, axes).expect("what was written can be read");
    assert_eq!(again.grid(), array.grid());
    if array.check_current().is_ok() {
        assert_eq!(again.codec().encoding(), array.codec().encoding());
    }
}

/// A shard that is written is read as it was.
fn written(array: &dyn MagArray, format: DataFormat, axes: Option<&str>, metadata: &[u8]) {
    let shard = ShardIndex { extra: vec![0; array.grid().extra_axes.len()].into(), xyz: [0; 3] };
    let key = array.shard_key(&shard);
    let size = array.grid().chunk_bytes();
    let voxels = |place: usize| (0..size).map(|at| (at / 3 * 5 + place) as u8).collect::<Vec<u8>>();
    let bytes = shard_of(array, voxels);
    let store = files(&[(format.metadata_name(), metadata), (&key, bytes.as_deref().unwrap_or(b"no chunk"))]);
    let Some(array) = open(&store, format, axes) else { return };
    every_chunk(&*array);
    if bytes.is_none() || array.shard_key(&shard) != key {
        return;
    }
    let table = array.open_shard(&shard).expect("it was written").expect("it is there");
    for (place, span) in table.spans.iter().enumerate().take(CHUNKS) {
        let bytes = store.read_range(&table.key, span.clone().expect("it was written")).expect("it is there");
        let mut found = vec![0; size];
        table.codec.decode(&bytes, &mut found).expect("it was written");
        assert_eq!(found, voxels(place));
    }
}

fn shard_of(array: &dyn MagArray, voxels: impl Fn(usize) -> Vec<u8>) -> Option<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = array.shard_writer(&mut file).ok()?;
    for place in writer.order().to_vec() {
        let encoded = array.codec().encode(&voxels(place as usize)).ok()?;
        writer.append(Some(&encoded)).expect("in order");
    }
    writer.finish().expect("all are there");
    Some(file.into_inner())
}

/// Which array, and whether the checksum of its index is put right; then a file of it.
pub fn shard(bytes: &[u8]) {
    let Some((&first, file)) = bytes.split_first() else { return };
    let arrays = arrays();
    let (format, metadata) = &arrays[usize::from(first & 0x7f) % arrays.len()];
    let mut file = file.to_vec();
    if first & 0x80 != 0 && file.len() >= INDEX {
        let end = file.len() - 4;
        let sum = crc32c::crc32c(&file[end + 4 - INDEX..end]);
        file[end..].copy_from_slice(&sum.to_le_bytes());
    }
    let metadata = metadata.to_string();
    let key = open(&files(&[(format.metadata_name(), metadata.as_bytes())]), *format, None)
        .expect("metadata of ours")
        .shard_key(&ShardIndex::xyz(0, 0, 0));
    let store = files(&[(format.metadata_name(), metadata.as_bytes()), (&key, &file)]);
    every_chunk(&*open(&store, *format, None).expect("metadata of ours"));
}

/// Bytes of the index of eight chunks with its checksum.
const INDEX: usize = 8 * 16 + 4;

fn arrays() -> Vec<(DataFormat, Value)> {
    let (bytes, sum) = (json!({"name": "bytes", "configuration": {"endian": "little"}}), json!({"name": "crc32c"}));
    let order = json!({"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}});
    let zstd = json!({"name": "zstd", "configuration": {"level": 1, "checksum": true}});
    let blosc = json!({"name": "blosc", "configuration": {"cname": "zstd", "shuffle": "bitshuffle"}});
    let sharding = |codecs: Value, index: Value, at: &str| {
        json!([{"name": "sharding_indexed", "configuration": {
            "chunk_shape": [1, 4, 4, 4], "codecs": codecs, "index_codecs": index, "index_location": at,
        }}])
    };
    let three = |shape: [u32; 4], chunk: [u32; 4], codecs: Value, fill: u32| {
        let array = json!({
            "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint16", "fill_value": fill,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}, "codecs": codecs,
            "chunk_key_encoding": {"name": "default"}, "dimension_names": ["c", "x", "y", "z"],
        });
        (DataFormat::Zarr3, array)
    };
    let two = |compressor: Value, order: &str| {
        let array = json!({
            "zarr_format": 2, "shape": [1, 4, 4, 4], "chunks": [1, 4, 4, 4], "dtype": ">i2", "order": order,
            "fill_value": 0, "filters": null, "compressor": compressor, "dimension_separator": ".",
        });
        (DataFormat::Zarr, array)
    };
    vec![
        three([1, 8, 8, 8], [1, 8, 8, 8], sharding(json!([order, bytes, zstd]), json!([bytes, sum]), "end"), 0),
        three([1, 8, 8, 8], [1, 8, 8, 8], sharding(json!([bytes]), json!([bytes]), "start"), 7),
        three([1, 8, 8, 8], [1, 8, 8, 8], sharding(json!([bytes, blosc, sum]), json!([bytes, sum]), "end"), 0),
        three([1, 4, 4, 4], [1, 4, 4, 4], json!([bytes, {"name": "gzip"}]), 0),
        three([3, 4, 4, 4], [2, 4, 4, 4], json!([bytes, zstd]), 9),
        two(json!(null), "F"),
        two(json!({"id": "blosc", "cname": "lz4", "shuffle": 1}), "C"),
        two(json!({"id": "zlib"}), "F"),
    ]
}

/// Files of a data zip, each after its name and a line end.
pub fn layer(bytes: &[u8]) {
    let mut found: Vec<(&str, &[u8])> = Vec::new();
    let mut rest = bytes;
    loop {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let record = &rest[..end.unwrap_or(rest.len())];
        let name = record.iter().position(|&byte| byte == b'\n').unwrap_or(record.len());
        if let Ok(key) = std::str::from_utf8(&record[..name]) {
            found.push((key, &record[record.len().min(name + 1)..]));
        }
        let Some(end) = end else { break };
        rest = &rest[end + BETWEEN.len()..];
    }
    // See above.
    let is_wkw = |name: &str| name.rsplit_once('.').is_some_and(|(_, end)| end == "wkw");
    let many = |(name, bytes): &(&str, &[u8])| is_wkw(name) && bytes.get(4).is_some_and(|edges| edges >> 4 > 4);
    if found.iter().any(many) {
        return;
    }
    let store = files(&found);
    let Ok(discovery) = discover_in(&store, &nowhere(), Some(DataFormat::Zarr3)) else { return };
    for mag in discovery.mags {
        let array = open_mag_in(Arc::clone(&store), &mag.location).expect("it was opened before");
        assert_eq!(*array.grid(), mag.grid);
        every_chunk(&*array);
    }
}

/// A chunk is the same by the index of its shard, alone, and as a region; what decodes can be encoded.
fn every_chunk(array: &dyn MagArray) {
    let Ok(listing) = array.list_shards() else { return };
    for (shard, _) in listing.shards.iter().take(SHARDS) {
        let Ok(Some(table)) = array.open_shard(shard) else { continue };
        assert_eq!(table.spans.len(), array.grid().chunks_in_shard());
        let present = (0..table.spans.len()).filter(|&place| table.spans[place].is_some());
        for place in present.take(CHUNKS) {
            one_chunk(array, &table, shard, place);
        }
    }
}

fn one_chunk(array: &dyn MagArray, table: &ShardIndexTable, shard: &ShardIndex, place: usize) {
    let grid = array.grid();
    let chunk = grid.chunk_at(shard, place);
    assert_eq!(grid.locate(&chunk), (shard.clone(), place));
    let alone = array.read_encoded(&chunk).ok().flatten();
    let span = table.spans[place].clone().unwrap_or_default();
    let Ok(bytes) = array.store().read_range(&table.key, span) else { return };
    assert_eq!(alone.map(|found| found.bytes).as_deref(), Some(bytes.as_slice()));
    if grid.chunk_bytes() > CHUNK_BYTES {
        return;
    }
    let decoded = decoded(&*table.codec, &bytes, grid.chunk_bytes());
    let first = |axis: usize| i64::from(chunk.xyz[axis]) * i64::from(grid.chunk_shape[axis]);
    let region = BoundingBox { topleft: [0, 1, 2].map(first), size: grid.chunk_shape.map(i64::from) };
    let mut out = vec![0; grid.chunk_bytes()];
    let read = read_region(array, &chunk.extra, &region, &mut out).ok().map(|()| out);
    if chunk.xyz.iter().zip(grid.chunk_shape).all(|(&at, edge)| u64::from(at) * u64::from(edge) < 1 << 31) {
        assert_eq!(read, decoded);
    }
}

fn decoded(codec: &dyn ChunkCodec, bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut voxels = vec![0xee; size];
    codec.decode(bytes, &mut voxels).ok()?;
    if let Ok(encoded) = codec.encode(&voxels) {
        let mut again = vec![0xdd; size];
        codec.decode(&encoded, &mut again).expect("what was encoded can be decoded");
        assert_eq!(again, voxels);
    }
    Some(voxels)
}
