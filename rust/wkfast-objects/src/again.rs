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
        tokio::time::sleep(FIRST_WAIT.mul_f64(f64::from(1 << self.count) * (0.5 + chance()))).await;
        self.count += 1;
        true
    }
}

/// Between 0 and 1, so that those who were refused together do not come together again.
pub(crate) fn chance() -> f64 {
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
