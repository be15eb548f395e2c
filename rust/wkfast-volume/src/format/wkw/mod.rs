//! WKW: one file per cube of blocks, named `z<Z>/y<Y>/x<X>.wkw`, beside a `header.wkw`.
//!
//! A file is a header, for compressed blocks a table of where each ends, and the blocks in Morton order. There is no
//! checksum, so every number of the table is checked against the others and the file's size.

mod codec;
mod header;
mod labels;
mod morton;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use self::codec::{BlockCodec, longest_lz4_block};
pub use self::header::{BlockType, Header};
use self::writer::WkwWriter;
use super::{
    ChunkCodec, DataFormat, EncodedChunk, IndexFile, Listing, MagArray, SeenMetadata, ShardFile, ShardIndexTable,
    ShardWriter, StoredArray, join_key, rewritten,
};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkGrid, ChunkIndex, ShardIndex};
use crate::store::{Entry, Part, SharedStore, list};
use crate::voxels::VoxelType;

/// A mag in WKW.
#[derive(Debug)]
pub struct WkwArray {
    store: SharedStore,
    prefix: String,
    header: Header,
    grid: ChunkGrid,
    codec: Arc<dyn ChunkCodec>,
    /// Places in file order.
    order: Arc<[u32]>,
    /// File order of places: the inverse of `order`.
    ranks: Vec<u32>,
    seen: SeenMetadata,
}

impl WkwArray {
    /// Opens the mag below `prefix`; where `header.wkw` is missing, a data file tells what it would.
    pub fn open(store: SharedStore, prefix: &str) -> Result<Self> {
        let key = join_key(prefix, DataFormat::Wkw.metadata_name());
        let (key, bytes) = match store.read(&key, header::MAX_HEADER_BYTES)? {
            Some(bytes) => (key, bytes),
            None => first_data_header(&store, prefix)?,
        };
        let header = Header::parse(&bytes).map_err(|reason| VolumeError::corrupt(store.describe(&key), reason))?;
        Ok(Self::with_header(store, prefix, header))
    }

    /// A mag of which only the header is known, for writing.
    pub fn with_header(store: SharedStore, prefix: &str, header: Header) -> Self {
        let order = morton::places_in_file_order(header.log2_file_edge);
        let mut ranks = vec![0; order.len()];
        for (rank, &place) in order.iter().enumerate() {
            ranks[place as usize] = rank as u32;
        }
        let grid = ChunkGrid {
            voxel_type: header.voxel_type,
            channels: header.channels.into(),
            chunk_shape: [1 << header.log2_block_edge; 3],
            chunks_per_shard: [1 << header.log2_file_edge; 3],
            extra_axes: Vec::new(),
        };
        let codec = Arc::new(BlockCodec::new(&header));
        Self {
            store,
            prefix: prefix.to_owned(),
            header,
            grid,
            codec,
            order: order.into(),
            ranks,
            seen: SeenMetadata::default(),
        }
    }

    /// What `header.wkw` says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn corrupt(&self, key: &str, reason: impl Into<String>) -> VolumeError {
        VolumeError::corrupt(self.store.describe(key), reason)
    }

    /// The header of a data file, which must fit the mag's.
    fn data_header(&self, key: &str, bytes: &[u8]) -> Result<Header> {
        let header = Header::parse(bytes).map_err(|reason| self.corrupt(key, reason))?;
        if !header.same_grid(&self.header) {
            return Err(self.corrupt(key, format!("its header {header:?} does not fit its mag's {:?}", self.header)));
        }
        if header.data_offset < header.packed_data_offset() {
            let reason = format!("its blocks start at byte {}, within the header", header.data_offset);
            return Err(self.corrupt(key, reason));
        }
        Ok(header)
    }

    fn codec_of(&self, header: &Header) -> Arc<dyn ChunkCodec> {
        if header.block_type == self.header.block_type {
            return Arc::clone(&self.codec);
        }
        Arc::new(BlockCodec::new(header))
    }

    /// Where the blocks of a file lie, in file order.
    fn block_spans(&self, key: &str, header: &Header, size: u64, table: &[u8]) -> Result<Vec<Range<u64>>> {
        if header.block_type == BlockType::Raw {
            return self.raw_spans(key, header, size);
        }
        let longest = longest_lz4_block(header.block_bytes());
        let mut start = header.data_offset;
        let mut spans = Vec::with_capacity(header.blocks());
        for (block, end) in table.chunks_exact(8).enumerate() {
            let end = u64::from_le_bytes(end.try_into().unwrap_or_default());
            if end < start || end > size || end - start > longest {
                let reason = format!("block {block} of its table spans bytes {start} to {end} of {size}");
                return Err(self.corrupt(key, reason));
            }
            spans.push(start..end);
            start = end;
        }
        if start != size {
            return Err(self.corrupt(key, format!("has {size} bytes, its table ends at {start}")));
        }
        Ok(spans)
    }

    fn raw_spans(&self, key: &str, header: &Header, size: u64) -> Result<Vec<Range<u64>>> {
        let length = header.block_bytes();
        let needed = header.data_offset.saturating_add(length * header.blocks() as u64);
        if size < needed {
            return Err(
                self.corrupt(key, format!("has {size} bytes, its {} raw blocks need {needed}", header.blocks()))
            );
        }
        Ok((0..header.blocks() as u64)
            .map(|block| header.data_offset + block * length)
            .map(|at| at..at + length)
            .collect())
    }

    /// Bytes of a file before its blocks, refused where the file is too short to hold them.
    fn table_length(&self, key: &str, header: &Header, size: u64) -> Result<u64> {
        let length = header.packed_data_offset();
        if size < length.max(header.data_offset) {
            return Err(self.corrupt(key, format!("has {size} bytes, its header and table need {length}")));
        }
        Ok(length)
    }
}

