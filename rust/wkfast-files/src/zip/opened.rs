//! Archives that are open already. The mags of a data zip are opened one by one, and opening an archive inside a
//! deflated member means to inflate it: as long as somebody reads from an archive, others share it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Archive, FarFile};

/// Which archive: another file at the same path, or one that was written to, is another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    name: PathBuf,
    member: Option<String>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Near { file: (u64, u64), size: u64, modified: (i64, i64) },
    Far(String),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self::Near {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

static OPENED: Mutex<Vec<(Identity, Weak<Archive>)>> = Mutex::new(Vec::new());

/// The zip file at `path`, or the one that is its `member`, opened now or before.
pub fn open_shared(path: &Path, member: Option<&str>) -> io::Result<Arc<Archive>> {
    let whole = Identity { name: path.to_owned(), member: None, state: State::of(&fs::metadata(path)?) };
    shared(whole, member, || Archive::open(path))
}

/// As [`open_shared`], on a server.
pub fn open_shared_far(file: Arc<dyn FarFile>, member: Option<&str>) -> io::Result<Arc<Archive>> {
    let whole = Identity { name: file.name().into(), member: None, state: State::Far(file.state()) };
    shared(whole, member, || Archive::open_far(file))
}

fn shared(
    whole: Identity,
    member: Option<&str>,
    open: impl FnOnce() -> io::Result<Archive>,
) -> io::Result<Arc<Archive>> {
    let Some(member) = member else { return kept(whole, open) };
    let part = Identity { member: Some(member.to_owned()), ..whole.clone() };
    kept(part, || kept(whole, open)?.nested(member))
}

/// The archive that somebody reads from, or the one that `open` opens.
fn kept(identity: Identity, open: impl FnOnce() -> io::Result<Archive>) -> io::Result<Arc<Archive>> {
    if let Some(archive) = lookup(&identity) {
        return Ok(archive);
    }
    let archive = Arc::new(open()?);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.retain(|(_, archive)| archive.strong_count() > 0);
    opened.push((identity, Arc::downgrade(&archive)));
    Ok(archive)
}

fn lookup(identity: &Identity) -> Option<Arc<Archive>> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.iter().find(|(known, _)| known == identity).and_then(|(_, archive)| archive.upgrade())
}

#[cfg(test)]
mod tests {
    use super::super::tests::zipped;
    use super::*;

    #[test]
    fn an_archive_is_shared_until_it_changes_or_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let write = |content: &[u8]| fs::write(&path, zipped(&[("a", content.to_vec())], false)).unwrap();
        write(b"one");
        let first = open_shared(&path, None).unwrap();
        assert!(Arc::ptr_eq(&first, &open_shared(&path, None).unwrap()));
        write(b"other");
        let second = open_shared(&path, None).unwrap();
        assert_eq!(second.size("a"), Some(5));
        let weak = Arc::downgrade(&second);
        drop((first, second));
        assert!(weak.upgrade().is_none());
        let archives = ["b.zip", "c.zip"].map(|name| {
            let path = folder.path().join(name);
            fs::copy(folder.path().join("a.zip"), &path).unwrap();
            (open_shared(&path, None).unwrap(), path)
        });
        for (archive, path) in &archives {
            assert!(Arc::ptr_eq(archive, &open_shared(path, None).unwrap()), "also when others were opened since");
        }
        assert_eq!(open_shared(&path, Some("b")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
