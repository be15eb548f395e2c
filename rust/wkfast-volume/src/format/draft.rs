//! Files that replace others as a whole. A draft lies beside the file it becomes and is renamed over it when complete:
//! a reader sees the old file or the new one, never a part, and a file that is linked from elsewhere is left alone.
//!
//! The draft is the lock, too: its name is made of the file's, and whoever holds it exclusively is the one who writes.
//! What a killed process leaves behind is taken over by the next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{MagArray, ShardFile, rewritten};
use crate::error::{Result, VolumeError};

/// What a draft's name has behind the file's. No format takes such a name for a chunk's.
const SUFFIX: &str = ".wkfast-part";
/// Between the pieces of a shard and the file. What is written at once needs none.
const BUFFER: usize = 256 << 10;

/// A file under construction that nobody else constructs meanwhile.
#[derive(Debug)]
pub(crate) struct Draft {
    target: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    /// Renamed or removed: there is no draft any more.
    done: bool,
}

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
        let fault = |error| VolumeError::io(target.display().to_string(), error);
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(SUFFIX);
        let path = target.with_file_name(name);
        loop {
            let file = open_in_new_folder(&path).map_err(fault)?;
            file.lock().map_err(fault)?;
            let length = file.metadata().map_err(fault)?.len();
            if is_still(&file, &path).map_err(fault)? {
                if length > 0 {
                    // A killed process left something in it.
                    file.set_len(0).map_err(fault)?;
                }
                let file = BufWriter::with_capacity(buffer, file);
                return Ok(Self { target: target.to_owned(), path, file, done: false });
            }
        }
    }

    /// Makes `content` the whole file, and puts it in place.
    pub(super) fn put(&mut self, content: &[u8]) -> Result<()> {
        self.write_all(content).and_then(|()| self.flush()).map_err(|error| self.fault(error))?;
        self.file.get_ref().sync_all().map_err(|error| self.fault(error))?;
        self.place()
    }

    /// Waits until all that was written is on disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_data()).map_err(|error| self.fault(error))
    }

    /// Gives the file its name.
    pub(crate) fn place(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| self.fault(error))?;
        self.check_in_place()?;
        fs::rename(&self.path, &self.target).map_err(|error| self.fault(error))?;
        self.done = true;
        Ok(())
    }

    /// Removes the file that this one was to replace, if there is one: its last chunk has gone.
    pub(crate) fn remove_target(&mut self) -> Result<()> {
        self.check_in_place()?;
        match fs::remove_file(&self.target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }

    /// Refuses to go on where the folder has been replaced, with all that was in it: what has the name there is another's.
    fn check_in_place(&self) -> Result<()> {
        let still = is_still(self.file.get_ref(), &self.path).map_err(|error| self.fault(error))?;
        if still { Ok(()) } else { Err(rewritten(self.target.display().to_string())) }
    }

    fn fault(&self, error: io::Error) -> VolumeError {
        VolumeError::io(self.target.display().to_string(), error)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done && is_still(self.file.get_ref(), &self.path).unwrap_or(false) {
            // Removed while still locked, so that nobody has begun to use it. What cannot be removed is taken over.
            let _ = fs::remove_file(&self.path);
        }
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
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        self.file.append_from(source, range)
    }
}

/// Writes a small file as a whole, and waits until it is on disk.
pub(super) fn put_file(target: &Path, content: &[u8]) -> Result<()> {
    Draft::lock_file(target, 0)?.put(content)
}

/// Opens or makes the file, and its folder where there is none: hardly ever, so not looked for first.
fn open_in_new_folder(path: &Path) -> io::Result<File> {
    // Not through a link, which could lead anywhere.
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            open()
        }
        (opened, _) => opened,
    }
}

/// Whether `path` still names `file`: its last holder may have renamed or removed it while we waited.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_whose_folder_was_replaced_leaves_the_new_file_alone() {
        let root = tempfile::tempdir().unwrap();
        let (mag, file) = (root.path().join("mag"), root.path().join("mag/shard"));
        fs::create_dir(&mag).unwrap();
        let mut placed = Draft::lock_file(&file, 0).unwrap();
        placed.write_all(b"old form").unwrap();
        let mut emptied = Draft::lock_file(&mag.join("blank"), 0).unwrap();
        fs::rename(&mag, root.path().join("before")).unwrap();
        fs::create_dir(&mag).unwrap();
        fs::write(&file, b"new form").unwrap();
        fs::write(mag.join("blank"), b"new form").unwrap();
        assert!(placed.place().is_err());
        assert!(emptied.remove_target().is_err());
        assert_eq!(fs::read(&file).unwrap(), b"new form");
        assert_eq!(fs::read(mag.join("blank")).unwrap(), b"new form");
    }
}
