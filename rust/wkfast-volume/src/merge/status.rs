//! How far a merge is and who is at it, told by what lies in its target. Nothing is written.

use std::path::Path;

use serde::Serialize;

use super::journal::{self, FOLDER, Failure, Notes, Owner, PROVENANCE};
use super::plan::MergePlan;
use super::share::work_bytes;
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
    /// Who was the last to take it.
    pub owner: Option<Owner>,
    /// Every process that has done something, those that did most first.
    pub workers: Vec<Worker>,
    /// Tasks that failed and have not been done since.
    pub failures: Vec<Failure>,
}

/// What one process has done.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Who that is.
    pub owner: Option<Owner>,
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
pub fn status(target: &Path) -> Result<Option<MergeStatus>> {
    let folder = target.join(FOLDER);
    let path = folder.join(journal::PLAN);
    if target.join(PROVENANCE).exists() {
        return Ok(None);
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VolumeError::io(path.display().to_string(), error)),
    };
    let plan = MergePlan::from_json(&text)?;
    let (busy, owner) = journal::at_work(&folder)?;
    Ok(Some(MergeStatus::of(&plan, &journal::notes(&folder)?, busy, owner)))
}

impl MergeStatus {
    fn of(plan: &MergePlan, notes: &[Notes], busy: bool, owner: Option<Owner>) -> Self {
        let weights: Vec<u64> = plan.tasks().iter().map(|&task| work_bytes(plan, task)).collect();
        let weight = |task: usize| weights.get(task).copied().unwrap_or_default();
        let mut done: Vec<usize> = notes.iter().flat_map(|notes| &notes.done).map(|record| record.task).collect();
        done.sort_unstable();
        done.dedup();
        let mut workers: Vec<Worker> = notes.iter().map(|notes| Worker::of(notes, weight)).collect();
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.bytes));
        let failures = notes.iter().flat_map(|notes| &notes.failures);
        let failures = failures.filter(|failure| done.binary_search(&failure.task).is_err()).cloned().collect();
        Self {
            tasks: weights.len(),
            tasks_done: done.len(),
            bytes: weights.iter().sum(),
            bytes_done: done.iter().map(|&task| weight(task)).sum(),
            busy,
            owner,
            workers,
            failures,
        }
    }
}

impl Worker {
    fn of(notes: &Notes, weight: impl Fn(usize) -> u64) -> Self {
        let spans = notes.done.iter().map(|record| (record.span.start, record.span.start + record.span.length));
        Self {
            owner: notes.owner.clone(),
            tasks: notes.done.len(),
            bytes: notes.done.iter().map(|record| weight(record.task)).sum(),
            span: spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))),
            gone: notes.owner.as_ref().is_some_and(Owner::is_gone),
        }
    }
}
