//! What tells a file from what it was, or will be.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Result, VolumeError};

/// State of a file: equal as long as nobody has written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes when read.
    pub size: u64,
    /// Time of the last change, where the store knows it.
    pub modified: Option<SystemTime>,
    /// Number of the file on its file system, where it has one: files that replace each other within one tick of the
    /// clock differ in it.
    pub inode: Option<u64>,
}

impl Stamp {
    /// The state that the system tells of.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok(), inode: Some(metadata.ino()) }
    }
}

/// As one text: size, nanoseconds since 1970, number; `-` for what is not known.
impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_nanos());
        let or_dash = |known: Option<String>| known.unwrap_or_else(|| "-".to_owned());
        let modified = or_dash(self.modified.and_then(since).map(|nanos| nanos.to_string()));
        let inode = or_dash(self.inode.map(|inode| format!("{inode:x}")));
        write!(formatter, "{} {modified} {inode}", self.size)
    }
}

impl FromStr for Stamp {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || VolumeError::corrupt(format!("{text:?}"), "is no state of a file");
        let [size, modified, inode] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let known = |part: &str| (part != "-").then(|| part.to_owned());
        let time = |nanos: u64| UNIX_EPOCH + Duration::from_nanos(nanos);
        Ok(Self {
            size: size.parse().map_err(|_| wrong())?,
            modified: known(modified).map(|part| part.parse().map(time)).transpose().map_err(|_| wrong())?,
            inode: known(inode).map(|part| u64::from_str_radix(&part, 16)).transpose().map_err(|_| wrong())?,
        })
    }
}
