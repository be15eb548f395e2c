//! Folders go away, also while somebody has files in them open.
//!
//! On network mounts a file that is removed while it is open stays as `.nfs…` or `.fuse_hidden…` until it is closed, and
//! its folder cannot go before: neither is a fault of whoever removes them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wkfast_files::Held;

use super::unique_name;
use crate::error::{Result, VolumeError};

/// Waits between tries, in milliseconds: servers tell each other of a closed file within this.
const WAITS: [u64; 4] = [5, 20, 50, 100];
/// Ends the names of folders that only wait for their removal.
const GONE: &str = ".wkfast-gone";

/// Removes `folder` and all in it, and says whether it is gone. What somebody still holds is asked for again, shortly,
/// and then left where it is: whoever comes next can call again.
pub fn remove_or_leave(folder: &Path) -> io::Result<bool> {
    patiently(|| fs::remove_dir_all(folder))
}

/// Makes `folder` go away at once, whoever reads in it: it gets another name first. What cannot be removed yet stays
/// under a name that begins with a dot and goes when the next folder beside it is removed. Of a link, only the link
/// goes; nothing happens where there is nothing. With `within`, a folder that it lies in, no link on the way from there is
/// followed: one that somebody has put there is an error.
pub fn remove_folder(folder: &Path, within: Option<&Path>) -> Result<()> {
    let fault = |error: io::Error| VolumeError::io(folder.display().to_string(), error);
    let held = match within.map(|within| Held::folder_of(folder, within)) {
        None => None,
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Some(held) => Some(held.map_err(fault)?),
    };
    let place = held.as_ref().map_or_else(|| folder.to_owned(), |(held, name)| held.at(name));
    remove_at(&place, fault)
}

fn remove_at(folder: &Path, fault: impl Fn(io::Error) -> VolumeError) -> Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return fs::remove_file(folder).map_err(fault),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
    }
    let name = folder.file_name().unwrap_or_default().display().to_string();
    fs::rename(folder, folder.with_file_name(unique_name(&format!(".{name}"), &GONE[1..]))).map_err(&fault)?;
    let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for gone in waiting_for_removal(beside).map_err(&fault)? {
        patiently(|| fs::remove_dir_all(&gone)).map_err(&fault)?;
    }
    Ok(())
}

fn waiting_for_removal(beside: &Path) -> io::Result<Vec<PathBuf>> {
    let is_gone =
        |name: &OsStr| name.as_encoded_bytes().starts_with(b".") && name.display().to_string().ends_with(GONE);
    let found: io::Result<Vec<_>> = fs::read_dir(beside)?.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(found?.into_iter().filter(|path| path.file_name().is_some_and(is_gone)).collect())
}

/// Calls `remove` until it succeeds, a few times at most; `false` if somebody held on all the time.
fn patiently(mut remove: impl FnMut() -> io::Result<()>) -> io::Result<bool> {
    for wait in WAITS.into_iter().map(Some).chain([None]) {
        match remove() {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) if is_held(&error) => {}
            Err(error) => return Err(error),
        }
        if let Some(wait) = wait {
            std::thread::sleep(Duration::from_millis(wait));
        }
    }
    Ok(false)
}

/// Whether somebody still has something open below: said in as many ways as there are file systems.
fn is_held(error: &io::Error) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, ResourceBusy, StaleNetworkFileHandle};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | ResourceBusy | StaleNetworkFileHandle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: [i32; 4] = [39, 16, 116, 17];

    #[test]
    fn what_somebody_holds_is_asked_for_again_and_left_in_the_end() {
        for code in HELD {
            let mut tries = 0;
            let held_for = |tries: &mut usize, most: usize| {
                *tries += 1;
                if *tries <= most { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
            };
            assert!(patiently(|| held_for(&mut tries, 2)).unwrap(), "{code}");
            assert_eq!(tries, 3);
            tries = 0;
            assert!(!patiently(|| held_for(&mut tries, usize::MAX)).unwrap());
            assert_eq!(tries, WAITS.len() + 1);
        }
    }

    #[test]
    fn other_refusals_are_errors_and_absence_is_not() {
        let refused = patiently(|| Err(io::Error::from_raw_os_error(13)));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert!(patiently(|| Err(ErrorKind::NotFound.into())).unwrap());
        assert!(remove_or_leave(Path::new("/nowhere/at/all")).unwrap());
    }

    #[test]
    fn a_removed_folder_takes_what_earlier_ones_left_with_it_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["mag/inner", ".1-0.wkfast-gone/x", ".2.wkfast-part", "2"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        remove_folder(&root.path().join("mag"), None).unwrap();
        remove_folder(&root.path().join("mag"), None).unwrap();
        let mut left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".2.wkfast-part", "2"]);
    }

    #[test]
    fn of_a_link_the_link_alone_goes() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("kept");
        fs::create_dir(&kept).unwrap();
        std::os::unix::fs::symlink(&kept, root.path().join("link")).unwrap();
        remove_folder(&root.path().join("link"), None).unwrap();
        assert!(kept.is_dir() && !root.path().join("link").exists());
    }

    #[test]
    fn nothing_is_removed_behind_a_link() {
        let root = tempfile::tempdir().unwrap();
        let (dataset, victim) = (root.path().join("dataset"), root.path().join("victim"));
        fs::create_dir_all(victim.join("1")).unwrap();
        fs::create_dir_all(dataset.join("layer/1")).unwrap();
        std::os::unix::fs::symlink(&victim, dataset.join("link")).unwrap();
        assert!(remove_folder(&dataset.join("link/1"), Some(&dataset)).is_err());
        remove_folder(&dataset.join("none/1"), Some(&dataset)).unwrap();
        remove_folder(&dataset.join("layer/1"), Some(&dataset)).unwrap();
        assert!(victim.join("1").is_dir() && !dataset.join("layer/1").exists());
    }
}
