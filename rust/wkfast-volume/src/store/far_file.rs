//! One object as a file that archives are read from, and texts.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wkfast_files::zip::{FarFile, TAIL, TakeRange};

use super::batch::read_all;
use super::{Address, Fetch, Origin, Part, ReadStore, SharedStore, Stamp, address};
use crate::error::{Result, VolumeError};

/// An object in the state that it was found in.
#[derive(Debug)]
struct ObjectFile {
    store: SharedStore,
    key: String,
    stamp: Stamp,
    /// The last bytes, where they came with the state; whoever asks for them first gets them.
    tail: Mutex<Vec<u8>>,
}

/// The object `name` of the folder at `address`, as it is now. If it changes, reading it fails.
///
/// # Errors
/// There is none, or the server does not tell.
pub fn far_file(address: &Address, name: &str) -> Result<Arc<dyn FarFile>> {
    let store = address::open(address)?;
    let stamp = store.stamp(name)?.ok_or_else(|| absent(&store, name))?;
    Ok(ObjectFile::found(store, name, stamp, Vec::new()))
}

/// The same of an archive. Where its `state` is known nothing is asked for, else its end comes with the state.
pub fn far_zip(address: &Address, name: &str, state: Option<&str>) -> Result<Arc<dyn FarFile>> {
    zip_in(address::open(address)?, name, state.map(str::parse).transpose()?)
}

/// The same, of a store.
pub(super) fn zip_in(store: SharedStore, name: &str, state: Option<Stamp>) -> Result<Arc<dyn FarFile>> {
    if let Some(stamp) = state {
        return Ok(ObjectFile::found(store, name, stamp, Vec::new()));
    }
    let end = Mutex::new(None);
    store.read_batch(&[Fetch { origin: Origin::Key(name), part: Part::End(TAIL) }], &|_, found| {
        let found = found.map(|found| (std::mem::take(found.bytes), found.stamp));
        *end.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    })?;
    let (tail, stamp) = end.into_inner().unwrap_or_else(PoisonError::into_inner).ok_or_else(|| absent(&store, name))?;
    let stamp = stamp.ok_or_else(|| VolumeError::corrupt(store.describe(name), "came without its size"))?;
    Ok(ObjectFile::found(store, name, stamp, tail))
}

/// The object `key`, in the state that it has now, in a file that `open` makes and messages call `name`, and its bytes; `None`,
/// and no file, if there is none.
///
/// # Errors
/// The server does not answer, the object changes, or the file takes no more.
pub fn fetch(
    store: &dyn ReadStore,
    key: &str,
    name: &Path,
    open: impl FnOnce() -> io::Result<File>,
) -> Result<Option<(File, u64)>> {
    let failed = |error| volume_error(name.display().to_string(), error);
    let Some(stamp) = store.stamp(key)? else { return Ok(None) };
    let mut bytes = store.stream(key, 0..stamp.size, stamp)?;
    let mut file = open().map_err(failed)?;
    let written = io::copy(&mut bytes, &mut file).map_err(failed)?;
    Ok(Some((file, written)))
}

fn absent(store: &SharedStore, name: &str) -> VolumeError {
    VolumeError::io(store.describe(name), io::Error::new(ErrorKind::NotFound, "there is no such object"))
}

impl ObjectFile {
    fn found(store: SharedStore, name: &str, stamp: Stamp, tail: Vec<u8>) -> Arc<dyn FarFile> {
        Arc::new(Self { store, key: name.to_owned(), stamp, tail: Mutex::new(tail) })
    }

    fn fetch(&self, range: Range<u64>) -> Fetch<'_> {
        Fetch { origin: Origin::State(&self.key, self.stamp), part: Part::Range(range) }
    }
}

impl FarFile for ObjectFile {
    fn name(&self) -> String {
        self.store.describe(&self.key)
    }

    fn state(&self) -> String {
        self.stamp.to_string()
    }

    fn size(&self) -> u64 {
        self.stamp.size
    }

    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset + buffer.len() as u64 == self.stamp.size {
            let tail = std::mem::take(&mut *self.tail.lock().unwrap_or_else(PoisonError::into_inner));
            if tail.len() == buffer.len() {
                buffer.copy_from_slice(&tail);
                return Ok(());
            }
        }
        let read = read_all(&*self.store, &[self.fetch(offset..offset + buffer.len() as u64)]);
        let bytes = read.map_err(io::Error::other)?.pop().flatten().unwrap_or_default();
        if bytes.len() != buffer.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn stream(&self, range: Range<u64>) -> io::Result<Box<dyn Read + Send + '_>> {
        self.store.stream(&self.key, range, self.stamp).map_err(io::Error::other)
    }

    fn read_ranges(&self, ranges: &[Range<u64>], take: &TakeRange<'_>) -> io::Result<()> {
        let fetches: Vec<_> = ranges.iter().map(|range| self.fetch(range.clone())).collect();
        let read = self.store.read_batch(&fetches, &|number, found| {
            let found = found.ok_or_else(|| VolumeError::io(self.name(), ErrorKind::NotFound.into()))?;
            take(number, found.bytes).map_err(|error| volume_error(self.name(), error))
        });
        read.map_err(io::Error::other)
    }
}

/// A fault of `file`: what went through as an error of the system comes back as it was.
pub(super) fn volume_error(file: String, error: io::Error) -> VolumeError {
    error.downcast().unwrap_or_else(|error| VolumeError::io(file, error))
}

/// Bytes that [`Pieces`] reads at once.
const PIECE: u64 = 1 << 20;

/// A range of a file of which one piece is read after the other.
pub(super) struct Pieces<'a, S: ?Sized> {
    store: &'a S,
    key: String,
    stamp: Stamp,
    left: Range<u64>,
    piece: io::Cursor<Vec<u8>>,
}

impl<'a, S: ReadStore + ?Sized> Pieces<'a, S> {
    pub(super) fn new(store: &'a S, key: &str, left: Range<u64>, stamp: Stamp) -> Self {
        Self { store, key: key.to_owned(), stamp, left, piece: io::Cursor::default() }
    }

    fn next(&mut self) -> Result<Vec<u8>> {
        if self.store.stamp(&self.key)? != Some(self.stamp) {
            return Err(VolumeError::Changed { file: self.store.describe(&self.key) });
        }
        let end = self.left.end.min(self.left.start + PIECE);
        let bytes = self.store.read_range(&self.key, self.left.start..end)?;
        self.left.start = end;
        Ok(bytes)
    }
}

impl<S: ReadStore + ?Sized> Read for Pieces<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == self.piece.get_ref().len() as u64 && !self.left.is_empty() {
            self.piece = io::Cursor::new(self.next().map_err(io::Error::other)?);
        }
        self.piece.read(buffer)
    }
}
