//! Nodes and edges of one tree as columns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinates;
use crate::model::{Extras, Id};
use crate::pack::Pack;
use crate::table::{AnyColumn, AnyColumnMut, Cell, node_columns};

/// Integers of up to 128 bits, stored in 64 until one needs more.
///
/// ```
/// use wkfast_nml::columns::IdColumn;
/// let mut ids: IdColumn = [1, 2].into_iter().collect();
/// assert!(ids.as_narrow().is_some());
/// ids.push(1 << 70);
/// assert_eq!(ids.get(2), Some(1 << 70));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum IdColumn {
    /// All values fit in 64 bits: every file a server writes.
    Narrow(Vec<i64>),
    /// At least one does not.
    Wide(Vec<Id>),
}

impl Default for IdColumn {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl IdColumn {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value in a row, `None` past the end.
    pub fn get(&self, row: usize) -> Option<Id> {
        match self {
            Self::Narrow(values) => values.get(row).map(|&value| Id::from(value)),
            Self::Wide(values) => values.get(row).copied(),
        }
    }

    /// The values as 64-bit integers, `None` once one needed more.
    pub fn as_narrow(&self) -> Option<&[i64]> {
        match self {
            Self::Narrow(values) => Some(values),
            Self::Wide(_) => None,
        }
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = Id> + '_ {
        (0..self.len()).map(|row| self.get(row).unwrap_or_default())
    }

    /// Adds a value; the first that needs more than 64 bits widens the column.
    pub fn push(&mut self, value: Id) {
        match (&mut *self, i64::try_from(value)) {
            (Self::Narrow(values), Ok(value)) => values.push(value),
            (Self::Wide(values), _) => values.push(value),
            (Self::Narrow(_), Err(_)) => self.widen().push(value),
        }
    }

    /// Replaces the value in a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn set(&mut self, row: usize, value: Id) {
        match (&mut *self, i64::try_from(value)) {
            (Self::Narrow(values), Ok(value)) => values[row] = value,
            (Self::Wide(values), _) => values[row] = value,
            (Self::Narrow(_), Err(_)) => self.widen()[row] = value,
        }
    }

    /// Moves the values of another column to the end of this one.
    pub fn append(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Narrow(values), Self::Narrow(more)) => values.extend_from_slice(more),
            (Self::Wide(values), Self::Wide(more)) => values.extend_from_slice(more),
            _ => self.extend(other.iter()),
        }
    }

    /// Drops all values, keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Narrow(values) => values.clear(),
            Self::Wide(_) => *self = Self::default(),
        }
    }

    /// Gives memory back that growing took in advance.
    pub fn shrink_to_fit(&mut self) {
        match self {
            Self::Narrow(values) => values.shrink_to_fit(),
            Self::Wide(values) => values.shrink_to_fit(),
        }
    }

    fn widen(&mut self) -> &mut Vec<Id> {
        if let Self::Narrow(values) = self {
            *self = Self::Wide(values.iter().map(|&value| Id::from(value)).collect());
        }
        match self {
            Self::Wide(values) => values,
            Self::Narrow(_) => unreachable!("widened on the line above"),
        }
    }
}

impl Extend<Id> for IdColumn {
    fn extend<I: IntoIterator<Item = Id>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl FromIterator<Id> for IdColumn {
    fn from_iter<I: IntoIterator<Item = Id>>(values: I) -> Self {
        let mut column = Self::default();
        column.extend(values);
        column
    }
}

/// A column that a file may leave out, wholly (no memory is used) or on some rows.
///
/// The column does not know how many rows the table has: `push` is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptionalColumn<T> {
    /// Empty until the first value is seen, then one per row (`T::default()` where absent).
    pub values: Vec<T>,
    /// Rows without a value; empty if every row has one (or none has).
    pub absent: Vec<bool>,
}

impl<T> Default for OptionalColumn<T> {
    fn default() -> Self {
        Self { values: Vec::new(), absent: Vec::new() }
    }
}

impl<T: Copy + Default> OptionalColumn<T> {
    /// Whether no row has a value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value in a row, `None` where absent.
    pub fn get(&self, row: usize) -> Option<T> {
        if self.absent.get(row).copied().unwrap_or(false) {
            return None;
        }
        self.values.get(row).copied()
    }

