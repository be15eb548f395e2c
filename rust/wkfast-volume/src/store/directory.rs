//! Files below a directory. Nothing outside of it is ever opened: keys cannot climb, and links that lead out are
//! refused (links that stay inside are followed when asked for by key; listings do not descend into linked folders). What is there and
//! cannot be read, a link that leads nowhere or a FIFO, is an error and never taken for nothing.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use wkfast_files::{Draft, DraftOptions, Held, is_link, persistently, persistently_here, persistently_seen, stat};

use super::draft_file::DraftFile;
use super::{
    DiskStore, Entry, ListStore, NewFile, Pinned, ReadStore, Stamp, WriteStore, beyond_end, check_key, too_large,
    within,
};
use crate::error::{Result, VolumeError};

/// A directory and what is below it.
#[derive(Debug)]
pub struct DirectoryStore {
    /// As the caller names it, for messages.
    path: PathBuf,
    /// With all links resolved: what opened files must lie below.
    root: PathBuf,
    /// Folders already looked at, and where they really are. A folder of chunks is asked for very often.
    folders: RwLock<HashMap<String, PathBuf>>,
    /// The device of the root, if that is a file system of this machine.
    own_device: Option<u64>,
    /// The system's `open`, or a test's.
    open: fn(&Path) -> io::Result<File>,
}

impl DirectoryStore {
    /// Opens `path`, which must be a directory (or a link to one).
    pub fn open(path: &Path) -> Result<Self> {
        let fault = |source| VolumeError::io(path.display().to_string(), source);
        let root = fs::canonicalize(path).map_err(fault)?;
        let metadata = root.metadata().map_err(fault)?;
        if !metadata.is_dir() {
            return Err(fault(io::ErrorKind::NotADirectory.into()));
        }
        let own_device = is_of_this_machine(&root).then(|| metadata.dev());
        Ok(Self {
            path: path.to_owned(),
            root,
            folders: RwLock::default(),
            own_device,
            open: wkfast_files::open_itself,
        })
    }

    /// The real place of `key`, `None` if its folder is not there.
    fn locate(&self, key: &str) -> Result<Option<PathBuf>> {
        check_key(key)?;
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        Ok(self.folder(folder)?.map(|place| place.join(name)))
    }

    fn folder(&self, folder: &str) -> Result<Option<PathBuf>> {
        if let Some(place) = self.folders.read().unwrap_or_else(PoisonError::into_inner).get(folder) {
            return Ok(Some(place.clone()));
        }
        let Some(place) = self.resolve(&self.root.join(folder), folder)? else { return Ok(None) };
        let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        folders.insert(folder.to_owned(), place.clone());
        Ok(Some(place))
    }

    /// Follows all links of `place` and refuses to leave the root.
    fn resolve(&self, place: &Path, key: &str) -> Result<Option<PathBuf>> {
        let real = persistently(place, |place| fs::canonicalize(place));
        let Some(real) = real.map_err(|error| VolumeError::io(self.describe(key), error))? else { return Ok(None) };
        if !real.starts_with(&self.root) {
            let reason =
                format!("is a link that leads out of {}; copy the data or open its own folder", self.path.display());
            return Err(VolumeError::corrupt(self.describe(key), reason));
        }
        Ok(Some(real))
    }

