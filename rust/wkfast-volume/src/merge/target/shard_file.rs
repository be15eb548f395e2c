//! Files of a folder: built under another name, renamed when whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wkfast_files::Held;

use super::super::space::Space;
use super::NewShard;
use crate::error::{Result, VolumeError};
use crate::format::ShardFile;
use crate::store::{Fetch, Origin, Part, SharedStore, open_file, read_all};
use crate::work::{create_unique, unique_name};

/// Bytes moved at once where the kernel cannot copy by itself, and written at once: they stay in a core's own cache.
const PIECE: usize = 256 << 10;
/// Bytes of a file that are asked for at once where it is not on a disk, and how many such requests are under way.
const FETCHED: u64 = 1 << 20;
const PIECES_AT_ONCE: usize = 16;
/// From here on copying is left to the kernel, which may share extents, or let a file server copy by itself. Nearer
/// pieces are quicker by way of memory, where they share writes with their neighbours.
const LONG_RUN: u64 = 16 << 20;

/// Where a file of a target goes: reached from a folder that is held through no link, whatever paths lead to by then.
#[derive(Clone, Debug)]
pub(super) struct HeldPlace {
    pub(super) root: Arc<Held>,
    pub(super) key: String,
}

impl HeldPlace {
    /// What it is called in messages.
    pub(super) fn shown(&self) -> PathBuf {
        self.root.path().join(&self.key)
    }

    /// The folder that it lies in, made where it is missing, and its name there.
    pub(super) fn make_folder(&self) -> io::Result<(Held, &OsStr)> {
        let (folder, name) = self.key.rsplit_once('/').unwrap_or(("", &self.key));
        Ok((self.root.inner(Path::new(folder), true)?, OsStr::new(name)))
    }

    /// Gives the file `draft` this place.
    pub(super) fn take(&self, draft: &Path) -> io::Result<()> {
        let (folder, name) = self.make_folder()?;
        fs::rename(draft, folder.at(name))
    }
}

/// A file under construction. Dropped before it is put in place, it is removed.
#[derive(Debug)]
pub(super) struct FolderShard {
    place: HeldPlace,
    /// Where it is meanwhile, in a folder that is held.
    path: PathBuf,
    folder: Arc<Held>,
    file: File,
    /// What is to be written next, and how much of it is there.
    buffer: Space,
    filled: usize,
    /// Bytes of disk asked for.
    reserved: u64,
    placed: bool,
}

impl FolderShard {
    /// Starts a file of about `size` bytes in `folder`, which lies on the file system of its place.
    pub(super) fn create(folder: Arc<Held>, place: HeldPlace, size: u64) -> Result<Self> {
        let created = create_unique(&folder.here(), "shard", "tmp");
        let (path, file) = created.map_err(|error| VolumeError::io(folder.path().display().to_string(), error))?;
        // Half of it may be there after a failure, too, and is given back like the rest.
        reserve(&file, size);
        Ok(Self { place, path, folder, file, buffer: Space::of(PIECE), filled: 0, reserved: size, placed: false })
    }

    /// Writes what is in the buffer.
    fn empty(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer[..self.filled])?;
        self.filled = 0;
        Ok(())
    }

    /// Counts `length` bytes more as filled.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        self.filled += length;
        if self.filled == self.buffer.len() { self.empty() } else { Ok(()) }
    }

    /// Fills the file with a whole file of a store: shared extents where the file system has them, else a copy by the
    /// kernel, else by way of memory in pieces.
    pub(super) fn copy(&mut self, store: &SharedStore, key: &str, size: u64) -> Result<()> {
        let fault = |error| VolumeError::io(store.describe(key), error);
        if let Some(mut source) = open_file(&**store, key)? {
            if !reflink(&source, &self.file) {
                reserve(&self.file, size);
                self.reserved = self.reserved.max(size);
                io::copy(&mut source, &mut self.file).map_err(fault)?;
            }
            return Ok(());
        }
        fetch(store, key, size, self)
    }
}

