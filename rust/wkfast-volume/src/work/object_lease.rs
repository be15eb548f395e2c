//! An object that its owner renews, as nobody else can tell whether that one lives: whoever finds it leaves alone what it
//! stands for, unless its owner has gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use wkfast_files::Process;

use super::names::unique_name;
use super::{Observer, Progress};
use crate::error::Result;
use crate::store::{SharedStore, Version, bucket_of};

/// Of what the owner says of itself.
const MOST: u64 = 1 << 12;
/// While one is watched, whoever waits is asked so often whether that is still wanted.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);
/// And it is looked at so often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// How often others may come first before that counts as somebody at work.
const TRIES: u32 = 5;

/// Those that threads of this process have, or are about to take, and how many each. What is left of others is nobody's:
/// whoever had it could not remove it, as the server did not answer or did not allow it any more, or left it on purpose.
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

/// How long one lasts.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Between two renewals.
    pub renewal: Duration,
    /// One that nobody renews for so long is over.
    pub silence: Duration,
}

impl Default for Term {
    fn default() -> Self {
        Self { renewal: wkfast_files::RENEWAL, silence: wkfast_files::LEASE }
    }
}

/// See the module. Dropped, it is renewed no more, and stays.
#[derive(Debug)]
pub struct ObjectLease {
    renewed: Arc<Renewed>,
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
    renewal: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// As it was last put; `None` once it is another one's.
    version: Option<Version>,
    /// Renewals so far: each is another object.
    count: u64,
    ended: bool,
}

/// What came of asking for one.
#[derive(Debug)]
pub enum Taken {
    /// It is there; and whether it took the place of one that was over.
    Lease(ObjectLease, bool),
    /// Somebody else has it, who says this of itself.
    Busy(Vec<u8>),
}

impl ObjectLease {
    /// Puts one at `key`, in the place of one that is over or of none. What is there then says whose it is: the answer may
    /// have been lost, and a server that does not know conditions took both of two who came at once. While another one has
    /// to be watched, `observer` is called.
    pub fn take(store: &SharedStore, key: &str, term: Term, observer: &mut Observer) -> Result<Taken> {
        let bucket = bucket_of(&**store, key)?;
        let living = Living::begin(store.describe(key));
        let (mut last, mut was_left) = (Vec::new(), false);
        for _ in 0..TRIES {
            let before = WatchedLease::watched(store, key, 1)?;
            if let Some(seen) = &before {
                if !seen.is_over(store, term.silence, observer)? {
                    return Ok(Taken::Busy(before.map(|seen| seen.text).unwrap_or_default()));
                }
                was_left = true;
            }
            let content = content_of(0);
            let put = bucket.put_if(key, content.clone(), before.as_ref().map(|seen| &seen.version));
            match put.and_then(|_| bucket.read_version(key, MOST)) {
                Ok(Some((text, version))) if text == content => {
                    return Ok(Taken::Lease(Self::renewing(store, key, term.renewal, version, living), was_left));
                }
                Ok(Some((text, _))) => last = text,
                Ok(None) => {}
                Err(error) => {
                    // It may be there all the same.
                    let _ = bucket.release(key, &|text| text == content);
                    return Err(error);
                }
            }
        }
        Ok(Taken::Busy(last))
    }

    /// Whether there is one at `key` that is over; `None` if there is none.
    pub fn is_over(store: &SharedStore, key: &str, silence: Duration, observer: &mut Observer) -> Result<Option<bool>> {
        WatchedLease::at(store, key)?.map(|seen| seen.is_over(store, silence, observer)).transpose()
    }

    fn renewing(store: &SharedStore, key: &str, renewal: Duration, version: Version, living: Living) -> Self {
        let state = Mutex::new(State { version: Some(version), count: 0, ended: false });
        let changed = Condvar::new();
        let renewed = Arc::new(Renewed { store: store.clone(), key: key.to_owned(), renewal, state, changed });
        let for_thread = Arc::clone(&renewed);
        let renewing =
            thread::Builder::new().name("wkfast-lock".to_owned()).spawn(move || for_thread.renew_until_ended());
        Self { renewed, _living: living, renewing: renewing.ok(), process: std::process::id() }
    }

