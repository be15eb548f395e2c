//! What an annotation's data zip holds, decided by its members: names and metadata in the NML are not relied on.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{Container, DataFormat, MagArray, MagLocation, each_index, open_mag_in, wkw};
use crate::error::{Result, VolumeError};
use crate::geometry::{ChunkGrid, Mag};
use crate::store::{SharedStore, list};

const PROPERTIES: &str = "datasource-properties.json";
/// Members of a Zarr hierarchy that are no arrays of chunks.
const ZARR_METADATA: [&str; 4] = ["zarr.json", ".zarray", ".zgroup", ".zattrs"];
/// Strange members named in a warning.
const NAMED: usize = 3;

/// A mag that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredMag {
    /// Where it lies, ready to be opened.
    pub location: MagLocation,
    /// Shapes, type and channels.
    pub grid: ChunkGrid,
    /// Chunks it has.
    pub chunks: u64,
    /// Bytes of its chunk files.
    pub stored_bytes: u64,
}

/// All mags of a layer, finest first, and what was strange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The mags.
    pub mags: Vec<DiscoveredMag>,
    /// One sentence each, for the user.
    pub warnings: Vec<String>,
}

/// Finds the mags in `container`. `declared` is what the NML says the format is; the members decide, and a difference
/// is reported.
pub fn discover(container: &Container, declared: Option<DataFormat>) -> Result<Discovery> {
    discover_in(&container.open()?, container, declared)
}

/// The same in a container that is open already.
pub(crate) fn discover_in(
    store: &SharedStore,
    container: &Container,
    declared: Option<DataFormat>,
) -> Result<Discovery> {
    let keys: Vec<String> = list(&**store, "")?.into_iter().map(|entry| entry.key).collect();
    let mut discovery = Discovery::default();
    let mut known = HashSet::new();
    for location in locations(store, container, &keys, declared, &mut discovery.warnings)? {
        let array = open_mag_in(store.clone(), &location)?;
        discovery.mags.push(survey(&*array, location, &mut known, &mut discovery.warnings)?);
    }
    let strays: Vec<_> = keys.iter().filter(|key| !known.contains(*key) && !is_metadata(key)).collect();
    if !strays.is_empty() {
        let named = strays.iter().take(NAMED).map(|key| store.describe(key)).collect::<Vec<_>>().join(", ");
        discovery.warnings.push(format!("{} files are no chunks and are ignored: {named}", strays.len()));
    }
    Ok(discovery)
}

/// Counts the chunks of one mag and notes the keys of its files as known.
fn survey(
    array: &dyn MagArray,
    location: MagLocation,
    known: &mut HashSet<String>,
    warnings: &mut Vec<String>,
) -> Result<DiscoveredMag> {
    let listing = array.list_shards()?;
    for key in listing.empty_files {
        warnings.push(format!("{} has no bytes; its chunk counts as absent", array.store().describe(&key)));
        known.insert(key);
    }
    let mut found = DiscoveredMag { location, grid: array.grid().clone(), chunks: 0, stored_bytes: 0 };
    found.stored_bytes = listing.shards.iter().map(|(_, size)| size).sum();
    known.extend(listing.shards.iter().map(|(shard, _)| array.shard_key(shard)));
    if found.grid.chunks_in_shard() == 1 {
        // A file that holds one chunk is not opened: there may be a hundred thousand.
        found.chunks = listing.shards.len() as u64;
        return Ok(found);
    }
    each_index(array, listing.shards.into_iter().map(|(shard, _)| shard), |_, table| {
        found.chunks += table.spans.iter().flatten().count() as u64;
    })?;
    Ok(found)
}

