//! The bytes of an archive: a file, a section of a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where an archive lies, readable at any place from many threads.
#[derive(Debug)]
pub(super) enum Source {
    /// `length` bytes of `file` from `start` on.
    Section { file: File, start: u64, length: u64 },
    /// An archive that came out of another, inflated.
    Memory(Vec<u8>),
}

impl Source {
    pub(super) fn whole(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::Section { file, start: 0, length })
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Section { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes at `offset`, as many as there are up to `length`; `space` is used where they must be read first.
    pub(super) fn fetch<'a>(&'a self, offset: u64, length: usize, space: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let length = (length as u64).min(self.len().saturating_sub(offset)) as usize;
        match self {
            Self::Section { file, start, .. } => {
                if space.len() < length {
                    space.resize(length, 0);
                }
                file.read_exact_at(&mut space[..length], start + offset)?;
                Ok(&space[..length])
            }
            Self::Memory(bytes) => Ok(bytes.get(offset as usize..offset as usize + length).unwrap_or_default()),
        }
    }

    /// A part of this archive as an archive of its own.
    pub(super) fn section(&self, offset: u64, length: u64) -> io::Result<Self> {
        match self {
            Self::Section { file, start, .. } => {
                Ok(Self::Section { file: file.try_clone()?, start: start + offset, length })
            }
            Self::Memory(bytes) => Ok(Self::Memory(bytes[offset as usize..(offset + length) as usize].to_vec())),
        }
    }
}
