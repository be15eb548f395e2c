//! Layers, mags and the merge for `wkfast.dataset` and `wkfast.annotation`.

use pyo3::prelude::*;

pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
