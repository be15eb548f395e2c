//! Waiting for requests of stores, whose errors are those of `wkfast-volume`.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;

fn not_begun(error: io::Error) -> VolumeError {
    VolumeError::io("requests", error)
}

pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    wkfast_http::runtime().map_err(not_begun)
}

/// Runs `work` to its end, or until requests are ended. Where a client of a server panics, as some do on settings that they
/// cannot use, that is an error.
pub(crate) fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = wkfast_http::wait_for(AssertUnwindSafe(work).catch_unwind()).map_err(not_begun)?;
    done.unwrap_or(Ok(Err(VolumeError::Interrupted))).unwrap_or_else(|cause| Err(panicked(&*cause)))
}

fn panicked(cause: &(dyn Any + Send)) -> VolumeError {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    // The values of settings may be in what it says.
    let kind = text.unwrap_or_default().split([':', '"']).next().unwrap_or_default();
    let reason = format!("the request could not be made; a storage option or variable has a value of no use ({kind})");
    VolumeError::Server { file: "a server".to_owned(), reason }
}
