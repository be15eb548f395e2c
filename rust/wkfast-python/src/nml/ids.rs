//! Ids of a skeleton: between Rust and Python, the counter they are drawn from, and which tree has a node.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use wkfast_nml::model::Id;

use super::columns::TreeColumns;
use super::node::Node;
use crate::errors::SkeletonError;

/// An id as Python sees it: an int, or anything with `__index__`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PyId(pub(crate) Id);

impl<'py> FromPyObject<'_, 'py> for PyId {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        value.extract::<i64>().map(Id::from).or_else(|_| value.extract::<i128>()).map(Self)
    }
}

impl<'py> IntoPyObject<'py> for PyId {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        match i64::try_from(self.0) {
            Ok(id) => id.into_pyobject(py),
            Err(_) => self.0.into_pyobject(py),
        }
    }
}

/// Hands out ids past every id that was ever claimed, to trees, groups and nodes of one skeleton. Finds nodes by their ids.
#[pyclass(module = "wkfast._core", frozen, weakref)]
#[derive(Default)]
pub(crate) struct IdCounter {
    state: Mutex<IdsState>,
}

#[derive(Default)]
struct IdsState {
    last: Id,
    /// Ids that were handed out, claimed or given back: those who gathered ids in use see whether they still are.
    changes: u64,
    /// Made when a node is first searched for; kept right from then on.
    index: Option<NodeIndex>,
}

impl IdsState {
    fn claim(&mut self, used: Id) {
        self.changes += 1;
        self.last = self.last.max(used);
    }
}

impl IdCounter {
    fn lock(&self) -> MutexGuard<'_, IdsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_id(&self, enforced: Option<Id>) -> Id {
        let mut state = self.lock();
        let id = enforced.unwrap_or_else(|| state.last.saturating_add(1));
        state.claim(id);
        id
    }

    /// As many ids, one after the other.
    pub(super) fn take_ids(&self, count: usize) -> PyResult<Vec<i64>> {
        let mut state = self.lock();
        let bounds =
            i64::try_from(state.last).ok().and_then(|last| Some((last, last.checked_add(i64::try_from(count).ok()?)?)));
        let Some((before, last)) = bounds else {
            return Err(SkeletonError::new_err("no ids of 64 bits are left beyond those in use"));
        };
        state.claim(last.into());
        Ok((before + 1..=last).collect())
    }

    /// Tells of nodes with ids one after the other that were added to a tree.
    pub(super) fn run_added(&self, columns: &Bound<'_, TreeColumns>, ids: &PyReadonlyArray1<'_, i64>) {
        let ids = ids.as_array();
        if let (Some(&first), Some(&last)) = (ids.first(), ids.last())
            && let Some(slot) = columns.get().slot.load(Relaxed).checked_sub(1)
            && let Some(index) = &mut self.lock().index
        {
            index.add_run(first.into(), last.into(), slot);
        }
    }

    /// Tells of a node that was added to a tree.
    pub(super) fn node_added(&self, columns: &Bound<'_, TreeColumns>, id: Id) {
        if let (Some(slot), Some(index)) = (columns.get().slot.load(Relaxed).checked_sub(1), self.lock().index.as_mut())
        {
            index.add_run(id, id, slot);
        }
    }
}

#[pymethods]
impl IdCounter {
    /// A counter; no id up to `last` is handed out.
    #[new]
    #[pyo3(signature = (last=None))]
    fn new(last: Option<PyId>) -> Self {
        let counter = Self::default();
        counter.lock().last = last.map_or(0, |id| id.0);
        counter
    }

    /// No id beyond this one was ever claimed.
    #[getter]
    fn last(&self) -> PyId {
        PyId(self.lock().last)
    }

    /// Count of the ids taken, claimed and given back.
    #[getter]
    fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The next id, or the enforced one, which later ids then exceed.
    #[pyo3(signature = (enforced=None))]
    fn take(&self, enforced: Option<PyId>) -> PyId {
        PyId(self.take_id(enforced.map(|id| id.0)))
    }

    /// The first of `count` consecutive new ids.
    fn take_run(&self, count: u64) -> PyId {
        let mut state = self.lock();
        let first = state.last.saturating_add(1);
        let last = state.last.saturating_add(count.into());
        state.claim(last);
        PyId(first)
    }