fn locations(
    store: &SharedStore,
    container: &Container,
    keys: &[String],
    declared: Option<DataFormat>,
    warnings: &mut Vec<String>,
) -> Result<Vec<MagLocation>> {
    let found: BTreeSet<(DataFormat, &str)> = keys.iter().filter_map(|key| mag_folder(key)).collect();
    let formats: BTreeSet<_> = found.iter().map(|(format, _)| *format).collect();
    let chosen = formats.iter().copied().find(|&format| Some(format) == declared).or(formats.first().copied());
    let Some(chosen) = chosen else { return Ok(Vec::new()) };
    if let Some(declared) = declared.filter(|&declared| declared != chosen) {
        let name = store.describe("");
        warnings.push(format!("{name} is said to be {declared} but holds {chosen}, which is what is read"));
    }
    if formats.len() > 1 {
        warnings.push(format!("{} holds several formats; only {chosen} is read", store.describe("")));
    }
    let axes = axis_orders(store, keys)?;
    let mut locations: Vec<_> = found
        .into_iter()
        .filter(|(format, _)| *format == chosen)
        .filter_map(|(format, prefix)| {
            let mag = mag_of(prefix)?;
            let axis_order = axes.get(&mag).cloned();
            Some(MagLocation { axis_order, ..MagLocation::new(mag, format, container.clone(), prefix) })
        })
        .collect();
    locations.sort_by_key(|location| (location.mag.0.iter().max().copied(), location.mag));
    one_folder_each(store, &locations)?;
    Ok(locations)
}

/// Of two folders of one mag (`1` and `1-1-1`) nobody can tell which one counts.
fn one_folder_each(store: &SharedStore, locations: &[MagLocation]) -> Result<()> {
    let Some(pair) = locations.windows(2).find(|pair| pair[0].mag == pair[1].mag) else { return Ok(()) };
    let (mag, one, other) = (pair[0].mag, &pair[0].prefix, &pair[1].prefix);
    let reason = format!("holds two folders of mag {mag}, {one:?} and {other:?}; expected one: take the other out");
    Err(VolumeError::corrupt(store.describe(""), reason))
}

/// The folder of the mag that `key` belongs to, if its name tells.
fn mag_folder(key: &str) -> Option<(DataFormat, &str)> {
    let (folder, name) = key.rsplit_once('/')?;
    let described = DataFormat::ALL.into_iter().find(|format| format.metadata_name() == name);
    let (format, folder) = if let Some(format) = described {
        (format, folder)
    } else {
        let folder = folder.rsplit_once('/')?.0.rsplit_once('/')?.0;
        wkw::parse_key(key, folder)?;
        (DataFormat::Wkw, folder)
    };
    mag_of(folder)?;
    Some((format, folder))
}

fn mag_of(folder: &str) -> Option<Mag> {
    folder.rsplit('/').next()?.parse().ok()
}

