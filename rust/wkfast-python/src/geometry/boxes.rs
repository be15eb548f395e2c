//! `BoxFields`: what the boxes of `wkfast.geometry` inherit, their fields and the arithmetic that scripts do by the million.
//!
//! As with vectors, what is right as it comes (components that fit 64 bits, corners in order) is computed here; of everything
//! else these say `None`, and the classes' own Python does it.

#![allow(unsafe_code)] // every function below is one that the interpreter calls, or speaks to it in its own words

use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySet;

use super::kind::{Int, Kind};
use super::vector::{axes_of, data_of, is_vector, item, owned, sum, tuple_of};
use crate::classes::{Class, Raw, fast_method, free, kept, member, none, slot};

/// How the interpreter holds one. Nothing is null once the box is filled.
#[repr(C)]
struct BoxObject {
    head: ffi::PyObject,
    fields: [Raw; 7],
}

// The fields, by their places.
const TOPLEFT: usize = 0;
const SIZE: usize = 1;
const BOTTOMRIGHT: usize = 2;
const INDEX: usize = 3;
const NAME: usize = 4;
const IS_VISIBLE: usize = 5;
const COLOR: usize = 6;

/// Axes whose numbers are looked at together.
const MOST: usize = 8;

/// The classes whose boxes are as they are filled; those that users derive may have a constructor, which is called.
static CLASSES: OnceLock<Py<PySet>> = OnceLock::new();
static FIELDS: OnceLock<usize> = OnceLock::new();

/// Up to eight numbers, one for each axis.
struct Components {
    values: [i64; MOST],
    count: usize,
}

impl Components {
    /// The components of a vector; `None` if they are too many, or one is too large.
    ///
    /// # Safety
    /// Attached, with any object.
    unsafe fn of(vector: Raw) -> Option<Self> {
        // SAFETY: only of a vector the components are asked for.
        unsafe { if is_vector::<Int>(vector) { Self::of_tuple(data_of(vector)) } else { None } }
    }

    /// # Safety
    /// Attached, with a tuple.
    unsafe fn of_tuple(tuple: Raw) -> Option<Self> {
        let mut values = [0; MOST];
        // SAFETY: as the caller says; indexes are within the tuple.
        unsafe {
            let count = usize::try_from(ffi::PyTuple_Size(tuple)).ok().filter(|count| (1..=MOST).contains(count))?;
            for (i, value) in values[..count].iter_mut().enumerate() {
                *value = Int::read(item(tuple, i as isize))?;
            }
            Some(Self { values, count })
        }
    }

    /// Pair by pair; `None` if there are not as many in both, or a result needs more than 64 bits.
    fn with(&self, other: &Self, compute: impl Fn(i64, i64) -> Option<i64>) -> Option<Self> {
        let mut values = [0; MOST];
        if self.count != other.count {
            return None;
        }
        for (i, value) in values[..self.count].iter_mut().enumerate() {
            *value = compute(self.values[i], other.values[i])?;
        }
        Some(Self { values, count: self.count })
    }

    fn any(&self, is_so: impl Fn(i64) -> bool) -> bool {
        self.values[..self.count].iter().any(|&value| is_so(value))
    }

    /// A vector like another one, or null with an exception set.
    ///
    /// # Safety
    /// Attached, with a vector of as many components.
    unsafe fn like(&self, vector: Raw) -> Raw {
        // SAFETY: as the caller says.
        unsafe { owned(ffi::Py_TYPE(vector), tuple_of::<Int>(&self.values[..self.count]), axes_of(vector)) }
    }
}

/// # Safety
/// Attached, with a box.
unsafe fn fields<'a>(object: Raw) -> &'a mut [Raw; 7] {
    // SAFETY: objects of the class begin as `BoxObject` does. Nobody holds this reference while Python runs.
    unsafe { &mut (*object.cast::<BoxObject>()).fields }
}

