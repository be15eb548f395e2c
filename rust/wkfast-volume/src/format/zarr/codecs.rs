//! Reads the `codecs` of Zarr v3 metadata and the `compressor` of v2, legacy spellings included.

use serde_json::{Map, Value};
use zarrs::array::codec::{BloscCompressor, BloscShuffleMode};
use zarrs::metadata::v3::MetadataV3;

use super::chain::{Blosc, ChainParts, Step};
use crate::voxels::VoxelType;

/// What a list of codecs amounts to.
#[derive(Clone, Debug)]
pub(super) enum Codecs {
    /// Every chunk is a file.
    Plain(ChainParts),
    /// Chunks are gathered in shards.
    Sharded(Sharding),
}

/// Configuration of `sharding_indexed`, once resolved.
#[derive(Clone, Debug)]
pub(super) struct Sharding {
    /// Array axes in the order in which the shard sees them, slowest first.
    pub(super) order: Vec<usize>,
    /// Lengths of inner chunks along `order`.
    pub(super) chunk_shape: Vec<u32>,
    pub(super) chain: ChainParts,
    pub(super) index_at_start: bool,
    pub(super) index_has_checksum: bool,
}

/// Reads `codecs`, which see the array axes in `order`. The size of a `voxel` is the default
/// of blosc's type size.
pub(super) fn parse_codecs(codecs: &[MetadataV3], mut order: Vec<usize>, voxel: VoxelType) -> Result<Codecs, String> {
    let mut rest = codecs.iter();
    for codec in rest.by_ref() {
        match codec.name() {
            "transpose" => order = transposed(codec, &order)?,
            "bytes" | "endian" => {
                let big_endian = endian_is_big(codec)?;
                let steps = rest.map(|codec| parse_step(codec, voxel)).collect::<Result<_, _>>()?;
                return Ok(Codecs::Plain(ChainParts { stored: order, big_endian, steps }));
            }
            "sharding_indexed" => {
                if let Some(outer) = rest.next() {
                    return Err(format!("codec {} around a shard is not supported; rewrite without it", outer.name()));
                }
                return parse_sharding(codec, order, voxel).map(Codecs::Sharded);
            }
            other => return Err(format!("codec {other} is not supported; rewrite with transpose, bytes, zstd")),
        }
    }
    Err("its codecs lack \"bytes\" or \"sharding_indexed\"".to_owned())
}

fn parse_sharding(codec: &MetadataV3, order: Vec<usize>, voxel: VoxelType) -> Result<Sharding, String> {
    let chunk_shape: Vec<u32> = field(codec, "chunk_shape")?;
    if chunk_shape.len() != order.len() {
        return Err(format!("its inner chunk_shape {chunk_shape:?} does not have {} axes", order.len()));
    }
    let inner: Vec<MetadataV3> = field(codec, "codecs")?;
    let Codecs::Plain(chain) = parse_codecs(&inner, order.clone(), voxel)? else {
        return Err("shards within shards are not supported".to_owned());
    };
    let index_codecs: Vec<MetadataV3> = field(codec, "index_codecs")?;
    let index_has_checksum = match index_codecs.iter().map(MetadataV3::name).collect::<Vec<_>>()[..] {
        ["bytes" | "endian"] => false,
        ["bytes" | "endian", "crc32c"] => true,
        ref other => return Err(format!("index codecs {other:?} are not supported, only bytes and crc32c")),
    };
    if endian_is_big(&index_codecs[0])? {
        return Err("a big-endian shard index is not supported".to_owned());
    }
    let index_at_start = match configured(codec, "index_location").and_then(Value::as_str) {
        None | Some("end") => false,
        Some("start") => true,
        Some(other) => return Err(format!("index_location is {other:?}, neither start nor end")),
    };
    Ok(Sharding { order, chunk_shape, chain, index_at_start, index_has_checksum })
}

/// `order` as a transpose codec passes it on. The strings "C" and "F" are a legacy that WEBKNOSSOS still writes.
fn transposed(codec: &MetadataV3, order: &[usize]) -> Result<Vec<usize>, String> {
    let wrong = || format!("transpose order {:?} does not permute {} axes", configured(codec, "order"), order.len());
    match configured(codec, "order") {
        Some(Value::String(text)) if text == "C" => Ok(order.to_vec()),
        Some(Value::String(text)) if text == "F" => Ok(order.iter().rev().copied().collect()),
        Some(Value::Array(_)) => {
            let permutation: Vec<usize> = field(codec, "order")?;
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..order.len()) {
                return Err(wrong());
            }
            Ok(permutation.into_iter().map(|axis| order[axis]).collect())
        }
        _ => Err(wrong()),
    }
}

fn endian_is_big(codec: &MetadataV3) -> Result<bool, String> {
    match configured(codec, "endian").and_then(Value::as_str) {
        None | Some("little") => Ok(false),
        Some("big") => Ok(true),
        Some(other) => Err(format!("endian is {other:?}, neither little nor big")),
    }
}

