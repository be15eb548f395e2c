//! `Node`: a row of a tree as an object.

use std::cmp::Ordering;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt};
use wkfast_nml::columns::NodeNotes;
use wkfast_nml::model::Id;
use wkfast_nml::same_node;

use super::columns::TreeColumns;
use super::ids::PyId;
use super::vectors::{finite, from_vec3_float_like, from_vec3_int_like, to_vec3_float, to_vec3_int};
use crate::errors::SkeletonError;

/// A node of a tree.
///
/// Setting an attribute changes the tree and what is saved. Nodes are made by `Tree.add_node` and compare equal if
/// all their attributes do; as a key a node also stands for its id. They are ordered by position, then id, and hash
/// like their id.
///
/// `position` is in mag-1 voxels, with fractions cut off; `position_float` has them. `comment` is the last comment,
/// `comments` has all. `radius` is in nm, `rotation` in angles, `time` and `branchpoint_time` are ms since epoch.
/// `inVp`, `inMag`, `bitDepth` and `interpolation` say how the node was set. `additional_coordinates` holds places
/// along axes beyond x, y, z. All but `id` can be set; what a file leaves out is `None`.
#[pyclass(module = "wkfast._core", name = "Node", frozen)]
pub(crate) struct Node {
    columns: Py<TreeColumns>,
    /// Changed by an iterator only, as long as nobody else has the node.
    row: AtomicU32,
}

impl Node {
    pub(crate) fn new(columns: Py<TreeColumns>, row: u32) -> Self {
        Self { columns, row: AtomicU32::new(row) }
    }

    #[inline]
    fn row_number(&self) -> u32 {
        self.row.load(Relaxed)
    }

    /// Makes this the node in another row: for an iterator whose node nobody else has.
    #[inline]
    pub(super) fn move_to(&self, row: u32) {
        self.row.store(row, Relaxed);
    }

    fn read<T>(&self, py: Python<'_>, read: impl FnOnce(&wkfast_nml::columns::TreeColumns, usize) -> T) -> T {
        read(self.columns.borrow(py).table.columns(), self.row_number() as usize)
    }

    fn write(&self, py: Python<'_>, write: impl FnOnce(&mut wkfast_nml::columns::TreeColumns, usize)) {
        write(self.columns.borrow_mut(py).table.columns_mut(), self.row_number() as usize);
    }

    fn notes<T: Default>(&self, py: Python<'_>, read: impl FnOnce(&NodeNotes) -> T) -> T {
        self.read(py, |columns, row| columns.notes.get(&(row as u32)).map(read).unwrap_or_default())
    }

    fn edit_notes(&self, py: Python<'_>, edit: impl FnOnce(&mut NodeNotes)) {
        self.columns.borrow_mut(py).edit_notes(self.row_number(), edit);
    }

    pub(crate) fn id_of(&self, py: Python<'_>) -> Id {
        self.read(py, |columns, row| columns.ids.get(row).unwrap_or_default())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.row_number() == other.row_number() && self.columns.is(&other.columns)
    }

    fn equals(&self, py: Python<'_>, other: &Self) -> bool {
        let same = || self.read(py, |one, row| other.read(py, |two, other| same_node((one, row), (two, other))));
        self.is_same(other) || same()
    }

    fn order(&self, py: Python<'_>, other: &Self) -> Ordering {
        let key = |node: &Self| node.read(py, |columns, row| (columns.positions[row], columns.ids.get(row)));
        let (a, b) = (key(self), key(other));
        a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
    }
}

