//! Layers that a WEBKNOSSOS data store streams, as a store: below an address lie the array metadata and the chunks of a
//! mag, and a chunk of which the server says that it has no data is not there.

mod access;
mod asking;
mod cutting;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod refusal;
mod stores;

pub use access::{Access, hold};
pub use refusal::{fills_box, tells_absence};

use std::io::ErrorKind;
use std::sync::Arc;

use object_store::path::Path;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Address, Fetch, Origin, Part, ReadStore, Stamp, Take, Version, check_key};

use self::asking::Asker;
use crate::batch::{Answers, Request, run};
use crate::budget::Leave;
use crate::reading::Piece;
use crate::runtime::wait_for;

/// What addresses of streamed mags begin with, before `https://` or `http://`.
pub(crate) const SCHEME: &str = "webknossos+";

/// A mag as a data store streams it.
#[derive(Debug)]
pub(crate) struct StreamedFiles {
    asker: Arc<Asker>,
}

impl StreamedFiles {
    /// The mag at `address`. Nothing is asked for yet.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        Ok(Self { asker: Arc::new(Asker::new(address)?) })
    }
}

impl ReadStore for StreamedFiles {
    fn describe(&self, key: &str) -> String {
        self.asker.name(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.read(key, u64::MAX)?.map(|bytes| bytes.len() as u64))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        check_key(key)?;
        wait_for(self.asker.ask(key, limit))
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = self.read(key, u64::MAX)?;
        let bytes = bytes.ok_or_else(|| VolumeError::io(self.describe(key), ErrorKind::NotFound.into()))?;
        let part = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)?.get(..buffer.len()));
        let part = part.ok_or_else(|| {
            let reason = format!("has {} bytes, needed are {} from byte {offset} on", bytes.len(), buffer.len());
            VolumeError::corrupt(self.describe(key), reason)
        })?;
        buffer.copy_from_slice(part);
        Ok(())
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        let request = |(number, fetch): (usize, &Fetch<'_>)| {
            let (Origin::Key(key), Part::Whole(_)) = (fetch.origin, &fetch.part) else {
                let what = "is streamed whole, and by its name only".to_owned();
                return Err(VolumeError::Unsupported { file: format!("{:?}", fetch.origin), what });
            };
            check_key(key)?;
            let path = Path::parse(key).map_err(|error| VolumeError::corrupt(self.describe(key), error.to_string()))?;
            Ok(Request { path, part: fetch.part.clone(), state: None, serves: vec![(number, None)] })
        };
        let requests = fetches.iter().enumerate().map(request).collect::<Result<Vec<_>>>()?;
        run(&self.asker, requests, take)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn trusts_shapes(&self) -> bool {
        true
    }

    fn cuts_out(&self) -> bool {
        self.asker.cutter.is_some()
    }
}

impl Answers for Asker {
    async fn found(&self, request: &Request, _: &mut Leave) -> Result<Option<Piece>> {
        let Part::Whole(limit) = request.part else { return Ok(None) };
        let bytes = self.ask(request.path.as_ref(), limit).await?;
        Ok(bytes.map(|bytes| {
            let stamp = Stamp { size: bytes.len() as u64, modified: None, inode: None };
            Piece { bytes, stamp, version: Version { tag: None, number: None } }
        }))
    }
}
