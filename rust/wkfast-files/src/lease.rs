//! Who may write a file where the file system has no locks (some mounts of Lustre, GPFS, FUSE): whoever created the file
//! beside it that only one can create, as long as it is renewed.
//!
//! The file names its owner. It is taken over where the owner is a process of this machine that has gone, and where nobody
//! renewed it for a while by the clock of whoever waits: clocks of two machines are not compared.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::process::Process;
use crate::replace::short_hash;

/// A lease that nobody renewed for so long is over.
pub const LEASE: Duration = Duration::from_secs(60);
/// Between two renewals.
pub const RENEWAL: Duration = Duration::from_secs(10);
/// Between two looks of those who wait.
const LOOK: Duration = Duration::from_millis(20);

/// Whether an error of `flock` says that the file system has no locks, not that somebody holds one.
pub(crate) fn has_no_locks(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::NOSYS].contains(&error)
}

/// The file that was first to be written without locks in this process, for whoever tells the user; once.
pub fn locks_missing_at() -> Option<PathBuf> {
    let mut noticed = NOTICED.lock().unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *noticed, Noticed::Told) {
        Noticed::At(path) => Some(path),
        before => {
            *noticed = before;
            None
        }
    }
}

enum Noticed {
    Nothing,
    At(PathBuf),
    Told,
}

static NOTICED: Mutex<Noticed> = Mutex::new(Noticed::Nothing);

fn notice(path: &Path) {
    let mut noticed = NOTICED.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*noticed, Noticed::Nothing) {
        *noticed = Noticed::At(path.to_owned());
    }
}

/// Renews a file as long as it is there: who sees it knows that its owner lives.
#[derive(Debug)]
pub struct Heartbeat {
    number: u64,
    process: u32,
}

impl Heartbeat {
    /// Begins, with the file that lies at `path` at the time.
    pub fn of(path: &Path) -> Self {
        Self::begun(Beaten::At(path.to_owned()))
    }

    /// Begins, with a file that is open for writing, wherever it lies by then.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::begun(Beaten::File(Arc::new(file.try_clone()?))))
    }

    fn begun(what: Beaten) -> Self {
        Self { number: renew_from_now_on(what), process: std::process::id() }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        // What a forked process dropped would still be its parent's.
        if self.process == std::process::id() {
            forget(self.number);
        }
    }
}

/// The right to write, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    path: PathBuf,
    owner: String,
    heartbeat: Heartbeat,
}

impl Lease {
    /// Takes the lease that lies at `path`, once nobody else has it, with a look at whether to go on now and then.
    pub(crate) fn take(path: &Path, interrupted: &mut dyn FnMut() -> io::Result<()>) -> io::Result<Self> {
        notice(path);
        Self::take_after(path, LEASE, interrupted)
    }

    fn take_after(path: &Path, over: Duration, interrupted: &mut dyn FnMut() -> io::Result<()>) -> io::Result<Self> {
        let owner = new_owner();
        let mut seen: Option<(Look, Instant)> = None;
        loop {
            if create(path, &owner)? {
                return Ok(Self { path: path.to_owned(), owner, heartbeat: Heartbeat::of(path) });
            }
            let look = Look::at(path)?;
            let since = seen.take().filter(|(before, _)| *before == look).map_or_else(Instant::now, |(_, since)| since);
            if is_gone(&look.owner) || since.elapsed() >= over {
                take_away(path, &look.owner)?;
                continue;
            }
            seen = Some((look, since));
            interrupted()?;
            thread::sleep(LOOK);
        }
    }

