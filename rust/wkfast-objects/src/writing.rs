//! Objects that are written: gathered in memory, and put in one request that changes nothing if somebody else did.

use std::collections::HashSet;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use object_store::PutPayload;
use object_store::path::Path;
use wkfast_http::OfProcess;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{NewFile, Version};

use crate::conditions::put_if;
use crate::connection::Connection;
use crate::runtime::wait_for;

/// Names of objects that threads of this process write to. A forked child has no such threads.
#[derive(Default)]
struct Taken {
    names: Mutex<HashSet<String>>,
    released: Condvar,
}

static TAKEN: OfProcess<Taken> = OfProcess::new();

/// A name that is this one's until it is dropped, by whoever took it: not by a forked child that has a copy.
struct Turn {
    of: Arc<Taken>,
    name: String,
}

impl Turn {
    /// Waits until nobody else in this process writes to the object.
    fn take(name: &str) -> Result<Self> {
        let of = TAKEN.get(|| Ok::<_, VolumeError>(Taken::default()))?;
        let names = of.names.lock().unwrap_or_else(PoisonError::into_inner);
        let free = of.released.wait_while(names, |names| names.contains(name));
        free.unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(Self { of, name: name.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.of.released.notify_all();
    }
}

/// An object that takes another one's place. What the object was when this began is what it must be still when this is
/// put: who comes second is told, and what came between is not lost.
pub(crate) struct NewObject {
    connection: Arc<Connection>,
    path: Path,
    turn: Turn,
    before: Option<Version>,
    content: Cursor<Vec<u8>>,
}

impl NewObject {
    pub(crate) fn begin(connection: Arc<Connection>, path: Path) -> Result<Self> {
        let turn = Turn::take(&connection.name(&path))?;
        let content = Cursor::default();
        let mut new = Self { connection, path, turn, before: None, content };
        new.before = wait_for(new.connection.version(&new.path))?;
        Ok(new)
    }

    fn put(&mut self) -> Result<()> {
        let payload = PutPayload::from(std::mem::take(self.content.get_mut()));
        let put = wait_for(put_if(&self.connection, &self.path, payload, self.before.as_ref()))?;
        put.map(drop).ok_or_else(|| VolumeError::Changed { file: self.turn.name.clone() })
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
                _ => Err(VolumeError::Changed { file: self.turn.name.clone() }),
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
