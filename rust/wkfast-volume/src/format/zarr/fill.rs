//! `fill_value`: what voxels are that were never written.

use serde_json::Value;

use crate::voxels::{Kind, VoxelType};

/// The little-endian bytes of one value, `None` if `fill` does not spell one of that type.
pub(super) fn fill_bytes(fill: &Value, voxel_type: VoxelType) -> Option<Vec<u8>> {
    let size = voxel_type.size();
    if let Some(bits) = fill.as_str().and_then(|text| text.strip_prefix("0x")) {
        let bits = u64::from_str_radix(bits, 16).ok().filter(|bits| size == 8 || bits >> (8 * size) == 0)?;
        return Some(bits.to_le_bytes()[..size].to_vec());
    }
    match voxel_type.kind() {
        Kind::Float if size == 4 => Some((float(fill)? as f32).to_le_bytes().to_vec()),
        Kind::Float => Some(float(fill)?.to_le_bytes().to_vec()),
        Kind::Unsigned => {
            let value = unsigned(fill).filter(|&value| size == 8 || value >> (8 * size) == 0)?;
            Some(value.to_le_bytes()[..size].to_vec())
        }
        Kind::Signed => {
            let value = signed(fill).filter(|&value| value == value << (64 - 8 * size) >> (64 - 8 * size))?;
            Some(value.to_le_bytes()[..size].to_vec())
        }
    }
}

fn unsigned(fill: &Value) -> Option<u64> {
    match fill {
        Value::Null | Value::Bool(false) => Some(0),
        Value::Bool(true) => Some(1),
        // Some writers put 0.0 for whole numbers, too.
        value => value.as_u64().or_else(|| value.as_f64().filter(|&value| value == 0.0).map(|_| 0)),
    }
}

fn signed(fill: &Value) -> Option<i64> {
    fill.as_i64().or_else(|| unsigned(fill).and_then(|value| i64::try_from(value).ok()))
}

fn float(fill: &Value) -> Option<f64> {
    match fill {
        Value::Null | Value::Bool(false) => Some(0.0),
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        value => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fills_are_spelt_in_many_ways() {
        for (fill, voxel_type, bytes) in [
            (json!(0), VoxelType::UInt8, vec![0]),
            (json!(null), VoxelType::UInt16, vec![0, 0]),
            (json!(false), VoxelType::Int8, vec![0]),
            (json!(0.0), VoxelType::UInt16, vec![0, 0]),
            (json!(258), VoxelType::UInt16, vec![2, 1]),
            (json!(-2), VoxelType::Int16, vec![254, 255]),
            (json!(u64::MAX), VoxelType::UInt64, vec![255; 8]),
            (json!(1.5), VoxelType::Float32, vec![0, 0, 192, 63]),
            (json!("NaN"), VoxelType::Float64, f64::NAN.to_le_bytes().to_vec()),
            (json!("-Infinity"), VoxelType::Float32, f32::NEG_INFINITY.to_le_bytes().to_vec()),
            (json!("0x7fc00000"), VoxelType::Float32, vec![0, 0, 192, 127]),
        ] {
            assert_eq!(fill_bytes(&fill, voxel_type), Some(bytes), "{fill}");
        }
    }

    #[test]
    fn a_float_is_read_to_its_last_bit() {
        // A reader that is quick instead of exact makes 0.10681522599999996 of it.
        let fill = serde_json::from_str("0.10681522599999997").unwrap();
        let bytes = 0.106_815_225_999_999_97_f64.to_le_bytes().to_vec();
        assert_eq!(fill_bytes(&fill, VoxelType::Float64), Some(bytes));
    }

    #[test]
    fn fills_that_do_not_fit_are_refused() {
        for (fill, voxel_type) in [
            (json!(256), VoxelType::UInt8),
            (json!(-1), VoxelType::UInt32),
            (json!(128), VoxelType::Int8),
            (json!(-129), VoxelType::Int8),
            (json!(0.5), VoxelType::UInt8),
            (json!("NaN"), VoxelType::UInt8),
            (json!("seven"), VoxelType::Float32),
            (json!([0]), VoxelType::UInt8),
            (json!("0x100"), VoxelType::UInt8),
        ] {
            assert_eq!(fill_bytes(&fill, voxel_type), None, "{fill}");
        }
    }
}
