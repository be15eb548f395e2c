use serde_json::{Value, json};

use super::*;
use crate::format::{Container, list_chunks, open_mag_in, read_region};
use crate::geometry::Mag;
use crate::store::MemoryStore;

const BOX: BoundingBox = BoundingBox { topleft: [4, 0, 8], size: [20, 4, 4] };

fn header() -> Value {
    json!({
        "zarr_format": 2, "shape": [1, 24, 4, 12], "chunks": [1, 4, 4, 4], "dtype": "<u2", "order": "F",
        "fill_value": 0, "filters": null, "compressor": null, "dimension_seperator": ".",
    })
}

/// A server with chunks of 4³ at x = 1 and 3, whose voxels count from their number on.
fn server(header: &Value) -> SharedStore {
    let store = MemoryStore::default();
    store.insert("1/.zarray", header.to_string().into_bytes()).unwrap();
    for x in [1_u16, 3] {
        let chunk: Vec<u8> = (0..64).flat_map(|voxel| (x * 1000 + voxel).to_le_bytes()).collect();
        store.insert(&format!("1/0.{x}.0.2"), chunk).unwrap();
    }
    Arc::new(store)
}

fn location(format: DataFormat) -> MagLocation {
    let streamed = Streamed { voxel_type: VoxelType::UInt16, channels: 1, bounding_box: BOX };
    let nowhere = Container::Directory { path: "nowhere".into() };
    MagLocation { streamed: Some(Box::new(streamed)), ..MagLocation::new(Mag([1; 3]), format, nowhere, "1") }
}

fn voxels(array: &dyn MagArray) -> Vec<u8> {
    let region = BoundingBox { topleft: [0; 3], size: [24, 4, 12] };
    let mut out = vec![0; 24 * 4 * 12 * 2];
    read_region(array, &[], &region, &mut out).unwrap();
    out
}

#[test]
fn gathered_chunks_are_those_of_the_server_and_zero_elsewhere() {
    let store = server(&header());
    let gathered = open_mag_in(Arc::clone(&store), &location(DataFormat::Zarr3)).unwrap();
    let single = crate::format::zarr::ZarrArray::open_v2(store, "1", None).unwrap();
    assert!(voxels(&*gathered) == voxels(&single));
    assert!(voxels(&*gathered).iter().any(|&byte| byte != 0));
    let singles = open_mag_in(server(&header()), &location(DataFormat::Zarr)).unwrap();
    assert!(voxels(&*singles) == voxels(&*gathered));
    assert_eq!((singles.grid().chunks_in_shard(), singles.list_shards().unwrap().shards.len()), (1, 5));
    assert_eq!(gathered.grid().chunks_per_shard, [128; 3]);
    let whole = gathered.list_shards().unwrap().shards;
    assert_eq!(whole, [(ShardIndex::xyz(0, 0, 0), 5 * 128)], "a shard of what lies in the box");
    assert_eq!(list_chunks(&*gathered).unwrap().len(), 5, "all that there may be");
    let chunks = [0, 1, 2].map(|x| gathered.read_encoded(&ChunkIndex::xyz(x, 0, 2)).unwrap().is_some());
    assert_eq!(chunks, [false, true, false]);
}

#[test]
fn what_is_modelled_on_it_is_new_and_of_the_format_that_was_asked_for() {
    let store = server(&header());
    for (format, name) in
        [(DataFormat::Zarr3, "zarr.json"), (DataFormat::Wkw, "header.wkw"), (DataFormat::Zarr, ".zarray")]
    {
        let array = open_mag_in(Arc::clone(&store), &location(format)).unwrap();
        let files = array.metadata_like(VoxelType::UInt32, [600, 1, 1], &[]).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].0, name);
        if format == DataFormat::Zarr3 {
            let metadata: Value = serde_json::from_slice(&files[0].1).unwrap();
            assert_eq!(metadata["shape"], json!([1, 1024, 512, 512]));
            assert_eq!(metadata["data_type"], "uint32");
        }
        assert!(!array.is_encoded_as_it_lies());
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let lies = [
        ("dtype", json!("<u4"), "the layer has type uint16"),
        ("dtype", json!("|S2"), "S2"),
        ("shape", json!([3, 24, 4, 12]), "with 3 channels"),
        ("compressor", json!({"id": "zstd", "level": 1}), "uncompressed"),
        ("fill_value", json!(7), "0 where nothing is stored"),
        ("chunks", json!([1, 0, 4, 4]), "chunk shape"),
        ("chunks", json!([1, 4096, 4096, 4096]), "chunk"),
        ("order", json!("X"), "order"),
        ("shape", json!([1, 24]), "axes"),
    ];
    for (key, value, expected) in lies {
        let mut header = header();
        header[key] = value;
        let error = open_mag_in(server(&header), &location(DataFormat::Zarr3)).unwrap_err().to_string();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn a_chunk_of_another_size_is_an_error_and_named() {
    let store = MemoryStore::default();
    store.insert("1/.zarray", header().to_string().into_bytes()).unwrap();
    store.insert("1/0.1.0.2", vec![1; 127]).unwrap();
    let array = open_mag_in(Arc::new(store), &location(DataFormat::Zarr3)).unwrap();
    let error = array.read_encoded(&ChunkIndex::xyz(1, 0, 2)).unwrap_err().to_string();
    assert!(error.contains("0.1.0.2") && error.contains("127 bytes came, a chunk has 128"), "{error}");
}

#[test]
fn additional_axes_are_those_of_the_header() {
    let mut header = header();
    header["shape"] = json!([1, 3, 24, 4, 12]);
    header["chunks"] = json!([1, 1, 4, 4, 4]);
    let store = MemoryStore::default();
    store.insert("1/.zarray", header.to_string().into_bytes()).unwrap();
    store.insert("1/0.2.1.0.2", vec![1; 128]).unwrap();
    let axes = ["c", "t", "x", "y", "z"].into_iter().zip(0..).map(|(name, at)| (name.to_owned(), at)).collect();
    let location = MagLocation { axis_order: Some(axes), ..location(DataFormat::Zarr3) };
    let array = open_mag_in(Arc::new(store), &location).unwrap();
    assert_eq!((array.grid().extra_axes.clone(), array.list_shards().unwrap().shards.len()), (vec!["t".to_owned()], 3));
    let at = |t| ChunkIndex { extra: vec![t].into(), xyz: [1, 0, 2] };
    assert_eq!([1, 2].map(|t| array.read_encoded(&at(t)).unwrap().is_some()), [false, true]);
    let metadata = array.metadata_like(VoxelType::UInt16, [1; 3], &[5]).unwrap().remove(0).1;
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(metadata["shape"], json!([1, 5, 512, 512, 512]));
    assert_eq!(metadata["dimension_names"], json!(["c", "t", "x", "y", "z"]));
}
