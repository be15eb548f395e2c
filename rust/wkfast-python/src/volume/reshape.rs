//! One mag made out of another, run from Python.

use std::num::NonZeroUsize;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pythonize::{depythonize, pythonize};
use wkfast_volume::reshape::{self, Job, Progress, Summary};
use wkfast_volume::{Result, VolumeError};

use super::threads::thread_count;
use crate::errors::CoreError;

/// A mag about to be made out of another: both are open, shards are listed.
#[pyclass(frozen, name = "Reshape", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyReshape {
    job: Job,
}

#[pymethods]
impl PyReshape {
    #[new]
    fn new(py: Python<'_>, spec: &Bound<'_, PyDict>) -> Result<Self, CoreError> {
        let spec: reshape::Reshape =
            depythonize(spec).map_err(|error| VolumeError::Mismatch(format!("what to reshape: {error}")))?;
        let job = py.detach(|| Job::open(&spec))?;
        Ok(Self { job })
    }

    #[getter]
    fn shard_count(&self) -> usize {
        self.job.shards().len()
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
        let progress = progress.map(Bound::unbind);
        let shards = shards.map_or(0..self.job.shards().len(), |(start, end)| start..end);
        let summary = py.detach(|| -> Result<Summary, CoreError> {
            let (mut raised, mut told) = (None, None);
            let mut observer = |now: Progress| {
                let news = progress.as_ref().filter(|_| told.replace(now) != Some(now));
                watch(now, news, &mut raised)
            };
            let ran = reshape::run(&self.job, shards, threads, &mut observer);
            raised.map_or_else(|| Ok(ran?), |error| Err(CoreError::Python(error)))
        })?;
        Ok(pythonize(py, &summary).map_err(PyErr::from)?)
    }

    fn __repr__(&self) -> String {
        format!("Reshape({} shards)", self.job.shards().len())
    }
}

/// Lets Ctrl-C through and tells Python how far the run is. What Python raises ends the run and is kept.
fn watch(now: Progress, progress: Option<&Py<PyAny>>, raised: &mut Option<PyErr>) -> Result<()> {
    Python::attach(|py| {
        py.check_signals()?;
        progress.map_or(Ok(()), |call| call.call1(py, (now.done, now.total)).map(drop))
    })
    .map_err(|error| {
        *raised = Some(error);
        VolumeError::Interrupted
    })
}

/// Puts the folder `new` in the place of `old`, which then lies where `new` was, if there was one.
#[pyfunction]
pub(crate) fn exchange_folders(
    py: Python<'_>,
    new: std::path::PathBuf,
    old: std::path::PathBuf,
) -> Result<(), CoreError> {
    Ok(py.detach(move || reshape::exchange_folders(&new, &old))?)
}
