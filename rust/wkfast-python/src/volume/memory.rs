//! How much memory there is, for Python.

use pyo3::prelude::*;
use wkfast_volume::work;

use crate::errors::CoreError;

/// Bytes that the control groups of this process allow it, if they set a limit.
#[pyfunction]
pub(crate) fn memory_limit() -> Option<u64> {
    work::memory_limit()
}

/// Bytes of requests that may be on their way at once, in one call.
#[pyfunction]
pub(crate) fn bytes_in_flight() -> Result<u64, CoreError> {
    Ok(work::bytes_in_flight()?)
}
