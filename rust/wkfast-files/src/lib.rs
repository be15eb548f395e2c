//! Bytes below all formats: how files are [opened](mod@open) although others replace them meanwhile, how they are
//! [replaced](replace), and [zip] archives, read in place and written.
//!
//! Knows no voxels, no skeletons and no Python.

pub mod held;
mod json;
mod lease;
pub mod open;
pub mod process;
pub mod replace;
pub mod zip;

pub use held::Held;
pub use json::nests_deeper;
pub use lease::{Heartbeat, LEASE, RENEWAL, locks_missing_at};
pub use open::{
    is_link, lies_plainly, open_folder, open_itself, open_regular, persistently, persistently_here, persistently_seen,
    read_small, stat,
};
pub use process::Process;
pub use replace::{Draft, DraftOptions, is_still};
