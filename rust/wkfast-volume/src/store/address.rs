//! Where objects lie that no folder of this machine holds, and what opens such places.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize, Serializer};

use super::SharedStore;
use crate::error::{self, VolumeError};

/// A folder of objects: `s3://bucket/folder`, `gs://…`, `az://container/folder`, `https://host/folder`,
/// `memory://name/folder`; and the options that were given for it.
///
/// Options may hold secrets, which are shown nowhere and written nowhere: plans and journals hold [`WITHHELD`] instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The folder. What proves who asks is not written with it.
    #[serde(serialize_with = "without_user")]
    pub url: String,
    /// Options by their names in `object_store`.
    #[serde(default, serialize_with = "without_secrets")]
    pub options: BTreeMap<String, String>,
}

/// What is written for the value of a secret option. Who reads it back has to find credentials elsewhere.
pub const WITHHELD: &str = "***";

/// Parts of names of options whose values nobody is told.
const SECRETS: [&str; 8] =
    ["secret", "token", "password", "access_key", "account_key", "sas", "service_account_key", "customer_key"];

/// Whether an option of this name is a secret.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|part| name.contains(part))
}

fn without_user<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
}

fn without_secrets<S: Serializer>(options: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = |(name, value)| (name, if is_secret(name) { WITHHELD } else { value });
    serializer.collect_map(options.iter().map(|(name, value)| shown((name.as_str(), value.as_str()))))
}

impl Address {
    /// The address for messages: without what follows `?` on a server of files, which may be a token, and without name
    /// and password.
    pub fn shown(&self) -> String {
        let url = shown(&self.url);
        // What a server streams is known by where it does.
        url.strip_prefix("webknossos+").map_or(url.clone(), str::to_owned)
    }
}

fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.trim_end_matches('/').split_once("://") else { return url.to_owned() };
    if !matches!(scheme, "http" | "https") {
        return format!("{scheme}://{rest}");
    }
    let plain = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (host, path) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Address").field(&self.shown()).finish()
    }
}

/// What opens addresses.
pub type Opener = fn(&Address) -> error::Result<SharedStore>;

static OPENER: OnceLock<Opener> = OnceLock::new();

/// Tells what opens addresses from now on: this crate speaks to no server itself. The first one that is told stays.
pub fn open_addresses_with(opener: Opener) {
    OPENER.get_or_init(|| opener);
}

pub(super) fn open(address: &Address) -> error::Result<SharedStore> {
    let absent =
        || VolumeError::Unsupported { file: address.shown(), what: "nothing here speaks to servers".to_owned() };
    OPENER.get().ok_or_else(absent)?(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_written() {
        let options = [("aws_secret_access_key", "hush"), ("aws_region", "eu")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let address = Address { url: "s3://bucket/a".to_owned(), options: options.into() };
        let text = serde_json::to_string(&address).unwrap();
        assert!(!text.contains("hush") && text.contains("eu"), "{text}");
        let back: Address = serde_json::from_str(&text).unwrap();
        assert_eq!(back.options["aws_secret_access_key"], WITHHELD);
        let address = Address { url: "https://me:hush@host/a?token=hush".to_owned(), options: BTreeMap::new() };
        assert_eq!(serde_json::to_value(&address).unwrap()["url"], "https://host/a");
    }
}
