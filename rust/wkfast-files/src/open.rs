//! Opening files that others replace meanwhile. Absent is only what stat says is absent.
//!
//! On mounts that are no local disk (FUSE, NFS) `open` of a name may answer "no such file" or "stale file handle" for some
//! milliseconds while a writer renames another file over it, although the name is there all the time. Taken for absence,
//! that would make zeros of a chunk, or no dataset of a dataset. So whoever is told so asks stat, and opens again.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use std::time::Duration;

use rustix::fs::OFlags;

/// How often a file is opened that is there and yet cannot be opened. Four times, and 7 ms, have been seen to be needed.
const TRIES: u32 = 8;
/// How often a name is looked for that stat finds nothing at, where that is no proof: see [`may_be_missed`].
const LOOKS: u32 = 3;
/// What `statfs` says of FUSE mounts (statfs(2)).
const FUSE: u32 = 0x6573_5546;
/// A folder in which something was renamed lately; clocks of servers may be off by as much.
const LATELY: Duration = Duration::from_secs(60);

/// Runs `attempt`, which opens `path` and may read from it, again for as long as it finds nothing where stat finds
/// something; `None` where stat finds nothing either. After a few times that is an error, which is never
/// [`NotFound`](ErrorKind::NotFound).
pub fn persistently<T>(path: &Path, attempt: impl FnMut(&Path) -> io::Result<T>) -> io::Result<Option<T>> {
    attempt_often(path, false, attempt, |path| fs::metadata(path).map(drop), may_be_missed)
}

/// [`persistently`] on a file system that is known to be changed by this machine alone: absence is believed without a look at
/// what kind of file system it is.
pub fn persistently_here<T>(path: &Path, attempt: impl FnMut(&Path) -> io::Result<T>) -> io::Result<Option<T>> {
    attempt_often(path, false, attempt, |path| fs::metadata(path).map(drop), |_| false)
}

/// [`persistently`] for a file that stat has just seen: while it is replaced, stat may miss it for a moment as well, so it
/// is only absent if it stays so.
pub fn persistently_seen<T>(path: &Path, attempt: impl FnMut(&Path) -> io::Result<T>) -> io::Result<Option<T>> {
    attempt_often(path, true, attempt, |path| fs::metadata(path).map(drop), may_be_missed)
}

fn attempt_often<T>(
    path: &Path,
    mut seen: bool,
    mut attempt: impl FnMut(&Path) -> io::Result<T>,
    mut look: impl FnMut(&Path) -> io::Result<()>,
    is_unsure: fn(&Path) -> bool,
) -> io::Result<Option<T>> {
    let mut pause = Duration::from_millis(1);
    let mut tried = 1;
    loop {
        let error = match attempt(path) {
            Err(error) if seems_absent(&error) => error,
            Err(error) if cannot_be_there(&error) => return Ok(None),
            done => return done.map(Some),
        };
        let there = is_there(path, &mut look)?;
        seen |= there;
        if !seen && (tried == LOOKS || !is_unsure(path)) || tried == TRIES && !there {
            return Ok(None);
        }
        if tried == TRIES {
            let reason =
                format!("is there, but in {TRIES} tries could not be opened ({error}); is somebody replacing it?");
            return Err(io::Error::new(ErrorKind::StaleNetworkFileHandle, reason));
        }
        std::thread::sleep(pause);
        pause *= 2;
        tried += 1;
    }
}

/// Whether a name at which stat finds nothing may be there all the same: on FUSE mounts lookups find nothing for as long as a
/// rename over the name takes, which on a busy machine is milliseconds, and zeros would be read in silence (1 of 2,000 reads
/// of a shard that is written without a pause). Where nothing was renamed lately, absence is believed at once.
fn may_be_missed(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !rustix::fs::statfs(folder).is_ok_and(|found| i128::from(found.f_type) == i128::from(FUSE)) {
        return false;
    }
    let changed = fs::metadata(folder).and_then(|found| found.modified());
    changed.is_ok_and(|then| then.elapsed().map_or(true, |age| age < LATELY))
}

/// What a name stands for, a link for itself; `None` where there is nothing.
pub fn stat(path: &Path) -> io::Result<Option<Metadata>> {
    let mut pause = Duration::from_millis(1);
    let mut missed = 0;
    for _ in 1..TRIES {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => std::thread::sleep(pause),
            Err(error) if error.kind() == ErrorKind::NotFound || cannot_be_there(&error) => {
                // See `is_there`.
                missed += 1;
                match missed {
                    1 => continue,
                    2..=LOOKS if may_be_missed(path) => std::thread::sleep(pause),
                    _ => return Ok(None),
                }
            }
            found => return found.map(Some),
        }
        pause *= 2;
    }
    fs::symlink_metadata(path).map(Some)
}

