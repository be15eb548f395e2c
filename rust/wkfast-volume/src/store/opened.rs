//! Archives that are open already. The mags of a data zip are opened one by one, and opening an archive inside a
//! deflated member means to inflate it: as long as somebody reads from an archive, others share it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ZipStore;
use crate::error::{Result, VolumeError};

/// Which archive: another file at the same path, or one that was written to, is another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    member: Option<String>,
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

static OPENED: Mutex<Vec<(Identity, Weak<ZipStore>)>> = Mutex::new(Vec::new());

/// The zip file at `path`, or the one that is its `member`, opened now or before.
pub(super) fn open_zip(path: &Path, member: Option<&str>) -> Result<Arc<ZipStore>> {
    let metadata = fs::metadata(path).map_err(|error| VolumeError::io(path.display().to_string(), error))?;
    let identity = Identity {
        path: path.to_owned(),
        member: member.map(str::to_owned),
        file: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    };
    if let Some(store) = lookup(&identity) {
        return Ok(store);
    }
    let store = Arc::new(match member {
        None => ZipStore::open(path)?,
        Some(member) => ZipStore::open_nested(path, member)?,
    });
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.retain(|(_, store)| store.strong_count() > 0);
    opened.push((identity, Arc::downgrade(&store)));
    Ok(store)
}

fn lookup(identity: &Identity) -> Option<Arc<ZipStore>> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.iter().find(|(known, _)| known == identity).and_then(|(_, store)| store.upgrade())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ReadStore, zip_bytes};

    #[test]
    fn an_archive_is_shared_until_it_changes_or_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let write = |content: &[u8]| {
            fs::write(&path, zip_bytes(&[("a", content.to_vec())], zip::CompressionMethod::Stored)).unwrap();
        };
        write(b"one");
        let first = open_zip(&path, None).unwrap();
        assert!(Arc::ptr_eq(&first, &open_zip(&path, None).unwrap()));
        write(b"other");
        let second = open_zip(&path, None).unwrap();
        assert_eq!(second.read("a", 9).unwrap().unwrap(), b"other");
        drop((first, second));
        assert!(
            lookup(&Identity { path: path.clone(), member: None, file: (0, 0), size: 0, modified: (0, 0) }).is_none()
        );
        assert!(open_zip(&path, Some("b")).unwrap_err().to_string().contains("not found"));
    }
}
