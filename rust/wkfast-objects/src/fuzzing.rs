//! What holds of whatever servers say and users name. Not part of the library: there while it is fuzzed or tested.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::collections::BTreeMap;

use wkfast_volume::store::Address;

use crate::address::Reached;
use crate::aws::section;
use crate::streamed::{Access, fuzzing};

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

/// A status, then the body of a server's answer. What is told of it is short, on one line, and without the token; the same bytes
/// are taken for a list of data stores and for a file of AWS's tools.
pub fn refusal(bytes: &[u8]) {
    let Some((&status, body)) = bytes.split_first() else { return };
    let access = Access { token: Some("hush".to_owned()), ..Access::default() };
    let said = fuzzing::refusal(status, body, &access);
    assert!(said.chars().count() < 1000 && !said.contains("hush") && !said.contains(char::is_control), "{said:?}");
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(values) = section(text, &["default", "profile a"])
    {
        assert!(values.keys().all(|name| name.trim() == name && !name.contains('=')));
    }
}

/// What secrets are in [`address`].
const SECRET: &str = "aHVzaA==";

/// An address and, line by line, its options. What reaches it is made or refused, without a secret in a message.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.contains(SECRET) {
        return; // what is named in an address is shown
    }
    // As in every process that connects: it brings the provider of TLS.
    wkfast_http::runtime().expect("threads");
    let mut lines = text.lines();
    let url = lines.next().unwrap_or_default().to_owned();
    let mut options: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    for secret in ["aws_secret_access_key", "azure_storage_account_key"] {
        options.entry(secret.to_owned()).and_modify(|value| SECRET.clone_into(value));
    }
    let address = Address { url, options };
    let mut said = vec![address.shown(), format!("{address:?}")];
    said.extend(crate::open(&address).err().map(|error| error.to_string()));
    let reached = Reached(address);
    said.push(reached.shown_bucket());
    match reached.settings().and_then(|settings| reached.connect(&settings)) {
        Ok(_) => {}
        Err(error) => said.push(error.to_string()),
    }
    assert!(!said.iter().any(|said| said.contains(SECRET)), "{said:?}");
}

#[test]
fn what_holds_of_anything_holds_of_what_fuzzing_found() {
    replay::replay("refusal", refusal);
    replay::replay("address", address);
}
