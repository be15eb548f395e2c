//! GETs: one, or hundreds at once from one server, over connections that are kept by server and by who is asking.
//!
//! [`Client::get`] brings a head and then the body in pieces; [`Client::batch`] hands many bodies, whose sizes are known,
//! to a [`Sink`] as they come. Neither follows redirects, decodes, or tries again: who calls knows what that is worth.
//! Nothing is started before the first request. Requests run on the [`runtime`] of the process, which the stores of
//! `wkfast-objects` use as well.
//!
//! An answer that is read differently from how it was meant spoils those that follow it, so what is odd is refused, and a
//! connection on which anything is unread carries nothing more.

mod batch;
mod client;
mod connection;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod head;
mod idleness;
mod passage;
mod pool;
mod proxy;
mod route;
mod runtime;
mod shares;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod trust;
mod watch;

pub use batch::{Ended, Sink, Wanted};
pub use client::{Answer, Client, Get};
pub use failure::{Failure, Kind};
pub use head::Head;
pub use passage::{Passage, Proxy, passage, proxy_before};
pub use proxy::PROXY_ASKS;
pub use route::{Route, Secrets};
pub use runtime::{OfProcess, end_requests, ends_so_far, runtime, wait_for};
pub use status::{Refusal, is_put_off, is_redirect};
pub use watch::Times;
