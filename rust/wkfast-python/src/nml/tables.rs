//! Whole columns as numpy arrays, in and out. Removed rows are left out.

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use wkfast_nml::TreeTable;
use wkfast_nml::columns::{IdColumn, NodeNotes, NodeRow, OptionalColumn, TreeColumns};

use super::ids::PyId;
use super::vectors::finite;
use crate::errors::SkeletonError;

/// Values, and whether each row has one.
pub(crate) type Column<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<bool>>);
/// Where each node's neighbours start, and the neighbours.
pub(crate) type Adjacency<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>);

pub(crate) fn ids<'py>(py: Python<'py>, table: &TreeTable) -> PyResult<Bound<'py, PyAny>> {
    let column = &table.columns().ids;
    let picked = py.detach(|| table.rows().filter_map(|row| column.get(row as usize)).collect::<IdColumn>());
    match picked {
        IdColumn::Narrow(ids) => Ok(ids.into_pyarray(py).into_any()),
        IdColumn::Wide(ids) => Ok(PyList::new(py, ids.into_iter().map(PyId))?.into_any()),
    }
}

pub(crate) fn positions<'py>(py: Python<'py>, table: &TreeTable) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let all = &table.columns().positions;
    let flat = py.detach(|| {
        if table.len() == all.len() {
            return all.as_flattened().to_vec();
        }
        table.rows().flat_map(|row| all[row as usize]).collect()
    });
    flat.into_pyarray(py).reshape([table.len(), 3])
}

pub(crate) fn set_positions(table: &mut TreeTable, positions: &PyReadonlyArray2<'_, f64>) -> PyResult<()> {
    if positions.shape() != [table.len(), 3] {
        let (given, len) = (positions.shape(), table.len());
        return Err(PyValueError::new_err(format!("expected positions of shape ({len}, 3), got {given:?}")));
    }
    let rows: Vec<u32> = table.rows().collect();
    let positions = positions.as_array();
    let places = positions.rows().into_iter().map(|place| finite([place[0], place[1], place[2]]));
    let places = places.collect::<PyResult<Vec<_>>>()?;
    for (row, place) in rows.into_iter().zip(places) {
        table.columns_mut().positions[row as usize] = place;
    }
    Ok(())
}

pub(crate) fn column<'py>(py: Python<'py>, table: &TreeTable, name: &str) -> PyResult<Option<Column<'py>>> {
    let columns = table.columns();
    match name {
        "radius" => Ok(scalars(py, table, &columns.radius)),
        "inVp" => Ok(scalars(py, table, &columns.in_vp)),
        "inMag" => Ok(scalars(py, table, &columns.in_mag)),
        "bitDepth" => Ok(scalars(py, table, &columns.bit_depth)),
        "interpolation" => Ok(scalars(py, table, &columns.interpolation)),
        "time" => Ok(scalars(py, table, &columns.time)),
        "rotation" => {
            let Some((values, present)) = picked(table, &columns.rotation) else { return Ok(None) };
            let values = values.as_flattened().to_vec().into_pyarray(py).reshape([table.len(), 3])?;
            Ok(Some((values.into_any(), present.into_pyarray(py))))
        }
        _ => match name.strip_prefix("additionalCoordinate-") {
            Some(axis) => Ok(places(py, table, axis)),
            None => Err(PyValueError::new_err(format!("nodes have no column {name:?}"))),
        },
    }
}

/// Places along an axis beyond x, y, z.
fn places<'py>(py: Python<'py>, table: &TreeTable, axis: &str) -> Option<Column<'py>> {
    let coordinates = &table.columns().coordinates;
    let (values, present): (Vec<i64>, Vec<bool>) = table
        .rows()
        .map(|row| coordinates.get(row as usize, axis))
        .map(|place| (place.unwrap_or_default(), place.is_some()))
        .unzip();
    present.contains(&true).then(|| (values.into_pyarray(py).into_any(), present.into_pyarray(py)))
}

fn scalars<'py, T: numpy::Element + Copy + Default>(
    py: Python<'py>,
    table: &TreeTable,
    column: &OptionalColumn<T>,
) -> Option<Column<'py>> {
    let (values, present) = picked(table, column)?;
    Some((values.into_pyarray(py).into_any(), present.into_pyarray(py)))
}

