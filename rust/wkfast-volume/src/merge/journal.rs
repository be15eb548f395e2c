//! What the target remembers while a merge is unfinished: `.wkfast-merge/` with which plan it is, a line for every finished
//! shard, a lock, and a place for files under construction. Commit turns it into `wkfast-merge.json`.
//!
//! Every process writes its lines (see `notes.rs`) to files of its own, because appends of several machines to one file are
//! not safe on network file systems. A line is written after its shard was renamed into place, so a shard without a line
//! is simply written again.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wkfast_files::Process;

use super::input::MergeInput;
use super::makers::Makers;
use super::notes::{self, Failure};
use super::plan::MergePlan;
use super::reckoning::Reckoning;
use super::report::ShardRecord;
use super::stamp::{MagStamp, first_difference};
use super::target::{Access, Held, MergeTarget, NOTES, Notebook, Target};
use crate::error::{Result, VolumeError};
use crate::format::UNKNOWN_SIZE;
use crate::work::Observer;

const PLAN: &str = "plan.json";
/// What a finished merge leaves in its target.
pub const PROVENANCE: &str = "wkfast-merge.json";
/// Written last, by whoever knows the layer's name; a target that has it is a dataset.
const PROPERTIES: &str = "datasource-properties.json";

/// Provenance of a finished merge, with everything needed to recognise it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provenance<R> {
    /// [`MergePlan::fingerprint`].
    pub fingerprint: String,
    /// Who committed it before the result was on disk for sure: if its machine went down since, files may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<String>,
    /// [`MergePlan::input`].
    pub input: Value,
    /// [`MergePlan::stamps`].
    pub stamps: Value,
    /// With which wkfast and by which processes of which hosts; nothing of merges by earlier versions.
    #[serde(default)]
    pub made: Value,
    /// What was done.
    pub report: R,
}

/// How far a target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Absent or empty.
    Fresh,
    /// Begun by this plan.
    Begun,
    /// Committed by this plan, but not a dataset yet.
    Committed,
}

/// Refuses a target that holds anything but the unfinished result of this very plan.
pub fn check_target(plan: &MergePlan) -> Result<TargetState> {
    state_of(&*plan.input.target.open()?, plan)
}

fn state_of(target: &dyn Target, plan: &MergePlan) -> Result<TargetState> {
    let taken = |reason: String| VolumeError::TargetTaken { target: plan.input.target.to_string(), reason };
    if !target.check()? {
        return Ok(TargetState::Fresh);
    }
    let plan_key = plan_key();
    let mut heads = target.read_starts(&[PROPERTIES, PROVENANCE, &plan_key], HEAD)?.into_iter();
    if heads.next().flatten().is_some() {
        return Err(taken("already holds a dataset; choose a new directory or remove it first".to_owned()));
    }
    let notes = [(PROVENANCE, TargetState::Committed), (&plan_key, TargetState::Begun)];
    for ((key, state), head) in notes.into_iter().zip(heads) {
        if let Some(head) = head
            && let Some(written) = MergeOf::of(target, key, &head, plan)?
        {
            let state = if target.may_forget() && may_be_lost(&head) { TargetState::Begun } else { state };
            return written.map(|()| state).map_err(taken);
        }
    }
    // A merge killed before its plan was in place leaves its folder and nothing else.
    match target.anything_else()? {
        Some(name) => Err(taken(format!("is not empty, it holds {name}; choose a new directory"))),
        None => Ok(TargetState::Fresh),
    }
}

/// Whether the provenance that begins so was written before this machine last went down, and the result not waited for.
fn may_be_lost(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let process = text.split_once(UNSYNCED).and_then(|(_, rest)| rest.split_once('"'));
    process.and_then(|(process, _)| Process::parse(process)).is_some_and(|process| process.is_of_earlier_run())
}

/// Where an unfinished target says of which plan it is.
pub(super) fn plan_key() -> String {
    format!("{NOTES}/{PLAN}")
}

/// The fingerprint is among so many bytes of a plan or a provenance, in front of all that is long, and so is who has not
/// waited for the result.
const HEAD: u64 = 512;
/// In front of the latter.
const UNSYNCED: &str = "\"unsynced\": \"";

/// What an unfinished target says of its plan. Its files are left out: tasks have them from the plan file, and write this.
#[derive(Serialize)]
struct Begun<'p> {
    version: u32,
    fingerprint: &'p str,
    tasks: usize,
    bytes: u64,
    input: &'p MergeInput,
    stamps: &'p [MagStamp],
}

impl Begun<'_> {
    fn text(plan: &MergePlan) -> Result<Vec<u8>> {
        let MergePlan { version, fingerprint, input, stamps, .. } = plan;
        let (tasks, bytes) = (plan.task_count(), plan.outline().work_bytes());
        let begun = Begun { version: *version, fingerprint, tasks, bytes, input, stamps };
        serde_json::to_vec(&begun).map_err(|error| VolumeError::io(PLAN, error.into()))
    }
}

