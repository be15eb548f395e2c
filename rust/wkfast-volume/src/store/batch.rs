//! Reads that are asked for together: work says which, the store decides how.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Pinned, ReadStore, Stamp};
use crate::error::{Result, VolumeError};

/// A file to read from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// Whatever has this key.
    Key(&'a str),
    /// What has this key, as long as it is in this state: if not, reading it fails with [`VolumeError::Changed`].
    State(&'a str, Stamp),
    /// One that is held open.
    Pinned(&'a Pinned),
}

/// What is wanted of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it; more than so many bytes are refused before they are read.
    Whole(u64),
    /// Its first bytes, at most so many.
    Start(u64),
    /// Its last bytes, at most so many.
    End(u64),
    /// These bytes, which must be there.
    Range(Range<u64>),
}

impl Part {
    /// Where the part lies in a file of `size` bytes.
    pub fn range(&self, size: u64) -> Range<u64> {
        match self {
            Self::Whole(_) => 0..size,
            Self::Start(length) => 0..size.min(*length),
            Self::End(length) => size.saturating_sub(*length)..size,
            Self::Range(range) => range.clone(),
        }
    }
}

/// One read of a [batch](ReadStore::read_batch).
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    /// The file.
    pub origin: Origin<'a>,
    /// What of it.
    pub part: Part,
}

/// What came of a [`Fetch`].
#[derive(Debug)]
pub struct Found<'a> {
    /// The bytes. Who takes them out saves a copy; who leaves them there saves the next one an allocation.
    pub bytes: &'a mut Vec<u8>,
    /// State of the file they are of. Not told for a [whole](Part::Whole) file and a [range](Part::Range) by key.
    pub stamp: Option<Stamp>,
}

/// Gets what was read, with the number of its [`Fetch`]; `None` where there is no such file, which is an error for
/// a [range](Part::Range).
pub type Take<'a> = dyn Fn(usize, Option<Found<'_>>) -> Result<()> + Sync + 'a;

thread_local! {
    static BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Does `work` for every number below `count`: on the threads of the current pool, or on this one where there is no pool.
/// Who wants threads calls from one; nobody gets those of all the machine unasked.
pub(crate) fn on_pool(count: usize, work: impl Fn(usize) -> Result<()> + Sync + Send) -> Result<()> {
    if count < 2 || rayon::current_thread_index().is_none() {
        return (0..count).try_for_each(work);
    }
    (0..count).into_par_iter().with_max_len(1).try_for_each(work)
}

/// [`ReadStore::read_batch`] of a store where nobody waits: every thread reads one piece after the other, into a buffer that
/// is used again.
pub(crate) fn read_near<S: ReadStore + ?Sized>(store: &S, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
    on_pool(fetches.len(), |number| {
        // Taken, not borrowed: whoever is handed the bytes may wait for others, and be given the next piece meanwhile.
        let mut bytes = BYTES.take();
        let done = read_one(store, number, &fetches[number], &mut bytes, take);
        BYTES.set(bytes);
        done
    })
}

/// What comes in any order, by its number.
pub(crate) struct Slots<T>(Vec<Mutex<Option<T>>>);

impl<T> Slots<T> {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::new(None)).collect())
    }

    pub(crate) fn put(&self, number: usize, value: Option<T>) {
        *self.0[number].lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub(crate) fn into_vec(self) -> Vec<Option<T>> {
        self.0.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

/// The bytes of all that is asked for, in the order in which it is.
pub(crate) fn read_all(store: &dyn ReadStore, fetches: &[Fetch<'_>]) -> Result<Vec<Option<Vec<u8>>>> {
    let read = Slots::new(fetches.len());
    store.read_batch(fetches, &|number, found| {
        read.put(number, found.map(|found| std::mem::take(found.bytes)));
        Ok(())
    })?;
    Ok(read.into_vec())
}

/// Whole files of at most `limit` bytes each, asked for together; `None` for those that are not there.
pub fn read_whole<K: AsRef<str>>(store: &dyn ReadStore, keys: &[K], limit: u64) -> Result<Vec<Option<Vec<u8>>>> {
    let whole = |key| Fetch { origin: Origin::Key(key), part: Part::Whole(limit) };
    read_all(store, &keys.iter().map(|key| whole(key.as_ref())).collect::<Vec<_>>())
}

/// Reads one piece through the methods of the store for single reads.
pub(super) fn read_one<S: ReadStore + ?Sized>(
    store: &S,
    number: usize,
    fetch: &Fetch<'_>,
    bytes: &mut Vec<u8>,
    take: &Take<'_>,
) -> Result<()> {
    match (fetch.origin, &fetch.part) {
        (Origin::Pinned(pinned), part) => {
            let stamp = pinned.stamp();
            pinned.read_into(resized(bytes, part, stamp.size), bytes)?;
            take(number, Some(Found { bytes, stamp: Some(stamp) }))
        }
        (Origin::Key(key), Part::Whole(limit)) => {
            let Some(mut whole) = store.read(key, *limit)? else { return take(number, None) };
            take(number, Some(Found { bytes: &mut whole, stamp: None }))
        }
        (Origin::Key(key), Part::Range(range)) => {
            store.read_into(key, resized(bytes, &fetch.part, range.end), bytes)?;
            take(number, Some(Found { bytes, stamp: None }))
        }
        (Origin::Key(key), part) => {
            let Some(stamp) = store.stamp(key)? else { return take(number, None) };
            store.read_into(key, resized(bytes, part, stamp.size), bytes)?;
            take(number, Some(Found { bytes, stamp: Some(stamp) }))
        }
        (Origin::State(key, stamp), part) => {
            if store.stamp(key)? != Some(stamp) {
                return Err(VolumeError::Changed { file: store.describe(key) });
            }
            store.read_into(key, resized(bytes, part, stamp.size), bytes)?;
            take(number, Some(Found { bytes, stamp: Some(stamp) }))
        }
    }
}

/// Makes `bytes` as long as `part` of a file of `size` bytes, and tells where it begins.
fn resized(bytes: &mut Vec<u8>, part: &Part, size: u64) -> u64 {
    let range = part.range(size);
    bytes.resize(range.end.saturating_sub(range.start) as usize, 0);
    range.start
}
