//! Files in buckets (S3 and compatible, Google, Azure), on servers of files (HTTP), and in memory for tests, as a store of
//! `wkfast-volume`. Nothing is started before the first request.

mod across;
mod address;
mod again;
mod aws;
mod batch;
mod budget;
mod conditions;
mod connection;
mod credentials;
mod deciding;
mod failure;
mod fate;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handing;
mod parts;
mod reading;
mod runtime;
mod store;
mod streamed;
mod streaming;
#[cfg(test)]
mod tests;
mod writing;

pub use store::ObjectFiles;
pub use streamed::{Access, fills_box, hold, tells_absence};
pub use wkfast_http::end_requests;

use std::sync::Arc;

use wkfast_volume::error::Result;
use wkfast_volume::store::{Address, SharedStore};

/// What opens addresses for `wkfast-volume`.
pub fn open(address: &Address) -> Result<SharedStore> {
    if address.url.starts_with(streamed::SCHEME) {
        return Ok(Arc::new(streamed::StreamedFiles::open(address)?));
    }
    Ok(Arc::new(ObjectFiles::open(address.clone())?))
}
