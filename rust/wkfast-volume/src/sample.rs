//! Voxels at scattered points, in any order. Every chunk that holds some is decoded once; of a shard, its index and those
//! chunks are read, and nothing else.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::{Result, VolumeError};
use crate::format::{FoundChunk, IndexCache, MagArray, decode, fill_absent, read_chunks};
use crate::geometry::{ChunkGrid, ChunkIndex, ShardIndex};

thread_local! {
    static VOXELS: RefCell<Vec<u8>> = RefCell::default();
}

/// Where a point lies in the array, and which row of the request it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: [u32; 3],
    /// Place of the chunk in its shard.
    chunk: u32,
    /// Place of the voxel in its chunk.
    voxel: u32,
    row: usize,
}

/// The points of one chunk, and where their values go.
struct Run<'a> {
    places: &'a [Place],
    values: &'a mut [u8],
}

/// Points in rows: coordinates along the additional axes, then x, y, z, in voxels of the mag.
struct Points<'a> {
    grid: &'a ChunkGrid,
    rows: &'a [i64],
    columns: usize,
}

/// Reads the voxels at `points`, rows of coordinates along the additional axes and x, y, z in voxels of the mag, into
/// `out`, a voxel after the other. Negative coordinates, and those beyond what a grid can number, hold zeros; voxels of
/// absent chunks what the array states for them.
///
/// Chunks are decoded by the threads of the current rayon pool.
pub fn values_at(cache: &IndexCache, array: &dyn MagArray, points: &[i64], out: &mut [u8]) -> Result<()> {
    let grid = array.grid();
    let points = Points { grid, rows: points, columns: grid.extra_axes.len() + 3 };
    let voxel = grid.channels as usize * grid.voxel_type.size();
    let count = points.rows.len() / points.columns;
    if points.rows.len() != count * points.columns || out.len() != count * voxel {
        let (given, axes) = (points.rows.len(), &grid.extra_axes);
        let text = format!("{given} coordinates are no points of an array with the additional axes {axes:?}");
        return Err(VolumeError::Mismatch(text));
    }
    let places = points.in_order(count);
    let mut sorted = vec![0; places.len() * voxel];
    let runs = points.runs(&places, &mut sorted, voxel);
    let chunks: Vec<ChunkIndex> = runs.iter().map(|run| points.chunk(&run.places[0])).collect();
    let runs: Vec<_> = runs.into_iter().map(Mutex::new).collect();
    read_chunks(array, cache, &chunks, &|number, found| {
        let mut run = runs[number].lock().unwrap_or_else(PoisonError::into_inner);
        run.take(array, &chunks[number], found)
    })?;
    drop(runs);
    out.fill(0);
    for (place, value) in places.iter().zip(sorted.chunks_exact(voxel)) {
        out[place.row * voxel..(place.row + 1) * voxel].copy_from_slice(value);
    }
    Ok(())
}

impl Points<'_> {
    /// Coordinates of a row along the additional axes.
    fn extra(&self, row: usize) -> &[i64] {
        &self.rows[row * self.columns..][..self.columns - 3]
    }

    /// The points that lie in some chunk, those of a chunk together, and chunks of a shard together.
    fn in_order(&self, count: usize) -> Vec<Place> {
        let mut places: Vec<Place> = (0..count).into_par_iter().filter_map(|row| self.place(row)).collect();
        let key = |place: &Place| (place.shard[2], place.shard[1], place.shard[0], place.chunk);
        if self.columns == 3 {
            places.par_sort_unstable_by_key(key);
        } else {
            let order = |a: &Place, b: &Place| self.extra(a.row).cmp(self.extra(b.row)).then(key(a).cmp(&key(b)));
            places.par_sort_unstable_by(order);
        }
        places
    }

    fn place(&self, row: usize) -> Option<Place> {
        if self.extra(row).iter().any(|&at| u32::try_from(at).is_err()) {
            return None;
        }
        let (mut shard, mut chunk, mut voxel, mut chunks, mut voxels) = ([0; 3], 0, 0, 1, 1);
        for (axis, at) in self.rows[(row + 1) * self.columns - 3..(row + 1) * self.columns].iter().enumerate() {
            let (edge, many) = (self.grid.chunk_shape[axis], self.grid.chunks_per_shard[axis]);
            let at = u64::try_from(*at).ok()?;
            let index = u32::try_from(at / u64::from(edge)).ok()?;
            shard[axis] = index / many;
            chunk += chunks * (index % many);
            voxel += voxels * (at % u64::from(edge)) as u32;
            chunks *= many;
            voxels *= edge;
        }
        Some(Place { shard, chunk, voxel, row })
    }

    fn runs<'r>(&self, places: &'r [Place], mut values: &'r mut [u8], voxel: usize) -> Vec<Run<'r>> {
        let same =
            |a: &Place, b: &Place| (a.shard, a.chunk) == (b.shard, b.chunk) && self.extra(a.row) == self.extra(b.row);
        let take = |places: &'r [Place]| {
            let (head, rest) = std::mem::take(&mut values).split_at_mut(places.len() * voxel);
            values = rest;
            Run { places, values: head }
        };
        places.chunk_by(same).map(take).collect()
    }

    fn chunk(&self, place: &Place) -> ChunkIndex {
        let extra = self.extra(place.row).iter().map(|&at| at as u32).collect();
        self.grid.chunk_at(&ShardIndex { extra, xyz: place.shard }, place.chunk as usize)
    }
}

