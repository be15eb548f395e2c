//! What a merge changes, counted: voxels, and per segment how many it gained or lost.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Distinct segments that one tally follows. Beyond it only voxels are counted, so that memory stays bounded on dense
/// segmentations; [`Tally::segments_complete`] tells.
const MAX_SEGMENTS: usize = 1 << 14;

/// Voxels gained or lost by segment. Every run of changed voxels asks twice, so hashing has to be cheap.
type Balance = HashMap<u64, i64, Scramble>;

/// Counts of one shard, or of many added up. A *voxel* here is one value: channels count each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Values that differ from the fallback's.
    pub voxels_changed: u64,
    /// Values of the fallback whose labels became others, in chunks that were looked at. The other counts compare with what
    /// they became.
    #[serde(default)]
    pub voxels_relabeled: u64,
    /// Of the changed ones, values that were a segment and are zero now.
    pub voxels_erased: u64,
    /// Of the changed ones, values that were zero and are a segment now.
    pub voxels_painted: u64,
    /// Largest value in the annotation's chunks, 0 if there is none.
    pub largest_segment_id: u64,
    /// Voxels each segment gained (or lost, if negative).
    #[serde(default, with = "pairs")]
    balance: Balance,
    /// Changes of segments that found no place in `balance`.
    #[serde(default)]
    uncounted: u64,
}

impl Tally {
    /// Moves `voxels` voxels from one segment to another; 0 is no segment.
    pub fn relabel(&mut self, from: u64, to: u64, voxels: i64) {
        if voxels != 0 {
            self.shift(from, -voxels, MAX_SEGMENTS);
            self.shift(to, voxels, MAX_SEGMENTS);
        }
    }

    /// Adds the counts of another part of the same merge.
    pub fn add(&mut self, other: &Self) {
        self.voxels_changed = self.voxels_changed.saturating_add(other.voxels_changed);
        self.voxels_erased = self.voxels_erased.saturating_add(other.voxels_erased);
        self.voxels_relabeled = self.voxels_relabeled.saturating_add(other.voxels_relabeled);
        self.voxels_painted = self.voxels_painted.saturating_add(other.voxels_painted);
        self.largest_segment_id = self.largest_segment_id.max(other.largest_segment_id);
        self.uncounted = self.uncounted.saturating_add(other.uncounted);
        for (&segment, &voxels) in &other.balance {
            self.shift(segment, voxels, 64 * MAX_SEGMENTS);
        }
    }

    /// Segment and the voxels it gained or lost on balance, in no order.
    pub fn labels(&self) -> impl Iterator<Item = (u64, i64)> {
        self.balance.iter().map(|(&segment, &voxels)| (segment, voxels)).filter(|&(_, voxels)| voxels != 0)
    }

    /// Whether every changed segment found a place in [`labels`](Self::labels).
    pub fn segments_complete(&self) -> bool {
        self.uncounted == 0
    }

    fn shift(&mut self, segment: u64, voxels: i64, limit: usize) {
        if segment == 0 {
            return;
        }
        if let Some(known) = self.balance.get_mut(&segment) {
            *known = known.saturating_add(voxels);
        } else if self.balance.len() < limit {
            self.balance.insert(segment, voxels);
        } else {
            self.uncounted = self.uncounted.saturating_add(1);
        }
    }
}

/// A hash for segment ids: one multiplication, with a secret of this process so that no file can be made to collide.
#[derive(Clone, Copy, Debug)]
struct Scramble(u64);

impl Default for Scramble {
    fn default() -> Self {
        static SECRET: OnceLock<u64> = OnceLock::new();
        Self(*SECRET.get_or_init(|| RandomState::new().hash_one(0)))
    }
}

impl BuildHasher for Scramble {
    type Hasher = Scrambler;

    fn build_hasher(&self) -> Scrambler {
        Scrambler(self.0)
    }
}

struct Scrambler(u64);

impl Hasher for Scrambler {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(self.0.rotate_left(32) | 1);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// JSON has no number keys: the table travels as a list of pairs.
mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Balance;

    pub(super) fn serialize<S: Serializer>(table: &Balance, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(table.iter().filter(|&(_, &voxels)| voxels != 0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Balance, D::Error> {
        Ok(Vec::<(u64, i64)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_part_loses_and_another_gains_cancels() {
        let (mut left, mut right) = (Tally::default(), Tally::default());
        left.relabel(5, 9, 3);
        right.relabel(9, 5, 3);
        right.relabel(0, 7, 1);
        left.add(&right);
        assert_eq!(left.labels().collect::<Vec<_>>(), [(7, 1)]);
    }

    #[test]
    fn too_many_segments_are_reported_as_incomplete() {
        let mut tally = Tally::default();
        for segment in 1..=MAX_SEGMENTS as u64 {
            tally.relabel(0, segment, 1);
        }
        assert!(tally.segments_complete());
        tally.relabel(0, u64::MAX, 1);
        assert!(!tally.segments_complete());
        assert_eq!(tally.labels().count(), MAX_SEGMENTS);
    }

    #[test]
    fn a_tally_survives_json() {
        let mut tally = Tally { voxels_changed: 4, largest_segment_id: u64::MAX, ..Tally::default() };
        tally.relabel(u64::MAX, 1, 2);
        let text = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    }

    #[test]
    fn segments_that_are_not_counted_are_never_taken_for_none() {
        let mut damaged = Tally { uncounted: u64::MAX, ..Tally::default() };
        damaged.shift(7, 1, 0);
        assert!(!damaged.segments_complete() && damaged.labels().next().is_none());
    }
}
