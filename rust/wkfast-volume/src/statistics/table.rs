//! A row for each segment, and how voxels and other tables are added.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::label::{Recent, label, run_length};

/// What is known of a segment's voxels. Coordinates are voxels of the mag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// How many there are.
    pub voxels: u64,
    /// First voxel along x, y, z.
    pub low: [u64; 3],
    /// Last voxel along x, y, z.
    pub high: [u64; 3],
    /// All coordinates added up, along x, y, z.
    pub sum: [u128; 3],
}

impl Row {
    const NONE: Self = Self { voxels: 0, low: [u64::MAX; 3], high: [0; 3], sum: [0; 3] };

    fn add(&mut self, other: &Self) {
        self.voxels += other.voxels;
        for axis in 0..3 {
            self.low[axis] = self.low[axis].min(other.low[axis]);
            self.high[axis] = self.high[axis].max(other.high[axis]);
            self.sum[axis] += other.sum[axis];
        }
    }
}

/// A block of voxels (x, y, z) in Fortran order, and what of it counts.
#[derive(Clone, Debug)]
pub struct CountedBlock {
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
    /// Those that count.
    pub part: [Range<usize>; 3],
    /// Coordinates of the block's first voxel.
    pub at: [u64; 3],
}

impl CountedBlock {
    /// A block that counts whole.
    pub fn whole(shape: [usize; 3], at: [u64; 3]) -> Self {
        Self { shape, part: shape.map(|edge| 0..edge), at }
    }
}

/// What is counted of a segment within a block, in coordinates of the block.
#[derive(Clone, Copy, Debug)]
struct Local {
    label: u64,
    voxels: u64,
    low: [usize; 3],
    high: [usize; 3],
    sum: [u64; 3],
}

/// Statistics of segments by their id. Tables of parts make up that of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: HashMap<u64, Row, RandomState>,
}

impl Table {
    /// Every segment, in the order of ids.
    pub fn sorted(&self) -> Vec<(u64, Row)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(&id, &row)| (id, row)).collect();
        rows.sort_unstable_by_key(|row| row.0);
        rows
    }

    /// The table of `rows`.
    pub fn of(rows: Vec<(u64, Row)>) -> Self {
        let mut table = Self::default();
        for (id, row) in rows {
            table.row(id).add(&row);
        }
        table
    }

    /// Segments in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no segment.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds what another part has.
    pub fn merge(&mut self, mut other: Self) {
        if other.rows.len() > self.rows.len() {
            std::mem::swap(self, &mut other);
        }
        for (id, row) in other.rows {
            self.row(id).add(&row);
        }
    }

    fn row(&mut self, id: u64) -> &mut Row {
        self.rows.entry(id).or_insert(Row::NONE)
    }

    /// Adds the voxels of a block that are not zero. `values` are in the memory order of a chunk of one channel.
    pub(super) fn add<const W: usize>(&mut self, values: &[u8], signed: bool, block: &CountedBlock) {
        let (values, _) = values.as_chunks::<W>();
        let mut counter = Counter { found: Vec::new(), places: HashMap::default(), last: Recent::new(0), signed };
        let [xs, ys, zs] = &block.part;
        for z in zs.clone() {
            let row = |y: usize| {
                let start = block.shape[0] * (y + block.shape[1] * z);
                &values[start + xs.start..start + xs.end]
            };
            let mut y = ys.start;
            while y < ys.end {
                // Most rows are like the one before: comparing bytes is quicker than finding the same runs again.
                let first = row(y);
                let rows = 1 + (y + 1..ys.end).take_while(|&y| row(y).as_flattened() == first.as_flattened()).count();
                counter.add_rows(first, [xs.start, y, z], rows);
                y += rows;
            }
        }
        for local in counter.found {
            self.row(local.label).add(&local.at(block.at));
        }
    }
}

impl Local {
    /// The same in coordinates of the mag, for a block that begins at `start`.
    fn at(&self, start: [u64; 3]) -> Row {
        Row {
            voxels: self.voxels,
            low: std::array::from_fn(|axis| start[axis] + self.low[axis] as u64),
            high: std::array::from_fn(|axis| start[axis] + self.high[axis] as u64),
            sum: std::array::from_fn(|axis| {
                u128::from(self.sum[axis]) + u128::from(self.voxels) * u128::from(start[axis])
            }),
        }
    }
}

/// The segments of a block.
struct Counter {
    found: Vec<Local>,
    places: HashMap<u64, usize, RandomState>,
    last: Recent<usize>,
    signed: bool,
}

impl Counter {
    /// Adds as many rows as `rows`, one beside the other along y and all alike.
    fn add_rows<const W: usize>(&mut self, row: &[[u8; W]], [x, y, z]: [usize; 3], rows: usize) {
        let mut start = 0;
        while start < row.len() {
            let length = run_length(&row[start..]);
            let label = label(row[start], self.signed);
            if label != 0 {
                self.add_runs(label, [x + start, y, z], length, rows);
            }
            start += length;
        }
    }

    fn add_runs(&mut self, label: u64, [x, y, z]: [usize; 3], length: usize, rows: usize) {
        let place = self.place(label);
        let local = &mut self.found[place];
        let (first, last) = ([x, y, z], [x + length - 1, y + rows - 1, z]);
        local.voxels += (length * rows) as u64;
        for axis in 0..3 {
            local.low[axis] = local.low[axis].min(first[axis]);
            local.high[axis] = local.high[axis].max(last[axis]);
            // The mean lies in the middle; voxels times twice the mean is even.
            local.sum[axis] += (length * rows * (first[axis] + last[axis]) / 2) as u64;
        }
    }

    fn place(&mut self, label: u64) -> usize {
        if let Some(place) = self.last.find(label) {
            return place;
        }
        let new = self.found.len();
        let place = *self.places.entry(label).or_insert(new);
        if place == new {
            self.found.push(Local { label, voxels: 0, low: [usize::MAX; 3], high: [0; 3], sum: [0; 3] });
        }
        self.last.keep(label, place);
        place
    }
}
