//! Maps the errors of the pure crates to the classes of `wkfast.errors`, in one place.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::{PyErr, import_exception};
use wkfast_volume::VolumeError;

import_exception!(wkfast.errors, MagNotFoundError);
import_exception!(wkfast.errors, MergeError);
import_exception!(wkfast.errors, TargetNotEmptyError);
import_exception!(wkfast.errors, VolumeDataError);

/// A fault of one of the crates below, or one raised by Python.
#[derive(Debug)]
pub(crate) enum CoreError {
    Volume(VolumeError),
    Python(PyErr),
}

impl From<VolumeError> for CoreError {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}

impl From<PyErr> for CoreError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Python(error) => error,
            CoreError::Volume(error) => {
                let text = error.to_string();
                match error {
                    VolumeError::Missing { .. } => MagNotFoundError::new_err(text),
                    VolumeError::Mismatch(_) => MergeError::new_err(text),
                    VolumeError::TargetTaken { .. } => TargetNotEmptyError::new_err(text),
                    VolumeError::Interrupted => PyKeyboardInterrupt::new_err(text),
                    // Io, Corrupt, Unsupported, and whatever the crate may add.
                    _ => VolumeDataError::new_err(text),
                }
            }
        }
    }
}
