//! One connection: a request, its answer, the next request.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, Kind};
use crate::head::Head;
use crate::proxy;
use crate::route::Route;
use crate::stream::Stream;
use crate::trust::Trust;
use crate::watch::{Times, Watch};

/// Bytes of a head, and of what stands behind a body in pieces.
const HEAD: usize = 64 << 10;
/// What is read at once by one of many connections, at most: what lies in the nearer cache is put in its place for half.
pub(crate) const OF_MANY: usize = 64 << 10;
/// And by one that is alone: each read wakes the thread that waits for it, which costs a file more than its bytes do.
pub(crate) const ALONE: usize = 1 << 20;
/// Answers before the answer, e.g. early hints, that are passed over.
const INTERIM: u32 = 16;

type Exchange = http1::Connection<TokioIo<Stream>, Empty<Bytes>>;

/// A connection that carries one request at a time. It makes progress only while it is asked something: while it lies idle,
/// nobody runs for it.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// `None` when it has ended.
    exchange: Option<Pin<Box<Exchange>>>,
    /// Where it leads, so that others find the way without asking for it.
    pub(crate) peer: SocketAddr,
    /// Whether it has brought an answer: the server may have closed it since.
    pub(crate) was_used: bool,
    is_spoilt: bool,
    interim: Arc<AtomicU32>,
}

impl Connection {
    /// Opens one that reads so many bytes at once, to `peer` where that is known.
    pub(crate) async fn open(
        route: &Route,
        trust: &Trust,
        peer: Option<SocketAddr>,
        block: usize,
        watch: &mut Watch,
    ) -> Result<Self, Failure> {
        let opened = watch.over(opened(route, trust, peer, block)).await.flatten();
        // A server is not blamed for what a proxy does.
        opened.map_err(|failure| match route.proxy() {
            Some(proxy) => failure.by(proxy),
            None => failure,
        })
    }

    /// Asks, and returns what the answer says of itself.
    pub(crate) async fn ask(
        &mut self,
        mut request: Request<Empty<Bytes>>,
        times: &Times,
        watch: &mut Watch,
    ) -> Result<(Head, Incoming), Failure> {
        self.interim.store(0, Ordering::Relaxed);
        let interim = Arc::clone(&self.interim);
        hyper::ext::on_informational(&mut request, move |_| {
            interim.fetch_add(1, Ordering::Relaxed);
        });
        watch.expect(times.first_byte, Kind::Silent);
        let answer = self.sender.send_request(request);
        let (head, body) = Head::of(self.beside(watch, answer).await?.map_err(|error| Failure::of(&error))?)?;
        self.is_spoilt |= head.is_ambiguous();
        self.was_used = true;
        watch.expect(times.read, Kind::Silent);
        Ok((head, body))
    }

    /// The next piece of a body, `None` at its end.
    pub(crate) async fn piece(&mut self, body: &mut Incoming, watch: &mut Watch) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = self.beside(watch, body.frame()).await?;
            match frame.transpose().map_err(|error| Failure::of(&error))?.map(Frame::into_data) {
                Some(Ok(piece)) => {
                    watch.hear();
                    return Ok(Some(piece));
                }
                // what stands behind the body
                Some(Err(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether the next request may go over it: the answer has been read to its end, nothing came behind it, and the server
    /// means to hear more.
    pub(crate) async fn is_free(&mut self) -> bool {
        if self.is_spoilt {
            return false;
        }
        // What the connection reads in the first turn, it tells the sender in the second.
        for _ in 0..2 {
            let ready = std::future::poll_fn(|cx| {
                if self.advance(cx).is_ready() {
                    return Poll::Ready(Some(false));
                }
                Poll::Ready(match self.sender.poll_ready(cx) {
                    Poll::Ready(ready) => Some(ready.is_ok()),
                    Poll::Pending => None,
                })
            });
            if let Some(ready) = ready.await {
                return ready;
            }
        }
        false
    }

    /// What `work` gives, the connection kept going beside it.
    async fn beside<T>(&mut self, watch: &mut Watch, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            let ended = self.advance(cx).is_ready();
            if self.interim.load(Ordering::Relaxed) > INTERIM {
                return Poll::Ready(Err(Failure::new(Kind::Odd, "answers before the answer without end")));
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if ended {
                return Poll::Ready(Err(Failure::closed()));
            }
            watch.poll(cx).map(Err)
        })
        .await
    }

    /// Ready when the connection has ended; whoever waits for an answer is told why.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(()) };
        match exchange.as_mut().poll(cx) {
            Poll::Ready(_) => {
                self.exchange = None;
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn opened(route: &Route, trust: &Trust, peer: Option<SocketAddr>, block: usize) -> Result<Connection, Failure> {
    let connected = match peer {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect(route.first_stop()).await,
    };
    let mut stream = connected.map_err(|error| Failure::unreached(&error))?;
    let peer = stream.set_nodelay(true).and_then(|()| stream.peer_addr());
    let peer = peer.map_err(|error| Failure::unreached(&error))?;
    if let Some(server) = route.tunnel() {
        proxy::pass(&mut stream, &server, route.proxy_auth()).await?;
    }
    let stream = if route.is_encrypted() { encrypted(route, trust, stream).await? } else { Stream::Plain(stream) };
    let mut builder = Builder::new();
    builder.max_buf_size(block).max_header_size(HEAD);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (sender, exchange) = handshake.map_err(|error| Failure::of(&error))?;
    let exchange = Some(Box::pin(exchange));
    Ok(Connection { sender, exchange, peer, was_used: false, is_spoilt: false, interim: Arc::default() })
}

async fn encrypted(route: &Route, trust: &Trust, stream: TcpStream) -> Result<Stream, Failure> {
    let name = ServerName::try_from(route.host().to_owned());
    let name = name.map_err(|_| Failure::new(Kind::Unsendable, "the server's name cannot be certified"))?;
    let config = trust.config().map_err(|error| Failure::new(Kind::Untrusted, error))?;
    let shaken = TlsConnector::from(config).connect(name, stream).await;
    Ok(Stream::Encrypted(Box::new(shaken.map_err(|error| Failure::unreached(&error))?)))
}
