//! Voxel layers of WEBKNOSSOS: where their bytes lie ([`store`]), how the bytes spell chunks
//! ([`mod@format`]), how an annotation's chunks are laid over a segmentation ([`merge`]) and how mags get into data zips
//! and out of them ([`mod@pack`]).
//!
//! Imports point one way: `merge`, `pack` and `reshape` use `format` and [`mapping`], `format` uses `store` and `geometry`.

// First, for its macro.
#[macro_use]
pub mod voxels;

pub mod canvas;
pub mod downsample;
pub mod error;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod geometry;
mod label;
pub mod mapping;
pub mod merge;
pub mod pack;
pub mod reshape;
pub mod sample;
pub mod statistics;
pub mod store;
pub mod work;

pub use error::{Result, VolumeError};
