//! The merge as a whole, on real files.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::input::{MagChoice, MergeOptions, TargetMag};
use super::journal::PROVENANCE;
use super::reference::{self, Dense};
use super::testing::{MagSpec, Spelling, cut, read_dense};
use super::watched::Watched;
use super::{Access, MergeInput, MergePlan, MergeReport, Policy, Progress, Seconds, Sources, commit, run};
use crate::error::{Result, VolumeError};
use crate::format::{Container, MagLocation, open_mag};
use crate::geometry::{BoundingBox, Mag};
use crate::voxels::VoxelType;

/// Edge of the test world in voxels of mag 1.
const WORLD: usize = 32;

/// Both layers of a test, on disk and in memory.
struct World {
    folder: TempDir,
    input: MergeInput,
    /// Whole mags of the fallback.
    fallback: Vec<Dense>,
    /// Whole mags of the annotation, and where it has chunks.
    annotation: Vec<(Dense, Dense)>,
}

#[derive(Clone, Debug)]
struct Case {
    policy: Policy,
    mags: MagChoice,
    fallback: MagSpec,
    annotation: MagSpec,
    /// Mags 1, 2, 4 of the fallback; as many of them in the annotation.
    annotation_mags: usize,
    /// Of 8 chunks or shards, how many are there.
    density: u64,
    seed: u64,
}

/// A number that depends on the seed and what else is given.
fn scatter(seed: u64, what: &[u64]) -> u64 {
    what.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |hash, &item| {
        (hash ^ item).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29).wrapping_add(item)
    }) >> 20
}

fn random_layer(edge: usize, seed: u64, highest: i64) -> Dense {
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
fn highest(voxel_type: VoxelType) -> i64 {
    let bits = 8 * voxel_type.size() as u32 - 1;
    i64::MAX >> (63 - bits.min(62))
}

impl World {
    fn build(case: &Case) -> Self {
        let folder = TempDir::new().unwrap();
        let (mut fallback, mut annotation) = (Vec::new(), Vec::new());
        let (mut under, mut over) = (Vec::new(), Vec::new());
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
            if number < case.annotation_mags {
                let spec = MagSpec { mag, ..case.annotation.clone() };
                let (layer, present, chunks) = random_annotation(&spec, edge, seed ^ 5, case.density);
                over.push(spec.write(folder.path(), &format!("annotation/{mag}"), &chunks));
                annotation.push((layer, present));
            }
        }
        let input = MergeInput {
            annotations: vec![over],
            fallback_bounding_box: BoundingBox { topleft: [3, 2, 1], size: [5, 6, 7] },
            target: folder.path().join("target"),
            target_mags: under
                .iter()
                .map(|location| TargetMag { mag: location.mag, folder: format!("segmentation/{}", location.mag) })
                .collect(),
            fallback: under,
            options: MergeOptions { policy: case.policy, mags: case.mags },
        };
        Self { folder, input, fallback, annotation }
    }

    fn target(&self) -> &Path {
        &self.input.target
    }

    /// What every mag of the result must hold.
    fn expected(&self, case: &Case) -> Vec<Dense> {
        let mut expected: Vec<(Dense, Dense)> = Vec::new();
        for (number, fallback) in self.fallback.iter().enumerate() {
            let own = self.annotation.get(number).filter(|(_, present)| {
                number == 0 || present.values.contains(&1) || !self.annotation[0].1.values.contains(&1)
            });
            expected.push(match (own, expected.last()) {
                (Some((layer, present)), _) => {
                    (reference::merge(case.policy, layer, present, fallback).0, present.clone())
                }
                (None, Some((finer, touched))) => reference::recompute(finer, touched, fallback),
                (None, None) => (fallback.clone(), Dense::zeros(fallback.size)),
            });
        }
        expected.into_iter().map(|(layer, _)| layer).collect()
    }
}

