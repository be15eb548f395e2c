//! Files as Python handles them itself: metadata, read and replaced.

// pyo3 hands extracted arguments over by value.
#![allow(clippy::needless_pass_by_value)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use wkfast_files::DraftOptions;

use crate::errors::CoreError;
use crate::patience::attached;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Draft>()?;
    module.add_function(wrap_pyfunction!(read_metadata, module)?)?;
    module.add_function(wrap_pyfunction!(json_nests_deeper, module)?)?;
    module.add_function(wrap_pyfunction!(lies_plainly, module)?)
}

/// Metadata are small; this is far more than they need.
const MAX_METADATA: u64 = 64 << 20;

/// A small file as a whole, `None` if there is none.
#[pyfunction]
fn read_metadata(py: Python<'_>, path: PathBuf) -> Result<Option<Bound<'_, PyBytes>>, CoreError> {
    let content = py.detach(|| wkfast_files::read_small(&path, MAX_METADATA)).map_err(CoreError::metadata(&path))?;
    Ok(content.map(|bytes| PyBytes::new(py, &bytes)))
}

/// Whether more than `most` lists and objects lie in one another in a text that is JSON.
#[pyfunction]
fn json_nests_deeper(text: &[u8], most: usize) -> bool {
    wkfast_files::nests_deeper(text, most)
}

/// Whether a folder lies below another, and no link leads there.
#[pyfunction]
fn lies_plainly(py: Python<'_>, root: PathBuf, folder: PathBuf) -> bool {
    py.detach(|| wkfast_files::lies_plainly(&root, &folder))
}

/// A file under construction that nobody else constructs meanwhile, in this process or another.
#[pyclass(frozen, module = "wkfast._core")]
pub(crate) struct Draft {
    target: PathBuf,
    held: Mutex<Option<wkfast_files::Draft>>,
}

#[pymethods]
impl Draft {
    /// With `within`, a folder that `target` lies in, no link on the way from there is followed.
    #[new]
    #[pyo3(signature = (target, within=None))]
    fn new(py: Python<'_>, target: PathBuf, within: Option<PathBuf>) -> Result<Self, CoreError> {
        let locked = py.detach(|| match within {
            Some(within) => lock_within(&target, &within),
            None => lock(&target, &target),
        });
        let held = Mutex::new(Some(locked?));
        tell_of_missing_locks(py)?;
        Ok(Self { target, held })
    }

    /// Makes `content` the whole file.
    fn put(&self, py: Python<'_>, content: PyBackedBytes) -> Result<(), CoreError> {
        py.detach(|| self.replace_by(|held| held.put(&content))).map_err(CoreError::io(&self.target))
    }

    /// Puts a file that is complete in the target's place.
    fn put_file(&self, py: Python<'_>, whole: PathBuf, durable: bool) -> Result<(), CoreError> {
        let put = || self.replace_by(|held| held.put_file(&whole, durable));
        py.detach(put).map_err(CoreError::io(&self.target))
    }

    /// Gives the right up.
    fn release(&self, py: Python<'_>) {
        py.detach(|| drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}

impl Draft {
    fn replace_by(&self, put: impl FnOnce(&mut wkfast_files::Draft) -> io::Result<bool>) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Its folder was replaced, or it was put before.
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        if put(held.as_mut().ok_or_else(gone)?)? { Ok(()) } else { Err(gone()) }
    }
}

/// Warns, once in a process, that files lie where there are no locks.
pub(crate) fn tell_of_missing_locks(py: Python<'_>) -> PyResult<()> {
    let Some(path) = wkfast_files::locks_missing_at() else { return Ok(()) };
    let text = format!(
        "{}: the file system has no locks; writers there keep out of each other's way by files that are renewed, and one \
         that a killed machine leaves holds others up for a minute",
        path.display()
    );
    py.import("wkfast._warnings")?.call_method1("warn", (text,)).map(drop)
}

/// The right to replace `target`, which messages call `name`. Whoever has it is waited for, unless Ctrl-C ends that.
pub(crate) fn lock(target: &Path, name: &Path) -> Result<wkfast_files::Draft, CoreError> {
    waited_for(name, |asked| wkfast_files::Draft::lock_unless(target, DraftOptions::default(), asked))
}

/// [`lock`] of what is reached from `within` through no link.
fn lock_within(target: &Path, within: &Path) -> Result<wkfast_files::Draft, CoreError> {
    let (folder, name) = wkfast_files::Held::folder_of(target, within).map_err(CoreError::io(target))?;
    waited_for(target, |asked| wkfast_files::Draft::lock_in_unless(folder, name, DraftOptions::default(), asked))
}

fn waited_for(
    name: &Path,
    lock: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> io::Result<wkfast_files::Draft>,
) -> Result<wkfast_files::Draft, CoreError> {
    let mut raised = None;
    let locked = lock(&mut || {
        // The method itself is not general enough over lifetimes.
        #[allow(clippy::redundant_closure_for_method_calls)]
        let checked = attached(|py| py.check_signals());
        checked.map_err(|error| {
            raised = Some(error);
            io::ErrorKind::Interrupted.into()
        })
    });
    locked.map_err(|error| raised.map_or_else(|| CoreError::io(name)(error), CoreError::Python))
}