impl Run<'_> {
    /// Decodes the chunk and takes its points.
    fn take(&mut self, array: &dyn MagArray, chunk: &ChunkIndex, found: Option<FoundChunk<'_>>) -> Result<()> {
        VOXELS.with_borrow_mut(|voxels| {
            match found {
                Some(found) => {
                    voxels.resize(array.grid().chunk_bytes(), 0);
                    decode(array, &**found.codec, found.key, chunk, found.bytes, voxels)?;
                }
                None => fill_absent(array, voxels),
            }
            let size = array.grid().channels as usize * array.grid().voxel_type.size();
            for (place, value) in self.places.iter().zip(self.values.chunks_exact_mut(size)) {
                let at = place.voxel as usize * size;
                value.copy_from_slice(&voxels[at..at + size]);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::format::{
        Container, DataFormat, MagLocation, NewMag, Voxels, WriteOptions, create, open_mag_in, read_region,
        write_region,
    };
    use crate::geometry::{BoundingBox, Mag};
    use crate::store::SlowStore;
    use crate::voxels::VoxelType;

    const REGION: BoundingBox = BoundingBox { topleft: [3, 5, 7], size: [30, 20, 25] };

    fn painted(folder: &Path, format: DataFormat, voxel_type: VoxelType, channels: u32) -> Arc<dyn MagArray> {
        let location = MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.to_owned() }, "1");
        let per_shard = if format == DataFormat::Zarr { 1 } else { 2 };
        let new = NewMag {
            chunk_shape: [8; 3],
            chunks_per_shard: [per_shard; 3],
            ..NewMag::with_defaults(format, voxel_type, channels)
        };
        let array = create(&location, &new).unwrap();
        let length = crate::format::region_bytes(array.grid(), &REGION).unwrap() as u32;
        let bytes: Vec<u8> = (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let written = Voxels { bytes: &bytes, z_fastest: false };
        write_region(&*array, &[], &REGION, &written, &WriteOptions { keep_zeros: false, pool: None }).unwrap();
        array
    }

    /// One voxel after the other: the obvious way.
    fn one_by_one(array: &dyn MagArray, points: &[[i64; 3]]) -> Vec<u8> {
        let mut all = Vec::new();
        for &topleft in points {
            let region = BoundingBox { topleft, size: [1; 3] };
            let mut voxel = vec![0; crate::format::region_bytes(array.grid(), &region).unwrap()];
            read_region(array, &[], &region, &mut voxel).unwrap();
            all.extend(voxel);
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn any_points_hold_what_reading_them_one_by_one_finds(
            format in prop::sample::select(DataFormat::ALL.to_vec()),
            (voxel_type, channels) in prop::sample::select(vec![
                (VoxelType::UInt8, 3), (VoxelType::UInt32, 1), (VoxelType::Int64, 1),
            ]),
            points in prop::collection::vec(prop::array::uniform3(-10_i64..60), 0..60),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let array = painted(folder.path(), format, voxel_type, channels);
            let expected = one_by_one(&*array, &points);
            let mut found = vec![0xee; expected.len()];
            let flat: Vec<i64> = points.into_iter().flatten().collect();
            values_at(&IndexCache::default(), &*array, &flat, &mut found).unwrap();
            prop_assert_eq!(&found, &expected);
            let slow = SlowStore::new(array.store().clone(), Duration::ZERO, 4);
            let location = MagLocation::new(Mag([1; 3]), format, Container::Directory { path: folder.path().to_owned() }, "1");
            let far = open_mag_in(Arc::new(slow), &location).unwrap();
            values_at(&IndexCache::default(), &*far, &flat, &mut found).unwrap();
            prop_assert_eq!(found, expected, "from afar");
        }
    }

    #[test]
    fn points_beyond_any_layer_hold_zeros_and_halves_of_points_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let array = painted(folder.path(), DataFormat::Wkw, VoxelType::UInt8, 1);
        let mut found = [7; 2];
        let far = [i64::MAX, 1, 1, 1, i64::MIN, 1];
        values_at(&IndexCache::default(), &*array, &far, &mut found).unwrap();
        assert_eq!(found, [0; 2]);
        let refused = values_at(&IndexCache::default(), &*array, &far[..4], &mut found);
        assert!(matches!(refused, Err(VolumeError::Mismatch(_))));
    }
}
