//! Objects that are written: gathered in memory, and put in one request that changes nothing if somebody else did.

use std::collections::HashSet;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use object_store::PutPayload;
use object_store::path::Path;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{NewFile, Version};

use crate::conditions::put_if;
use crate::connection::Connection;
use crate::runtime::wait_for;

/// Names of objects that threads of this process write to.
static TAKEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
static RELEASED: Condvar = Condvar::new();

/// Waits until nobody else in this process writes to the object.
fn take(name: &str) {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = |taken: &mut Option<HashSet<String>>| taken.as_ref().is_some_and(|taken| taken.contains(name));
    let mut free = RELEASED.wait_while(taken, is_taken).unwrap_or_else(PoisonError::into_inner);
    free.get_or_insert_default().insert(name.to_owned());
}

fn release(name: &str) {
    if let Some(taken) = &mut *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) {
        taken.remove(name);
    }
    RELEASED.notify_all();
}

/// An object that takes another one's place. What the object was when this began is what it must be still when this is
/// put: who comes second is told, and what came between is not lost.
pub(crate) struct NewObject {
    connection: Arc<Connection>,
    path: Path,
    name: String,
    before: Option<Version>,
    content: Cursor<Vec<u8>>,
}

impl NewObject {
    pub(crate) fn begin(connection: Arc<Connection>, path: Path) -> Result<Self> {
        let name = connection.name(&path);
        take(&name);
        let content = Cursor::default();
        let mut new = Self { connection, path, name, before: None, content };
        new.before = wait_for(new.connection.version(&new.path))?;
        Ok(new)
    }

    fn put(&mut self) -> Result<()> {
        let payload = PutPayload::from(std::mem::take(self.content.get_mut()));
        let put = wait_for(put_if(&self.connection, &self.path, payload, self.before.as_ref()))?;
        put.map(drop).ok_or_else(|| VolumeError::Changed { file: self.name.clone() })
    }

    /// Servers delete without conditions, so whether somebody came between is seen a moment before.
    fn delete(&self) -> Result<()> {
        if self.before.is_none() {
            return Ok(());
        }
        wait_for(async {
            match self.connection.version(&self.path).await? {
                None => Ok(()),
                found if found == self.before => self.connection.delete(&self.path).await,
                _ => Err(VolumeError::Changed { file: self.name.clone() }),
            }
        })
    }
}

impl Write for NewObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for NewObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

impl NewFile for NewObject {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn place(&mut self) -> io::Result<bool> {
        self.put().map(|()| true).map_err(io::Error::other)
    }

    fn remove_target(&mut self) -> io::Result<bool> {
        self.delete().map(|()| true).map_err(io::Error::other)
    }
}

impl Drop for NewObject {
    fn drop(&mut self) {
        release(&self.name);
    }
}
