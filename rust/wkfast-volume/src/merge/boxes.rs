//! How far the result reaches.

use super::plan::{LayerSource, MagPlan};
use crate::error::{Result, VolumeError};
use crate::geometry::{BoundingBox, ChunkIndex, Mag};

/// Farthest voxel, in mag-1 voxels from 0, that a layer may reach. Far beyond any brain; it keeps sums in range.
const FARTHEST: i64 = 1 << 48;

/// The box `given` and every chunk of the annotations' finest mag. Chunks of coarser mags hold the same paint in larger
/// steps: counting them would add a margin without a voxel.
pub(super) fn bounding_box(given: BoundingBox, mags: &[MagPlan]) -> Result<BoundingBox> {
    let bad = (0..3).any(|axis| given.size[axis] < 0 || given.topleft[axis].checked_add(given.size[axis]).is_none());
    if bad {
        return Err(VolumeError::Mismatch(format!("the fallback's bounding box {given:?} is no box")));
    }
    let Some(mag) = finest_painted(mags) else { return Ok(given) };
    let mut reached = (!given.size.contains(&0)).then(|| (given.topleft, end(&given)));
    for (index, block) in blocks(mag) {
        if end(&block).iter().any(|&end| !(0..=FARTHEST).contains(&end)) {
            let reason = format!("chunk {index} of mag {} lies beyond any layer", mag.mag);
            return Err(VolumeError::corrupt("annotation", reason));
        }
        let (low, high) = reached.get_or_insert((block.topleft, end(&block)));
        for axis in 0..3 {
            low[axis] = low[axis].min(block.topleft[axis]);
            high[axis] = high[axis].max(end(&block)[axis]);
        }
    }
    let (topleft, end) = reached.unwrap_or((given.topleft, end(&given)));
    Ok(BoundingBox { topleft, size: std::array::from_fn(|axis| end[axis] - topleft[axis]) })
}

/// A warning if chunks of the annotations' finest mag share no voxel with the box `given`.
pub(super) fn outside(given: BoundingBox, mags: &[MagPlan]) -> Option<String> {
    let mag = finest_painted(mags).filter(|_| !given.size.contains(&0))?;
    let distance = |block: &BoundingBox| {
        let along = |axis: usize| (block.topleft[axis] - end(&given)[axis]).max(given.topleft[axis] - end(block)[axis]);
        (0..3).map(along).max().unwrap_or(0)
    };
    // Nearly all lie inside.
    let outside = blocks(mag).map(|(index, block)| (distance(&block), index)).filter(|&(distance, _)| distance >= 0);
    let mut far: Vec<(i64, ChunkIndex)> = outside.collect();
    far.sort_unstable();
    // A block that lies over several shards is met in each.
    far.dedup();
    let (distance, index) = far.last()?;
    let count = far.len();
    Some(format!(
        "{count} chunks of mag {} lie outside the fallback's bounding box, {:?} + {:?}, the farthest, {index}, by \
         {distance} voxels of mag 1: they are merged, the box of the result reaches to them",
        mag.mag, given.topleft, given.size,
    ))
}

/// Voxels of `mag` that the box reaches from voxel 0 on.
pub(super) fn extent(bounding_box: &BoundingBox, mag: Mag) -> [u64; 3] {
    end(bounding_box)
        .map(|end| u64::try_from(end).unwrap_or(0))
        .into_iter()
        .zip(mag.0)
        .map(|(end, edge)| end.div_ceil(u64::from(edge).max(1)))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_default()
}

fn end(bounding_box: &BoundingBox) -> [i64; 3] {
    std::array::from_fn(|axis| bounding_box.topleft[axis] + bounding_box.size[axis])
}

/// The finest mag that an annotation has chunks of its own in.
fn finest_painted(mags: &[MagPlan]) -> Option<&MagPlan> {
    mags.iter().find(|mag| {
        own_layers(mag).any(|layer| mag.shards.iter().any(|s| s.is_touched() && !s.blocks[layer].is_empty()))
    })
}

fn own_layers(mag: &MagPlan) -> impl Iterator<Item = usize> {
    let own = |layer: &usize| matches!(mag.layers[*layer].source, LayerSource::Annotation { .. });
    (0..mag.layers.len()).filter(own)
}

/// Every block of the annotations, in mag-1 voxels. Indices and edges are of 32 bits, so what is out of range is far
/// beyond [`FARTHEST`] and may be cut.
fn blocks(mag: &MagPlan) -> impl Iterator<Item = (ChunkIndex, BoundingBox)> {
    own_layers(mag).flat_map(move |layer| {
        let shape = mag.layers[layer].block_shape;
        let edge = move |axis: usize| i64::from(shape[axis]).saturating_mul(i64::from(mag.mag.0[axis]));
        mag.shards.iter().filter(|shard| shard.is_touched()).flat_map(move |shard| {
            shard.blocks[layer].iter().map(move |&xyz| {
                let topleft =
                    std::array::from_fn(|axis| i64::from(xyz[axis]).saturating_mul(edge(axis)).min(2 * FARTHEST));
                let size = std::array::from_fn(|axis| edge(axis).min(2 * FARTHEST));
                (ChunkIndex { extra: shard.at.extra.clone(), xyz }, BoundingBox { topleft, size })
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_of_a_mag_that_are_in_the_box_by_a_part_count() {
        let reach = |topleft, size, mag| extent(&BoundingBox { topleft, size }, Mag(mag));
        assert_eq!(reach([5, 0, 4], [23, 15, 11], [2, 2, 4]), [14, 8, 4]);
        assert_eq!(reach([0; 3], [32, 33, 31], [32; 3]), [1, 2, 1]);
        assert_eq!(reach([-9; 3], [5, 9, 10], [1; 3]), [0, 0, 1]);
    }
}
