//! The lock of an unfinished target: who may work in it, and who does.
//!
//! The operating system takes a lock from a dead owner, unless that was on another machine: servers of NFS keep it for
//! minutes, or for ever. So owners renew the file, and one that is not renewed any more makes way for a new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use wkfast_files::{Heartbeat, Held, Process, is_still};

use super::{Access, MOST_OF_OWNER};
use crate::error::{Result, VolumeError};
use crate::work::{Observer, Progress, create_unique, unique_name};

pub(super) const NAME: &str = "lock";
/// Whoever asks for the state of a merge has its lock for a moment, which must not stop anybody.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// While a lock is watched, whoever waits is asked so often whether that is still wanted.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// What an owner adds who renews the file; those of earlier versions do not.
const RENEWED: &str = " renewed";

/// A locked file. Processes forked meanwhile share the lock, so closing the file here would not end it; the operating
/// system takes it from a dead owner.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    owner: u32,
    _heartbeat: Heartbeat,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if std::process::id() == self.owner {
            // Fails where the file system is gone, and the lock with it.
            let _ = self.file.unlock();
        }
    }
}

/// When the lock of a machine that cannot be asked is over.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// It has not been renewed for so long, by the clock of the file system,
    silence: Duration,
    /// nor while somebody watched: a server that was away may be back before its clients are.
    watch: Duration,
}

/// To watch takes longer than from one renewal to the next.
const PATIENCE: Patience = Patience { silence: wkfast_files::LEASE, watch: Duration::from_secs(15) };

impl Lock {
    /// Takes the lock in `folder`, the notes of `target`; `None` where somebody else holds it for this process. While that
    /// of another machine is watched, `observer` is called.
    pub(super) fn take(folder: &Held, access: Access, target: &Path, observer: &mut Observer) -> Result<Option<Self>> {
        if access == Access::Coordinated {
            return Ok(None);
        }
        match Self::take_patiently(folder, access, PATIENCE, observer)? {
            Some(lock) => Ok(Some(lock)),
            None => Err(busy(&folder.at(NAME.as_ref()), target)),
        }
    }

