//! Shards and metadata that replace others as a whole, by one writer at a time; see [`wkfast_files::replace`].

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use wkfast_files::Held;

use super::{MagArray, ShardFile, rewritten};
use crate::error::{Result, VolumeError};
use crate::store::NewFile;

/// Between the pieces of a shard and the file. What is written at once needs none.
const BUFFER: usize = 256 << 10;

/// A file under construction that nobody else constructs meanwhile.
pub(crate) struct Draft {
    file: Box<dyn NewFile>,
    /// For messages.
    name: String,
}

impl Draft {
    /// Starts the file that becomes `key` in the array's store and is written in one piece, once nobody else is at it.
    pub(super) fn lock(array: &dyn MagArray, key: &str) -> Result<Self> {
        Self::start(array, key, 0)
    }

    /// Like [`lock`](Self::lock), for a file that is written in many pieces.
    pub(crate) fn lock_buffered(array: &dyn MagArray, key: &str) -> Result<Self> {
        Self::start(array, key, BUFFER)
    }

    fn start(array: &dyn MagArray, key: &str, buffer: usize) -> Result<Self> {
        let name = array.store().describe(key);
        let Some(writer) = array.store().writer() else {
            let what = "cannot be written: it lies in an archive; copy the layer to a dataset first".to_owned();
            return Err(VolumeError::Unsupported { file: name, what });
        };
        Ok(Self { file: writer.replace(key, buffer)?, name })
    }

    /// Makes `content` the whole file, and puts it in place once it would outlive a loss of power.
    pub(super) fn put(&mut self, content: &[u8]) -> Result<()> {
        self.file.write_all(content).map_err(|error| self.fault(error))?;
        self.sync()?;
        self.place()
    }

    /// Waits until all that was written is on disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync().map_err(|error| self.fault(error))
    }

    /// Gives the file its name.
    pub(crate) fn place(&mut self) -> Result<()> {
        let placed = self.file.place();
        self.in_place(placed)
    }

    /// Removes the file that this one was to replace, if there is one: its last chunk has gone.
    pub(crate) fn remove_target(&mut self) -> Result<()> {
        let removed = self.file.remove_target();
        self.in_place(removed)
    }

    /// Refuses to go on where the folder has been replaced, with all that was in it.
    fn in_place(&self, done: io::Result<bool>) -> Result<()> {
        if done.map_err(|error| self.fault(error))? { Ok(()) } else { Err(rewritten(self.name.clone())) }
    }

    fn fault(&self, error: io::Error) -> VolumeError {
        VolumeError::io(self.name.clone(), error)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl ShardFile for Draft {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        self.file.append_from(source, range)
    }
}

/// Writes a small file as a whole, and waits until it is on disk.
pub(super) fn put_file(folder: Held, name: &str, content: &[u8]) -> Result<()> {
    let file = folder.path().join(name).display().to_string();
    let locked = wkfast_files::Draft::lock_in(folder, name.as_ref(), wkfast_files::DraftOptions::default());
    let placed = locked.and_then(|mut draft| draft.put(content));
    if placed.map_err(|error| VolumeError::io(file.clone(), error))? { Ok(()) } else { Err(rewritten(file)) }
}
