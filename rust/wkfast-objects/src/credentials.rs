//! What requests prove themselves by: options that were given, else the environment, else a profile.

use std::collections::BTreeMap;
use std::env;

use wkfast_volume::store::{WITHHELD, is_secret, user_in};

use crate::address::Kind;
use crate::aws;

pub(crate) const NONE: &str = "nothing: no credentials were found in the environment or a profile, and none were given, as \
                    storage_options= or with the address: ObjectPath(address, storage_options)";

/// The option whether what a folder holds is listed.
pub(crate) const LIST: &str = "wkfast_list";

/// The option that has Google's requests go out without credentials.
pub(crate) const GOOGLE_UNSIGNED: &str = "google_skip_signature";

/// The options of a server, and where its credentials are from.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) values: BTreeMap<String, String>,
    /// As a message ends: "requests are signed by …"; empty where none ever is.
    pub(crate) source: String,
}

impl Settings {
    /// `text` without anything secret.
    pub(crate) fn hide(&self, text: &str) -> String {
        let users = self.values.values().filter_map(|value| user_in(value));
        let text = users.fold(without_queries(text), |text, user| text.replace(user, ""));
        let secrets = self.values.iter().filter(|(name, value)| is_secret(name) && value.len() > 3);
        secrets.fold(text, |text, (_, value)| text.replace(value.as_str(), "***"))
    }
}

/// `text` without what follows `?` in addresses: tokens and signatures are there.
fn without_queries(text: &str) -> String {
    let is_address = |word: &str| word.contains("http://") || word.contains("https://");
    let plain = |word: &str| match word.split_once('?') {
        Some((address, _)) if is_address(address) => format!("{address}?***"),
        _ => word.to_owned(),
    };
    text.split(' ').map(plain).collect::<Vec<_>>().join(" ")
}

/// The settings of a server of this kind; what is wrong with them, if something is.
pub(crate) fn settings(kind: Kind, options: &BTreeMap<String, String>) -> Result<Settings, String> {
    let mut given = options.clone();
    given.retain(|name, value| value != WITHHELD && name != LIST);
    let mut settings = match kind {
        Kind::S3 => aws::settings(&given)?,
        Kind::Google => of_environment("GOOGLE_", GOOGLE_UNSIGNED, &given),
        Kind::Azure => of_environment("AZURE_", "azure_skip_signature", &given),
        Kind::Http | Kind::Memory => Settings { values: given.clone(), source: String::new() },
    };
    if given.len() < options.len() && settings.source.starts_with("nothing") {
        settings.source += "; those that were storage options are written into no plan: put them in the environment";
    }
    Ok(settings)
}

/// Variables of the environment that begin so, by their names in small letters.
pub(crate) fn variables(prefix: &str) -> BTreeMap<String, String> {
    let of_service = |(name, value): (String, String)| {
        let wanted = name.starts_with(prefix) && !name.contains("__") && !value.is_empty();
        wanted.then(|| (name.to_ascii_lowercase(), value))
    };
    env::vars_os()
        .filter_map(|(name, value)| of_service((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn of_environment(prefix: &str, unsigned: &str, given: &BTreeMap<String, String>) -> Settings {
    let mut values = variables(prefix);
    values.retain(|name, _| is_known(prefix, name));
    if prefix == "GOOGLE_"
        && let Some(server) = env::var("STORAGE_EMULATOR_HOST").ok().filter(|server| !server.is_empty())
    {
        // As Google's own clients have it, with or without a scheme.
        let server = if server.contains("://") { server } else { format!("http://{server}") };
        values.entry("google_base_url".to_owned()).or_insert(server);
    }
    let source = match (has_credentials(given), has_credentials(&values)) {
        (true, _) => "the storage options".to_owned(),
        (false, true) => format!("the {prefix}* variables of the environment"),
        (false, false) => NONE.to_owned(),
    };
    if source.starts_with("nothing") && !given.contains_key(unsigned) {
        values.insert(unsigned.to_owned(), "true".to_owned());
    }
    values.extend(given.clone());
    Settings { values, source }
}

fn is_known(prefix: &str, name: &str) -> bool {
    match prefix {
        "GOOGLE_" => name.parse::<object_store::gcp::GoogleConfigKey>().is_ok(),
        _ => name.parse::<object_store::azure::AzureConfigKey>().is_ok(),
    }
}

fn has_credentials(values: &BTreeMap<String, String>) -> bool {
    let parts = ["key", "token", "secret", "sas", "service_account", "application_credentials", "client_id"];
    values.keys().any(|name| parts.iter().any(|part| name.contains(part)))
}
