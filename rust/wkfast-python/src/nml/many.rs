//! Many files as one set of tables, read on all cores.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rayon::prelude::*;
use wkfast_nml::columns::{IdColumn, OptionalColumn, TreeColumns};
use wkfast_nml::model::{Header, StrayBranchpoint, StrayComment};
use wkfast_nml::tables::{Notes, Owners, Tables, TreeRows};
use wkfast_nml::{
    AnyColumnMut, Limits, LoadedForest, NODE_COLUMNS, NmlError, PackedList, Problem, ReadOptions, TreeStream,
};

use super::document::{ProblemItem, problem_item, read_source, until};
use super::limits::{limits, read_options};
use super::stream::{Feed, Outlet};
use crate::errors::{CoreError, SkeletonError};
use crate::file_at::FileAt;
use crate::patience::{Stop, patiently};
use crate::volume::{pool, pool_of};

/// An NML, or a zip file and the member of it that is one.
type FileOrMember = (FileAt, Option<String>);

/// Name, organization and id of a file's dataset.
type DatasetNames = (Option<String>, Option<String>, Option<String>);
/// Size of a mag-1 voxel and its unit.
type Scale = (Option<f64>, Option<f64>, Option<f64>, Option<String>);
/// What a file says of itself: its dataset and scale, its problems, and how many more there are.
type PlainFacts = (DatasetNames, Scale, Vec<ProblemItem>, u64);

/// Some tables of a file, with its facts if they are the last ones.
type SomeTables<'py> = (Bound<'py, PyDict>, Option<PlainFacts>);

/// What became of a file.
type Outcome = Result<FileFacts, CoreError>;

struct FileFacts {
    header: Header,
    problems: Vec<Problem>,
    problems_omitted: u64,
}

impl FileFacts {
    fn into_python(self) -> PlainFacts {
        let (experiment, scale) = (self.header.parameters.experiment, self.header.parameters.scale);
        (
            (experiment.name, experiment.organization, experiment.dataset_id),
            (scale.x, scale.y, scale.z, scale.unit),
            self.problems.into_iter().map(problem_item).collect(),
            self.problems_omitted,
        )
    }
}

/// Some neighbouring files as read by one thread.
#[derive(Default)]
struct Part {
    tables: Tables,
    outcomes: Vec<Outcome>,
}

impl Part {
    fn add(mut self, source: &FileOrMember, file: i32, options: ReadOptions<'_>) -> Self {
        let outcome = read_source(&source.0, source.1.as_deref(), options)
            .and_then(|loaded| put(&mut self.tables, file, loaded).map_err(|id| too_wide(source, id)));
        self.outcomes.push(outcome);
        self
    }

    fn join(mut self, mut later: Self) -> Self {
        self.tables.append(later.tables);
        self.outcomes.append(&mut later.outcomes);
        self
    }
}

fn put(tables: &mut Tables, file: i32, loaded: LoadedForest) -> Result<FileFacts, i128> {
    let LoadedForest { header, trees, problems, problems_omitted } = loaded;
    tables.push(file, trees.into_trees(), problems.is_empty())?;
    Ok(FileFacts { header, problems, problems_omitted })
}

fn too_wide((path, member): &FileOrMember, id: i128) -> CoreError {
    let path = path.shown();
    let name = member.as_ref().map_or_else(|| path.display().to_string(), |name| format!("{}!{name}", path.display()));
    let reason =
        format!("{name}: the id {id} needs more than 64 bits, which tables do not have; load the file by itself");
    CoreError::Python(SkeletonError::new_err(reason))
}

