//! Maps the errors of the pure crates and of the annotation zip to the classes of `wkfast.errors`, in one place.

use std::io;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyOverflowError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyType};
use pyo3::{PyErr, PyTypeInfo, import_exception};
use wkfast_nml::{EditError, NmlError, Position};
use wkfast_volume::VolumeError;

pub(crate) use classes::{AnnotationZipError, EnvironmentVariableError, SkeletonError, StopRequested, VolumeDataError};

mod classes {
    use super::import_exception;

    import_exception!(wkfast.errors, AnnotationZipError);
    import_exception!(wkfast.errors, DatasetError);
    import_exception!(wkfast.errors, EnvironmentVariableError);
    import_exception!(wkfast.errors, ExistsError);
    import_exception!(wkfast.errors, MagNotFoundError);
    import_exception!(wkfast.errors, MergeError);
    import_exception!(wkfast.errors, NmlError);
    import_exception!(wkfast.errors, ObjectStoreError);
    import_exception!(wkfast.errors, SkeletonError);
    import_exception!(wkfast.errors, StopRequested);
    import_exception!(wkfast.errors, TargetBusyError);
    import_exception!(wkfast.errors, TargetNotEmptyError);
    import_exception!(wkfast.errors, VolumeDataError);
}

/// `ESTALE`, for Python's `errno`.
const STALE: i32 = 116;

/// A fault of one of the crates below, or one raised by Python.
#[derive(Debug)]
pub(crate) enum CoreError {
    Edit(EditError),
    /// Reading or writing an NML, and which.
    Nml(PathBuf, NmlError),
    /// Reading a zip: its path, what to call the member or the zip, and the fault.
    Zip(PathBuf, String, io::Error),
    /// Reading or writing any other file, and which.
    Io(PathBuf, io::Error),
    /// Reading metadata of a dataset, and which file.
    Metadata(PathBuf, io::Error),
    Volume(VolumeError),
    Python(PyErr),
}

/// An error of ours for a value that no NML can have: half of a character, or a number beyond 64 bits.
pub(crate) fn of_values(py: Python<'_>, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyUnicodeEncodeError>(py) || error.is_instance_of::<PyOverflowError>(py) {
        return SkeletonError::new_err(format!("a node cannot have this value: {}", error.value(py)));
    }
    error
}

impl From<EditError> for CoreError {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
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

impl CoreError {
    pub(crate) fn nml(path: &Path) -> impl FnOnce(NmlError) -> Self {
        move |error| Self::Nml(path.to_owned(), error)
    }

    /// A fault of a zip file, or of the member of it that is called `name`.
    pub(crate) fn zip(path: &Path, name: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Zip(path.to_owned(), name.into(), error)
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(path.to_owned(), error)
    }

