//! The index of a shard, and writers of shards and of single chunks.

use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use super::axes::{Axes, Axis};
use super::chain::check_crc32c;
use super::codecs::Sharding;
use crate::error::{Result, VolumeError};
use crate::format::{ShardFile, ShardWriter, joined};
use crate::geometry::ChunkGrid;
use crate::store::Part;

/// Offset and length of a chunk that is not there.
const ABSENT: u64 = u64::MAX;
const ENTRY_LENGTH: u64 = 16;
const CHECKSUM_LENGTH: u64 = 4;

/// Where a shard keeps its index, and in which order.
#[derive(Clone, Debug)]
pub(super) struct ShardLayout {
    index_at_start: bool,
    index_has_checksum: bool,
    /// Places in the order of the index.
    order: Arc<[u32]>,
}

impl ShardLayout {
    pub(super) fn new(sharding: &Sharding, axes: &Axes, grid: &ChunkGrid) -> Self {
        let spatial = sharding.order.iter().filter_map(|&place| match axes.axis(place) {
            Axis::Space(space) => Some(space),
            Axis::Channel | Axis::Extra(_) => None,
        });
        Self {
            index_at_start: sharding.index_at_start,
            index_has_checksum: sharding.index_has_checksum,
            order: places_in_index_order(&spatial.collect::<Vec<_>>(), grid.chunks_per_shard).into(),
        }
    }

    /// Where in a file the index lies.
    pub(super) fn index_part(&self) -> Part {
        let length = self.index_length();
        if self.index_at_start { Part::Start(length) } else { Part::End(length) }
    }

    /// Where the index lies in a file of `size` bytes.
    pub(super) fn index_range(&self, size: u64) -> Result<Range<u64>, String> {
        let length = self.index_length();
        if size < length {
            return Err(format!("has {size} bytes, its shard index alone needs {length}"));
        }
        Ok(self.index_part().range(size))
    }

    /// Reads the index of a file of `size` bytes into the byte range of every place.
    pub(super) fn parse(&self, index: &[u8], size: u64, longest: u64) -> Result<Vec<Option<Range<u64>>>, String> {
        let entries = if self.index_has_checksum {
            check_crc32c(index).map_err(|reason| format!("the bytes of its shard index {reason}"))?
        } else {
            index
        };
        let mut spans = vec![None; self.order.len()];
        for (&place, entry) in self.order.iter().zip(entries.chunks_exact(ENTRY_LENGTH as usize)) {
            let [offset, length] =
                [0, 8].map(|at| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap_or_default()));
            if offset == ABSENT && length == ABSENT {
                continue;
            }
            let end = offset.checked_add(length).filter(|&end| end <= size && length <= longest);
            let end = end.ok_or_else(|| {
                format!("its index puts {length} bytes of chunk {place} at byte {offset} of {size} (at most {longest})")
            })?;
            spans[place as usize] = Some(offset..end);
        }
        Ok(spans)
    }

    fn index_length(&self) -> u64 {
        self.order.len() as u64 * ENTRY_LENGTH + if self.index_has_checksum { CHECKSUM_LENGTH } else { 0 }
    }

    /// The bytes that say where the chunks are, given in the order of the index.
    fn index_bytes(&self, spans: &[Option<Range<u64>>]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.index_length() as usize);
        for span in spans {
            let (offset, length) = span.as_ref().map_or((ABSENT, ABSENT), |span| (span.start, span.end - span.start));
            bytes.extend(offset.to_le_bytes());
            bytes.extend(length.to_le_bytes());
        }
        if self.index_has_checksum {
            bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        }
        bytes
    }
}

/// Places (x fastest) of a shard's chunks, as they come with the last of the axes `order` fastest.
fn places_in_index_order(order: &[usize], chunks: [u32; 3]) -> Vec<u32> {
    let strides = [1, chunks[0], chunks[0] * chunks[1]];
    let mut places = vec![0];
    for &axis in order {
        let along = |place: u32| (0..chunks[axis]).map(move |index| place + index * strides[axis]);
        places = places.into_iter().flat_map(along).collect();
    }
    places
}

/// A shard under construction: encoded chunks in any order, and the index before or behind them.
pub(super) struct ZarrShardWriter<'f> {
    file: &'f mut dyn ShardFile,
    layout: ShardLayout,
    /// Places in the order in which they are written.
    order: Arc<[u32]>,
    position: u64,
    /// Where the chunks so far lie, as they were written.
    spans: Vec<Option<Range<u64>>>,
}