/// Files on servers that are read at once: they are waited for most of the time.
const FAR_AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// The rows of all files as columns by table and name, and for each file its facts or its error. `first` is the number
/// of the first file.
#[pyfunction]
#[pyo3(signature = (sources, first=0, *, strict=false, threads=None))]
pub(crate) fn read_tables(
    py: Python<'_>,
    sources: Vec<FileOrMember>,
    first: i32,
    strict: bool,
    threads: Option<NonZeroUsize>,
) -> Result<(Bound<'_, PyDict>, Bound<'_, PyList>), CoreError> {
    let is_far = sources.iter().any(|(file, _)| file.is_far());
    let pool = if is_far { pool_of(FAR_AT_ONCE)? } else { threads.map_or_else(pool, pool_of)? };
    let limits = limits()?;
    let part = patiently(py, move |stop| pool.install(|| read_all(&sources, first, strict, &limits, stop)))?;
    let outcomes = PyList::empty(py);
    for outcome in part.outcomes {
        match outcome {
            Ok(facts) => outcomes.append(facts.into_python())?,
            Err(error) => outcomes.append(PyErr::from(error).into_value(py))?,
        }
    }
    Ok((tables_record(py, part.tables)?, outcomes))
}

fn read_all(sources: &[FileOrMember], first: i32, strict: bool, limits: &Limits, stop: &Stop) -> Part {
    // Files that are fewer than threads are read on several each.
    let threads = if sources.len() < rayon::current_num_threads() { None } else { NonZeroUsize::new(1) };
    let add = |part: Part, (number, source): (usize, &FileOrMember)| {
        let mut progress = until(stop);
        let options = ReadOptions { strict, threads, limits: limits.clone(), progress: Some(&mut progress) };
        if stop.is_asked() { part } else { part.add(source, first + number as i32, options) }
    };
    let parts: Vec<Part> = sources.par_iter().enumerate().fold(Part::default, add).collect();
    parts.into_iter().reduce(Part::join).unwrap_or_default()
}

/// A large file as tables of so many nodes, with memory bounded by these and by the largest tree. Problems that only the whole
/// file shows are not looked for.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct TableStream(Feed<Batch>);

enum Batch {
    Rows(Box<Tables>),
    End(Box<FileFacts>),
    Failed(CoreError),
}

#[pymethods]
impl TableStream {
    #[new]
    #[pyo3(signature = (path, member, file, nodes))]
    fn new(path: FileAt, member: Option<String>, file: i32, nodes: usize) -> Self {
        Self(Feed::new(move |outlet| {
            let source = (path, member);
            let last = stream_file(&source, file, nodes, outlet);
            outlet.send(last.map_or_else(Batch::Failed, |facts| Batch::End(Box::new(facts))));
        }))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Tables and `None`, and at the end the file's facts.
    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<SomeTables<'py>>, CoreError> {
        match self.0.receive(py)? {
            Some(Batch::Rows(tables)) => Ok(Some((tables_record(py, *tables)?, None))),
            Some(Batch::End(facts)) => Ok(Some((tables_record(py, Tables::default())?, Some(facts.into_python())))),
            Some(Batch::Failed(error)) => Err(error),
            None => Ok(None),
        }
    }
}

/// Sends all rows; what few nodes have stands behind the trees in a file and comes last.
fn stream_file(source: &FileOrMember, file: i32, nodes: usize, outlet: &Outlet<Batch>) -> Result<FileFacts, CoreError> {
    let mut facts = source.0.with_bytes(source.1.as_deref(), |text, name| {
        let mut trees = TreeStream::new(text, read_options()?);
        let mut tables = Tables::default();
        let (mut known, most) = (0, limits()?.problems);
        while let Some(tree) = trees.next() {
            let found = trees.problems().len();
            // Beyond the list problems are counted only.
            let faultless = found == known && found < most;
            known = found;
            tables
                .push(file, vec![tree.map_err(CoreError::nml(name))?], faultless)
                .map_err(|id| too_wide(source, id))?;
            if tables.rows() >= nodes && !outlet.send(Batch::Rows(Box::new(std::mem::take(&mut tables)))) {
                return Err(gone(name));
            }
        }
        outlet.send(Batch::Rows(Box::new(tables)));
        Ok(FileFacts { header: trees.header().clone(), problems: trees.problems().to_vec(), problems_omitted: 0 })
    })?;
    let comments = std::mem::take(&mut facts.header.stray_comments);
    let branchpoints = std::mem::take(&mut facts.header.stray_branchpoints);
    if comments.len() + branchpoints.len() > 0 {
        outlet.send(Batch::Rows(Box::new(notes_of(source, file, &comments, &branchpoints)?)));
    }
    Ok(facts)
}

