//! A folder of objects as a store.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use wkfast_http::OfProcess;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{
    Address, BucketStore, Entry, Fetch, ListStore, NewFile, Part, ReadStore, Stamp, Take, Version, WriteStore,
    check_key,
};

use crate::address::{Kind, Reached};
use crate::again::asked;
use crate::batch::batch;
use crate::budget::Leave;
use crate::connection::{self, Connection};
use crate::credentials::LIST;
use crate::reading::{self, Piece};
use crate::runtime::wait_for;
use crate::{aws, streaming, writing};

/// Objects below an address. A process connects with its first request.
pub struct ObjectFiles {
    address: Reached,
    kind: Kind,
    prefix: String,
    connection: OfProcess<Mutex<Arc<Connection>>>,
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ObjectFiles").field(&self.address.0).finish()
    }
}

impl ObjectFiles {
    /// The objects below `address`. Nothing is asked for yet.
    pub fn open(address: Address) -> Result<Self> {
        let address = Reached(address);
        let (kind, prefix) = (address.kind()?, address.prefix()?);
        Ok(Self { address, kind, prefix, connection: OfProcess::new() })
    }

    /// The server of S3 that is named for it, by an option, the environment or a profile of AWS's tools.
    pub fn endpoint(&self) -> Option<String> {
        (self.kind == Kind::S3).then(|| aws::endpoint(&self.address.0.options))?
    }

    pub(crate) fn connection(&self) -> Result<Arc<Connection>> {
        let kept = self.connection.get(|| connection::shared(&self.address).map(Mutex::new))?;
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_refused() {
            // Expired credentials are mended where they are, under folders that are open.
            *kept = connection::shared(&self.address)?;
        }
        Ok(Arc::clone(&kept))
    }

    /// The whole name of an object.
    pub(crate) fn path(&self, key: &str) -> Result<Path> {
        check_key(key)?;
        let whole = if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(whole).map_err(|error| VolumeError::corrupt(self.describe(key), error.to_string()))
    }

    fn piece(&self, key: &str, part: &Part) -> Result<Option<Piece>> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        wait_for(reading::piece(&connection, &path, part, &mut Leave::unlimited()))
    }
}

impl ReadStore for ObjectFiles {
    fn describe(&self, key: &str) -> String {
        format!("{}/{key}", self.address.0.shown())
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.stamp(key)?.map(|stamp| stamp.size))
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        Ok(wait_for(connection.head(&path))?.as_ref().map(stamp_of))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.piece(key, &Part::Whole(limit))?.map(|piece| piece.bytes))
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let length = buffer.len() as u64;
        let end = offset.checked_add(length).ok_or_else(|| beyond(self.describe(key), offset, length))?;
        let piece = self.piece(key, &Part::Range(offset..end))?;
        let piece = piece.ok_or_else(|| VolumeError::io(self.describe(key), ErrorKind::NotFound.into()))?;
        buffer.copy_from_slice(&piece.bytes);
        Ok(())
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        batch(self, fetches, take)
    }

    fn stream(&self, key: &str, range: Range<u64>, stamp: Stamp) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(streaming::stream_of(self, key, range, stamp)?))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn trusts_shapes(&self) -> bool {
        self.address.0.options.get(LIST).is_some_and(|list| list == "false")
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        (self.kind != Kind::Http && !self.trusts_shapes()).then_some(self)
    }

    fn writer(&self) -> Option<&dyn WriteStore> {
        (self.kind != Kind::Http).then_some(self)
    }

    fn bucket(&self) -> Option<&dyn BucketStore> {
        (self.kind != Kind::Http).then_some(self)
    }

    fn address(&self) -> Option<&Address> {
        Some(&self.address.0)
    }
}

impl ListStore for ObjectFiles {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let connection = self.connection()?;
        // Servers list folders; names that only begin alike are picked out here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let whole = [self.prefix.as_str(), folder].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let root = Path::parse(whole.join("/"))
            .map_err(|error| VolumeError::corrupt(self.describe(prefix), error.to_string()))?;
        let listed = wait_for(async {
            let found = asked(|| connection.objects.list(Some(&root)).try_collect::<Vec<_>>()).await;
            found.map_err(|error| connection.failed(&root, &error))
        })?;
        let own = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let entry = |meta: ObjectMeta| {
            let key = meta.location.as_ref().strip_prefix(&own)?.to_owned();
            key.starts_with(prefix).then_some(Entry { key, size: meta.size })
        };
        Ok(listed.into_iter().filter_map(entry).collect())
    }
}

impl WriteStore for ObjectFiles {
    fn replace(&self, key: &str, _buffer: usize) -> Result<Box<dyn NewFile>> {
        Ok(Box::new(writing::NewObject::begin(self.connection()?, self.path(key)?)?))
    }
}

/// The state of an object: its tag says more than its time, which may be the same for two within a second.
pub(crate) fn stamp_of(meta: &ObjectMeta) -> Stamp {
    let number = |tag: &String| {
        let mut hasher = DefaultHasher::new();
        tag.hash(&mut hasher);
        hasher.finish()
    };
    let modified = SystemTime::from(meta.last_modified);
    Stamp { size: meta.size, modified: Some(modified), inode: meta.e_tag.as_ref().map(number) }
}

/// What tells an object from the one that takes its place.
pub(crate) fn version_of(meta: &ObjectMeta) -> Version {
    Version { tag: meta.e_tag.clone(), number: meta.version.clone() }
}

pub(crate) fn beyond(file: String, offset: u64, length: u64) -> VolumeError {
    VolumeError::corrupt(file, format!("ends before byte {}", offset.saturating_add(length)))
}
