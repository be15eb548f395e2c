//! Many GETs at once to one server, whose bodies have sizes that are known.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::client::{Client, Get};
use crate::connection::{Connection, OF_MANY};
use crate::failure::{Failure, Kind};
use crate::head::Head;
use crate::idleness::Idleness;
use crate::shares::Share;
use crate::watch::Watch;

/// An answer that is not the body asked for is read up to here, to see whether it settles the matter.
const SMALL: u64 = 64 << 10;
/// Connections that may break before nothing more is asked for.
const BROKEN: usize = 8;
const OK: u16 = 200;

/// One of many requests.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Path and query, without what must not be shown.
    pub target: String,
    /// Bytes that the body must have.
    pub size: u64,
}

/// Where bodies go. It is called from the threads of the runtime, for one request by one of them.
pub trait Sink: Send + Sync + 'static {
    /// Whether an answer of the right size, by its head, is what was asked for; what is not is left unread.
    fn accepts(&self, number: usize, head: &Head) -> bool;
    /// The bytes of a body from `offset` on.
    fn piece(&self, number: usize, offset: u64, bytes: &[u8]);
    /// The body is all there.
    fn whole(&self, _number: usize) {}
    /// The body broke off: what came of it is worth nothing.
    fn broken(&self, number: usize);
}

/// What tasks tell whoever waits for them.
enum Event {
    /// Another answer than the one asked for, and where to say whether it settles the matter.
    Other(usize, Head, Vec<u8>, oneshot::Sender<bool>),
    /// As many answers came as there are connections.
    Round,
    /// The time of a request is over, or it cannot be sent.
    Failed(Failure),
    /// The last task has ended, unless others have begun meanwhile.
    Over,
}

/// Why a batch ended early.
#[derive(Debug)]
pub enum Ended<E> {
    /// The time of a request is over, or it cannot be sent.
    Failed(Failure),
    /// What a function of the caller's returned.
    By(E),
}

impl Client {
    /// Fetches what comes without trouble, hands it to `sink`, and returns the numbers of the requests that brought nothing,
    /// in order: those that are worth it can be made one by one.
    ///
    /// At most `most` are under way at once, fewer where that is as quick. A plain answer of the right size with status 200
    /// is what was asked for; every other answer, with the beginning of its body, is shown to `judge`, who says whether it
    /// settles the matter, e.g. because nothing is stored there. After one that does not, and after some broken connections,
    /// nothing more is asked for. `begun` is called when the first requests are on their way. The times hold for each
    /// request; the first whose total is over ends all of it.
    ///
    /// Runs on the [`runtime`](crate::runtime) of the process.
    pub async fn batch<S: Sink, E>(
        &self,
        get: &Get,
        wanted: Vec<Wanted>,
        most: usize,
        sink: &Arc<S>,
        begun: impl FnOnce() -> Result<(), E>,
        mut judge: impl FnMut(usize, &Head, &[u8]) -> Result<bool, E>,
    ) -> Result<Vec<usize>, Ended<E>> {
        let pool = self.pool();
        let width = pool.width(get.route.origin());
        let reserved = pool.reserve(most.min(wanted.len()), width);
        let all = 0..wanted.len();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let Some(first) = self.first(get).await.map_err(Ended::Failed)? else { return Ok(all.collect()) };
        let mut workers = Workers::new(self, get, wanted, sink, first.peer, reserved.share.clone());
        workers.start(first);
        workers.start_missing().await;
        begun().map_err(Ended::By)?;
        workers.run(most, width, &mut judge).await?;
        pool.note_width(get.route.origin(), workers.widest);
        Ok(workers.shared.rest())
    }

    /// A connection that was there, or made with all the care of a single request; `None` if none can be had.
    async fn first(&self, get: &Get) -> Result<Option<Connection>, Failure> {
        if let Some(connection) = self.pool().idle(&get.route).await {
            return Ok(Some(connection));
        }
        match Connection::open(&get.route, self.trust(), None, OF_MANY, &mut Watch::begin(&get.times)).await {
            Err(failure) if failure.kind == Kind::Late => Err(failure),
            opened => Ok(opened.ok()),
        }
    }
}

/// The tasks of a batch, a connection each.
struct Workers<S> {
    shared: Arc<Shared<S>>,
    tasks: JoinSet<()>,
    told: mpsc::UnboundedReceiver<Event>,
    clock: Idleness,
    /// Connections that it had at most.
    widest: usize,
}