    /// Holds the folder that a [place](DiskStore::place) lies in, made where it is missing: what has become a link since
    /// the place was found is not followed.
    fn hold_folder_of<'p>(&self, place: &'p Path) -> io::Result<(Held, &'p OsStr)> {
        let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let held = match Held::real(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Held::real(&self.root)?;
                Held::made_beneath(&self.root, folder.strip_prefix(&self.root).unwrap_or(folder))?
            }
            held => held?,
        };
        Ok((held, name))
    }

    /// What the file at `key` is, with a link of its own followed. What is no file is not taken for nothing.
    fn find(&self, key: &str) -> Result<Option<Metadata>> {
        let Some(place) = self.locate(key)? else { return Ok(None) };
        let fault = |error| VolumeError::io(self.describe(key), error);
        let mut found = stat(&place).map_err(fault)?;
        if found.as_ref().is_some_and(Metadata::is_symlink) {
            let Some(place) = self.follow(&place, key)? else { return Ok(None) };
            found = stat(&place).map_err(fault)?;
        }
        found.map(|found| regular(found).map_err(fault)).transpose()
    }

    /// Where a link at `key` leads; `None` if there is none any more. One that leads nowhere may lead to a disk that is not
    /// mounted: it is not taken for nothing.
    fn follow(&self, place: &Path, key: &str) -> Result<Option<PathBuf>> {
        if let Some(place) = self.resolve(place, key)? {
            return Ok(Some(place));
        }
        let found = stat(place).map_err(|error| VolumeError::io(self.describe(key), error))?;
        if found.is_some_and(|found| found.is_symlink()) {
            return Err(VolumeError::corrupt(self.describe(key), "is a link that leads to nothing"));
        }
        Ok(None)
    }

    /// Opens the file and hands it to `read`; `None` if there is none. Writers may replace or remove the file at any
    /// moment: what counts is the one that could be opened, and read from without a "stale file handle".
    fn with_file<T>(
        &self,
        key: &str,
        mut read: impl FnMut(File, Metadata) -> io::Result<Result<T>>,
    ) -> Result<Option<T>> {
        let Some(place) = self.locate(key)? else { return Ok(None) };
        let fault = |error| VolumeError::io(self.describe(key), error);
        let mut attempt = |place: &Path| {
            let file = (self.open)(place)?;
            let metadata = regular(file.metadata()?)?;
            read(file, metadata)
        };
        let tried = match self.own_device {
            Some(_) => persistently_here(&place, &mut attempt),
            None => persistently(&place, &mut attempt),
        };
        let found = match tried {
            Err(error) if is_link(&error) => {
                let Some(place) = self.follow(&place, key)? else { return Ok(None) };
                persistently_seen(&place, attempt).map_err(fault)?
            }
            found => found.map_err(fault)?,
        };
        found.transpose()
    }

    /// Appends what lies in `folder`, and says whether anything in it is called as chunks are.
    fn walk(&self, folder: &Path, key: &str, prefix: &str, entries: &mut Vec<Entry>) -> Result<bool> {
        let fault = |error| VolumeError::io(self.describe(key), error);
        let mut holds_chunks = false;
        for entry in fs::read_dir(folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            // A name that is no text cannot be a chunk's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let may_be_chunk = may_be_chunk(&name);
            holds_chunks |= may_be_chunk;
            let child = if key.is_empty() { name } else { format!("{key}/{name}") };
            let kind = entry.file_type().map_err(fault)?;
            if may_hold(&child, prefix) && kind.is_dir() {
                let is_on_the_way = self.walk(&entry.path(), &child, prefix, entries)?;
                // It may be in the place of a chunk, which must not be left out: whoever reads that is told.
                if may_be_chunk && !is_on_the_way && child.starts_with(prefix) {
                    entries.push(Entry { key: child, size: 1 });
                }
            } else if child.starts_with(prefix) && !kind.is_dir() {
                entries.extend(self.listed(child, &entry, kind)?);
            }
        }
        Ok(holds_chunks)
    }

    fn listed(&self, key: String, entry: &fs::DirEntry, kind: FileType) -> Result<Option<Entry>> {
        if kind.is_file() {
            // It may have been removed, or have become another, since the folder was listed.
            let metadata = stat(&entry.path()).map_err(|error| VolumeError::io(self.describe(&key), error))?;
            return Ok(metadata.map(|metadata| Entry { key, size: metadata.len() }));
        }
        // A link, or what is no file. What cannot be read is an error to whoever reads it, so it must not be left out: it
        // would be taken for zeros. Nor is it a file without bytes, which counts as nothing.
        if kind.is_symlink() && entry.path().is_dir() {
            let name = key.rsplit('/').next().unwrap_or(&key);
            if may_hold_chunks(name) {
                let reason = "is a link to a folder: chunks in it would be left out; put the folder itself there";
                return Err(VolumeError::corrupt(self.describe(&key), reason));
            }
            return Ok(may_be_chunk(name).then_some(Entry { key, size: 1 }));
        }
        let size = match self.find(&key) {
            Ok(Some(metadata)) => metadata.len(),
            Ok(None) => return Ok(None),
            Err(_) => 1,
        };
        Ok(Some(Entry { key, size }))
    }
}