/// Whether all that leads from `root` down to `folder` are folders and no links, so that none leads elsewhere. Following
/// all links of a path takes dozens of looks at the file system; most paths have none below their root.
pub fn lies_plainly(root: &Path, folder: &Path) -> bool {
    let Ok(below) = folder.strip_prefix(root) else { return false };
    let mut at = root.to_owned();
    below.components().all(|part| {
        at.push(part);
        matches!(part, Component::Normal(_)) && fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir())
    })
}

fn seems_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle)
}

/// What leads there is no folder, or the name is one that no file can have.
fn cannot_be_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

/// What stat says, asked by `look`; a link is there if what it leads to is. Mounts may answer the first time by what they
/// remember of the name, which was another file's (2 of 25,000 times after `open` had found nothing), and forget it then.
fn is_there(path: &Path, look: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<bool> {
    let mut is_seen = || match look(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound || cannot_be_there(&error) => Ok(false),
        Err(error) => Err(error),
    };
    Ok(is_seen()? || is_seen()?)
}

/// Reads a small file as a whole, e.g. metadata; `None` where there is none.
///
/// # Errors
/// What is no regular file is refused without waiting for it (a FIFO, a socket, a device, a folder, links in a circle), and
/// so is a file of more than `limit` bytes.
pub fn read_small(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    persistently(path, |path| read_regular(&open_without_waiting(path)?, limit)).map_err(|error| {
        let reason = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            // What `open` says of sockets, and of devices that nobody drives.
            Some(rustix::io::Errno::NXIO) => "is no regular file",
            Some(rustix::io::Errno::LOOP) => "is a link that leads to no file: links in a circle, or too many of them",
            _ => return error,
        };
        io::Error::new(ErrorKind::InvalidData, reason)
    })
}

/// Reads all of a file that [`read_small`] would read.
pub fn read_regular(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidData };
        return Err(io::Error::new(kind, "is no regular file"));
    }
    let too_large = |size: u64| {
        let reason = format!("holds {size} bytes where at most {limit} are expected");
        io::Error::new(ErrorKind::InvalidData, reason)
    };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// Opens a file for reading that is one by itself: a link is an error that [`is_link`] knows. Waits for nobody.
pub fn open_itself(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

/// Whether [`open_itself`] found a link.
pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Opens what may be a FIFO, which would otherwise wait for a writer.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::NONBLOCK)
}

/// Opens a file for reading that is a regular one. Waits for nobody: a FIFO would for a writer.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open_without_waiting(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidData, "is no regular file"))
    }
}

