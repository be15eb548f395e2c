//! Mags into a data zip, as WEBKNOSSOS accepts it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::form::annotation_form;
use super::labels::largest;
use super::recode::{Recoder, chunks_cut_as, decoded};
use crate::error::{Result, VolumeError};
use crate::format::{DataFormat, MagArray, MagLocation, NewMag, open_mag_in};
use crate::geometry::{ChunkGrid, ChunkIndex, Mag};
use crate::store::{self, Container, MemoryStore, SharedStore, ZipWriter};
use crate::work::Driver;

/// Chunks that lie over those of a mag, e.g. because they were edited.
pub trait Overlay: Send + Sync + Debug {
    /// Where they lie; 32³ voxels each.
    fn chunks(&self) -> Vec<ChunkIndex>;

    /// Fills `voxels` with those of one of its chunks, in memory order.
    fn voxels(&self, chunk: &ChunkIndex, voxels: &mut [u8]) -> Result<()>;
}

/// Of which chunks the largest label is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Of none: nothing is decoded for it.
    #[default]
    None,
    /// Of those that are not as they were before.
    Changed,
    /// Of all.
    All,
}

/// A mag to be packed.
#[derive(Clone, Debug)]
pub struct PackMag {
    /// Its folder in the archive, e.g. `volumeAnnotationData/2-2-1`.
    pub folder: String,
    /// Voxel type, channels and additional axes; chunks are cut anew where they are not 32³.
    pub grid: ChunkGrid,
    /// What it holds, unless something lies over it.
    pub source: Option<Arc<dyn MagArray>>,
    /// What lies over it.
    pub overlay: Option<Arc<dyn Overlay>>,
    /// What it held before: a chunk that is no longer there has been erased and is written as zeros.
    pub before: Option<Arc<dyn MagArray>>,
    /// What its metadata shall at least cover.
    pub extent: [u64; 3],
    /// Of which chunks the largest label is wanted.
    pub count: Count,
}

/// What was packed of a mag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// Chunks written.
    pub chunks: u64,
    /// Of these, the ones written as zeros because they were no longer there.
    pub erased: u64,
    /// Largest label of those it was wanted of.
    pub largest: u64,
}

/// Writes a data zip, called `name` in messages: `files` first, then the mags. Equal input makes equal bytes.
pub fn pack<W: Write>(
    out: W,
    name: &str,
    files: &[(String, Vec<u8>)],
    mags: &[PackMag],
    driver: &mut Driver,
) -> Result<(W, Vec<Packed>)> {
    let mut archive = ZipWriter::new(out);
    for (file, content) in files {
        add(&mut archive, name, file, content)?;
    }
    let jobs: Vec<ListedMag> = mags.iter().map(ListedMag::new).collect::<Result<_>>()?;
    for job in &jobs {
        driver.expect(job.chunks.len(), (job.chunks.len() * job.target.grid().chunk_bytes()) as u64);
    }
    let packed = jobs.iter().map(|job| job.run(&mut archive, name, driver)).collect::<Result<_>>()?;
    Ok((archive.finish().map_err(fault(name))?, packed))
}

fn add<W: Write>(archive: &mut ZipWriter<W>, name: &str, file: &str, content: &[u8]) -> Result<()> {
    store::Packed::new(content).and_then(|packed| archive.add(file, &packed)).map_err(fault(name))
}

/// Where a chunk comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkOrigin {
    Source,
    Overlay,
    Erased,
}

/// A mag with its chunks listed.
struct ListedMag<'a> {
    mag: &'a PackMag,
    metadata: (String, Vec<u8>),
    target: Arc<dyn MagArray>,
    recoder: Option<Recoder>,
    chunks: Vec<(ChunkIndex, ChunkOrigin)>,
    /// What the zeros of an erased chunk are encoded as.
    zeros: Vec<u8>,
}

/// A chunk on its way into the archive.
struct Prepared {
    packed: store::Packed,
    largest: u64,
}

impl<'a> ListedMag<'a> {
    fn new(mag: &'a PackMag) -> Result<Self> {
        let shape = annotation_form(&mag.grid, mag.extent, []).chunk_shape;
        let chunks = origins(mag, shape)?;
        let new = annotation_form(&mag.grid, mag.extent, chunks.keys());
        let (name, content) = new.metadata().map_err(VolumeError::Mismatch)?;
        let metadata = (format!("{}/{name}", mag.folder), content);
        let target = in_memory(mag, &new, &metadata)?;
        let zeros = target.codec().encode(&vec![0; target.grid().chunk_bytes()]).map_err(VolumeError::Mismatch)?;
        let recoder = mag.source.as_ref().map(|source| Recoder::new(Arc::clone(source), Arc::clone(&target)));
        Ok(Self { mag, metadata, target, recoder, chunks: chunks.into_iter().collect(), zeros })
    }

