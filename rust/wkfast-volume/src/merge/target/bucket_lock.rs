//! The lock of a target in a bucket: [leases](ObjectLease) among its notes. There is one for who wants the target alone, and
//! one for each of those who share it. Whoever comes puts its own first and looks for the others' then, so of two who come
//! at once at least one sees the other.

use std::time::Duration;

use wkfast_files::LEASE;

use super::{Access, Held, NOTES};
use crate::error::{Result, VolumeError};
use crate::store::{SharedStore, bucket_of, list};
use crate::work::{ObjectLease, Observer, Taken, Term, WatchedLease, owner_in, unique_name};

fn exclusive() -> String {
    format!("{NOTES}/lock")
}

/// What keys of shared locks begin with.
fn shared() -> String {
    format!("{NOTES}/shared-")
}

/// See the module.
#[derive(Debug)]
pub(super) struct BucketLock {
    store: SharedStore,
    /// Until it is dropped.
    lease: Option<ObjectLease>,
}

impl BucketLock {
    /// Takes the lock.
    pub(super) fn take(store: &SharedStore, access: Access, observer: &mut Observer) -> Result<Self> {
        Self::take_after(store, access, LEASE, observer)
    }

    /// As [`take`](Self::take), where a lock is over that nobody renews for so long.
    pub(super) fn take_after(
        store: &SharedStore,
        access: Access,
        silence: Duration,
        observer: &mut Observer,
    ) -> Result<Self> {
        let own = if access == Access::Exclusive { exclusive() } else { shared() + &unique_name("by", "lock") };
        let term = Term { silence, ..Term::default() };
        let lock = match ObjectLease::take(store, &own, term, observer)? {
            Taken::Lease(lease, _) => Self { store: store.clone(), lease: Some(lease) },
            Taken::Busy(text) => return Err(busy(store, &text)),
        };
        let others = if access == Access::Exclusive {
            list(&**store, &shared())?.into_iter().map(|entry| entry.key).collect()
        } else {
            vec![exclusive()]
        };
        outlast(store, &others, silence, observer)?;
        Ok(lock)
    }

    #[cfg(test)]
    pub(super) fn renew_now(&self) {
        self.lease.as_ref().unwrap().renew_now();
    }

    /// Whether somebody holds the target who is not known to have gone.
    pub(super) fn is_held(store: &SharedStore) -> Result<bool> {
        let locks = [exclusive()].into_iter().chain(list(&**store, &shared())?.into_iter().map(|entry| entry.key));
        for key in locks {
            if let Some(seen) = WatchedLease::at(store, &key)?
                && !owner_in(&seen.text).is_some_and(|owner| owner.is_gone())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Refuses to go on beside locks that are not over, and removes those that are. All of them are watched at once.
fn outlast(store: &SharedStore, others: &[String], silence: Duration, observer: &mut Observer) -> Result<()> {
    let seen: Vec<WatchedLease> =
        others.iter().filter_map(|key| WatchedLease::at(store, key).transpose()).collect::<Result<_>>()?;
    for seen in &seen {
        if !seen.is_over(store, silence, observer)? {
            return Err(busy(store, &seen.text));
        }
    }
    bucket_of(&**store, NOTES)?.remove(&seen.into_iter().map(|seen| seen.key).collect::<Vec<_>>())
}

impl Held for BucketLock {
    fn is_lost(&self) -> bool {
        self.lease.as_ref().is_none_or(ObjectLease::is_lost)
    }

    fn check(&self) -> Result<()> {
        let Some(lease) = &self.lease else { return Ok(()) };
        lease.taken_by()?.map_or(Ok(()), |text| Err(busy(&self.store, &text)))
    }
}

impl Drop for BucketLock {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }
}

fn busy(store: &SharedStore, text: &[u8]) -> VolumeError {
    let owner = owner_in(text).map(|owner| format!(" (process {} on {})", owner.number(), owner.host()));
    VolumeError::TargetBusy {
        target: store.describe("").trim_end_matches('/').to_owned(),
        owner: owner.unwrap_or_default(),
    }
}
