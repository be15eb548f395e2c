//! The slow, obvious twin of the merge: whole layers in memory, one loop over voxels. Tests hold the fast one to it.

use super::chunk::Policy;

/// A whole mag from voxel 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dense {
    pub(crate) size: [usize; 3],
    pub(crate) values: Vec<i64>,
}

impl Dense {
    pub(crate) fn zeros(size: [usize; 3]) -> Self {
        Self { size, values: vec![0; size.iter().product()] }
    }

    pub(crate) fn place(&self, [x, y, z]: [usize; 3]) -> usize {
        x + self.size[0] * (y + self.size[1] * z)
    }

    pub(crate) fn voxels(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [nx, ny, nz] = self.size;
        (0..nz).flat_map(move |z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [x, y, z])))
    }
}

/// A fallback as it is, and with its new labels.
pub(crate) struct Sides {
    pub(crate) before: Dense,
    pub(crate) after: Dense,
}

/// The label of a voxel that both sides have.
pub(crate) fn winner(policy: Policy, painted: i64, old: i64) -> i64 {
    if policy == Policy::Nonzero && painted == 0 { old } else { painted }
}

/// Which label a voxel gets, by what annotations show of it and what lies below.
pub(crate) type Rule<'r> = dyn Fn(&[i64], i64) -> i64 + 'r;

/// `fallback` with every voxel that an annotation has decided by a rule; `over` has annotations and where they have chunks.
pub(crate) fn ask(rule: &Rule, over: &[(Dense, Dense)], fallback: &Dense, labels: &Sides) -> Dense {
    let mut merged = fallback.clone();
    for (place, below) in merged.values.iter_mut().enumerate() {
        let there = over.iter().filter(|(_, present)| present.values[place] == 1);
        let shown: Vec<i64> = there
            .map(|(annotation, _)| annotation.values[place])
            .map(|painted| if painted == labels.before.values[place] { labels.after.values[place] } else { painted })
            .collect();
        if !shown.is_empty() {
            *below = rule(&shown, *below);
        }
    }
    merged
}

/// `coarse` with every voxel computed anew that has a touched voxel in `finer`; also which ones those are.
pub(crate) fn recompute(finer: &Dense, touched: &Dense, coarse: &Dense) -> (Dense, Dense) {
    let mut merged = coarse.clone();
    let mut anew = Dense::zeros(coarse.size);
    let factor: [usize; 3] = std::array::from_fn(|axis| finer.size[axis] / coarse.size[axis]);
    for at in coarse.voxels() {
        let mut sources = Vec::new();
        // Ties go to the first, y running fastest, then x, then z: as layers are downsampled.
        for z in 0..factor[2] {
            for x in 0..factor[0] {
                for y in 0..factor[1] {
                    sources.push(finer.place([at[0] * factor[0] + x, at[1] * factor[1] + y, at[2] * factor[2] + z]));
                }
            }
        }
        if sources.iter().all(|&place| touched.values[place] == 0) {
            continue;
        }
        let frequency = |value: i64| sources.iter().filter(|&&place| finer.values[place] == value).count();
        // The first of the most frequent: `max_by_key` would return the last.
        let mut best = finer.values[sources[0]];
        for &place in &sources {
            if frequency(finer.values[place]) > frequency(best) {
                best = finer.values[place];
            }
        }
        let place = coarse.place(at);
        merged.values[place] = best;
        anew.values[place] = 1;
    }
    (merged, anew)
}
