//! The lock of an unfinished target: who may work in it, and who does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use wkfast_files::Process;

use super::journal::Access;
use crate::error::{Result, VolumeError};

pub(super) const NAME: &str = "lock";
/// Whoever asks for the state of a merge has its lock for a moment, which must not stop anybody.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// Bytes of what an owner says of itself, at most.
const MOST_OF_OWNER: u64 = 1 << 12;

/// A locked file. Processes forked meanwhile share the lock, so closing the file here would not end it; the operating
/// system takes it from a dead owner.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    owner: u32,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if std::process::id() == self.owner {
            // Fails where the file system is gone, and the lock with it.
            let _ = self.file.unlock();
        }
    }
}

impl Lock {
    /// Takes the lock in `folder`, the notes of `target`; `None` where somebody else holds it for this process.
    pub(super) fn take(folder: &Path, access: Access, target: &Path) -> Result<Option<Self>> {
        if access == Access::Coordinated {
            return Ok(None);
        }
        let path = folder.join(NAME);
        let io = |error| VolumeError::io(path.display().to_string(), error);
        let mut file = create(&path).map_err(io)?;
        for _ in 0..TRIES {
            let locked = if access == Access::Exclusive { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                Ok(()) => {
                    sign(&mut file).map_err(io)?;
                    return Ok(Some(Self { file, owner: std::process::id() }));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
        }
        let owner = owner_in(&path).map(|owner| format!(" (process {} on {})", owner.number(), owner.host()));
        Err(VolumeError::TargetBusy { target: target.display().to_string(), owner: owner.unwrap_or_default() })
    }
}

/// Whether somebody is at work in a target, as far as the lock in its notes tells.
pub(super) fn is_held(folder: &Path) -> Result<bool> {
    let path = folder.join(NAME);
    let io = |error| VolumeError::io(path.display().to_string(), error);
    let file = match wkfast_files::open_itself(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

fn create(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)
}

/// Of several that share the lock, the last one is named.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(Process::this().to_string().as_bytes())
}

/// Whoever wrote itself down; nobody where that cannot be read: then others are told less.
fn owner_in(path: &Path) -> Option<Process> {
    let text = wkfast_files::read_small(path, MOST_OF_OWNER).ok()??;
    Process::parse(&String::from_utf8(text).ok()?)
}
