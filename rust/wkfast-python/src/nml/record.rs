//! `TreeRecord`: what a file says of a tree apart from nodes and edges.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pythonize::depythonize;
use wkfast_nml::model::TreeHeader;

use super::document::to_record;
use super::header::kept;
use super::ids::PyId;
use super::packed::PackedAt;

/// A `<thing>` without its nodes and edges, as it was read. It is kept as the core has it, since files hold many trees
/// and most of them are written as they were.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct TreeRecord(Kept);

enum Kept {
    /// Where it was read, to be unpacked each time that it is asked for, which is seldom.
    Packed(PackedAt),
    Whole(Arc<TreeHeader>),
}

type Rgba = (f64, f64, f64, f64);
/// Id, name, color, metadata, whether it and its edges are visible, type, id of its group.
type Facts<'py> = (
    PyId,
    Bound<'py, PyString>,
    Option<Rgba>,
    Bound<'py, PyAny>,
    bool,
    Option<bool>,
    Option<Bound<'py, PyString>>,
    Option<PyId>,
);

impl TreeRecord {
    pub(super) fn header(&self) -> Arc<TreeHeader> {
        match &self.0 {
            Kept::Packed(tree) => Arc::new(tree.unpack().header),
            Kept::Whole(header) => Arc::clone(header),
        }
    }

    /// The tree that it is of, if that lies where it was read.
    pub(super) fn packed(&self) -> Option<&PackedAt> {
        match &self.0 {
            Kept::Packed(tree) => Some(tree),
            Kept::Whole(_) => None,
        }
    }
}

impl From<PackedAt> for TreeRecord {
    fn from(tree: PackedAt) -> Self {
        Self(Kept::Packed(tree))
    }
}

impl From<TreeHeader> for TreeRecord {
    fn from(header: TreeHeader) -> Self {
        Self(Kept::Whole(Arc::new(header)))
    }
}

#[pymethods]
impl TreeRecord {
    /// The record of a dict as `to_dict` makes them.
    #[staticmethod]
    fn from_dict(facts: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(depythonize::<TreeHeader>(facts)?.into())
    }

    fn to_dict(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_record(py, &*self.header())
    }

    /// What a tree shows of it, in one step.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Facts<'py>> {
        let header = self.header();
        let metadata = match header.metadata.as_slice() {
            [] => PyList::empty(py).into_any(),
            entries => to_record(py, &entries)?.into_bound(py),
        };
        let name = PyString::new(py, header.name.as_deref().unwrap_or_default());
        let (kind, group) = (header.tree_type.as_deref(), header.group_id.map(PyId));
        let kind = kind.map(|kind| PyString::new(py, kind));
        let color = header.rgba().map(|[red, green, blue, alpha]| (red, green, blue, alpha));
        Ok((PyId(header.id), name, color, metadata, header.is_shown(), header.edges_are_visible, kind, group))
    }

    #[getter]
    fn group_id(&self) -> Option<PyId> {
        match &self.0 {
            Kept::Packed(tree) => tree.group_id(),
            Kept::Whole(header) => header.group_id,
        }
        .map(PyId)
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        let (py, header) = (slf.py(), slf.get().header());
        let record = to_record(py, &*header)?.into_bound(py);
        // Only what has no field of its own nests.
        let is_plain = header.extras.is_empty() && header.metadata.iter().all(|entry| entry.extras.is_empty());
        let record = if is_plain { record } else { kept(py)?.call1((record,))? };
        Ok((slf.get_type().getattr("from_dict")?, (record,)))
    }
}

/// A record on its way to a file: one that was read, or the facts of today.
pub(crate) struct AnyRecord(Arc<TreeHeader>);

impl AnyRecord {
    pub(crate) fn header(&self) -> &TreeHeader {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for AnyRecord {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(record) = value.cast::<TreeRecord>() {
            return Ok(Self(record.get().header()));
        }
        Ok(Self(Arc::new(depythonize(&value)?)))
    }
}
