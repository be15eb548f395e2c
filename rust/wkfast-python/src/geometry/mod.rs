//! What `wkfast.geometry` counts on: vectors that scripts make and add by the million.

mod arithmetic;
mod boxes;
mod kind;
mod vector;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    vector::register(module)?;
    boxes::register(module)
}

/// An instance of a vector class of three components, whose constructor is not run: `values` are known to be three of its
/// kind.
pub(crate) fn make_three<'py>(class: &Bound<'py, PyAny>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    vector::make_three(class, values)
}
