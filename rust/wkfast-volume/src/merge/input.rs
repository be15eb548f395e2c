//! What is to be merged and how, as plain data that Python builds and any process can read.

use serde::{Deserialize, Serialize};

use super::chunk::Policy;
use super::rule::RuleId;
use super::target::MergeTarget;
use crate::error::{Result, VolumeError};
use crate::format::MagLocation;
use crate::geometry::{BoundingBox, Mag};
use crate::mapping::Relabeling;

/// Both sides of a merge and where its result goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeInput {
    /// Mags of the volume layers to be laid over the fallback, one list per annotation, each over those before it.
    /// Without any, the fallback is copied.
    pub annotations: Vec<Vec<MagLocation>>,
    /// Mags of the fallback layer.
    pub fallback: Vec<MagLocation>,
    /// Extent of the fallback layer. Unit: mag-1 voxels.
    pub fallback_bounding_box: BoundingBox,
    /// What takes the result: a dataset to be. Absent, empty, or left behind by this very merge.
    pub target: MergeTarget,
    /// A folder of the target for every mag of the fallback.
    pub target_mags: Vec<TargetMag>,
    /// Rules.
    #[serde(default)]
    pub options: MergeOptions,
    /// What the fallback's labels become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<NewLabels>,
}

impl MergeInput {
    /// Whether servers are asked for any of it.
    pub fn is_far(&self) -> bool {
        let mut sides = self.annotations.iter().flatten().chain(&self.fallback);
        self.target.container().is_far() || sides.any(|mag| mag.container.is_far())
    }
}

/// What the fallback's labels become. Voxels of an annotation that hold what the fallback has there are the fallback's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLabels {
    /// The table.
    #[serde(flatten)]
    pub relabeling: Relabeling,
    /// Tells tables apart, wherever they lie.
    pub digest: String,
}

/// Where in the target a mag goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetMag {
    /// Magnification.
    pub mag: Mag,
    /// Folder relative to the target, with `/` between its parts: `segmentation/2-2-1`.
    pub folder: String,
}

/// Choices of a merge. They change the result, so they are part of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MergeOptions {
    /// Which voxel wins.
    pub policy: Policy,
    /// Which mags the result has.
    pub mags: MagChoice,
    /// How files that nothing lies over come into the target.
    pub link: Link,
    /// A function of the caller's that is asked which label a voxel gets. The policy is [`Policy::Nonzero`] then: no chunk
    /// stands for another whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self { policy: Policy::Chunk, mags: MagChoice::All, link: Link::Copy, rule: None }
    }
}

/// How files that nothing lies over come into the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// As copies, which share their extents with the fallback where the file system can.
    Copy,
    /// As hard links: they take no space, and whoever writes into one of the two files writes into both. wkfast never
    /// does, it replaces files; a layer whose usual writers do is refused.
    Hard,
}

/// Which mags the result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MagChoice {
    /// Every mag of the fallback from the annotation's finest on; those the annotation lacks are recomputed.
    All,
    /// The annotation's finest alone.
    Finest,
}

/// Sorts finer before coarser: by the longest edge of a voxel, then by its volume, then by its edges, so that the
/// order of mags of one kind does not depend on a directory listing.
pub fn fineness(mag: Mag) -> (u32, u128, Mag) {
    let [x, y, z] = mag.0;
    (x.max(y).max(z), u128::from(x) * u128::from(y) * u128::from(z), mag)
}

/// Refuses folders that leave the target.
pub(super) fn check_folder(folder: &str) -> Result<()> {
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0']);
    if folder.split('/').any(bad) {
        return Err(VolumeError::Mismatch(format!("target folder {folder:?} is no relative path within the target")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, simple_case};
    use super::*;
    use crate::format::Container;
    use crate::store::Address;

    #[test]
    fn a_merge_is_far_as_soon_as_one_of_its_sides_is() {
        let input = World::build(&simple_case()).input.clone();
        assert!(!input.is_far());
        let address = || Address { url: "s3://bucket/folder".to_owned(), options: std::collections::BTreeMap::new() };
        let far = |change: &dyn Fn(&mut MergeInput)| {
            let mut input = input.clone();
            change(&mut input);
            input.is_far()
        };
        assert!(far(&|input| input.target = MergeTarget::Objects(address())));
        assert!(far(&|input| input.fallback[1].container = Container::Objects(address())));
        assert!(far(&|input| input.annotations[0][0].container = Container::Objects(address())));
    }
}
