//! `zarr.json` and `.zarray`, read into one description of the array.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::axes::{Axes, Axis};
use super::chain::{ChainCodec, ChainParts, CodecStep};
use super::channels::{ChannelCodec, ChannelCut};
use super::codecs::{Codecs, Sharding, parse_codecs, parse_compressor};
use super::extension::Extension;
use super::fill::fill_bytes;
use super::keys::KeyStyle;
use super::shard::ShardLayout;
use crate::format::ChunkCodec;
use crate::geometry::ChunkGrid;
use crate::voxels::VoxelType;

/// Files that the channels of one place are spread over, at most: all of them are named at once.
const MAX_CHANNEL_FILES: usize = 1 << 16;

/// All that is needed to read and write chunks.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) grid: ChunkGrid,
    pub(super) axes: Axes,
    pub(super) keys: KeyStyle,
    pub(super) chain: ChainParts,
    /// Bytes of a voxel that was never written, where they are not zeros.
    pub(super) fill: Option<Vec<u8>>,
    /// How shards are laid out; `None` where every chunk is a file.
    pub(super) sharding: Option<ShardLayout>,
    /// How channels are spread over files; `None` where every file has them all.
    pub(super) cut: Option<ChannelCut>,
}

/// Why metadata are not usable.
#[derive(Debug)]
pub(super) enum Fault {
    Corrupt(String),
    Unsupported(String),
}

#[derive(Deserialize)]
struct V3 {
    zarr_format: u64,
    node_type: String,
    shape: Vec<u64>,
    data_type: Extension,
    chunk_grid: Extension,
    chunk_key_encoding: Extension,
    fill_value: Value,
    codecs: Vec<Extension>,
    storage_transformers: Option<Vec<Extension>>,
    dimension_names: Option<Vec<Option<String>>>,
    #[serde(rename = "attributes")]
    _attributes: Option<IgnoredAny>,
    /// What extends the format, and must be understood unless it says that it need not.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct V2 {
    zarr_format: u64,
    shape: Vec<u64>,
    chunks: Vec<u32>,
    dtype: Value,
    compressor: Option<Map<String, Value>>,
    fill_value: Value,
    order: String,
    filters: Option<Vec<Value>>,
    #[serde(alias = "dimension_seperator")]
    dimension_separator: Option<String>,
}

type Order<'a> = Option<&'a BTreeMap<String, u32>>;

impl Description {
    /// Reads `zarr.json`.
    pub(super) fn from_v3(json: &[u8], axis_order: Order<'_>) -> Result<Self, Fault> {
        let array: V3 = parse(json)?;
        if (array.zarr_format, array.node_type.as_str()) != (3, "array") {
            let (format, node) = (array.zarr_format, array.node_type);
            return Err(Fault::Corrupt(format!(
                "describes a {node} of Zarr version {format}, expected is an array of 3"
            )));
        }
        check_extensions(&array)?;
        let voxel_type =
            VoxelType::from_name(&array.data_type.name).ok_or_else(|| foreign_type(&array.data_type.name))?;
        let axes =
            Axes::resolve(array.shape.len(), array.dimension_names.as_deref(), axis_order).map_err(Fault::Corrupt)?;
        let outer = regular_chunk_shape(&array.chunk_grid)?;
        let order = (0..axes.len()).collect();
        let codecs = parse_codecs(&array.codecs, order, voxel_type).map_err(Fault::Unsupported)?;
        Self::new(voxel_type, axes, &array.shape, &outer, v3_keys(&array.chunk_key_encoding)?, codecs)?
            .filled_with(&array.fill_value)
    }

    /// Reads `.zarray`.
    pub(super) fn from_v2(json: &[u8], axis_order: Order<'_>) -> Result<Self, Fault> {
        let array: V2 = parse(json)?;
        if array.zarr_format != 2 {
            return Err(Fault::Corrupt(format!("has zarr_format {}, expected is 2", array.zarr_format)));
        }
        if let Some(filter) = array.filters.iter().flatten().next() {
            let id = filter["id"].as_str().unwrap_or("without an id");
            return Err(Fault::Unsupported(format!("filter {id} is not supported; rewrite the array without filters")));
        }
        let (voxel_type, big_endian) = v2_type(&array.dtype)?;
        let axes = Axes::resolve(array.shape.len(), None, axis_order).map_err(Fault::Corrupt)?;
        let stored = match array.order.as_str() {
            "C" => (0..axes.len()).collect(),
            "F" => (0..axes.len()).rev().collect(),
            other => return Err(Fault::Corrupt(format!("order is {other:?}, neither C nor F"))),
        };
        let steps = v2_steps(array.compressor.as_ref(), voxel_type)?;
        let separator = array.dimension_separator.as_deref().unwrap_or(".");
        let keys = KeyStyle { with_c: false, separator: separator_of(separator)? };
        let codecs = Codecs::Plain(ChainParts { stored, big_endian, steps });
        Self::new(voxel_type, axes, &array.shape, &array.chunks, keys, codecs)?.filled_with(&array.fill_value)
    }

