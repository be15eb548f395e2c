//! The merge as a whole, on real files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::input::{Link, MagChoice};
use super::journal::{PROVENANCE, plan_key};
use super::plan::ShardPlan;
use super::testing::{MagSpec, Spelling, read_dense};
use super::watched::Watched;
use super::world::{
    Case, World, cases, files, merge_all, open_result, result, result_files, silent, simple_case, spec, stopping,
};
use super::{
    Access, Conflict, MergeInput, MergePlan, MergeTarget, MergedView, NewLabels, PlanFile, Policy, Seconds, Sources,
    ViewInput, commit, run, share_of, status, verify,
};
use crate::error::VolumeError;
use crate::format::wkw::{BlockType, Header};
use crate::format::{
    Container, DataFormat, MagArray, MagLocation, UNKNOWN_SIZE, Voxels, WriteOptions, list_chunks, open_mag,
    open_mag_in, read_region, write_region,
};
use crate::geometry::{BoundingBox, ChunkIndex, Mag, ShardIndex};
use crate::mapping::{LabelTable, Missing};
use crate::store::{MemoryStore, SharedStore, SlowStore};
use crate::voxels::VoxelType;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_merge_equals_the_reference_merge(case in cases()) {
        let world = World::build(&case);
        let (plan, report) = merge_all(&world.input).unwrap();
        let expected = world.expected(&case);
        let merged = result(&plan);
        let painted = world.annotations.iter().any(|mags| !mags.is_empty());
        let mags = if case.mags == MagChoice::Finest && painted { 1 } else { 3 };
        prop_assert_eq!(merged.len(), mags);
        for ((mag, layer), expected) in merged.iter().zip(&expected) {
            prop_assert!(layer == expected, "mag {} differs", mag);
        }
        let renamed = case.renamed_layer(&world.fallback[0]);
        let voxels = || renamed.values.iter().zip(&expected[0].values);
        prop_assert_eq!(report.total.voxels_changed, voxels().filter(|(old, new)| old != new).count() as u64);
        prop_assert_eq!(report.total.voxels_erased, voxels().filter(|&(&old, &new)| old != 0 && new == 0).count() as u64);
        prop_assert_eq!(report.total.voxels_painted, voxels().filter(|&(&old, &new)| old == 0 && new != 0).count() as u64);
        prop_assert_eq!(&report.total.conflicts, &world.conflicts());
        let layers = world.annotations.iter().flat_map(|of| of.iter().take(mags).zip(&world.fallback));
        let largest = layers.flat_map(|((layer, _), fallback)| layer.values.iter().zip(&fallback.values)).map(
            |(&painted, &before)| if painted == before { case.renamed(painted) } else { painted },
        );
        prop_assert_eq!(report.largest_segment_id, largest.max().map_or(0, |value| u64::try_from(value).unwrap_or(0)));
        let others = renamed.values.iter().zip(&world.fallback[0].values).filter(|(new, old)| new != old).count();
        prop_assert_eq!(report.total.voxels_relabeled, others as u64);
        prop_assert_eq!(&plan, &MergePlan::from_json(&plan.to_json().unwrap()).unwrap());
        let file = PlanFile::from_bytes(plan.to_bytes("said").unwrap()).unwrap().unwrap();
        prop_assert_eq!(&plan, &file.whole().unwrap());
        prop_assert_eq!((file.head().facts(), file.said()), (plan.facts(), "said"));
        for (number, stage) in plan.stages().iter().enumerate() {
            prop_assert_eq!(file.share(stage, 1, 3).unwrap(), share_of(&plan, stage, 1, 3).unwrap(), "stage {}", number);
        }
    }

    #[test]
    fn a_merged_view_reads_what_the_merge_writes(case in cases()) {
        let world = World::build(&case);
        let MergeInput { annotations, fallback, fallback_bounding_box, options, mapping, .. } = world.input.clone();
        let view = MergedView::open(ViewInput { annotations, fallback, fallback_bounding_box, options, mapping }).unwrap();
        let before = files(world.folder.path());
        let (plan, _) = merge_all(&world.input).unwrap();
        prop_assert_eq!(view.plan().mags.len(), plan.mags.len());
        for (mag, merged) in result(&plan) {
            let (_, array) = view.mag(mag).unwrap();
            prop_assert_eq!(read_dense(array.as_ref(), merged.size), merged, "mag {}", mag);
            let chunks = |array: &dyn MagArray| {
                let listed = list_chunks(array).unwrap();
                listed.into_iter().map(|(chunk, _)| chunk).collect::<BTreeSet<_>>()
            };
            let (seen, written) = (chunks(array.as_ref()), chunks(open_result(&plan, mag).as_ref()));
            prop_assert!(seen.is_subset(&written));
            // Files in WKW have every block, touched or not.
            if !matches!(case.fallback.spelling, Spelling::WkwRaw | Spelling::WkwLz4) {
                prop_assert_eq!(seen, written);
            }
        }
        fs::remove_dir_all(world.target()).unwrap();
        prop_assert_eq!(files(world.folder.path()), before);
    }

    #[test]
    fn where_the_sides_lie_makes_no_difference(case in cases()) {
        let world = World::build(&case);
        let mut near = world.input.clone();
        near.target = MergeTarget::Directory(world.folder.path().join("near"));
        let (_, expected) = merge_all(&near).unwrap();
        let plan = MergePlan::new(world.input.clone()).unwrap();
        let sources = far(&world.input);
        run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
        let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
        prop_assert_eq!(result_files(world.target()), result_files(near.target.directory().unwrap()));
        prop_assert_eq!(report.total, expected.total);
        let view = MergedView::of(world.input.clone(), &sources).unwrap();
        for (mag, merged) in result(&plan) {
            let (_, array) = view.mag(mag).unwrap();
            let size = merged.size.map(|edge| edge as i64);
            let mut out = vec![0; merged.values.len() * array.grid().voxel_type.size()];
            read_region(array.as_ref(), &[], &BoundingBox { topleft: [0; 3], size }, &mut out).unwrap();
            let mut written = vec![0; out.len()];
            let whole = BoundingBox { topleft: [0; 3], size };
            read_region(open_result(&plan, mag).as_ref(), &[], &whole, &mut written).unwrap();
            prop_assert!(out == written, "mag {} is seen otherwise than it is written", mag);
        }
    }

    #[test]
    fn any_merge_is_verified(case in cases()) {
        let world = World::build(&case);
        let (plan, _) = merge_all(&world.input).unwrap();
        let sources = Sources::open(&world.input).unwrap();
        let summary = verify(&plan, &sources, 0..plan.task_count(), 2, &mut silent).unwrap();
        prop_assert_eq!(summary.shards, plan.task_count() as u64);
    }

    #[test]
    fn a_merge_stopped_anywhere_and_repeated_equals_an_undisturbed_one(case in cases(), stops in 1_usize..5) {
        let world = World::build(&case);
        let mut calm = world.input.clone();
        calm.target = MergeTarget::Directory(world.folder.path().join("calm"));
        let (_, expected) = merge_all(&calm).unwrap();
        for stop in 0..stops {
            let plan = MergePlan::new(world.input.clone()).unwrap();
            let sources = Sources::open(&plan.input).unwrap();
            let result = run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut stopping(stop));
            prop_assert!(matches!(result, Ok(_) | Err(VolumeError::Interrupted)));
        }
        let (_, report) = merge_all(&world.input).unwrap();
        prop_assert_eq!(result_files(world.target()), result_files(calm.target.directory().unwrap()));
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

