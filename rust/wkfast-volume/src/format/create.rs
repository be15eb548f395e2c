//! New mags: their metadata files, with the defaults of WEBKNOSSOS.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wkfast_files::Held;

use super::draft::put_file;
use super::wkw::{BlockType, Header};
use super::{Container, DataFormat, MagArray, MagLocation, join_key, open_mag, zarr};
use crate::error::{Result, VolumeError};
use crate::geometry::ChunkGrid;
use crate::store::bucket_of;
use crate::voxels::VoxelType;

/// What a new mag is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewMag {
    /// Format of the files.
    pub format: DataFormat,
    /// Type of one value.
    pub voxel_type: VoxelType,
    /// Values per voxel.
    pub channels: u32,
    /// Voxels in a chunk, along x, y, z. WKW takes cubes of a power of two.
    pub chunk_shape: [u32; 3],
    /// Chunks in a shard, along x, y, z. Zarr v2 takes 1; Zarr v3 is unsharded with 1; WKW takes cubes of a power of two.
    pub chunks_per_shard: [u32; 3],
    /// Whether chunks are compressed: zstd level 5 in Zarr, LZ4-HC in WKW.
    #[serde(default = "yes")]
    pub compress: bool,
    /// Voxels before which the data lie, along x, y, z. Zarr states them, rounded up to whole shards.
    #[serde(default)]
    pub extent: [u64; 3],
    /// Axes beyond c, x, y, z. WKW has none.
    #[serde(default)]
    pub extra_axes: Vec<ExtraAxis>,
    /// Names of all axes in the array's order; where there are none, c, the additional ones, x, y, z. Only an array of
    /// one channel may go without c.
    #[serde(default)]
    pub axes: Vec<String>,
    /// What compresses, instead of the default: bytes-to-bytes codecs as `zarr.json` spells them, in Zarr v2 the one
    /// `compressor`, in WKW `{"name": "lz4"}` or `{"name": "lz4hc"}`.
    #[serde(default)]
    pub codecs: Option<Vec<Value>>,
    /// Between the parts of a Zarr chunk's name.
    #[serde(default = "slash")]
    pub separator: char,
    /// Whether the names of Zarr v3 chunks start with a `c`: its `default` encoding, not its `v2`.
    #[serde(default = "yes")]
    pub key_with_c: bool,
    /// Whether a Zarr v3 shard starts with its index instead of ending with it.
    #[serde(default)]
    pub index_at_start: bool,
}

/// An axis beyond c, x, y, z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraAxis {
    /// Its name, e.g. `t`.
    pub name: String,
    /// Slices along it.
    pub length: u64,
}

fn yes() -> bool {
    true
}

fn slash() -> char {
    '/'
}

impl NewMag {
    /// A mag with the format's defaults: chunks of 32³, compressed, gathered in shards of 1024³ where the format has them.
    pub fn with_defaults(format: DataFormat, voxel_type: VoxelType, channels: u32) -> Self {
        Self {
            format,
            voxel_type,
            channels,
            chunk_shape: [32; 3],
            chunks_per_shard: if format == DataFormat::Zarr { [1; 3] } else { [32; 3] },
            compress: true,
            extent: [0; 3],
            extra_axes: Vec::new(),
            axes: Vec::new(),
            codecs: None,
            separator: '/',
            key_with_c: true,
            index_at_start: false,
        }
    }

    /// Its metadata: name of the file in the mag's folder, and content.
    pub fn metadata(&self) -> Result<(&'static str, Vec<u8>), String> {
        if self.channels == 0 || self.chunk_shape.contains(&0) || self.chunks_per_shard.contains(&0) {
            return Err("channels, chunk shape and chunks per shard are positive numbers".to_owned());
        }
        self.check_axes()?;
        self.check_size()?;
        let content = match self.format {
            DataFormat::Wkw => self.header()?.to_bytes().to_vec(),
            DataFormat::Zarr => format!("{:#}", zarr::new_v2(self)?).into_bytes(),
            DataFormat::Zarr3 => format!("{:#}", zarr::new_v3(self)).into_bytes(),
        };
        Ok((self.format.metadata_name(), content))
    }

    fn header(&self) -> Result<Header, String> {
        if !self.extra_axes.is_empty() {
            return Err("WKW has no additional axes; use Zarr".to_owned());
        }
        let log2 = |edges: [u32; 3], what: &str| {
            let cube = edges.iter().all(|&edge| edge == edges[0]) && edges[0].is_power_of_two() && edges[0] <= 1 << 15;
            let log2 = edges[0].trailing_zeros() as u8;
            cube.then_some(log2)
                .ok_or_else(|| format!("WKW takes {what} that are cubes of a power of two, not {edges:?}"))
        };
        let voxel_bytes = u64::from(self.channels) * self.voxel_type.size() as u64;
        if voxel_bytes > 255 {
            return Err(format!("WKW cannot hold {} channels of {}", self.channels, self.voxel_type.name()));
        }
        let header = Header {
            block_type: self.block_type()?,
            voxel_type: self.voxel_type,
            channels: self.channels as u8,
            log2_block_edge: log2(self.chunk_shape, "chunks")?,
            log2_file_edge: log2(self.chunks_per_shard, "shards")?,
            data_offset: 0,
        };
        Header::parse(&header.to_bytes())
    }

