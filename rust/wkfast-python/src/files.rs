//! Files as Python reads them itself: metadata.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::CoreError;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_metadata, module)?)
}

/// Metadata are small; this is far more than they need.
const MAX_METADATA: u64 = 64 << 20;

/// A small file as a whole, `None` if there is none.
#[allow(clippy::needless_pass_by_value)] // as Python hands it over
#[pyfunction]
fn read_metadata(py: Python<'_>, path: PathBuf) -> Result<Option<Bound<'_, PyBytes>>, CoreError> {
    let content = py.detach(|| wkfast_files::read_small(&path, MAX_METADATA)).map_err(CoreError::metadata(&path))?;
    Ok(content.map(|bytes| PyBytes::new(py, &bytes)))
}
