//! Values as labels, which lie in runs.

use crate::error::{Result, VolumeError};
use crate::voxels::{Kind, VoxelType};

/// A value that can be the id of a segment.
pub(crate) trait Label<const W: usize> {
    /// The id of little-endian bytes; of negative ones, the bits of the number as 64 bits have it.
    fn label(bytes: [u8; W]) -> u64;

    /// The bytes of an id, `None` if the type does not hold it.
    fn bytes(label: u64) -> Option<[u8; W]>;
}

macro_rules! labels {
    ($($value:ty as $wide:ty),*) => {$(
        impl Label<{ size_of::<$value>() }> for $value {
            #[inline]
            fn label(bytes: [u8; size_of::<$value>()]) -> u64 {
                // Wide first, so that the sign goes along.
                <$wide>::from(Self::from_le_bytes(bytes)) as u64
            }

            #[inline]
            fn bytes(label: u64) -> Option<[u8; size_of::<$value>()]> {
                Self::try_from(label as $wide).ok().map(Self::to_le_bytes)
            }
        }
    )*};
}

labels!(u8 as u64, u16 as u64, u32 as u64, u64 as u64, i8 as i64, i16 as i64, i32 as i64, i64 as i64);

/// Refuses voxels that are no labels.
pub(crate) fn check(voxel_type: VoxelType, channels: u32) -> Result<()> {
    if voxel_type.kind() == Kind::Float || channels != 1 {
        let name = voxel_type.name();
        let text = format!("voxels of {channels} × {name} are no labels: expected one channel of whole numbers");
        return Err(VolumeError::Mismatch(text));
    }
    Ok(())
}

/// Evaluates an expression for the integer type of a voxel type, which [`check`] has accepted.
macro_rules! with_label_type {
    ($voxel_type:expr, $name:ident => $body:expr) => {
        match $voxel_type {
            VoxelType::UInt8 => {
                type $name = u8;
                $body
            }
            VoxelType::UInt16 => {
                type $name = u16;
                $body
            }
            VoxelType::UInt32 => {
                type $name = u32;
                $body
            }
            VoxelType::UInt64 => {
                type $name = u64;
                $body
            }
            VoxelType::Int8 => {
                type $name = i8;
                $body
            }
            VoxelType::Int16 => {
                type $name = i16;
                $body
            }
            VoxelType::Int32 => {
                type $name = i32;
                $body
            }
            VoxelType::Int64 => {
                type $name = i64;
                $body
            }
            VoxelType::Float32 | VoxelType::Float64 => unreachable!("floats are refused before"),
        }
    };
}
pub(crate) use with_label_type;

/// Labels that are found without a look into a map.
const RECENT: usize = 4;
/// Values compared at once.
const STEP: usize = 8;

/// What is known of the labels met last: those of a row are met again in the next. Of 0, which is no label, nothing is.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    known: [(u64, V); RECENT],
    next: usize,
}

impl<V: Copy> Recent<V> {
    /// Nothing is known; `unused` stands where something will be.
    pub(crate) fn new(unused: V) -> Self {
        Self { known: [(0, unused); RECENT], next: 0 }
    }

    #[inline]
    pub(crate) fn find(&self, label: u64) -> Option<V> {
        self.known.iter().find(|known| known.0 == label).map(|known| known.1)
    }

    #[inline]
    pub(crate) fn keep(&mut self, label: u64, value: V) {
        self.known[self.next] = (label, value);
        self.next = (self.next + 1) % RECENT;
    }
}

/// How many values from the first on are equal to it. There is at least one.
#[inline]
pub(crate) fn run_length<const W: usize>(row: &[[u8; W]]) -> usize {
    let first = row[0];
    let whole = [first; STEP];
    let (steps, _) = row.as_chunks::<STEP>();
    let length = STEP * steps.iter().take_while(|&&step| step == whole).count();
    length + row[length..].iter().take_while(|&&value| value == first).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_of_their_type_and_come_back_as_their_bytes() {
        assert_eq!((u16::label([255, 255]), i16::label([255, 255])), (65535, u64::MAX));
        assert_eq!((u8::bytes(255), u8::bytes(256), i8::bytes(u64::MAX)), (Some([255]), None, Some([255])));
        assert_eq!(i8::bytes(128), None);
        assert_eq!(u64::bytes(u64::MAX), Some([255; 8]));
    }

    #[test]
    fn runs_end_where_the_value_changes() {
        for length in 1..40 {
            let mut row = vec![[7_u8, 0]; length];
            assert_eq!(run_length(&row), length);
            row.extend([[7, 1], [7, 0]]);
            assert_eq!(run_length(&row), length);
        }
    }
}
