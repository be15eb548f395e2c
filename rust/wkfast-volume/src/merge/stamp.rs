//! Recognising files again: names, sizes and times of what a plan was made from, and what differs between two plans.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::input::MergeInput;
use super::sides::Sources;
use crate::error::{Result, VolumeError};
use crate::format::{Container, Listing, MagArray, MagLocation};

/// One mag of an input as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagStamp {
    /// Where it lies.
    pub name: String,
    /// Number of its shards.
    pub shards: u64,
    /// Bytes of its shards.
    pub bytes: u64,
    /// Over grid, encoding, and the name, size and time of every file.
    pub digest: String,
}

impl MagStamp {
    /// Looks at the files of a mag, not into them.
    pub fn of(location: &MagLocation, array: &dyn MagArray, listing: &Listing) -> Self {
        let mut digest = Digest::default();
        digest.add(format!("{:?} {}", array.grid(), array.codec().encoding()).as_bytes());
        let folder = match &location.container {
            Container::Directory { path } => Some(path.join(&location.prefix)),
            Container::Zip { path, .. } => {
                digest.add_file(path);
                None
            }
            Container::Objects(_) | Container::ObjectZip { .. } => {
                digest.add(array.store().archive_state().unwrap_or_default().as_bytes());
                None
            }
        };
        let mut bytes = 0;
        let mut shards: Vec<_> = listing.shards.iter().collect();
        shards.sort_unstable();
        for (shard, size) in shards {
            bytes += size;
            digest.add(format!("{shard} {size}").as_bytes());
            if let Some(folder) = &folder {
                let key = array.shard_key(shard);
                // Keys may or may not repeat the mag's prefix; the time is a hint, so the wrong guess costs nothing.
                let within = key.strip_prefix(&location.prefix).unwrap_or(&key).trim_start_matches('/');
                digest.add_file(&folder.join(within));
            }
        }
        Self { name: describe(location), shards: listing.shards.len() as u64, bytes, digest: digest.finish() }
    }
}

/// A zip file that mags of an input lie in, as it was found. To look at it again costs one question, however much it holds.
/// An archive on a server is asked for by its state anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStamp {
    /// Where it lies.
    pub path: PathBuf,
    /// Size and time.
    pub state: String,
}

impl ArchiveStamp {
    /// Of all mags of both sides, each archive once.
    pub(super) fn all(input: &MergeInput) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for mag in input.annotations.iter().flatten().chain(&input.fallback) {
            let Container::Zip { path, .. } = &mag.container else { continue };
            if all.iter().all(|known| known.path != *path) {
                all.push(Self { path: path.clone(), state: state_of_file(path) });
            }
        }
        all
    }
}

/// Refuses archives that are not what they were when they were planned with.
pub(super) fn check_archives(planned: &[ArchiveStamp]) -> Result<()> {
    match planned.iter().find(|stamp| state_of_file(&stamp.path) != stamp.state) {
        Some(stamp) => Err(changed(&stamp.path.display().to_string())),
        None => Ok(()),
    }
}

/// Refuses folders of annotations whose files are not those that were planned with; the fallback's voxels are compared with
/// the result one by one.
pub(super) fn check_folders(planned: &[MagStamp], sources: &Sources) -> Result<()> {
    for mag in sources.annotations.iter().flatten() {
        if !matches!(mag.location.container, Container::Directory { .. }) {
            continue;
        }
        let now = MagStamp::of(&mag.location, &*mag.array, &mag.array.list_shards()?);
        if !planned.contains(&now) {
            return Err(changed(&now.name));
        }
    }
    Ok(())
}

fn changed(name: &str) -> VolumeError {
    let name = name.trim_end_matches('/');
    VolumeError::Mismatch(format!(
        "{name} was changed after the merge had been planned: plan again, for a target that is not begun"
    ))
}

