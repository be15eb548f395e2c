//! Which bucket or server is meant, and how it is reached.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::Address;

use crate::credentials::{self, Settings};

/// A server that sends nothing for so long is taken for dead, and asked again.
const SILENCE: Duration = Duration::from_secs(30);

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Google,
    Azure,
    Http,
    Memory,
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

    /// The bucket, and the prefix of its keys, without `/` at its ends. On a server of files the address itself is what
    /// names are put after.
    pub(crate) fn parts(&self) -> (&str, &str) {
        let rest = self.0.url.split_once("://").map_or("", |(_, rest)| rest);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        (bucket, prefix.trim_matches('/'))
    }

    /// What reaches it, and what its requests prove themselves by.
    pub(crate) fn connect(&self) -> Result<(Arc<dyn ObjectStore>, Settings)> {
        let (bucket, _) = self.parts();
        let kind = self.kind()?;
        if bucket.is_empty() && kind != Kind::Memory {
            return Err(self.refused("names no bucket"));
        }
        let settings = credentials::settings(kind, &self.0.options);
        let store = match kind {
            Kind::S3 => self.s3(bucket, &settings),
            Kind::Google => self.google(bucket, &settings),
            Kind::Azure => self.azure(bucket, &settings),
            Kind::Http => self.http(&settings),
            Kind::Memory => Ok(in_memory(bucket)),
        };
        Ok((store?, settings))
    }

    fn s3(&self, bucket: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
        let builder = AmazonS3Builder::new().with_client_options(client(settings)).with_retry(retries());
        let set = AmazonS3Builder::with_config;
        let builder = self.configured(builder, settings, set)?;
        self.built(builder.with_bucket_name(bucket).build())
    }

    fn google(&self, bucket: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
        let builder = GoogleCloudStorageBuilder::new().with_client_options(client(settings)).with_retry(retries());
        let set = GoogleCloudStorageBuilder::with_config;
        let builder = self.configured(builder, settings, set)?;
        self.built(builder.with_bucket_name(bucket).build())
    }

    fn azure(&self, bucket: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
        let builder = MicrosoftAzureBuilder::new().with_client_options(client(settings)).with_retry(retries());
        let set = MicrosoftAzureBuilder::with_config;
        let builder = self.configured(builder, settings, set)?;
        self.built(builder.with_container_name(bucket).build())
    }

    fn http(&self, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
        let mut options = client(settings).with_allow_http(true);
        for (name, value) in &settings.values {
            let key = ClientConfigKey::from_str(name).map_err(|_| self.unknown(name))?;
            options = options.with_config(key, value);
        }
        self.built(HttpBuilder::new().with_url(&self.0.url).with_client_options(options).with_retry(retries()).build())
    }

    /// Hands every setting to a builder.
    fn configured<B, K: FromStr>(&self, builder: B, settings: &Settings, set: impl Fn(B, K, String) -> B) -> Result<B> {
        settings.values.iter().try_fold(builder, |builder, (name, value)| {
            let key = K::from_str(name).map_err(|_| self.unknown(name))?;
            Ok(set(builder, key, value.clone()))
        })
    }

    fn built<S: ObjectStore>(&self, built: object_store::Result<S>) -> Result<Arc<dyn ObjectStore>> {
        match built {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(self.refused(&format!("cannot be reached: {error}"))),
        }
    }

    fn unknown(&self, name: &str) -> VolumeError {
        self.refused(&format!("has the unknown storage option {name:?}"))
    }

    fn refused(&self, what: &str) -> VolumeError {
        VolumeError::Unsupported { file: self.0.shown(), what: what.to_owned() }
    }
}

fn client(settings: &Settings) -> ClientOptions {
    let plain = settings.values.iter().any(|(name, value)| name.contains("endpoint") && value.starts_with("http://"));
    // A large object may take minutes; one of which nothing comes does not.
    ClientOptions::new().with_allow_http(plain).with_timeout_disabled().with_read_timeout(SILENCE)
}

/// Seven looks within ten seconds: a server that throttles gets time, one that is not there does not.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: SILENCE / 6, base: 2.0 },
        max_retries: 6,
        retry_timeout: Duration::from_mins(1),
    }
}

/// The buckets in memory, which live as long as the process.
fn in_memory(name: &str) -> Arc<dyn ObjectStore> {
    static BUCKETS: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    let mut buckets = BUCKETS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(buckets.entry(name.to_owned()).or_default()) as _
}
