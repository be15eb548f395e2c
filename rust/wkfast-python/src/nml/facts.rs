//! Attributes of nodes by name. Which optional ones there are says the table of the columns.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use wkfast_nml::columns::TreeColumns;
use wkfast_nml::{AnyColumn, AnyColumnMut, CellKind, NODE_COLUMNS};

use super::node::{self, Node};
use super::node_class::NodeMethods;
use super::vectors::{from_vec3_float_like, to_vec3_float};
use crate::errors::of_values;

/// Facts that a node keeps once they were read: these, then the optional columns in the order of their table.
pub(super) const POSITION: usize = 0;
pub(super) const ID: usize = 1;
pub(super) const COMMENT: usize = 2;
pub(super) const IS_BRANCHPOINT: usize = 3;
pub(super) const FIRST_COLUMN: usize = FIRST.len();
pub(super) const FACTS: usize = FIRST.len() + NODE_COLUMNS.len();

const FIRST: [&str; 4] = ["position", "id", "comment", "is_branchpoint"];

/// Facts by the address of their name, since the interpreter holds each name of code once.
struct Names {
    addresses: [AtomicUsize; PLACES],
    facts: [AtomicUsize; PLACES],
    factor: AtomicUsize,
}

const PLACES: usize = 128;

static NAMES: Names = Names {
    addresses: [const { AtomicUsize::new(0) }; PLACES],
    facts: [const { AtomicUsize::new(0) }; PLACES],
    factor: AtomicUsize::new(1),
};

#[inline]
fn place(address: usize, factor: usize) -> usize {
    address.wrapping_mul(factor) >> (usize::BITS - PLACES.ilog2())
}

impl Names {
    /// Finds a factor by which every name has a place of its own. Without one all names would take the general road.
    fn fill(&self, py: Python<'_>) {
        let addresses = texts(py).each_ref().map(|text| text.as_ptr() as usize);
        let is_right = |factor: &usize| {
            let places: HashSet<usize> = addresses.iter().map(|&address| place(address, *factor)).collect();
            places.len() == addresses.len()
        };
        let odd = |number: usize| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) | 1;
        let Some(factor) = (1..1000).map(odd).find(is_right) else { return };
        self.factor.store(factor, Relaxed);
        for (fact, &address) in addresses.iter().enumerate() {
            self.addresses[place(address, factor)].store(address, Relaxed);
            self.facts[place(address, factor)].store(fact, Relaxed);
        }
    }
}

/// The fact whose name is at this address; made-up names are elsewhere, and take the general road.
#[inline]
pub(super) fn fact_at(address: usize) -> Option<usize> {
    let place = place(address, NAMES.factor.load(Relaxed));
    (NAMES.addresses[place].load(Relaxed) == address).then(|| NAMES.facts[place].load(Relaxed))
}

static TEXTS: PyOnceLock<[Py<PyString>; FACTS]> = PyOnceLock::new();

/// The names of facts, as the interpreter holds them.
fn texts(py: Python<'_>) -> &[Py<PyString>; FACTS] {
    let text = |fact: usize| FIRST.get(fact).copied().unwrap_or_else(|| NODE_COLUMNS[fact - FIRST_COLUMN].name);
    TEXTS.get_or_init(py, || std::array::from_fn(|fact| PyString::intern(py, text(fact)).unbind()))
}

/// The name of a fact.
pub(super) fn name(py: Python<'_>, fact: usize) -> &Bound<'_, PyString> {
    texts(py)[fact].bind(py)
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
        node::known_fact(node.cast::<Node>()?, FIRST_COLUMN + slf.get().column)
    }

    fn __set__(&self, node: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = Given::extract(self.column, value).map_err(|error| of_values(value.py(), error))?;
        let node = node.cast::<Node>()?;
        node.get().write(node.py(), |columns, row| given.put(columns, self.column, row));
        node.get().forget(node.py(), FIRST_COLUMN + self.column..FIRST_COLUMN + self.column + 1);
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
    NAMES.fill(py);
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
