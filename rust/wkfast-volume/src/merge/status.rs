//! How far a merge is and who is at it, told by what lies in its target. Nothing is written.

use serde::{Deserialize, Serialize};
use wkfast_files::Process;

use super::journal::{self, PROVENANCE};
use super::notes::{self, Brief, Failure, Line};
use super::plan::MergePlan;
use super::target::{MergeTarget, Target};
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
    let unreadable = |error| VolumeError::corrupt(target.name(&key), format!("is not readable: {error}"));
    let size = match serde_json::from_slice(&text).map_err(unreadable)? {
        BegunPlan { tasks: Some(tasks), bytes: Some(bytes) } => (tasks, bytes),
        _ => size_of(&text)?,
    };
    MergeStatus::of(size, &*target).map(Some)
}

/// What a target says of its plan.
#[derive(Deserialize)]
struct BegunPlan {
    tasks: Option<usize>,
    bytes: Option<u64>,
}

/// Tasks and bytes of a merge that an earlier build began: it put the whole plan there.
fn size_of(text: &[u8]) -> Result<(usize, u64)> {
    let plan = MergePlan::from_json(&String::from_utf8_lossy(text))?;
    Ok((plan.task_count(), plan.outline().work_bytes()))
}

impl MergeStatus {
    fn of((tasks, bytes): (usize, u64), target: &dyn Target) -> Result<Self> {
        let (mut done, mut failures, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        notes::each_process(target, &mut |process, lines| {
            let mut worker = Worker::new(process);
            for line in lines {
                match line {
                    Line::Done(record) => {
                        worker.count(&record);
                        done.push((record.task, weight(&record)));
                    }
                    Line::Failed(failure) => failures.push(failure),
                }
            }
            workers.push(worker);
        })?;
        done.sort_unstable();
        done.dedup_by_key(|(task, _)| *task);
        failures.retain(|failure: &Failure| done.binary_search_by_key(&failure.task, |(task, _)| *task).is_err());
        Ok(Self {
            tasks,
            tasks_done: done.len(),
            bytes,
            bytes_done: done.iter().fold(0, |sum, (_, weight)| sum.saturating_add(*weight)),
            busy: target.is_held()?,
            workers: by_process(workers.into_iter()),
            failures,
        })
    }
}

/// Bytes that a task got through. An earlier build did not note them.
fn weight(record: &Brief) -> u64 {
    if record.work == 0 { record.file_bytes } else { record.work }
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

    fn new(process: &Process) -> Self {
        let (host, number) = (process.host().to_owned(), process.number());
        Self { host, process: number, tasks: 0, bytes: 0, span: None, gone: process.is_gone() }
    }

    fn count(&mut self, record: &Brief) {
        self.tasks += 1;
        self.bytes = self.bytes.saturating_add(weight(record));
        let (start, end) = (record.span.start, record.span.start + record.span.length);
        self.span = Some(self.span.map_or((start, end), |span| (span.0.min(start), span.1.max(end))));
    }
}
