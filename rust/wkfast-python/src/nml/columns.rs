//! `TreeColumns`: one tree, asked and changed row by row. Whole columns are in `tables`.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wkfast_nml::TreeTable;
use wkfast_nml::columns::{NodeNotes, NodeRow};

use super::ids::PyId;
use super::iterator::NodeIterator;
use super::node::Node;
use super::tables;
use super::vectors::{from_vec3_float_like, from_vec3_int_like};
use crate::errors::CoreError;

/// Nodes and edges of one tree as columns. Rows keep their number for life.
#[pyclass(module = "wkfast._core", weakref)]
#[derive(Default)]
pub(crate) struct TreeColumns {
    pub(crate) table: TreeTable,
}

impl TreeColumns {
    pub(crate) fn edit_notes(&mut self, row: u32, edit: impl FnOnce(&mut NodeNotes)) {
        let notes = &mut self.table.columns_mut().notes;
        let entry = notes.entry(row).or_default();
        edit(entry);
        if *entry == NodeNotes::default() {
            notes.remove(&row);
        }
    }
}

#[pymethods]
impl TreeColumns {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        self.table.len()
    }

    /// The row of the node with an id, `None` if there is none.
    fn row_of(&mut self, id: PyId) -> Option<u32> {
        self.table.row_of(id.0)
    }

    /// Whether a row is in the tree.
    fn is_live(&self, row: u32) -> bool {
        self.table.is_live(row)
    }

    /// The node in a row, removed or not.
    fn node(slf: Py<Self>, row: u32) -> Node {
        Node::new(slf, row)
    }

    /// All nodes, one by one.
    fn nodes(slf: Py<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        NodeIterator::over(slf, py)
    }

    /// Add a node and return it.
    #[pyo3(signature = (
        id, position, comment=None, radius=None, rotation=None, in_vp=None, in_mag=None, bit_depth=None,
        interpolation=None, time=None, is_branchpoint=false, branchpoint_time=None,
    ))]
    #[allow(clippy::too_many_arguments)] // one per attribute
    fn append(
        slf: &Bound<'_, Self>,
        id: PyId,
        position: &Bound<'_, PyAny>,
        comment: Option<String>,
        radius: Option<f64>,
        rotation: Option<&Bound<'_, PyAny>>,
        in_vp: Option<i32>,
        in_mag: Option<i32>,
        bit_depth: Option<i32>,
        interpolation: Option<bool>,
        time: Option<i64>,
        is_branchpoint: bool,
        branchpoint_time: Option<i64>,
    ) -> Result<Node, CoreError> {
        let rotation = rotation.map(from_vec3_float_like).transpose()?;
        let position = from_vec3_int_like(position)?;
        let row = NodeRow { id: id.0, position, radius, rotation, in_vp, in_mag, bit_depth, interpolation, time };
        let mut columns = slf.borrow_mut();
        let row = columns.table.push_node(&row)?;
        if comment.is_some() || is_branchpoint {
            columns.edit_notes(row, |notes| {
                notes.comments.extend(comment);
                notes.branchpoints.extend(is_branchpoint.then_some(branchpoint_time));
            });
        }
        Ok(Node::new(slf.clone().unbind(), row))
    }

    /// Remove a node and its edges.
    fn remove_node(&mut self, row: u32) -> Result<(), CoreError> {
        Ok(self.table.remove_node(row)?)
    }

    /// Add an edge; `False` if the two are joined already.
    fn add_edge(&mut self, source: u32, target: u32) -> Result<bool, CoreError> {
        Ok(self.table.add_edge(source, target)?)
    }

    /// Remove the edge between two nodes; `False` if there is none.
    fn remove_edge(&mut self, a: u32, b: u32) -> Result<bool, CoreError> {
        Ok(self.table.remove_edge(a, b)?)
    }

    /// Whether two nodes are joined.
    fn has_edge(&mut self, a: u32, b: u32) -> bool {
        self.table.has_edge(a, b)
    }

    /// Number of edges, repeated ones once.
    fn edge_count(&mut self) -> usize {
        self.table.edge_count()
    }

    /// Rows of the neighbours of a node.
    fn neighbors(&mut self, row: u32) -> Result<Vec<u32>, CoreError> {
        Ok(self.table.neighbors(row)?.iter().map(|neighbor| neighbor.row).collect())
    }

    /// The neighbours of a node.
    fn neighbor_nodes(slf: &Bound<'_, Self>, row: u32) -> Result<Vec<Node>, CoreError> {
        let rows = slf.borrow_mut().neighbors(row)?;
        Ok(rows.into_iter().map(|row| Node::new(slf.clone().unbind(), row)).collect())
    }

    /// The largest node id, `None` without nodes.
    fn max_id(&self) -> Option<PyId> {
        self.table.max_id().map(PyId)
    }

    /// Sum of the lengths of all edges; positions are multiplied by `scale`.
    fn path_length(&mut self, py: Python<'_>, scale: [f64; 3]) -> f64 {
        py.detach(|| self.table.path_length(scale))
    }

    /// Smallest and largest coordinates, `None` without nodes.
    fn bounds(&self, py: Python<'_>) -> Option<[[f64; 3]; 2]> {
        py.detach(|| self.table.bounds())
    }

    /// A tree of its own with the same content in the same rows.
    fn copy(&self, py: Python<'_>) -> Self {
        py.detach(|| Self { table: self.table.clone() })
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copy(py)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> Self {
        self.copy(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let state = py.detach(|| {
            let mut state = Vec::new();
            ciborium::into_writer(&self.table, &mut state).map(|()| state)
        });
        let state = state.map_err(state_error)?;
        Ok((py.import("wkfast._core")?.getattr("restore_tree")?, (PyBytes::new(py, &state),)))
    }

    /// Node ids, one per node: int64, or a list where one is wider.
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tables::ids(py, &self.table)
    }

    /// Mag-1 voxels, float64 of shape `(nodes, 3)`.
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        tables::positions(py, &self.table)
    }

    /// Values of an optional column and whether each node has one; `None` where no node has.
    fn column<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<tables::Column<'py>>> {
        tables::column(py, &self.table, name)
    }

    /// Node ids at both ends of each edge, of shape `(edges, 2)`; a flat list where an id is wider than int64.
    fn edges<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tables::edges(py, &mut self.table)
    }

    /// The adjacency as compressed rows, counted over live nodes: where each node's neighbours start, the neighbours.
    fn adjacency<'py>(&mut self, py: Python<'py>) -> tables::Adjacency<'py> {
        tables::adjacency(py, &mut self.table)
    }

    /// Number of neighbours of each node, a self-edge counting twice.
    fn degrees<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        py.detach(|| self.table.degrees()).into_pyarray(py)
    }

    /// Ids of nodes and their comments.
    fn comments(&self) -> Vec<(PyId, String)> {
        tables::notes(&self.table, |notes| notes.comments.clone())
    }

    /// Ids of nodes and the times of their branchpoints.
    fn branchpoints(&self) -> Vec<(PyId, Option<i64>)> {
        tables::notes(&self.table, |notes| notes.branchpoints.clone())
    }

    /// Axes beyond x, y, z along which nodes have places.
    fn axes(&self) -> Vec<&str> {
        self.table.columns().coordinates.names()
    }

    /// Replace all positions, in the order of `positions()`.
    fn set_positions(&mut self, positions: PyReadonlyArray2<'_, f64>) -> PyResult<()> {
        tables::set_positions(&mut self.table, &positions)
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
        tables::from_arrays(&ids, &positions, &edges, radius.as_ref()).map(|table| Self { table })
    }

    /// A copy whose nodes have the ids from `first` on.
    fn renumbered(&self, py: Python<'_>, first: PyId) -> Self {
        py.detach(|| Self { table: self.table.renumbered(first.0).into() })
    }

    /// Whether two trees hold the same nodes and undirected edges, in whatever order.
    fn same_content(&self, py: Python<'_>, other: &Self) -> bool {
        py.detach(|| self.table.same_content(&other.table))
    }
}

/// Unpickles a tree.
#[pyfunction]
pub(crate) fn restore_tree(py: Python<'_>, state: &[u8]) -> PyResult<TreeColumns> {
    let table = py.detach(|| ciborium::from_reader(state)).map_err(state_error)?;
    Ok(TreeColumns { table })
}

fn state_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("not the pickled state of a tree: {error}"))
}
