//! Which bucket or server is meant, and how it is reached.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::{Address, user_in};

use crate::credentials::{self, GOOGLE_UNSIGNED, Settings};
use crate::fate::{Keeps, Noting};

/// A server that sends nothing for so long is taken for dead, and asked again.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// And one that does not let anybody in for so long is tried again.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Google,
    Azure,
    Http,
    Memory,
}

/// What reaches a bucket.
pub(crate) struct Reach {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The same, where objects can be sent in parts.
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
    /// What signs requests that others make, for S3.
    pub(crate) signer: Option<Arc<dyn Signer>>,
    /// What is seen of a server of files.
    pub(crate) keeps: Option<Keeps>,
}

impl Reach {
    fn of<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        Self { objects: Arc::clone(&store) as _, parts: Some(store), signer: None, keeps: None }
    }
}

/// An address, and how it is reached.
#[derive(Debug)]
pub(crate) struct Reached(pub(crate) Address);

impl Reached {
    pub(crate) fn kind(&self) -> Result<Kind> {
        match self.0.url.split("://").next() {
            Some("s3") => Ok(Kind::S3),
            Some("gs") => Ok(Kind::Google),
            Some("az") => Ok(Kind::Azure),
            Some("http" | "https") => Ok(Kind::Http),
            Some("memory") => Ok(Kind::Memory),
            _ => Err(self.refused("no address that wkfast knows: expected s3://, gs://, az://, https:// or memory://")),
        }
    }

    /// The bucket, or the server of files with its scheme.
    pub(crate) fn bucket(&self) -> &str {
        let url = self.0.url.as_str();
        let Some((scheme, rest)) = url.split_once("://") else { return "" };
        let host = rest.split('/').next().unwrap_or_default();
        if scheme.starts_with("http") { &url[..scheme.len() + 3 + host.len()] } else { host }
    }

    /// The bucket, for messages.
    pub(crate) fn shown_bucket(&self) -> String {
        let bucket = self.bucket();
        let scheme = self.0.url.split("://").next().unwrap_or_default();
        let url = if bucket.contains("://") { bucket.to_owned() } else { format!("{scheme}://{bucket}") };
        Address { url, options: BTreeMap::new() }.shown()
    }

    /// The prefix of its keys, without `/` at its ends. Addresses on servers of files are percent-encoded, keys are not.
    pub(crate) fn prefix(&self) -> Result<String> {
        let whole = self.0.url.get(self.0.url.find("://").map_or(0, |at| at + 3)..).unwrap_or_default();
        let prefix = whole.split_once('/').map_or("", |(_, prefix)| prefix).trim_matches('/');
        if self.kind()? != Kind::Http {
            return Ok(prefix.to_owned());
        }
        if prefix.contains(['?', '#']) {
            return Err(self.refused("has a query or fragment, which the address of a folder has not"));
        }
        let path = Path::from_url_path(prefix).map_err(|error| self.refused(&error.to_string()))?;
        Ok(path.to_string())
    }

    /// What its requests prove themselves by.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let kind = self.kind()?;
        if matches!(self.bucket(), "" | "http://" | "https://") && kind != Kind::Memory {
            return Err(self.refused("names no bucket or server"));
        }
        let settings = credentials::settings(kind, &self.0.options).map_err(|what| self.unreachable(&what))?;
        usable(&settings).map_err(|what| self.unreachable(&what))?;
        Ok(settings)
    }

    /// What reaches the bucket.
    pub(crate) fn connect(&self, settings: &Settings) -> Result<Reach> {
        let bucket = self.bucket();
        match self.kind()? {
            Kind::S3 => self.s3(bucket, settings),
            Kind::Google => self.google(bucket, settings),
            Kind::Azure => self.azure(bucket, settings),
            Kind::Http => self.http(bucket, settings),
            Kind::Memory => Ok(Reach::of(in_memory(bucket))),
        }
    }

    fn s3(&self, bucket: &str, settings: &Settings) -> Result<Reach> {
        let builder = AmazonS3Builder::new().with_client_options(client(settings)).with_retry(retries());
        let builder = builder.with_http_connector(Noting::default());
        let set = AmazonS3Builder::with_config;
        let builder = self.configured(builder, settings, set)?;
        let store = self.built(builder.with_bucket_name(bucket).build(), settings)?;
        Ok(Reach { signer: Some(Arc::clone(&store) as _), ..Reach::of(store) })
    }

    fn google(&self, bucket: &str, settings: &Settings) -> Result<Reach> {
        let builder = GoogleCloudStorageBuilder::new().with_client_options(client(settings)).with_retry(retries());
        let builder = builder.with_http_connector(Noting::default());
        let set = GoogleCloudStorageBuilder::with_config;
        let mut builder = self.configured(builder, settings, set)?;
        if settings.values.get(GOOGLE_UNSIGNED).is_some_and(|value| value == "true") {
            // Puts would be signed by the machine's role all the same.
            let nobody = GcpCredential { bearer: String::new() };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
        }
        self.built(builder.with_bucket_name(bucket).build(), settings).map(Reach::of)
    }

    fn azure(&self, bucket: &str, settings: &Settings) -> Result<Reach> {
        let builder = MicrosoftAzureBuilder::new().with_client_options(client(settings)).with_retry(retries());
        let builder = builder.with_http_connector(Noting::default());
        let set = MicrosoftAzureBuilder::with_config;
        let builder = self.configured(builder, settings, set)?;
        self.built(builder.with_container_name(bucket).build(), settings).map(Reach::of)
    }

    fn http(&self, server: &str, settings: &Settings) -> Result<Reach> {
        let mut options = client(settings).with_allow_http(true);
        for (name, value) in &settings.values {
            let key = ClientConfigKey::from_str(name).map_err(|_| self.unknown(name))?;
            options = options.with_config(key, value);
        }
        let keeps = Keeps::default();
        let builder = HttpBuilder::new().with_url(server).with_client_options(options).with_retry(retries());
        let store = builder.with_http_connector(Noting(keeps.clone())).build();
        Ok(Reach { objects: self.built(store, settings)?, parts: None, signer: None, keeps: Some(keeps) })
    }

    /// Hands every setting to a builder.
    fn configured<B, K: FromStr>(&self, builder: B, settings: &Settings, set: impl Fn(B, K, String) -> B) -> Result<B> {
        settings.values.iter().try_fold(builder, |builder, (name, value)| {
            let key = K::from_str(name).map_err(|_| self.unknown(name))?;
            Ok(set(builder, key, value.clone()))
        })
    }

    fn built<S>(&self, built: object_store::Result<S>, settings: &Settings) -> Result<Arc<S>> {
        let said = |error: object_store::Error| settings.hide(&error.to_string());
        built.map(Arc::new).map_err(|error| self.unreachable(&said(error)))
    }

    fn unreachable(&self, why: &str) -> VolumeError {
        VolumeError::Server { file: self.0.shown(), reason: format!("cannot be reached: {why}") }
    }

    fn unknown(&self, name: &str) -> VolumeError {
        self.refused(&format!("has the unknown storage option {name:?}"))
    }

    fn refused(&self, what: &str) -> VolumeError {
        VolumeError::Unsupported { file: self.0.shown(), what: what.to_owned() }
    }
}

