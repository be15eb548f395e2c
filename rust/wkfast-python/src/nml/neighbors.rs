//! `for neighbour in tree[node]`: the nodes around one, made or found as the loop comes to them.

use std::cell::Cell;

use pyo3::prelude::*;
use wkfast_nml::Neighbor;

use super::columns::TreeColumns;
use super::node::Node;
use super::plain_type::{Plain, PlainType};

/// Most nodes have two neighbours; those of more than this many are listed apart.
const FEW: usize = 4;

/// Yields the nodes that were joined to a node when the loop began.
pub(super) struct NeighborIterator {
    columns: Py<TreeColumns>,
    next: Cell<usize>,
    rows: Rows,
}

enum Rows {
    Few([u32; FEW], usize),
    Many(Box<[u32]>),
}

static TYPE: PlainType<NeighborIterator> = PlainType::new();

impl Rows {
    fn of(neighbors: &[Neighbor]) -> Self {
        if neighbors.len() > FEW {
            return Self::Many(neighbors.iter().map(|neighbor| neighbor.row).collect());
        }
        let mut few = [0; FEW];
        few.iter_mut().zip(neighbors).for_each(|(row, neighbor)| *row = neighbor.row);
        Self::Few(few, neighbors.len())
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u32> {
        match self {
            Self::Few(rows, count) => rows[..*count].get(index).copied(),
            Self::Many(rows) => rows.get(index).copied(),
        }
    }
}

impl NeighborIterator {
    /// An iterator over the neighbours of a row, as the interpreter has it; none for a row that is not in the tree.
    #[inline]
    pub(super) fn over<'py>(columns: &Bound<'py, TreeColumns>, row: u32) -> PyResult<Bound<'py, PyAny>> {
        let rows = columns.get().read(|table| Rows::of(table.neighbors(row).unwrap_or_default()));
        TYPE.wrap(columns.py(), Self { columns: columns.clone().unbind(), next: Cell::new(0), rows })
    }
}

impl Plain for NeighborIterator {
    const NAME: &'static std::ffi::CStr = c"wkfast._core.NeighborIterator";

    #[inline]
    fn quick_next(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let row = self.rows.get(self.next.get())?;
        let node = Node::held(self.columns.bind(py), row)?;
        self.next.set(self.next.get() + 1);
        Some(node.into_any().unbind())
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(row) = self.rows.get(self.next.get()) else { return Ok(None) };
        self.next.set(self.next.get() + 1);
        Ok(Some(Node::at(self.columns.bind(py), row)?.into_any().unbind()))
    }

    fn release(self, py: Python<'_>) {
        drop(self.columns.into_bound(py));
    }
}
