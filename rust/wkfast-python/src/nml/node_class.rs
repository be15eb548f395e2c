//! The class of nodes as the interpreter has it.
//!
//! A loop that reads an attribute of each node spends its time in what surrounds the reading. So the class is made from the
//! stable ABI: an attribute that was read before is handed out after a look at its name's address, hash and comparison with
//! itself cost a few instructions. All that computes is in `node`, safe, and entered through [`guarded`].

#![allow(unsafe_code)] // every function below is one that the interpreter calls, or speaks to it in its own words

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::exceptions::{PyAttributeError, PySystemError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::{DerefToPyAny, PyType};

use super::columns::TreeColumns;
use super::facts::{FACTS, fact_at};
use super::node;
use crate::classes::{Class, Raw, attributes, free, kept, method, slot};
use crate::errors::of_values;

/// How the interpreter holds a node: a row of a tree, of which there is one object at a time, and what was read of it.
///
/// What a tree's rows say changes through `TreeColumns` only, which lets the node of a changed row forget what it kept.
/// Only threads attached to the interpreter look into one: see [`LiveNodes`](super::live_nodes::LiveNodes).
#[repr(C)]
pub(crate) struct Node {
    head: ffi::PyObject,
    columns: ManuallyDrop<Py<TreeColumns>>,
    /// Changed by an iterator only, as long as nobody else has the node.
    row: Cell<u32>,
    /// Whether something of the row was ever kept, its hash included: an iterator moves most nodes on before that.
    is_touched: Cell<bool>,
    /// Of the id; -1, which is none, until it is asked for.
    hash: Cell<isize>,
    /// References to the objects of facts that were read; null for others.
    kept: [Cell<Raw>; FACTS],
}

static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

// SAFETY: there is one class, which has no subclasses, and whose objects are made here; it is noted before any object is.
unsafe impl PyTypeInfo for Node {
    const NAME: &'static str = "Node";
    const MODULE: Option<&'static str> = Some("wkfast._core");

    #[inline]
    fn type_object_raw(_py: Python<'_>) -> *mut ffi::PyTypeObject {
        CLASS.load(Relaxed)
    }

    #[inline]
    fn is_type_of(object: &Bound<'_, PyAny>) -> bool {
        Self::is_exact_type_of(object)
    }
}

impl DerefToPyAny for Node {}

/// What lies behind a reference to a node.
pub(super) trait NodeMethods<'py> {
    fn get(&self) -> &Node;
}

impl NodeMethods<'_> for Bound<'_, Node> {
    #[inline]
    fn get(&self) -> &Node {
        // SAFETY: the class is checked when such a reference is made, and has objects of this layout only.
        unsafe { &*self.as_ptr().cast::<Node>() }
    }
}

impl Node {
    /// The node of a row: the object that somebody holds, or a new one.
    #[inline]
    pub(crate) fn at<'py>(columns: &Bound<'py, TreeColumns>, row: u32) -> PyResult<Bound<'py, Self>> {
        Self::held(columns, row).map_or_else(|| Self::make(columns, row), Ok)
    }

    /// The node of a row, if somebody holds it.
    #[inline]
    pub(super) fn held<'py>(columns: &Bound<'py, TreeColumns>, row: u32) -> Option<Bound<'py, Self>> {
        let node = columns.get().live.get(columns.py(), row)?;
        // SAFETY: nodes take themselves out before they are freed, so this one is alive.
        Some(unsafe { new_reference(columns.py(), node) })
    }

    /// An object for a row that has none.
    fn make<'py>(columns: &Bound<'py, TreeColumns>, row: u32) -> PyResult<Bound<'py, Self>> {
        let py = columns.py();
        // SAFETY: the class is ours, and allocates zeroed objects of its own size.
        let object = unsafe { ffi::PyType_GenericAlloc(CLASS.load(Relaxed), 0) };
        let Some(node) = NonNull::new(object.cast::<Self>()) else { return Err(PyErr::fetch(py)) };
        // SAFETY: the object is new and nobody else has it; its other fields are right as zeros.
        unsafe {
            (&raw mut (*node.as_ptr()).columns).write(ManuallyDrop::new(columns.clone().unbind()));
            (&raw mut (*node.as_ptr()).row).write(Cell::new(row));
            (&raw mut (*node.as_ptr()).hash).write(Cell::new(-1));
        }
        columns.get().live.put(py, row, node);
        // SAFETY: the reference that came with the object is handed on.
        Ok(unsafe { Bound::from_owned_ptr(py, object).cast_into_unchecked() })
    }

    #[inline]
    pub(super) fn columns<'py>(&self, py: Python<'py>) -> &Bound<'py, TreeColumns> {
        self.columns.bind(py)
    }

    #[inline]
    pub(crate) fn row_number(&self) -> u32 {
        self.row.get()
    }

    /// Makes this the node of another row, which has none: for an iterator whose node nobody else has.
    #[inline]
    pub(super) fn move_to(&self, py: Python<'_>, row: u32) {
        self.columns.get().live.shift(py, self.row.replace(row), row, NonNull::from(self));
        if self.is_touched.replace(false) {
            self.hash.set(-1);
            self.forget(py, 0..FACTS);
        }
    }

    /// The object of a fact, if it was read before.
    #[inline]
    pub(super) fn kept<'py>(&self, py: Python<'py>, fact: usize) -> Option<Bound<'py, PyAny>> {
        // SAFETY: what is kept is a live object, or null.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, self.kept[fact].get()) }
    }

    /// Keeps the object of a fact for the next time.
    pub(super) fn keep(&self, fact: usize, object: &Bound<'_, PyAny>) {
        self.is_touched.set(true);
        let before = self.kept[fact].replace(object.clone().into_ptr());
        // SAFETY: the reference was the node's. It is let go of behind all else, since that may run any code.
        unsafe { ffi::Py_XDECREF(before) };
    }

    /// Lets go of what was kept of some facts, which are no longer so.
    #[inline]
    pub(super) fn forget(&self, _py: Python<'_>, facts: std::ops::Range<usize>) {
        for kept in &self.kept[facts] {
            let before = kept.replace(null_mut());
            if !before.is_null() {
                // SAFETY: the reference was the node's, and is out of it: that may run any code.
                unsafe { ffi::Py_DECREF(before) };
            }
        }
    }
}

