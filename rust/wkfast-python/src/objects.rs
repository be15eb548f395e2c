//! Objects in buckets and on servers of files for Python.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wkfast_objects::{Access, ObjectFiles};
use wkfast_volume::Result as Done;
use wkfast_volume::store::{self, Address, BucketStore, ReadStore, SharedStore, Version};
use wkfast_volume::work::{ObjectLease, Taken, Term};

use crate::errors::CoreError;
use crate::patience::away;
use crate::volume::watch::Watch;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    store::open_addresses_with(wkfast_objects::open);
    module.add_class::<PyObjects>()?;
    module.add_class::<PyObjectLease>()?;
    module.add_function(wrap_pyfunction!(hold_access, module)?)?;
    module.add_function(wrap_pyfunction!(tells_absence, module)?)?;
    module.add_function(wrap_pyfunction!(end_requests, module)?)
}

/// Whether the words of a data store that has not found something mean that nothing is stored there.
#[pyfunction]
fn tells_absence(said: &str) -> bool {
    wkfast_objects::tells_absence(said)
}

/// End all requests of this process that are under way.
#[pyfunction]
fn end_requests() {
    wkfast_objects::end_requests();
}

/// Hold what reaches a data store and return a handle for it, which means nothing to other processes.
#[pyfunction]
#[pyo3(signature = (token, sharing_token, seconds, certificates=None))]
fn hold_access(
    token: Option<String>,
    sharing_token: Option<String>,
    seconds: f64,
    certificates: Option<PathBuf>,
) -> String {
    let total = Duration::try_from_secs_f64(seconds).ok();
    wkfast_objects::hold(Access { token, sharing_token, total, certificates })
}

/// A folder of objects. The first request connects.
#[pyclass(frozen, name = "Objects", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyObjects(Arc<ObjectFiles>);

/// Tag and number of a [`Version`].
type PyVersion = (Option<String>, Option<String>);

fn to_python(version: Version) -> PyVersion {
    (version.tag, version.number)
}

impl PyObjects {
    fn shared(&self) -> SharedStore {
        self.0.clone()
    }

    fn bucket(&self, key: &str) -> Done<&dyn BucketStore> {
        store::bucket_of(&*self.0, key)
    }
}

#[pymethods]
impl PyObjects {
    #[new]
    #[pyo3(signature = (url, options=BTreeMap::new()))]
    fn new(url: String, options: BTreeMap<String, String>) -> Result<Self, CoreError> {
        Ok(Self(Arc::new(ObjectFiles::open(Address { url, options })?)))
    }

    fn endpoint(&self) -> Option<String> {
        self.0.endpoint()
    }

