//! Voxels of a box as a caller has them in memory, in either of numpy's two orders.

use crate::geometry::{BoundingBox, ChunkGrid};

/// Borrowed voxels of a box, values little endian.
#[derive(Clone, Copy, Debug)]
pub struct Voxels<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// Whether z is the fastest axis of (c, x, y, z), as numpy has arrays by default, instead of c.
    pub z_fastest: bool,
}

/// What a chunk and a box share, in voxels along x, y, z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedBox {
    /// First shared voxel, counted from the chunk's first.
    pub(super) in_chunk: [usize; 3],
    /// First shared voxel, counted from the box's first.
    pub(super) in_box: [usize; 3],
    /// Shared voxels.
    pub(super) length: [usize; 3],
}

impl SharedBox {
    /// `None` where they share nothing.
    pub(super) fn of(grid: &ChunkGrid, chunk: [u32; 3], region: &BoundingBox) -> Option<Self> {
        let mut shared = Self { in_chunk: [0; 3], in_box: [0; 3], length: [0; 3] };
        for (axis, &index) in chunk.iter().enumerate() {
            let start = i64::from(index) * i64::from(grid.chunk_shape[axis]);
            let first = start.max(region.topleft[axis]);
            let last = (start + i64::from(grid.chunk_shape[axis])).min(region.topleft[axis] + region.size[axis]);
            if last <= first {
                return None;
            }
            shared.in_chunk[axis] = (first - start) as usize;
            shared.in_box[axis] = (first - region.topleft[axis]) as usize;
            shared.length[axis] = (last - first) as usize;
        }
        Some(shared)
    }

    /// Whether it is all of the chunk.
    pub(super) fn is_whole(&self, grid: &ChunkGrid) -> bool {
        self.length == grid.chunk_shape.map(|edge| edge as usize)
    }
}

impl Voxels<'_> {
    /// Copies what is shared into the chunk, which lies in Fortran order of (c, x, y, z).
    pub(super) fn put(&self, grid: &ChunkGrid, size: [i64; 3], shared: &SharedBox, chunk: &mut [u8]) {
        if self.z_fastest {
            match grid.voxel_type.size() {
                1 => self.transpose::<1>(grid, size, shared, chunk),
                2 => self.transpose::<2>(grid, size, shared, chunk),
                4 => self.transpose::<4>(grid, size, shared, chunk),
                _ => self.transpose::<8>(grid, size, shared, chunk),
            }
        } else {
            self.copy_rows(grid, size, shared, chunk);
        }
    }

    fn copy_rows(&self, grid: &ChunkGrid, size: [i64; 3], shared: &SharedBox, chunk: &mut [u8]) {
        let SharedBox { in_chunk, in_box, length } = *shared;
        let voxel = grid.channels as usize * grid.voxel_type.size();
        let [nx, ny, _] = grid.chunk_shape.map(|edge| edge as usize);
        let [width, height, _] = size.map(|edge| edge as usize);
        let row = length[0] * voxel;
        for z in 0..length[2] {
            for y in 0..length[1] {
                let to = (in_chunk[0] + nx * (in_chunk[1] + y + ny * (in_chunk[2] + z))) * voxel;
                let from = (in_box[0] + width * (in_box[1] + y + height * (in_box[2] + z))) * voxel;
                chunk[to..to + row].copy_from_slice(&self.bytes[from..from + row]);
            }
        }
    }

    /// Goes through a tile of its own: rows of the chunk that differ in z only lie whole pages apart, and would push each
    /// other out of the cache while they are filled value by value.
    fn transpose<const SIZE: usize>(&self, grid: &ChunkGrid, size: [i64; 3], shared: &SharedBox, chunk: &mut [u8]) {
        let SharedBox { in_chunk, in_box, length } = *shared;
        let channels = grid.channels as usize;
        let [nx, ny, _] = grid.chunk_shape.map(|edge| edge as usize);
        let [width, height, depth] = size.map(|edge| edge as usize);
        let (values, _) = self.bytes.as_chunks::<SIZE>();
        let (chunk, _) = chunk.as_chunks_mut::<SIZE>();
        let mut tile = [[0; SIZE]; TILE * TILE];
        let starts = |axis: usize| (0..length[axis]).step_by(TILE);
        for channel in 0..channels {
            for y in 0..length[1] {
                for (x, z) in starts(0).flat_map(|x| starts(2).map(move |z| (x, z))) {
                    let [columns, rows] = [length[0] - x, length[2] - z].map(|rest| rest.min(TILE));
                    for column in 0..columns {
                        let row = (channel * width + in_box[0] + x + column) * height + in_box[1] + y;
                        let from = &values[row * depth + in_box[2] + z..][..rows];
                        from.iter().enumerate().for_each(|(row, &value)| tile[row * TILE + column] = value);
                    }
                    for row in 0..rows {
                        let start = in_chunk[0] + x + nx * (in_chunk[1] + y + ny * (in_chunk[2] + z + row));
                        put_row(&tile[row * TILE..][..columns], channels, &mut chunk[start * channels + channel..]);
                    }
                }
            }
        }
    }
}

/// Edge of what is transposed at once, in voxels.
const TILE: usize = 32;

/// Stores the values of one channel of neighbours along x.
fn put_row<const SIZE: usize>(values: &[[u8; SIZE]], channels: usize, chunk: &mut [[u8; SIZE]]) {
    if channels == 1 {
        chunk[..values.len()].copy_from_slice(values);
    } else {
        chunk.iter_mut().step_by(channels).zip(values).for_each(|(target, &value)| *target = value);
    }
}
