//! Waiting for requests of stores, whose errors are those of `wkfast-volume`.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::Runtime;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;

fn not_begun(error: io::Error) -> VolumeError {
    VolumeError::io("requests", error)
}

pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    wkfast_http::runtime().map_err(not_begun)
}

/// Runs `work` to its end, or until requests are ended.
pub(crate) fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    wkfast_http::wait_for(work).map_err(not_begun)?.unwrap_or(Err(VolumeError::Interrupted))
}
