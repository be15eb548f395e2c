//! Classes made from the stable ABI, for objects that scripts meet by the million: entering one of `PyO3` takes longer than
//! what these do.

#![allow(unsafe_code)] // the interpreter's own tables

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An object as the interpreter hands it about.
pub(crate) type Raw = *mut ffi::PyObject;

/// What the interpreter is told of a class, besides its slots.
pub(crate) struct Class {
    /// With the module's.
    pub(crate) name: &'static CStr,
    pub(crate) doc: &'static CStr,
    /// Bytes of an object.
    pub(crate) size: usize,
    /// Beyond those that say what Python may make of it.
    pub(crate) flags: c_ulong,
}

impl Class {
    /// Makes the class and lists it in the module.
    pub(crate) fn made<'py>(
        &self,
        module: &Bound<'py, PyModule>,
        base: Option<&Bound<'py, PyAny>>,
        slots: Vec<ffi::PyType_Slot>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = self.make(module.py(), base, ffi::Py_TPFLAGS_BASETYPE, slots)?;
        module.add(class.getattr("__name__")?.extract::<String>()?.as_str(), &class)?;
        Ok(class)
    }

    /// Makes the class; Python makes neither objects of it nor classes from it.
    pub(crate) fn sealed<'py>(&self, py: Python<'py>, slots: Vec<ffi::PyType_Slot>) -> PyResult<Bound<'py, PyType>> {
        Ok(self.make(py, None, ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION, slots)?.cast_into()?)
    }

    fn make<'py>(
        &self,
        py: Python<'py>,
        base: Option<&Bound<'py, PyAny>>,
        flags: c_ulong,
        mut slots: Vec<ffi::PyType_Slot>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !self.doc.is_empty() {
            slots.push(slot(ffi::Py_tp_doc, self.doc.as_ptr() as *mut c_void));
        }
        slots.push(slot(0, null_mut()));
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: self.size as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT | flags | self.flags) as c_uint,
            slots: slots.as_mut_ptr(),
        };
        let base = base.map_or(null_mut(), Bound::as_ptr);
        // SAFETY: name and slots are as the interpreter wants them, slots are copied and tables kept; null becomes an error.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&raw mut spec, base)) }
    }
}

pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

pub(crate) fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    let ml_meth = ffi::PyMethodDefPointer { PyCFunction: function };
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth, ml_flags: flags, ml_doc: doc.as_ptr() }
}

/// A method of several arguments, none of them named.
pub(crate) fn fast_method(name: &'static CStr, function: ffi::PyCFunctionFast, doc: &'static CStr) -> ffi::PyMethodDef {
    let ml_meth = ffi::PyMethodDefPointer { PyCFunctionFast: function };
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth, ml_flags: ffi::METH_FASTCALL, ml_doc: doc.as_ptr() }
}

pub(crate) fn attribute(name: &'static CStr, get: ffi::getter, closure: usize, doc: &'static CStr) -> ffi::PyGetSetDef {
    let doc: *const c_char = doc.as_ptr();
    ffi::PyGetSetDef { name: name.as_ptr(), get: Some(get), set: None, doc, closure: closure as *mut c_void }
}

/// An attribute that is an object at `offset`, and cannot be set.
pub(crate) fn member(name: &'static CStr, offset: usize, doc: &'static CStr) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: doc.as_ptr(),
    }
}

pub(crate) fn attributes(given: &[ffi::PyGetSetDef]) -> ffi::PyType_Slot {
    slot(ffi::Py_tp_getset, kept(given.to_vec()).cast())
}

/// A table that the interpreter reads for as long as there is the class, which is as long as there is the process; the entry of
/// zeros says where it ends.
pub(crate) fn kept<T: Default>(mut table: Vec<T>) -> *mut T {
    table.push(T::default());
    Box::leak(table.into_boxed_slice()).as_mut_ptr()
}

/// Frees an object of a class of ours, whose fields have been let go of.
///
/// # Safety
/// Attached, at the end of a `tp_dealloc`.
pub(crate) unsafe fn free(object: Raw) {
    // SAFETY: the class has the allocator it inherited, whose counterpart frees the object; every object holds its class.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let free: ffi::freefunc = std::mem::transmute(ffi::PyType_GetSlot(class, ffi::Py_tp_free));
        free(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// `None`, as a new reference.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn none() -> Raw {
    // SAFETY: as the caller says.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}
