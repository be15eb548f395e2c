//! Voxel layers of WEBKNOSSOS: where their bytes lie ([`store`]), how the bytes spell chunks
//! ([`mod@format`]), how an annotation's chunks are laid over a segmentation ([`merge`]) and how mags get into data zips
//! and out of them ([`mod@pack`]).
//!
//! Imports point one way: `merge` and `pack` use `format`, `format` uses `store` and `geometry`.

pub mod error;
pub mod format;
pub mod geometry;
pub mod merge;
pub mod pack;
pub mod store;
pub mod voxels;

pub use error::{Result, VolumeError};
