//! `for node in tree.nodes`: as many nodes as the loop keeps, not one per row.

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;
use wkfast_nml::Changes;

use super::columns::TreeColumns;
use super::node::Node;

/// Yields the nodes of a tree.
///
/// A node that the loop has let go of is used again for another row, as `zip` uses its tuple again: nothing can tell it
/// from a new one, since only the iterator has it (nodes take no weak references and the garbage collector does not
/// list them). A loop variable holds the node of the last step, so two take turns: one for even rows, one for odd.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct NodeIterator {
    columns: Py<TreeColumns>,
    changes: Changes,
    /// Rows to come that are known to be in the tree, and the count of changes when they were found.
    start: Attached<u32>,
    end: Attached<u32>,
    seen: Attached<u32>,
    yielded: [Attached<Option<Py<Node>>>; 2],
}

/// What only a thread that is attached to the interpreter touches. The borrow checks of a class that is not frozen take
/// more time than a step of the loop.
#[derive(Default)]
struct Attached<T>(Cell<T>);

// SAFETY: the cell is private and its only methods take the proof that the interpreter is attached, which one thread at a
// time has: interpreters without a global lock do not load modules of the stable ABI, which this one is built for. No
// reference into the cell leaves them, so code that runs within a call may come back here.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Attached<T> {}

impl<T> Attached<T> {
    #[inline]
    fn set(&self, _py: Python<'_>, value: T) {
        // What was there is dropped once it is out of the cell.
        drop(self.0.replace(value));
    }
}

impl<T: Copy> Attached<T> {
    #[inline]
    fn get(&self, _py: Python<'_>) -> T {
        self.0.get()
    }
}

impl Attached<Option<Py<Node>>> {
    /// The node, moved to another row, if nobody else has it.
    #[allow(unsafe_code)]
    #[inline]
    fn reuse(&self, py: Python<'_>, row: u32) -> Option<Py<Node>> {
        // SAFETY: nothing below runs code that could come back to the cell: a count is read and raised, a number stored.
        let node = unsafe { &*self.0.as_ptr() }.as_ref()?;
        // SAFETY: the object is alive, since the cell holds a reference; nobody else counts while this thread is attached.
        let ours_alone = unsafe { ffi::Py_REFCNT(node.as_ptr()) == 1 };
        ours_alone.then(|| {
            node.get().move_to(row);
            node.clone_ref(py)
        })
    }
}

impl NodeIterator {
    pub(crate) fn new(columns: Py<TreeColumns>, py: Python<'_>) -> Self {
        let changes = columns.borrow(py).table.changes();
        let row = Attached::default;
        Self { columns, changes, start: row(), end: row(), seen: row(), yielded: Default::default() }
    }

    /// The next row that is in the tree.
    #[inline]
    fn next_row(&self, py: Python<'_>) -> Option<u32> {
        let row = self.start.get(py);
        if row < self.end.get(py) && self.seen.get(py) == self.changes.count() {
            self.start.set(py, row + 1);
            return Some(row);
        }
        self.find_run(py, row)
    }

    #[cold]
    fn find_run(&self, py: Python<'_>, row: u32) -> Option<u32> {
        let rows = self.columns.borrow(py).table.live_run(row);
        self.seen.set(py, self.changes.count());
        self.end.set(py, rows.end);
        self.start.set(py, rows.end.min(rows.start + 1));
        (!rows.is_empty()).then_some(rows.start)
    }

    /// A node of its own, and no longer one that somebody keeps.
    #[cold]
    fn new_node(&self, py: Python<'_>, row: u32) -> PyResult<Py<Node>> {
        let node = Py::new(py, Node::new(self.columns.clone_ref(py), row))?;
        self.yielded[row as usize % 2].set(py, Some(node.clone_ref(py)));
        Ok(node)
    }
}

#[pymethods]
impl NodeIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Node>>> {
        let Some(row) = self.next_row(py) else {
            self.yielded.iter().for_each(|node| node.set(py, None));
            return Ok(None);
        };
        match self.yielded[row as usize % 2].reuse(py, row) {
            Some(node) => Ok(Some(node)),
            None => self.new_node(py, row).map(Some),
        }
    }
}
