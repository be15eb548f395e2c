//! What AWS's tools would sign with, and which server they would ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, fs};

use object_store::aws::AmazonS3ConfigKey;

use crate::credentials::{NONE, Settings, variables};

type Values = BTreeMap<String, String>;

const KEY: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";
const UNSIGNED: &str = "aws_skip_signature";
const ENDPOINT: &str = "aws_endpoint_url";
const REGION: &str = "aws_region";
/// An option of ours: which profile of AWS's files counts.
const PROFILE: &str = "aws_profile";

/// Variables of the environment that let the store itself fetch credentials.
const FETCHED: [&str; 3] =
    ["aws_web_identity_token_file", "aws_container_credentials_relative_uri", "aws_container_credentials_full_uri"];

/// What is given, then what a profile that is given says, then the environment, then its profile.
pub(crate) fn settings(given: &Values) -> Result<Settings, String> {
    let profile = Profile::chosen(given);
    profile.check_given(given)?;
    let mut found = around(given, &profile);
    let source = sign(given, &mut found, &profile)?;
    for (name, value) in given {
        replace(&mut found, name, value);
    }
    found.remove(PROFILE);
    Ok(Settings { values: found, source })
}

/// The server that would be asked, where one is named.
pub(crate) fn endpoint(given: &Values) -> Option<String> {
    let around = around(given, &Profile::chosen(given));
    let named = |values: &Values| {
        let of = |key| values.iter().rev().find(move |(name, _)| name.parse().ok() == Some(key));
        // As the client takes them: what is named for S3 alone comes first, then the last of the others.
        let found = of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint));
        found.map(|(_, value)| value.clone())
    };
    named(given).or_else(|| named(&around))
}

/// What the environment and a profile say beside what is given.
fn around(given: &Values, profile: &Profile) -> Values {
    let mut found = variables("AWS_");
    found.retain(|name, _| meaning(name).is_some());
    if profile.is_given {
        drop_credentials(&mut found);
        for name in [ENDPOINT, REGION].into_iter().filter(|name| profile.values.contains_key(*name)) {
            replace(&mut found, name, &profile.values[name]);
        }
    }
    let has = |name: &str| given.keys().chain(found.keys()).any(|other| meaning(other) == meaning(name));
    let lacking: Vec<_> = [ENDPOINT, REGION].into_iter().filter(|name| !has(name)).collect();
    profile.lend(&mut found, &lacking);
    found
}

/// Sees to what requests are signed with, and tells what that is.
fn sign(given: &Values, found: &mut Values, profile: &Profile) -> Result<String, String> {
    if given.get(UNSIGNED).is_some_and(|value| is_true(value)) {
        return Ok("nothing: they are anonymous, as asked for".to_owned());
    }
    if given.contains_key(UNSIGNED) || given.contains_key(KEY) || profile.is_given {
        found.remove(UNSIGNED);
    }
    if given.contains_key(KEY) {
        drop_credentials(found);
        return Ok("the storage options".to_owned());
    }
    if found.contains_key(KEY) {
        return Ok("AWS_ACCESS_KEY_ID of the environment".to_owned());
    }
    if let Some(fetched) = FETCHED.iter().find(|name| found.contains_key(**name)) {
        return Ok(format!("{} of the environment", fetched.to_ascii_uppercase()));
    }
    if profile.values.contains_key(KEY) {
        profile.lend(found, &[KEY, SECRET, TOKEN]);
        return Ok(format!("the profile {:?} of {}", profile.name, shown(credentials_file())));
    }
    profile.check()?;
    if given.contains_key(UNSIGNED) || is_on_ec2() {
        return Ok("the role of this machine".to_owned());
    }
    // Asking for the role of a machine that has none would take a minute.
    found.insert(UNSIGNED.to_owned(), "true".to_owned());
    Ok(NONE.to_owned())
}

/// What a name stands for, however it is spelled; there are two for the server, and two for the region.
fn meaning(name: &str) -> Option<AmazonS3ConfigKey> {
    Some(match name.parse().ok()? {
        AmazonS3ConfigKey::S3Endpoint => AmazonS3ConfigKey::Endpoint,
        AmazonS3ConfigKey::DefaultRegion => AmazonS3ConfigKey::Region,
        other => other,
    })
}

