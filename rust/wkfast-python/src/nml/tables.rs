//! Whole columns as numpy arrays, in and out. Removed rows are left out.

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use wkfast_nml::columns::{IdColumn, NodeNotes, NodeRow, OptionalColumn, TreeColumns};
use wkfast_nml::{AnyColumn, AnyColumnMut, CellKind, EditError, NODE_COLUMNS, TreeTable};

use super::ids::PyId;
use super::vectors::finite;
use crate::errors::SkeletonError;

/// Values, and whether each row has one.
pub(crate) type Column<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<bool>>);
/// Where each node's neighbours start, and the neighbours.
pub(crate) type AdjacencyArrays<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>);

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
    if let Some(axis) = name.strip_prefix("additionalCoordinate-") {
        return Ok(places(py, table, axis));
    }
    let Some(column) = NODE_COLUMNS.iter().position(|column| column.name == name) else {
        return Err(PyValueError::new_err(format!("nodes have no column {name:?}")));
    };
    Ok(match table.columns().column(column) {
        AnyColumn::Int32(values) => scalars(py, table, values),
        AnyColumn::Int64(values) => scalars(py, table, values),
        AnyColumn::Float(values) => scalars(py, table, values),
        AnyColumn::Truth(values) => scalars(py, table, values),
        AnyColumn::Vector(values) => {
            let Some((values, present)) = picked(table, values) else { return Ok(None) };
            let values = values.as_flattened().to_vec().into_pyarray(py).reshape([table.len(), 3])?;
            Some((values.into_any(), present.into_pyarray(py)))
        }
    })
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

pub(crate) fn edges<'py>(py: Python<'py>, table: &TreeTable) -> PyResult<Bound<'py, PyAny>> {
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

pub(crate) fn adjacency<'py>(py: Python<'py>, table: &TreeTable) -> AdjacencyArrays<'py> {
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
    let table = TreeTable::from(columns);
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

/// Values of an optional column as given by a program, and which of them there are.
pub(crate) struct GivenColumn {
    column: usize,
    values: GivenValues,
    present: Vec<bool>,
}

enum GivenValues {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f64>),
    Truth(Vec<bool>),
    Vector(Vec<[f64; 3]>),
}

/// Name of a column, values of its type, and whether each node has one.
pub(crate) type NamedValues<'py> = (String, Bound<'py, PyAny>, PyReadonlyArray1<'py, bool>);

impl GivenColumn {
    /// The values for `rows` nodes.
    pub(crate) fn extract((name, values, present): &NamedValues<'_>, rows: usize) -> PyResult<Self> {
        let Some(column) = NODE_COLUMNS.iter().position(|column| column.name == name) else {
            return Err(SkeletonError::new_err(format!("nodes have no column {name:?}")));
        };
        check_shape(name, present.shape(), &[rows])?;
        let values = match NODE_COLUMNS[column].kind {
            CellKind::Int32 => GivenValues::Int32(flat(name, values, rows)?),
            CellKind::Int64 => GivenValues::Int64(flat(name, values, rows)?),
            CellKind::Float => GivenValues::Float(flat(name, values, rows)?),
            CellKind::Truth => GivenValues::Truth(flat(name, values, rows)?),
            CellKind::Vector => {
                let values: PyReadonlyArray2<'_, f64> = values.extract()?;
                check_shape(name, values.shape(), &[rows, 3])?;
                let vectors = values.as_array().rows().into_iter().map(|v| [v[0], v[1], v[2]]).collect();
                GivenValues::Vector(vectors)
            }
        };
        Ok(Self { column, values, present: present.as_array().to_vec() })
    }

    /// Puts the values into these rows.
    fn put(self, columns: &mut TreeColumns, rows: &[u32]) {
        let (count, present) = (columns.rows(), &self.present);
        match (columns.column_mut(self.column), self.values) {
            (AnyColumnMut::Int32(to), GivenValues::Int32(values)) => put(to, count, rows, &values, present),
            (AnyColumnMut::Int64(to), GivenValues::Int64(values)) => put(to, count, rows, &values, present),
            (AnyColumnMut::Float(to), GivenValues::Float(values)) => put(to, count, rows, &values, present),
            (AnyColumnMut::Truth(to), GivenValues::Truth(values)) => put(to, count, rows, &values, present),
            (AnyColumnMut::Vector(to), GivenValues::Vector(values)) => put(to, count, rows, &values, present),
            _ => unreachable!("values are taken for their column"),
        }
    }
}