#[pymethods]
impl Node {
    #[getter]
    fn id(&self, py: Python<'_>) -> PyId {
        PyId(self.id_of(py))
    }

    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_vec3_int(py, self.read(py, |columns, row| columns.positions[row]))
    }

    #[setter]
    fn set_position(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let position = from_vec3_int_like(value)?;
        self.write(value.py(), |columns, row| columns.positions[row] = position);
        Ok(())
    }

    /// The position with its fractions.
    #[getter]
    fn position_float<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_vec3_float(py, self.read(py, |columns, row| columns.positions[row]))
    }

    #[setter]
    fn set_position_float(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let position = finite(from_vec3_float_like(value)?)?;
        self.write(value.py(), |columns, row| columns.positions[row] = position);
        Ok(())
    }

    #[getter]
    fn radius(&self, py: Python<'_>) -> Option<f64> {
        self.read(py, |columns, row| columns.radius.get(row))
    }

    #[setter]
    fn set_radius(&self, py: Python<'_>, value: Option<f64>) {
        self.write(py, |columns, row| columns.radius.set(columns.positions.len(), row, value));
    }

    #[getter]
    fn rotation<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.read(py, |columns, row| columns.rotation.get(row)).map(|angles| to_vec3_float(py, angles)).transpose()
    }

    #[setter]
    fn set_rotation(&self, py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let value = value.map(from_vec3_float_like).transpose()?;
        self.write(py, |columns, row| columns.rotation.set(columns.positions.len(), row, value));
        Ok(())
    }

    #[getter(inVp)]
    fn in_vp(&self, py: Python<'_>) -> Option<i32> {
        self.read(py, |columns, row| columns.in_vp.get(row))
    }

    #[setter(inVp)]
    fn set_in_vp(&self, py: Python<'_>, value: Option<i32>) {
        self.write(py, |columns, row| columns.in_vp.set(columns.positions.len(), row, value));
    }

    #[getter(inMag)]
    fn in_mag(&self, py: Python<'_>) -> Option<i32> {
        self.read(py, |columns, row| columns.in_mag.get(row))
    }

    #[setter(inMag)]
    fn set_in_mag(&self, py: Python<'_>, value: Option<i32>) {
        self.write(py, |columns, row| columns.in_mag.set(columns.positions.len(), row, value));
    }

    #[getter(bitDepth)]
    fn bit_depth(&self, py: Python<'_>) -> Option<i32> {
        self.read(py, |columns, row| columns.bit_depth.get(row))
    }

    #[setter(bitDepth)]
    fn set_bit_depth(&self, py: Python<'_>, value: Option<i32>) {
        self.write(py, |columns, row| columns.bit_depth.set(columns.positions.len(), row, value));
    }

    #[getter]
    fn interpolation(&self, py: Python<'_>) -> Option<bool> {
        self.read(py, |columns, row| columns.interpolation.get(row))
    }

    #[setter]
    fn set_interpolation(&self, py: Python<'_>, value: Option<bool>) {
        self.write(py, |columns, row| columns.interpolation.set(columns.positions.len(), row, value));
    }

    #[getter]
    fn time(&self, py: Python<'_>) -> Option<i64> {
        self.read(py, |columns, row| columns.time.get(row))
    }

    #[setter]
    fn set_time(&self, py: Python<'_>, value: Option<i64>) {
        self.write(py, |columns, row| columns.time.set(columns.positions.len(), row, value));
    }

    #[getter]
    fn comment(&self, py: Python<'_>) -> Option<String> {
        self.notes(py, |notes| notes.comments.last().cloned())
    }

    #[setter]
    fn set_comment(&self, py: Python<'_>, value: Option<String>) {
        self.edit_notes(py, |notes| match (value, notes.comments.last_mut()) {
            (Some(text), Some(last)) => *last = text,
            (Some(text), None) => notes.comments.push(text),
            (None, _) => {
                notes.comments.clear();
                notes.comment_extras.clear();
            }
        });
    }

    /// All comments on the node, in file order.
    #[getter]
    fn comments(&self, py: Python<'_>) -> Vec<String> {
        self.notes(py, |notes| notes.comments.clone())
    }

    #[setter]
    fn set_comments(&self, py: Python<'_>, value: Vec<String>) {
        self.edit_notes(py, |notes| {
            notes.comment_extras.retain(|&index, _| (index as usize) < value.len());
            notes.comments = value;
        });
    }

    #[getter]
    fn is_branchpoint(&self, py: Python<'_>) -> bool {
        self.notes(py, |notes| !notes.branchpoints.is_empty())
    }

    #[setter]
    fn set_is_branchpoint(&self, py: Python<'_>, value: bool) {
        self.edit_notes(py, |notes| {
            if !value {
                notes.branchpoints.clear();
                notes.branchpoint_extras.clear();
            } else if notes.branchpoints.is_empty() {
                notes.branchpoints.push(None);
            }
        });
    }

    #[getter]
    fn branchpoint_time(&self, py: Python<'_>) -> Option<i64> {
        self.notes(py, |notes| notes.branchpoints.last().copied().flatten())
    }

    #[setter]
    fn set_branchpoint_time(&self, py: Python<'_>, value: Option<i64>) -> PyResult<()> {
        if value.is_some() && !self.is_branchpoint(py) {
            let id = self.id_of(py);
            return Err(SkeletonError::new_err(format!("node {id} is no branchpoint; set is_branchpoint first")));
        }
        self.edit_notes(py, |notes| {
            if let Some(last) = notes.branchpoints.last_mut() {
                *last = value;
            }
        });
        Ok(())
    }

    /// Times of all branchpoints on the node, in file order.
    #[getter]
    fn branchpoint_times(&self, py: Python<'_>) -> Vec<Option<i64>> {
        self.notes(py, |notes| notes.branchpoints.clone())
    }

    #[getter]
    fn additional_coordinates<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.read(py, |columns, row| {
            let coordinates = PyDict::new(py);
            for (axis, place) in columns.coordinates.of(row) {
                coordinates.set_item(axis, place)?;
            }
            Ok(coordinates)
        })
    }

    #[setter]
    fn set_additional_coordinates(&self, value: &Bound<'_, PyDict>) -> PyResult<()> {
        let coordinates = value
            .iter()
            .map(|(axis, at)| Ok((axis.extract()?, at.extract()?)))
            .collect::<PyResult<Vec<(String, i64)>>>()?;
        self.write(value.py(), |columns, row| columns.coordinates.set(row, coordinates));
        Ok(())
    }

    /// The node's attributes by name, without its id.
    fn get_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        facts.set_item("position", self.position(py)?)?;
        facts.set_item("comment", self.comment(py))?;
        facts.set_item("radius", self.radius(py))?;
        facts.set_item("rotation", self.rotation(py)?)?;
        facts.set_item("inVp", self.in_vp(py))?;
        facts.set_item("inMag", self.in_mag(py))?;
        facts.set_item("bitDepth", self.bit_depth(py))?;
        facts.set_item("interpolation", self.interpolation(py))?;
        facts.set_item("time", self.time(py))?;
        facts.set_item("is_branchpoint", self.is_branchpoint(py))?;
        facts.set_item("branchpoint_time", self.branchpoint_time(py))?;
        Ok(facts)
    }

    /// The columns the node is a row of; for `wkfast.skeleton`.
    #[getter]
    fn columns(&self, py: Python<'_>) -> Py<TreeColumns> {
        self.columns.clone_ref(py)
    }

    /// The row; for `wkfast.skeleton`.
    #[getter]
    fn row(&self) -> u32 {
        self.row_number()
    }

    fn __hash__(&self, py: Python<'_>) -> isize {
        hash_like_python(self.id_of(py))
    }

    fn __richcmp__(&self, py: Python<'_>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let result = if let Ok(other) = other.cast::<Self>() {
            let other = other.get();
            match op {
                CompareOp::Eq => self.equals(py, other),
                CompareOp::Ne => !self.equals(py, other),
                _ => op.matches(self.order(py, other)),
            }
        } else if matches!(op, CompareOp::Eq | CompareOp::Ne) && other.is_instance_of::<PyInt>() {
            // As a key, a node stands for its id.
            (other.extract::<PyId>().is_ok_and(|PyId(id)| id == self.id_of(py))) == matches!(op, CompareOp::Eq)
        } else {
            return Ok(py.NotImplemented());
        };
        Ok(result.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> PyResult<String> {
            Ok(format!("{key}={}", value.repr()?))
        };
        let facts = self.get_dict(py)?.iter().map(shown).collect::<PyResult<Vec<_>>>()?;
        Ok(format!("Node({}, _id={}, {})", facts[0], self.id_of(py), facts[1..].join(", ")))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        let node = slf.get();
        Ok((
            slf.py().import("wkfast._core")?.getattr("restore_node")?,
            (node.columns.clone_ref(slf.py()), node.row_number()),
        ))
    }
}

/// The function that restores a node, and its arguments.
type Reduced<'py> = (Bound<'py, PyAny>, (Py<TreeColumns>, u32));

/// What Python's `hash` gives for an int.
fn hash_like_python(id: Id) -> isize {
    const MODULUS: u128 = (1 << 61) - 1;
    let hash = (id.unsigned_abs() % MODULUS) as isize * if id < 0 { -1 } else { 1 };
    if hash == -1 { -2 } else { hash }
}

/// Unpickles a node.
#[pyfunction]
pub(crate) fn restore_node(columns: Py<TreeColumns>, row: u32) -> Node {
    Node::new(columns, row)
}