fn random_annotation(
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

fn spec(spelling: Spelling, voxel_type: VoxelType, log2_chunk: u8, log2_shard: u8) -> MagSpec {
    MagSpec { mag: Mag([1; 3]), spelling, voxel_type, log2_chunk, log2_shard }
}

fn simple_case() -> Case {
    Case {
        policy: Policy::Chunk,
        mags: MagChoice::All,
        fallback: spec(Spelling::WkwLz4, VoxelType::UInt32, 2, 1),
        annotation: spec(Spelling::WkwLz4, VoxelType::UInt32, 2, 0),
        annotation_mags: 1,
        density: 4,
        seed: 1,
    }
}

fn cases() -> impl Strategy<Value = Case> {
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
    )
        .prop_map(
            |((chunk, all, types, under, over), (fallback_chunk, shard, chunk_edge, mags, density, seed))| Case {
                policy: if chunk { Policy::Chunk } else { Policy::Nonzero },
                mags: if all { MagChoice::All } else { MagChoice::Finest },
                fallback: spec(under, types.0, fallback_chunk, shard),
                annotation: spec(over, types.1, chunk_edge, 0),
                annotation_mags: mags,
                density,
                seed,
            },
        )
}

#[allow(clippy::unnecessary_wraps)] // an observer may fail
fn silent(_: Progress) -> Result<()> {
    Ok(())
}

fn merge_all(input: &MergeInput) -> Result<(MergePlan, MergeReport)> {
    let plan = MergePlan::new(input.clone())?;
    let sources = Sources::open(input)?;
    run(&plan, &sources, 0..plan.tasks().len(), 2, Access::Exclusive, &mut silent)?;
    let report = commit(&plan, Seconds::default(), false)?;
    Ok((plan, report))
}

/// The result's mags, read by way of a new location.
fn result(plan: &MergePlan) -> Vec<(Mag, Dense)> {
    let read = |mag: &super::plan::MagPlan| {
        let container = Container::Directory { path: plan.input.target.clone() };
        let location = MagLocation { container, prefix: mag.folder.clone(), ..mag.fallback.clone() };
        let array = open_mag(&location).unwrap();
        (mag.mag, read_dense(array.as_ref(), [WORLD / mag.mag.0[0] as usize; 3]))
    };
    plan.mags.iter().map(read).collect()
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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
fn result_files(target: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(target);
    found.remove(PROVENANCE);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_merge_equals_the_reference_merge(case in cases()) {
        let world = World::build(&case);
        let (plan, report) = merge_all(&world.input).unwrap();
        let expected = world.expected(&case);
        let merged = result(&plan);
        let mags = if case.mags == MagChoice::Finest && case.annotation_mags > 0 { 1 } else { 3 };
        prop_assert_eq!(merged.len(), mags);
        for ((mag, layer), expected) in merged.iter().zip(&expected) {
            prop_assert!(layer == expected, "mag {} differs", mag);
        }
        if let Some((layer, present)) = world.annotation.first() {
            let (_, counts) = reference::merge(case.policy, layer, present, &world.fallback[0]);
            prop_assert_eq!(report.total.voxels_changed, counts.changed);
            prop_assert_eq!(report.total.voxels_erased, counts.erased);
            prop_assert_eq!(report.total.voxels_painted, counts.painted);
        }
        let largest = world.annotation.iter().take(mags).flat_map(|(layer, _)| &layer.values).max();
        prop_assert_eq!(report.largest_segment_id, largest.map_or(0, |&value| u64::try_from(value).unwrap_or(0)));
        prop_assert_eq!(plan.clone(), MergePlan::from_json(&plan.to_json().unwrap()).unwrap());
    }

    #[test]
    fn a_merge_stopped_anywhere_and_repeated_equals_an_undisturbed_one(case in cases(), stops in 1_usize..5) {
        let world = World::build(&case);
        let mut calm = world.input.clone();
        calm.target = world.folder.path().join("calm");
        let (_, expected) = merge_all(&calm).unwrap();
        for stop in 0..stops {
            let plan = MergePlan::new(world.input.clone()).unwrap();
            let sources = Sources::open(&plan.input).unwrap();
            let calls = Cell::new(0);
            let mut observer = |_: Progress| {
                calls.set(calls.get() + 1);
                if calls.get() > stop { Err(VolumeError::Interrupted) } else { Ok(()) }
            };
            let result = run(&plan, &sources, 0..plan.tasks().len(), 2, Access::Exclusive, &mut observer);
            prop_assert!(matches!(result, Ok(_) | Err(VolumeError::Interrupted)));
        }
        let (_, report) = merge_all(&world.input).unwrap();
        prop_assert_eq!(result_files(world.target()), result_files(&calm.target));
        prop_assert_eq!(report.total, expected.total);
        prop_assert_eq!(report.mags, expected.mags);
    }
}

#[test]
fn untouched_shards_are_copied_byte_for_byte() {
    let case = Case { density: 2, annotation_mags: 3, ..simple_case() };
    let world = World::build(&case);
    let (plan, report) = merge_all(&world.input).unwrap();
    assert!(report.total.shards_copied > 0 && report.total.shards_rewritten > 0);
    let mut copied = 0;
    for mag in &plan.mags {
        let array = open_mag(&mag.fallback).unwrap();
        for shard in mag.shards.iter().filter(|shard| !shard.is_touched()) {
            let key = array.shard_key(&shard.at);
            let name = key.strip_prefix(&mag.fallback.prefix).unwrap();
            let original = fs::read(world.folder.path().join(&key)).unwrap();
            assert_eq!(original, fs::read(world.target().join(format!("{}{name}", mag.folder))).unwrap());
            copied += 1;
        }
    }
    assert_eq!(copied, report.total.shards_copied);
}

#[test]
fn erased_chunks_stay_erased_under_chunk_and_do_nothing_under_nonzero() {
    for policy in [Policy::Chunk, Policy::Nonzero] {
        let case = Case { policy, density: 8, mags: MagChoice::Finest, ..simple_case() };
        let mut world = World::build(&case);
        let edge = case.annotation.chunk_edge();
        let zeros = BTreeMap::from([([1, 2, 3], vec![0; edge.pow(3)])]);
        world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "erased", &zeros)]];
        let (plan, report) = merge_all(&world.input).unwrap();
        let (_, merged) = result(&plan).remove(0);
        let mut expected = world.fallback[0].clone();
        for at in expected.voxels().filter(|at| at.map(|at| at / edge) == [1, 2, 3]) {
            let place = expected.place(at);
            expected.values[place] *= i64::from(policy == Policy::Nonzero);
        }
        assert_eq!(merged, expected);
        assert_eq!(report.total.voxels_erased > 0, policy == Policy::Chunk);
        assert_eq!(report.total.chunks.all_zero, u64::from(policy == Policy::Chunk));
    }
}

