//! Running a plan: shards in parallel, each put in place when it is whole, and the commit.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use super::compose::Over;
use super::input::Link;
use super::journal::{self, Journal};
use super::notes::Failure;
use super::plan::{LayerPlan, LayerSource, MergePlan, Task};
use super::report::{MergeReport, Seconds, ShardRecord, Span};
use super::shard::{MagArrays, Room, ShardMerge};
use super::share::work_bytes;
use super::sides::{SideMag, Sources};
use super::stamp::check_archives;
use super::target::{Access, Copied};
use super::terms::Terms;
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, UNKNOWN_SIZE, open_mag};
use crate::geometry::Mag;
use crate::store::together;
use crate::work::{Driver, Observer, ReadMag, Stop, bytes_in_flight, pool_of};

/// Chunks in memory per thread.
const CHUNKS_PER_THREAD: usize = 4;
/// Whole files that servers copy at once.
const COPIES_AT_ONCE: usize = 64;

/// Shards of far stores that are written at once, for each thread that was asked for: most of the time they wait.
const FAR_PER_THREAD: usize = 16;
/// What a file takes at most: two windows of the fallback, parts of the result that are made and sent.
const FAR_FILE: u64 = WINDOWS * FAR_WINDOW;
/// The least that is read together of a far fallback, and what a file takes in units of what is.
const FAR_WINDOW: u64 = 8 << 20;
const WINDOWS: u64 = 5;

/// Bytes that they may take together: of those that may wait for servers, five eighths.
fn far_bytes() -> Result<u64> {
    Ok(bytes_in_flight()? / 8 * 5)
}

/// What a call of [`run`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Tasks this call was asked for.
    pub tasks: usize,
    /// Of these, done by an earlier run.
    pub resumed: usize,
    /// Bytes of the files written by this call.
    pub bytes_written: u64,
    /// Seconds by the clock.
    pub seconds: f64,
}