    /// `None` where somebody has it who is not known to have gone.
    fn take_patiently(
        folder: &Held,
        access: Access,
        patience: Patience,
        observer: &mut Observer,
    ) -> Result<Option<Self>> {
        let (path, fault) = (&folder.at(NAME.as_ref()), |error| fault(folder, error));
        for _ in 0..TRIES {
            let mut file = create(path).map_err(fault)?;
            let locked = if access == Access::Exclusive { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                // Somebody may have made way for another one meanwhile.
                Ok(()) if !is_still(&file, path).map_err(fault)? => {}
                Ok(()) => {
                    sign(&mut file).map_err(fault)?;
                    let heartbeat = Heartbeat::of_file(&file).map_err(fault)?;
                    return Ok(Some(Self { file, owner: std::process::id(), _heartbeat: heartbeat }));
                }
                Err(TryLockError::WouldBlock) if is_abandoned(folder, patience, observer)? => {
                    put_aside(path, &file).map_err(fault)?;
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(fault(error)),
            }
        }
        Ok(None)
    }

    /// Refuses to go on where another one was taken because this one had not been renewed, or has its path.
    pub(super) fn check(&self, folder: &Path, target: &Path) -> Result<()> {
        let path = folder.join(NAME);
        match is_still(&self.file, &path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(busy(&path, target)),
            Err(error) => Err(VolumeError::io(path.display().to_string(), error)),
        }
    }
}

fn fault(folder: &Held, error: io::Error) -> VolumeError {
    VolumeError::io(folder.path().join(NAME).display().to_string(), error)
}

fn busy(path: &Path, target: &Path) -> VolumeError {
    let owner = owner_in(path).map(|(owner, _)| format!(" (process {} on {})", owner.number(), owner.host()));
    VolumeError::TargetBusy { target: target.display().to_string(), owner: owner.unwrap_or_default() }
}

/// Whether a lock that is held is held for nobody: its owner, on another machine, renewed it and does no more.
fn is_abandoned(folder: &Held, patience: Patience, observer: &mut Observer) -> Result<bool> {
    let (path, fault) = (&folder.at(NAME.as_ref()), |error| fault(folder, error));
    let Some((_, true)) = owner_in(path).filter(|(owner, _)| owner.is_elsewhere()) else { return Ok(false) };
    let renewed = renewal(path).map_err(fault)?;
    let silent = now_at(path).map_err(fault)?.duration_since(renewed).unwrap_or_default();
    if silent < patience.silence {
        return Ok(false);
    }
    let begun = Instant::now();
    while begun.elapsed() < patience.watch {
        observer(Progress::default())?;
        thread::sleep(BETWEEN_LOOKS.min(patience.watch));
    }
    Ok(renewal(path).map_err(fault)? == renewed)
}

/// Mounts show what they knew of a file until it is opened.
fn renewal(path: &Path) -> io::Result<SystemTime> {
    wkfast_files::open_regular(path)?.metadata()?.modified()
}

/// What the file system takes for now.
fn now_at(path: &Path) -> io::Result<SystemTime> {
    let (clock, file) = create_unique(path.parent().unwrap_or(path), "clock", "tmp")?;
    let now = file.metadata()?.modified();
    drop(file);
    fs::remove_file(clock)?;
    now
}

/// Makes way for a new file. What has become another's meanwhile goes back.
fn put_aside(path: &Path, abandoned: &File) -> io::Result<()> {
    let aside = path.with_file_name(unique_name(NAME, "tmp"));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if !is_still(abandoned, &aside)? {
        // Where there is a newer one, this one has lost: its owner looks before it commits.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)
}

/// Whether somebody is at work in a target, as far as the lock in its notes tells.
pub(super) fn is_held(folder: &Held) -> Result<bool> {
    let io = |error| fault(folder, error);
    let file = match wkfast_files::open_itself(&folder.at(NAME.as_ref())) {
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
    file.write_all(format!("{}{RENEWED}", Process::this()).as_bytes())
}

/// Whoever wrote itself down, and whether it renews the file; nobody where that cannot be read: then others are told less.
fn owner_in(path: &Path) -> Option<(Process, bool)> {
    let text = wkfast_files::read_small(path, MOST_OF_OWNER).ok()??;
    let text = String::from_utf8(text).ok()?;
    Some((Process::parse(&text)?, text.ends_with(RENEWED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASTE: Patience = Patience { silence: Duration::from_secs(60), watch: Duration::from_millis(50) };

    /// A lock that is held by this very process, whatever its file says, and was renewed so many seconds ago.
    fn held(folder: &Path, owner: &str, seconds: u64) -> File {
        let path = folder.join(NAME);
        let mut file = create(&path).unwrap();
        file.try_lock().unwrap();
        file.write_all(owner.as_bytes()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        file
    }

    fn hold(folder: &Path) -> Held {
        Held::behind_links(folder).unwrap()
    }

    fn take(folder: &Path, access: Access) -> Option<Lock> {
        Lock::take_patiently(&hold(folder), access, HASTE, &mut |_| Ok(())).unwrap()
    }

    #[test]
    fn that_of_a_machine_that_renews_it_no_more_is_taken_over_and_its_owner_finds_out() {
        for access in [Access::Exclusive, Access::Shared] {
            let folder = tempfile::tempdir().unwrap();
            let dead = held(folder.path(), "elsewhere run pid:[1] 77 5 renewed", 100);
            let lock = take(folder.path(), access).unwrap();
            assert!(lock.check(folder.path(), folder.path()).is_ok());
            assert!(take(folder.path(), Access::Exclusive).is_none());
            let lost = Lock { file: dead, owner: 0, _heartbeat: Heartbeat::of(Path::new("/dev/null/lost")) };
            let told = lost.check(folder.path(), folder.path()).unwrap_err().to_string();
            assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn those_of_others_stay_theirs() {
        let here = format!("{}{RENEWED}", Process::this());
        for (owner, seconds) in [
            ("elsewhere run pid:[1] 77 5 renewed", 10),
            // of an earlier version, which renews nothing
            ("elsewhere run pid:[1] 77 5", 100_000),
            (&here, 100_000),
            ("", 100_000),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let _file = held(folder.path(), owner, seconds);
            assert!(take(folder.path(), Access::Exclusive).is_none(), "{owner} {seconds}");
        }
    }

    #[test]
    fn one_that_is_renewed_while_it_is_watched_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let file = held(folder.path(), "elsewhere run pid:[1] 77 5 renewed", 100);
        let slow = Patience { watch: Duration::from_millis(300), ..HASTE };
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                file.set_modified(SystemTime::now()).unwrap();
            });
            assert!(!is_abandoned(&hold(folder.path()), slow, &mut |_| Ok(())).unwrap());
        });
    }

    #[test]
    fn who_watches_one_is_asked_whether_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let _file = held(folder.path(), "elsewhere run pid:[1] 77 5 renewed", 100);
        let slow = Patience { watch: Duration::from_secs(60), ..HASTE };
        let mut looks = 0;
        let mut observer = |_| {
            looks += 1;
            if looks < 3 { Ok(()) } else { Err(VolumeError::Interrupted) }
        };
        let taken = Lock::take_patiently(&hold(folder.path()), Access::Exclusive, slow, &mut observer);
        assert!(matches!(taken, Err(VolumeError::Interrupted)));
        assert_eq!(looks, 3);
    }

    #[test]
    fn what_has_become_anothers_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let abandoned = held(folder.path(), "elsewhere run pid:[1] 77 5 renewed", 100);
        let lock = take(folder.path(), Access::Exclusive).unwrap();
        put_aside(&path, &abandoned).unwrap();
        assert!(lock.check(folder.path(), folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
