//! Small chunks that a server makes one by one, shown as if they lay in shards.
//!
//! Who merges, copies or counts works shard by shard, and models what it writes on what it reads. A data store has nothing
//! but chunks, of which it tells no list and no encoding. So chunks are gathered: a shard's file is thought up, its index is
//! known without a request, and each span of it is one chunk of the server. What is modelled on such an array is a new mag of
//! the format that was asked for.

mod blocks;
mod chunks;
mod cut;
mod store;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::blocks::{Cells, blocks};
use self::chunks::{Chunks, present};
use self::store::GatheredStore;
use super::MAX_METADATA;
use super::keys::KeyStyle;
use super::metadata::{Description, Fault};
use crate::error::{Result, VolumeError};
use crate::format::create::ExtraAxis;
use crate::format::{
    ChunkCodec, DataFormat, EncodedChunk, IndexCache, IndexFile, Listing, MagArray, MagLocation, NewMag, ShardFile,
    ShardIndexTable, ShardWriter, StoredArray, fetch_chunks, join_key,
};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, ShardIndex};
use crate::store::{Part, SharedStore};
use crate::voxels::VoxelType;

/// Voxels along an edge of a shard: work is done and repeated by shards.
const SHARD_EDGE: u32 = 512;
const READ_ONLY: &str = "it is streamed, and only read";

/// What is known of a mag that a server streams, beside its array metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streamed {
    /// Type of its layer, which the array has to have.
    pub voxel_type: VoxelType,
    /// Channels of its layer.
    pub channels: u32,
    /// Where there may be voxels, in voxels of the mag: nothing is asked for outside.
    pub bounding_box: BoundingBox,
}

/// A mag that a server streams.
#[derive(Debug)]
pub(in crate::format) struct GatheredArray {
    store: SharedStore,
    chunks: Arc<Chunks>,
    /// Of what is modelled on it.
    format: DataFormat,
    codec: Arc<dyn ChunkCodec>,
    /// Lengths along the additional axes.
    extra: Vec<u32>,
}

impl GatheredArray {
    /// Opens the mag that `location` says is streamed.
    pub(in crate::format) fn open(store: SharedStore, location: &MagLocation, streamed: &Streamed) -> Result<Self> {
        let key = join_key(&location.prefix, DataFormat::Zarr.metadata_name());
        let name = || store.describe(&key);
        let json = store.read(&key, MAX_METADATA)?.ok_or_else(|| VolumeError::Missing {
            what: name(),
            hint: "the server has no such layer or mag".to_owned(),
        })?;
        let description = Description::from_v2(&json, location.axis_order.as_ref()).map_err(|fault| match fault {
            Fault::Corrupt(reason) => VolumeError::corrupt(name(), reason),
            Fault::Unsupported(what) => VolumeError::Unsupported { file: name(), what },
        })?;
        check(&description, streamed).map_err(|reason| VolumeError::corrupt(name(), reason))?;
        let lengths = lengths(&json);
        let (codec, Description { axes, .. }) = (description.codec(), &description);
        let shape = axes.space(&lengths);
        let short = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
        let extra: Vec<u32> = axes.extra(&lengths).into_iter().map(short).collect();
        let has_shards = location.format != DataFormat::Zarr;
        let edge = |axis: usize| {
            if has_shards { (SHARD_EDGE / description.grid.chunk_shape[axis]).max(1) } else { 1 }
        };
        let grid = ChunkGrid { chunks_per_shard: [0, 1, 2].map(edge), ..description.grid.clone() };
        let present = [0, 1, 2].map(|axis| present(&streamed.bounding_box, shape, &grid, axis));
        let keys = KeyStyle { with_c: false, separator: '.' };
        let is_plain = extra.is_empty() && description.is_in_memory_order();
        let (prefix, mag) = (location.prefix.clone(), location.mag);
        let chunks = Arc::new(Chunks { prefix, axes: axes.clone(), keys, grid, present, shape, mag, is_plain });
        chunks.check_count(&extra).map_err(|what| VolumeError::Unsupported { file: name(), what })?;
        let store = Arc::new(GatheredStore { inner: store, chunks: Arc::clone(&chunks) });
        Ok(Self { store, chunks, format: location.format, codec, extra })
    }
}

/// Refuses an array that is not as its layer is described, or that no server streams.
fn check(array: &Description, layer: &Streamed) -> std::result::Result<(), String> {
    let grid = &array.grid;
    if (grid.voxel_type, grid.channels) != (layer.voxel_type, layer.channels) {
        let (found, expected) = (grid.voxel_type.name(), layer.voxel_type.name());
        return Err(format!(
            "is of type {found} with {} channels; the layer has type {expected} and {} channels",
            grid.channels, layer.channels
        ));
    }
    if !array.chain.steps.is_empty() || array.cut.is_some() || array.fill.is_some() {
        return Err("expected uncompressed chunks of all channels that are 0 where nothing is stored".to_owned());
    }
    Ok(())
}

