//! Between arrays of three numbers and the vectors of `wkfast.geometry`.

use std::ffi::c_void;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use crate::errors::SkeletonError;

/// A vector class of Python's, and what makes an instance of a checked tuple without running its constructor: a call into
/// Python for each position would take longer than all else together.
struct VectorClass {
    class: Py<PyType>,
    /// The slot that holds the tuple.
    data: Py<PyAny>,
    set: ffi::descrsetfunc,
}

static VEC3_INT: PyOnceLock<VectorClass> = PyOnceLock::new();
static VEC3_FLOAT: PyOnceLock<VectorClass> = PyOnceLock::new();

impl VectorClass {
    #[allow(unsafe_code)] // see below
    fn import(py: Python<'_>, module: &str, name: &str) -> PyResult<Self> {
        let class = py.import(module)?.getattr(name)?.cast_into::<PyType>()?;
        let data = class.getattr("_data")?;
        // SAFETY: any type may be asked for a slot. Python documents what its pointer is; it is null if there is none.
        let set = unsafe { ffi::PyType_GetSlot(data.get_type().as_type_ptr(), ffi::Py_tp_descr_set) };
        if set.is_null() {
            return Err(PyTypeError::new_err(format!("{name}._data is no slot")));
        }
        // SAFETY: a `tp_descr_set` that is not null has this type.
        let set = unsafe { std::mem::transmute::<*mut c_void, ffi::descrsetfunc>(set) };
        Ok(Self { class: class.unbind(), data: data.unbind(), set })
    }

    /// As `object.__new__(cls)` and setting the slot.
    #[allow(unsafe_code)] // see below
    fn make<'py>(&self, data: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = data.py();
        let class = self.class.bind(py).as_type_ptr();
        // SAFETY: `class` is a class of Python's own making, an instance of which is allocated by this function and
        // nothing else; all its slots are empty, which Python code may see too. The result is a new reference or null
        // with an exception set.
        let vector = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(class, 0))? };
        // SAFETY: the descriptor's own function, an instance of the class it was taken from, a value; all three live.
        let done = unsafe { (self.set)(self.data.as_ptr(), vector.as_ptr(), data.as_ptr()) };
        if done == 0 { Ok(vector) } else { Err(PyErr::fetch(py)) }
    }
}

fn vec3_int_class(py: Python<'_>) -> PyResult<&'static VectorClass> {
    VEC3_INT.get_or_try_init(py, || VectorClass::import(py, "wkfast.geometry.vec_int", "Vec3Int"))
}

fn vec3_float_class(py: Python<'_>) -> PyResult<&'static VectorClass> {
    VEC3_FLOAT.get_or_try_init(py, || VectorClass::import(py, "wkfast.geometry.vec3_float", "Vec3Float"))
}

/// The vector with fractions cut off, toward zero.
pub(crate) fn to_vec3_int(py: Python<'_>, position: [f64; 3]) -> PyResult<Bound<'_, PyAny>> {
    // Beyond 2^63 (and for NaN) Python's own int() decides.
    const EXACT: f64 = 9_223_372_036_854_775_807.0;
    let class = vec3_int_class(py)?;
    if position.iter().all(|v| v.abs() < EXACT) {
        return class.make(&PyTuple::new(py, position.map(|v| v as i64))?);
    }
    class.class.bind(py).call1((PyTuple::new(py, position)?,))
}

/// The vector as it is.
pub(crate) fn to_vec3_float(py: Python<'_>, vector: [f64; 3]) -> PyResult<Bound<'_, PyAny>> {
    vec3_float_class(py)?.make(&PyTuple::new(py, vector)?)
}

/// The integers of anything `Vec3Int` takes; fractions are cut off.
pub(crate) fn from_vec3_int_like(value: &Bound<'_, PyAny>) -> PyResult<[f64; 3]> {
    if let Ok((x, y, z)) = value.extract::<(i64, i64, i64)>() {
        return Ok([x, y, z].map(|v| v as f64));
    }
    vec3_int_class(value.py())?.class.bind(value.py()).call1((value,))?.getattr("_data")?.extract()
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
    vec3_float_class(value.py())?.class.bind(value.py()).call1((value,))?.getattr("_data")?.extract()
}
