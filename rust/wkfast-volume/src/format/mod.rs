//! How bytes spell chunks: WKW and Zarr. A format reads the index of a shard, hands out encoded chunks as they are,
//! and encodes or decodes one chunk at a time.
//!
//! Decoded chunks have one memory order everywhere: Fortran order of (c, x, y, z), channel fastest, then x, y, z,
//! values little endian. It is WKW's, and what WEBKNOSSOS writes into Zarr chunks, so that neither is ever shuffled.

mod chunks;
mod create;
mod current;
mod discover;
pub(crate) mod draft;
mod grow;
mod open_files;
mod region;
mod stored;
pub mod wkw;
pub mod zarr;

#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use self::chunks::{FoundChunk, TakeChunk, read_chunks};
pub(crate) use self::chunks::{fetch_chunks, take_made};
pub use self::create::{ExtraAxis, NewMag, create};
pub use self::current::{CurrentMag, OpenMag};
#[cfg(any(test, fuzzing))]
pub(crate) use self::discover::discover_in;
pub use self::discover::{DiscoveredMag, Discovery, discover};
pub use self::grow::grow;
pub use self::region::{
    IndexCache, OpenShard, Voxels, WriteOptions, is_small, read_region, read_region_with, region_bytes, write_region,
};
pub(crate) use self::stored::each_index;
pub use self::stored::{IndexFile, StoredArray};
pub(crate) use self::zarr::webknossos_blosc;
pub use self::zarr::{Cells, Streamed, blocks};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkGrid, ChunkIndex, Mag, ShardIndex};
pub use crate::store::Container;
use crate::store::{SharedStore, Stamp, copy_range};
use crate::voxels::VoxelType;

/// Name of a format as `datasource-properties.json` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say it
pub enum DataFormat {
    Wkw,
    Zarr,
    Zarr3,
}

impl DataFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Wkw, Self::Zarr, Self::Zarr3];

    /// Name within a mag's folder of the file that describes the mag.
    pub fn metadata_name(self) -> &'static str {
        match self {
            Self::Wkw => "header.wkw",
            Self::Zarr => ".zarray",
            Self::Zarr3 => "zarr.json",
        }
    }
}

impl fmt::Display for DataFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wkw => "wkw",
            Self::Zarr => "zarr",
            Self::Zarr3 => "zarr3",
        })
    }
}

/// Encodes and decodes single chunks.
pub trait ChunkCodec: Send + Sync + std::fmt::Debug {
    /// A text that two codecs share exactly if a chunk encoded by one can be decoded by the other into the same
    /// voxels, e.g. `wkw lz4` or a normalised list of Zarr codecs. Grids are compared apart from it.
    fn encoding(&self) -> &str;

    /// Whether it makes chunks smaller.
    fn is_compressed(&self) -> bool;

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

    /// The array as one whose chunks lie in files of its store; `None` for one that is made while it is read.
    fn stored(&self) -> Option<&dyn StoredArray> {
        None
    }

    /// Whether files and encoded chunks can stand in an array that is modelled on this one.
    fn is_encoded_as_it_lies(&self) -> bool {
        true
    }

    /// Reads the index of a shard, of the file that now has its name; `None` where there is none.
    fn open_shard(&self, shard: &ShardIndex) -> Result<Option<ShardIndexTable>> {
        let Some(stored) = self.stored() else { return Ok(None) };
        let open = IndexCache::default().open_many(stored, std::slice::from_ref(shard))?.pop().flatten();
        Ok(open.map(|open| Arc::unwrap_or_clone(open.table)))
    }

    /// [`read_chunks`] of an array that is made while it is read.
    fn make_chunks(&self, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
        chunks::one_by_one(self, chunks, take)
    }

    /// Reads the encoded bytes of one chunk, `None` if it is absent. To read many chunks, use
    /// [`read_chunks`] instead.
    fn read_encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>>;

    /// Metadata files (name within the mag's folder, content) of a mag like this one, but with voxels of `voxel_type`
    /// and reaching at least `extent` voxels along x, y, z and `extra` along the additional axes.
    fn metadata_like(&self, voxel_type: VoxelType, extent: [u64; 3], extra: &[u64]) -> Result<Vec<(String, Vec<u8>)>>;

    /// Bytes of a voxel that was never written, where they are not zeros: Zarr's `fill_value`, for every channel.
    fn fill(&self) -> Option<&[u8]> {
        None
    }

    /// Makes sure that the mag is still cut and encoded as it was when it was opened: another handle or process may have
    /// rewritten it, and chunks of the old form would be garbage among those of the new.
    fn check_current(&self) -> Result<()> {
        Ok(())
    }

    /// Name within the mag's folder of the file that states how far the array reaches; `None` where nothing does.
    fn shape_file(&self) -> Option<&'static str> {
        None
    }

    /// The lengths of the array along its own axes, in its shape file's order, so that it holds `extra` and the voxels
    /// before `extent`: at least the `present` ones, whole shards where they must grow.
    fn grown_shape(&self, present: &[u64], _extra: &[u32], _extent: [u64; 3]) -> Vec<u64> {
        present.to_vec()
    }

    /// Prefix of the mag's keys in its store.
    fn prefix(&self) -> &str;

    /// Starts a new shard in `file`. Chunks are appended in [`write order`](ShardWriter::append).
    fn shard_writer<'f>(&self, file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>>;
}