/// Both sides in stores that answer late.
fn far(input: &MergeInput) -> Sources {
    let mut sources = Sources::open(input).unwrap();
    for mag in sources.annotations.iter_mut().flatten().chain(&mut sources.fallback) {
        let slow = SlowStore::new(mag.location.container.open().unwrap(), Duration::ZERO, 8);
        mag.array = open_mag_in(Arc::new(slow), &mag.location).unwrap();
    }
    sources
}

/// Nothing may be created by what fails.
fn assert_refused(input: &MergeInput, expected: &str) {
    let existed = input.target.directory().unwrap().exists();
    let error = MergePlan::new(input.clone()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(input.target.directory().unwrap().exists(), existed);
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
    let file = MergeInput { target: MergeTarget::Directory(world.target().join("notes.txt")), ..world.input.clone() };
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
fn another_mapping_is_another_merge_but_the_same_elsewhere_is_not() {
    let world = World::build(&Case { missing: Some(Missing::Keep), ..simple_case() });
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&world.input).unwrap();
    run(&plan, &sources, 0..1, 1, Access::Exclusive, &mut silent).unwrap();
    let changed = |change: fn(&mut NewLabels)| {
        let mut other = world.input.clone();
        change(other.mapping.as_mut().unwrap());
        other
    };
    let other = changed(|mapping| mapping.digest = "other".to_owned());
    assert_refused(&other, r#"input.mapping.digest was "of a test", is "other""#);
    assert_refused(&changed(|mapping| mapping.relabeling.missing = Missing::Zero), "input.mapping.missing");
    let moved = changed(|mapping| {
        let LabelTable::Near(table) = &mut mapping.relabeling.table else { unreachable!() };
        let moved = table.with_extension("moved");
        fs::rename(std::mem::replace(table, moved.clone()), moved).unwrap();
    });
    assert_eq!(merge_all(&moved).unwrap().0.fingerprint, plan.fingerprint);
}

#[test]
fn chunks_whose_labels_stay_the_same_keep_their_bytes() {
    let case = Case { missing: Some(Missing::Keep), density: 8, annotation_mags: 0, ..simple_case() };
    let world = World::build(&case);
    let (_, report) = merge_all(&world.input).unwrap();
    let chunks = report.total.chunks;
    assert_eq!((chunks.transcoded, chunks.mixed), (0, 0));
    assert!(chunks.relabeled > 0);
    // A table that names none of the labels there are.
    let LabelTable::Near(table) = &world.input.mapping.as_ref().unwrap().relabeling.table else { unreachable!() };
    fs::write(table, [&b"wkflabel"[..], &[0; 24]].concat()).unwrap();
    let input = MergeInput { target: MergeTarget::Directory(world.folder.path().join("same")), ..world.input.clone() };
    let (plan, report) = merge_all(&input).unwrap();
    assert_eq!((report.total.chunks.relabeled, report.total.voxels_relabeled), (0, 0));
    for mag in &plan.mags {
        let [before, after] = [
            world.folder.path().join(format!("fallback/{}", mag.mag)),
            input.target.directory().unwrap().join(&mag.folder),
        ];
        assert!(files(&before) == files(&after), "mag {}", mag.mag);
    }
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
    let open = |access| super::journal::Journal::open(&plan, 0..0, access, &mut |_| Ok(())).map(Option::unwrap);
    let first = open(Access::Exclusive).unwrap();
    assert!(open(Access::Exclusive).unwrap_err().to_string().contains("another process"));
    assert!(open(Access::Shared).is_err());
    assert!(open(Access::Coordinated).is_ok());
    assert!(super::status(&plan.input.target).unwrap().unwrap().busy);
    drop(first);
    assert!(!super::status(&plan.input.target).unwrap().unwrap().busy);
    let shared = open(Access::Shared).unwrap();
    assert!(open(Access::Shared).is_ok());
    assert!(open(Access::Exclusive).is_err());
    drop(shared);
    assert!(open(Access::Exclusive).is_ok());
}

#[test]
fn nothing_of_the_merge_itself_is_open_when_its_notes_are_removed() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
    let notes = world.target().join(".wkfast-merge").canonicalize().unwrap();
    let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
    let open = || fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    assert_eq!(open().find(|path| path.starts_with(&notes)), None);
    assert!(!notes.exists());
    // What others held then, as network mounts keep it, goes with the next call.
    fs::create_dir_all(notes.join("tmp")).unwrap();
    fs::write(notes.join(".nfs000000000000002a"), "").unwrap();
    assert_eq!(commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap(), report);
    assert!(!notes.exists());
}

#[test]
fn a_merge_that_another_process_committed_meanwhile_has_nothing_left_to_do() {
    let world = World::build(&simple_case());
    let (plan, report) = merge_all(&world.input).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    let summary = run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
    assert_eq!((summary.resumed, summary.bytes_written), (plan.task_count(), 0));
    assert!(super::Hold::take(&plan, &mut |_| Ok(())).unwrap_err().to_string().contains("finished by another process"));
    assert_eq!(commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap(), report);
    assert!(!world.target().join(".wkfast-merge").exists());
}

#[test]
fn nothing_is_written_to_where_a_link_in_the_target_leads() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    let victim = world.folder.path().join("victim");
    fs::create_dir(&victim).unwrap();
    for link in [".wkfast-merge", ".wkfast-merge/tmp", ".wkfast-merge/lock"] {
        let link = world.target().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let refused = run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap_err();
        assert!(refused.to_string().contains("holds the link"), "{refused}");
        assert!(MergePlan::new(world.input.clone()).and_then(|plan| super::check_target(&plan)).is_err());
        assert!(super::Hold::take(&plan, &mut |_| Ok(())).is_err());
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    merge_all(&world.input).unwrap();
}

#[test]
fn tasks_in_pieces_by_several_processes_give_the_same_result() {
    let case = Case { seed: 3, ..simple_case() };
    let world = World::build(&case);
    let mut whole = world.input.clone();
    whole.target = MergeTarget::Directory(world.folder.path().join("whole"));
    merge_all(&whole).unwrap();
    let bytes = MergePlan::new(world.input.clone()).unwrap().to_bytes("").unwrap();
    let open = || PlanFile::from_bytes(bytes.clone()).unwrap().unwrap();
    let stages = open().head().stages();
    assert!(stages.len() > 1);
    for (number, stage) in stages.iter().enumerate() {
        for piece in stage.clone().collect::<Vec<_>>().chunks(3) {
            let tasks = piece[0]..piece[piece.len() - 1] + 1;
            let plan = open().part(&tasks).unwrap();
            let sources = Sources::open(&plan.input).unwrap();
            run(&plan, &sources, tasks, 1, Access::Shared, &mut silent).unwrap();
        }
        if number + 1 < stages.len() {
            assert!(
                commit(open().head(), Seconds::default(), false, &mut |_| Ok(()))
                    .unwrap_err()
                    .to_string()
                    .contains("tasks are not done")
            );
        }
    }
    let seconds = commit(open().head(), Seconds::default(), false, &mut |_| Ok(())).unwrap().seconds;
    assert!(seconds.run > 0.0 && seconds.work > seconds.run - 1e-3, "they worked, one at least at a time: {seconds:?}");
    assert_eq!(result_files(world.target()), result_files(whole.target.directory().unwrap()));
}

#[test]
fn what_was_computed_from_files_that_have_gone_is_computed_again() {
    let world = World::build(&Case { seed: 3, ..simple_case() });
    let mut whole = world.input.clone();
    whole.target = MergeTarget::Directory(world.folder.path().join("whole"));
    merge_all(&whole).unwrap();
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    let stages = plan.stages();
    let run_them = |tasks| run(&plan, &sources, tasks, 1, Access::Exclusive, &mut silent).unwrap();
    run_them(stages[0].clone());
    // Another machine went down before its files were on disk: this one finds only its notes.
    let is_touched = |task: &usize| plan.task_parts(plan.task(*task)).1.is_touched();
    for task in stages[0].clone().filter(is_touched) {
        let (mag, shard) = plan.task_parts(plan.task(task));
        let side = sources.fallback.iter().find(|side| side.location.mag == mag.mag).unwrap();
        let key = side.array.shard_key(&shard.at);
        let name = key.strip_prefix(&side.location.prefix).unwrap().trim_start_matches('/');
        fs::remove_file(world.target().join(&mag.folder).join(name)).unwrap();
    }
    run_them(stages[0].end..plan.task_count());
    run_them(0..plan.task_count());
    commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
    assert_eq!(result_files(world.target()), result_files(whole.target.directory().unwrap()));
}

#[test]
fn notes_that_end_within_a_letter_stop_nobody() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    run(&plan, &sources, 0..1, 1, Access::Exclusive, &mut silent).unwrap();
    let notes = world.target().join(".wkfast-merge");
    let cut = "{\"task\":3,\"failed\":\"/ü".as_bytes();
    fs::write(notes.join("done-0-9-cut.jsonl"), &cut[..cut.len() - 1]).unwrap();
    assert_eq!(super::open_tasks(&plan).unwrap().len(), plan.task_count() - 1);
    merge_all(&world.input).unwrap();
}