impl<S: Sink> Workers<S> {
    fn new(client: &Client, get: &Get, wanted: Vec<Wanted>, sink: &Arc<S>, peer: SocketAddr, share: Share) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let shared = Shared {
            client: client.clone(),
            get: get.clone(),
            wanted,
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            broken: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            share,
            at_work: AtomicUsize::new(0),
            left: Mutex::default(),
            sink: Arc::clone(sink),
            peer,
            tell,
        };
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), told, clock: Idleness::begin(), widest: 0 }
    }

    fn start(&mut self, connection: impl Into<Option<Connection>>) {
        self.shared.at_work.fetch_add(1, Relaxed);
        self.tasks.spawn(work(AtWork(Arc::clone(&self.shared)), connection.into()));
    }

    /// Sends requests over further connections, as many as this batch holds: those that lie idle, then new ones.
    async fn start_missing(&mut self) {
        let shared = Arc::clone(&self.shared);
        let held = shared.share.held();
        self.widest = self.widest.max(held);
        let missing = held.saturating_sub(shared.at_work.load(Relaxed)).min(shared.upcoming());
        let pool = shared.client.pool();
        let mut may_be_idle = true;
        for _ in 0..missing {
            let connection = if may_be_idle { pool.idle(&shared.get.route).await } else { None };
            may_be_idle = connection.is_some();
            self.start(connection);
        }
    }

    /// Takes more connections where others left some: as many as served well before, and more while those here wait.
    fn grow(&mut self, most: usize, width: usize) {
        let held = self.shared.share.held();
        let good = if held < width { width } else { 2 * held };
        if held < width || self.clock.is_idle() {
            self.shared.share.grow(most.min(good));
        }
    }

    async fn run<E>(
        &mut self,
        most: usize,
        width: usize,
        judge: &mut impl FnMut(usize, &Head, &[u8]) -> Result<bool, E>,
    ) -> Result<(), Ended<E>> {
        // One message at the end, not one for each task: whoever is waiting here would be woken for all of them.
        while let Some(event) = self.told.recv().await {
            match event {
                Event::Round => {
                    self.grow(most, width);
                    self.start_missing().await;
                }
                Event::Other(number, head, beginning, verdict) => {
                    let settles = judge(number, &head, &beginning).map_err(Ended::By)?;
                    // A task that has ended asks no more.
                    let _ = verdict.send(settles);
                }
                Event::Failed(failure) => {
                    self.tasks.shutdown().await;
                    return Err(Ended::Failed(failure));
                }
                Event::Over if self.shared.at_work.load(Acquire) > 0 => {}
                // All gave way at once.
                Event::Over if self.shared.upcoming() > 0 => self.start_missing().await,
                Event::Over => break,
            }
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(died) = ended {
                std::panic::resume_unwind(died.into_panic());
            }
        }
        Ok(())
    }
}

/// What the tasks of a batch share.
struct Shared<S> {
    client: Client,
    get: Get,
    wanted: Vec<Wanted>,
    next: AtomicUsize,
    is_over: AtomicBool,
    broken: AtomicUsize,
    /// Since the last round.
    answers: AtomicUsize,
    share: Share,
    /// Tasks that have not ended.
    at_work: AtomicUsize,
    left: Mutex<Vec<usize>>,
    sink: Arc<S>,
    peer: SocketAddr,
    tell: mpsc::UnboundedSender<Event>,
}

