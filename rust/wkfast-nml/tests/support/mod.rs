//! Documents made of a tape of choices, so that shrinking the tape shrinks the document.

#![allow(dead_code)] // each test file uses its part

pub(crate) mod facts;
pub(crate) mod soup;
pub(crate) mod twin;

use std::num::NonZeroUsize;

use wkfast_nml::{Document, Limits, Loaded, NmlError, ReadOptions, WriteOptions, read, read_threaded, write};

/// Options that read pieces of this size.
pub(crate) fn pieces(piece_bytes: usize) -> ReadOptions<'static> {
    let mut limits = Limits::default();
    limits.piece_bytes = piece_bytes;
    ReadOptions { limits, threads: NonZeroUsize::new(3), ..ReadOptions::default() }
}

/// Reads on this thread.
pub(crate) fn read_text(text: impl AsRef<[u8]>) -> Result<Loaded, NmlError> {
    read(text.as_ref(), ReadOptions::default())
}

/// Reads in small pieces on several threads.
pub(crate) fn read_on_threads(text: impl AsRef<[u8]>, piece_bytes: usize) -> Result<Loaded, NmlError> {
    read_threaded(text.as_ref(), pieces(piece_bytes))
}

/// The document of a text that must load.
pub(crate) fn document(text: impl AsRef<[u8]>) -> Document {
    let text = text.as_ref();
    read_text(text).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(text))).document
}

/// The text of a document.
pub(crate) fn written(document: &Document) -> String {
    let mut out = Vec::new();
    write(document, &mut out, WriteOptions::default()).expect("written");
    String::from_utf8(out).expect("utf-8")
}

/// Fails with the first difference of two values as they print (so that `nan` equals `nan`).
pub(crate) fn assert_same<T: std::fmt::Debug>(one: &T, other: &T, text: &str) {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let mut pairs = one.lines().zip(other.lines()).enumerate();
    if let Some((line, (a, b))) = pairs.find(|(_, (a, b))| a != b) {
        let context: Vec<_> = one.lines().skip(line.saturating_sub(12)).take(12).collect();
        panic!("{}\n{a}\n---\n{b}\n{text}", context.join("\n"));
    }
    assert_eq!(one.len(), other.len(), "{text}");
}
