//! `IntVector`, `IntVector3` and `FloatVector3`: what the vector classes of `wkfast.geometry` inherit.
//!
//! A vector is a tuple of components and, unless they are x, y, z, a tuple of names. What is right as it comes (exact
//! integers or floats) is taken here; everything else goes to the class's own `_made` and `_element_wise`, in Python,
//! which convert, refuse and say why. Classes of `PyO3` would take longer to enter than a sum takes, and cannot make
//! instances of classes derived from them in Python; so these are made from the stable ABI.

#![allow(unsafe_code)] // every function below is one that the interpreter calls, or speaks to it in its own words

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::arithmetic::{float, int};
use super::kind::{Float, Int, Kind};
use crate::classes::{Class, Raw, attribute, attributes, free, kept, method, slot};

/// How the interpreter holds one. `data` is never null once the object is out of [`make`].
#[repr(C)]
struct VectorObject {
    head: ffi::PyObject,
    data: Raw,
    /// Names of the axes; null for x, y, z.
    axes: Raw,
}

static XYZ: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();

fn xyz(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
    let made = XYZ.get_or_try_init(py, || Ok::<_, PyErr>(PyTuple::new(py, ["x", "y", "z"])?.unbind()))?;
    Ok(made.bind(py))
}

// ------------------------------------------------------------------------------------------------ making and freeing

/// # Safety
/// Attached; a class of ours, a tuple of components, a tuple of names or null. Borrows all three.
unsafe fn make(class: *mut ffi::PyTypeObject, data: Raw, axes: Raw) -> Raw {
    // SAFETY: the class allocates objects of its own size, which begin as `VectorObject` does and are zeroed; nobody else has it.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            ffi::Py_INCREF(data);
            ffi::Py_XINCREF(axes);
            (*object.cast::<VectorObject>()).data = data;
            (*object.cast::<VectorObject>()).axes = axes;
        }
        object
    }
}

/// # Safety
/// For the interpreter, with an object of ours that nobody has any more.
unsafe extern "C" fn dealloc(object: Raw) {
    // SAFETY: what `make` put in is let go of once.
    unsafe {
        ffi::Py_XDECREF((*object.cast::<VectorObject>()).data);
        ffi::Py_XDECREF((*object.cast::<VectorObject>()).axes);
        free(object);
    }
}

pub(super) fn make_three<'py>(class: &Bound<'py, PyAny>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let of_ours = |base: *mut ffi::PyTypeObject| {
        // SAFETY: the first is checked to be a class; the second is one of ours.
        class.is_instance_of::<PyType>() && unsafe { ffi::PyType_IsSubtype(class.as_ptr().cast(), base) != 0 }
    };
    if !of_ours(Int::class().load(Relaxed)) && !of_ours(Float::class().load(Relaxed)) {
        return Err(PyTypeError::new_err("expected a class of vectors"));
    }
    // SAFETY: a class of ours, as was just checked; the result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(class.py(), make(class.as_ptr().cast(), values.as_ptr(), null_mut())) }
}

/// # Safety
/// Attached, with a vector of ours.
pub(super) unsafe fn data_of(vector: Raw) -> Raw {
    // SAFETY: objects of our classes begin as `VectorObject` does.
    unsafe { (*vector.cast::<VectorObject>()).data }
}

/// The names of the axes; null for x, y, z.
///
/// # Safety
/// Attached, with a vector of ours.
pub(super) unsafe fn axes_of(vector: Raw) -> Raw {
    // SAFETY: as `data_of`.
    unsafe { (*vector.cast::<VectorObject>()).axes }
}

/// The sum of two vectors, as Python's `+` has it.
///
/// # Safety
/// Attached, with a vector of integers and any object.
pub(super) unsafe fn sum(left: Raw, right: Raw) -> Raw {
    // SAFETY: as the caller says.
    unsafe { int_add(left, right) }
}

