use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::voxels::Voxels;
use super::{WriteOptions, read_region, region_bytes, write_region};
use crate::error::VolumeError;
use crate::format::testing::voxels;
use crate::format::{
    Container, DataFormat, ExtraAxis, MagArray, MagLocation, NewMag, ShardFile, create, list_chunks, open_mag,
};
use crate::geometry::{BoundingBox, ChunkIndex, Mag};
use crate::store::DirectoryStore;
use crate::voxels::VoxelType;

fn place(folder: &Path, new: &NewMag) -> MagLocation {
    MagLocation::new(Mag([1; 3]), new.format, Container::Directory { path: folder.to_owned() }, "1")
}

fn kinds() -> Vec<NewMag> {
    let small = |format| NewMag { chunk_shape: [4; 3], ..NewMag::with_defaults(format, VoxelType::UInt16, 2) };
    let lz4 = Some(vec![json!({"name": "lz4"})]);
    vec![
        NewMag { chunks_per_shard: [1; 3], codecs: lz4, ..small(DataFormat::Wkw) },
        NewMag { chunks_per_shard: [2; 3], ..small(DataFormat::Wkw) },
        NewMag { chunks_per_shard: [2; 3], compress: false, ..small(DataFormat::Wkw) },
        NewMag { chunk_shape: [4, 5, 3], ..small(DataFormat::Zarr) },
        NewMag { chunk_shape: [4, 5, 3], chunks_per_shard: [1; 3], compress: false, ..small(DataFormat::Zarr3) },
        NewMag { chunk_shape: [4, 5, 3], chunks_per_shard: [2, 1, 3], ..small(DataFormat::Zarr3) },
        NewMag { chunks_per_shard: [3, 2, 1], index_at_start: true, compress: false, ..small(DataFormat::Zarr3) },
    ]
}

/// All voxels of a box at the origin, as an array would hold them.
#[derive(Clone)]
struct Model {
    edge: usize,
    bytes: Vec<u8>,
}

const VOXEL: usize = 4;

impl Model {
    fn new(edge: usize) -> Self {
        Self { edge, bytes: vec![0; edge.pow(3) * VOXEL] }
    }

    fn at(&self, x: usize, y: usize, z: usize) -> usize {
        (x + self.edge * (y + self.edge * z)) * VOXEL
    }

    fn put(&mut self, region: &BoundingBox, new: &[u8]) {
        for (voxel, (x, y, z)) in new.chunks(VOXEL).zip(voxels_of(region)) {
            let at = self.at(x, y, z);
            self.bytes[at..at + VOXEL].copy_from_slice(voxel);
        }
    }
}

fn voxels_of(region: &BoundingBox) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let [x, y, z] = [0, 1, 2].map(|axis| {
        let first = region.topleft[axis] as usize;
        first..first + region.size[axis] as usize
    });
    z.flat_map(move |z| {
        let x = x.clone();
        y.clone().flat_map(move |y| x.clone().map(move |x| (x, y, z)))
    })
}

/// The same voxels with z fastest and the channels slowest.
fn z_fastest(fortran: &[u8], size: [i64; 3]) -> Vec<u8> {
    let [nx, ny, nz] = size.map(|edge| edge as usize);
    let mut out = Vec::new();
    for channel in 0..2 {
        for (x, y, z) in (0..nx).flat_map(|x| (0..ny).flat_map(move |y| (0..nz).map(move |z| (x, y, z)))) {
            let at = (x + nx * (y + ny * z)) * VOXEL + channel * 2;
            out.extend(&fortran[at..at + 2]);
        }
    }
    out
}

fn read(array: &dyn MagArray, region: &BoundingBox) -> Vec<u8> {
    let mut out = vec![0; region_bytes(array.grid(), region).unwrap()];
    read_region(array, &[], region, &mut out).unwrap();
    out
}

fn write(array: &dyn MagArray, region: &BoundingBox, bytes: &[u8], options: &WriteOptions<'_>) {
    write_region(array, &[], region, &Voxels { bytes, z_fastest: false }, options).unwrap();
}

