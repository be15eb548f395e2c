//! Members of a zip file, read in place; also of a zip file inside a zip file, as annotations have it.

mod directory;
mod member;
mod source;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use self::directory::{END, Member, Members};
use self::member::{LOCAL, MemberReader, data_start, is_stored};
use self::source::Source;
pub use self::writer::{Packed, ZipWriter};
use super::{Entry, ReadStore, beyond_end, check_key, too_large, within};
use crate::error::{Result, VolumeError};

/// An inner archive up to this size is inflated to memory, a larger one to an unlinked temporary file.
const NESTED_IN_MEMORY: u64 = 16 << 20;
/// Data of a volume hardly shrink twice: an inner archive that does by more is refused from this size on.
const NESTED_SUSPICIOUS: u64 = 1 << 30;
const NESTED_MAX_RATIO: u64 = 100;

/// The files of a zip archive.
#[derive(Debug)]
pub struct ZipStore {
    name: String,
    source: Source,
    members: Members,
}

impl ZipStore {
    /// Opens a zip file by its central directory; nothing else is read.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = wkfast_files::open(path).and_then(|file| file.ok_or_else(|| io::ErrorKind::NotFound.into()));
        let source = file.and_then(Source::whole).map_err(|error| VolumeError::io(&name, error))?;
        Self::over(name, source)
    }

    /// Opens the zip file that is `member` of the zip file at `path`. A stored member is read in place; a deflated
    /// one is inflated once, to memory or to a temporary file that has no name.
    pub fn open_nested(path: &Path, member: &str) -> Result<Self> {
        let outer = Self::open(path)?;
        let name = outer.describe(member);
        let found = outer.member(member)?.ok_or_else(|| VolumeError::Missing {
            what: name.clone(),
            hint: format!("{} has no such member", path.display()),
        })?;
        let source = outer.nested_source(found).map_err(|error| fault(name.clone(), error))?;
        Self::over(name, source)
    }

    /// Whether `member` begins and, as far as that is cheap to say, ends as a zip file does: an error if not. A member
    /// that is deflated is not inflated for it, so damage further in shows when it is opened.
    pub fn probe_nested(&self, member: &str) -> Result<()> {
        let name = self.describe(member);
        let found = self.member(member)?.ok_or_else(|| VolumeError::Missing {
            what: name.clone(),
            hint: format!("{} has no such member", self.name),
        })?;
        if is_stored(found) {
            let source = self.nested_source(found).map_err(|error| fault(name.clone(), error))?;
            return Self::over(name, source).map(drop);
        }
        let mut start = [0; 4];
        let read = MemberReader::open(&self.source, found).and_then(|mut reader| reader.read_exact(&mut start));
        match read {
            Ok(()) if starts_archive(start) => Ok(()),
            Ok(()) => Err(VolumeError::corrupt(name, "is no zip file")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(VolumeError::corrupt(name, "is no zip file, or cut off"))
            }
            Err(error) => Err(fault(name, error)),
        }
    }

    fn over(name: String, source: Source) -> Result<Self> {
        let members = Members::read(&source).map_err(|reason| VolumeError::corrupt(&name, reason))?;
        Ok(Self { name, source, members })
    }

    fn nested_source(&self, member: &Member) -> io::Result<Source> {
        if is_stored(member) {
            let start = data_start(&self.source, member, &mut Vec::new())?;
            return self.source.section(start, member.compressed);
        }
        if member.size > NESTED_SUSPICIOUS && member.size / NESTED_MAX_RATIO > member.compressed {
            let reason = format!("{} bytes that inflate to {} are no volume data", member.compressed, member.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let mut reader = MemberReader::open(&self.source, member)?;
        if member.size <= NESTED_IN_MEMORY {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            return Ok(Source::Memory(bytes));
        }
        let mut file = tempfile::tempfile()?;
        io::copy(&mut reader, &mut file)?;
        file.flush()?;
        file.rewind()?;
        Source::whole(file)
    }

    fn member(&self, key: &str) -> Result<Option<&Member>> {
        check_key(key)?;
        Ok(self.members.get(key))
    }
}

impl ReadStore for ZipStore {
    fn describe(&self, key: &str) -> String {
        format!("{}!{key}", self.name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let members = self.members.with_prefix(prefix);
        Ok(members.map(|(name, member)| Entry { key: name.to_owned(), size: member.size }).collect())
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.member(key)?.map(|member| member.size))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(member) = self.member(key)? else { return Ok(None) };
        if member.size > limit {
            return Err(too_large(self.describe(key), member.size, limit));
        }
        let whole = || {
            let mut reader = MemberReader::open(&self.source, member)?;
            let mut bytes = vec![0; member.size as usize];
            reader.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        whole().map(Some).map_err(|error| fault(self.describe(key), error))
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let absent = || VolumeError::io(self.describe(key), io::ErrorKind::NotFound.into());
        let member = self.member(key)?.ok_or_else(absent)?;
        if !within(offset, buffer.len(), member.size) {
            return Err(beyond_end(self.describe(key), offset, buffer.len(), member.size));
        }
        let mut part = || {
            let mut reader = MemberReader::open(&self.source, member)?;
            reader.skip(offset)?;
            reader.read_exact(buffer)
        };
        part().map_err(|error| fault(self.describe(key), error))
    }

    fn open_file(&self, key: &str) -> Result<Option<File>> {
        check_key(key)?;
        Ok(None)
    }
}

/// With members, or without.
fn starts_archive(bytes: [u8; 4]) -> bool {
    bytes == LOCAL || bytes == END.to_le_bytes()
}

/// Tells damaged bytes from a refusal of the operating system.
fn fault(file: String, error: io::Error) -> VolumeError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => VolumeError::corrupt(file, error.to_string()),
        io::ErrorKind::Unsupported => VolumeError::Unsupported { file, what: error.to_string() },
        _ => VolumeError::io(file, error),
    }
}
