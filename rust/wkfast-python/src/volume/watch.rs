//! Python's view of long work: its progress callback, and Ctrl-C.

use pyo3::prelude::*;
use wkfast_volume::{Result, VolumeError};

use crate::errors::CoreError;

/// Calls back on the calling thread. What Python raises ends the work and is kept.
pub(crate) struct Watch {
    progress: Option<Py<PyAny>>,
    told: Option<(u64, u64)>,
    raised: Option<PyErr>,
}

impl Watch {
    pub(crate) fn new(progress: Option<Bound<'_, PyAny>>) -> Self {
        Self { progress: progress.map(Bound::unbind), told: None, raised: None }
    }

    /// Lets Ctrl-C through and tells Python how much is done, if that has changed.
    pub(crate) fn tell(&mut self, done: u64, total: u64) -> Result<()> {
        let news = self.told.replace((done, total)) != Some((done, total));
        let told = Python::attach(|py| {
            py.check_signals()?;
            let progress = self.progress.as_ref().filter(|_| news);
            progress.map_or(Ok(()), |call| call.call1(py, (done, total)).map(drop))
        });
        told.map_err(|error| {
            self.raised = Some(error);
            VolumeError::Interrupted
        })
    }

    /// The outcome of the work, or what Python raised during it.
    pub(crate) fn outcome<T>(self, outcome: Result<T>) -> Result<T, CoreError> {
        match self.raised {
            Some(error) => Err(CoreError::Python(error)),
            None => Ok(outcome?),
        }
    }
}
