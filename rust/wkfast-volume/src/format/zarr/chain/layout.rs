//! The order in which a file keeps the voxels of a chunk, where it is not the one of memory.

/// How to find voxels in a chunk that is not stored x fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Lengths along z, y, x, c: memory order, slowest first.
    lengths: [usize; 4],
    /// Distance of neighbours along z, y, x, c in the file, in values.
    strides: [usize; 4],
    /// Bytes of a value.
    size: usize,
}

impl Layout {
    /// The layout of a chunk with `lengths` along z, y, x, c whose file keeps the axes in the order `stored` (numbers
    /// of those four, slowest first). `None` if that is memory order.
    pub(super) fn new(lengths: [usize; 4], stored: &[usize], size: usize) -> Option<Self> {
        let long = |axes: &mut dyn Iterator<Item = usize>| axes.filter(|&axis| lengths[axis] > 1).collect::<Vec<_>>();
        if long(&mut stored.iter().copied()) == long(&mut (0..4)) {
            return None;
        }
        let mut strides = [0; 4];
        let mut step = 1;
        for &axis in stored.iter().rev() {
            strides[axis] = step;
            step *= lengths[axis];
        }
        Some(Self { lengths, strides, size })
    }

    /// Brings values from file order into memory order.
    pub(super) fn gather(&self, stored: &[u8], voxels: &mut [u8]) {
        match self.size {
            1 => self.each(|place, at| copy::<1>(stored, at, voxels, place)),
            2 => self.each(|place, at| copy::<2>(stored, at, voxels, place)),
            4 => self.each(|place, at| copy::<4>(stored, at, voxels, place)),
            _ => self.each(|place, at| copy::<8>(stored, at, voxels, place)),
        }
    }

    /// Brings values from memory order into file order.
    pub(super) fn scatter(&self, voxels: &[u8], stored: &mut [u8]) {
        match self.size {
            1 => self.each(|place, at| copy::<1>(voxels, place, stored, at)),
            2 => self.each(|place, at| copy::<2>(voxels, place, stored, at)),
            4 => self.each(|place, at| copy::<4>(voxels, place, stored, at)),
            _ => self.each(|place, at| copy::<8>(voxels, place, stored, at)),
        }
    }

    /// Calls `visit` with every value's place in memory and in the file.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let [nz, ny, nx, nc] = self.lengths;
        let [sz, sy, sx, sc] = self.strides;
        let mut place = 0;
        for row in 0..nz * ny {
            let start = row / ny * sz + row % ny * sy;
            for value in 0..nx * nc {
                visit(place, start + value / nc * sx + value % nc * sc);
                place += 1;
            }
        }
    }
}

fn copy<const SIZE: usize>(from: &[u8], source: usize, to: &mut [u8], target: usize) {
    let value: [u8; SIZE] = std::array::from_fn(|byte| from[source * SIZE + byte]);
    to[target * SIZE..][..SIZE].copy_from_slice(&value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_differ_only_in_axes_of_length_one_are_memory_order() {
        assert_eq!(Layout::new([4, 3, 2, 1], &[0, 1, 2, 3], 1), None);
        assert_eq!(Layout::new([4, 3, 2, 1], &[3, 0, 1, 2], 1), None);
        assert_eq!(Layout::new([4, 3, 2, 5], &[0, 1, 2, 3], 1), None);
        assert!(Layout::new([4, 3, 2, 5], &[3, 0, 1, 2], 1).is_some());
    }

    #[test]
    fn c_order_of_c_x_y_z_becomes_x_fastest() {
        // 2 channels, x 2, y 3, z 1, stored c slowest and z fastest; a value is 100 c + 10 x + y.
        let stored = [0_u8, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112];
        let layout = Layout::new([1, 3, 2, 2], &[3, 2, 1, 0], 1).unwrap();
        let mut voxels = [0; 12];
        layout.gather(&stored, &mut voxels);
        assert_eq!(voxels, [0, 100, 10, 110, 1, 101, 11, 111, 2, 102, 12, 112]);
        let mut again = [0; 12];
        layout.scatter(&voxels, &mut again);
        assert_eq!(again, stored);
    }
}