/// Nobody listens any more: the error reaches nobody.
fn gone(name: &Path) -> CoreError {
    CoreError::nml(name)(NmlError::Io(std::io::ErrorKind::Interrupted.into()))
}

/// Comments and branchpoints with their trees, which the file is read for once more: ids of all nodes would not fit in memory.
fn notes_of(
    source: &FileOrMember,
    file: i32,
    comments: &PackedList<StrayComment>,
    branchpoints: &PackedList<StrayBranchpoint>,
) -> Result<Tables, CoreError> {
    let nodes = comments.iter().map(|note| note.node_id).chain(branchpoints.iter().map(|note| note.node_id));
    let mut owners: HashMap<i128, Option<i64>> = nodes.map(|node| (node, None)).collect();
    source.0.with_bytes(source.1.as_deref(), |text, name| {
        for tree in TreeStream::new(text, read_options()?) {
            let tree = tree.map_err(CoreError::nml(name))?;
            for id in tree.columns.ids.iter() {
                if let Some(owner) = owners.get_mut(&id) {
                    // Of several nodes with one id the first is meant.
                    owner.get_or_insert(tree.header.id as i64);
                }
            }
        }
        Ok(())
    })?;
    let mut tables = Tables::default();
    let owner = |node: i128| Some((owners.get(&node).copied().flatten()?, i64::try_from(node).ok()?));
    for note in comments.iter() {
        if let Some((tree, node)) = owner(note.node_id) {
            tables.push_comment(file, tree, node, note.content.unwrap_or_default());
        }
    }
    for note in branchpoints.iter() {
        if let Some((tree, node)) = owner(note.node_id) {
            tables.push_branchpoint(file, tree, node, note.time);
        }
    }
    Ok(tables)
}

// -- to Python -----------------------------------------------------------------------------------------------------

/// Values of all rows, and which of them there are not: `None` where all are there.
type Masked<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyArray1<bool>>>);

