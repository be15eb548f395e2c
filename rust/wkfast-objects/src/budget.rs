//! Bytes that a batch may have on their way: asked for, and not yet handed over.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::Part;

/// What is set aside for the first objects whose sizes are not known before they come, unless they cannot have so much.
const GUESS: u64 = 8 << 20;

/// An answer whose body has begun waits no longer for its room: servers close what nobody reads.
const OPEN: Duration = Duration::from_secs(5);

/// The budget of one batch.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In kB: a count that a semaphore can hold.
    kb: Arc<Semaphore>,
    all: u32,
    /// What the last object of unknown size had, which the next ones are taken to have.
    last: AtomicU64,
    /// Who comes next, so that nobody waits for what was guessed long ago.
    next: Mutex<()>,
}

impl Budget {
    /// One of so many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        let all = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        let kb = Arc::new(Semaphore::new(all as usize));
        Self { kb, all, last: AtomicU64::new(GUESS), next: Mutex::new(()) }
    }

    /// Waits for the room of a part; of one whose size is not known, for what it may have.
    pub(crate) async fn leave_for(self: Arc<Self>, part: &Part) -> Result<Leave> {
        let next = self.next.lock().await;
        let bytes = match part {
            Part::Range(range) => range.end.saturating_sub(range.start),
            Part::Start(length) | Part::End(length) | Part::Whole(length) => {
                (*length).min(self.last.load(Ordering::Relaxed))
            }
        };
        let held = self.room(self.share_of(bytes)).await?;
        drop(next);
        Ok(Leave { of: Some(self), held: Some(held) })
    }

    fn share_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(self.all).clamp(1, self.all)
    }

    async fn room(&self, share: u32) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.kb).acquire_many_owned(share).await.map_err(|_| VolumeError::Interrupted)
    }
}

/// The leave to hold some bytes of a batch, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    of: Option<Arc<Budget>>,
    held: Option<OwnedSemaphorePermit>,
}

impl Leave {
    /// For what is no part of a batch.
    pub(crate) fn unlimited() -> Self {
        Self::default()
    }

    /// Makes it one for so many bytes, as soon as the size of an answer is known. What was guessed is given back before
    /// there is waiting for more: those who wait hold nothing that others wait for. False where that took so long that
    /// the answer has to be asked for again.
    pub(crate) async fn fit(&mut self, bytes: u64, part: &Part) -> Result<bool> {
        let Some(budget) = &self.of else { return Ok(true) };
        if matches!(part, Part::Whole(_)) {
            budget.last.store(bytes.max(1), Ordering::Relaxed);
        }
        let share = budget.share_of(bytes);
        if let Some(held) = &mut self.held
            && held.num_permits() >= share as usize
        {
            drop(held.split(held.num_permits() - share as usize));
            return Ok(true);
        }
        self.held = None;
        let mut waiting = pin!(budget.room(share));
        let (held, is_soon) = match tokio::time::timeout(OPEN, &mut waiting).await {
            Ok(held) => (held?, true),
            Err(_) => (waiting.await?, false),
        };
        self.held = Some(held);
        Ok(is_soon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wait_for;

    const ALL: u64 = 256 << 20;

    fn free(budget: &Budget) -> usize {
        budget.kb.available_permits()
    }

    #[test]
    fn a_guess_is_given_back_and_the_size_taken() {
        let budget = Arc::new(Budget::of(ALL));
        let (whole, all) = (Part::Whole(u64::MAX), (ALL >> 10) as usize);
        let done = wait_for(async {
            let mut leave = Arc::clone(&budget).leave_for(&whole).await?;
            assert_eq!(free(&budget), all - 8192);
            assert!(leave.fit(1 << 20, &whole).await?);
            assert_eq!(free(&budget), all - 1024);
            // The next one is taken to be as large.
            let other = Arc::clone(&budget).leave_for(&whole).await?;
            assert_eq!(free(&budget), all - 2 * 1024);
            assert!(leave.fit(100, &whole).await?);
            assert_eq!(free(&budget), all - 1024 - 1);
            // One that is larger than all there is waits until it is alone.
            drop(other);
            assert!(leave.fit(1 << 40, &whole).await?);
            assert_eq!(free(&budget), 0);
            drop(leave);
            assert_eq!(free(&budget), all);
            Ok(())
        });
        done.unwrap();
    }

    #[test]
    fn those_who_find_out_that_they_need_more_do_not_wait_for_each_other() {
        let budget = Arc::new(Budget::of(ALL));
        let one = |budget: Arc<Budget>| async move {
            let mut leave = budget.leave_for(&Part::Whole(u64::MAX)).await?;
            tokio::task::yield_now().await;
            leave.fit(64 << 20, &Part::Whole(u64::MAX)).await.map(drop)
        };
        let done = wait_for(async {
            let mut all: Vec<_> = (0..256).map(|_| tokio::spawn(one(Arc::clone(&budget)))).collect();
            for each in all.drain(..) {
                each.await.unwrap()?;
            }
            Ok(())
        });
        done.unwrap();
        assert_eq!(free(&budget), (ALL >> 10) as usize);
    }
}