#[test]
fn the_bounding_box_grows_to_the_touched_chunks_and_no_further() {
    let case = simple_case();
    let mut world = World::build(&case);
    let chunk = BTreeMap::from([([6, 0, 1], vec![1; case.annotation.chunk_edge().pow(3)])]);
    world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "one", &chunk)]];
    world.input.fallback_bounding_box = BoundingBox { topleft: [5, 5, 5], size: [10, 10, 10] };
    let plan = MergePlan::new(world.input.clone()).unwrap();
    assert_eq!(plan.bounding_box, BoundingBox { topleft: [5, 0, 4], size: [23, 15, 11] });
    world.input.fallback_bounding_box = BoundingBox { topleft: [0; 3], size: [0; 3] };
    let plan = MergePlan::new(world.input.clone()).unwrap();
    assert_eq!(plan.bounding_box, BoundingBox { topleft: [24, 0, 4], size: [4, 4, 4] });
}

/// Nothing may be created by what fails.
fn assert_refused(input: &MergeInput, expected: &str) {
    let existed = input.target.exists();
    let error = MergePlan::new(input.clone()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(input.target.exists(), existed);
}

#[test]
fn what_cannot_be_merged_is_refused_before_anything_is_written() {
    let case = simple_case();
    let world = World::build(&case);
    let folder = world.folder.path();
    let annotation = |spec: MagSpec, name: &str| {
        let chunk = BTreeMap::from([([0; 3], vec![1; spec.chunk_edge().pow(3)])]);
        MergeInput { annotations: vec![vec![spec.write(folder, name, &chunk)]], ..world.input.clone() }
    };
    let mag_8 = MagSpec { mag: Mag([8; 3]), ..case.annotation.clone() };
    assert_refused(&annotation(mag_8, "a"), "the annotation has 8, the fallback has 1, 2, 4");
    let signed = MagSpec { voxel_type: VoxelType::Int32, ..case.annotation.clone() };
    assert_refused(&annotation(signed, "b"), "neither type holds all values of the other");
    let shards = MagSpec { log2_shard: 1, ..case.annotation.clone() };
    assert_refused(&annotation(shards, "c"), "one block per file");

    let none = MergeInput { fallback: Vec::new(), ..world.input.clone() };
    assert_refused(&none, "the fallback layer has no mags");
    let unnamed = MergeInput { target_mags: Vec::new(), ..world.input.clone() };
    assert_refused(&unnamed, "no folder of the target is named for mag 1");
    let mut outside = world.input.clone();
    outside.target_mags[0].folder = "../elsewhere".to_owned();
    assert_refused(&outside, "no relative path within the target");
    let twice = MergeInput { fallback: vec![world.input.fallback[0].clone(); 2], ..world.input.clone() };
    assert_refused(&twice, "the fallback has mag 1 twice");
    let mut gone = world.input.clone();
    gone.fallback[0].prefix = "nowhere".to_owned();
    assert_refused(&gone, "nowhere");
}

#[test]
fn a_target_that_holds_anything_else_is_refused_and_left_alone() {
    let world = World::build(&simple_case());
    fs::create_dir(world.target()).unwrap();
    fs::write(world.target().join("notes.txt"), "mine").unwrap();
    assert_refused(&world.input, "is not empty, it holds notes.txt");
    assert_eq!(files(world.target()).len(), 1);
    let file = MergeInput { target: world.target().join("notes.txt"), ..world.input.clone() };
    assert_refused(&file, "is not a directory");
}

#[test]
fn the_target_of_another_merge_is_refused_with_the_difference() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&world.input).unwrap();
    run(&plan, &sources, 0..1, 1, Access::Exclusive, &mut silent).unwrap();
    let mut other = world.input.clone();
    other.options.policy = Policy::Nonzero;
    assert_refused(&other, r#"input.options.policy was "chunk", is "nonzero""#);
    // The same merge goes on, and when it is committed it is still recognised, until the dataset is whole.
    merge_all(&world.input).unwrap();
    let (_, again) = merge_all(&world.input).unwrap();
    assert!(again.total.shards_rewritten > 0);
    assert_refused(&other, "input.options.policy");
    fs::write(world.target().join("datasource-properties.json"), "{}").unwrap();
    assert_refused(&world.input, "already holds a dataset");
}

