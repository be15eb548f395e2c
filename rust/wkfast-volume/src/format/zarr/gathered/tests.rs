use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::format::{Container, list_chunks, open_mag_in, read_region};
use crate::geometry::Mag;
use crate::store::{CutOut, MemoryStore, ReadStore};

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
fn a_shard_that_nobody_wrote_is_read_in_whole_chunks_and_other_files_as_they_are() {
    let store = server(&header());
    let gathered = open_mag_in(Arc::clone(&store), &location(DataFormat::Zarr3)).unwrap();
    let shard = gathered.shard_key(&ShardIndex::xyz(0, 0, 0));
    assert_eq!(shard, "1/chunks of 0.0.0.0");
    let shown = gathered.store();
    let metadata = store.read("1/.zarray", 1 << 20).unwrap();
    assert!(metadata.is_some() && shown.read("1/.zarray", 1 << 20).unwrap() == metadata);
    let chunk = store.read("1/0.1.0.2", 128).unwrap().unwrap();
    let place = |x: u64| 128 * (x + 128 * 128 * 2);
    assert_eq!(shown.read_range(&shard, place(1)..place(2)).unwrap(), chunk);
    let mut buffer = [1; 128];
    shown.read_into(&shard, place(2), &mut buffer).unwrap();
    assert_eq!(buffer, [0; 128]);
    for range in [1..129, place(1)..place(1) + 64, place(1)..place(3)] {
        assert!(shown.read_range(&shard, range).unwrap_err().to_string().contains("whole chunks only"));
    }
    assert!(shown.read(&shard, u64::MAX).unwrap_err().to_string().contains("whole chunks only"));
}