/// Which merge a file in a target is of: a plan or a provenance. All else that it holds is passed over.
#[derive(Debug, Deserialize)]
struct MergeOf {
    fingerprint: Option<Value>,
    #[serde(default)]
    version: Value,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    stamps: Value,
}

impl MergeOf {
    /// Whether a file that begins with `head` is of the merge of `plan`, or how it differs; `None` if it has gone. Every task of
    /// an array asks this of a file that may be large, so only where its beginning does not tell is it read.
    fn of(target: &dyn Target, key: &str, head: &[u8], plan: &MergePlan) -> Result<Option<Result<(), String>>> {
        let is_this = head.windows(plan.fingerprint.len()).any(|bytes| bytes == plan.fingerprint.as_bytes());
        if is_this && head.starts_with(b"{") {
            return Ok(Some(Ok(())));
        }
        Ok(Self::read(target, key)?.map(|written| written.check(plan)))
    }

    fn read(target: &dyn Target, key: &str) -> Result<Option<Self>> {
        let Some(text) = target.read(key)? else { return Ok(None) };
        let unreadable = |error| VolumeError::corrupt(target.name(key), format!("is not readable: {error}"));
        serde_json::from_slice(&text).map(Some).map_err(unreadable)
    }

    /// Refuses any other merge than that of `plan`.
    fn check(mut self, plan: &MergePlan) -> Result<(), String> {
        if self.fingerprint.as_ref().and_then(Value::as_str) == Some(&plan.fingerprint) {
            return Ok(());
        }
        forget_places(&mut self.input);
        let now = json!({"version": self.version, "input": identity(&plan.input), "stamps": plan.stamps});
        let before = json!({"version": self.version, "input": self.input, "stamps": self.stamps});
        let difference = changed_mag(&self.stamps, &plan.stamps)
            .filter(|_| before["input"] == now["input"] && before["version"] == now["version"])
            .map(|name| format!("{name} was changed meanwhile"))
            .or_else(|| first_difference(&before, &now))
            .unwrap_or_else(|| "made by another build".to_owned());
        Err(format!(
            "holds the unfinished result of a different merge ({difference}); remove it or choose another target"
        ))
    }
}

/// The first mag that had other files when the merge was begun.
fn changed_mag<'p>(before: &Value, now: &'p [MagStamp]) -> Option<&'p str> {
    let before = before.as_array()?;
    let was_there = |stamp: &MagStamp| before.iter().any(|known| *known == json!(stamp));
    now.iter().find(|stamp| !was_there(stamp)).map(|stamp| stamp.name.as_str())
}

/// What makes two merges the same: of a table of labels its content, not where it lies.
pub(super) fn identity(input: &MergeInput) -> Value {
    let mut input = json!(input);
    forget_places(&mut input);
    input
}

fn forget_places(input: &mut Value) {
    if let Some(mapping) = input.get_mut("mapping").and_then(Value::as_object_mut) {
        mapping.remove("table");
    }
    forget_options(input);
}

/// How a bucket is reached is the caller's business.
fn forget_options(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("url") {
                fields.remove("options");
            }
            fields.values_mut().for_each(forget_options);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_options),
        _ => {}
    }
}

/// An unfinished target, opened for work.
#[derive(Debug)]
pub struct Journal {
    target: Arc<dyn Target>,
    /// The tasks that are this process's, which its notes are named by.
    tasks: Range<usize>,
    /// Of these, those that were done when it was opened, with the size of their file.
    done: HashMap<usize, u64>,
    /// Whether anybody may have noted anything before.
    is_begun: bool,
    /// The sums of what this process has done since, where it is to commit as well.
    own: Option<(Process, Mutex<Reckoning>)>,
    /// Those of this process, begun with the first line.
    lines: Mutex<Option<Box<dyn Notebook>>>,
    /// Held while the journal is.
    lock: Option<Box<dyn Held>>,
}

impl Journal {
    /// Opens the target for `tasks` of `plan`, creating it if it is fresh; `None` if the plan is committed there already.
    /// `observer` is called where the lock of another machine has to be watched.
    pub fn open(
        plan: &MergePlan,
        tasks: Range<usize>,
        access: Access,
        observer: &mut Observer,
    ) -> Result<Option<Self>> {
        let target = plan.input.target.open()?;
        if state_of(&*target, plan)? == TargetState::Committed {
            return Ok(None);
        }
        target.begin()?;
        let lock = target.lock(access, observer)?;
        let mut done = HashMap::new();
        let is_begun = match state_of(&*target, plan)? {
            // Nobody has noted anything yet.
            TargetState::Fresh => {
                target.put(&plan_key(), &Begun::text(plan)?)?;
                false
            }
            TargetState::Begun => {
                notes::each_done(&*target, &tasks, &mut |record| {
                    done.insert(record.task, record.file_bytes);
                })?;
                true
            }
            // By somebody else, between the two looks.
            TargetState::Committed => return Ok(None),
        };
        Ok(Some(Self { target, tasks, done, is_begun, own: None, lines: Mutex::default(), lock }))
    }