/// # Safety
/// Attached, with any object.
unsafe fn is_box(object: Raw) -> bool {
    let class = FIELDS.get().copied().unwrap_or_default() as *mut ffi::PyTypeObject;
    // SAFETY: as the caller says; the class is noted before any object of it is made.
    unsafe { !class.is_null() && ffi::PyObject_TypeCheck(object, class) != 0 }
}

/// # Safety
/// Attached, with a box that has been filled: asked of one that has not, an error is set.
unsafe fn is_filled(object: Raw) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let filled = !fields(object)[COLOR].is_null();
        if !filled {
            ffi::PyErr_SetString(ffi::PyExc_AttributeError, c"the box was not made by its constructor".as_ptr());
        }
        filled
    }
}

/// Puts new references to all into the fields and lets go of what was in them.
///
/// # Safety
/// Attached, with a box and seven objects, of which it borrows all but `bottomright`.
unsafe fn put(object: Raw, new: [Raw; 7]) {
    // SAFETY: as the caller says; the fields hold the new ones before the old ones go.
    unsafe {
        for (place, reference) in new.iter().enumerate().filter(|(place, _)| *place != BOTTOMRIGHT) {
            debug_assert!(!reference.is_null(), "field {place}");
            ffi::Py_INCREF(*reference);
        }
        let old = std::mem::replace(fields(object), new);
        for reference in old {
            ffi::Py_XDECREF(reference);
        }
    }
}

/// # Safety
/// For the interpreter, with a box that nobody has any more.
unsafe extern "C" fn dealloc(object: Raw) {
    // SAFETY: what was put in is let go of once.
    unsafe {
        for reference in fields(object) {
            ffi::Py_XDECREF(*reference);
        }
        free(object);
    }
}

/// Fills a box; `false` with an exception set.
///
/// # Safety
/// Attached, with a box, two vectors, and any other objects.
unsafe fn fill(object: Raw, topleft: Raw, size: Raw, index: Raw, look: [Raw; 3]) -> bool {
    // SAFETY: as the caller says; the sum and what Python turned around are new references.
    unsafe {
        if Components::of(size).is_none_or(|numbers| numbers.any(|extent| extent < 0)) {
            return fill_turned(object, topleft, size, index, look);
        }
        let bottomright = sum(topleft, size);
        if bottomright.is_null() {
            return false;
        }
        put(object, [topleft, size, bottomright, index, look[0], look[1], look[2]]);
        true
    }
}

/// [`fill`] with what Python makes of a negative extent.
///
/// # Safety
/// As [`fill`].
#[cold]
unsafe fn fill_turned(object: Raw, topleft: Raw, size: Raw, index: Raw, look: [Raw; 3]) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let py = Python::assume_attached();
        let given = (Bound::from_borrowed_ptr(py, topleft), Bound::from_borrowed_ptr(py, size));
        let turned = Bound::from_borrowed_ptr(py, object).call_method1(intern!(py, "_turned"), given);
        match turned.and_then(|pair| pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()) {
            Ok((topleft, size)) => {
                let bottomright = ffi::PyNumber_Add(topleft.as_ptr(), size.as_ptr());
                if bottomright.is_null() {
                    return false;
                }
                put(object, [topleft.as_ptr(), size.as_ptr(), bottomright, index, look[0], look[1], look[2]]);
                true
            }
            Err(error) => {
                error.restore(py);
                false
            }
        }
    }
}

/// Name, visibility and colour.
///
/// # Safety
/// Attached, with any object; what it gives is borrowed from it.
unsafe fn look_of(look: Raw) -> Option<[Raw; 3]> {
    // SAFETY: as the caller says; indexes are within the tuple.
    unsafe {
        if ffi::PyTuple_Check(look) == 0 || ffi::PyTuple_Size(look) != 3 {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"expected name, visibility and color".as_ptr());
            return None;
        }
        Some([item(look, 0), item(look, 1), item(look, 2)])
    }
}

/// # Safety
/// Attached; sets an exception unless both are vectors of integers.
unsafe fn are_vectors(topleft: Raw, size: Raw) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let right = is_vector::<Int>(topleft) && is_vector::<Int>(size);
        if !right {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"expected vectors of integers".as_ptr());
        }
        right
    }
}