/// A chunk as it lies in its file.
#[derive(Clone, Debug)]
pub struct EncodedChunk {
    /// Key of the file it is from, for messages.
    pub key: String,
    /// What decodes it.
    pub codec: Arc<dyn ChunkCodec>,
    /// Its encoded bytes.
    pub bytes: Vec<u8>,
}

/// Of a shard that the shape of its array has room for, where nobody lists which shards there are.
pub const UNKNOWN_SIZE: u64 = 0;

/// What [`MagArray::list_shards`] found.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Shard and size of its file in bytes; [`UNKNOWN_SIZE`] for one of which not even that is known that it is there.
    pub shards: Vec<(ShardIndex, u64)>,
    /// Keys of files without a byte: absent, with a warning to the user.
    pub empty_files: Vec<String>,
}

/// Does `work` again, at most `most` times in all, as long as it finds that somebody else has changed a file meanwhile: writers of
/// a folder wait for each other, those of a bucket are told afterwards.
pub(crate) fn again<T>(most: u32, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let mut count = 1;
    loop {
        match work() {
            Err(VolumeError::Changed { .. }) if count < most => count += 1,
            done => return done,
        }
    }
}

/// A file under construction.
pub trait ShardFile: Write + Seek {
    /// What to call it in messages.
    fn name(&self) -> String {
        "a file that is being written".to_owned()
    }

    /// Appends `range` of `source`, by the kernel where the file system can, and returns when it is there.
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        copy_range(source, range, self)
    }
}

/// Below so many bytes a copy by the kernel costs more in calls than it saves.
const SHORT_RUN: u64 = 1 << 16;

impl ShardFile for BufWriter<File> {
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        let length = range.end - range.start;
        // Long runs are the kernel's; short ones share the buffer with their neighbours.
        if length >= SHORT_RUN {
            self.flush()?;
            return self.get_mut().append_from(source, range);
        }
        source.seek(SeekFrom::Start(range.start))?;
        let mut bytes = vec![0; length as usize];
        source.read_exact(&mut bytes)?;
        self.write_all(&bytes)
    }
}

impl ShardFile for File {
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        source.seek(SeekFrom::Start(range.start))?;
        let length = range.end - range.start;
        let copied = io::copy(&mut source.take(length), self)?;
        if copied < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Writes one shard, front to back.
pub trait ShardWriter {
    /// Places of a shard in the order in which chunks must be appended (Morton order for WKW, any for Zarr).
    fn order(&self) -> &[u32];

    /// Asks, before the first chunk, for another [`order`](Self::order), e.g. that of a file to be copied from, so that
    /// its chunks come in long runs. Formats whose order is fixed keep theirs.
    fn prefer_order(&mut self, _places: Vec<u32>) -> Result<()> {
        Ok(())
    }

    /// Appends the chunk at the next place of [`order`](Self::order): its encoded bytes, or `None` for an absent one
    /// (spelt as zeros by formats that know no absence).
    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()>;

    /// Appends the chunks at the next `spans.len()` places, which lie back to back in `source`, without looking at
    /// their bytes.
    fn append_run(&mut self, source: &mut File, spans: &[Range<u64>]) -> Result<()>;

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
    /// Which array axis is which, as `axisOrder` of `datasource-properties.json` says it, e.g. `{"c": 0, "x": 1}`.
    /// Where it is missing, the array's own dimension names count, then the order c, x, y, z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis_order: Option<BTreeMap<String, u32>>,
    /// Set where a server streams the mag; the format is then that of what is modelled on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streamed: Option<Box<Streamed>>,
    /// Folder outside of which nothing is made or written, wherever links lead by then. Reading does not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<PathBuf>,
}

impl MagLocation {
    /// A mag whose array says itself what its axes are.
    pub fn new(mag: Mag, format: DataFormat, container: Container, prefix: impl Into<String>) -> Self {
        Self { mag, format, container, prefix: prefix.into(), axis_order: None, streamed: None, within: None }
    }

