//! What requests prove themselves by: options that were given, else the environment, else a profile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use wkfast_volume::store::{WITHHELD, is_secret};

use crate::address::Kind;

const NONE: &str = "nothing: no credentials were found in the environment or a profile, and none were given, as \
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
        let secrets = self.values.iter().filter(|(name, value)| is_secret(name) && value.len() > 3);
        secrets.fold(without_queries(text), |text, (_, value)| text.replace(value.as_str(), "***"))
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

/// The settings of a server of this kind.
pub(crate) fn settings(kind: Kind, options: &BTreeMap<String, String>) -> Settings {
    let mut given = options.clone();
    given.retain(|name, value| value != WITHHELD && name != LIST);
    let mut settings = match kind {
        Kind::S3 => s3(&given),
        Kind::Google => of_environment("GOOGLE_", GOOGLE_UNSIGNED, &given),
        Kind::Azure => of_environment("AZURE_", "azure_skip_signature", &given),
        Kind::Http | Kind::Memory => Settings { values: given.clone(), source: String::new() },
    };
    if given.len() < options.len() && settings.source.starts_with("nothing") {
        settings.source += "; those that were storage options are written into no plan: put them in the environment";
    }
    settings
}

fn variables(prefix: &str) -> BTreeMap<String, String> {
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

const KEY: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";
const UNSIGNED: &str = "aws_skip_signature";
/// An option of ours: which profile of AWS's files counts.
const PROFILE: &str = "aws_profile";

/// Variables of the environment that let the store itself fetch credentials.
const FETCHED: [&str; 3] =
    ["aws_web_identity_token_file", "aws_container_credentials_relative_uri", "aws_container_credentials_full_uri"];

fn s3(given: &BTreeMap<String, String>) -> Settings {
    let mut found = variables("AWS_");
    found.retain(|name, _| name.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok());
    let chosen = given.get(PROFILE).cloned().or_else(|| env::var("AWS_PROFILE").ok());
    let name = chosen.unwrap_or_else(|| "default".to_owned());
    let profile = profile(&name);
    let from_profile = |found: &mut BTreeMap<String, String>, names: &[&str]| {
        for name in names {
            if let Some(value) = profile.get(*name) {
                found.entry((*name).to_owned()).or_insert_with(|| value.clone());
            }
        }
    };
    let has_region = found.contains_key("aws_default_region") || given.contains_key("aws_region");
    from_profile(&mut found, if has_region { &["aws_endpoint_url"] } else { &["aws_region", "aws_endpoint_url"] });
    let source = if given.contains_key(UNSIGNED) {
        "nothing: they are anonymous, as asked for".to_owned()
    } else if given.contains_key(KEY) {
        found.retain(|name, _| ![KEY, SECRET, TOKEN].contains(&name.as_str()));
        "the storage options".to_owned()
    } else if found.contains_key(KEY) {
        "AWS_ACCESS_KEY_ID of the environment".to_owned()
    } else if let Some(fetched) = FETCHED.iter().find(|name| found.contains_key(**name)) {
        format!("{} of the environment", fetched.to_ascii_uppercase())
    } else if profile.contains_key(KEY) {
        from_profile(&mut found, &[KEY, SECRET, TOKEN]);
        format!("the profile {name:?} of {}", credentials_file().unwrap_or_default().display())
    } else if is_on_ec2() {
        "the role of this machine".to_owned()
    } else {
        // Asking for the role of a machine that has none would take a minute.
        found.insert(UNSIGNED.to_owned(), "true".to_owned());
        NONE.to_owned()
    };
    found.extend(given.clone());
    found.remove(PROFILE);
    Settings { values: found, source }
}

fn is_on_ec2() -> bool {
    let disabled = env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && fs::read_to_string("/sys/class/dmi/id/sys_vendor").is_ok_and(|vendor| vendor.contains("Amazon"))
}

fn in_home(variable: &str, name: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".aws").join(name)))
}

fn credentials_file() -> Option<PathBuf> {
    in_home("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

/// What the two files of AWS's tools say of a profile.
fn profile(name: &str) -> BTreeMap<String, String> {
    let read = |path: Option<PathBuf>| path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let mut values = section(&read(in_home("AWS_CONFIG_FILE", "config")), &[name, &format!("profile {name}")]);
    values.extend(section(&read(credentials_file()), &[name]));
    let renamed = |(name, value): (String, String)| match name.as_str() {
        "region" => ("aws_region".to_owned(), value),
        "endpoint_url" => ("aws_endpoint_url".to_owned(), value),
        _ => (name, value),
    };
    values.into_iter().map(renamed).collect()
}

/// The lines `name = value` below `[one of the titles]`.
pub(crate) fn section(text: &str, titles: &[&str]) -> BTreeMap<String, String> {
    let (mut inside, mut values) = (false, BTreeMap::new());
    for line in text.lines() {
        let plain = line.trim();
        if let Some(title) = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = titles.contains(&title.trim());
        } else if inside
            && !plain.starts_with(['#', ';'])
            && let Some((name, value)) = plain.split_once('=')
        {
            values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}