/// # Safety
/// Attached, with any object.
pub(super) unsafe fn is_vector<K: Kind>(object: Raw) -> bool {
    // SAFETY: as the caller says; the class is noted before any object of it is made.
    unsafe { ffi::PyObject_TypeCheck(object, K::class().load(Relaxed)) != 0 }
}

/// # Safety
/// Attached, with a tuple and an index in it.
pub(super) unsafe fn item(tuple: Raw, index: isize) -> Raw {
    // SAFETY: as the caller says.
    unsafe { ffi::PyTuple_GetItem(tuple, index) }
}

/// # Safety
/// Attached, with a tuple.
unsafe fn all(tuple: Raw, is_right: unsafe fn(Raw) -> bool) -> bool {
    // SAFETY: indexes are within the tuple.
    unsafe { (0..ffi::PyTuple_Size(tuple)).all(|i| is_right(item(tuple, i))) }
}

/// # Safety
/// Attached, with any object.
unsafe fn is_text(object: Raw) -> bool {
    // SAFETY: as the caller says.
    unsafe { ffi::PyUnicode_CheckExact(object) != 0 }
}

// ------------------------------------------------------------------------------------------------------ constructors

/// `Vec3Int(1, 2, 3)`, of a tuple, of a list, of another vector.
///
/// # Safety
/// For the interpreter, as `tp_new`.
unsafe extern "C" fn new_three<K: Kind>(class: *mut ffi::PyTypeObject, args: Raw, kwargs: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached, with a class of ours, a tuple, and a dict or null.
    unsafe {
        let made = if kwargs.is_null() { quick_three::<K>(class, args) } else { None };
        made.unwrap_or_else(|| call_made(class, args, kwargs))
    }
}

/// # Safety
/// As [`new_three`].
unsafe fn quick_three<K: Kind>(class: *mut ffi::PyTypeObject, args: Raw) -> Option<Raw> {
    // SAFETY: attached; indexes are within tuples; the tuple made of a list is let go of.
    unsafe {
        if ffi::PyTuple_Size(args) == 3 {
            return three_of::<K>(class, args);
        }
        let first = if ffi::PyTuple_Size(args) == 1 { item(args, 0) } else { return None };
        if ffi::PyTuple_CheckExact(first) != 0 {
            return three_of::<K>(class, first);
        }
        if is_vector::<K>(first) && (*first.cast::<VectorObject>()).axes.is_null() {
            return Some(make(class, data_of(first), null_mut()));
        }
        if ffi::PyList_CheckExact(first) == 0 {
            return None;
        }
        let values = ffi::PyList_AsTuple(first);
        if values.is_null() {
            return Some(null_mut());
        }
        let made = three_of::<K>(class, values);
        ffi::Py_DECREF(values);
        made
    }
}

/// # Safety
/// As [`new_three`], with any tuple.
unsafe fn three_of<K: Kind>(class: *mut ffi::PyTypeObject, values: Raw) -> Option<Raw> {
    // SAFETY: attached; indexes are within the tuple, since its length is checked first.
    unsafe {
        if ffi::PyTuple_Size(values) != 3 {
            return None;
        }
        if all(values, K::is_component) {
            return Some(make(class, values, null_mut()));
        }
        let numbers = [K::read(item(values, 0))?, K::read(item(values, 1))?, K::read(item(values, 2))?];
        Some(owned(class, tuple_of::<K>(&numbers), null_mut()))
    }
}

/// `VecInt((1, 2), axes=("x", "t"))`, also without the name, and of a vector, which it then is.
///
/// # Safety
/// For the interpreter, as `tp_new`.
unsafe extern "C" fn new_named(class: *mut ffi::PyTypeObject, args: Raw, kwargs: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached, with a class of ours, a tuple, and a dict or null.
    unsafe { quick_named(class, args, kwargs).unwrap_or_else(|| call_made(class, args, kwargs)) }
}

