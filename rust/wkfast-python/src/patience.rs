//! Long work that Ctrl-C can leave, whatever it is busy with.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping};
use pythonize::{PythonizeMappingType, PythonizeTypes, PythonizeUnnamedMappingAdapter};
use serde::Serialize;

/// How long a signal waits at most for Python to see it.
pub(crate) const LOOK: Duration = Duration::from_millis(30);

/// What `look` makes of Python, for work that is detached from it. Where the interpreter has ended meanwhile, the thread waits for the
/// end of the process: there is nothing that it could go back to, and to attach to it is to crash.
pub(crate) fn attached<T>(look: impl FnOnce(Python<'_>) -> T) -> T {
    Python::try_attach(look).unwrap_or_else(|| {
        loop {
            std::thread::park();
        }
    })
}

/// Bytes of a file that is read in a moment, whatever it is: a zip of so many holds 32 MB at most.
pub(crate) const SOON_READ: usize = 32 << 10;

/// Tells work that nobody waits for it any more.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error once the work is not wanted any more. It reaches nobody: whoever waited has left.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_asked() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// What `work` returns, or what a signal's handler raises meanwhile: then the work is told to stop, and left alone. It
/// runs on a thread of its own, so it must change nothing that it may not finish changing later.
pub(crate) fn patiently<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> PyResult<T> {
    let stop = Stop::default();
    let made = Arc::new(Mutex::new(None));
    let (theirs, slot) = (stop.clone(), Arc::clone(&made));
    let worked: Box<dyn FnOnce() + Send> = Box::new(move || {
        let result = work(&theirs);
        // Nobody takes it where the caller has left.
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    });
    worked_patiently(py, &stop, worked)?;
    let result = made.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(result.ok_or_else(no_result)?)
}

/// [`patiently`] for work that puts its result somewhere itself: one piece of code for results of all types.
fn worked_patiently(py: Python<'_>, stop: &Stop, work: Box<dyn FnOnce() + Send>) -> PyResult<()> {
    let (sender, mut done) = sync_channel(1);
    let worker = Builder::new().name("wkfast-work".to_owned()).spawn(move || {
        work();
        let _ = sender.send(());
    })?;
    loop {
        match receive(py, &mut done) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| stop.ask())?,
            Err(RecvTimeoutError::Disconnected) => return Err(died(worker)),
        }
    }
}

/// [`patiently`] where the work is `large`; what is over at once needs no thread.
pub(crate) fn patiently_if<T: Send + 'static>(
    py: Python<'_>,
    large: bool,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> PyResult<T> {
    if large { patiently(py, work) } else { Ok(py.detach(|| work(&Stop::default()))) }
}

/// What `work` returns, which asks servers, or what a signal's handler raises meanwhile: then its requests are ended, and
/// with them all others of this process.
pub(crate) fn away<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    away_unless(py, Err, work)
}

/// [`away`], where `heed` decides what becomes of what a signal's handler raises: what it returns as well, or nothing yet.
pub(crate) fn away_unless<T: Send>(
    py: Python<'_>,
    mut heed: impl FnMut(PyErr) -> PyResult<()>,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    let mut made = None;
    let slot = &mut made;
    worked_away(py, &mut heed, Box::new(move || *slot = Some(work())))?;
    Ok(made.ok_or_else(no_result)?)
}

/// [`away_unless`] for work that puts its result somewhere itself: one piece of code for results of all types.
fn worked_away(
    py: Python<'_>,
    mut heed: &mut dyn FnMut(PyErr) -> PyResult<()>,
    work: Box<dyn FnOnce() + Send + '_>,
) -> PyResult<()> {
    std::thread::scope(|scope| {
        let (sender, mut done) = sync_channel(1);
        let worker = Builder::new().name("wkfast-away".to_owned()).spawn_scoped(scope, move || {
            work();
            // Nobody takes it where a signal came first.
            let _ = sender.send(());
        })?;
        loop {
            match receive(py, &mut done) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => py.check_signals().or_else(&mut heed).inspect_err(|_| {
                    // What has not begun is not ended, so it is ended until all is over.
                    loop {
                        wkfast_objects::end_requests();
                        if !matches!(receive(py, &mut done), Err(RecvTimeoutError::Timeout)) {
                            break;
                        }
                    }
                })?,
                Err(RecvTimeoutError::Disconnected) => match py.detach(|| worker.join()) {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(()) => return Err(no_result().into()),
                },
            }
        }
    })
}

/// [`away`] where the work is `far`; near work needs no thread.
pub(crate) fn away_if<T: Send>(py: Python<'_>, far: bool, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if far { away(py, work) } else { Ok(py.detach(work)) }
}

fn receive(py: Python<'_>, done: &mut Receiver<()>) -> Result<(), RecvTimeoutError> {
    py.detach(move || done.recv_timeout(LOOK))
}

/// The panic of a thread that ended without a result.
fn died(worker: JoinHandle<()>) -> PyErr {
    match worker.join() {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(()) => no_result().into(),
    }
}

fn no_result() -> io::Error {
    io::Error::other("a thread ended without a result")
}

/// [`pythonize::pythonize`] for what may be large: signals are looked for between its parts.
pub(crate) fn pythonize<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize::pythonize_custom::<Interruptible, _>(py, value)?)
}

/// The types of Python's that records become.
struct Interruptible;

impl PythonizeTypes for Interruptible {
    type Map = CheckedDict;
    type NamedMap = PythonizeUnnamedMappingAdapter<CheckedDict>;
    type List = PyList;
}

/// A dict; whoever begins one looks for signals.
struct CheckedDict;

impl PythonizeMappingType for CheckedDict {
    type Builder<'py> = Bound<'py, PyDict>;

    fn builder(py: Python<'_>, _: Option<usize>) -> PyResult<Self::Builder<'_>> {
        py.check_signals()?;
        Ok(PyDict::new(py))
    }

    fn push_item<'py>(
        builder: &mut Self::Builder<'py>,
        key: Bound<'py, PyAny>,
        value: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        builder.set_item(key, value)
    }

    fn finish(builder: Self::Builder<'_>) -> PyResult<Bound<'_, PyMapping>> {
        Ok(builder.into_mapping())
    }
}
