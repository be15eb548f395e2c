//! What is packed and unpacked, compared chunk by chunk with a plain map of voxels.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::error::{Result, VolumeError};
use crate::format::{
    Container, DataFormat, MagArray, MagLocation, NewMag, Voxels, WriteOptions, create, discover, list_chunks,
    open_mag, read_region, write_region,
};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, Mag};
use crate::store::{ReadStore, ZipStore};
use crate::voxels::VoxelType;
use crate::work::Driver;

type Model = BTreeMap<ChunkIndex, Vec<u8>>;

fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()
}

fn location(folder: &Path, format: DataFormat) -> MagLocation {
    MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.to_owned() }, "")
}

/// The voxels of a chunk of 32³: one label with a few others, so that chunks differ.
fn voxels(voxel_type: VoxelType, seed: u8) -> Vec<u8> {
    let mut voxels = vec![0; 32 * 32 * 32 * voxel_type.size()];
    let length = voxels.len();
    if seed > 0 {
        voxels[usize::from(seed)] = seed;
        voxels[length / 2] = seed;
    }
    voxels
}

/// A mag in `folder` with the chunks of `model`, zeros included.
fn write(folder: &Path, new: &NewMag, model: &Model) -> (MagLocation, Arc<dyn MagArray>) {
    let location = location(folder, new.format);
    let array = create(&location, new).unwrap();
    for (chunk, voxels) in model {
        let region = BoundingBox { topleft: chunk.xyz.map(|index| i64::from(index) * 32), size: [32; 3] };
        let voxels = Voxels { bytes: voxels, z_fastest: false };
        let options = WriteOptions { keep_zeros: true, ..WriteOptions::default() };
        write_region(&*array, &chunk.extra, &region, &voxels, &options).unwrap();
    }
    (location, array)
}

/// Every chunk that is there, as voxels.
fn read(array: &dyn MagArray) -> Model {
    let chunks = list_chunks(array).unwrap().into_iter().map(|(chunk, _)| chunk);
    let read = |chunk: ChunkIndex| {
        let edge = array.grid().chunk_shape.map(i64::from);
        let topleft = [0, 1, 2].map(|axis| i64::from(chunk.xyz[axis]) * edge[axis]);
        let mut voxels = vec![0; array.grid().chunk_bytes()];
        read_region(array, &chunk.extra, &BoundingBox { topleft, size: edge }, &mut voxels).unwrap();
        (chunk, voxels)
    };
    chunks.map(read).collect()
}

fn pack_mag(grid: &ChunkGrid) -> PackMag {
    PackMag {
        folder: "volumeAnnotationData/1".to_owned(),
        grid: grid.clone(),
        source: None,
        overlay: None,
        before: None,
        extent: [0; 3],
        count: Count::None,
    }
}

fn packed(path: &Path, mag: PackMag) -> (Packed, Arc<dyn MagArray>) {
    let file = std::fs::File::create(path).unwrap();
    let mut quiet = |_| Ok(());
    let (_, counts) = pack(file, "a.zip", &[], &[mag], &mut Driver::new(&pool(), &mut quiet)).unwrap();
    (counts[0], opened(path))
}

fn opened(path: &Path) -> Arc<dyn MagArray> {
    let found = discover(&Container::Zip { path: path.to_owned(), member: None }, None).unwrap();
    assert_eq!(found.warnings, [""; 0]);
    open_mag(&found.mags[0].location).unwrap()
}

#[derive(Debug)]
struct Over(Model);

impl Overlay for Over {
    fn chunks(&self) -> Vec<ChunkIndex> {
        self.0.keys().cloned().collect()
    }

    fn voxels(&self, chunk: &ChunkIndex, voxels: &mut [u8]) -> Result<()> {
        voxels.copy_from_slice(&self.0[chunk]);
        Ok(())
    }
}

fn model(voxel_type: VoxelType) -> impl Strategy<Value = Model> {
    let chunk = (0..4_u32, 0..3_u32, 0..3_u32, 0..5_u8);
    prop::collection::vec(chunk, 0..8).prop_map(move |chunks| {
        chunks.into_iter().map(|(x, y, z, seed)| (ChunkIndex::xyz(x, y, z), voxels(voxel_type, seed))).collect()
    })
}

