//! Adding up what the tasks of a merge did, record by record, so that no record need be kept.

use wkfast_files::Process;

use super::makers::Makers;
use super::outline::Outline;
use super::plan::MergePlan;
use super::report::{
    ChunkCounts, Conflict, LISTED_SEGMENTS, MagReport, MergeReport, Seconds, ShardRecord, Span, Totals, add_conflicts,
};
use super::tally::Tally;

/// See the module.
#[derive(Debug)]
pub(super) struct Reckoning {
    outline: Outline,
    /// By task: whether it is in the sums.
    known: Vec<u64>,
    left: usize,
    /// By mag.
    sums: Vec<Sum>,
    spans: Vec<Span>,
    makers: Makers,
}

const BITS: usize = u64::BITS as usize;

impl Reckoning {
    /// Of `plan`, of whose tasks none has been done.
    pub(super) fn of(plan: &MergePlan) -> Self {
        let tasks = plan.task_count();
        Self {
            outline: plan.outline().clone(),
            known: vec![0; tasks.div_ceil(BITS)],
            left: tasks,
            sums: plan.mags.iter().map(|_| Sum::default()).collect(),
            spans: Vec::new(),
            makers: Makers::default(),
        }
    }

    /// Tasks whose record has not been added.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Adds the record of a task, which `process` wrote, unless one has been; those of tasks that there are not are passed
    /// over.
    pub(super) fn add(&mut self, process: &Process, record: &ShardRecord) {
        let Some(mag) = self.outline.run_of(record.task).map(|run| run.mag) else { return };
        let bit = 1 << (record.task % BITS);
        let known = &mut self.known[record.task / BITS];
        if *known & bit == 0 {
            *known |= bit;
            self.left -= 1;
            self.sums[mag].add(record);
            self.spans.push(record.span);
            self.makers.add(process, &record.span);
        }
    }

    /// Who did what was added, taken from here.
    pub(super) fn take_makers(&mut self) -> Makers {
        std::mem::take(&mut self.makers)
    }

    /// What all tasks of `plan` did together.
    pub(super) fn report(self, plan: &MergePlan, mut seconds: Seconds) -> MergeReport {
        seconds.work = self.spans.iter().map(|span| span.length).sum();
        seconds.run = covered(self.spans);
        let largest_segment_id = self.sums.iter().map(|sum| sum.tally.largest_segment_id).max().unwrap_or(0);
        let sums = self.sums.into_iter().zip(self.outline.mags);
        let mags: Vec<MagReport> = sums
            .map(|(sum, summary)| MagReport { mag: summary.mag, source: summary.source, totals: sum.totals() })
            .collect();
        MergeReport {
            total: total(&mags),
            mags,
            largest_segment_id,
            bounding_box: plan.bounding_box,
            dtype: plan.mags.first().map(|mag| mag.grid.voxel_type.name().to_owned()).unwrap_or_default(),
            ignored_mags: plan.ignored_mags.clone(),
            left_out_mags: plan.left_out_mags.clone(),
            warnings: plan.warnings.clone(),
            seconds,
        }
    }
}

/// Seconds in which at least one of `spans` was under way: pauses between a kill and the next call do not count.
fn covered(mut spans: Vec<Span>) -> f64 {
    spans.sort_by(|one, other| one.start.total_cmp(&other.start));
    let (mut sum, mut reached) = (0.0, f64::NEG_INFINITY);
    for span in spans {
        let end = span.start + span.length;
        sum += (end - span.start.max(reached)).max(0.0);
        reached = reached.max(end);
    }
    sum
}

/// The first of `changes`, largest first; equal ones by segment.
fn most_changed(mut changes: Vec<(u64, i64)>) -> Vec<(u64, i64)> {
    changes.sort_unstable_by_key(|&(segment, voxels)| (std::cmp::Reverse(voxels.unsigned_abs()), segment));
    changes.truncate(LISTED_SEGMENTS);
    changes
}

#[derive(Debug, Default)]
struct Sum {
    copied: u64,
    linked: u64,
    rewritten: u64,
    chunks: ChunkCounts,
    tally: Tally,
    conflicts: Vec<Conflict>,
    bytes_read: u64,
    bytes_written: u64,
}

impl Sum {
    fn add(&mut self, record: &ShardRecord) {
        *(if record.copied { &mut self.copied } else { &mut self.rewritten }) += 1;
        self.linked += u64::from(record.linked);
        self.chunks.add(&record.chunks);
        self.tally.add(&record.tally);
        add_conflicts(&mut self.conflicts, &record.conflicts);
        // Notes may be damaged: a sum that is too large for a number is as good as any.
        self.bytes_read = self.bytes_read.saturating_add(record.bytes_read);
        self.bytes_written = self.bytes_written.saturating_add(if record.linked { 0 } else { record.file_bytes });
    }

