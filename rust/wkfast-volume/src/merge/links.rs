//! Whether files of the fallback may be hard links in the target.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::input::{Link, MergeInput};
use super::sides::{SideMag, Sources};
use super::stamp::describe;
use crate::error::{Result, VolumeError};
use crate::format::{Container, DataFormat};

/// Refuses links that cannot be made, or through which a later write into the target would reach the fallback.
pub(super) fn check_links(input: &MergeInput, sources: &Sources) -> Result<()> {
    if input.options.link == Link::Copy {
        return Ok(());
    }
    let Some(target) = input.target.directory() else {
        let reason = format!("{}: a bucket has no hard links; copy the files instead (link=\"copy\")", input.target);
        return Err(VolumeError::Mismatch(reason));
    };
    let device = device_of(target)?;
    sources.fallback.iter().try_for_each(|source| check_source(source, device, target))
}

fn check_source(source: &SideMag, device: u64, target: &Path) -> Result<()> {
    let refuse = |reason: String| {
        let name = describe(&source.location);
        Err(VolumeError::Mismatch(format!("{name}: cannot be hard-linked: {reason}; copy it instead (link=\"copy\")")))
    };
    let Container::Directory { path } = &source.location.container else {
        return refuse("it lies in no folder of this machine".to_owned());
    };
    if source.location.format == DataFormat::Wkw && !source.array.codec().is_compressed() {
        return refuse("blocks of uncompressed WKW are written in place, which would change both layers".to_owned());
    }
    if device_of(path)? != device {
        return refuse(format!("{} is on another file system", target.display()));
    }
    Ok(())
}

/// The file system that `path` is on, or would be.
fn device_of(path: &Path) -> Result<u64> {
    let mut place = path;
    loop {
        match fs::metadata(place) {
            Ok(metadata) => return Ok(metadata.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(VolumeError::io(place.display().to_string(), error)),
        }
        place = match place.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(VolumeError::io(path.display().to_string(), io::ErrorKind::NotFound.into())),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_is_on_the_file_system_of_the_folder_it_will_be_in() {
        let folder = tempfile::tempdir().unwrap();
        let here = fs::metadata(folder.path()).unwrap().dev();
        assert_eq!(device_of(folder.path()).unwrap(), here);
        assert_eq!(device_of(&folder.path().join("not/yet")).unwrap(), here);
        assert_eq!(device_of(Path::new("not-yet")).unwrap(), fs::metadata(".").unwrap().dev());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(device_of(&folder.path().join("file/below")).is_err());
    }
}
