//! What only servers of buckets can: decide who came first, take objects in parts, copy by themselves.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object_store::Error;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{BucketStore, Part, ReadStore, Upload, Version};

use crate::across;
use crate::address::Reached;
use crate::again::asked;
use crate::budget::Leave;
use crate::conditions::put_if;
use crate::connection::{self, Connection};
use crate::failure::is_absent;
use crate::parts::{PARTING, PartUpload};
use crate::reading::piece;
use crate::runtime::{runtime, wait_for};
use crate::store::ObjectFiles;

/// What is released says of itself no more than this.
const LARGEST_LOCK: u64 = 1 << 16;

/// S3 copies no larger objects in one request.
const LARGEST_COPY: u64 = 5 << 30;

impl BucketStore for ObjectFiles {
    fn read_version(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        wait_for(read_version(&connection, &path, limit))
    }

    fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        wait_for(connection.put(&path, content.into())).map(drop)
    }

    fn put_if(&self, key: &str, content: Vec<u8>, expected: Option<&Version>) -> Result<Option<Version>> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        wait_for(put_if(&connection, &path, content.into(), expected))
    }

    fn remove(&self, keys: &[String]) -> Result<()> {
        let connection = self.connection()?;
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>>>()?;
        // Of many that are removed with one request, which it was is not told.
        let name = if let [key] = keys { self.describe(key) } else { self.describe("") };
        wait_for(async {
            let removed = asked(|| remove_all(&connection, &paths)).await;
            removed.map_err(|error| connection.failed_at(name, &error))
        })
    }

    fn release(&self, key: &str, own: &dyn Fn(&[u8]) -> bool) -> Result<()> {
        let (connection, path) = (self.connection()?, self.path(key)?);
        let released = async {
            match read_version(&connection, &path, LARGEST_LOCK).await? {
                Some((content, _)) if own(&content) => {}
                _ => return Ok(()),
            }
            connection.delete(&path).await
        };
        let ended = runtime()?.block_on(async { tokio::time::timeout(PARTING, released).await });
        ended.unwrap_or(Err(VolumeError::Interrupted))
    }

    fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(PartUpload::begin(self.connection()?, self.path(key)?)))
    }

    fn copy_from(&self, source: &dyn ReadStore, from: &str, size: u64, to: &str) -> Result<bool> {
        let Some(address) = source.address().filter(|_| size <= LARGEST_COPY) else { return Ok(false) };
        let (there, here) = (ObjectFiles::open(address.clone())?, self.connection()?);
        let (from, to) = (there.path(from)?, self.path(to)?);
        let source = connection::shared(&Reached(address.clone()))?;
        wait_for(async {
            // The requests of one connection are for one bucket.
            if !Arc::ptr_eq(&source, &here) {
                return Ok(across::copy(&here, &source, &from, &to).await);
            }
            match asked(|| here.objects.copy(&from, &to)).await {
                Ok(()) => Ok(true),
                Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => Ok(false),
                Err(error) => Err(here.failed(&from, &error)),
            }
        })
    }
}

/// Removes objects; those that are not there are passed over.
async fn remove_all(connection: &Connection, paths: &[Path]) -> object_store::Result<()> {
    let mut removed = connection.objects.delete_stream(stream::iter(paths.to_vec()).map(Ok).boxed());
    while let Some(done) = removed.next().await {
        match done {
            Err(error) if !is_absent(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) async fn read_version(
    connection: &Connection,
    path: &Path,
    limit: u64,
) -> Result<Option<(Vec<u8>, Version)>> {
    let found = piece(connection, path, &Part::Whole(limit), &mut Leave::unlimited()).await?;
    Ok(found.map(|piece| (piece.bytes, piece.version)))
}
