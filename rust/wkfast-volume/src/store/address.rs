//! Where objects lie that no folder of this machine holds, and what opens such places.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::SharedStore;
use crate::error::{Result, VolumeError};

/// A folder of objects: `s3://bucket/folder`, `gs://…`, `az://container/folder`, `https://host/folder`,
/// `memory://name/folder`; and the options that were given for it.
///
/// Options may hold secrets, which are shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The folder.
    pub url: String,
    /// Options by their names in `object_store`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Address {
    /// The address for messages: without what follows `?` on a server of files, which may be a token, and without name
    /// and password.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.url.trim_end_matches('/').split_once("://") else { return self.url.clone() };
        if !matches!(scheme, "http" | "https") {
            return format!("{scheme}://{rest}");
        }
        let plain = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let (host, path) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Address").field(&self.shown()).finish()
    }
}

/// What opens addresses.
pub type Opener = fn(&Address) -> Result<SharedStore>;

static OPENER: OnceLock<Opener> = OnceLock::new();

/// Tells what opens addresses from now on: this crate speaks to no server itself. The first one that is told stays.
pub fn open_addresses_with(opener: Opener) {
    OPENER.get_or_init(|| opener);
}

pub(super) fn open(address: &Address) -> Result<SharedStore> {
    let absent =
        || VolumeError::Unsupported { file: address.shown(), what: "nothing here speaks to servers".to_owned() };
    OPENER.get().ok_or_else(absent)?(address)
}
