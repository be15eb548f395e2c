//! Random layers on disk and in memory for tests of whole merges.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::input::{Link, MagChoice, MergeOptions, TargetMag};
use super::journal::PROVENANCE;
use super::reference::{self, Dense, Sides};
use super::testing::{MagSpec, Spelling, cut, read_dense};
use super::{
    Access, Conflict, MergeInput, MergePlan, MergeReport, MergeTarget, NewLabels, Policy, Seconds, Sources, commit,
    complete, run,
};
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, open_mag};
use crate::geometry::{BoundingBox, Mag};
use crate::mapping::{LabelTable, Missing, Relabeling};
use crate::voxels::VoxelType;
use crate::work::Progress;

/// Edge of the test world in voxels of mag 1.
pub(super) const WORLD: usize = 32;

/// Both layers of a test, on disk and in memory.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) input: MergeInput,
    /// Whole mags of the fallback.
    pub(super) fallback: Vec<Dense>,
    /// Whole mags of every annotation, and where it has chunks.
    pub(super) annotations: Vec<Vec<(Dense, Dense)>>,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) policy: Policy,
    pub(super) mags: MagChoice,
    pub(super) fallback: MagSpec,
    pub(super) annotation: MagSpec,
    /// Mags 1, 2, 4 of the fallback; as many of them in the annotation.
    pub(super) annotation_mags: usize,
    /// Mags of further annotations, each over those before it.
    pub(super) further: Vec<usize>,
    /// Of 8 chunks or shards, how many are there.
    pub(super) density: u64,
    pub(super) seed: u64,
    /// Whether some labels of the fallback become others, and what the rest becomes.
    pub(super) missing: Option<Missing>,
}

impl Case {
    /// What some labels become, ascending.
    fn pairs(&self) -> Vec<(i64, i64)> {
        vec![(2, 3), (3, 4), (4, 0), (highest(self.fallback.voxel_type), 2)]
    }

    fn new_labels(&self, folder: &Path, missing: Missing) -> NewLabels {
        let (old, new): (Vec<i64>, Vec<i64>) = self.pairs().into_iter().unzip();
        let head = [i64::from_le_bytes(*b"wkflabel"), 0, old.len() as i64, 0];
        let table = folder.join("table");
        let words = head.into_iter().chain(old).chain(new);
        fs::write(&table, words.flat_map(i64::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        NewLabels { relabeling: Relabeling { table: LabelTable::Near(table), missing }, digest: "of a test".to_owned() }
    }

    /// A mag of the fallback with its new labels.
    pub(super) fn renamed_layer(&self, fallback: &Dense) -> Dense {
        let values = fallback.values.iter().map(|&label| self.renamed(label)).collect();
        Dense { values, ..*fallback }
    }

    /// What becomes of a label of the fallback.
    pub(super) fn renamed(&self, label: i64) -> i64 {
        let Some(missing) = self.missing else { return label };
        let found = self.pairs().into_iter().find(|&(old, _)| old == label);
        found.map_or(if missing == Missing::Keep { label } else { 0 }, |(_, new)| new)
    }
}

/// A number that depends on the seed and what else is given.
pub(super) fn scatter(seed: u64, what: &[u64]) -> u64 {
    what.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, &item| {
        (hash ^ item).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29).wrapping_add(item)
    }) >> 20
}

pub(super) fn random_layer(edge: usize, seed: u64, highest: i64) -> Dense {
    let mut layer = Dense::zeros([edge; 3]);
    for at in layer.voxels() {
        let place = layer.place(at);
        // Pairs of voxels share a label, so that there are runs and the mode has something to find.
        let [x, y, z] = at.map(|at| at as u64 / 2);
        layer.values[place] = match scatter(seed, &[x, y, z]) % 5 {
            0 | 1 => 0,
            2 => highest,
            other => other as i64,
        };
    }
    layer
}

/// A value near the top of what both the type and the test's arithmetic hold.
pub(super) fn highest(voxel_type: VoxelType) -> i64 {
    let bits = 8 * voxel_type.size() as u32 - 1;
    i64::MAX >> (63 - bits.min(62))
}

