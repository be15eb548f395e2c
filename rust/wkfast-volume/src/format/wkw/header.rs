//! The 16 bytes at the start of `header.wkw` and of every data file.
//!
//! Source: the WKW file format of scalable minds, and files of the `wkw` library for the voxel types 7 to 10.

use crate::voxels::VoxelType;

/// Bytes of a header.
pub(super) const HEADER_LENGTH: usize = 16;
const MAGIC: [u8; 3] = *b"WKW";
const VERSION: u8 = 1;
/// A block is decoded whole, so its size is bounded: 512³ voxels of 8 bytes.
const MAX_BLOCK_BYTES: u64 = 1 << 30;
/// Far more than a header takes: `header.wkw` is nothing else.
pub(super) const MAX_HEADER_BYTES: u64 = 4096;
/// Files of 64³ blocks have 262,144 of them; more than 2^24 is no sane file.
const MAX_LOG2_BLOCKS_EDGE: u8 = 8;

/// How the blocks of a file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockType {
    /// Not at all.
    Raw,
    /// LZ4.
    Lz4,
    /// LZ4 by its slower, stronger encoder; the decoder is the same.
    Lz4Hc,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Compression of blocks.
    pub block_type: BlockType,
    /// Type of one value.
    pub voxel_type: VoxelType,
    /// Values per voxel.
    pub channels: u8,
    /// Base-2 logarithm of the edge of a block, in voxels.
    pub log2_block_edge: u8,
    /// Base-2 logarithm of the edge of a file, in blocks.
    pub log2_file_edge: u8,
    /// Where the first block starts; 0 in `header.wkw`.
    pub data_offset: u64,
}

impl Header {
    /// Reads and checks the first 16 of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some((bytes, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(format!("a WKW header has 16 bytes, found {}", bytes.len()));
        };
        if bytes[..3] != MAGIC {
            return Err(format!("starts with {:?}, a WKW file with \"WKW\"", String::from_utf8_lossy(&bytes[..3])));
        }
        if bytes[3] != VERSION {
            return Err(format!("has WKW version {}, known is {VERSION}", bytes[3]));
        }
        let voxel_type = voxel_type(bytes[6])?;
        let header = Self {
            block_type: block_type(bytes[5])?,
            voxel_type,
            channels: channels(bytes[7], voxel_type)?,
            log2_block_edge: bytes[4] & 15,
            log2_file_edge: bytes[4] >> 4,
            data_offset: u64::from_le_bytes(bytes[8..].try_into().unwrap_or_default()),
        };
        header.check_size()?;
        Ok(header)
    }

    /// The 16 bytes that say this.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..3].copy_from_slice(&MAGIC);
        bytes[3] = VERSION;
        bytes[4] = self.log2_file_edge << 4 | self.log2_block_edge;
        bytes[5] = 1 + self.block_type as u8;
        bytes[6] = self.voxel_type.wkw_code();
        bytes[7] = self.channels * self.voxel_type.size() as u8;
        bytes[8..].copy_from_slice(&self.data_offset.to_le_bytes());
        bytes
    }

    /// Number of blocks in a file.
    pub fn blocks(&self) -> usize {
        1 << (3 * self.log2_file_edge)
    }

    /// Bytes of a decoded block.
    pub fn block_bytes(&self) -> u64 {
        (u64::from(self.channels) * self.voxel_type.size() as u64) << (3 * self.log2_block_edge)
    }

    /// Where the blocks of a file start that wkfast writes: behind the header and the table of block ends.
    pub(super) fn packed_data_offset(&self) -> u64 {
        let table = if self.block_type == BlockType::Raw { 0 } else { 8 * self.blocks() };
        (HEADER_LENGTH + table) as u64
    }

    /// Whether blocks of two files fit into the same grid.
    pub(super) fn same_grid(&self, other: &Self) -> bool {
        let grid = |header: &Self| (header.voxel_type, header.channels, header.log2_block_edge, header.log2_file_edge);
        grid(self) == grid(other)
    }

    fn check_size(&self) -> Result<(), String> {
        if self.block_bytes() > MAX_BLOCK_BYTES {
            return Err(format!("declares blocks of {} bytes, at most {MAX_BLOCK_BYTES} are read", self.block_bytes()));
        }
        if self.log2_file_edge > MAX_LOG2_BLOCKS_EDGE {
            return Err(format!("declares 2^{} blocks in a file, at most 2^24 are read", 3 * self.log2_file_edge));
        }
        Ok(())
    }
}

fn block_type(number: u8) -> Result<BlockType, String> {
    match number {
        1 => Ok(BlockType::Raw),
        2 => Ok(BlockType::Lz4),
        3 => Ok(BlockType::Lz4Hc),
        other => Err(format!("has WKW block type {other}, known are 1 to 3")),
    }
}

fn voxel_type(number: u8) -> Result<VoxelType, String> {
    VoxelType::from_wkw_code(number).ok_or_else(|| format!("has WKW voxel type {number}, known are 1 to 10"))
}

fn channels(voxel_bytes: u8, voxel_type: VoxelType) -> Result<u8, String> {
    let size = voxel_type.size() as u8;
    if voxel_bytes == 0 || !voxel_bytes.is_multiple_of(size) {
        return Err(format!("has {voxel_bytes} bytes per voxel, no multiple of {}'s {size}", voxel_type.name()));
    }
    Ok(voxel_bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: [u8; 16] = *b"WKW\x01\x05\x02\x03\x04\0\0\0\0\0\0\0\0";

    #[test]
    fn the_header_of_a_downloaded_volume_reads_as_documented() {
        let header = Header::parse(&REAL).unwrap();
        assert_eq!((header.block_type, header.voxel_type, header.channels), (BlockType::Lz4, VoxelType::UInt32, 1));
        assert_eq!((header.log2_block_edge, header.log2_file_edge, header.blocks()), (5, 0, 1));
        assert_eq!(header.block_bytes(), 131_072);
        assert_eq!(header.to_bytes(), REAL);
    }

    #[test]
    fn all_voxel_types_and_block_types_round_trip() {
        for (voxel, block, channels) in
            (1..=10).flat_map(|voxel| (1..=3).map(move |block| (voxel, block, voxel % 3 + 1)))
        {
            let mut bytes = REAL;
            let size = VoxelType::from_wkw_code(voxel).unwrap().size() as u8;
            (bytes[4], bytes[5], bytes[6], bytes[7]) = (0x53, block, voxel, size * channels);
            let header = Header::parse(&bytes).unwrap();
            assert_eq!((header.to_bytes(), header.channels), (bytes, channels));
        }
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_its_reason() {
        let wrong = [
            (0, b'X', "starts with"),
            (3, 2, "version 2"),
            (4, 0x0f, "blocks of"),
            (4, 0x95, "2^27 blocks"),
            (5, 0, "block type 0"),
            (5, 4, "block type 4"),
            (6, 0, "voxel type 0"),
            (6, 11, "voxel type 11"),
            (7, 0, "0 bytes per voxel"),
            (7, 6, "6 bytes per voxel"),
        ];
        for (at, value, reason) in wrong {
            let mut bytes = REAL;
            bytes[at] = value;
            let error = Header::parse(&bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(Header::parse(&REAL[..15]).unwrap_err().contains("found 15"));
    }
}
