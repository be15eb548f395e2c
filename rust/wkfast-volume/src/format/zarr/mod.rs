//! Zarr v2 and v3, with and without shards. Compression is the libraries' (blosc, zstd, zlib); metadata, orders of axes,
//! shard indexes and chunk names are read here, because WEBKNOSSOS spells them in more ways than the specification has,
//! because encoded chunks pass through a merge untouched, and because no file may make a decoder allocate more than its
//! chunk.

mod axes;
mod chain;
mod channels;
mod codecs;
mod create;
mod extension;
mod fill;
mod gathered;
mod keys;
mod metadata;
mod metadata_like;
mod shard;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use self::axes::{Axes, Axis};
#[cfg(any(test, fuzzing))]
pub(crate) use self::chain::fuzzing as chain_fuzzing;
use self::chain::{Blosc, CodecStep, blosc_size, longest_encoded};
use self::channels::{READ_ONLY, joined_store};
pub(super) use self::create::{new_v2, new_v3};
pub(super) use self::gathered::GatheredArray;
pub use self::gathered::{Cells, Streamed, blocks};
use self::metadata::{Description, Fault};
use self::shard::{ShardLayout, SingleChunkWriter, ZarrShardWriter};
use super::{
    ChunkCodec, DataFormat, EncodedChunk, IndexFile, Listing, MagArray, SeenMetadata, ShardFile, ShardIndexTable,
    ShardWriter, StoredArray, UNKNOWN_SIZE, join_key, rewritten,
};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkGrid, ChunkIndex, ShardIndex};
use crate::store::{Entry, Part, SharedStore, list};
use crate::voxels::VoxelType;

/// Metadata are small; this is far more than a page of attributes needs.
const MAX_METADATA: u64 = 16 << 20;
/// More shards than these are not thought up.
const MOST_OF_SHAPE: u64 = 10_000_000;

/// A mag in Zarr.
#[derive(Debug)]
pub struct ZarrArray {
    store: SharedStore,
    prefix: String,
    version: ZarrVersion,
    /// The metadata file, to model others on.
    metadata: Value,
    /// The same as it was read.
    metadata_read: Value,
    description: Description,
    codec: Arc<dyn ChunkCodec>,
    seen: SeenMetadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ZarrVersion {
    V2,
    V3,
}

impl ZarrVersion {
    fn file_name(self) -> &'static str {
        match self {
            Self::V2 => DataFormat::Zarr.metadata_name(),
            Self::V3 => DataFormat::Zarr3.metadata_name(),
        }
    }
}

impl ZarrArray {
    /// Opens the Zarr v3 array below `prefix`; `axis_order` overrides its dimension names.
    pub fn open_v3(store: SharedStore, prefix: &str, axis_order: Option<&BTreeMap<String, u32>>) -> Result<Self> {
        Self::open(store, prefix, ZarrVersion::V3, |json| Description::from_v3(json, axis_order))
    }

    /// Opens the Zarr v2 array below `prefix`; without `axis_order` its axes are c, x, y, z.
    pub fn open_v2(store: SharedStore, prefix: &str, axis_order: Option<&BTreeMap<String, u32>>) -> Result<Self> {
        Self::open(store, prefix, ZarrVersion::V2, |json| Description::from_v2(json, axis_order))
    }

    fn open(
        store: SharedStore,
        prefix: &str,
        version: ZarrVersion,
        describe: impl FnOnce(&[u8]) -> Result<Description, Fault>,
    ) -> Result<Self> {
        let key = join_key(prefix, version.file_name());
        let json = store.read(&key, MAX_METADATA)?.ok_or_else(|| VolumeError::Missing {
            what: store.describe(&key),
            hint: "is this the folder of a mag?".to_owned(),
        })?;
        let mut description = describe(&json).map_err(|fault| match fault {
            Fault::Corrupt(reason) => VolumeError::corrupt(store.describe(&key), reason),
            Fault::Unsupported(what) => VolumeError::Unsupported { file: store.describe(&key), what },
        })?;
        // What is passed over in a description is read here as well: others are modelled on it.
        let metadata_read: Value = serde_json::from_slice(&json)
            .map_err(|error| VolumeError::corrupt(store.describe(&key), format!("is no usable JSON: {error}")))?;
        let mut metadata = metadata_read.clone();
        if description.keys.separator == '.' && adapt_to_files(&store, prefix, &mut description)? {
            declare_blosc(&mut metadata, version);
        }
        let mut files = store;
        if let Some(cut) = description.cut {
            join_channels(&mut metadata, &description.axes, cut.channels);
            files = joined_store(files, prefix, description.keys, &description.axes, cut);
        }
        let codec = description.codec();
        Ok(Self {
            store: files,
            prefix: prefix.to_owned(),
            version,
            metadata,
            metadata_read,
            description,
            codec,
            seen: SeenMetadata::default(),
        })
    }

    fn parse_key(&self, key: &str) -> Option<ShardIndex> {
        let indices = self.description.keys.parse(below(key, &self.prefix)?)?;
        self.description.axes.shard_at(&indices).filter(|shard| self.grid().has_room_for(shard))
    }

