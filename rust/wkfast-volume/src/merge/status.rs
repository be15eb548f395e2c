//! How far a merge is and who is at it, told by what lies in its target. Nothing is written.

use serde::Serialize;

use super::journal::{self, Failure, Notes, PROVENANCE};
use super::plan::MergePlan;
use super::share::work_bytes;
use super::target::MergeTarget;
use crate::error::{Result, VolumeError};

/// A merge at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct MergeStatus {
    /// Tasks of the plan: files of the result.
    pub tasks: usize,
    /// Of these, done.
    pub tasks_done: usize,
    /// Bytes to get through in all.
    pub bytes: u64,
    /// Of these, got through.
    pub bytes_done: u64,
    /// Whether somebody holds the target.
    pub busy: bool,
    /// Every process that has done something, those that did most first.
    pub workers: Vec<Worker>,
    /// Tasks that failed and have not been done since.
    pub failures: Vec<Failure>,
}

/// What one process has done.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Name of its machine.
    pub host: String,
    /// Its number there.
    pub process: u32,
    /// Tasks it has done.
    pub tasks: usize,
    /// Bytes it got through.
    pub bytes: u64,
    /// When it began its first task and ended its last one, in seconds since 1970 by its clock.
    pub span: Option<(f64, f64)>,
    /// Whether it is known to have gone.
    pub gone: bool,
}

/// The status of the merge into `target` that is not committed yet; `None` if there is none, or it is committed.
pub fn status(target: &MergeTarget) -> Result<Option<MergeStatus>> {
    let target = target.open()?;
    if target.has(PROVENANCE)? {
        return Ok(None);
    }
    let key = journal::plan_key();
    let Some(text) = target.read(&key)? else { return Ok(None) };
    let text = String::from_utf8(text).map_err(|_| VolumeError::corrupt(target.name(&key), "is no text"))?;
    let plan = MergePlan::from_json(&text)?;
    Ok(Some(MergeStatus::of(&plan, &journal::notes(&*target)?, target.is_held()?)))
}

impl MergeStatus {
    fn of(plan: &MergePlan, notes: &[Notes], busy: bool) -> Self {
        let weights: Vec<u64> = plan.tasks().iter().map(|&task| work_bytes(plan, task)).collect();
        let weight = |task: usize| weights.get(task).copied().unwrap_or_default();
        let mut done: Vec<usize> = notes.iter().flat_map(|notes| &notes.done).map(|record| record.task).collect();
        done.sort_unstable();
        done.dedup();
        let workers = by_process(notes.iter().map(|notes| Worker::of(notes, weight)));
        let failures = notes.iter().flat_map(|notes| &notes.failures);
        let failures = failures.filter(|failure| done.binary_search(&failure.task).is_err()).cloned().collect();
        Self {
            tasks: weights.len(),
            tasks_done: done.len(),
            bytes: weights.iter().sum(),
            bytes_done: done.iter().map(|&task| weight(task)).sum(),
            busy,
            workers,
            failures,
        }
    }
}

/// One for each process, those that did most first: a process begins notes anew each time that it comes to the target.
fn by_process(all: impl Iterator<Item = Worker>) -> Vec<Worker> {
    let mut workers: Vec<Worker> = Vec::new();
    for one in all {
        match workers.iter_mut().find(|known| (&known.host, known.process) == (&one.host, one.process)) {
            Some(known) => known.add(&one),
            None => workers.push(one),
        }
    }
    workers.sort_by_key(|worker| std::cmp::Reverse(worker.bytes));
    workers
}

impl Worker {
    fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.bytes += other.bytes;
        let spans = [self.span, other.span].into_iter().flatten();
        self.span = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        // Of two that had the same number, one may be at work.
        self.gone &= other.gone;
    }

    fn of(notes: &Notes, weight: impl Fn(usize) -> u64) -> Self {
        let spans = notes.done.iter().map(|record| (record.span.start, record.span.start + record.span.length));
        Self {
            host: notes.process.host().to_owned(),
            process: notes.process.number(),
            tasks: notes.done.len(),
            bytes: notes.done.iter().map(|record| weight(record.task)).sum(),
            span: spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))),
            gone: notes.process.is_gone(),
        }
    }
}