    /// Adds the value of row number `row`, which is the table's length before it grew.
    #[inline]
    pub fn push(&mut self, row: usize, value: Option<T>) {
        match value {
            Some(value) => {
                if self.values.len() < row {
                    self.start(row);
                }
                self.values.push(value);
                if !self.absent.is_empty() {
                    self.absent.push(false);
                }
            }
            None if self.values.is_empty() => {}
            None => self.push_absent(row),
        }
    }

    /// Replaces the value in a row of a table of `rows` rows.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn set(&mut self, rows: usize, row: usize, value: Option<T>) {
        assert!(row < rows, "row {row} of {rows}");
        if self.values.is_empty() {
            if value.is_none() {
                return;
            }
            self.start(rows);
        }
        if self.absent.is_empty() && value.is_none() {
            self.absent = vec![false; rows];
        }
        self.values[row] = value.unwrap_or_default();
        if !self.absent.is_empty() {
            self.absent[row] = value.is_none();
        }
    }

    /// Adds the rows of another column (a table of `other_rows`) to a table of `rows`.
    pub fn append(&mut self, rows: usize, other: &Self, other_rows: usize) {
        if self.values.is_empty() && other.values.is_empty() {
            return;
        }
        if self.values.is_empty() && rows > 0 {
            self.start(rows);
        }
        if other.values.is_empty() {
            (0..other_rows).for_each(|row| self.push_absent(rows + row));
            return;
        }
        self.values.extend_from_slice(&other.values);
        if !self.absent.is_empty() || !other.absent.is_empty() {
            self.absent.resize(rows, false);
            self.absent.extend_from_slice(&other.absent);
            self.absent.resize(rows + other_rows, false);
        }
    }

    /// Drops all values, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.absent.clear();
    }

    /// Gives memory back that growing took in advance.
    pub fn shrink_to_fit(&mut self) {
        self.values.shrink_to_fit();
        self.absent.shrink_to_fit();
    }

    /// The first value came late: rows before it are absent.
    #[cold]
    fn start(&mut self, rows: usize) {
        self.values.resize(rows, T::default());
        self.absent.resize(rows, true);
    }

    #[cold]
    fn push_absent(&mut self, row: usize) {
        self.values.push(T::default());
        self.absent.resize(row, false);
        self.absent.push(true);
    }
}