impl MagArray for WkwArray {
    fn check_current(&self) -> Result<()> {
        let key = join_key(&self.prefix, DataFormat::Wkw.metadata_name());
        self.seen.check(&self.store, &key, || {
            let Some(bytes) = self.store.read(&key, header::MAX_HEADER_BYTES)? else { return Ok(()) };
            let now = Header::parse(&bytes).map_err(|reason| self.corrupt(&key, reason))?;
            let same = now.same_grid(&self.header) && now.block_type == self.header.block_type;
            if same { Ok(()) } else { Err(rewritten(self.store.describe(&key))) }
        })
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
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

    fn codec(&self) -> &Arc<dyn ChunkCodec> {
        &self.codec
    }

    fn shard_key(&self, shard: &ShardIndex) -> String {
        let [x, y, z] = shard.xyz;
        join_key(&self.prefix, &format!("z{z}/y{y}/x{x}.wkw"))
    }

    fn list_shards(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for Entry { key, size } in list(&*self.store, &join_key(&self.prefix, ""))? {
            match parse_key(&key, &self.prefix).filter(|shard| self.grid.has_room_for(shard)) {
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

    fn metadata_like(&self, voxel_type: VoxelType, _: [u64; 3], _: &[u64]) -> Result<Vec<(String, Vec<u8>)>> {
        let header = Header { voxel_type, data_offset: 0, ..self.header };
        if self.header.channels.checked_mul(voxel_type.size() as u8).is_none() {
            let what = format!("WKW cannot hold {} channels of {}", self.header.channels, voxel_type.name());
            return Err(VolumeError::Unsupported { file: self.store.describe(&self.prefix), what });
        }
        Ok(vec![(DataFormat::Wkw.metadata_name().to_owned(), header.to_bytes().to_vec())])
    }

    fn shard_writer<'f>(&self, file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>> {
        Ok(Box::new(WkwWriter::start(file, self.header, Arc::clone(&self.codec), Arc::clone(&self.order))?))
    }
}

impl StoredArray for WkwArray {
    fn is_indexed(&self) -> bool {
        self.header.blocks() > 1
    }

    fn index_part(&self) -> Part {
        let header = header::HEADER_LENGTH as u64;
        Part::Start(if self.header.block_type == BlockType::Raw { header } else { self.header.packed_data_offset() })
    }

    fn parse_index(&self, file: &IndexFile<'_>) -> Result<ShardIndexTable> {
        let (key, size) = (file.key, file.size);
        if size < header::HEADER_LENGTH as u64 {
            return Err(self.corrupt(key, format!("has {size} bytes, a WKW header alone has 16")));
        }
        let header = self.data_header(key, &file.read_range(0..header::HEADER_LENGTH as u64)?)?;
        let table_end = self.table_length(key, &header, size)?;
        let table = file.read_range(header::HEADER_LENGTH as u64..table_end)?;
        let blocks = self.block_spans(key, &header, size, &table)?;
        let spans = self.ranks.iter().map(|&rank| Some(blocks[rank as usize].clone())).collect();
        Ok(ShardIndexTable { codec: self.codec_of(&header), key: key.to_owned(), spans })
    }

    fn longest_file(&self) -> u64 {
        header::MAX_HEADER_BYTES + longest_lz4_block(self.header.block_bytes())
    }

    fn chunk_in_file(&self, key: &str, bytes: &[u8]) -> Result<(Arc<dyn ChunkCodec>, Range<usize>)> {
        let header = self.data_header(key, bytes)?;
        let size = bytes.len() as u64;
        let table_end = self.table_length(key, &header, size)?;
        let spans = self.block_spans(key, &header, size, &bytes[header::HEADER_LENGTH..table_end as usize])?;
        Ok((self.codec_of(&header), spans[0].start as usize..spans[0].end as usize))
    }
}

/// Bytes from the start of any data file of the mag.
fn first_data_header(store: &SharedStore, prefix: &str) -> Result<(String, Vec<u8>)> {
    let entries = list(&**store, &join_key(prefix, ""))?;
    let first = entries
        .into_iter()
        .filter(|entry| entry.size > 0 && parse_key(&entry.key, prefix).is_some())
        .min_by(|a, b| a.key.cmp(&b.key));
    let Some(Entry { key, size }) = first else {
        let what = store.describe(&join_key(prefix, DataFormat::Wkw.metadata_name()));
        return Err(VolumeError::Missing { what, hint: "there is no WKW data beside it either".to_owned() });
    };
    let bytes = store.read_range(&key, 0..size.min(header::HEADER_LENGTH as u64))?;
    Ok((key, bytes))
}

/// The shard that `key` names, `None` if it names none, as `header.wkw` or `x0.wkw_tmp`.
pub(super) fn parse_key(key: &str, prefix: &str) -> Option<ShardIndex> {
    let rest = if prefix.is_empty() { key } else { key.strip_prefix(prefix)?.strip_prefix('/')? };
    let mut parts = rest.split('/');
    let z = parts.next()?.strip_prefix('z')?;
    let y = parts.next()?.strip_prefix('y')?;
    let x = parts.next()?.strip_prefix('x')?.strip_suffix(".wkw")?;
    if parts.next().is_some() {
        return None;
    }
    Some(ShardIndex::xyz(super::parse_index(x)?, super::parse_index(y)?, super::parse_index(z)?))
}
