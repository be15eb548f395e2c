//! What all work on chunks shares: the [`Driver`] that has tasks done, reading chunks, names for files under construction, leases of what lies in buckets,
//! folders that go away, how much memory there is.

mod ahead;
mod driver;
mod memory;
mod names;
mod object_lease;
mod remove;
mod source;

pub(crate) use self::ahead::Ahead;
pub use self::driver::{Driver, Observer, Progress, Stop, pool_of};
pub use self::memory::{IN_FLIGHT_VARIABLE, STANDING, bytes_in_flight, memory_limit};
pub(crate) use self::names::{create_unique, unique_name};
pub use self::object_lease::{ObjectLease, Taken, Term};
pub(crate) use self::object_lease::{WatchedLease, owner_in};
pub use self::remove::{remove_folder, remove_or_leave};
pub(crate) use self::source::ReadMag;
