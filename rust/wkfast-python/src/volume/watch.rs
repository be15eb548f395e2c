//! Python's view of long work: its progress callback, and Ctrl-C.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use wkfast_volume::work::Progress;
use wkfast_volume::{Result, VolumeError};

use crate::errors::{CoreError, StopRequested};
use crate::patience::{attached, away_unless};

/// Whether what was raised lets tasks under way be finished.
fn is_stop(raised: &PyErr) -> bool {
    Python::attach(|py| raised.is_instance_of::<StopRequested>(py))
}

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
        let told = attached(|py| {
            py.check_signals().inspect_err(|_| signalled = true)?;
            let progress = self.progress.as_ref().filter(|_| news);
            let counts = (now.done, now.total, now.bytes_done, now.bytes_total);
            progress.map_or(Ok(()), |call| call.call1(py, counts).map(drop))
        });
        told.map_err(|error| {
            let stopped = self.stop(error);
            if signalled && matches!(stopped, VolumeError::Interrupted) {
                // A server may take long to answer whom nobody waits for any more.
                wkfast_objects::end_requests();
            }
            stopped
        })
    }

    /// Keeps what was raised, and tells how the work ends for it.
    fn stop(&mut self, raised: PyErr) -> VolumeError {
        let may_finish = self.raised.is_none() && is_stop(&raised);
        self.raised = Some(raised);
        if may_finish { VolumeError::Enough } else { VolumeError::Interrupted }
    }

    /// What `work` returns, which calls its argument now and then. It runs where signals are not seen, so they are looked
    /// for here: work that waits for a server is left at once, unless it is only asked to begin nothing more.
    pub(crate) fn away<T: Send>(
        mut self,
        py: Python<'_>,
        work: impl FnOnce(&mut (dyn FnMut(Progress) -> Result<()> + Send)) -> Result<T> + Send,
    ) -> Result<T, CoreError> {
        let enough = Mutex::new(None);
        let kept = || enough.lock().unwrap_or_else(PoisonError::into_inner);
        let heed = |raised: PyErr| {
            let mut kept = kept();
            if kept.is_some() || !is_stop(&raised) {
                return Err(raised);
            }
            *kept = Some(raised);
            Ok(())
        };
        let done = away_unless(py, heed, || {
            work(&mut |now| match kept().as_ref().map(|raised| Python::attach(|py| raised.clone_ref(py))) {
                Some(raised) if self.raised.is_none() => Err(self.stop(raised)),
                _ => self.tell(now),
            })
        })?;
        self.outcome(done)
    }

    /// The outcome of the work, or what Python raised during it.
    pub(crate) fn outcome<T>(self, outcome: Result<T>) -> Result<T, CoreError> {
        match self.raised {
            Some(error) => Err(CoreError::Python(error)),
            None => Ok(outcome?),
        }
    }
}
