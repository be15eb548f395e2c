//! Ids between Rust and Python, quick for those that fit in 64 bits.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::PyInt;
use wkfast_nml::model::Id;

/// An id as Python sees it: an int, or anything with `__index__`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PyId(pub(crate) Id);

impl<'py> FromPyObject<'_, 'py> for PyId {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        value.extract::<i64>().map(Id::from).or_else(|_| value.extract::<i128>()).map(Self)
    }
}

impl<'py> IntoPyObject<'py> for PyId {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        match i64::try_from(self.0) {
            Ok(id) => id.into_pyobject(py),
            Err(_) => self.0.into_pyobject(py),
        }
    }
}
