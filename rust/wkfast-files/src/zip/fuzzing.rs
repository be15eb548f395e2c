//! What holds of any bytes that are taken for an archive. Not part of the library: there while it is fuzzed or tested.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::source::Source;
use super::{Archive, FarFile, TakeRange, ZipWriter};

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

/// Bytes of members that are read of one input: deflate makes a thousand of one.
const READ: u64 = 1 << 18;
/// Archives within archives within archives are enough.
const DEPTH: u32 = 3;

/// Panics unless the archive holds the same here and far away, what can be read of it can be copied, and faults of its
/// bytes are told as such.
pub fn archive(bytes: &[u8]) {
    let near = Archive::over("near".to_owned(), Source::Memory(bytes.to_vec()));
    let far = Archive::open_far(Arc::new(Far::new(bytes.to_vec())));
    assert_eq!(near.is_ok(), far.is_ok(), "{near:?} {far:?}");
    match (near, far) {
        (Ok(near), Ok(far)) => {
            members(&near, &far, DEPTH);
        }
        (Err(fault), _) => is_of_bytes(&fault),
        (Ok(_), Err(_)) => unreachable!(),
    }
}

fn members(near: &Archive, far: &Archive, depth: u32) {
    let names = near.names();
    assert_eq!(names, far.names());
    let mut left = READ;
    for name in &names {
        let size = near.size(name).expect("it is listed");
        assert_eq!(far.size(name), Some(size));
        let content = content(near, name);
        assert_eq!(content.as_ref().ok(), self::content(far, name).as_ref().ok(), "{name}");
        match content {
            Ok(content) => copied(near, name, &content),
            Err(fault) => is_of_bytes(&fault),
        }
        left = left.saturating_sub(size.max(1));
        if depth == 0 || left == 0 {
            break;
        }
        let nested = (near.nested(name), far.nested(name));
        assert_eq!(nested.0.is_ok(), nested.1.is_ok(), "{name}: {nested:?}");
        match nested {
            (Ok(near), Ok(far)) => members(&near, &far, depth - 1),
            (Err(fault), _) => is_of_bytes(&fault),
            (Ok(_), Err(_)) => unreachable!(),
        }
    }
}

fn content(archive: &Archive, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.reader(name)?.take(READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn copied(archive: &Archive, name: &str, expected: &[u8]) {
    let mut copy = ZipWriter::new(Vec::new());
    copy.copy(archive, name, name).expect("what can be read can be copied");
    let copy = copy.finish().expect("memory takes it");
    let copy = Archive::over("copy".to_owned(), Source::Memory(copy)).expect("what was written can be read");
    assert_eq!(content(&copy, name).expect("as before"), expected, "{name}");
}

/// Nobody takes the fault of an archive for one of the disk.
fn is_of_bytes(fault: &io::Error) {
    assert!(matches!(fault.kind(), ErrorKind::InvalidData | ErrorKind::Unsupported), "{:?}: {fault}", fault.kind());
}

/// A file somewhere far away, and the requests for it.
#[derive(Debug)]
pub(super) struct Far {
    bytes: Vec<u8>,
    pub(super) requests: AtomicU64,
    /// Of these, asked for at once with others.
    pub(super) at_once: AtomicU64,
}

impl Far {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, requests: AtomicU64::new(0), at_once: AtomicU64::new(0) }
    }

    fn ask(&self, range: Range<u64>) -> io::Result<&[u8]> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.get(range.start as usize..range.end as usize).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }
}

impl FarFile for Far {
    fn name(&self) -> String {
        "far.zip".to_owned()
    }

    fn state(&self) -> String {
        "today's".to_owned()
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(self.ask(offset..offset + buffer.len() as u64)?);
        Ok(())
    }

    fn stream(&self, range: Range<u64>) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.ask(range)?))
    }

    fn read_ranges(&self, ranges: &[Range<u64>], take: &TakeRange<'_>) -> io::Result<()> {
        self.at_once.fetch_add(ranges.len() as u64, Ordering::Relaxed);
        ranges.iter().enumerate().try_for_each(|(number, range)| take(number, &mut self.ask(range.clone())?.to_vec()))
    }
}

#[test]
fn what_holds_of_any_bytes_holds_of_what_fuzzing_found() {
    replay::replay("zip", archive);
}
