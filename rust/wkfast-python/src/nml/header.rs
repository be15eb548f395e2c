//! Everything of a file but its trees, between Rust and Python: nested dicts, and lists that stay as they are until somebody
//! looks into them.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pythonize::depythonize;
use wkfast_nml::model::{Header, Segment, StrayBranchpoint, StrayComment};
use wkfast_nml::{Pack, PackedList};

use super::document::to_record;

/// A list of records, each made when it is asked for.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct PackedRecords(Records);

enum Records {
    Segments(PackedList<Segment>),
    Branchpoints(PackedList<StrayBranchpoint>),
    Comments(PackedList<StrayComment>),
}

impl Records {
    fn len(&self) -> usize {
        match self {
            Self::Segments(list) => list.len(),
            Self::Branchpoints(list) => list.len(),
            Self::Comments(list) => list.len(),
        }
    }

    /// The record that begins at a byte, and where the next one begins.
    fn at(&self, py: Python<'_>, byte: usize) -> PyResult<Option<(Py<PyAny>, usize)>> {
        match self {
            Self::Segments(list) => record_at(py, list, byte),
            Self::Branchpoints(list) => record_at(py, list, byte),
            Self::Comments(list) => record_at(py, list, byte),
        }
    }
}

fn record_at<T: Pack + serde::Serialize>(
    py: Python<'_>,
    list: &PackedList<T>,
    byte: usize,
) -> PyResult<Option<(Py<PyAny>, usize)>> {
    list.at(byte).map(|(item, next)| Ok((to_record(py, &item)?, next))).transpose()
}

#[pymethods]
impl PackedRecords {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __iter__(slf: Py<Self>) -> RecordIterator {
        RecordIterator { records: slf, byte: 0.into() }
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let other = other.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        self.all(py)?.eq(PyList::new(py, other)?)
    }

    /// They do not change.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    /// As a plain list, of records that are not too deep for pickles.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyList>,))> {
        let (kept, list) = (kept(py)?, PyList::empty(py));
        for record in self.all(py)? {
            list.append(kept.call1((record,))?)?;
        }
        Ok((py.get_type::<PyList>().into_any(), (list,)))
    }
}

impl PackedRecords {
    fn all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let (list, mut byte) = (PyList::empty(py), 0);
        while let Some((record, next)) = self.0.at(py, byte)? {
            list.append(record)?;
            byte = next;
        }
        Ok(list)
    }
}

/// What makes a record that nests deep one that pickles do not fail on.
pub(super) fn kept(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("wkfast.records")?.getattr("kept")
}

/// Yields the records one by one.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct RecordIterator {
    records: Py<PackedRecords>,
    byte: AtomicUsize,
}

#[pymethods]
impl RecordIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some((record, next)) = self.records.bind(py).get().0.at(py, self.byte.load(Relaxed))? else {
            return Ok(None);
        };
        self.byte.store(next, Relaxed);
        Ok(Some(record))
    }
}

/// A header as nested dicts. Lists that may be long are no lists of dicts.
pub(crate) fn header_record(py: Python<'_>, mut header: Header) -> PyResult<Py<PyAny>> {
    let segments: Vec<_> = header.volumes.iter_mut().map(|volume| std::mem::take(&mut volume.segments)).collect();
    let branchpoints = std::mem::take(&mut header.stray_branchpoints);
    let comments = std::mem::take(&mut header.stray_comments);
    let record = to_record(py, &header)?.into_bound(py);
    for (number, list) in segments.into_iter().enumerate() {
        set_list(&record.get_item("volumes")?.get_item(number)?, "segments", Records::Segments(list))?;
    }
    set_list(&record, "stray_branchpoints", Records::Branchpoints(branchpoints))?;
    set_list(&record, "stray_comments", Records::Comments(comments))?;
    Ok(record.unbind())
}

fn set_list(record: &Bound<'_, PyAny>, name: &str, list: Records) -> PyResult<()> {
    if list.len() == 0 {
        return Ok(());
    }
    record.set_item(name, Bound::new(record.py(), PackedRecords(list))?)
}

/// The header that nested dicts are, with lists of either kind.
pub(crate) fn header_of(record: &Bound<'_, PyAny>) -> PyResult<Header> {
    let record = record.cast::<PyDict>()?.copy()?;
    let volumes = PyList::empty(record.py());
    let mut segments = Vec::new();
    for volume in record.as_any().get_item("volumes")?.try_iter()? {
        let volume = volume?.cast::<PyDict>()?.copy()?;
        segments.push(take_list(&volume, "segments")?);
        volumes.append(volume)?;
    }
    record.set_item("volumes", volumes)?;
    let (branchpoints, comments) = (take_list(&record, "stray_branchpoints")?, take_list(&record, "stray_comments")?);
    let mut header: Header = depythonize(record.as_any())?;
    for (volume, list) in header.volumes.iter_mut().zip(segments) {
        if let Some(Records::Segments(list)) = list.as_ref().map(|list| &list.get().0) {
            volume.segments = list.clone();
        }
    }
    if let Some(Records::Branchpoints(list)) = branchpoints.as_ref().map(|list| &list.get().0) {
        header.stray_branchpoints = list.clone();
    }
    if let Some(Records::Comments(list)) = comments.as_ref().map(|list| &list.get().0) {
        header.stray_comments = list.clone();
    }
    Ok(header)
}

/// The packed list with a name, which an empty one replaces; `None` if it is a plain one.
fn take_list<'py>(record: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PackedRecords>>> {
    let Some(list) = record.get_item(name)?.and_then(|list| list.cast_into::<PackedRecords>().ok()) else {
        return Ok(None);
    };
    record.set_item(name, PyList::empty(record.py()))?;
    Ok(Some(list))
}