fn boxes() -> impl Strategy<Value = Vec<(BoundingBox, u32)>> {
    let one = (proptest::array::uniform3(0..16_i64), proptest::array::uniform3(0..9_i64), 0..4_u32);
    proptest::collection::vec(one.prop_map(|(topleft, size, seed)| (BoundingBox { topleft, size }, seed)), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_sequence_of_writes_equals_an_array(writes in boxes(), keep_zeros: bool, threads in 0..3_usize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build().unwrap();
        let options = WriteOptions { keep_zeros, pool: (threads > 0).then_some(&pool) };
        for new in kinds() {
            let folder = tempfile::tempdir().unwrap();
            let array = create(&place(folder.path(), &new), &new).unwrap();
            let mut model = Model::new(24);
            for (n, (region, seed)) in writes.iter().enumerate() {
                let length = region_bytes(array.grid(), region).unwrap();
                // Zeros all over now and then: they make chunks vanish.
                let bytes = if *seed == 0 { vec![0; length] } else { voxels(*seed, length) };
                let turned = z_fastest(&bytes, region.size);
                let given = if n % 2 == 0 { Voxels { bytes: &bytes, z_fastest: false } } else { Voxels { bytes: &turned, z_fastest: true } };
                write_region(&*array, &[], region, &given, &options).unwrap();
                model.put(region, &bytes);
            }
            let again = open_mag(&place(folder.path(), &new)).unwrap();
            let whole = BoundingBox { topleft: [0; 3], size: [24; 3] };
            prop_assert_eq!(&read(&*again, &whole), &model.bytes, "{:?}", new);
            prop_assert!(drafts(folder.path()).is_empty());
        }
    }
}

/// Files that are left under construction.
fn drafts(folder: &Path) -> Vec<String> {
    let store = DirectoryStore::open(folder).unwrap();
    let entries = crate::store::list(&store, "").unwrap();
    entries.into_iter().map(|entry| entry.key).filter(|key| key.contains("part")).collect()
}

#[test]
fn chunks_of_zeros_stay_where_they_mean_something_and_vanish_elsewhere() {
    for new in kinds() {
        let folder = tempfile::tempdir().unwrap();
        let array = create(&place(folder.path(), &new), &new).unwrap();
        let [x, y, z] = new.chunk_shape.map(i64::from);
        let first = BoundingBox { topleft: [0; 3], size: [x, y, z] };
        let zeros = vec![0; array.grid().chunk_bytes()];
        write(&*array, &first, &zeros, &WriteOptions::default());
        assert!(list_chunks(&*array).unwrap().is_empty(), "{new:?}");
        write(&*array, &first, &zeros, &WriteOptions { keep_zeros: true, pool: None });
        let present = list_chunks(&*array).unwrap();
        assert!(present.iter().any(|(chunk, _)| *chunk == ChunkIndex::xyz(0, 0, 0)), "{new:?}");
        write(&*array, &first, &zeros, &WriteOptions::default());
        if new.format != DataFormat::Wkw || new.chunks_per_shard == [1; 3] {
            assert!(list_chunks(&*array).unwrap().is_empty(), "{new:?}");
        }
    }
}

#[test]
fn untouched_chunks_travel_as_their_bytes() {
    let new = NewMag { chunks_per_shard: [4; 3], ..kinds().remove(5) };
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    let whole = BoundingBox { topleft: [0; 3], size: [16, 20, 12] };
    write(&*array, &whole, &voxels(3, 16 * 20 * 12 * VOXEL), &WriteOptions::default());
    let encoded = |at: &ChunkIndex| array.read_encoded(at).unwrap().unwrap().bytes;
    let kept = ChunkIndex::xyz(3, 3, 3);
    // Damage that a decoder would notice and a copy does not.
    let table = array.open_shard(&ChunkIndex::xyz(0, 0, 0)).unwrap().unwrap();
    let (_, place) = array.grid().locate(&kept);
    let file = folder.path().join(&table.key);
    let mut bytes = std::fs::read(&file).unwrap();
    let span = table.spans[place].clone().unwrap();
    bytes[span.start as usize + 9] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();
    let before = encoded(&kept);
    write(&*array, &BoundingBox { topleft: [1; 3], size: [5; 3] }, &voxels(9, 125 * VOXEL), &WriteOptions::default());
    assert_eq!(encoded(&kept), before);
}

#[test]
fn a_shape_grows_to_whole_shards_and_nothing_else_changes() {
    let new = kinds().remove(5);
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    let file = folder.path().join("1/zarr.json");
    let json = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&file).unwrap()).unwrap();
    let mut expected = json();
    expected["attributes"] = json!({"z": 0.106_815_225_999_999_97, "kept": [1, 2.5, "x"], "a": 1});
    std::fs::write(&file, expected.to_string()).unwrap();
    write(&*array, &BoundingBox { topleft: [8, 0, 0], size: [1; 3] }, &[1; VOXEL], &WriteOptions::default());
    expected["shape"] = json!([2, 16, 5, 9]);
    // As text: foreign keys keep their order, numbers their digits.
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{expected:#}"));
}

