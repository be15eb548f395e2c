//! Members of a zip file as a store.

mod far;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use wkfast_files::zip::{Archive, FarFile, open_shared, open_shared_far};

use super::batch::read_near;
use super::far_file::volume_error;
use super::{Entry, Fetch, ListStore, ReadStore, Take, beyond_end, check_key, too_large, within};
use crate::error::{Result, VolumeError};

/// The files of a zip archive.
#[derive(Debug)]
pub struct ZipStore {
    archive: Arc<Archive>,
    /// Of an archive on a server.
    state: Option<String>,
}

impl ZipStore {
    /// Opens a zip file, or the zip file that is its `member`. One that somebody reads from already is shared.
    pub fn open(path: &Path, member: Option<&str>) -> Result<Self> {
        let opened = open_shared(path, member);
        Self::opened(&path.display(), member, opened)
    }

    /// As [`open`](Self::open), on a server.
    pub fn open_far(file: Arc<dyn FarFile>, member: Option<&str>) -> Result<Self> {
        let name = file.name();
        Self::opened(&name, member, open_shared_far(file, member))
    }

    /// One that is open already.
    fn over(archive: Arc<Archive>) -> Self {
        let state = archive.far_state();
        Self { archive, state }
    }

    fn opened(name: &dyn std::fmt::Display, member: Option<&str>, opened: io::Result<Arc<Archive>>) -> Result<Self> {
        opened.map(Self::over).map_err(|error| match member {
            Some(member) if error.raw_os_error().is_none() && error.kind() == io::ErrorKind::NotFound => {
                absent(name, member)
            }
            Some(member) if error.raw_os_error().is_none() => fault(format!("{name}!{member}"), error),
            _ => fault(name.to_string(), error),
        })
    }

    /// Whether `member` begins and, as far as that is cheap to say, ends as a zip file does: an error if not.
    pub fn probe_nested(&self, member: &str) -> Result<()> {
        if self.archive.size(member).is_none() {
            return Err(absent(&self.archive.name(), member));
        }
        self.archive.probe_nested(member).map_err(|error| fault(self.describe(member), error))
    }

    fn member_size(&self, key: &str) -> Result<Option<u64>> {
        check_key(key)?;
        Ok(self.archive.size(key))
    }
}

impl ReadStore for ZipStore {
    fn describe(&self, key: &str) -> String {
        self.archive.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        self.member_size(key)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(size) = self.member_size(key)? else { return Ok(None) };
        if size > limit {
            return Err(too_large(self.describe(key), size, limit));
        }
        let whole = || {
            let mut reader = self.archive.reader(key)?;
            let mut bytes = vec![0; size as usize];
            reader.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        whole().map(Some).map_err(|error| fault(self.describe(key), error))
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let absent = || VolumeError::io(self.describe(key), io::ErrorKind::NotFound.into());
        let size = self.member_size(key)?.ok_or_else(absent)?;
        if !within(offset, buffer.len(), size) {
            return Err(beyond_end(self.describe(key), offset, buffer.len(), size));
        }
        let mut part = || {
            let mut reader = self.archive.reader(key)?;
            reader.skip(offset)?;
            reader.read_exact(buffer)
        };
        part().map_err(|error| fault(self.describe(key), error))
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        if self.archive.is_far() { far::read_batch(self, fetches, take) } else { read_near(self, fetches, take) }
    }

    fn is_far(&self) -> bool {
        self.archive.is_far()
    }

    fn archive_state(&self) -> Option<String> {
        self.state.clone()
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        Some(self)
    }
}

impl ListStore for ZipStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.archive.list(prefix, |name, size| entries.push(Entry { key: name.to_owned(), size }));
        Ok(entries)
    }
}

fn absent(archive: &dyn std::fmt::Display, member: &str) -> VolumeError {
    VolumeError::Missing { what: format!("{archive}!{member}"), hint: format!("{archive} has no such member") }
}

/// Tells damaged bytes from a refusal of the operating system.
fn fault(file: String, error: io::Error) -> VolumeError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => VolumeError::corrupt(file, error.to_string()),
        io::ErrorKind::Unsupported => VolumeError::Unsupported { file, what: error.to_string() },
        _ => volume_error(file, error),
    }
}