/// # Safety
/// As [`new_named`].
unsafe fn quick_named(class: *mut ffi::PyTypeObject, args: Raw, kwargs: Raw) -> Option<Raw> {
    // SAFETY: attached; indexes are within the tuples.
    unsafe {
        let (count, named) = (ffi::PyTuple_Size(args), if kwargs.is_null() { 0 } else { ffi::PyDict_Size(kwargs) });
        let values = if count > 0 { item(args, 0) } else { return None };
        let axes = match (count, named) {
            (1, 1) => ffi::PyDict_GetItemString(kwargs, c"axes".as_ptr()),
            (2, 0) => item(args, 1),
            _ => return None,
        };
        let tuples = !axes.is_null() && ffi::PyTuple_CheckExact(axes) != 0 && ffi::PyTuple_CheckExact(values) != 0;
        let right = tuples
            && ffi::PyTuple_Size(values) > 0
            && ffi::PyTuple_Size(values) == ffi::PyTuple_Size(axes)
            && all(values, Int::is_component)
            && all(axes, is_text);
        right.then(|| make(class, values, axes))
    }
}

/// What the class says in Python.
///
/// # Safety
/// As `tp_new`.
#[cold]
unsafe fn call_made(class: *mut ffi::PyTypeObject, args: Raw, kwargs: Raw) -> Raw {
    // SAFETY: as the caller says; the result goes out as a new reference, or as null with an exception set.
    unsafe {
        let py = Python::assume_attached();
        let args = Bound::from_borrowed_ptr(py, args).cast_into_unchecked::<PyTuple>();
        let kwargs = Bound::from_borrowed_ptr_or_opt(py, kwargs).map(|dict| dict.cast_into_unchecked::<PyDict>());
        let class = Bound::from_borrowed_ptr(py, class.cast());
        let made = class.getattr(intern!(py, "_made"));
        out(made.and_then(|made| made.call(args, kwargs.as_ref())))
    }
}

/// A result as the interpreter wants it.
fn out(result: PyResult<Bound<'_, PyAny>>) -> Raw {
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            // SAFETY: an error is only had while attached.
            error.restore(unsafe { Python::assume_attached() });
            null_mut()
        }
    }
}

// -------------------------------------------------------------------------------------------------------- arithmetic

/// Computes pair by pair; what is not exactly of this kind, or too large, is Python's to compute, by the name of the
/// operation.
///
/// # Safety
/// Attached, with a vector of `K` and any object.
unsafe fn pairwise<K: Kind>(
    vector: Raw,
    other: Raw,
    name: &'static CStr,
    compute: fn(K::Value, K::Value) -> Option<K::Value>,
) -> Raw {
    // SAFETY: as the caller says.
    unsafe { quick_pairwise::<K>(vector, other, compute).unwrap_or_else(|| call_element_wise(vector, other, name)) }
}

/// # Safety
/// As [`pairwise`].
unsafe fn quick_pairwise<K: Kind>(
    vector: Raw,
    other: Raw,
    compute: fn(K::Value, K::Value) -> Option<K::Value>,
) -> Option<Raw> {
    const MOST: usize = 8;
    // SAFETY: attached; both tuples have `length` items; what is read is alive, since vector and other are.
    unsafe {
        let (data, axes) = (data_of(vector), (*vector.cast::<VectorObject>()).axes);
        let length = ffi::PyTuple_Size(data);
        let count = usize::try_from(length).ok().filter(|count| (1..=MOST).contains(count))?;
        let others = Operand::<K>::of(other, axes, length)?;
        let mut numbers = [K::read(item(data, 0))?; MOST];
        for (i, number) in numbers[..count].iter_mut().enumerate() {
            *number = compute(K::read(item(data, i as isize))?, others.get(i as isize)?)?;
        }
        Some(owned(ffi::Py_TYPE(vector), tuple_of::<K>(&numbers[..count]), axes))
    }
}

