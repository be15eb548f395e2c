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

/// Room for the voxels of a chunk and for what is made of them, for one chunk after the other: what is as large as this is given back
/// to the system when it is freed, and getting it again takes longer than decoding into it.
#[derive(Default)]
pub(super) struct ChunkSpace {
    pub(super) voxels: Vec<u8>,
    made: Vec<u8>,
}

impl ChunkSpace {
    pub(super) const NONE: Self = Self { voxels: Vec::new(), made: Vec::new() };
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

    /// Makes the voxels in `space` what a chunk of `target` is to hold, and tells whether they are others than before.
    pub(super) fn make(&self, chunk: &ChunkIndex, space: &mut ChunkSpace, target: &ChunkGrid) -> Result<bool> {
        let failed = |reason| VolumeError::Rule { chunk: chunk.clone(), reason };
        match self {
            Self::Relabel(mapping, voxel_type) => {
                mapping.apply(*voxel_type, &mut space.voxels).map(|changed| changed > 0).map_err(failed)
            }
            Self::Apply(function) => {
                space.made.clear();
                space.made.resize(target.chunk_bytes(), 0);
                function(chunk, &space.voxels, &mut space.made).map_err(failed)?;
                std::mem::swap(&mut space.voxels, &mut space.made);
                Ok(space.voxels != space.made)
            }
        }
    }
}
