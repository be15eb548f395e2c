//! Voxel types: one table of all that differs between them. Another type is a line of it, and the arithmetic that
//! [`downsample`](mod@crate::downsample) wants of its values.

use serde::{Deserialize, Serialize};

/// What kind of number a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Kind {
    Unsigned,
    Signed,
    Float,
}

/// The `$` comes as an argument, so that a macro can be written by this one.
macro_rules! voxel_types {
    ($d:tt; $($variant:ident: $type:ident, $name:literal, $kind:ident, $v2:literal, $wkw:literal;)*) => {
        /// Type of one channel of one voxel. The names are numpy's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)] // the names say it
        pub enum VoxelType {
            $(#[serde(rename = $name)] $variant,)*
        }

        impl VoxelType {
            /// All of them.
            pub const ALL: [Self; [$($wkw),*].len()] = [$(Self::$variant),*];

            /// The name that numpy and Zarr v3 have for it, e.g. `uint32`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bytes of one value.
            pub fn size(self) -> usize {
                match self { $(Self::$variant => size_of::<$type>(),)* }
            }

            /// What kind of number a value is.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// Zarr v2's code, without the order of bytes, e.g. `u4`.
            pub fn v2_code(self) -> &'static str {
                match self { $(Self::$variant => $v2,)* }
            }

            /// The number that a WKW header has for it.
            pub fn wkw_code(self) -> u8 {
                match self { $(Self::$variant => $wkw,)* }
            }
        }

        /// Evaluates an expression in which a name stands for the Rust type of the values of a voxel type:
        /// `with_voxel_type!(voxel_type, T => size_of::<T>())`.
        #[macro_export]
        macro_rules! with_voxel_type {
            ($d voxel_type:expr, $d name:ident => $d body:expr) => {
                match $d voxel_type {
                    $($crate::voxels::VoxelType::$variant => {
                        type $d name = $type;
                        $d body
                    })*
                }
            };
        }
    };
}

voxel_types! { $;
    // Rust's, numpy's and Zarr v3's name, kind, Zarr v2's code, WKW's number.
    UInt8: u8, "uint8", Unsigned, "u1", 1;
    UInt16: u16, "uint16", Unsigned, "u2", 2;
    UInt32: u32, "uint32", Unsigned, "u4", 3;
    UInt64: u64, "uint64", Unsigned, "u8", 4;
    Int8: i8, "int8", Signed, "i1", 7;
    Int16: i16, "int16", Signed, "i2", 8;
    Int32: i32, "int32", Signed, "i4", 9;
    Int64: i64, "int64", Signed, "i8", 10;
    Float32: f32, "float32", Float, "f4", 5;
    Float64: f64, "float64", Float, "f8", 6;
}

impl VoxelType {
    /// The type that numpy and Zarr v3 call `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The type that Zarr v2 calls `code`, without the order of bytes.
    pub fn from_v2_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.v2_code() == code)
    }

    /// The type that has the number `code` in a WKW header.
    pub fn from_wkw_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.wkw_code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_names_one_type() {
        for voxel_type in VoxelType::ALL {
            assert_eq!(VoxelType::from_name(voxel_type.name()), Some(voxel_type));
            assert_eq!(VoxelType::from_v2_code(voxel_type.v2_code()), Some(voxel_type));
            assert_eq!(VoxelType::from_wkw_code(voxel_type.wkw_code()), Some(voxel_type));
            assert_eq!(serde_json::to_value(voxel_type).unwrap(), voxel_type.name());
        }
    }

    #[test]
    fn columns_of_the_table_agree_with_each_other() {
        for voxel_type in VoxelType::ALL {
            let (size, kind) = (voxel_type.size(), voxel_type.kind());
            let (letter, word) = match kind {
                Kind::Unsigned => ("u", "uint"),
                Kind::Signed => ("i", "int"),
                Kind::Float => ("f", "float"),
            };
            assert_eq!(voxel_type.v2_code(), format!("{letter}{size}"));
            assert_eq!(voxel_type.name(), format!("{word}{}", 8 * size));
            let rust = with_voxel_type!(voxel_type, T => std::any::type_name::<T>());
            assert_eq!(rust, format!("{letter}{}", 8 * size));
        }
    }
}
