//! Objects in buckets and on servers of files for Python.

use std::collections::BTreeMap;
use std::io::Write;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wkfast_objects::ObjectFiles;
use wkfast_volume::VolumeError;
use wkfast_volume::store::{self, Address, ReadStore};

use crate::errors::CoreError;
use crate::patience::away;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    store::open_addresses_with(wkfast_objects::open);
    module.add_class::<PyObjects>()
}

/// A folder of objects. The first request connects.
#[pyclass(frozen, name = "Objects", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyObjects(ObjectFiles);

#[pymethods]
impl PyObjects {
    #[new]
    #[pyo3(signature = (url, options=BTreeMap::new()))]
    fn new(url: String, options: BTreeMap<String, String>) -> Result<Self, CoreError> {
        Ok(Self(ObjectFiles::open(Address { url, options })?))
    }

    fn read<'py>(&self, py: Python<'py>, key: &str, limit: u64) -> Result<Option<Bound<'py, PyBytes>>, CoreError> {
        let read = away(py, || self.0.read(key, limit))??;
        Ok(read.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn read_range<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        start: u64,
        end: u64,
    ) -> Result<Bound<'py, PyBytes>, CoreError> {
        let bytes = away(py, || self.0.read_range(key, start..end))??;
        Ok(PyBytes::new(py, &bytes))
    }

    fn size(&self, py: Python<'_>, key: &str) -> Result<Option<u64>, CoreError> {
        Ok(away(py, || self.0.size(key))??)
    }

    fn list(&self, py: Python<'_>, prefix: &str) -> Result<Vec<(String, u64)>, CoreError> {
        let listed = away(py, || store::list(&self.0, prefix))??;
        Ok(listed.into_iter().map(|entry| (entry.key, entry.size)).collect())
    }

    fn write(&self, py: Python<'_>, key: &str, data: &[u8]) -> Result<(), CoreError> {
        let put = || {
            let Some(writer) = self.0.writer() else {
                let what = "cannot be written: files on a server are only read".to_owned();
                return Err(VolumeError::Unsupported { file: self.0.describe(key), what });
            };
            let mut file = writer.replace(key, data.len())?;
            let fault = |error| VolumeError::io(self.0.describe(key), error);
            file.write_all(data).map_err(fault)?;
            file.place().map_err(fault)?;
            Ok(())
        };
        Ok(away(py, put)??)
    }
}
