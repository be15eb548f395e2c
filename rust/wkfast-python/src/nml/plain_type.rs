//! A class of the interpreter for an iterator whose steps take a few nanoseconds.
//!
//! Classes of `PyO3` catch panics, count entries into the interpreter and check the receiver's type at every call; around
//! a step that reads a number and raises a count, that is most of the time. Here a step that needs none of it takes none
//! of it, and all others are guarded in the same way.

#![allow(unsafe_code)] // every function below is one that the interpreter calls, or speaks to it in its own words

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::classes::{Class, free, slot};

/// An iterator that only threads attached to the interpreter touch, one at a time: interpreters without a global lock do
/// not load modules of the stable ABI, which this one is built for.
pub(super) trait Plain: Sized + 'static {
    /// Module and name of the class.
    const NAME: &'static CStr;

    /// The next item where that takes no call that could panic, fail or run other code; `None` to ask [`next`](Self::next).
    fn quick_next(&self, py: Python<'_>) -> Option<Py<PyAny>>;

    /// The next item, `None` at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>>;

    /// Lets go of all objects.
    fn release(self, py: Python<'_>);
}

/// The class of a [`Plain`] iterator, made on first use.
pub(super) struct PlainType<T>(PyOnceLock<Py<PyType>>, PhantomData<fn() -> T>);

/// How the interpreter holds one.
#[repr(C)]
struct PlainObject<T> {
    head: ffi::PyObject,
    iterator: ManuallyDrop<T>,
}

impl<T: Plain> PlainType<T> {
    pub(super) const fn new() -> Self {
        Self(PyOnceLock::new(), PhantomData)
    }

    pub(super) fn class<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.0.get_or_try_init(py, || make_class::<T>(py)).map(|class| class.bind(py))
    }

    /// The iterator as an object of the interpreter.
    pub(super) fn wrap<'py>(&self, py: Python<'py>, iterator: T) -> PyResult<Bound<'py, PyAny>> {
        let class = self.class(py)?.as_type_ptr();
        // SAFETY: the class is ours, and allocates objects of its own size.
        let object = unsafe { ffi::PyType_GenericAlloc(class, 0) };
        if object.is_null() {
            iterator.release(py);
            return Err(PyErr::fetch(py));
        }
        // SAFETY: the object is new, of the class whose objects are `PlainObject<T>`, and nobody else has it yet.
        unsafe {
            (&raw mut (*object.cast::<PlainObject<T>>()).iterator).write(ManuallyDrop::new(iterator));
            Ok(Bound::from_owned_ptr(py, object))
        }
    }
}

fn make_class<T: Plain>(py: Python<'_>) -> PyResult<Py<PyType>> {
    let slots = vec![
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next::<T> as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void),
    ];
    let class = Class { name: T::NAME, doc: c"", size: size_of::<PlainObject<T>>(), flags: 0 };
    Ok(class.sealed(py, slots)?.unbind())
}

/// # Safety
/// For the interpreter, with an object of the class of `T`.
unsafe extern "C" fn next<T: Plain>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls its slots attached, and the class has objects of this layout only.
    let (py, iterator) = unsafe { (Python::assume_attached(), &(*object.cast::<PlainObject<T>>()).iterator) };
    match iterator.quick_next(py) {
        Some(item) => item.into_ptr(),
        None => guarded_next::<T>(py, iterator),
    }
}

#[cold]
fn guarded_next<T: Plain>(py: Python<'_>, iterator: &T) -> *mut ffi::PyObject {
    let item = catch_unwind(AssertUnwindSafe(|| iterator.next(py)))
        .unwrap_or_else(|_| Err(PySystemError::new_err("a step of an iterator panicked; this is a fault of wkfast")));
    match item {
        Ok(item) => item.map_or(std::ptr::null_mut(), Py::into_ptr),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// For the interpreter, with an object of the class of `T` that nobody has any more.
unsafe extern "C" fn dealloc<T: Plain>(object: *mut ffi::PyObject) {
    // SAFETY: as in `next`; the iterator is taken once, here, since nobody comes back to an object that is being freed.
    unsafe {
        ManuallyDrop::take(&mut (*object.cast::<PlainObject<T>>()).iterator).release(Python::assume_attached());
        free(object);
    }
}
