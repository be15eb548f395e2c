//! The bytes of a member as they lie in its archive.

use std::io::{self, Read};
use std::ops::Range;

use super::directory::Member;
use super::source::{FarFile, Source};

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
/// What is read of a far archive beside a member's data: its local header, name and extra fields, which no directory
/// tells the length of. Longer ones cost a second request.
const SLACK: u64 = 30 + 256;

/// Reads the compressed bytes of one member, front to back.
pub(super) enum Compressed<'a> {
    /// `left` bytes from `next` on.
    Placed { source: &'a Source, next: u64, left: u64 },
    /// `left` bytes that come from a server.
    Coming { stream: Box<dyn Read + Send + 'a>, left: u64 },
}

impl<'a> Compressed<'a> {
    /// `space` is for the time being.
    pub(super) fn open(source: &'a Source, member: &Member, space: &mut Vec<u8>) -> io::Result<Self> {
        let left = member.compressed;
        if let Source::Far { file, start, length, .. } = source {
            let stream = coming(&**file, *start, member, around(member, *length))?;
            return Ok(Self::Coming { stream, left });
        }
        Ok(Self::Placed { source, next: data_start(source, member, space)?, left })
    }

    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Placed { left, .. } | Self::Coming { left, .. } => *left,
        }
    }

    /// Puts the next bytes into `space`, as many as there are up to `most`, and tells how many they are.
    pub(super) fn fill(&mut self, most: usize, space: &mut Vec<u8>) -> io::Result<usize> {
        let wanted = self.left().min(most as u64) as usize;
        match self {
            Self::Placed { source: Source::Memory(bytes), next, .. } => {
                let start = *next as usize;
                space.clear();
                space.extend_from_slice(bytes.get(start..start + wanted).ok_or_else(cut_off)?);
            }
            Self::Placed { source, next, .. } => {
                if source.fetch(*next, wanted, space)?.len() < wanted {
                    return Err(cut_off());
                }
            }
            Self::Coming { stream, .. } => {
                if space.len() < wanted {
                    space.resize(wanted, 0);
                }
                stream.read_exact(&mut space[..wanted])?;
            }
        }
        match self {
            Self::Placed { next, left, .. } => (*next, *left) = (*next + wanted as u64, *left - wanted as u64),
            Self::Coming { left, .. } => *left -= wanted as u64,
        }
        Ok(wanted)
    }
}

/// Where `member` lies in an archive of `length` bytes, with all that stands before its data.
pub(super) fn around(member: &Member, length: u64) -> Range<u64> {
    member.offset..(member.offset + SLACK + member.compressed).min(length)
}

/// The data of `member` of the archive that begins at `start` of a file, of which `range` is asked for first.
fn coming<'a>(
    file: &'a dyn FarFile,
    start: u64,
    member: &Member,
    range: Range<u64>,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut stream = file.stream(start + range.start..start + range.end)?;
    let mut header = [0; LOCAL_LENGTH];
    stream.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => misplaced(),
        _ => error,
    })?;
    let data = member.offset + LOCAL_LENGTH as u64 + behind(&header)?;
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
    io::Error::new(io::ErrorKind::InvalidData, "its local header is not where the directory says")
}

pub(super) fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its compressed data end too early")
}
