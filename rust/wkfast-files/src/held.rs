//! Folders that are held open while something is made, replaced or removed in them.
//!
//! A path is looked up anew by every call. Between a look that finds all well and the call that writes, another process
//! may put a link in the place of a folder, and what is written, or removed, is somebody else's. So the folder is opened
//! once, through no link, and what is done then is done in this very folder, wherever its path leads by now.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A folder, held open. Where the system has no names for open folders (other than Linux), its path.
#[derive(Debug)]
pub struct Held {
    #[cfg(target_os = "linux")]
    folder: rustix::fd::OwnedFd,
    path: PathBuf,
}

impl Held {
    /// Holds the folder at `path`, an absolute path whose links have been followed before: that a part of it is a link now
    /// is an error.
    pub fn real(path: &Path) -> io::Result<Self> {
        Self::open_real(path).map_err(|error| told(error, path))
    }

    /// Holds the folder that `below` names from `root` on. `root` may be behind links, of `below` no part may be one, or
    /// climb.
    pub fn beneath(root: &Path, below: &Path) -> io::Result<Self> {
        Self::walk(root, below, false)
    }

    /// [`beneath`](Self::beneath), and what is missing is made.
    pub fn made_beneath(root: &Path, below: &Path) -> io::Result<Self> {
        Self::walk(root, below, true)
    }

    /// Holds the folder at `path`, be it behind links.
    pub fn behind_links(path: &Path) -> io::Result<Self> {
        Self::open(path)
    }

    /// Holds the folder that `below` names from this one on: no part of it may be a link, or climb. With `make` what is
    /// missing is made.
    pub fn inner(&self, below: &Path, make: bool) -> io::Result<Self> {
        match self.open_inner(below) {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                Self::walk_from(self.again()?, below, true)
            }
            held => held.map_err(|error| told(error, &self.path.join(below))),
        }
    }

    /// The folder that `path`, which lies below `root`, lies in, and what it is called there.
    pub fn folder_of<'p>(path: &'p Path, root: &Path) -> io::Result<(Self, &'p OsStr)> {
        let below = path.strip_prefix(root).ok().filter(|below| *below != Path::new(""));
        let (Some(below), Some(name)) = (below, path.file_name()) else {
            let reason = format!("{} does not lie in {}", path.display(), root.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        };
        Ok((Self::beneath(root, below.parent().unwrap_or(Path::new("")))?, name))
    }

    fn walk(root: &Path, below: &Path, make: bool) -> io::Result<Self> {
        Self::walk_from(Self::open(root)?, below, make)
    }

    fn walk_from(start: Self, below: &Path, make: bool) -> io::Result<Self> {
        below.components().try_fold(start, |held, part| match part {
            Component::Normal(name) => held.child(name, make),
            Component::CurDir => Ok(held),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} leads out of it", below.display()))),
        })
    }

    /// Where what this folder calls `name` is found, as long as this is held.
    pub fn at(&self, name: &OsStr) -> PathBuf {
        self.here().join(name)
    }

    /// Where this folder itself is found, as long as this is held.
    pub fn here(&self) -> PathBuf {
        self.by_number().unwrap_or_else(|| self.path.clone())
    }

    /// The path that it had when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What went wrong, in words where the system's would be of links in general.
