//! What sends requests: one, whose answer comes in pieces, or a batch.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{HeaderMap, Method, Request, Uri};

use crate::connection::{ALONE, Connection};
use crate::failure::{Failure, Kind};
use crate::head::Head;
use crate::pool::Pool;
use crate::route::{Route, header};
use crate::runtime::OfProcess;
use crate::trust::Trust;
use crate::watch::{Times, Watch};

/// How long the many connections of a wide read stay open.
const SURPLUS: Duration = Duration::from_secs(10);

/// Bytes that are set aside at once for a body whose size is told.
const ROOM: usize = 1 << 20;

/// Keeps connections, for any number of threads. A forked process begins with none.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    trust: Trust,
    pool: OfProcess<Arc<Pool>>,
    surplus: Duration,
}

/// What is the same in requests: a `GET`, or another method that has no body.
#[derive(Clone, Debug)]
pub struct Get {
    /// Where they go, and for whom.
    pub route: Route,
    /// How long each of them may take.
    pub times: Times,
    method: Method,
    headers: HeaderMap,
}

impl Get {
    /// Requests with the given headers beside those that the connection and the secrets need.
    pub fn new(route: Route, method: &str, headers: &[(String, String)], times: Times) -> Result<Self, Failure> {
        let unsendable = |what: &str| Failure::new(Kind::Unsendable, what);
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| unsendable("no method"))?;
        let host = HeaderValue::from_str(route.authority()).map_err(|_| unsendable("no server"))?;
        let mut all = HeaderMap::with_capacity(headers.len() + 2);
        all.insert(HOST, host);
        for (name, value) in headers {
            all.extend([header(name, value)?]);
        }
        route.secrets().add_to(&mut all);
        if let Some(auth) = route.proxy_auth().filter(|_| !route.is_encrypted()) {
            all.insert(PROXY_AUTHORIZATION, auth.clone());
        }
        Ok(Self { route, times, method, headers: all })
    }

    /// The request for a path with its query. What must not be shown is put into it here.
    pub(crate) fn request(&self, target: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        let mut full = self.route.secrets().behind(target);
        full.insert_str(0, self.route.prefix());
        let uri = Uri::try_from(full).map_err(|error| Failure::new(Kind::Unsendable, error.to_string()))?;
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

impl Client {
    /// Trusts the certificates of the system, or those that `SSL_CERT_FILE` names.
    pub fn new() -> Self {
        Self::with_surplus(SURPLUS)
    }

    pub(crate) fn with_surplus(surplus: Duration) -> Self {
        Self(Arc::new(Inner { trust: Trust::new(), pool: OfProcess::new(), surplus }))
    }

    /// Trusts the certificates in a file as well, where the environment names none. To be said before the first request.
    pub fn trust_also(&self, file: PathBuf) {
        self.trust().also(file);
    }

    pub(crate) fn pool(&self) -> Arc<Pool> {
        let made = self.0.pool.get(|| Ok::<_, std::convert::Infallible>(Arc::new(Pool::new(self.0.surplus))));
        match made {
            Ok(pool) => Arc::clone(&pool),
            Err(never) => match never {},
        }
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// Closes what lies idle, and what is in use when it is done.
    pub fn close(&self) {
        self.pool().close();
    }

    /// How many connections lie idle, by origin.
    pub fn idle(&self) -> Vec<(String, usize)> {
        self.pool().count()
    }

    /// Sends a request for `target`, path and query, and returns the answer when its head is there. A connection that was
    /// kept the server may have closed meanwhile: then another one is taken, without a word.
    ///
    /// Runs on the [`runtime`](crate::runtime) of the process.
    pub async fn get(&self, get: &Get, target: &str) -> Result<Answer, Failure> {
        let mut watch = Watch::begin(&get.times);
        loop {
            let kept = self.pool().idle(&get.route).await;
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&get.route, self.trust(), None, ALONE, &mut watch).await?,
            };
            let was_used = connection.was_used;
            match connection.ask(get.request(target)?, &get.times, &mut watch).await {
                Ok((head, body)) => {
                    let flow = Some(Flow { connection, body, watch });
                    return Ok(Answer { head, flow, route: get.route.clone(), pool: self.pool() });
                }
                Err(failure) if failure.kind == Kind::Broken && was_used => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Client").finish_non_exhaustive()
    }
}

/// An answer whose body is still to be read. Dropped before its end, its connection is closed.
pub struct Answer {
    head: Head,
    flow: Option<Flow>,
    route: Route,
    pool: Arc<Pool>,
}

struct Flow {
    connection: Connection,
    body: Incoming,
    watch: Watch,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Answer").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Answer {
    /// What it says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next piece of the body, none of them large; `None` at its end, when the connection goes back to those that are
    /// kept.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(flow) = &mut self.flow else { return Ok(None) };
        let piece = flow.connection.piece(&mut flow.body, &mut flow.watch).await;
        if !matches!(piece, Ok(Some(_)))
            && let Some(mut flow) = self.flow.take()
            && piece.is_ok()
            && flow.connection.is_free().await
        {
            self.pool.keep(&self.route, flow.connection);
        }
        piece
    }

    /// The rest of the body, `None` if that is more than `most` bytes.
    pub async fn rest(&mut self, most: usize) -> Result<Option<Vec<u8>>, Failure> {
        let length = usize::try_from(self.head.length.unwrap_or(0)).unwrap_or(usize::MAX);
        if length > most {
            self.flow = None;
            return Ok(None);
        }
        // What a server only says that it sends is not set aside.
        let mut all = Vec::with_capacity(length.min(ROOM));
        while let Some(piece) = self.piece().await? {
            if all.len() + piece.len() > most {
                self.flow = None;
                return Ok(None);
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all))
    }
}
