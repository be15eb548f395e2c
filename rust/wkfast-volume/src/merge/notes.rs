//! What processes note of the tasks they do: a file for each process and share, named by the tasks of the share, so that
//! who wants to know of some tasks reads no others' notes. The first line says whose they are, each other one is a task
//! that was done, or why one was not.
//!
//! A line cut off by a kill is passed over, and so are the lines that this machine wrote before it went down: their
//! shards may not have reached the disk.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wkfast_files::Process;

use super::report::{ChunkCounts, Conflict, ShardRecord, Span};
use super::tally::Tally;
use super::target::{NOTES, Target};
use crate::error::{Result, VolumeError};

/// Why a task was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Number of the task.
    pub task: usize,
    /// What the error said.
    pub failed: String,
}

/// What a line tells.
#[derive(Debug)]
pub(super) enum Line {
    Done(Brief),
    Failed(Failure),
}

/// What a record begins with. Most who read notes want no more, and lines of a million tasks are long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Brief {
    pub(super) task: usize,
    pub(super) file_bytes: u64,
    pub(super) work: u64,
    pub(super) span: Span,
}

/// A record as it is written: without names, and without what a copied file does not have. Times are microseconds.
#[derive(Serialize, Deserialize)]
struct NoteRow(
    u64,
    u8,
    u64,
    u64,
    u64,
    u64,
    u64,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<Rest>,
);

#[derive(Serialize, Deserialize)]
struct Rest(ChunkCounts, Tally, #[serde(default, skip_serializing_if = "Vec::is_empty")] Vec<Conflict>);

const COPIED: u8 = 1;
const LINKED: u8 = 2;
const MICROSECONDS: f64 = 1e6;

impl NoteRow {
    fn of(record: &ShardRecord) -> Self {
        let ShardRecord { chunks, tally, conflicts, .. } = record;
        let is_plain = *chunks == ChunkCounts::default() && *tally == Tally::default() && conflicts.is_empty();
        Self(
            record.task as u64,
            COPIED * u8::from(record.copied) + LINKED * u8::from(record.linked),
            record.file_bytes,
            record.bytes_read,
            record.work,
            (record.span.start * MICROSECONDS) as u64,
            (record.span.length * MICROSECONDS) as u64,
            (!is_plain).then(|| Rest(*chunks, tally.clone(), conflicts.clone())),
        )
    }

    fn record(self) -> ShardRecord {
        let Self(task, flags, file_bytes, bytes_read, work, start, length, rest) = self;
        let Rest(chunks, tally, conflicts) = rest.unwrap_or(Rest(ChunkCounts::default(), Tally::default(), Vec::new()));
        let span = Span { start: start as f64 / MICROSECONDS, length: length as f64 / MICROSECONDS };
        let (copied, linked) = (flags & COPIED != 0, flags & LINKED != 0);
        ShardRecord {
            task: task as usize,
            copied,
            linked,
            file_bytes,
            bytes_read,
            work,
            chunks,
            tally,
            conflicts,
            span,
        }
    }
}

/// What the first line of this process's notes says.
pub(super) fn head() -> String {
    json!({"process": Process::this().to_string()}).to_string()
}

/// The line of a task that was done.
pub(super) fn line_of(record: &ShardRecord) -> Result<String> {
    serde_json::to_string(&NoteRow::of(record)).map_err(|error| VolumeError::io(NOTES, error.into()))
}

/// The line of a task that was not.
pub(super) fn line_of_failure(failure: &Failure) -> Result<String> {
    serde_json::to_string(failure).map_err(|error| VolumeError::io(NOTES, error.into()))
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('[') {
            return Brief::parse(line).map(Self::Done);
        }
        // An earlier build wrote the names as well.
        let record = serde_json::from_str(line).map(|record: ShardRecord| Self::Done(Brief::of(&record)));
        record.or_else(|_| serde_json::from_str(line).map(Self::Failed)).ok()
    }
}

impl Brief {
    fn of(record: &ShardRecord) -> Self {
        Self { task: record.task, file_bytes: record.file_bytes, work: record.work, span: record.span }
    }

    /// Of a row that is whole: one that was cut off has brackets left open.
    fn parse(line: &str) -> Option<Self> {
        let count = |bracket| line.bytes().filter(|&byte| byte == bracket).count();
        if !line.ends_with(']') || count(b'[') != count(b']') {
            return None;
        }
        let mut numbers = line[1..line.len() - 1].split(',').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (task, _, file_bytes, _, work) = (next()?, next()?, next()?, next()?, next()?);
        let (start, length) = (next()? as f64 / MICROSECONDS, next()? as f64 / MICROSECONDS);
        Some(Self { task: task as usize, file_bytes, work, span: Span { start, length } })
    }
}

/// The whole record of a line, `None` if it is none.
fn record_of(line: &str) -> Option<ShardRecord> {
    if line.starts_with('[') {
        return serde_json::from_str(line).ok().map(NoteRow::record);
    }
    serde_json::from_str(line).ok()
}

/// What the name of notes of `tasks` begins with.
pub(super) fn stem(tasks: &Range<usize>) -> String {
    format!("done-{}-{}", tasks.start, tasks.end)
}