fn sources() -> impl Strategy<Value = (NewMag, Model)> {
    let types = prop::sample::select(vec![VoxelType::UInt8, VoxelType::UInt32, VoxelType::UInt64]);
    types.prop_flat_map(|voxel_type| {
        let single = |format| NewMag {
            chunks_per_shard: [1; 3],
            extent: [128; 3],
            ..NewMag::with_defaults(format, voxel_type, 1)
        };
        let form = annotation_form(&grid(voxel_type), [128; 3], []);
        let news = vec![single(DataFormat::Wkw), single(DataFormat::Zarr), single(DataFormat::Zarr3), form];
        (prop::sample::select(news), model(voxel_type))
    })
}

fn grid(voxel_type: VoxelType) -> ChunkGrid {
    ChunkGrid { voxel_type, channels: 1, chunk_shape: [32; 3], chunks_per_shard: [1; 3], extra_axes: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_chunk_comes_through_unpacking_and_packing((new, model) in sources(), form: bool) {
        let folder = tempfile::tempdir().unwrap();
        let (from, source) = write(&folder.path().join("source"), &new, &model);
        let form = if form { Form::Annotation } else { Form::Same };
        let mut quiet = |_| Ok(());
        let target = folder.path().join("unpacked");
        let unpacked = unpack(&source, &from, &target, form, [64; 3], &mut Driver::new(&pool(), &mut quiet)).unwrap();
        prop_assert_eq!(unpacked.files, model.len() as u64);
        let copy = open_mag(&location(&target, unpacked.format)).unwrap();
        prop_assert_eq!(read(&*copy), model.clone());
        let mag = PackMag { source: Some(copy), count: Count::All, ..pack_mag(source.grid()) };
        let (counts, again) = packed(&folder.path().join("data.zip"), mag);
        prop_assert_eq!(counts.chunks, model.len() as u64);
        prop_assert_eq!(counts.largest > 0, model.values().flatten().any(|&byte| byte > 0));
        prop_assert_eq!(read(&*again), model);
    }

    #[test]
    fn what_lies_over_a_mag_wins_and_what_is_gone_is_erased(
        before in model(VoxelType::UInt16), kept in model(VoxelType::UInt16), over in model(VoxelType::UInt16)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let new = annotation_form(&grid(VoxelType::UInt16), [128; 3], []);
        let (_, was) = write(&folder.path().join("before"), &new, &before);
        let (_, now) = write(&folder.path().join("kept"), &new, &kept);
        let mag = PackMag {
            source: Some(now),
            before: Some(was),
            overlay: Some(Arc::new(Over(over.clone()))),
            count: Count::Changed,
            ..pack_mag(&grid(VoxelType::UInt16))
        };
        let (counts, again) = packed(&folder.path().join("data.zip"), mag);
        let mut expected: Model = before.keys().map(|chunk| (chunk.clone(), voxels(VoxelType::UInt16, 0))).collect();
        expected.extend(kept);
        expected.extend(over);
        prop_assert_eq!(counts.chunks, expected.len() as u64);
        prop_assert_eq!(read(&*again), expected);
    }
}

#[test]
fn chunks_of_other_shapes_are_cut_anew() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewMag {
        chunk_shape: [16, 64, 32],
        chunks_per_shard: [2, 1, 1],
        extent: [96, 64, 64],
        ..NewMag::with_defaults(DataFormat::Zarr3, VoxelType::UInt32, 1)
    };
    let model = BTreeMap::from([(ChunkIndex::xyz(1, 1, 0), voxels(VoxelType::UInt32, 3))]);
    let (_, source) = write(&folder.path().join("source"), &new, &model);
    let mag = PackMag { source: Some(source.clone()), ..pack_mag(source.grid()) };
    let (counts, again) = packed(&folder.path().join("data.zip"), mag);
    assert_eq!(counts.chunks, 2); // the other half of the chunk of 64 comes with it
    assert_eq!(read(&*again)[&ChunkIndex::xyz(1, 1, 0)], model[&ChunkIndex::xyz(1, 1, 0)]);
}

