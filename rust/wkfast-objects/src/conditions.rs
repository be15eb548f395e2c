//! Puts of which the server decides whether they come first, and what is done where it cannot.

use std::sync::atomic::{AtomicU8, Ordering};

use object_store::path::Path;
use object_store::{Error, PutMode, PutOptions, PutPayload, UpdateVersion};
use wkfast_volume::error::Result;
use wkfast_volume::store::Version;

use crate::address::Kind;
use crate::again::{Tries, is_broken};
use crate::connection::{Connection, version_put};
use crate::credentials::Settings;
use crate::deciding::read_version;
use crate::failure::{is_absent, is_conflict, is_refused_condition};
use crate::fate::Fate;

/// A server is not tried by larger objects.
const TRIAL: usize = 1 << 20;

/// Whether a server decides which of two puts came first.
pub(crate) struct Conditions(AtomicU8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has found out.
    Open,
    Known,
    /// Such requests are refused, or done whatever the condition says.
    Unknown,
}

impl Conditions {
    /// Those of a service are known; of servers that speak as S3 does some ignore them.
    pub(crate) fn of(kind: Kind, settings: &Settings) -> Self {
        let is_other = kind == Kind::S3 && settings.values.keys().any(|name| name.contains("endpoint"));
        Self(AtomicU8::new(if is_other { State::Open } else { State::Known } as u8))
    }

    fn is(&self, state: State) -> bool {
        self.0.load(Ordering::Relaxed) == state as u8
    }

    fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::Relaxed);
    }
}

/// What a try of a put came to.
enum Tried {
    Put(Version),
    /// The condition does not hold.
    Refused,
    /// Somebody else was being served, or nobody knows.
    Again(Error),
    /// The server knows no conditions.
    Unconditional,
    Failed(Error),
}

/// Puts an object if it is what is expected, or if there is none; `None` where somebody else came first.
pub(crate) async fn put_if(
    connection: &Connection,
    path: &Path,
    content: PutPayload,
    expected: Option<&Version>,
) -> Result<Option<Version>> {
    let (mut doubtful, mut tries) = (false, Tries::begin());
    loop {
        if connection.conditions.is(State::Unknown) {
            return put_after_a_look(connection, path, content, expected).await;
        }
        let fate = Fate::default();
        let done = try_put(connection, path, &content, expected, &fate).await;
        doubtful |= fate.is_doubtful();
        // A server that did it and could not say so refuses it the second time.
        if doubtful
            && !matches!(done, Tried::Put(_))
            && let Some(version) = own(connection, path, &content).await
        {
            return Ok(Some(version));
        }
        match done {
            Tried::Put(version) => return find_out(connection, path, &content, expected, version).await.map(Some),
            Tried::Refused => return Ok(None),
            Tried::Unconditional => connection.conditions.set(State::Unknown),
            Tried::Again(_) if tries.again().await => {}
            Tried::Again(error) | Tried::Failed(error) => return Err(connection.failed(path, &error)),
        }
    }
}

async fn try_put(
    connection: &Connection,
    path: &Path,
    content: &PutPayload,
    expected: Option<&Version>,
    fate: &Fate,
) -> Tried {
    let update = |version: &Version| UpdateVersion { e_tag: version.tag.clone(), version: version.number.clone() };
    let mode = expected.map_or(PutMode::Create, |version| PutMode::Update(update(version)));
    let mut options = PutOptions { mode, ..PutOptions::default() };
    options.extensions.insert(fate.clone());
    match connection.objects.put_opts(path, content.clone(), options).await {
        Ok(put) => Tried::Put(version_put(put)),
        Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => Tried::Unconditional,
        Err(_) if fate.is_unknown() => Tried::Unconditional,
        Err(error) if is_conflict(&error) => Tried::Again(error),
        Err(error) if is_refused_condition(&error) => Tried::Refused,
        // The version is of an object that has gone.
        Err(error) if expected.is_some() && is_absent(&error) => Tried::Refused,
        Err(error) if is_broken(&error) => Tried::Again(error),
        Err(error) => Tried::Failed(error),
    }
}

/// The version of the object, if it holds what was to be put.
async fn own(connection: &Connection, path: &Path, content: &PutPayload) -> Option<Version> {
    let length = content.content_length() as u64;
    let meta = connection.head(path).await.ok()??;
    if meta.size != length {
        return None;
    }
    let (found, version) = read_version(connection, path, length).await.ok()??;
    let mut rest = found.as_slice();
    let equal = content.iter().all(|part| rest.split_off(..part.len()).is_some_and(|start| start == part));
    equal.then_some(version)
}

/// Asks for the same once more, which a server that knows conditions refuses. Once for a server.
async fn find_out(
    connection: &Connection,
    path: &Path,
    content: &PutPayload,
    expected: Option<&Version>,
    version: Version,
) -> Result<Version> {
    let same = expected.is_some_and(|expected| expected.tag == version.tag);
    if !connection.conditions.is(State::Open) || same || content.content_length() > TRIAL {
        return Ok(version);
    }
    match try_put(connection, path, content, expected, &Fate::default()).await {
        Tried::Put(version) => {
            connection.conditions.set(State::Unknown);
            Ok(version)
        }
        Tried::Refused => {
            connection.conditions.set(State::Known);
            Ok(version)
        }
        // Who comes next finds out.
        _ => Ok(version),
    }
}

/// For servers without conditions: of two that do this within the same moment, both come first.
async fn put_after_a_look(
    connection: &Connection,
    path: &Path,
    content: PutPayload,
    expected: Option<&Version>,
) -> Result<Option<Version>> {
    if connection.version(path).await?.as_ref() != expected {
        return Ok(None);
    }
    connection.put(path, content).await.map(Some)
}
