//! `for node in tree.nodes`: as many nodes as the loop keeps, not one per row.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use wkfast_nml::Changes;

use super::columns::TreeColumns;
use super::node::Node;
use super::node_class::NodeMethods;
use super::plain_type::{Plain, PlainType};

/// Yields the nodes that a tree has when the loop begins, less those that are removed before their turn. Nodes that the loop
/// adds are not among them: a loop that adds one per step would never end.
///
/// A node that the loop has let go of is used again for another row, as `zip` uses its tuple again: nothing can tell it
/// from a new one, since only the iterator has it (nodes take no weak references and the garbage collector does not
/// list them). A loop variable holds the node of the last step, so two take turns: one for even rows, one for odd.
pub(crate) struct NodeIterator {
    columns: Py<TreeColumns>,
    changes: Changes,
    /// The rows there were at the start.
    rows: u32,
    /// Rows to come that are known to be in the tree, and the count of changes when they were found.
    start: Cell<u32>,
    end: Cell<u32>,
    seen: Cell<u32>,
    yielded: [Yielded; 2],
}

/// Rows that are yielded before anybody looks for signals.
const RUN: u32 = 4096;

static TYPE: PlainType<NodeIterator> = PlainType::new();

impl NodeIterator {
    /// An iterator over all nodes, as the interpreter has it.
    pub(crate) fn over(columns: Py<TreeColumns>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let (changes, rows) = {
            let table = columns.bind(py).get().snapshot();
            (table.changes(), table.columns().rows() as u32)
        };
        let row = Cell::default;
        TYPE.wrap(
            py,
            Self { columns, changes, rows, start: row(), end: row(), seen: row(), yielded: Default::default() },
        )
    }

    /// Its class.
    pub(crate) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
        TYPE.class(py)
    }

    /// The next row, if it is known to be in the tree.
    #[inline]
    fn known_row(&self) -> Option<u32> {
        let row = self.start.get();
        let known = row < self.end.get() && self.seen.get() == self.changes.count();
        known.then(|| {
            self.start.set(row + 1);
            row
        })
    }

    fn find_row(&self, py: Python<'_>) -> Option<u32> {
        let found = self.columns.bind(py).get().read(|table| table.live_run(self.start.get()));
        let end = found.end.min(found.start.saturating_add(RUN));
        let rows = found.start.min(self.rows)..end.min(self.rows);
        self.seen.set(self.changes.count());
        self.end.set(rows.end);
        self.start.set(rows.end.min(rows.start + 1));
        (!rows.is_empty()).then_some(rows.start)
    }

    /// The node of a row that somebody holds already.
    #[inline]
    fn held(&self, py: Python<'_>, row: u32) -> Option<Py<PyAny>> {
        Node::held(self.columns.bind(py), row).map(|node| node.into_any().unbind())
    }

    fn slot(&self, row: u32) -> &Yielded {
        &self.yielded[row as usize % 2]
    }
}

impl Plain for NodeIterator {
    const NAME: &'static std::ffi::CStr = c"wkfast._core.NodeIterator";

    #[inline]
    fn quick_next(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let row = self.known_row()?;
        let node = self.held(py, row).or_else(|| self.slot(row).reuse(py, row));
        if node.is_none() {
            // The step is not made: the careful one starts over.
            self.start.set(row);
        }
        node
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut found = self.known_row();
        if found.is_none() {
            // Once in a run of rows: `list` and its like ask nobody while they make millions of nodes.
            py.check_signals()?;
            found = self.find_row(py);
        }
        let Some(row) = found else {
            self.yielded.iter().for_each(|slot| slot.put(py, None));
            return Ok(None);
        };
        if let Some(node) = self.held(py, row).or_else(|| self.slot(row).reuse(py, row)) {
            return Ok(Some(node));
        }
        let node = Node::at(self.columns.bind(py), row)?;
        self.slot(row).put(py, Some(node.clone().unbind()));
        Ok(Some(node.into_any().unbind()))
    }

    fn release(self, py: Python<'_>) {
        self.yielded.iter().for_each(|slot| slot.put(py, None));
        drop(self.columns.into_bound(py));
    }
}

/// A node that the iterator has handed out.
#[derive(Default)]
struct Yielded(Cell<Option<Py<Node>>>);

impl Yielded {
    fn put(&self, py: Python<'_>, node: Option<Py<Node>>) {
        // What was there is let go of once it is out of the cell: that may run code that comes back here.
        drop(self.0.replace(node).map(|node| node.into_bound(py)));
    }

    /// The node, moved to another row, if nobody else has it.
    #[allow(unsafe_code)]
    #[inline]
    fn reuse(&self, py: Python<'_>, row: u32) -> Option<Py<PyAny>> {
        // SAFETY: nothing below runs code that could come back to the cell: a count is read and raised, a number stored.
        let node = unsafe { &*self.0.as_ptr() }.as_ref()?;
        // SAFETY: the object is alive, since the cell holds a reference; nobody else counts while this thread is attached.
        let ours_alone = unsafe { ffi::Py_REFCNT(node.as_ptr()) == 1 };
        ours_alone.then(|| {
            let node = node.bind(py);
            node.get().move_to(py, row);
            node.clone().into_any().unbind()
        })
    }
}
