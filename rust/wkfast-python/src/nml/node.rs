//! `Node`: a row of a tree as an object. What loops read of it is kept by its class, in `node_class`.

use std::cmp::Ordering;
use std::ffi::{CStr, c_int};

use pyo3::basic::CompareOp;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};
use wkfast_nml::columns::NodeNotes;
use wkfast_nml::model::Id;
use wkfast_nml::same_node;

use super::columns::TreeColumns;
use super::facts::{self, COMMENT, FACTS, FIRST_COLUMN, ID, IS_BRANCHPOINT, POSITION};
use super::ids::PyId;
pub(crate) use super::node_class::Node;
use super::node_class::{Attribute, NodeMethods};
use super::vectors::{finite, from_vec3_float_like, from_vec3_int_like, to_vec3_float, to_vec3_int};
use crate::errors::SkeletonError;

pub(super) const DOC: &CStr = c"A node of a tree.

Setting an attribute changes the tree and what is saved. Nodes are made by `Tree.add_node` and compare equal if
all their attributes do; as a key a node also stands for its id. They are ordered by position, then id, and hash
like their id.

`position` is in mag-1 voxels, with fractions cut off; `position_float` has them. `comment` is the last comment,
`comments` has all. `radius` is in nm, `rotation` in angles, `time` and `branchpoint_time` are ms since epoch.
`inVp`, `inMag`, `bitDepth` and `interpolation` say how the node was set. `additional_coordinates` holds places
along axes beyond x, y, z. All but `id` can be set; what a file leaves out is `None`.";

impl Node {
    #[inline]
    fn read<T>(&self, py: Python<'_>, read: impl FnOnce(&wkfast_nml::columns::TreeColumns, usize) -> T) -> T {
        self.columns(py).get().read(|table| read(table.columns(), self.row_number() as usize))
    }

    pub(super) fn write(&self, py: Python<'_>, write: impl FnOnce(&mut wkfast_nml::columns::TreeColumns, usize)) {
        self.columns(py).get().write(|table| write(table.columns_mut(), self.row_number() as usize));
    }

    fn move_in_space(&self, py: Python<'_>, position: [f64; 3]) {
        self.write(py, |columns, row| columns.positions[row] = position);
        self.forget(py, POSITION..POSITION + 1);
    }

    fn notes<T: Default>(&self, py: Python<'_>, read: impl FnOnce(&NodeNotes) -> T) -> T {
        self.read(py, |columns, row| {
            if columns.notes.is_empty() {
                return T::default();
            }
            columns.notes.get(&(row as u32)).map(read).unwrap_or_default()
        })
    }

    fn edit_notes(&self, py: Python<'_>, edit: impl FnOnce(&mut NodeNotes)) {
        self.columns(py).get().edit_notes(py, self.row_number(), edit);
    }

    #[inline]
    pub(crate) fn id_of(&self, py: Python<'_>) -> Id {
        self.read(py, |columns, row| columns.ids.get(row).unwrap_or_default())
    }

    fn is_branchpoint(&self, py: Python<'_>) -> bool {
        self.notes(py, |notes| !notes.branchpoints.is_empty())
    }

    fn equals(&self, py: Python<'_>, other: &Self) -> bool {
        let same = |one: &wkfast_nml::columns::TreeColumns, row| {
            other.read(py, |two, other| same_node((one, row), (two, other)))
        };
        std::ptr::eq(self, other) || self.read(py, same)
    }

    fn order(&self, py: Python<'_>, other: &Self) -> Ordering {
        let key = |node: &Self| node.read(py, |columns, row| (columns.positions[row], columns.ids.get(row)));
        let (a, b) = (key(self), key(other));
        a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
    }
}

/// A fact as an object, made of the row and kept.
pub(super) fn fact<'py>(node: &Bound<'py, Node>, fact: usize) -> PyResult<Bound<'py, PyAny>> {
    let (py, this) = (node.py(), node.get());
    let object = match fact {
        POSITION => to_vec3_int(py, this.read(py, |columns, row| columns.positions[row]))?,
        ID => PyId(this.id_of(py)).into_pyobject(py)?.into_any(),
        COMMENT => this
            .notes(py, |notes| notes.comments.last().map(|text| PyString::new(py, text).into_any()))
            .unwrap_or_else(|| py.None().into_bound(py)),
        IS_BRANCHPOINT => this.is_branchpoint(py).into_pyobject(py)?.to_owned().into_any(),
        column => {
            facts::to_python(py, this.read(py, |columns, row| facts::value(columns, column - FIRST_COLUMN, row)))?
        }
    };
    this.keep(fact, &object);
    Ok(object)
}