    /// Checks that the pieces fit together.
    fn new(
        voxel_type: VoxelType,
        axes: Axes,
        shape: &[u64],
        outer: &[u32],
        keys: KeyStyle,
        codecs: Codecs,
    ) -> Result<Self, Fault> {
        if outer.len() != axes.len() || outer.contains(&0) {
            return Err(Fault::Corrupt(format!("chunk shape {outer:?} does not fit {} axes", axes.len())));
        }
        let (chain, sharding) = match codecs {
            Codecs::Plain(chain) => (chain, None),
            Codecs::Sharded(sharding) => (sharding.chain.clone(), Some(sharding)),
        };
        let inner = sharding.as_ref().map_or_else(|| Ok(outer.to_vec()), |sharding| inner_shape(sharding, outer))?;
        let cut = channel_cut(&axes, shape, outer);
        check_cuts(&axes, outer, &inner, cut.filter(|_| sharding.is_some()))?;
        let cut = cut.filter(|_| sharding.is_none());
        let chunk_shape = axes.space(&inner);
        let shard_shape = axes.space(outer);
        let grid = ChunkGrid {
            voxel_type,
            channels: cut.map_or(axes.channels(&inner), |cut| cut.channels),
            chunk_shape,
            chunks_per_shard: [0, 1, 2].map(|axis| shard_shape[axis] / chunk_shape[axis]),
            extra_axes: axes.extra_names().to_vec(),
        };
        grid.check_size().map_err(Fault::Unsupported)?;
        if let Some(cut) = cut {
            check_files(&grid, cut)?;
        }
        let sharding = sharding.map(|sharding| ShardLayout::new(&sharding, &axes, &grid));
        Ok(Self { grid, axes, keys, chain, fill: None, sharding, cut })
    }

    fn filled_with(mut self, fill: &Value) -> Result<Self, Fault> {
        let value = fill_bytes(fill, self.grid.voxel_type)
            .ok_or_else(|| Fault::Corrupt(format!("fill_value {fill} is no {}", self.grid.voxel_type.name())))?;
        let zero = value.iter().all(|&byte| byte == 0);
        self.fill = (!zero).then(|| value.repeat(self.grid.channels as usize));
        Ok(self)
    }

    /// Whether the bytes of a chunk are those that its voxels have in memory.
    pub(super) fn is_in_memory_order(&self) -> bool {
        self.cut.is_none() && ChainCodec::new(&self.grid, &self.axes, self.chain.clone()).changes_nothing()
    }

