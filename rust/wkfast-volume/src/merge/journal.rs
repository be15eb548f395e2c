//! What the target remembers while a merge is unfinished: `.wkfast-merge/` with the plan, a line for every finished
//! shard, a lock, and a place for files under construction. Commit turns it into `wkfast-merge.json`.
//!
//! Every process writes its lines to a file of its own, because appends of several machines to one file are not safe
//! on network file systems. A line is written after its shard was renamed into place, so a shard without a line is
//! simply written again.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wkfast_files::Process;

use super::input::MergeInput;
use super::makers::{Made, Maker};
use super::plan::MergePlan;
use super::report::ShardRecord;
use super::stamp::first_difference;
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
            && let Some(written) = Written::of(target, key, &head, plan)?
        {
            return written.map(|()| state).map_err(taken);
        }
    }
    // A merge killed before its plan was in place leaves its folder and nothing else.
    match target.anything_else()? {
        Some(name) => Err(taken(format!("is not empty, it holds {name}; choose a new directory"))),
        None => Ok(TargetState::Fresh),
    }
}

/// Where the plan of an unfinished merge lies in its target.
pub(super) fn plan_key() -> String {
    format!("{NOTES}/{PLAN}")
}

/// The fingerprint is among so many bytes of a plan or a provenance, in front of all that is long.
const HEAD: u64 = 256;

/// Which merge a file in a target is of: a plan or a provenance. Shards and reports, nearly all of it, are passed over.
#[derive(Debug, Deserialize)]
struct Written {
    fingerprint: Option<Value>,
    #[serde(default)]
    version: Value,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    stamps: Value,
}

impl Written {
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
        let difference = first_difference(&before, &now).unwrap_or_else(|| "made by another build".to_owned());
        Err(format!(
            "holds the unfinished result of a different merge ({difference}); remove it or choose another target"
        ))
    }
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
    done: HashMap<usize, ShardRecord>,
    /// Those who did it.
    makers: Vec<Maker>,
    /// What this process has done since, where it is to commit as well.
    own: Option<Mutex<Vec<ShardRecord>>>,
    /// Those of this process, begun with the first line.
    lines: Mutex<Option<Box<dyn Notebook>>>,
    /// Held while the journal is.
    lock: Option<Box<dyn Held>>,
}

impl Journal {
    /// Opens the target for `plan`, creating it if it is fresh; `None` if the plan is committed there already. `observer`
    /// is called where the lock of another machine has to be watched.
    pub fn open(plan: &MergePlan, access: Access, observer: &mut Observer) -> Result<Option<Self>> {
        let target = plan.input.target.open()?;
        if state_of(&*target, plan)? == TargetState::Committed {
            return Ok(None);
        }
        target.begin()?;
        let lock = target.lock(access, observer)?;
        let notes = match state_of(&*target, plan)? {
            // Nobody has noted anything yet.
            TargetState::Fresh => target.put(&plan_key(), plan.to_json()?.as_bytes()).map(|()| Vec::new())?,
            TargetState::Begun => notes(&*target)?,
            // By somebody else, between the two looks.
            TargetState::Committed => return Ok(None),
        };
        let makers = notes.iter().map(|notes| Maker::of(&notes.process, &notes.done)).collect();
        let done = by_task(notes);
        Ok(Some(Self { target, done, makers, own: None, lines: Mutex::default(), lock }))
    }

    /// Refuses to go on where the lock is another one's by now.
    pub(super) fn check_held(&self) -> Result<()> {
        self.lock.as_ref().filter(|lock| lock.is_lost()).map_or(Ok(()), |lock| lock.check())
    }

    /// Where the result goes.
    pub(super) fn target(&self) -> &dyn Target {
        &*self.target
    }

    /// What is known of a task that was done before, if its file is still what it was.
    pub fn record(&self, task: usize, key: &str) -> Result<Option<&ShardRecord>> {
        let Some(record) = self.done.get(&task) else { return Ok(None) };
        // There may be none: nobody had listed what the fallback has.
        Ok((self.target.size(key)?.unwrap_or(UNKNOWN_SIZE) == record.file_bytes).then_some(record))
    }

    /// Keeps what this process does from now on, so that it need not be read again.
    pub(super) fn keep_own(&mut self) {
        self.own.get_or_insert_default();
    }

