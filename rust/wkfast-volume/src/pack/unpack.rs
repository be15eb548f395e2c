//! A mag of a data zip as a folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::form::annotation_form;
use super::recode::{Recoder, chunks_cut_as};
use crate::error::{Result, VolumeError};
use crate::format::{Container, DataFormat, MagArray, MagLocation, open_mag};
use crate::geometry::ShardIndex;
use crate::work::Driver;

/// A file up to this size is moved in one piece.
const PIECE: u64 = 64 << 20;

/// What the folder is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The files as they are; legacy spellings in metadata are modernised.
    Same,
    /// [What WEBKNOSSOS accepts](annotation_form), whatever the source is.
    Annotation,
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Format of the folder.
    pub format: DataFormat,
    /// Files with chunks.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes the mag at `location`, opened as `source`, into `folder`, which is created and must not hold a mag. `extent` is
/// what its metadata shall at least cover.
///
/// After an error the folder is of no use; the caller makes it under a temporary name.
pub fn unpack(
    source: &Arc<dyn MagArray>,
    location: &MagLocation,
    folder: &Path,
    form: Form,
    extent: [u64; 3],
    driver: &mut Driver,
) -> Result<Unpacked> {
    fs::create_dir_all(folder).map_err(|error| fault(folder, error))?;
    match form {
        Form::Same => copy(source, location, folder, extent, driver),
        Form::Annotation => convert(source, location, folder, extent, driver),
    }
}

fn copy(
    source: &Arc<dyn MagArray>,
    location: &MagLocation,
    folder: &Path,
    extent: [u64; 3],
    driver: &mut Driver,
) -> Result<Unpacked> {
    for (name, content) in source.metadata_like(source.grid().voxel_type, extent, &[])? {
        put(&folder.join(name), &content)?;
    }
    let target = open_folder(location.format, folder, location)?;
    let shards = source.list_shards()?.shards;
    let longest = shards.iter().map(|(_, size)| *size).max().unwrap_or(0).min(PIECE);
    driver.expect(shards.len(), shards.len() as u64 * longest);
    let mut bytes = 0;
    driver.in_order(
        &shards,
        longest as usize,
        |(shard, size)| copy_file(&**source, shard, *size, &folder.join(target.shard_key(shard))),
        |(_, size), ()| {
            bytes += size;
            Ok(())
        },
    )?;
    Ok(Unpacked { format: location.format, files: shards.len() as u64, bytes })
}

fn copy_file(source: &dyn MagArray, shard: &ShardIndex, size: u64, path: &Path) -> Result<()> {
    let key = source.shard_key(shard);
    let mut file = create(path)?;
    let mut at = 0;
    while at < size {
        let end = size.min(at + PIECE);
        let piece = if end - at == size {
            source.store().read(&key, size)?.unwrap_or_default()
        } else {
            source.store().read_range(&key, at..end)?
        };
        file.write_all(&piece).map_err(|error| fault(path, error))?;
        at = end;
    }
    Ok(())
}

fn convert(
    source: &Arc<dyn MagArray>,
    location: &MagLocation,
    folder: &Path,
    extent: [u64; 3],
    driver: &mut Driver,
) -> Result<Unpacked> {
    let new = annotation_form(source.grid(), extent, []);
    let chunks: Vec<_> = chunks_cut_as(&**source, new.chunk_shape)?.into_iter().collect();
    let new = annotation_form(source.grid(), extent, &chunks);
    let (name, content) = new.metadata().map_err(VolumeError::Mismatch)?;
    put(&folder.join(name), &content)?;
    let target = open_folder(DataFormat::Zarr3, folder, &MagLocation { axis_order: None, ..location.clone() })?;
    let recoder = Recoder::new(Arc::clone(source), Arc::clone(&target));
    driver.expect(chunks.len(), (chunks.len() * target.grid().chunk_bytes()) as u64);
    let (mut files, mut bytes) = (0, 0);
    driver.in_order(
        &chunks,
        target.grid().chunk_bytes(),
        |chunk| {
            let Some(encoded) = recoder.encoded(chunk)? else { return Ok(None) };
            put(&folder.join(target.shard_key(chunk)), &encoded)?;
            Ok(Some(encoded.len() as u64))
        },
        |_, written| {
            files += u64::from(written.is_some());
            bytes += written.unwrap_or(0);
            Ok(())
        },
    )?;
    Ok(Unpacked { format: DataFormat::Zarr3, files, bytes })
}

/// The mag that `folder` has become, with the axes of `location`.
fn open_folder(format: DataFormat, folder: &Path, location: &MagLocation) -> Result<Arc<dyn MagArray>> {
    let container = Container::Directory { path: folder.to_owned() };
    open_mag(&MagLocation { format, container, prefix: String::new(), ..location.clone() })
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    create(path)?.write_all(content).map_err(|error| fault(path, error))
}

/// A new file; its folder is made if need be.
fn create(path: &Path) -> Result<File> {
    let created = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder).and_then(|()| File::create_new(path))
        }
        created => created,
    };
    created.map_err(|error| fault(path, error))
}

fn fault(path: &Path, error: io::Error) -> VolumeError {
    VolumeError::io(path.display().to_string(), error)
}
