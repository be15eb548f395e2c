//! Mags into data zips and out of them.

use std::fs::{self, File};
use std::io::BufWriter;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};
use pythonize::{depythonize, pythonize};
use rayon::ThreadPool;
use wkfast_volume::format::{MagArray, MagLocation, open_mag};
use wkfast_volume::geometry::{ChunkGrid, ChunkIndex};
use wkfast_volume::pack::{Form, Overlay, PackMag, Packed, Unpacked, largest_label, pack, unpack};
use wkfast_volume::store::SharedStore;
use wkfast_volume::work::Driver;
use wkfast_volume::{Result, VolumeError};

use super::threads::{pool, pool_of};
use super::watch::Watch;
use crate::errors::CoreError;
use crate::file_at::FileAt;
use crate::patience::{attached, away_if};

/// Metadata are small; this is far more than they need.
const MAX_SMALL: u64 = 16 << 20;

/// Keeps an archive open: as long as this lives, its mags are opened without inflating it again.
#[pyclass(frozen, name = "Archive", module = "wkfast._core")]
pub(crate) struct PyArchive(SharedStore);

#[pymethods]
impl PyArchive {
    #[new]
    #[pyo3(signature = (path, member=None))]
    fn new(py: Python<'_>, path: FileAt, member: Option<String>) -> Result<Self, CoreError> {
        let file = path.clone();
        Ok(Self(file.patiently(py, move |_| path.container(member).open())??))
    }

    /// What tells the state of a zip file on a server from others.
    fn state(&self) -> Option<String> {
        self.0.archive_state()
    }

    /// A small file in the archive, `None` if there is none.
    fn read<'py>(&self, py: Python<'py>, name: &str) -> Result<Option<Bound<'py, PyBytes>>, CoreError> {
        let content = away_if(py, self.0.is_far(), || self.0.read(name, MAX_SMALL))??;
        Ok(content.map(|bytes| PyBytes::new(py, &bytes)))
    }
}

/// Why members of a zip file are no zip files themselves; `None` for those that seem to be.
#[pyfunction]
pub(crate) fn probe_members(
    py: Python<'_>,
    path: FileAt,
    members: Vec<String>,
) -> Result<Vec<Option<String>>, CoreError> {
    let file = path.clone();
    Ok(file.patiently(py, move |_| -> Result<_> {
        let store = path.zip_store()?;
        Ok(members.iter().map(|member| store.probe_nested(member).err().map(|error| error.to_string())).collect())
    })??)
}

/// Write mags of an archive into folders.
#[pyfunction]
#[pyo3(signature = (mags, *, form="same", threads=None, progress=None))]
pub(crate) fn unpack_mags<'py>(
    py: Python<'py>,
    mags: Vec<(Bound<'py, PyAny>, PathBuf, [u64; 3])>,
    form: &str,
    threads: Option<NonZeroUsize>,
    progress: Option<Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>, CoreError> {
    let form: Form = parse(form)?;
    let mags: Vec<(MagLocation, PathBuf, [u64; 3])> = mags
        .into_iter()
        .map(|(location, folder, extent)| Ok((plain(&location)?, folder, extent)))
        .collect::<Result<_, CoreError>>()?;
    let pool = threads.map_or_else(pool, pool_of)?;
    let mut watch = Watch::new(progress);
    let unpacked = py.detach(|| unpack_all(&mags, form, &pool, &mut watch));
    Ok(pythonize(py, &watch.outcome(unpacked)?).map_err(PyErr::from)?)
}

fn unpack_all(
    mags: &[(MagLocation, PathBuf, [u64; 3])],
    form: Form,
    pool: &ThreadPool,
    watch: &mut Watch,
) -> Result<Vec<Unpacked>> {
    let mut observer = |now| watch.tell(now);
    let mut driver = Driver::new(pool, &mut observer);
    // All are opened before the first is written, so that a shared archive stays open.
    let arrays = mags.iter().map(|(location, ..)| open_mag(location)).collect::<Result<Vec<_>>>()?;
    let each = mags.iter().zip(&arrays);
    each.map(|((location, folder, extent), array)| unpack(array, location, folder, form, *extent, &mut driver))
        .collect()
}

/// The largest label in a mag.
#[pyfunction(name = "largest_label")]
#[pyo3(signature = (location, *, threads=None))]
pub(crate) fn largest_label_of(
    py: Python<'_>,
    location: &Bound<'_, PyAny>,
    threads: Option<NonZeroUsize>,
) -> Result<u64, CoreError> {
    let location: MagLocation = plain(location)?;
    let pool = threads.map_or_else(pool, pool_of)?;
    let mut watch = Watch::new(None);
    let told = &mut watch;
    let found = py.detach(move || {
        let mut observer = |now| told.tell(now);
        largest_label(&open_mag(&location)?, &mut Driver::new(&pool, &mut observer))
    });
    watch.outcome(found)
}

/// A mag to be packed, as Python describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PackInput<'py> {
    folder: String,
    grid: Bound<'py, PyAny>,
    source: Option<Bound<'py, PyAny>>,
    before: Option<Bound<'py, PyAny>>,
    overlay: Option<(Vec<Vec<u32>>, Py<PyAny>)>,
    extent: [u64; 3],
    count: String,
}