#[test]
fn a_plan_whose_fingerprint_is_none_is_refused() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    for fingerprint in ["", "e", &"ü".repeat(plan.fingerprint.len() / 2)] {
        let other = MergePlan { fingerprint: fingerprint.to_owned(), ..plan.clone() };
        let refused = MergePlan::from_json(&other.to_json().unwrap()).unwrap_err();
        assert!(refused.to_string().contains("no fingerprint"), "{refused}");
    }
    let mut other = plan.clone();
    other.mags[0].shards[0].at.extra = vec![1].into();
    assert!(MergePlan::from_json(&other.to_json().unwrap()).unwrap_err().to_string().contains("refers to nothing"));
}

#[test]
fn a_plan_of_chunks_or_shards_larger_than_can_be_held_is_refused() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let refused = |change: &dyn Fn(&mut MergePlan)| {
        let mut other = plan.clone();
        change(&mut other);
        MergePlan::from_json(&other.to_json().unwrap()).unwrap_err().to_string()
    };
    for edges in [[1 << 10, 1 << 10, 1 << 11], [u32::MAX; 3]] {
        let told = refused(&|plan| plan.mags[0].grid.chunk_shape = edges);
        assert!(told.contains("exceed 1073741824 bytes"), "{told}");
        let told = refused(&|plan| plan.mags[0].grid.chunks_per_shard = edges);
        assert!(told.contains("exceed 16777216 chunks") || told.contains("refers to nothing"), "{told}");
    }
    let told = refused(&|plan| plan.mags[0].grid.channels = u32::MAX);
    assert!(told.contains("exceed 1073741824 bytes"), "{told}");
    let told = refused(&|plan| plan.mags[0].shards[0].at.xyz = [u32::MAX, 0, 0]);
    assert!(told.contains("refers to nothing"), "{told}");
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
        run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
        let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
        assert_eq!(decoded.load(Ordering::Relaxed), 5);
        assert_eq!((report.total.chunks.from_annotation, report.total.shards_rewritten), (5, 2));
        assert!(report.total.chunks.passed > 100);
    }
}

