//! Requests that read: one, and many at once.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta};
use rayon::Yield;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wkfast_http::ends_so_far;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Fetch, Found, Origin, Part, Stamp, Take, Version};

use crate::again::{Tries, is_broken};
use crate::connection::Connection;
use crate::failure::is_absent;
use crate::runtime::runtime;
use crate::store::{ObjectFiles, beyond, stamp_of, version_of};

/// Requests of one batch on their way at once.
const IN_FLIGHT: usize = 256;

/// Bytes of one batch that are asked for and not yet handed over, in kB: a count that a semaphore can hold.
const BUDGET_KB: u32 = 256 << 10;

/// What is set aside for an object whose size is not known before it comes.
const GUESS: u64 = 1 << 20;

/// Bytes between two ranges of an object that are read and thrown away rather than cost a second request.
const GAP: u64 = 64 << 10;

/// Ranges that lie beside each other are one request up to so many bytes; larger ones come sooner in parts.
const LONGEST: u64 = 8 << 20;

/// Fetches that were one request and are handed over by one thread: chunks that take a few milliseconds.
const SHARE: usize = 32;

/// How often a waiting caller looks whether its work is wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of an object, and the state of the object.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
    pub(crate) version: Version,
}

impl Piece {
    fn of(meta: &ObjectMeta) -> Self {
        Self { bytes: Vec::new(), stamp: stamp_of(meta), version: version_of(meta) }
    }
}

/// Why there are no bytes: the answer broke off, which another one may not, or what says more.
enum Missed {
    Broken(VolumeError),
    Failed(VolumeError),
}

impl From<VolumeError> for Missed {
    fn from(error: VolumeError) -> Self {
        Self::Failed(error)
    }
}

impl Missed {
    fn of(connection: &Connection, path: &Path, error: &Error) -> Self {
        let failed = connection.failed(path, error);
        if is_broken(error) { Self::Broken(failed) } else { Self::Failed(failed) }
    }

    /// Waits before the next try; the error where there is none.
    async fn again(self, tries: &mut Tries) -> Result<()> {
        match self {
            Self::Broken(error) => tries.again().await.then_some(()).ok_or(error),
            Self::Failed(error) => Err(error),
        }
    }
}

/// Reads a part of an object; `None` where there is no such object.
pub(crate) async fn piece(connection: &Connection, path: &Path, part: &Part) -> Result<Option<Piece>> {
    let mut tries = Tries::begin();
    loop {
        match piece_of_answer(connection, path, part).await {
            Ok(piece) => return Ok(piece),
            Err(missed) => missed.again(&mut tries).await?,
        }
    }
}

async fn piece_of_answer(
    connection: &Connection,
    path: &Path,
    part: &Part,
) -> std::result::Result<Option<Piece>, Missed> {
    let wanted = match part {
        Part::Whole(_) => None,
        Part::Range(range) if range.is_empty() => return Ok(no_bytes(connection, path, range.start).await?),
        Part::Range(range) => Some(GetRange::Bounded(range.clone())),
        Part::Start(0) | Part::End(0) => return Ok(no_bytes(connection, path, 0).await?),
        Part::Start(length) => Some(GetRange::Bounded(0..*length)),
        Part::End(_) if connection.lacks_suffixes => return Ok(by_size(connection, path, part).await?),
        Part::End(length) => Some(GetRange::Suffix(*length)),
    };
    let options = GetOptions { range: wanted, ..GetOptions::default() };
    match connection.objects.get_opts(path, options).await {
        Ok(answer) => Ok(Some(body(connection, path, part, answer).await?)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) if matches!(part, Part::Whole(_)) || is_broken(&error) => Err(Missed::of(connection, path, &error)),
        Err(error) => Ok(after_refusal(connection, path, part, error).await?),
    }
}

/// Nothing of an object that may be absent, or end before `offset`.
async fn no_bytes(connection: &Connection, path: &Path, offset: u64) -> Result<Option<Piece>> {
    let Some(meta) = connection.head(path).await? else { return Ok(None) };
    if offset > meta.size {
        return Err(beyond(connection.name(path), offset, 0));
    }
    Ok(Some(Piece::of(&meta)))
}