    fn read<'py>(&self, py: Python<'py>, key: &str, limit: u64) -> Result<Option<Bound<'py, PyBytes>>, CoreError> {
        let read = away(py, || self.0.read(key, limit))??;
        Ok(read.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn read_all<'py>(
        &self,
        py: Python<'py>,
        keys: Vec<String>,
        limit: u64,
    ) -> Result<Vec<Option<Bound<'py, PyBytes>>>, CoreError> {
        let read = away(py, move || store::read_whole(&*self.0, &keys, limit))??;
        Ok(read.into_iter().map(|found| found.map(|bytes| PyBytes::new(py, &bytes))).collect())
    }

    fn size(&self, py: Python<'_>, key: &str) -> Result<Option<u64>, CoreError> {
        Ok(away(py, || self.0.size(key))??)
    }

    fn state(&self, py: Python<'_>, key: &str) -> Result<Option<String>, CoreError> {
        Ok(away(py, || self.0.stamp(key))??.map(|stamp| stamp.to_string()))
    }

    fn read_version<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        limit: u64,
    ) -> Result<Option<(Bound<'py, PyBytes>, PyVersion)>, CoreError> {
        let read = away(py, || self.bucket(key)?.read_version(key, limit))??;
        Ok(read.map(|(bytes, version)| (PyBytes::new(py, &bytes), to_python(version))))
    }

    fn put(&self, py: Python<'_>, key: &str, content: Vec<u8>) -> Result<(), CoreError> {
        Ok(away(py, || self.bucket(key)?.put(key, content))??)
    }

    /// Makes what a file of this machine holds the object, sent in parts.
    fn put_file(&self, py: Python<'_>, key: &str, file: PathBuf) -> Result<u64, CoreError> {
        let send = move || -> Result<u64, CoreError> {
            let mut content = File::open(&file).map_err(CoreError::io(&file))?;
            let mut upload = self.bucket(key)?.upload(key)?;
            let name = PathBuf::from(upload.name());
            io::copy(&mut content, &mut upload).map_err(CoreError::io(&name))?;
            upload.finish().map_err(CoreError::io(&name))
        };
        away(py, send)?
    }

    /// Writes the object into a file of this machine, in the state that it has now. Its bytes; `None` if there is none.
    fn fetch(&self, py: Python<'_>, key: &str, file: PathBuf) -> Result<Option<u64>, CoreError> {
        let fetched = away(py, move || store::fetch(&*self.0, key, &file, || File::create(&file)))??;
        Ok(fetched.map(|(_, bytes)| bytes))
    }

    #[pyo3(signature = (key, content, version=None))]
    fn put_if(
        &self,
        py: Python<'_>,
        key: &str,
        content: Vec<u8>,
        version: Option<PyVersion>,
    ) -> Result<Option<PyVersion>, CoreError> {
        let expected = version.map(|(tag, number)| Version { tag, number });
        Ok(away(py, || self.bucket(key)?.put_if(key, content, expected.as_ref()))??.map(to_python))
    }

    fn remove(&self, py: Python<'_>, keys: Vec<String>) -> Result<(), CoreError> {
        Ok(away(py, move || self.bucket("")?.remove(&keys))??)
    }

    /// The lease, and whether it took the place of one that was over; `None` where somebody else has it.
    fn take_lease(
        &self,
        py: Python<'_>,
        key: &str,
        renewal: f64,
        silence: f64,
    ) -> Result<Option<(PyObjectLease, bool)>, CoreError> {
        let (store, term) = (self.shared(), Term { renewal: seconds(renewal), silence: seconds(silence) });
        let taken = Watch::new(None).away(py, |tell| ObjectLease::take(&store, key, term, tell))?;
        Ok(match taken {
            Taken::Lease(lease, was_left) => Some((PyObjectLease(Mutex::new(Some(lease))), was_left)),
            Taken::Busy(_) => None,
        })
    }

    /// Whether there is one that is over; `None` if there is none.
    fn is_lease_over(&self, py: Python<'_>, key: &str, silence: f64) -> Result<Option<bool>, CoreError> {
        let store = self.shared();
        Watch::new(None).away(py, |tell| ObjectLease::is_over(&store, key, seconds(silence), tell))
    }

    fn list(&self, py: Python<'_>, prefix: &str) -> Result<Vec<(String, u64)>, CoreError> {
        let listed = away(py, || store::list(&*self.0, prefix))??;
        Ok(listed.into_iter().map(|entry| (entry.key, entry.size)).collect())
    }

    fn copy_from(&self, py: Python<'_>, source: &Self, key: &str, size: u64, to: &str) -> Result<bool, CoreError> {
        Ok(away(py, || self.bucket(to)?.copy_from(&*source.0, key, size, to))??)
    }
}

/// An object that this process renews.
#[pyclass(frozen, name = "ObjectLease", module = "wkfast._core")]
pub(crate) struct PyObjectLease(Mutex<Option<ObjectLease>>);

impl PyObjectLease {
    fn held(&self) -> MutexGuard<'_, Option<ObjectLease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyObjectLease {
    fn is_own(&self, py: Python<'_>) -> Result<bool, CoreError> {
        let own = || -> Done<bool> {
            let held = self.held();
            let Some(lease) = held.as_ref() else { return Ok(false) };
            Ok(lease.taken_by()?.is_none())
        };
        Ok(away(py, own)??)
    }

    fn finish(&self, py: Python<'_>) {
        let held = self.held().take();
        py.detach(|| held.map(ObjectLease::finish));
    }

    fn end(&self, py: Python<'_>) {
        let held = self.held().take();
        py.detach(|| drop(held));
    }
}

impl Drop for PyObjectLease {
    fn drop(&mut self) {
        Python::attach(|py| self.end(py));
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}