#[test]
fn slices_of_additional_axes_are_written_apart() {
    let axes = vec![ExtraAxis { name: "t".to_owned(), length: 1 }];
    let new = NewMag { extra_axes: axes, ..kinds().remove(5) };
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    let region = BoundingBox { topleft: [2; 3], size: [3; 3] };
    for t in [0, 4] {
        let bytes = voxels(t + 1, 27 * VOXEL);
        write_region(&*array, &[t], &region, &Voxels { bytes: &bytes, z_fastest: false }, &WriteOptions::default())
            .unwrap();
    }
    for t in [0, 4] {
        let mut out = vec![0; 27 * VOXEL];
        read_region(&*array, &[t], &region, &mut out).unwrap();
        assert_eq!(out, voxels(t + 1, 27 * VOXEL));
    }
    let shape = std::fs::read_to_string(folder.path().join("1/zarr.json")).unwrap();
    let shape = serde_json::from_str::<serde_json::Value>(&shape).unwrap()["shape"].clone();
    assert_eq!(shape, json!([2, 5, 8, 5, 9]));
}

#[test]
fn absent_chunks_hold_the_fill_value() {
    let new = NewMag { channels: 1, ..kinds().remove(5) };
    let folder = tempfile::tempdir().unwrap();
    create(&place(folder.path(), &new), &new).unwrap();
    let file = folder.path().join("1/zarr.json");
    let json = std::fs::read_to_string(&file).unwrap().replace("\"fill_value\": 0", "\"fill_value\": 258");
    std::fs::write(&file, json).unwrap();
    let array = open_mag(&place(folder.path(), &new)).unwrap();
    let (whole, one) = (BoundingBox { topleft: [0; 3], size: [9; 3] }, BoundingBox { topleft: [4; 3], size: [1; 3] });
    assert_eq!(read(&*array, &whole), [2, 1].repeat(729));
    write(&*array, &one, &[7, 0], &WriteOptions::default());
    let mut expected = [2, 1].repeat(729);
    let at = (4 + 9 * (4 + 9 * 4)) * 2;
    expected[at..at + 2].copy_from_slice(&[7, 0]);
    assert_eq!(read(&*array, &whole), expected);
    write(&*array, &one, &[2, 1], &WriteOptions::default());
    assert!(list_chunks(&*array).unwrap().is_empty());
}

#[test]
fn writers_of_one_shard_do_not_lose_each_other_s_chunks() {
    for new in kinds() {
        let folder = tempfile::tempdir().unwrap();
        let array = create(&place(folder.path(), &new), &new).unwrap();
        let (pool, array) = (rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap(), &array);
        std::thread::scope(|scope| {
            for x in 0..8 {
                let pool = &pool;
                scope.spawn(move || {
                    for y in 0..4 {
                        let region = BoundingBox { topleft: [x, y, 0], size: [1, 1, 3] };
                        let bytes = voxels((x * 4 + y) as u32 | 64, 3 * VOXEL);
                        let options = WriteOptions { keep_zeros: false, pool: (x % 2 == 0).then_some(pool) };
                        write(&**array, &region, &bytes, &options);
                    }
                });
            }
        });
        for (x, y) in (0..8).flat_map(|x| (0..4).map(move |y| (x, y))) {
            let region = BoundingBox { topleft: [x, y, 0], size: [1, 1, 3] };
            assert_eq!(read(&**array, &region), voxels((x * 4 + y) as u32 | 64, 3 * VOXEL), "{new:?}");
        }
    }
}

#[test]
fn what_a_killed_writer_left_is_taken_over() {
    let new = kinds().remove(5);
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    let shard = folder.path().join("1/c/0/0/0/0");
    std::fs::create_dir_all(shard.parent().unwrap()).unwrap();
    std::fs::write(shard.with_extension("wkfast-part"), vec![7; 100_000]).unwrap();
    let region = BoundingBox { topleft: [1; 3], size: [3; 3] };
    assert_eq!(read(&*array, &region), vec![0; 27 * VOXEL]);
    write(&*array, &region, &voxels(5, 27 * VOXEL), &WriteOptions::default());
    assert_eq!(read(&*array, &region), voxels(5, 27 * VOXEL));
    assert!(drafts(folder.path()).is_empty());
}

