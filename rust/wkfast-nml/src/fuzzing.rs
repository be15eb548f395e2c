//! What holds of any bytes: they load or they do not, whatever the pieces and threads; what loads is written, and read
//! back the same. Not part of the library: there while it is fuzzed or tested.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::num::NonZeroUsize;

use crate::{
    Document, Limits, Loaded, NmlError, Problem, ReadOptions, TreeStream, WriteOptions, read, read_threaded, write,
};

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

fn options(piece_bytes: usize) -> ReadOptions<'static> {
    let limits = Limits { piece_bytes, ..Limits::default() };
    ReadOptions { limits, threads: NonZeroUsize::new(2), ..ReadOptions::default() }
}

/// Comparable, `nan` included.
fn outcome(result: &Result<Loaded, NmlError>) -> String {
    format!("{result:?}")
}

fn written(document: &Document) -> Vec<u8> {
    let mut out = Vec::new();
    write(document, &mut out, WriteOptions::default()).expect("what was read can be written");
    out
}

/// Panics unless all of it holds of the text.
pub fn nml(bytes: &[u8]) {
    let whole = read(bytes, options(1 << 18));
    let shown = outcome(&whole);
    let piece = 1 + bytes.len() % 37;
    assert_eq!(outcome(&read(bytes, options(piece))), shown, "pieces of {piece}");
    // Threads take long to start: not for every input.
    if bytes.len().is_multiple_of(8) {
        assert_eq!(outcome(&read_threaded(bytes, options(piece))), shown, "threads");
    }
    let Ok(Loaded { document, problems, .. }) = whole else { return };
    let text = written(&document);
    let again = read(text.as_slice(), ReadOptions::default()).expect("what was written can be read").document;
    assert_eq!(written(&again), text, "the second text");
    assert_eq!(TreeStream::new(bytes, options(piece)).flatten().count(), again.trees.len());
    // A comment on one of two nodes with the same id may move, as trees are sorted.
    let moved = |problem: &Problem| problem.reason.contains("earlier tree");
    if !problems.iter().any(moved) {
        assert_eq!(letters(&again), letters(&document), "{}", String::from_utf8_lossy(&text));
    }
}

/// All that a document says, in no order: attributes that the model does not know are written sorted.
fn letters(document: &Document) -> Vec<u8> {
    let mut letters = format!("{document:?}").into_bytes();
    letters.sort_unstable();
    letters
}

#[test]
fn what_holds_of_any_text_holds_of_what_fuzzing_found() {
    replay::replay("nml", nml);
}