    /// All shards that the shape has room for, of which nobody knows whether they are there.
    fn shards_of_shape(&self) -> Result<Listing> {
        let counts = shards_along(&self.metadata, &self.description.axes).unwrap_or_default();
        let all = counts.iter().try_fold(1_u64, |all, &count| all.checked_mul(count.into()));
        if all.is_none_or(|all| all > MOST_OF_SHAPE) {
            let what = format!("its shape has room for more than {MOST_OF_SHAPE} files, so they have to be listed");
            return Err(VolumeError::Unsupported { file: self.store.describe(&self.prefix), what });
        }
        let mut listing = Listing::default();
        for number in 0..all.unwrap_or(0) {
            let mut rest = number;
            let mut indices: Vec<u32> = Vec::with_capacity(counts.len());
            for &count in counts.iter().rev() {
                indices.push((rest % u64::from(count)) as u32);
                rest /= u64::from(count);
            }
            indices.reverse();
            listing.shards.extend(self.description.axes.shard_at(&indices).map(|shard| (shard, UNKNOWN_SIZE)));
        }
        Ok(listing)
    }

    fn corrupt(&self, key: &str, reason: impl Into<String>) -> VolumeError {
        VolumeError::corrupt(self.store.describe(key), reason)
    }

    /// Refuses metadata that say another thing than when the mag was opened. Arrays grow, and attributes are the user's.
    fn check_metadata(&self, key: &str) -> Result<()> {
        let json = self.store.read(key, MAX_METADATA)?.ok_or_else(|| self.corrupt(key, "is gone"))?;
        let mut now: Value = serde_json::from_slice(&json).map_err(|error| self.corrupt(key, error.to_string()))?;
        for free in ["shape", "attributes"] {
            now[free] = self.metadata_read[free].clone();
        }
        let mut before = self.metadata_read.clone();
        before["attributes"] = self.metadata_read["attributes"].clone();
        if now == before { Ok(()) } else { Err(rewritten(self.store.describe(key))) }
    }

    fn longest_chunk(&self) -> u64 {
        let Description { grid, cut, .. } = &self.description;
        let Some(cut) = *cut else { return longest_encoded(grid.chunk_bytes()) };
        let part = grid.chunk_bytes() / cut.channels as usize * cut.per_file as usize;
        cut.header_length() + cut.files() as u64 * longest_encoded(part)
    }

    /// Refuses to write where only reading is supported.
    fn check_writable(&self) -> Result<()> {
        match self.description.cut {
            None => Ok(()),
            Some(_) => {
                Err(VolumeError::Unsupported { file: self.store.describe(&self.prefix), what: READ_ONLY.to_owned() })
            }
        }
    }
}

impl MagArray for ZarrArray {
    fn grid(&self) -> &ChunkGrid {
        &self.description.grid
    }

    fn store(&self) -> &SharedStore {
        &self.store
    }

    fn stored(&self) -> Option<&dyn StoredArray> {
        Some(self)
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn fill(&self) -> Option<&[u8]> {
        self.description.fill.as_deref()
    }

    fn shape_file(&self) -> Option<&'static str> {
        Some(self.version.file_name())
    }

    fn check_current(&self) -> Result<()> {
        self.check_writable()?;
        let key = join_key(&self.prefix, self.version.file_name());
        self.seen.check(&self.store, &key, || self.check_metadata(&key))
    }

    fn grown_shape(&self, present: &[u64], extra: &[u32], extent: [u64; 3]) -> Vec<u64> {
        let Description { axes, grid, .. } = &self.description;
        metadata_like::grown_shape(present, axes, grid, extra, extent)
    }

    fn codec(&self) -> &Arc<dyn ChunkCodec> {
        &self.codec
    }

    fn shard_key(&self, shard: &ShardIndex) -> String {
        join_key(&self.prefix, &self.description.keys.key(&self.description.axes.indices_of(shard)))
    }

    fn list_shards(&self) -> Result<Listing> {
        if self.store.trusts_shapes() {
            return self.shards_of_shape();
        }
        let mut listing = Listing::default();
        for Entry { key, size } in list(&*self.store, &join_key(&self.prefix, ""))? {
            match self.parse_key(&key) {
                Some(_) if size == 0 => listing.empty_files.push(key),
                Some(shard) => listing.shards.push((shard, size)),
                None => {}
            }
        }
        Ok(listing)
    }

    fn read_encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        super::read_stored(self, chunk)
    }

    fn metadata_like(&self, voxel_type: VoxelType, extent: [u64; 3], extra: &[u64]) -> Result<Vec<(String, Vec<u8>)>> {
        let like = match self.version {
            ZarrVersion::V2 => metadata_like::v2_like,
            ZarrVersion::V3 => metadata_like::v3_like,
        };
        let Description { axes, keys, .. } = &self.description;
        let shape = metadata_like::grown(&self.metadata["shape"], axes, extent, extra);
        let text = format!("{:#}", like(&self.metadata, *keys, voxel_type, shape));
        Ok(vec![(self.version.file_name().to_owned(), text.into_bytes())])
    }

    fn shard_writer<'f>(&self, file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>> {
        self.check_writable()?;
        Ok(match &self.description.sharding {
            None => Box::new(SingleChunkWriter { file, written: false }),
            Some(layout) => Box::new(ZarrShardWriter::start(file, layout.clone())?),
        })
    }
}

