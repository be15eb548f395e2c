//! How long parts of a request may take, and all of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::failure::{Failure, Kind};

/// How long parts of a request may take, and all of it down to its last byte.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the first byte of the answer.
    pub first_byte: Duration,
    /// Between two bytes.
    pub read: Duration,
    /// From the call to the last byte.
    pub total: Duration,
}

/// What ends a request whose time is over. One timer serves a connection for all its requests: it is set anew when it has
/// gone off, not with each byte.
pub(crate) struct Watch {
    timer: Pin<Box<Sleep>>,
    /// Nothing is waited for beyond this.
    end: Instant,
    /// When something was last heard, and for how long there may be nothing more.
    heard: Instant,
    patience: Duration,
    /// What it means when that is over.
    kind: Kind,
}

impl Watch {
    /// For a request that begins now.
    pub(crate) fn begin(times: &Times) -> Self {
        let now = Instant::now();
        let mut watch = Self {
            timer: Box::pin(sleep_until(now)),
            end: now,
            heard: now,
            patience: times.connect,
            kind: Kind::UnreachedInTime,
        };
        watch.again(times);
        let next = watch.next();
        watch.timer.as_mut().reset(next);
        watch
    }

    /// For another request, which begins now.
    pub(crate) fn again(&mut self, times: &Times) {
        let now = Instant::now();
        self.end = now.checked_add(times.total).unwrap_or(now + FAR);
        self.expect(times.connect, Kind::UnreachedInTime);
    }

    /// Begins another wait.
    pub(crate) fn expect(&mut self, patience: Duration, kind: Kind) {
        (self.heard, self.patience, self.kind) = (Instant::now(), patience.min(FAR), kind);
        let next = self.next();
        if next < self.timer.deadline() {
            self.timer.as_mut().reset(next);
        }
    }

    /// Takes note that something came.
    pub(crate) fn hear(&mut self) {
        self.heard = Instant::now();
    }

    fn next(&self) -> Instant {
        self.end.min(self.heard + self.patience)
    }

    /// Ready when it is enough.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(Failure::new(Kind::Late, "the time is over"));
            }
            if now >= self.heard + self.patience {
                return Poll::Ready(Failure::new(self.kind, format!("nothing came for {:?}", self.patience)));
            }
            let next = self.next();
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// What `work` gives, unless time is over before.
    pub(crate) async fn over<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

/// In place of times that no clock can hold.
const FAR: Duration = Duration::from_secs(3600 * 24 * 365);
