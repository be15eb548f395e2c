//! Boxes and chunks of voxels into files and out of them.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use wkfast_volume::format::{
    Container, DataFormat, IndexCache, MagArray, MagLocation, NewMag, Voxels, WriteOptions, create, read_region_with,
    write_region,
};
use wkfast_volume::geometry::{BoundingBox, Mag};
use wkfast_volume::voxels::VoxelType;

const EDGE: usize = 128;
const WHOLE: BoundingBox = BoundingBox { topleft: [0; 3], size: [EDGE as i64; 3] };
const FORMATS: [DataFormat; 3] = [DataFormat::Wkw, DataFormat::Zarr, DataFormat::Zarr3];

/// Cells of 16³ voxels, x fastest: about as compressible as a segmentation.
fn labels() -> Vec<u8> {
    let cell = |n: usize| n / 16 % 8 + n / (16 * EDGE) % 8 * 8 + n / (16 * EDGE * EDGE) * 64;
    (0..EDGE.pow(3)).flat_map(|n| (cell(n) as u32 * 2_654_435_761).to_le_bytes()).collect()
}

fn mag(folder: &Path, format: DataFormat) -> Arc<dyn MagArray> {
    let container = Container::Directory { path: folder.to_owned() };
    let per_shard = if format == DataFormat::Zarr { [1; 3] } else { [4; 3] };
    let new = NewMag { chunks_per_shard: per_shard, ..NewMag::with_defaults(format, VoxelType::UInt32, 1) };
    create(&MagLocation::new(Mag([1; 3]), format, container, "1"), &new).unwrap()
}

fn write(array: &dyn MagArray, region: &BoundingBox, bytes: &[u8], z_fastest: bool) {
    write_region(array, &[], region, &Voxels { bytes, z_fastest }, &WriteOptions::default()).unwrap();
}

fn regions(criterion: &mut Criterion) {
    let voxels = labels();
    let mut group = criterion.benchmark_group("region");
    group.throughput(Throughput::Bytes(voxels.len() as u64)).sample_size(10);
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let array = mag(folder.path(), format);
        for (name, z_fastest) in [("write x fastest", false), ("write z fastest", true)] {
            group.bench_function(BenchmarkId::new(name, format), |bencher| {
                bencher.iter(|| write(&*array, &WHOLE, black_box(&voxels), z_fastest));
            });
        }
        write(&*array, &WHOLE, &voxels, false);
        let (cache, mut out) = (IndexCache::default(), vec![0; voxels.len()]);
        read_region_with(&cache, &*array, &[], &WHOLE, &mut out).unwrap();
        assert!(out == voxels);
        group.bench_function(BenchmarkId::new("read", format), |bencher| {
            bencher.iter(|| read_region_with(&cache, &*array, &[], &WHOLE, black_box(&mut out)).unwrap());
        });
    }
}

fn chunks(criterion: &mut Criterion) {
    let voxels = labels();
    let mut group = criterion.benchmark_group("chunk");
    let bytes = 4 * 32_usize.pow(3);
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let array = mag(folder.path(), format);
        write(&*array, &WHOLE, &voxels, false);
        let (cache, mut out) = (IndexCache::default(), vec![0; bytes]);
        for (name, topleft) in [("read on the grid", [32; 3]), ("read off the grid", [45; 3])] {
            let region = BoundingBox { topleft, size: [32; 3] };
            group.bench_function(BenchmarkId::new(name, format), |bencher| {
                bencher.iter(|| read_region_with(&cache, &*array, &[], &region, black_box(&mut out)).unwrap());
            });
        }
        let region = BoundingBox { topleft: [32; 3], size: [32; 3] };
        group.bench_function(BenchmarkId::new("write one of a shard", format), |bencher| {
            bencher.iter(|| write(&*array, &region, black_box(&voxels[..bytes]), false));
        });
    }
}

/// One chunk through each format's codec, beside the libraries called directly and a copy of its bytes.
fn codecs(criterion: &mut Criterion) {
    let cell = |n: usize| n / 11 % 3 + n / (32 * 9) % 4 * 3 + n / (32 * 32 * 13) * 12;
    let chunk: Vec<u8> = (0..32_usize.pow(3)).flat_map(|n| (cell(n) as u32 * 2_654_435_761).to_le_bytes()).collect();
    let mut out = vec![0; chunk.len()];
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(chunk.len() as u64)).sample_size(20);
    group.bench_function("limit: copy", |bencher| bencher.iter(|| out.copy_from_slice(black_box(&chunk))));
    let strong = Some(lz4::block::CompressionMode::HIGHCOMPRESSION(9));
    let (lz4, zstd) = (lz4::block::compress(&chunk, strong, false).unwrap(), zstd::bulk::compress(&chunk, 5).unwrap());
    group.bench_function("encode, LZ4-HC 9 alone", |bencher| {
        bencher.iter(|| lz4::block::compress(black_box(&chunk), strong, false).unwrap());
    });
    group.bench_function("encode, zstd 5 alone", |bencher| {
        bencher.iter(|| zstd::bulk::compress(black_box(&chunk), 5).unwrap());
    });
    group.bench_function("decode, LZ4 alone", |bencher| {
        bencher.iter(|| lz4::block::decompress_to_buffer(black_box(&lz4), Some(chunk.len() as i32), &mut out).unwrap());
    });
    group.bench_function("decode, zstd alone", |bencher| {
        bencher.iter(|| zstd::bulk::decompress_to_buffer(black_box(&zstd), &mut out).unwrap());
    });
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let array = mag(folder.path(), format);
        let encoded = array.codec().encode(&chunk).unwrap();
        array.codec().decode(&encoded, &mut out).unwrap();
        assert!(out == chunk);
        group.bench_function(BenchmarkId::new("encode", format), |bencher| {
            bencher.iter(|| array.codec().encode(black_box(&chunk)).unwrap());
        });
        group.bench_function(BenchmarkId::new("decode", format), |bencher| {
            bencher.iter(|| array.codec().decode(black_box(&encoded), &mut out).unwrap());
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    regions(&mut criterion);
    chunks(&mut criterion);
    codecs(&mut criterion);
    criterion.final_summary();
}
