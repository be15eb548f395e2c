//! Reads the `codecs` of Zarr v3 metadata and the `compressor` of v2, legacy spellings included.

use serde_json::{Map, Value};

use super::chain::{Blosc, ChainParts, CodecStep, Compressor, Shuffle};
use super::extension::Extension;
use crate::voxels::{Kind, VoxelType};

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
pub(super) fn parse_codecs(codecs: &[Extension], mut order: Vec<usize>, voxel: VoxelType) -> Result<Codecs, String> {
    let mut rest = codecs.iter();
    for codec in rest.by_ref() {
        match codec.name.as_str() {
            "transpose" => order = transposed(codec, &order)?,
            "bytes" | "endian" => {
                let big_endian = endian_is_big(codec)?;
                let steps = rest.map(|codec| parse_step(codec, voxel)).collect::<Result<_, _>>()?;
                return Ok(Codecs::Plain(ChainParts { stored: order, big_endian, steps }));
            }
            "sharding_indexed" => {
                if let Some(outer) = rest.next() {
                    return Err(format!("codec {} around a shard is not supported; rewrite without it", outer.name));
                }
                return parse_sharding(codec, order, voxel).map(Codecs::Sharded);
            }
            other => return Err(format!("codec {other} is not supported; rewrite with transpose, bytes, zstd")),
        }
    }
    Err("its codecs lack \"bytes\" or \"sharding_indexed\"".to_owned())
}

fn parse_sharding(codec: &Extension, order: Vec<usize>, voxel: VoxelType) -> Result<Sharding, String> {
    let chunk_shape: Vec<u32> = codec.field("chunk_shape")?;
    if chunk_shape.len() != order.len() {
        return Err(format!("its inner chunk_shape {chunk_shape:?} does not have {} axes", order.len()));
    }
    let inner: Vec<Extension> = codec.field("codecs")?;
    let Codecs::Plain(chain) = parse_codecs(&inner, order.clone(), voxel)? else {
        return Err("shards within shards are not supported".to_owned());
    };
    let index_codecs: Vec<Extension> = codec.field("index_codecs")?;
    let index_has_checksum = match index_codecs.iter().map(|codec| codec.name.as_str()).collect::<Vec<_>>()[..] {
        ["bytes" | "endian"] => false,
        ["bytes" | "endian", "crc32c"] => true,
        ref other => return Err(format!("index codecs {other:?} are not supported, only bytes and crc32c")),
    };
    if endian_is_big(&index_codecs[0])? {
        return Err("a big-endian shard index is not supported".to_owned());
    }
    let index_at_start = match codec.get("index_location").and_then(Value::as_str) {
        None | Some("end") => false,
        Some("start") => true,
        Some(other) => return Err(format!("index_location is {other:?}, neither start nor end")),
    };
    Ok(Sharding { order, chunk_shape, chain, index_at_start, index_has_checksum })
}

/// `order` as a transpose codec passes it on. The strings "C" and "F" are a legacy that WEBKNOSSOS still writes.
fn transposed(codec: &Extension, order: &[usize]) -> Result<Vec<usize>, String> {
    let wrong = || format!("transpose order {:?} does not permute {} axes", codec.get("order"), order.len());
    match codec.get("order") {
        Some(Value::String(text)) if text == "C" => Ok(order.to_vec()),
        Some(Value::String(text)) if text == "F" => Ok(order.iter().rev().copied().collect()),
        Some(Value::Array(_)) => {
            let permutation: Vec<usize> = codec.field("order")?;
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

fn endian_is_big(codec: &Extension) -> Result<bool, String> {
    match codec.get("endian").and_then(Value::as_str) {
        None | Some("little") => Ok(false),
        Some("big") => Ok(true),
        Some(other) => Err(format!("endian is {other:?}, neither little nor big")),
    }
}

fn parse_step(codec: &Extension, voxel: VoxelType) -> Result<CodecStep, String> {
    parse_compressor(codec.name.trim_start_matches("numcodecs."), &codec.configuration, voxel)
}

/// One bytes-to-bytes codec; v2's `compressor` has the same keys beside its `id`.
pub(super) fn parse_compressor(
    name: &str,
    configuration: &Map<String, Value>,
    voxel: VoxelType,
) -> Result<CodecStep, String> {
    let number = |key: &str| configuration.get(key).and_then(Value::as_i64);
    match name {
        "zstd" => {
            let checksum = configuration.get("checksum").and_then(Value::as_bool).unwrap_or(false);
            let level = number("level").unwrap_or(0).clamp(-100, 22) as i32;
            Ok(CodecStep::Zstd { level: zstd_search(level, voxel), checksum })
        }
        "gzip" => Ok(CodecStep::Gzip { level: number("level").unwrap_or(5).clamp(0, 9) as u32 }),
        "zlib" => Ok(CodecStep::Zlib { level: number("level").unwrap_or(5).clamp(0, 9) as u32 }),
        "crc32c" => Ok(CodecStep::Crc32c),
        "blosc" => parse_blosc(configuration, voxel).map(CodecStep::Blosc),
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
    let may_be_labels = voxel.kind() != Kind::Float && voxel.size() > 1;
    if (5..=8).contains(&level) && may_be_labels { 3 } else { level }
}

fn parse_blosc(configuration: &Map<String, Value>, voxel: VoxelType) -> Result<Blosc, String> {
    let number = |key: &str| configuration.get(key).and_then(Value::as_u64);
    let name = configuration.get("cname").cloned().unwrap_or_else(|| Value::from("lz4"));
    let compressor = name.as_str().and_then(Compressor::from_name);
    let type_size = number("typesize").unwrap_or(voxel.size() as u64).clamp(1, 255) as usize;
    Ok(Blosc {
        compressor: compressor.ok_or_else(|| format!("blosc compressor {name} is not known"))?,
        level: number("clevel").unwrap_or(5).min(9) as u8,
        shuffle: parse_shuffle(configuration.get("shuffle"), type_size)?,
        type_size,
        block_size: number("blocksize").unwrap_or(0).min(1 << 30) as usize,
    })
}

/// Names in v3, numbers in v2, where -1 leaves the choice to the size of a value.
fn parse_shuffle(value: Option<&Value>, type_size: usize) -> Result<Shuffle, String> {
    let Some(value) = value else { return Ok(Shuffle::None) };
    let known = match (value.as_str(), value.as_i64()) {
        (Some(name), _) => Shuffle::ALL.into_iter().find(|known| known.name() == name),
        (None, Some(-1)) => Some(if type_size == 1 { Shuffle::Bits } else { Shuffle::Bytes }),
        (None, number) => Shuffle::ALL.into_iter().find(|&known| Some(known as i64) == number),
    };
    known.ok_or_else(|| format!("blosc shuffle {value} is not known"))
}