impl World {
    pub(super) fn build(case: &Case) -> Self {
        let folder = TempDir::new().unwrap();
        let (mut fallback, mut under) = (Vec::new(), Vec::new());
        let mags = [&[case.annotation_mags], case.further.as_slice()].concat();
        let mut annotations = vec![Vec::new(); mags.len()];
        let mut over = vec![Vec::new(); mags.len()];
        for (number, factor) in [1, 2, 4].into_iter().enumerate() {
            let (edge, seed) = (WORLD / factor, scatter(case.seed, &[number as u64]));
            let mag = Mag([factor as u32; 3]);
            let spec = MagSpec { mag, ..case.fallback.clone() };
            let mut layer = random_layer(edge, seed, highest(spec.voxel_type));
            // Whole shards are missing, as from sparse layers.
            let shard = spec.chunk_edge() << spec.log2_shard();
            for at in layer.voxels() {
                let [x, y, z] = at.map(|at| (at / shard) as u64);
                if scatter(seed, &[7, x, y, z]) % 8 >= case.density {
                    let place = layer.place(at);
                    layer.values[place] = 0;
                }
            }
            let present = |xyz: [u32; 3]| {
                let [x, y, z] = xyz.map(|at| u64::from(at) * spec.chunk_edge() as u64 / shard as u64);
                scatter(seed, &[7, x, y, z]) % 8 < case.density
            };
            let chunks = cut(&layer, spec.chunk_edge(), present);
            under.push(spec.write(folder.path(), &format!("fallback/{mag}"), &chunks));
            fallback.push(layer);
            for (place, _) in mags.iter().enumerate().filter(|&(_, &mags)| number < mags) {
                let spec = MagSpec { mag, ..case.annotation.clone() };
                let (layer, present, chunks) = random_annotation(&spec, edge, seed ^ (5 + place as u64), case.density);
                over[place].push(spec.write(folder.path(), &format!("annotation{place}/{mag}"), &chunks));
                annotations[place].push((layer, present));
            }
        }
        let input = MergeInput {
            annotations: over,
            fallback_bounding_box: BoundingBox { topleft: [3, 2, 1], size: [5, 6, 7] },
            target: MergeTarget::Directory(folder.path().join("target")),
            target_mags: under
                .iter()
                .map(|location| TargetMag { mag: location.mag, folder: format!("segmentation/{}", location.mag) })
                .collect(),
            fallback: under,
            options: MergeOptions { policy: case.policy, mags: case.mags, link: Link::Copy, rule: None },
            mapping: case.missing.map(|missing| case.new_labels(folder.path(), missing)),
        };
        Self { folder, input, fallback, annotations }
    }

    pub(super) fn target(&self) -> &Path {
        self.input.target.directory().expect("worlds are merged into folders")
    }

    /// What every mag of the result must hold.
    pub(super) fn expected(&self, case: &Case) -> Vec<Dense> {
        self.expected_of(case, &|shown, below| reference::winner(case.policy, shown[0], below), false)
    }

    /// The same where a rule decides, asked about each annotation or about all that have the mag `together`.
    pub(super) fn expected_of(&self, case: &Case, rule: &reference::Rule, together: bool) -> Vec<Dense> {
        let has_chunks = |mags: &&Vec<(Dense, Dense)>| mags.iter().any(|(_, present)| present.values.contains(&1));
        let painted: Vec<_> = self.annotations.iter().filter(has_chunks).collect();
        let mut expected: Vec<Dense> = Vec::new();
        // By annotation, where it has touched the mag before.
        let mut touched: Vec<Dense> = painted.iter().map(|_| Dense::zeros([WORLD; 3])).collect();
        for (number, fallback) in self.fallback.iter().enumerate() {
            let mut merged = case.renamed_layer(fallback);
            let labels = Sides { before: fallback.clone(), after: merged.clone() };
            let own = |mags: &&Vec<(Dense, Dense)>| {
                let has_it =
                    |present: &Dense| number == 0 || present.values.contains(&1) || !mags[0].1.values.contains(&1);
                mags.get(number).filter(|(_, present)| has_it(present)).cloned()
            };
            let owned: Vec<Option<(Dense, Dense)>> = painted.iter().map(own).collect();
            if together {
                let all: Vec<(Dense, Dense)> = owned.iter().flatten().cloned().collect();
                merged = reference::ask(rule, &all, &merged, &labels);
            }
            for (own, touched) in owned.into_iter().zip(&mut touched) {
                if let Some(own) = own {
                    touched.clone_from(&own.1);
                    if !together {
                        merged = reference::ask(rule, &[own], &merged, &labels);
                    }
                } else if let Some(finer) = expected.last() {
                    (merged, *touched) = reference::recompute(finer, touched, &merged);
                }
            }
            expected.push(merged);
        }
        expected
    }

    /// Pairs of annotations that painted different labels in mag 1, by their places.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        for second in 0..self.annotations.len() {
            for first in 0..second {
                let [Some(one), Some(other)] = [first, second].map(|place| self.annotations[place].first()) else {
                    continue;
                };
                let pairs = one.0.values.iter().zip(&other.0.values);
                let voxels = pairs.filter(|&(&one, &other)| one != 0 && other != 0 && one != other).count() as u64;
                if voxels > 0 {
                    found.push(Conflict { first, second, voxels });
                }
            }
        }
        found.sort_unstable_by_key(|conflict| (conflict.first, conflict.second));
        found
    }
}