    /// Knows what was kept as well.
    pub(super) fn add_own(&mut self) {
        let own = self.own.take().map(|own| own.into_inner().unwrap_or_else(PoisonError::into_inner));
        let own = own.unwrap_or_default();
        self.makers.push(Maker::of(&Process::this(), &own));
        self.done.extend(own.into_iter().map(|record| (record.task, record)));
    }

    /// Every record, of this and of other processes, of when the journal was opened, and those that were kept and added.
    pub fn records(&self) -> &HashMap<usize, ShardRecord> {
        &self.done
    }

    /// Notes that a shard is in place.
    pub fn append(&self, record: &ShardRecord) -> Result<()> {
        self.append_line(record)?;
        if let Some(own) = &self.own {
            own.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        }
        Ok(())
    }

    /// Notes why a shard is not.
    pub fn append_failure(&self, failure: &Failure) -> Result<()> {
        self.append_line(failure)
    }

    fn append_line(&self, line: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(line).map_err(|error| VolumeError::io(NOTES, error.into()))?;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let notebook = match &mut *lines {
            Some(notebook) => notebook,
            none => none.insert(self.target.note(&json!({"process": Process::this().to_string()}).to_string())?),
        };
        notebook.append(&line)
    }

    /// Lets other processes see all that was noted.
    pub fn flush(&self) -> Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.as_mut().map_or(Ok(()), |lines| lines.flush())
    }

    /// Turns the target from unfinished to committed.
    pub fn close<R: Serialize>(mut self, plan: &MergePlan, report: &R) -> Result<()> {
        let provenance = Provenance {
            fingerprint: plan.fingerprint.clone(),
            input: identity(&plan.input),
            stamps: json!(plan.stamps),
            made: json!(Made::by(std::mem::take(&mut self.makers))),
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

/// The report of a target that [`Journal::close`] has been through.
pub fn committed_report<R: serde::de::DeserializeOwned>(target: &MergeTarget) -> Result<R> {
    let target = target.open()?;
    let name = target.name(PROVENANCE);
    let text = target.read(PROVENANCE)?.ok_or_else(|| VolumeError::io(&name, ErrorKind::NotFound.into()))?;
    let provenance: Provenance<R> = serde_json::from_slice(&text)
        .map_err(|error| VolumeError::corrupt(name, format!("is not readable: {error}")))?;
    Ok(provenance.report)
}

/// Why a task was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Number of the task.
    pub task: usize,
    /// What the error said.
    pub failed: String,
}

/// Lines of every process. A line cut off by a kill is passed over, and so are the lines that this machine wrote
/// before it went down: their shards may not have reached the disk.
pub(super) fn read_lines(target: &dyn Target) -> Result<HashMap<usize, ShardRecord>> {
    Ok(by_task(notes(target)?))
}

fn by_task(notes: Vec<Notes>) -> HashMap<usize, ShardRecord> {
    notes.into_iter().flat_map(|notes| notes.done).map(|record| (record.task, record)).collect()
}

/// What one process has noted.
#[derive(Debug)]
pub(super) struct Notes {
    /// Whose they are.
    pub(super) process: Process,
    pub(super) done: Vec<ShardRecord>,
    pub(super) failures: Vec<Failure>,
}

/// The notes of every process that can be relied on; see [`read_lines`].
pub(super) fn notes(target: &dyn Target) -> Result<Vec<Notes>> {
    let may_forget = target.may_forget();
    let all = target.notes()?;
    let parsed = all.iter().filter_map(|text| Notes::parse(text));
    Ok(parsed.filter(|notes| !(may_forget && notes.process.is_of_earlier_run())).collect())
}

impl Notes {
    /// `None` if it is not known whose they are.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let head: Value = serde_json::from_str(lines.next()?).ok()?;
        let process = Process::parse(head["process"].as_str()?)?;
        let mut notes = Self { process, done: Vec::new(), failures: Vec::new() };
        for line in lines {
            if let Ok(record) = serde_json::from_str(line) {
                notes.done.push(record);
            } else {
                notes.failures.extend(serde_json::from_str::<Failure>(line));
            }
        }
        Some(notes)
    }
}
