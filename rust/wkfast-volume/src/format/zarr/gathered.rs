//! Small chunks that a server makes one by one, shown as if they lay in shards.
//!
//! Who merges, copies or counts works shard by shard, and models what it writes on what it reads. A data store has nothing
//! but chunks, of which it tells no list and no encoding. So chunks are gathered: a shard's file is thought up, its index is
//! known without a request, and each span of it is one chunk of the server. What is modelled on such an array is a new mag of
//! the format that was asked for.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::axes::Axes;
use super::keys::KeyStyle;
use super::metadata::{Description, Fault};
use super::{MAX_METADATA, MOST_OF_SHAPE, below};
use crate::error::{Result, VolumeError};
use crate::format::create::ExtraAxis;
use crate::format::{
    ChunkCodec, DataFormat, EncodedChunk, IndexCache, IndexFile, Listing, MagArray, MagLocation, NewMag, ShardFile,
    ShardIndexTable, ShardWriter, StoredArray, fetch_chunks, join_key,
};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, ShardIndex};
use crate::store::{Fetch, Found, Origin, Part, ReadStore, SharedStore, Stamp, Take, check_key};
use crate::voxels::VoxelType;

/// Voxels along an edge of a shard: work is done and repeated by shards.
const SHARD_EDGE: u32 = 512;
/// Names of shards begin with it.
const SHARD: &str = "chunks of ";
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

/// The chunks of a server and where they lie.
#[derive(Debug)]
struct Chunks {
    prefix: String,
    axes: Axes,
    keys: KeyStyle,
    grid: ChunkGrid,
    /// Chunks along x, y, z of which there may be any.
    present: [Range<u32>; 3],
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
        let chunks = Arc::new(Chunks { prefix: location.prefix.clone(), axes: axes.clone(), keys, grid, present });
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

/// Chunks along an axis that lie in the box and within the array.
fn present(layer: &BoundingBox, shape: [u64; 3], grid: &ChunkGrid, axis: usize) -> Range<u32> {
    let edge = u64::from(grid.chunk_shape[axis]);
    let start = u64::try_from(layer.topleft[axis]).unwrap_or(0);
    let end = u64::try_from(layer.topleft[axis].saturating_add(layer.size[axis])).unwrap_or(0).min(shape[axis]);
    let last = u32::try_from(end.div_ceil(edge)).unwrap_or(u32::MAX);
    u32::try_from(start / edge).unwrap_or(u32::MAX).min(last)..last
}

impl Chunks {
    /// Shards along x, y, z.
    fn shards(&self) -> [Range<u32>; 3] {
        [0, 1, 2].map(|axis| {
            let (chunks, per_shard) = (&self.present[axis], self.grid.chunks_per_shard[axis]);
            if chunks.is_empty() { 0..0 } else { chunks.start / per_shard..chunks.end.div_ceil(per_shard) }
        })
    }

    fn check_count(&self, extra: &[u32]) -> std::result::Result<(), String> {
        let shards = self.shards().map(|range| range.end - range.start);
        let all = shards.iter().chain(extra).try_fold(1_u64, |all, &count| all.checked_mul(count.into()));
        match all {
            Some(all) if all <= MOST_OF_SHAPE => Ok(()),
            _ => Err(format!("reaches over more than {MOST_OF_SHAPE} shards")),
        }
    }

    fn has(&self, chunk: &ChunkIndex) -> bool {
        (0..3).all(|axis| self.present[axis].contains(&chunk.xyz[axis]))
    }

    fn shard_size(&self) -> u64 {
        self.grid.chunks_in_shard() as u64 * self.grid.chunk_bytes() as u64
    }

    /// Bytes of the chunks of a shard that may be there.
    fn bytes_in(&self, shard: &ShardIndex) -> u64 {
        let within = |axis: usize| {
            let first = shard.xyz[axis] * self.grid.chunks_per_shard[axis];
            let last = first + self.grid.chunks_per_shard[axis];
            u64::from(last.min(self.present[axis].end).saturating_sub(first.max(self.present[axis].start)))
        };
        (0..3).map(within).product::<u64>() * self.grid.chunk_bytes() as u64
    }