/// # Safety
/// For the interpreter's calls: there are so many arguments at `args`.
unsafe fn arguments<'a, const N: usize>(args: *mut Raw, count: ffi::Py_ssize_t) -> Option<&'a [Raw; N]> {
    // SAFETY: as the caller says.
    unsafe {
        let given = <&[Raw; N]>::try_from(std::slice::from_raw_parts(args, count as usize));
        if given.is_err() {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"a wrong number of arguments".as_ptr());
        }
        given.ok()
    }
}

/// `box._fill(topleft, size, index, look)`.
///
/// # Safety
/// For the interpreter, with a box.
unsafe extern "C" fn fill_method(object: Raw, args: *mut Raw, count: ffi::Py_ssize_t) -> Raw {
    // SAFETY: the interpreter calls this attached; arguments live as long as the call.
    unsafe {
        let Some(&[topleft, size, index, look]) = arguments::<4>(args, count) else { return null_mut() };
        let Some(look) = look_of(look) else { return null_mut() };
        if are_vectors(topleft, size) && fill(object, topleft, size, index, look) { none() } else { null_mut() }
    }
}

/// A box of the class of another one, along the same axes, or null with an exception set. It takes over `bottomright`.
///
/// # Safety
/// Attached, with a filled box of one of the known classes, three vectors that fit together, and a look that lives on.
unsafe fn like(model: Raw, topleft: Raw, size: Raw, bottomright: Raw, look: [Raw; 3]) -> Raw {
    // SAFETY: as the caller says; the new box is nobody else's.
    unsafe {
        let object = ffi::PyType_GenericAlloc(ffi::Py_TYPE(model), 0);
        if object.is_null() {
            ffi::Py_DECREF(bottomright);
        } else {
            put(object, [topleft, size, bottomright, fields(model)[INDEX], look[0], look[1], look[2]]);
        }
        object
    }
}

/// # Safety
/// Attached, with any object.
unsafe fn is_known(object: Raw) -> bool {
    let Some(classes) = CLASSES.get() else { return false };
    // SAFETY: as the caller says; classes have a hash.
    unsafe { ffi::PySet_Contains(classes.as_ptr(), ffi::Py_TYPE(object).cast()) == 1 }
}

/// `box._elsewhere(topleft, size, look=None)`: other corners, and the same look unless there is another one.
///
/// # Safety
/// For the interpreter, with a box.
unsafe extern "C" fn elsewhere(object: Raw, args: *mut Raw, count: ffi::Py_ssize_t) -> Raw {
    // SAFETY: the interpreter calls this attached; arguments live as long as the call.
    unsafe {
        let nothing = ffi::Py_None();
        let given = if count == 2 {
            [*args, *args.add(1), nothing]
        } else {
            let Some(given) = arguments::<3>(args, count) else { return null_mut() };
            *given
        };
        let [topleft, size, look] = given;
        if !is_filled(object) || !are_vectors(topleft, size) {
            return null_mut();
        }
        if !is_known(object) {
            return derived(object, given);
        }
        let held = fields(object);
        let kept = [held[NAME], held[IS_VISIBLE], held[COLOR]];
        let Some(look) = (if look == nothing { Some(kept) } else { look_of(look) }) else { return null_mut() };
        let made = ffi::PyType_GenericAlloc(ffi::Py_TYPE(object), 0);
        if made.is_null() || fill(made, topleft, size, held[INDEX], look) {
            return made;
        }
        ffi::Py_DECREF(made);
        null_mut()
    }
}