#[test]
fn a_changed_input_makes_another_plan() {
    let world = World::build(&simple_case());
    let before = MergePlan::new(world.input.clone()).unwrap();
    let path = world.folder.path().join("fallback/1");
    let name = files(&path).into_keys().find(|name| name.starts_with('z')).unwrap();
    let bytes = fs::read(path.join(&name)).unwrap();
    fs::remove_file(path.join(&name)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(path.join(&name), bytes).unwrap();
    assert_ne!(before.fingerprint, MergePlan::new(world.input.clone()).unwrap().fingerprint);
}

#[test]
fn two_processes_on_one_target_exclude_each_other_unless_they_share() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let open = |access| super::journal::Journal::open(&plan, access);
    let first = open(Access::Exclusive).unwrap();
    assert!(open(Access::Exclusive).unwrap_err().to_string().contains("another process"));
    assert!(open(Access::Shared).is_err());
    assert!(open(Access::Coordinated).is_ok());
    drop(first);
    let shared = open(Access::Shared).unwrap();
    assert!(open(Access::Shared).is_ok());
    assert!(open(Access::Exclusive).is_err());
    drop(shared);
    assert!(open(Access::Exclusive).is_ok());
}

#[test]
fn tasks_in_pieces_by_several_processes_give_the_same_result() {
    let case = Case { seed: 3, ..simple_case() };
    let world = World::build(&case);
    let mut whole = world.input.clone();
    whole.target = world.folder.path().join("whole");
    merge_all(&whole).unwrap();
    let text = MergePlan::new(world.input.clone()).unwrap().to_json().unwrap();
    let stages = MergePlan::from_json(&text).unwrap().stages();
    assert!(stages.len() > 1);
    for (number, stage) in stages.iter().enumerate() {
        for piece in stage.clone().collect::<Vec<_>>().chunks(3) {
            let plan = MergePlan::from_json(&text).unwrap();
            let sources = Sources::open(&plan.input).unwrap();
            let tasks = piece[0]..piece[piece.len() - 1] + 1;
            run(&plan, &sources, tasks, 1, Access::Shared, &mut silent).unwrap();
        }
        let plan = MergePlan::from_json(&text).unwrap();
        if number + 1 < stages.len() {
            assert!(commit(&plan, Seconds::default(), false).unwrap_err().to_string().contains("tasks are not done"));
        }
    }
    commit(&MergePlan::from_json(&text).unwrap(), Seconds::default(), false).unwrap();
    assert_eq!(result_files(world.target()), result_files(&whole.target));
}

