//! One mag made out of another, run from Python.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::{depythonize, pythonize};
use wkfast_volume::VolumeError;
use wkfast_volume::reshape::{self, ReshapeJob};

use super::function::UserFunction;
use super::threads::thread_count;
use super::watch::Watch;
use crate::errors::CoreError;
use crate::patience::{Stop, patiently, patiently_if};

/// A mag about to be made out of another: both are open, shards are listed.
#[pyclass(frozen, name = "Reshape", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyReshape {
    job: ReshapeJob,
}

#[pymethods]
impl PyReshape {
    #[new]
    #[pyo3(signature = (spec, *, function=None, address=None))]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PyDict>,
        function: Option<Py<PyAny>>,
        address: Option<usize>,
    ) -> Result<Self, CoreError> {
        let spec: reshape::Reshape =
            depythonize(spec).map_err(|error| VolumeError::Mismatch(format!("what to reshape: {error}")))?;
        let function = function.map(|python| UserFunction { python, address });
        let open = move |_: &Stop| match function {
            Some(function) => ReshapeJob::apply(&spec, |source, target| function.of_chunks(source, target)),
            None => ReshapeJob::open(&spec),
        };
        Ok(Self { job: patiently(py, open)?? })
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
    fn run<'py>(
        &self,
        py: Python<'py>,
        shards: Option<(usize, usize)>,
        threads: Option<NonZeroUsize>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let threads = thread_count(threads)?;
        let shards = shards.map_or(0..self.job.shards().len(), |(start, end)| start..end);
        let mut watch = Watch::new(progress);
        let ran = py.detach(|| reshape::run(&self.job, shards, threads, &mut |now| watch.tell(now)));
        Ok(pythonize(py, &watch.outcome(ran)?).map_err(PyErr::from)?)
    }

    fn __repr__(&self) -> String {
        format!("Reshape({} shards)", self.job.shards().len())
    }
}

/// Puts the folder `new` in the place of `old`, which then lies where `new` was, if there was one; both lie in `within`.
#[pyfunction]
#[pyo3(signature = (new, old, within=None))]
pub(crate) fn exchange_folders(
    py: Python<'_>,
    new: PathBuf,
    old: PathBuf,
    within: Option<PathBuf>,
) -> Result<(), CoreError> {
    Ok(py.detach(move || reshape::exchange_folders(&new, &old, within.as_deref()))?)
}

/// Gives a folder its name back that [`exchange_folders`] was killed at taking away. Whether there is one in the end.
#[pyfunction]
#[pyo3(signature = (folder, within=None))]
pub(crate) fn restore_folder(py: Python<'_>, folder: PathBuf, within: Option<PathBuf>) -> Result<bool, CoreError> {
    Ok(py.detach(move || reshape::restore_folder(&folder, within.as_deref()))?)
}

/// Removes a folder with all in it, whoever still has files in it open. After Ctrl-C the rest of it, whose name is free
/// by then, goes on being removed.
#[pyfunction]
#[pyo3(signature = (folder, within=None))]
pub(crate) fn remove_folder(py: Python<'_>, folder: PathBuf, within: Option<PathBuf>) -> Result<(), CoreError> {
    let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir());
    Ok(patiently_if(py, is_folder, move |_| wkfast_volume::work::remove_folder(&folder, within.as_deref()))??)
}
