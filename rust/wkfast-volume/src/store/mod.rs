//! Where bytes lie: directories, archives, memory. A store maps keys (`/`-separated relative paths) to bytes and
//! knows nothing of voxels.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;

/// A file in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key: a relative path with `/` between its parts.
    pub key: String,
    /// Bytes when read (uncompressed, for archives).
    pub size: u64,
}

/// Read access by key, from many threads at once.
pub trait ReadStore: Send + Sync + std::fmt::Debug {
    /// What to call `key` in messages: a path, or `archive.zip!member`.
    fn describe(&self, key: &str) -> String;

    /// All files whose key starts with `prefix`, in no particular order.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>>;

    /// Size of the file, `None` if there is none.
    fn size(&self, key: &str) -> Result<Option<u64>>;

    /// The whole file, `None` if there is none. Refuses files larger than `limit` bytes before reading them.
    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// `range` of the file, which must lie within it.
    fn read_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// The file itself where it is one on disk, so that the kernel can copy from it; `None` for members of archives.
    fn open_file(&self, key: &str) -> Result<Option<File>>;
}

/// A store that several threads share.
pub type SharedStore = Arc<dyn ReadStore>;
