//! `TreeColumns`: one tree, asked and changed row by row. Whole columns are in `tables`.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, PoisonError, RwLock};

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use wkfast_nml::columns::{NodeNotes, NodeRow};
use wkfast_nml::{EditError, TreeTable};

use super::facts::{self, COMMENT, IS_BRANCHPOINT};
use super::graph::NeighborMap;
use super::ids::{IdCounter, PyId};
use super::iterator::NodeIterator;
use super::live_nodes::LiveNodes;
use super::neighbors::NeighborIterator;
use super::node::Node;
use super::node_class::NodeMethods;
use super::packed::PackedAt;
use super::tables;
use super::vectors::from_vec3_int_like;
use crate::errors::CoreError;
use crate::patience::patiently_if;

/// Nodes and edges of one tree as columns. Rows keep their number for life.
///
/// Threads may share it: changes are made attached to the interpreter; what takes long works on the state of its beginning,
/// which a change leaves as it is.
#[pyclass(module = "wkfast._core", weakref, frozen)]
#[derive(Default)]
pub(crate) struct TreeColumns {
    table: RwLock<Stored>,
    /// Nodes that somebody holds: they keep what was read of them, and are told of changes.
    pub(super) live: LiveNodes,
    /// Number in the skeleton's index of node ids, plus one.
    pub(super) slot: AtomicU32,
}

/// A table, once something is asked of it: of very many trees, most are listed and no more. Without either it is empty.
#[derive(Clone, Default)]
struct Stored {
    /// The tree as it was read, until its table is made.
    packed: Option<PackedAt>,
    table: Option<Arc<TreeTable>>,
}

impl Stored {
    fn table(&mut self) -> &mut Arc<TreeTable> {
        let packed = self.packed.take();
        self.table.get_or_insert_with(|| Arc::new(packed.map(|tree| tree.unpack().columns).unwrap_or_default().into()))
    }
}

impl From<TreeTable> for TreeColumns {
    fn from(table: TreeTable) -> Self {
        Stored { packed: None, table: Some(Arc::new(table)) }.into()
    }
}

impl From<PackedAt> for TreeColumns {
    fn from(tree: PackedAt) -> Self {
        Stored { packed: Some(tree), table: None }.into()
    }
}

impl From<Stored> for TreeColumns {
    fn from(stored: Stored) -> Self {
        Self { table: RwLock::new(stored), ..Self::default() }
    }
}

impl TreeColumns {
    /// The state of now, for work that takes long or lets others run.
    pub(crate) fn snapshot(&self) -> Arc<TreeTable> {
        self.with_table(Arc::clone)
    }

    /// [`snapshot`](Self::snapshot) of a tree that knows which nodes are joined, which takes a moment to find for very many.
    pub(super) fn with_graph(&self, py: Python<'_>) -> PyResult<Arc<TreeTable>> {
        let table = self.snapshot();
        let joined = Arc::clone(&table);
        patiently_if(py, is_large(&table), move |_| joined.edge_count())?;
        Ok(table)
    }

    /// The tree as it was read, if nothing has asked for its table yet.
    pub(super) fn packed(&self) -> Option<PackedAt> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).packed.clone()
    }

    #[inline]
    fn with_table<T>(&self, read: impl FnOnce(&Arc<TreeTable>) -> T) -> T {
        if let Some(table) = &self.table.read().unwrap_or_else(PoisonError::into_inner).table {
            return read(table);
        }
        let mut stored = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = Arc::clone(stored.table());
        drop(stored);
        read(&table)
    }

    /// `read` must not run code of Python's, which could want to change the tree.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl FnOnce(&TreeTable) -> T) -> T {
        self.with_table(|table| read(table))
    }

    /// As [`Self::read`]. States that somebody still works on stay as they are.
    #[inline]
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut TreeTable) -> T) -> T {
        let mut stored = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = stored.table();
        if Arc::get_mut(table).is_none() {
            *table = Arc::new(table.continued());
        }
        change(Arc::make_mut(table))
    }

    pub(crate) fn edit_notes(&self, py: Python<'_>, row: u32, edit: impl FnOnce(&mut NodeNotes)) {
        self.write(|table| {
            let notes = &mut table.columns_mut().notes;
            let entry = notes.entry(row).or_default();
            edit(entry);
            if *entry == NodeNotes::default() {
                notes.remove(&row);
            }
        });
        self.row_changed(py, row, COMMENT..IS_BRANCHPOINT + 1);
    }

    /// The row of a node of this tree, or of the node with an id; `None` for all else.
    #[inline]
    pub(super) fn find_row(slf: &Bound<'_, Self>, node: &Bound<'_, PyAny>) -> Option<u32> {
        let columns = slf.get();
        if let Ok(node) = node.cast_exact::<Node>() {
            let (is_of, row) = (node.get().columns(slf.py()).is(slf), node.get().row_number());
            return (is_of && columns.read(|table| table.is_live(row))).then_some(row);
        }
        let PyId(id) = node.extract().ok()?;
        columns.read(|table| table.row_of(id))
    }

    /// Rows of the neighbours of a node, in the order their edges came.
    pub(super) fn neighbor_rows(&self, row: u32) -> Result<Vec<u32>, CoreError> {
        self.read(|table| Ok(table.neighbors(row)?.iter().map(|neighbor| neighbor.row).collect()))
    }
}