/// Refuses settings that no request can be made of: clients of servers panic on some of them, or on each request.
fn usable(settings: &Settings) -> std::result::Result<(), String> {
    for (name, value) in &settings.values {
        if value.chars().any(char::is_control) && !value.contains("-----BEGIN") && !value.trim_start().starts_with('{')
        {
            return Err(format!("the value of {name} has a line end or another control character in it"));
        }
        if is_server(name) && !is_address(value) {
            let shown = user_in(value).map_or(value.clone(), |user| value.replacen(user, "", 1));
            return Err(format!("{name} is {shown:?}, which is no address: it begins with http:// or https://"));
        }
        if in_a_header(name) && !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("the value of {name} has a blank, or a letter that no key has, in it"));
        }
    }
    Ok(())
}

/// Whether an option, or a variable of the environment or line of a profile by the same name, names a server.
fn is_server(name: &str) -> bool {
    let is_switch = name.ends_with("use_fabric_endpoint");
    let ends = ["endpoint", "endpoint_url", "endpoint_url_s3", "endpoint_url_sts", "base_url", "full_uri"];
    !is_switch && ends.iter().any(|end| name.ends_with(end))
}

fn is_address(value: &str) -> bool {
    let begins = ["http://", "https://"].iter().any(|scheme| value.to_ascii_lowercase().starts_with(scheme));
    let is_plain = !value.contains(|letter: char| letter.is_whitespace());
    begins && is_plain && reqwest::Url::parse(value).is_ok_and(|url| url.has_host())
}

/// Whether a value is sent as it is, with each request.
fn in_a_header(name: &str) -> bool {
    let names = ["access_key_id", "session_token", "aws_token", "region", "bearer_token", "account_name"];
    names.iter().any(|end| name.ends_with(end))
}

fn client(settings: &Settings) -> ClientOptions {
    let is_endpoint = |name: &str| name.contains("endpoint") || name.contains("base_url");
    // A key of Google's may say where its server is.
    let is_in_key = |value: &str| {
        value
            .split_once("\"gcs_base_url\"")
            .is_some_and(|(_, rest)| rest.trim_start_matches([':', ' ', '"']).starts_with("http://"))
    };
    let is_plain =
        |(name, value): (&String, &String)| (is_endpoint(name) && value.starts_with("http://")) || is_in_key(value);
    let plain = settings.values.iter().any(is_plain);
    // A large object may take minutes; one of which nothing comes does not.
    ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(CONNECT)
        .with_timeout_disabled()
        .with_read_timeout(SILENCE)
}

/// Seven looks within ten seconds: a server that throttles gets time, one that is not there does not.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: SILENCE / 6, base: 2.0 },
        max_retries: 6,
        retry_timeout: Duration::from_secs(60),
    }
}

/// The buckets in memory, which live as long as the process.
fn in_memory(name: &str) -> Arc<InMemory> {
    static BUCKETS: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    let mut buckets = BUCKETS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(buckets.entry(name.to_owned()).or_default())
}
