//! Many parts that are read together: requests are on their way at once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use object_store::path::Path;
use tokio::task::{JoinError, JoinSet};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Fetch, Origin, Part, Stamp, Take};
use wkfast_volume::work::bytes_in_flight;

use crate::budget::{Budget, Leave};
use crate::connection::Connection;
use crate::fate::Keeps;
use crate::handing::hand_over;
use crate::reading::{Piece, piece};
use crate::runtime::runtime;
use crate::store::{ObjectFiles, stamp_of};

/// Requests of one batch on their way at once.
const IN_FLIGHT: usize = 256;

/// And to servers of files, unless they keep connections for the next request: simple ones let few wait to be let in.
const FEW: usize = 6;

/// Bytes between two ranges of an object that are read and thrown away rather than cost a second request.
const GAP: u64 = 64 << 10;

/// Ranges that lie beside each other are one request up to so many bytes; larger ones come sooner in parts.
const LONGEST: u64 = 8 << 20;

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
pub(crate) type Answer = (Request, Option<Piece>, Leave);

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
    /// What there is, within the leave; `None` where there is no such file.
    fn found(&self, request: &Request, leave: &mut Leave) -> impl Future<Output = Result<Option<Piece>>> + Send;

    /// How many requests may be on their way at once, by what is known of the server now.
    fn at_once(&self) -> usize {
        IN_FLIGHT
    }
}

impl Answers for Connection {
    async fn found(&self, request: &Request, leave: &mut Leave) -> Result<Option<Piece>> {
        found(self, request, leave).await
    }

    fn at_once(&self) -> usize {
        if self.keeps.as_ref().is_none_or(Keeps::connections) { IN_FLIGHT } else { FEW }
    }
}

/// Has requests answered, many at once, and hands over what is there while others come.
pub(crate) fn run<A: Answers>(from: &Arc<A>, requests: Vec<Request>, take: &Take<'_>) -> Result<()> {
    let (sender, answers) = channel();
    let budget = Arc::new(Budget::of(bytes_in_flight()?));
    let driver = runtime()?.spawn(drive(Arc::clone(from), requests, budget, sender));
    let done = hand_over(&answers, take);
    driver.abort();
    done
}

/// A range that is wanted: of which object in which state, and the number of its fetch.
struct Wanted<'a> {
    key: &'a str,
    state: Option<Stamp>,
    range: Range<u64>,
    number: usize,
    path: Path,
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
        match fetch.part.clone() {
            Part::Range(range) if range.start < range.end => ranges.push(Wanted { key, state, range, number, path }),
            part => requests.push(Request { path, part, state, serves: vec![(number, None)] }),
        }
    }
    ranges.sort_by(|a, b| (a.key, a.range.start, a.number).cmp(&(b.key, b.range.start, b.number)));
    for wanted in ranges {
        if !requests.last_mut().is_some_and(|last| last.takes(&wanted)) {
            let Wanted { state, range, number, path, .. } = wanted;
            let length = (range.end - range.start) as usize;
            requests.push(Request { path, part: Part::Range(range), state, serves: vec![(number, Some(0..length))] });
        }
    }
    Ok(requests)
}

impl Request {
    /// Serves a range as well that begins in this one or shortly behind it; false for others.
    fn takes(&mut self, wanted: &Wanted<'_>) -> bool {
        let (is_same, range) = (self.path == wanted.path && self.state == wanted.state, &wanted.range);
        let Part::Range(whole) = &mut self.part else { return false };
        let is_beside = range.start >= whole.start && range.start <= whole.end.saturating_add(GAP);
        let end = whole.end.max(range.end);
        if !is_same || !is_beside || end - whole.start > LONGEST {
            return false;
        }
        whole.end = end;
        let start = (range.start - whole.start) as usize;
        self.serves.push((wanted.number, Some(start..start + (range.end - range.start) as usize)));
        true
    }
}

/// Keeps requests on their way until all are answered, or one fails.
async fn drive<A: Answers>(
    connection: Arc<A>,
    requests: Vec<Request>,
    budget: Arc<Budget>,
    sender: Sender<Result<Answer>>,
) {
    let mut under_way = JoinSet::new();
    for request in requests {
        while under_way.len() >= connection.at_once() {
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
fn pass_on(done: Option<std::result::Result<Result<Answer>, JoinError>>, sender: &Sender<Result<Answer>>) -> bool {
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

async fn answer<A: Answers>(connection: Arc<A>, request: Request, budget: Arc<Budget>) -> Result<Answer> {
    let mut leave = budget.leave_for(&request.part).await?;
    let found = connection.found(&request, &mut leave).await?;
    Ok((request, found, leave))
}

/// The answer to a request; `None` where there is no such object.
pub(crate) async fn found(connection: &Connection, request: &Request, leave: &mut Leave) -> Result<Option<Piece>> {
    let found = match piece(connection, &request.path, &request.part, leave).await {
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
