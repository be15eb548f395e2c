//! The bytes of an archive: a file, a section of a file, memory, or a file that a server holds.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::compressed::cut_off;

/// Gets the bytes of a range, by its number.
pub type TakeRange<'a> = dyn Fn(usize, &mut Vec<u8>) -> io::Result<()> + Sync + 'a;

/// A file of which every read is a request to a server. All reads are of one state of it: if it changes, they fail.
pub trait FarFile: fmt::Debug + Send + Sync {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// What tells this state of the file from others.
    fn state(&self) -> String;

    /// Bytes that it has.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on, by one request.
    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The bytes of `range` one after the other; more are asked for while the first are used.
    fn stream(&self, range: Range<u64>) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Reads all `ranges` at once, and hands each to `take` when it is there, from several threads.
    fn read_ranges(&self, ranges: &[Range<u64>], take: &TakeRange<'_>) -> io::Result<()>;
}

/// The end of a far archive, which is read at once: that of a small one holds its directory as well.
pub const TAIL: u64 = 128 << 10;
/// More than this is asked for in parts.
const ONE_REQUEST: usize = 4 << 20;

/// Where an archive lies, readable at any place from many threads.
#[derive(Debug)]
pub(super) enum Source {
    /// `length` bytes of `file` from `start` on.
    Section { file: File, start: u64, length: u64 },
    /// An archive that came out of another, inflated.
    Memory(Vec<u8>),
    /// `length` bytes of a file on a server from `start` on, and the last of them.
    Far { file: Arc<dyn FarFile>, start: u64, length: u64, tail: Vec<u8> },
}

impl Source {
    pub(super) fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::Section { file, start: 0, length })
    }

    pub(super) fn far(file: Arc<dyn FarFile>, start: u64, length: u64) -> io::Result<Self> {
        let mut tail = vec![0; length.min(TAIL) as usize];
        file.read_into(start + length - tail.len() as u64, &mut tail)?;
        Ok(Self::Far { file, start, length, tail })
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Section { length, .. } | Self::Far { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes at `offset`, as many as there are up to `length`; `space` is used where they must be read first.
    pub(super) fn fetch<'a>(&'a self, offset: u64, length: usize, space: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let length = (length as u64).min(self.len().saturating_sub(offset)) as usize;
        match self {
            Self::Section { file, start, .. } => {
                file.read_exact_at(room(space, length), start + offset)?;
                Ok(&space[..length])
            }
            Self::Memory(bytes) => Ok(bytes.get(offset as usize..offset as usize + length).unwrap_or_default()),
            Self::Far { length: whole, tail, .. } if offset + tail.len() as u64 >= *whole => {
                let at = (offset + tail.len() as u64 - whole) as usize;
                Ok(&tail[at.min(tail.len())..][..length])
            }
            Self::Far { file, start, .. } => {
                let (room, start) = (room(space, length), start + offset);
                if length <= ONE_REQUEST {
                    file.read_into(start, room)?;
                } else {
                    file.stream(start..start + length as u64)?.read_exact(room)?;
                }
                Ok(&space[..length])
            }
        }
    }

    /// A part of this archive as an archive of its own. It begins where a local header says, which nobody has checked.
    pub(super) fn section(&self, offset: u64, length: u64) -> io::Result<Self> {
        if offset.checked_add(length).is_none_or(|end| end > self.len()) {
            return Err(cut_off());
        }
        match self {
            Self::Section { file, start, .. } => {
                Ok(Self::Section { file: file.try_clone()?, start: start + offset, length })
            }
            Self::Memory(bytes) => Ok(Self::Memory(bytes[offset as usize..(offset + length) as usize].to_vec())),
            Self::Far { file, start, .. } => Self::far(Arc::clone(file), start + offset, length),
        }
    }
}

/// The first `length` bytes of `space`, which grows to have them.
pub(super) fn room(space: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if space.len() < length {
        space.resize(length, 0);
    }
    &mut space[..length]
}
