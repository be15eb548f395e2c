//! Many chunks of a batch as one cut-out, which is cut into them when it is there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::blocks::{Cells, blocks, boxes};
use super::chunks::Chunks;
use crate::geometry::ChunkIndex;
use crate::store::CutOut;

/// A chunk that is wanted, and the number of who wants it.
#[derive(Clone, Debug)]
pub(super) struct WantedChunk {
    pub(super) chunk: ChunkIndex,
    pub(super) number: usize,
}

/// A box that brings chunks which are wanted.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) cut_out: CutOut,
    pub(super) wanted: Vec<WantedChunk>,
}

/// The boxes in which chunks that lie beside each other are asked for, and the chunks that are asked for one by one.
pub(super) fn plan(chunks: &Chunks, wanted: Vec<WantedChunk>) -> (Vec<Cut>, Vec<WantedChunk>) {
    let (mut by_place, mut single) = (HashMap::with_capacity(wanted.len()), Vec::new());
    for one in wanted {
        match by_place.entry(one.chunk.xyz) {
            Entry::Vacant(place) => {
                place.insert(one);
            }
            Entry::Occupied(_) => single.push(one),
        }
    }
    let size = chunks.grid.chunk_bytes() as u64;
    let places = boxes(by_place.keys().copied());
    let cuts = places.iter().flat_map(|all| blocks(all, size)).map(|cells| Cut {
        cut_out: box_of(chunks, &cells),
        wanted: places_in(&cells).filter_map(|place| by_place.remove(&place)).collect(),
    });
    let cuts = cuts.collect();
    single.extend(by_place.into_values());
    // In the order in which they were asked for.
    single.sort_unstable_by_key(|one| one.number);
    (cuts, single)
}

/// All chunks of a box that lies in an array, x fastest.
fn places_in(cells: &Cells) -> impl Iterator<Item = [u32; 3]> {
    let [xs, ys, zs] = cells.clone().map(|range| range.start as u32..range.end as u32);
    zs.flat_map(move |z| {
        let xs = xs.clone();
        ys.clone().flat_map(move |y| xs.clone().map(move |x| [x, y, z]))
    })
}

/// The voxels of a box of chunks, as far as the array reaches.
fn box_of(chunks: &Chunks, cells: &Cells) -> CutOut {
    let edge = chunks.grid.chunk_shape.map(u64::from);
    let topleft = [0, 1, 2].map(|axis| cells[axis].start * edge[axis]);
    let size = [0, 1, 2].map(|axis| (cells[axis].end * edge[axis]).min(chunks.shape[axis]) - topleft[axis]);
    CutOut { mag: chunks.mag.0, topleft, size }
}

impl Cut {
    /// Bytes that it has.
    pub(super) fn length(&self, chunks: &Chunks) -> u64 {
        self.cut_out.size.iter().product::<u64>() * voxel_bytes(chunks) as u64
    }

    /// Puts a chunk of it into `chunk`, whole: beyond the end of the array it is zero.
    pub(super) fn chunk(&self, chunks: &Chunks, voxels: &[u8], index: &ChunkIndex, chunk: &mut Vec<u8>) {
        let (edge, voxel) = (chunks.grid.chunk_shape.map(|edge| edge as usize), voxel_bytes(chunks));
        let size = self.cut_out.size.map(|length| length as usize);
        let offset = [0, 1, 2].map(|axis| index.xyz[axis] as usize * edge[axis] - self.cut_out.topleft[axis] as usize);
        let [width, height, depth] = [0, 1, 2].map(|axis| edge[axis].min(size[axis] - offset[axis]));
        chunk.clear();
        chunk.reserve(chunks.grid.chunk_bytes());
        for z in 0..depth {
            for y in 0..height {
                let row = offset[0] + size[0] * (offset[1] + y + size[1] * (offset[2] + z));
                chunk.extend_from_slice(&voxels[row * voxel..][..width * voxel]);
                chunk.resize((z * edge[1] + y + 1) * edge[0] * voxel, 0);
            }
            chunk.resize((z + 1) * edge[1] * edge[0] * voxel, 0);
        }
        chunk.resize(chunks.grid.chunk_bytes(), 0);
    }
}

fn voxel_bytes(chunks: &Chunks) -> usize {
    chunks.grid.channels as usize * chunks.grid.voxel_type.size()
}