/// Reads a part once the size is known.
async fn by_size(connection: &Connection, path: &Path, part: &Part) -> Result<Option<Piece>> {
    let Some(meta) = connection.head(path).await? else { return Ok(None) };
    let range = part.range(meta.size);
    if range.is_empty() {
        return Ok(Some(Piece::of(&meta)));
    }
    Box::pin(piece(connection, path, &Part::Range(range))).await
}

/// What a refused range means: that the object ends before it, or that the server knows no ranges.
async fn after_refusal(connection: &Connection, path: &Path, part: &Part, error: Error) -> Result<Option<Piece>> {
    if matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) {
        return Err(connection.failed(path, &error));
    }
    let Ok(Some(meta)) = connection.head(path).await else { return Err(connection.failed(path, &error)) };
    let range = part.range(meta.size);
    if range.end > meta.size {
        return Err(beyond(connection.name(path), range.start, range.end - range.start));
    }
    if range.is_empty() {
        return Ok(Some(Piece::of(&meta)));
    }
    if matches!(error, Error::NotSupported { .. }) && matches!(part, Part::End(_)) {
        return Box::pin(piece(connection, path, &Part::Range(range))).await;
    }
    let said = error.to_string();
    if said.contains("non-partial") || said.contains("Range request not supported") {
        return Err(VolumeError::Unsupported { file: connection.name(path), what: NO_RANGES.to_owned() });
    }
    Err(connection.failed(path, &error))
}

const NO_RANGES: &str = "its server sends whole files only, and no ranges of bytes; copy it to a disk, or serve it by a \
                         server that knows ranges";

/// The bytes of an answer, which must be as many as were asked for.
async fn body(
    connection: &Connection,
    path: &Path,
    part: &Part,
    answer: GetResult,
) -> std::result::Result<Piece, Missed> {
    let (size, piece) = (answer.meta.size, Piece::of(&answer.meta));
    let expected = part.range(size);
    match part {
        Part::Whole(limit) if size > *limit => {
            let reason = format!("holds {size} bytes where at most {limit} are expected");
            return Err(VolumeError::corrupt(connection.name(path), reason).into());
        }
        Part::Range(range) if range.end > size => {
            return Err(beyond(connection.name(path), range.start, range.end - range.start).into());
        }
        _ => {}
    }
    let length = (expected.end - expected.start) as usize;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| VolumeError::corrupt(connection.name(path), "is larger than memory"))?;
    let mut stream = answer.into_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| Missed::Broken(connection.failed(path, &error)))?);
    }
    if bytes.len() != length {
        let reason = format!("{} bytes came where {length} were asked for", bytes.len());
        return Err(Missed::Broken(VolumeError::corrupt(connection.name(path), reason)));
    }
    Ok(Piece { bytes, ..piece })
}

/// One request of a batch, and whom it serves.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: Path,
    pub(crate) part: Part,
    /// State that the object must have.
    pub(crate) state: Option<Stamp>,
    /// Number of each fetch and, where they share the request, its place in the answer.
    pub(crate) serves: Vec<(usize, Option<Range<usize>>)>,
}

/// An answer, and the leave to hold so many bytes.
type Answer = (Request, Option<Piece>, OwnedSemaphorePermit);

/// Reads many parts: requests are on their way at once, and what is there is handed over while others come.
pub(crate) fn batch(store: &ObjectFiles, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
    let requests = plan(store, fetches)?;
    if requests.is_empty() {
        return Ok(());
    }
    run(&store.connection()?, requests, take)
}

/// What answers the requests of a batch.
pub(crate) trait Answers: Send + Sync + 'static {
    /// What there is; `None` where there is no such file.
    fn found(&self, request: &Request) -> impl Future<Output = Result<Option<Piece>>> + Send;
}

impl Answers for Connection {
    async fn found(&self, request: &Request) -> Result<Option<Piece>> {
        found(self, request).await
    }
}

/// Has requests answered, many at once, and hands over what is there while others come.
pub(crate) fn run<A: Answers>(from: &Arc<A>, requests: Vec<Request>, take: &Take<'_>) -> Result<()> {
    let (sender, answers) = channel();
    let driver = runtime()?.spawn(drive(Arc::clone(from), requests, sender));
    let done = hand_over(&answers, take);
    driver.abort();
    done
}