fn told(error: io::Error, path: &Path) -> io::Error {
    if !crate::is_link(&error) {
        return error;
    }
    let reason = format!("a part of {} has become a link, and nothing is written behind it", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::fd::{AsFd, AsRawFd, OwnedFd};
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
    use rustix::io::Errno;

    use super::{Component, Held, OsStr, Path, PathBuf, io, told};

    impl Held {
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            let folder = openat(CWD, path, flags(), Mode::empty())?;
            Ok(Self { folder, path: path.to_owned() })
        }

        pub(super) fn open_real(path: &Path) -> io::Result<Self> {
            let folder = match openat2(CWD, path, flags(), Mode::empty(), ResolveFlags::NO_SYMLINKS) {
                // Systems before 5.6, and boxes that do not know the call or refuse it.
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => step_by_step(path)?,
                opened => opened?,
            };
            Ok(Self { folder, path: path.to_owned() })
        }

        /// Another hold on the same.
        pub(super) fn again(&self) -> io::Result<Self> {
            Ok(Self { folder: self.folder.try_clone()?, path: self.path.clone() })
        }

        /// Holds a folder below this one, which is there.
        pub(super) fn open_inner(&self, below: &Path) -> io::Result<Self> {
            if below.as_os_str().is_empty() {
                return self.again();
            }
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
            match openat2(&self.folder, below, flags(), Mode::empty(), resolve) {
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => {
                    Self::walk_from(self.again()?, below, false)
                }
                opened => Ok(Self { folder: opened?, path: self.path.join(below) }),
            }
        }

        /// Holds a folder of this one, which is made if `make` and it is missing.
        pub(super) fn child(&self, name: &OsStr, make: bool) -> io::Result<Self> {
            let path = self.path.join(name);
            let folder = match child(&self.folder, name) {
                Err(Errno::NOENT) if make => {
                    match self.make(name) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                        _ => {}
                    }
                    child(&self.folder, name)
                }
                opened => opened,
            };
            folder.map(|folder| Self { folder, path: path.clone() }).map_err(|error| told(error.into(), &path))
        }

        /// By the system's library where that can be, as all else is made: what makes calls fail for a test sees it.
        fn make(&self, name: &OsStr) -> io::Result<()> {
            match self.by_number() {
                Some(here) => std::fs::create_dir(here.join(name)),
                None => Ok(mkdirat(&self.folder, name, Mode::from_raw_mode(0o777))?),
            }
        }

        pub(super) fn by_number(&self) -> Option<PathBuf> {
            static HAS_NAMES: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
            let has_names = *HAS_NAMES.get_or_init(|| Path::new("/proc/self/fd").is_dir());
            has_names.then(|| format!("/proc/self/fd/{}", self.folder.as_raw_fd()).into())
        }
    }

    fn flags() -> OFlags {
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
    }

    /// A link is said to be one, as by `openat2`.
    fn child(folder: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
        match openat(&folder, name, flags() | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOTDIR) if rustix::fs::readlinkat(&folder, name, Vec::new()).is_ok() => Err(Errno::LOOP),
            opened => opened,
        }
    }

    pub(super) fn step_by_step(path: &Path) -> io::Result<OwnedFd> {
        let top = openat(CWD, "/", flags(), Mode::empty())?;
        let mut names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        names.try_fold(top, |folder, name| Ok(child(folder, name)?))
    }
}

