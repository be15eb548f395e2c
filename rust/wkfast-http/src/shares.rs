//! How all connections there may be are shared among the batches that are under way, as some begin and others end.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections that all batches of a client may have together.
pub(crate) const MOST: usize = 256;

/// What batches have of the connections there may be.
///
/// None has more than the level up to which all can have what they want. Whoever has more when another begins gives way, a
/// connection after each answer; whoever has less takes what others gave back. A batch that begins has at least one, so
/// there may be more than [`MOST`]: for the time of an answer, or where more than so many batches are under way.
#[derive(Default)]
pub(crate) struct Shares {
    batches: Mutex<Vec<Arc<Holding>>>,
    level: AtomicUsize,
}

#[derive(Default)]
struct Holding {
    wanted: AtomicUsize,
    held: AtomicUsize,
}

impl Shares {
    /// Up to `first` connections, and at least one, for a batch that may have a use for `wanted`.
    pub(crate) fn take(self: &Arc<Self>, wanted: usize, first: usize) -> Share {
        let ours = Arc::new(Holding { wanted: wanted.into(), held: AtomicUsize::new(0) });
        let mut batches = self.batches();
        batches.push(Arc::clone(&ours));
        self.set_level(&batches);
        let share = Share { all: Arc::clone(self), ours };
        share.ours.held.store(share.reach(&batches, first).max(1), Relaxed);
        drop(batches);
        share
    }

    /// Whether any batch is under way.
    pub(crate) fn are_taken(&self) -> bool {
        !self.batches().is_empty()
    }

    fn batches(&self) -> MutexGuard<'_, Vec<Arc<Holding>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_level(&self, batches: &[Arc<Holding>]) {
        let mut wanted: Vec<usize> = batches.iter().map(|batch| batch.wanted.load(Relaxed)).collect();
        self.level.store(level(&mut wanted, MOST), Relaxed);
    }
}

/// The connections of one batch.
#[derive(Clone)]
pub(crate) struct Share {
    all: Arc<Shares>,
    ours: Arc<Holding>,
}

impl Share {
    pub(crate) fn held(&self) -> usize {
        self.ours.held.load(Relaxed)
    }

    /// As many connections as there are for this batch now, up to `most`; never fewer than it has.
    pub(crate) fn grow(&self, most: usize) -> usize {
        let batches = self.all.batches();
        let more = self.reach(&batches, most) - self.held();
        // Others of this batch may give one away meanwhile.
        let held = self.ours.held.fetch_add(more, Relaxed) + more;
        drop(batches);
        held
    }

    /// Gives one connection to those that have fewer, if this batch has more than they can.
    pub(crate) fn gives_way(&self) -> bool {
        let level = self.all.level.load(Relaxed).max(1);
        // All but always it has not, which costs no lock.
        self.held() > level && self.shrink(|held| held > level)
    }

    /// Gives one connection back for which this batch has no use any more.
    pub(crate) fn leave(&self) {
        self.shrink(|held| held > 0);
        let batches = self.all.batches();
        self.ours.wanted.store(self.held(), Relaxed);
        self.all.set_level(&batches);
    }

    /// Gives all of it back.
    pub(crate) fn give_back(&self) {
        let mut batches = self.all.batches();
        batches.retain(|batch| !Arc::ptr_eq(batch, &self.ours));
        self.all.set_level(&batches);
    }

    fn shrink(&self, may: impl Fn(usize) -> bool) -> bool {
        self.ours.held.fetch_update(Relaxed, Relaxed, |held| may(held).then(|| held - 1)).is_ok()
    }

    fn reach(&self, batches: &[Arc<Holding>], most: usize) -> usize {
        let held = self.held();
        let taken: usize = batches.iter().map(|batch| batch.held.load(Relaxed)).sum();
        let free = MOST.saturating_sub(taken);
        let fair = most.min(self.ours.wanted.load(Relaxed)).min(self.all.level.load(Relaxed));
        held.max(fair.min(held + free))
    }
}

/// The largest number up to which all can have what they want of `all`; at least one.
fn level(wanted: &mut [usize], all: usize) -> usize {
    wanted.sort_unstable();
    let mut rest = all;
    for (place, &wants) in wanted.iter().enumerate() {
        let fair = rest / (wanted.len() - place);
        if wants > fair {
            return fair.max(1);
        }
        rest -= wants;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Raises the level by one as long as there is enough.
    fn slow_level(wanted: &[usize], all: usize) -> usize {
        let sum = |level: usize| wanted.iter().map(|&wants| wants.min(level)).sum::<usize>();
        (1..=all).take_while(|&level| sum(level) <= all).last().unwrap_or(1)
    }

    #[test]
    fn the_level_is_as_high_as_it_can_be() {
        let mut random = 1_u32;
        for round in 0..2_000 {
            let wanted: Vec<usize> = (0..round % 40)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 16) as usize % 120
                })
                .collect();
            assert_eq!(level(&mut wanted.clone(), 100), slow_level(&wanted, 100), "{wanted:?}");
        }
    }

    #[test]
    fn who_came_first_gives_way_to_who_comes_later() {
        let all = Arc::new(Shares::default());
        let shares: Vec<Share> = (0..5).map(|_| all.take(MOST, MOST)).collect();
        assert_eq!(shares.iter().map(Share::held).collect::<Vec<_>>(), [256, 1, 1, 1, 1]);
        let fair = MOST / shares.len();
        for _ in 0..MOST {
            shares[0].gives_way();
        }
        let grown: Vec<usize> = shares.iter().map(|share| share.grow(MOST)).collect();
        assert_eq!(grown, [fair, fair, fair, fair, fair]);
    }

    #[test]
    fn what_one_has_no_use_for_goes_to_the_others() {
        let all = Arc::new(Shares::default());
        let (one, other) = (all.take(MOST, MOST), all.take(MOST, MOST));
        assert_eq!(other.grow(MOST), 1, "nothing is free yet");
        for _ in 0..MOST {
            one.leave();
        }
        assert_eq!((one.held(), other.grow(100)), (0, 100));
        one.give_back();
        assert_eq!(other.grow(MOST), MOST);
        other.give_back();
        assert!(!all.are_taken());
    }

    #[test]
    fn a_batch_alone_never_gives_way() {
        let all = Arc::new(Shares::default());
        let share = all.take(1_000, 1_000);
        assert_eq!((share.held(), share.gives_way()), (MOST, false));
    }
}
