//! Names for files under construction.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A new file that no other process has: the process's id alone would not do on several machines.
pub(crate) fn create_unique(folder: &Path, stem: &str, suffix: &str) -> std::io::Result<(PathBuf, File)> {
    loop {
        let path = folder.join(unique_name(stem, suffix));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return Ok((path, opened?)),
        }
    }
}

/// Bytes of a stem that are kept: a name has at most 255.
const LONGEST_STEM: usize = 128;

/// A name that nobody else is likely to choose. Of a long stem it has the beginning.
pub(crate) fn unique_name(stem: &str, suffix: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let ends = stem.char_indices().map(|(start, letter)| start + letter.len_utf8());
    let stem = &stem[..ends.take_while(|&end| end <= LONGEST_STEM).last().unwrap_or(0)];
    format!("{stem}-{:016x}.{suffix}", RandomState::new().hash_one(std::process::id()))
}
