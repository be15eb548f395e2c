//! Coarser voxels out of finer ones: one value from all those that make up a coarser voxel.
//!
//! The rules are those of WEBKNOSSOS's own tools, found by running them on random data: ties of the most frequent value
//! go to the one met first, y running fastest, then x, then z; an even number of values has the mean of the two middle
//! ones as its median, cut towards zero for integers. Integers are never taken through floating point, so labels above
//! 2⁵³ stay what they are.

mod reduce;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::reduce::{LANES, Lanes, Reduce, reducer};
use self::value::Value;
use crate::voxels::VoxelType;

/// How one value is made of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The most frequent one.
    Mode,
    /// The middle one.
    Median,
    /// One of them, as it lies.
    Nearest,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl FromStr for Interpolation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Mode, Self::Median, Self::Nearest, Self::Max, Self::Min];
        known.into_iter().find(|kind| kind.to_string() == text).ok_or_else(|| format!("{text:?} is no interpolation"))
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mode => "mode",
            Self::Median => "median",
            Self::Nearest => "nearest",
            Self::Max => "max",
            Self::Min => "min",
        })
    }
}

/// Where the finer voxels of coarser ones lie along one axis: those of voxel `i` at `at[i * taps..(i + 1) * taps]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Places in the finer voxels' memory, counted in voxels along the axis.
    pub at: Vec<usize>,
    /// Finer voxels for each coarser one.
    pub taps: usize,
}

impl Taps {
    /// Voxels from `start` on, `factor` for each of `count` coarser ones.
    pub fn following(start: usize, factor: usize, count: usize) -> Self {
        Self { at: (start..start + factor * count).collect(), taps: factor }
    }

    fn count(&self) -> usize {
        self.at.len() / self.taps.max(1)
    }

    /// Places of the finer voxels of voxel `index`.
    fn of(&self, index: usize) -> &[usize] {
        &self.at[index * self.taps..(index + 1) * self.taps]
    }

    /// Whether the places follow each other without gaps.
    fn are_following(&self) -> bool {
        self.at.windows(2).all(|pair| pair[1] == pair[0] + 1)
    }
}

/// Voxels in memory, in Fortran order of (c, x, y, z).
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Type of a value.
    pub voxel_type: VoxelType,
    /// Values of a voxel.
    pub channels: usize,
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
}

/// Computes the voxels of a box in `target` (of the shape `target_shape`, from `target_at` on) out of `source`, whose
/// finer voxels are told by `taps` for every axis.
pub fn downsample(
    interpolation: Interpolation,
    source: &[u8],
    block: Block,
    taps: &[Taps; 3],
    target: &mut [u8],
    target_shape: [usize; 3],
    target_at: [usize; 3],
) {
    let job = Reduction { block, taps, target_shape, target_at };
    with_voxel_type!(block.voxel_type, T => job.run::<T>(interpolation, source, target));
}

struct Reduction<'a> {
    block: Block,
    taps: &'a [Taps; 3],
    target_shape: [usize; 3],
    target_at: [usize; 3],
}