#[test]
fn a_shard_of_one_chunk_is_read_whole() {
    let singles = open_mag_in(server(&header()), &location(DataFormat::Zarr)).unwrap();
    let read = |x: u32| singles.store().read(&singles.shard_key(&ShardIndex::xyz(x, 0, 2)), 128).unwrap();
    assert_eq!(singles.shard_key(&ShardIndex::xyz(1, 0, 2)), "1/0.1.0.2");
    assert_eq!((read(1).unwrap()[..4].to_vec(), read(2)), (vec![0xe8, 3, 0xe9, 3], None));
    let alone = singles.read_encoded(&ChunkIndex::xyz(1, 0, 2)).unwrap();
    assert_eq!(alone.unwrap().bytes, read(1).unwrap());
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

/// What a server makes of a cut-out.
type Answer = fn(Vec<u8>) -> Option<Vec<u8>>;

/// A server of 20 × 7 × 9 voxels of three channels in chunks of 4³, that cuts boxes out of it.
#[derive(Debug)]
struct Cutter {
    chunks: MemoryStore,
    answer: Answer,
    asked: Mutex<Vec<String>>,
}

const SIZE: [u64; 3] = [20, 7, 9];
const CHANNELS: u64 = 3;

/// The bytes of a voxel; zero beyond the end, and in the chunk (1, 0, 1), which is not there.
fn voxel(at: [u64; 3]) -> Vec<u8> {
    let is_absent = at.map(|place| place / 4) == [1, 0, 1];
    let is_inside = (0..3).all(|axis| at[axis] < SIZE[axis]) && !is_absent;
    let number = if is_inside { 1 + at[0] + SIZE[0] * (at[1] + SIZE[1] * at[2]) } else { 0 };
    let channel = |nth: u64| (if is_inside { number * CHANNELS + nth } else { 0 } as u16).to_le_bytes();
    [0, 1, 2].map(channel).concat()
}

fn voxels_of(topleft: [u64; 3], size: [u64; 3]) -> Vec<u8> {
    let rows = (0..size[2]).flat_map(|z| (0..size[1]).map(move |y| (y, z)));
    let all = rows.flat_map(|(y, z)| (0..size[0]).map(move |x| [x, y, z]));
    all.flat_map(|at| voxel([0, 1, 2].map(|axis| topleft[axis] + at[axis]))).collect()
}

impl ReadStore for Cutter {
    fn describe(&self, key: &str) -> String {
        key.to_owned()
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.chunks.size(key)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.asked.lock().unwrap().push(key.to_owned());
        let Some(CutOut { mag, topleft, size }) = CutOut::called(key) else { return self.chunks.read(key, limit) };
        assert_eq!((mag, size.iter().product::<u64>() * 6), ([2, 2, 1], limit));
        Ok((self.answer)(voxels_of(topleft, size)))
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.chunks.read_into(key, offset, buffer)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn cuts_out(&self) -> bool {
        true
    }
}

fn cutter(order: &str, answer: Answer) -> Arc<Cutter> {
    let chunks = MemoryStore::default();
    let header = json!({
        "zarr_format": 2, "shape": [3, 20, 7, 9], "chunks": [3, 4, 4, 4], "dtype": "<u2", "order": order,
        "fill_value": 0, "filters": null, "compressor": null, "dimension_separator": ".",
    });
    chunks.insert("1/.zarray", header.to_string().into_bytes()).unwrap();
    for (x, y, z) in (0..5).flat_map(|x| (0..2).flat_map(move |y| (0..3).map(move |z| (x, y, z)))) {
        if (x, y, z) != (1, 0, 1) {
            chunks.insert(&format!("1/0.{x}.{y}.{z}"), voxels_of([x * 4, y * 4, z * 4], [4; 3])).unwrap();
        }
    }
    Arc::new(Cutter { chunks, answer, asked: Mutex::default() })
}

/// The voxels of a region by cut-outs, and what was asked for.
fn cut(order: &str, answer: Answer, region: &BoundingBox) -> (Vec<u8>, Vec<String>) {
    let store = cutter(order, answer);
    let bounding_box = BoundingBox { topleft: [0; 3], size: SIZE.map(|length| length as i64) };
    let streamed = Streamed { voxel_type: VoxelType::UInt16, channels: 3, bounding_box };
    let place = MagLocation { mag: Mag([2, 2, 1]), streamed: Some(Box::new(streamed)), ..location(DataFormat::Zarr3) };
    let array = open_mag_in(Arc::clone(&store) as _, &place).unwrap();
    let mut out = vec![0; region.size.iter().product::<i64>() as usize * 6];
    read_region(&*array, &[], region, &mut out).unwrap();
    let mut asked = std::mem::take(&mut *store.asked.lock().unwrap());
    asked.retain(|key| !key.ends_with(".zarray"));
    (out, asked)
}

#[test]
fn neighbouring_chunks_come_as_cut_outs_and_are_what_chunks_are() {
    let all = BoundingBox { topleft: [0; 3], size: [20, 7, 9] };
    let (voxels, asked) = cut("F", Some, &all);
    assert!(voxels == voxels_of([0; 3], SIZE));
    assert_eq!(asked, ["cut-out/2.2.1/0.0.0/20.7.9"], "as far as the array reaches");
    let part = BoundingBox { topleft: [6, 1, 3], size: [9, 6, 6] };
    let (voxels, asked) = cut("F", Some, &part);
    assert!(voxels == voxels_of([6, 1, 3], [9, 6, 6]));
    assert_eq!(asked, ["cut-out/2.2.1/4.0.0/12.7.9"], "whole chunks");
}

#[test]
fn few_chunks_and_those_in_another_order_come_one_by_one() {
    let few = BoundingBox { topleft: [0; 3], size: [4, 7, 9] };
    let (voxels, asked) = cut("F", Some, &few);
    assert!(voxels == voxels_of([0; 3], [4, 7, 9]));
    assert_eq!(asked.len(), 6);
    let (_, asked) = cut("C", Some, &BoundingBox { topleft: [0; 3], size: [20, 7, 9] });
    assert!(asked.len() == 30 && asked.iter().all(|key| key.starts_with("1/0.")), "{asked:?}");
}

#[test]
fn cut_outs_that_are_refused_or_of_another_size_are_asked_for_by_chunks() {
    let answers: [Answer; 4] = [
        |_| None,
        |_| Some(Vec::new()),
        |mut bytes| {
            bytes.pop();
            Some(bytes)
        },
        |mut bytes| {
            bytes.push(0);
            Some(bytes)
        },
    ];
    for answer in answers {
        let (voxels, asked) = cut("F", answer, &BoundingBox { topleft: [0; 3], size: [20, 7, 9] });
        assert!(voxels == voxels_of([0; 3], SIZE));
        assert_eq!(asked.len(), 31, "one cut-out, and every chunk");
    }
}
