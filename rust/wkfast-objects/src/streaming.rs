//! An object as a stream: requests for what comes next are on their way while the first bytes are used.

use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Part, Stamp};

use crate::batch::{Request, found};
use crate::budget::Leave;
use crate::connection::Connection;
use crate::runtime::{runtime, wait_for};
use crate::store::{ObjectFiles, stamp_of};

/// Bytes of one request.
const PIECE: u64 = 4 << 20;
/// Requests that are on their way at once. With 20 ms for each that is more than a gigabyte in a second.
const AHEAD: usize = 8;

/// Bytes of an object in their order.
pub(crate) struct ObjectStream {
    piece: Cursor<Vec<u8>>,
    coming: Receiver<Result<Vec<u8>>>,
    driver: JoinHandle<()>,
    /// The object and its state, as long as nothing of it has come, if all of it is wanted.
    whole: Option<(Arc<Connection>, Path, Stamp)>,
}

/// The bytes of `range`, as long as the object is in the state `stamp`.
pub(crate) fn stream_of(store: &ObjectFiles, key: &str, range: Range<u64>, stamp: Stamp) -> Result<ObjectStream> {
    let (connection, path) = (store.connection()?, store.path(key)?);
    let ends = (range.start + PIECE..range.end).step_by(PIECE as usize).chain([range.end]);
    let starts = (range.start..range.end).step_by(PIECE as usize);
    let request =
        |part| Request { path: path.clone(), part: Part::Range(part), state: Some(stamp), serves: Vec::new() };
    let requests: Vec<_> = starts.zip(ends).map(|(start, end)| request(start..end)).collect();
    let whole = (range == (0..stamp.size)).then(|| (Arc::clone(&connection), path.clone(), stamp));
    let (sender, coming) = channel(1);
    let driver = runtime()?.spawn(drive(connection, requests, sender));
    Ok(ObjectStream { piece: Cursor::default(), coming, driver, whole })
}

async fn drive(connection: Arc<Connection>, requests: Vec<Request>, sender: Sender<Result<Vec<u8>>>) {
    let ask = |request: Request| {
        let connection = Arc::clone(&connection);
        async move {
            let piece = found(&connection, &request, &mut Leave::unlimited()).await?;
            Ok(piece.map_or_else(Vec::new, |piece| piece.bytes))
        }
    };
    let mut coming = stream::iter(requests).map(ask).buffered(AHEAD);
    while let Some(piece) = coming.next().await {
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Sends the object as it comes with one answer, for servers that know no ranges.
async fn drive_whole(connection: Arc<Connection>, path: Path, stamp: Stamp, sender: Sender<Result<Vec<u8>>>) {
    if let Err(error) = send_whole(&connection, &path, stamp, &sender).await {
        let _ = sender.send(Err(error)).await;
    }
}

async fn send_whole(
    connection: &Connection,
    path: &Path,
    stamp: Stamp,
    sender: &Sender<Result<Vec<u8>>>,
) -> Result<()> {
    let answer = connection.objects.get(path).await.map_err(|error| connection.failed(path, &error))?;
    if stamp_of(&answer.meta) != stamp {
        return Err(VolumeError::Changed { file: connection.name(path) });
    }
    let (mut left, mut body) = (stamp.size, answer.into_stream());
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| connection.failed(path, &error))?;
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| uneven(connection, path, stamp))?;
        if sender.send(Ok(bytes.into())).await.is_err() {
            return Ok(());
        }
    }
    if left > 0 { Err(uneven(connection, path, stamp)) } else { Ok(()) }
}

fn uneven(connection: &Connection, path: &Path, stamp: Stamp) -> VolumeError {
    VolumeError::corrupt(connection.name(path), format!("sent other than the {} bytes that it has", stamp.size))
}

impl ObjectStream {
    fn next(&mut self) -> Result<Vec<u8>> {
        let whole = self.whole.take();
        match (self.receive(), whole) {
            (Err(VolumeError::Unsupported { .. }), Some((connection, path, stamp))) => {
                let (sender, coming) = channel(1);
                self.coming = coming;
                self.driver = runtime()?.spawn(drive_whole(connection, path, stamp, sender));
                self.receive()
            }
            (next, _) => next,
        }
    }

    /// What comes next; nothing at the end.
    fn receive(&mut self) -> Result<Vec<u8>> {
        wait_for(async { self.coming.recv().await.transpose() }).map(Option::unwrap_or_default)
    }
}

impl Read for ObjectStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            self.piece = Cursor::new(self.next().map_err(io::Error::other)?);
        }
        self.piece.read(buffer)
    }
}

impl Drop for ObjectStream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
