//! Members of an archive on a server: all that are wanted are asked for at once.

use std::io::{self, ErrorKind, Read};

use wkfast_files::zip::MemberReader;

use super::super::far_file::volume_error;
use super::super::{Fetch, Found, Origin, Part, ReadStore, Stamp, Take, beyond_end, too_large, within};
use super::{ZipStore, fault};
use crate::error::{Result, VolumeError};

/// A member to read.
struct WantedMember<'a> {
    /// Of its fetch.
    number: usize,
    key: &'a str,
    size: u64,
    part: &'a Part,
}

pub(super) fn read_batch(store: &ZipStore, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
    let mut wanted = Vec::with_capacity(fetches.len());
    for (number, fetch) in fetches.iter().enumerate() {
        match wanted_of(store, number, fetch)? {
            Some(member) => wanted.push(member),
            None => take(number, None)?,
        }
    }
    let keys: Vec<_> = wanted.iter().map(|member| member.key).collect();
    let read = store.archive.read_many(&keys, &|at, reader| {
        let member = &wanted[at];
        let read = reader.and_then(|mut reader| part_of(&mut reader, member));
        let mut bytes = read.map_err(|error| io::Error::other(fault(store.describe(member.key), error)))?;
        let stamp = Some(Stamp { size: member.size, modified: None, inode: None });
        take(member.number, Some(Found { bytes: &mut bytes, stamp })).map_err(io::Error::other)
    });
    read.map_err(|error| match error.kind() {
        ErrorKind::Other => volume_error(store.archive.name().to_owned(), error),
        _ => fault(store.archive.name().to_owned(), error),
    })
}

/// What a fetch means; `None` where there is no such member.
fn wanted_of<'a>(store: &ZipStore, number: usize, fetch: &'a Fetch<'_>) -> Result<Option<WantedMember<'a>>> {
    let key = match fetch.origin {
        Origin::Key(key) | Origin::State(key, _) => key,
        Origin::Pinned(pinned) => {
            return Err(VolumeError::corrupt(format!("{pinned:?}"), "is held open, and lies in no archive"));
        }
    };
    let Some(size) = store.member_size(key)? else {
        return match fetch.part {
            Part::Range(_) => Err(VolumeError::io(store.describe(key), ErrorKind::NotFound.into())),
            _ => Ok(None),
        };
    };
    match (&fetch.part, fetch.origin) {
        (_, Origin::State(_, stamp)) if stamp.size != size => Err(VolumeError::Changed { file: store.describe(key) }),
        (Part::Whole(limit), _) if size > *limit => Err(too_large(store.describe(key), size, *limit)),
        (Part::Range(range), _) if !within(range.start, length(range), size) => {
            Err(beyond_end(store.describe(key), range.start, length(range), size))
        }
        (part, _) => Ok(Some(WantedMember { number, key, size, part })),
    }
}

fn length(range: &std::ops::Range<u64>) -> usize {
    range.end.saturating_sub(range.start) as usize
}

fn part_of(reader: &mut MemberReader<'_>, member: &WantedMember<'_>) -> io::Result<Vec<u8>> {
    let range = member.part.range(member.size);
    reader.skip(range.start)?;
    let mut bytes = vec![0; length(&range)];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
