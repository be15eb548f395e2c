//! Merges by rules, on real files, against a loop over voxels.

use proptest::prelude::*;

use super::testing::{decode, encode, read_dense};
use super::world::{Case, World, cases, open_result, result, scatter, silent, simple_case};
use super::{
    Access, LabelRule, MergeInput, MergePlan, MergeReport, MergedView, Policy, RuleId, Seconds, Sources, commit, run,
    verify,
};
use crate::error::{Result, VolumeError};

/// Any function of labels: one of them, or one of no side, as the seed has it.
fn any_label(seed: u64, shown: &[i64], below: i64) -> i64 {
    let question: Vec<u64> = shown.iter().chain([&below]).map(|&label| label.cast_unsigned()).collect();
    let drawn = scatter(seed, &question) as usize % (shown.len() + 3);
    *shown.iter().chain(&[below, 0, 5]).nth(drawn).unwrap()
}

/// As the core asks it: about runs, in the bytes of a type.
fn as_rule(seed: u64) -> LabelRule {
    LabelRule::new(move |_, voxel_type, runs, out| {
        let (painted, below) = (decode(voxel_type, &runs.painted), decode(voxel_type, &runs.fallback));
        let labels = below.iter().enumerate().map(|(run, &below)| {
            let places = run * runs.layers..(run + 1) * runs.layers;
            let shown: Vec<i64> =
                places.filter(|&place| runs.present[place] == 1).map(|place| painted[place]).collect();
            any_label(seed, &shown, below)
        });
        out.copy_from_slice(&encode(voxel_type, &labels.collect::<Vec<i64>>()));
        Ok(())
    })
}

fn with_rule(mut input: MergeInput, for_all: bool) -> MergeInput {
    input.options.policy = Policy::Nonzero;
    input.options.rule = Some(RuleId { name: "any()".to_owned(), digest: "of a test".to_owned(), for_all });
    input
}

fn sources_with(input: &MergeInput, rule: LabelRule) -> Sources {
    let sources = Sources::open(input).unwrap();
    sources.rule.set(rule).unwrap();
    sources
}

/// Merges, and compares the result with its inputs.
fn merge_by(input: &MergeInput, rule: LabelRule) -> Result<(MergePlan, MergeReport)> {
    let plan = MergePlan::new(input.clone())?;
    let sources = sources_with(input, rule);
    run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent)?;
    verify(&plan, &sources, 0..plan.task_count(), 2, &mut silent)?;
    let report = commit(&plan, Seconds::default(), false, &mut |_| Ok(()))?;
    Ok((plan, report))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_rule_decides_as_a_loop_over_voxels_does(case in cases(), for_all: bool, rule: u64) {
        let world = World::build(&case);
        let input = with_rule(world.input.clone(), for_all);
        let view = MergedView::of(input.clone(), &sources_with(&input, as_rule(rule))).unwrap();
        let (plan, report) = merge_by(&input, as_rule(rule)).unwrap();
        let expected = world.expected_of(&case, &|shown, below| any_label(rule, shown, below), for_all);
        for ((mag, merged), expected) in result(&plan).iter().zip(&expected) {
            prop_assert!(merged == expected, "mag {} differs", mag);
            let (_, seen) = view.mag(*mag).unwrap();
            prop_assert!(&read_dense(seen.as_ref(), merged.size) == merged, "mag {} is seen otherwise", mag);
        }
        let renamed = case.renamed_layer(&world.fallback[0]);
        let count = |is_one: fn(i64, i64) -> bool| {
            renamed.values.iter().zip(&expected[0].values).filter(|&(&old, &new)| is_one(old, new)).count() as u64
        };
        prop_assert_eq!(report.total.voxels_changed, count(|old, new| old != new));
        prop_assert_eq!(report.total.voxels_erased, count(|old, new| old != 0 && new == 0));
        prop_assert_eq!(report.total.voxels_painted, count(|old, new| old == 0 && new != 0));
        prop_assert_eq!(&report.total.conflicts, &world.conflicts());
        let new = renamed.values.iter().zip(&expected[0].values).filter(|(old, new)| old != new);
        prop_assert!(new.map(|(_, &new)| new).max().unwrap_or(0) <= i64::try_from(report.largest_segment_id).unwrap());
    }
}

#[test]
fn a_rule_that_fails_names_the_chunk_and_leaves_no_dataset() {
    let world = World::build(&Case { density: 8, ..simple_case() });
    let input = with_rule(world.input.clone(), false);
    let failing = LabelRule::new(|_, _, _, _| Err("five".to_owned()));
    let error = merge_by(&input, failing).unwrap_err();
    assert!(matches!(&error, VolumeError::Rule { reason, .. } if reason == "five"), "{error}");
    assert!(error.to_string().contains("chunk ("), "{error}");
}

#[test]
fn a_merge_without_its_rule_is_refused_and_another_rule_is_another_merge() {
    let world = World::build(&simple_case());
    let input = with_rule(world.input.clone(), false);
    let plan = MergePlan::new(input.clone()).unwrap();
    let sources = Sources::open(&input).unwrap();
    let error = run(&plan, &sources, 0..plan.task_count(), 2, Access::Exclusive, &mut silent).unwrap_err();
    assert!(error.to_string().contains("the merge has the rule any(), which is not at hand"), "{error}");
    let mut other = input.clone();
    other.options.rule.as_mut().unwrap().digest = "another".to_owned();
    let error = MergePlan::new(other).unwrap_err();
    assert!(error.to_string().contains("input.options.rule"), "{error}");
    let (plan, _) = merge_by(&input, as_rule(3)).unwrap();
    assert!(open_result(&plan, plan.mags[0].mag).grid().chunk_bytes() > 0);
    let mut chunks = input;
    chunks.options.policy = Policy::Chunk;
    chunks.target = super::MergeTarget::Directory(world.folder.path().join("other"));
    assert!(MergePlan::new(chunks).unwrap_err().to_string().contains("a rule goes with the policy nonzero"));
}
