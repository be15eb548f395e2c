//! The piece of text that is being parsed, and where in the file it stands.

use std::collections::VecDeque;

use super::ReadOptions;
use super::encoding::Fault;
use super::hot::{RowKind, Run};
use super::limits::{TEXT_BYTES, raised_by};
use crate::error::{NmlError, Position};

/// Where text comes from.
pub(super) trait Feed {
    /// Appends more text, about `size` bytes, and what is known of it already; `false` when there is no more.
    fn fill(&mut self, text: &mut Vec<u8>, runs: &mut VecDeque<Run>, size: usize) -> Result<bool, Fault>;

    /// Takes back a run whose rows were used.
    fn recycle(&mut self, _run: Run) {}
}

/// Bytes between two calls of the progress hook.
const PROGRESS: u64 = 4 << 20;

/// Unparsed text: grows at the end, shrinks at the front.
pub(super) struct Window<'a, F> {
    pub(super) feed: F,
    text: Vec<u8>,
    start: usize,
    /// Offset in the decoded file of `text[0]`.
    base: u64,
    ended: bool,
    line: u64,
    /// Offset of the line's first byte, plus the bytes since that do not start a character.
    line_start: u64,
    runs: VecDeque<Run>,
    progress: Option<super::Progress<'a>>,
    reported: u64,
    piece_bytes: usize,
    text_bytes: u64,
}

impl<'a, F: Feed> Window<'a, F> {
    pub(super) fn new(feed: F, options: &mut ReadOptions<'a>) -> Self {
        Self {
            feed,
            text: Vec::new(),
            start: 0,
            base: 0,
            ended: false,
            line: 1,
            line_start: 0,
            runs: VecDeque::new(),
            progress: options.progress.take(),
            reported: 0,
            piece_bytes: options.limits.piece_bytes.max(1),
            text_bytes: options.limits.text_bytes,
        }
    }

    /// The text not yet parsed.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.text[self.start..]
    }

    /// Offset of the rest in the decoded file.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Gets more text behind the rest; `false` at the end of the file.
    pub(super) fn more(&mut self) -> Result<bool, NmlError> {
        if self.ended {
            return Ok(false);
        }
        self.base += self.start as u64;
        self.text.drain(..self.start);
        self.start = 0;
        self.report()?;
        // Doubling keeps a token that is larger than a piece linear.
        let size = self.text.len().max(self.piece_bytes);
        match self.feed.fill(&mut self.text, &mut self.runs, size) {
            Ok(more) => {
                self.ended = !more;
                Ok(more)
            }
            Err(Fault::Io(error)) => Err(error.into()),
            Err(Fault::Encoding(reason)) => {
                // The place is the end of what was decoded before the fault.
                let at = self.place(usize::MAX);
                Err(NmlError::Syntax { at, element: String::new(), reason })
            }
        }
    }

    /// Gets text until the rest has at least `size` bytes; `false` if the file ends before.
    pub(super) fn need(&mut self, size: usize) -> Result<bool, NmlError> {
        while self.rest().len() < size {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves on by `length` bytes, which were looked at.
    pub(super) fn advance(&mut self, length: usize) {
        let passed = &self.text[self.start..self.start + length];
        (self.line, self.line_start) = moved(self.line, self.line_start, self.base + self.start as u64, passed);
        self.start += length;
    }

    /// Moves on past ASCII text whose line ends were counted: how many, and where the last one stands.
    #[inline]
    pub(super) fn jump(&mut self, length: usize, lines: u64, last_line_end: usize) {
        if lines > 0 {
            self.line += lines;
            self.line_start = self.offset() + last_line_end as u64 + 1;
        }
        self.start += length;
    }

    /// The place `ahead` bytes from here.
    pub(super) fn place(&self, ahead: usize) -> Position {
        let ahead = ahead.min(self.rest().len());
        let (line, line_start) = moved(self.line, self.line_start, self.offset(), &self.rest()[..ahead]);
        Position { line, column: self.offset() + ahead as u64 - line_start + 1 }
    }

    /// The run of rows of this kind that starts exactly here, if one was prepared.
    pub(super) fn take_run(&mut self, kind: RowKind) -> Option<Run> {
        let here = self.offset();
        while self.runs.front().is_some_and(|run| run.start < here) {
            if let Some(run) = self.runs.pop_front() {
                self.feed.recycle(run);
            }
        }
        if self.runs.front()?.start != here || self.runs.front()?.kind != kind {
            return None;
        }
        self.runs.pop_front()
    }

    /// The rest, up to the next prepared run.
    pub(super) fn rest_before_run(&self) -> &[u8] {
        let rest = self.rest();
        let here = self.offset();
        let next = self.runs.iter().map(|run| run.start).find(|&start| start > here);
        let length = next.map_or(rest.len(), |start| rest.len().min((start - here) as usize));
        &rest[..length]
    }

    fn report(&mut self) -> Result<(), NmlError> {
        if self.base > self.text_bytes {
            let reason = format!("text of more than {} bytes{}", self.text_bytes, raised_by(TEXT_BYTES));
            return Err(NmlError::Limit { at: self.place(0), reason });
        }
        if self.base >= self.reported + PROGRESS {
            self.reported = self.base;
            if let Some(progress) = &mut self.progress {
                progress(self.base).map_err(NmlError::Stopped)?;
            }
        }
        Ok(())
    }
}

/// Line and line start after `passed`, which starts at `offset`.
fn moved(line: u64, line_start: u64, offset: u64, passed: &[u8]) -> (u64, u64) {
    let (line, line_start, tail) = match memchr::memrchr(b'\n', passed) {
        None => (line, line_start, passed),
        Some(last) => {
            let lines = memchr::memchr_iter(b'\n', passed).count() as u64;
            (line + lines, offset + last as u64 + 1, &passed[last + 1..])
        }
    };
    let continued = tail.iter().filter(|&&byte| byte & 0xC0 == 0x80).count() as u64;
    (line, line_start + continued)
}