pub(super) fn random_annotation(
    spec: &MagSpec,
    edge: usize,
    seed: u64,
    density: u64,
) -> (Dense, Dense, BTreeMap<[u32; 3], Vec<i64>>) {
    let mut layer = random_layer(edge, seed, highest(spec.voxel_type));
    let chunk = spec.chunk_edge();
    let draw = |xyz: [u64; 3]| scatter(seed, &[1, xyz[0], xyz[1], xyz[2]]) % 8;
    let is_present = |xyz: [u64; 3]| draw(xyz) < density;
    let mut present = Dense::zeros(layer.size);
    for at in layer.voxels() {
        let (place, xyz) = (layer.place(at), at.map(|at| (at / chunk) as u64));
        present.values[place] = i64::from(is_present(xyz));
        // Some chunks are erased wholly.
        if !is_present(xyz) || draw(xyz) == 0 {
            layer.values[place] = 0;
        }
    }
    let chunks = cut(&layer, chunk, |xyz| is_present(xyz.map(u64::from)));
    (layer, present, chunks)
}

pub(super) fn spec(spelling: Spelling, voxel_type: VoxelType, log2_chunk: u8, log2_shard: u8) -> MagSpec {
    MagSpec { mag: Mag([1; 3]), spelling, voxel_type, log2_chunk, log2_shard }
}

pub(super) fn simple_case() -> Case {
    Case {
        policy: Policy::Chunk,
        mags: MagChoice::All,
        fallback: spec(Spelling::WkwLz4, VoxelType::UInt32, 2, 1),
        annotation: spec(Spelling::WkwLz4, VoxelType::UInt32, 2, 0),
        annotation_mags: 1,
        further: Vec::new(),
        density: 4,
        seed: 1,
        missing: None,
    }
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let types = prop::sample::select(vec![
        (VoxelType::UInt32, VoxelType::UInt32),
        (VoxelType::UInt8, VoxelType::UInt64),
        (VoxelType::UInt64, VoxelType::UInt8),
        (VoxelType::UInt16, VoxelType::Int32),
        (VoxelType::Int8, VoxelType::Int16),
        (VoxelType::Int16, VoxelType::UInt8),
    ]);
    let spellings = prop::sample::select(vec![
        Spelling::WkwRaw,
        Spelling::WkwLz4,
        Spelling::Zarr3Sharded,
        Spelling::Zarr3Blosc,
        Spelling::Zarr2,
    ]);
    (
        (any::<bool>(), any::<bool>(), types, spellings.clone(), spellings),
        (2_u8..5, 0_u8..3, 2_u8..5, 0_usize..4, 0_u64..9, any::<u64>()),
        prop::collection::vec(1_usize..4, 0..3),
        prop::sample::select(vec![None, Some(Missing::Keep), Some(Missing::Zero)]),
    )
        .prop_map(
            |(
                (chunk, all, types, under, over),
                (fallback_chunk, shard, chunk_edge, mags, density, seed),
                further,
                missing,
            )| {
                Case {
                    policy: if chunk { Policy::Chunk } else { Policy::Nonzero },
                    mags: if all { MagChoice::All } else { MagChoice::Finest },
                    fallback: spec(under, types.0, fallback_chunk, shard),
                    annotation: spec(over, types.1, chunk_edge, 0),
                    annotation_mags: mags,
                    further,
                    density,
                    seed,
                    missing,
                }
            },
        )
}

#[allow(clippy::unnecessary_wraps)] // an observer may fail
pub(super) fn silent(_: Progress) -> Result<()> {
    Ok(())
}

/// An observer that ends the work when it is called more often than `calls` times.
pub(super) fn stopping(calls: usize) -> impl FnMut(Progress) -> Result<()> {
    let mut left = calls;
    move |_| {
        left = left.checked_sub(1).ok_or(VolumeError::Interrupted)?;
        Ok(())
    }
}

pub(super) fn merge_all(input: &MergeInput) -> Result<(MergePlan, MergeReport)> {
    let plan = MergePlan::new(input.clone())?;
    let sources = Sources::open(input)?;
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent)?;
    let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(()))?;
    Ok((plan, report))
}

/// The same in one go.
pub(super) fn complete_all(input: &MergeInput) -> Result<(MergePlan, MergeReport)> {
    let plan = MergePlan::new(input.clone())?;
    let report = complete(&plan, &Sources::open(input)?, 2, Seconds::default(), &mut silent)?;
    Ok((plan, report))
}

/// The result's mags.
pub(super) fn result(plan: &MergePlan) -> Vec<(Mag, Dense)> {
    let read = |mag: &super::plan::MagPlan| {
        let size = [WORLD / mag.mag.0[0] as usize; 3];
        (mag.mag, read_dense(open_result(plan, mag.mag).as_ref(), size))
    };
    plan.mags.iter().map(read).collect()
}

/// A mag of the result, by way of a new location.
pub(super) fn open_result(plan: &MergePlan, mag: Mag) -> Arc<dyn MagArray> {
    let mag = plan.mags.iter().find(|plan| plan.mag == mag).unwrap();
    open_mag(&plan.result_location(mag)).unwrap()
}

/// Every file below a folder with its bytes.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Files of the result without the report, which holds times.
pub(super) fn result_files(target: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(target);
    found.remove(PROVENANCE);
    found
}
