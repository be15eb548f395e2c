//! `Keeper` and `KeptProperty`: values that follow from a parsed JSON object, kept as long as it says the same.
//!
//! What an entry of a dataset says is looked up by scripts over and over, and asking Python to parse it takes longer than all
//! else. A property of this kind remembers which objects its value was made of (those under some keys of the entry) and
//! how many changes its keeper has seen; as long as both are the same, the value is handed out. Else the getter, in Python, says.

#![allow(unsafe_code)] // every function below is one that the interpreter calls, or speaks to it in its own words

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::classes::{Class, Raw, attribute, attributes, fast_method, free, kept, method, none, slot};

/// Keys that one value may depend on.
const MOST_KEYS: usize = 4;

/// How the interpreter holds a keeper.
#[repr(C)]
struct KeeperObject {
    head: ffi::PyObject,
    /// The entry, a dict; null until a property is asked for.
    entry: Raw,
    /// The keeper whose changes count; null: this one.
    owner: Raw,
    changes: u64,
    /// What is kept, by the numbers of properties; null until something is.
    values: *mut Vec<KeptValue>,
}

/// A value, and what it was made of. All are references of its own, or null.
#[derive(Clone, Copy)]
struct KeptValue {
    value: Raw,
    changes: u64,
    seen: [Raw; MOST_KEYS],
}

/// What a property has beyond Python's, behind it.
#[repr(C)]
struct Tail {
    /// Its place among the values of a keeper.
    number: usize,
    /// A tuple of texts; null where it is a property like any other.
    keys: Raw,
    /// Whether a dict is handed out as a copy.
    copied: bool,
}

/// Where the tail begins.
static TAIL: OnceLock<usize> = OnceLock::new();
static KEEPER: OnceLock<usize> = OnceLock::new();

const NOTHING: KeptValue = KeptValue { value: null_mut(), changes: 0, seen: [null_mut(); MOST_KEYS] };