impl StoredArray for ZarrArray {
    fn is_indexed(&self) -> bool {
        self.description.sharding.is_some()
    }

    fn index_part(&self) -> Part {
        // A file without index needs no more than its size.
        self.description.sharding.as_ref().map_or(Part::Start(0), ShardLayout::index_part)
    }

    fn parse_index(&self, file: &IndexFile<'_>) -> Result<ShardIndexTable> {
        let (key, size, longest) = (file.key, file.size, self.longest_chunk());
        let spans = match &self.description.sharding {
            None if size > longest => {
                return Err(self.corrupt(key, format!("has {size} bytes, no chunk of this array has over {longest}")));
            }
            None => vec![Some(0..size)],
            Some(layout) => {
                let range = layout.index_range(size).map_err(|reason| self.corrupt(key, reason))?;
                let index = file.read_range(range)?;
                layout.parse(&index, size, longest).map_err(|reason| self.corrupt(key, reason))?
            }
        };
        Ok(ShardIndexTable { key: key.to_owned(), codec: Arc::clone(&self.codec), spans })
    }

    fn longest_file(&self) -> u64 {
        self.longest_chunk()
    }

    fn chunk_in_file(&self, _: &str, bytes: &[u8]) -> Result<(Arc<dyn ChunkCodec>, Range<usize>)> {
        Ok((Arc::clone(&self.codec), 0..bytes.len()))
    }
}

/// Corrects what the metadata of some downloaded annotations get wrong: how chunk files are named, and that their
/// bytes are blosc containers (then true is returned). All files of such an array lie in one folder, so looking at their names is cheap.
fn adapt_to_files(store: &SharedStore, prefix: &str, description: &mut Description) -> Result<bool> {
    let entries = list(&**store, &join_key(prefix, ""))?;
    let names = entries.iter().filter_map(|entry| below(&entry.key, prefix));
    description.keys = description.keys.or_as_found(&names, description.axes.len());
    if description.cut.is_some() {
        return Ok(false);
    }
    let chunk_bytes = description.grid.chunk_bytes();
    let is_chunk = |entry: &&Entry| {
        entry.size > 0 && below(&entry.key, prefix).is_some_and(|name| description.keys.parse(name).is_some())
    };
    let Some(first) = entries.iter().find(is_chunk) else { return Ok(false) };
    if description.sharding.is_some() || !description.chain.steps.is_empty() || first.size == chunk_bytes as u64 {
        return Ok(false);
    }
    let bytes = store.read(&first.key, longest_encoded(chunk_bytes))?.unwrap_or_default();
    if blosc_size(&bytes) == Some(chunk_bytes) {
        description.chain.steps.push(CodecStep::Blosc(Blosc::WEBKNOSSOS));
        return Ok(true);
    }
    Ok(false)
}

/// How many files an array has room for along each axis; `None` where its metadata do not say.
fn shards_along(metadata: &Value, axes: &Axes) -> Option<Vec<u32>> {
    let lengths = metadata.get("chunks").or_else(|| metadata.pointer("/chunk_grid/configuration/chunk_shape"))?;
    let along = |place: usize| {
        if axes.axis(place) == Axis::Channel {
            return Some(1);
        }
        let (whole, part) = (metadata["shape"].get(place)?.as_u64()?, lengths.get(place)?.as_u64()?);
        u32::try_from(whole.div_ceil(part.max(1))).ok()
    };
    (0..axes.len()).map(along).collect()
}

/// Arrays modelled on one whose channels are cut have them all in each chunk.
fn join_channels(metadata: &mut Value, axes: &Axes, channels: u32) {
    let place = (0..axes.len()).find(|&place| axes.axis(place) == Axis::Channel);
    let lengths = match metadata.get("chunks") {
        Some(_) => &mut metadata["chunks"],
        None => &mut metadata["chunk_grid"]["configuration"]["chunk_shape"],
    };
    if let Some(length) = place.and_then(|place| lengths.get_mut(place)) {
        *length = channels.into();
    }
}

fn declare_blosc(metadata: &mut Value, version: ZarrVersion) {
    match (version, metadata["codecs"].as_array_mut()) {
        (ZarrVersion::V3, Some(codecs)) => codecs.push(Blosc::WEBKNOSSOS.to_v3()),
        (ZarrVersion::V3, None) => {}
        (ZarrVersion::V2, _) => metadata["compressor"] = Blosc::WEBKNOSSOS.to_v2(),
    }
}

/// How WEBKNOSSOS compresses the chunks of annotations, as one of the `codecs` of Zarr v3.
pub(crate) fn webknossos_blosc() -> Value {
    Blosc::WEBKNOSSOS.to_v3()
}

/// What follows `prefix` in `key`.
fn below<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { Some(key) } else { key.strip_prefix(prefix)?.strip_prefix('/') }
}
