//! What becomes of the voxels of a chunk that is copied.

use std::fmt;
use std::sync::Arc;

use super::{ChunkFunction, Step};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkGrid, ChunkIndex};
use crate::label::check;
use crate::mapping::Mapping;
use crate::voxels::VoxelType;

/// What is done to every chunk that is there.
pub(super) enum Change {
    Relabel(Mapping, VoxelType),
    Apply(Arc<ChunkFunction>),
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relabel(mapping, _) => f.debug_tuple("Relabel").field(mapping).finish(),
            Self::Apply(_) => f.write_str("Apply"),
        }
    }
}

impl Change {
    /// What `step` does to chunks of `grid`. The function of [`Step::Apply`] comes later.
    pub(super) fn of(step: &Step, grid: &ChunkGrid) -> Result<Option<Self>> {
        let Step::Relabel(relabeling) = step else { return Ok(None) };
        check(grid.voxel_type, grid.channels)?;
        Ok(Some(Self::Relabel(Mapping::open(relabeling)?, grid.voxel_type)))
    }

    /// Makes `voxels` what a chunk of `target` is to hold, and tells whether they are others than before.
    pub(super) fn make(&self, chunk: &ChunkIndex, voxels: &mut Vec<u8>, target: &ChunkGrid) -> Result<bool> {
        let failed = |reason| VolumeError::Rule { chunk: chunk.clone(), reason };
        match self {
            Self::Relabel(mapping, voxel_type) => {
                mapping.apply(*voxel_type, voxels).map(|changed| changed > 0).map_err(failed)
            }
            Self::Apply(function) => {
                let mut out = vec![0; target.chunk_bytes()];
                function(chunk, voxels, &mut out).map_err(failed)?;
                let is_changed = *voxels != out;
                *voxels = out;
                Ok(is_changed)
            }
        }
    }
}