/// The other side of a computation.
enum Operand<K: Kind> {
    Each(K::Value),
    Items(Raw),
}

impl<K: Kind> Operand<K> {
    /// # Safety
    /// Attached, with any object, and axes of a vector of so many components.
    unsafe fn of(other: Raw, axes: Raw, length: isize) -> Option<Self> {
        // SAFETY: attached; only what is known to be a tuple is asked for its size.
        unsafe {
            if let Some(value) = K::read(other) {
                return Some(Self::Each(value));
            }
            let items = if is_vector::<K>(other) {
                // Equal names in two tuples are compared in Python.
                ((*other.cast::<VectorObject>()).axes == axes).then(|| data_of(other))?
            } else {
                (ffi::PyTuple_CheckExact(other) != 0).then_some(other)?
            };
            (ffi::PyTuple_Size(items) == length).then_some(Self::Items(items))
        }
    }

    /// # Safety
    /// Attached, with an index of a component.
    unsafe fn get(&self, index: isize) -> Option<K::Value> {
        match self {
            Self::Each(value) => Some(*value),
            // SAFETY: there are as many items as components.
            Self::Items(items) => unsafe { K::read(item(*items, index)) },
        }
    }
}

/// A tuple of numbers, or null with an exception set.
///
/// # Safety
/// Attached.
pub(super) unsafe fn tuple_of<K: Kind>(numbers: &[K::Value]) -> Raw {
    // SAFETY: the tuple is new and nobody else has it; every item is set once, and given away with that.
    unsafe {
        let tuple = ffi::PyTuple_New(numbers.len() as isize);
        if tuple.is_null() {
            return tuple;
        }
        for (i, number) in numbers.iter().enumerate() {
            let object = K::object(*number);
            if object.is_null() || ffi::PyTuple_SetItem(tuple, i as isize, object) != 0 {
                ffi::Py_DECREF(tuple);
                return null_mut();
            }
        }
        tuple
    }
}

/// A vector that takes over the tuple; null stays null.
///
/// # Safety
/// As [`make`].
pub(super) unsafe fn owned(class: *mut ffi::PyTypeObject, data: Raw, axes: Raw) -> Raw {
    if data.is_null() {
        return data;
    }
    // SAFETY: as the caller says; the reference to the tuple is ours to let go of.
    unsafe {
        let vector = make(class, data, axes);
        ffi::Py_DECREF(data);
        vector
    }
}

/// # Safety
/// As [`pairwise`].
#[cold]
unsafe fn call_element_wise(vector: Raw, other: Raw, name: &'static CStr) -> Raw {
    // SAFETY: attached, with two live objects; the result goes out as a new reference, or as null with an exception set.
    unsafe {
        let py = Python::assume_attached();
        let other = Bound::from_borrowed_ptr(py, other);
        let name = name.to_str().unwrap_or_default();
        out(Bound::from_borrowed_ptr(py, vector).call_method1(intern!(py, "_element_wise"), (other, name)))
    }
}

/// # Safety
/// For the interpreter, as a slot of numbers: either side may be ours.
unsafe fn operator<K: Kind>(
    left: Raw,
    right: Raw,
    name: &'static CStr,
    compute: fn(K::Value, K::Value) -> Option<K::Value>,
) -> Raw {
    // SAFETY: the interpreter calls its slots attached. Only the left side is ever taken for ours.
    unsafe {
        if is_vector::<K>(left) {
            return pairwise::<K>(left, right, name, compute);
        }
        not_implemented()
    }
}

/// # Safety
/// Attached.
unsafe fn not_implemented() -> Raw {
    // SAFETY: as the caller says; the singleton goes out as a new reference.
    unsafe {
        let singleton = ffi::Py_NotImplemented();
        ffi::Py_INCREF(singleton);
        singleton
    }
}