    #[cfg(test)]
    pub(crate) fn renew_now(&self) {
        self.renewed.renew(&mut self.renewed.state());
    }

    /// Whether it is known already to be another one's.
    pub(crate) fn is_lost(&self) -> bool {
        self.renewed.state().version.is_none()
    }

    /// What another one that has it now says of itself; nothing if none is there any more; `None` as long as it is this one's.
    pub fn taken_by(&self) -> Result<Option<Vec<u8>>> {
        let Renewed { store, key, .. } = &*self.renewed;
        let state = self.renewed.state();
        let found = bucket_of(&**store, key)?.read_version(key, MOST)?;
        Ok(match (found, &state.version) {
            (Some((_, found)), Some(own)) if found == *own => None,
            (found, _) => Some(found.map(|(text, _)| text).unwrap_or_default()),
        })
    }

    /// Removes it, if it is still this process's.
    pub fn finish(mut self) {
        if !self.end() {
            return;
        }
        if let Ok(bucket) = bucket_of(&*self.renewed.store, &self.renewed.key) {
            // One that stays is over when nobody has renewed it for a while.
            let is_own = |text: &[u8]| owner_in(text).is_some_and(|owner| owner == Process::this());
            let _ = bucket.release(&self.renewed.key, &is_own);
        }
    }

    /// False in a forked child, which has nothing to end.
    fn end(&mut self) -> bool {
        if std::process::id() != self.process {
            return false;
        }
        self.renewed.state().ended = true;
        self.renewed.changed.notify_all();
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
        true
    }
}

impl Drop for ObjectLease {
    fn drop(&mut self) {
        self.end();
    }
}

impl Renewed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew_until_ended(&self) {
        let mut state = self.state();
        loop {
            let waited = self.changed.wait_timeout_while(state, self.renewal, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended || state.version.is_none() {
                return;
            }
            self.renew(&mut state);
        }
    }

    fn renew(&self, state: &mut State) {
        let Some(version) = &state.version else { return };
        // A server that does not answer is asked again: what counts is whether it is still this one's.
        if let Ok(renewed) = self.put(state.count + 1, version) {
            state.version = renewed;
            state.count += 1;
        }
    }

    fn put(&self, count: u64, version: &Version) -> Result<Option<Version>> {
        let (bucket, content) = (bucket_of(&*self.store, &self.key)?, content_of(count));
        if let Some(renewed) = bucket.put_if(&self.key, content.clone(), Some(version))? {
            return Ok(Some(renewed));
        }
        // An answer may have been lost, and the request sent once more.
        let found = bucket.read_version(&self.key, MOST)?;
        Ok(found.filter(|(text, _)| *text == content).map(|(_, version)| version))
    }
}

/// One as it was when somebody began to watch it.
pub(crate) struct WatchedLease {
    pub(crate) key: String,
    /// What its owner says of itself.
    pub(crate) text: Vec<u8>,
    version: Version,
    begun: Instant,
    /// How many of those in this process who live for it are whoever watches.
    own: usize,
}

impl WatchedLease {
    /// That at `key` from now on, for somebody who does not want it; `None` if there is none.
    pub(crate) fn at(store: &SharedStore, key: &str) -> Result<Option<Self>> {
        Self::watched(store, key, 0)
    }

    fn watched(store: &SharedStore, key: &str, own: usize) -> Result<Option<Self>> {
        let found = bucket_of(&**store, key)?.read_version(key, MOST)?;
        Ok(found.map(|(text, version)| Self { key: key.to_owned(), text, version, begun: Instant::now(), own }))
    }

    /// Whether it is held for nobody: its owner is a process of this machine that has gone, or does not renew it.
    ///
    /// Names of machines, and what they say of their last start, tell no more than that an owner is not here: two that
    /// live may have the same.
    pub(crate) fn is_over(&self, store: &SharedStore, silence: Duration, observer: &mut Observer) -> Result<bool> {
        if self.text.is_empty() {
            return Ok(true);
        }
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
        Ok(match bucket_of(&**store, &self.key)?.read_version(&self.key, MOST)? {
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

/// The process that says so of itself.
pub(crate) fn owner_in(text: &[u8]) -> Option<Process> {
    Process::parse(std::str::from_utf8(text).ok()?)
}