    /// Make sure that no id up to `used` is handed out.
    fn claim(&self, used: Option<PyId>) {
        let mut state = self.lock();
        let used = used.map_or(state.last, |id| id.0);
        state.claim(used);
    }

    /// Tell that nodes or a tree were removed.
    fn give_back(&self) {
        self.lock().changes += 1;
    }

    /// Whether there is an index of nodes: then trees must be added to it.
    #[getter]
    fn is_indexed(&self) -> bool {
        self.lock().index.is_some()
    }

    /// Index the nodes of these trees, those of a skeleton.
    fn index(&self, trees: Vec<Bound<'_, TreeColumns>>) {
        let mut index = NodeIndex::default();
        for columns in &trees {
            index.add_tree(columns);
        }
        self.lock().index = Some(index);
    }

    /// Add a tree to the index, if there is one.
    fn add_tree(&self, columns: &Bound<'_, TreeColumns>) {
        if let Some(index) = &mut self.lock().index {
            index.add_tree(columns);
        }
    }

    /// Take a tree out of the index, if there is one.
    fn drop_tree(&self, columns: &Bound<'_, TreeColumns>) {
        let dropped = self.lock().index.as_mut().and_then(|index| index.drop_tree(columns));
        // Outside of the lock, since the last reference to a tree may run any code.
        drop(dropped);
    }

    /// The node with an id. `False` if the index cannot say, since several trees have one or more ids in common.
    fn find_node<'py>(&self, py: Python<'py>, id: PyId) -> PyResult<Bound<'py, PyAny>> {
        let found = match &self.lock().index {
            Some(index) if !index.ambiguous => index.find(py, id.0),
            _ => return Ok(false.into_pyobject(py)?.to_owned().into_any()),
        };
        match found {
            Some((columns, row)) => Ok(Node::at(columns.bind(py), row)?.into_any()),
            None => Ok(py.None().into_bound(py)),
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (PyId,)) {
        (slf.get_type().into_any(), (slf.get().last(),))
    }
}

/// Which tree has the node with an id. Most trees number their nodes in runs, so runs are kept.
#[derive(Default)]
struct NodeIndex {
    /// By the first id of a run: the last one, and the tree's number.
    runs: BTreeMap<Id, (Id, u32)>,
    trees: Vec<Option<Py<TreeColumns>>>,
    /// Some id is in two runs: which tree comes first is not known here.
    ambiguous: bool,
}

impl NodeIndex {
    fn add_tree(&mut self, columns: &Bound<'_, TreeColumns>) {
        let slot = self.trees.len() as u32;
        self.trees.push(Some(columns.clone().unbind()));
        columns.get().slot.store(slot + 1, Relaxed);
        let table = columns.get().snapshot();
        let ids = &table.columns().ids;
        let mut run: Option<(Id, Id)> = None;
        for id in table.rows().filter_map(|row| ids.get(row as usize)) {
            run = match run {
                Some((first, last)) if last.checked_add(1) == Some(id) => Some((first, id)),
                before => {
                    if let Some((first, last)) = before {
                        self.add_run(first, last, slot);
                    }
                    Some((id, id))
                }
            };
        }
        if let Some((first, last)) = run {
            self.add_run(first, last, slot);
        }
    }

    fn add_run(&mut self, first: Id, last: Id, slot: u32) {
        if let Some((_, before)) = self.runs.range_mut(..=last).next_back() {
            if before.0 >= first {
                // A node that was removed and came back in its own tree is no doubt.
                self.ambiguous |= before.1 != slot || before.0 < last;
                return;
            }
            if before.1 == slot && before.0.checked_add(1) == Some(first) {
                before.0 = last;
                return;
            }
        }
        self.runs.insert(first, (last, slot));
    }

    fn drop_tree(&mut self, columns: &Bound<'_, TreeColumns>) -> Option<Py<TreeColumns>> {
        let slot = columns.get().slot.load(Relaxed).checked_sub(1)?;
        self.trees.get_mut(slot as usize)?.take()
    }

    fn find(&self, py: Python<'_>, id: Id) -> Option<(Py<TreeColumns>, u32)> {
        let (_, &(last, slot)) = self.runs.range(..=id).next_back()?;
        let columns = self.trees.get(slot as usize)?.as_ref().filter(|_| id <= last)?;
        let row = columns.get().read(|table| table.row_of(id))?;
        Some((columns.clone_ref(py), row))
    }
}
