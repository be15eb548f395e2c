use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::change::Change;
use super::{ReshapeJob, Step, run};
use crate::error::VolumeError;
use crate::format::{
    Container, DataFormat, MagArray, MagLocation, NewMag, Voxels, WriteOptions, create, list_chunks, open_mag_in,
    read_region, write_region,
};
use crate::geometry::{BoundingBox, ChunkIndex, Mag};
use crate::store::{SlowStore, list};
use crate::voxels::VoxelType;

const REGION: BoundingBox = BoundingBox { topleft: [3, 5, 7], size: [61, 50, 40] };

fn mag(folder: &Path, format: DataFormat, chunk: u32, per_shard: u32) -> Arc<dyn MagArray> {
    let location = MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.to_owned() }, "");
    let new = NewMag {
        chunk_shape: [chunk; 3],
        chunks_per_shard: [per_shard; 3],
        ..NewMag::with_defaults(format, VoxelType::UInt16, 1)
    };
    create(&location, &new).unwrap()
}

fn painted(folder: &Path, format: DataFormat) -> (Arc<dyn MagArray>, Vec<u8>) {
    let array = mag(folder, format, 16, if format == DataFormat::Zarr { 1 } else { 2 });
    let count = REGION.size.iter().product::<i64>() as u32;
    let bytes: Vec<u8> =
        (0..count).flat_map(|place| (place.wrapping_mul(2_654_435_761) as u16).to_le_bytes()).collect();
    let voxels = Voxels { bytes: &bytes, z_fastest: false };
    write_region(&*array, &[], &REGION, &voxels, &WriteOptions { keep_zeros: false, pool: None }).unwrap();
    (array, bytes)
}

/// The mag in `folder` as one in a store that answers late.
fn far(folder: &Path, format: DataFormat) -> Arc<dyn MagArray> {
    let container = Container::Directory { path: folder.to_owned() };
    let slow = SlowStore::new(container.open().unwrap(), Duration::ZERO, 8);
    open_mag_in(Arc::new(slow), &MagLocation::new(Mag([1; 3]), format, container, "")).unwrap()
}

/// Every file of the store of a mag.
fn contents(array: &dyn MagArray) -> BTreeMap<String, Vec<u8>> {
    let entries = list(&**array.store(), "").unwrap();
    entries
        .into_iter()
        // A folder without chunks is listed as well.
        .filter(|entry| array.store().size(&entry.key).is_ok())
        .map(|entry| (entry.key.clone(), array.store().read(&entry.key, 1 << 30).unwrap().unwrap()))
        .collect()
}

