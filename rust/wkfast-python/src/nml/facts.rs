//! Attributes of nodes by name. Which optional ones there are says the table of the columns.

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use wkfast_nml::columns::TreeColumns;
use wkfast_nml::{AnyColumn, AnyColumnMut, CellKind, NODE_COLUMNS};

use super::node::Node;
use super::vectors::{from_vec3_float_like, to_vec3_float};

/// What the quick road finds by the name of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Position,
    Id,
    Comment,
    IsBranchpoint,
    /// An optional column by its place in the table.
    Column(usize),
}

const FIRST: [(&str, Fact); 4] = [
    ("position", Fact::Position),
    ("id", Fact::Id),
    ("comment", Fact::Comment),
    ("is_branchpoint", Fact::IsBranchpoint),
];

/// Names as the interpreter holds them: each text once, so that addresses are compared.
struct Names {
    addresses: [usize; FIRST.len() + NODE_COLUMNS.len()],
    _held: Vec<Py<PyString>>,
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

impl Names {
    fn new(py: Python<'_>) -> Self {
        let first = FIRST.iter().map(|(name, _)| *name);
        let held: Vec<_> = first
            .chain(NODE_COLUMNS.iter().map(|column| column.name))
            .map(|name| PyString::intern(py, name).unbind())
            .collect();
        Self { addresses: std::array::from_fn(|at| held[at].as_ptr() as usize), _held: held }
    }
}

/// The fact of this name, if the name is one of code: made-up ones take the general road.
#[inline]
pub(super) fn fact(py: Python<'_>, name: &Bound<'_, PyAny>) -> Option<Fact> {
    let names = NAMES.get_or_init(py, || Names::new(py));
    let address = name.as_ptr() as usize;
    let at = names.addresses.iter().position(|&this| this == address)?;
    Some(FIRST.get(at).map_or_else(|| Fact::Column(at - FIRST.len()), |(_, fact)| *fact))
}

/// As Python finds an attribute of any object.
#[allow(unsafe_code)] // see below
pub(super) fn general_attribute<'py>(
    object: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: two live objects; the result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), ffi::PyObject_GenericGetAttr(object.as_ptr(), name.as_ptr())) }
}

/// A value of an optional column.
pub(super) enum Value {
    Float(f64),
    Int(i64),
    Truth(bool),
    Vector([f64; 3]),
}

/// The value of a column in a row.
#[inline]
pub(super) fn value(columns: &TreeColumns, column: usize, row: usize) -> Option<Value> {
    match columns.column(column) {
        AnyColumn::Int32(values) => values.get(row).map(|value| Value::Int(value.into())),
        AnyColumn::Int64(values) => values.get(row).map(Value::Int),
        AnyColumn::Float(values) => values.get(row).map(Value::Float),
        AnyColumn::Truth(values) => values.get(row).map(Value::Truth),
        AnyColumn::Vector(values) => values.get(row).map(Value::Vector),
    }
}

/// A value as Python has it.
#[inline]
pub(super) fn to_python(py: Python<'_>, value: Option<Value>) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        None => py.None().into_bound(py),
        Some(Value::Float(value)) => value.into_pyobject(py)?.into_any(),
        Some(Value::Int(value)) => value.into_pyobject(py)?.into_any(),
        Some(Value::Truth(value)) => value.into_pyobject(py)?.to_owned().into_any(),
        Some(Value::Vector(value)) => return to_vec3_float(py, value),
    })
}

/// What a column takes, out of Python.
pub(super) enum Given {
    Int32(Option<i32>),
    Int64(Option<i64>),
    Float(Option<f64>),
    Truth(Option<bool>),
    Vector(Option<[f64; 3]>),
}