impl ReadStore for DirectoryStore {
    fn describe(&self, key: &str) -> String {
        self.path.join(key).display().to_string()
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.find(key)?.map(|metadata| metadata.len()))
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        Ok(self.find(key)?.map(|metadata| Stamp::of(&metadata)))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.with_file(key, |file, metadata| {
            let size = metadata.len();
            if size > limit {
                return Ok(Err(too_large(self.describe(key), size, limit)));
            }
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(Ok(bytes))
        })
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let found = self.with_file(key, |file, metadata| {
            let size = metadata.len();
            if !within(offset, buffer.len(), size) {
                return Ok(Err(beyond_end(self.describe(key), offset, buffer.len(), size)));
            }
            file.read_exact_at(buffer, offset).map(Ok)
        })?;
        found.ok_or_else(|| VolumeError::io(self.describe(key), io::ErrorKind::NotFound.into()))
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        Some(self)
    }

    fn disk(&self) -> Option<&dyn DiskStore> {
        Some(self)
    }

    fn writer(&self) -> Option<&dyn WriteStore> {
        Some(self)
    }
}

impl ListStore for DirectoryStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folder.is_empty() {
            check_key(folder)?;
        }
        match self.folder(folder)? {
            Some(place) if place.is_dir() => drop(self.walk(&place, folder, prefix, &mut entries)?),
            _ => {}
        }
        Ok(entries)
    }
}

impl DiskStore for DirectoryStore {
    fn open_file(&self, key: &str) -> Result<Option<File>> {
        self.with_file(key, |file, _| Ok(Ok(file)))
    }

    fn pin(&self, key: &str) -> Result<Option<Pinned>> {
        self.with_file(key, |file, metadata| Ok(Ok(Pinned::new(file, &metadata, self.describe(key)))))
    }

    fn sure_state(&self, key: &str) -> Result<Option<Stamp>> {
        let Some(device) = self.own_device else { return Ok(None) };
        let Some(place) = self.locate(key)? else { return Ok(None) };
        // Whatever cannot be looked at is told of by whoever opens it.
        let found = fs::symlink_metadata(place).ok();
        let sure = found.filter(|found| found.is_file() && found.dev() == device);
        Ok(sure.map(|metadata| Stamp::of(&metadata)))
    }

    fn place(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        let mut folder = key;
        let mut absent = Vec::new();
        // The deepest folder that is there decides where all the others would be.
        while let Some((parent, name)) = folder.rsplit_once('/') {
            absent.push(name);
            folder = parent;
            if let Some(place) = self.folder(folder)? {
                return Ok(absent.iter().rev().fold(place, |place, part| place.join(part)));
            }
        }
        absent.push(folder);
        Ok(absent.iter().rev().fold(self.root.clone(), |place, part| place.join(part)))
    }
}

impl WriteStore for DirectoryStore {
    fn replace(&self, key: &str, buffer: usize) -> Result<Box<dyn NewFile>> {
        let target = self.place(key)?;
        let options = DraftOptions { buffer, make_folder: false };
        let lock = || self.hold_folder_of(&target).and_then(|(folder, name)| Draft::lock_in(folder, name, options));
        // Where the folder went while its lock was waited for, another one may have its place: who writes looks at that.
        let draft = lock().or_else(|error| if error.kind() == io::ErrorKind::NotFound { lock() } else { Err(error) });
        Ok(Box::new(DraftFile(draft.map_err(|error| VolumeError::io(target.display().to_string(), error))?)))
    }
}

/// File systems whose names and times nobody but this machine's kernel changes, by the numbers that `statfs` has for them
/// (statfs(2)): ext4, XFS, btrfs, tmpfs, overlays, ZFS, F2FS, bcachefs. Where others may, as on NFS and on FUSE, a look at a name
/// may be answered by what it was some seconds ago, and opening asks the server.
const OF_THIS_MACHINE: [u32; 8] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e];

fn is_of_this_machine(root: &Path) -> bool {
    rustix::fs::statfs(root)
        .is_ok_and(|found| OF_THIS_MACHINE.iter().any(|&number| i128::from(number) == i128::from(found.f_type)))
}

