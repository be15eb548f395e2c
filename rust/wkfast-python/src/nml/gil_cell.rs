//! A cell that only threads attached to the interpreter look into.

#![allow(unsafe_code)] // see the one line below

use std::cell::UnsafeCell;

use pyo3::prelude::*;

/// Holds what one object of Python's keeps for itself: interpreters without a global lock do not load modules of the stable
/// ABI, which this one is built for, so that attached threads look one at a time.
pub(super) struct GilCell<T>(UnsafeCell<Option<T>>);

impl<T> Default for GilCell<T> {
    fn default() -> Self {
        Self(UnsafeCell::new(None))
    }
}

// SAFETY: the value is reached with a token of the interpreter only, by one thread at a time, and may be sent to it.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    /// What `read` makes of the value. It must not run code of Python's, which could come back to the cell.
    #[inline]
    pub(super) fn read<R>(&self, _py: Python<'_>, read: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        // SAFETY: one thread at a time, and `read` does not come back here: nobody changes the value meanwhile.
        unsafe { &*self.0.get() }.as_ref().and_then(read)
    }

    /// Replaces the value. What was there is let go of once it is out of the cell: that may run code that comes back.
    pub(super) fn set(&self, _py: Python<'_>, value: T) {
        // SAFETY: one thread at a time, and a swap runs no other code.
        let before = unsafe { (*self.0.get()).replace(value) };
        drop(before);
    }
}
