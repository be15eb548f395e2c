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
/// list them). A loop variable holds the node of the last step, so two take turns.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct NodeIterator {
    columns: Py<TreeColumns>,
    changes: Changes,
    /// Rows to come that are known to be in the tree, and the count of changes when they were found.
    run: Attached<Run>,
    last: Attached<Option<Py<Node>>>,
    last_but_one: Attached<Option<Py<Node>>>,
}

#[derive(Clone, Copy, Default)]
struct Run {
    start: u32,
    end: u32,
    seen: u32,
}

/// What only a thread that is attached to the interpreter touches. The borrow checks of a class that is not frozen take
/// more time than a step of the loop.
struct Attached<T>(Cell<T>);

// SAFETY: the cell is private and its only methods take the proof that the interpreter is attached, which one thread at a
// time has: interpreters without a global lock do not load modules of the stable ABI, which this one is built for. No reference into the cell ever leaves them, so code that runs within a call may come back here.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Attached<T> {}

impl<T> Attached<T> {
    #[inline]
    fn replace(&self, _py: Python<'_>, value: T) -> T {
        self.0.replace(value)
    }
}

impl<T: Copy> Attached<T> {
    #[inline]
    fn get(&self, _py: Python<'_>) -> T {
        self.0.get()
    }
}

impl NodeIterator {
    pub(crate) fn new(columns: Py<TreeColumns>, py: Python<'_>) -> Self {
        let changes = columns.borrow(py).table.changes();
        let (last, last_but_one) = (Attached(Cell::default()), Attached(Cell::default()));
        Self { columns, changes, run: Attached(Cell::default()), last, last_but_one }
    }

    /// The next row that is in the tree.
    #[inline]
    fn next_row(&self, py: Python<'_>) -> Option<u32> {
        let mut run = self.run.get(py);
        if run.start == run.end || run.seen != self.changes.count() {
            run = self.find_run(py, run.start);
        }
        let row = (run.start < run.end).then_some(run.start)?;
        self.run.replace(py, Run { start: row + 1, ..run });
        Some(row)
    }

    #[cold]
    fn find_run(&self, py: Python<'_>, start: u32) -> Run {
        let rows = self.columns.borrow(py).table.live_run(start);
        Run { start: rows.start, end: rows.end, seen: self.changes.count() }
    }
}

/// Whether nobody but the caller has the object.
#[allow(unsafe_code)]
#[inline]
fn is_ours_alone(node: &Py<Node>, _py: Python<'_>) -> bool {
    // SAFETY: the object is alive, since the caller holds a reference; nobody counts while the interpreter is attached.
    unsafe { ffi::Py_REFCNT(node.as_ptr()) == 1 }
}

#[pymethods]
impl NodeIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Node>>> {
        let Some(row) = self.next_row(py) else {
            self.last.replace(py, None);
            self.last_but_one.replace(py, None);
            return Ok(None);
        };
        let node = match self.last_but_one.replace(py, None) {
            Some(node) if is_ours_alone(&node, py) => {
                node.get().move_to(row);
                node
            }
            _ => Py::new(py, Node::new(self.columns.clone_ref(py), row))?,
        };
        let last = self.last.replace(py, Some(node.clone_ref(py)));
        drop(self.last_but_one.replace(py, last));
        Ok(Some(node))
    }
}