impl KeptValue {
    /// # Safety
    /// Attached; what it holds are references of its own.
    unsafe fn let_go(self) {
        // SAFETY: as the caller says.
        unsafe {
            ffi::Py_XDECREF(self.value);
            for object in self.seen {
                ffi::Py_XDECREF(object);
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ keepers

/// Objects of the class begin as `KeeperObject` does.
fn keeper(object: Raw) -> *mut KeeperObject {
    object.cast()
}

/// What is kept. Nobody holds this while Python runs, which may keep something else.
///
/// # Safety
/// Attached, with a keeper.
unsafe fn values<'a>(object: Raw) -> &'a [KeptValue] {
    // SAFETY: as the caller says; the vector is the keeper's own.
    unsafe { (*keeper(object)).values.as_ref().map_or(&[], Vec::as_slice) }
}

/// # Safety
/// Attached, with any object.
unsafe fn is_keeper(object: Raw) -> bool {
    let class = KEEPER.get().copied().unwrap_or_default() as *mut ffi::PyTypeObject;
    // SAFETY: as the caller says; the class is noted before any object of it is made.
    unsafe { !class.is_null() && ffi::PyObject_TypeCheck(object, class) != 0 }
}

/// # Safety
/// Attached, with a keeper.
unsafe fn changes_of(object: Raw) -> u64 {
    // SAFETY: an owner is a keeper, which is checked when it is set.
    unsafe {
        let owner = (*keeper(object)).owner;
        (*keeper(if owner.is_null() { object } else { owner })).changes
    }
}

/// Lets go all that is kept; it is taken out first, since letting go may run Python.
///
/// # Safety
/// Attached, with a keeper.
unsafe fn forget(object: Raw) {
    // SAFETY: as the caller says; the vector was made by `Box`, and is nobody's once it is taken out.
    unsafe {
        let values = std::mem::replace(&mut (*keeper(object)).values, null_mut());
        if !values.is_null() {
            for kept in *Box::from_raw(values) {
                kept.let_go();
            }
        }
    }
}

/// # Safety
/// For the interpreter, as `tp_traverse`.
unsafe extern "C" fn traverse(object: Raw, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the interpreter calls this with an object of ours; every reference that it holds is visited once.
    unsafe {
        let held = keeper(object);
        let values = values(object).iter().flat_map(|kept| kept.seen.into_iter().chain([kept.value]));
        let all = [ffi::Py_TYPE(object).cast(), (*held).entry, (*held).owner].into_iter().chain(values);
        for reference in all.filter(|reference| !reference.is_null()) {
            let stopped = visit(reference, arg);
            if stopped != 0 {
                return stopped;
            }
        }
        0
    }
}

/// # Safety
/// For the interpreter, as `tp_clear`.
unsafe extern "C" fn clear(object: Raw) -> c_int {
    // SAFETY: the interpreter calls this attached; fields are null before what they held is let go of.
    unsafe {
        forget(object);
        let held = keeper(object);
        let (entry, owner) =
            (std::mem::replace(&mut (*held).entry, null_mut()), std::mem::replace(&mut (*held).owner, null_mut()));
        ffi::Py_XDECREF(entry);
        ffi::Py_XDECREF(owner);
        0
    }
}

/// # Safety
/// For the interpreter, with a keeper that nobody has any more.
unsafe extern "C" fn dealloc(object: Raw) {
    // SAFETY: as the caller says; it is not to be traversed any more.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        clear(object);
        free(object);
    }
}

/// `keeper._changed()`: what is kept counts no more, nor what those keep whose owner this is.
///
/// # Safety
/// For the interpreter, with a keeper.
unsafe extern "C" fn changed(object: Raw, _: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe {
        (*keeper(object)).changes += 1;
        forget(object);
        none()
    }
}

/// # Safety
/// For the interpreter, with a keeper.
unsafe extern "C" fn get_changes(object: Raw, _: *mut c_void) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PyLong_FromUnsignedLongLong((*keeper(object)).changes) }
}

/// Asks the object itself, once, what its properties follow from: `_kept_by()` gives the entry and the owner.
///
/// # Safety
/// Attached, with a keeper.
unsafe fn begin(object: Raw) -> PyResult<()> {
    // SAFETY: attached; what is put into the fields are new references, and what was in them has been null.
    unsafe {
        let py = Python::assume_attached();
        let found = Bound::from_borrowed_ptr(py, object).call_method0(intern!(py, "_kept_by"))?;
        let (entry, owner): (Bound<'_, PyAny>, Bound<'_, PyAny>) = found.extract()?;
        if entry.is_exact_instance_of::<PyDict>() && (*keeper(object)).entry.is_null() {
            if is_keeper(owner.as_ptr()) && owner.as_ptr() != object {
                (*keeper(object)).owner = owner.into_ptr();
            }
            (*keeper(object)).entry = entry.into_ptr();
        }
        Ok(())
    }
}

// --------------------------------------------------------------------------------------------------------- properties

/// # Safety
/// Attached, with a property of ours.
unsafe fn tail<'a>(property: Raw) -> &'a mut Tail {
    let start = TAIL.get().copied().unwrap_or_default();
    // SAFETY: objects of the class are made that long, and zeroed.
    unsafe { &mut *property.byte_add(start).cast::<Tail>() }
}

/// What the entry has under the keys, borrowed; null for what it does not have.
///
/// # Safety
/// Attached, with a dict and a tuple of no more texts than can be seen.
unsafe fn look(entry: Raw, keys: Raw) -> [Raw; MOST_KEYS] {
    let mut seen = [null_mut(); MOST_KEYS];
    // SAFETY: as the caller says; texts have a hash, so that looking them up is no error.
    unsafe {
        for (i, found) in seen.iter_mut().enumerate().take(ffi::PyTuple_Size(keys) as usize) {
            *found = ffi::PyDict_GetItemWithError(entry, ffi::PyTuple_GetItem(keys, i as isize));
        }
    }
    seen
}

/// # Safety
/// Attached, with any value.
unsafe fn handed_out(value: Raw, tail: &Tail) -> Raw {
    // SAFETY: as the caller says; a new reference goes out.
    unsafe {
        ffi::Py_INCREF(value);
        if !tail.copied || ffi::PyDict_CheckExact(value) == 0 {
            return value;
        }
        // held while it is copied, which may start a collection
        let copy = ffi::PyDict_Copy(value);
        ffi::Py_DECREF(value);
        copy
    }
}

/// # Safety
/// Attached, with a property of ours and what it is asked of.
unsafe fn computed(property: Raw, object: Raw, class: Raw) -> Raw {
    // SAFETY: the slot is that of Python's own property, which ours begins as.
    unsafe {
        let slot = ffi::PyType_GetSlot(&raw mut ffi::PyProperty_Type, ffi::Py_tp_descr_get);
        let get: ffi::descrgetfunc = std::mem::transmute(slot);
        get(property, object, class)
    }
}

/// # Safety
/// For the interpreter, as `tp_descr_get`: the object may be null or `None`.
unsafe extern "C" fn descr_get(property: Raw, object: Raw, class: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached, with a property of ours.
    unsafe {
        let about = tail(property);
        if object.is_null() || about.keys.is_null() || !is_keeper(object) {
            return computed(property, object, class);
        }
        if let Some(kept) = values(object).get(about.number) {
            let same = !kept.value.is_null() && kept.changes == changes_of(object);
            if same && kept.seen == look((*keeper(object)).entry, about.keys) {
                return handed_out(kept.value, about);
            }
        }
        anew(property, object, class)
    }
}

/// The value as the getter has it, which is kept.
///
/// # Safety
/// As [`descr_get`], with a keeper.
#[cold]
unsafe fn anew(property: Raw, object: Raw, class: Raw) -> Raw {
    // SAFETY: attached. What is seen is held before the getter runs, so that no other object gets its place in memory.
    unsafe {
        if (*keeper(object)).entry.is_null()
            && let Err(error) = begin(object)
        {
            error.restore(Python::assume_attached());
            return null_mut();
        }
        let (about, entry) = (tail(property), (*keeper(object)).entry);
        if entry.is_null() {
            return computed(property, object, class);
        }
        let (changes, seen) = (changes_of(object), look(entry, about.keys));
        for reference in seen {
            ffi::Py_XINCREF(reference);
        }
        let value = computed(property, object, class);
        let kept = KeptValue { value, changes, seen };
        if value.is_null() {
            kept.let_go();
            return value;
        }
        let out = handed_out(value, about);
        keep(object, about.number, kept);
        out
    }
}

/// # Safety
/// Attached, with a keeper; it takes over the references.
unsafe fn keep(object: Raw, number: usize, kept: KeptValue) {
    // SAFETY: as the caller says; the vector is not held while what was in it is let go of, which may run Python.
    unsafe {
        let held = keeper(object);
        if (*held).values.is_null() {
            (*held).values = Box::into_raw(Box::default());
        }
        let values: &mut Vec<KeptValue> = &mut *(*held).values;
        if values.len() <= number {
            values.resize(number + 1, NOTHING);
        }
        std::mem::replace(&mut values[number], kept).let_go();
    }
}

/// `property._keep(number, keys, copied)`.
///
/// # Safety
/// For the interpreter, with a property of ours and so many arguments.
unsafe extern "C" fn set_keys(property: Raw, args: *mut Raw, count: ffi::Py_ssize_t) -> Raw {
    // SAFETY: the interpreter calls this attached; there are `count` arguments.
    unsafe {
        let py = Python::assume_attached();
        let given = std::slice::from_raw_parts(args, count as usize);
        let given: Vec<_> = given.iter().map(|argument| Bound::from_borrowed_ptr(py, *argument)).collect();
        match keys_of(&given) {
            Ok((number, keys, copied)) => {
                *tail(property) = Tail { number, keys: keys.into_ptr(), copied };
                none()
            }
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}

fn keys_of<'py>(given: &[Bound<'py, PyAny>]) -> PyResult<(usize, Bound<'py, PyTuple>, bool)> {
    let wrong =
        || pyo3::exceptions::PyTypeError::new_err("expected a number, up to four texts, and whether it is copied");
    let [number, keys, copied] = given else { return Err(wrong()) };
    let keys = keys.cast_exact::<PyTuple>()?.clone();
    if keys.len() > MOST_KEYS || !keys.iter().all(|key| key.is_exact_instance_of::<PyString>()) {
        return Err(wrong());
    }
    Ok((number.extract()?, keys, copied.extract()?))
}

// -------------------------------------------------------------------------------------------------------- the classes

const KEEPER_DOC: &CStr = c"What properties of its own follow from an entry that is parsed JSON.";
const PROPERTY_DOC: &CStr =
    c"KeptProperty(fget=None, fset=None, fdel=None, doc=None)\n--\n\nA property whose value is kept by a Keeper.";

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = c"_changed($self)\n--\n\nForget what is kept, here and by those whose owner this is.";
    let slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_methods, kept(vec![method(c"_changed", changed, ffi::METH_NOARGS, doc)]).cast()),
        attributes(&[attribute(c"_changes", get_changes, 0, c"How often it was changed.")]),
    ];
    let (size, flags) = (size_of::<KeeperObject>(), ffi::Py_TPFLAGS_HAVE_GC);
    let class = Class { name: c"wkfast._core.Keeper", doc: KEEPER_DOC, size, flags }.made(module, None, slots)?;
    KEEPER.get_or_init(|| class.as_ptr() as usize);
    register_property(module)
}

/// A class that begins as Python's property, however long that is in this Python.
fn register_property(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: a static class of the interpreter.
    let base = unsafe { Bound::from_borrowed_ptr(module.py(), (&raw mut ffi::PyProperty_Type).cast()) };
    let start = base.getattr("__basicsize__")?.extract::<usize>()?.next_multiple_of(align_of::<Tail>());
    TAIL.get_or_init(|| start);
    let keys = fast_method(
        c"_keep",
        set_keys,
        c"_keep($self, number, keys, copied, /)\n--\n\nSay what the value follows from.",
    );
    let slots =
        vec![slot(ffi::Py_tp_descr_get, descr_get as *mut c_void), slot(ffi::Py_tp_methods, kept(vec![keys]).cast())];
    let size = start + size_of::<Tail>();
    let class = Class { name: c"wkfast._core.KeptProperty", doc: PROPERTY_DOC, size, flags: 0 };
    let class = class.made(module, Some(&base), slots)?;
    // Each says what its getter says of itself: the class's own text would stand before it.
    let doc = module.py().import("operator")?.call_method1("attrgetter", ("fget.__doc__",))?;
    class.setattr("__doc__", base.call1((doc,))?)
}