/// Opens a folder, and nothing else: a FIFO would wait for a writer.
pub fn open_folder(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::DIRECTORY)
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a file at the `n`th try only.
    fn at_try(
        n: u32,
        code: rustix::io::Errno,
    ) -> (impl FnMut(&Path) -> io::Result<File>, std::rc::Rc<std::cell::Cell<u32>>) {
        let tries = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = std::rc::Rc::clone(&tries);
        let open = move |path: &Path| {
            counted.set(counted.get() + 1);
            if counted.get() < n { Err(code.into()) } else { File::open(path) }
        };
        (open, tries)
    }

    #[test]
    fn a_file_that_stat_sees_is_opened_again_until_it_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        fs::write(&path, b"voxels").unwrap();
        for code in [rustix::io::Errno::NOENT, rustix::io::Errno::STALE] {
            let (open, tries) = at_try(5, code);
            let mut file = persistently(&path, open).unwrap().unwrap();
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            assert_eq!((&text[..], tries.get()), (&b"voxels"[..], 5));
        }
    }

    #[test]
    fn a_file_that_never_opens_is_an_error_and_never_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        fs::write(&path, b"voxels").unwrap();
        let (open, tries) = at_try(u32::MAX, rustix::io::Errno::NOENT);
        let error = persistently(&path, open).unwrap_err();
        assert!(error.kind() != ErrorKind::NotFound && error.to_string().contains("is there"), "{error}");
        assert_eq!(tries.get(), TRIES);
    }

    #[test]
    fn a_file_that_stat_misses_once_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        fs::write(&path, b"voxels").unwrap();
        let (open, tries) = at_try(2, rustix::io::Errno::NOENT);
        let mut looks = 0;
        let look = |path: &Path| {
            looks += 1;
            if looks == 1 { Err(rustix::io::Errno::NOENT.into()) } else { fs::metadata(path).map(drop) }
        };
        assert!(attempt_often(&path, false, open, look, |_| false).unwrap().is_some());
        assert_eq!((tries.get(), looks), (2, 2));
    }

    #[test]
    fn a_name_that_is_missed_on_a_mount_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        fs::write(&path, b"voxels").unwrap();
        let found = |missed: u32, is_unsure| {
            let mut looks = 0;
            let look = |path: &Path| {
                looks += 1;
                if looks <= missed { Err(rustix::io::Errno::NOENT.into()) } else { fs::metadata(path).map(drop) }
            };
            let (open, _) = at_try(missed / 2 + 2, rustix::io::Errno::NOENT);
            attempt_often(&path, false, open, look, is_unsure).unwrap().is_some()
        };
        assert!(found(1, |_| false) && !found(2, |_| false));
        assert!(found(2, |_| true) && found(4, |_| true));
        // Not for ever.
        assert!(!found(2 * LOOKS, |_| true));
        // On the disks of this machine absence is believed at once.
        assert!(!may_be_missed(&path));
    }

    #[test]
    fn what_stat_says_twice_decides_whether_a_name_is_there() {
        use ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied, StaleNetworkFileHandle};
        let there = |answers: &[Option<ErrorKind>]| {
            let mut answers = answers.iter().copied();
            let mut look = |_: &Path| answers.next().flatten().map_or(Ok(()), |kind| Err(io::Error::from(kind)));
            is_there(Path::new("name"), &mut look)
        };
        for first in [None, Some(StaleNetworkFileHandle)] {
            assert!(there(&[first]).unwrap() && there(&[Some(NotFound), first]).unwrap(), "{first:?}");
        }
        for absent in [NotFound, NotADirectory, InvalidFilename] {
            assert!(!there(&[Some(absent); 2]).unwrap(), "{absent:?}");
        }
        assert_eq!(there(&[Some(PermissionDenied)]).unwrap_err().kind(), PermissionDenied);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("socket")).unwrap());
        for name in ["fifo", "circle", "socket"] {
            let error = read_small(&path(name), 10).unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidData, None), "{name}: {error}");
            assert!(open_regular(&path(name)).is_err() && open_folder(&path(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_stat_does_not_see_is_absent_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        for name in ["none", "none/below", "file/below", "dangling"] {
            let (open, tries) = at_try(u32::MAX, rustix::io::Errno::NOENT);
            assert!(persistently(&folder.path().join(name), open).unwrap().is_none(), "{name}");
            assert_eq!(tries.get(), 1);
            assert!(persistently(&folder.path().join(name), open_regular).unwrap().is_none(), "{name}");
            assert!(read_small(&folder.path().join(name), 9).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn a_file_that_was_seen_is_absent_only_if_it_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        let mut tries = 0;
        let appears = |path: &Path| {
            tries += 1;
            if tries == 3 {
                fs::write(path, b"voxels")?;
            }
            File::open(path)
        };
        assert!(persistently_seen(&path, appears).unwrap().is_some());
        fs::remove_file(&path).unwrap();
        let (open, tries) = at_try(u32::MAX, rustix::io::Errno::NOENT);
        assert!(persistently_seen(&path, open).unwrap().is_none());
        assert_eq!(tries.get(), TRIES);
    }

    #[test]
    fn other_refusals_come_back_as_they_are() {
        let path = Path::new("/");
        let (open, tries) = at_try(u32::MAX, rustix::io::Errno::ACCESS);
        assert_eq!(persistently(path, open).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn small_files_are_read_and_large_or_odd_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("small"), b"12345").unwrap();
        assert_eq!(read_small(&at("small"), 5).unwrap().unwrap(), b"12345");
        assert!(read_small(&at("small"), 4).unwrap_err().to_string().contains("holds 5 bytes"));
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zeros")).unwrap();
        for name in ["fifo", "zeros", "."] {
            let error = read_small(&at(name), 5).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{name}: {error}");
        }
    }
    #[test]
    fn what_stat_cannot_say_is_an_error_and_not_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        assert!(is_link(&stat(&path("circle/below")).unwrap_err()));
        assert!(stat(&path("circle")).unwrap().unwrap().is_symlink());
        fs::write(path("file"), b"").unwrap();
        for absent in ["none", "none/below", "file/below"] {
            assert!(stat(&path(absent)).unwrap().is_none(), "{absent}");
        }
    }

    #[test]
    fn a_file_that_is_longer_than_it_says_is_refused_and_not_cut() {
        // As of one that grows while it is read, the system says that it has no bytes.
        let Ok(file) = File::open("/proc/self/status") else { return };
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(read_regular(&file, 10).unwrap_err().to_string().contains("holds 11 bytes"));
    }

    #[test]
    fn what_is_opened_itself_is_no_link_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("file"), b"voxels").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read_regular(&open_itself(&path("file")).unwrap(), 6).unwrap(), b"voxels");
        assert!(is_link(&open_itself(&path("link")).unwrap_err()));
        assert!(!open_itself(&path("fifo")).unwrap().metadata().unwrap().is_file());
    }
}