    fn totals(self) -> Totals {
        let (gained, lost): (Vec<_>, Vec<_>) = self.tally.labels().partition(|&(_, voxels)| voxels > 0);
        let segments_complete = self.tally.segments_complete();
        Totals {
            shards_copied: self.copied,
            shards_linked: self.linked,
            shards_rewritten: self.rewritten,
            chunks: self.chunks,
            voxels_changed: self.tally.voxels_changed,
            voxels_erased: self.tally.voxels_erased,
            voxels_painted: self.tally.voxels_painted,
            voxels_relabeled: self.tally.voxels_relabeled,
            segments_gained: gained.len() as u64,
            segments_lost: lost.len() as u64,
            segments_complete,
            largest_gains: most_changed(gained),
            largest_losses: most_changed(lost),
            conflicts: self.conflicts,
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
        }
    }
}

fn total(mags: &[MagReport]) -> Totals {
    let Some(finest) = mags.first() else { return Totals::default() };
    let mut total = finest.totals.clone();
    for mag in &mags[1..] {
        total.shards_copied += mag.totals.shards_copied;
        total.shards_linked += mag.totals.shards_linked;
        total.shards_rewritten += mag.totals.shards_rewritten;
        total.chunks.add(&mag.totals.chunks);
        total.bytes_read = total.bytes_read.saturating_add(mag.totals.bytes_read);
        total.bytes_written = total.bytes_written.saturating_add(mag.totals.bytes_written);
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::geometry::Mag;

    #[test]
    fn time_in_which_somebody_worked_counts_once_and_pauses_do_not() {
        let span = |start, length| Span { start, length };
        assert!((covered(vec![span(20.0, 1.0), span(10.0, 2.0), span(11.0, 3.0), span(11.5, 0.5)]) - 5.0).abs() < 1e-9);
        assert!(covered(Vec::new()).abs() < 1e-9);
    }

    #[test]
    fn of_several_mags_files_and_bytes_are_added_up_and_voxels_are_those_of_the_finest() {
        let mag = |n: u64| MagReport {
            mag: Mag([1 << n; 3]),
            source: "mixed".to_owned(),
            totals: Totals {
                shards_copied: n,
                shards_linked: 10 * n,
                shards_rewritten: 100 * n,
                chunks: ChunkCounts { passed: 1000 * n, ..ChunkCounts::default() },
                bytes_read: 10_000 * n,
                bytes_written: 100_000 * n,
                voxels_changed: n,
                ..Totals::default()
            },
        };
        let all = total(&[mag(2), mag(3), mag(4)]);
        assert_eq!([all.shards_copied, all.shards_linked, all.shards_rewritten], [9, 90, 900]);
        assert_eq!([all.chunks.passed, all.bytes_read, all.bytes_written], [9000, 90_000, 900_000]);
        assert_eq!((all.voxels_changed, total(&[])), (2, Totals::default()));
    }

    /// What one damaged note may say of a shard.
    fn damaged() -> ShardRecord {
        let text = json!({
            "task": 0, "copied": false, "file_bytes": u64::MAX, "bytes_read": u64::MAX, "work": u64::MAX,
            "chunks": ChunkCounts { passed: u64::MAX, mixed: u64::MAX, ..ChunkCounts::default() },
            "tally": {
                "voxels_changed": u64::MAX, "voxels_relabeled": u64::MAX, "voxels_erased": u64::MAX,
                "voxels_painted": u64::MAX, "largest_segment_id": u64::MAX, "balance": [[7, i64::MIN], [8, i64::MAX]],
                "uncounted": u64::MAX,
            },
            "conflicts": [{"first": 0, "second": 1, "voxels": u64::MAX}],
            "span": {"start": 1e308, "length": 1e308},
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn sums_of_damaged_notes_are_as_large_as_numbers_are() {
        let mut sum = Sum::default();
        sum.add(&damaged());
        sum.add(&damaged());
        let totals = sum.totals();
        assert_eq!([totals.bytes_read, totals.bytes_written, totals.voxels_changed], [u64::MAX; 3]);
        assert_eq!([totals.chunks.passed, totals.chunks.mixed, totals.conflicts[0].voxels], [u64::MAX; 3]);
        assert_eq!((totals.largest_gains[0], totals.largest_losses[0]), ((8, i64::MAX), (7, i64::MIN)));
        assert!(!totals.segments_complete);
        let mag = || MagReport { mag: Mag([1; 3]), source: "mixed".to_owned(), totals: totals.clone() };
        assert_eq!(total(&[mag(), mag()]).bytes_written, u64::MAX);
        assert!(covered(vec![damaged().span, damaged().span]).is_infinite());
    }
}
