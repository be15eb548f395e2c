//! One request that reads.

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Part, Stamp, Version};

use crate::again::{Tries, is_broken};
use crate::budget::Leave;
use crate::connection::Connection;
use crate::failure::is_absent;
use crate::store::{beyond, stamp_of, version_of};

/// Bytes of an object, and the state of the object.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
    pub(crate) version: Version,
}

impl Piece {
    fn of(meta: &ObjectMeta) -> Self {
        Self { bytes: Vec::new(), stamp: stamp_of(meta), version: version_of(meta) }
    }
}

/// Why there are no bytes: the answer broke off, which another one may not, or it had to be left before there was room for
/// it, or what says more.
enum Unread {
    Broken(VolumeError),
    Left,
    Failed(VolumeError),
}

impl From<VolumeError> for Unread {
    fn from(error: VolumeError) -> Self {
        Self::Failed(error)
    }
}

impl Unread {
    fn of(connection: &Connection, path: &Path, error: &Error) -> Self {
        let failed = connection.failed(path, error);
        if is_broken(error) { Self::Broken(failed) } else { Self::Failed(failed) }
    }

    /// Waits before the next try; the error where there is none.
    async fn again(self, tries: &mut Tries) -> Result<()> {
        match self {
            Self::Broken(error) => tries.again().await.then_some(()).ok_or(error),
            Self::Left => {
                *tries = Tries::begin();
                Ok(())
            }
            Self::Failed(error) => Err(error),
        }
    }
}

/// Reads a part of an object; `None` where there is no such object.
pub(crate) async fn piece(
    connection: &Connection,
    path: &Path,
    part: &Part,
    leave: &mut Leave,
) -> Result<Option<Piece>> {
    let mut tries = Tries::begin();
    loop {
        match piece_of_answer(connection, path, part, leave).await {
            Ok(piece) => return Ok(piece),
            Err(missed) => missed.again(&mut tries).await?,
        }
    }
}

async fn piece_of_answer(
    connection: &Connection,
    path: &Path,
    part: &Part,
    leave: &mut Leave,
) -> std::result::Result<Option<Piece>, Unread> {
    let wanted = match part {
        Part::Whole(_) => None,
        Part::Range(range) if range.is_empty() => return Ok(no_bytes(connection, path, range.start).await?),
        Part::Range(range) => Some(GetRange::Bounded(range.clone())),
        Part::Start(0) | Part::End(0) => return Ok(no_bytes(connection, path, 0).await?),
        Part::Start(length) => Some(GetRange::Bounded(0..*length)),
        Part::End(_) if connection.lacks_suffixes => return Ok(by_size(connection, path, part, leave).await?),
        Part::End(length) => Some(GetRange::Suffix(*length)),
    };
    let options = GetOptions { range: wanted, ..GetOptions::default() };
    match connection.objects.get_opts(path, options).await {
        Ok(answer) => Ok(Some(body(connection, path, part, answer, leave).await?)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) if matches!(part, Part::Whole(_)) || is_broken(&error) => Err(Unread::of(connection, path, &error)),
        Err(error) => Ok(after_refusal(connection, path, part, error, leave).await?),
    }
}

/// Nothing of an object that may be absent, or end before `offset`.
async fn no_bytes(connection: &Connection, path: &Path, offset: u64) -> Result<Option<Piece>> {
    let Some(meta) = connection.head(path).await? else { return Ok(None) };
    if offset > meta.size {
        return Err(beyond(connection.name(path), offset, 0));
    }
    Ok(Some(Piece::of(&meta)))
}

/// Reads a part once the size is known.
async fn by_size(connection: &Connection, path: &Path, part: &Part, leave: &mut Leave) -> Result<Option<Piece>> {
    let Some(meta) = connection.head(path).await? else { return Ok(None) };
    let range = part.range(meta.size);
    if range.is_empty() {
        return Ok(Some(Piece::of(&meta)));
    }
    Box::pin(piece(connection, path, &Part::Range(range), leave)).await
}

/// What a refused range means: that the object ends before it, or that the server knows no ranges, or none from the end:
/// of those some refuse what is longer than the object with a fault of their own.
async fn after_refusal(
    connection: &Connection,
    path: &Path,
    part: &Part,
    error: Error,
    leave: &mut Leave,
) -> Result<Option<Piece>> {
    if matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) {
        return Err(connection.failed(path, &error));
    }
    let Ok(Some(meta)) = connection.head(path).await else { return Err(connection.failed(path, &error)) };
    let range = part.range(meta.size);
    if range.end > meta.size {
        return Err(beyond(connection.name(path), range.start, range.end - range.start));
    }
    if range.is_empty() {
        return Ok(Some(Piece::of(&meta)));
    }
    let said = error.to_string();
    if said.contains("non-partial") || said.contains("Range request not supported") {
        return Err(VolumeError::Unsupported { file: connection.name(path), what: NO_RANGES.to_owned() });
    }
    if matches!(part, Part::End(_)) {
        return Box::pin(piece(connection, path, &Part::Range(range), leave)).await;
    }
    Err(connection.failed(path, &error))
}

const NO_RANGES: &str = "its server sends whole files only, and no ranges of bytes; copy it to a disk, or serve it by a \
                         server that knows ranges";

/// The bytes of an answer, which must be as many as were asked for, as soon as there is room for them.
async fn body(
    connection: &Connection,
    path: &Path,
    part: &Part,
    answer: GetResult,
    leave: &mut Leave,
) -> std::result::Result<Piece, Unread> {
    let piece = Piece::of(&answer.meta);
    let length = length_of(connection, path, part, answer.meta.size)?;
    if !leave.fit(length, part).await? {
        return Err(Unread::Left);
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length as usize)
        .map_err(|_| VolumeError::corrupt(connection.name(path), "is larger than memory"))?;
    let mut stream = answer.into_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| Unread::Broken(connection.failed(path, &error)))?);
    }
    if bytes.len() as u64 != length {
        let reason = format!("{} bytes came where {length} were asked for", bytes.len());
        return Err(Unread::Broken(VolumeError::corrupt(connection.name(path), reason)));
    }
    Ok(Piece { bytes, ..piece })
}

/// Bytes of a part of an object that has `size`.
fn length_of(connection: &Connection, path: &Path, part: &Part, size: u64) -> Result<u64> {
    let expected = part.range(size);
    match part {
        Part::Whole(limit) if size > *limit => {
            let reason = format!("holds {size} bytes where at most {limit} are expected");
            Err(VolumeError::corrupt(connection.name(path), reason))
        }
        Part::Range(range) if range.end > size => {
            Err(beyond(connection.name(path), range.start, range.end - range.start))
        }
        _ => Ok(expected.end - expected.start),
    }
}
