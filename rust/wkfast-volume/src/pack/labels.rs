//! The largest label of a chunk, or of a mag.

use std::sync::Arc;

use super::recode::decoded;
use crate::error::Result;
use crate::format::{IndexCache, MagArray, list_chunks};
use crate::voxels::{Kind, VoxelType};
use crate::work::Driver;

/// The largest label in a mag.
pub fn largest_label(array: &Arc<dyn MagArray>, driver: &mut Driver) -> Result<u64> {
    let chunks = list_chunks(&**array)?;
    let indexes = IndexCache::default();
    driver.expect(chunks.len(), (chunks.len() * array.grid().chunk_bytes()) as u64);
    let mut found = 0;
    driver.in_order(
        &chunks,
        array.grid().chunk_bytes(),
        |(chunk, _)| {
            let Some(encoded) = indexes.read_encoded(&**array, chunk)? else { return Ok(0) };
            Ok(largest(array.grid().voxel_type, &decoded(&**array, &encoded, chunk)?))
        },
        |_, label| {
            found = found.max(label);
            Ok(())
        },
    )?;
    Ok(found)
}

/// The largest value among `voxels`; negative ones and fractions count as 0.
#[allow(clippy::cast_lossless, clippy::unnecessary_cast)] // one text for all types
pub(super) fn largest(voxel_type: VoxelType, voxels: &[u8]) -> u64 {
    if voxel_type.kind() == Kind::Float {
        return 0;
    }
    with_voxel_type!(voxel_type, T => {
        let values = voxels.as_chunks::<{ size_of::<T>() }>().0.iter().map(|bytes| T::from_le_bytes(*bytes));
        values.fold(T::default(), |largest, value| if value > largest { value } else { largest }) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_label_is_found_in_every_type() {
        assert_eq!(largest(VoxelType::UInt8, &[3, 255, 0]), 255);
        assert_eq!(largest(VoxelType::UInt64, &[0xff; 16]), u64::MAX);
        assert_eq!(largest(VoxelType::Int16, &[0xff, 0xff, 5, 0]), 5);
        assert_eq!(largest(VoxelType::Int8, &[0x80]), 0);
        assert_eq!(largest(VoxelType::UInt32, &[]), 0);
        assert_eq!(largest(VoxelType::Float32, &[0xff; 4]), 0);
    }
}