/// Makes `value` the one of this meaning.
fn replace(values: &mut Values, name: &str, value: &str) {
    let meant = meaning(name);
    values.retain(|other, _| meant.is_none() || meaning(other) != meant);
    values.insert(name.to_owned(), value.to_owned());
}

fn drop_credentials(values: &mut Values) {
    let of: Vec<_> = [KEY, SECRET, TOKEN].into_iter().map(meaning).collect();
    values.retain(|name, _| !of.contains(&meaning(name)) && !FETCHED.contains(&name.as_str()));
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// What the files of AWS's tools say of one who asks.
struct Profile {
    name: String,
    values: Values,
    /// Whether it was named as an option, and not by the environment or nobody.
    is_given: bool,
    /// Whether somebody has named it.
    is_named: bool,
    is_there: bool,
}

impl Profile {
    fn chosen(given: &Values) -> Self {
        let named = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        let chosen = given.get(PROFILE).cloned().or(named);
        let name = chosen.clone().unwrap_or_else(|| "default".to_owned());
        let (values, is_there) = profile(&name);
        let is_given = given.contains_key(PROFILE);
        Self { name, values, is_given, is_named: chosen.is_some(), is_there }
    }

    /// Refuses one that is named as an option and is of no use.
    fn check_given(&self, given: &Values) -> Result<(), String> {
        let has_credentials = given.contains_key(KEY) || given.get(UNSIGNED).is_some_and(|value| is_true(value));
        let is_of_use = self.is_there && (has_credentials || self.values.contains_key(KEY));
        if self.is_given && !is_of_use { self.check() } else { Ok(()) }
    }

    /// Refuses to go on without one that somebody has named.
    fn check(&self) -> Result<(), String> {
        let files = format!("{} and {}", shown(credentials_file()), shown(config_file()));
        match self {
            Self { is_named: false, .. } => Ok(()),
            Self { is_there: false, name, .. } => Err(format!("there is no profile {name:?} in {files}")),
            Self { name, .. } => Err(format!(
                "the profile {name:?} of {files} has no {KEY}; what fetches credentials in other ways is not known here: \
                 put them into the environment"
            )),
        }
    }

    fn lend(&self, to: &mut Values, names: &[&str]) {
        for name in names {
            if let Some(value) = self.values.get(*name) {
                to.entry((*name).to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
}

fn shown(file: Option<PathBuf>) -> String {
    file.unwrap_or_default().display().to_string()
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

fn config_file() -> Option<PathBuf> {
    in_home("AWS_CONFIG_FILE", "config")
}

/// What the two files of AWS's tools say of a profile, and whether one of them has it.
fn profile(name: &str) -> (Values, bool) {
    let read = |path: Option<PathBuf>| path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let config = section(&read(config_file()), &[name, &format!("profile {name}")]);
    let credentials = section(&read(credentials_file()), &[name]);
    let is_there = config.is_some() || credentials.is_some();
    let renamed = |(name, value): (String, String)| match name.as_str() {
        "region" => (REGION.to_owned(), value),
        "endpoint_url" => (ENDPOINT.to_owned(), value),
        _ => (name, value),
    };
    let values = [config, credentials].into_iter().flatten().flatten().map(renamed).collect();
    (values, is_there)
}

/// The lines `name = value` below `[one of the titles]`; `None` where there is no such title.
pub(crate) fn section(text: &str, titles: &[&str]) -> Option<Values> {
    let (mut inside, mut values) = (false, None);
    for line in text.lines() {
        let plain = line.trim();
        if let Some(title) = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = titles.contains(&title.trim());
            if inside {
                values.get_or_insert_with(Values::new);
            }
        } else if inside
            && !plain.starts_with(['#', ';'])
            && let Some((name, value)) = plain.split_once('=')
        {
            let all = values.get_or_insert_with(Values::new);
            all.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}
