//! Statistics of segments for Python.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyDict, PyTuple};
use pythonize::depythonize;
use wkfast_volume::VolumeError;
use wkfast_volume::statistics::{self, CountJob, CountedBlock, Request, Row, Table};
use wkfast_volume::voxels::VoxelType;
use wkfast_volume::with_voxel_type;

use super::threads::thread_count;
use super::watch::Watch;
use crate::errors::CoreError;
use crate::patience::patiently;

/// Statistics of segments by their id; tables of parts are added.
#[pyclass(name = "SegmentTable", module = "wkfast._core", frozen)]
pub(crate) struct PySegmentTable(Mutex<Table>);

impl PySegmentTable {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PySegmentTable {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds another table.
    fn merge(&self, py: Python<'_>, other: &Self) {
        let other = other.table().clone();
        py.detach(|| self.table().merge(other));
    }

    /// Adds an array (x, y, z) in Fortran order whose first voxel lies at `topleft`.
    fn add(&self, py: Python<'_>, voxels: &Bound<'_, PyAny>, topleft: [u64; 3]) -> Result<(), CoreError> {
        let name: String = voxels.getattr("dtype")?.getattr("name")?.extract()?;
        let voxel_type = VoxelType::from_name(&name)
            .ok_or_else(|| VolumeError::Mismatch(format!("voxels of {name} are no labels")))?;
        with_voxel_type!(voxel_type, T => self.add_typed::<T>(py, voxels, voxel_type, topleft))
    }

    fn __len__(&self) -> usize {
        self.table().len()
    }

    /// Ids as 64 bits, voxels, first and last voxels, and means of the coordinates, in the order of ids.
    #[allow(clippy::type_complexity)]
    fn columns<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<
        (
            Bound<'py, PyArray1<u64>>,
            Bound<'py, PyArray1<u64>>,
            Bound<'py, PyArray2<u64>>,
            Bound<'py, PyArray2<u64>>,
            Bound<'py, PyArray2<f64>>,
        ),
        CoreError,
    > {
        let rows = py.detach(|| self.table().sorted());
        let triples = |of: fn(&Row) -> [u64; 3]| {
            let flat: Vec<u64> = rows.iter().flat_map(|(_, row)| of(row)).collect();
            PyArray1::from_vec(py, flat).reshape([rows.len(), 3])
        };
        let centres: Vec<f64> = rows.iter().flat_map(|(_, row)| centre(row)).collect();
        Ok((
            PyArray1::from_vec(py, rows.iter().map(|row| row.0).collect()),
            PyArray1::from_vec(py, rows.iter().map(|row| row.1.voxels).collect()),
            triples(|row| row.low)?,
            triples(|row| row.high)?,
            PyArray1::from_vec(py, centres).reshape([rows.len(), 3])?,
        ))
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> Result<Self, CoreError> {
        let rows: Vec<(u64, Row)> = ciborium::from_reader(bytes)
            .map_err(|error| PyValueError::new_err(format!("no segment table: {error}")))?;
        Ok(Self(Mutex::new(Table::of(rows))))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, CoreError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(&self.table().sorted(), &mut bytes)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Result<(Bound<'py, PyAny>, Bound<'py, PyTuple>), CoreError> {
        let py = slf.py();
        Ok((slf.get_type().getattr("from_bytes")?, PyTuple::new(py, [slf.get().to_bytes(py)?])?))
    }
}

impl PySegmentTable {
    fn add_typed<T: Element + bytemuck::Pod>(
        &self,
        py: Python<'_>,
        voxels: &Bound<'_, PyAny>,
        voxel_type: VoxelType,
        topleft: [u64; 3],
    ) -> Result<(), CoreError> {
        let held: PyReadonlyArray3<'_, T> = voxels.extract().map_err(PyErr::from)?;
        if !held.is_fortran_contiguous() {
            return Err(PyValueError::new_err("expected an array (x, y, z) in Fortran order").into());
        }
        let &[x, y, z] = held.shape() else { return Err(PyValueError::new_err("not three axes").into()) };
        let bytes: &[u8] = bytemuck::cast_slice(held.as_slice().map_err(PyErr::from)?);
        let block = CountedBlock::whole([x, y, z], topleft);
        Ok(py.detach(|| statistics::add(&mut self.table(), voxel_type, bytes, &block))?)
    }
}

/// The mean of the coordinates: whole and remainder apart, so that sums beyond 2⁵³ lose nothing.
fn centre(row: &Row) -> [f64; 3] {
    row.sum.map(|sum| {
        let voxels = u128::from(row.voxels.max(1));
        (sum / voxels) as f64 + (sum % voxels) as f64 / voxels as f64
    })
}

/// A mag about to be counted: it is open, shards are listed.
#[pyclass(frozen, name = "Statistics", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyStatistics {
    job: CountJob,
}

#[pymethods]
impl PyStatistics {
    #[new]
    fn new(py: Python<'_>, spec: &Bound<'_, PyDict>) -> Result<Self, CoreError> {
        let request: Request =
            depythonize(spec).map_err(|error| VolumeError::Mismatch(format!("what to count: {error}")))?;
        Ok(Self { job: patiently(py, move |_| CountJob::open(&request))?? })
    }

    #[getter]
    fn shard_count(&self) -> usize {
        self.job.shards().len()
    }

    #[getter]
    fn shard_bytes(&self) -> u64 {
        self.job.shard_bytes()
    }

    #[pyo3(signature = (shards=None, *, threads=None, progress=None))]
    fn run(
        &self,
        py: Python<'_>,
        shards: Option<(usize, usize)>,
        threads: Option<NonZeroUsize>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> Result<PySegmentTable, CoreError> {
        let threads = thread_count(threads)?;
        let shards = shards.map_or(0..self.job.shards().len(), |(start, end)| start..end);
        let mut watch = Watch::new(progress);
        let ran = py.detach(|| statistics::run(&self.job, shards, threads, &mut |now| watch.tell(now)));
        Ok(PySegmentTable(Mutex::new(watch.outcome(ran)?)))
    }
}