impl Given {
    pub(super) fn extract(column: usize, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(match NODE_COLUMNS[column].kind {
            CellKind::Int32 => Self::Int32(value.extract()?),
            CellKind::Int64 => Self::Int64(value.extract()?),
            CellKind::Float => Self::Float(value.extract()?),
            CellKind::Truth => Self::Truth(value.extract()?),
            CellKind::Vector if value.is_none() => Self::Vector(None),
            CellKind::Vector => Self::Vector(Some(from_vec3_float_like(value)?)),
        })
    }

    /// Puts the value into a row of a column of its kind.
    pub(super) fn put(self, columns: &mut TreeColumns, column: usize, row: usize) {
        let rows = columns.rows();
        match (columns.column_mut(column), self) {
            (AnyColumnMut::Int32(to), Self::Int32(value)) => to.set(rows, row, value),
            (AnyColumnMut::Int64(to), Self::Int64(value)) => to.set(rows, row, value),
            (AnyColumnMut::Float(to), Self::Float(value)) => to.set(rows, row, value),
            (AnyColumnMut::Truth(to), Self::Truth(value)) => to.set(rows, row, value),
            (AnyColumnMut::Vector(to), Self::Vector(value)) => to.set(rows, row, value),
            _ => unreachable!("a value is taken for its column"),
        }
    }
}

/// The values that are given for a new node, in the order of the table.
pub(super) fn given(values: Option<&Bound<'_, PyTuple>>) -> PyResult<Vec<(usize, Given)>> {
    let Some(values) = values else { return Ok(Vec::new()) };
    let named = values.iter().enumerate().filter(|(_, value)| !value.is_none());
    named.map(|(column, value)| Ok((column, Given::extract(column, &value)?))).collect()
}

/// What stands in the class of nodes for an optional column: for `help`, for code that asks the class, and for setting.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct NodeAttribute {
    column: usize,
}

#[pymethods]
impl NodeAttribute {
    #[getter]
    fn __name__(&self) -> &'static str {
        NODE_COLUMNS[self.column].name
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        node: &Bound<'py, PyAny>,
        _class: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if node.is_none() {
            return Ok(slf.clone().into_any());
        }
        node.cast::<Node>()?.get().column(slf.py(), slf.get().column)
    }

    fn __set__(&self, node: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = Given::extract(self.column, value)?;
        node.cast::<Node>()?.get().write(|columns, row| given.put(columns, self.column, row));
        Ok(())
    }

    #[allow(clippy::unused_self)] // as the interpreter calls it
    fn __delete__(&self, _node: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err("can't delete attribute"))
    }

    fn __repr__(&self) -> String {
        format!("<attribute '{}' of nodes>", self.__name__())
    }
}

/// Puts an attribute for each optional column into the class of nodes.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Node>();
    (0..NODE_COLUMNS.len())
        .try_for_each(|column| class.setattr(NODE_COLUMNS[column].name, Bound::new(py, NodeAttribute { column })?))
}

/// The names of all optional columns and the types of their values as numpy calls them, in the order in which users see them.
pub(super) fn columns(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let kind = |kind| match kind {
        CellKind::Int32 => "int32",
        CellKind::Int64 => "int64",
        CellKind::Float => "float64",
        CellKind::Truth => "bool",
        CellKind::Vector => "3float64",
    };
    PyTuple::new(py, NODE_COLUMNS.iter().map(|column| (column.name, kind(column.kind))))
}

/// All optional columns of a row.
pub(super) fn values(columns: &TreeColumns, row: usize) -> [Option<Value>; NODE_COLUMNS.len()] {
    std::array::from_fn(|column| value(columns, column, row))
}

/// Adds the optional columns of a row to a dict, by the names that users know.
pub(super) fn add_to(facts: &Bound<'_, PyDict>, values: [Option<Value>; NODE_COLUMNS.len()]) -> PyResult<()> {
    let py = facts.py();
    let named = NODE_COLUMNS.iter().zip(values);
    named.into_iter().try_for_each(|(column, value)| facts.set_item(column.name, to_python(py, value)?))
}
