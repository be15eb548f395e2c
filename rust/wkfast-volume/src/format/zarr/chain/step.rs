//! Bytes-to-bytes codecs. Each decodes into a buffer of known size, so that no file can make it inflate without bound.

use std::cell::RefCell;
use std::io::Read;

use flate2::Compression;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, compress_bound, find_frame_compressed_size, get_error_name, get_frame_content_size};

use super::blosc::{self, Blosc, blosc_size};

/// One codec and what its encoder is told.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::format::zarr) enum CodecStep {
    Zstd { level: i32, checksum: bool },
    Gzip { level: u32 },
    Zlib { level: u32 },
    Blosc(Blosc),
    Crc32c,
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    /// Room for the longest frame that may come out: frames that wait to be written have no more than their length.
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

impl CodecStep {
    /// What a decoder must know of it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Zstd { .. } => "zstd",
            Self::Gzip { .. } => "gzip",
            Self::Zlib { .. } => "zlib",
            Self::Blosc(_) => "blosc",
            Self::Crc32c => "crc32c",
        }
    }

    /// Decodes `encoded` into exactly `decoded`.
    pub(super) fn decode(&self, encoded: &[u8], decoded: &mut [u8]) -> Result<(), String> {
        match self {
            Self::Zstd { .. } => exactly(decode_zstd(encoded, decoded)?, decoded.len()),
            Self::Gzip { .. } => decode_reader(MultiGzDecoder::new(encoded), decoded),
            Self::Zlib { .. } => decode_reader(ZlibDecoder::new(encoded), decoded),
            Self::Blosc(_) => blosc::decode(encoded, decoded),
            Self::Crc32c => {
                let bytes = check_crc32c(encoded)?;
                exactly(bytes.len(), decoded.len())?;
                decoded.copy_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Decodes `encoded` where the size is not known, as between two codecs, but not beyond `limit`.
    pub(super) fn decode_up_to(&self, encoded: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Zstd { .. } => read_zstd_up_to(encoded, limit),
            Self::Gzip { .. } => read_up_to(MultiGzDecoder::new(encoded), limit),
            Self::Zlib { .. } => read_up_to(ZlibDecoder::new(encoded), limit),
            Self::Crc32c => check_crc32c(encoded).map(<[u8]>::to_vec),
            Self::Blosc(_) => {
                let size = blosc_size(encoded).ok_or("are no blosc data")?;
                if size > limit {
                    return Err(format!("inflate to {size} bytes, at most {limit} are expected"));
                }
                let mut decoded = vec![0; size];
                blosc::decode(encoded, &mut decoded)?;
                Ok(decoded)
            }
        }
    }

    pub(super) fn encode(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Zstd { level, checksum } => encode_zstd(bytes, *level, *checksum),
            Self::Gzip { level } => {
                read_up_to(flate2::bufread::GzEncoder::new(bytes, Compression::new(*level)), usize::MAX)
            }
            Self::Zlib { level } => {
                read_up_to(flate2::bufread::ZlibEncoder::new(bytes, Compression::new(*level)), usize::MAX)
            }
            Self::Blosc(blosc) => blosc.encode(bytes),
            Self::Crc32c => Ok([bytes, &crc32c::crc32c(bytes).to_le_bytes()].concat()),
        }
    }
}

fn decode_zstd(encoded: &[u8], decoded: &mut [u8]) -> Result<usize, String> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new().map_err(text)?),
        };
        decompressor.decompress_to_buffer(encoded, decoded).map_err(text)
    })
}

/// Reads frames one by one: as a stream, an empty last block ends a frame before the size that it states, without an error.
fn read_zstd_up_to(mut encoded: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::new();
    while !encoded.is_empty() {
        let length = find_frame_compressed_size(encoded).map_err(|code| get_error_name(code).to_owned())?;
        let (frame, rest) = encoded.split_at(length);
        if !is_skippable(frame) {
            let reader = zstd::Decoder::with_buffer(frame).map_err(text)?.single_frame();
            let content = read_up_to(reader, limit - decoded.len())?;
            if let Some(stated) = get_frame_content_size(frame).map_err(|_| "state no size".to_owned())? {
                exactly(content.len(), usize::try_from(stated).unwrap_or(usize::MAX))?;
            }
            decoded.extend(content);
        }
        encoded = rest;
    }
    Ok(decoded)
}

/// Whether a frame of zstd holds something else than data (RFC 8878, 3.1.2).
fn is_skippable(frame: &[u8]) -> bool {
    frame.first_chunk().is_some_and(|magic| u32::from_le_bytes(*magic) & !0xf == 0x184d_2a50)
}

fn encode_zstd(bytes: &[u8], level: i32, checksum: bool) -> Result<Vec<u8>, String> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(level).map_err(text)?),
        };
        compressor.set_compression_level(level).map_err(text)?;
        compressor.set_parameter(CParameter::ChecksumFlag(checksum)).map_err(text)?;
        ENCODED.with_borrow_mut(|encoded| {
            encoded.clear();
            encoded.reserve(compress_bound(bytes.len()));
            compressor.compress_to_buffer(bytes, encoded).map_err(text)?;
            Ok(encoded.clone())
        })
    })
}

fn decode_reader(mut reader: impl Read, decoded: &mut [u8]) -> Result<(), String> {
    reader.read_exact(decoded).map_err(|error| format!("do not inflate to {} bytes: {error}", decoded.len()))?;
    match reader.read(&mut [0]).map_err(text)? {
        0 => Ok(()),
        _ => Err(format!("inflate to more than {} bytes", decoded.len())),
    }
}

fn read_up_to(reader: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() > limit { Err(format!("inflate to more than {limit} bytes")) } else { Ok(bytes) }
}

pub(in crate::format::zarr) fn check_crc32c(bytes: &[u8]) -> Result<&[u8], String> {
    let (content, sum) = bytes.split_last_chunk::<4>().ok_or("are too short for a checksum")?;
    let (found, stated) = (crc32c::crc32c(content), u32::from_le_bytes(*sum));
    if found == stated { Ok(content) } else { Err(format!("have the checksum {found:08x}, stated is {stated:08x}")) }
}

pub(super) fn exactly(found: usize, expected: usize) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("inflate to {found} bytes instead of {expected}")) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
