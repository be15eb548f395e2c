//! Bytes below all formats: how files are [opened](mod@open) although others replace them meanwhile, and how they are
//! [replaced](replace).
//!
//! Knows no voxels, no skeletons and no Python.

pub mod open;
pub mod replace;

pub use open::{open, persistently, persistently_seen, read_small, stat};
pub use replace::{Draft, DraftOptions};
