//! Voxel layers of WEBKNOSSOS: where their bytes lie ([`store`]), how the bytes spell chunks
//! ([`mod@format`]) and how an annotation's chunks are laid over a segmentation ([`merge`]).
//!
//! Imports point one way: `merge` uses `format`, `format` uses `store` and `geometry`.

pub mod error;
pub mod format;
pub mod geometry;
pub mod merge;
pub mod store;
pub mod voxels;

pub use error::{Result, VolumeError};
