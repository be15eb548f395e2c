//! Asking again where an answer broke off, or said to come back: the store itself does so where no answer came, and for the content of objects that
//! it knows to be the same still.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// How often, and for how long.
const TRIES: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Tries of one request.
pub(crate) struct Tries {
    begun: Instant,
    count: u32,
}

impl Tries {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), count: 0 }
    }

    /// Waits before the next one; false where enough were made.
    pub(crate) async fn again(&mut self) -> bool {
        if self.count >= TRIES || self.begun.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(pause(FIRST_WAIT, self.count)).await;
        self.count += 1;
        true
    }
}

/// How long to wait after `tries` that brought nothing: about twice as long as before, from about `first` on. Those who were
/// refused together do not come together again, and nobody is back at once.
pub(crate) fn pause(first: Duration, tries: u32) -> Duration {
    first.mul_f64(f64::from(1 << tries) * (0.5 + chance()))
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from((RandomState::new().hash_one(0_u8) >> 40) as u32) / f64::from(1_u32 << 24)
}

/// What `ask` gives, whose request changes nothing when it is sent a second time.
pub(crate) async fn asked<T, F>(ask: impl Fn() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let mut tries = Tries::begin();
    loop {
        match ask().await {
            Err(error) if is_broken(&error) && tries.again().await => {}
            done => return done,
        }
    }
}

/// Whether the answer, be it that of a refusal, did not come to its end.
pub(crate) fn is_broken(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(wire) = cause.downcast_ref::<HttpError>() {
            // Those two the store has tried as often as it should.
            return !matches!(wire.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ_and_are_never_short() {
        let first = Duration::from_secs(1);
        for tries in 0..6 {
            let pauses: Vec<f64> =
                (0..200).map(|_| pause(first, tries).as_secs_f64() / f64::from(1 << tries)).collect();
            assert!(pauses.iter().all(|pause| (0.5..1.5).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().any(|&pause| pause < 0.9) && pauses.iter().any(|&pause| pause > 1.1));
        }
    }
}