    fn block_type(&self) -> Result<BlockType, String> {
        let names =
            self.codecs.as_ref().map(|codecs| codecs.iter().map(|codec| codec["name"].as_str()).collect::<Vec<_>>());
        match names.as_deref() {
            None if self.compress => Ok(BlockType::Lz4Hc),
            None | Some([]) => Ok(BlockType::Raw),
            Some([Some("lz4")]) => Ok(BlockType::Lz4),
            Some([Some("lz4hc")]) => Ok(BlockType::Lz4Hc),
            Some(_) => Err("WKW compresses with lz4 or lz4hc".to_owned()),
        }
    }

    /// Refuses what could be made, but not be opened.
    fn check_size(&self) -> Result<(), String> {
        let Self { voxel_type, channels, chunk_shape, chunks_per_shard, .. } = *self;
        ChunkGrid { voxel_type, channels, chunk_shape, chunks_per_shard, extra_axes: Vec::new() }.check_size()
    }

    /// Refuses an order that lacks an axis, or names one that there is not.
    fn check_axes(&self) -> Result<(), String> {
        let mut expected = self.default_axes();
        let mut found = self.axis_names();
        if self.channels == 1 && !found.contains(&"c") {
            expected.remove(0);
        }
        expected.sort_unstable();
        found.sort_unstable();
        let once = expected.windows(2).all(|pair| pair[0] != pair[1]);
        if once && expected == found { Ok(()) } else { Err(format!("an array of {expected:?} has the axes {found:?}")) }
    }

    fn default_axes(&self) -> Vec<&str> {
        let extra = self.extra_axes.iter().map(|axis| axis.name.as_str());
        std::iter::once("c").chain(extra).chain(["x", "y", "z"]).collect()
    }

    /// Names of all axes, in the array's order.
    pub(super) fn axis_names(&self) -> Vec<&str> {
        if self.axes.is_empty() { self.default_axes() } else { self.axes.iter().map(String::as_str).collect() }
    }

    /// Along the array's axes: `channels`, a value for each additional axis, and those of `space`.
    pub(super) fn along_axes(&self, extra: impl Fn(&ExtraAxis) -> u64, space: [u64; 3]) -> Vec<u64> {
        let along = |name: &str| match name {
            "c" => u64::from(self.channels),
            "x" => space[0],
            "y" => space[1],
            "z" => space[2],
            other => self.extra_axes.iter().find(|axis| axis.name == other).map_or(1, &extra),
        };
        self.axis_names().into_iter().map(along).collect()
    }

    /// Voxels in a shard along x, y, z.
    pub(super) fn shard_shape(&self) -> [u64; 3] {
        [0, 1, 2].map(|axis| u64::from(self.chunk_shape[axis]) * u64::from(self.chunks_per_shard[axis]))
    }
}

/// Creates a mag in a directory, made if need be, or in a bucket, and opens it. A mag that is there already is not touched.
pub fn create(location: &MagLocation, new: &NewMag) -> Result<Arc<dyn MagArray>> {
    let (name, content) =
        new.metadata().map_err(|reason| VolumeError::Mismatch(format!("mag {}: {reason}", location.mag)))?;
    match &location.container {
        Container::Directory { path } => {
            create_in_folder(&path.join(&location.prefix), location.within.as_deref(), name, &content)?;
        }
        Container::Objects(_) => create_in_bucket(location, name, content)?,
        Container::Zip { .. } | Container::ObjectZip { .. } => {
            return Err(VolumeError::Unsupported {
                file: format!("{:?}", location.container),
                what: "a mag is created in a directory, not in an archive".to_owned(),
            });
        }
    }
    let mut location = MagLocation { format: new.format, ..location.clone() };
    if location.axis_order.is_none() {
        location.axis_order =
            Some((0_u32..).zip(new.axis_names()).map(|(axis, name)| (name.to_owned(), axis)).collect());
    }
    open_mag(&location)
}

fn create_in_folder(folder: &Path, within: Option<&Path>, name: &str, content: &[u8]) -> Result<()> {
    let fault = |error| VolumeError::io(folder.display().to_string(), error);
    let held = hold(folder, within).map_err(fault)?;
    for name in DataFormat::ALL.map(DataFormat::metadata_name) {
        if held.at(name.as_ref()).exists() {
            return Err(taken(folder.display().to_string(), name));
        }
    }
    put_file(held, name, content)
}

/// Holds a folder, which is made if it is missing; behind no link from `within` on.
fn hold(folder: &Path, within: Option<&Path>) -> io::Result<Held> {
    let Some(within) = within else {
        fs::create_dir_all(folder)?;
        return Held::real(&fs::canonicalize(folder)?);
    };
    let below = folder
        .strip_prefix(within)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("leads out of {}", within.display())))?;
    Held::made_beneath(within, below)
}

fn create_in_bucket(location: &MagLocation, name: &str, content: Vec<u8>) -> Result<()> {
    let store = location.container.open()?;
    let folder = || store.describe(&location.prefix);
    let bucket = bucket_of(&*store, &location.prefix)?;
    for name in DataFormat::ALL.map(DataFormat::metadata_name) {
        if store.size(&join_key(&location.prefix, name))?.is_some() {
            return Err(taken(folder(), name));
        }
    }
    let put = bucket.put_if(&join_key(&location.prefix, name), content, None)?;
    put.map(drop).ok_or_else(|| taken(folder(), name))
}

fn taken(target: String, name: &str) -> VolumeError {
    let reason = format!("already holds a mag ({name}); open it, or remove it first");
    VolumeError::TargetTaken { target, reason }
}

#[cfg(test)]
mod tests;