#[test]
fn a_synced_commit_gives_the_same_files() {
    let world = World::build(&simple_case());
    let mut synced = world.input.clone();
    synced.target = MergeTarget::Directory(world.folder.path().join("synced"));
    let plan = MergePlan::new(synced).unwrap();
    let sources = Sources::open(&plan.input).unwrap();
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
    commit(&plan, Seconds::default(), true, &mut |_| Ok(())).unwrap();
    merge_all(&world.input).unwrap();
    assert_eq!(result_files(world.target()), result_files(plan.input.target.directory().unwrap()));
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

#[test]
fn verification_names_the_first_voxel_that_differs() {
    let case = Case { density: 8, mags: MagChoice::Finest, ..simple_case() };
    let mut world = World::build(&case);
    let edge = case.annotation.chunk_edge();
    let painted = BTreeMap::from([([1, 2, 3], vec![9; edge.pow(3)])]);
    world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "one", &painted)]];
    let sources = Sources::open(&world.input).unwrap();
    let verified = |plan: &MergePlan| verify(plan, &sources, 0..plan.task_count(), 2, &mut silent);
    let unmerged = MergePlan::new(world.input.clone()).unwrap();
    assert!(verified(&unmerged).unwrap_err().to_string().contains("run the merge first"));

    let (plan, report) = merge_all(&world.input).unwrap();
    let summary = verified(&plan).unwrap();
    assert_eq!((summary.shards_equal, summary.chunks), (report.total.shards_copied, 8));

    // The fallback's file in place of the merged one: the chunk that was painted is as it was.
    let (name, folder) = ("z1/y1/x0.wkw", world.target().join("segmentation/1"));
    let merged = fs::read(folder.join(name)).unwrap();
    fs::copy(world.folder.path().join("fallback/1").join(name), folder.join(name)).unwrap();
    let error = verified(&plan).unwrap_err().to_string();
    assert!(error.contains("x0.wkw, chunk (1, 2, 3): voxel (4, 8, 12) of mag 1 is"), "{error}");
    assert!(error.ends_with("what was merged makes it 9"), "{error}");
    fs::write(folder.join(name), merged).unwrap();
    verified(&plan).unwrap();

    fs::rename(folder.join(name), folder.join("z1/y1/x9.wkw")).unwrap();
    assert!(verified(&plan).unwrap_err().to_string().contains("that the merge did not write"));
    fs::remove_file(folder.join("z1/y1/x9.wkw")).unwrap();
    assert!(verified(&plan).unwrap_err().to_string().contains("lacks the file"));
}

