//! A mag in a folder, which other processes may put another in the place of at any time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use wkfast_files::stat;

use super::{Container, DataFormat, IndexCache, MagArray, MagLocation, open_mag};
use crate::error::{Result, VolumeError};
use crate::store::Stamp;

/// A mag is replaced in one step, so one new look is enough unless somebody replaces it over and over.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(5);

/// A mag as it was when it was opened.
#[derive(Debug)]
pub struct OpenMag {
    /// The mag.
    pub array: Arc<dyn MagArray>,
    /// What is kept of its shards.
    pub indexes: IndexCache,
    /// State of the metadata file that it was opened by.
    stamp: Option<Stamp>,
}

/// A mag that is opened again when its metadata are another file than when it was opened.
///
/// What was read counts only if the metadata did not change meanwhile. So a reader gets what a mag held before it was
/// replaced or what it holds since, never chunks of the one by the description of the other.
#[derive(Debug)]
pub struct CurrentMag {
    location: MagLocation,
    /// What tells whether the mag is still the one that was opened; `None` where nobody asks.
    metadata: Option<PathBuf>,
    opened: RwLock<Arc<OpenMag>>,
}

impl CurrentMag {
    /// Opens a mag for good: as it is now, whatever happens to it later. Archives are not replaced mag by mag.
    pub fn fixed(location: MagLocation, array: Arc<dyn MagArray>) -> Self {
        let opened = OpenMag { array, indexes: IndexCache::default(), stamp: None };
        Self { location, metadata: None, opened: RwLock::new(Arc::new(opened)) }
    }

    /// Opens a mag, and what takes its place later.
    pub fn open(location: MagLocation) -> Result<Self> {
        let Container::Directory { path } = &location.container else {
            let array = open_mag(&location)?;
            return Ok(Self::fixed(location, array));
        };
        let metadata = path.join(&location.prefix).join(location.format.metadata_name());
        let opened = open_at(&location, &metadata)?;
        Ok(Self { location, metadata: Some(metadata), opened: RwLock::new(Arc::new(opened)) })
    }

    /// The mag as it is [now](Self::now), to be written to.
    ///
    /// # Errors
    /// Also where it leads out of what may be written; see [`MagLocation::within`].
    pub fn to_write(&self) -> Result<Arc<OpenMag>> {
        let mag = self.now()?;
        self.location.check_within(&*mag.array)?;
        Ok(mag)
    }

    /// Whether it is read from a server.
    pub fn is_far(&self) -> bool {
        self.location.container.is_far()
    }

    /// Its format.
    pub fn format(&self) -> DataFormat {
        self.location.format
    }

    /// The mag as it is now.
    pub fn now(&self) -> Result<Arc<OpenMag>> {
        let opened = self.last();
        if self.is_current(&opened) { Ok(opened) } else { self.reopen() }
    }

    /// What `look` finds in the mag of one state; it may be called several times.
    pub fn of_one_state<T, E: From<VolumeError>>(
        &self,
        mut look: impl FnMut(&OpenMag) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..LOOKS {
            let opened = self.last();
            let found = look(&opened);
            if self.is_current(&opened) {
                return found;
            }
            self.reopen()?;
        }
        Err(too_often(self.metadata.as_deref(), "read").into())
    }

    fn last(&self) -> Arc<OpenMag> {
        Arc::clone(&self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_current(&self, opened: &OpenMag) -> bool {
        self.metadata.as_ref().is_none_or(|metadata| stamp_of(metadata) == opened.stamp)
    }

    fn reopen(&self) -> Result<Arc<OpenMag>> {
        let Some(metadata) = &self.metadata else { return Ok(self.last()) };
        let opened = Arc::new(open_at(&self.location, metadata)?);
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&opened);
        Ok(opened)
    }
}

/// Opens the mag as it is now; one that is replaced meanwhile, once more.
fn open_at(location: &MagLocation, metadata: &Path) -> Result<OpenMag> {
    for _ in 0..LOOKS {
        let stamp = stamp_of(metadata);
        match open_mag(location) {
            Ok(array) => return Ok(OpenMag { array, indexes: IndexCache::default(), stamp }),
            Err(error) if stamp_of(metadata) == stamp => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Err(too_often(Some(metadata), "opened"))
}

/// What is wrong with a file that stat does not tell of is said where the mag is opened.
fn stamp_of(metadata: &Path) -> Option<Stamp> {
    stat(metadata).ok().flatten().map(|found| Stamp::of(&found))
}

fn too_often(metadata: Option<&Path>, done: &str) -> VolumeError {
    let file = metadata.map(|path| path.display().to_string()).unwrap_or_default();
    VolumeError::corrupt(file, format!("is replaced so often that the mag cannot be {done}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::voxels;
    use crate::format::{NewMag, Voxels, WriteOptions, create, read_region_with, write_region};
    use crate::geometry::{BoundingBox, Mag};
    use crate::voxels::VoxelType;

    const REGION: BoundingBox = BoundingBox { topleft: [0; 3], size: [16; 3] };

    fn place(folder: &Path, format: DataFormat) -> MagLocation {
        MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.to_owned() }, "1")
    }

    fn write(folder: &Path, format: DataFormat, chunk: u32) -> Vec<u8> {
        let per_shard = if format == DataFormat::Zarr { 1 } else { 2 };
        let new = NewMag {
            chunk_shape: [chunk; 3],
            chunks_per_shard: [per_shard; 3],
            ..NewMag::with_defaults(format, VoxelType::UInt16, 1)
        };
        let (array, bytes) = (create(&place(folder, format), &new).unwrap(), voxels(chunk, 8192));
        let written = Voxels { bytes: &bytes, z_fastest: false };
        write_region(&*array, &[], &REGION, &written, &WriteOptions::default()).unwrap();
        bytes
    }

    fn read(mag: &OpenMag) -> Result<Vec<u8>> {
        let mut out = vec![0; 8192];
        read_region_with(&mag.indexes, &*mag.array, &[], &REGION, &mut out).map(|()| out)
    }

    /// As rechunking does: the new folder stands where the old one stood.
    fn replace(folder: &Path) {
        std::fs::rename(folder.join("1"), folder.join("old")).unwrap();
        std::fs::rename(folder.join("new/1"), folder.join("1")).unwrap();
    }

    #[test]
    fn a_mag_that_is_replaced_while_it_is_read_is_read_again() {
        for format in [DataFormat::Wkw, DataFormat::Zarr, DataFormat::Zarr3] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), format, 4);
            let new = write(&folder.path().join("new"), format, 8);
            let mag = CurrentMag::open(place(folder.path(), format)).unwrap();
            let mut looks = 0;
            let found = mag.of_one_state(|opened| {
                looks += 1;
                if looks == 1 {
                    replace(folder.path());
                }
                read(opened)
            });
            assert_eq!((found.unwrap(), looks), (new, 2), "{format}");
            assert_eq!(mag.now().unwrap().array.grid().chunk_shape, [8; 3]);
        }
    }

    #[test]
    fn a_mag_opened_for_good_stays_what_it_was_and_one_that_has_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), DataFormat::Zarr3, 4);
        let location = place(folder.path(), DataFormat::Zarr3);
        let fixed = CurrentMag::fixed(location.clone(), open_mag(&location).unwrap());
        let following = CurrentMag::open(location).unwrap();
        std::fs::remove_dir_all(folder.path().join("1")).unwrap();
        assert!(fixed.now().is_ok());
        assert!(matches!(following.now(), Err(VolumeError::Missing { .. })));
        assert!(following.of_one_state(read).is_err(), "absent chunks of a mag that has gone are no zeros");
    }
}
