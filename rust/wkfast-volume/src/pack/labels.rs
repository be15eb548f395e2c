//! The largest label of a chunk, or of a mag.

use std::sync::Arc;

use super::crew::Crew;
use super::recode::decoded;
use crate::error::Result;
use crate::format::{IndexCache, MagArray, list_chunks};
use crate::voxels::VoxelType;

/// The largest label in a mag.
pub fn largest_label(array: &Arc<dyn MagArray>, crew: &mut Crew<'_>) -> Result<u64> {
    let chunks = list_chunks(&**array)?;
    let indexes = IndexCache::default();
    crew.expect(chunks.len());
    let mut found = 0;
    crew.each(
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
pub(super) fn largest(voxel_type: VoxelType, voxels: &[u8]) -> u64 {
    macro_rules! largest_of {
        ($type:ty) => {{
            let values =
                voxels.as_chunks::<{ size_of::<$type>() }>().0.iter().map(|bytes| <$type>::from_le_bytes(*bytes));
            u64::try_from(values.max().unwrap_or_default()).unwrap_or(0)
        }};
    }
    match voxel_type {
        VoxelType::UInt8 => largest_of!(u8),
        VoxelType::UInt16 => largest_of!(u16),
        VoxelType::UInt32 => largest_of!(u32),
        VoxelType::UInt64 => largest_of!(u64),
        VoxelType::Int8 => largest_of!(i8),
        VoxelType::Int16 => largest_of!(i16),
        VoxelType::Int32 => largest_of!(i32),
        VoxelType::Int64 => largest_of!(i64),
        VoxelType::Float32 | VoxelType::Float64 => 0,
    }
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
