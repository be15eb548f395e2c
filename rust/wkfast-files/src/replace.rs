//! Files that replace others as a whole. A draft lies beside the file it becomes and is renamed over it when complete:
//! a reader sees the old file or the new one, never a part, and a file that is linked from elsewhere is left alone.
//!
//! The draft is the lock, too: its name is made of the file's, and whoever holds it exclusively (`flock`) is the one who
//! writes. What a killed process leaves behind is taken over by the next. Where the file system has no locks, a lease
//! stands for it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::held::Held;
use crate::lease::{self, Lease};

/// What a draft's name has behind the file's. No format takes such a name for a chunk's.
const SUFFIX: &str = ".wkfast-part";
/// The same of a lease's.
const LEASE_SUFFIX: &str = ".wkfast-lock";
/// Bytes of a name, on every file system there is.
const LONGEST_NAME: usize = 255;

/// How a draft is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct DraftOptions {
    /// Bytes between those who write and the file; what is written at once needs none.
    pub buffer: usize,
    /// Whether the file's folder is made where there is none.
    pub make_folder: bool,
}

/// A file under construction that nobody else constructs meanwhile.
#[derive(Debug)]
pub struct Draft {
    target: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    /// What stands for the lock on a file system without.
    lease: Option<Lease>,
    /// Keeps the paths above what they are.
    folder: Option<Held>,
    /// Renamed: there is no draft any more.
    done: bool,
}

impl Draft {
    /// Starts the file that becomes `target`, once nobody else is at it.
    pub fn lock(target: &Path, options: DraftOptions) -> io::Result<Self> {
        Self::lock_unless(target, options, || Ok(()))
    }

    /// [`lock`](Self::lock) of the file that a folder calls `name`, and of no other, whatever becomes of paths meanwhile.
    pub fn lock_in(folder: Held, name: &OsStr, options: DraftOptions) -> io::Result<Self> {
        Self::lock_in_unless(folder, name, options, || Ok(()))
    }

    /// As [`lock_in`](Self::lock_in), with a look at whether to go on whenever a signal interrupts the waiting.
    pub fn lock_in_unless(
        folder: Held,
        name: &OsStr,
        options: DraftOptions,
        interrupted: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut draft = Self::lock_at(&folder.at(name), options, interrupted)?;
        draft.folder = Some(folder);
        Ok(draft)
    }

    /// [`lock`](Self::lock) with a look at whether to go on whenever a signal interrupts the waiting.
    ///
    /// What is neither file nor folder nor link is an error: a rename would put a file in the place of a FIFO that others
    /// talk through, or of a device. In a folder that is [held](Self::lock_in) all is ours, and replaced.
    pub fn lock_unless(
        target: &Path,
        options: DraftOptions,
        interrupted: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        crate::stat(target)?.as_ref().map_or(Ok(()), check_replaceable)?;
        Self::lock_at(target, options, interrupted)
    }

    fn lock_at(
        target: &Path,
        options: DraftOptions,
        mut interrupted: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        let path = beside(target, SUFFIX);
        loop {
            let file = open_or_make(&path, options.make_folder)?;
            while let Err(error) = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {
                if lease::has_no_locks(error) {
                    return Self::by_lease(target, path, options, &mut interrupted);
                }
                if error != rustix::io::Errno::INTR {
                    return Err(error.into());
                }
                interrupted()?;
            }
            if is_still(&file, &path)? {
                if file.metadata()?.len() > 0 {
                    // A killed process left something in it.
                    file.set_len(0)?;
                }
                let file = BufWriter::with_capacity(options.buffer, file);
                return Ok(Self { target: target.to_owned(), path, file, lease: None, folder: None, done: false });
            }
        }
    }

    /// [`lock_unless`](Self::lock_unless) where there are no locks. The draft is a new file: an owner whose lease was taken
    /// for one that is over finds that it is not its own.
    fn by_lease(
        target: &Path,
        path: PathBuf,
        options: DraftOptions,
        interrupted: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        let lease = Some(Lease::take(&beside(target, LEASE_SUFFIX), interrupted)?);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = BufWriter::with_capacity(options.buffer, open_or_make(&path, options.make_folder)?);
        Ok(Self { target: target.to_owned(), path, file, lease, folder: None, done: false })
    }