#[cfg(not(target_os = "linux"))]
impl Held {
    fn open(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path)?;
        Ok(Self { path: path.to_owned() })
    }

    fn open_real(path: &Path) -> io::Result<Self> {
        if std::fs::canonicalize(path)? == path { Self::open(path) } else { Err(rustix::io::Errno::LOOP.into()) }
    }

    #[allow(clippy::unnecessary_wraps)] // as where there are descriptors
    fn again(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone() })
    }

    fn open_inner(&self, below: &Path) -> io::Result<Self> {
        Self::walk_from(self.again()?, below, false)
    }

    fn child(&self, name: &OsStr, make: bool) -> io::Result<Self> {
        let path = self.path.join(name);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => std::fs::create_dir_all(&path)?,
            Ok(found) if found.is_symlink() => return Err(told(rustix::io::Errno::LOOP.into(), &path)),
            found => drop(found?),
        }
        Ok(Self { path })
    }

    fn by_number(&self) -> Option<PathBuf> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn real(folder: &tempfile::TempDir) -> PathBuf {
        fs::canonicalize(folder.path()).unwrap()
    }

    #[test]
    fn what_is_held_stays_the_folder_that_it_was() {
        let root = tempfile::tempdir().unwrap();
        let (layer, victim) = (real(&root).join("layer"), real(&root).join("victim"));
        fs::create_dir_all(layer.join("1")).unwrap();
        fs::create_dir_all(victim.join("1")).unwrap();
        let held = Held::real(&layer.join("1")).unwrap();
        fs::rename(&layer, real(&root).join("aside")).unwrap();
        symlink("victim", &layer).unwrap();
        assert_eq!(held.by_number().is_some(), Path::new("/proc/self/fd").is_dir());
        if held.by_number().is_some() {
            fs::write(held.at(OsStr::new("file")), b"voxels").unwrap();
            assert!(root.path().join("aside/1/file").exists());
        }
        assert!(!victim.join("1/file").exists());
    }

    #[test]
    fn no_part_of_a_real_path_may_be_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(real(&root).join("there/1")).unwrap();
        symlink("there", real(&root).join("link")).unwrap();
        let behind = real(&root).join("link/1");
        let refused = Held::real(&behind).unwrap_err().to_string();
        assert!(refused.contains("has become a link"), "{refused}");
        assert_eq!(Held::real(&real(&root).join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        #[cfg(target_os = "linux")]
        {
            assert!(crate::is_link(&system::step_by_step(&behind).unwrap_err()));
            assert!(system::step_by_step(&real(&root).join("there/1")).is_ok());
        }
    }

    #[test]
    fn from_a_folder_that_is_held_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (target, victim) = (real(&root).join("target"), real(&root).join("victim"));
        fs::create_dir_all(target.join("layer")).unwrap();
        fs::create_dir_all(victim.join("layer/1")).unwrap();
        symlink(&victim, target.join("link")).unwrap();
        let held = Held::behind_links(&target).unwrap();
        assert_eq!(held.inner(Path::new("layer/1"), false).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(held.inner(Path::new("layer/1"), true).unwrap().path().ends_with("target/layer/1"));
        assert!(held.inner(Path::new("layer/1"), false).is_ok() && held.inner(Path::new(""), false).is_ok());
        for out in ["link", "link/layer", "link/new", "../victim", "layer/../../victim", "/"] {
            assert!(held.inner(Path::new(out), true).is_err(), "{out}");
        }
        fs::rename(&target, real(&root).join("aside")).unwrap();
        symlink(&victim, &target).unwrap();
        if held.by_number().is_some() {
            held.inner(Path::new("new"), true).unwrap();
            assert!(root.path().join("aside/new").is_dir());
        }
        assert!(!victim.join("new").exists());
    }

    #[test]
    fn folders_are_made_beneath_and_behind_no_link() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), root.path().join("link")).unwrap();
        let held = Held::made_beneath(root.path(), Path::new("./layer/1")).unwrap();
        assert!(root.path().join("layer/1").is_dir() && held.path().ends_with("layer/1"));
        for out in ["link/1", "../x", "layer/../../x"] {
            assert!(Held::made_beneath(root.path(), Path::new(out)).is_err(), "{out}");
        }
        let path = root.path().join("layer/1");
        let (folder, name) = Held::folder_of(&path, root.path()).unwrap();
        assert!(folder.path().ends_with("layer") && name == "1");
        for not in
            [root.path().to_owned(), outside.path().join("x"), root.path().join("link/1"), root.path().join("none/1")]
        {
            assert!(Held::folder_of(&not, root.path()).is_err(), "{}", not.display());
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!root.path().join("none").exists());
    }
    #[test]
    fn what_is_no_folder_is_not_held_and_not_said_to_be_a_link() {
        let root = tempfile::tempdir().unwrap();
        let file = real(&root).join("file");
        fs::write(&file, b"").unwrap();
        let below = Path::new("file/1");
        let held = Held::behind_links(root.path()).unwrap();
        for refused in [
            Held::behind_links(&file),
            Held::real(&file),
            Held::made_beneath(root.path(), below),
            held.inner(below, true),
            held.child(OsStr::new("file"), true),
        ] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotADirectory);
        }
    }

    #[test]
    fn folders_that_many_make_at_once_are_there_for_all() {
        let root = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..100 {
                        start.wait();
                        Held::made_beneath(root.path(), Path::new(&format!("{round}/a/b/c"))).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn why_a_folder_cannot_be_made_is_told() {
        // A file system in which nobody makes folders.
        if let Ok(held) = Held::behind_links(Path::new("/sys/kernel")) {
            let refused = held.inner(Path::new("wkfast"), true).unwrap_err();
            assert_ne!(refused.kind(), io::ErrorKind::NotFound, "{refused}");
        }
    }
}
