//! The voxel work of the merge: one annotation block laid over one output chunk. Slices in, slice out, no I/O.

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::label::with_width;
use crate::voxels::VoxelType;

/// Which of the two voxels the output gets where the annotation has a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The annotation's, zeros included: what was erased stays erased.
    Chunk,
    /// The annotation's if it is not zero, else the fallback's.
    Nonzero,
}

/// The voxels that a block of the annotation and a chunk of the output have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Shape of the annotation's block, in voxels along x, y, z.
    pub source_shape: [usize; 3],
    /// First common voxel within the block.
    pub source_at: [usize; 3],
    /// Shape of the output's chunk.
    pub target_shape: [usize; 3],
    /// First common voxel within the chunk.
    pub target_at: [usize; 3],
    /// Extent of what they share.
    pub size: [usize; 3],
}

impl Overlap {
    /// A block that is exactly the chunk.
    pub fn whole(shape: [usize; 3]) -> Self {
        Self { source_shape: shape, source_at: [0; 3], target_shape: shape, target_at: [0; 3], size: shape }
    }

    /// Number of common voxels.
    pub fn volume(&self) -> usize {
        self.size.iter().product()
    }

    /// Byte ranges (start in the block, start in the chunk, length) of the rows along x, joined where both sides are
    /// contiguous.
    pub(super) fn rows(&self, voxel_bytes: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { source_shape, source_at, target_shape, target_at, size } = *self;
        let whole = |axis: usize| size[axis] == source_shape[axis] && size[axis] == target_shape[axis];
        let [mut length, mut rows, mut planes] = size;
        if whole(0) {
            (length, rows) = (length * rows, 1);
            if whole(1) {
                (length, planes) = (length * planes, 1);
            }
        }
        let start = move |shape: [usize; 3], at: [usize; 3], y: usize, z: usize| {
            voxel_bytes * (at[0] + shape[0] * (at[1] + y + shape[1] * (at[2] + z)))
        };
        (0..planes).flat_map(move |z| {
            (0..rows).map(move |y| {
                (start(source_shape, source_at, y, z), start(target_shape, target_at, y, z), length * voxel_bytes)
            })
        })
    }
}

/// Lays `block` over `chunk` where they overlap and counts what that changes.
///
/// Both hold values of `voxel_type`, `channels` to the voxel, in the memory order of [`format`](crate::format).
pub fn overlay(
    voxel_type: VoxelType,
    channels: usize,
    policy: Policy,
    overlap: &Overlap,
    block: &[u8],
    chunk: &mut [u8],
    tally: &mut Tally,
) {
    let mut moves = Moves::new(tally);
    for (source, target, length) in overlap.rows(voxel_type.size() * channels) {
        let painted = &block[source..source + length];
        let out = &mut chunk[target..target + length];
        with_voxel_type!(voxel_type, T => overlay_row::<T, { size_of::<T>() }>(policy, painted, out, &mut moves));
    }
    moves.flush();
}

/// Copies `block` into `chunk` where they overlap.
pub fn paste(voxel_bytes: usize, overlap: &Overlap, block: &[u8], chunk: &mut [u8]) {
    for (source, target, length) in overlap.rows(voxel_bytes) {
        chunk[target..target + length].copy_from_slice(&block[source..source + length]);
    }
}

/// Where `block` holds what the fallback's chunk held `before`, puts what it holds `after`. Returns whether any voxel of the
/// block is another now.
pub fn take_new_labels(
    voxel_type: VoxelType,
    overlap: &Overlap,
    block: &mut [u8],
    before: &[u8],
    after: &[u8],
) -> bool {
    let mut changed = false;
    for (source, target, length) in overlap.rows(voxel_type.size()) {
        let row = &mut block[source..source + length];
        let (before, after) = (&before[target..target + length], &after[target..target + length]);
        changed |= with_width!(voxel_type, W => take_row::<W>(row, before, after));
    }
    changed
}

fn take_row<const W: usize>(row: &mut [u8], before: &[u8], after: &[u8]) -> bool {
    let mut changed = false;
    let sides = before.as_chunks::<W>().0.iter().zip(after.as_chunks::<W>().0);
    for (value, (before, after)) in row.as_chunks_mut::<W>().0.iter_mut().zip(sides) {
        if value == before && before != after {
            *value = *after;
            changed = true;
        }
    }
    changed
}