/// As [`fact`], unless it is kept.
pub(super) fn known_fact<'py>(node: &Bound<'py, Node>, number: usize) -> PyResult<Bound<'py, PyAny>> {
    node.get().kept(node.py(), number).map_or_else(|| fact(node, number), Ok)
}

/// What can be asked of the class, and set. Optional columns are there, too: see `NodeAttribute`.
pub(super) static ATTRIBUTES: [Attribute; 11] = [
    Attribute { name: c"id", doc: c"The id, unique within the skeleton.", get: |node| known_fact(node, ID), set: None },
    Attribute {
        name: c"position",
        doc: c"The position in mag-1 voxels, fractions cut off.",
        get: |node| known_fact(node, POSITION),
        set: Some(|node, value| {
            node.get().move_in_space(node.py(), from_vec3_int_like(value)?);
            Ok(())
        }),
    },
    Attribute {
        name: c"position_float",
        doc: c"The position with its fractions.",
        get: |node| to_vec3_float(node.py(), node.get().read(node.py(), |columns, row| columns.positions[row])),
        set: Some(|node, value| {
            node.get().move_in_space(node.py(), finite(from_vec3_float_like(value)?)?);
            Ok(())
        }),
    },
    Attribute {
        name: c"comment",
        doc: c"The last comment on the node; `None` without one.",
        get: |node| known_fact(node, COMMENT),
        set: Some(set_comment),
    },
    Attribute {
        name: c"comments",
        doc: c"All comments on the node, in file order.",
        get: |node| node.get().notes(node.py(), |notes| notes.comments.clone()).into_pyobject(node.py()),
        set: Some(set_comments),
    },
    Attribute {
        name: c"is_branchpoint",
        doc: c"Whether the node is a branchpoint.",
        get: |node| known_fact(node, IS_BRANCHPOINT),
        set: Some(set_is_branchpoint),
    },
    Attribute {
        name: c"branchpoint_time",
        doc: c"When the node became a branchpoint, in ms since epoch; `None` where nobody says.",
        get: branchpoint_time,
        set: Some(set_branchpoint_time),
    },
    Attribute {
        name: c"branchpoint_times",
        doc: c"Times of all branchpoints on the node, in file order.",
        get: |node| node.get().notes(node.py(), |notes| notes.branchpoints.clone()).into_pyobject(node.py()),
        set: None,
    },
    Attribute {
        name: c"additional_coordinates",
        doc: c"Coordinates along axes beyond x, y, z, by axis.",
        get: additional_coordinates,
        set: Some(set_additional_coordinates),
    },
    Attribute {
        name: c"columns",
        doc: c"The columns the node is a row of; for `wkfast.skeleton`.",
        get: |node| Ok(node.get().columns(node.py()).clone().into_any()),
        set: None,
    },
    Attribute {
        name: c"row",
        doc: c"The row; for `wkfast.skeleton`.",
        get: |node| Ok(node.get().row_number().into_pyobject(node.py())?.into_any()),
        set: None,
    },
];

fn set_comment(node: &Bound<'_, Node>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value: Option<String> = value.extract()?;
    node.get().edit_notes(node.py(), |notes| match (value, notes.comments.last_mut()) {
        (Some(text), Some(last)) => *last = text,
        (Some(text), None) => notes.comments.push(text),
        (None, _) => {
            notes.comments.clear();
            notes.comment_extras.clear();
        }
    });
    Ok(())
}

fn set_comments(node: &Bound<'_, Node>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value: Vec<String> = value.extract()?;
    node.get().edit_notes(node.py(), |notes| {
        notes.comment_extras.retain(|&index, _| (index as usize) < value.len());
        notes.comments = value;
    });
    Ok(())
}

fn set_is_branchpoint(node: &Bound<'_, Node>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let value: bool = value.extract()?;
    node.get().edit_notes(node.py(), |notes| {
        if !value {
            notes.branchpoints.clear();
            notes.branchpoint_extras.clear();
        } else if notes.branchpoints.is_empty() {
            notes.branchpoints.push(None);
        }
    });
    Ok(())
}

fn branchpoint_time<'py>(node: &Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>> {
    let time = node.get().notes(node.py(), |notes| notes.branchpoints.last().copied().flatten());
    Ok(time.into_pyobject(node.py())?)
}

