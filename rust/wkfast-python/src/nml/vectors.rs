//! Between arrays of three numbers and the vectors of `wkfast.geometry`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple, PyType};

use crate::errors::SkeletonError;
use crate::geometry::make_three;

static VEC3_INT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static VEC3_FLOAT: PyOnceLock<Py<PyType>> = PyOnceLock::new();

fn vec3_int_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    VEC3_INT.import(py, "wkfast.geometry.vec_int", "Vec3Int")
}

fn vec3_float_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    VEC3_FLOAT.import(py, "wkfast.geometry.vec3_float", "Vec3Float")
}

/// The vector with fractions cut off, toward zero.
pub(crate) fn to_vec3_int(py: Python<'_>, position: [f64; 3]) -> PyResult<Bound<'_, PyAny>> {
    // Beyond 2^63 (and for NaN) Python's own int() decides.
    const EXACT: f64 = 9_223_372_036_854_775_807.0;
    let class = vec3_int_class(py)?;
    if position.iter().all(|v| v.abs() < EXACT) {
        return make_three(class, &PyTuple::new(py, position.map(|v| v as i64))?);
    }
    class.call1((PyTuple::new(py, position)?,))
}

/// The vector as it is.
pub(crate) fn to_vec3_float(py: Python<'_>, vector: [f64; 3]) -> PyResult<Bound<'_, PyAny>> {
    make_three(vec3_float_class(py)?, &PyTuple::new(py, vector)?)
}

/// The integers of anything `Vec3Int` takes; fractions are cut off.
pub(crate) fn from_vec3_int_like(value: &Bound<'_, PyAny>) -> PyResult<[f64; 3]> {
    // Lists are what `array.tolist()` gives. Others are asked last, since what is no tuple fails by an exception.
    if let Ok(list) = value.cast_exact::<PyList>() {
        if let Ok([x, y, z]) = list.extract::<[i64; 3]>() {
            return Ok([x, y, z].map(|v| v as f64));
        }
    } else if let Ok((x, y, z)) = value.extract::<(i64, i64, i64)>() {
        return Ok([x, y, z].map(|v| v as f64));
    }
    vec3_int_class(value.py())?.call1((value,))?.getattr("_data")?.extract()
}

/// What can be the position of a node. Files may say otherwise; programs may not.
pub(crate) fn finite(position: [f64; 3]) -> PyResult<[f64; 3]> {
    if position.iter().all(|value| value.is_finite()) {
        return Ok(position);
    }
    Err(SkeletonError::new_err(format!("{position:?} is no position: expected finite numbers")))
}

/// The numbers of anything `Vec3Float` takes.
pub(crate) fn from_vec3_float_like(value: &Bound<'_, PyAny>) -> PyResult<[f64; 3]> {
    if let Ok((x, y, z)) = value.extract::<(f64, f64, f64)>() {
        return Ok([x, y, z]);
    }
    vec3_float_class(value.py())?.call1((value,))?.getattr("_data")?.extract()
}