    pub(crate) fn metadata(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Metadata(path.to_owned(), error)
    }
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        let error = match raised(error) {
            Ok(raised) => return raised,
            Err(error) => error,
        };
        match error {
            CoreError::Edit(error) => SkeletonError::new_err(error.to_string()),
            CoreError::Nml(path, NmlError::Io(error)) => os_error(&path, &error),
            CoreError::Nml(_, NmlError::Stopped(error)) => stopped(error),
            CoreError::Nml(path, error @ NmlError::Unwritable { .. }) => {
                SkeletonError::new_err(format!("{} cannot be written: {error}", path.display()))
            }
            CoreError::Nml(path, error) => nml_error(&path, &error),
            CoreError::Zip(path, _, error) if error.raw_os_error().is_some() => os_error(&path, &error),
            CoreError::Zip(_, name, error) => AnnotationZipError::new_err(format!("{name}: {error}")),
            CoreError::Metadata(path, error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => {
                PyOSError::new_err((STALE, error.to_string(), path.into_os_string()))
            }
            CoreError::Metadata(path, error) if error.raw_os_error().is_none() => {
                classes::DatasetError::new_err(format!("{}: {error}", path.display()))
            }
            CoreError::Io(path, error) | CoreError::Metadata(path, error) => os_error(&path, &error),
            CoreError::Volume(error) => volume_error(&error),
            CoreError::Python(error) => error,
        }
    }
}

/// What ended the reading or writing of a file from without: a signal's handler raised it, or a server said it.
fn raised(error: CoreError) -> Result<PyErr, CoreError> {
    match error {
        CoreError::Nml(path, NmlError::Io(error)) => {
            within(error).map_err(|error| CoreError::Nml(path, NmlError::Io(error)))
        }
        CoreError::Io(path, error) => within(error).map_err(|error| CoreError::Io(path, error)),
        CoreError::Zip(path, name, error) => within(error).map_err(|error| CoreError::Zip(path, name, error)),
        other => Err(other),
    }
}

fn within(error: io::Error) -> Result<PyErr, io::Error> {
    let error = match error.downcast::<PyErr>() {
        Ok(raised) => return Ok(raised),
        Err(error) => error,
    };
    error.downcast::<VolumeError>().map(|error| volume_error(&error))
}

fn volume_error(error: &VolumeError) -> PyErr {
    let text = error.to_string();
    match error {
        VolumeError::Missing { .. } => classes::MagNotFoundError::new_err(text),
        VolumeError::Setting(_) => EnvironmentVariableError::new_err(text),
        VolumeError::Mismatch(_) => classes::MergeError::new_err(text),
        VolumeError::TargetTaken { .. } => classes::TargetNotEmptyError::new_err(text),
        VolumeError::TargetBusy { .. } => classes::TargetBusyError::new_err(text),
        VolumeError::Server { .. } => classes::ObjectStoreError::new_err(text),
        VolumeError::Enough => StopRequested::new_err(text),
        VolumeError::Interrupted => PyKeyboardInterrupt::new_err(text),
        // Io, Corrupt, Unsupported, and whatever the crate may add.
        _ => VolumeDataError::new_err(text),
    }
}

/// The progress hook's own error comes back as it was.
fn stopped(error: Box<dyn std::error::Error + Send + Sync>) -> PyErr {
    match error.downcast::<PyErr>() {
        Ok(error) => *error,
        Err(error) => SkeletonError::new_err(error.to_string()),
    }
}

fn os_error(path: &Path, error: &io::Error) -> PyErr {
    if error.raw_os_error().is_none() && error.kind() == io::ErrorKind::AlreadyExists {
        return classes::ExistsError::new_err(format!("{}: {error}", path.display()));
    }
    // What a parser of compressed data says is about the data, not about the system.
    if error.raw_os_error().is_none() && error.kind() != io::ErrorKind::NotFound {
        return AnnotationZipError::new_err(format!("{}: {error}", path.display()));
    }
    let Some(code) = error.raw_os_error() else {
        return io::Error::new(error.kind(), format!("{}: {error}", path.display())).into();
    };
    // As Python's own: the class follows from the number, and the path is there as `filename`.
    let reason = error.to_string();
    let reason = reason.strip_suffix(&format!(" (os error {code})")).unwrap_or(&reason).to_owned();
    PyOSError::new_err((code, reason, path.as_os_str().to_owned()))
}

fn nml_error(path: &Path, error: &NmlError) -> PyErr {
    let at = match error {
        NmlError::Syntax { at, .. } | NmlError::Limit { at, .. } => *at,
        NmlError::Rejected(problem) => problem.at,
        _ => Position::default(),
    };
    let message = format!("{}: {error}", path.display());
    Python::attach(|py| make_nml_error(&classes::NmlError::type_object(py), &message, at).unwrap_or_else(|error| error))
}

fn make_nml_error(class: &Bound<'_, PyType>, message: &str, at: Position) -> PyResult<PyErr> {
    let place = [("line", at.line), ("column", at.column)].into_py_dict(class.py())?;
    Ok(PyErr::from_value(class.call((message,), Some(&place))?))
}