impl<'f> ZarrShardWriter<'f> {
    pub(super) fn start(file: &'f mut dyn ShardFile, layout: ShardLayout) -> Result<Self> {
        let mut position = 0;
        if layout.index_at_start {
            position = layout.index_length();
            file.write_all(&vec![0; position as usize]).map_err(|error| fault(file, error))?;
        }
        let order = Arc::clone(&layout.order);
        Ok(Self { file, position, spans: Vec::with_capacity(order.len()), order, layout })
    }

    fn place(&mut self, length: Option<u64>) -> Result<()> {
        if self.spans.len() == self.layout.order.len() {
            return Err(VolumeError::Mismatch(format!("a shard takes {} chunks, not more", self.spans.len())));
        }
        self.spans.push(length.map(|length| self.position..self.position + length));
        self.position += length.unwrap_or(0);
        Ok(())
    }
}

impl ShardWriter for ZarrShardWriter<'_> {
    fn order(&self) -> &[u32] {
        &self.order
    }

    fn prefer_order(&mut self, places: Vec<u32>) -> Result<()> {
        let mut sorted = places.clone();
        sorted.sort_unstable();
        let each_once = sorted.iter().copied().eq(0..self.layout.order.len() as u32);
        if !each_once || !self.spans.is_empty() {
            return Err(VolumeError::Mismatch("an order has every place once and comes before the chunks".to_owned()));
        }
        self.order = places.into();
        Ok(())
    }

    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()> {
        self.place(encoded.map(|bytes| bytes.len() as u64))?;
        self.file.write_all(encoded.unwrap_or_default()).map_err(|error| fault(self.file, error))
    }

    fn append_run(&mut self, source: &mut File, spans: &[Range<u64>]) -> Result<()> {
        let Some(run) = joined(spans)? else { return Ok(()) };
        for span in spans {
            self.place(Some(span.end - span.start))?;
        }
        self.file.append_from(source, run).map_err(|error| fault(self.file, error))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let (written, chunks) = (self.spans.len(), self.layout.order.len());
        if written != chunks {
            return Err(VolumeError::Mismatch(format!("a shard takes {chunks} chunks, only {written} were written")));
        }
        let mut by_place = vec![None; chunks];
        for (&place, span) in self.order.iter().zip(&self.spans) {
            by_place[place as usize].clone_from(span);
        }
        let in_index: Vec<_> = self.layout.order.iter().map(|&place| by_place[place as usize].clone()).collect();
        let index = self.layout.index_bytes(&in_index);
        if self.layout.index_at_start {
            self.file.seek(SeekFrom::Start(0)).map_err(|error| fault(self.file, error))?;
        }
        self.file.write_all(&index).map_err(|error| fault(self.file, error))?;
        self.file.seek(SeekFrom::End(0)).map_err(|error| fault(self.file, error))?;
        self.file.flush().map_err(|error| fault(self.file, error))
    }
}

/// A file that is one chunk.
pub(super) struct SingleChunkWriter<'f> {
    pub(super) file: &'f mut dyn ShardFile,
    pub(super) written: bool,
}

impl SingleChunkWriter<'_> {
    fn place(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.written, true) {
            return Err(VolumeError::Mismatch("a file without shard index takes one chunk, not more".to_owned()));
        }
        Ok(())
    }
}

impl ShardWriter for SingleChunkWriter<'_> {
    fn order(&self) -> &[u32] {
        &[0]
    }

    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()> {
        self.place()?;
        let absent = || VolumeError::Mismatch("an absent chunk has no file; leave it out".to_owned());
        self.file.write_all(encoded.ok_or_else(absent)?).map_err(|error| fault(self.file, error))
    }

    fn append_run(&mut self, source: &mut File, spans: &[Range<u64>]) -> Result<()> {
        for span in spans {
            self.place()?;
            self.file.append_from(source, span.clone()).map_err(|error| fault(self.file, error))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if !self.written {
            return Err(VolumeError::Mismatch(
                "a file without shard index takes one chunk, none was written".to_owned(),
            ));
        }
        self.file.flush().map_err(|error| fault(self.file, error))
    }
}

fn fault(file: &dyn ShardFile, source: std::io::Error) -> VolumeError {
    VolumeError::io(file.name(), source)
}
