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
const SECRETS: [&str; 6] = ["secret", "token", "password", "access_key", "sas", "header"];
/// And what such names end with, of whatever the key is.
const KEYS: [&str; 2] = ["key", "key_base64"];

/// Whether an option of this name is a secret.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|part| name.contains(part)) || KEYS.iter().any(|end| name.ends_with(end))
}

/// Name and password in an address, with the `@` behind them: `me:hush@` of `http://me:hush@host`.
pub fn user_in(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rfind('@').map(|at| &host[..=at])
}

fn without_user<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
}

/// Of a server that is reached with a password, what is written is where it is.
fn without_secrets<S: Serializer>(options: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = |name: &str, value: &str| match user_in(value) {
        _ if is_secret(name) || value.contains("private_key") => WITHHELD.to_owned(),
        Some(user) => value.replacen(user, "", 1),
        None => value.to_owned(),
    };
    serializer.collect_map(options.iter().map(|(name, value)| (name, shown(name, value))))
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
        let secrets = ["aws_secret_access_key", "azure_storage_master_key", "default_headers", "azure_encryption_key"]
            .map(|name| (name.to_owned(), "hush".to_owned()));
        let others = [
            ("aws_region", "eu"),
            ("aws_endpoint_url", "http://me:hush@host:1/a@b"),
            ("aws_proxy_url", "me:hush@proxy"),
            ("google_service_account_json", "{\"private_key\": \"hush\"}"),
        ];
        let others = others.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = secrets.into_iter().chain(others).collect();
        let address = Address { url: "s3://bucket/a".to_owned(), options };
        let text = serde_json::to_string(&address).unwrap();
        assert!(!text.contains("hush") && text.contains("eu"), "{text}");
        let back: Address = serde_json::from_str(&text).unwrap();
        assert_eq!(back.options["aws_secret_access_key"], WITHHELD);
        assert_eq!(back.options["aws_endpoint_url"], "http://host:1/a@b");
        assert_eq!(back.options["aws_proxy_url"], "proxy");
        let address = Address { url: "https://me:hush@host/a?token=hush".to_owned(), options: BTreeMap::new() };
        assert_eq!(serde_json::to_value(&address).unwrap()["url"], "https://host/a");
    }
}
