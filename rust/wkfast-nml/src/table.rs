//! The one table of the optional attributes of `<node>`. A new attribute is a new line here.
//!
//! Struct, reader, writer, comparison and what Python sees of nodes are generated from the lines, or walk [`NODE_COLUMNS`].

use crate::columns::OptionalColumn;

/// Hands the table to a macro. A line is: what it is; field: type, place among what users see, name for users, attributes.
///
/// Lines are in the order of their attributes' names, in which they are written. A new type of value is a [`Cell`].
macro_rules! node_columns {
    ($then:ident) => {
        $then! {
            "Bit depth.", bit_depth: i32, 4, "bitDepth", ["bitDepth"];
            "Magnification step.", in_mag: i32, 3, "inMag", ["inMag"];
            "Viewport.", in_vp: i32, 2, "inVp", ["inVp"];
            "Whether the node was interpolated.", interpolation: bool, 5, "interpolation", ["interpolation"];
            "nm.", radius: f64, 0, "radius", ["radius"];
            "Angles; a file that has one of the three has all.", rotation: [f64; 3], 1, "rotation", ["rotX", "rotY", "rotZ"];
            "ms since epoch.", time: i64, 6, "time", ["time"];
        }
    };
}
pub(crate) use node_columns;

/// What is to be known of an optional column without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeColumn {
    /// What users call it.
    pub name: &'static str,
    /// Its attributes in a file, one or one for each number of a vector.
    pub attributes: &'static [&'static str],
    /// Type of its values.
    pub kind: CellKind,
}

/// Type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum CellKind {
    Int32,
    Int64,
    Float,
    Truth,
    Vector,
}

/// Any column, for those who go by its place in the table.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // as `CellKind`
pub enum AnyColumn<'a> {
    Int32(&'a OptionalColumn<i32>),
    Int64(&'a OptionalColumn<i64>),
    Float(&'a OptionalColumn<f64>),
    Truth(&'a OptionalColumn<bool>),
    Vector(&'a OptionalColumn<[f64; 3]>),
}

/// As [`AnyColumn`], for changing values.
#[derive(Debug)]
#[allow(missing_docs)] // as `CellKind`
pub enum AnyColumnMut<'a> {
    Int32(&'a mut OptionalColumn<i32>),
    Int64(&'a mut OptionalColumn<i64>),
    Float(&'a mut OptionalColumn<f64>),
    Truth(&'a mut OptionalColumn<bool>),
    Vector(&'a mut OptionalColumn<[f64; 3]>),
}

/// A value that a column can hold.
pub trait Cell: Copy + Default + Sized {
    /// Which it is.
    const KIND: CellKind;

    /// Equality in which `nan` equals itself, so that every node equals its copy.
    fn same(self, other: Self) -> bool;

    #[doc(hidden)]
    fn any(column: &OptionalColumn<Self>) -> AnyColumn<'_>;

    #[doc(hidden)]
    fn any_mut(column: &mut OptionalColumn<Self>) -> AnyColumnMut<'_>;
}

macro_rules! cell {
    ($type:ty, $kind:ident, $same:expr) => {
        impl Cell for $type {
            const KIND: CellKind = CellKind::$kind;

            fn same(self, other: Self) -> bool {
                let same: fn(Self, Self) -> bool = $same;
                same(self, other)
            }

            fn any(column: &OptionalColumn<Self>) -> AnyColumn<'_> {
                AnyColumn::$kind(column)
            }

            fn any_mut(column: &mut OptionalColumn<Self>) -> AnyColumnMut<'_> {
                AnyColumnMut::$kind(column)
            }
        }
    };
}

cell!(i32, Int32, |a, b| a == b);
cell!(i64, Int64, |a, b| a == b);
cell!(bool, Truth, |a, b| a == b);
cell!(f64, Float, same_number);
cell!([f64; 3], Vector, |a, b| a.into_iter().zip(b).all(|(a, b)| same_number(a, b)));

#[allow(clippy::float_cmp)] // equal means equal
pub(crate) fn same_number(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

macro_rules! list {
    ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, $attributes:tt;)*) => {
        /// All optional columns, in the order in which users see them.
        pub const NODE_COLUMNS: [NodeColumn; COUNT] = {
            let mut columns = [NodeColumn { name: "", attributes: &[], kind: CellKind::Truth }; COUNT];
            $(columns[$shown] = NodeColumn { name: $name, attributes: &$attributes, kind: <$type as Cell>::KIND };)*
            columns
        };
        const COUNT: usize = [$($shown),*].len();
    };
}
node_columns!(list);

/// Whether one attribute stands before another in a file.
pub(crate) const fn is_before(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at < other.len() && (at == one.len() || one[at] < other[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! written_order {
        ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, $attributes:tt;)*) => {
            [$(&$attributes[..]),*].concat()
        };
    }

    #[test]
    fn lines_are_in_the_order_in_which_attributes_are_written() {
        let order: Vec<&str> = node_columns!(written_order);
        assert!(order.is_sorted());
        assert!(order.windows(2).all(|pair| is_before(pair[0], pair[1]) && !is_before(pair[1], pair[0])));
    }

    #[test]
    fn every_place_among_what_users_see_is_taken_once() {
        assert!(NODE_COLUMNS.iter().all(|column| !column.name.is_empty() && !column.attributes.is_empty()));
    }

    #[test]
    fn a_vector_has_an_attribute_for_each_number_and_others_have_one() {
        for column in NODE_COLUMNS {
            let parts = if column.kind == CellKind::Vector { 3 } else { 1 };
            assert_eq!(column.attributes.len(), parts, "{}", column.name);
        }
    }
}
