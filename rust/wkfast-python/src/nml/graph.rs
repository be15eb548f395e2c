//! A tree as networkx asks for it: neighbours and degrees by node. These hold nothing themselves.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple};

use super::columns::{TreeColumns, look_for_signals};
use super::neighbors::NeighborIterator;
use super::node::Node;
use crate::errors::CoreError;

fn find(columns: &Bound<'_, TreeColumns>, node: &Bound<'_, PyAny>) -> PyResult<u32> {
    TreeColumns::find_row(columns, node).ok_or_else(|| PyKeyError::new_err(node.clone().unbind()))
}

/// Neighbours by node, for all nodes of a tree; a node's id works as a key.
#[pyclass(module = "wkfast._core", frozen, subclass)]
pub(crate) struct Adjacency {
    /// Knows the attributes of edges.
    tree: Py<PyAny>,
    columns: Py<TreeColumns>,
}

#[pymethods]
impl Adjacency {
    #[new]
    fn new(tree: Py<PyAny>, columns: Py<TreeColumns>) -> Self {
        Self { tree, columns }
    }

    fn __getitem__(&self, py: Python<'_>, node: &Bound<'_, PyAny>) -> PyResult<NeighborMap> {
        NeighborMap::of(self.tree.bind(py), self.columns.bind(py), node)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        super::iterator::NodeIterator::over(self.columns.clone_ref(py), py)
    }

    fn __len__(&self) -> usize {
        self.columns.get().read(wkfast_nml::TreeTable::len)
    }

    fn __contains__(&self, py: Python<'_>, node: &Bound<'_, PyAny>) -> bool {
        TreeColumns::find_row(self.columns.bind(py), node).is_some()
    }

    /// Pairs of node and neighbours.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows: Vec<u32> = self.columns.get().read(|table| table.rows().collect());
        let pairs = PyList::empty(py);
        for row in rows {
            let neighbors = NeighborMap { tree: self.tree.clone_ref(py), columns: self.columns.clone_ref(py), row };
            pairs.append((Node::at(self.columns.bind(py), row)?, neighbors))?;
        }
        Ok(pairs)
    }
}

/// Attributes of edges by neighbour, for one node.
#[pyclass(module = "wkfast._core", frozen, mapping)]
pub(crate) struct NeighborMap {
    tree: Py<PyAny>,
    columns: Py<TreeColumns>,
    row: u32,
}

impl NeighborMap {
    /// The neighbours of a node, given as node or id; `KeyError` if it is not in the tree.
    pub(super) fn of(
        tree: &Bound<'_, PyAny>,
        columns: &Bound<'_, TreeColumns>,
        node: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let row = find(columns, node)?;
        Ok(Self { tree: tree.clone().unbind(), columns: columns.clone().unbind(), row })
    }

    fn rows(&self) -> Result<Vec<u32>, CoreError> {
        self.columns.get().neighbor_rows(self.row)
    }

    /// Attributes of the edge to another row: a dict that writes through to the tree.
    fn data<'py>(&self, py: Python<'py>, row: u32) -> PyResult<Bound<'py, PyAny>> {
        self.tree.bind(py).call_method1("_edge_data", (self.row, row))
    }

    fn find(&self, py: Python<'_>, node: &Bound<'_, PyAny>) -> Option<u32> {
        let row = TreeColumns::find_row(self.columns.bind(py), node)?;
        self.columns.get().read(|table| table.has_edge(self.row, row)).then_some(row)
    }
}

