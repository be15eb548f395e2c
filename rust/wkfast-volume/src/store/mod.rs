//! Where bytes lie: directories, archives, memory. A store maps keys (`/`-separated relative paths) to bytes and
//! knows nothing of voxels.

mod address;
mod batch;
mod bucket;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
mod counting;
mod cut_out;
mod directory;
mod draft_file;
mod far_file;
mod memory;
#[cfg(any(test, feature = "conformance"))]
mod slow;
mod stamp;
#[cfg(test)]
mod tests;
mod together;
mod zip;

#[cfg(test)]
pub(crate) use self::tests::zipped as zip_bytes;

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wkfast_files::zip::check_name;

pub use self::address::{Address, Opener, WITHHELD, is_secret, open_addresses_with, user_in};
pub use self::batch::read_whole;
pub use self::batch::{Fetch, Found, Origin, Part, Take};
pub(crate) use self::batch::{Slots, on_pool, read_all, read_near};
pub use self::bucket::{BucketStore, Upload, Version};
#[cfg(any(test, feature = "conformance"))]
pub use self::counting::{CountingStore, Requests};
pub use self::cut_out::CutOut;
pub use self::directory::DirectoryStore;
use self::far_file::Pieces;
pub use self::far_file::{far_file, far_zip, fetch};
pub use self::memory::MemoryStore;
#[cfg(any(test, feature = "conformance"))]
pub use self::slow::SlowStore;
pub use self::stamp::Stamp;
pub(crate) use self::together::together;
pub use self::zip::ZipStore;
use crate::error::{Result, VolumeError};
pub use wkfast_files::zip::{FarFile, Packed, ZipWriter};

/// A file in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key: a relative path with `/` between its parts.
    pub key: String,
    /// Bytes when read (uncompressed, for archives).
    pub size: u64,
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
    pub(self) fn new(file: File, metadata: &Metadata, name: String) -> Self {
        Self { file, stamp: Stamp::of(metadata), name }
    }

    /// State of the file when it was opened.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The file once more. Both share where they are in it.
    pub(crate) fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| VolumeError::io(self.name.clone(), error))
    }

    /// Fills `buffer` from `offset` on; a file that ends earlier is an error.
    pub fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if !within(offset, buffer.len(), self.stamp.size) {
            return Err(beyond_end(self.name.clone(), offset, buffer.len(), self.stamp.size));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| VolumeError::io(self.name.clone(), error))
    }
}

/// Read access by key, from many threads at once. What only some stores can is a trait of its own, and asked for:
/// [`lister`](Self::lister), [`disk`](Self::disk), [`writer`](Self::writer), [`bucket`](Self::bucket).
///
/// Keys are checked by every method: a key with an empty, `.` or `..` part is an error, never a path.
pub trait ReadStore: Send + Sync + std::fmt::Debug {
    /// What to call `key` in messages: a path, or `archive.zip!member`.
    fn describe(&self, key: &str) -> String;

    /// Size of the file, `None` if there is none.
    fn size(&self, key: &str) -> Result<Option<u64>>;

    /// What changes when the file does, `None` if there is none.
    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        Ok(self.size(key)?.map(|size| Stamp { size, modified: None, inode: None }))
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

    /// Reads all that is asked for, in an order that suits the store, and hands each piece to `take` as soon as it is
    /// there, from several threads at once. The first error ends it.
    ///
    /// Unless a store knows better, the threads of the current rayon pool read one piece after the other.
    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        read_near(self, fetches, take)
    }

    /// The bytes of `range` of the file one after the other, as long as the file is in the state `stamp`.
    ///
    /// Unless a store knows better, a piece is read when it is wanted.
    fn stream(&self, key: &str, range: Range<u64>, stamp: Stamp) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Pieces::new(self, key, range, stamp)))
    }

    /// Whether each request costs so long a wait that what is known of a file is used until reading shows that the file
    /// has changed.
    fn is_far(&self) -> bool {
        false
    }

    /// Whether all that the shape of an array has room for is to be taken for there, until it is read: nobody lists what is.
    fn trusts_shapes(&self) -> bool {
        false
    }

    /// Whether boxes of an array are files as well, see [`CutOut`].
    fn cuts_out(&self) -> bool {
        false
    }

    /// The store as one whose keys can be listed.
    fn lister(&self) -> Option<&dyn ListStore> {
        None
    }

    /// The store as one on a disk of this machine, or mounted as one.
    fn disk(&self) -> Option<&dyn DiskStore> {
        None
    }

    /// The store as one that can be written to.
    fn writer(&self) -> Option<&dyn WriteStore> {
        None
    }

    /// The store as one whose server decides who came first.
    fn bucket(&self) -> Option<&dyn BucketStore> {
        None
    }

    /// What changes when the one file does that all its keys are in: an archive on a server.
    fn archive_state(&self) -> Option<String> {
        None
    }

    /// What its server calls it, where it has one.
    fn address(&self) -> Option<&Address> {
        None
    }
}

