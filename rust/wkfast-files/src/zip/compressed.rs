//! The bytes of a member as they lie in its archive.

use std::io::{self, Read};
use std::ops::Range;

use super::directory::Member;
use super::invalid;
use super::source::{FarFile, Source, room};

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
/// What is read of a far archive beside a member's data: its local header, name and extra fields, which no directory
/// tells the length of. Longer ones cost a second request.
const SLACK: u64 = 30 + 256;

/// Reads the compressed bytes of one member, front to back.
pub(super) struct Compressed<'a> {
    bytes: Bytes<'a>,
    left: u64,
}

enum Bytes<'a> {
    /// From here on.
    Placed(&'a Source, u64),
    /// As they come from a server.
    Coming(Box<dyn Read + Send + 'a>),
}

impl<'a> Compressed<'a> {
    /// `space` is for the time being.
    pub(super) fn open(source: &'a Source, member: &Member, space: &mut Vec<u8>) -> io::Result<Self> {
        let bytes = if let Source::Far { file, start, length, .. } = source {
            Bytes::Coming(coming(&**file, *start..*start + *length, member)?)
        } else {
            let start = data_start(source, member, space)?;
            check_end(start, member, source.len())?;
            Bytes::Placed(source, start)
        };
        Ok(Self { bytes, left: member.compressed })
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Puts the next bytes into `space`, as many as there are up to `most`, and tells how many they are.
    pub(super) fn fill(&mut self, most: usize, space: &mut Vec<u8>) -> io::Result<usize> {
        let wanted = self.left.min(most as u64) as usize;
        match &mut self.bytes {
            Bytes::Placed(source, next) => {
                let range = *next as usize..*next as usize + wanted;
                *next += wanted as u64;
                if let Source::Memory(bytes) = source {
                    room(space, wanted).copy_from_slice(bytes.get(range).ok_or_else(cut_off)?);
                } else if source.fetch(range.start as u64, wanted, space)?.len() < wanted {
                    return Err(cut_off());
                }
            }
            Bytes::Coming(stream) => stream.read_exact(room(space, wanted))?,
        }
        self.left -= wanted as u64;
        Ok(wanted)
    }
}

/// Where `member` lies in an archive of `length` bytes, with all that stands before its data.
pub(super) fn around(member: &Member, length: u64) -> Range<u64> {
    member.offset..(member.offset + SLACK + member.compressed).min(length)
}

/// Refuses data that a local header puts behind the end of the archive; of an empty member nobody else would notice.
fn check_end(start: u64, member: &Member, length: u64) -> io::Result<()> {
    if start.checked_add(member.compressed).is_none_or(|end| end > length) { Err(cut_off()) } else { Ok(()) }
}

/// The data of `member` of the archive that is `whole` of a file.
fn coming<'a>(file: &'a dyn FarFile, whole: Range<u64>, member: &Member) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (start, length) = (whole.start, whole.end - whole.start);
    let range = around(member, length);
    let mut stream = file.stream(start + range.start..start + range.end)?;
    let mut header = [0; LOCAL_LENGTH];
    stream.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => misplaced(),
        _ => error,
    })?;
    let data = member.offset + LOCAL_LENGTH as u64 + behind(&header)?;
    check_end(data, member, length)?;
    if data + member.compressed > range.end {
        return file.stream(start + data..start + data + member.compressed);
    }
    let passed = data - member.offset - LOCAL_LENGTH as u64;
    io::copy(&mut stream.by_ref().take(passed), &mut io::sink())?;
    Ok(stream)
}

/// Where the data of `member` begin: behind its local header, whose length only it knows.
pub(super) fn data_start(source: &Source, member: &Member, space: &mut Vec<u8>) -> io::Result<u64> {
    let header = source.fetch(member.offset, LOCAL_LENGTH, space)?;
    Ok(member.offset + LOCAL_LENGTH as u64 + behind(header)?)
}

/// Bytes between a local header and its member's data.
fn behind(header: &[u8]) -> io::Result<u64> {
    if header.len() < LOCAL_LENGTH || header[..4] != LOCAL {
        return Err(misplaced());
    }
    let length = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    Ok(length(26) + length(28))
}

fn misplaced() -> io::Error {
    invalid("its local header is not where the directory says")
}

pub(super) fn cut_off() -> io::Error {
    invalid("its compressed data end too early")
}
