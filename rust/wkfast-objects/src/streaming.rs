//! An object as a stream: requests for what comes next are on their way while the first bytes are used.

use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Part, Stamp};

use crate::connection::Connection;
use crate::reading::{Request, found};
use crate::runtime::{runtime, wait_for};
use crate::store::ObjectFiles;

/// Bytes of one request.
const PIECE: u64 = 4 << 20;
/// Requests that are on their way at once. With 20 ms for each that is more than a gigabyte in a second.
const AHEAD: usize = 8;

/// Bytes of an object in their order.
pub(crate) struct ObjectStream {
    piece: Cursor<Vec<u8>>,
    coming: Receiver<Result<Vec<u8>>>,
    driver: JoinHandle<()>,
}

/// The bytes of `range`, as long as the object is in the state `stamp`.
pub(crate) fn stream_of(store: &ObjectFiles, key: &str, range: Range<u64>, stamp: Stamp) -> Result<ObjectStream> {
    let (connection, path) = (store.connection()?, store.path(key)?);
    let ends = (range.start + PIECE..range.end).step_by(PIECE as usize).chain([range.end]);
    let starts = (range.start..range.end).step_by(PIECE as usize);
    let request =
        |part| Request { path: path.clone(), part: Part::Range(part), state: Some(stamp), serves: Vec::new() };
    let requests: Vec<_> = starts.zip(ends).map(|(start, end)| request(start..end)).collect();
    let (sender, coming) = channel(1);
    let driver = runtime()?.spawn(drive(connection, requests, sender));
    Ok(ObjectStream { piece: Cursor::default(), coming, driver })
}

async fn drive(connection: Arc<Connection>, requests: Vec<Request>, sender: Sender<Result<Vec<u8>>>) {
    let ask = |request: Request| {
        let connection = Arc::clone(&connection);
        async move {
            let piece = found(&connection, &request).await?;
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

impl Read for ObjectStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            let next = wait_for(async { self.coming.recv().await.transpose() }).map_err(io::Error::other)?;
            self.piece = Cursor::new(next.unwrap_or_default());
        }
        self.piece.read(buffer)
    }
}

impl Drop for ObjectStream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
