//! The lock of a target in a bucket: an object that its owner renews, as nobody else can tell whether that one lives.
//!
//! There is one for who wants the target alone, and one for each of those who share it. Whoever comes puts its own first
//! and looks for the others' then, so of two who come at once at least one sees the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use wkfast_files::{LEASE, Process, RENEWAL};

use super::{Access, Held, MOST_OF_OWNER, NOTES};
use crate::error::{Result, VolumeError};
use crate::store::{SharedStore, Version, bucket_of, list};
use crate::work::{Observer, Progress, unique_name};

/// While a lock is watched, whoever waits is asked so often whether that is still wanted.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);
/// And the lock is looked at so often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// How often others may come first before that counts as somebody at work.
const TRIES: u32 = 5;

fn exclusive() -> String {
    format!("{NOTES}/lock")
}

/// What keys of shared locks begin with.
fn shared() -> String {
    format!("{NOTES}/shared-")
}

/// Locks that threads of this process have, or are about to take, and how many each. What is left of others is nobody's: whoever
/// had it could not remove it, as the server did not answer or did not allow it any more.
static LIVING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Living(String);

impl Living {
    fn begin(lock: String) -> Self {
        *Self::all().entry(lock.clone()).or_default() += 1;
        Self(lock)
    }

    fn all() -> MutexGuard<'static, BTreeMap<String, usize>> {
        LIVING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(lock: &str) -> usize {
        Self::all().get(lock).copied().unwrap_or(0)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let mut all = Self::all();
        if let Some(count) = all.get_mut(&self.0) {
            *count -= 1;
        }
        all.retain(|_, count| *count > 0);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct BucketLock {
    renewed: Arc<Renewed>,
    /// Goes last: while the lock is removed it is this process's.
    _living: Living,
    renewing: Option<JoinHandle<()>>,
    /// A forked child has a copy that is not its own, and no thread.
    process: u32,
}

/// What the owner and the thread that renews know.
#[derive(Debug)]
struct Renewed {
    store: SharedStore,
    key: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The lock as it was last put; `None` once it is another one's.
    version: Option<Version>,
    /// Renewals so far: each is another object.
    count: u64,
    ended: bool,
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
        let lock = Self::claim(store, own, silence, observer)?;
        let others = if access == Access::Exclusive {
            list(&**store, &shared())?.into_iter().map(|entry| entry.key).collect()
        } else {
            vec![exclusive()]
        };
        lock.outlast(others, silence, observer)?;
        Ok(lock)
    }

    /// Refuses to go on beside locks that are not over, and removes those that are. All of them are watched at once.
    fn outlast(&self, others: Vec<String>, silence: Duration, observer: &mut Observer) -> Result<()> {
        let store = &self.renewed.store;
        let bucket = bucket_of(&**store, NOTES)?;
        let begun = Instant::now();
        let mut seen = Vec::new();
        for key in others {
            if let Some((text, version)) = bucket.read_version(&key, MOST_OF_OWNER)? {
                let own = 0;
                seen.push(Seen { key, text, version, begun, own });
            }
        }
        for seen in &seen {
            if !seen.is_over(store, silence, observer)? {
                return Err(busy(store, &seen.text));
            }
        }
        bucket.remove(&seen.into_iter().map(|seen| seen.key).collect::<Vec<_>>())
    }

    /// Puts a lock, in the place of one that is over or of none. What is there then says whose it is: the answer may have been
    /// lost, and a server that does not know conditions took both of two who came at once.
    fn claim(store: &SharedStore, key: String, silence: Duration, observer: &mut Observer) -> Result<Self> {
        let bucket = bucket_of(&**store, NOTES)?;
        let living = Living::begin(store.describe(&key));
        let mut last = Vec::new();
        for _ in 0..TRIES {
            let mut before = None;
            if let Some((text, version)) = bucket.read_version(&key, MOST_OF_OWNER)? {
                let seen = Seen { key: key.clone(), text, version, begun: Instant::now(), own: 1 };
                if !seen.is_over(store, silence, observer)? {
                    return Err(busy(store, &seen.text));
                }
                before = Some(seen.version);
            }
            let content = content_of(0);
            let put = bucket.put_if(&key, content.clone(), before.as_ref());
            match put.and_then(|_| bucket.read_version(&key, MOST_OF_OWNER)) {
                Ok(Some((text, version))) if text == content => return Ok(Self::renewing(store, key, version, living)),
                Ok(Some((text, _))) => last = text,
                Ok(None) => {}
                Err(error) => {
                    // It may be there all the same.
                    let _ = bucket.release(&key, &|text| text == content);
                    return Err(error);
                }
            }
        }
        Err(busy(store, &last))
    }

    fn renewing(store: &SharedStore, key: String, version: Version, living: Living) -> Self {
        let state = Mutex::new(State { version: Some(version), count: 0, ended: false });
        let renewed = Arc::new(Renewed { store: store.clone(), key, state, changed: Condvar::new() });
        let for_thread = Arc::clone(&renewed);
        let renewing =
            thread::Builder::new().name("wkfast-lock".to_owned()).spawn(move || for_thread.renew_until_ended());
        Self { renewed, _living: living, renewing: renewing.ok(), process: std::process::id() }
    }

    #[cfg(test)]
    pub(super) fn renew_now(&self) {
        self.renewed.renew(&mut self.renewed.state.lock().unwrap());
    }

    /// Whether somebody holds the target who is not known to have gone.
    pub(super) fn is_held(store: &SharedStore) -> Result<bool> {
        let locks = [exclusive()].into_iter().chain(list(&**store, &shared())?.into_iter().map(|entry| entry.key));
        for key in locks {
            if let Some((text, _)) = bucket_of(&**store, NOTES)?.read_version(&key, MOST_OF_OWNER)?
                && !owner_in(&text).is_some_and(|owner| owner.is_gone())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Renewed {
    fn renew_until_ended(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let waited = self.changed.wait_timeout_while(state, RENEWAL, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended || state.version.is_none() {
                return;
            }
            self.renew(&mut state);
        }
    }

    fn renew(&self, state: &mut State) {
        let Some(version) = &state.version else { return };
        // A server that does not answer is asked again: what counts is whether the lock is still this one.
        if let Ok(renewed) = self.put(state.count + 1, version) {
            state.version = renewed;
            state.count += 1;
        }
    }

    fn put(&self, count: u64, version: &Version) -> Result<Option<Version>> {
        let (bucket, content) = (bucket_of(&*self.store, NOTES)?, content_of(count));
        if let Some(renewed) = bucket.put_if(&self.key, content.clone(), Some(version))? {
            return Ok(Some(renewed));
        }
        // An answer may have been lost, and the request sent once more.
        let found = bucket.read_version(&self.key, MOST_OF_OWNER)?;
        Ok(found.filter(|(text, _)| *text == content).map(|(_, version)| version))
    }
}

impl Held for BucketLock {
    fn is_lost(&self) -> bool {
        self.renewed.state.lock().unwrap_or_else(PoisonError::into_inner).version.is_none()
    }

    fn check(&self) -> Result<()> {
        let state = self.renewed.state.lock().unwrap_or_else(PoisonError::into_inner);
        let store = &self.renewed.store;
        let found = bucket_of(&**store, NOTES)?.read_version(&self.renewed.key, MOST_OF_OWNER)?;
        match (found, &state.version) {
            (Some((_, found)), Some(own)) if found == *own => Ok(()),
            (found, _) => Err(busy(store, &found.map(|(text, _)| text).unwrap_or_default())),
        }
    }
}

impl Drop for BucketLock {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            return;
        }
        self.renewed.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.renewed.changed.notify_all();
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
        if let Ok(bucket) = bucket_of(&*self.renewed.store, NOTES) {
            // One that stays is over when nobody has renewed it for a while.
            let is_own = |text: &[u8]| owner_in(text).is_some_and(|owner| owner == Process::this());
            let _ = bucket.release(&self.renewed.key, &is_own);
        }
    }
}

/// A lock as it was when somebody began to watch it.
struct Seen {
    key: String,
    text: Vec<u8>,
    version: Version,
    begun: Instant,
    /// How many of those in this process who live for it are whoever watches.
    own: usize,
}

impl Seen {
    /// Whether it is held for nobody: its owner is a process of this machine that has gone, or does not renew it.
    ///
    /// Names of machines, and what they say of their last start, tell no more than that an owner is not here: two that
    /// live may have the same.
    fn is_over(&self, store: &SharedStore, silence: Duration, observer: &mut Observer) -> Result<bool> {
        if let Some(owner) = owner_in(&self.text).filter(|owner| !owner.is_elsewhere()) {
            let is_left = owner == Process::this() && Living::count(&store.describe(&self.key)) == self.own;
            if owner.is_gone() || is_left {
                return Ok(true);
            }
            if age_of(&self.text).is_some_and(|age| age < silence) {
                return Ok(false);
            }
        }
        let mut looked = self.begun;
        while self.begun.elapsed() < silence {
            observer(Progress::default())?;
            thread::sleep(BETWEEN_QUESTIONS.min(silence / 4));
            if looked.elapsed() >= BETWEEN_LOOKS.min(silence / 4) {
                looked = Instant::now();
                if let Some(answer) = self.look(store)? {
                    return Ok(answer);
                }
            }
        }
        Ok(self.look(store)?.unwrap_or(true))
    }

    /// Whether it is over, as soon as that is known.
    fn look(&self, store: &SharedStore) -> Result<Option<bool>> {
        Ok(match bucket_of(&**store, NOTES)?.read_version(&self.key, MOST_OF_OWNER)? {
            None => Some(true),
            Some((_, now)) if now == self.version => None,
            Some(_) => Some(false),
        })
    }
}

fn content_of(count: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{} renewed {count} at {now} {}", Process::this(), unique_name("as", "lock")).into_bytes()
}

/// How long ago a process of this machine, by the same clock, says it renewed its lock.
fn age_of(text: &[u8]) -> Option<Duration> {
    let (_, after) = std::str::from_utf8(text).ok()?.split_once(" at ")?;
    let renewed = Duration::from_millis(after.split(' ').next()?.parse().ok()?);
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH.checked_add(renewed)?).ok()
}

fn owner_in(text: &[u8]) -> Option<Process> {
    Process::parse(std::str::from_utf8(text).ok()?)
}

fn busy(store: &SharedStore, text: &[u8]) -> VolumeError {
    let owner = owner_in(text).map(|owner| format!(" (process {} on {})", owner.number(), owner.host()));
    VolumeError::TargetBusy {
        target: store.describe("").trim_end_matches('/').to_owned(),
        owner: owner.unwrap_or_default(),
    }
}
