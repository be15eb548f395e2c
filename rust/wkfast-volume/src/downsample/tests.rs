use proptest::prelude::*;

use super::{Block, Interpolation, Taps, downsample};
use crate::voxels::VoxelType;

/// The obvious way: all values of a voxel in a list, y fastest, then x, then z, as `f64` (small integers are exact).
fn plainly(kind: Interpolation, values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = |value: f64| values.iter().filter(|&&other| other.total_cmp(&value).is_eq()).count();
    match kind {
        Interpolation::Mode => {
            let most = values.iter().map(|&value| count(value)).max().unwrap();
            *values.iter().find(|&&value| count(value) == most).unwrap()
        }
        Interpolation::Median => f64::midpoint(sorted[(values.len() - 1) / 2], sorted[values.len() / 2]),
        Interpolation::Nearest => values[0],
        Interpolation::Max => *sorted.last().unwrap(),
        Interpolation::Min => sorted[0],
    }
}

fn bytes_of(kind: VoxelType, value: f64) -> Vec<u8> {
    match kind {
        VoxelType::UInt8 => vec![value as u8],
        VoxelType::UInt16 => (value as u16).to_le_bytes().to_vec(),
        VoxelType::UInt32 => (value as u32).to_le_bytes().to_vec(),
        VoxelType::UInt64 => (value as u64).to_le_bytes().to_vec(),
        VoxelType::Int8 => (value as i8).to_le_bytes().to_vec(),
        VoxelType::Int16 => (value as i16).to_le_bytes().to_vec(),
        VoxelType::Int32 => (value as i32).to_le_bytes().to_vec(),
        VoxelType::Int64 => (value as i64).to_le_bytes().to_vec(),
        VoxelType::Float32 => (value as f32).to_le_bytes().to_vec(),
        VoxelType::Float64 => value.to_le_bytes().to_vec(),
    }
}

fn is_signed(kind: VoxelType) -> bool {
    !kind.name().starts_with('u')
}

const KINDS: [Interpolation; 5] =
    [Interpolation::Mode, Interpolation::Median, Interpolation::Nearest, Interpolation::Max, Interpolation::Min];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_block_equals_the_voxel_by_voxel_way(
        kind in prop::sample::select(KINDS.to_vec()),
        voxel_type in prop::sample::select(VoxelType::ALL.to_vec()),
        channels in 1_usize..3,
        factor in prop::array::uniform3(prop::sample::select(vec![1_usize, 2, 2, 3, 4])),
        size in [1_usize..40, 1_usize..4, 1_usize..4],
        labels in 1_i32..6,
        seed in any::<u64>(),
    ) {
        let shape: [usize; 3] = std::array::from_fn(|axis| size[axis] * factor[axis] + 1);
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let value = (state >> 33) as i32 % labels;
            f64::from(if is_signed(voxel_type) { value * 3 - labels } else { value })
        };
        let voxels: Vec<f64> = (0..shape.iter().product::<usize>() * channels).map(|_| next()).collect();
        let source: Vec<u8> = voxels.iter().flat_map(|&value| bytes_of(voxel_type, value)).collect();
        let width = voxel_type.size();
        let target_shape = size.map(|edge| edge + 1);
        let mut target = vec![0xAB; target_shape.iter().product::<usize>() * channels * width];
        let taps: [Taps; 3] = std::array::from_fn(|axis| Taps::following(1, factor[axis], size[axis]));
        downsample(kind, &source, Block { voxel_type, channels, shape }, &taps, &mut target, target_shape, [1, 0, 1]);
        for place in 0..target_shape.iter().product::<usize>() * channels {
            let (voxel, channel) = (place / channels, place % channels);
            let [x, y, z] = [
                voxel % target_shape[0],
                voxel / target_shape[0] % target_shape[1],
                voxel / target_shape[0] / target_shape[1],
            ];
            let found = &target[place * width..(place + 1) * width];
            if x == 0 || y == size[1] || z == 0 {
                prop_assert!(found.iter().all(|&byte| byte == 0xAB), "a voxel outside was written");
                continue;
            }
            let mut values = Vec::new();
            for dz in 0..factor[2] {
                for dx in 0..factor[0] {
                    for dy in 0..factor[1] {
                        let [sx, sy, sz] =
                            [(x - 1) * factor[0] + dx + 1, y * factor[1] + dy + 1, (z - 1) * factor[2] + dz + 1];
                        values.push(voxels[(sx + shape[0] * (sy + shape[1] * sz)) * channels + channel]);
                    }
                }
            }
            let expected = bytes_of(voxel_type, plainly(kind, &values));
            prop_assert_eq!(found, &expected, "{} of {:?}", kind, values);
        }
    }
}

fn of_eight<const N: usize>(kind: Interpolation, voxel_type: VoxelType, values: [[u8; N]; 8]) -> [u8; N] {
    let mut target = [0; N];
    let taps = [0; 3].map(|_: usize| Taps::following(0, 2, 1));
    let block = Block { voxel_type, channels: 1, shape: [2; 3] };
    downsample(kind, values.as_flattened(), block, &taps, &mut target, [1; 3], [0; 3]);
    target
}

#[test]
fn ties_go_to_the_first_value_with_y_running_fastest() {
    // Memory order is x fastest: (0,0,0), (1,0,0), (0,1,0), (1,1,0) and the same above.
    assert_eq!(of_eight(Interpolation::Mode, VoxelType::UInt8, [7, 2, 1, 2, 1, 3, 4, 5].map(|value| [value])), [1]);
    assert_eq!(of_eight(Interpolation::Mode, VoxelType::UInt8, [7, 2, 1, 3, 2, 1, 4, 5].map(|value| [value])), [1]);
}

#[test]
fn large_labels_keep_every_digit() {
    for label in [u64::MAX, (1 << 53) + 1] {
        for kind in KINDS {
            assert_eq!(of_eight(kind, VoxelType::UInt64, [label.to_le_bytes(); 8]), label.to_le_bytes(), "{kind}");
        }
    }
    let lowest = [i64::MIN.to_le_bytes(); 8];
    assert_eq!(of_eight(Interpolation::Median, VoxelType::Int64, lowest), i64::MIN.to_le_bytes());
}

#[test]
fn what_is_no_number_is_passed_on_but_never_the_most_frequent() {
    let mut values = [1.0_f32, 2.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    values[3] = f32::NAN;
    let found = |kind| f32::from_le_bytes(of_eight(kind, VoxelType::Float32, values.map(f32::to_le_bytes)));
    assert!(
        [Interpolation::Median, Interpolation::Max, Interpolation::Min].into_iter().all(|kind| found(kind).is_nan())
    );
    assert_eq!(found(Interpolation::Mode).to_bits(), 2.0_f32.to_bits());
}
