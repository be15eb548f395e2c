//! Two folders change places.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wkfast_files::replace::beside;
use wkfast_files::{Held, open_folder, stat};

use crate::error::{Result, VolumeError};
use crate::work::remove_folder;

/// What a folder's name has behind it while another takes its place.
const ASIDE: &str = ".wkfast-old";
/// How long somebody who exchanges folders is waited for before he is taken for dead: he takes microseconds between steps.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Puts the folder `new` in the place of `old`, which then lies where `new` was, if there was one. Where the file system
/// can, that is one step; elsewhere `old` is renamed first, and comes back should the second step fail; where the call is
/// killed before that, [`restore_folder`] brings it back. All that `new` holds is on disk before it takes the place of `old`,
/// and the names before this returns. With `within`, a folder that both lie in, no link on the way from there is followed.
pub fn exchange_folders(new: &Path, old: &Path, within: Option<&Path>) -> Result<()> {
    let fault = |error| VolumeError::io(old.display().to_string(), error);
    let Some(within) = within else { return exchange_at(new, old).map_err(fault) };
    let hold = |folder| Held::folder_of(folder, within);
    hold(new)
        .and_then(|(new, new_name)| {
            let (old, old_name) = hold(old)?;
            exchange_at(&new.at(new_name), &old.at(old_name))
        })
        .map_err(fault)
}

/// Gives a folder its name back that [`exchange_folders`] was killed at taking away. Whether it has its name in the end.
pub fn restore_folder(folder: &Path, within: Option<&Path>) -> Result<bool> {
    let restored = match within.map(|within| Held::folder_of(folder, within)) {
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Some(held) => held.and_then(|(held, name)| restore_at(&held.at(name))),
        None => restore_at(folder),
    };
    restored.map_err(|error| VolumeError::io(folder.display().to_string(), error))
}

fn restore_at(folder: &Path) -> io::Result<bool> {
    let aside = aside_of(folder);
    for _ in 0..LOOKS {
        if stat(folder)?.is_some() {
            return Ok(true);
        }
        if stat(&aside)?.is_none() {
            return Ok(stat(folder)?.is_some());
        }
        // Whoever is alive takes the next step at once.
        std::thread::sleep(BETWEEN_LOOKS);
    }
    // It replaces nothing: a name that was taken meanwhile stays with whoever has taken it.
    match fs::rename(&aside, folder) {
        Err(error) if stat(folder)?.is_none() => Err(error),
        _ => Ok(true),
    }
}

fn exchange_at(new: &Path, old: &Path) -> io::Result<()> {
    restore_at(old)?;
    if old.exists() {
        sync(new)?;
        exchange(new, old)?;
    } else {
        fs::rename(new, old)?;
    }
    [new.parent(), old.parent()].into_iter().flatten().try_for_each(|folder| open_folder(folder)?.sync_all())
}

/// Writes all files of the folder's file system to disk: one call for however many there are.
fn sync(folder: &Path) -> io::Result<()> {
    let folder = open_folder(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::sync();
    drop(folder);
    Ok(())
}

#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => exchange_by_three(new, old),
        exchanged => Ok(exchanged?),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    exchange_by_three(new, old)
}

fn exchange_by_three(new: &Path, old: &Path) -> io::Result<()> {
    let aside = aside_of(old);
    // A call that was killed at its last step has left it: what it was the old form of has its place.
    remove_folder(&aside, None).map_err(|error| io::Error::other(error.to_string()))?;
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    fs::rename(&aside, new)
}

/// Where a folder lies while another takes its place.
fn aside_of(folder: &Path) -> PathBuf {
    beside(folder, ASIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_change_places_however_it_is_done() {
        for way in [exchange, exchange_by_three] {
            let root = tempfile::tempdir().unwrap();
            let [new, old] = ["new", "old"].map(|name| root.path().join(name));
            for folder in [&new, &old] {
                fs::create_dir(folder).unwrap();
                fs::write(folder.join("name"), folder.file_name().unwrap().as_encoded_bytes()).unwrap();
            }
            way(&new, &old).unwrap();
            assert_eq!(fs::read(old.join("name")).unwrap(), b"new");
            assert_eq!(fs::read(new.join("name")).unwrap(), b"old");
        }
    }

    #[test]
    fn a_folder_that_was_moved_aside_comes_back_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (new, old) = (root.path().join("new"), root.path().join("old"));
        let content = |folder: &Path| fs::read_to_string(folder.join("file")).unwrap();
        for folder in [&new, &old] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), folder.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        assert!(restore_folder(&old, Some(root.path())).unwrap());
        assert!(!restore_folder(&root.path().join("none"), Some(root.path())).unwrap());
        assert!(!restore_folder(&root.path().join("none/below"), Some(root.path())).unwrap());
        // Killed after the first step.
        fs::rename(&old, aside_of(&old)).unwrap();
        assert!(restore_folder(&old, Some(root.path())).unwrap());
        assert_eq!((content(&old), aside_of(&old).exists()), ("old".to_owned(), false));
        // And the same call, again.
        fs::rename(&old, aside_of(&old)).unwrap();
        exchange_folders(&new, &old, Some(root.path())).unwrap();
        assert_eq!((content(&old), content(&new)), ("new".to_owned(), "old".to_owned()));
        // Killed after the second: what lies aside is the old form of what has its place.
        fs::rename(&new, aside_of(&old)).unwrap();
        assert!(restore_folder(&old, None).unwrap());
        assert_eq!(content(&old), "new");
        fs::create_dir(&new).unwrap();
        exchange_by_three(&new, &old).unwrap();
        assert_eq!((content(&new), aside_of(&old).exists()), ("new".to_owned(), false));
    }

    #[test]
    fn a_failed_exchange_leaves_the_old_folder_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        let old = root.path().join("old");
        fs::create_dir(&old).unwrap();
        assert!(exchange_folders(&root.path().join("missing"), &old, None).is_err());
        assert!(exchange_by_three(&root.path().join("missing"), &old).is_err());
        assert!(old.is_dir());
    }
}