/// What to call a mag in messages.
pub fn describe(location: &MagLocation) -> String {
    let prefix = &location.prefix;
    match &location.container {
        Container::Directory { path } => path.join(prefix).display().to_string(),
        Container::Objects(address) if prefix.is_empty() => address.shown(),
        Container::Objects(address) => format!("{}/{prefix}", address.shown()),
        Container::ObjectZip { folder, name, member: None, .. } => format!("{}/{name}!{prefix}", folder.shown()),
        Container::ObjectZip { folder, name, member: Some(member), .. } => {
            format!("{}/{name}!{member}!{prefix}", folder.shown())
        }
        Container::Zip { path, member: None } => format!("{}!{prefix}", path.display()),
        Container::Zip { path, member: Some(member) } => format!("{}!{member}!{prefix}", path.display()),
    }
}

/// FNV-1a of 128 bits: the same on every machine and in every build, which the standard library's hash need not be.
/// It guards against mistakes, not against forgery.
#[derive(Clone, Copy)]
pub struct Digest(u128);

impl Default for Digest {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Digest {
    /// Adds one item. Items do not run into each other.
    pub fn add(&mut self, item: &[u8]) {
        for &byte in item.iter().chain(&(item.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
    }

    /// The digest as 32 hexadecimal digits.
    pub fn finish(self) -> String {
        format!("{:032x}", self.0)
    }

    fn add_file(&mut self, path: &Path) {
        self.add(state_of_file(path).as_bytes());
    }
}

/// Size of a file and when it was written; nothing where the system does not tell.
fn state_of_file(path: &Path) -> String {
    let state = |metadata: Metadata| {
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(format!("{} {}", metadata.len(), modified.as_nanos()))
    };
    std::fs::metadata(path).ok().and_then(state).unwrap_or_default()
}

/// The first place in which two JSON values differ, with both sides; `None` if they are equal.
pub fn first_difference(before: &Value, now: &Value) -> Option<String> {
    fn walk(path: &str, before: &Value, now: &Value) -> Option<String> {
        match (before, now) {
            (Value::Object(left), Value::Object(right)) => {
                let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
                let child = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
                keys.into_iter().find_map(|key| walk(&format!("{path}.{key}"), &child(left, key), &child(right, key)))
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
                .iter()
                .zip(right)
                .enumerate()
                .find_map(|(place, (left, right))| walk(&format!("{path}[{place}]"), left, right)),
            _ if before == now => None,
            _ => Some(format!("{} was {before}, is {now}", path.trim_start_matches('.'))),
        }
    }
    walk("", before, now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named_with_both_sides() {
        let before = json!({"options": {"policy": "chunk"}, "mags": [1, 2]});
        assert_eq!(first_difference(&before, &before), None);
        let now = json!({"options": {"policy": "nonzero"}, "mags": [1, 2]});
        assert_eq!(first_difference(&before, &now).unwrap(), r#"options.policy was "chunk", is "nonzero""#);
        let now = json!({"options": {"policy": "chunk"}, "mags": [1, 4]});
        assert_eq!(first_difference(&before, &now).unwrap(), "mags[1] was 2, is 4");
    }

    #[test]
    fn a_digest_depends_on_where_items_end() {
        let digest = |items: &[&str]| {
            let mut digest = Digest::default();
            for item in items {
                digest.add(item.as_bytes());
            }
            digest.finish()
        };
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&[]), digest(&[""]));
    }

    #[test]
    fn arrays_of_which_one_is_longer_differ() {
        let told = first_difference(&json!({"mags": [1]}), &json!({"mags": [1, 2]})).unwrap();
        assert_eq!(told, "mags was [1], is [1,2]");
        assert_eq!(first_difference(&json!([1, 2]), &json!([1])).unwrap(), " was [1,2], is [1]");
    }

    /// Fingerprints lie beside results that other builds made.
    #[test]
    fn digests_are_what_they_have_always_been() {
        let mut digest = Digest::default();
        assert_eq!(digest.finish(), "6c62272e07bb014262b821756295c58d");
        digest.add(b"foobar");
        assert_eq!(digest.finish(), "3517208da565faad4adddad261f9235e");
        digest.add(b"");
        assert_eq!(digest.finish(), "5f5d413283508f9c39e317554ba44f9e");
    }
}
