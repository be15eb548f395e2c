//! Bytes below all formats: how files are [opened](mod@open) although others replace them meanwhile.
//!
//! Knows no voxels, no skeletons and no Python.

pub mod open;

pub use open::{open, persistently, persistently_seen, read_small, stat};
