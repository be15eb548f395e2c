//! The boxes in which a server is asked for many chunks with one request.

use std::ops::Range;

/// Chunks along x, y, z.
pub type Cells = [Range<u64>; 3];

/// A cut-out is asked for from this many chunks on; fewer are as quick one by one.
const FEWEST: u64 = 8;
/// What one cut-out brings at most: many are under way at once.
const BYTES: u64 = 1 << 20;
/// Chunks of a cut-out along an axis: servers have been seen to answer boxes of up to 512 voxels a side.
const LONGEST: u64 = 16;

/// The boxes that together are `all`, each of which is one cut-out: long along x, then along y. None where chunks of
/// `chunk_bytes` are as quick one by one.
pub fn blocks(all: &Cells, chunk_bytes: u64) -> Vec<Cells> {
    let counts = all.clone().map(|range| range.end.saturating_sub(range.start));
    if counts.iter().fold(1, |all: u64, &count| all.saturating_mul(count)) < FEWEST {
        return Vec::new();
    }
    let mut left = (BYTES / chunk_bytes.max(1)).max(1);
    let edges = counts.map(|count| {
        let edge = count.min(left).min(LONGEST);
        left /= edge;
        edge
    });
    let parts = |axis: usize| {
        let (end, edge) = (all[axis].end, edges[axis]);
        all[axis].clone().step_by(edge as usize).map(move |start| start..end.min(start + edge))
    };
    let rows = parts(2).flat_map(|z| parts(1).map(move |y| (z.clone(), y)));
    rows.flat_map(|(z, y)| parts(0).map(move |x| [x, y.clone(), z.clone()])).collect()
}

/// Chunks that lie beside each other put together to boxes, which are full.
pub(super) fn boxes(chunks: impl Iterator<Item = [u32; 3]>) -> Vec<Cells> {
    let cells = chunks.map(|chunk| chunk.map(|at| u64::from(at)..u64::from(at) + 1)).collect();
    [0, 1, 2].into_iter().fold(cells, joined)
}

/// Boxes that touch along an axis, and are alike along the others, made one.
fn joined(mut boxes: Vec<Cells>, axis: usize) -> Vec<Cells> {
    let others = |cells: &Cells| {
        let [one, other] = [(axis + 1) % 3, (axis + 2) % 3].map(|axis| (cells[axis].start, cells[axis].end));
        (one, other)
    };
    boxes.sort_unstable_by_key(|cells| (others(cells), cells[axis].start));
    let mut all: Vec<Cells> = Vec::with_capacity(boxes.len());
    for cells in boxes {
        match all.last_mut() {
            Some(last) if others(last) == others(&cells) && last[axis].end == cells[axis].start => {
                last[axis].end = cells[axis].end;
            }
            _ => all.push(cells),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(cells: &Cells) -> Vec<[u32; 3]> {
        let [xs, ys, zs] = cells.clone().map(|range| range.start as u32..range.end as u32);
        let rows = zs.flat_map(|z| ys.clone().map(move |y| (y, z)));
        rows.flat_map(|(y, z)| xs.clone().map(move |x| [x, y, z])).collect()
    }

    #[test]
    fn blocks_are_together_the_box_and_each_of_a_mebibyte_at_most() {
        let all = [3..12, 0..5, 7..10];
        for chunk_bytes in [1, 1 << 15, 1 << 17, 1 << 20, 1 << 30] {
            let blocks = blocks(&all, chunk_bytes);
            let mut chunks: Vec<_> = blocks.iter().flat_map(every).collect();
            let largest = blocks.iter().map(|block| every(block).len() as u64).max().unwrap();
            assert!(largest == 1 || largest * chunk_bytes <= BYTES);
            chunks.sort_unstable();
            let mut expected = every(&all);
            expected.sort_unstable();
            assert_eq!(chunks, expected, "{chunk_bytes}");
        }
        assert_eq!(blocks(&[0..100, 0..1, 0..1], 1)[0], [0..16, 0..1, 0..1]);
        assert_eq!(
            blocks(&[0..2, 0..3, 0..2], 1 << 18),
            [[0..2, 0..2, 0..1], [0..2, 2..3, 0..1], [0..2, 0..2, 1..2], [0..2, 2..3, 1..2]]
        );
    }

    #[test]
    fn few_chunks_are_no_block() {
        for few in [[0..7, 0..1, 0..1], [0..0, 0..9, 0..9], [9..9, 0..9, 0..9]] {
            assert!(blocks(&few, 1).is_empty(), "{few:?}");
        }
    }

    #[test]
    fn neighbours_are_put_together_to_boxes_that_are_full() {
        let full = [2..5, 1..4, 0..2];
        let mut chunks = every(&full);
        chunks.reverse();
        assert_eq!(boxes(chunks.iter().copied()), [full]);
        // One is missing in the middle, one lies apart, one is there twice.
        chunks.retain(|chunk| *chunk != [3, 2, 1]);
        chunks.extend([[9, 9, 9], [2, 1, 0]]);
        let found = boxes(chunks.iter().copied());
        let mut covered: Vec<_> = found.iter().flat_map(every).collect();
        covered.sort_unstable();
        chunks.sort_unstable();
        assert_eq!(covered, chunks);
        assert!(found.len() < 9, "{found:?}");
    }
}