    fn run<W: Write>(&self, archive: &mut ZipWriter<W>, name: &str, driver: &mut Driver) -> Result<Packed> {
        add(archive, name, &self.metadata.0, &self.metadata.1)?;
        let mut packed = Packed::default();
        driver.in_order(
            &self.chunks,
            self.target.grid().chunk_bytes(),
            |(chunk, origin)| self.prepare(chunk, *origin, name),
            |(chunk, origin), prepared| {
                let Some(prepared) = prepared else { return Ok(()) };
                archive.add(&self.target.shard_key(chunk), &prepared.packed).map_err(fault(name))?;
                packed.chunks += 1;
                packed.erased += u64::from(*origin == ChunkOrigin::Erased);
                packed.largest = packed.largest.max(prepared.largest);
                Ok(())
            },
        )?;
        Ok(packed)
    }

    fn prepare(&self, chunk: &ChunkIndex, origin: ChunkOrigin, name: &str) -> Result<Option<Prepared>> {
        let Some(encoded) = self.encoded(chunk, origin)? else { return Ok(None) };
        let largest = if self.counts(chunk, origin, &encoded)? { self.largest(chunk, &encoded)? } else { 0 };
        Ok(Some(Prepared { packed: store::Packed::new(&encoded).map_err(fault(name))?, largest }))
    }

    fn encoded(&self, chunk: &ChunkIndex, origin: ChunkOrigin) -> Result<Option<Vec<u8>>> {
        match (origin, &self.recoder, &self.mag.overlay) {
            (ChunkOrigin::Source, Some(recoder), _) => recoder.encoded(chunk),
            (ChunkOrigin::Overlay, _, Some(overlay)) => {
                let mut voxels = vec![0; self.target.grid().chunk_bytes()];
                overlay.voxels(chunk, &mut voxels)?;
                self.target.codec().encode(&voxels).map(Some).map_err(VolumeError::Mismatch)
            }
            _ => Ok(Some(self.zeros.clone())),
        }
    }

    /// Whether the labels of a chunk are wanted.
    fn counts(&self, chunk: &ChunkIndex, origin: ChunkOrigin, encoded: &[u8]) -> Result<bool> {
        match (self.mag.count, origin) {
            (Count::None, _) | (_, ChunkOrigin::Erased) => Ok(false),
            (Count::All, _) | (Count::Changed, ChunkOrigin::Overlay) => Ok(true),
            (Count::Changed, ChunkOrigin::Source) => {
                let Some(before) = &self.mag.before else { return Ok(self.mag.overlay.is_none()) };
                Ok(before.read_encoded(chunk)?.is_none_or(|found| found.bytes != encoded))
            }
        }
    }

    fn largest(&self, chunk: &ChunkIndex, encoded: &[u8]) -> Result<u64> {
        let key = self.target.shard_key(chunk);
        let found =
            crate::format::EncodedChunk { key, codec: Arc::clone(self.target.codec()), bytes: encoded.to_vec() };
        Ok(largest(self.target.grid().voxel_type, &decoded(&*self.target, &found, chunk)?))
    }
}

/// All chunks of the result, sorted, and where each comes from.
fn origins(mag: &PackMag, shape: [u32; 3]) -> Result<BTreeMap<ChunkIndex, ChunkOrigin>> {
    let list = |array: &Option<Arc<dyn MagArray>>| {
        array.as_ref().map_or_else(|| Ok(BTreeSet::new()), |array| chunks_cut_as(&**array, shape))
    };
    let mut chunks: BTreeMap<_, _> = list(&mag.before)?.into_iter().map(|chunk| (chunk, ChunkOrigin::Erased)).collect();
    chunks.extend(list(&mag.source)?.into_iter().map(|chunk| (chunk, ChunkOrigin::Source)));
    let over = mag.overlay.as_ref().map(|overlay| overlay.chunks()).unwrap_or_default();
    chunks.extend(over.into_iter().map(|chunk| (chunk, ChunkOrigin::Overlay)));
    Ok(chunks)
}

/// The array of the result, without its chunks: it knows their names and encodes them.
fn in_memory(mag: &PackMag, new: &NewMag, metadata: &(String, Vec<u8>)) -> Result<Arc<dyn MagArray>> {
    let memory = MemoryStore::default();
    memory.insert(&metadata.0, metadata.1.clone())?;
    let store: SharedStore = Arc::new(memory);
    let nowhere = Container::Directory { path: std::path::PathBuf::new() };
    open_mag_in(store, &MagLocation::new(Mag([1; 3]), DataFormat::Zarr3, nowhere, mag.folder.clone())).inspect(
        |array| {
            debug_assert_eq!(array.grid().chunk_shape, new.chunk_shape);
        },
    )
}

fn fault(name: &str) -> impl FnOnce(io::Error) -> VolumeError {
    move |error| VolumeError::io(name, error)
}