    /// What this becomes.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// To write to.
    pub fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }

    /// The file below the [writer](Self::writer).
    pub fn file(&self) -> &File {
        self.file.get_ref()
    }

    /// Waits until all that was written is on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    /// Gives the file its name, with mode and group of the one that it replaces; a new file has what the umask leaves.
    /// False, and nothing is done, where the folder has been replaced with all that was in it: what has the name there
    /// is another's.
    pub fn place(&mut self) -> io::Result<bool> {
        self.file.flush()?;
        if !self.is_in_place()? {
            return Ok(false);
        }
        self.take_over(self.file.get_ref())?;
        fs::rename(&self.path, &self.target)?;
        self.done = true;
        Ok(true)
    }

    /// Makes `content` the whole file; it is on disk before it has its name. False as for [`place`](Self::place).
    pub fn put(&mut self, content: &[u8]) -> io::Result<bool> {
        self.file.write_all(content)?;
        self.sync()?;
        self.place()
    }

    /// [`place`](Self::place) for good: content and name outlive a loss of power.
    pub fn place_durably(&mut self) -> io::Result<bool> {
        self.sync()?;
        let placed = self.place()?;
        if placed {
            File::open(folder_of(&self.target))?.sync_all()?;
        }
        Ok(placed)
    }

    /// Puts `whole`, a file of the same folder that somebody else has written, in the place of the target, with mode and
    /// group of the one that it replaces. With `durable` content and name outlive a loss of power. False as for
    /// [`place`](Self::place).
    pub fn put_file(&mut self, whole: &Path, durable: bool) -> io::Result<bool> {
        let file = File::open(whole)?;
        if durable {
            file.sync_all()?;
        }
        if !self.is_in_place()? {
            return Ok(false);
        }
        self.take_over(&file)?;
        fs::rename(whole, &self.target)?;
        if durable {
            File::open(folder_of(&self.target))?.sync_all()?;
        }
        Ok(true)
    }

    /// Removes the file that this one was to replace, if there is one. False as for [`place`](Self::place).
    pub fn remove_target(&mut self) -> io::Result<bool> {
        if !self.is_in_place()? {
            return Ok(false);
        }
        match fs::remove_file(&self.target) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Gives a file mode and group of the one that it is to replace, if there is one.
    fn take_over(&self, file: &File) -> io::Result<()> {
        match crate::stat(&self.target)? {
            Some(old) if old.is_file() => inherit(file, &old),
            Some(odd) if self.folder.is_none() => check_replaceable(&odd),
            _ => Ok(()),
        }
    }

    fn is_in_place(&self) -> io::Result<bool> {
        if self.lease.as_ref().is_some_and(|lease| !lease.is_held().unwrap_or(false)) {
            return Ok(false);
        }
        is_still(self.file.get_ref(), &self.path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done && self.is_in_place().unwrap_or(false) {
            // Removed while still locked, so that nobody has begun to use it. What cannot be removed is taken over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the draft of `target` lies, or its lease, or what is moved aside for it. The one name for it, in whatever language
/// it is asked for; a name that would be too long is made of a hash.
pub fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    if name.len() + suffix.len() > LONGEST_NAME {
        // Two names that meet in it only wait for each other.
        name = format!(".{:016x}", short_hash(name.as_bytes())).into();
    }
    name.push(suffix);
    target.with_file_name(name)
}

/// FNV-1a, for names.
pub(crate) fn short_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens or makes the file; its folder is made hardly ever, so not looked for first.
fn open_or_make(path: &Path, make_folder: bool) -> io::Result<File> {
    // Not through a link, which could lead anywhere; nor waiting for whoever reads from a FIFO.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path);
    match open() {
        Err(error) if error.kind() == ErrorKind::NotFound && make_folder => {
            fs::create_dir_all(folder_of(path))?;
            open()
        }
        opened => opened,
    }
}

/// Whether `path` still names `file`: its last holder may have renamed or removed it while we waited.
pub fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    let found = crate::stat(path)?;
    Ok(found.is_some_and(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())))
}

fn check_replaceable(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() || found.is_dir() || found.is_symlink() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "is no regular file, and is not replaced by one"))
}

