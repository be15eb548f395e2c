//! A folder as a target: files are built under another name and renamed when they are whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use wkfast_files::open_regular;

use super::lock::{self, Lock};
use super::shard_file::{FolderShard, link};
use super::{Access, Copied, Held, NOTES, NewShard, Notebook, Target};
use crate::error::{Result, VolumeError};
use crate::store::SharedStore;
use crate::work::{Observer, create_unique, remove_or_leave};

/// Where files are built: on the target's own file system.
const TEMPORARY: &str = "tmp";

/// See the module.
#[derive(Debug)]
pub(super) struct FolderTarget {
    root: PathBuf,
}

impl FolderTarget {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn notes_folder(&self) -> PathBuf {
        self.root.join(NOTES)
    }

    fn temporary(&self) -> PathBuf {
        self.notes_folder().join(TEMPORARY)
    }

    fn taken(&self, reason: String) -> VolumeError {
        VolumeError::TargetTaken { target: self.root.display().to_string(), reason }
    }

    /// Refuses a target in which a link leads what is written there to somewhere else.
    fn refuse_links(&self) -> Result<()> {
        let folder = self.notes_folder();
        for path in [folder.join(TEMPORARY), folder.join(lock::NAME), folder] {
            if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
                return Err(
                    self.taken(format!("holds the link {}; remove it or choose another target", path.display()))
                );
            }
        }
        Ok(())
    }
}

impl Target for FolderTarget {
    fn name(&self, key: &str) -> String {
        self.root.join(key).display().to_string()
    }

    fn check(&self) -> Result<bool> {
        self.refuse_links()?;
        match fs::read_dir(&self.root) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Err(self.taken("is not a directory".to_owned())),
            Err(error) => Err(fault(&self.root, error)),
        }
    }

    fn anything_else(&self) -> Result<Option<String>> {
        for entry in fs::read_dir(&self.root).map_err(|error| fault(&self.root, error))? {
            let name = entry.map_err(|error| fault(&self.root, error))?.file_name();
            if name != NOTES {
                return Ok(Some(name.display().to_string()));
            }
        }
        Ok(None)
    }

    fn has(&self, key: &str) -> Result<bool> {
        Ok(self.root.join(key).exists())
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let whole = |path: &Path| {
            let mut bytes = Vec::new();
            open_regular(path)?.read_to_end(&mut bytes).map(|_| bytes)
        };
        let path = self.root.join(key);
        wkfast_files::persistently(&path, whole).map_err(|error| fault(&path, error))
    }

    fn read_starts(&self, keys: &[&str], length: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let start = |path: &Path| {
            let mut bytes = Vec::new();
            open_regular(path)?.take(length).read_to_end(&mut bytes).map(|_| bytes)
        };
        let read = |key: &&str| {
            let path = self.root.join(key);
            wkfast_files::persistently(&path, start).map_err(|error| fault(&path, error))
        };
        keys.iter().map(read).collect()
    }

    fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| fault(folder, error))?;
        let io = |error| fault(&path, error);
        let (draft, mut file) = create_unique(&self.temporary(), "whole", "tmp").map_err(io)?;
        // Without these no merge goes on and no mag is read; after a loss of power they must not be names of nothing.
        file.write_all(content).and_then(|()| file.sync_data()).map_err(io)?;
        fs::rename(draft, &path).map_err(io)
    }

    fn remove(&self, key: &str) -> Result<()> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(&path, error)),
            _ => Ok(()),
        }
    }

    fn begin(&self) -> Result<()> {
        fs::create_dir_all(self.temporary()).map_err(|error| fault(&self.notes_folder(), error))
    }

    fn lock(&self, access: Access, observer: &mut Observer) -> Result<Option<Box<dyn Held>>> {
        let lock = Lock::take(&self.notes_folder(), access, &self.root, observer)?;
        Ok(lock.map(|lock| Box::new(HeldFolder { lock, root: self.root.clone() }) as _))
    }

    fn is_held(&self) -> Result<bool> {
        lock::is_held(&self.notes_folder())
    }

    /// Files that were not on disk yet.
    fn may_forget(&self) -> bool {
        true
    }

    fn notes(&self, wanted: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str)) -> Result<()> {
        let folder = self.notes_folder();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| fault(&folder, error))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| fault(&folder, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|suffix| suffix != "jsonl") || !wanted(name) {
                continue;
            }
            // One that has gone meanwhile was of a merge that is committed now; a full disk cuts lines anywhere.
            if let Some(text) = self.read(&format!("{NOTES}/{name}"))? {
                take(&String::from_utf8_lossy(&text));
            }
        }
        Ok(())
    }

    fn note(&self, stem: &str, head: &str) -> Result<Box<dyn Notebook>> {
        let folder = self.notes_folder();
        let (path, file) = create_unique(&folder, stem, "jsonl").map_err(|error| fault(&folder, error))?;
        let mut lines = FolderLines { path, file };
        lines.append(head)?;
        Ok(Box::new(lines))
    }

    fn clear(&self) -> Result<()> {
        remove_or_leave(&self.notes_folder()).map(drop)
    }

    fn shard(&self, key: &str, size: u64) -> Result<Box<dyn NewShard>> {
        Ok(Box::new(FolderShard::create(&self.temporary(), self.root.join(key), size)?))
    }

    fn copy(&self, source: &SharedStore, from: &str, size: u64, key: &str) -> Result<Copied> {
        let mut draft = Box::new(FolderShard::create(&self.temporary(), self.root.join(key), 0)?);
        draft.copy(source, from, size)?;
        Ok(Copied { read: size, size: draft.place()? })
    }

    fn link(&self, source: &SharedStore, from: &str, key: &str) -> Result<bool> {
        let Some(disk) = source.disk() else { return Ok(false) };
        link(&disk.place(from)?, &self.temporary(), &self.root.join(key))
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(fs::metadata(self.root.join(key)).ok().map(|found| found.len()))
    }

    /// Every file, several at once. One call for the whole file system would be shorter, but it would wait for everybody
    /// else's files as well.
    fn sync(&self) -> Result<()> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).map_err(|error| fault(&next, error))? {
                let entry = entry.map_err(|error| fault(&next, error))?;
                let is_folder = entry.file_type().map_err(|error| fault(&next, error))?.is_dir();
                let list = if is_folder { &mut folders } else { &mut files };
                list.push(entry.path());
            }
            // The folder itself: it holds the names.
            files.push(next);
        }
        files.par_iter().try_for_each(|path| {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(|error| fault(path, error))
        })
    }
}

/// A lock that knows its target.
#[derive(Debug)]
struct HeldFolder {
    lock: Lock,
    root: PathBuf,
}

impl Held for HeldFolder {
    fn check(&self) -> Result<()> {
        self.lock.check(&self.root.join(NOTES), &self.root)
    }
}

fn fault(path: &Path, error: std::io::Error) -> VolumeError {
    VolumeError::io(path.display().to_string(), error)
}

/// Every process has a file of its own: appends of several machines to one are not safe on network file systems.
#[derive(Debug)]
struct FolderLines {
    path: PathBuf,
    file: File,
}

impl Notebook for FolderLines {
    fn append(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(|error| fault(&self.path, error))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
