//! Metadata of a new array modelled on an existing one. Legacy spellings are read, but never written.

use serde_json::{Value, json};

use super::axes::{Axes, Axis};
use super::keys::KeyStyle;
use crate::geometry::ChunkGrid;
use crate::voxels::{Kind, VoxelType};

/// `zarr.json` for `shape` voxels of `voxel_type`.
pub(super) fn v3_like(source: &Value, keys: KeyStyle, voxel_type: VoxelType, shape: Value) -> Value {
    let mut like = source.clone();
    modernise(&mut like["codecs"], shape.as_array().map_or(0, Vec::len));
    like["shape"] = shape;
    like["data_type"] = voxel_type.name().into();
    like["fill_value"] = zero(voxel_type);
    like["chunk_key_encoding"] = json!({
        "name": if keys.with_c { "default" } else { "v2" },
        "configuration": {"separator": keys.separator},
    });
    like
}

/// `.zarray` for `shape` voxels of `voxel_type`.
pub(super) fn v2_like(source: &Value, keys: KeyStyle, voxel_type: VoxelType, shape: Value) -> Value {
    let mut like = source.clone();
    like["shape"] = shape;
    like["dtype"] = v2_dtype(voxel_type, source["dtype"].as_str().is_some_and(|dtype| dtype.starts_with('>'))).into();
    like["fill_value"] = zero(voxel_type);
    if let Some(entries) = like.as_object_mut() {
        entries.remove("dimension_seperator");
        entries.insert("dimension_separator".to_owned(), keys.separator.to_string().into());
    }
    like
}

pub(super) fn zero(voxel_type: VoxelType) -> Value {
    if voxel_type.kind() == Kind::Float { json!(0.0) } else { json!(0) }
}

/// Lengths along the array's axes that hold `extra` and the voxels before `extent`: whole shards where they grow.
pub(super) fn grown_shape(present: &[u64], axes: &Axes, grid: &ChunkGrid, extra: &[u32], extent: [u64; 3]) -> Vec<u64> {
    let along = |(place, &length): (usize, &u64)| match axes.axis(place) {
        Axis::Space(space) if extent[space] > length => {
            extent[space].next_multiple_of(u64::from(grid.chunk_shape[space] * grid.chunks_per_shard[space]))
        }
        Axis::Extra(nth) => length.max(u64::from(extra.get(nth).copied().unwrap_or_default()) + 1),
        Axis::Space(_) | Axis::Channel => length,
    };
    present.iter().enumerate().map(along).collect()
}

/// `shape` as it reaches at least `extent` and, along the additional axes, `extra`.
pub(super) fn grown(shape: &Value, axes: &Axes, extent: [u64; 3], extra: &[u64]) -> Value {
    let along = |(place, length): (usize, &Value)| match axes.axis(place) {
        Axis::Space(space) => length.as_u64().unwrap_or(0).max(extent[space]),
        Axis::Extra(nth) => length.as_u64().unwrap_or(1).max(extra.get(nth).copied().unwrap_or(0)),
        Axis::Channel => length.as_u64().unwrap_or(1),
    };
    shape.as_array().into_iter().flatten().enumerate().map(along).collect()
}

/// Permutations as numbers, byte order always stated, within shards as well.
fn modernise(codecs: &mut Value, axes: usize) {
    for codec in codecs.as_array_mut().into_iter().flatten() {
        if let Value::String(name) = codec {
            *codec = json!({"name": name});
        }
        let configuration = &mut codec["configuration"].take();
        match codec["name"].as_str() {
            Some("transpose") => match configuration["order"].as_str() {
                Some("F") => configuration["order"] = (0..axes).rev().collect(),
                Some("C") => configuration["order"] = (0..axes).collect(),
                _ => {}
            },
            Some("bytes" | "endian") => {
                let endian = configuration["endian"].as_str().unwrap_or("little").to_owned();
                *configuration = json!({"endian": endian});
                codec["name"] = "bytes".into();
            }
            Some("sharding_indexed") => {
                modernise(&mut configuration["codecs"], axes);
                modernise(&mut configuration["index_codecs"], axes);
            }
            _ => {}
        }
        match configuration {
            Value::Null => drop(codec.as_object_mut().and_then(|entries| entries.remove("configuration"))),
            configuration => codec["configuration"] = configuration.take(),
        }
    }
}

pub(super) fn v2_dtype(voxel_type: VoxelType, big_endian: bool) -> String {
    let order = match (voxel_type.size(), big_endian) {
        (1, _) => '|',
        (_, true) => '>',
        (_, false) => '<',
    };
    format!("{order}{}", voxel_type.v2_code())
}