#[pymethods]
impl NeighborMap {
    fn __getitem__<'py>(&self, py: Python<'py>, node: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let row = self.find(py, node).ok_or_else(|| PyKeyError::new_err(node.clone().unbind()))?;
        self.data(py, row)
    }

    #[pyo3(signature = (node, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        node: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.find(py, node) {
            Some(row) => self.data(py, row),
            None => Ok(default.unwrap_or_else(|| py.None().into_bound(py))),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        self.columns.get().read(|table| table.neighbors(self.row).map(|_| ()))?;
        Ok(NeighborIterator::over(self.columns.bind(py), self.row)?)
    }

    fn __len__(&self) -> usize {
        self.columns.get().read(|table| table.neighbors(self.row).map_or(0, <[_]>::len))
    }

    fn __contains__(&self, py: Python<'_>, node: &Bound<'_, PyAny>) -> bool {
        self.find(py, node).is_some()
    }

    /// The neighbours, a set as those of a dict.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("collections.abc")?.getattr("KeysView")?.call1((slf,))
    }

    /// Attributes of each edge.
    fn values<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>, CoreError> {
        let data = self.rows()?.into_iter().map(|row| self.data(py, row));
        Ok(PyList::new(py, data.collect::<PyResult<Vec<_>>>()?)?)
    }

    /// Pairs of neighbour and attributes of the edge.
    fn items<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>, CoreError> {
        let pairs = PyList::empty(py);
        for row in self.rows()? {
            pairs.append((Node::at(self.columns.bind(py), row)?, self.data(py, row)?))?;
        }
        Ok(pairs)
    }

    /// A plain dict.
    fn copy<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, CoreError> {
        Ok(PyDict::from_sequence(&self.items(py)?.into_any())?)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> Result<bool, CoreError> {
        let other = other
            .cast::<Self>()
            .map_or_else(|_| Ok::<_, CoreError>(other.clone()), |other| Ok(other.get().copy(py)?.into_any()))?;
        Ok(self.copy(py)?.eq(other)?)
    }

    fn __repr__(&self, py: Python<'_>) -> Result<String, CoreError> {
        Ok(self.copy(py)?.repr()?.to_string())
    }
}

/// The number of edges of each node; a self-edge counts twice.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct DegreeView {
    tree: Py<PyAny>,
    columns: Py<TreeColumns>,
}

#[pymethods]
impl DegreeView {
    #[new]
    fn new(tree: Py<PyAny>, columns: Py<TreeColumns>) -> Self {
        Self { tree, columns }
    }

    fn __getitem__(&self, py: Python<'_>, node: &Bound<'_, PyAny>) -> Result<u32, CoreError> {
        let row = find(self.columns.bind(py), node)?;
        Ok(self.columns.get().read(|table| table.degree(row))?)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let table = self.columns.get().with_graph(py)?;
        let degrees = py.detach(|| table.degrees());
        let pairs = table.rows().zip(degrees);
        let pairs = pairs.map(|(row, degree)| {
            look_for_signals(py, row)?;
            (Node::at(self.columns.bind(py), row)?, degree).into_pyobject(py).map(Bound::<PyTuple>::into_any)
        });
        PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.columns.get().read(wkfast_nml::TreeTable::len)
    }

    /// The degrees, of some nodes or of one, or the sums of an edge attribute.
    #[pyo3(signature = (nbunch=None, weight=None))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        nbunch: Option<&Bound<'py, PyAny>>,
        weight: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let (py, view) = (slf.py(), slf.get());
        match (nbunch, weight) {
            (None, None) => return Ok(slf.clone().into_any()),
            (Some(node), None) => {
                if let Some(row) = TreeColumns::find_row(view.columns.bind(py), node) {
                    let degree = view.columns.get().read(|table| table.degree(row))?;
                    return Ok(degree.into_pyobject(py).map_err(PyErr::from)?.into_any());
                }
            }
            _ => {}
        }
        let general = py.import("networkx.classes.reportviews")?.getattr("DegreeView")?;
        Ok(general.call1((view.tree.bind(py),))?.call1((nbunch, weight))?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let degrees = PyDict::from_sequence(&slf.get().__iter__(slf.py())?.into_any())?;
        Ok(format!("DegreeView({})", degrees.repr()?))
    }
}