#[test]
fn hard_links_are_made_of_untouched_files_and_never_written_through() {
    use std::os::unix::fs::MetadataExt;
    let case = Case { density: 2, annotation_mags: 3, ..simple_case() };
    let mut world = World::build(&case);
    let before = files(&world.folder.path().join("fallback"));
    world.input.options.link = Link::Hard;
    let (plan, report) = merge_all(&world.input).unwrap();
    assert!(report.total.shards_linked > 0);
    assert_eq!(report.total.shards_linked, report.total.shards_copied);
    let is_linked = |name: &String| fs::metadata(world.target().join("segmentation").join(name)).unwrap().nlink() == 2;
    let linked =
        before.keys().filter(|name| world.target().join("segmentation").join(name).exists() && is_linked(name));
    assert_eq!(linked.count() as u64, report.total.shards_linked);
    verify(&plan, &Sources::open(&world.input).unwrap(), 0..plan.task_count(), 2, &mut silent).unwrap();

    // A box written into a linked file of the result replaces the file; the fallback keeps its own.
    let shard = plan.mags[0].shards.iter().find(|shard| !shard.is_touched()).unwrap();
    let edge = 8 * i64::from(shard.at.xyz[0]);
    let topleft = [edge, 8 * i64::from(shard.at.xyz[1]), 8 * i64::from(shard.at.xyz[2])];
    let voxels = vec![7; 8 * 8 * 8 * 4];
    let region = BoundingBox { topleft, size: [8; 3] };
    let array = open_result(&plan, Mag([1; 3]));
    write_region(array.as_ref(), &[], &region, &Voxels { bytes: &voxels, z_fastest: false }, &WriteOptions::default())
        .unwrap();
    assert_eq!(files(&world.folder.path().join("fallback")), before);

    let raw = Case { fallback: spec(Spelling::WkwRaw, VoxelType::UInt32, 2, 1), ..simple_case() };
    let mut world = World::build(&raw);
    world.input.options.link = Link::Hard;
    assert_refused(&world.input, "are written in place");
}

