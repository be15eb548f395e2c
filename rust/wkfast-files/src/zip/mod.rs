//! Zip archives: members read in place, also of a zip file inside a zip file, as annotations have it; and written.

mod compressed;
mod directory;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod member;
mod names;
mod opened;
mod source;
mod writer;

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use self::compressed::{LOCAL, around, data_start};
use self::directory::{END, Member, Members};
pub use self::member::MemberReader;
use self::member::{check_member, is_stored};
pub use self::opened::{open_shared, open_shared_far};
use self::source::Source;
pub use self::source::{FarFile, TAIL, TakeRange};
pub use self::writer::{Packed, Sums, ZipWriter};

/// An inner archive up to this size is inflated to memory, a larger one to an unlinked temporary file.
const NESTED_IN_MEMORY: u64 = 16 << 20;
/// Data of a volume hardly shrink twice: an inner archive that does by more is refused from this size on.
const NESTED_SUSPICIOUS: u64 = 1 << 30;
const NESTED_MAX_RATIO: u64 = 100;
/// Members of a far archive with more bytes come as a stream.
const LONG: u64 = 16 << 20;

/// Bytes of a member that tell whether it is an archive itself.
const PROBED: u64 = 1 << 12;

/// Gets a reader of a member, or why there is none, by the member's number.
pub type TakeMember<'a> = dyn Fn(usize, io::Result<MemberReader<'_>>) -> io::Result<()> + Sync + 'a;

/// An archive, open for reading. What is wrong with its bytes is an error of the kind `InvalidData`, what is legal and
/// not handled one of the kind `Unsupported`; all others are the system's. None of them names the file:
/// [`name`](Self::name) and [`describe`](Self::describe) do.
#[derive(Debug)]
pub struct Archive {
    name: String,
    source: Source,
    members: Members,
}

impl Archive {
    /// Opens a zip file by its central directory; nothing else is read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = crate::persistently(path, crate::open_regular)?.ok_or(rustix::io::Errno::NOENT)?;
        Self::over(path.display().to_string(), Source::whole(file)?)
    }

    /// Opens a zip file on a server by its central directory.
    pub fn open_far(file: Arc<dyn FarFile>) -> io::Result<Self> {
        let (name, size) = (file.name(), file.size());
        Self::over(name, Source::far(file, 0, size)?)
    }

    /// Opens the zip file that is `member` of this one. A stored member is read in place; a deflated one is inflated once,
    /// to memory or to a temporary file that has no name.
    pub fn nested(&self, member: &str) -> io::Result<Self> {
        Self::over(self.describe(member), self.nested_source(&self.find(member)?)?)
    }

    /// Whether `member` begins and, as far as that is cheap to say, ends as a zip file does: an error if not. A member
    /// that is deflated is not inflated for it, so damage further in shows when it is opened.
    pub fn probe_nested(&self, member: &str) -> io::Result<()> {
        let found = self.find(member)?;
        if is_stored(&found) && !self.is_far() {
            return self.nested(member).map(drop);
        }
        check_member(&found)?;
        // What is asked for is no more than what it begins with.
        let (size, compressed) = (found.size.min(PROBED), found.compressed.min(PROBED));
        let mut start = [0; 4];
        match MemberReader::open(&self.source, Member { compressed, size, ..found })?.read_exact(&mut start) {
            Ok(()) if start == LOCAL || start == END.to_le_bytes() => Ok(()),
            Ok(()) => Err(invalid("is no zip file")),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(invalid("is no zip file, or cut off")),
            Err(error) => Err(error),
        }
    }

    fn over(name: String, source: Source) -> io::Result<Self> {
        let members = Members::read(&source)?;
        Ok(Self { name, source, members })
    }

    fn nested_source(&self, member: &Member) -> io::Result<Source> {
        if is_stored(member) {
            let start = data_start(&self.source, member, &mut Vec::new())?;
            return self.source.section(start, member.compressed);
        }
        if member.size > NESTED_SUSPICIOUS && member.size / NESTED_MAX_RATIO > member.compressed {
            let reason = format!("{} bytes that inflate to {} are no volume data", member.compressed, member.size);
            return Err(invalid(reason));
        }
        let mut reader = MemberReader::open(&self.source, *member)?;
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

    fn find(&self, member: &str) -> io::Result<Member> {
        self.members.get(member).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "there is no such member"))
    }

    /// What the archive is called: a path, or `a.zip!inner.zip`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to call a member in messages: `a.zip!member`.
    pub fn describe(&self, member: &str) -> String {
        format!("{}!{member}", self.name)
    }

    /// Bytes of a member when read, `None` if there is none.
    pub fn size(&self, member: &str) -> Option<u64> {
        self.members.get(member).map(|member| member.size)
    }

    /// Hands name and size of all members whose name starts with `prefix` to `each`, by name.
    pub fn list(&self, prefix: &str, mut each: impl FnMut(&str, u64)) {
        self.members.with_prefix(prefix, |name, member| each(name, member.size));
    }

    /// The names of all members, in the order in which they lie in the file.
    pub fn names(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.members.with_prefix("", |name, member| found.push((member.offset, name.to_owned())));
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// A member's bytes as a stream, checked at its end.
    pub fn reader(&self, member: &str) -> io::Result<MemberReader<'_>> {
        MemberReader::open(&self.source, self.find(member)?)
    }

    /// Hands a reader of each of `members` to `take`. Those of a far archive are asked for at once, and handed over in any
    /// order and from several threads.
    pub fn read_many(&self, members: &[&str], take: &TakeMember<'_>) -> io::Result<()> {
        let found = members.iter().map(|name| self.find(name)).collect::<io::Result<Vec<_>>>()?;
        let one = |number: usize| take(number, MemberReader::open(&self.source, found[number]));
        let Source::Far { file, start, length, .. } = &self.source else {
            return (0..members.len()).try_for_each(one);
        };
        let (long, short): (Vec<_>, Vec<_>) = (0..members.len()).partition(|&number| found[number].compressed > LONG);
        let place = |&number: &usize| {
            let range = around(&found[number], *length);
            start + range.start..start + range.end
        };
        let ranges: Vec<_> = short.iter().map(place).collect();
        file.read_ranges(&ranges, &|at, bytes| {
            let (number, piece) = (short[at], Source::Memory(std::mem::take(bytes)));
            let member = Member { offset: 0, ..found[number] };
            match data_start(&piece, &member, &mut Vec::new()) {
                // Its local header is longer than was foreseen.
                Ok(start) if start + member.compressed > piece.len() => one(number),
                _ => take(number, MemberReader::open(&piece, member)),
            }
        })?;
        long.into_iter().try_for_each(one)
    }

    /// What tells the state of the file that a [far](Self::is_far) archive lies in from others.
    pub fn far_state(&self) -> Option<String> {
        match &self.source {
            Source::Far { file, .. } => Some(file.state()),
            _ => None,
        }
    }

    /// Whether each read is a request to a server, so that many are better asked for [at once](Self::read_many).
    pub fn is_far(&self) -> bool {
        matches!(self.source, Source::Far { .. })
    }

    /// Memory that the directory takes.
    #[cfg(test)]
    fn directory_bytes(&self) -> usize {
        self.members.heap_bytes()
    }

    /// Whether the archive came out of another and is held in memory.
    #[cfg(test)]
    fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }
}

/// Bytes that are not what they should be.
fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// Accepts relative paths without tricks.
///
/// # Errors
/// What is wrong with the name, if it has an empty, `.` or `..` part, a backslash or a zero byte.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0']);
    if name.split('/').any(bad_part) {
        return Err("is no relative path within its container");
    }
    Ok(())
}
