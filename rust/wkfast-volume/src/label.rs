//! Values as labels, which lie in runs.

use crate::error::{Result, VolumeError};
use crate::voxels::{Kind, VoxelType};

/// The id of little-endian bytes; of negative ones, the bits of the number as 64 bits have it.
#[inline]
pub(crate) fn label<const W: usize>(bytes: [u8; W], signed: bool) -> u64 {
    let negative = signed && bytes[W - 1] & 0x80 != 0;
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..W].copy_from_slice(&bytes);
    u64::from_le_bytes(wide)
}

/// The bytes of an id, `None` if such a type does not hold it.
pub(crate) fn bytes<const W: usize>(id: u64, signed: bool) -> Option<[u8; W]> {
    let mut narrow = [0; W];
    narrow.copy_from_slice(&id.to_le_bytes()[..W]);
    (label(narrow, signed) == id).then_some(narrow)
}

/// Refuses voxels that are no labels.
pub(crate) fn check(voxel_type: VoxelType, channels: u32) -> Result<()> {
    if voxel_type.kind() == Kind::Float || channels != 1 {
        let name = voxel_type.name();
        let text = format!("voxels of {channels} × {name} are no labels: expected one channel of whole numbers");
        return Err(VolumeError::Mismatch(text));
    }
    Ok(())
}

/// Evaluates an expression in which a name stands for the bytes of a value: labels differ in nothing else, but the sign.
macro_rules! with_width {
    ($voxel_type:expr, $name:ident => $body:expr) => {
        match $voxel_type.size() {
            1 => {
                const $name: usize = 1;
                $body
            }
            2 => {
                const $name: usize = 2;
                $body
            }
            4 => {
                const $name: usize = 4;
                $body
            }
            _ => {
                const $name: usize = 8;
                $body
            }
        }
    };
}
pub(crate) use with_width;

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
        assert_eq!((label([255, 255], false), label([255, 255], true)), (65535, u64::MAX));
        assert_eq!((bytes(255, false), bytes::<1>(256, false)), (Some([255]), None));
        assert_eq!((bytes(u64::MAX, true), bytes::<1>(128, true)), (Some([255]), None));
        assert_eq!(bytes(u64::MAX, false), Some([255; 8]));
        for signed in [false, true] {
            for number in 0..=u16::MAX {
                let id = if signed { i64::from(number as i16) as u64 } else { u64::from(number) };
                assert_eq!((label(number.to_le_bytes(), signed), bytes(id, signed)), (id, Some(number.to_le_bytes())));
            }
        }
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
