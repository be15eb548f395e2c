//! What has come is handed to whoever asked for it, while others come.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rayon::Yield;
use wkfast_http::ends_so_far;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Found, Take};

use crate::batch::Answer;

/// Fetches that were one request and are handed over by one thread: chunks that take a few milliseconds.
const SHARE: usize = 32;

/// How often a waiting caller looks whether its work is wanted.
const LOOK: Duration = Duration::from_millis(20);

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
pub(crate) fn hand_over(answers: &Receiver<Result<Answer>>, take: &Take<'_>) -> Result<()> {
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
