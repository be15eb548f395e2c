//! Writes a WKW file. WKW knows no absent block, so an absent chunk is written as zeros.

use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use super::header::{BlockType, Header};
use crate::error::{Result, VolumeError};
use crate::format::{ChunkCodec, ShardFile, ShardWriter};

/// A WKW file under construction: header, room for the table of block ends, blocks.
pub(super) struct WkwWriter<'f> {
    file: &'f mut dyn ShardFile,
    header: Header,
    codec: Arc<dyn ChunkCodec>,
    order: Arc<[u32]>,
    /// Where each block written so far ends.
    ends: Vec<u64>,
    /// An encoded block of zeros, once one was needed.
    zeros: Option<Vec<u8>>,
}

impl<'f> WkwWriter<'f> {
    pub(super) fn start(
        file: &'f mut dyn ShardFile,
        header: Header,
        codec: Arc<dyn ChunkCodec>,
        order: Arc<[u32]>,
    ) -> Result<Self> {
        let header = Header { data_offset: header.packed_data_offset(), ..header };
        let mut start = vec![0; header.data_offset as usize];
        start[..16].copy_from_slice(&header.to_bytes());
        file.write_all(&start).map_err(|error| fault(file, error))?;
        let ends = Vec::with_capacity(header.blocks());
        Ok(Self { file, header, codec, order, ends, zeros: None })
    }

    fn place(&mut self, length: u64) -> Result<()> {
        if self.ends.len() == self.header.blocks() {
            return Err(VolumeError::Mismatch(format!("a WKW file takes {} blocks, not more", self.ends.len())));
        }
        if self.header.block_type == BlockType::Raw && length != self.header.block_bytes() {
            let expected = self.header.block_bytes();
            return Err(VolumeError::Mismatch(format!("a raw block has {expected} bytes, not {length}")));
        }
        let end = self.ends.last().copied().unwrap_or(self.header.data_offset) + length;
        self.ends.push(end);
        Ok(())
    }

    fn append_zeros(&mut self) -> Result<()> {
        let zeros = match self.zeros.take() {
            Some(zeros) => zeros,
            None => self.codec.encode(&vec![0; self.header.block_bytes() as usize]).map_err(VolumeError::Mismatch)?,
        };
        self.place(zeros.len() as u64)?;
        self.file.write_all(&zeros).map_err(|error| fault(self.file, error))?;
        self.zeros = Some(zeros);
        Ok(())
    }
}

impl ShardWriter for WkwWriter<'_> {
    fn order(&self) -> &[u32] {
        &self.order
    }

    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()> {
        let Some(encoded) = encoded else { return self.append_zeros() };
        self.place(encoded.len() as u64)?;
        self.file.write_all(encoded).map_err(|error| fault(self.file, error))
    }

    fn append_run(&mut self, source: &mut File, spans: &[Range<u64>]) -> Result<()> {
        let Some(run) = super::super::joined(spans)? else { return Ok(()) };
        for span in spans {
            self.place(span.end - span.start)?;
        }
        self.file.append_from(source, run).map_err(|error| fault(self.file, error))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.ends.len() != self.header.blocks() {
            let (written, blocks) = (self.ends.len(), self.header.blocks());
            return Err(VolumeError::Mismatch(format!(
                "a WKW file takes {blocks} blocks, only {written} were written"
            )));
        }
        if self.header.block_type != BlockType::Raw {
            let table: Vec<u8> = self.ends.iter().flat_map(|end| end.to_le_bytes()).collect();
            self.file.seek(SeekFrom::Start(16)).map_err(|error| fault(self.file, error))?;
            self.file.write_all(&table).map_err(|error| fault(self.file, error))?;
            self.file.seek(SeekFrom::End(0)).map_err(|error| fault(self.file, error))?;
        }
        self.file.flush().map_err(|error| fault(self.file, error))
    }
}

fn fault(file: &dyn ShardFile, source: std::io::Error) -> VolumeError {
    VolumeError::io(file.name(), source)
}