/// Columns by table and name. Columns are handed over, not copied.
fn tables_record(py: Python<'_>, tables: Tables) -> PyResult<Bound<'_, PyDict>> {
    let Tables { mut nodes, node_owners, edge_owners, trees, comments, branchpoints } = tables;
    let record = PyDict::new(py);
    let edges = owned(py, edge_owners)?;
    let ends = narrow(std::mem::take(&mut nodes.edges));
    let count = ends.len() / 2;
    edges.set_item("ends", ends.into_pyarray(py).reshape([count, 2])?)?;
    record.set_item("nodes", nodes_record(py, nodes, node_owners)?)?;
    record.set_item("edges", edges)?;
    record.set_item("trees", trees_record(py, trees)?)?;
    let (texts, comments) = notes_record(py, comments)?;
    comments.set_item("content", texts)?;
    record.set_item("comments", comments)?;
    let (times, branchpoints) = notes_record(py, branchpoints)?;
    branchpoints.set_item("time", optional(py, times))?;
    record.set_item("branchpoints", branchpoints)?;
    Ok(record)
}

/// Ids were checked when they came in.
fn narrow(ids: IdColumn) -> Vec<i64> {
    match ids {
        IdColumn::Narrow(ids) => ids,
        IdColumn::Wide(ids) => ids.into_iter().map(|id| id as i64).collect(),
    }
}

fn owned(py: Python<'_>, owners: Owners) -> PyResult<Bound<'_, PyDict>> {
    let record = PyDict::new(py);
    record.set_item("file", owners.files.into_pyarray(py))?;
    record.set_item("tree_id", owners.trees.into_pyarray(py))?;
    Ok(record)
}

fn nodes_record(py: Python<'_>, mut nodes: TreeColumns, owners: Owners) -> PyResult<Bound<'_, PyDict>> {
    let record = owned(py, owners)?;
    let rows = nodes.rows();
    for axis in nodes.coordinates.names() {
        let places = (0..rows).map(|row| nodes.coordinates.get(row, axis)).collect();
        record.set_item(format!("additionalCoordinate-{axis}"), optional(py, places))?;
    }
    record.set_item("id", narrow(std::mem::take(&mut nodes.ids)).into_pyarray(py))?;
    record.set_item("position", vectors(py, std::mem::take(&mut nodes.positions))?)?;
    for (place, column) in NODE_COLUMNS.iter().enumerate() {
        let values = match nodes.column_mut(place) {
            AnyColumnMut::Int32(values) => handed(py, values),
            AnyColumnMut::Int64(values) => handed(py, values),
            AnyColumnMut::Float(values) => handed(py, values),
            AnyColumnMut::Truth(values) => handed(py, values),
            AnyColumnMut::Vector(values) => {
                let OptionalColumn { values, absent } = std::mem::take(values);
                if values.is_empty() { None } else { Some((vectors(py, values)?.into_any(), mask(py, absent))) }
            }
        };
        record.set_item(column.name, values)?;
    }
    Ok(record)
}

fn handed<'py, T: numpy::Element>(py: Python<'py>, column: &mut OptionalColumn<T>) -> Option<Masked<'py>> {
    let OptionalColumn { values, absent } = std::mem::take(column);
    (!values.is_empty()).then(|| (values.into_pyarray(py).into_any(), mask(py, absent)))
}

fn mask(py: Python<'_>, absent: Vec<bool>) -> Option<Bound<'_, PyArray1<bool>>> {
    absent.contains(&true).then(|| absent.into_pyarray(py))
}

fn vectors<const N: usize>(py: Python<'_>, values: Vec<[f64; N]>) -> PyResult<Bound<'_, numpy::PyArray2<f64>>> {
    let rows = values.len();
    values.into_flattened().into_pyarray(py).reshape([rows, N])
}

fn optional(py: Python<'_>, values: Vec<Option<i64>>) -> Masked<'_> {
    let absent = values.iter().map(Option::is_none).collect();
    let values: Vec<i64> = values.into_iter().map(Option::unwrap_or_default).collect();
    (values.into_pyarray(py).into_any(), mask(py, absent))
}

fn trees_record(py: Python<'_>, trees: TreeRows) -> PyResult<Bound<'_, PyDict>> {
    let record = PyDict::new(py);
    record.set_item("file", trees.owners.files.into_pyarray(py))?;
    record.set_item("id", trees.owners.trees.into_pyarray(py))?;
    record.set_item("name", trees.names)?;
    record.set_item("group_id", optional(py, trees.groups))?;
    record.set_item("color", vectors(py, trees.colors)?)?;
    record.set_item("type", trees.types)?;
    record.set_item("is_visible", trees.visible.into_pyarray(py))?;
    record.set_item("nodes", trees.nodes.into_pyarray(py))?;
    record.set_item("edges", trees.edges.into_pyarray(py))?;
    let (low, high) = trees.bounds.into_iter().map(|[low, high]| (low, high)).unzip();
    record.set_item("low", vectors::<3>(py, low)?)?;
    record.set_item("high", vectors::<3>(py, high)?)?;
    Ok(record)
}

fn notes_record<T>(py: Python<'_>, notes: Notes<T>) -> PyResult<(Vec<T>, Bound<'_, PyDict>)> {
    let record = owned(py, notes.owners)?;
    record.set_item("node_id", notes.nodes.into_pyarray(py))?;
    Ok((notes.values, record))
}