/// # Safety
/// Attached, with a box and three objects.
#[cold]
unsafe fn derived(object: Raw, given: [Raw; 3]) -> Raw {
    // SAFETY: as the caller says.
    unsafe {
        let py = Python::assume_attached();
        let [topleft, size, look] = given.map(|argument| Bound::from_borrowed_ptr(py, argument));
        let made = Bound::from_borrowed_ptr(py, object).call_method1(intern!(py, "_derived"), (topleft, size, look));
        match made {
            Ok(made) => made.into_ptr(),
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}

/// A box from one corner to another, where it is a box, like `model`.
///
/// # Safety
/// Attached, with a filled box of a known class and of as many axes, and a look that lives on.
unsafe fn between(model: Raw, first: &Components, end: &Components, look: [Raw; 3]) -> Option<Raw> {
    let extent = end.with(first, i64::checked_sub)?;
    if extent.any(|edge| edge < 0) {
        return None;
    }
    // SAFETY: as the caller says; `like` takes over the end, and has references of its own to the other two.
    unsafe {
        let model_of_vectors = fields(model)[TOPLEFT];
        let [topleft, size, bottomright] = [first, &extent, end].map(|numbers| numbers.like(model_of_vectors));
        if topleft.is_null() || size.is_null() || bottomright.is_null() {
            for vector in [topleft, size, bottomright] {
                ffi::Py_XDECREF(vector);
            }
            return Some(null_mut());
        }
        let made = like(model, topleft, size, bottomright, look);
        ffi::Py_DECREF(topleft);
        ffi::Py_DECREF(size);
        Some(made)
    }
}

/// `box._cell(corner, shape, look)`: what the box has of a box of that shape at that corner, a tuple; `None` if Python has
/// to say.
///
/// # Safety
/// For the interpreter, with a box.
unsafe extern "C" fn cell(object: Raw, args: *mut Raw, count: ffi::Py_ssize_t) -> Raw {
    // SAFETY: the interpreter calls this attached; arguments live as long as the call.
    unsafe {
        let Some(&[corner, shape, look]) = arguments::<3>(args, count) else { return null_mut() };
        let Some(look) = look_of(look) else { return null_mut() };
        if !is_filled(object) {
            return null_mut();
        }
        if is_known(object)
            && ffi::PyTuple_CheckExact(corner) != 0
            && let Some(made) = quick_cell(object, corner, shape, look)
        {
            return made;
        }
        none()
    }
}

/// # Safety
/// As [`cell`], with a tuple.
unsafe fn quick_cell(object: Raw, corner: Raw, shape: Raw, look: [Raw; 3]) -> Option<Raw> {
    // SAFETY: as the caller says.
    unsafe {
        let (corner, shape) = (Components::of_tuple(corner)?, Components::of(shape)?);
        let (start, stop) = (Components::of(fields(object)[TOPLEFT])?, Components::of(fields(object)[BOTTOMRIGHT])?);
        let first = corner.with(&start, |a, b| Some(a.max(b)))?;
        let end = corner.with(&shape, i64::checked_add)?.with(&stop, |a, b| Some(a.min(b)))?;
        between(object, &first, &end, look)
    }
}

/// `box._common(other)`: what both cover, if that is something and they are boxes along x, y, z; `None` if Python has to
/// say.
///
/// # Safety
/// For the interpreter, with a box and any object.
unsafe extern "C" fn common(object: Raw, other: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe {
        let smaller = |corners: [Components; 4]| {
            let [start, stop, first, end] = corners;
            let (first, end) = (start.with(&first, |a, b| Some(a.max(b)))?, stop.with(&end, |a, b| Some(a.min(b)))?);
            let is_something = !end.with(&first, i64::checked_sub)?.any(|edge| edge <= 0);
            is_something.then_some((first, end))
        };
        of_two(object, other, smaller).unwrap_or_else(|| none())
    }
}

/// `box._around(other)`: the smallest box around both, if neither is empty and they are boxes along x, y, z; `None` if Python
/// has to say.
///
/// # Safety
/// For the interpreter, with a box and any object.
unsafe extern "C" fn around(object: Raw, other: Raw) -> Raw {
    // SAFETY: the interpreter calls this attached.
    unsafe {
        let larger = |corners: [Components; 4]| {
            let [start, stop, first, end] = corners;
            let empty = |first: &Components, end: &Components| {
                end.with(first, i64::checked_sub).map(|size| size.any(|edge| edge <= 0))
            };
            if empty(&start, &stop)? || empty(&first, &end)? {
                return None;
            }
            Some((start.with(&first, |a, b| Some(a.min(b)))?, stop.with(&end, |a, b| Some(a.max(b)))?))
        };
        of_two(object, other, larger).unwrap_or_else(|| none())
    }
}

/// The box whose corners are computed of those of two boxes along x, y, z, like the first.
///
/// # Safety
/// Attached, with a box and any object.
unsafe fn of_two(
    object: Raw,
    other: Raw,
    compute: impl Fn([Components; 4]) -> Option<(Components, Components)>,
) -> Option<Raw> {
    // SAFETY: as the caller says; fields are looked at once both are known to be filled.
    unsafe {
        let plain = |object: Raw| {
            is_box(object)
                && !fields(object)[COLOR].is_null()
                && is_known(object)
                && is_vector::<Int>(fields(object)[TOPLEFT])
                && axes_of(fields(object)[TOPLEFT]).is_null()
        };
        if !plain(object) || !plain(other) {
            return None;
        }
        let (ours, theirs) = (fields(object), fields(other));
        let [a, b, c, d] =
            [ours[TOPLEFT], ours[BOTTOMRIGHT], theirs[TOPLEFT], theirs[BOTTOMRIGHT]].map(|each| Components::of(each));
        let (first, end) = compute([a?, b?, c?, d?])?;
        between(object, &first, &end, [ours[NAME], ours[IS_VISIBLE], ours[COLOR]])
    }
}

// ---------------------------------------------------------------------------------------------------------- the class

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let classes = PySet::empty(module.py())?;
    module.add("BOX_CLASSES", &classes)?;
    CLASSES.get_or_init(|| classes.unbind());
    let slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_members, kept(members()).cast()),
        slot(ffi::Py_tp_methods, kept(methods()).cast()),
    ];
    let doc = c"The fields of a box: what bounding boxes inherit.";
    let class = Class { name: c"wkfast._core.BoxFields", doc, size: size_of::<BoxObject>(), flags: 0 };
    let class = class.made(module, None, slots)?;
    FIELDS.get_or_init(|| class.as_ptr() as usize);
    Ok(())
}

