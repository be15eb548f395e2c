//! The two kinds of components, and how the interpreter's objects are read as them.

#![allow(unsafe_code)] // objects are looked at in the interpreter's own words; whoever calls is attached to it

use std::ffi::c_int;
use std::sync::atomic::AtomicPtr;

use pyo3::ffi;

/// Components of one kind.
pub(super) trait Kind: 'static {
    /// A component, as it is computed with.
    type Value: Copy;

    /// Whether an object is a component as it is.
    ///
    /// # Safety
    /// The thread is attached, and the object is one.
    unsafe fn is_component(object: *mut ffi::PyObject) -> bool;

    /// The number that an object of exactly this kind (or, for floats, an integer) is; `None` where Python has to say.
    ///
    /// # Safety
    /// The thread is attached, and the object is one.
    unsafe fn read(object: *mut ffi::PyObject) -> Option<Self::Value>;

    /// The number as an object, or null with an exception set.
    ///
    /// # Safety
    /// The thread is attached.
    unsafe fn object(value: Self::Value) -> *mut ffi::PyObject;

    /// Where the class of all vectors of this kind is noted.
    fn class() -> &'static AtomicPtr<ffi::PyTypeObject>;
}

/// Up to this every integer is a float; beyond, Python rounds or refuses.
const EXACT: i64 = 1 << 53;

pub(super) struct Int;
pub(super) struct Float;

static INT_CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());
static FLOAT_CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

impl Kind for Int {
    type Value = i64;

    unsafe fn is_component(object: *mut ffi::PyObject) -> bool {
        // SAFETY: as the caller says. Neither `bool` nor the integers of numpy are: they are converted.
        unsafe { ffi::PyLong_CheckExact(object) != 0 }
    }

    unsafe fn read(object: *mut ffi::PyObject) -> Option<i64> {
        let mut overflow: c_int = 0;
        // SAFETY: as the caller says; of an exact `int` this runs no other code, and reports too large ones apart.
        unsafe {
            if ffi::PyLong_CheckExact(object) == 0 {
                return None;
            }
            let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
            (overflow == 0).then_some(value)
        }
    }

    unsafe fn object(value: i64) -> *mut ffi::PyObject {
        // SAFETY: as the caller says.
        unsafe { ffi::PyLong_FromLongLong(value) }
    }

    fn class() -> &'static AtomicPtr<ffi::PyTypeObject> {
        &INT_CLASS
    }
}

impl Kind for Float {
    type Value = f64;

    unsafe fn is_component(object: *mut ffi::PyObject) -> bool {
        // SAFETY: as the caller says.
        unsafe { ffi::PyFloat_CheckExact(object) != 0 }
    }

    unsafe fn read(object: *mut ffi::PyObject) -> Option<f64> {
        // SAFETY: as the caller says; of an exact `float` this runs no other code and cannot fail.
        unsafe {
            if ffi::PyFloat_CheckExact(object) != 0 {
                return Some(ffi::PyFloat_AsDouble(object));
            }
        }
        // SAFETY: as the caller says.
        let whole = unsafe { Int::read(object)? };
        (-EXACT..=EXACT).contains(&whole).then_some(whole as f64)
    }

    unsafe fn object(value: f64) -> *mut ffi::PyObject {
        // SAFETY: as the caller says.
        unsafe { ffi::PyFloat_FromDouble(value) }
    }

    fn class() -> &'static AtomicPtr<ffi::PyTypeObject> {
        &FLOAT_CLASS
    }
}
