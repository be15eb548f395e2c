//! blosc containers. c-blosc itself compresses and inflates; what it is told, and how Zarr spells that, is here.

use std::ffi::{CStr, c_int};

use blosc_src::{BLOSC_MAX_OVERHEAD, blosc_cbuffer_validate, blosc_compress_ctx, blosc_decompress_ctx};
use serde_json::{Value, json};

/// A container starts with so many bytes about itself.
const HEADER_LENGTH: usize = 16;
/// Chunks are spread over threads by us; blosc starts none.
const THREADS: c_int = 1;

/// What compresses within a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format::zarr) enum Compressor {
    BloscLz,
    Lz4,
    Lz4Hc,
    Snappy,
    Zlib,
    Zstd,
}

impl Compressor {
    pub(in crate::format::zarr) const ALL: [Self; 6] =
        [Self::BloscLz, Self::Lz4, Self::Lz4Hc, Self::Snappy, Self::Zlib, Self::Zstd];

    /// blosc's name for it, and Zarr's.
    fn c_name(self) -> &'static CStr {
        match self {
            Self::BloscLz => c"blosclz",
            Self::Lz4 => c"lz4",
            Self::Lz4Hc => c"lz4hc",
            Self::Snappy => c"snappy",
            Self::Zlib => c"zlib",
            Self::Zstd => c"zstd",
        }
    }

    /// The compressor that Zarr calls `name`.
    pub(in crate::format::zarr) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.c_name().to_bytes() == name.as_bytes())
    }
}

/// How values are taken apart before they are compressed: not, by bytes, or by bits. Zarr v2 has the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format::zarr) enum Shuffle {
    None = 0,
    Bytes = 1,
    Bits = 2,
}

impl Shuffle {
    pub(in crate::format::zarr) const ALL: [Self; 3] = [Self::None, Self::Bytes, Self::Bits];

    /// Zarr v3's word for it.
    pub(in crate::format::zarr) fn name(self) -> &'static str {
        match self {
            Self::None => "noshuffle",
            Self::Bytes => "shuffle",
            Self::Bits => "bitshuffle",
        }
    }
}

/// What blosc's encoder is told; its container describes itself.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::format::zarr) struct Blosc {
    pub(in crate::format::zarr) compressor: Compressor,
    /// 0 to 9.
    pub(in crate::format::zarr) level: u8,
    pub(in crate::format::zarr) shuffle: Shuffle,
    pub(in crate::format::zarr) type_size: usize,
    /// Bytes that are compressed as one; 0 leaves it to blosc.
    pub(in crate::format::zarr) block_size: usize,
}

impl Blosc {
    /// How WEBKNOSSOS compresses the chunks of annotations. It shuffles values of one byte, which does nothing.
    pub(in crate::format::zarr) const WEBKNOSSOS: Self =
        Self { compressor: Compressor::Lz4, level: 5, shuffle: Shuffle::Bytes, type_size: 1, block_size: 0 };

    /// As one of the `codecs` of Zarr v3.
    pub(in crate::format::zarr) fn to_v3(&self) -> Value {
        json!({"name": "blosc", "configuration": {
            "cname": self.compressor.c_name().to_string_lossy(), "clevel": self.level, "shuffle": self.shuffle.name(),
            "typesize": self.type_size, "blocksize": self.block_size,
        }})
    }

    /// As the `compressor` of Zarr v2, where a value's size is that of the array's type.
    pub(in crate::format::zarr) fn to_v2(&self) -> Value {
        json!({
            "id": "blosc", "cname": self.compressor.c_name().to_string_lossy(), "clevel": self.level,
            "shuffle": self.shuffle as u8, "blocksize": self.block_size,
        })
    }

    pub(super) fn encode(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut encoded = vec![0; bytes.len() + BLOSC_MAX_OVERHEAD as usize];
        #[allow(unsafe_code)]
        // SAFETY: both buffers have the lengths that are stated, and the name ends with a zero. Nothing is kept.
        let length = unsafe {
            blosc_compress_ctx(
                c_int::from(self.level),
                self.shuffle as c_int,
                self.type_size.max(1),
                bytes.len(),
                bytes.as_ptr().cast(),
                encoded.as_mut_ptr().cast(),
                encoded.len(),
                self.compressor.c_name().as_ptr(),
                self.block_size,
                THREADS,
            )
        };
        match usize::try_from(length) {
            Ok(length) if length > 0 => {
                encoded.truncate(length);
                Ok(encoded)
            }
            _ => Err(format!("blosc cannot compress {} bytes as {self:?} (it returned {length})", bytes.len())),
        }
    }
}

/// Size of what a blosc container holds, `None` if `encoded` is none.
pub(in crate::format::zarr) fn blosc_size(encoded: &[u8]) -> Option<usize> {
    if encoded.len() < HEADER_LENGTH {
        return None;
    }
    let mut size = 0;
    #[allow(unsafe_code)]
    // SAFETY: the buffer has the length that is stated, and a header in it. Nothing is kept.
    let status = unsafe { blosc_cbuffer_validate(encoded.as_ptr().cast(), encoded.len(), &raw mut size) };
    (status == 0).then_some(size)
}

/// Inflates a container into `decoded`, which has exactly the size of what it holds.
pub(super) fn decode(encoded: &[u8], decoded: &mut [u8]) -> Result<(), String> {
    super::step::exactly(blosc_size(encoded).ok_or("are no blosc data")?, decoded.len())?;
    #[allow(unsafe_code)]
    // SAFETY: `blosc_size` has found the container to be as long as it says and to hold `decoded.len()` bytes, and
    // blosc writes no more than it is told. Nothing is kept.
    let length =
        unsafe { blosc_decompress_ctx(encoded.as_ptr().cast(), decoded.as_mut_ptr().cast(), decoded.len(), THREADS) };
    match usize::try_from(length) {
        Ok(length) => super::step::exactly(length, decoded.len()),
        Err(_) => Err(format!("are a damaged blosc container (it returned {length})")),
    }
}