macro_rules! structs {
    ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, $attributes:tt;)*) => {
        /// One `<node>` as a row, for building a tree by hand.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        #[allow(missing_docs)] // as the columns of `TreeColumns`
        pub struct NodeRow {
            pub id: Id,
            pub position: [f64; 3],
            $(#[doc = $doc] pub $field: Option<$type>,)*
        }

        impl NodeRow {
            /// Equality in which `nan` equals itself, so that every node equals its copy.
            pub fn equals(&self, other: &Self) -> bool {
                self.id == other.id && self.position.same(other.position) $(&& same(self.$field, other.$field))*
            }
        }

        /// One tree. Row `i` is the `i`-th `<node>` in file order; a row's index never changes, removal marks it.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct TreeColumns {
            /// Node ids.
            pub ids: IdColumn,
            /// Mag-1 voxels, fractions allowed; a missing attribute is `0.0`.
            pub positions: Vec<[f64; 3]>,
            $(#[doc = $doc] pub $field: OptionalColumn<$type>,)*
            /// Along axes beyond x, y, z.
            pub coordinates: Coordinates,
            /// Pairs of node ids: source, target, source, target…
            pub edges: IdColumn,
            /// Facts that few nodes have, by row.
            pub notes: BTreeMap<u32, NodeNotes>,
            /// Facts that few edges have, by edge.
            pub edge_extras: BTreeMap<u32, Extras>,
            /// Rows removed since loading; empty if none.
            pub removed: Vec<bool>,
        }

        /// What is done with every optional column.
        impl TreeColumns {
            /// An optional column by its place in [`NODE_COLUMNS`](crate::NODE_COLUMNS).
            ///
            /// # Panics
            /// When there is no such column.
            #[inline]
            pub fn column(&self, column: usize) -> AnyColumn<'_> {
                match column {
                    $($shown => Cell::any(&self.$field),)*
                    _ => panic!("nodes have no column {column}"),
                }
            }

            /// As [`Self::column`], for changing values.
            ///
            /// # Panics
            /// When there is no such column.
            #[inline]
            pub fn column_mut(&mut self, column: usize) -> AnyColumnMut<'_> {
                match column {
                    $($shown => Cell::any_mut(&mut self.$field),)*
                    _ => panic!("nodes have no column {column}"),
                }
            }

            /// A row of the table, `None` past the end.
            pub fn node(&self, row: usize) -> Option<NodeRow> {
                let (id, position) = (self.ids.get(row)?, *self.positions.get(row)?);
                Some(NodeRow { id, position, $($field: self.$field.get(row),)* })
            }

            #[inline]
            fn push_optional(&mut self, row: usize, node: &NodeRow) {
                $(self.$field.push(row, node.$field);)*
            }

            fn append_optional(&mut self, rows: usize, batch: &Self, more: usize) {
                $(self.$field.append(rows, &batch.$field, more);)*
            }

            fn clear_optional(&mut self) {
                $(self.$field.clear();)*
            }

            fn shrink_optional(&mut self) {
                $(self.$field.shrink_to_fit();)*
            }
        }

        /// Ids and places, then what there is of all else: most trees have little of it.
        impl Pack for TreeColumns {
            fn pack(&self, out: &mut Vec<u8>) {
                let there = [
                    !self.coordinates.is_empty(),
                    !self.edges.is_empty(),
                    !self.notes.is_empty(),
                    !self.edge_extras.is_empty(),
                    !self.removed.is_empty(),
                    $(!self.$field.is_empty(),)*
                ];
                self.ids.pack(out);
                self.positions.pack(out);
                there.iter().zip(0..).fold(0, |bits, (&there, bit)| bits | u64::from(there) << bit).pack(out);
                let mut there = there.into_iter();
                pack_some(&self.coordinates, &mut there, out);
                pack_some(&self.edges, &mut there, out);
                pack_some(&self.notes, &mut there, out);
                pack_some(&self.edge_extras, &mut there, out);
                pack_some(&self.removed, &mut there, out);
                $(pack_some(&self.$field, &mut there, out);)*
            }

            fn unpack(from: &mut &[u8]) -> Self {
                let (ids, positions) = (Pack::unpack(from), Pack::unpack(from));
                let mut there = u64::unpack(from);
                Self {
                    ids,
                    positions,
                    coordinates: unpack_some(&mut there, from),
                    edges: unpack_some(&mut there, from),
                    notes: unpack_some(&mut there, from),
                    edge_extras: unpack_some(&mut there, from),
                    removed: unpack_some(&mut there, from),
                    $($field: unpack_some(&mut there, from),)*
                }
            }
        }
    };
}
node_columns!(structs);

fn pack_some(value: &impl Pack, there: &mut impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    if there.next().unwrap_or_default() {
        value.pack(out);
    }
}

fn unpack_some<T: Pack + Default>(there: &mut u64, from: &mut &[u8]) -> T {
    let is_there = *there & 1 == 1;
    *there >>= 1;
    if is_there { T::unpack(from) } else { T::default() }
}

fn same<T: Cell>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).map_or(one.is_none() && other.is_none(), |(one, other)| one.same(other))
}

