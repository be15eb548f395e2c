//! `Node`: a row of a tree as an object.

use std::cmp::Ordering;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use wkfast_nml::columns::NodeNotes;
use wkfast_nml::model::Id;
use wkfast_nml::same_node;

use super::columns::TreeColumns;
use super::facts::{self, Fact};
use super::gil_cell::GilCell;
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
    /// Made when they were asked for first; they go with the node.
    position: GilCell<Kept>,
    comment: GilCell<Kept>,
}

/// An object made of a row, and the count of changes it was made at.
struct Kept {
    changes: u32,
    row: u32,
    object: Py<PyAny>,
}

impl Kept {
    #[inline]
    fn get<'py>(&self, py: Python<'py>, changes: u32, row: u32) -> Option<Bound<'py, PyAny>> {
        (self.changes == changes && self.row == row).then(|| self.object.bind(py).clone())
    }
}

impl Node {
    pub(crate) fn new(columns: Py<TreeColumns>, row: u32) -> Self {
        Self { columns, row: AtomicU32::new(row), position: GilCell::default(), comment: GilCell::default() }
    }

    #[inline]
    pub(crate) fn row_number(&self) -> u32 {
        self.row.load(Relaxed)
    }

    /// Makes this the node in another row: for an iterator whose node nobody else has.
    #[inline]
    pub(super) fn move_to(&self, row: u32) {
        self.row.store(row, Relaxed);
    }

    /// Whether the node is a row of these columns.
    #[inline]
    pub(super) fn is_of(&self, columns: &Py<TreeColumns>) -> bool {
        self.columns.is(columns)
    }

    #[inline]
    fn read<T>(&self, read: impl FnOnce(&wkfast_nml::columns::TreeColumns, usize) -> T) -> T {
        self.columns.get().read(|table| read(table.columns(), self.row_number() as usize))
    }

    pub(super) fn write(&self, write: impl FnOnce(&mut wkfast_nml::columns::TreeColumns, usize)) {
        self.columns.get().write(|table| write(table.columns_mut(), self.row_number() as usize));
    }

    fn move_in_space(&self, position: [f64; 3]) {
        self.write(|columns, row| columns.positions[row] = position);
        self.columns.get().places_changed();
    }

    /// The position as integers, made once.
    #[inline]
    fn place<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (changes, row) = (self.columns.get().places(), self.row_number());
        if let Some(position) = self.position.read(py, |kept| kept.get(py, changes, row)) {
            return Ok(position);
        }
        let position = to_vec3_int(py, self.read(|columns, row| columns.positions[row]))?;
        self.position.set(py, Kept { changes, row, object: position.clone().unbind() });
        Ok(position)
    }

    /// The last comment, made once.
    #[inline]
    fn last_comment<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let (changes, row) = (self.columns.get().noted(), self.row_number());
        if let Some(comment) = self.comment.read(py, |kept| kept.get(py, changes, row)) {
            return comment;
        }
        let text = self.notes(|notes| notes.comments.last().map(|text| PyString::new(py, text).into_any()));
        let comment = text.unwrap_or_else(|| py.None().into_bound(py));
        self.comment.set(py, Kept { changes, row, object: comment.clone().unbind() });
        comment
    }

    /// The value of an optional column.
    #[inline]
    pub(super) fn column<'py>(&self, py: Python<'py>, column: usize) -> PyResult<Bound<'py, PyAny>> {
        facts::to_python(py, self.read(|columns, row| facts::value(columns, column, row)))
    }

    fn notes<T: Default>(&self, read: impl FnOnce(&NodeNotes) -> T) -> T {
        self.read(|columns, row| {
            if columns.notes.is_empty() {
                return T::default();
            }
            columns.notes.get(&(row as u32)).map(read).unwrap_or_default()
        })
    }

    fn edit_notes(&self, edit: impl FnOnce(&mut NodeNotes)) {
        self.columns.get().edit_notes(self.row_number(), edit);
    }

    #[inline]
    pub(crate) fn id_of(&self) -> Id {
        self.read(|columns, row| columns.ids.get(row).unwrap_or_default())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.row_number() == other.row_number() && self.columns.is(&other.columns)
    }

    fn equals(&self, other: &Self) -> bool {
        let same = || self.read(|one, row| other.read(|two, other| same_node((one, row), (two, other))));
        self.is_same(other) || same()
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |node: &Self| node.read(|columns, row| (columns.positions[row], columns.ids.get(row)));
        let (a, b) = (key(self), key(other));
        a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
    }
}