/// Runs `tasks`, by their numbers, of `plan` on `threads` threads.
///
/// Tasks that are done already are passed over, so a killed run is repeated as it was.
pub fn run(
    plan: &MergePlan,
    sources: &Sources,
    tasks: Range<usize>,
    threads: usize,
    access: Access,
    observer: &mut Observer,
) -> Result<RunSummary> {
    let started = Instant::now();
    plan.check_range(&tasks)?;
    let mut summary = match Journal::open(plan, tasks.clone(), access, observer)? {
        Some(journal) => run_tasks(plan, sources, tasks, threads, &journal, observer)?,
        None => RunSummary { tasks: tasks.len(), resumed: tasks.len(), ..RunSummary::default() },
    };
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// Runs every task of `plan` and [commits](commit) what they made: one look at the target, and one lock, for both.
pub fn complete(
    plan: &MergePlan,
    sources: &Sources,
    threads: usize,
    seconds: Seconds,
    observer: &mut Observer,
) -> Result<MergeReport> {
    let all = 0..plan.task_count();
    let Some(mut journal) = Journal::open(plan, all.clone(), Access::Exclusive, observer)? else {
        return committed(plan);
    };
    journal.keep_own(plan);
    run_tasks(plan, sources, all, threads, &journal, observer)?;
    close(plan, journal, seconds, false)
}

fn run_tasks(
    plan: &MergePlan,
    sources: &Sources,
    tasks: Range<usize>,
    threads: usize,
    journal: &Journal,
    observer: &mut Observer,
) -> Result<RunSummary> {
    check_archives(&plan.archives)?;
    let mut summary = RunSummary { tasks: tasks.len(), ..RunSummary::default() };
    let arrays = prepare(plan, sources, journal)?;
    let runner = Runner { plan, terms: Terms::of(plan, sources), arrays: &arrays, journal };
    let pool = pool_of(threads)?;
    let mut driver = Driver::new(&pool, observer);
    driver.expect(tasks.len(), tasks.clone().map(|task| runner.weight(task)).sum());
    let mut is_redone = false;
    for stage in plan.stages() {
        let wanted = stage.start.max(tasks.start)..stage.end.min(tasks.end);
        if wanted.is_empty() {
            continue;
        }
        // What this call was asked for it does in order.
        let others = [0..stage.start.min(tasks.start), stage.start.min(tasks.end)..stage.start];
        others.iter().try_for_each(|others| journal.check_done(plan, others))?;
        // What was computed from files that are not what they were is computed again.
        let (done, waiting) = if is_redone { (Vec::new(), wanted.collect()) } else { runner.divide(wanted)? };
        is_redone |= waiting.iter().any(|&task| journal.was_done(task) && !runner.is_copied(task));
        summary.resumed += done.len();
        for &task in &done {
            driver.pass(runner.weight(task));
        }
        summary.bytes_written += runner.run_stage(waiting, &mut driver)?;
    }
    Ok(summary)
}

/// Ends a merge whose tasks are all done: leaves the report in the target and removes the journal. With `sync` it first
/// waits until the result is on disk, so that it also survives the loss of power. Called again, it returns the same
/// report. `observer` is called as of [`Journal::open`].
pub fn commit(plan: &MergePlan, seconds: Seconds, sync: bool, observer: &mut Observer) -> Result<MergeReport> {
    match Journal::open(plan, 0..0, Access::Exclusive, observer)? {
        Some(journal) => close(plan, journal, seconds, sync),
        None => committed(plan),
    }
}

/// The report of a merge that is committed already.
fn committed(plan: &MergePlan) -> Result<MergeReport> {
    journal::clear_committed(&plan.input.target)?;
    journal::committed_report(&plan.input.target)
}

fn close(plan: &MergePlan, mut journal: Journal, mut seconds: Seconds, sync: bool) -> Result<MergeReport> {
    let started = Instant::now();
    let mut done = journal.reckoning(plan)?;
    let (open, all) = (done.left(), plan.task_count());
    if open > 0 {
        return Err(VolumeError::Mismatch(format!("{open} of {all} tasks are not done: run them, then commit")));
    }
    if sync {
        journal.target().sync()?;
    }
    seconds.commit = started.elapsed().as_secs_f64();
    let makers = done.take_makers();
    let report = done.report(plan, seconds);
    journal.close(plan, makers, sync, &report)?;
    Ok(report)
}

/// The array of `mag` among the sources of one side.
pub(super) fn find(side: &[SideMag], mag: Mag) -> Result<Arc<dyn MagArray>> {
    let found = side.iter().find(|source| source.location.mag == mag);
    found.map(|source| source.array.clone()).ok_or_else(|| VolumeError::Missing {
        what: format!("mag {mag} of the plan"),
        hint: "plan and sources do not belong together".to_owned(),
    })
}

/// What a layer of `mag` reads; `finer` are the finer mags of the result.
pub(super) fn open_layer(layer: &LayerPlan, mag: Mag, sources: &Sources, finer: &[Arc<dyn MagArray>]) -> Result<Over> {
    Ok(match layer.source {
        LayerSource::Annotation { .. } => {
            let side = sources.annotations.get(layer.annotation).map(Vec::as_slice).unwrap_or_default();
            Over::Annotation(Arc::new(ReadMag::new(find(side, mag)?)))
        }
        LayerSource::Recomputed { from, factor } => Over::Finer { array: finer[from].clone(), factor },
    })
}

/// Writes the metadata of every mag and opens the arrays.
fn prepare(plan: &MergePlan, sources: &Sources, journal: &Journal) -> Result<Vec<MagArrays>> {
    let far = plan.input.target.directory().is_none();
    let places: Vec<usize> = (0..plan.mags.len()).collect();
    let outputs = together(&places, far, |&place| begin(plan, place, sources, journal))?;
    let mut arrays: Vec<MagArrays> = Vec::new();
    for (place, mag) in plan.mags.iter().enumerate() {
        let open = |layer| open_layer(layer, mag.mag, sources, &outputs[..place]);
        let over = mag.layers.iter().map(open).collect::<Result<_>>()?;
        arrays.push(MagArrays { fallback: find(&sources.fallback, mag.mag)?, over, output: outputs[place].clone() });
    }
    Ok(arrays)
}

/// Writes the metadata of the mag at `place` like the fallback's and opens it.
fn begin(plan: &MergePlan, place: usize, sources: &Sources, journal: &Journal) -> Result<Arc<dyn MagArray>> {
    let mag = &plan.mags[place];
    let fallback = find(&sources.fallback, mag.mag)?;
    let extra: Vec<u64> = plan.outline().touched[place].iter().map(|&(_, end)| end).collect();
    for (name, content) in fallback.metadata_like(mag.grid.voxel_type, mag.extent, &extra)? {
        journal.target().put(&format!("{}/{name}", mag.folder), &content)?;
    }
    open_mag(&plan.result_location(mag))
}

struct Runner<'a> {
    plan: &'a MergePlan,
    terms: Terms,
    arrays: &'a [MagArrays],
    journal: &'a Journal,
}

