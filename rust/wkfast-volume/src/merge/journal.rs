//! What the target remembers while a merge is unfinished: `.wkfast-merge/` with the plan, a line for every finished
//! shard, a lock, and a place for files under construction. Commit turns it into `wkfast-merge.json`.
//!
//! Every process writes its lines to a file of its own, because appends of several machines to one file are not safe
//! on network file systems. A line is written after its shard was renamed into place, so a shard without a line is
//! simply written again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wkfast_files::Process;

use super::input::MergeInput;
use super::lock::{self, Lock};
use super::plan::MergePlan;
use super::report::ShardRecord;
use super::stamp::first_difference;
use crate::error::{Result, VolumeError};
use crate::work::{Observer, create_unique, remove_or_leave};

pub(super) const FOLDER: &str = ".wkfast-merge";
pub(super) const PLAN: &str = "plan.json";
const TEMPORARY: &str = "tmp";
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
    let target = &plan.input.target;
    let taken = |reason: String| VolumeError::TargetTaken { target: target.display().to_string(), reason };
    refuse_links(target).map_err(taken)?;
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(TargetState::Fresh),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(taken("is not a directory".to_owned())),
        Err(error) => return Err(VolumeError::io(target.display().to_string(), error)),
    };
    if target.join(PROPERTIES).exists() {
        return Err(taken("already holds a dataset; choose a new directory or remove it first".to_owned()));
    }
    if let Some(committed) = Written::read(&target.join(PROVENANCE))? {
        return committed.check(plan).map(|()| TargetState::Committed).map_err(taken);
    }
    if let Some(begun) = Written::read(&target.join(FOLDER).join(PLAN))? {
        return begun.check(plan).map(|()| TargetState::Begun).map_err(taken);
    }
    // A merge killed before its plan was in place leaves its folder and nothing else.
    for entry in entries {
        let name = entry.map_err(|error| VolumeError::io(target.display().to_string(), error))?.file_name();
        if name != FOLDER {
            return Err(taken(format!("is not empty, it holds {}; choose a new directory", name.display())));
        }
    }
    Ok(TargetState::Fresh)
}

/// Refuses a target in which a link leads what is written there to somewhere else.
fn refuse_links(target: &Path) -> Result<(), String> {
    let folder = target.join(FOLDER);
    for path in [folder.join(TEMPORARY), folder.join(lock::NAME), folder] {
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(format!("holds the link {}; remove it or choose another target", path.display()));
        }
    }
    Ok(())
}

/// Which merge a file in a target is of: a plan or a provenance. Shards and reports, nearly all of it, are passed over:
/// every task of an array looks at this.
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
    fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VolumeError::io(path.display().to_string(), error)),
        };
        let unreadable = |error| VolumeError::corrupt(path.display().to_string(), format!("is not readable: {error}"));
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
}

/// Whom else a process working on a target tolerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody: the process runs the whole merge.
    Exclusive,
    /// Others that share: tasks of one job array.
    Shared,
    /// Whoever it is: a worker whose coordinator holds the lock.
    Coordinated,
}

/// An unfinished target, opened for work.
#[derive(Debug)]
pub struct Journal {
    target: PathBuf,
    done: HashMap<usize, ShardRecord>,
    lines: Mutex<Lines>,
    /// Held while the journal is.
    lock: Option<Lock>,
}

/// The file of this process, created with the first line.
#[derive(Debug, Default)]
struct Lines {
    file: Option<File>,
}

impl Journal {
    /// Opens the target for `plan`, creating it if it is fresh; `None` if the plan is committed there already. `observer`
    /// is called where the lock of another machine has to be watched.
    pub fn open(plan: &MergePlan, access: Access, observer: &mut Observer) -> Result<Option<Self>> {
        let target = plan.input.target.clone();
        if check_target(plan)? == TargetState::Committed {
            return Ok(None);
        }
        let folder = target.join(FOLDER);
        let io = |path: &Path, error| VolumeError::io(path.display().to_string(), error);
        fs::create_dir_all(folder.join(TEMPORARY)).map_err(|error| io(&folder, error))?;
        let lock = Lock::take(&folder, access, &target, observer)?;
        let path = folder.join(PLAN);
        match check_target(plan)? {
            TargetState::Fresh => write_whole(&path, &folder.join(TEMPORARY), plan.to_json()?.as_bytes())?,
            TargetState::Begun => {}
            // By somebody else, between the two looks.
            TargetState::Committed => return Ok(None),
        }
        let done = read_lines(&folder)?;
        Ok(Some(Self { target, done, lines: Mutex::default(), lock }))
    }