fn set_branchpoint_time(node: &Bound<'_, Node>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let (py, value) = (node.py(), value.extract::<Option<i64>>()?);
    if value.is_some() && !node.get().is_branchpoint(py) {
        let id = node.get().id_of(py);
        return Err(SkeletonError::new_err(format!("node {id} is no branchpoint; set is_branchpoint first")));
    }
    node.get().edit_notes(py, |notes| {
        if let Some(last) = notes.branchpoints.last_mut() {
            *last = value;
        }
    });
    Ok(())
}

fn additional_coordinates<'py>(node: &Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>> {
    let py = node.py();
    let places: Vec<(String, i64)> = node.get().read(py, |columns, row| {
        columns.coordinates.of(row).into_iter().map(|(axis, place)| (axis.to_owned(), place)).collect()
    });
    let coordinates = PyDict::new(py);
    places.into_iter().try_for_each(|(axis, place)| coordinates.set_item(axis, place))?;
    Ok(coordinates.into_any())
}

fn set_additional_coordinates(node: &Bound<'_, Node>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let coordinates = value
        .cast::<PyDict>()?
        .iter()
        .map(|(axis, at)| Ok((axis.extract()?, at.extract()?)))
        .collect::<PyResult<Vec<(String, i64)>>>()?;
    node.get().write(node.py(), |columns, row| columns.coordinates.set(row, coordinates));
    Ok(())
}

/// The attributes by name, without the id.
pub(super) fn get_dict<'py>(node: &Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>> {
    let dict = PyDict::new(node.py());
    fill(node, &dict)?;
    Ok(dict.into_any())
}

/// Puts the attributes into a dict.
pub(super) fn fill(node: &Bound<'_, Node>, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = node.py();
    let columns = (FIRST_COLUMN..FACTS).chain([IS_BRANCHPOINT]);
    for number in [POSITION, COMMENT].into_iter().chain(columns) {
        dict.set_item(facts::name(py, number), known_fact(node, number)?)?;
    }
    dict.set_item(intern!(py, "branchpoint_time"), branchpoint_time(node)?)
}

pub(super) fn compare<'py>(
    node: &Bound<'py, Node>,
    other: &Bound<'py, PyAny>,
    operation: c_int,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, this) = (node.py(), node.get());
    let is_equality = operation == ffi::Py_EQ || operation == ffi::Py_NE;
    let result = if let Ok(other) = other.cast_exact::<Node>() {
        let other = other.get();
        if is_equality {
            this.equals(py, other) == (operation == ffi::Py_EQ)
        } else {
            CompareOp::from_raw(operation).is_some_and(|operation| operation.matches(this.order(py, other)))
        }
    } else if is_equality && other.is_instance_of::<PyInt>() {
        // As a key, a node stands for its id.
        (other.extract::<PyId>().is_ok_and(|PyId(id)| id == this.id_of(py))) == (operation == ffi::Py_EQ)
    } else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    Ok(result.into_pyobject(py)?.to_owned().into_any())
}

pub(super) fn repr<'py>(node: &Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>> {
    let shown = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> PyResult<String> {
        Ok(format!("{key}={}", value.repr()?))
    };
    let py = node.py();
    let facts = get_dict(node)?.cast::<PyDict>()?.iter().map(shown).collect::<PyResult<Vec<_>>>()?;
    let text = format!("Node({}, _id={}, {})", facts[0], node.get().id_of(py), facts[1..].join(", "));
    Ok(PyString::new(py, &text).into_any())
}

/// The function that restores a node, and its arguments.
pub(super) fn reduce<'py>(node: &Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>> {
    let py = node.py();
    let arguments = (node.get().columns(py), node.get().row_number()).into_pyobject(py)?;
    let restore = py.import("wkfast._core")?.getattr("restore_node")?;
    Ok(PyTuple::new(py, [restore, arguments.into_any()])?.into_any())
}

/// What Python's `hash` gives for an int.
pub(super) fn hash_like_python(id: Id) -> isize {
    const MODULUS: u128 = (1 << 61) - 1;
    let hash = (id.unsigned_abs() % MODULUS) as isize * if id < 0 { -1 } else { 1 };
    if hash == -1 { -2 } else { hash }
}

/// Unpickles a node.
#[pyfunction]
pub(crate) fn restore_node<'py>(columns: &Bound<'py, TreeColumns>, row: u32) -> PyResult<Bound<'py, Node>> {
    Node::at(columns, row)
}
