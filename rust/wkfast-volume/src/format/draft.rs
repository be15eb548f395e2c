//! Shards and metadata that replace others as a whole, by one writer at a time; see [`wkfast_files::replace`].

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use wkfast_files::DraftOptions;

use super::{MagArray, ShardFile, rewritten};
use crate::error::{Result, VolumeError};

/// Between the pieces of a shard and the file. What is written at once needs none.
const BUFFER: usize = 256 << 10;

/// A file under construction that nobody else constructs meanwhile.
#[derive(Debug)]
pub(crate) struct Draft(wkfast_files::Draft);

impl Draft {
    /// Starts the file that becomes `key` in the array's store and is written in one piece, once nobody else is at it.
    pub(super) fn lock(array: &dyn MagArray, key: &str) -> Result<Self> {
        Self::lock_file(&Self::target(array, key)?, 0)
    }

    /// Like [`lock`](Self::lock), for a file that is written in many pieces.
    pub(crate) fn lock_buffered(array: &dyn MagArray, key: &str) -> Result<Self> {
        Self::lock_file(&Self::target(array, key)?, BUFFER)
    }

    fn target(array: &dyn MagArray, key: &str) -> Result<PathBuf> {
        array.store().place(key)?.ok_or_else(|| VolumeError::Unsupported {
            file: array.store().describe(key),
            what: "cannot be written: it lies in an archive; copy the layer to a dataset first".to_owned(),
        })
    }

    /// Starts the file that becomes `target`, once nobody else is at it.
    fn lock_file(target: &Path, buffer: usize) -> Result<Self> {
        let options = DraftOptions { buffer, make_folder: true };
        let draft = wkfast_files::Draft::lock(target, options);
        draft.map(Self).map_err(|error| VolumeError::io(target.display().to_string(), error))
    }

    /// Makes `content` the whole file, and puts it in place.
    pub(super) fn put(&mut self, content: &[u8]) -> Result<()> {
        let placed = self.0.put(content);
        self.in_place(placed)
    }

    /// Waits until all that was written is on disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.0.sync().map_err(|error| self.fault(error))
    }

    /// Gives the file its name.
    pub(crate) fn place(&mut self) -> Result<()> {
        let placed = self.0.place();
        self.in_place(placed)
    }

    /// Removes the file that this one was to replace, if there is one: its last chunk has gone.
    pub(crate) fn remove_target(&mut self) -> Result<()> {
        let removed = self.0.remove_target();
        self.in_place(removed)
    }

    /// Refuses to go on where the folder has been replaced, with all that was in it.
    fn in_place(&self, done: io::Result<bool>) -> Result<()> {
        if done.map_err(|error| self.fault(error))? { Ok(()) } else { Err(rewritten(self.name())) }
    }

    fn fault(&self, error: io::Error) -> VolumeError {
        VolumeError::io(self.name(), error)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.writer().flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.writer().seek(to)
    }
}

impl ShardFile for Draft {
    fn name(&self) -> String {
        self.0.target().display().to_string()
    }

    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        self.0.writer().append_from(source, range)
    }
}

/// Writes a small file as a whole, and waits until it is on disk.
pub(super) fn put_file(target: &Path, content: &[u8]) -> Result<()> {
    Draft::lock_file(target, 0)?.put(content)
}
