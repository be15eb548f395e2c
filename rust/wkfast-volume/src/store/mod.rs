//! Where bytes lie: directories, archives, memory. A store maps keys (`/`-separated relative paths) to bytes and
//! knows nothing of voxels.

mod counting;
mod directory;
mod memory;
mod zip;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) use self::conformance::zipped as zip_bytes;

use std::fs::{File, Metadata};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use wkfast_files::zip::check_name;

pub use self::counting::{CountingStore, Counts};
pub use self::directory::DirectoryStore;
pub use self::memory::MemoryStore;
pub use self::zip::ZipStore;
use crate::error::{Result, VolumeError};
pub use wkfast_files::zip::{Packed, ZipWriter};

/// A file in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key: a relative path with `/` between its parts.
    pub key: String,
    /// Bytes when read (uncompressed, for archives).
    pub size: u64,
}

/// State of a file: equal as long as nobody has written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes when read.
    pub size: u64,
    /// Time of the last change, where the store knows it.
    pub modified: Option<SystemTime>,
    /// Number of the file on its file system, where it has one: files that replace each other within one tick of the
    /// clock differ in it.
    pub inode: Option<u64>,
}

impl Stamp {
    /// The state that the system tells of.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok(), inode: Some(metadata.ino()) }
    }
}

/// A file on disk, held open: it stays what it is while it is read, whatever takes its name meanwhile.
#[derive(Debug)]
pub struct Pinned {
    file: File,
    stamp: Stamp,
    /// For messages.
    name: String,
}

impl Pinned {
    /// State of the file when it was opened.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Fills `buffer` from `offset` on; a file that ends earlier is an error.
    pub fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if !within(offset, buffer.len(), self.stamp.size) {
            return Err(beyond_end(self.name.clone(), offset, buffer.len(), self.stamp.size));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| VolumeError::io(self.name.clone(), error))
    }
}

/// Read access by key, from many threads at once.
///
/// Keys are checked by every method: a key with an empty, `.` or `..` part is an error, never a path.
pub trait ReadStore: Send + Sync + std::fmt::Debug {
    /// What to call `key` in messages: a path, or `archive.zip!member`.
    fn describe(&self, key: &str) -> String;

    /// All files whose key starts with `prefix`, in no particular order.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>>;

    /// Size of the file, `None` if there is none.
    fn size(&self, key: &str) -> Result<Option<u64>>;

    /// What changes when the file does, `None` if there is none.
    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        Ok(self.size(key)?.map(|size| Stamp { size, modified: None, inode: None }))
    }

    /// Whether files can be [pinned](Self::pin). Those of archives need not be: nobody replaces them one by one.
    fn pins(&self) -> bool {
        false
    }

    /// The file, held open; `None` where there is none, or where the store does not [pin](Self::pins).
    fn pin(&self, _key: &str) -> Result<Option<Pinned>> {
        Ok(None)
    }

    /// The whole file, `None` if there is none. Refuses files larger than `limit` bytes before reading them.
    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Fills `buffer` from `offset` on; a file that ends earlier is an error.
    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// `range` of the file, which must lie within it.
    fn read_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        self.read_into(key, range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Where the file `key` lies on disk, or would lie; `None` in a store that nobody writes to. A place that links put
    /// outside of the store is an error.
    fn place(&self, _key: &str) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// The file itself where it is one on disk, so that the kernel can copy from it; `None` for members of archives.
    fn open_file(&self, key: &str) -> Result<Option<File>>;
}

/// A store that several threads share.
pub type SharedStore = Arc<dyn ReadStore>;

/// A directory, an archive, or an archive inside an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Container {
    /// A directory.
    Directory {
        /// Its path.
        path: PathBuf,
    },
    /// A zip file, read in place.
    Zip {
        /// Its path.
        path: PathBuf,
        /// The inner zip file to read from instead, as annotations have it.
        member: Option<String>,
    },
}

impl Container {
    /// Opens it for reading. An archive that somebody has open already is shared.
    pub fn open(&self) -> Result<SharedStore> {
        Ok(match self {
            Self::Directory { path } => Arc::new(DirectoryStore::open(path)?),
            Self::Zip { path, member } => Arc::new(ZipStore::open(path, member.as_deref())?),
        })
    }
}

/// Accepts relative paths without tricks.
fn check_key(key: &str) -> Result<()> {
    check_name(key).map_err(|reason| VolumeError::corrupt(format!("{key:?}"), reason))
}

/// `key` is larger than its reader allows.
fn too_large(file: String, size: u64, limit: u64) -> VolumeError {
    VolumeError::corrupt(file, format!("holds {size} bytes where at most {limit} are expected"))
}

/// A range that leaves its file.
fn beyond_end(file: String, offset: u64, length: usize, size: u64) -> VolumeError {
    VolumeError::corrupt(file, format!("has {size} bytes, needed are {length} from byte {offset} on"))
}

/// Whether `length` bytes from `offset` on lie within `size`.
fn within(offset: u64, length: usize, size: u64) -> bool {
    offset.checked_add(length as u64).is_some_and(|end| end <= size)
}
