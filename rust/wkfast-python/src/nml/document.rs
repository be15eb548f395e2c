//! NML files and the records they cross to Python as.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyList};
use wkfast_files::zip::Archive;
use wkfast_nml::columns::TreeColumns as Columns;
use wkfast_nml::model::{Header, Tree, TreeHeader};
use wkfast_nml::{Limits, LoadedForest, NmlError, PackedTree, Problem, ReadOptions, TreeRef, TreeTable, WriteOptions};

use super::columns::TreeColumns;
use super::header::{header_of, header_record};
use super::limits::read_options;
use super::loaded::{LoadedTrees, Unmade};
use super::packed::PackedAt;
use super::record::{AnyRecord, TreeRecord};
use crate::errors::CoreError;
use crate::file_at::FileAt;
use crate::patience::{SOON_READ, Stop, attached, away_if, patiently_if, pythonize};

/// Trees on their way out of Python.
#[derive(FromPyObject)]
pub(crate) enum TreeItem<'py> {
    /// One as it is now.
    Made(Bound<'py, PyAny>, Bound<'py, TreeColumns>),
    /// Of a file that was read, by their numbers: nobody asked for them.
    Read(Bound<'py, LoadedTrees>, PyBuffer<u32>),
}
/// The record and the columns of a tree, just made.
pub(crate) type NewTreeItem<'py> = (Bound<'py, TreeRecord>, Bound<'py, TreeColumns>);
pub(crate) type ProblemItem = (u64, u64, String, String, String, bool);

/// An NML file as read.
#[pyclass(module = "wkfast._core", frozen, get_all)]
pub(crate) struct NmlDocument {
    /// Everything but trees, as nested dicts.
    header: Py<PyAny>,
    /// Pairs of a tree's record and its columns.
    trees: Py<LoadedTrees>,
    /// Line, column, element, reason, what was done, whether a server would reject the file for it.
    problems: Vec<ProblemItem>,
    /// Problems beyond those listed.
    problems_omitted: u64,
}

/// Lets Ctrl-C through while the interpreter is detached.
pub(crate) fn check_signals(_bytes: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // The method itself is not general enough over lifetimes.
    #[allow(clippy::redundant_closure_for_method_calls)]
    attached(|py| py.check_signals()).map_err(Into::into)
}

/// Ends reading that nobody waits for any more.
pub(crate) fn until(stop: &Stop) -> impl FnMut(u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stop = stop.clone();
    move |_| Ok(stop.check()?)
}

/// The NML in a file, or in a member of a zip file.
#[pyfunction]
#[pyo3(signature = (path, member=None, strict=false))]
pub(crate) fn read_nml(
    py: Python<'_>,
    path: FileAt,
    member: Option<String>,
    strict: bool,
) -> Result<NmlDocument, CoreError> {
    let file = path.clone();
    let loaded = file.patiently(py, move |stop| {
        let mut progress = until(stop);
        let options = ReadOptions { strict, progress: Some(&mut progress), ..read_options()? };
        read_source(&path, member.as_deref(), options)
    })??;
    to_document(py, loaded)
}

/// An annotation zip, kept open: whoever reads from it meanwhile need not read its directory again.
#[pyclass(frozen, module = "wkfast._core")]
pub(crate) struct AnnotationZip(Arc<Archive>);

#[pymethods]
impl AnnotationZip {
    #[new]
    fn new(py: Python<'_>, path: FileAt) -> Result<Self, CoreError> {
        let file = path.clone();
        Ok(Self(file.patiently(py, move |_| path.open_zip())??))
    }

    /// What tells the state of a zip file on a server from others.
    fn state(&self) -> Option<String> {
        self.0.far_state()
    }

    /// Bytes of a member when read.
    fn size(&self, member: &str) -> Option<u64> {
        self.0.size(member)
    }

    /// All that a member holds.
    fn read<'py>(&self, py: Python<'py>, member: &str) -> Result<Bound<'py, PyBytes>, CoreError> {
        let name = self.0.describe(member);
        let content = away_if(py, self.0.is_far(), || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            self.0.reader(member)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &content.map_err(CoreError::zip(Path::new(&name), &name))?))
    }

    /// Names of all members, in the order in which they lie in the file.
    fn names(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.0.names())
    }
}

/// An NML file, or one that is a member of a zip file.
pub(crate) fn read_source(
    file: &FileAt,
    member: Option<&str>,
    options: ReadOptions<'_>,
) -> Result<LoadedForest, CoreError> {
    if let (FileAt::Near(path), None) = (file, member) {
        return wkfast_nml::read_forest_file(path, options).map_err(CoreError::nml(path));
    }
    file.with_bytes(member, |text, name| wkfast_nml::read_forest_threaded(text, options).map_err(CoreError::nml(name)))
}

/// The NML in a bytes object; `name` stands for the file in messages.
#[pyfunction]
#[pyo3(signature = (data, name="<bytes>".to_owned(), strict=false))]
pub(crate) fn read_nml_bytes(
    py: Python<'_>,
    data: pyo3::pybacked::PyBackedBytes,
    name: String,
    strict: bool,
) -> Result<NmlDocument, CoreError> {
    let loaded = patiently_if(py, data.len() > SOON_READ, move |stop| {
        let mut progress = until(stop);
        let options = ReadOptions { strict, progress: Some(&mut progress), ..read_options()? };
        wkfast_nml::read_forest_threaded(&*data, options).map_err(CoreError::nml(Path::new(&name)))
    })??;
    to_document(py, loaded)
}

