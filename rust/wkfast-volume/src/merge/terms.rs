//! What decides which label a voxel gets: which side wins, and what the fallback's labels become before.

use std::sync::{Arc, OnceLock};

use super::chunk::{Overlap, Policy, take_new_labels};
use super::plan::MergePlan;
use super::rule::{LabelRule, RuleId};
use super::sides::Sources;
use super::space::Space;
use crate::error::{Result, VolumeError};
use crate::geometry::ChunkIndex;
use crate::mapping::Mapping;
use crate::voxels::VoxelType;

/// Held by every part of a merge that makes voxels.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) policy: Policy,
    pub(super) mapping: Option<Arc<Mapping>>,
    rule: Option<(RuleId, Arc<OnceLock<LabelRule>>)>,
}

/// A chunk of the fallback whose labels have become others.
#[derive(Debug)]
pub(super) struct Renamed {
    before: Space,
    after: Space,
    /// How many voxels differ.
    pub(super) voxels: u64,
}

impl Terms {
    pub(super) fn of(plan: &MergePlan, sources: &Sources) -> Self {
        let options = &plan.input.options;
        let rule = options.rule.clone().map(|id| (id, sources.rule.clone()));
        Self { policy: options.policy, mapping: sources.mapping.clone(), rule }
    }

    /// The rule, if there is one.
    pub(super) fn rule(&self) -> Result<Option<&LabelRule>> {
        let Some((id, rule)) = &self.rule else { return Ok(None) };
        let missing = || VolumeError::Mismatch(format!("the merge has the rule {}, which is not at hand", id.name));
        rule.get().map(Some).ok_or_else(missing)
    }

    /// Whether the rule is asked about all annotations at once.
    pub(super) fn asks_about_all(&self) -> bool {
        self.rule.as_ref().is_some_and(|(id, _)| id.for_all)
    }

    /// Whether a chunk of an annotation that covers one of the result is what the result has there.
    pub(super) fn is_plain_chunk(&self) -> bool {
        self.policy == Policy::Chunk && self.mapping.is_none()
    }

    /// Gives the fallback's voxels their new labels; `None` where none is another.
    pub(super) fn rename(
        &self,
        chunk: &ChunkIndex,
        voxel_type: VoxelType,
        voxels: &mut [u8],
    ) -> Result<Option<Renamed>> {
        let Some(mapping) = &self.mapping else { return Ok(None) };
        let before = Space::copy_of(voxels);
        let failed = |reason| VolumeError::Rule { chunk: chunk.clone(), reason };
        let changed = mapping.apply(voxel_type, voxels).map_err(failed)?;
        Ok((changed > 0).then(|| Renamed { before, after: Space::copy_of(voxels), voxels: changed }))
    }
}

impl Renamed {
    /// What an annotation shows of the fallback gets the new labels, too. Returns whether there is any such voxel.
    pub(super) fn carry_over(&self, voxel_type: VoxelType, overlap: &Overlap, block: &mut [u8]) -> bool {
        take_new_labels(voxel_type, overlap, block, &self.before, &self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{Case, World, simple_case};
    use super::*;
    use crate::mapping::Missing;

    #[test]
    fn a_chunk_of_which_no_label_is_another_is_not_renamed() {
        // 2 becomes 3, 1 stays.
        let world = World::build(&Case { missing: Some(Missing::Keep), ..simple_case() });
        let plan = MergePlan::new(world.input.clone()).unwrap();
        let terms = Terms::of(&plan, &Sources::open(&world.input).unwrap());
        let rename = |labels: [u8; 3]| {
            let mut voxels: Vec<u8> = labels.into_iter().flat_map(|label| [label, 0, 0, 0]).collect();
            let renamed = terms.rename(&ChunkIndex::xyz(0, 0, 0), VoxelType::UInt32, &mut voxels).unwrap();
            (voxels.chunks(4).map(|label| label[0]).collect::<Vec<_>>(), renamed.map(|renamed| renamed.voxels))
        };
        assert_eq!(rename([1, 0, 1]), (vec![1, 0, 1], None));
        assert_eq!(rename([1, 2, 2]), (vec![1, 3, 3], Some(2)));
    }
}
