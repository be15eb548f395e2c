use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::format::{Container, DataFormat, NewMag, Voxels, WriteOptions, create, read_region, write_region};
use crate::geometry::Mag;

/// Voxel by voxel: the obvious way.
fn slowly(values: &[i64], shape: [usize; 3], at: [i64; 3]) -> Vec<(u64, Row)> {
    let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
    for (place, &value) in values.iter().enumerate().filter(|&(_, &value)| value != 0) {
        let local = [place % shape[0], place / shape[0] % shape[1], place / (shape[0] * shape[1])];
        let voxel: [u64; 3] = std::array::from_fn(|axis| (at[axis] + local[axis] as i64) as u64);
        let none = Row { voxels: 0, low: [u64::MAX; 3], high: [0; 3], sum: [0; 3] };
        let row = rows.entry(value as u64).or_insert(none);
        row.voxels += 1;
        for (axis, &at) in voxel.iter().enumerate() {
            row.low[axis] = row.low[axis].min(at);
            row.high[axis] = row.high[axis].max(at);
            row.sum[axis] += u128::from(at);
        }
    }
    rows.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_region_of_any_format_is_counted_as_voxel_by_voxel(
        format in prop::sample::select(DataFormat::ALL.to_vec()),
        signed: bool,
        size in prop::array::uniform3(1_i64..30),
        start in prop::array::uniform3(0_i64..20),
        part_start in prop::array::uniform3(-5_i64..30),
        part_size in prop::array::uniform3(0_i64..40),
        seed: u64,
        period in prop::sample::select(vec![1_u64, 3, 20, 100, 2000]),
        threads in 1_usize..3,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let source = MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.path().into() }, "1");
        let voxel_type = if signed { VoxelType::Int16 } else { VoxelType::UInt16 };
        let per_shard = if format == DataFormat::Zarr { 1 } else { 2 };
        let new = NewMag {
            chunk_shape: [8; 3],
            chunks_per_shard: [per_shard; 3],
            ..NewMag::with_defaults(format, voxel_type, 1)
        };
        let array = create(&source, &new).unwrap();
        let count = size.iter().product::<i64>() as u64;
        let bytes: Vec<u8> = (0..count)
            .flat_map(|at| (((seed ^ (at / period)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as i16 - 5).to_le_bytes())
            .collect();
        let whole = BoundingBox { topleft: start, size };
        let written = Voxels { bytes: &bytes, z_fastest: false };
        write_region(&*array, &[], &whole, &written, &WriteOptions { keep_zeros: false, pool: None }).unwrap();

        let region = BoundingBox { topleft: part_start, size: part_size };
        let mut part = vec![0; part_size.iter().product::<i64>() as usize * 2];
        read_region(&*array, &[], &region, &mut part).unwrap();
        let values: Vec<i64> = part.as_chunks::<2>().0.iter().map(|&bytes| {
            if signed { i64::from(i16::from_le_bytes(bytes)) } else { i64::from(u16::from_le_bytes(bytes)) }
        }).collect();
        let expected = slowly(&values, part_size.map(|edge| edge as usize), part_start);

        let job = CountJob::open(&Request { source, region, extra: Vec::new() }).unwrap();
        let mut table = Table::default();
        let half = job.shards().len() / 2;
        for shards in [half..job.shards().len(), 0..half] {
            table.merge(run(&job, shards, threads, &mut |_| Ok(())).unwrap());
        }
        let mut found = table.sorted();
        prop_assert_eq!(Table::of(found.clone()), table);
        found.sort_unstable_by_key(|row| row.0);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn floats_and_several_channels_are_no_labels() {
    for (voxel_type, channels) in [(VoxelType::Float32, 1), (VoxelType::UInt8, 3)] {
        assert!(matches!(check(voxel_type, channels), Err(VolumeError::Mismatch(_))));
    }
    let block = CountedBlock::whole([1; 3], [0; 3]);
    assert!(add(&mut Table::default(), VoxelType::Float64, &[0; 8], &block).is_err());
}
