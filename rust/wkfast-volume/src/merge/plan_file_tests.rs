//! Plan files: a part is that part of the plan, and what is no plan is refused.

use std::ops::Range;

use proptest::prelude::*;

use super::outline::Outline;
use super::plan_file::MAGIC;
use super::world::{World, simple_case};
use super::{MergePlan, PlanFile, share_of};
use crate::geometry::ShardIndex;

/// A plan of so many files in the mag that has painted ones: more than parts of a plan file have.
fn large(files: u32) -> MergePlan {
    let mut plan = MergePlan::new(World::build(&simple_case()).input.clone()).unwrap();
    let mag = &mut plan.mags[0];
    let touched = mag.shards.iter().find(|shard| shard.is_touched()).unwrap().clone();
    let mut shards = Vec::new();
    for number in 0..files {
        let at = ShardIndex::xyz(number / 1000, number / 10 % 100, number % 10);
        let mut shard = super::plan::ShardPlan { at, ..touched.clone() };
        shard.fallback_bytes = (number % 7 != 0).then_some(u64::from(number) * 7919 % 10_000);
        if number % 5 == 0 {
            shard.blocks = vec![(0..=number % 11).map(|block| [number / 2000, block, number * 31 % 97]).collect()];
        } else {
            (shard.blocks, shard.chunks_replaced, shard.chunks_mixed) = (Vec::new(), 0, 0);
        }
        shards.push(shard);
    }
    mag.shards = shards;
    plan.assemble()
}

fn opened(plan: &MergePlan) -> PlanFile {
    PlanFile::from_bytes(plan.to_bytes("said").unwrap()).unwrap().unwrap()
}

/// Whether `part` has the tasks, and each of them the very shard of the plan.
fn is_part(plan: &MergePlan, part: &MergePlan, tasks: Range<usize>) -> bool {
    part.check_range(&tasks).is_ok()
        && tasks.into_iter().all(|task| {
            let (of_part, of_plan) = (part.task(task), plan.task(task));
            let same_shard = part.task_parts(of_part).1 == plan.task_parts(of_plan).1;
            same_shard && (of_part.stage, of_part.mag) == (of_plan.stage, of_plan.mag)
        })
}

#[test]
fn every_part_is_that_part_of_the_plan_and_no_more() {
    let plan = large(20_000);
    let file = opened(&plan);
    assert_eq!(file.head().task_count(), plan.task_count());
    assert!(file.head().mags.iter().all(|mag| mag.shards.is_empty()));
    assert_eq!(file.whole().unwrap(), plan);
    let all = plan.task_count();
    for tasks in [0..1, 0..10, 4095..4097, 9000..9001, all - 5..all, 7000..17_000, 0..all, 3..3] {
        let part = file.part(&tasks).unwrap();
        assert!(is_part(&plan, &part, tasks.clone()), "{tasks:?}");
        let here: usize = part.mags.iter().map(|mag| mag.shards.len()).sum();
        assert!(here <= tasks.len() + 2 * 4096, "{tasks:?}: {here} files are here");
    }
    let part = file.part(&(0..10)).unwrap();
    assert!(part.check_range(&(all - 1..all)).unwrap_err().to_string().contains("are here"));
    assert!(file.part(&(0..all + 1)).is_err());
    for stage in plan.stages() {
        let shares =
            (0..7).map(|share| (file.share(&stage, share, 7).unwrap(), share_of(&plan, &stage, share, 7).unwrap()));
        assert!(shares.into_iter().all(|(stored, here)| stored == here));
    }
}

/// Parts begin and end with the first stage's files 0, 4096 and 8192.
#[test]
fn parts_that_only_border_on_what_is_asked_for_are_not_read() {
    let file = opened(&large(20_000));
    let read = |tasks: Range<usize>| file.part(&tasks).unwrap().mags.iter().map(|mag| mag.shards.len()).sum::<usize>();
    assert_eq!([read(0..4096), read(4096..8192), read(4095..4096), read(4096..4097)], [4096; 4]);
    assert_eq!([read(4095..4097), read(4095..8193)], [8192, 3 * 4096]);
    assert_eq!([read(0..0), read(4096..4096)], [0, 0]);
}