#[test]
fn a_link_is_put_in_place_again_after_a_kill() {
    let mut world = World::build(&Case { density: 2, ..simple_case() });
    world.input.options.link = Link::Hard;
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let sources = Sources::open(&world.input).unwrap();
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
    for entry in fs::read_dir(world.target().join(".wkfast-merge")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "jsonl") {
            fs::remove_file(path).unwrap();
        }
    }
    let (_, report) = merge_all(&world.input).unwrap();
    assert!(report.total.shards_linked > 0);
    assert!(files(world.target()).keys().all(|name| !name.contains("link-")));
}

#[test]
fn annotations_that_begin_at_different_mags_are_refused() {
    let case = simple_case();
    let mut world = World::build(&case);
    let coarse = MagSpec { mag: Mag([2; 3]), ..case.annotation.clone() };
    let chunk = BTreeMap::from([([0; 3], vec![1; case.annotation.chunk_edge().pow(3)])]);
    world.input.annotations.push(vec![coarse.write(world.folder.path(), "coarse", &chunk)]);
    assert_refused(&world.input, "the annotation 1 begins at mag 1, the annotation 2 at mag 2");
}

#[test]
fn an_annotation_of_coarse_mags_without_chunks_leaves_no_mag_out() {
    let case = simple_case();
    let mut world = World::build(&case);
    let empty = MagSpec { mag: Mag([2; 3]), ..case.annotation.clone() };
    world.input.annotations = vec![vec![empty.write(world.folder.path(), "empty", &BTreeMap::new())]];
    let (plan, report) = merge_all(&world.input).unwrap();
    assert_eq!((plan.mags.len(), report.total.shards_rewritten), (3, 0));
}

