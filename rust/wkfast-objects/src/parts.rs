//! Objects that are sent in parts while they are made.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, PutPayload};
use tokio::task::JoinSet;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::Upload;

use crate::again::asked;
use crate::connection::Connection;
use crate::runtime::{runtime, wait_for};

/// Bytes of a part; servers take no smaller ones but for the last, and ten thousand of them.
pub(crate) const PART: usize = 8 << 20;
/// Parts of one object that are on their way at once.
const ON_THEIR_WAY: usize = 2;
/// How long whoever gives up waits for the server to throw away what it has got.
pub(crate) const PARTING: Duration = Duration::from_secs(5);

/// An object in parts: the first one stays in memory until the end, so that it can be rewritten.
pub(crate) struct PartUpload {
    connection: Arc<Connection>,
    path: Path,
    first: Vec<u8>,
    /// What comes after the parts that have been sent.
    last: Vec<u8>,
    /// Where the next byte goes.
    at: u64,
    sending: Option<Sending>,
    name: String,
}

/// Parts that have been sent, or are on their way.
struct Sending {
    parts: Arc<dyn MultipartStore>,
    id: MultipartId,
    /// Parts after the first one that were begun.
    begun: usize,
    on_their_way: JoinSet<object_store::Result<(usize, PartId)>>,
    done: BTreeMap<usize, PartId>,
}

impl PartUpload {
    pub(crate) fn begin(connection: Arc<Connection>, path: Path) -> Self {
        let name = connection.name(&path);
        Self { connection, path, first: Vec::new(), last: Vec::new(), at: 0, sending: None, name }
    }

    /// Bytes of the object so far.
    fn size(&self) -> u64 {
        let sent = self.sending.as_ref().map_or(0, |sending| sending.begun);
        (self.first.len() + sent * PART + self.last.len()) as u64
    }

    /// Writes what fits where the next byte goes, and tells how much that is.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.at as usize;
        if at < PART {
            let length = bytes.len().min(PART - at);
            if self.first.len() < at + length {
                self.first.resize(at + length, 0);
            }
            self.first[at..at + length].copy_from_slice(&bytes[..length]);
            return Ok(length);
        }
        if self.at != self.size() {
            return Err(io::Error::new(ErrorKind::Unsupported, "has been sent and cannot be rewritten"));
        }
        let length = bytes.len().min(PART - self.last.len());
        self.last.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Sends the last part, once there is room on the way.
    fn send_last(&mut self) -> Result<()> {
        let content = std::mem::take(&mut self.last);
        let (connection, path) = (Arc::clone(&self.connection), self.path.clone());
        let sending = self.sending()?;
        sending.begun += 1;
        sending.send(&path, sending.begun, content)?;
        sending.wait(&connection, &path, ON_THEIR_WAY)
    }

    /// What has been sent, begun with the first question for it.
    fn sending(&mut self) -> Result<&mut Sending> {
        if self.sending.is_none() {
            let (connection, path) = (&self.connection, &self.path);
            let parts = connection.parts.clone().ok_or_else(|| VolumeError::Unsupported {
                file: self.name.clone(),
                what: "its server takes no objects in parts".to_owned(),
            })?;
            let id = wait_for(async {
                let begun = asked(|| parts.create_multipart(path)).await;
                begun.map_err(|error| connection.failed(path, &error))
            })?;
            let (on_their_way, done) = (JoinSet::new(), BTreeMap::new());
            self.sending = Some(Sending { parts, id, begun: 0, on_their_way, done });
        }
        self.sending.as_mut().ok_or(VolumeError::Interrupted)
    }

    fn end(&mut self) -> Result<u64> {
        let size = self.size();
        let (connection, path) = (Arc::clone(&self.connection), self.path.clone());
        if self.sending.is_none() && size <= PART as u64 {
            let content = std::mem::take(&mut self.first);
            wait_for(connection.put(&path, content.into()))?;
            return Ok(size);
        }
        if !self.last.is_empty() {
            self.send_last()?;
        }
        let first = std::mem::take(&mut self.first);
        let sending = self.sending()?;
        sending.send(&path, 0, first)?;
        sending.wait(&connection, &path, 0)?;
        let parts: Vec<_> = std::mem::take(&mut sending.done).into_values().collect();
        wait_for(sending.complete(&connection, &path, parts, size))?;
        self.sending = None;
        Ok(size)
    }
}

impl Sending {
    fn send(&mut self, path: &Path, number: usize, content: Vec<u8>) -> Result<()> {
        let (parts, id, path) = (Arc::clone(&self.parts), self.id.clone(), path.clone());
        let send = async move {
            let content = PutPayload::from(content);
            let part = asked(|| parts.put_part(&path, &id, number, content.clone())).await?;
            Ok((number, part))
        };
        self.on_their_way.spawn_on(send, runtime()?.handle());
        Ok(())
    }

    /// Waits until no more than `left` parts are on their way.
    fn wait(&mut self, connection: &Connection, path: &Path, left: usize) -> Result<()> {
        while self.on_their_way.len() > left {
            let sent = wait_for(async { Ok(self.on_their_way.join_next().await) })?;
            match sent {
                Some(Ok(Ok((number, part)))) => _ = self.done.insert(number, part),
                Some(Ok(Err(error))) => return Err(connection.failed(path, &error)),
                Some(Err(_)) | None => return Err(VolumeError::Interrupted),
            }
        }
        Ok(())
    }

    /// Makes the parts the object.
    async fn complete(&self, connection: &Connection, path: &Path, parts: Vec<PartId>, size: u64) -> Result<()> {
        let count = parts.len();
        let whole = asked(|| self.parts.complete_multipart(path, &self.id, parts.clone())).await;
        let Err(error) = whole else { return Ok(()) };
        // A server that did it and could not say so knows nothing of the parts the second time.
        let is_whole =
            |meta: &ObjectMeta| meta.size == size && meta.e_tag.as_ref().is_some_and(|tag| is_of_parts(tag, count));
        match connection.head(path).await {
            Ok(Some(meta)) if is_whole(&meta) => Ok(()),
            _ => Err(connection.failed(path, &error)),
        }
    }
}

/// Whether a tag is that of an object in so many parts.
fn is_of_parts(tag: &str, count: usize) -> bool {
    tag.trim_matches('"').rsplit_once('-').is_some_and(|(_, parts)| parts.parse() == Ok(count))
}

impl Write for PartUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.write_some(bytes)?;
        self.at += written as u64;
        if self.last.len() == PART {
            self.send_last().map_err(io::Error::other)?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for PartUpload {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
        };
        self.at = place.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Upload for PartUpload {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn finish(&mut self) -> io::Result<u64> {
        self.end().map_err(io::Error::other)
    }
}

impl Drop for PartUpload {
    fn drop(&mut self) {
        let Some(mut sending) = self.sending.take() else { return };
        sending.on_their_way.abort_all();
        if let Ok(runtime) = runtime() {
            // What a server keeps of it costs its owner, but nobody can do more.
            let abort = sending.parts.abort_multipart(&self.path, &sending.id);
            let _ = runtime.block_on(async { tokio::time::timeout(PARTING, abort).await });
        }
    }
}