#[pymethods]
impl Node {
    /// Attributes that loops read come by a road without descriptors, which would take as long as the rest.
    fn __getattribute__<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, node) = (slf.py(), slf.get());
        match facts::fact(py, name) {
            Some(Fact::Position) => node.place(py),
            Some(Fact::Id) => Ok(PyId(node.id_of()).into_pyobject(py)?.into_any()),
            Some(Fact::Comment) => Ok(node.last_comment(py)),
            Some(Fact::IsBranchpoint) => Ok(node.is_branchpoint().into_pyobject(py)?.to_owned().into_any()),
            Some(Fact::Column(column)) => node.column(py, column),
            None => facts::general_attribute(slf, name),
        }
    }

    /// The id, unique within the skeleton.
    #[getter]
    fn id(&self) -> PyId {
        PyId(self.id_of())
    }

    /// The position in mag-1 voxels, fractions cut off.
    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.place(py)
    }

    #[setter]
    fn set_position(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.move_in_space(from_vec3_int_like(value)?);
        Ok(())
    }

    /// The position with its fractions.
    #[getter]
    fn position_float<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_vec3_float(py, self.read(|columns, row| columns.positions[row]))
    }

    #[setter]
    fn set_position_float(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.move_in_space(finite(from_vec3_float_like(value)?)?);
        Ok(())
    }

    /// The last comment on the node; `None` without one.
    #[getter]
    fn comment<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.last_comment(py)
    }

    #[setter]
    fn set_comment(&self, value: Option<String>) {
        self.edit_notes(|notes| match (value, notes.comments.last_mut()) {
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
    fn comments(&self) -> Vec<String> {
        self.notes(|notes| notes.comments.clone())
    }

    #[setter]
    fn set_comments(&self, value: Vec<String>) {
        self.edit_notes(|notes| {
            notes.comment_extras.retain(|&index, _| (index as usize) < value.len());
            notes.comments = value;
        });
    }

    /// Whether the node is a branchpoint.
    #[getter]
    fn is_branchpoint(&self) -> bool {
        self.notes(|notes| !notes.branchpoints.is_empty())
    }

    #[setter]
    fn set_is_branchpoint(&self, value: bool) {
        self.edit_notes(|notes| {
            if !value {
                notes.branchpoints.clear();
                notes.branchpoint_extras.clear();
            } else if notes.branchpoints.is_empty() {
                notes.branchpoints.push(None);
            }
        });
    }

    /// When the node became a branchpoint, in ms since epoch; `None` where nobody says.
    #[getter]
    fn branchpoint_time(&self) -> Option<i64> {
        self.notes(|notes| notes.branchpoints.last().copied().flatten())
    }

    #[setter]
    fn set_branchpoint_time(&self, value: Option<i64>) -> PyResult<()> {
        if value.is_some() && !self.is_branchpoint() {
            let id = self.id_of();
            return Err(SkeletonError::new_err(format!("node {id} is no branchpoint; set is_branchpoint first")));
        }
        self.edit_notes(|notes| {
            if let Some(last) = notes.branchpoints.last_mut() {
                *last = value;
            }
        });
        Ok(())
    }

    /// Times of all branchpoints on the node, in file order.
    #[getter]
    fn branchpoint_times(&self) -> Vec<Option<i64>> {
        self.notes(|notes| notes.branchpoints.clone())
    }

    /// Coordinates along axes beyond x, y, z, by axis.
    #[getter]
    fn additional_coordinates<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let places: Vec<(String, i64)> = self.read(|columns, row| {
            columns.coordinates.of(row).into_iter().map(|(axis, place)| (axis.to_owned(), place)).collect()
        });
        let coordinates = PyDict::new(py);
        places.into_iter().try_for_each(|(axis, place)| coordinates.set_item(axis, place))?;
        Ok(coordinates)
    }

    #[setter]
    fn set_additional_coordinates(&self, value: &Bound<'_, PyDict>) -> PyResult<()> {
        let coordinates = value
            .iter()
            .map(|(axis, at)| Ok((axis.extract()?, at.extract()?)))
            .collect::<PyResult<Vec<(String, i64)>>>()?;
        self.write(|columns, row| columns.coordinates.set(row, coordinates));
        Ok(())
    }

    /// The node's attributes by name, without its id.
    fn get_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        facts.set_item("position", self.place(py)?)?;
        facts.set_item("comment", self.last_comment(py))?;
        facts::add_to(&facts, self.read(facts::values))?;
        facts.set_item("is_branchpoint", self.is_branchpoint())?;
        facts.set_item("branchpoint_time", self.branchpoint_time())?;
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

    fn __hash__(&self) -> isize {
        hash_like_python(self.id_of())
    }

    fn __richcmp__(&self, py: Python<'_>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let result = if let Ok(other) = other.cast::<Self>() {
            let other = other.get();
            match op {
                CompareOp::Eq => self.equals(other),
                CompareOp::Ne => !self.equals(other),
                _ => op.matches(self.order(other)),
            }
        } else if matches!(op, CompareOp::Eq | CompareOp::Ne) && other.is_instance_of::<PyInt>() {
            // As a key, a node stands for its id.
            (other.extract::<PyId>().is_ok_and(|PyId(id)| id == self.id_of())) == matches!(op, CompareOp::Eq)
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
        Ok(format!("Node({}, _id={}, {})", facts[0], self.id_of(), facts[1..].join(", ")))
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