/// Write a data zip.
#[pyfunction]
#[pyo3(signature = (path, files, mags, *, threads=None, progress=None))]
pub(crate) fn pack_mags<'py>(
    py: Python<'py>,
    path: PathBuf,
    files: Vec<(String, PyBackedBytes)>,
    mags: Vec<PackInput<'py>>,
    threads: Option<NonZeroUsize>,
    progress: Option<Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>, CoreError> {
    let files: Vec<_> = files.into_iter().map(|(name, content)| (name, content.to_vec())).collect();
    let mut overlays = Vec::new();
    let mags: Vec<PackMag> =
        mags.into_iter().map(|input| pack_input(py, input, &mut overlays)).collect::<Result<_, CoreError>>()?;
    let pool = threads.map_or_else(pool, pool_of)?;
    let mut watch = Watch::new(progress);
    let told = &mut watch;
    let packed = py.detach(move || {
        let mut observer = |now| told.tell(now);
        write_zip(&path, &files, &mags, &mut Driver::new(&pool, &mut observer))
    });
    if let Some(error) = overlays.iter().find_map(|overlay| overlay.raised()) {
        return Err(CoreError::Python(error));
    }
    Ok(pythonize(py, &watch.outcome(packed)?).map_err(PyErr::from)?)
}

fn pack_input(py: Python<'_>, input: PackInput<'_>, overlays: &mut Vec<Arc<PyOverlay>>) -> Result<PackMag, CoreError> {
    let locate = |side: Option<Bound<'_, PyAny>>| side.map(|location| plain::<MagLocation>(&location)).transpose();
    let (source, before) = (locate(input.source)?, locate(input.before)?);
    let open =
        |side: &Option<MagLocation>| -> Result<Option<Arc<dyn MagArray>>> { side.as_ref().map(open_mag).transpose() };
    let overlay = input.overlay.map(|(chunks, read)| Arc::new(PyOverlay::new(&chunks, read)));
    overlays.extend(overlay.clone());
    let grid: ChunkGrid = plain(&input.grid)?;
    let (source, before) = py.detach(|| Ok::<_, VolumeError>((open(&source)?, open(&before)?)))?;
    Ok(PackMag {
        folder: input.folder,
        grid,
        source,
        before,
        overlay: overlay.map(|overlay| overlay as Arc<dyn Overlay>),
        extent: input.extent,
        count: parse(&input.count)?,
    })
}

/// Writes the file at `path`, which must not exist; after an error there is none.
fn write_zip(
    path: &Path,
    files: &[(String, Vec<u8>)],
    mags: &[PackMag],
    driver: &mut Driver<'_, '_>,
) -> Result<Vec<Packed>> {
    let fault = |error| VolumeError::io(path.display().to_string(), error);
    let file = BufWriter::with_capacity(1 << 20, File::create_new(path).map_err(fault)?);
    let packed = pack(file, &path.display().to_string(), files, mags, driver);
    if packed.is_err() {
        fs::remove_file(path).map_err(fault)?;
    }
    packed.map(|(_, packed)| packed)
}

/// Chunks that Python holds.
struct PyOverlay {
    chunks: Vec<ChunkIndex>,
    read: Py<PyAny>,
    raised: Mutex<Option<PyErr>>,
}

impl PyOverlay {
    /// `chunks` are rows as `_core.Mag.chunks` has them: additional axes, then x, y, z.
    fn new(chunks: &[Vec<u32>], read: Py<PyAny>) -> Self {
        let index = |row: &Vec<u32>| {
            let (extra, xyz) = row.split_last_chunk::<3>()?;
            Some(ChunkIndex { extra: extra.into(), xyz: *xyz })
        };
        Self { chunks: chunks.iter().filter_map(index).collect(), read, raised: Mutex::default() }
    }

    fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn ask(&self, py: Python<'_>, chunk: &ChunkIndex) -> PyResult<PyBackedBytes> {
        let row: Vec<u32> = chunk.extra.iter().chain(&chunk.xyz).copied().collect();
        let row = PyTuple::new(py, row)?;
        Ok(self.read.call1(py, (row,))?.extract(py)?)
    }
}

impl std::fmt::Debug for PyOverlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PyOverlay").field("chunks", &self.chunks.len()).finish_non_exhaustive()
    }
}

impl Overlay for PyOverlay {
    fn chunks(&self) -> Vec<ChunkIndex> {
        self.chunks.clone()
    }

    fn voxels(&self, chunk: &ChunkIndex, voxels: &mut [u8]) -> Result<()> {
        let bytes = attached(|py| self.ask(py, chunk)).map_err(|error| {
            *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            VolumeError::Interrupted
        })?;
        if bytes.len() != voxels.len() {
            let (given, wanted) = (bytes.len(), voxels.len());
            return Err(VolumeError::Mismatch(format!("chunk {chunk} in memory has {given} bytes, not {wanted}")));
        }
        voxels.copy_from_slice(&bytes);
        Ok(())
    }
}

fn plain<T: serde::de::DeserializeOwned>(value: &Bound<'_, PyAny>) -> Result<T, CoreError> {
    Ok(depythonize(value).map_err(PyErr::from)?)
}

fn parse<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, CoreError> {
    serde_json::from_value(name.into())
        .map_err(|error| CoreError::Python(pyo3::exceptions::PyValueError::new_err(error.to_string())))
}