fn picked<T: Copy + Default>(table: &TreeTable, column: &OptionalColumn<T>) -> Option<(Vec<T>, Vec<bool>)> {
    if column.is_empty() {
        return None;
    }
    let values = table.rows().map(|row| column.get(row as usize));
    Some(values.map(|value| (value.unwrap_or_default(), value.is_some())).unzip())
}

pub(crate) fn edges<'py>(py: Python<'py>, table: &mut TreeTable) -> PyResult<Bound<'py, PyAny>> {
    let picked = py.detach(|| {
        let rows = table.edge_rows();
        let ids = &table.columns().ids;
        rows.as_flattened().iter().filter_map(|&row| ids.get(row as usize)).collect::<IdColumn>()
    });
    match picked {
        IdColumn::Narrow(ids) => {
            let edges = ids.len() / 2;
            Ok(ids.into_pyarray(py).reshape([edges, 2])?.into_any())
        }
        IdColumn::Wide(ids) => Ok(PyList::new(py, ids.into_iter().map(PyId))?.into_any()),
    }
}

pub(crate) fn adjacency<'py>(py: Python<'py>, table: &mut TreeTable) -> Adjacency<'py> {
    let (starts, neighbors) = py.detach(|| {
        let rows: Vec<u32> = table.rows().collect();
        let mut place = vec![0_u32; table.columns().rows()];
        for (at, &row) in rows.iter().enumerate() {
            place[row as usize] = at as u32;
        }
        let (mut starts, mut all) = (vec![0_u32], Vec::with_capacity(2 * table.edge_count()));
        for row in rows {
            let around = table.neighbors(row).unwrap_or_default();
            all.extend(around.iter().map(|neighbor| place[neighbor.row as usize]));
            starts.push(all.len() as u32);
        }
        (starts, all)
    });
    (starts.into_pyarray(py), neighbors.into_pyarray(py))
}

/// What few nodes have, flattened to one entry per note.
pub(crate) fn notes<T>(table: &TreeTable, read: impl Fn(&NodeNotes) -> Vec<T>) -> Vec<(PyId, T)> {
    let columns = table.columns();
    let live = columns.notes.iter().filter(|(row, _)| table.is_live(**row));
    live.flat_map(|(&row, notes)| {
        let id = PyId(columns.ids.get(row as usize).unwrap_or_default());
        read(notes).into_iter().map(move |note| (id, note))
    })
    .collect()
}

pub(crate) fn from_arrays(
    ids: &PyReadonlyArray1<'_, i64>,
    positions: &PyReadonlyArray2<'_, f64>,
    edges: &PyReadonlyArray2<'_, i64>,
    radius: Option<&PyReadonlyArray1<'_, f64>>,
) -> PyResult<TreeTable> {
    let rows = ids.len();
    check_shape("positions", positions.shape(), &[rows, 3])?;
    check_shape("edges", edges.shape(), &[edges.shape()[0], 2])?;
    radius.map_or(Ok(()), |radius| check_shape("radius", radius.shape(), &[rows]))?;
    let mut columns = TreeColumns::default();
    for (row, (&id, position)) in ids.as_array().iter().zip(positions.as_array().rows()).enumerate() {
        let radius = radius.map(|radius| radius.as_array()[row]).filter(|radius| !radius.is_nan());
        let position = finite([position[0], position[1], position[2]])?;
        columns.push_node(&NodeRow { id: id.into(), position, radius, ..NodeRow::default() });
    }
    for edge in edges.as_array().rows() {
        columns.push_edge(edge[0].into(), edge[1].into());
    }
    checked(columns)
}

fn check_shape(what: &str, given: &[usize], expected: &[usize]) -> PyResult<()> {
    if given == expected {
        return Ok(());
    }
    Err(SkeletonError::new_err(format!("{what} must have the shape {expected:?}, not {given:?}")))
}

/// Arrays come from a program, not from a file: what a file is forgiven is an error here.
fn checked(columns: TreeColumns) -> PyResult<TreeTable> {
    let (rows, edges) = (columns.rows(), columns.edges.clone());
    let mut table = TreeTable::from(columns);
    for row in 0..rows {
        let id = table.columns().ids.get(row).unwrap_or_default();
        if table.row_of(id) != Some(row as u32) {
            return Err(SkeletonError::new_err(format!("the node id {id} is there twice")));
        }
    }
    for id in edges.iter() {
        if table.row_of(id).is_none() {
            return Err(SkeletonError::new_err(format!("an edge names node {id}, which is not among the ids")));
        }
    }
    Ok(table)
}
