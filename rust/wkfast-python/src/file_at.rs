//! A file as Python hands it over: of this machine, or in a bucket or on a server of files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use wkfast_files::zip::{Archive, open_shared, open_shared_far};
use wkfast_volume::store::{self, Address, Container, FarFile, Upload, ZipStore};

use crate::errors::CoreError;
use crate::patience::{SOON_READ, Stop, away, patiently_if};

/// Which file.
#[derive(Clone, FromPyObject)]
pub(crate) enum FileAt {
    /// Its path.
    Near(PathBuf),
    Far(ObjectAt),
}

/// An object: the folder that it lies in, how that is reached, and its name.
#[derive(Clone, FromPyObject)]
pub(crate) struct ObjectAt {
    #[pyo3(item)]
    folder: FolderAt,
    #[pyo3(item)]
    name: String,
    /// The state that it is in, where that is known.
    #[pyo3(item)]
    state: Option<String>,
}

#[derive(Clone, FromPyObject)]
struct FolderAt {
    #[pyo3(item)]
    url: String,
    #[pyo3(item)]
    options: BTreeMap<String, String>,
}

impl ObjectAt {
    fn folder(&self) -> Address {
        Address { url: self.folder.url.clone(), options: self.folder.options.clone() }
    }

    fn file(&self) -> wkfast_volume::Result<Arc<dyn FarFile>> {
        store::far_file(&self.folder(), &self.name)
    }

    fn zip(&self) -> wkfast_volume::Result<Arc<dyn FarFile>> {
        store::far_zip(&self.folder(), &self.name, self.state.as_deref())
    }

    /// Starts the object anew; what is there stays until the new one is complete.
    pub(crate) fn upload(&self) -> wkfast_volume::Result<Box<dyn Upload>> {
        let store = Container::Objects(self.folder()).open()?;
        store::bucket_of(&*store, &self.name)?.upload(&self.name)
    }
}

impl FileAt {
    /// Whether it lies on a server.
    pub(crate) fn is_far(&self) -> bool {
        matches!(self, Self::Far(_))
    }

    /// What to call it in messages.
    pub(crate) fn shown(&self) -> PathBuf {
        match self {
            Self::Near(path) => path.clone(),
            Self::Far(object) => format!("{}/{}", object.folder().shown(), object.name).into(),
        }
    }

    /// The zip file that it is, or its `member`, as a place of mags.
    pub(crate) fn container(self, member: Option<String>) -> Container {
        match self {
            Self::Near(path) => Container::Zip { path, member },
            Self::Far(object) => {
                let folder = object.folder();
                Container::ObjectZip { folder, name: object.name, member, state: object.state }
            }
        }
    }

    /// The same, open.
    pub(crate) fn zip_store(&self) -> wkfast_volume::Result<ZipStore> {
        match self {
            Self::Near(path) => ZipStore::open(path, None),
            Self::Far(object) => ZipStore::open_far(object.zip()?, None),
        }
    }

    /// The zip file that it is, opened now or by whoever holds it.
    pub(crate) fn open_zip(&self) -> Result<Arc<Archive>, CoreError> {
        let opened = match self {
            Self::Near(path) => open_shared(path, None),
            Self::Far(object) => open_shared_far(object.zip()?, None),
        };
        opened.map_err(CoreError::zip(&self.shown(), self.shown().display().to_string()))
    }

    /// What `work` makes of its bytes, or of those of a member of the zip file that it is, and of what to call them.
    pub(crate) fn with_bytes<T>(
        &self,
        member: Option<&str>,
        work: impl FnOnce(&mut (dyn Read + Send), &Path) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let shown = self.shown();
        if let Some(member) = member {
            let archive = self.open_zip()?;
            let name = archive.describe(member);
            let mut bytes = archive.reader(member).map_err(CoreError::zip(&shown, &name))?;
            return work(&mut bytes, Path::new(&name));
        }
        match self {
            Self::Near(path) => work(&mut File::open(path).map_err(CoreError::io(path))?, path),
            Self::Far(object) => {
                let file = object.file()?;
                let mut bytes = file.stream(0..file.size()).map_err(CoreError::io(&shown))?;
                work(&mut *bytes, &shown)
            }
        }
    }

    /// What `work` on the file returns, or what a signal's handler raises meanwhile. See [`away`] for a file on a server, and
    /// [`patiently_if`] for one that is large or cannot be asked.
    pub(crate) fn patiently<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> PyResult<T> {
        let Self::Near(path) = self else { return away(py, || work(&Stop::default())) };
        let is_small = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= SOON_READ as u64);
        patiently_if(py, !is_small, work)
    }
}