    pub(super) fn codec(&self) -> Arc<dyn ChunkCodec> {
        let codec = |grid: &ChunkGrid| ChainCodec::new(grid, &self.axes, self.chain.clone());
        let Some(cut) = self.cut else { return Arc::new(codec(&self.grid)) };
        let part = codec(&ChunkGrid { channels: cut.per_file, ..self.grid.clone() });
        Arc::new(ChannelCodec::new(part, cut, self.grid.voxel_type.size(), self.fill.clone()))
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(json).map_err(|error| Fault::Corrupt(format!("is no usable array metadata: {error}")))
}

fn regular_chunk_shape(grid: &Extension) -> Result<Vec<u32>, Fault> {
    if grid.name != "regular" {
        return Err(Fault::Unsupported(format!("chunk grid {}", grid.name)));
    }
    let shape = grid.get("chunk_shape").cloned().unwrap_or_default();
    serde_json::from_value(shape).map_err(|error| Fault::Corrupt(format!("chunk_shape: {error}")))
}

fn v3_keys(encoding: &Extension) -> Result<KeyStyle, Fault> {
    let separator = encoding.get("separator").and_then(Value::as_str);
    match encoding.name.as_str() {
        "default" => Ok(KeyStyle { with_c: true, separator: separator_of(separator.unwrap_or("/"))? }),
        "v2" => Ok(KeyStyle { with_c: false, separator: separator_of(separator.unwrap_or("."))? }),
        other => Err(Fault::Unsupported(format!("chunk key encoding {other}"))),
    }
}

fn separator_of(text: &str) -> Result<char, Fault> {
    match text {
        "/" => Ok('/'),
        "." => Ok('.'),
        other => Err(Fault::Corrupt(format!("the chunk key separator is {other:?}, neither \"/\" nor \".\""))),
    }
}

/// `<u4` and its kin, and whether the highest byte comes first.
fn v2_type(dtype: &Value) -> Result<(VoxelType, bool), Fault> {
    let text = dtype.as_str().ok_or_else(|| foreign_type("of structures"))?;
    let foreign = || foreign_type(text);
    let (order, code) = text.split_at_checked(1).ok_or_else(foreign)?;
    let voxel_type = VoxelType::from_v2_code(code).ok_or_else(foreign)?;
    match order {
        "<" | "|" | "=" => Ok((voxel_type, false)),
        ">" => Ok((voxel_type, true)),
        _ => Err(foreign()),
    }
}

fn foreign_type(name: &str) -> Fault {
    let known = VoxelType::ALL.map(VoxelType::name).join(", ");
    Fault::Unsupported(format!("data type {name} is none of WEBKNOSSOS's ({known}); convert the array"))
}

/// Refuses what changes the meaning of the rest and is not known here: the specification wants it so.
fn check_extensions(array: &V3) -> Result<(), Fault> {
    if let Some(transformer) = array.storage_transformers.iter().flatten().find(|known| known.must_understand) {
        return Err(Fault::Unsupported(format!("storage transformer {} is not supported", transformer.name)));
    }
    let optional = |value: &Value| value["must_understand"] == Value::Bool(false);
    match array.others.iter().find(|(_, value)| !optional(value)) {
        None => Ok(()),
        Some((name, _)) => Err(Fault::Unsupported(format!(
            "its field {name:?} is an extension that wkfast does not know, and does not say \"must_understand\": false"
        ))),
    }
}

fn v2_steps(compressor: Option<&Map<String, Value>>, voxel: VoxelType) -> Result<Vec<CodecStep>, Fault> {
    let Some(compressor) = compressor else { return Ok(Vec::new()) };
    let id = compressor.get("id").and_then(Value::as_str).unwrap_or_default();
    // numcodecs hands blosc the size of a value; v2 has no key for it.
    parse_compressor(id, compressor, voxel).map(|step| vec![step]).map_err(Fault::Unsupported)
}

/// Lengths of inner chunks along the array's axes.
fn inner_shape(sharding: &Sharding, outer: &[u32]) -> Result<Vec<u32>, Fault> {
    let mut inner = vec![1; outer.len()];
    for (&axis, &length) in sharding.order.iter().zip(&sharding.chunk_shape) {
        if length == 0 || !outer[axis].is_multiple_of(length) {
            return Err(Fault::Corrupt(format!(
                "chunks of {length} do not divide a shard of {} on axis {axis}",
                outer[axis]
            )));
        }
        inner[axis] = length;
    }
    Ok(inner)
}

/// How channels are spread over files, or padded; `None` where every file has them all.
fn channel_cut(axes: &Axes, shape: &[u64], outer: &[u32]) -> Option<ChannelCut> {
    let place = (0..axes.len()).find(|&place| axes.axis(place) == Axis::Channel)?;
    let channels = u32::try_from(shape[place]).ok().filter(|&channels| channels > 0)?;
    (channels != outer[place]).then_some(ChannelCut { channels, per_file: outer[place] })
}

/// Shards have all channels in each chunk; additional axes are always cut into single slices.
fn check_cuts(axes: &Axes, outer: &[u32], inner: &[u32], cut: Option<ChannelCut>) -> Result<(), Fault> {
    for place in 0..axes.len() {
        let (outer, inner) = (outer[place], inner[place]);
        let what = match axes.axis(place) {
            Axis::Channel if inner != outer || cut.is_some_and(|cut| cut.files() > 1) => {
                "shards with channels cut into several chunks"
            }
            Axis::Extra(_) if outer != 1 => "chunks of several slices along an additional axis",
            _ => continue,
        };
        return Err(Fault::Unsupported(format!("{what}; rechunk the array")));
    }
    Ok(())
}

/// Refuses more files than can be read as one chunk, and files that hold more than a chunk may: the last one is padded.
fn check_files(grid: &ChunkGrid, cut: ChannelCut) -> Result<(), Fault> {
    ChunkGrid { channels: cut.per_file, ..grid.clone() }.check_size().map_err(Fault::Unsupported)?;
    match cut.files() {
        ..=MAX_CHANNEL_FILES => Ok(()),
        files => Err(Fault::Unsupported(format!(
            "channels spread over {files} files, more than {MAX_CHANNEL_FILES}; rechunk the array"
        ))),
    }
}
