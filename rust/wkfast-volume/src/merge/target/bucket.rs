//! A folder of objects as a target: every object is there whole or not at all, and the server decides who came first.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::bucket_lock::BucketLock;
use super::shard_file::fetch;
use super::{Access, Copied, Held, NOTES, NewShard, Notebook, Target};
use crate::error::{Result, VolumeError};
use crate::format::{Container, ShardFile};
use crate::store::{
    Address, BucketStore, Entry, Fetch, Origin, Part, SharedStore, Upload, bucket_of, list, read_all, read_whole,
};
use crate::work::{Observer, unique_name};

/// Bytes of a report or of notes, at most.
const MOST_OF_A_NOTE: u64 = 4 << 30;
/// A line that comes later than this after the last sending is sent with all before it.
const BETWEEN_SENDINGS: Duration = Duration::from_secs(1);
/// Bytes of lines that are sent again with those that come later.
const LINES_IN_AN_OBJECT: usize = 256 << 10;
/// Objects of notes that are in memory together.
const NOTES_AT_ONCE: usize = 256;

/// Files at once that pass through this process because the server does not copy them: each takes up to 48 MiB.
const PASSING_AT_ONCE: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct BucketTarget {
    store: SharedStore,
    /// How many files pass through this process right now.
    passing: Mutex<usize>,
    passed: Condvar,
    /// Objects that were there when somebody first asked for the size of one.
    sizes: OnceLock<HashMap<String, u64>>,
}

impl BucketTarget {
    pub(super) fn open(address: &Address) -> Result<Self> {
        let store = Container::Objects(address.clone()).open()?;
        bucket_of(&*store, "")?;
        Ok(Self { store, passing: Mutex::new(0), passed: Condvar::new(), sizes: OnceLock::new() })
    }

    fn bucket(&self, key: &str) -> Result<&dyn BucketStore> {
        bucket_of(&*self.store, key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        list(&*self.store, prefix)
    }

    /// Copies a file by way of memory.
    fn pass(&self, source: &SharedStore, from: &str, size: u64, key: &str) -> Result<Copied> {
        let mut shard = self.shard(key, size)?;
        fetch(source, from, size, &mut *shard)?;
        Ok(Copied { read: size, size: shard.place()? })
    }

    /// Keys of all that belongs to the notes.
    fn in_notes(&self) -> Result<Vec<String>> {
        Ok(self.list(&format!("{NOTES}/"))?.into_iter().map(|entry| entry.key).collect())
    }
}

/// A file that passes through this process, until it has or cannot.
struct Passing<'a>(&'a BucketTarget);

impl<'a> Passing<'a> {
    fn begin(target: &'a BucketTarget) -> Self {
        let passing = target.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let free = target.passed.wait_while(passing, |passing| *passing >= PASSING_AT_ONCE);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Self(target)
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        *self.0.passing.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.passed.notify_one();
    }
}

impl Target for BucketTarget {
    fn name(&self, key: &str) -> String {
        self.store.describe(key)
    }

    /// Folders of a bucket need not be made.
    fn check(&self) -> Result<bool> {
        Ok(true)
    }

    fn anything_else(&self) -> Result<Option<String>> {
        let notes = format!("{NOTES}/");
        Ok(self.list("")?.into_iter().map(|entry| entry.key).find(|key| !key.starts_with(&notes)))
    }

    fn has(&self, key: &str) -> Result<bool> {
        Ok(self.store.size(key)?.is_some())
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.store.read(key, MOST_OF_A_NOTE)
    }

    fn read_starts(&self, keys: &[&str], length: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let start = |&key| Fetch { origin: Origin::Key(key), part: Part::Start(length) };
        read_all(&*self.store, &keys.iter().map(start).collect::<Vec<_>>())
    }

    fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let mut upload = self.bucket(key)?.upload(key)?;
        let sent = upload.write_all(content).and_then(|()| upload.finish());
        sent.map(drop).map_err(|error| VolumeError::io(self.name(key), error))
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.bucket(key)?.remove(&[key.to_owned()])
    }

    fn begin(&self) -> Result<()> {
        Ok(())
    }

    fn lock(&self, access: Access, observer: &mut Observer) -> Result<Option<Box<dyn Held>>> {
        if access == Access::Coordinated {
            return Ok(None);
        }
        Ok(Some(Box::new(BucketLock::take(&self.store, access, observer)?)))
    }

    fn is_held(&self) -> Result<bool> {
        BucketLock::is_held(&self.store)
    }

    fn may_forget(&self) -> bool {
        false
    }

    fn notes(&self, wanted: &dyn Fn(&str) -> bool, take: &mut dyn FnMut(&str)) -> Result<()> {
        let is_wanted = |key: &String| {
            let name = key.strip_prefix(NOTES).and_then(|name| name.strip_prefix('/'));
            name.is_some_and(|name| name.starts_with("done-") && wanted(name))
        };
        let keys: Vec<String> = self.in_notes()?.into_iter().filter(is_wanted).collect();
        for keys in keys.chunks(NOTES_AT_ONCE) {
            let read = read_whole(&*self.store, keys, MOST_OF_A_NOTE)?;
            // One that has gone meanwhile was the notes of a merge that is committed now.
            for (key, text) in keys.iter().zip(read).filter_map(|(key, text)| Some((key, text?))) {
                let no_text = |_| VolumeError::corrupt(self.name(key), "is no text");
                take(std::str::from_utf8(&text).map_err(no_text)?);
            }
        }
        Ok(())
    }

    fn note(&self, stem: &str, head: &str) -> Result<Box<dyn Notebook>> {
        let (stem, head) = (stem.to_owned(), format!("{head}\n"));
        Ok(Box::new(BucketLines { store: self.store.clone(), stem, head, open: None, sent: None }))
    }

    fn clear(&self) -> Result<()> {
        bucket_of(&*self.store, NOTES)?.remove(&self.in_notes()?)
    }

    fn shard(&self, key: &str, _size: u64) -> Result<Box<dyn NewShard>> {
        Ok(Box::new(self.bucket(key)?.upload(key)?))
    }

    fn copy(&self, source: &SharedStore, from: &str, size: u64, key: &str) -> Result<Copied> {
        if self.bucket(key)?.copy_from(&**source, from, size, key)? {
            return Ok(Copied { read: 0, size });
        }
        let _passing = Passing::begin(self);
        self.pass(source, from, size, key)
    }

    fn waits_for_copies(&self) -> bool {
        true
    }

    fn link(&self, _: &SharedStore, _: &str, _: &str) -> Result<bool> {
        Ok(false)
    }

    /// By one listing: a question for each of a million objects would take hours.
    fn size(&self, key: &str) -> Result<Option<u64>> {
        if self.sizes.get().is_none() {
            let listed = self.list("")?.into_iter().map(|entry| (entry.key, entry.size)).collect();
            self.sizes.get_or_init(|| listed);
        }
        Ok(self.sizes.get().and_then(|sizes| sizes.get(key)).copied())
    }

    /// A server that says that an object is there keeps it.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Lines in objects that grow until they are too long to be sent again.
#[derive(Debug)]
struct BucketLines {
    store: SharedStore,
    stem: String,
    head: String,
    /// Key of the object that later lines belong to, and what it holds.
    open: Option<(String, String)>,
    /// When lines were last sent; the first one is at once.
    sent: Option<Instant>,
}

impl BucketLines {
    fn send(&mut self) -> Result<()> {
        let Some((key, text)) = &self.open else { return Ok(()) };
        bucket_of(&*self.store, key)?.put(key, text.clone().into_bytes())?;
        self.sent = Some(Instant::now());
        if text.len() >= LINES_IN_AN_OBJECT {
            self.open = None;
        }
        Ok(())
    }
}

impl Notebook for BucketLines {
    fn append(&mut self, line: &str) -> Result<()> {
        let begun = || (format!("{NOTES}/{}", unique_name(&self.stem, "jsonl")), self.head.clone());
        let (_, text) = self.open.get_or_insert_with(begun);
        *text += line;
        *text += "\n";
        let is_time = self.sent.is_none_or(|sent| sent.elapsed() >= BETWEEN_SENDINGS);
        if is_time || text.len() >= LINES_IN_AN_OBJECT { self.send() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.send()
    }
}

impl ShardFile for Box<dyn Upload> {
    fn name(&self) -> String {
        (**self).name()
    }
}

impl NewShard for Box<dyn Upload> {
    fn place(mut self: Box<Self>) -> Result<u64> {
        self.finish().map_err(|error| VolumeError::io((**self).name(), error))
    }
}
