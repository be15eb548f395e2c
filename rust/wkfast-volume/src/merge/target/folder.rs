//! A folder as a target: files are built under another name and renamed when they are whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use wkfast_files::{Held, open_regular};

use super::lock::{self, Lock};
use super::shard_file::{FolderShard, HeldPlace, link};
use super::{Access, Copied, NOTES, NewShard, Notebook, Target};
use crate::error::{Result, VolumeError};
use crate::store::SharedStore;
use crate::work::{Observer, create_unique, remove_or_leave};

/// Where files are built: on the target's own file system.
const TEMPORARY: &str = "tmp";

/// See the module.
#[derive(Debug)]
pub(super) struct FolderTarget {
    root: PathBuf,
    /// The folder that was there first, or was made. Whatever takes its path later, or a link the place of a folder in it,
    /// is somebody else's, and nothing is written there.
    held: OnceLock<Arc<Held>>,
    temporary: OnceLock<Arc<Held>>,
}

impl FolderTarget {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, held: OnceLock::new(), temporary: OnceLock::new() }
    }

    fn notes_folder(&self) -> PathBuf {
        self.root.join(NOTES)
    }

    /// The target's folder, which is there.
    fn hold(&self) -> io::Result<&Arc<Held>> {
        if let Some(held) = self.held.get() {
            return Ok(held);
        }
        let held = Arc::new(Held::behind_links(&self.root)?);
        Ok(self.held.get_or_init(|| held))
    }

    /// The target's folder, made where there was none. What has come to be there since somebody looked is refused unless
    /// it is another process's of the same merge.
    fn hold_made(&self) -> Result<&Arc<Held>> {
        if let Some(held) = self.held.get() {
            return Ok(held);
        }
        fs::create_dir_all(&self.root).map_err(|error| fault(&self.root, error))?;
        let held = self.hold().map_err(|error| fault(&self.root, error))?;
        match self.anything_else()? {
            Some(name) if !self.has(NOTES)? => {
                Err(self.taken(format!("is not empty, it holds {name}; choose a new directory")))
            }
            _ => Ok(held),
        }
    }

    fn notes_held(&self) -> Result<Held> {
        self.hold().and_then(|root| root.inner(Path::new(NOTES), false)).map_err(|e| fault(&self.notes_folder(), e))
    }

    fn temporary(&self) -> Result<&Arc<Held>> {
        if let Some(held) = self.temporary.get() {
            return Ok(held);
        }
        let below = Path::new(NOTES).join(TEMPORARY);
        let held = self.hold().and_then(|root| root.inner(&below, false));
        let held = Arc::new(held.map_err(|error| fault(&self.root.join(below), error))?);
        Ok(self.temporary.get_or_init(|| held))
    }

    fn place(&self, key: &str) -> Result<HeldPlace> {
        let root = Arc::clone(self.hold().map_err(|error| fault(&self.root, error))?);
        Ok(HeldPlace { root, key: key.to_owned() })
    }

    /// Where the file `key` is read.
    fn at(&self, key: impl AsRef<OsStr>) -> PathBuf {
        self.held.get().map_or_else(|| self.root.join(key.as_ref()), |held| held.at(key.as_ref()))
    }

    /// The first `length` bytes of a file; `None` where there is none.
    fn start_of(&self, key: &str, length: u64) -> Result<Option<Vec<u8>>> {
        let start = |path: &Path| {
            let mut bytes = Vec::new();
            open_regular(path)?.take(length).read_to_end(&mut bytes).map(|_| bytes)
        };
        wkfast_files::persistently(&self.at(key), start).map_err(|error| fault(&self.root.join(key), error))
    }

    fn taken(&self, reason: String) -> VolumeError {
        VolumeError::TargetTaken { target: self.root.display().to_string(), reason }
    }

    /// Refuses a target in which a link leads what is written there to somewhere else.
    fn refuse_links(&self) -> Result<()> {
        let folder = Path::new(NOTES);
        for path in [folder.join(TEMPORARY), folder.join(lock::NAME), folder.to_owned()] {
            if fs::symlink_metadata(self.at(&path)).is_ok_and(|found| found.is_symlink()) {
                let link = self.root.join(path);
                return Err(
                    self.taken(format!("holds the link {}; remove it or choose another target", link.display()))
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
        match self.hold().and_then(|root| fs::read_dir(root.here())) {
            Ok(_) => self.refuse_links().map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Err(self.taken("is not a directory".to_owned())),
            Err(error) => Err(fault(&self.root, error)),
        }
    }

    fn anything_else(&self) -> Result<Option<String>> {
        for entry in fs::read_dir(self.at("")).map_err(|error| fault(&self.root, error))? {
            let name = entry.map_err(|error| fault(&self.root, error))?.file_name();
            if name != NOTES {
                return Ok(Some(name.display().to_string()));
            }
        }
        Ok(None)
    }

    fn has(&self, key: &str) -> Result<bool> {
        Ok(self.at(key).exists())
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.start_of(key, u64::MAX)
    }

    fn read_starts(&self, keys: &[&str], length: u64) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.start_of(key, length)).collect()
    }

    fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let place = self.place(key)?;
        let io = |error| fault(&place.shown(), error);
        let (draft, mut file) = create_unique(&self.temporary()?.here(), "whole", "tmp").map_err(io)?;
        // Without these no merge goes on and no mag is read; after a loss of power they must not be names of nothing.
        file.write_all(content).and_then(|()| file.sync_data()).map_err(io)?;
        place.take(&draft).map_err(io)
    }

    fn remove(&self, key: &str) -> Result<()> {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let folder = self.hold().and_then(|root| root.inner(Path::new(folder), false));
        match folder.and_then(|folder| fs::remove_file(folder.at(name.as_ref()))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(fault(&self.root.join(key), error)),
            _ => Ok(()),
        }
    }

    fn begin(&self) -> Result<()> {
        let made = self.hold_made()?.inner(&Path::new(NOTES).join(TEMPORARY), true);
        made.map(drop).map_err(|error| fault(&self.notes_folder(), error))
    }

    fn lock(&self, access: Access, observer: &mut Observer) -> Result<Option<Box<dyn super::Held>>> {
        let lock = Lock::take(&self.notes_held()?, access, &self.root, observer)?;
        Ok(lock.map(|lock| Box::new(HeldFolder { lock, root: self.root.clone() }) as _))
    }

    fn is_held(&self) -> Result<bool> {
        match self.notes_held() {
            Ok(notes) => lock::is_held(&notes),
            Err(VolumeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Files that were not on disk yet.
    fn may_forget(&self) -> bool {
        true
    }

    fn notes(&self, wanted: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str)) -> Result<()> {
        let folder = self.notes_folder();
        let entries = match fs::read_dir(self.at(NOTES)) {
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
        let folder = self.notes_held()?;
        let created = create_unique(&folder.here(), stem, "jsonl");
        let (path, file) = created.map_err(|error| fault(folder.path(), error))?;
        let mut lines = FolderLines { path: folder.path().join(path.file_name().unwrap_or_default()), file };
        lines.append(head)?;
        Ok(Box::new(lines))
    }

    fn clear(&self) -> Result<()> {
        match self.hold() {
            Ok(root) => {
                let removed = remove_or_leave(&root.at(NOTES.as_ref()));
                removed.map(drop).map_err(|error| fault(&self.notes_folder(), error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(fault(&self.root, error)),
        }
    }

    fn shard(&self, key: &str, size: u64) -> Result<Box<dyn NewShard>> {
        Ok(Box::new(FolderShard::create(Arc::clone(self.temporary()?), self.place(key)?, size)?))
    }

    fn copy(&self, source: &SharedStore, from: &str, size: u64, key: &str) -> Result<Copied> {
        let mut draft = Box::new(FolderShard::create(Arc::clone(self.temporary()?), self.place(key)?, 0)?);
        draft.copy(source, from, size)?;
        Ok(Copied { read: size, size: draft.place()? })
    }

    fn link(&self, source: &SharedStore, from: &str, key: &str) -> Result<bool> {
        let Some(disk) = source.disk() else { return Ok(false) };
        link(&disk.place(from)?, self.temporary()?, &self.place(key)?)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(fs::metadata(self.at(key)).ok().map(|found| found.len()))
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

impl super::Held for HeldFolder {
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

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    #[test]
    fn a_folder_has_what_was_put_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = FolderTarget::new(folder.path().join("merged"));
        assert!(!target.check().unwrap() && !target.has("a").unwrap() && !target.is_held().unwrap());
        target.begin().unwrap();
        assert!(target.check().unwrap() && target.has(NOTES).unwrap() && !target.has("a").unwrap());
        target.put("a", b"12345").unwrap();
        assert!(target.has("a").unwrap());
        assert_eq!((target.size("a").unwrap(), target.size("b").unwrap()), (Some(5), None));
        assert_eq!(target.read_starts(&["a", "b"], 2).unwrap(), [Some(b"12".to_vec()), None]);
        assert_eq!(target.anything_else().unwrap().as_deref(), Some("a"));
        target.remove("a").unwrap();
        assert!(!target.has("a").unwrap() && target.anything_else().unwrap().is_none());
    }

    #[test]
    fn a_folder_is_held_as_long_as_its_lock_is() {
        let folder = tempfile::tempdir().unwrap();
        let target = FolderTarget::new(folder.path().to_owned());
        target.begin().unwrap();
        let held = target.lock(Access::Exclusive, &mut |_| Ok(())).unwrap();
        assert!(held.is_some() && FolderTarget::new(folder.path().to_owned()).is_held().unwrap());
        drop(held);
        assert!(!target.is_held().unwrap());
    }
}
