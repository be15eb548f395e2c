//! Metadata of new arrays, as WEBKNOSSOS writes them.

use serde_json::{Map, Value, json};

use super::metadata_like::{v2_dtype, zero};
use crate::format::NewMag;

/// `.zarray` of a new array.
pub(in crate::format) fn new_v2(new: &NewMag) -> Result<Value, String> {
    if new.chunks_per_shard != [1; 3] {
        return Err("Zarr v2 has no shards; use zarr3, or shards of one chunk".to_owned());
    }
    Ok(json!({
        "zarr_format": 2,
        "shape": shape(new),
        "chunks": new.along_axes(|_| 1, new.chunk_shape.map(u64::from)),
        "dtype": v2_dtype(new.voxel_type, false),
        "compressor": v2_compressor(new)?,
        "fill_value": zero(new.voxel_type),
        "order": if is_fortran(new) { "F" } else { "C" },
        "filters": null,
        "dimension_separator": new.separator,
    }))
}

/// `zarr.json` of a new array.
pub(in crate::format) fn new_v3(new: &NewMag) -> Value {
    let names = new.axis_names();
    let chunk_shape = new.along_axes(|_| 1, new.chunk_shape.map(u64::from));
    let codecs = chunk_codecs(new);
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape(new),
        "data_type": new.voxel_type.name(),
        "chunk_grid": {"name": "regular", "configuration": {
            "chunk_shape": new.along_axes(|_| 1, new.shard_shape()),
        }},
        "chunk_key_encoding": {
            "name": if new.key_with_c { "default" } else { "v2" },
            "configuration": {"separator": new.separator},
        },
        "fill_value": zero(new.voxel_type),
        "codecs": if new.chunks_per_shard == [1; 3] { codecs } else { sharded(new, &chunk_shape, &codecs) },
        "attributes": {},
        "dimension_names": names,
    })
}

fn sharded(new: &NewMag, chunk_shape: &[u64], codecs: &Value) -> Value {
    json!([{"name": "sharding_indexed", "configuration": {
        "chunk_shape": chunk_shape,
        "codecs": codecs,
        "index_codecs": [bytes(), {"name": "crc32c"}],
        "index_location": if new.index_at_start { "start" } else { "end" },
    }}])
}

/// Whether x comes before y and z, so that it is fastest where the first axis is.
fn is_fortran(new: &NewMag) -> bool {
    let names = new.axis_names();
    let spatial: Vec<_> = names.into_iter().filter(|name| ["x", "y", "z"].contains(name)).collect();
    spatial == ["x", "y", "z"]
}

/// Places of the axes as chunks are stored, slowest first: z, y, x, the additional ones, channels.
fn stored_order(new: &NewMag) -> Vec<usize> {
    let names = new.axis_names();
    let rank =
        |name: &str| ["z", "y", "x"].iter().position(|&known| known == name).unwrap_or(3 + usize::from(name == "c"));
    let mut order: Vec<usize> = (0..names.len()).rev().collect();
    order.sort_by_key(|&place| rank(names[place]));
    order
}

/// x fastest, little endian, compressed.
fn chunk_codecs(new: &NewMag) -> Value {
    let order = stored_order(new);
    let mut codecs = vec![json!({"name": "transpose", "configuration": {"order": order}}), bytes()];
    match &new.codecs {
        Some(own) => codecs.extend(own.iter().cloned()),
        None if new.compress => codecs.push(json!({"name": "zstd", "configuration": {"level": 5, "checksum": true}})),
        None => {}
    }
    codecs.into()
}

fn bytes() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

/// numcodecs' own: its `zstd` has no key for a checksum in all versions.
fn v2_compressor(new: &NewMag) -> Result<Value, String> {
    match new.codecs.as_deref() {
        None if new.compress => Ok(json!({"id": "zstd", "level": 5})),
        None | Some([]) => Ok(Value::Null),
        Some([codec]) if codec["id"].is_string() => Ok(codec.clone()),
        Some([codec]) => {
            let mut compressor = codec["configuration"].as_object().cloned().unwrap_or_else(Map::new);
            compressor.insert("id".to_owned(), codec["name"].clone());
            Ok(compressor.into())
        }
        Some(_) => Err("Zarr v2 takes one compressor".to_owned()),
    }
}

fn shape(new: &NewMag) -> Vec<u64> {
    let shard = new.shard_shape();
    let space = [0, 1, 2].map(|axis| new.extent[axis].max(1).next_multiple_of(shard[axis]));
    new.along_axes(|axis| axis.length.max(1), space)
}