    /// What is known of a task that was done before, if its file is still what it was.
    pub fn record(&self, task: usize, file: &Path) -> Option<&ShardRecord> {
        let record = self.done.get(&task)?;
        let size = fs::metadata(file).ok()?.len();
        (size == record.file_bytes).then_some(record)
    }

    /// Every record, of this and of other processes.
    pub fn records(&self) -> &HashMap<usize, ShardRecord> {
        &self.done
    }

    /// Where files under construction go: the target's own file system.
    pub fn temporary(&self) -> PathBuf {
        self.target.join(FOLDER).join(TEMPORARY)
    }

    /// Writes a small file of the result that is there whole or not at all.
    pub fn write_whole(&self, path: &Path, content: &[u8]) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| VolumeError::io(folder.display().to_string(), error))?;
        }
        write_whole(path, &self.temporary(), content)
    }

    /// Notes that a shard is in place.
    pub fn append(&self, record: &ShardRecord) -> Result<()> {
        self.append_line(record)
    }

    /// Notes why a shard is not.
    pub fn append_failure(&self, failure: &Failure) -> Result<()> {
        self.append_line(failure)
    }

    fn append_line(&self, line: &impl Serialize) -> Result<()> {
        let folder = self.target.join(FOLDER);
        let io = |error| VolumeError::io(folder.display().to_string(), error);
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = match &mut lines.file {
            Some(file) => file,
            empty => {
                let mut file = create_unique(&folder, "done", "jsonl").map_err(io)?.1;
                file.write_all(format!("{}\n", json!({"process": Process::this().to_string()})).as_bytes())
                    .map_err(io)?;
                empty.insert(file)
            }
        };
        let line = serde_json::to_string(line).map_err(|error| io(error.into()))? + "\n";
        file.write_all(line.as_bytes()).map_err(io)
    }

    /// Turns the target from unfinished to committed.
    pub fn close<R: Serialize>(self, plan: &MergePlan, report: &R) -> Result<()> {
        let provenance = Provenance {
            fingerprint: plan.fingerprint.clone(),
            input: identity(&plan.input),
            stamps: json!(plan.stamps),
            report,
        };
        let unwritable = |error: serde_json::Error| VolumeError::io(PROVENANCE, error.into());
        let text = serde_json::to_vec_pretty(&provenance).map_err(unwritable)?;
        if let Some(lock) = &self.lock {
            lock.check(&self.target.join(FOLDER), &self.target)?;
        }
        write_whole(&self.target.join(PROVENANCE), &self.temporary(), &text)?;
        // Network file systems keep a file that is open, and its folder with it.
        let Self { target, lines, lock, .. } = self;
        drop((lines, lock));
        clear_committed(&target)
    }
}

/// Removes the notes of a committed merge. What other processes still have open may stay: the target is whole without
/// them, and the next call removes them.
pub(super) fn clear_committed(target: &Path) -> Result<()> {
    remove_or_leave(&target.join(FOLDER)).map(drop)
}

/// The report of a target that [`Journal::close`] has been through.
pub fn committed_report<R: serde::de::DeserializeOwned>(target: &Path) -> Result<R> {
    let path = target.join(PROVENANCE);
    let name = path.display().to_string();
    let text = fs::read(&path).map_err(|error| VolumeError::io(&name, error))?;
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

/// Writes a file that is either there whole or not at all.
fn write_whole(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<()> {
    let io = |error| VolumeError::io(path.display().to_string(), error);
    let (draft, mut file) = create_unique(temporary, "whole", "tmp").map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    fs::rename(draft, path).map_err(io)
}

/// Lines of every process. A line cut off by a kill is passed over, and so are the lines that this machine wrote
/// before it went down: their shards may not have reached the disk.
pub(super) fn read_lines(folder: &Path) -> Result<HashMap<usize, ShardRecord>> {
    let records = notes(folder)?.into_iter().flat_map(|notes| notes.done);
    Ok(records.map(|record| (record.task, record)).collect())
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
pub(super) fn notes(folder: &Path) -> Result<Vec<Notes>> {
    let io = |path: &Path, error| VolumeError::io(path.display().to_string(), error);
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| io(folder, error))? {
        let path = entry.map_err(|error| io(folder, error))?.path();
        if path.extension().is_some_and(|suffix| suffix == "jsonl") {
            let text = fs::read_to_string(&path).map_err(|error| io(&path, error))?;
            all.extend(Notes::parse(&text));
        }
    }
    Ok(all)
}

impl Notes {
    /// `None` if it is not known whose they are, or this machine wrote them before it went down.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let head: Value = serde_json::from_str(lines.next()?).ok()?;
        let process = Process::parse(head["process"].as_str()?).filter(|process| !process.is_of_earlier_run())?;
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