    /// Refuses to go on where the lock is another one's by now.
    pub(super) fn check_held(&self) -> Result<()> {
        self.lock.as_ref().filter(|lock| lock.is_lost()).map_or(Ok(()), |lock| lock.check())
    }

    /// Where the result goes.
    pub(super) fn target(&self) -> &dyn Target {
        &*self.target
    }

    /// Whether a task of this process was done before, and its file is still what it was.
    pub fn is_done(&self, task: usize, key: &str) -> Result<bool> {
        let Some(&size) = self.done.get(&task) else { return Ok(false) };
        // There may be none: nobody had listed what the fallback has.
        Ok(self.target.size(key)?.unwrap_or(UNKNOWN_SIZE) == size)
    }

    /// Whether a task of this process was done before, whatever has become of its file.
    pub fn was_done(&self, task: usize) -> bool {
        self.done.contains_key(&task)
    }

    /// Refuses to go on while any of `tasks` is not done, which another process's may be.
    pub fn check_done(&self, plan: &MergePlan, tasks: &Range<usize>) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let done = notes::done(&*self.target, tasks)?;
        let Some(open) = done.iter().position(|&done| !done) else { return Ok(()) };
        let (task, stages) = (tasks.start + open, plan.stages());
        Err(VolumeError::Mismatch(format!("task {task} must be done first: run the stages {stages:?} in order")))
    }

    /// Adds up what this process does from now on, so that it need not be read again.
    pub(super) fn keep_own(&mut self, plan: &MergePlan) {
        self.own = Some((Process::this(), Mutex::new(Reckoning::of(plan))));
    }

    /// The sums of what every process has done so far.
    pub(super) fn reckoning(&mut self, plan: &MergePlan) -> Result<Reckoning> {
        let (mut sums, is_all) = match self.own.take() {
            Some((_, own)) => (own.into_inner().unwrap_or_else(PoisonError::into_inner), !self.is_begun),
            None => (Reckoning::of(plan), false),
        };
        if !is_all {
            notes::each_record(&*self.target, &mut |process, record| sums.add(process, record))?;
        }
        Ok(sums)
    }

    /// Notes that a shard is in place.
    pub fn append(&self, record: &ShardRecord) -> Result<()> {
        self.append_line(&notes::line_of(record)?)?;
        if let Some((this, own)) = &self.own {
            own.lock().unwrap_or_else(PoisonError::into_inner).add(this, record);
        }
        Ok(())
    }

    /// Notes why a shard is not.
    pub fn append_failure(&self, failure: &Failure) -> Result<()> {
        self.append_line(&notes::line_of_failure(failure)?)
    }

    fn append_line(&self, line: &str) -> Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let notebook = match &mut *lines {
            Some(notebook) => notebook,
            none => none.insert(self.target.note(&notes::stem(&self.tasks), &notes::head())?),
        };
        notebook.append(line)
    }

    /// Lets other processes see all that was noted.
    pub fn flush(&self) -> Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.as_mut().map_or(Ok(()), |lines| lines.flush())
    }

    /// Turns the target from unfinished to committed; `synced` says that the result is on disk.
    pub(super) fn close<R: Serialize>(self, plan: &MergePlan, makers: Makers, synced: bool, report: &R) -> Result<()> {
        let provenance = Provenance {
            fingerprint: plan.fingerprint.clone(),
            unsynced: (!synced && self.target.may_forget()).then(|| Process::this().to_string()),
            input: identity(&plan.input),
            stamps: json!(plan.stamps),
            made: json!(makers.told()),
            report,
        };
        let unwritable = |error: serde_json::Error| VolumeError::io(PROVENANCE, error.into());
        let text = serde_json::to_vec_pretty(&provenance).map_err(unwritable)?;
        if let Some(lock) = &self.lock {
            lock.check()?;
        }
        self.target.put(PROVENANCE, &text)?;
        // Network file systems keep a file that is open, and its folder with it.
        let Self { target, lines, lock, .. } = self;
        drop((lines, lock));
        target.clear()
    }
}

/// Removes the notes of a committed merge. What other processes still have open may stay: the target is whole without
/// them, and the next call removes them.
pub(super) fn clear_committed(target: &MergeTarget) -> Result<()> {
    target.open()?.clear()
}

/// The report of a target that is committed.
pub fn committed_report<R: serde::de::DeserializeOwned>(target: &MergeTarget) -> Result<R> {
    let target = target.open()?;
    let name = target.name(PROVENANCE);
    let text = target.read(PROVENANCE)?.ok_or_else(|| VolumeError::io(&name, ErrorKind::NotFound.into()))?;
    let provenance: Provenance<R> = serde_json::from_slice(&text)
        .map_err(|error| VolumeError::corrupt(name, format!("is not readable: {error}")))?;
    Ok(provenance.report)
}
