//! Files in memory: for tests, and for whoever has the bytes already.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Cursor, ErrorKind, Seek, SeekFrom, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use super::{
    BucketStore, Entry, ListStore, NewFile, ReadStore, Stamp, Upload, Version, WriteStore, beyond_end, check_key,
    too_large, within,
};
use crate::error::{Result, VolumeError};

/// Keys and bytes in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Arc<Files>);

#[derive(Debug, Default)]
struct Files {
    contents: RwLock<Contents>,
    /// Keys that somebody writes to.
    taken: Mutex<HashSet<String>>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, Content>,
    /// Number of the file that was put in last.
    last: u64,
}

#[derive(Clone, Debug)]
struct Content {
    bytes: Arc<[u8]>,
    number: u64,
}

impl Files {
    fn put(&self, key: &str, bytes: Arc<[u8]>) {
        self.put_if(key, bytes, |_| true);
    }

    /// Puts `bytes` where what is there now suits, and tells the number they get.
    fn put_if(&self, key: &str, bytes: Arc<[u8]>, suits: impl FnOnce(Option<&Content>) -> bool) -> Option<u64> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        if !suits(contents.files.get(key)) {
            return None;
        }
        contents.last += 1;
        let number = contents.last;
        contents.files.insert(key.to_owned(), Content { bytes, number });
        Some(number)
    }

    fn remove(&self, key: &str) -> bool {
        self.contents.write().unwrap_or_else(PoisonError::into_inner).files.remove(key).is_some()
    }

    /// Waits until nobody else writes to `key`.
    fn take(&self, key: &str) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.released.wait_while(taken, |taken| taken.contains(key));
        free.unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
    }

    fn release(&self, key: &str) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.released.notify_all();
    }
}

impl MemoryStore {
    /// Sets the content of `key`.
    pub fn insert(&self, key: &str, bytes: impl Into<Arc<[u8]>>) -> Result<()> {
        check_key(key)?;
        self.0.put(key, bytes.into());
        Ok(())
    }

    /// Takes `key` away and tells whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.0.remove(key)
    }

    fn file(&self, key: &str, is_taken: bool) -> MemoryFile {
        MemoryFile { files: Arc::clone(&self.0), key: key.to_owned(), content: Cursor::default(), is_taken }
    }

    fn get(&self, key: &str) -> Result<Option<Content>> {
        check_key(key)?;
        Ok(self.0.contents.read().unwrap_or_else(PoisonError::into_inner).files.get(key).cloned())
    }
}

impl ReadStore for MemoryStore {
    fn describe(&self, key: &str) -> String {
        name_of(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.get(key)?.map(|content| content.bytes.len() as u64))
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        let stamp =
            |content: Content| Stamp { size: content.bytes.len() as u64, modified: None, inode: Some(content.number) };
        Ok(self.get(key)?.map(stamp))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.get(key)?.map(|content| content.bytes) {
            Some(bytes) if bytes.len() as u64 > limit => Err(too_large(self.describe(key), bytes.len() as u64, limit)),
            found => Ok(found.map(|bytes| bytes.to_vec())),
        }
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let absent = || VolumeError::io(self.describe(key), ErrorKind::NotFound.into());
        let bytes = self.get(key)?.ok_or_else(absent)?.bytes;
        if !within(offset, buffer.len(), bytes.len() as u64) {
            return Err(beyond_end(self.describe(key), offset, buffer.len(), bytes.len() as u64));
        }
        let start = offset as usize;
        buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
        Ok(())
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        Some(self)
    }

    fn writer(&self) -> Option<&dyn WriteStore> {
        Some(self)
    }

    fn bucket(&self) -> Option<&dyn BucketStore> {
        Some(self)
    }
}

impl ListStore for MemoryStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let contents = self.0.contents.read().unwrap_or_else(PoisonError::into_inner);
        let from_prefix = contents.files.range(prefix.to_owned()..);
        let matching = from_prefix.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, file)| Entry { key: key.clone(), size: file.bytes.len() as u64 }).collect())
    }
}

impl WriteStore for MemoryStore {
    fn replace(&self, key: &str, _buffer: usize) -> Result<Box<dyn NewFile>> {
        check_key(key)?;
        self.0.take(key);
        Ok(Box::new(self.file(key, true)))
    }
}

impl BucketStore for MemoryStore {
    fn read_version(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>> {
        match self.get(key)? {
            Some(content) if content.bytes.len() as u64 > limit => {
                Err(too_large(self.describe(key), content.bytes.len() as u64, limit))
            }
            found => Ok(found.map(|content| (content.bytes.to_vec(), version(content.number)))),
        }
    }

    fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        self.insert(key, content)
    }

    fn put_if(&self, key: &str, content: Vec<u8>, expected: Option<&Version>) -> Result<Option<Version>> {
        check_key(key)?;
        let suits = |found: Option<&Content>| found.map(|found| version(found.number)).as_ref() == expected;
        Ok(self.0.put_if(key, content.into(), suits).map(version))
    }

    fn remove(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            self.0.remove(key);
        }
        Ok(())
    }

    fn release(&self, key: &str, own: &dyn Fn(&[u8]) -> bool) -> Result<()> {
        let mut contents = self.0.contents.write().unwrap_or_else(PoisonError::into_inner);
        if contents.files.get(key).is_some_and(|content| own(&content.bytes)) {
            contents.files.remove(key);
        }
        Ok(())
    }

    fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        check_key(key)?;
        Ok(Box::new(self.file(key, false)))
    }

    fn copy_from(&self, _: &dyn ReadStore, _: &str, _: u64, _: &str) -> Result<bool> {
        Ok(false)
    }
}

fn name_of(key: &str) -> String {
    format!("memory:{key}")
}

fn version(number: u64) -> Version {
    Version { tag: None, number: Some(number.to_string()) }
}

/// A file that becomes another one's successor.
struct MemoryFile {
    files: Arc<Files>,
    key: String,
    content: Cursor<Vec<u8>>,
    /// Whether others wait for the key meanwhile.
    is_taken: bool,
}

impl MemoryFile {
    /// Puts it in its place and returns its size.
    fn put(&mut self) -> u64 {
        let bytes = std::mem::take(self.content.get_mut());
        let size = bytes.len() as u64;
        self.files.put(&self.key, bytes.into());
        size
    }
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for MemoryFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

impl Upload for MemoryFile {
    fn name(&self) -> String {
        name_of(&self.key)
    }

    fn finish(&mut self) -> io::Result<u64> {
        Ok(self.put())
    }
}

impl NewFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn place(&mut self) -> io::Result<bool> {
        self.put();
        Ok(true)
    }

    fn remove_target(&mut self) -> io::Result<bool> {
        self.files.remove(&self.key);
        Ok(true)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.is_taken {
            self.files.release(&self.key);
        }
    }
}