macro_rules! operations {
    ($($function:ident: $caller:ident::<$kind:ident>, $name:literal, $compute:path;)*) => {
        $(
            /// # Safety
            /// For the interpreter.
            unsafe extern "C" fn $function(left: Raw, right: Raw) -> Raw {
                // SAFETY: the interpreter calls this attached: as a slot with any two objects, as a method with ours first.
                unsafe { $caller::<$kind>(left, right, $name, $compute) }
            }
        )*
    };
}

operations! {
    int_add: operator::<Int>, c"add", int::add;
    int_sub: operator::<Int>, c"sub", int::sub;
    int_mul: operator::<Int>, c"mul", int::mul;
    int_floordiv: operator::<Int>, c"floordiv", int::floordiv;
    int_mod: operator::<Int>, c"mod", int::modulo;
    int_ceildiv: pairwise::<Int>, c"ceildiv", int::ceildiv;
    int_max: pairwise::<Int>, c"max", int::max;
    int_min: pairwise::<Int>, c"min", int::min;
    float_add: operator::<Float>, c"add", float::add;
    float_sub: operator::<Float>, c"sub", float::sub;
    float_mul: operator::<Float>, c"mul", float::mul;
    float_truediv: operator::<Float>, c"truediv", float::truediv;
    float_max: pairwise::<Float>, c"max", float::max;
    float_min: pairwise::<Float>, c"min", float::min;
}

// --------------------------------------------------------------------------------------------- as a sequence, to look at

