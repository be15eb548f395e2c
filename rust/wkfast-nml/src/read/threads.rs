//! Where text comes from: read on the parser's thread, or read ahead by workers that also read the rows in it.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::encoding::{Fault, Utf8Input};
use super::hot::{RowKind, Run, scan};
use super::places::Steps;
use super::window::Feed;
use crate::ahead::run_ahead;
use crate::columns::TreeColumns;

/// Text as it comes, nothing known of it.
pub(super) struct Sequential<R> {
    input: Utf8Input<R>,
}

impl<R: Read> Sequential<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: Utf8Input::new(input) }
    }
}

impl<R: Read> Feed for Sequential<R> {
    fn fill(&mut self, text: &mut Vec<u8>, _: &mut VecDeque<Run>, size: usize) -> Result<bool, Fault> {
        self.input.fill(text, size)
    }
}

/// A piece of text.
struct Piece {
    text: Vec<u8>,
    /// Its offset in the decoded file.
    offset: u64,
}

/// A piece of text with the rows found in it.
struct Block {
    text: Vec<u8>,
    runs: Vec<Run>,
}

/// Cuts the text into pieces.
struct Intake<'a, R> {
    input: Utf8Input<R>,
    pool: &'a Pool,
    /// Text that one worker takes at a time.
    size: usize,
    /// Text behind the last cut.
    carry: Vec<u8>,
    /// Offset in the decoded file of the carry.
    offset: u64,
    ended: bool,
    /// Comes after the text before it was handed out.
    fault: Option<Fault>,
}

/// Memory to use again.
#[derive(Default)]
struct Pool {
    texts: Mutex<Vec<Vec<u8>>>,
    batches: Mutex<Vec<(TreeColumns, Steps)>>,
}

fn take<T: Default>(pool: &Mutex<Vec<T>>) -> T {
    pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

fn give<T>(pool: &Mutex<Vec<T>>, item: T) {
    pool.lock().unwrap_or_else(PoisonError::into_inner).push(item);
}

/// Runs a parser on a feed that workers fill.
pub(super) fn with_workers<R: Read + Send, T>(
    input: R,
    workers: usize,
    piece_bytes: usize,
    parse: impl FnOnce(Workers<'_>) -> T,
) -> T {
    let pool = Pool::default();
    let mut intake = Intake {
        input: Utf8Input::new(input),
        pool: &pool,
        size: 4 * piece_bytes.max(1),
        carry: Vec::new(),
        offset: 0,
        ended: false,
        fault: None,
    };
    // Shorter runs are left to the parser: handing them over costs more than reading them.
    let worth_handing_over = piece_bytes >> 11;
    run_ahead(
        workers,
        || intake.next_piece(),
        |piece| piece.map(|piece| find_runs(piece, worth_handing_over, &pool)),
        |next| parse(Workers { next, pool: &pool }),
    )
}

impl<R: Read> Intake<'_, R> {
    /// Text up to the last `<` of about a block; `None` at the end.
    fn next_piece(&mut self) -> Option<Result<Piece, Fault>> {
        if self.ended {
            return None;
        }
        let mut text: Vec<u8> = take(&self.pool.texts);
        text.clear();
        text.append(&mut self.carry);
        let more = self.fault.take().map_or_else(|| self.input.fill(&mut text, self.size), Err);
        match more {
            Ok(true) => {
                // Without a tag to cut at, any place will do: the parser puts pieces together again.
                let cut = memchr::memrchr(b'<', &text).filter(|&at| at > 0).unwrap_or(text.len());
                self.carry.extend_from_slice(&text[cut..]);
                text.truncate(cut);
            }
            Ok(false) => self.ended = true,
            Err(fault) if text.is_empty() => {
                self.ended = true;
                return Some(Err(fault));
            }
            Err(fault) => self.fault = Some(fault),
        }
        let offset = self.offset;
        self.offset += text.len() as u64;
        Some(Ok(Piece { text, offset }))
    }
}

/// Short runs after which a block is left to the parser: it is one of small trees, whose rows would be read twice.
const MANY_SHORT_RUNS: usize = 16;

/// Reads the rows of a block.
fn find_runs(piece: Piece, worth_handing_over: usize, pool: &Pool) -> Block {
    let Piece { text, offset } = piece;
    let nodes = memchr::memmem::Finder::new(b"<node ");
    let edges = memchr::memmem::Finder::new(b"<edge ");
    let mut runs = Vec::new();
    let (mut columns, mut steps) = take(&pool.batches);
    // Where the next row of each kind stands: searched for again only once passed, so that a block is searched once.
    let (mut next_node, mut next_edge) = (nodes.find(&text), edges.find(&text));
    let mut short_runs = 0;
    while let Some((kind, start)) = first_of(next_node, next_edge).filter(|_| short_runs < MANY_SHORT_RUNS) {
        let span = scan(kind, &text[start..], &mut columns, &mut steps);
        let at = start + span.length.max(1);
        if span.rows > worth_handing_over {
            runs.push(Run { kind, start: offset + start as u64, span, columns, steps });
            (columns, steps) = take(&pool.batches);
            short_runs = 0;
        } else {
            columns.clear_batch();
            steps.clear();
            short_runs += 1;
        }
        for (next, finder) in [(&mut next_node, &nodes), (&mut next_edge, &edges)] {
            if next.is_some_and(|next| next < at) {
                *next = finder.find(&text[at..]).map(|found| at + found);
            }
        }
    }
    Block { text, runs }
}

fn first_of(node: Option<usize>, edge: Option<usize>) -> Option<(RowKind, usize)> {
    match (node, edge) {
        (Some(node), Some(edge)) if edge < node => Some((RowKind::Edge, edge)),
        (Some(node), _) => Some((RowKind::Node, node)),
        (None, Some(edge)) => Some((RowKind::Edge, edge)),
        (None, None) => None,
    }
}

/// The parser's side.
pub(super) struct Workers<'a> {
    next: &'a mut dyn FnMut() -> Option<Result<Block, Fault>>,
    pool: &'a Pool,
}

impl Feed for Workers<'_> {
    fn fill(&mut self, text: &mut Vec<u8>, runs: &mut VecDeque<Run>, _: usize) -> Result<bool, Fault> {
        let before = text.len();
        while text.len() == before {
            let Some(block) = (self.next)() else { break };
            let mut block = block?;
            runs.extend(block.runs.drain(..));
            if text.is_empty() {
                std::mem::swap(text, &mut block.text);
            } else {
                text.extend_from_slice(&block.text);
            }
            give(&self.pool.texts, block.text);
        }
        Ok(text.len() > before)
    }

    fn recycle(&mut self, run: Run) {
        let Run { mut columns, mut steps, .. } = run;
        columns.clear_batch();
        steps.clear();
        give(&self.pool.batches, (columns, steps));
    }
}