impl TreeColumns {
    /// Number of rows, removed ones included.
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.edges.len() / 2
    }

    /// Whether a row was removed since loading.
    pub fn is_removed(&self, row: usize) -> bool {
        self.removed.get(row).copied().unwrap_or(false)
    }

    /// Source and target of an edge, `None` past the end.
    pub fn edge(&self, edge: usize) -> Option<(Id, Id)> {
        Some((self.edges.get(2 * edge)?, self.edges.get(2 * edge + 1)?))
    }

    /// Adds a row and returns its number.
    #[inline]
    pub fn push_node(&mut self, node: &NodeRow) -> u32 {
        let row = self.rows();
        self.ids.push(node.id);
        self.push_node_but_id(row, node);
        row as u32
    }

    /// As [`Self::push_node`] for an id that the hot path already has in 64 bits.
    #[inline]
    pub(crate) fn push_narrow_node(&mut self, id: i64, node: &NodeRow) {
        let row = self.rows();
        match &mut self.ids {
            IdColumn::Narrow(ids) => ids.push(id),
            IdColumn::Wide(ids) => ids.push(Id::from(id)),
        }
        self.push_node_but_id(row, node);
    }

    #[inline]
    fn push_node_but_id(&mut self, row: usize, node: &NodeRow) {
        self.positions.push(node.position);
        self.push_optional(row, node);
        if !self.removed.is_empty() {
            self.removed.push(false);
        }
    }

    /// Adds an edge and returns its number.
    pub fn push_edge(&mut self, source: Id, target: Id) -> u32 {
        let edge = self.edge_count();
        self.edges.push(source);
        self.edges.push(target);
        edge as u32
    }

    /// As [`Self::push_edge`] for ends that the hot path already has in 64 bits.
    #[inline]
    pub(crate) fn push_narrow_edge(&mut self, source: i64, target: i64) {
        match &mut self.edges {
            IdColumn::Narrow(ids) => ids.extend_from_slice(&[source, target]),
            IdColumn::Wide(ids) => ids.extend_from_slice(&[Id::from(source), Id::from(target)]),
        }
    }

    /// Adds the nodes and edges of a batch that has no notes.
    pub(crate) fn append_batch(&mut self, batch: &Self) {
        let (rows, more) = (self.rows(), batch.rows());
        self.ids.append(&batch.ids);
        self.positions.extend_from_slice(&batch.positions);
        self.append_optional(rows, batch, more);
        self.coordinates.append(rows, &batch.coordinates);
        self.edges.append(&batch.edges);
    }

    /// Drops the nodes and edges of a batch that has no notes, keeps the memory.
    pub(crate) fn clear_batch(&mut self) {
        self.ids.clear();
        self.positions.clear();
        self.clear_optional();
        self.coordinates.clear();
        self.edges.clear();
    }

    /// Drops everything, keeps the memory of nodes and edges.
    pub(crate) fn clear(&mut self) {
        self.clear_batch();
        self.notes.clear();
        self.edge_extras.clear();
        self.removed.clear();
    }

    /// Gives memory back that growing took in advance.
    pub fn shrink_to_fit(&mut self) {
        self.ids.shrink_to_fit();
        self.positions.shrink_to_fit();
        self.shrink_optional();
        self.coordinates.shrink_to_fit();
        self.edges.shrink_to_fit();
    }
}

/// What few nodes have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeNotes {
    /// Every comment on the node, in file order.
    pub comments: Vec<String>,
    /// Every branchpoint on the node, in file order: its own time, ms since epoch.
    pub branchpoints: Vec<Option<i64>>,
    /// Unknown attributes and children of `<node>`.
    pub extras: Extras,
    /// Unknown attributes and children of `<comment>`, by index in `comments`.
    pub comment_extras: BTreeMap<u32, Extras>,
    /// Unknown attributes and children of `<branchpoint>`, by index in `branchpoints`.
    pub branchpoint_extras: BTreeMap<u32, Extras>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_optional_column_gives_back_what_was_pushed(values: Vec<Option<i32>>) {
            let mut column = OptionalColumn::default();
            for (row, value) in values.iter().enumerate() {
                column.push(row, *value);
            }
            let read: Vec<_> = (0..values.len()).map(|row| column.get(row)).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn appending_optional_columns_equals_pushing_their_rows(first: Vec<Option<i32>>, second: Vec<Option<i32>>) {
            let fill = |values: &[Option<i32>]| {
                let mut column = OptionalColumn::default();
                values.iter().enumerate().for_each(|(row, value)| column.push(row, *value));
                column
            };
            let mut appended = fill(&first);
            appended.append(first.len(), &fill(&second), second.len());
            prop_assert_eq!(appended, fill(&[first, second].concat()));
        }

        #[test]
        fn a_set_value_is_read_back(mut values in prop::collection::vec(any::<Option<i32>>(), 1..20), row: prop::sample::Index, value: Option<i32>) {
            let mut column = OptionalColumn::default();
            for (row, value) in values.iter().enumerate() {
                column.push(row, *value);
            }
            let row = row.index(values.len());
            column.set(values.len(), row, value);
            values[row] = value;
            let read: Vec<_> = (0..values.len()).map(|row| column.get(row)).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn an_id_column_gives_back_ids_of_any_width(ids: Vec<Id>) {
            let column: IdColumn = ids.iter().copied().collect();
            prop_assert_eq!(column.iter().collect::<Vec<_>>(), ids);
        }
    }
}