/// Values that are labels on both sides, but not the same one.
pub fn count_conflicts(voxel_type: VoxelType, one: &[u8], other: &[u8]) -> u64 {
    match voxel_type.size() {
        1 => conflicts::<1>(one, other),
        2 => conflicts::<2>(one, other),
        4 => conflicts::<4>(one, other),
        _ => conflicts::<8>(one, other),
    }
}

/// Labels are compared by their bytes: integers that are equal have equal ones.
fn conflicts<const W: usize>(one: &[u8], other: &[u8]) -> u64 {
    let pairs = one.as_chunks::<W>().0.iter().zip(other.as_chunks::<W>().0);
    pairs.filter(|&(one, other)| one != other && *one != [0; W] && *other != [0; W]).count() as u64
}

/// A voxel value as the kernels see it.
pub(super) trait Voxel<const W: usize>: Copy + PartialEq + Default {
    /// From its little-endian bytes.
    fn read(bytes: [u8; W]) -> Self;
    /// The number a segment of this value is known by: 0 for what can be no segment.
    fn label(self) -> u64;
    /// The larger one; of numbers that are no segments, either.
    fn larger(self, other: Self) -> Self;
}

macro_rules! voxel {
    ($($value:ty => $label:expr, $larger:expr);*) => {$(
        impl Voxel<{ size_of::<$value>() }> for $value {
            #[inline]
            fn read(bytes: [u8; size_of::<$value>()]) -> Self {
                Self::from_le_bytes(bytes)
            }

            #[inline]
            fn label(self) -> u64 {
                let label: fn(Self) -> u64 = $label;
                label(self)
            }

            #[inline]
            fn larger(self, other: Self) -> Self {
                let larger: fn(Self, Self) -> Self = $larger;
                larger(self, other)
            }
        }
    )*};
}

voxel!(
    u8 => u64::from, Self::max; u16 => u64::from, Self::max; u32 => u64::from, Self::max;
    u64 => |value| value, Self::max;
    i8 => |value| u64::try_from(value).unwrap_or(0), Self::max;
    i16 => |value| u64::try_from(value).unwrap_or(0), Self::max;
    i32 => |value| u64::try_from(value).unwrap_or(0), Self::max;
    i64 => |value| u64::try_from(value).unwrap_or(0), Self::max;
    f32 => |_| 0, |value, _| value; f64 => |_| 0, |value, _| value
);

/// One contiguous row. Most of a painted chunk is what the fallback has: what is equal is passed over. Elsewhere labels
/// lie in runs, on both sides: each pair of runs is looked at once, however long it is.
fn overlay_row<T: Voxel<W>, const W: usize>(policy: Policy, painted: &[u8], out: &mut [u8], moves: &mut Moves) {
    let (painted, _) = painted.as_chunks::<W>();
    let (out, _) = out.as_chunks_mut::<W>();
    let largest = painted.iter().fold(T::default(), |largest, &value| largest.larger(T::read(value)));
    moves.tally.largest_segment_id = moves.tally.largest_segment_id.max(largest.label());
    let (mut start, mut changed) = (equal_length(painted, out), false);
    while start < painted.len() {
        let end = start + run_length(&painted[start..], &out[start..]);
        let old = T::read(out[start]);
        let new = chosen(policy, T::read(painted[start]), old);
        if new != old {
            changed = true;
            moves.count(old, new, (end - start) as u64);
        }
        start = end + equal_length(&painted[end..], &out[end..]);
    }
    if changed {
        write::<T, W>(policy, painted, out);
    }
}

/// Values compared at once: enough for vector code, few enough that short runs do not pay for it.
const STEP: usize = 4;

/// How many values from the first on are the same in both slices, which are equally long, in whole steps.
#[inline]
fn equal_length<const W: usize>(one: &[[u8; W]], other: &[[u8; W]]) -> usize {
    let pairs = one.as_chunks::<STEP>().0.iter().zip(other.as_chunks::<STEP>().0);
    STEP * pairs.take_while(|(one, other)| one == other).count()
}