/// # Safety
/// Attached, with a live node.
#[inline]
unsafe fn new_reference(py: Python<'_>, node: NonNull<Node>) -> Bound<'_, Node> {
    // SAFETY: as the caller says.
    unsafe { Bound::from_borrowed_ptr(py, node.as_ptr().cast()).cast_into_unchecked() }
}

impl TreeColumns {
    /// Lets the node of a row forget some facts, if somebody holds it.
    #[inline]
    pub(super) fn row_changed(&self, py: Python<'_>, row: u32, facts: std::ops::Range<usize>) {
        if let Some(node) = self.live.get(py, row) {
            // SAFETY: nodes take themselves out before they are freed, so this one is alive. It is held while it forgets.
            unsafe { new_reference(py, node) }.get().forget(py, facts);
        }
    }

    /// Lets all nodes that somebody holds forget what they kept.
    pub(super) fn all_changed(&self, py: Python<'_>) {
        let mut from = 0;
        // Asked anew for each, since forgetting may run any code.
        while let Some((row, node)) = self.live.next(py, from) {
            // SAFETY: as above.
            unsafe { new_reference(py, node) }.get().forget(py, 0..FACTS);
            from = row + 1;
        }
    }
}

// -------------------------------------------------------------------------------------------- what the interpreter calls

/// Runs what may fail or panic, and hands errors to the interpreter.
fn guarded<R>(failed: R, run: impl for<'py> FnOnce(Python<'py>) -> PyResult<R>) -> R {
    // SAFETY: called by functions that the interpreter calls attached.
    let py = unsafe { Python::assume_attached() };
    let result = catch_unwind(AssertUnwindSafe(|| run(py)))
        .unwrap_or_else(|_| Err(PySystemError::new_err("a node panicked; this is a fault of wkfast")));
    result.unwrap_or_else(|error| {
        error.restore(py);
        failed
    })
}