#[test]
fn a_file_takes_few_bytes_for_each_file_and_painted_chunk() {
    let plan = large(100_000);
    let blocks: usize =
        plan.mags.iter().flat_map(|mag| &mag.shards).flat_map(|shard| &shard.blocks).map(Vec::len).sum();
    let bytes = plan.to_bytes("").unwrap().len();
    assert!(bytes < 16 * plan.task_count() + 8 * blocks, "{bytes} bytes, {} files, {blocks} chunks", plan.task_count());
}

#[test]
fn what_is_no_plan_file_is_none_and_a_damaged_one_is_an_error() {
    for other in [&b""[..], b"{}", b"\x1f\x8b", b"WKFPLAN"] {
        assert!(PlanFile::from_bytes(other.to_vec()).unwrap().is_none());
    }
    let later = PlanFile::from_bytes(b"WKFPLAN\x02 of a later build".to_vec()).unwrap_err();
    assert!(later.to_string().contains("of another version of wkfast"), "{later}");
    let plan = large(9000);
    let whole = plan.to_bytes("").unwrap();
    let read = |bytes: &[u8]| PlanFile::from_bytes(bytes.to_vec()).and_then(|file| file.unwrap().whole());
    for cut in [MAGIC.len(), MAGIC.len() + 5, 30, whole.len() / 2, whole.len() - 1] {
        let told = read(&whole[..cut]).unwrap_err().to_string();
        let is_told = ["it is cut off", "needed are", "damaged"].iter().any(|words| told.contains(words));
        assert!(is_told, "cut to {cut}: {told}");
    }
    let head = u32::from_le_bytes(std::array::from_fn(|byte| whole[MAGIC.len() + byte])) as usize;
    for (place, expected) in [
        (100, "its head is damaged"),
        (20 + head + 50, "part 0 of it is damaged"),
        (whole.len() - 1, "of it is damaged"),
    ] {
        let mut damaged = whole.clone();
        damaged[place] ^= 4;
        let told = read(&damaged).unwrap_err().to_string();
        assert!(told.contains(expected), "byte {place}: {told}");
    }
}

#[test]
fn an_index_that_does_not_add_up_is_refused() {
    let plan = large(5000);
    let refused = |change: &dyn Fn(&mut Outline)| {
        let mut other = plan.clone();
        change(&mut other.outline);
        // Written as it is: the head says one thing, the parts another.
        let bytes = other.to_bytes("");
        bytes.and_then(|bytes| PlanFile::from_bytes(bytes)?.unwrap().whole()).unwrap_err().to_string()
    };
    for change in [
        &(|outline: &mut Outline| outline.runs[0].bytes += 1) as &dyn Fn(&mut Outline),
        &|outline| outline.runs[0].tasks -= 1,
        &|outline| outline.runs[0].mag = 99,
        &|outline| outline.runs.swap(0, 1),
        &|outline| drop(outline.mags.pop()),
        &|outline| outline.touched.clear(),
    ] {
        let told = refused(change);
        assert!(told.contains("does not add up"), "{told}");
    }
    // In order as well, but the files of the part are of another stage.
    assert!(refused(&|outline| outline.runs[0].stage = 1).contains("index"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The checksum is put right, so that what lies behind it is what is tried.
    #[test]
    fn columns_of_anything_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0_usize..40) {
        let plan = large(20);
        if let Ok(shards) = super::columns::decode(&plan.mags[0], count, &bytes) {
            let all: Vec<_> = shards.iter().collect();
            let again = super::columns::encode(&plan.mags[0], &all);
            prop_assert_eq!(super::columns::decode(&plan.mags[0], count, &again).unwrap(), shards);
        }
    }
}