/// Whether a file of that name may tell of `tasks`.
fn may_tell_of(name: &str, tasks: &Range<usize>) -> bool {
    let mut words = name.split('-').skip(1).map(str::parse::<usize>);
    match (words.next(), words.next()) {
        (Some(Ok(start)), Some(Ok(end))) => start < tasks.end && tasks.start < end,
        _ => true,
    }
}

/// Hands the lines of each process that can be relied on to `take`, of notes that may tell of `tasks`, or all.
fn read(
    target: &dyn Target,
    tasks: Option<&Range<usize>>,
    take: &mut dyn FnMut(&Process, &mut dyn Iterator<Item = &str>),
) -> Result<()> {
    if tasks.is_some_and(Range::is_empty) {
        return Ok(());
    }
    let may_forget = target.may_forget();
    let wanted = |name: &str| tasks.is_none_or(|tasks| may_tell_of(name, tasks));
    target.notes(&wanted, &mut |text| {
        let mut lines = text.lines();
        let Some(process) = lines.next().and_then(process_of) else { return };
        if !(may_forget && process.is_of_earlier_run()) {
            take(&process, &mut lines);
        }
    })
}

/// Hands what each process noted to `take`, once for each of its files.
pub(super) fn each_process(
    target: &dyn Target,
    take: &mut dyn FnMut(&Process, &mut dyn Iterator<Item = Line>),
) -> Result<()> {
    read(target, None, &mut |process, lines| take(process, &mut lines.filter_map(Line::parse)))
}

/// Hands the record of each task that is done to `take`, with who did it; one that was done twice more than once.
pub(super) fn each_record(target: &dyn Target, take: &mut dyn FnMut(&Process, &ShardRecord)) -> Result<()> {
    read(target, None, &mut |process, lines| lines.filter_map(record_of).for_each(|record| take(process, &record)))
}

fn process_of(head: &str) -> Option<Process> {
    let head: Value = serde_json::from_str(head).ok()?;
    Process::parse(head["process"].as_str()?)
}

/// Hands what is known of each of `tasks` that is done to `take`, one that was done twice more than once.
pub(super) fn each_done(target: &dyn Target, tasks: &Range<usize>, take: &mut dyn FnMut(Brief)) -> Result<()> {
    read(target, Some(tasks), &mut |_, lines| {
        for line in lines {
            if let Some(Line::Done(done)) = Line::parse(line)
                && tasks.contains(&done.task)
            {
                take(done);
            }
        }
    })
}

/// Which of `tasks` are done.
pub(super) fn done(target: &dyn Target, tasks: &Range<usize>) -> Result<Vec<bool>> {
    let mut done = vec![false; tasks.len()];
    each_done(target, tasks, &mut |record| done[record.task - tasks.start] = true)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a line, of which the brief one is the beginning.
    fn parsed(line: &str) -> ShardRecord {
        let record = record_of(line).unwrap();
        assert!(matches!(Line::parse(line), Some(Line::Done(brief)) if brief == Brief::of(&record)), "{line}");
        record
    }

    #[test]
    fn a_record_survives_its_line_and_that_of_a_copy_is_short() {
        let span = Span { start: 1_764_453_331.25, length: 0.125 };
        let copy = ShardRecord {
            task: 999_999,
            copied: true,
            file_bytes: 1 << 20,
            work: 1 << 20,
            span,
            ..ShardRecord::default()
        };
        let line = line_of(&copy).unwrap();
        assert_eq!(line, "[999999,1,1048576,0,1048576,1764453331250000,125000]");
        assert_eq!(parsed(&line), copy);
        let mut tally = Tally::default();
        tally.voxels_changed = 5;
        tally.relabel(3, 4, 5);
        let conflicts = vec![Conflict { first: 0, second: 1, voxels: 2 }];
        let chunks = ChunkCounts { mixed: 3, ..ChunkCounts::default() };
        let rewritten = ShardRecord { task: 7, chunks, tally, conflicts, ..ShardRecord::default() };
        let line = line_of(&rewritten).unwrap();
        assert_eq!(parsed(&line), rewritten);
        for cut in 1..line.len() {
            assert!(Line::parse(&line[..cut]).is_none() && record_of(&line[..cut]).is_none(), "{}", &line[..cut]);
        }
    }

    #[test]
    fn lines_of_earlier_builds_are_read_and_damaged_ones_passed_over() {
        let old = ShardRecord { task: 3, copied: true, file_bytes: 9, ..ShardRecord::default() };
        assert_eq!(parsed(&serde_json::to_string(&old).unwrap()), old);
        let failure = line_of_failure(&Failure { task: 3, failed: "why".to_owned() }).unwrap();
        assert!(matches!(Line::parse(&failure), Some(Line::Failed(failure)) if failure.task == 3));
        for damaged in ["", "[", "[1,2]", "[1,0,0,0,0,0,-1]", "{}", "{\"task\":1}", "\u{fffd}"] {
            assert!(Line::parse(damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn names_tell_of_which_tasks_notes_may_be() {
        let name = format!("{}-0123456789abcdef.jsonl", stem(&(10..20)));
        for (tasks, may) in [(0..10, false), (0..11, true), (19..20, true), (20..30, false), (12..13, true)] {
            assert_eq!(may_tell_of(&name, &tasks), may, "{tasks:?}");
        }
        for other in ["done-0123456789abcdef.jsonl", "done-5.jsonl", "done-x-7-9.jsonl"] {
            assert!(may_tell_of(other, &(100..101)), "{other}");
        }
    }
}