    /// Refuses an array whose files lie outside of what may be [written](Self::within). That its folder stays where the
    /// store has found it is seen to by the store.
    pub fn check_within(&self, array: &dyn MagArray) -> Result<()> {
        let (Some(within), Some(disk)) = (&self.within, array.store().disk()) else { return Ok(()) };
        let fault = |error| VolumeError::io(within.display().to_string(), error);
        if disk.place(self.format.metadata_name())?.starts_with(fs::canonicalize(within).map_err(fault)?) {
            return Ok(());
        }
        let reason = format!("leads out of {} and is not written to", within.display());
        Err(VolumeError::corrupt(array.store().describe(&self.prefix), reason))
    }
}

/// A chunk with data and its encoded size: what listings and plans deal in.
pub type ListedChunk = (ChunkIndex, u64);

/// Opens a mag for reading, and as the model of what is written.
pub fn open_mag(location: &MagLocation) -> Result<Arc<dyn MagArray>> {
    open_mag_in(location.container.open()?, location)
}

/// Opens a mag in a container that is open already: an archive with many mags is read once.
pub fn open_mag_in(store: SharedStore, location: &MagLocation) -> Result<Arc<dyn MagArray>> {
    let (prefix, axis_order) = (&location.prefix, location.axis_order.as_ref());
    if let Some(streamed) = &location.streamed {
        return Ok(Arc::new(zarr::GatheredArray::open(store, location, streamed)?));
    }
    Ok(match location.format {
        DataFormat::Wkw => Arc::new(wkw::WkwArray::open(store, prefix)?),
        DataFormat::Zarr => Arc::new(zarr::ZarrArray::open_v2(store, prefix, axis_order)?),
        DataFormat::Zarr3 => Arc::new(zarr::ZarrArray::open_v3(store, prefix, axis_order)?),
    })
}

/// Lists every chunk that has data, without reading any: from names alone, and from the indexes of shards.
pub fn list_chunks(array: &dyn MagArray) -> Result<Vec<ListedChunk>> {
    let listing = array.list_shards()?.shards;
    if array.grid().chunks_in_shard() == 1 {
        return Ok(listing);
    }
    let mut chunks = Vec::new();
    each_index(array, listing.into_iter().map(|(shard, _)| shard), |shard, table| {
        let present = table.spans.iter().enumerate().filter_map(|(place, span)| Some((place, span.as_ref()?)));
        chunks.extend(present.map(|(place, span)| (array.grid().chunk_at(shard, place), span.end - span.start)));
    })?;
    Ok(chunks)
}

/// Reads a chunk by way of its shard's index.
fn read_encoded_by_index(array: &dyn MagArray, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
    let (shard, place) = array.grid().locate(chunk);
    let Some(open) = IndexCache::default().open(array, &shard)? else { return Ok(None) };
    open.encoded(array, place)
}

/// Reads a chunk alone; one that is a file of its own in one read.
fn read_stored(array: &dyn StoredArray, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
    if array.is_indexed() {
        return read_encoded_by_index(array, chunk);
    }
    let key = array.shard_key(chunk);
    let bytes = array.store().read(&key, array.longest_file())?.filter(|bytes| !bytes.is_empty());
    let Some(mut bytes) = bytes else { return Ok(None) };
    let (codec, range) = array.chunk_in_file(&key, &bytes)?;
    bytes.truncate(range.end);
    bytes.drain(..range.start);
    Ok(Some(EncodedChunk { key, codec, bytes }))
}

/// Makes `voxels` a chunk that is absent: zeros, or what the array states instead.
pub(crate) fn fill_absent(array: &dyn MagArray, voxels: &mut Vec<u8>) {
    voxels.clear();
    voxels.resize(array.grid().chunk_bytes(), 0);
    if let Some(fill) = array.fill() {
        voxels.chunks_exact_mut(fill.len()).for_each(|voxel| voxel.copy_from_slice(fill));
    }
}

/// Inflates the `encoded` bytes of a chunk, which are from the file `key`, into `voxels`, which has the chunk's size.
pub(crate) fn decode(
    array: &dyn MagArray,
    codec: &dyn ChunkCodec,
    key: &str,
    chunk: &ChunkIndex,
    encoded: &[u8],
    voxels: &mut [u8],
) -> Result<()> {
    let fault = |reason| VolumeError::corrupt(array.store().describe(key), reason).at_chunk(chunk);
    codec.decode(encoded, voxels).map_err(fault)
}

/// The state of a metadata file when it was last found to say what it said when the mag was opened.
#[derive(Debug, Default)]
struct SeenMetadata(Mutex<Option<Stamp>>);

impl SeenMetadata {
    /// Runs `check` unless the file is the very one that has passed it.
    fn check(&self, store: &SharedStore, key: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = store.stamp(key)?.filter(|stamp| stamp.inode.is_some());
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_none() || *passed != stamp {
            check()?;
            *passed = stamp;
        }
        Ok(())
    }
}

/// The mag is not what it was when it was opened.
fn rewritten(file: String) -> VolumeError {
    let what = "the mag was rewritten in another form since it was opened; get it from its layer again".to_owned();
    VolumeError::Unsupported { file, what }
}

/// Key of `name` below `prefix`.
fn join_key(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

/// A number as formats spell it in file names: decimal, without sign or leading zeros.
fn parse_index(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    digits.then(|| text.parse().ok()).flatten()
}

/// The one range that `spans` make, which must follow each other without gaps; `None` if there are none.
fn joined(spans: &[Range<u64>]) -> Result<Option<Range<u64>>> {
    if spans.windows(2).any(|pair| pair[0].end != pair[1].start) {
        return Err(VolumeError::Mismatch("a run of chunks has gaps".to_owned()));
    }
    Ok(spans.first().zip(spans.last()).map(|(first, last)| first.start..last.end))
}
