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

/// A name that nobody else is likely to choose.
pub(crate) fn unique_name(stem: &str, suffix: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{stem}-{:016x}.{suffix}", RandomState::new().hash_one(std::process::id()))
}
