//! Small layers on disk for tests, in real formats, and whole layers read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};

use super::reference::Dense;
use crate::format::wkw::{BlockType, Header};
use crate::format::{Container, DataFormat, MagArray, MagLocation, open_mag};
use crate::geometry::{ChunkIndex, Mag};
use crate::voxels::VoxelType;

/// How a test layer is spelt on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    WkwRaw,
    WkwLz4,
    /// Shards of zstd chunks.
    Zarr3Sharded,
    /// One file per chunk, blosc, as WEBKNOSSOS writes annotations.
    Zarr3Blosc,
    /// One file per chunk, in Fortran order.
    Zarr2,
}

/// A mag to be written.
#[derive(Clone, Debug)]
pub(crate) struct MagSpec {
    pub(crate) mag: Mag,
    pub(crate) spelling: Spelling,
    pub(crate) voxel_type: VoxelType,
    pub(crate) log2_chunk: u8,
    pub(crate) log2_shard: u8,
}

impl MagSpec {
    pub(crate) fn chunk_edge(&self) -> usize {
        1 << self.log2_chunk
    }

    fn location(&self, root: &Path, folder: &str) -> MagLocation {
        let container = Container::Directory { path: root.to_owned() };
        let format = match self.spelling {
            Spelling::WkwRaw | Spelling::WkwLz4 => DataFormat::Wkw,
            Spelling::Zarr3Sharded | Spelling::Zarr3Blosc => DataFormat::Zarr3,
            Spelling::Zarr2 => DataFormat::Zarr,
        };
        MagLocation::new(self.mag, format, container, folder)
    }

    /// Chunks along the edge of a shard, as a logarithm: formats without shards have one.
    pub(crate) fn log2_shard(&self) -> u8 {
        if matches!(self.spelling, Spelling::Zarr2 | Spelling::Zarr3Blosc) { 0 } else { self.log2_shard }
    }

    fn write_metadata(&self, folder: &Path) {
        match self.spelling {
            Spelling::WkwRaw => self.write_header(folder, BlockType::Raw),
            Spelling::WkwLz4 => self.write_header(folder, BlockType::Lz4),
            Spelling::Zarr2 => {
                let edge = self.chunk_edge();
                let number = if self.voxel_type.name().starts_with('u') { 'u' } else { 'i' };
                let size = self.voxel_type.size();
                let array = json!({
                    "zarr_format": 2, "shape": [1, 32, 32, 32], "chunks": [1, edge, edge, edge],
                    "dtype": format!("{}{number}{size}", if size == 1 { '|' } else { '<' }), "order": "F",
                    "fill_value": 0, "filters": null, "compressor": {"id": "zstd", "level": 1},
                    "dimension_separator": "/",
                });
                fs::write(folder.join(".zarray"), array.to_string()).unwrap();
            }
            Spelling::Zarr3Sharded | Spelling::Zarr3Blosc => {
                fs::write(folder.join("zarr.json"), self.zarr3().to_string()).unwrap();
            }
        }
    }

