//! One axis of downsampling: which finer voxels make up a coarser one, borders included.
//!
//! WEBKNOSSOS's tools cut the coarser voxels of a layer's box into jobs at multiples of 1024 (or of the shard, if that is
//! longer), jobs into buffers from their start on, and mirror what a buffer lacks of whole coarser voxels. Where a
//! buffer ends matters to `nearest`, which spreads its picks so that the first and the last are the buffer's own.

use std::ops::Range;

use super::Downsampling;
use crate::downsample::{Interpolation, Taps};

/// Coarser voxels in a job, at least.
const JOB: u64 = 1024;

/// Coarser voxels along `axis` that `how` fills.
pub(super) fn target_range(how: &Downsampling, axis: usize) -> Range<u64> {
    let (start, size, factor) =
        (how.region.topleft[axis] as u64, how.region.size[axis] as u64, u64::from(how.factor[axis]));
    start / factor..if size == 0 { start / factor } else { (start + size).div_ceil(factor) }
}

/// One axis.
#[derive(Clone, Debug)]
pub(super) struct TargetAxis {
    interpolation: Interpolation,
    factor: u64,
    /// Coarser voxels.
    pub(super) target: Range<u64>,
    /// Finer voxels that count.
    source: Range<u64>,
    buffer: u64,
    job: u64,
}

impl TargetAxis {
    pub(super) fn new(how: &Downsampling, axis: usize, shard_edge: u64) -> Self {
        let start = how.region.topleft[axis] as u64;
        Self {
            interpolation: how.interpolation,
            factor: u64::from(how.factor[axis]),
            target: target_range(how, axis),
            source: start..start + how.region.size[axis] as u64,
            buffer: u64::from(how.buffer_shape[axis]),
            job: JOB.max(shard_edge),
        }
    }

    /// Those of the coarser voxels `wanted` that are made of their own finer voxels, all of which count.
    pub(super) fn plain(&self, wanted: &Range<u64>) -> Range<u64> {
        if self.interpolation == Interpolation::Nearest && self.factor > 1 {
            return wanted.start..wanted.start;
        }
        let start = wanted.start.max(self.source.start.div_ceil(self.factor));
        start..wanted.end.min(self.source.end / self.factor).max(start)
    }

    /// The finer voxels of the coarser voxels `wanted`.
    pub(super) fn taps(&self, wanted: Range<u64>) -> Taps {
        let taps = if self.interpolation == Interpolation::Nearest { 1 } else { self.factor };
        let at = wanted.flat_map(|voxel| (0..taps).map(move |tap| self.finer(voxel, tap) as usize)).collect();
        Taps { at, taps: taps as usize }
    }

    fn finer(&self, voxel: u64, tap: u64) -> u64 {
        let buffer = self.buffer_of(voxel);
        let start = buffer.start * self.factor;
        let there = if self.interpolation == Interpolation::Nearest {
            start + nearest(voxel - buffer.start, buffer.end - buffer.start, self.factor)
        } else {
            voxel * self.factor + tap
        };
        mirrored(there, start.max(self.source.start)..(buffer.end * self.factor).min(self.source.end))
    }

    /// The coarser voxels that are computed together with `voxel`.
    fn buffer_of(&self, voxel: u64) -> Range<u64> {
        let job = (voxel / self.job * self.job).max(self.target.start);
        let job_end = ((voxel / self.job + 1) * self.job).min(self.target.end);
        let start = job + (voxel - job) / self.buffer * self.buffer;
        start..(start + self.buffer).min(job_end)
    }
}

/// Which of `count * factor` finer voxels the coarser voxel `index` of `count` picks.
fn nearest(index: u64, count: u64, factor: u64) -> u64 {
    if count == 1 {
        return 0;
    }
    let step = (count * factor - 1) as f64 / (count - 1) as f64;
    (step * index as f64 + 0.5).floor() as u64
}

/// `place`, mirrored into `range` as often as it takes; the outermost voxels are repeated.
fn mirrored(place: u64, range: Range<u64>) -> u64 {
    let length = (range.end - range.start) as i64;
    let offset = (place as i64 - range.start as i64).rem_euclid(2 * length);
    range.start + if offset < length { offset } else { 2 * length - 1 - offset } as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BoundingBox;

    fn axis(start: i64, size: i64, factor: u32, buffer: u32, interpolation: Interpolation) -> TargetAxis {
        let region = BoundingBox { topleft: [start; 3], size: [size; 3] };
        let how = Downsampling { interpolation, factor: [factor; 3], region, buffer_shape: [buffer; 3] };
        TargetAxis::new(&how, 0, 64)
    }

    fn finer(axis: &TargetAxis) -> Vec<usize> {
        axis.taps(axis.target.clone()).at
    }

    #[test]
    fn voxels_across_a_border_are_made_of_mirrored_ones() {
        let axis = axis(7, 4, 4, 64, Interpolation::Mode);
        assert_eq!(axis.target, 1..3);
        assert_eq!(finer(&axis), [9, 8, 7, 7, 8, 9, 10, 10]);
        assert_eq!(axis.plain(&(0..9)), 2..2);
    }

    #[test]
    fn nearest_spreads_its_picks_over_a_buffer() {
        // As WEBKNOSSOS's tools do it: 8 voxels become those at 0, 2, 5 and 7.
        assert_eq!(finer(&axis(0, 8, 2, 64, Interpolation::Nearest)), [0, 2, 5, 7]);
        assert_eq!(finer(&axis(0, 8, 2, 2, Interpolation::Nearest)), [0, 3, 4, 7]);
        assert_eq!(finer(&axis(0, 16, 4, 64, Interpolation::Nearest)), [0, 5, 10, 15]);
        assert_eq!(finer(&axis(0, 2, 2, 64, Interpolation::Nearest)), [0]);
    }

    #[test]
    fn buffers_start_at_the_box_and_at_multiples_of_a_job() {
        let axis = axis(1030, 1500, 2, 300, Interpolation::Nearest);
        let starts: Vec<u64> = axis.target.clone().filter(|&voxel| axis.buffer_of(voxel).start == voxel).collect();
        assert_eq!((axis.target.clone(), starts), (515..1265, vec![515, 815, 1024]));
    }
}
