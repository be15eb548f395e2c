//! Python's view of long work: its progress callback, and Ctrl-C.

use pyo3::prelude::*;
use wkfast_volume::work::Progress;
use wkfast_volume::{Result, VolumeError};

use crate::errors::{CoreError, StopRequested};

/// Calls back on the calling thread. What Python raises ends the work and is kept; a `StopRequested` lets tasks under way
/// be finished, unless it comes again.
pub(crate) struct Watch {
    progress: Option<Py<PyAny>>,
    told: Option<Progress>,
    raised: Option<PyErr>,
}

impl Watch {
    pub(crate) fn new(progress: Option<Bound<'_, PyAny>>) -> Self {
        Self { progress: progress.map(Bound::unbind), told: None, raised: None }
    }

    /// Lets Ctrl-C through and tells Python how far the work is, if that has changed: tasks done and in all, bytes done and
    /// in all.
    pub(crate) fn tell(&mut self, now: Progress) -> Result<()> {
        let news = self.told.replace(now) != Some(now);
        let mut signalled = false;
        let told = Python::attach(|py| {
            py.check_signals().inspect_err(|_| signalled = true)?;
            let progress = self.progress.as_ref().filter(|_| news);
            let counts = (now.done, now.total, now.bytes_done, now.bytes_total);
            progress.map_or(Ok(()), |call| call.call1(py, counts).map(drop))
        });
        told.map_err(|error| {
            let may_finish = Python::attach(|py| error.is_instance_of::<StopRequested>(py)) && self.raised.is_none();
            self.raised = Some(error);
            if may_finish {
                return VolumeError::Enough;
            }
            if signalled {
                // A server may take long to answer whom nobody waits for any more.
                wkfast_objects::end_requests();
            }
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