fn members() -> Vec<ffi::PyMemberDef> {
    let topleft = c"The corner next to the origin, along all axes, in mag-1 voxels.";
    let bottomright = c"The corner opposite: the first voxel beyond the box along all axes.";
    let color = c"Red, green, blue, alpha, each 0 to 1; ``None``: WEBKNOSSOS chooses one.";
    let field = |name, place, doc| member(name, offset_of!(BoxObject, fields) + place * size_of::<Raw>(), doc);
    vec![
        field(c"topleft", TOPLEFT, topleft),
        field(c"size", SIZE, c"How far the box reaches along all axes, in voxels."),
        field(c"bottomright", BOTTOMRIGHT, bottomright),
        field(c"index", INDEX, c"Where each axis stands in arrays."),
        field(c"name", NAME, c"Shown to the user."),
        field(c"is_visible", IS_VISIBLE, c"Whether WEBKNOSSOS shows the box."),
        field(c"color", COLOR, color),
    ]
}

fn methods() -> Vec<ffi::PyMethodDef> {
    let one = |name, function, doc| crate::classes::method(name, function, ffi::METH_O, doc);
    vec![
        fast_method(c"_fill", fill_method, c"_fill($self, topleft, size, index, look, /)\n--\n\nSet all fields."),
        fast_method(
            c"_elsewhere",
            elsewhere,
            c"_elsewhere($self, topleft, size, look=None, /)\n--\n\nThe box with other corners.",
        ),
        fast_method(c"_cell", cell, c"_cell($self, corner, shape, look, /)\n--\n\nA chunk of the box, if it is plain."),
        one(c"_common", common, c"_common($self, other, /)\n--\n\nWhat two plain boxes cover, if that is something."),
        one(c"_around", around, c"_around($self, other, /)\n--\n\nThe box around two plain ones that are not empty."),
    ]
}
