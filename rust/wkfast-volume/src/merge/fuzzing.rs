//! Plans, notes, and what else lies in the target of a merge.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::fs;
use std::path::Path;

use super::journal::{PROVENANCE, committed_report};
use super::notes::each_record;
pub use super::notes::fuzzing::notes;
pub use super::plan_file::fuzzing::plan_file;
use super::reckoning::Reckoning;
use super::{MergePlan, MergeReport, MergeTarget, PlanFile, Seconds, check_target, open_tasks, status};

/// A plan of ours.
const PLAN: &str = include_str!("../../../fuzz/plan.json");

/// A plan as JSON. It comes back from its JSON and from its file, and shares of it are everything.
pub fn plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(plan) = MergePlan::from_json(text) else { return };
    let again = plan.to_json().expect("it is whole");
    assert_eq!(MergePlan::from_json(&again).expect("it was written"), plan);
    let _ = plan.facts();
    let file = plan.to_bytes("said").expect("it is whole");
    // The order of files is checked there alone.
    let Ok(Some(file)) = PlanFile::from_bytes(file) else { return };
    if let Ok(whole) = file.whole() {
        assert_eq!(whole, plan);
        every_share(&file);
    }
}

/// Which file, and what it says. It is told of, or an error.
pub fn target(bytes: &[u8]) {
    let Some((&first, text)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut plan = MergePlan::from_json(PLAN).expect("a plan of ours");
    plan.input.target = MergeTarget::Directory(folder.path().to_owned());
    let notes = folder.path().join(super::target::NOTES);
    fs::create_dir(&notes).expect("room on the disk");
    put(&notes.join("plan.json"), if first % 3 == 0 { text } else { PLAN.as_bytes() });
    match first % 3 {
        1 => put(&folder.path().join(PROVENANCE), text),
        2 => put(&notes.join("done-0-9-0123456789abcdef.jsonl"), text),
        _ => {}
    }
    told(&plan);
    let _ = committed_report::<MergeReport>(&plan.input.target);
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room on the disk");
}

/// What is told of an unfinished target is about tasks of its plan.
fn told(plan: &MergePlan) {
    let _ = check_target(plan);
    if let Ok(open) = open_tasks(plan) {
        assert!(open.is_sorted() && open.last().is_none_or(|&task| task < plan.task_count()));
    }
    if let Ok(Some(status)) = status(&plan.input.target) {
        let counted: usize = status.workers.iter().map(|worker| worker.tasks).sum();
        assert!(status.tasks_done <= counted);
    }
    let mut sums = Reckoning::of(plan);
    let target = plan.input.target.open().expect("a folder");
    if each_record(&*target, &mut |process, record| sums.add(process, record)).is_ok() {
        assert!(sums.left() <= plan.task_count());
        let _ = sums.report(plan, Seconds::default());
    }
}

/// Shares of each stage, one after the other, are the stage.
pub(super) fn every_share(file: &PlanFile) {
    for stage in file.head().stages() {
        let mut end = 0;
        for share in 0..3 {
            let tasks = file.share(&stage, share, 3).expect("all parts can be read");
            assert_eq!(tasks.start, end);
            end = tasks.end;
        }
        assert_eq!(end, stage.len());
    }
}

/// What the writers of plans write, for a fuzzer to begin with.
#[cfg(test)]
mod seeds {
    use std::path::Path;
    use std::{env, fs};

    use super::super::world::{World, simple_case};
    use super::*;

    fn written() -> Vec<String> {
        let mut seeds = Vec::new();
        for annotation_mags in 1..=3 {
            let mut case = simple_case();
            case.annotation_mags = annotation_mags;
            case.further = vec![1; 3 - annotation_mags];
            let world = World::build(&case);
            let plan = MergePlan::new(world.input.clone()).expect("it can be planned").to_json().expect("it is whole");
            seeds.push(plan.replace(&world.folder.path().display().to_string(), "/a"));
        }
        seeds
    }

    /// With `WKFAST_FUZZ_SEEDS`, they are put into that folder.
    #[test]
    fn plans_of_ours_pass() {
        for (number, text) in written().iter().enumerate() {
            let head = MergePlan::from_json(text).expect("a plan of ours").to_bytes("said").expect("it is whole");
            let file = PlanFile::from_bytes(head).expect("a plan of ours").expect("a plan of ours");
            let bytes = super::super::plan_file::fuzzing::unpacked(&file);
            plan(text.as_bytes());
            plan_file(&bytes);
            if let Some(folder) = env::var_os("WKFAST_FUZZ_SEEDS") {
                for (target, bytes) in [("plan", text.as_bytes()), ("plan_file", &bytes)] {
                    let folder = Path::new(&folder).join(target);
                    fs::create_dir_all(&folder).expect("a folder");
                    fs::write(folder.join(format!("ours-{number}")), bytes).expect("room on the disk");
                }
            }
        }
    }
}
