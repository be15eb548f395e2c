//! Single blocks: raw or LZ4, without frame or size.

use lz4::block::{CompressionMode, compress, decompress_to_buffer};

use super::header::BlockType;
use crate::format::ChunkCodec;

/// The `wkw` library writes with 9. On painted segmentations 6 is four times as fast (120 against 30 MB/s) and the
/// result 8 % longer, where plain LZ4 makes it three times as long.
const HIGH_COMPRESSION: i32 = 6;

/// Codec of one block type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockCodec(pub(super) BlockType);

/// No LZ4 block of `decoded` bytes is longer; see `LZ4_compressBound`.
pub(super) fn longest_lz4_block(decoded: u64) -> u64 {
    decoded + decoded / 255 + 16
}

impl ChunkCodec for BlockCodec {
    fn encoding(&self) -> &str {
        match self.0 {
            BlockType::Raw => "raw",
            BlockType::Lz4 | BlockType::Lz4Hc => "lz4 block",
        }
    }

    fn is_compressed(&self) -> bool {
        self.0 != BlockType::Raw
    }

    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String> {
        let decoded = match self.0 {
            BlockType::Raw => {
                if encoded.len() == voxels.len() {
                    voxels.copy_from_slice(encoded);
                }
                encoded.len()
            }
            BlockType::Lz4 | BlockType::Lz4Hc => {
                let size = i32::try_from(voxels.len()).map_err(|error| error.to_string())?;
                decompress_to_buffer(encoded, Some(size), voxels)
                    .map_err(|_| format!("{} bytes are no LZ4 block of {size} bytes", encoded.len()))?
            }
        };
        if decoded == voxels.len() { Ok(()) } else { Err(format!("{decoded} bytes instead of {}", voxels.len())) }
    }

    fn encode(&self, voxels: &[u8]) -> Result<Vec<u8>, String> {
        let mode = match self.0 {
            BlockType::Raw => return Ok(voxels.to_vec()),
            BlockType::Lz4 => CompressionMode::DEFAULT,
            BlockType::Lz4Hc => CompressionMode::HIGHCOMPRESSION(HIGH_COMPRESSION),
        };
        compress(voxels, Some(mode), false).map_err(|error| error.to_string())
    }
}
