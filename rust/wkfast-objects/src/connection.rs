//! What reaches a bucket: one for all folders in it that are opened with the same settings.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, PutResult};
use wkfast_http::OfProcess;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;
use wkfast_volume::store::Version;

use crate::address::{Kind, Reach, Reached};
use crate::again::asked;
use crate::conditions::Conditions;
use crate::credentials::Settings;
use crate::failure::{failed, is_absent, is_of_credentials};
use crate::fate::Keeps;
use crate::runtime::runtime;
use crate::store::version_of;

/// What reaches the objects of a bucket, or the files of a server.
pub(crate) struct Connection {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The same, for objects that are sent in parts; servers of files have none.
    pub(crate) parts: Option<Arc<dyn MultipartStore>>,
    /// What signs requests that it does not make itself, where S3 takes them.
    pub(crate) signer: Option<Arc<dyn Signer>>,
    /// What sends those.
    pub(crate) client: OnceLock<Option<reqwest::Client>>,
    pub(crate) settings: Settings,
    /// Its name.
    pub(crate) bucket: String,
    /// The bucket, for messages.
    shown: String,
    /// Whether its server decides which of two puts came first.
    pub(crate) conditions: Conditions,
    /// Of servers of files, whether connections last.
    pub(crate) keeps: Option<Keeps>,
    /// Whether a request was refused because of who asks.
    refused: AtomicBool,
    /// Whether the last bytes of an object cannot be asked for without knowing how many it has.
    pub(crate) lacks_suffixes: bool,
}

/// A bucket and the settings it is reached with.
type Key = (String, BTreeMap<String, String>);
type Known = Mutex<HashMap<Key, Arc<Connection>>>;

/// Connections that nobody uses are kept for who comes next, unless there are so many.
const KEPT: usize = 16;

static KNOWN: OfProcess<Known> = OfProcess::new();

/// The connection of this process to the bucket of `address`.
pub(crate) fn shared(address: &Reached) -> Result<Arc<Connection>> {
    let settings = address.settings()?;
    let known = KNOWN.get(|| Ok(Known::default()))?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let bucket = format!("{:?} {}", address.kind()?, address.bucket());
    let key = (bucket, settings.values.clone());
    if let Some(connection) = known.get(&key) {
        return Ok(Arc::clone(connection));
    }
    if known.len() >= KEPT {
        known.retain(|_, connection| Arc::strong_count(connection) > 1);
    }
    let connection = Arc::new(Connection::open(address, settings)?);
    known.insert(key, Arc::clone(&connection));
    Ok(connection)
}

/// The version of an object that was put.
pub(crate) fn version_put(put: PutResult) -> Version {
    Version { tag: put.e_tag, number: put.version }
}

impl Connection {
    fn open(address: &Reached, settings: Settings) -> Result<Self> {
        // The one provider of TLS is chosen with it.
        runtime()?;
        let Reach { objects, parts, signer, keeps } = address.connect(&settings)?;
        Ok(Self {
            objects,
            parts,
            signer,
            client: OnceLock::new(),
            keeps,
            refused: AtomicBool::new(false),
            bucket: address.bucket().to_owned(),
            shown: address.shown_bucket(),
            conditions: Conditions::of(address.kind()?, &settings),
            settings,
            lacks_suffixes: address.kind()? == Kind::Azure,
        })
    }

    /// What to call an object in messages.
    pub(crate) fn name(&self, path: &Path) -> String {
        format!("{}/{path}", self.shown)
    }

    pub(crate) fn failed(&self, path: &Path, error: &object_store::Error) -> VolumeError {
        self.failed_at(self.name(path), error)
    }

    /// As [`failed`](Self::failed), of what is called so.
    pub(crate) fn failed_at(&self, name: String, error: &object_store::Error) -> VolumeError {
        if is_of_credentials(error) {
            self.refused.store(true, Ordering::Relaxed);
        }
        failed(name, error, &self.settings)
    }

    /// Whether who asks was refused: there may be other credentials in the environment or a profile by now.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Makes `content` the object, whatever was there.
    pub(crate) async fn put(&self, path: &Path, content: PutPayload) -> Result<Version> {
        let put = asked(|| self.objects.put(path, content.clone())).await;
        put.map(version_put).map_err(|error| self.failed(path, &error))
    }

    /// Removes an object. One that is not there is passed over.
    pub(crate) async fn delete(&self, path: &Path) -> Result<()> {
        match asked(|| self.objects.delete(path)).await {
            Err(error) if !is_absent(&error) => Err(self.failed(path, &error)),
            _ => Ok(()),
        }
    }

    /// What tells the object that is there from others, `None` if there is none.
    pub(crate) async fn version(&self, path: &Path) -> Result<Option<Version>> {
        Ok(self.head(path).await?.as_ref().map(version_of))
    }

    /// `None` for an object that is not there.
    pub(crate) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match asked(|| self.objects.head(path)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(path, &error)),
        }
    }
}