#[test]
fn a_damaged_shard_is_an_error_and_stays_as_it_is() {
    for new in kinds().into_iter().filter(|new| new.compress) {
        let folder = tempfile::tempdir().unwrap();
        let array = create(&place(folder.path(), &new), &new).unwrap();
        let region = BoundingBox { topleft: [0; 3], size: [2; 3] };
        write(&*array, &region, &voxels(5, 8 * VOXEL), &WriteOptions::default());
        let file = folder.path().join(array.shard_key(&ChunkIndex::xyz(0, 0, 0)));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&file, &bytes).unwrap();
        let given = voxels(6, 8 * VOXEL);
        let given = Voxels { bytes: &given, z_fastest: false };
        let error = write_region(&*array, &[], &region, &given, &WriteOptions::default()).unwrap_err();
        assert!(matches!(error, VolumeError::Corrupt { .. }), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
        assert!(drafts(folder.path()).is_empty());
    }
}

#[test]
fn links_out_of_the_store_are_not_written_through() {
    let (new, outside) = (kinds().remove(5), tempfile::tempdir().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("1/c")).unwrap();
    let region = BoundingBox { topleft: [1; 3], size: [3; 3] };
    let given = Voxels { bytes: &voxels(5, 27 * VOXEL), z_fastest: false };
    let error = write_region(&*array, &[], &region, &given, &WriteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("leads out"), "{error}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_draft_s_name_that_is_a_link_is_not_followed() {
    let (new, outside) = (kinds().remove(3), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(&outside, b"precious").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let array = create(&place(folder.path(), &new), &new).unwrap();
    let draft = folder.path().join("1/0/0/0/0.wkfast-part");
    std::fs::create_dir_all(draft.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(outside.path(), draft).unwrap();
    let given = Voxels { bytes: &voxels(5, 27 * VOXEL), z_fastest: false };
    let region = BoundingBox { topleft: [0; 3], size: [3; 3] };
    write_region(&*array, &[], &region, &given, &WriteOptions::default()).unwrap_err();
    assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn a_linked_shard_is_replaced_and_its_source_left_alone() {
    let new = kinds().remove(5);
    let (folder, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [array, other] = [&folder, &source].map(|folder| create(&place(folder.path(), &new), &new).unwrap());
    let region = BoundingBox { topleft: [1; 3], size: [3; 3] };
    write(&*other, &region, &voxels(5, 27 * VOXEL), &WriteOptions::default());
    let (from, to) = (source.path().join("1/c/0/0/0/0"), folder.path().join("1/c/0/0/0/0"));
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::hard_link(&from, &to).unwrap();
    let before = std::fs::read(&from).unwrap();
    write(&*array, &region, &voxels(6, 27 * VOXEL), &WriteOptions::default());
    assert_eq!(std::fs::read(&from).unwrap(), before);
    assert_eq!(read(&*array, &region), voxels(6, 27 * VOXEL));
}

#[test]
fn impossible_writes_are_refused() {
    let new = kinds().remove(5);
    let folder = tempfile::tempdir().unwrap();
    let array: Arc<dyn MagArray> = create(&place(folder.path(), &new), &new).unwrap();
    let try_at = |topleft: [i64; 3], size: [i64; 3], bytes: usize, extra: &[u32]| {
        let voxels = Voxels { bytes: &vec![1; bytes], z_fastest: false };
        write_region(&*array, extra, &BoundingBox { topleft, size }, &voxels, &WriteOptions::default()).unwrap_err()
    };
    for (error, reason) in [
        (try_at([-1, 0, 0], [1; 3], VOXEL, &[]), "out of bounds"),
        (try_at([1 << 40, 0, 0], [1; 3], VOXEL, &[]), "out of bounds"),
        (try_at([0; 3], [1; 3], 3, &[]), "a buffer of 3 bytes"),
        (try_at([0; 3], [1; 3], VOXEL, &[1]), "additional axes"),
    ] {
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(list_chunks(&*array).unwrap().is_empty());
}

/// A file on a disk that is full.
#[derive(Debug)]
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

impl std::io::Seek for Full {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Ok(0)
    }
}

impl ShardFile for Full {
    fn name(&self) -> String {
        "layer/1/shard".to_owned()
    }

    fn append_from(&mut self, _: &mut std::fs::File, _: std::ops::Range<u64>) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    for new in kinds() {
        let folder = tempfile::tempdir().unwrap();
        let array = create(&place(folder.path(), &new), &new).unwrap();
        let write = || {
            let mut file = Full;
            let mut writer = array.shard_writer(&mut file)?;
            for _ in 0..writer.order().len() {
                writer.append(Some(&[1; 64]))?;
            }
            writer.finish()
        };
        let error = write().unwrap_err().to_string();
        assert!(error.starts_with("layer/1/shard: "), "{error}");
    }
}
