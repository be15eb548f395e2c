//! Two folders change places.

use std::fs;
use std::io;
use std::path::Path;

use wkfast_files::{Held, open_folder};

use crate::error::{Result, VolumeError};

/// Puts the folder `new` in the place of `old`, which then lies where `new` was, if there was one. Where the file system
/// can, that is one step; elsewhere `old` is renamed first, and comes back should the second step fail. All that `new`
/// holds is on disk before it takes the place of `old`, and the names before this returns. With `within`, a folder that
/// both lie in, no link on the way from there is followed.
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

fn exchange_at(new: &Path, old: &Path) -> io::Result<()> {
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
    let mut aside = old.as_os_str().to_owned();
    aside.push(".wkfast-old");
    let aside = Path::new(&aside);
    fs::rename(old, aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(aside, old)?;
        return Err(error);
    }
    fs::rename(aside, new)
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
    fn a_failed_exchange_leaves_the_old_folder_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        let old = root.path().join("old");
        fs::create_dir(&old).unwrap();
        assert!(exchange_folders(&root.path().join("missing"), &old, None).is_err());
        assert!(exchange_by_three(&root.path().join("missing"), &old).is_err());
        assert!(old.is_dir());
    }
}