#[test]
fn a_later_stage_does_not_run_before_an_earlier_one() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&world.input).unwrap();
    let last = plan.stages().pop().unwrap();
    let error = run(&plan, &sources, last, 1, Access::Exclusive, &mut silent).unwrap_err();
    assert!(error.to_string().contains("must be done first"), "{error}");
}

#[test]
fn a_chunk_only_the_fallback_has_is_never_decoded() {
    for spelling in [Spelling::WkwLz4, Spelling::Zarr3Sharded] {
        let case = Case {
            mags: MagChoice::Finest,
            fallback: spec(spelling, VoxelType::UInt32, 2, 2),
            density: 8,
            ..simple_case()
        };
        let mut world = World::build(&case);
        let painted = (0..5).map(|n| ([n, 2, 3], vec![i64::from(n) + 1; case.annotation.chunk_edge().pow(3)]));
        world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "five", &painted.collect())]];
        let plan = MergePlan::new(world.input.clone()).unwrap();
        let mut sources = Sources::open(&world.input).unwrap();
        let decoded = Arc::new(AtomicUsize::new(0));
        let finest = sources.fallback.iter_mut().find(|source| source.location.mag == Mag([1; 3])).unwrap();
        finest.array = Arc::new(Watched { inner: finest.array.clone(), decoded: decoded.clone() });
        run(&plan, &sources, 0..plan.tasks().len(), 2, Access::Exclusive, &mut silent).unwrap();
        let report = commit(&plan, Seconds::default(), false).unwrap();
        assert_eq!(decoded.load(Ordering::Relaxed), 5);
        assert_eq!((report.total.chunks.from_annotation, report.total.shards_rewritten), (5, 2));
        assert!(report.total.chunks.passed > 100);
    }
}

#[test]
fn a_synced_commit_gives_the_same_files() {
    let world = World::build(&simple_case());
    let mut synced = world.input.clone();
    synced.target = world.folder.path().join("synced");
    let plan = MergePlan::new(synced).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    run(&plan, &sources, 0..plan.tasks().len(), 2, Access::Exclusive, &mut silent).unwrap();
    commit(&plan, Seconds::default(), true).unwrap();
    merge_all(&world.input).unwrap();
    assert_eq!(result_files(world.target()), result_files(&plan.input.target));
}

#[test]
fn an_annotation_without_chunks_gives_the_fallback_and_says_so() {
    let case = Case { density: 8, ..simple_case() };
    let mut world = World::build(&case);
    world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "empty", &BTreeMap::new())]];
    let (plan, report) = merge_all(&world.input).unwrap();
    assert!(report.warnings.iter().any(|warning| warning.contains("has no chunks")));
    assert_eq!(report.total.shards_rewritten, 0);
    assert_eq!(plan.mags.len(), 3);
    for ((_, layer), fallback) in result(&plan).iter().zip(&world.fallback) {
        assert_eq!(layer, fallback);
    }
}