impl Reduction<'_> {
    fn run<T: Value>(&self, interpolation: Interpolation, source: &[u8], target: &mut [u8]) {
        let count: usize = self.taps.iter().map(|taps| taps.taps).product();
        let reduce = reducer::<T>(interpolation, count);
        let mut lanes = vec![[T::default(); LANES]; count];
        let [_, height, depth] = self.taps.each_ref().map(Taps::count);
        let pair = self.block.channels == 1 && self.taps[0].taps == 2 && self.taps[0].are_following();
        let mut rows = Vec::new();
        for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
            self.rows(y, z, &mut rows);
            if pair {
                self.pairs(&rows, reduce, source, target, &mut lanes, [y, z]);
            } else {
                self.gathered(&rows, reduce, source, target, &mut lanes, [y, z]);
            }
        }
    }

    /// Makes `rows` the first value of every finer row that goes into row (y, z), z slowest.
    fn rows(&self, y: usize, z: usize, rows: &mut Vec<usize>) {
        let [nx, ny, _] = self.block.shape;
        let [_, along_y, along_z] = self.taps;
        rows.clear();
        for z in along_z.of(z) {
            rows.extend(along_y.of(y).iter().map(|y| (y + z * ny) * nx * self.block.channels));
        }
    }

    /// First value of the row (y, z) in the target.
    fn target_row(&self, [y, z]: [usize; 2]) -> usize {
        let ([nx, ny, _], [x0, y0, z0]) = (self.target_shape, self.target_at);
        (x0 + nx * (y0 + y + ny * (z0 + z))) * self.block.channels
    }

    /// One row of voxels that are made of two along x: the common case, read in one go.
    fn pairs<T: Value>(
        &self,
        rows: &[usize],
        reduce: Reduce<T>,
        source: &[u8],
        target: &mut [u8],
        lanes: &mut Lanes<T>,
        row: [usize; 2],
    ) {
        let (width, first, along_y) = (self.taps[0].count(), self.taps[0].at[0], self.taps[1].taps);
        let out = self.target_row(row);
        for x in (0..width).step_by(LANES) {
            let many = LANES.min(width - x);
            let mut differing = 0;
            let one = T::get(source, rows[0] + first + 2 * x);
            for (number, &start) in rows.iter().enumerate() {
                // Order of values: y fastest, then x, then z.
                let (y, z) = (number % along_y, number / along_y);
                let (lefts, rights) = lanes[2 * z * along_y + y..].split_at_mut(along_y);
                let from = (start + first + 2 * x) * T::SIZE;
                let values = &source[from..from + 2 * many * T::SIZE];
                let pairs = lefts[0].iter_mut().zip(&mut rights[0]).zip(values.chunks_exact(2 * T::SIZE));
                for ((left, right), pair) in pairs {
                    let (a, b) = (T::get(pair, 0), T::get(pair, 1));
                    *left = a;
                    *right = b;
                    // Without a branch, so that lanes are compared side by side.
                    differing |= u8::from(a != one) | u8::from(b != one);
                }
            }
            // All alike: what most of a segmentation is.
            let result = if differing == 0 { [one; LANES] } else { reduce(lanes) };
            let to = &mut target[(out + x) * T::SIZE..(out + x + many) * T::SIZE];
            for (value, bytes) in result.iter().zip(to.chunks_exact_mut(T::SIZE)) {
                value.put(bytes);
            }
        }
    }

    /// One row of voxels, every value looked up by its place.
    fn gathered<T: Value>(
        &self,
        rows: &[usize],
        reduce: Reduce<T>,
        source: &[u8],
        target: &mut [u8],
        lanes: &mut Lanes<T>,
        row: [usize; 2],
    ) {
        let (channels, along_x, along_y) = (self.block.channels, &self.taps[0], self.taps[1].taps);
        let out = self.target_row(row);
        // Values of a row: channels fastest.
        let values = along_x.count() * channels;
        for start in (0..values).step_by(LANES) {
            let many = LANES.min(values - start);
            for (number, &row) in rows.iter().enumerate() {
                let (y, z) = (number % along_y, number / along_y);
                for dx in 0..along_x.taps {
                    let place = (z * along_x.taps + dx) * along_y + y;
                    for (lane, value) in lanes[place].iter_mut().enumerate().take(many) {
                        let (x, channel) = ((start + lane) / channels, (start + lane) % channels);
                        let voxel = along_x.at[x * along_x.taps + dx];
                        *value = T::get(source, row + voxel * channels + channel);
                    }
                }
            }
            let result = reduce(lanes);
            for (lane, value) in result.iter().enumerate().take(many) {
                let at = (out + start + lane) * T::SIZE;
                value.put(&mut target[at..at + T::SIZE]);
            }
        }
    }
}
