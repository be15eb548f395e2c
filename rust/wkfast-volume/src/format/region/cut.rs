//! Cuts the memory of a box into sticks: one for every pair of chunk rows along y and z. No two sticks share a byte, so
//! threads fill them at once without locks, and no chunk is decoded twice.

use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, ShardIndex};

/// All of a box that lies in the chunks of one (y, z), as one piece of memory per plane of z.
pub(super) struct Stick<'a> {
    extra: Box<[u32]>,
    /// Chunk coordinates along y and z.
    chunk_yz: [u32; 2],
    /// Chunks along x, end excluded.
    chunk_x: std::ops::Range<u32>,
    /// First voxel along x, y, z.
    topleft: [i64; 3],
    /// Voxels along x.
    pub(super) width: usize,
    /// Voxels along y.
    height: usize,
    pub(super) planes: Vec<&'a mut [u8]>,
}

/// What a chunk and a stick share, in voxels along x, y, z.
pub(super) struct InStick {
    /// First shared voxel, counted from the chunk's first.
    pub(super) chunk_start: [usize; 3],
    /// First shared voxel, counted from the stick's first.
    pub(super) stick_start: [usize; 3],
    /// Shared voxels.
    pub(super) length: [usize; 3],
}

/// The sticks of `region`, whose memory is `out`. Parts at coordinates without chunks get none.
pub(super) fn sticks<'a>(grid: &ChunkGrid, extra: &[u32], region: &BoundingBox, out: &'a mut [u8]) -> Vec<Stick<'a>> {
    let voxel = grid.channels as usize * grid.voxel_type.size();
    let [nx, ny, _] = region.size.map(|edge| edge as usize);
    let [edge_x, edge_y, edge_z] = grid.chunk_shape.map(i64::from);
    if out.is_empty() {
        return Vec::new();
    }
    let chunk_x = chunks_along(region.topleft[0], region.size[0], edge_x);
    let rows = rows_of_chunks(region.topleft[1], region.size[1], edge_y);
    let mut sticks: Vec<Stick<'a>> = Vec::new();
    let mut layer_start = 0;
    for (mut plane, z) in out.chunks_mut(nx * ny * voxel).zip(region.topleft[2]..) {
        let chunk_z = z.div_euclid(edge_z);
        if sticks.last().is_none_or(|last| i64::from(last.chunk_yz[1]) != chunk_z) {
            layer_start = sticks.len();
        }
        let mut row = layer_start;
        for (chunk_y, y, height) in rows.iter().copied() {
            let Some(piece) = plane.split_off_mut(..height * nx * voxel) else { break };
            let (Ok(chunk_y), Ok(chunk_z)) = (u32::try_from(chunk_y), u32::try_from(chunk_z)) else { continue };
            if row == sticks.len() {
                let topleft = [region.topleft[0], y, z];
                let (extra, chunk_x, planes) = (extra.into(), chunk_x.clone(), Vec::new());
                let number = [chunk_y, chunk_z];
                sticks.push(Stick { extra, chunk_yz: number, chunk_x, topleft, width: nx, height, planes });
            }
            sticks[row].planes.push(piece);
            row += 1;
        }
    }
    sticks
}

/// Rows of chunks that `length` voxels from `start` on lie in: the number of each, its first voxel, and how many.
fn rows_of_chunks(start: i64, length: i64, edge: i64) -> Vec<(i64, i64, usize)> {
    let mut rows = Vec::new();
    let mut first = start;
    while first < start + length {
        let chunk = first.div_euclid(edge);
        let next = ((chunk + 1) * edge).min(start + length);
        rows.push((chunk, first, (next - first) as usize));
        first = next;
    }
    rows
}

/// Chunks that `length` voxels from `start` on touch; only those that have an index.
fn chunks_along(start: i64, length: i64, edge: i64) -> std::ops::Range<u32> {
    let index = |voxel: i64| u32::try_from(voxel.max(0)).unwrap_or(u32::MAX);
    index(start.div_euclid(edge))..index((start + length + edge - 1).div_euclid(edge))
}

impl Stick<'_> {
    /// Its chunks, along x.
    pub(super) fn chunks(&self) -> impl Iterator<Item = ChunkIndex> + use<> {
        let (extra, [y, z]) = (self.extra.clone(), self.chunk_yz);
        self.chunk_x.clone().map(move |x| ChunkIndex { extra: extra.clone(), xyz: [x, y, z] })
    }

    /// The shards that hold its chunks.
    pub(super) fn shards(&self, grid: &ChunkGrid) -> Vec<ShardIndex> {
        let mut shards: Vec<_> = self.chunks().map(|chunk| grid.locate(&chunk).0).collect();
        shards.dedup();
        shards
    }

    pub(super) fn overlap(&self, grid: &ChunkGrid, chunk: &ChunkIndex) -> InStick {
        let size = [self.width, self.height, self.planes.len()];
        let shared: [(i64, i64); 3] = std::array::from_fn(|axis| {
            let (edge, start) = (i64::from(grid.chunk_shape[axis]), self.topleft[axis]);
            let first = i64::from(chunk.xyz[axis]) * edge;
            (first.max(start), (first + edge).min(start + size[axis] as i64))
        });
        InStick {
            chunk_start: [0, 1, 2].map(|axis| (shared[axis].0 % i64::from(grid.chunk_shape[axis])) as usize),
            stick_start: [0, 1, 2].map(|axis| (shared[axis].0 - self.topleft[axis]) as usize),
            length: shared.map(|(first, end)| (end - first).max(0) as usize),
        }
    }
}