    fn zarr3(&self) -> Value {
        let (chunk, shard) = (self.chunk_edge(), self.chunk_edge() << self.log2_shard());
        let bytes = [
            json!({"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}}),
            json!({"name": "bytes", "configuration": {"endian": "little"}}),
        ];
        let with = |last: Value| bytes.iter().cloned().chain([last]).collect::<Vec<_>>();
        let codecs = if self.spelling == Spelling::Zarr3Blosc {
            let blosc = json!({"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0});
            with(json!({"name": "blosc", "configuration": blosc}))
        } else {
            let zstd = json!({"name": "zstd", "configuration": {"level": 1, "checksum": true}});
            vec![json!({"name": "sharding_indexed", "configuration": {
                "chunk_shape": [1, chunk, chunk, chunk], "codecs": with(zstd),
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                "index_location": "end",
            }})]
        };
        json!({
            "zarr_format": 3, "node_type": "array", "shape": [1, 32, 32, 32], "data_type": self.voxel_type.name(),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, shard, shard, shard]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0, "codecs": codecs, "dimension_names": ["c", "x", "y", "z"], "attributes": {},
        })
    }

    fn write_header(&self, folder: &Path, block_type: BlockType) {
        let header = Header {
            block_type,
            voxel_type: self.voxel_type,
            channels: 1,
            log2_block_edge: self.log2_chunk,
            log2_file_edge: self.log2_shard,
            data_offset: 0,
        };
        fs::write(folder.join("header.wkw"), header.to_bytes()).unwrap();
    }

    /// Writes the given chunks, by their place in the grid, below `root/folder`.
    pub(crate) fn write(&self, root: &Path, folder: &str, chunks: &BTreeMap<[u32; 3], Vec<i64>>) -> MagLocation {
        fs::create_dir_all(root.join(folder)).unwrap();
        self.write_metadata(&root.join(folder));
        let location = self.location(root, folder);
        let array = open_mag(&location).unwrap();
        let mut shards = BTreeMap::<_, BTreeMap<u32, Vec<u8>>>::new();
        for (&xyz, values) in chunks {
            let (shard, place) = array.grid().locate(&ChunkIndex { extra: Box::default(), xyz });
            shards.entry(shard).or_default().insert(place as u32, encode(self.voxel_type, values));
        }
        for (shard, chunks) in shards {
            let path = root.join(array.shard_key(&shard));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = File::create(path).unwrap();
            let mut writer = array.shard_writer(&mut file).unwrap();
            for place in writer.order().to_vec() {
                let encoded = chunks.get(&place).map(|voxels| array.codec().encode(voxels).unwrap());
                writer.append(encoded.as_deref()).unwrap();
            }
            writer.finish().unwrap();
        }
        location
    }
}

/// Chunks of `edge` cut out of a whole layer; what reaches beyond the layer is zero.
pub(crate) fn cut(layer: &Dense, edge: usize, keep: impl Fn([u32; 3]) -> bool) -> BTreeMap<[u32; 3], Vec<i64>> {
    let mut chunks = BTreeMap::<[u32; 3], Vec<i64>>::new();
    for at in layer.voxels() {
        let xyz = at.map(|at| (at / edge) as u32);
        if keep(xyz) {
            let chunk = chunks.entry(xyz).or_insert_with(|| vec![0; edge.pow(3)]);
            let [x, y, z] = at.map(|at| at % edge);
            chunk[x + edge * (y + edge * z)] = layer.values[layer.place(at)];
        }
    }
    chunks
}

/// The whole mag, chunk by chunk.
pub(crate) fn read_dense(array: &dyn MagArray, size: [usize; 3]) -> Dense {
    let mut dense = Dense::zeros(size);
    let shape = array.grid().chunk_shape.map(|edge| edge as usize);
    let mut decoded = BTreeMap::<[u32; 3], Option<Vec<i64>>>::new();
    for at in dense.voxels() {
        let xyz: [u32; 3] = std::array::from_fn(|axis| (at[axis] / shape[axis]) as u32);
        let chunk = decoded.entry(xyz).or_insert_with(|| {
            let found = array.read_encoded(&ChunkIndex { extra: Box::default(), xyz }).unwrap()?;
            let mut voxels = vec![0; array.grid().chunk_bytes()];
            found.codec.decode(&found.bytes, &mut voxels).unwrap();
            Some(decode(array.grid().voxel_type, &voxels))
        });
        if let Some(values) = chunk {
            let [x, y, z]: [usize; 3] = std::array::from_fn(|axis| at[axis] % shape[axis]);
            let place = dense.place(at);
            dense.values[place] = values[x + shape[0] * (y + shape[1] * z)];
        }
    }
    dense
}

pub(crate) fn encode(voxel_type: VoxelType, values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()[..voxel_type.size()].to_vec()).collect()
}

pub(crate) fn decode(voxel_type: VoxelType, bytes: &[u8]) -> Vec<i64> {
    let signed = voxel_type.name().starts_with('i');
    let one = |bytes: &[u8]| {
        let negative = signed && bytes.last().is_some_and(|byte| byte & 128 != 0);
        let mut all = if negative { [0xff; 8] } else { [0; 8] };
        all[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(all)
    };
    bytes.chunks_exact(voxel_type.size()).map(one).collect()
}
