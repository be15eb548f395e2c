//! Objects in buckets and on servers of files for Python.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wkfast_objects::ObjectFiles;
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

    fn size(&self, py: Python<'_>, key: &str) -> Result<Option<u64>, CoreError> {
        Ok(away(py, || self.0.size(key))??)
    }
}
