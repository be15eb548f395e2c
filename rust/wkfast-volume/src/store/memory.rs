//! Files in memory: for tests, and for whoever has the bytes already.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Entry, ReadStore, beyond_end, check_key, too_large, within};
use crate::error::{Result, VolumeError};

/// Keys and bytes in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    files: RwLock<BTreeMap<String, Arc<[u8]>>>,
}

impl MemoryStore {
    /// Sets the content of `key`.
    pub fn insert(&self, key: &str, bytes: impl Into<Arc<[u8]>>) -> Result<()> {
        check_key(key)?;
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(key.to_owned(), bytes.into());
        Ok(())
    }

    /// Takes `key` away and tells whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(key).is_some()
    }

    fn get(&self, key: &str) -> Result<Option<Arc<[u8]>>> {
        check_key(key)?;
        Ok(self.files.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }
}

impl ReadStore for MemoryStore {
    fn describe(&self, key: &str) -> String {
        format!("memory:{key}")
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let from_prefix = files.range(prefix.to_owned()..);
        let matching = from_prefix.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, bytes)| Entry { key: key.clone(), size: bytes.len() as u64 }).collect())
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.get(key)?.map(|bytes| bytes.len() as u64))
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.get(key)? {
            Some(bytes) if bytes.len() as u64 > limit => Err(too_large(self.describe(key), bytes.len() as u64, limit)),
            found => Ok(found.map(|bytes| bytes.to_vec())),
        }
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let absent = || VolumeError::io(self.describe(key), ErrorKind::NotFound.into());
        let bytes = self.get(key)?.ok_or_else(absent)?;
        if !within(offset, buffer.len(), bytes.len() as u64) {
            return Err(beyond_end(self.describe(key), offset, buffer.len(), bytes.len() as u64));
        }
        let start = offset as usize;
        buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
        Ok(())
    }

    fn open_file(&self, key: &str) -> Result<Option<File>> {
        check_key(key)?;
        Ok(None)
    }
}
