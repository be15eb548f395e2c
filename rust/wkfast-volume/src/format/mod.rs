//! How bytes spell chunks: WKW and Zarr. A format reads the index of a shard, hands out encoded chunks as they are,
//! and encodes or decodes one chunk at a time.
//!
//! Decoded chunks have one memory order everywhere: Fortran order of (c, x, y, z), channel fastest, then x, y, z,
//! values little endian. It is WKW's, and what WEBKNOSSOS writes into Zarr chunks, so that neither is ever shuffled.

use std::io::{Seek, Write};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::geometry::{ChunkGrid, ChunkIndex, Mag, ShardIndex};
use crate::store::SharedStore;

/// Name of a format as `datasource-properties.json` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say it
pub enum DataFormat {
    Wkw,
    Zarr,
    Zarr3,
}

/// Encodes and decodes single chunks.
pub trait ChunkCodec: Send + Sync + std::fmt::Debug {
    /// A text that two codecs share exactly if a chunk encoded by one can be decoded by the other into the same
    /// voxels, e.g. `wkw lz4` or a normalised list of Zarr codecs. Grids are compared apart from it.
    fn encoding(&self) -> &str;

    /// Inflates `encoded` into `voxels`, which has exactly the chunk's size.
    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String>;

    /// Encodes a whole chunk.
    fn encode(&self, voxels: &[u8]) -> Result<Vec<u8>, String>;
}

/// The index of one shard: which chunks it has and where their encoded bytes lie.
#[derive(Clone, Debug)]
pub struct ShardIndexTable {
    /// Key of the shard in its store.
    pub key: String,
    /// How this shard's chunks are encoded. WKW says it per file, so it may differ from the mag's own.
    pub codec: Arc<dyn ChunkCodec>,
    /// Byte range in the file of every chunk, ordered as [`ChunkGrid::locate`] counts; `None` where absent.
    pub spans: Vec<Option<Range<u64>>>,
}

/// One mag of a layer, opened.
pub trait MagArray: Send + Sync + std::fmt::Debug {
    /// Shapes, type and channels.
    fn grid(&self) -> &ChunkGrid;

    /// Where its bytes lie.
    fn store(&self) -> &SharedStore;

    /// How new chunks are encoded.
    fn codec(&self) -> &Arc<dyn ChunkCodec>;

    /// Key of a shard's file, whether or not it exists.
    fn shard_key(&self, shard: &ShardIndex) -> String;

    /// Every shard that has a file, with the file's size. Names that are no shards are passed over; files of zero
    /// bytes count as absent and are reported in [`Listing::empty_files`].
    fn list_shards(&self) -> Result<Listing>;

    /// Reads a shard's index, `None` where there is no shard. Every span is checked to lie within the file.
    fn open_shard(&self, shard: &ShardIndex) -> Result<Option<ShardIndexTable>>;

    /// Starts a new shard in `file`. Chunks are appended in [`write order`](ShardWriter::append).
    fn shard_writer<'f>(&self, file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>>;
}

/// What [`MagArray::list_shards`] found.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Shard and size of its file in bytes.
    pub shards: Vec<(ShardIndex, u64)>,
    /// Keys of files without a byte: absent, with a warning to the user.
    pub empty_files: Vec<String>,
}

/// A file under construction.
pub trait ShardFile: Write + Seek {
    /// Appends `range` of `source`, by the kernel where the file system can, and returns when it is there.
    fn append_from(&mut self, source: &mut std::fs::File, range: Range<u64>) -> std::io::Result<()>;
}

/// Writes one shard, front to back.
pub trait ShardWriter {
    /// Places of a shard in the order in which chunks must be appended (Morton order for WKW, any for Zarr).
    fn order(&self) -> &[u32];

    /// Appends the chunk at the next place of [`order`](Self::order): its encoded bytes, or `None` for an absent one
    /// (spelt as zeros by formats that know no absence).
    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()>;

    /// Appends the chunks at the next `spans.len()` places, which lie back to back in `source`, without looking at
    /// their bytes.
    fn append_run(&mut self, source: &mut std::fs::File, spans: &[Range<u64>]) -> Result<()>;

    /// Writes the index. Until then the file is no valid shard.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Where a mag lies, as plain data that can be sent to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagLocation {
    /// Magnification.
    pub mag: Mag,
    /// Format.
    pub format: DataFormat,
    /// Directory or archive.
    pub container: Container,
    /// Prefix of the mag's keys within the container, without a trailing `/`; empty if the container is the mag.
    pub prefix: String,
}

/// A directory, an archive, or an archive inside an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Container {
    /// A directory.
    Directory {
        /// Its path.
        path: std::path::PathBuf,
    },
    /// A zip file, read in place.
    Zip {
        /// Its path.
        path: std::path::PathBuf,
        /// The inner zip file to read from instead, as annotations have it.
        member: Option<String>,
    },
}

/// A chunk with data and its encoded size: what listings and plans deal in.
pub type ListedChunk = (ChunkIndex, u64);