    /// Whether it is still this one's: somebody may have taken it for one that is over.
    pub(crate) fn is_held(&self) -> io::Result<bool> {
        Ok(Look::at(&self.path)?.owner == self.owner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.heartbeat.process == std::process::id() && self.is_held().unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What can be seen of a lease; of none, nothing.
#[derive(PartialEq, Eq)]
struct Look {
    owner: String,
    renewed: Option<SystemTime>,
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let renewed = crate::stat(path)?.and_then(|found| found.modified().ok());
        let owner = crate::open::read_small(path, 1 << 12)?.unwrap_or_default();
        Ok(Self { owner: String::from_utf8_lossy(&owner).into_owned(), renewed })
    }
}

/// Creates the file of a lease; false where there is one.
fn create(path: &Path, owner: &str) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(owner.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the lease of an owner who is gone. It is moved aside first: what two find to be over, one of them removes, and
/// what turns out to be another's goes back.
fn take_away(path: &Path, owner: &str) -> io::Result<()> {
    let aside = path.with_file_name(format!(".{:016x}.wkfast-lock", short_hash(new_owner().as_bytes())));
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if Look::at(&aside)?.owner != owner {
        // Where somebody has created the next one meanwhile, this one has lost: its owner looks before it writes.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)
}

/// A text that no other lease has: the process, and a number.
fn new_owner() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{} {}", Process::this(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the owner is a process of this machine that is no more.
fn is_gone(owner: &str) -> bool {
    Process::parse(owner).is_some_and(|process| process.is_gone())
}

/// What is renewed.
#[derive(Clone)]
enum Beaten {
    At(PathBuf),
    File(Arc<File>),
}

impl Beaten {
    fn renew(&self) -> io::Result<()> {
        match self {
            Self::At(path) => touch(&File::options().write(true).open(path)?),
            Self::File(file) => touch(file),
        }
    }
}

/// The leases that this process renews, each with a number of its own.
struct Renewed {
    process: u32,
    all: Vec<(u64, Beaten)>,
    is_running: bool,
}

static RENEWED: Mutex<Renewed> = Mutex::new(Renewed { process: 0, all: Vec::new(), is_running: false });

fn renew_from_now_on(what: Beaten) -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut renewed = RENEWED.lock().unwrap_or_else(PoisonError::into_inner);
    if renewed.process != std::process::id() {
        // Threads and leases of the parent's stay with it.
        *renewed = Renewed { process: std::process::id(), all: Vec::new(), is_running: false };
    }
    renewed.all.push((number, what));
    if !renewed.is_running {
        renewed.is_running = thread::Builder::new().name("wkfast-leases".to_owned()).spawn(renew).is_ok();
    }
    number
}

fn forget(number: u64) {
    let mut renewed = RENEWED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = renewed.all.iter().position(|(this, _)| *this == number) {
        renewed.all.swap_remove(at);
    }
}

/// Renews all leases again and again, until there are none.
fn renew() {
    loop {
        thread::sleep(RENEWAL);
        if !renew_all() {
            return;
        }
    }
}

/// Renews all leases; false if there are none, and whoever renews them is to end.
fn renew_all() -> bool {
    let all = {
        let mut renewed = RENEWED.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_running = !renewed.all.is_empty();
        renewed.all.clone()
    };
    for (_, what) in &all {
        // One that is gone has been given up, or taken; its owner finds out.
        let _ = what.renew();
    }
    !all.is_empty()
}

/// Gives a file the time of now by the clock of the file system, which all machines see alike.
fn touch(file: &File) -> io::Result<()> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(file, &Timestamps { last_access, last_modification })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> impl FnMut() -> io::Result<()> {
        || Ok(())
    }

    fn taken(path: &Path, over: Duration) -> Lease {
        Lease::take_after(path, over, &mut never()).unwrap()
    }

    #[test]
    fn one_at_a_time_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, counter) = (folder.path().join("lock"), folder.path().join("counter"));
        fs::write(&counter, "0").unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let lease = taken(&path, LEASE);
                        let count: u32 = fs::read_to_string(&counter).unwrap().parse().unwrap();
                        fs::write(&counter, (count + 1).to_string()).unwrap();
                        assert!(lease.is_held().unwrap());
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&counter).unwrap(), "15");
        assert!(!path.exists());
    }

    #[test]
    #[allow(clippy::zombie_processes)] // it is waited for in the closure
    fn that_of_a_process_that_has_gone_is_taken_over_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(&path, format!("{} 0", Process::of(child.id()))).unwrap();
        let mut looks = 0;
        let mut interrupted = || {
            looks += 1;
            if looks == 3 {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Ok(())
        };
        let lease = Lease::take_after(&path, LEASE, &mut interrupted).unwrap();
        assert!(lease.is_held().unwrap() && looks >= 3);
        drop(lease);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn that_of_another_machine_is_waited_for_as_long_as_it_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "elsewhere run pid:[1] 77 5 0").unwrap();
        let began = Instant::now();
        let mut renewals = 0;
        let mut interrupted = || {
            if renewals < 15 {
                renewals += 1;
                let then = SystemTime::now() - Duration::from_secs(renewals);
                File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
            }
            Ok(())
        };
        let lease = Lease::take_after(&path, Duration::from_millis(100), &mut interrupted).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(100) && renewals == 15);
        assert!(lease.is_held().unwrap());
    }

    #[test]
    fn one_that_was_taken_by_another_is_not_held_and_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lost = taken(&path, LEASE);
        take_away(&path, &lost.owner).unwrap();
        let lease = taken(&path, LEASE);
        assert!(!lost.is_held().unwrap());
        drop(lost);
        assert!(lease.is_held().unwrap());
        // Whoever wanted to take away the lost one only now puts this one back.
        take_away(&path, "the lost one").unwrap();
        assert!(lease.is_held().unwrap());
    }

    #[test]
    fn a_file_is_renewed_by_the_clock_of_its_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("lock"), folder.path().join("beside"));
        fs::write(&path, "owner").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        fs::write(&beside, "").unwrap();
        let time = |path| fs::metadata(path).unwrap().modified().unwrap();
        for what in [Beaten::At(path.clone()), Beaten::File(Arc::new(file.try_clone().unwrap()))] {
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            what.renew().unwrap();
            assert!(time(&path) > SystemTime::UNIX_EPOCH);
            assert!(time(&beside).duration_since(time(&path)).unwrap_or_default() < Duration::from_secs(5));
        }
    }

    #[test]
    fn waiting_ends_where_it_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = taken(&path, LEASE);
        let stop = || Err(ErrorKind::Interrupted.into());
        assert_eq!(Lease::take_after(&path, LEASE, &mut { stop }).unwrap_err().kind(), ErrorKind::Interrupted);
    }
    #[test]
    fn a_file_is_renewed_from_the_beginning_of_its_heartbeat_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        let beat = |number| {
            let renewed = RENEWED.lock().unwrap();
            assert!(renewed.process == std::process::id());
            renewed.all.iter().any(|(known, _)| *known == number).then_some(renewed.is_running)
        };
        let (first, second) = (Heartbeat::of(&path), Heartbeat::of_file(&file).unwrap());
        let numbers = [first.number, second.number];
        assert_eq!(numbers.map(beat), [Some(true); 2]);
        drop(first);
        assert_eq!(numbers.map(beat), [None, Some(true)]);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(renew_all());
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
        assert_eq!(numbers.map(beat), [None, Some(true)]);
        drop(second);
        assert_eq!(numbers.map(beat), [None; 2]);
    }

    #[test]
    fn where_there_are_no_locks_is_told_once() {
        use rustix::io::Errno;
        let folder = tempfile::tempdir().unwrap();
        assert!([Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS].into_iter().all(has_no_locks));
        assert!(![Errno::AGAIN, Errno::INTR, Errno::IO].into_iter().any(has_no_locks));
        let lease = Lease::take(&folder.path().join("a.wkfast-lock"), &mut never()).unwrap();
        assert!(lease.is_held().unwrap());
        let first = locks_missing_at().unwrap();
        // Another test may have been the first.
        assert!(first.to_string_lossy().ends_with(".wkfast-lock"), "{}", first.display());
        drop(Lease::take(&folder.path().join("b.wkfast-lock"), &mut never()).unwrap());
        assert_eq!(locks_missing_at(), None);
    }

    #[test]
    fn one_that_has_gone_need_not_be_taken_away_and_one_that_cannot_be_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        take_away(&folder.path().join("none"), "owner").unwrap();
        // Nor can there be one where there is no folder.
        let stop = || Err(ErrorKind::Interrupted.into());
        let nowhere = Lease::take_after(&folder.path().join("none/lock"), LEASE, &mut { stop });
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(take_away(&folder.path().join("file/lock"), "owner").is_err());
    }
}