#[test]
fn a_copy_in_any_format_and_cut_holds_the_same_voxels() {
    let formats = [DataFormat::Wkw, DataFormat::Zarr, DataFormat::Zarr3];
    for (from, to) in formats.into_iter().flat_map(|from| formats.map(|to| (from, to))) {
        for (chunk, per_shard) in [(16, 2), (16, 4), (8, 4), (32, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let (source, expected) = painted(&folder.path().join("source"), from);
            let per_shard = if to == DataFormat::Zarr { 1 } else { per_shard };
            let target = mag(&folder.path().join("target"), to, chunk, per_shard);
            let distant = far(&folder.path().join("source"), from);
            let away = mag(&folder.path().join("away"), to, chunk, per_shard);
            let job = ReshapeJob::of(Step::Copy, distant, away.clone()).unwrap();
            run(&job, 0..job.shards().len(), 3, &mut |_| Ok(())).unwrap();
            let job = ReshapeJob::of(Step::Copy, source, target.clone()).unwrap();
            let summary = run(&job, 0..job.shards().len(), 3, &mut |_| Ok(())).unwrap();
            assert_eq!(summary.shards, job.shards().len());
            assert!(contents(&*away) == contents(&*target), "{from} to {to} from afar");
            let mut found = vec![0; expected.len()];
            read_region(&*target, &[], &REGION, &mut found).unwrap();
            assert!(found == expected, "{from} to {to} in chunks of {chunk}");
            if from == to && chunk == 16 {
                assert_eq!(summary.chunks_computed, 0, "{from}: the same chunks pass as they are");
            }
        }
    }
}

#[test]
fn parts_of_a_job_make_the_whole_and_absent_chunks_stay_absent() {
    let folder = tempfile::tempdir().unwrap();
    let (source, _) = painted(&folder.path().join("source"), DataFormat::Zarr3);
    let target = mag(&folder.path().join("target"), DataFormat::Zarr3, 16, 1);
    let job = ReshapeJob::of(Step::Copy, source.clone(), target.clone()).unwrap();
    for shard in 0..job.shards().len() {
        run(&job, shard..shard + 1, 1, &mut |_| Ok(())).unwrap();
    }
    let places = |array: &dyn MagArray| {
        let mut places: Vec<_> = list_chunks(array).unwrap().into_iter().map(|(chunk, _)| chunk).collect();
        places.sort();
        places
    };
    assert_eq!(places(&*target), places(&*source));
    assert!(run(&job, 0..job.shards().len() + 1, 1, &mut |_| Ok(())).is_err());
}

/// A large shard lies over very many small ones, of which few get anything.
#[test]
fn shards_that_get_nothing_are_not_touched_and_go_if_they_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let source = mag(&folder.path().join("source"), DataFormat::Zarr3, 16, 8);
    let target = mag(&folder.path().join("target"), DataFormat::Zarr3, 16, 1);
    let paint = |array: &dyn MagArray, topleft: [i64; 3]| {
        let voxels = Voxels { bytes: &[1; 2000], z_fastest: false };
        let region = BoundingBox { topleft, size: [10, 10, 10] };
        write_region(array, &[], &region, &voxels, &WriteOptions { keep_zeros: false, pool: None }).unwrap();
    };
    paint(&*source, [100, 0, 0]);
    paint(&*target, [0, 64, 0]);
    let job = ReshapeJob::of(Step::Copy, source, target.clone()).unwrap();
    assert_eq!(job.shards().len(), 512);
    run(&job, 0..512, 2, &mut |_| Ok(())).unwrap();
    let chunks = list_chunks(&*target).unwrap();
    assert_eq!(chunks.iter().map(|(chunk, _)| chunk.xyz).collect::<Vec<_>>(), [[6, 0, 0]]);
    // Whoever begins to write a file makes the folders around it.
    let folders = folders_in(&folder.path().join("target"));
    assert!(folders <= 8, "{folders} folders");
}

fn folders_in(folder: &Path) -> usize {
    let inner = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    1 + inner.filter(|path| path.is_dir()).map(|path| folders_in(&path)).sum::<usize>()
}

#[test]
fn an_observer_ends_a_run_and_no_file_is_left_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let (source, _) = painted(&folder.path().join("source"), DataFormat::Zarr3);
    let target = mag(&folder.path().join("target"), DataFormat::Zarr3, 8, 1);
    let job = ReshapeJob::of(Step::Copy, source, target.clone()).unwrap();
    let stopped = run(&job, 0..job.shards().len(), 2, &mut |progress| {
        if progress.done > 2 { Err(VolumeError::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(VolumeError::Interrupted)));
    for entry in list(&**target.store(), "").unwrap() {
        assert!(!entry.key.ends_with("part"), "{} was left", entry.key);
    }
}

#[test]
fn a_function_that_waits_for_others_gets_and_gives_the_voxels_of_its_own_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let (source, before) = painted(&folder.path().join("source"), DataFormat::Zarr3);
    let target = mag(&folder.path().join("target"), DataFormat::Zarr3, 16, 4);
    let mut job = ReshapeJob::of(Step::Apply, source, target.clone()).unwrap();
    let inverted = |_: &ChunkIndex, voxels: &[u8], made: &mut [u8]| {
        // The thread may be given another chunk while it waits for the other half.
        let (given, made) = (voxels.split_at(voxels.len() / 2), made.split_at_mut(voxels.len() / 2));
        rayon::join(|| invert(given.0, made.0), || invert(given.1, made.1));
        Ok(())
    };
    job.change = Some(Change::Apply(Arc::new(inverted)));
    let summary = run(&job, 0..job.shards().len(), 3, &mut |_| Ok(())).unwrap();
    assert_eq!(summary.chunks_passed, 0);
    let mut found = vec![0; before.len()];
    read_region(&*target, &[], &REGION, &mut found).unwrap();
    let mut expected = vec![0; before.len()];
    invert(&before, &mut expected);
    assert!(found == expected);
}

fn invert(voxels: &[u8], made: &mut [u8]) {
    made.iter_mut().zip(voxels).for_each(|(made, &voxel)| *made = !voxel);
}