/// How many values from the first on are the first's, in both slices, which are equally long and not empty.
#[inline]
pub(super) fn run_length<const W: usize>(one: &[[u8; W]], other: &[[u8; W]]) -> usize {
    let first = (one[0], other[0]);
    let (one_steps, one_rest) = one.as_chunks::<STEP>();
    let (other_steps, other_rest) = other.as_chunks::<STEP>();
    let whole = ([first.0; STEP], [first.1; STEP]);
    let steps = one_steps.iter().zip(other_steps).take_while(|&(one, other)| *one == whole.0 && *other == whole.1);
    let length = STEP * steps.count();
    let rest = match one_steps.get(length / STEP) {
        Some(step) => step.iter().zip(&other_steps[length / STEP]),
        None => one_rest.iter().zip(other_rest),
    };
    length + rest.take_while(|&(&one, &other)| (one, other) == first).count()
}

/// Kinds of changes that are added up before the tally's table is asked: paint and erasures over a few segments take
/// turns from row to row.
const WAITING: usize = 4;

/// From label, to label, voxels.
type Move = (u64, u64, i64);

const NOTHING: Move = (0, 0, 0);

/// Changes on their way to the tally.
pub(super) struct Moves<'t> {
    tally: &'t mut Tally,
    waiting: [Move; WAITING],
    /// Whose place the next kind of change takes.
    next: usize,
}

impl<'t> Moves<'t> {
    pub(super) fn new(tally: &'t mut Tally) -> Self {
        Self { tally, waiting: [NOTHING; WAITING], next: 0 }
    }

    #[inline]
    pub(super) fn count<T: Voxel<W>, const W: usize>(&mut self, old: T, new: T, voxels: u64) {
        let zero = T::default();
        self.tally.voxels_changed += voxels;
        self.tally.voxels_erased += if old != zero && new == zero { voxels } else { 0 };
        self.tally.voxels_painted += if old == zero && new != zero { voxels } else { 0 };
        let labels = (old.label(), new.label());
        if let Some(known) = self.waiting.iter_mut().find(|&&mut (from, to, _)| (from, to) == labels) {
            known.2 += voxels as i64;
        } else {
            let before = std::mem::replace(&mut self.waiting[self.next], (labels.0, labels.1, voxels as i64));
            self.tell(before);
            self.next = (self.next + 1) % WAITING;
        }
    }

    pub(super) fn flush(&mut self) {
        for change in std::mem::replace(&mut self.waiting, [NOTHING; WAITING]) {
            self.tell(change);
        }
    }

    fn tell(&mut self, (from, to, voxels): Move) {
        if from != to {
            self.tally.relabel(from, to, voxels);
        }
    }
}

#[inline]
fn chosen<T: Voxel<W>, const W: usize>(policy: Policy, painted: T, old: T) -> T {
    match policy {
        Policy::Nonzero if painted == T::default() => old,
        Policy::Chunk | Policy::Nonzero => painted,
    }
}

