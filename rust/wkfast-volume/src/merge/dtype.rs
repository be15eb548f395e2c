//! Which voxel type holds the values of two others, and how values move into a wider one.

use crate::voxels::{Kind, VoxelType};

/// The type that holds every value of both without loss, if one of the two does.
///
/// An unsigned type fits into a wider signed one, never the other way round; integers and floats are not mixed.
pub fn common(left: VoxelType, right: VoxelType) -> Option<VoxelType> {
    if holds(left, right) {
        Some(left)
    } else if holds(right, left) {
        Some(right)
    } else {
        None
    }
}

/// Whether every value of `narrow` is a value of `wide`.
pub fn holds(wide: VoxelType, narrow: VoxelType) -> bool {
    use Kind::{Float, Signed, Unsigned};
    match (wide.kind(), narrow.kind()) {
        (Unsigned, Unsigned) | (Signed, Signed) | (Float, Float) => wide.size() >= narrow.size(),
        (Signed, Unsigned) => wide.size() > narrow.size(),
        _ => false,
    }
}

/// `values` as `to`, little endian on both sides. `holds(to, from)` must be true.
pub fn widen(from: VoxelType, to: VoxelType, values: &[u8]) -> Vec<u8> {
    use VoxelType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match (from, to) {
        (UInt8, UInt16 | Int16) => convert(values, |v: [u8; 1]| u16::from(v[0]).to_le_bytes()),
        (UInt8, UInt32 | Int32) => convert(values, |v: [u8; 1]| u32::from(v[0]).to_le_bytes()),
        (UInt8, UInt64 | Int64) => convert(values, |v: [u8; 1]| u64::from(v[0]).to_le_bytes()),
        (UInt16, UInt32 | Int32) => convert(values, |v| u32::from(u16::from_le_bytes(v)).to_le_bytes()),
        (UInt16, UInt64 | Int64) => convert(values, |v| u64::from(u16::from_le_bytes(v)).to_le_bytes()),
        (UInt32, UInt64 | Int64) => convert(values, |v| u64::from(u32::from_le_bytes(v)).to_le_bytes()),
        (Int8, Int16) => convert(values, |v| i16::from(i8::from_le_bytes(v)).to_le_bytes()),
        (Int8, Int32) => convert(values, |v| i32::from(i8::from_le_bytes(v)).to_le_bytes()),
        (Int8, Int64) => convert(values, |v| i64::from(i8::from_le_bytes(v)).to_le_bytes()),
        (Int16, Int32) => convert(values, |v| i32::from(i16::from_le_bytes(v)).to_le_bytes()),
        (Int16, Int64) => convert(values, |v| i64::from(i16::from_le_bytes(v)).to_le_bytes()),
        (Int32, Int64) => convert(values, |v| i64::from(i32::from_le_bytes(v)).to_le_bytes()),
        (Float32, Float64) => convert(values, |v| f64::from(f32::from_le_bytes(v)).to_le_bytes()),
        // Equal types; the plan has refused all other pairs.
        _ => values.to_vec(),
    }
}

fn convert<const FROM: usize, const TO: usize>(values: &[u8], one: impl Fn([u8; FROM]) -> [u8; TO]) -> Vec<u8> {
    let (values, _) = values.as_chunks::<FROM>();
    let mut out = vec![0; values.len() * TO];
    for (target, &value) in out.as_chunks_mut::<TO>().0.iter_mut().zip(values) {
        *target = one(value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extreme values of a type, as numbers no type of ours exceeds.
    fn range(voxel_type: VoxelType) -> (i128, i128) {
        let bits = 8 * voxel_type.size() as u32;
        match voxel_type.kind() {
            Kind::Unsigned => (0, (1 << bits) - 1),
            Kind::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Kind::Float => (0, 0),
        }
    }

    fn encode(voxel_type: VoxelType, value: i128) -> Vec<u8> {
        value.to_le_bytes()[..voxel_type.size()].to_vec()
    }

    fn decode(voxel_type: VoxelType, bytes: &[u8]) -> i128 {
        let mut all = [0; 16];
        all[..bytes.len()].copy_from_slice(bytes);
        let shift = 128 - 8 * bytes.len() as u32;
        match voxel_type.kind() {
            Kind::Signed => (i128::from_le_bytes(all) << shift) >> shift,
            _ => i128::from_le_bytes(all),
        }
    }

    #[test]
    fn a_type_holds_another_exactly_if_its_range_does() {
        for wide in VoxelType::ALL {
            for narrow in VoxelType::ALL {
                if wide.kind() == Kind::Float || narrow.kind() == Kind::Float {
                    let both = wide.kind() == narrow.kind();
                    assert_eq!(holds(wide, narrow), both && wide.size() >= narrow.size(), "{wide:?} {narrow:?}");
                    continue;
                }
                let ((low, high), (least, most)) = (range(wide), range(narrow));
                assert_eq!(holds(wide, narrow), low <= least && most <= high, "{wide:?} {narrow:?}");
            }
        }
    }

    #[test]
    fn the_common_type_does_not_depend_on_the_order() {
        for left in VoxelType::ALL {
            for right in VoxelType::ALL {
                assert_eq!(common(left, right), common(right, left));
            }
        }
        assert_eq!(common(VoxelType::UInt8, VoxelType::Int8), None);
        assert_eq!(common(VoxelType::UInt16, VoxelType::Int32), Some(VoxelType::Int32));
    }

    #[test]
    fn widening_keeps_every_extreme_value() {
        for from in VoxelType::ALL {
            for to in VoxelType::ALL.into_iter().filter(|&to| holds(to, from) && to.kind() != Kind::Float) {
                let (low, high) = range(from);
                for value in [low, low + 1, 0, 1, high - 1, high] {
                    let wide = widen(from, to, &encode(from, value));
                    assert_eq!(wide.len(), to.size());
                    assert_eq!(decode(to, &wide), value, "{from:?} to {to:?}");
                }
            }
        }
        let half = widen(VoxelType::Float32, VoxelType::Float64, &(-0.5_f32).to_le_bytes());
        assert_eq!(half, (-0.5_f64).to_le_bytes());
    }
}