#[pymethods]
impl TreeColumns {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        self.packed().map_or_else(|| self.read(TreeTable::len), |tree| tree.rows())
    }

    /// The row of the node with an id, `None` if there is none.
    fn row_of(&self, id: PyId) -> Option<u32> {
        self.read(|table| table.row_of(id.0))
    }

    /// The row of a node of this tree, or of the node with an id; `None` for all else.
    fn find(slf: &Bound<'_, Self>, node: &Bound<'_, PyAny>) -> Option<u32> {
        Self::find_row(slf, node)
    }

    /// Whether `find` finds it.
    fn has(slf: &Bound<'_, Self>, node: &Bound<'_, PyAny>) -> bool {
        Self::find_row(slf, node).is_some()
    }

    /// The node with an id; `KeyError` if there is none.
    fn node_by_id<'py>(slf: &Bound<'py, Self>, id: PyId) -> PyResult<Bound<'py, Node>> {
        match slf.get().read(|table| table.row_of(id.0)) {
            Some(row) => Node::at(slf, row),
            None => Err(PyKeyError::new_err(id)),
        }
    }

    /// The node in a row, removed or not.
    fn node<'py>(slf: &Bound<'py, Self>, row: u32) -> PyResult<Bound<'py, Node>> {
        Node::at(slf, row)
    }

    /// The node, given as node of this tree or as id; `None` for all else.
    fn node_of<'py>(slf: &Bound<'py, Self>, node: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Node>>> {
        Self::find_row(slf, node).map(|row| Node::at(slf, row)).transpose()
    }

    /// All nodes, one by one.
    fn nodes(slf: Py<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        NodeIterator::over(slf, py)
    }

    /// Add a node and return it. Its id is the next one of the counter, or the enforced one. `values` are those of the optional
    /// columns in the order of `NODE_COLUMNS`; `None` if there are none.
    #[pyo3(signature = (ids, position, comment, is_branchpoint, branchpoint_time, values, enforced_id=None))]
    #[allow(clippy::too_many_arguments)] // one per attribute
    fn append<'py>(
        slf: &Bound<'py, Self>,
        ids: &Bound<'_, IdCounter>,
        position: &Bound<'_, PyAny>,
        comment: Option<String>,
        is_branchpoint: bool,
        branchpoint_time: Option<i64>,
        values: Option<&Bound<'_, PyTuple>>,
        enforced_id: Option<PyId>,
    ) -> Result<Bound<'py, Node>, CoreError> {
        let position = from_vec3_int_like(position)?;
        let given = facts::given(values)?;
        let columns = slf.get();
        let id = ids.get().take_id(enforced_id.map(|id| id.0));
        let row = columns.write(|table| {
            let row = table.push_node(&NodeRow { id, position, ..NodeRow::default() })?;
            for (column, given) in given {
                given.put(table.columns_mut(), column, row as usize);
            }
            Ok::<_, EditError>(row)
        })?;
        ids.get().node_added(slf, id);
        if comment.is_some() || is_branchpoint {
            columns.edit_notes(slf.py(), row, |notes| {
                notes.comments.extend(comment);
                notes.branchpoints.extend(is_branchpoint.then_some(branchpoint_time));
            });
        }
        Ok(Node::at(slf, row)?)
    }

    /// Remove a node and its edges.
    fn remove_node(&self, row: u32) -> Result<(), CoreError> {
        Ok(self.write(|table| table.remove_node(row))?)
    }

    /// Join two nodes, given as nodes or ids, and return their rows; `None` if one is not in the tree.
    fn join(
        slf: &Bound<'_, Self>,
        source: &Bound<'_, PyAny>,
        target: &Bound<'_, PyAny>,
    ) -> Result<Option<(u32, u32)>, CoreError> {
        let Some((source, target)) = Self::find_row(slf, source).zip(Self::find_row(slf, target)) else {
            return Ok(None);
        };
        slf.get().write(|table| table.add_edge(source, target))?;
        Ok(Some((source, target)))
    }

    /// Remove the edge between two nodes; `False` if there is none.
    fn remove_edge(&self, a: u32, b: u32) -> Result<bool, CoreError> {
        Ok(self.write(|table| table.remove_edge(a, b))?)
    }

    /// Whether two nodes, given as nodes or ids, are in the tree and joined.
    fn are_joined(slf: &Bound<'_, Self>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> bool {
        let rows = Self::find_row(slf, a).zip(Self::find_row(slf, b));
        rows.is_some_and(|(a, b)| slf.get().read(|table| table.has_edge(a, b)))
    }

    /// Number of edges, repeated ones once.
    fn edge_count(&self) -> usize {
        self.read(TreeTable::edge_count)
    }

    /// An iterator over the neighbours of a node, given as node or id; `None` if it is not in the tree.
    fn neighbors<'py>(slf: &Bound<'py, Self>, node: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Self::find_row(slf, node).map(|row| NeighborIterator::over(slf, row)).transpose()
    }

    /// The neighbours of a node as `tree[node]` has them; `KeyError` if it is not in the tree.
    fn neighbor_map(slf: &Bound<'_, Self>, tree: &Bound<'_, PyAny>, node: &Bound<'_, PyAny>) -> PyResult<NeighborMap> {
        NeighborMap::of(tree, slf, node)
    }

    /// All edges as pairs of nodes, each once, by the node that comes first in the tree.
    fn edge_nodes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let (py, table) = (slf.py(), slf.get().with_graph(slf.py())?);
        let mut nodes: Vec<Option<Bound<'py, Node>>> = vec![None; table.columns().rows()];
        let mut node = |row: u32| match &nodes[row as usize] {
            Some(node) => Ok::<_, PyErr>(node.clone()),
            None => Ok(nodes[row as usize].insert(Node::at(slf, row)?).clone()),
        };
        let pairs = PyList::empty(py);
        for row in table.rows() {
            look_for_signals(py, row)?;
            for neighbor in table.neighbors(row).unwrap_or_default().iter().filter(|neighbor| neighbor.row >= row) {
                pairs.append((node(row)?, node(neighbor.row)?))?;
            }
        }
        Ok(pairs)
    }

    /// The largest node id, `None` without nodes.
    fn max_id(&self) -> Option<PyId> {
        self.read(TreeTable::max_id).map(PyId)
    }

    /// Number of parts that no edge joins.
    fn component_count(&self, py: Python<'_>) -> PyResult<usize> {
        let table = self.snapshot();
        patiently_if(py, is_large(&table), move |_| table.component_count())
    }

    /// Sum of the lengths of all edges; positions are multiplied by `scale`.
    fn path_length(&self, py: Python<'_>, scale: [f64; 3]) -> PyResult<f64> {
        let table = self.snapshot();
        patiently_if(py, is_large(&table), move |_| table.path_length(scale))
    }

    /// Smallest and largest coordinates, `None` without nodes.
    fn bounds(&self, py: Python<'_>) -> Option<[[f64; 3]; 2]> {
        let table = self.snapshot();
        py.detach(|| table.bounds())
    }

    /// A tree of its own with the same content in the same rows. What both hold is stored once until one of them changes.
    fn copy(&self) -> Self {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    fn __copy__(&self) -> Self {
        self.copy()
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.copy()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let table = self.snapshot();
        let state = patiently_if(py, is_large(&table), move |_| {
            let mut state = Vec::new();
            ciborium::into_writer(&*table, &mut state).map(|()| state)
        })?;
        let state = state.map_err(state_error)?;
        Ok((py.import("wkfast._core")?.getattr("restore_tree")?, (PyBytes::new(py, &state),)))
    }

    /// Node ids, one per node: int64, or a list where one is wider.
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tables::ids(py, &self.snapshot())
    }

    /// Mag-1 voxels, float64 of shape `(nodes, 3)`.
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        tables::positions(py, &self.snapshot())
    }

    /// Values of an optional column and whether each node has one; `None` where no node has.
    fn column<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<tables::Column<'py>>> {
        tables::column(py, &self.snapshot(), name)
    }

    /// Node ids at both ends of each edge, of shape `(edges, 2)`; a flat list where an id is wider than int64.
    fn edges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tables::edges(py, &self.snapshot())
    }

    /// The adjacency as compressed rows, counted over live nodes: where each node's neighbours start, the neighbours.
    fn adjacency<'py>(&self, py: Python<'py>) -> tables::AdjacencyArrays<'py> {
        tables::adjacency(py, &self.snapshot())
    }

    /// Number of neighbours of each node, a self-edge counting twice.
    fn degrees<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        let table = self.snapshot();
        py.detach(|| table.degrees()).into_pyarray(py)
    }

    /// Ids of nodes and their comments.
    fn comments(&self) -> Vec<(PyId, String)> {
        tables::notes(&self.snapshot(), |notes| notes.comments.clone())
    }

    /// Ids of nodes and the times of their branchpoints.
    fn branchpoints(&self) -> Vec<(PyId, Option<i64>)> {
        tables::notes(&self.snapshot(), |notes| notes.branchpoints.clone())
    }

    /// Axes beyond x, y, z along which nodes have places.
    fn axes(&self) -> Vec<String> {
        self.read(|table| table.columns().coordinates.names().into_iter().map(str::to_owned).collect())
    }

    /// Replace all positions, in the order of `positions()`.
    fn set_positions(&self, py: Python<'_>, positions: PyReadonlyArray2<'_, f64>) -> PyResult<()> {
        self.write(|table| tables::set_positions(table, &positions))?;
        self.all_changed(py);
        Ok(())
    }

    /// A tree of arrays: ids, positions of shape `(nodes, 3)`, edges of ids of shape `(edges, 2)`, radii.
    #[staticmethod]
    #[pyo3(signature = (ids, positions, edges, radius=None))]
    fn from_arrays(
        ids: PyReadonlyArray1<'_, i64>,
        positions: PyReadonlyArray2<'_, f64>,
        edges: PyReadonlyArray2<'_, i64>,
        radius: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<Self> {
        tables::from_arrays(&ids, &positions, &edges, radius.as_ref()).map(Self::from)
    }

    /// Add nodes with the counter's next ids, which are returned, and edges between them, given as rows of `positions`. Columns
    /// are names, values and whether each node has one. All of it is added or nothing.
    fn extend<'py>(
        slf: &Bound<'py, Self>,
        counter: &IdCounter,
        positions: PyReadonlyArray2<'_, f64>,
        columns: Vec<tables::NamedValues<'py>>,
        edges: PyReadonlyArray2<'_, i64>,
    ) -> Result<Bound<'py, PyArray1<i64>>, CoreError> {
        let count = positions.shape()[0];
        let ids = PyArray1::from_vec(slf.py(), counter.take_ids(count)?);
        let more = tables::More::extract(&ids.readonly(), &positions, &columns, &edges)?;
        slf.get().write(|table| more.add_to(table))?;
        counter.run_added(slf, &ids.readonly());
        Ok(ids)
    }

    /// Replace positions and optional columns of all nodes, in the order of `positions()`. All of it is replaced or nothing.
    fn replace<'py>(
        &self,
        py: Python<'py>,
        positions: Option<PyReadonlyArray2<'py, f64>>,
        columns: Vec<tables::NamedValues<'py>>,
    ) -> PyResult<()> {
        let replacement = self.read(|table| tables::Replacement::extract(table, positions.as_ref(), &columns))?;
        self.write(|table| replacement.put(table));
        self.all_changed(py);
        Ok(())
    }

    /// Give nodes comments: rows in the order of `positions()` and texts.
    fn set_comments(&self, py: Python<'_>, comments: Vec<(usize, String)>) {
        let rows: Vec<u32> = self.read(|table| table.rows().collect());
        for (at, text) in comments {
            if let Some(&row) = rows.get(at) {
                self.edit_notes(py, row, |notes| notes.comments = vec![text]);
            }
        }
    }

    /// A copy whose nodes have the ids from `first` on.
    fn renumbered(&self, py: Python<'_>, first: PyId) -> PyResult<Self> {
        let table = self.snapshot();
        Ok(patiently_if(py, is_large(&table), move |_| TreeTable::from(table.renumbered(first.0)))?.into())
    }

    /// Whether two trees hold the same nodes and undirected edges, in whatever order.
    fn same_content(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        let (one, other) = (self.snapshot(), other.snapshot());
        patiently_if(py, is_large(&one), move |_| one.same_content(&other))
    }
}

/// To be called for each row of a loop that makes objects: lets Ctrl-C through now and then.
pub(super) fn look_for_signals(py: Python<'_>, row: u32) -> PyResult<()> {
    if row.is_multiple_of(4096) { py.check_signals() } else { Ok(()) }
}

/// Unpickles a tree.
#[pyfunction]
pub(crate) fn restore_tree(py: Python<'_>, state: PyBackedBytes) -> PyResult<TreeColumns> {
    let large = state.len() > LARGE_STATE;
    let table = patiently_if(py, large, move |_| {
        ciborium::de::from_reader_with_recursion_limit::<TreeTable, _>(&*state, STATE_DEPTH)
    })?;
    Ok(table.map_err(state_error)?.into())
}

/// Whether work on all nodes of a tree takes so long that somebody may want to leave it.
fn is_large(table: &TreeTable) -> bool {
    table.len() > 100_000
}

/// Bytes of a pickled tree that take as long.
pub(super) const LARGE_STATE: usize = 10 << 20;

/// How deep the state of a pickled tree may nest: unknown elements as deep as files may have them, each in three layers.
pub(super) const STATE_DEPTH: usize = 3 * 512 + 64;

pub(super) fn state_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("not the pickled state of a tree: {error}"))
}