fn put<T: Copy + Default>(to: &mut OptionalColumn<T>, count: usize, rows: &[u32], values: &[T], present: &[bool]) {
    for ((&row, &value), &present) in rows.iter().zip(values).zip(present) {
        to.set(count, row as usize, present.then_some(value));
    }
}

fn flat<T: numpy::Element + Copy>(name: &str, values: &Bound<'_, PyAny>, rows: usize) -> PyResult<Vec<T>> {
    let values: PyReadonlyArray1<'_, T> = values.extract()?;
    check_shape(name, values.shape(), &[rows])?;
    Ok(values.as_array().to_vec())
}

fn places_of(positions: &PyReadonlyArray2<'_, f64>) -> PyResult<Vec<[f64; 3]>> {
    positions.as_array().rows().into_iter().map(|place| finite([place[0], place[1], place[2]])).collect()
}

/// Nodes and edges to add, checked.
pub(crate) struct More {
    ids: Vec<i64>,
    places: Vec<[f64; 3]>,
    columns: Vec<GivenColumn>,
    /// Row numbers among those that are added.
    edges: Vec<[usize; 2]>,
}

impl More {
    pub(crate) fn extract(
        ids: &PyReadonlyArray1<'_, i64>,
        positions: &PyReadonlyArray2<'_, f64>,
        columns: &[NamedValues<'_>],
        edges: &PyReadonlyArray2<'_, i64>,
    ) -> PyResult<Self> {
        let rows = ids.len();
        check_shape("positions", positions.shape(), &[rows, 3])?;
        check_shape("edges", edges.shape(), &[edges.shape()[0], 2])?;
        let end = |row: i64| usize::try_from(row).ok().filter(|&row| row < rows);
        let pair = |edge: numpy::ndarray::ArrayView1<'_, i64>| Some([end(edge[0])?, end(edge[1])?]);
        let edges = edges.as_array().rows().into_iter().map(pair).collect::<Option<Vec<_>>>();
        let edges =
            edges.ok_or_else(|| SkeletonError::new_err(format!("edges name rows from 0 to {rows}, exclusive")))?;
        let columns = columns.iter().map(|column| GivenColumn::extract(column, rows)).collect::<PyResult<_>>()?;
        Ok(Self { ids: ids.as_array().to_vec(), places: places_of(positions)?, columns, edges })
    }

    /// Adds all of it, or nothing and says which id is taken.
    pub(crate) fn add_to(self, table: &mut TreeTable) -> Result<(), EditError> {
        if let Some(&taken) = self.ids.iter().find(|&&id| table.row_of(id.into()).is_some()) {
            return Err(EditError::DuplicateId(taken.into()));
        }
        let nodes = self.ids.iter().zip(&self.places);
        let nodes = nodes.map(|(&id, &position)| NodeRow { id: id.into(), position, ..NodeRow::default() });
        let rows = nodes.map(|node| table.push_node(&node)).collect::<Result<Vec<u32>, _>>()?;
        self.columns.into_iter().for_each(|column| column.put(table.columns_mut(), &rows));
        for [a, b] in self.edges {
            table.add_edge(rows[a], rows[b])?;
        }
        Ok(())
    }
}

/// Values for all nodes of a tree in their order, checked.
pub(crate) struct Replacement {
    places: Option<Vec<[f64; 3]>>,
    columns: Vec<GivenColumn>,
    rows: Vec<u32>,
}

impl Replacement {
    pub(crate) fn extract(
        table: &TreeTable,
        positions: Option<&PyReadonlyArray2<'_, f64>>,
        columns: &[NamedValues<'_>],
    ) -> PyResult<Self> {
        let rows: Vec<u32> = table.rows().collect();
        positions.map_or(Ok(()), |positions| check_shape("position", positions.shape(), &[rows.len(), 3]))?;
        let given = columns.iter().map(|column| GivenColumn::extract(column, rows.len())).collect::<PyResult<_>>()?;
        Ok(Self { places: positions.map(places_of).transpose()?, columns: given, rows })
    }

    pub(crate) fn put(self, table: &mut TreeTable) {
        let columns = table.columns_mut();
        for (&row, place) in self.rows.iter().zip(self.places.into_iter().flatten()) {
            columns.positions[row as usize] = place;
        }
        self.columns.into_iter().for_each(|column| column.put(columns, &self.rows));
    }
}