#[test]
fn chunks_outside_of_the_box_are_merged_with_a_warning() {
    let case = simple_case();
    let mut world = World::build(&case);
    let edge = case.annotation.chunk_edge();
    let chunks = [[0, 0, 0], [6, 0, 1]].map(|xyz| (xyz, vec![1; edge.pow(3)]));
    world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "two", &chunks.into())]];
    world.input.fallback_bounding_box = BoundingBox { topleft: [0; 3], size: [10; 3] };
    let plan = MergePlan::new(world.input.clone()).unwrap();
    let expected = "1 chunks of mag 1 lie outside the fallback's bounding box, [0, 0, 0] + [10, 10, 10], the farthest, \
                    (6, 0, 1), by 14 voxels";
    assert!(plan.warnings.iter().any(|warning| warning.starts_with(expected)), "{:?}", plan.warnings);
    assert_eq!(plan.bounding_box.size, [28, 10, 10]);
}

/// The fallback in a store that is neither far nor on disk.
fn in_memory(input: &MergeInput, folder: &std::path::Path) -> Sources {
    let store = MemoryStore::default();
    for (key, bytes) in files(folder) {
        store.insert(&key, bytes).unwrap();
    }
    let store: SharedStore = Arc::new(store);
    let mut sources = Sources::open(input).unwrap();
    for mag in &mut sources.fallback {
        mag.array = open_mag_in(Arc::clone(&store), &mag.location).unwrap();
    }
    sources
}

#[test]
fn chunks_that_pass_are_the_same_and_counted_wherever_the_fallback_lies() {
    let fallback = spec(Spelling::Zarr3Sharded, VoxelType::UInt32, 2, 1);
    let case = Case { density: 8, mags: MagChoice::Finest, fallback, ..simple_case() };
    let mut world = World::build(&case);
    let folder = world.folder.path();
    let painted = BTreeMap::from([([1, 2, 3], vec![9; case.annotation.chunk_edge().pow(3)])]);
    world.input.annotations = vec![vec![case.annotation.write(folder, "one", &painted)]];
    let (_, expected) = merge_all(&world.input).unwrap();
    assert_eq!((expected.total.shards_rewritten, expected.total.chunks.passed), (1, 7));
    for (name, sources) in [("far", far(&world.input)), ("memory", in_memory(&world.input, folder))] {
        let target = MergeTarget::Directory(folder.join(name));
        let plan = MergePlan::new(MergeInput { target, ..world.input.clone() }).unwrap();
        run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
        let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
        assert_eq!(report.total, expected.total, "{name}");
        assert_eq!(result_files(&folder.join(name)), result_files(world.target()), "{name}");
    }
}