impl Runner<'_> {
    /// The file of a task in the target.
    fn key(&self, task: Task) -> String {
        self.arrays[task.mag].output.shard_key(&self.plan.task_parts(task).1.at)
    }

    fn weight(&self, task: usize) -> u64 {
        work_bytes(self.plan, self.plan.task(task))
    }

    fn is_done(&self, task: usize) -> Result<bool> {
        self.journal.is_done(task, &self.key(self.plan.task(task)))
    }

    /// Tasks that are done, and those that are not.
    fn divide(&self, tasks: Range<usize>) -> Result<(Vec<usize>, Vec<usize>)> {
        let (mut done, mut waiting) = (Vec::new(), Vec::new());
        for task in tasks {
            if self.is_done(task)? { done.push(task) } else { waiting.push(task) }
        }
        Ok((done, waiting))
    }

    /// Runs tasks that do not depend on each other, large ones first. Returns the bytes written.
    ///
    /// A thread has one shard at a time: it computes its chunks and copies what lies between them. Threads that have run
    /// out of shards help with the chunks of the others'.
    fn run_stage(&self, mut tasks: Vec<usize>, driver: &mut Driver) -> Result<u64> {
        tasks.sort_by_key(|&task| std::cmp::Reverse(self.cost(self.plan.task(task))));
        let own = self.far_pool(&tasks, driver.threads())?;
        let threads = own.as_ref().map_or(driver.threads(), ThreadPool::current_num_threads);
        let at_once = threads.min(tasks.len()).max(1);
        let window = (CHUNKS_PER_THREAD * threads).div_ceil(at_once);
        // Where few shards share the memory, fewer requests are waited for one after the other.
        let far_bytes = (far_bytes()? / WINDOWS / at_once as u64).max(FAR_WINDOW);
        let work = |task, stop: &Stop| {
            self.run_task(task, Room { window, far_bytes, stop }).inspect_err(|error| self.note_failure(task, error))
        };
        let weight = |task| self.weight(task);
        let mut written = 0;
        let mut done = Ok(());
        if self.journal.target().waits_for_copies() {
            let copied: Vec<usize> = tasks.extract_if(.., |task| self.is_copied(*task)).collect();
            // These threads do no more than wait.
            let pool = pool_of(copied.len().clamp(1, COPIES_AT_ONCE))?;
            done = driver.each_on(&pool, &copied, weight, work, |bytes: u64| written += bytes);
        }
        if done.is_ok() {
            done = match &own {
                Some(pool) => driver.each_on(pool, &tasks, weight, work, |bytes: u64| written += bytes),
                None => driver.each(&tasks, weight, work, |bytes: u64| written += bytes),
            };
        }
        // What was done before something went wrong is done.
        done.and(self.journal.flush())?;
        Ok(written)
    }

    /// Threads for tasks that wait for servers more than they compute; their memory is what bounds them.
    fn far_pool(&self, tasks: &[usize], threads: usize) -> Result<Option<ThreadPool>> {
        let is_far = |arrays: &MagArrays| arrays.fallback.store().is_far();
        if !self.journal.target().waits_for_copies() && !self.arrays.iter().any(is_far) {
            return Ok(None);
        }
        let rewritten = tasks.iter().filter(|&&task| !self.is_copied(task));
        let bytes = |&task: &usize| match self.plan.task_parts(self.plan.task(task)).1.fallback_bytes {
            Some(UNKNOWN_SIZE) => FAR_FILE,
            known => known.unwrap_or(0),
        };
        let largest = rewritten.map(bytes).max().unwrap_or(0);
        let each = (4 * largest).clamp(1 << 20, FAR_FILE);
        let at_once = (far_bytes()? / each) as usize;
        pool_of(at_once.min(FAR_PER_THREAD * threads).max(threads)).map(Some)
    }

    fn is_copied(&self, task: usize) -> bool {
        let (mag, shard) = self.plan.task_parts(self.plan.task(task));
        mag.is_copied(shard)
    }

    /// A guess that only has to tell large from small: computed chunks weigh more than copied bytes.
    fn cost(&self, task: Task) -> u64 {
        let (mag, shard) = self.plan.task_parts(task);
        let computed = u64::from(shard.chunks_replaced) + u64::from(shard.chunks_mixed);
        shard.fallback_bytes.unwrap_or(0) + computed * mag.grid.chunk_bytes() as u64 * 4
    }

    /// For whoever asks how the merge is doing. That it cannot be noted must not take the place of what went wrong.
    fn note_failure(&self, task: usize, error: &VolumeError) {
        if !matches!(error, VolumeError::Interrupted | VolumeError::Enough) {
            let _ = self.journal.append_failure(&Failure { task, failed: error.to_string() });
        }
    }

    /// Returns the bytes written.
    fn run_task(&self, number: usize, room: Room) -> Result<u64> {
        self.journal.check_held()?;
        let (start, began) = (SystemTime::now(), Instant::now());
        let task = self.plan.task(number);
        let (mag, shard) = self.plan.task_parts(task);
        let mut record = if mag.is_copied(shard) { self.copy(task)? } else { self.rewrite(task, room)? };
        record.task = number;
        record.work = self.weight(number);
        record.span = Span::since(start, began);
        self.journal.check_held()?;
        self.journal.append(&record)?;
        Ok(if record.linked { 0 } else { record.file_bytes })
    }

    fn copy(&self, task: Task) -> Result<ShardRecord> {
        let (_, shard) = self.plan.task_parts(task);
        let store = self.arrays[task.mag].fallback.store();
        let (from, to) = (self.arrays[task.mag].fallback.shard_key(&shard.at), self.key(task));
        let target = self.journal.target();
        let size = match shard.fallback_bytes.unwrap_or(UNKNOWN_SIZE) {
            UNKNOWN_SIZE => store.size(&from)?.unwrap_or(UNKNOWN_SIZE),
            known => known,
        };
        if size == UNKNOWN_SIZE {
            return Ok(ShardRecord { copied: true, ..ShardRecord::default() });
        }
        if self.plan.input.options.link == Link::Hard && target.link(store, &from, &to)? {
            return Ok(ShardRecord { copied: true, linked: true, file_bytes: size, ..ShardRecord::default() });
        }
        let Copied { read, size } = target.copy(store, &from, size, &to)?;
        Ok(ShardRecord { copied: true, bytes_read: read, file_bytes: size, ..ShardRecord::default() })
    }

    fn rewrite(&self, task: Task, room: Room) -> Result<ShardRecord> {
        let (mag, shard) = self.plan.task_parts(task);
        let mut draft = self.journal.target().shard(&self.key(task), shard.fallback_bytes.unwrap_or(0))?;
        let job = ShardMerge::open(&self.terms, mag, shard, &self.arrays[task.mag])?;
        let record = job.write(&mut *draft, room)?;
        if mag.recodes && !shard.is_touched() && record.chunks.is_none() {
            return Ok(record);
        }
        Ok(ShardRecord { file_bytes: draft.place()?, ..record })
    }
}