/// A store that knows its keys.
pub trait ListStore: Send + Sync {
    /// All files whose key starts with `prefix`, in no particular order.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>>;
}

/// A store whose files the operating system opens.
pub trait DiskStore: Send + Sync {
    /// The file itself, so that the kernel can copy from it; `None` if there is none.
    fn open_file(&self, key: &str) -> Result<Option<File>>;

    /// The file, held open; `None` if there is none.
    fn pin(&self, key: &str) -> Result<Option<Pinned>>;

    /// State of the file, where a look at its name tells as surely as opening it would: on a file system of this machine.
    /// `None` elsewhere, for links, and where there is no file.
    fn sure_state(&self, key: &str) -> Result<Option<Stamp>>;

    /// Where the file `key` lies, or would lie. A place that links put outside of the store is an error.
    fn place(&self, key: &str) -> Result<PathBuf>;
}

/// A store whose files can be replaced.
pub trait WriteStore: Send + Sync {
    /// Starts the file that becomes `key`, once nobody else is at it. `buffer` bytes are gathered before they are
    /// written; what is written at once needs none.
    fn replace(&self, key: &str, buffer: usize) -> Result<Box<dyn NewFile>>;
}

/// A file under construction. Readers see the old file, or this one when it is whole. Dropped before that, it leaves
/// nothing.
pub trait NewFile: Write + Seek + Send {
    /// Appends `range` of `source`, by the kernel where it can.
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        copy_range(source, range, self)
    }

    /// Waits until what was written would outlive a loss of power.
    fn sync(&mut self) -> io::Result<()>;

    /// Puts the file in its place. False, and nothing is done, where the folder has been replaced meanwhile with all
    /// that was in it.
    fn place(&mut self) -> io::Result<bool>;

    /// Removes the file that this one was to replace, if there is one. False as for [`place`](Self::place).
    fn remove_target(&mut self) -> io::Result<bool>;
}

const CANNOT_BE_LISTED: &str = "cannot be listed: the server does not tell which files it has, or nobody may ask; of Zarr arrays, \
                                the storage option list=False takes all that their shape has room for";

/// The files of `store` whose key starts with `prefix`; an error where the store cannot tell.
pub fn list(store: &dyn ReadStore, prefix: &str) -> Result<Vec<Entry>> {
    match store.lister() {
        Some(lister) => lister.list(prefix),
        None => Err(VolumeError::Unsupported { file: store.describe(prefix), what: CANNOT_BE_LISTED.to_owned() }),
    }
}

/// `store` as a bucket; an error where it is none: what lies there is only read.
pub fn bucket_of<'a>(store: &'a dyn ReadStore, key: &str) -> Result<&'a dyn BucketStore> {
    store.bucket().ok_or_else(|| VolumeError::Unsupported {
        file: store.describe(key),
        what: "nothing can be written there, to a server of files; choose a bucket or a folder".to_owned(),
    })
}

/// Appends `range` of `source` to `out` by way of memory; a source that ends before is an error.
pub(crate) fn copy_range(source: &mut File, range: Range<u64>, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let length = range.end - range.start;
    source.seek(SeekFrom::Start(range.start))?;
    let copied = io::copy(&mut source.take(length), out)?;
    if copied < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// The file itself where it is one on disk.
pub(crate) fn open_file(store: &dyn ReadStore, key: &str) -> Result<Option<File>> {
    store.disk().map_or(Ok(None), |disk| disk.open_file(key))
}

/// A store that several threads share.
pub type SharedStore = Arc<dyn ReadStore>;

/// A directory, an archive, an archive inside an archive, or a folder of objects.
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
    /// A folder of objects in a bucket or on a server of files.
    Objects(Address),
    /// A zip file there, read in place.
    ObjectZip {
        /// The folder that it lies in.
        folder: Address,
        /// Its name there.
        name: String,
        /// The inner zip file to read from instead.
        member: Option<String>,
        /// The [state](Stamp) that it is in, where that is known: if it is in another, reading fails.
        #[serde(default)]
        state: Option<String>,
    },
}

impl Container {
    /// Whether it is opened and read by requests to a server.
    pub fn is_far(&self) -> bool {
        matches!(self, Self::Objects(_) | Self::ObjectZip { .. })
    }

    /// Opens it for reading. An archive that somebody has open already is shared.
    pub fn open(&self) -> Result<SharedStore> {
        Ok(match self {
            Self::Directory { path } => Arc::new(DirectoryStore::open(path)?),
            Self::Zip { path, member } => Arc::new(ZipStore::open(path, member.as_deref())?),
            Self::Objects(address) => address::open(address)?,
            Self::ObjectZip { folder, name, member, state } => {
                Arc::new(ZipStore::open_far(far_zip(folder, name, state.as_deref())?, member.as_deref())?)
            }
        })
    }
}

/// Accepts relative paths without tricks.
pub fn check_key(key: &str) -> Result<()> {
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
