//! One member of an archive as a stream of its own bytes, length and checksum verified at the end.

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::compressed::{Compressed, cut_off};
use super::directory::Member;
use super::invalid;
use super::source::Source;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
/// Compressed bytes fetched at once: all of a 32³ chunk in most cases.
const PIECE: usize = 128 << 10;
/// No deflate stream inflates by more than this factor (258 bytes from 2 bits).
const MAX_RATIO: u64 = 1032;

/// What inflating needs, kept per thread: its set-up costs more than a small chunk.
struct Scratch {
    inflate: Decompress,
    input: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Reads one member.
pub struct MemberReader<'a> {
    member: Member,
    compressed: Compressed<'a>,
    scratch: Option<Scratch>,
    /// The part of the scratch input that is not used up.
    pending: std::ops::Range<usize>,
    produced: u64,
    crc: Crc,
}

impl std::fmt::Debug for MemberReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberReader").field("member", &self.member).finish_non_exhaustive()
    }
}

impl<'a> MemberReader<'a> {
    pub(super) fn open(source: &'a Source, member: Member) -> io::Result<Self> {
        check_member(&member)?;
        let mut scratch =
            SCRATCH.take().unwrap_or_else(|| Scratch { inflate: Decompress::new(false), input: Vec::new() });
        scratch.inflate.reset(false);
        let compressed = Compressed::open(source, &member, &mut scratch.input)?;
        let reader = Self { member, compressed, scratch: Some(scratch), pending: 0..0, produced: 0, crc: Crc::new() };
        Ok(reader)
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.by_ref().take(count), &mut io::sink())?;
        if passed < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn refill(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() || self.compressed.left() == 0 {
            return Ok(());
        }
        let Some(scratch) = &mut self.scratch else { return Ok(()) };
        self.pending = 0..self.compressed.fill(PIECE, &mut scratch.input)?;
        Ok(())
    }

    /// Produces some bytes from the pending input, 0 at the end of the member's data.
    fn step(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let Some(scratch) = &mut self.scratch else { return Ok(0) };
        let input = &scratch.input[self.pending.clone()];
        if self.member.method == STORED {
            let count = input.len().min(output.len());
            output[..count].copy_from_slice(&input[..count]);
            self.pending.start += count;
            return Ok(count);
        }
        loop {
            self.refill()?;
            let Some(scratch) = &mut self.scratch else { return Ok(0) };
            let before = (scratch.inflate.total_in(), scratch.inflate.total_out());
            let input = &scratch.input[self.pending.clone()];
            let status = scratch.inflate.decompress(input, output, FlushDecompress::None).map_err(invalid)?;
            let taken = (scratch.inflate.total_in() - before.0) as usize;
            let count = (scratch.inflate.total_out() - before.1) as usize;
            self.pending.start += taken;
            if count > 0 || status == Status::StreamEnd {
                return Ok(count);
            }
            if taken == 0 && self.pending.is_empty() && self.compressed.left() == 0 {
                return Err(cut_off());
            }
        }
    }

    fn verify(&self) -> io::Result<()> {
        if self.crc.sum() == self.member.crc {
            return Ok(());
        }
        Err(invalid(format!("checksum is {:08x}, the directory says {:08x}", self.crc.sum(), self.member.crc)))
    }
}

impl Read for MemberReader<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let left = self.member.size - self.produced;
        let length = output.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        self.refill()?;
        let count = self.step(&mut output[..length])?;
        if count == 0 {
            return Err(invalid(format!(
                "inflates to {} bytes, the directory says {}",
                self.produced, self.member.size
            )));
        }
        self.crc.update(&output[..count]);
        self.produced += count as u64;
        if self.produced == self.member.size {
            self.verify()?;
        }
        Ok(count)
    }
}

impl Drop for MemberReader<'_> {
    fn drop(&mut self) {
        SCRATCH.set(self.scratch.take());
    }
}

/// Refuses what cannot be read, before anything is allocated for it.
pub(super) fn check_member(member: &Member) -> io::Result<()> {
    if member.flags & 1 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "is encrypted; unpack and repack it without a password",
        ));
    }
    match member.method {
        STORED if member.size == member.compressed => Ok(()),
        DEFLATED if member.size / MAX_RATIO <= member.compressed => Ok(()),
        STORED | DEFLATED => {
            Err(invalid(format!("{} bytes cannot hold the {} bytes declared", member.compressed, member.size)))
        }
        other => {
            let text = format!("uses zip method {other}; repack it with deflate or stored");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

pub(super) fn is_stored(member: &Member) -> bool {
    member.method == STORED && member.flags & 1 == 0
}