fn parse_step(codec: &MetadataV3, voxel: VoxelType) -> Result<Step, String> {
    let empty = Map::new();
    let configuration = codec.configuration().map_or(&empty, |configuration| configuration);
    parse_compressor(codec.name().trim_start_matches("numcodecs."), configuration, voxel)
}

/// One bytes-to-bytes codec; v2's `compressor` has the same keys beside its `id`.
pub(super) fn parse_compressor(
    name: &str,
    configuration: &Map<String, Value>,
    voxel: VoxelType,
) -> Result<Step, String> {
    let number = |key: &str| configuration.get(key).and_then(Value::as_i64);
    match name {
        "zstd" => {
            let checksum = configuration.get("checksum").and_then(Value::as_bool).unwrap_or(false);
            let level = number("level").unwrap_or(0).clamp(-100, 22) as i32;
            Ok(Step::Zstd { level: zstd_search(level, voxel), checksum })
        }
        "gzip" => Ok(Step::Gzip { level: number("level").unwrap_or(5).clamp(0, 9) as u32 }),
        "zlib" => Ok(Step::Zlib { level: number("level").unwrap_or(5).clamp(0, 9) as u32 }),
        "crc32c" => Ok(Step::Crc32c),
        "blosc" => parse_blosc(configuration, voxel).map(Step::Blosc),
        other => Err(format!("codec {other} is not supported, only blosc, crc32c, gzip, zlib and zstd")),
    }
}

/// The level whose search zstd is told to use where `level` is stated. A level is advice: what comes out is a frame that
/// any reader takes.
///
/// From 5 on zstd looks at every byte for a match; labels, integers wider than a byte and alike over whole rows, have none but at
/// their own starts. Level 3, which jumps over what it has matched, takes a third to an eighth of the time, and chunks
/// become 38 % smaller on real segmentations and 3 % larger on small cells. Level 9 and those above do find more.
fn zstd_search(level: i32, voxel: VoxelType) -> i32 {
    use VoxelType::{Float32, Float64, Int8, UInt8};
    let may_be_labels = !matches!(voxel, UInt8 | Int8 | Float32 | Float64);
    if (5..=8).contains(&level) && may_be_labels { 3 } else { level }
}

fn parse_blosc(configuration: &Map<String, Value>, voxel: VoxelType) -> Result<Blosc, String> {
    let number = |key: &str| configuration.get(key).and_then(Value::as_u64);
    let name = configuration.get("cname").cloned().unwrap_or_else(|| Value::from("lz4"));
    let compressor: BloscCompressor =
        serde_json::from_value(name.clone()).map_err(|_| format!("blosc compressor {name} is not known"))?;
    let type_size = number("typesize").unwrap_or(voxel.size() as u64).clamp(1, 255) as usize;
    Ok(Blosc {
        compressor,
        level: (number("clevel").unwrap_or(5).min(9) as u8).try_into().map_err(|level| format!("clevel {level}"))?,
        shuffle: parse_shuffle(configuration.get("shuffle"), type_size)?,
        type_size,
        block_size: number("blocksize").unwrap_or(0).min(1 << 30) as usize,
    })
}

/// Names in v3, numbers in v2, where -1 leaves the choice to the size of a value.
fn parse_shuffle(value: Option<&Value>, type_size: usize) -> Result<BloscShuffleMode, String> {
    match value {
        None => Ok(BloscShuffleMode::NoShuffle),
        Some(Value::String(name)) => match name.as_str() {
            "noshuffle" => Ok(BloscShuffleMode::NoShuffle),
            "shuffle" => Ok(BloscShuffleMode::Shuffle),
            "bitshuffle" => Ok(BloscShuffleMode::BitShuffle),
            other => Err(format!("blosc shuffle {other:?} is not known")),
        },
        Some(value) => match value.as_i64() {
            Some(0) => Ok(BloscShuffleMode::NoShuffle),
            Some(1) => Ok(BloscShuffleMode::Shuffle),
            Some(2) => Ok(BloscShuffleMode::BitShuffle),
            Some(-1) if type_size == 1 => Ok(BloscShuffleMode::BitShuffle),
            Some(-1) => Ok(BloscShuffleMode::Shuffle),
            _ => Err(format!("blosc shuffle {value} is not known")),
        },
    }
}

/// A key of a codec's configuration.
pub(super) fn configured<'a>(codec: &'a MetadataV3, key: &str) -> Option<&'a Value> {
    codec.configuration()?.get(key)
}

fn field<T: serde::de::DeserializeOwned>(codec: &MetadataV3, key: &str) -> Result<T, String> {
    let value = configured(codec, key).ok_or_else(|| format!("{} lacks {key}", codec.name()))?;
    serde_json::from_value(value.clone()).map_err(|error| format!("{key} of {}: {error}", codec.name()))
}
