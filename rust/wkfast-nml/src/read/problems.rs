//! The list of problems, bounded, and how much is kept of what the model has no field for.

use super::limits::{EXTRAS_BYTES, OF_RECORDS, RECORDS, raised_by};
use super::{Limits, ReadOptions};
use crate::error::{NmlError, Position, Problem};

/// What the reader notes while it goes on.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) problems: Vec<Problem>,
    pub(super) omitted: u64,
    limits: Limits,
    strict: bool,
    /// The first problem that a server would reject the file for, in strict reading.
    rejected: Option<Problem>,
    kept_bytes: usize,
    records: usize,
}

impl Ledger {
    pub(super) fn new(options: &ReadOptions<'_>) -> Self {
        Self {
            problems: Vec::new(),
            omitted: 0,
            limits: options.limits.clone(),
            strict: options.strict,
            rejected: None,
            kept_bytes: 0,
            records: 0,
        }
    }

    /// A fault that servers live with too.
    pub(super) fn note(&mut self, at: Position, element: &str, reason: impl Into<String>, done: &str) {
        self.add(at, element, reason.into(), done, false);
    }

    /// A fault for which a server would reject the file.
    pub(super) fn reject(&mut self, at: Position, element: &str, reason: impl Into<String>, done: &str) {
        self.add(at, element, reason.into(), done, true);
    }

    pub(super) fn add(&mut self, at: Position, element: &str, reason: String, done: &str, rejected_by_server: bool) {
        let problem = Problem { at, element: element.to_owned(), reason, done: done.to_owned(), rejected_by_server };
        if rejected_by_server && self.strict && self.rejected.is_none() {
            self.rejected = Some(problem.clone());
        }
        if self.problems.len() < self.limits.problems {
            self.problems.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// How many more problems would be listed.
    pub(super) fn room(&self) -> usize {
        self.limits.problems - self.problems.len()
    }

    /// Counts problems that there was no room for.
    pub(super) fn omit(&mut self, count: u64) {
        self.omitted += count;
    }

    /// Accounts for something kept that the model has no field for.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.kept_bytes += bytes + 64;
    }

    /// Accounts for an element that becomes an object.
    pub(super) fn count_record(&mut self) {
        self.records += 1;
    }

    /// Whether reading must stop here, by strictness or a bound.
    pub(super) fn check(&mut self, at: Position) -> Result<(), NmlError> {
        if let Some(problem) = self.rejected.take() {
            return Err(NmlError::Rejected(problem));
        }
        let bound = self.limits.extras_bytes;
        if self.kept_bytes > bound {
            let more = raised_by(EXTRAS_BYTES);
            let reason = format!("unknown elements and attributes of more than {bound} bytes{more}");
            return Err(NmlError::Limit { at, reason });
        }
        let bound = self.limits.records;
        if self.records > bound {
            let reason = format!("more than {bound} {OF_RECORDS}{}", raised_by(RECORDS));
            return Err(NmlError::Limit { at, reason });
        }
        Ok(())
    }
}