/// The lengths that metadata which were understood say.
fn lengths(json: &[u8]) -> Vec<u64> {
    let metadata: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    metadata["shape"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
}

impl MagArray for GatheredArray {
    fn grid(&self) -> &ChunkGrid {
        &self.chunks.grid
    }

    fn store(&self) -> &SharedStore {
        &self.store
    }

    fn stored(&self) -> Option<&dyn StoredArray> {
        Some(self)
    }

    fn is_encoded_as_it_lies(&self) -> bool {
        false
    }

    fn prefix(&self) -> &str {
        &self.chunks.prefix
    }

    fn codec(&self) -> &Arc<dyn ChunkCodec> {
        &self.codec
    }

    fn shard_key(&self, shard: &ShardIndex) -> String {
        self.chunks.shard_key(shard)
    }

    fn list_shards(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let [xs, ys, zs] = self.chunks.shards();
        for extra in slices(&self.extra) {
            for (z, y) in zs.clone().flat_map(|z| ys.clone().map(move |y| (z, y))) {
                let row = xs.clone().map(|x| ShardIndex { extra: extra.clone(), xyz: [x, y, z] });
                listing.shards.extend(row.map(|shard| {
                    let bytes = self.chunks.bytes_in(&shard);
                    (shard, bytes)
                }));
            }
        }
        Ok(listing)
    }

    fn read_encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        if !self.chunks.has(chunk) {
            return Ok(None);
        }
        Ok(fetch_chunks(self, &IndexCache::default(), std::slice::from_ref(chunk))?.pop().flatten())
    }

    fn metadata_like(&self, voxel_type: VoxelType, extent: [u64; 3], extra: &[u64]) -> Result<Vec<(String, Vec<u8>)>> {
        let Chunks { grid, axes, present, .. } = &*self.chunks;
        let reach = |axis: usize| u64::from(present[axis].end) * u64::from(grid.chunk_shape[axis]);
        let lengths = self.extra.iter().enumerate();
        let new = NewMag {
            chunk_shape: grid.chunk_shape,
            chunks_per_shard: grid.chunks_per_shard,
            extent: [0, 1, 2].map(|axis| extent[axis].max(reach(axis))),
            extra_axes: lengths
                .map(|(nth, &length)| ExtraAxis {
                    name: grid.extra_axes[nth].clone(),
                    length: u64::from(length).max(extra.get(nth).copied().unwrap_or(0)),
                })
                .collect(),
            axes: axes.names(),
            ..NewMag::with_defaults(self.format, voxel_type, grid.channels)
        };
        let (name, content) = new.metadata().map_err(VolumeError::Mismatch)?;
        Ok(vec![(name.to_owned(), content)])
    }

    fn shard_writer<'f>(&self, _: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>> {
        Err(VolumeError::Unsupported { file: self.store.describe(self.prefix()), what: READ_ONLY.to_owned() })
    }
}

/// All places along axes of these lengths.
fn slices(lengths: &[u32]) -> Vec<Box<[u32]>> {
    lengths.iter().fold(vec![Box::default()], |all: Vec<Box<[u32]>>, &length| {
        all.iter().flat_map(|before| (0..length).map(|at| before.iter().copied().chain([at]).collect())).collect()
    })
}

impl StoredArray for GatheredArray {
    fn is_indexed(&self) -> bool {
        !self.chunks.is_single()
    }

    fn index_part(&self) -> Part {
        Part::Start(0)
    }

    fn parse_index(&self, file: &IndexFile<'_>) -> Result<ShardIndexTable> {
        let Chunks { grid, .. } = &*self.chunks;
        let shard = self.chunks.shard_of(file.key);
        let shard = shard.ok_or_else(|| VolumeError::corrupt(self.store.describe(file.key), "is no shard"))?;
        let length = grid.chunk_bytes() as u64;
        let span = |place: usize| {
            let start = place as u64 * length;
            self.chunks.has(&grid.chunk_at(&shard, place)).then(|| start..start + length)
        };
        let spans = (0..grid.chunks_in_shard()).map(span).collect();
        Ok(ShardIndexTable { key: file.key.to_owned(), codec: Arc::clone(&self.codec), spans })
    }

    fn longest_file(&self) -> u64 {
        self.chunks.shard_size()
    }

    fn chunk_in_file(&self, _: &str, bytes: &[u8]) -> Result<(Arc<dyn ChunkCodec>, Range<usize>)> {
        Ok((Arc::clone(&self.codec), 0..bytes.len()))
    }
}
