//! Real annotations and datasets, laid over each other the obvious way and compared with what the reference package made
//! of them. Skipped where the shared fixtures are absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use wkfast_volume::format::{
    Container, DataFormat, DiscoveredMag, MagArray, MagLocation, discover, list_chunks, open_mag, read_region,
    region_bytes,
};
use wkfast_volume::geometry::{BoundingBox, Mag};

fn fixtures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let folder = std::env::var_os("WKFAST_FIXTURES").map_or(beside, PathBuf::from);
    let found = folder.is_dir();
    if !found {
        eprintln!("skipped: no fixtures at {}", folder.display());
    }
    found.then_some(folder)
}

fn discovered(folder: &Path, annotation: &str, member: &str) -> Vec<DiscoveredMag> {
    let path = folder.join("annotations").join(annotation);
    let found = discover(&Container::Zip { path, member: Some(member.to_owned()) }, None).unwrap();
    assert_eq!(found.warnings, [""; 0]);
    found.mags
}

fn fallback(folder: &Path, dataset: &str, format: DataFormat) -> Arc<dyn MagArray> {
    let path = folder.join("datasets").join(dataset).join("segmentation/1");
    open_mag(&MagLocation::new(Mag([1; 3]), format, Container::Directory { path }, "")).unwrap()
}

fn read(array: &dyn MagArray, region: &BoundingBox) -> Vec<u8> {
    let mut voxels = vec![0; region_bytes(array.grid(), region).unwrap()];
    read_region(array, &[], region, &mut voxels).unwrap();
    voxels
}

/// Lays every chunk of `annotation` over `merged`, which holds `region`, row by row.
fn lay_over(annotation: &dyn MagArray, region: &BoundingBox, merged: &mut [u8]) {
    let size = annotation.grid().voxel_type.size();
    for (chunk, _) in list_chunks(annotation).unwrap() {
        let topleft = [0, 1, 2].map(|axis| i64::from(chunk.xyz[axis] * annotation.grid().chunk_shape[axis]));
        let edges = annotation.grid().chunk_shape.map(i64::from);
        let voxels = read(annotation, &BoundingBox { topleft, size: edges });
        for (row, from) in voxels.chunks_exact(edges[0] as usize * size).enumerate() {
            let (y, z) = (row as i64 % edges[1], row as i64 / edges[1]);
            let [x, y, z] = [topleft[0], topleft[1] + y, topleft[2] + z].map(|n| n as usize);
            let [x, y, z] = [0, 1, 2].map(|axis| [x, y, z][axis] - region.topleft[axis] as usize);
            let to = (x + region.size[0] as usize * (y + region.size[1] as usize * z)) * size;
            merged[to..to + from.len()].copy_from_slice(from);
        }
    }
}

#[derive(Deserialize)]
struct Expected {
    topleft: [i64; 3],
    size: [i64; 3],
    dtype: String,
    sha256_f_order: String,
}

fn expected(folder: &Path, name: &str) -> Expected {
    serde_json::from_slice(&std::fs::read(folder.join("expected").join(name)).unwrap()).unwrap()
}

fn agrees_with_the_reference(annotation: (&str, &str), dataset: (&str, DataFormat), result: &str) {
    let Some(folder) = fixtures() else { return };
    let expected = expected(&folder, result);
    let region = BoundingBox { topleft: expected.topleft, size: expected.size };
    let mags = discovered(&folder, annotation.0, annotation.1);
    let painted = open_mag(&mags[0].location).unwrap();
    let below = fallback(&folder, dataset.0, dataset.1);
    assert_eq!((mags[0].location.mag, below.grid().voxel_type.name()), (Mag([1; 3]), expected.dtype.as_str()));
    let mut merged = read(&*below, &region);
    lay_over(&*painted, &region, &mut merged);
    assert_eq!(format!("{:x}", Sha256::digest(&merged)), expected.sha256_f_order);
}

#[test]
fn a_stored_inner_zip_over_a_wkw_layer_is_what_the_reference_made() {
    let annotation = ("cremi_two_volumes.zip", "data_1_Volume.zip");
    agrees_with_the_reference(annotation, ("dsA+", DataFormat::Wkw), "cremi_volume_on_dsA+.json");
}

#[test]
fn a_deflated_inner_zip_over_a_wkw_layer_is_what_the_reference_made() {
    let annotation = ("l4dense_wkw.zip", "data_Volume.zip");
    agrees_with_the_reference(annotation, ("l4dense_motta_et_al_demo_v2", DataFormat::Wkw), "l4dense_on_wkw.json");
}

#[test]
fn zarr3_chunks_over_a_sharded_layer_are_what_the_reference_made() {
    let annotation = ("l4_sample_zarr3.zip", "data_Volume.zip");
    agrees_with_the_reference(annotation, ("l4_sample", DataFormat::Zarr3), "l4_sample_on_zarr3.json");
}

#[test]
fn the_mags_of_real_annotations_are_found_finest_first() {
    let Some(folder) = fixtures() else { return };
    for (annotation, member, mags, chunks, voxel_type) in [
        ("cremi_two_volumes.zip", "data_0_Volume_2.zip", "1 2 4 8 16", 32, "uint32"),
        ("cremi_two_volumes.zip", "data_1_Volume.zip", "1 2 4 8 16", 30, "uint16"),
        ("l4_sample_zarr3.zip", "data_Volume.zip", "1 2-2-1 4-4-1 8-8-2 16-16-4", 186, "uint32"),
    ] {
        let found = discovered(&folder, annotation, member);
        let names: Vec<_> = found.iter().map(|mag| mag.location.mag.to_string()).collect();
        assert_eq!(names.join(" "), mags);
        assert_eq!(found.iter().map(|mag| mag.chunks).sum::<u64>(), chunks, "{annotation} {member}");
        assert!(found.iter().all(|mag| mag.grid.voxel_type.name() == voxel_type));
    }
    let found = discovered(&folder, "l4dense_wkw.zip", "data_Volume.zip");
    assert_eq!((found.len(), found[10].location.mag), (11, Mag([1024, 1024, 512])));
    assert_eq!(found.iter().map(|mag| mag.chunks).sum::<u64>(), 145);
}
