//! The ten types of values: how they lie in memory and how they compare.

use std::ops::AddAssign;

/// A value of a voxel's channel.
pub(super) trait Value: Copy + Default + PartialEq + PartialOrd {
    /// A small number in as many bytes as a value has.
    type Count: Copy + Default + PartialOrd + AddAssign;

    /// One.
    const ONE: Self::Count;

    /// Bytes of it.
    const SIZE: usize;

    /// One if both are equal, else zero.
    #[inline]
    fn equals(self, other: Self) -> Self::Count {
        if self == other { Self::ONE } else { Self::Count::default() }
    }

    /// The value at place `index` of `bytes`, little endian.
    fn get(bytes: &[u8], index: usize) -> Self;

    /// Writes it into `bytes`, which has its size.
    fn put(self, bytes: &mut [u8]);

    /// The mean of two values, cut towards zero for integers, without a detour that would lose digits.
    fn mean(self, other: Self) -> Self;

    /// Whether it is no number.
    fn is_nan(self) -> bool;
}

macro_rules! value {
    ($($type:ty, $count:ty, |$a:ident, $b:ident| $mean:expr, |$value:ident| $nan:expr;)*) => {$(
        impl Value for $type {
            type Count = $count;

            const ONE: $count = 1;
            const SIZE: usize = size_of::<$type>();

            #[inline(always)]
            fn get(bytes: &[u8], index: usize) -> Self {
                let (values, _) = bytes.as_chunks();
                Self::from_le_bytes(values[index])
            }

            #[inline(always)]
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }

            #[inline(always)]
            fn mean(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $mean
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                let $value = self;
                $nan
            }
        }
    )*};
}

value! {
    u8, i8, |a, b| u8::midpoint(a, b), |_value| false;
    u16, i16, |a, b| u16::midpoint(a, b), |_value| false;
    u32, i32, |a, b| u32::midpoint(a, b), |_value| false;
    u64, i64, |a, b| u64::midpoint(a, b), |_value| false;
    i8, i8, |a, b| i8::midpoint(a, b), |_value| false;
    i16, i16, |a, b| i16::midpoint(a, b), |_value| false;
    i32, i32, |a, b| i32::midpoint(a, b), |_value| false;
    i64, i64, |a, b| i64::midpoint(a, b), |_value| false;
    f32, i32, |a, b| f32::midpoint(a, b), |value| value.is_nan();
    f64, i64, |a, b| f64::midpoint(a, b), |value| value.is_nan();
}
