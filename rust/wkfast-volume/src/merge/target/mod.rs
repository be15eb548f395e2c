//! Where a merge puts its result, and the notes that it makes meanwhile: a folder, or a folder of objects in a bucket.

mod bucket;
mod bucket_lock;
mod folder;
mod lock;
mod shard_file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::bucket::BucketTarget;
use self::folder::FolderTarget;
use crate::error::Result;
use crate::format::Container;
use crate::format::ShardFile;
use crate::store::{Address, SharedStore};
use crate::work::Observer;

/// Folder of the notes.
pub(super) const NOTES: &str = ".wkfast-merge";
/// Bytes of what the owner of a lock says of itself, at most.
const MOST_OF_OWNER: u64 = 1 << 12;

/// Where the result of a merge goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MergeTarget {
    /// A directory.
    Directory(PathBuf),
    /// A folder of objects in a bucket.
    Objects(Address),
}

/// Whom else a process working on a target tolerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody: the process runs the whole merge.
    Exclusive,
    /// Others that share: tasks of one job array.
    Shared,
    /// Whoever it is: a worker whose coordinator holds the lock.
    Coordinated,
}

impl MergeTarget {
    /// The result's layers and mags are read from here.
    pub fn container(&self) -> Container {
        match self {
            Self::Directory(path) => Container::Directory { path: path.clone() },
            Self::Objects(address) => Container::Objects(address.clone()),
        }
    }

    /// The directory, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Objects(_) => None,
        }
    }

    /// What makes and changes it. Nothing is asked for yet.
    pub(super) fn open(&self) -> Result<Arc<dyn Target>> {
        Ok(match self {
            Self::Directory(path) => Arc::new(FolderTarget::new(path.clone())),
            Self::Objects(address) => Arc::new(BucketTarget::open(address)?),
        })
    }
}

impl fmt::Display for MergeTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(out),
            Self::Objects(address) => address.shown().fmt(out),
        }
    }
}

/// What a target can do. Keys are paths relative to it.
pub(super) trait Target: fmt::Debug + Send + Sync {
    /// What to call a file of it in messages.
    fn name(&self, key: &str) -> String;

    /// Refuses what is no place for a result. False where there is nothing yet.
    fn check(&self) -> Result<bool>;

    /// Something that lies in it besides the notes.
    fn anything_else(&self) -> Result<Option<String>>;

    /// Whether there is such a file.
    fn has(&self, key: &str) -> Result<bool>;

    /// A small file, `None` if there is none.
    fn read(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// The first bytes of files, `None` for those that are not there. Of a server all are asked for together.
    fn read_starts(&self, keys: &[&str], length: u64) -> Result<Vec<Option<Vec<u8>>>>;

    /// Makes a small file, which is there whole or not at all.
    fn put(&self, key: &str, content: &[u8]) -> Result<()>;

    /// Removes a file. One that is not there is passed over.
    fn remove(&self, key: &str) -> Result<()>;

    /// Makes room for the notes.
    fn begin(&self) -> Result<()>;

    /// Takes the lock, `None` where somebody else holds it for this process. While one has to be watched, `observer` is
    /// called.
    fn lock(&self, access: Access, observer: &mut Observer) -> Result<Option<Box<dyn Held>>>;

    /// Whether somebody is at work, as far as the lock tells.
    fn is_held(&self) -> Result<bool>;

    /// Whether what was noted may be gone when a machine went down.
    fn may_forget(&self) -> bool;

    /// Hands what processes noted to `take`, each text one process's lines, of files whose names are `wanted`.
    fn notes(&self, wanted: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str)) -> Result<()>;

    /// Starts notes whose name begins with `stem` and whose first line is `head`.
    fn note(&self, stem: &str, head: &str) -> Result<Box<dyn Notebook>>;

    /// Removes all notes and what else is there besides the result. What others have open may stay.
    fn clear(&self) -> Result<()>;

    /// Starts the file `key` of about `size` bytes.
    fn shard(&self, key: &str, size: u64) -> Result<Box<dyn NewShard>>;

    /// Makes the file `key` a copy of `from`, which has `size` bytes.
    fn copy(&self, source: &SharedStore, from: &str, size: u64, key: &str) -> Result<Copied>;

    /// Whether whoever asks for copies only waits for them, and may ask for many at once.
    fn waits_for_copies(&self) -> bool {
        false
    }

    /// Makes the file `key` a second name of the file `from`. False where that cannot be.
    fn link(&self, source: &SharedStore, from: &str, key: &str) -> Result<bool>;

    /// Size of the file `key` of the result, if it is there.
    fn size(&self, key: &str) -> Result<Option<u64>>;

    /// Waits until all would outlive a loss of power.
    fn sync(&self) -> Result<()>;
}

/// A lock that is held until it is dropped.
pub(super) trait Held: fmt::Debug + Send + Sync {
    /// Whether it is known already that another one has been taken for one that is over.
    fn is_lost(&self) -> bool {
        false
    }

    /// Refuses to go on where another one has been taken for one that is over.
    fn check(&self) -> Result<()>;
}

/// Lines that one process writes.
pub(super) trait Notebook: fmt::Debug + Send {
    /// Adds a line.
    fn append(&mut self, line: &str) -> Result<()>;

    /// Lets others see all of them.
    fn flush(&mut self) -> Result<()>;
}

/// A file of the result under construction. Dropped before it is in place, it leaves nothing.
pub(super) trait NewShard: ShardFile {
    /// Puts it in place and returns its size.
    fn place(self: Box<Self>) -> Result<u64>;
}

/// What it took to copy a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// Bytes that passed through this process.
    pub(super) read: u64,
    /// Bytes of the file.
    pub(super) size: u64,
}