/// # Safety
/// Attached, with a node.
unsafe fn borrowed(py: Python<'_>, node: Raw) -> Bound<'_, Node> {
    // SAFETY: as the caller says.
    unsafe { Bound::from_borrowed_ptr(py, node).cast_into_unchecked() }
}

/// # Safety
/// For the interpreter, with a node and a text.
unsafe extern "C" fn get_attribute(object: Raw, name: Raw) -> Raw {
    // SAFETY: the interpreter calls its slots attached, with a node; what is kept is a live object, and goes out as a new
    // reference; the general road takes any two objects.
    unsafe {
        let Some(fact) = fact_at(name as usize) else { return ffi::PyObject_GenericGetAttr(object, name) };
        let kept = (*object.cast::<Node>()).kept[fact].get();
        if !kept.is_null() {
            ffi::Py_INCREF(kept);
            return kept;
        }
        guarded(null_mut(), |py| node::fact(&borrowed(py, object), fact).map(Bound::into_ptr))
    }
}

/// # Safety
/// For the interpreter, with a node.
unsafe extern "C" fn hash(object: Raw) -> ffi::Py_hash_t {
    // SAFETY: the interpreter calls its slots attached, with a node.
    unsafe {
        let known = (*object.cast::<Node>()).hash.get();
        if known != -1 {
            return known;
        }
        guarded(-1, |py| {
            let node = borrowed(py, object);
            let hash = node::hash_like_python(node.get().id_of(py));
            node.get().is_touched.set(true);
            node.get().hash.set(hash);
            Ok(hash)
        })
    }
}

/// # Safety
/// For the interpreter, with a node and any object.
unsafe extern "C" fn compare(object: Raw, other: Raw, operation: c_int) -> Raw {
    // SAFETY: the interpreter calls its slots attached, with a node first.
    unsafe {
        guarded(null_mut(), |py| {
            let other = Bound::from_borrowed_ptr(py, other);
            node::compare(&borrowed(py, object), &other, operation).map(Bound::into_ptr)
        })
    }
}

/// # Safety
/// For the interpreter, with a node.
unsafe extern "C" fn repr(object: Raw) -> Raw {
    // SAFETY: as above.
    unsafe { guarded(null_mut(), |py| node::repr(&borrowed(py, object)).map(Bound::into_ptr)) }
}

/// # Safety
/// For the interpreter, with a node.
unsafe extern "C" fn get_dict(object: Raw, _: Raw) -> Raw {
    // SAFETY: as above.
    unsafe { guarded(null_mut(), |py| node::get_dict(&borrowed(py, object)).map(Bound::into_ptr)) }
}

/// # Safety
/// For the interpreter, with a node and any object.
unsafe extern "C" fn fill(object: Raw, dict: Raw) -> Raw {
    // SAFETY: as above.
    unsafe {
        guarded(null_mut(), |py| {
            node::fill(&borrowed(py, object), Bound::from_borrowed_ptr(py, dict).cast()?)?;
            Ok(py.None().into_ptr())
        })
    }
}

/// # Safety
/// For the interpreter, with a node.
unsafe extern "C" fn reduce(object: Raw, _: Raw) -> Raw {
    // SAFETY: as above.
    unsafe { guarded(null_mut(), |py| node::reduce(&borrowed(py, object)).map(Bound::into_ptr)) }
}

/// # Safety
/// For the interpreter, with a node and an [`Attribute`].
unsafe extern "C" fn get(object: Raw, attribute: *mut c_void) -> Raw {
    // SAFETY: as above; attributes are static.
    unsafe {
        let attribute = &*attribute.cast::<Attribute>();
        guarded(null_mut(), |py| (attribute.get)(&borrowed(py, object)).map(Bound::into_ptr))
    }
}

/// # Safety
/// For the interpreter, with a node, an object or null for deletion, and an [`Attribute`] that can be set.
unsafe extern "C" fn set(object: Raw, value: Raw, attribute: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe {
        let attribute = &*attribute.cast::<Attribute>();
        guarded(-1, |py| match (Bound::from_borrowed_ptr_or_opt(py, value), attribute.set) {
            (Some(value), Some(set)) => {
                set(&borrowed(py, object), &value).map(|()| 0).map_err(|error| of_values(py, error))
            }
            _ => Err(PyAttributeError::new_err("can't delete attribute")),
        })
    }
}

/// # Safety
/// For the interpreter, with a node that nobody has any more.
unsafe extern "C" fn dealloc(object: Raw) {
    // SAFETY: the interpreter calls its slots attached. The node is taken out of the list of those that are held before
    // anything else: what follows may run code that looks there.
    unsafe {
        let py = Python::assume_attached();
        let node = &mut *object.cast::<Node>();
        node.columns.get().live.remove(py, node.row.get(), NonNull::from(&*node));
        node.forget(py, 0..FACTS);
        drop(ManuallyDrop::take(&mut node.columns).into_bound(py));
        free(object);
    }
}

// ------------------------------------------------------------------------------------------------------------- the class

type Setter = for<'py> fn(&Bound<'py, Node>, &Bound<'py, PyAny>) -> PyResult<()>;

/// An attribute that can be asked of the class, too.
pub(super) struct Attribute {
    pub(super) name: &'static CStr,
    pub(super) doc: &'static CStr,
    pub(super) get: for<'py> fn(&Bound<'py, Node>) -> PyResult<Bound<'py, PyAny>>,
    pub(super) set: Option<Setter>,
}

impl Attribute {
    fn definition(&'static self) -> ffi::PyGetSetDef {
        ffi::PyGetSetDef {
            name: self.name.as_ptr(),
            get: Some(get),
            set: self.set.map(|_| set as ffi::setter),
            doc: self.doc.as_ptr(),
            closure: std::ptr::from_ref(self).cast_mut().cast(),
        }
    }
}

/// Makes the class, once.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let class = make_class(module.py())?;
    CLASS.store(class.as_type_ptr(), Relaxed);
    module.add("Node", &class)?;
    // The class lives as long as the process: objects of it are made without asking who holds it.
    std::mem::forget(class.unbind());
    Ok(())
}

fn make_class(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let methods = vec![
        method(
            c"get_dict",
            get_dict,
            ffi::METH_NOARGS,
            c"get_dict($self, /)\n--\n\nThe node's attributes by name, without its id.",
        ),
        method(
            c"fill",
            fill,
            ffi::METH_O,
            c"fill($self, dict, /)\n--\n\nPut what get_dict() gives into a dict; for `wkfast.skeleton`.",
        ),
        method(c"__reduce__", reduce, ffi::METH_NOARGS, c""),
    ];
    let definitions: Vec<_> = node::ATTRIBUTES.iter().map(Attribute::definition).collect();
    let slots = vec![
        slot(ffi::Py_tp_getattro, get_attribute as *mut c_void),
        slot(ffi::Py_tp_hash, hash as *mut c_void),
        slot(ffi::Py_tp_richcompare, compare as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, kept(methods).cast()),
        attributes(&definitions),
    ];
    Class { name: c"wkfast._core.Node", doc: node::DOC, size: size_of::<Node>(), flags: 0 }.sealed(py, slots)
}
