use serde_json::json;

use super::*;
use crate::geometry::Mag;

fn place(folder: &Path, format: DataFormat) -> MagLocation {
    MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.to_owned() }, "layer/1")
}

const FORMATS: [DataFormat; 3] = DataFormat::ALL;

#[test]
fn a_new_mag_opens_with_the_grid_it_was_asked_for() {
    for (format, voxel_type) in FORMATS.into_iter().flat_map(|format| VoxelType::ALL.map(|kind| (format, kind))) {
        let folder = tempfile::tempdir().unwrap();
        let new = NewMag { chunk_shape: [8; 3], ..NewMag::with_defaults(format, voxel_type, 3) };
        let array = create(&place(folder.path(), format), &new).unwrap();
        let grid = array.grid();
        assert_eq!((grid.voxel_type, grid.channels, grid.chunk_shape), (voxel_type, 3, [8; 3]));
        assert_eq!(grid.chunks_per_shard, new.chunks_per_shard);
        assert!(array.codec().is_compressed());
        let plain = NewMag { compress: false, ..new };
        let array = create(&place(&folder.path().join("plain"), format), &plain).unwrap();
        assert!(!array.codec().is_compressed());
    }
}

#[test]
fn arrays_state_whole_shards() {
    let new = NewMag { extent: [1025, 1, 0], ..NewMag::with_defaults(DataFormat::Zarr3, VoxelType::UInt8, 1) };
    let (_, json) = new.metadata().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&json).unwrap()["shape"], json!([1, 2048, 1024, 1024]));
    let new = NewMag { extent: [33, 1, 0], ..NewMag::with_defaults(DataFormat::Zarr, VoxelType::UInt8, 1) };
    let (_, json) = new.metadata().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&json).unwrap()["shape"], json!([1, 64, 32, 32]));
}

#[test]
fn axes_lie_in_the_order_asked_for() {
    let axes = ["t", "c", "z", "y", "x"].map(str::to_owned).to_vec();
    let extra_axes = vec![ExtraAxis { name: "t".to_owned(), length: 5 }];
    for format in [DataFormat::Zarr, DataFormat::Zarr3] {
        let folder = tempfile::tempdir().unwrap();
        let chunk_shape = [8, 9, 10];
        let plain =
            NewMag { chunk_shape, chunks_per_shard: [1; 3], ..NewMag::with_defaults(format, VoxelType::UInt16, 2) };
        let new = NewMag { axes: axes.clone(), extra_axes: extra_axes.clone(), ..plain.clone() };
        let json: Value = serde_json::from_slice(&new.metadata().unwrap().1).unwrap();
        assert_eq!(json["shape"], json!([5, 2, 10, 9, 8]));
        let grid = create(&place(folder.path(), format), &new).unwrap().grid().clone();
        assert_eq!((grid.channels, grid.chunk_shape, grid.extra_axes), (2, [8, 9, 10], vec!["t".to_owned()]));
        let wrong = NewMag { axes: ["x", "y", "z"].map(str::to_owned).to_vec(), ..plain };
        assert!(wrong.metadata().unwrap_err().contains("has the axes"), "two channels need an axis");
        assert!(NewMag { extra_axes: Vec::new(), ..new }.metadata().is_err(), "t is named, but has no length");
    }
}

#[test]
fn a_mag_of_chunks_or_shards_that_cannot_be_opened_is_refused_before_anything_is_made() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let good = NewMag::with_defaults(format, VoxelType::UInt32, 1);
        let wide = NewMag { chunk_shape: [2048; 3], chunks_per_shard: [1; 3], ..good.clone() };
        let many = NewMag { chunks_per_shard: [1024; 3], ..good.clone() };
        for (new, expected) in [(wide, "exceed 1073741824 bytes"), (many, "exceed 16777216 chunks")] {
            let told = create(&place(folder.path(), format), &new).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        assert!(create(&place(folder.path(), format), &good).is_ok());
    }
}

#[test]
fn a_mag_that_is_there_is_not_touched() {
    for (format, other) in FORMATS.into_iter().zip([DataFormat::Zarr3, DataFormat::Wkw, DataFormat::Zarr]) {
        let folder = tempfile::tempdir().unwrap();
        create(&place(folder.path(), format), &NewMag::with_defaults(format, VoxelType::UInt8, 1)).unwrap();
        let again = create(&place(folder.path(), other), &NewMag::with_defaults(other, VoxelType::UInt8, 1));
        assert!(matches!(again, Err(VolumeError::TargetTaken { .. })));
        assert_eq!(std::fs::read_dir(folder.path().join("layer/1")).unwrap().count(), 1);
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_before_anything_is_written() {
    let of = |format| NewMag::with_defaults(format, VoxelType::UInt64, 1);
    let axis = ExtraAxis { name: "t".to_owned(), length: 2 };
    let (wkw, zarr, zarr3) = (DataFormat::Wkw, DataFormat::Zarr, DataFormat::Zarr3);
    let cases = [
        (NewMag { chunk_shape: [32, 32, 16], ..of(wkw) }, "cubes of a power of two"),
        (NewMag { chunk_shape: [24; 3], ..of(wkw) }, "cubes of a power of two"),
        (NewMag { chunks_per_shard: [3; 3], ..of(wkw) }, "cubes of a power of two"),
        (NewMag { chunks_per_shard: [1 << 9; 3], ..of(wkw) }, "exceed 16777216 chunks"),
        (NewMag { channels: 40, ..of(wkw) }, "40 channels"),
        (NewMag { extra_axes: vec![axis.clone()], ..of(wkw) }, "additional axes"),
        (NewMag { codecs: Some(vec![json!({"name": "zstd"})]), ..of(wkw) }, "lz4"),
        (NewMag { chunks_per_shard: [2; 3], ..of(zarr) }, "no shards"),
        (NewMag { chunk_shape: [0, 1, 1], ..of(zarr3) }, "positive"),
        (NewMag { channels: 0, ..of(zarr3) }, "positive"),
    ];
    for (new, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = create(&place(folder.path(), new.format), &new).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn additional_axes_stand_between_c_and_x() {
    for format in [DataFormat::Zarr, DataFormat::Zarr3] {
        let folder = tempfile::tempdir().unwrap();
        let axes = ["t", "q"].map(|name| ExtraAxis { name: name.to_owned(), length: 3 });
        let new = NewMag { extra_axes: axes.to_vec(), ..NewMag::with_defaults(format, VoxelType::UInt8, 2) };
        let array = create(&place(folder.path(), format), &new).unwrap();
        assert_eq!(array.grid().extra_axes, ["t", "q"]);
        assert_eq!(array.grid().channels, 2);
    }
}