    /// What the server calls a chunk.
    fn chunk_key(&self, chunk: &ChunkIndex) -> String {
        join_key(&self.prefix, &self.keys.key(&self.axes.indices_of(chunk)))
    }

    fn shard_key(&self, shard: &ShardIndex) -> String {
        let name = self.keys.key(&self.axes.indices_of(shard));
        join_key(&self.prefix, &format!("{}{name}", self.sign()))
    }

    /// What a shard's name begins with; one of a single chunk is called as that is.
    fn sign(&self) -> &'static str {
        if self.is_single() { "" } else { SHARD }
    }

    fn is_single(&self) -> bool {
        self.grid.chunks_in_shard() == 1
    }

    /// The shard that is called `key`.
    fn shard_of(&self, key: &str) -> Option<ShardIndex> {
        self.axes.shard_at(&self.keys.parse(below(key, &self.prefix)?.strip_prefix(self.sign())?)?)
    }
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

/// A store that shows chunks as shards that nobody wrote.
#[derive(Debug)]
struct GatheredStore {
    inner: SharedStore,
    chunks: Arc<Chunks>,
}

impl GatheredStore {
    /// The chunk that a span of a shard is; `None` for what is no such span.
    fn chunk(&self, key: &str, range: &Range<u64>) -> Option<ChunkIndex> {
        let Chunks { grid, .. } = &*self.chunks;
        let length = grid.chunk_bytes() as u64;
        let shard = self.chunks.shard_of(key)?;
        let is_one = range.start.is_multiple_of(length) && range.end == range.start + length;
        let place = usize::try_from(range.start / length).ok()?;
        (is_one && place < grid.chunks_in_shard()).then(|| grid.chunk_at(&shard, place))
    }

    fn no_span(&self, key: &str) -> VolumeError {
        VolumeError::corrupt(self.describe(key), "is read in whole chunks only")
    }

    /// Checks what came of a chunk: a chunk, whole.
    fn check(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let expected = self.chunks.grid.chunk_bytes();
        if bytes.len() == expected {
            return Ok(());
        }
        let reason = format!("{} bytes came, a chunk has {expected}", bytes.len());
        Err(VolumeError::corrupt(self.inner.describe(key), reason))
    }
}

impl ReadStore for GatheredStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.chunks.shard_of(key) {
            Some(_) => Ok(Some(self.chunks.shard_size())),
            None => self.inner.size(key),
        }
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.chunks.shard_of(key).is_none() {
            return self.inner.read(key, limit);
        }
        if !self.chunks.is_single() {
            return Err(self.no_span(key));
        }
        let found = self.inner.read(key, limit)?;
        found.as_deref().map_or(Ok(()), |bytes| self.check(key, bytes))?;
        Ok(found)
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let chunk = self.chunk(key, &range).ok_or_else(|| self.no_span(key))?;
        let name = self.chunks.chunk_key(&chunk);
        let Some(bytes) = self.inner.read(&name, buffer.len() as u64)? else {
            buffer.fill(0);
            return Ok(());
        };
        self.check(&name, &bytes)?;
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        let limit = self.chunks.grid.chunk_bytes() as u64;
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        for (number, fetch) in fetches.iter().enumerate() {
            let (Origin::Key(key) | Origin::State(key, _)) = fetch.origin else { return Err(self.no_span("")) };
            check_key(key)?;
            if fetch.part == Part::Start(0) {
                let stamp = self.stamp(key)?;
                let mut nothing = Vec::new();
                take(number, stamp.map(|stamp| Found { bytes: &mut nothing, stamp: Some(stamp) }))?;
                continue;
            }
            let range = match &fetch.part {
                Part::Range(range) => range,
                Part::Whole(_) if self.chunks.is_single() => &(0..limit),
                _ => return Err(self.no_span(key)),
            };
            let chunk = self.chunk(key, range).ok_or_else(|| self.no_span(key))?;
            keys.push(self.chunks.chunk_key(&chunk));
            numbers.push(number);
        }
        let whole = |key| Fetch { origin: Origin::Key(key), part: Part::Whole(limit) };
        let wholes: Vec<Fetch<'_>> = keys.iter().map(|key| whole(key)).collect();
        self.inner.read_batch(&wholes, &|place, found| {
            if let Some(found) = &found {
                self.check(&keys[place], found.bytes)?;
            }
            take(numbers[place], found.map(|found| Found { stamp: Some(self.state()), ..found }))
        })
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }
}