fn write<T: Voxel<W>, const W: usize>(policy: Policy, painted: &[[u8; W]], out: &mut [[u8; W]]) {
    match policy {
        Policy::Chunk => out.copy_from_slice(painted),
        Policy::Nonzero => {
            for (&painted, out) in painted.iter().zip(out) {
                *out = if T::read(painted) == T::default() { *out } else { painted };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(shape: [usize; 3]) -> Overlap {
        Overlap { source_shape: shape, source_at: [0; 3], target_shape: shape, target_at: [0; 3], size: shape }
    }

    fn bytes(labels: &[u32]) -> Vec<u8> {
        labels.iter().flat_map(|label| label.to_le_bytes()).collect()
    }

    fn merged(policy: Policy, painted: &[u32], fallback: &[u32]) -> (Vec<u8>, Tally) {
        let (mut out, mut tally) = (bytes(fallback), Tally::default());
        let overlap = whole([painted.len(), 1, 1]);
        overlay(VoxelType::UInt32, 1, policy, &overlap, &bytes(painted), &mut out, &mut tally);
        (out, tally)
    }

    #[test]
    fn erased_voxels_hide_the_fallback_under_chunk() {
        let (out, tally) = merged(Policy::Chunk, &[0, 9, 0, 4], &[5, 5, 0, 0]);
        assert_eq!(out, bytes(&[0, 9, 0, 4]));
        assert_eq!((tally.voxels_changed, tally.voxels_erased, tally.voxels_painted), (3, 1, 1));
        assert_eq!(tally.largest_segment_id, 9);
        let mut labels: Vec<_> = tally.labels().collect();
        labels.sort_unstable();
        assert_eq!(labels, [(4, 1), (5, -2), (9, 1)]);
    }

    #[test]
    fn zeros_of_the_annotation_are_transparent_under_nonzero() {
        let (out, tally) = merged(Policy::Nonzero, &[0, 9, 0, 4], &[5, 5, 0, 0]);
        assert_eq!(out, bytes(&[5, 9, 0, 4]));
        assert_eq!((tally.voxels_changed, tally.voxels_erased, tally.voxels_painted), (2, 0, 1));
    }

    #[test]
    fn negative_values_are_voxels_but_no_segments() {
        let painted: Vec<u8> = [-3_i16, 7].iter().flat_map(|value| value.to_le_bytes()).collect();
        let (mut out, mut tally) = (vec![0; 4], Tally::default());
        overlay(VoxelType::Int16, 1, Policy::Chunk, &whole([2, 1, 1]), &painted, &mut out, &mut tally);
        assert_eq!(out, painted);
        assert_eq!((tally.voxels_painted, tally.largest_segment_id), (2, 7));
        assert_eq!(tally.labels().collect::<Vec<_>>(), [(7, 1)]);
    }

    prop_compose! {
        fn overlaps()(
            axes in prop::array::uniform3((1_usize..5).prop_flat_map(|size| {
                (Just(size), 0..3_usize, 0..3_usize, 0..3_usize, 0..3_usize)
            })),
        ) -> Overlap {
            Overlap {
                size: axes.map(|axis| axis.0),
                source_at: axes.map(|axis| axis.1),
                target_at: axes.map(|axis| axis.2),
                source_shape: axes.map(|axis| axis.0 + axis.1 + axis.3),
                target_shape: axes.map(|axis| axis.0 + axis.2 + axis.4),
            }
        }
    }

    proptest! {
        #[test]
        fn any_overlap_equals_the_voxel_by_voxel_merge(
            overlap in overlaps(), channels in 1_usize..4, nonzero: bool, seed: u64,
        ) {
            let policy = if nonzero { Policy::Nonzero } else { Policy::Chunk };
            let labels = |shape: [usize; 3], salt: u64| -> Vec<u16> {
                (0..shape.iter().product::<usize>() * channels)
                    .map(|i| ((seed ^ salt).wrapping_mul(i as u64 * 2 + 1) >> 40) as u16 % 3)
                    .collect()
            };
            let (block, mut expected) = (labels(overlap.source_shape, 1), labels(overlap.target_shape, 2));
            let to_bytes = |labels: &[u16]| labels.iter().flat_map(|l| l.to_le_bytes()).collect::<Vec<u8>>();
            let (mut out, mut tally) = (to_bytes(&expected), Tally::default());
            overlay(VoxelType::UInt16, channels, policy, &overlap, &to_bytes(&block), &mut out, &mut tally);

            let mut counts = (0, 0, 0);
            for z in 0..overlap.size[2] { for y in 0..overlap.size[1] { for x in 0..overlap.size[0] {
                for c in 0..channels {
                    let place = |shape: [usize; 3], at: [usize; 3]| {
                        c + channels * (at[0] + x + shape[0] * (at[1] + y + shape[1] * (at[2] + z)))
                    };
                    let painted = block[place(overlap.source_shape, overlap.source_at)];
                    let old = &mut expected[place(overlap.target_shape, overlap.target_at)];
                    let new = if nonzero && painted == 0 { *old } else { painted };
                    counts.0 += u64::from(new != *old);
                    counts.1 += u64::from(new == 0 && *old != 0);
                    counts.2 += u64::from(new != 0 && *old == 0);
                    *old = new;
                }
            }}}
            prop_assert_eq!(out, to_bytes(&expected));
            prop_assert_eq!((tally.voxels_changed, tally.voxels_erased, tally.voxels_painted), counts);
        }
    }
}