/// The requests for `fetches`: ranges of one object that lie beside each other are one.
fn plan(store: &ObjectFiles, fetches: &[Fetch<'_>]) -> Result<Vec<Request>> {
    let mut requests: Vec<Request> = Vec::with_capacity(fetches.len());
    let mut ranges = Vec::new();
    for (number, fetch) in fetches.iter().enumerate() {
        let (key, state) = match fetch.origin {
            Origin::Key(key) => (key, None),
            Origin::State(key, stamp) => (key, Some(stamp)),
            Origin::Pinned(pinned) => {
                return Err(VolumeError::corrupt(format!("{pinned:?}"), "is held open, and lies in no bucket"));
            }
        };
        let path = store.path(key)?;
        match &fetch.part {
            Part::Range(range) if range.start < range.end => ranges.push((key, state, range.clone(), number, path)),
            part => {
                let serves = vec![(number, None)];
                requests.push(Request { path, part: part.clone(), state, serves });
            }
        }
    }
    ranges.sort_by(|a, b| (a.0, a.2.start, a.3).cmp(&(b.0, b.2.start, b.3)));
    for (_, state, range, number, path) in ranges {
        if let Some(last) = requests.last_mut()
            && last.path == path
            && last.state == state
            && let Part::Range(whole) = &mut last.part
            && range.start >= whole.start
            && range.start <= whole.end.saturating_add(GAP)
            && whole.end.max(range.end) - whole.start <= LONGEST
        {
            whole.end = whole.end.max(range.end);
            let start = (range.start - whole.start) as usize;
            last.serves.push((number, Some(start..start + (range.end - range.start) as usize)));
            continue;
        }
        let length = (range.end - range.start) as usize;
        let part = Part::Range(range);
        requests.push(Request { path, part, state, serves: vec![(number, Some(0..length))] });
    }
    Ok(requests)
}

/// Keeps requests on their way until all are answered, or one fails.
async fn drive<A: Answers>(connection: Arc<A>, requests: Vec<Request>, sender: Sender<Result<Answer>>) {
    let budget = Arc::new(Semaphore::new(BUDGET_KB as usize));
    let mut under_way = JoinSet::new();
    for request in requests {
        while under_way.len() >= IN_FLIGHT {
            if !pass_on(under_way.join_next().await, &sender) {
                return;
            }
        }
        under_way.spawn(answer(Arc::clone(&connection), request, Arc::clone(&budget)));
    }
    while let Some(done) = under_way.join_next().await {
        if !pass_on(Some(done), &sender) {
            return;
        }
    }
}

/// Hands an answer to the caller; false where that was the last one.
fn pass_on(
    done: Option<std::result::Result<Result<Answer>, tokio::task::JoinError>>,
    sender: &Sender<Result<Answer>>,
) -> bool {
    match done {
        None => true,
        Some(Ok(answer)) => {
            let failed = answer.is_err();
            sender.send(answer).is_ok() && !failed
        }
        Some(Err(error)) => {
            let _ = sender.send(Err(VolumeError::corrupt("a request", error.to_string())));
            false
        }
    }
}

async fn answer<A: Answers>(connection: Arc<A>, request: Request, budget: Arc<Semaphore>) -> Result<Answer> {
    let bytes = match &request.part {
        Part::Range(range) => range.end.saturating_sub(range.start),
        Part::Start(length) | Part::End(length) | Part::Whole(length) => (*length).min(GUESS),
    };
    let share = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(BUDGET_KB).clamp(1, BUDGET_KB);
    let closed = |_| VolumeError::Interrupted;
    let leave = budget.acquire_many_owned(share).await.map_err(closed)?;
    let found = connection.found(&request).await?;
    Ok((request, found, leave))
}

/// The answer to a request; `None` where there is no such object.
pub(crate) async fn found(connection: &Connection, request: &Request) -> Result<Option<Piece>> {
    let found = match piece(connection, &request.path, &request.part).await {
        Err(_) if is_replaced(connection, request).await => {
            return Err(VolumeError::Changed { file: connection.name(&request.path) });
        }
        found => found?,
    };
    let stamp = found.as_ref().map(|piece| piece.stamp);
    if request.state.is_some() && request.state != stamp {
        return Err(VolumeError::Changed { file: connection.name(&request.path) });
    }
    if found.is_none() && matches!(request.part, Part::Range(_)) {
        let error = std::io::ErrorKind::NotFound.into();
        return Err(VolumeError::io(connection.name(&request.path), error));
    }
    Ok(found)
}

/// Whether an object is not in the state that a request is for: then a range that it does not have says nothing of it.
async fn is_replaced(connection: &Connection, request: &Request) -> bool {
    let Some(state) = request.state else { return false };
    matches!(connection.head(&request.path).await, Ok(now) if now.as_ref().map(stamp_of) != Some(state))
}

/// The first error, kept for who waits.
#[derive(Default)]
struct Failure(Mutex<Option<VolumeError>>);

impl Failure {
    fn keep(&self, done: Result<()>) {
        if let Err(error) = done {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    fn is_kept(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn into_result(self) -> Result<()> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// Gives each answer to `take` as it comes, on the threads of the current pool where there is one.
fn hand_over(answers: &Receiver<Result<Answer>>, take: &Take<'_>) -> Result<()> {
    let (kept, began, on_pool) = (Failure::default(), ends_so_far(), rayon::current_thread_index().is_some());
    let failure = &kept;
    let next = || if failure.is_kept() { None } else { next_answer(answers, on_pool, began) };
    if on_pool {
        rayon::in_place_scope(|scope| {
            while let Some(answer) = next() {
                match answer {
                    Err(error) => failure.keep(Err(error)),
                    Ok(answer) => share_out(answer, |share| {
                        scope.spawn(move |_| failure.keep(share.give(take)));
                    }),
                }
            }
        });
    } else {
        while let Some(answer) = next() {
            failure.keep(answer.and_then(|answer| Share::all(answer).give(take)));
        }
    }
    kept.into_result()
}

/// The next answer, `None` after the last. A thread of a pool does its pool's work while it waits.
fn next_answer(answers: &Receiver<Result<Answer>>, on_pool: bool, began: u64) -> Option<Result<Answer>> {
    loop {
        match answers.try_recv() {
            Ok(answer) => return Some(answer),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if on_pool && rayon::yield_now() == Some(Yield::Executed) => continue,
            Err(TryRecvError::Empty) => {}
        }
        match answers.recv_timeout(LOOK) {
            Ok(answer) => return Some(answer),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if ends_so_far() != began => return Some(Err(VolumeError::Interrupted)),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Some of those whom an answer serves.
struct Share {
    answer: Arc<Answer>,
    serves: Range<usize>,
}

/// Cuts an answer into shares for the threads of a pool: what was asked for with one request is decoded by all of them.
fn share_out(answer: Answer, mut begin: impl FnMut(Share)) {
    let all = Share::all(answer);
    if all.serves.len() <= SHARE {
        begin(all);
        return;
    }
    let (count, answer) = (all.serves.len(), all.answer);
    for start in (0..count).step_by(SHARE) {
        begin(Share { answer: Arc::clone(&answer), serves: start..count.min(start + SHARE) });
    }
}

impl Share {
    fn all(answer: Answer) -> Self {
        let serves = 0..answer.0.serves.len();
        Self { answer: Arc::new(answer), serves }
    }

    /// Hands bytes to whoever asked for them.
    fn give(self, take: &Take<'_>) -> Result<()> {
        let (request, piece, _leave) = &*self.answer;
        let serves = &request.serves[self.serves.clone()];
        let Some(piece) = piece else {
            return serves.iter().try_for_each(|(number, _)| take(*number, None));
        };
        let stamp = Some(piece.stamp);
        if let [(number, _)] = request.serves[..] {
            let mut bytes = match Arc::try_unwrap(self.answer) {
                Ok((_, piece, _leave)) => piece.map_or_else(Vec::new, |piece| piece.bytes),
                Err(shared) => shared.1.as_ref().map_or_else(Vec::new, |piece| piece.bytes.clone()),
            };
            return take(number, Some(Found { bytes: &mut bytes, stamp }));
        }
        serves.iter().try_for_each(|(number, place)| {
            let mut part = place.clone().map_or_else(Vec::new, |place| piece.bytes[place].to_vec());
            take(*number, Some(Found { bytes: &mut part, stamp }))
        })
    }
}