impl<S: Sink> Shared<S> {
    fn left(&self) -> MutexGuard<'_, Vec<usize>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upcoming(&self) -> usize {
        if self.is_over.load(Relaxed) { 0 } else { self.wanted.len().saturating_sub(self.next.load(Relaxed)) }
    }

    fn take(&self) -> Option<usize> {
        if self.is_over.load(Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Relaxed);
        (number < self.wanted.len()).then_some(number)
    }

    /// Sends nothing more: what is under way comes, all else is left.
    fn stop(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Leaves a request whose connection broke.
    fn lose(&self, number: usize) {
        self.left().push(number);
        if self.broken.fetch_add(1, Relaxed) + 1 >= BROKEN {
            self.stop();
        }
    }

    /// Counts an answer.
    fn count(&self) {
        if self.answers.fetch_add(1, Relaxed) + 1 >= self.share.held() {
            self.answers.store(0, Relaxed);
            // Nobody counts any more where the batch has ended.
            let _ = self.tell.send(Event::Round);
        }
    }

    /// All that brought nothing, what was not asked for among it.
    fn rest(&self) -> Vec<usize> {
        let mut rest = std::mem::take(&mut *self.left());
        rest.extend(self.next.load(Relaxed)..self.wanted.len());
        rest.sort_unstable();
        rest
    }

    fn keep(&self, connection: Option<Connection>) {
        if let Some(connection) = connection {
            self.client.pool().keep(&self.get.route, connection);
        }
    }

    async fn opened(&self, watch: &mut Watch) -> Result<Connection, Failure> {
        Connection::open(&self.get.route, self.client.trust(), Some(self.peer), OF_MANY, watch).await
    }

    /// Makes one request; whether the connection may be asked again.
    async fn fetch(&self, number: usize, connection: &mut Connection, watch: &mut Watch) -> Result<bool, Failure> {
        let Wanted { target, size } = &self.wanted[number];
        let (head, body) = connection.ask(self.get.request(target)?, &self.get.times, watch).await?;
        let Some(length) = head.length.filter(|_| head.is_plain()) else {
            return Err(Failure::new(Kind::Odd, "an answer for a single request"));
        };
        if head.status == OK && length == *size {
            return self.receive(number, &head, body, connection, watch).await;
        }
        if length > SMALL {
            return Err(Failure::new(Kind::Odd, "an answer for a single request"));
        }
        let mut beginning = Vec::with_capacity(length as usize);
        let mut body = body;
        while let Some(piece) = connection.piece(&mut body, watch).await? {
            beginning.extend_from_slice(&piece);
        }
        self.count();
        if !self.is_settled(number, head, beginning).await {
            self.left().push(number);
            self.stop();
        }
        Ok(true)
    }

    async fn receive(
        &self,
        number: usize,
        head: &Head,
        mut body: Incoming,
        connection: &mut Connection,
        watch: &mut Watch,
    ) -> Result<bool, Failure> {
        if !self.sink.accepts(number, head) {
            self.left().push(number);
            return Ok(false);
        }
        let mut offset = 0;
        loop {
            match connection.piece(&mut body, watch).await {
                Ok(Some(piece)) => {
                    self.sink.piece(number, offset, &piece);
                    offset += piece.len() as u64;
                }
                Ok(None) => break,
                Err(failure) => {
                    self.sink.broken(number);
                    return Err(failure);
                }
            }
        }
        self.sink.whole(number);
        self.count();
        Ok(true)
    }

    async fn is_settled(&self, number: usize, head: Head, beginning: Vec<u8>) -> bool {
        let (verdict, settles) = oneshot::channel();
        let told = self.tell.send(Event::Other(number, head, beginning, verdict));
        told.is_ok() && settles.await.unwrap_or(false)
    }
}

/// A task at work; the last one that ends says so.
struct AtWork<S>(Arc<Shared<S>>);

impl<S> Drop for AtWork<S> {
    fn drop(&mut self) {
        if self.0.at_work.fetch_sub(1, AcqRel) == 1 {
            // Nobody waits where the batch was left.
            let _ = self.0.tell.send(Event::Over);
        }
    }
}

async fn work<S: Sink>(at_work: AtWork<S>, connection: Option<Connection>) {
    if let Err(failure) = exchange(&at_work.0, connection).await {
        let _ = at_work.0.tell.send(Event::Failed(failure));
    }
}

/// Makes requests over one connection, and over others in its place where it does not last.
async fn exchange<S: Sink>(shared: &Shared<S>, mut connection: Option<Connection>) -> Result<(), Failure> {
    let mut watch = Watch::begin(&shared.get.times);
    while let Some(number) = shared.take() {
        watch.again(&shared.get.times);
        let mut ours = match connection.take() {
            Some(connection) => connection,
            None => match shared.opened(&mut watch).await {
                Ok(connection) => connection,
                Err(failure) if failure.kind == Kind::Late => return Err(failure),
                Err(_) => {
                    shared.lose(number);
                    continue;
                }
            },
        };
        match shared.fetch(number, &mut ours, &mut watch).await {
            Ok(may_go_on) => connection = if may_go_on && ours.is_free().await { Some(ours) } else { None },
            Err(failure) if matches!(failure.kind, Kind::Late | Kind::Unsendable) => return Err(failure),
            Err(_) => shared.lose(number),
        }
        if shared.share.gives_way() {
            shared.keep(connection);
            return Ok(());
        }
    }
    shared.keep(connection);
    shared.share.leave();
    Ok(())
}