fn is_metadata(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name == PROPERTIES || name == DataFormat::Wkw.metadata_name() || ZARR_METADATA.contains(&name)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Properties {
    data_layers: Vec<LayerProperties>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LayerProperties {
    mags: Vec<MagProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MagProperties {
    mag: [u32; 3],
    axis_order: Option<BTreeMap<String, u32>>,
}

/// `axisOrder` of each mag, where the properties in the archive give it. They are a help, not a need.
fn axis_orders(store: &SharedStore, keys: &[String]) -> Result<BTreeMap<Mag, BTreeMap<String, u32>>> {
    if !keys.iter().any(|key| key == PROPERTIES) {
        return Ok(BTreeMap::new());
    }
    let json = store.read(PROPERTIES, 16 << 20)?.unwrap_or_default();
    let properties: Properties = serde_json::from_slice(&json).unwrap_or_default();
    let mags = properties.data_layers.into_iter().flat_map(|layer| layer.mags);
    Ok(mags.filter_map(|entry| Some((Mag(entry.mag), entry.axis_order?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::wkw::{BlockType, Header, WkwArray};
    use crate::geometry::ShardIndex;
    use crate::store::zip_bytes;
    use crate::voxels::VoxelType;

    struct Archive {
        _folder: tempfile::TempDir,
        container: Container,
    }

    fn archive(files: &[(&str, Vec<u8>)]) -> Archive {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.zip");
        std::fs::write(&path, zip_bytes(files, zip::CompressionMethod::Deflated)).unwrap();
        Archive { _folder: folder, container: Container::Zip { path, member: None } }
    }

    fn header() -> Header {
        let (block_type, voxel_type) = (BlockType::Lz4, VoxelType::UInt32);
        Header { block_type, voxel_type, channels: 1, log2_block_edge: 5, log2_file_edge: 0, data_offset: 0 }
    }

    fn chunk() -> Vec<u8> {
        let array = WkwArray::with_header(crate::format::testing::memory(), "", header());
        crate::format::testing::shard_bytes(&array, &[None])
    }

    fn zarr_json() -> Vec<u8> {
        br#"{"zarr_format": 3, "node_type": "array", "shape": [1, 1, 1, 1], "data_type": "uint8", "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2, 2, 2]}}, "codecs": ["bytes"],
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}}"#
            .to_vec()
    }

    #[test]
    fn two_folders_of_one_mag_are_refused_by_name() {
        let bytes = header().to_bytes().to_vec();
        let layer = archive(&[("1/header.wkw", bytes.clone()), ("1-1-1/header.wkw", bytes)]);
        let error = discover(&layer.container, None).unwrap_err().to_string();
        assert!(error.contains("two folders of mag 1") && error.contains("\"1-1-1\""), "{error}");
    }

    #[test]
    fn strange_members_are_reported_and_do_no_harm() {
        let archive = archive(&[
            ("2-2-1/z0/y0/x1.wkw", chunk()),
            ("1/z0/y0/x1.wkw", chunk()),
            ("1/z0/y0/x2.wkw", Vec::new()),
            ("4/header.wkw", header().to_bytes().to_vec()),
            ("1/header.wkw", header().to_bytes().to_vec()),
            ("1/notes.txt", vec![1]),
            ("readme", vec![1]),
        ]);
        let found = discover(&archive.container, Some(DataFormat::Zarr3)).unwrap();
        let mags: Vec<_> = found.mags.iter().map(|mag| (mag.location.mag.to_string(), mag.chunks)).collect();
        assert_eq!(mags, [("1".to_owned(), 1), ("2-2-1".to_owned(), 1), ("4".to_owned(), 0)]);
        let warnings = found.warnings.join("\n");
        for part in ["said to be zarr3 but holds wkw", "x2.wkw has no bytes", "2 files are no chunks", "notes.txt"] {
            assert!(warnings.contains(part), "{part}: {warnings}");
        }
    }

    #[test]
    fn a_folder_around_the_mags_is_seen_through() {
        let archive = archive(&[("volume/1/z0/y0/x0.wkw", chunk())]);
        let found = discover(&archive.container, Some(DataFormat::Wkw)).unwrap();
        assert_eq!((found.mags[0].location.prefix.as_str(), found.mags[0].chunks), ("volume/1", 1));
        assert_eq!(found.warnings, [""; 0]);
    }

    #[test]
    fn zarr_mags_take_their_axes_from_the_properties() {
        let properties =
            br#"{"dataLayers": [{"mags": [{"mag": [1, 1, 1], "axisOrder": {"c": 0, "z": 1, "y": 2, "x": 3}},
            {"mag": [2, 2, 2]}]}]}"#;
        let archive = archive(&[
            (PROPERTIES, properties.to_vec()),
            ("volumeAnnotationData/zarr.json", b"{}".to_vec()),
            ("volumeAnnotationData/1/zarr.json", zarr_json()),
            ("volumeAnnotationData/1/c.0.1.2.3", vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ]);
        let found = discover(&archive.container, Some(DataFormat::Zarr3)).unwrap();
        assert_eq!(found.warnings, [""; 0]);
        let array = crate::format::open_mag(&found.mags[0].location).unwrap();
        assert_eq!(array.list_shards().unwrap().shards, [(ShardIndex::xyz(3, 2, 1), 8)]);
        assert_eq!(array.codec().encoding(), "raw");
    }

    #[test]
    fn with_two_formats_the_declared_one_counts() {
        let archive = archive(&[("1/zarr.json", zarr_json()), ("1/z0/y0/x0.wkw", chunk())]);
        for declared in [DataFormat::Wkw, DataFormat::Zarr3] {
            let found = discover(&archive.container, Some(declared)).unwrap();
            assert_eq!(found.mags[0].location.format, declared);
            assert!(found.warnings[0].contains("several formats"), "{:?}", found.warnings);
        }
    }

    #[test]
    fn an_archive_without_mags_is_empty() {
        let archive = archive(&[(PROPERTIES, b"not json".to_vec())]);
        assert_eq!(discover(&archive.container, Some(DataFormat::Zarr3)).unwrap(), Discovery::default());
    }
}