/// # Safety
/// For the interpreter, with a vector of `K`.
unsafe extern "C" fn compare<K: Kind>(vector: Raw, other: Raw, operation: c_int) -> Raw {
    // SAFETY: the interpreter calls this attached, with ours first.
    unsafe {
        if is_vector::<K>(other) {
            return ffi::PyObject_RichCompare(data_of(vector), data_of(other), operation);
        }
        if ffi::PyTuple_Check(other) != 0 {
            return ffi::PyObject_RichCompare(data_of(vector), other, operation);
        }
        // A vector of another package: a sequence along named axes. Ours of the other kind is another thing.
        let ours = is_vector::<Int>(other) || is_vector::<Float>(other);
        if ours || ffi::PySequence_Check(other) == 0 || ffi::PyObject_HasAttrString(other, c"axes".as_ptr()) == 0 {
            return not_implemented();
        }
        let numbers = ffi::PySequence_Tuple(other);
        if numbers.is_null() {
            return numbers;
        }
        let compared = ffi::PyObject_RichCompare(data_of(vector), numbers, operation);
        ffi::Py_DECREF(numbers);
        compared
    }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn hash(vector: Raw) -> ffi::Py_hash_t {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PyObject_Hash(data_of(vector)) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn iter(vector: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PyObject_GetIter(data_of(vector)) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn length(vector: Raw) -> ffi::Py_ssize_t {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PyTuple_Size(data_of(vector)) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn sequence_item(vector: Raw, index: ffi::Py_ssize_t) -> Raw {
    // SAFETY: the interpreter calls this attached, with an index that may be out of range, which the tuple says.
    unsafe { ffi::PySequence_GetItem(data_of(vector), index) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn subscript(vector: Raw, key: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PyObject_GetItem(data_of(vector), key) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn contains(vector: Raw, value: Raw) -> c_int {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PySequence_Contains(data_of(vector), value) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn to_tuple(vector: Raw, _: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached; the tuple goes out as a new reference.
    unsafe {
        let data = data_of(vector);
        ffi::Py_INCREF(data);
        data
    }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn to_list(vector: Raw, _: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe { ffi::PySequence_List(data_of(vector)) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn get_data(vector: Raw, _: *mut c_void) -> Raw {
    // SAFETY: as there.
    unsafe { to_tuple(vector, null_mut()) }
}

/// # Safety
/// For the interpreter, with a vector.
unsafe extern "C" fn get_axes(vector: Raw, _: *mut c_void) -> Raw {
    // SAFETY: the interpreter calls this attached; what goes out is a new reference.
    unsafe {
        let axes = (*vector.cast::<VectorObject>()).axes;
        if axes.is_null() {
            return out(xyz(Python::assume_attached()).map(|axes| axes.clone().into_any()));
        }
        ffi::Py_INCREF(axes);
        axes
    }
}

/// # Safety
/// For the interpreter, with a vector of three components; the closure is the index.
unsafe extern "C" fn get_component(vector: Raw, index: *mut c_void) -> Raw {
    // SAFETY: the interpreter calls this attached; the component goes out as a new reference, or null with an exception.
    unsafe {
        let component = item(data_of(vector), index as isize);
        ffi::Py_XINCREF(component);
        component
    }
}

/// `vector._like(values)`: the same class and axes.
///
/// # Safety
/// For the interpreter, with a vector and any object.
unsafe extern "C" fn like(vector: Raw, values: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe { make_checked(ffi::Py_TYPE(vector), values, (*vector.cast::<VectorObject>()).axes) }
}

/// `Class._of(values, axes)`: nothing is checked but that both are tuples.
///
/// # Safety
/// For the interpreter, with a class of ours and a tuple of arguments.
unsafe extern "C" fn of(class: Raw, args: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached; both pointers are set to borrowed references, or the call failed.
    unsafe {
        let (mut values, mut axes): (Raw, Raw) = (null_mut(), null_mut());
        if ffi::PyArg_UnpackTuple(args, c"_of".as_ptr(), 1, 2, &raw mut values, &raw mut axes) == 0 {
            return null_mut();
        }
        let names = if axes == ffi::Py_None() { null_mut() } else { axes };
        make_checked(class.cast(), values, names)
    }
}

/// # Safety
/// Attached, with a class of ours and any objects; `axes` may be null.
unsafe fn make_checked(class: *mut ffi::PyTypeObject, values: Raw, axes: Raw) -> Raw {
    // SAFETY: as the caller says.
    unsafe {
        if ffi::PyTuple_CheckExact(values) == 0 || (!axes.is_null() && ffi::PyTuple_CheckExact(axes) == 0) {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"expected tuples".as_ptr());
            return null_mut();
        }
        make(class, values, axes)
    }
}

// -------------------------------------------------------------------------------------------------------- the classes

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let ints = class(c"wkfast._core.IntVector", INTS).made(module, None, int_slots())?;
    Int::class().store(ints.as_ptr().cast(), Relaxed);
    let three = vec![slot(ffi::Py_tp_new, new_three::<Int> as *mut c_void), attributes(&component_attributes())];
    class(c"wkfast._core.IntVector3", THREE_INTS).made(module, Some(&ints), three)?;
    let floats = class(c"wkfast._core.FloatVector3", THREE_FLOATS).made(module, None, float_slots())?;
    Float::class().store(floats.as_ptr().cast(), Relaxed);
    Ok(())
}

fn class(name: &'static CStr, doc: &'static CStr) -> Class {
    Class { name, doc, size: size_of::<VectorObject>(), flags: 0 }
}

const INTS: &CStr = c"IntVector(*args, axes=None, **named)\n--\n\nIntegers along named axes: what VecInt inherits.";
const THREE_INTS: &CStr =
    c"IntVector3(*args, axes=('x', 'y', 'z'), **named)\n--\n\nThree integers: what Vec3Int inherits.";
const THREE_FLOATS: &CStr = c"FloatVector3(*args)\n--\n\nThree floats: what Vec3Float inherits.";

fn int_slots() -> Vec<ffi::PyType_Slot> {
    let mut methods = common_methods();
    methods.extend([
        method(c"_ceildiv", int_ceildiv, ffi::METH_O, c"_ceildiv($self, other, /)\n--\n\nThe quotients, rounded up."),
        method(c"_pairmax", int_max, ffi::METH_O, c"_pairmax($self, other, /)\n--\n\nThe larger of each pair."),
        method(c"_pairmin", int_min, ffi::METH_O, c"_pairmin($self, other, /)\n--\n\nThe smaller of each pair."),
    ]);
    let mut slots = common_slots::<Int>();
    slots.extend([
        slot(ffi::Py_tp_new, new_named as *mut c_void),
        slot(ffi::Py_nb_add, int_add as *mut c_void),
        slot(ffi::Py_nb_subtract, int_sub as *mut c_void),
        slot(ffi::Py_nb_multiply, int_mul as *mut c_void),
        slot(ffi::Py_nb_floor_divide, int_floordiv as *mut c_void),
        slot(ffi::Py_nb_remainder, int_mod as *mut c_void),
        slot(ffi::Py_tp_methods, kept(methods).cast()),
        attributes(&[
            attribute(c"_data", get_data, 0, c"The components."),
            attribute(c"axes", get_axes, 0, c"Names of the axes, in order."),
        ]),
    ]);
    slots
}

fn float_slots() -> Vec<ffi::PyType_Slot> {
    let mut methods = common_methods();
    methods.extend([
        method(c"_pairmax", float_max, ffi::METH_O, c"_pairmax($self, other, /)\n--\n\nThe larger of each pair."),
        method(c"_pairmin", float_min, ffi::METH_O, c"_pairmin($self, other, /)\n--\n\nThe smaller of each pair."),
    ]);
    let mut found = component_attributes();
    found.push(attribute(c"_data", get_data, 0, c"The components."));
    let mut slots = common_slots::<Float>();
    slots.extend([
        slot(ffi::Py_tp_new, new_three::<Float> as *mut c_void),
        slot(ffi::Py_nb_add, float_add as *mut c_void),
        slot(ffi::Py_nb_subtract, float_sub as *mut c_void),
        slot(ffi::Py_nb_multiply, float_mul as *mut c_void),
        slot(ffi::Py_nb_true_divide, float_truediv as *mut c_void),
        slot(ffi::Py_tp_methods, kept(methods).cast()),
        attributes(&found),
    ]);
    slots
}

fn common_slots<K: Kind>() -> Vec<ffi::PyType_Slot> {
    vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_richcompare, compare::<K> as *mut c_void),
        slot(ffi::Py_tp_hash, hash as *mut c_void),
        slot(ffi::Py_tp_iter, iter as *mut c_void),
        slot(ffi::Py_sq_length, length as *mut c_void),
        slot(ffi::Py_sq_item, sequence_item as *mut c_void),
        slot(ffi::Py_sq_contains, contains as *mut c_void),
        slot(ffi::Py_mp_length, length as *mut c_void),
        slot(ffi::Py_mp_subscript, subscript as *mut c_void),
    ]
}

fn common_methods() -> Vec<ffi::PyMethodDef> {
    let made_like = c"_like($self, values, /)\n--\n\nA vector of the same class and axes; nothing is checked.";
    let made_of = c"_of($type, values, axes=None, /)\n--\n\nA vector of tuples; nothing is checked.";
    vec![
        method(c"to_tuple", to_tuple, ffi::METH_NOARGS, c"to_tuple($self)\n--\n\nReturn the components as a tuple."),
        method(c"to_list", to_list, ffi::METH_NOARGS, c"to_list($self)\n--\n\nReturn the components as a list."),
        method(c"_like", like, ffi::METH_O, made_like),
        method(c"_of", of, ffi::METH_VARARGS | ffi::METH_CLASS, made_of),
    ]
}

fn component_attributes() -> Vec<ffi::PyGetSetDef> {
    vec![
        attribute(c"x", get_component, 0, c"The component along x."),
        attribute(c"y", get_component, 1, c"The component along y."),
        attribute(c"z", get_component, 2, c"The component along z."),
    ]
}