fn to_document(py: Python<'_>, loaded: LoadedForest) -> Result<NmlDocument, CoreError> {
    Ok(NmlDocument {
        header: header_record(py, loaded.header)?,
        trees: Py::new(py, LoadedTrees::from(loaded.trees))?,
        problems: loaded.problems.into_iter().map(problem_item).collect(),
        problems_omitted: loaded.problems_omitted,
    })
}

pub(crate) fn to_item(py: Python<'_>, tree: Tree) -> PyResult<NewTreeItem<'_>> {
    let columns = TreeColumns::from(TreeTable::from(tree.columns));
    Ok((Bound::new(py, TreeRecord::from(tree.header))?, Bound::new(py, columns)?))
}

pub(crate) fn to_record(py: Python<'_>, value: &impl serde::Serialize) -> PyResult<Py<PyAny>> {
    Ok(pythonize(py, value)?.unbind())
}

pub(crate) fn problem_item(problem: Problem) -> ProblemItem {
    let Problem { at, element, reason, done, rejected_by_server } = problem;
    (at.line, at.column, element, reason, done, rejected_by_server)
}

/// The header of a file that says nothing.
#[pyfunction]
pub(crate) fn empty_header(py: Python<'_>) -> PyResult<Py<PyAny>> {
    header_record(py, Header::default())
}

/// A document to write, taken over from Python.
pub(crate) struct Outgoing {
    header: Header,
    /// As they are now: what other threads change meanwhile is not in them.
    trees: Vec<Held>,
}

enum Held {
    Packed(PackedAt),
    Whole(Arc<Tree>),
    Made(AnyRecord, Arc<TreeTable>),
}

impl Outgoing {
    pub(crate) fn take(header: &Bound<'_, PyAny>, items: &Bound<'_, PyList>) -> PyResult<Self> {
        let py = header.py();
        let header = header_of(header)?;
        let mut trees = Vec::new();
        for item in items {
            py.check_signals()?;
            match item.extract()? {
                TreeItem::Made(record, columns) => trees.push(Held::now(&record, columns.get())?),
                TreeItem::Read(loaded, numbers) => {
                    for number in numbers.to_vec(py)? {
                        trees.push(held(&loaded, number as usize)?);
                    }
                }
            }
        }
        Ok(Self { header, trees })
    }

    /// What may be used while the interpreter is detached.
    pub(crate) fn detached(&self) -> Detached<'_> {
        let trees = self.trees.iter().filter_map(|tree| {
            Some(match tree {
                Held::Packed(tree) => Leaving::Packed(tree.get()?),
                Held::Whole(tree) => Leaving::Open(&tree.header, &tree.columns),
                Held::Made(record, table) => match table.compacted() {
                    Cow::Borrowed(columns) => Leaving::Open(record.header(), columns),
                    Cow::Owned(columns) => Leaving::Compacted(record.header(), Box::new(columns)),
                },
            })
        });
        Detached { header: &self.header, trees: trees.collect() }
    }
}

/// A tree of a file as it was read, or what was made of it meanwhile.
fn held(loaded: &Bound<'_, LoadedTrees>, number: usize) -> PyResult<Held> {
    match loaded.get().unmade(number) {
        Some(Unmade::Packed(tree)) => return Ok(Held::Packed(tree)),
        Some(Unmade::Whole(tree)) => return Ok(Held::Whole(tree)),
        None => {}
    }
    let (record, columns) = loaded.get_item(number)?.extract::<NewTreeItem<'_>>()?;
    Held::now(&record, columns.get())
}

impl Held {
    /// A tree that somebody has: as it was read if nothing was asked of its nodes, nor changed.
    fn now(record: &Bound<'_, PyAny>, columns: &TreeColumns) -> PyResult<Self> {
        let read = record.cast::<TreeRecord>().ok().and_then(|record| record.get().packed().cloned());
        if let (Some(read), Some(packed)) = (read, columns.packed())
            && read.is(&packed)
        {
            return Ok(Self::Packed(packed));
        }
        Ok(Self::Made(record.extract()?, columns.snapshot()))
    }
}

/// A tree to write, without anything of Python's. Small, since there may be very many.
enum Leaving<'a> {
    Packed(PackedTree<'a>),
    Open(&'a TreeHeader, &'a Columns),
    /// Nodes or edges were removed.
    Compacted(&'a TreeHeader, Box<Columns>),
}

impl Leaving<'_> {
    fn as_ref(&self) -> TreeRef<'_> {
        match self {
            Self::Packed(tree) => TreeRef::Packed(*tree),
            Self::Open(header, columns) => TreeRef::Open(header, columns),
            Self::Compacted(header, columns) => TreeRef::Open(header, columns),
        }
    }
}

/// A document to write, without anything of Python's.
pub(crate) struct Detached<'a> {
    header: &'a Header,
    trees: Vec<Leaving<'a>>,
}

impl Detached<'_> {
    pub(crate) fn write(&self, out: impl std::io::Write) -> Result<(), NmlError> {
        let trees = self.trees.iter().map(Leaving::as_ref).collect();
        let mut progress = check_signals;
        // What is stated wrongly is an error to whoever reads.
        let limits = Limits::from_environment().unwrap_or_default();
        let options = WriteOptions { progress: Some(&mut progress), limits, ..WriteOptions::default() };
        wkfast_nml::write_trees_of(self.header, trees, out, options)
    }

    /// About how long the text will be.
    pub(crate) fn size_hint(&self) -> u64 {
        4096 + self.trees.iter().map(|tree| tree.as_ref().rows()).sum::<usize>() as u64 * 256
    }
}