/// Gives `file` the mode and group of `old`. Where the group cannot be kept, its rights go to no other group, beyond
/// what everybody has.
fn inherit(file: &File, old: &fs::Metadata) -> io::Result<()> {
    let ours = file.metadata()?;
    let mut mode = old.mode() & 0o7777;
    if ours.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
        mode = without_group(mode);
    }
    if ours.mode() & 0o7777 == mode { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(mode)) }
}

/// `mode`, with no more for a group than for everybody.
fn without_group(mode: u32) -> u32 {
    mode & (!0o070 | (mode & 0o007) << 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(target: &Path) -> Draft {
        Draft::lock(target, DraftOptions::default()).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_whose_folder_was_replaced_leaves_the_new_file_alone() {
        let root = tempfile::tempdir().unwrap();
        let (mag, file) = (root.path().join("mag"), root.path().join("mag/shard"));
        fs::create_dir(&mag).unwrap();
        let mut placed = draft(&file);
        placed.writer().write_all(b"old form").unwrap();
        let mut emptied = draft(&mag.join("blank"));
        fs::rename(&mag, root.path().join("before")).unwrap();
        fs::create_dir(&mag).unwrap();
        fs::write(&file, b"new form").unwrap();
        fs::write(mag.join("blank"), b"new form").unwrap();
        fs::write(beside(&file, SUFFIX), b"another's").unwrap();
        assert!(!placed.place().unwrap());
        assert!(!emptied.remove_target().unwrap());
        drop((placed, emptied));
        assert_eq!(fs::read(beside(&file, SUFFIX)).unwrap(), b"another's");
        assert_eq!(fs::read(&file).unwrap(), b"new form");
        assert_eq!(fs::read(mag.join("blank")).unwrap(), b"new form");
    }

    #[test]
    fn what_is_no_file_is_not_replaced_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, socket) = (folder.path().join("fifo"), folder.path().join("socket"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for odd in [&fifo, &socket] {
            let error = Draft::lock(odd, DraftOptions::default()).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{error}");
            // One that takes the name while the file is written.
            let late = folder.path().join("late");
            let mut begun = draft(&late);
            begun.writer().write_all(b"content").unwrap();
            fs::rename(odd, &late).unwrap();
            assert!(begun.place().is_err());
            fs::rename(&late, odd).unwrap();
        }
        assert_eq!(names(folder.path()), ["fifo", "socket"]);
    }

    #[test]
    fn what_is_replaced_keeps_its_mode_and_what_is_new_has_what_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(folder.path().join("plain"), b"").unwrap();
        draft(&file).put(b"new").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&file), mode(&folder.path().join("plain")));
        for wanted in [0o664, 0o600, 0o640, 0o444, 0o2775] {
            fs::set_permissions(&file, fs::Permissions::from_mode(wanted)).unwrap();
            assert!(draft(&file).put(b"replaced").unwrap());
            assert_eq!(mode(&file), wanted, "{wanted:o}");
            let whole = folder.path().join("fetched");
            fs::write(&whole, b"fetched").unwrap();
            assert!(draft(&file).put_file(&whole, wanted == 0o664).unwrap());
            assert_eq!((mode(&file), fs::read_to_string(&file).unwrap()), (wanted, "fetched".to_owned()), "{wanted:o}");
        }
        assert_eq!(names(folder.path()), ["file", "plain"]);
    }

    #[test]
    fn the_group_of_what_is_replaced_is_kept_where_the_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"old").unwrap();
        let group = fs::metadata(&file).unwrap().gid() + 1;
        if std::os::unix::fs::chown(&file, None, Some(group)).is_err() {
            return; // only those who may change groups can tell
        }
        draft(&file).put(b"new").unwrap();
        assert_eq!((fs::metadata(&file).unwrap().gid(), fs::read(&file).unwrap()), (group, b"new".to_vec()));
    }

    #[test]
    fn two_who_replace_a_file_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("counter");
        fs::write(&file, b"0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut draft = draft(&file);
                        let count: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
                        draft.put((count + 1).to_string().as_bytes()).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(&file).unwrap(), b"200");
        assert_eq!(names(folder.path()), ["counter"]);
    }

    #[test]
    fn files_of_the_longest_names_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("n".repeat(LONGEST_NAME));
        draft(&file).put(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"old").unwrap();
        draft(&file).writer().write_all(b"half").unwrap();
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert!(Draft::lock(&folder.path().join("none/file"), DraftOptions::default()).is_err());
    }
    #[test]
    fn nothing_of_what_a_killed_process_left_is_in_the_next_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(beside(&file, SUFFIX), b"longer than what comes").unwrap();
        assert!(draft(&file).put(b"new").unwrap());
        assert_eq!((fs::read(&file).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn a_draft_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, victim) = (folder.path().join("file"), folder.path().join("victim"));
        fs::write(&victim, b"another's").unwrap();
        std::os::unix::fs::symlink("victim", beside(&file, SUFFIX)).unwrap();
        assert!(crate::is_link(&Draft::lock(&file, DraftOptions::default()).unwrap_err()));
        assert_eq!(fs::read(&victim).unwrap(), b"another's");
    }

    #[test]
    fn what_was_synced_is_in_the_file_and_what_was_placed_for_good_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/file");
        let options = DraftOptions { buffer: 1000, make_folder: true };
        let mut draft = Draft::lock(&file, options).unwrap();
        draft.writer().write_all(b"new").unwrap();
        assert_eq!(fs::read(&draft.path).unwrap(), b"");
        draft.sync().unwrap();
        assert_eq!(fs::read(&draft.path).unwrap(), b"new");
        draft.writer().write_all(b"er").unwrap();
        assert!(draft.place_durably().unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"newer");
        let mut late = Draft::lock(&file, options).unwrap();
        fs::rename(folder.path().join("made"), folder.path().join("before")).unwrap();
        fs::create_dir(folder.path().join("made")).unwrap();
        assert!(!late.place_durably().unwrap() && !file.exists());
    }

    #[test]
    fn a_file_is_removed_or_is_none_and_what_cannot_be_removed_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("file"), b"old").unwrap();
        fs::create_dir(path("folder")).unwrap();
        assert!(draft(&path("file")).remove_target().unwrap() && draft(&path("none")).remove_target().unwrap());
        assert!(draft(&path("folder")).remove_target().is_err());
        assert_eq!(names(folder.path()), ["folder"]);
    }

    #[test]
    fn where_there_are_no_locks_a_lease_stands_for_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let by_lease =
            || Draft::by_lease(&file, beside(&file, SUFFIX), DraftOptions::default(), &mut || Ok(())).unwrap();
        fs::write(beside(&file, SUFFIX), b"longer than what comes").unwrap();
        for content in [&b"new"[..], b"newer"] {
            assert!(by_lease().put(content).unwrap());
            assert_eq!((fs::read(&file).unwrap(), names(folder.path())), (content.to_vec(), vec!["file".to_owned()]));
        }
        let mut lost = by_lease();
        fs::write(beside(&file, LEASE_SUFFIX), b"another's").unwrap();
        assert!(!lost.put(b"late").unwrap());
        drop(lost);
        assert_eq!(fs::read(&file).unwrap(), b"newer");
        assert_eq!(fs::read(beside(&file, LEASE_SUFFIX)).unwrap(), b"another's");
    }

    #[test]
    fn drafts_are_called_as_in_every_release() {
        // Processes of two releases wait for each other; Python knows the names as well.
        let names = |length: usize| beside(Path::new(&format!("mag/{}", "n".repeat(length))), SUFFIX);
        let longest = LONGEST_NAME - SUFFIX.len();
        assert_eq!(names(longest), PathBuf::from(format!("mag/{}{SUFFIX}", "n".repeat(longest))));
        assert_eq!(names(longest + 1).as_os_str().len(), "mag/.0123456789abcdef".len() + SUFFIX.len());
        // The test vectors of those who thought of the hash.
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(short_hash(text.as_bytes()), hash, "{text}");
        }
        for (path, folder) in [("file", "."), ("mag/file", "mag"), ("/file", "/")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder));
        }
    }

    #[test]
    fn rights_of_a_group_go_to_no_other_beyond_what_everybody_has() {
        for (mode, left) in
            [(0o664, 0o644), (0o640, 0o600), (0o777, 0o777), (0o2775, 0o2755), (0o070, 0), (0o617, 0o617)]
        {
            assert_eq!(without_group(mode), left, "{mode:o}");
        }
    }
}