impl GatheredStore {
    /// The state of every shard: nobody tells whether one has changed.
    fn state(&self) -> Stamp {
        Stamp { size: self.chunks.shard_size(), modified: None, inode: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::format::{Container, list_chunks, open_mag_in, read_region};
    use crate::geometry::Mag;
    use crate::store::MemoryStore;

    const BOX: BoundingBox = BoundingBox { topleft: [4, 0, 8], size: [20, 4, 4] };

    fn header() -> Value {
        json!({
            "zarr_format": 2, "shape": [1, 24, 4, 12], "chunks": [1, 4, 4, 4], "dtype": "<u2", "order": "F",
            "fill_value": 0, "filters": null, "compressor": null, "dimension_seperator": ".",
        })
    }

    /// A server with chunks of 4³ at x = 1 and 3, whose voxels count from their number on.
    fn server(header: &Value) -> SharedStore {
        let store = MemoryStore::default();
        store.insert("1/.zarray", header.to_string().into_bytes()).unwrap();
        for x in [1_u16, 3] {
            let chunk: Vec<u8> = (0..64).flat_map(|voxel| (x * 1000 + voxel).to_le_bytes()).collect();
            store.insert(&format!("1/0.{x}.0.2"), chunk).unwrap();
        }
        Arc::new(store)
    }

    fn location(format: DataFormat) -> MagLocation {
        let streamed = Streamed { voxel_type: VoxelType::UInt16, channels: 1, bounding_box: BOX };
        let nowhere = Container::Directory { path: "nowhere".into() };
        MagLocation { streamed: Some(Box::new(streamed)), ..MagLocation::new(Mag([1; 3]), format, nowhere, "1") }
    }

    fn voxels(array: &dyn MagArray) -> Vec<u8> {
        let region = BoundingBox { topleft: [0; 3], size: [24, 4, 12] };
        let mut out = vec![0; 24 * 4 * 12 * 2];
        read_region(array, &[], &region, &mut out).unwrap();
        out
    }

    #[test]
    fn gathered_chunks_are_those_of_the_server_and_zero_elsewhere() {
        let store = server(&header());
        let gathered = open_mag_in(Arc::clone(&store), &location(DataFormat::Zarr3)).unwrap();
        let single = crate::format::zarr::ZarrArray::open_v2(store, "1", None).unwrap();
        assert!(voxels(&*gathered) == voxels(&single));
        assert!(voxels(&*gathered).iter().any(|&byte| byte != 0));
        let singles = open_mag_in(server(&header()), &location(DataFormat::Zarr)).unwrap();
        assert!(voxels(&*singles) == voxels(&*gathered));
        assert_eq!((singles.grid().chunks_in_shard(), singles.list_shards().unwrap().shards.len()), (1, 5));
        assert_eq!(gathered.grid().chunks_per_shard, [128; 3]);
        let whole = gathered.list_shards().unwrap().shards;
        assert_eq!(whole, [(ShardIndex::xyz(0, 0, 0), 5 * 128)], "a shard of what lies in the box");
        assert_eq!(list_chunks(&*gathered).unwrap().len(), 5, "all that there may be");
        let chunks = [0, 1, 2].map(|x| gathered.read_encoded(&ChunkIndex::xyz(x, 0, 2)).unwrap().is_some());
        assert_eq!(chunks, [false, true, false]);
    }

    #[test]
    fn what_is_modelled_on_it_is_new_and_of_the_format_that_was_asked_for() {
        let store = server(&header());
        for (format, name) in
            [(DataFormat::Zarr3, "zarr.json"), (DataFormat::Wkw, "header.wkw"), (DataFormat::Zarr, ".zarray")]
        {
            let array = open_mag_in(Arc::clone(&store), &location(format)).unwrap();
            let files = array.metadata_like(VoxelType::UInt32, [600, 1, 1], &[]).unwrap();
            assert_eq!(files.len(), 1);
            assert_eq!(files[0].0, name);
            if format == DataFormat::Zarr3 {
                let metadata: Value = serde_json::from_slice(&files[0].1).unwrap();
                assert_eq!(metadata["shape"], json!([1, 1024, 512, 512]));
                assert_eq!(metadata["data_type"], "uint32");
            }
            assert!(!array.is_encoded_as_it_lies());
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let lies = [
            ("dtype", json!("<u4"), "the layer has type uint16"),
            ("dtype", json!("|S2"), "S2"),
            ("shape", json!([3, 24, 4, 12]), "with 3 channels"),
            ("compressor", json!({"id": "zstd", "level": 1}), "uncompressed"),
            ("fill_value", json!(7), "0 where nothing is stored"),
            ("chunks", json!([1, 0, 4, 4]), "chunk shape"),
            ("chunks", json!([1, 4096, 4096, 4096]), "chunk"),
            ("order", json!("X"), "order"),
            ("shape", json!([1, 24]), "axes"),
        ];
        for (key, value, expected) in lies {
            let mut header = header();
            header[key] = value;
            let error = open_mag_in(server(&header), &location(DataFormat::Zarr3)).unwrap_err().to_string();
            assert!(error.contains(expected), "{key}: {error}");
        }
    }

    #[test]
    fn a_chunk_of_another_size_is_an_error_and_named() {
        let store = MemoryStore::default();
        store.insert("1/.zarray", header().to_string().into_bytes()).unwrap();
        store.insert("1/0.1.0.2", vec![1; 127]).unwrap();
        let array = open_mag_in(Arc::new(store), &location(DataFormat::Zarr3)).unwrap();
        let error = array.read_encoded(&ChunkIndex::xyz(1, 0, 2)).unwrap_err().to_string();
        assert!(error.contains("0.1.0.2") && error.contains("127 bytes came, a chunk has 128"), "{error}");
    }

    #[test]
    fn additional_axes_are_those_of_the_header() {
        let mut header = header();
        header["shape"] = json!([1, 3, 24, 4, 12]);
        header["chunks"] = json!([1, 1, 4, 4, 4]);
        let store = MemoryStore::default();
        store.insert("1/.zarray", header.to_string().into_bytes()).unwrap();
        store.insert("1/0.2.1.0.2", vec![1; 128]).unwrap();
        let axes = ["c", "t", "x", "y", "z"].into_iter().zip(0..).map(|(name, at)| (name.to_owned(), at)).collect();
        let location = MagLocation { axis_order: Some(axes), ..location(DataFormat::Zarr3) };
        let array = open_mag_in(Arc::new(store), &location).unwrap();
        assert_eq!(
            (array.grid().extra_axes.clone(), array.list_shards().unwrap().shards.len()),
            (vec!["t".to_owned()], 3)
        );
        let at = |t| ChunkIndex { extra: vec![t].into(), xyz: [1, 0, 2] };
        assert_eq!([1, 2].map(|t| array.read_encoded(&at(t)).unwrap().is_some()), [false, true]);
        let metadata = array.metadata_like(VoxelType::UInt16, [1; 3], &[5]).unwrap().remove(0).1;
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        assert_eq!(metadata["shape"], json!([1, 5, 512, 512, 512]));
        assert_eq!(metadata["dimension_names"], json!(["c", "t", "x", "y", "z"]));
    }
}