/// Writes a whole file of a store that is on no disk, in pieces.
pub(super) fn fetch(store: &SharedStore, key: &str, size: u64, out: &mut dyn ShardFile) -> Result<()> {
    // All pieces are of one file, whatever takes its name meanwhile.
    let absent = || VolumeError::io(store.describe(key), io::ErrorKind::NotFound.into());
    let state = store.stamp(key)?.ok_or_else(absent)?;
    let range = |start| Part::Range(start..size.min(start + FETCHED));
    let piece = |start| Fetch { origin: Origin::State(key, state), part: range(start) };
    let pieces: Vec<_> = (0..size).step_by(FETCHED as usize).map(piece).collect();
    for pieces in pieces.chunks(PIECES_AT_ONCE) {
        for piece in read_all(&**store, pieces)?.into_iter().flatten() {
            out.write_all(&piece).map_err(|error| VolumeError::io(out.name(), error))?;
        }
    }
    Ok(())
}

impl Drop for FolderShard {
    fn drop(&mut self) {
        if !self.placed {
            // The folder of drafts is removed at commit, so a failure here leaves nothing for good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Write for FolderShard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whole pieces whatever comes, so that writes begin where pages do.
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = &mut self.buffer[self.filled..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.fill(now.len())?;
            rest = later;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.empty()
    }
}

impl Seek for FolderShard {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.empty()?;
        self.file.seek(to)
    }
}

impl NewShard for FolderShard {
    fn place(mut self: Box<Self>) -> Result<u64> {
        let shown = self.place.shown();
        let fault = |error| VolumeError::io(shown.display().to_string(), error);
        self.empty().map_err(fault)?;
        let size = self.file.metadata().map_err(fault)?.len();
        if size < self.reserved {
            // Gives back what was asked for in vain.
            self.file.set_len(size).map_err(fault)?;
        }
        self.place.take(&self.path).map_err(fault)?;
        self.placed = true;
        Ok(size)
    }
}

impl ShardFile for FolderShard {
    fn name(&self) -> String {
        self.folder.path().join(self.path.file_name().unwrap_or_default()).display().to_string()
    }

    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        if range.end - range.start >= LONG_RUN {
            self.empty()?;
            return self.file.append_from(source, range);
        }
        let mut at = range.start;
        while at < range.end {
            let room = &mut self.buffer[self.filled..];
            let length = room.len().min((range.end - at) as usize);
            source.read_exact_at(&mut room[..length], at)?;
            self.fill(length)?;
            at += length as u64;
        }
        Ok(())
    }
}

/// Gives the file `source` a second name, `place`, by way of one in `folder`. `false` where the file system will not:
/// another device, too many links, a file of somebody else.
pub(super) fn link(source: &Path, folder: &Held, place: &HeldPlace) -> Result<bool> {
    let fault = |error| VolumeError::io(place.shown().display().to_string(), error);
    // A link to a symbolic link would be one as well.
    let source = fs::canonicalize(source).map_err(fault)?;
    let draft = loop {
        let draft = folder.at(unique_name("link", "tmp").as_ref());
        match fs::hard_link(&source, &draft) {
            Ok(()) => break draft,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(fault(error)),
            Err(_) => return Ok(false),
        }
    };
    place.take(&draft).map_err(fault)?;
    // Renaming does nothing where both names are of one file already, as after a kill.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault(error)),
        _ => Ok(true),
    }
}

/// Asks for the disk blocks of a file at once, which on most file systems is less work than to find them write by write,
/// and leaves files in one piece. Where that is not offered, or the disk is too full for the guess, writes will tell.
#[cfg(target_os = "linux")]
fn reserve(file: &File, size: u64) {
    if size > 0 {
        let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, size);
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _size: u64) {}

#[cfg(target_os = "linux")]
fn reflink(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_source: &File, _target: &File) -> bool {
    false
}