/// Whether folders of chunks are called so, in any format: `c`, `z0`, `17`.
fn may_hold_chunks(name: &str) -> bool {
    let number = name.strip_prefix(['x', 'y', 'z']).unwrap_or(name);
    name == "c" || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether files of chunks are called so, or folders of them.
fn may_be_chunk(name: &str) -> bool {
    may_hold_chunks(name) || name.strip_suffix(".wkw").is_some()
}

/// What is a file. Anything else in the place of one is an error, a folder too: taken for nothing, it would be zeros.
fn regular(found: Metadata) -> io::Result<Metadata> {
    if found.is_file() { Ok(found) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "is no regular file")) }
}

/// Whether keys below the folder `key` can start with `prefix`.
fn may_hold(key: &str, prefix: &str) -> bool {
    key.starts_with(prefix) || prefix.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static FAILURES: Cell<u32> = const { Cell::new(0) };
    }

    /// As mounts do while a writer renames a file over another.
    fn fails_now_and_then(place: &Path) -> io::Result<File> {
        let left = FAILURES.get();
        FAILURES.set(left.saturating_sub(1));
        if left > 0 { Err(io::ErrorKind::NotFound.into()) } else { File::open(place) }
    }

    fn store_that_fails() -> (tempfile::TempDir, DirectoryStore) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        fs::write(folder.path().join("1/shard"), b"voxels").unwrap();
        let store = DirectoryStore { open: fails_now_and_then, ..DirectoryStore::open(folder.path()).unwrap() };
        (folder, store)
    }

    type Call = fn(&DirectoryStore) -> Result<Option<Vec<u8>>>;

    const CALLS: [Call; 4] = [
        |store| store.read("1/shard", 9),
        |store| store.read_range("1/shard", 0..6).map(Some),
        |store| {
            let mut bytes = vec![0; 6];
            let pinned = store.pin("1/shard")?;
            pinned.map(|pinned| pinned.read_into(0, &mut bytes)).transpose()?;
            Ok(Some(bytes))
        },
        |store| Ok(store.open_file("1/shard")?.map(|file| io::read_to_string(file).unwrap().into_bytes())),
    ];

    #[test]
    fn a_file_that_is_there_is_never_taken_for_absent() {
        let (_folder, store) = store_that_fails();
        for call in CALLS {
            FAILURES.set(4);
            assert_eq!(call(&store).unwrap().unwrap(), b"voxels");
            assert_eq!(FAILURES.get(), 0);
        }
    }

    #[test]
    fn a_file_that_is_there_and_never_opens_is_an_error_that_names_it() {
        let (_folder, store) = store_that_fails();
        for call in CALLS {
            FAILURES.set(u32::MAX);
            let error = call(&store).unwrap_err().to_string();
            assert!(error.contains("1/shard: is there"), "{error}");
        }
    }

    #[test]
    fn a_look_tells_what_opening_tells_and_nothing_where_it_is_not_sure() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        fs::write(folder.path().join("1/shard"), b"voxels").unwrap();
        std::os::unix::fs::symlink("shard", folder.path().join("1/link")).unwrap();
        let store = DirectoryStore::open(folder.path()).unwrap();
        let sure = |key| store.sure_state(key).unwrap();
        let before = sure("1/shard");
        if store.own_device.is_some() {
            assert_eq!(before, store.pin("1/shard").unwrap().map(|pinned| pinned.stamp()));
        }
        assert_eq!([sure("1/link"), sure("1/none"), sure("2/none"), sure("1")], [None; 4]);
        assert!(store.sure_state("../shard").is_err());
        fs::write(folder.path().join("1/new"), b"others").unwrap();
        fs::rename(folder.path().join("1/new"), folder.path().join("1/shard")).unwrap();
        assert!(before.is_none() || sure("1/shard") != before);
        // On a file system of others, or another one below the root, whoever wants to know opens the file.
        for own_device in [None, store.own_device.map(|device| device + 1)] {
            let store = DirectoryStore { own_device, ..DirectoryStore::open(folder.path()).unwrap() };
            assert_eq!(store.sure_state("1/shard").unwrap(), None);
        }
    }
}
