//! Nodes and edges of one tree as columns.

use std::collections::BTreeMap;

use crate::model::{Extras, Id};

/// Integers of up to 128 bits, stored in 64 until one needs more.
#[derive(Clone, Debug, PartialEq)]
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

/// A column that a file may leave out, wholly (no memory is used) or on some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionalColumn<T> {
    /// Empty until the first value is seen, then one per row.
    pub values: Vec<T>,
    /// Rows without a value; empty if every row has one (or none has).
    pub absent: Vec<bool>,
}

impl<T> Default for OptionalColumn<T> {
    fn default() -> Self {
        Self { values: Vec::new(), absent: Vec::new() }
    }
}

/// One tree. Row `i` is the `i`-th `<node>` in file order; a row's index never changes, removal marks it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeColumns {
    /// Node ids.
    pub ids: IdColumn,
    /// Mag-1 voxels, fractions allowed; a missing attribute is `0.0`.
    pub positions: Vec<[f64; 3]>,
    /// nm.
    pub radius: OptionalColumn<f64>,
    /// Angles; a file that has one of the three has all.
    pub rotation: OptionalColumn<[f64; 3]>,
    /// Viewport.
    pub in_vp: OptionalColumn<i32>,
    /// Magnification step.
    pub in_mag: OptionalColumn<i32>,
    /// Bit depth.
    pub bit_depth: OptionalColumn<i32>,
    /// Interpolation.
    pub interpolation: OptionalColumn<bool>,
    /// ms since epoch.
    pub time: OptionalColumn<i64>,
    /// Pairs of node ids: source, target, source, target…
    pub edges: IdColumn,
    /// Facts that few nodes have, by row.
    pub notes: BTreeMap<u32, NodeNotes>,
    /// Facts that few edges have, by edge.
    pub edge_extras: BTreeMap<u32, Extras>,
    /// Rows removed since loading; empty if none.
    pub removed: Vec<bool>,
}

/// What few nodes have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeNotes {
    /// Every comment on the node, in file order.
    pub comments: Vec<String>,
    /// Every branchpoint on the node, in file order: its own time, ms since epoch.
    pub branchpoints: Vec<Option<i64>>,
    /// `additionalCoordinate-<axis>`.
    pub additional_coordinates: Vec<(String, i64)>,
    /// Unknown attributes and children of `<node>`.
    pub extras: Extras,
}