#[test]
fn chunks_of_the_accepted_form_are_not_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let new = annotation_form(&grid(VoxelType::UInt32), [64; 3], []);
    let model = BTreeMap::from([(ChunkIndex::xyz(0, 1, 0), voxels(VoxelType::UInt32, 9))]);
    let (_, source) = write(&folder.path().join("source"), &new, &model);
    // A container that any decoder takes and no encoder of ours makes: blosc without compression.
    let stored =
        [&[2, 1, 0x33, 1][..], &131_072_u32.to_le_bytes(), &131_072_u32.to_le_bytes(), &131_088_u32.to_le_bytes()];
    let bytes = [stored.concat(), vec![7; 131_072]].concat();
    std::fs::write(folder.path().join("source/c.0.0.1.0"), &bytes).unwrap();
    let path = folder.path().join("data.zip");
    packed(&path, PackMag { source: Some(source.clone()), ..pack_mag(source.grid()) });
    let archive = ZipStore::open(&path, None).unwrap();
    assert_eq!(archive.read("volumeAnnotationData/1/c.0.0.1.0", 1 << 20).unwrap().unwrap(), bytes);
}

#[test]
fn additional_axes_are_carried() {
    let folder = tempfile::tempdir().unwrap();
    let grid = ChunkGrid { extra_axes: vec!["t".to_owned()], ..grid(VoxelType::UInt8) };
    let chunk = ChunkIndex { extra: [5].into(), xyz: [1, 0, 2] };
    let model = BTreeMap::from([(chunk.clone(), voxels(VoxelType::UInt8, 4))]);
    let (_, source) = write(&folder.path().join("source"), &annotation_form(&grid, [96; 3], [&chunk]), &model);
    let (_, again) = packed(&folder.path().join("data.zip"), PackMag { source: Some(source), ..pack_mag(&grid) });
    assert_eq!(again.grid().extra_axes, ["t"]);
    assert_eq!(read(&*again), model);
    assert_eq!(again.shard_key(&chunk), "volumeAnnotationData/1/c.0.5.1.0.2");
}

#[test]
fn only_changed_chunks_are_asked_for_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let new = annotation_form(&grid(VoxelType::UInt32), [64; 3], []);
    let before = BTreeMap::from([(ChunkIndex::xyz(0, 0, 0), voxels(VoxelType::UInt32, 200))]);
    let mut now = before.clone();
    now.insert(ChunkIndex::xyz(1, 0, 0), voxels(VoxelType::UInt32, 4));
    let (_, was) = write(&folder.path().join("before"), &new, &before);
    let (_, is) = write(&folder.path().join("now"), &new, &now);
    let largest = |count| {
        let mag = PackMag { source: Some(is.clone()), before: Some(was.clone()), count, ..pack_mag(was.grid()) };
        packed(&folder.path().join("data.zip"), mag).0.largest
    };
    assert_eq!([Count::None, Count::Changed].map(largest).map(|label| label & 0xff), [0, 4]);
    assert!(largest(Count::All) >= 200);
    let mut quiet = |_| Ok(());
    assert_eq!(largest_label(&is, &mut Driver::new(&pool(), &mut quiet)).unwrap(), largest(Count::All));
}

#[test]
fn an_observer_can_stop_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let new = annotation_form(&grid(VoxelType::UInt8), [64; 3], []);
    let model = BTreeMap::from([(ChunkIndex::xyz(0, 0, 0), voxels(VoxelType::UInt8, 1))]);
    let (_, source) = write(&folder.path().join("source"), &new, &model);
    let mut stop = |_| Err(VolumeError::Interrupted);
    let mag = PackMag { source: Some(source), ..pack_mag(&grid(VoxelType::UInt8)) };
    let stopped = pack(Vec::new(), "a.zip", &[], &[mag], &mut Driver::new(&pool(), &mut stop));
    assert!(matches!(stopped, Err(VolumeError::Interrupted)));
}

#[test]
fn a_damaged_chunk_that_must_be_decoded_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewMag { chunks_per_shard: [1; 3], ..NewMag::with_defaults(DataFormat::Wkw, VoxelType::UInt8, 1) };
    let model = BTreeMap::from([(ChunkIndex::xyz(0, 0, 1), voxels(VoxelType::UInt8, 1))]);
    let (_, source) = write(&folder.path().join("source"), &new, &model);
    let file = folder.path().join("source/z1/y0/x0.wkw");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[24..].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let mut quiet = |_| Ok(());
    let mag = PackMag { source: Some(source), ..pack_mag(&grid(VoxelType::UInt8)) };
    let error = pack(Vec::new(), "a.zip", &[], &[mag], &mut Driver::new(&pool(), &mut quiet)).unwrap_err().to_string();
    assert!(error.contains("x0.wkw") && error.contains("(0, 0, 1)"), "{error}");
}