#[test]
fn a_file_that_the_shape_has_room_for_may_be_there_or_not() {
    let mut world = World::build(&Case { annotation_mags: 0, ..simple_case() });
    world.input.options.mags = MagChoice::All;
    let mut plan = MergePlan::new(world.input.clone()).unwrap();
    let known = plan.mags[0].shards[0].clone();
    let absent =
        |z: u32| ShardPlan { at: ShardIndex::xyz(0, 0, z), fallback_bytes: Some(UNKNOWN_SIZE), ..known.clone() };
    plan.mags[0].shards.extend([absent(50), absent(51)]);
    plan.mags[0].shards.sort_by(|one, other| one.at.cmp(&other.at));
    let plan = plan.assemble();
    let sources = Sources::open(&world.input).unwrap();
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap();
    commit(&plan, Seconds::default(), false, &mut |_| Ok(())).unwrap();
    let verified = || verify(&plan, &sources, 0..plan.task_count(), 2, &mut silent);
    assert_eq!(verified().unwrap().shards, plan.task_count() as u64);
    // One of them is there after all.
    let found = world.folder.path().join("fallback/1/z51/y0");
    fs::create_dir_all(&found).unwrap();
    fs::write(found.join("x0.wkw"), "not empty").unwrap();
    let error = verified().unwrap_err().to_string();
    assert!(error.contains("lacks the file") && error.contains("z51/y0/x0.wkw"), "{error}");
}

#[test]
fn a_merge_that_an_earlier_build_began_has_a_status() {
    let world = World::build(&simple_case());
    let plan = MergePlan::new(world.input.clone()).unwrap();
    assert!(status(&world.input.target).unwrap().is_none());
    let path = world.target().join(plan_key());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, plan.to_json().unwrap()).unwrap();
    let seen = status(&world.input.target).unwrap().unwrap();
    assert_eq!((seen.tasks, seen.tasks_done, seen.busy), (plan.task_count(), 0, false));
    assert_eq!((seen.bytes, seen.bytes_done), (plan.outline().work_bytes(), 0));
    assert!(seen.tasks > 1 && seen.bytes > 0);
    // Killed while its notes were removed: it is over.
    fs::write(world.target().join(PROVENANCE), "{}").unwrap();
    assert!(status(&world.input.target).unwrap().is_none());
}

/// A mag of one block of 2³ voxels of two channels, of which only the last value is not zero.
fn two_channels(folder: &std::path::Path, name: &str, last: u32) -> MagLocation {
    let header = Header {
        block_type: BlockType::Raw,
        voxel_type: VoxelType::UInt32,
        channels: 2,
        log2_block_edge: 1,
        log2_file_edge: 0,
        data_offset: 0,
    };
    let path = folder.join(name).join("z0/y0");
    fs::create_dir_all(&path).unwrap();
    fs::write(folder.join(name).join("header.wkw"), header.to_bytes()).unwrap();
    let block = [vec![0; 15 * 4], last.to_le_bytes().to_vec()].concat();
    let file = [&Header { data_offset: 16, ..header }.to_bytes()[..], &block].concat();
    fs::write(path.join("x0.wkw"), file).unwrap();
    let container = Container::Directory { path: folder.to_owned() };
    MagLocation::new(Mag([1; 3]), DataFormat::Wkw, container, name)
}

#[test]
fn conflicts_are_found_in_every_channel() {
    let mut world = World::build(&simple_case());
    let folder = world.folder.path();
    world.input.fallback = vec![two_channels(folder, "under", 3)];
    world.input.annotations = [5, 7].map(|last| vec![two_channels(folder, &format!("over{last}"), last)]).into();
    let (plan, report) = merge_all(&world.input).unwrap();
    assert_eq!(report.total.conflicts, [Conflict { first: 0, second: 1, voxels: 1 }]);
    let array = open_result(&plan, Mag([1; 3]));
    let found = array.read_encoded(&ChunkIndex::xyz(0, 0, 0)).unwrap().unwrap();
    let mut voxels = vec![0; 64];
    found.codec.decode(&found.bytes, &mut voxels).unwrap();
    assert_eq!((&voxels[..60], &voxels[60..]), (&[0; 60][..], &[7, 0, 0, 0][..]));
}

#[test]
fn chunks_of_a_merged_view_are_voxels_as_they_lie() {
    let world = World::build(&simple_case());
    let view = MergedView::of(world.input.clone(), &Sources::open(&world.input).unwrap()).unwrap();
    let (_, array) = view.mag(Mag([1; 3])).unwrap();
    assert_eq!((array.codec().encoding(), array.codec().is_compressed()), ("raw", false));
}
