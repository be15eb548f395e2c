//! Bounds of what is read, as the environment states them.

use wkfast_nml::{Limits, ReadOptions};

use crate::errors::{CoreError, EnvironmentVariableError};

/// How to read, where nothing else is asked for.
pub(crate) fn read_options<'a>() -> Result<ReadOptions<'a>, CoreError> {
    Ok(ReadOptions { limits: limits()?, ..ReadOptions::default() })
}

/// The bounds that are in force.
pub(crate) fn limits() -> Result<Limits, CoreError> {
    Limits::from_environment().map_err(|said| EnvironmentVariableError::new_err(said).into())
}
