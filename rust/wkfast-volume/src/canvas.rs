//! Voxels of a box, put together from bodies that come in any order and in pieces.

use std::ops::Range;

/// What bodies are copied into: a box (c, x, y, z) in Fortran order.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// Values along c, x, y, z.
    pub shape: [usize; 4],
    /// Bytes of a value.
    pub value: usize,
}

/// The memory of a canvas, by planes along z, so that several may paint at once.
pub trait Planes {
    /// Calls `work` with one plane, which nobody else has meanwhile.
    fn with(&self, z: usize, work: impl FnOnce(&mut [u8]));
}

/// How a body holds the voxels of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLayout {
    /// Whether z is the fastest axis of (c, x, y, z) instead of c.
    pub z_fastest: bool,
    /// Whether the first byte of a value counts most.
    pub big_endian: bool,
}

impl BodyLayout {
    /// Whether rows can be copied as they are, and so pieces of bodies that end anywhere.
    pub fn is_plain(self) -> bool {
        self == Self { z_fastest: false, big_endian: false }
    }
}

/// Where a body belongs, in values of a canvas; its parts that lie outside of `wanted` are left out.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    /// Its first value; before the canvas's first where it is negative.
    pub start: [i64; 4],
    /// Its values along each axis.
    pub shape: [usize; 4],
    /// First value that is wanted along each axis, and the one behind the last.
    pub wanted: [[i64; 2]; 4],
}

/// Rows of values that a patch and a canvas share.
struct SharedRows {
    /// Along each axis, the first value of the patch, and the one behind the last.
    from: [[usize; 2]; 4],
    /// Where the first one lies on the canvas.
    to: [usize; 4],
}

impl Patch {
    /// Bytes of a body.
    pub fn size(&self, value: usize) -> usize {
        self.shape.iter().product::<usize>() * value
    }

    fn shared(&self, canvas: &Canvas) -> Option<SharedRows> {
        let mut shared = SharedRows { from: [[0; 2]; 4], to: [0; 4] };
        for axis in 0..4 {
            let [low, high] = self.wanted[axis];
            let first = self.start[axis].max(low).max(0);
            let last = (self.start[axis] + self.shape[axis] as i64).min(high).min(canvas.shape[axis] as i64);
            if last <= first {
                return None;
            }
            shared.from[axis] = [first, last].map(|at| (at - self.start[axis]) as usize);
            shared.to[axis] = first as usize;
        }
        Some(shared)
    }
}

impl Canvas {
    /// Copies the bytes of a plain body from `offset` on, which may begin and end within a value.
    pub fn paint(&self, planes: &impl Planes, patch: &Patch, offset: usize, bytes: &[u8]) {
        let piece = offset..offset + bytes.len();
        self.each_row(planes, patch, &piece, |from, row| {
            let (begin, end) = (from.max(piece.start), (from + row.len()).min(piece.end));
            if begin < end {
                row[begin - from..end - from].copy_from_slice(&bytes[begin - offset..end - offset]);
            }
        });
    }

    /// Makes zero what a patch covers.
    pub fn clear(&self, planes: &impl Planes, patch: &Patch) {
        self.each_row(planes, patch, &ALL, |_, row| row.fill(0));
    }

    /// Copies a whole body of any layout.
    pub fn paint_whole(&self, planes: &impl Planes, patch: &Patch, layout: BodyLayout, body: &[u8]) {
        match (layout.z_fastest, self.value) {
            (false, _) => self.paint(planes, patch, 0, body),
            (true, 1) => self.transpose::<1>(planes, patch, body),
            (true, 2) => self.transpose::<2>(planes, patch, body),
            (true, 4) => self.transpose::<4>(planes, patch, body),
            (true, _) => self.transpose::<8>(planes, patch, body),
        }
        if layout.big_endian && self.value > 1 {
            self.each_row(planes, patch, &ALL, |_, row| {
                row.chunks_exact_mut(self.value).for_each(<[u8]>::reverse);
            });
        }
    }

    /// Calls `work` for each row that lies in one piece on both sides and may have bytes in a piece of the body: where it is in
    /// the body, in bytes, and its bytes on the canvas.
    fn each_row(
        &self,
        planes: &impl Planes,
        patch: &Patch,
        piece: &Range<usize>,
        mut work: impl FnMut(usize, &mut [u8]),
    ) {
        let Some(SharedRows { from, to }) = patch.shared(self) else { return };
        let (body, canvas) = (strides(patch.shape, self.value), strides(self.shape, self.value));
        // Where all channels are shared, a row goes along x.
        let is_long = from[0] == [0, patch.shape[0]] && patch.shape[0] == self.shape[0];
        let (columns, length) = if is_long {
            (1, (from[1][1] - from[1][0]) * body[1])
        } else {
            (from[1][1] - from[1][0], (from[0][1] - from[0][0]) * self.value)
        };
        let first = (from[0][0] * body[0] + from[1][0] * body[1], to[0] * canvas[0] + to[1] * canvas[1]);
        for z in span(from[3], 0, body[3], piece) {
            planes.with(z - from[3][0] + to[3], |plane| {
                for y in span(from[2], z * body[3], body[2], piece) {
                    let row = y - from[2][0] + to[2];
                    let mut at = (first.0 + z * body[3] + y * body[2], first.1 + row * canvas[2]);
                    for _ in 0..columns {
                        work(at.0, &mut plane[at.1..at.1 + length]);
                        at = (at.0 + body[1], at.1 + canvas[1]);
                    }
                }
            });
        }
    }

    fn transpose<const SIZE: usize>(&self, planes: &impl Planes, patch: &Patch, body: &[u8]) {
        let Some(SharedRows { from, to }) = patch.shared(self) else { return };
        let (values, _) = body.as_chunks::<SIZE>();
        let ([_, width, height, depth], [channels, columns, ..]) = (patch.shape, self.shape);
        for z in from[3][0]..from[3][1] {
            planes.with(z - from[3][0] + to[3], |plane| {
                let (plane, _) = plane.as_chunks_mut::<SIZE>();
                for y in from[2][0]..from[2][1] {
                    for x in from[1][0]..from[1][1] {
                        let row = x - from[1][0] + to[1] + columns * (y - from[2][0] + to[2]);
                        for c in from[0][0]..from[0][1] {
                            let value = values[((c * width + x) * height + y) * depth + z];
                            plane[row * channels + c - from[0][0] + to[0]] = value;
                        }
                    }
                }
            });
        }
    }
}

/// Bytes from a value to the next along each axis of a box in Fortran order.
fn strides(shape: [usize; 4], value: usize) -> [usize; 4] {
    let [c, x, y, _] = shape;
    [value, value * c, value * c * x, value * c * x * y]
}

/// Those steps of an axis that may have bytes in a piece of a body, of which step 0 begins at `base`.
fn span([first, last]: [usize; 2], base: usize, stride: usize, piece: &Range<usize>) -> Range<usize> {
    let [low, high] = [piece.start, piece.end].map(|at| at.saturating_sub(base));
    first.max(low / stride)..last.min(high.div_ceil(stride))
}

/// All bytes of any body.
const ALL: Range<usize> = 0..usize::MAX;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::{BodyLayout, Canvas, Patch, Planes};

    struct Flat(RefCell<Vec<u8>>, usize);

    impl Planes for Flat {
        fn with(&self, z: usize, work: impl FnOnce(&mut [u8])) {
            work(&mut self.0.borrow_mut()[z * self.1..][..self.1]);
        }
    }

    fn flat(canvas: &Canvas, pixels: &[u8]) -> Flat {
        Flat(RefCell::new(pixels.to_vec()), canvas.shape[..3].iter().product::<usize>() * canvas.value)
    }

    fn place(shape: [usize; 4], at: [usize; 4]) -> usize {
        at[0] + shape[0] * (at[1] + shape[1] * (at[2] + shape[2] * at[3]))
    }

    /// The slow twin: value by value.
    fn painted(canvas: &Canvas, before: &[u8], patch: &Patch, layout: BodyLayout, body: &[u8]) -> Vec<u8> {
        let (mut pixels, [nc, nx, ny, nz]) = (before.to_vec(), patch.shape);
        for (c, x, y, z) in (0..nc * nx * ny * nz).map(|n| (n % nc, n / nc % nx, n / nc / nx % ny, n / nc / nx / ny)) {
            let at = [0, 1, 2, 3].map(|axis| patch.start[axis] + [c, x, y, z][axis] as i64);
            let is_there = |axis: usize| {
                let [low, high] = patch.wanted[axis];
                (low.max(0)..high.min(canvas.shape[axis] as i64)).contains(&at[axis])
            };
            if (0..4).all(is_there) {
                let source =
                    if layout.z_fastest { ((c * nx + x) * ny + y) * nz + z } else { place(patch.shape, [c, x, y, z]) };
                let mut value = body[source * canvas.value..][..canvas.value].to_vec();
                if layout.big_endian {
                    value.reverse();
                }
                let target = place(canvas.shape, at.map(|at| at as usize)) * canvas.value;
                pixels[target..][..canvas.value].copy_from_slice(&value);
            }
        }
        pixels
    }

    fn case() -> impl Strategy<Value = (Canvas, Patch)> {
        let axis = (1_usize..5, 1_usize..5, -3_i64..5, -2_i64..4, 0_i64..5);
        (prop::sample::select(vec![1_usize, 2, 4, 8]), prop::array::uniform4(axis)).prop_map(|(value, axes)| {
            let canvas = Canvas { shape: axes.map(|axis| axis.0), value };
            let wanted = axes.map(|axis| [axis.3, axis.3 + axis.4]);
            (canvas, Patch { start: axes.map(|axis| axis.2), shape: axes.map(|axis| axis.1), wanted })
        })
    }

    proptest! {
        #[test]
        fn a_body_in_any_pieces_is_painted_as_value_by_value(
            (canvas, patch) in case(), z_fastest: bool, big_endian: bool, cuts in prop::collection::vec(0_usize..600, 0..4),
        ) {
            let bytes = |count: usize, seed: usize| (0..count).map(|n| (n * 7 + seed) as u8).collect::<Vec<_>>();
            let before = bytes(canvas.shape.iter().product::<usize>() * canvas.value, 3);
            let (body, layout) = (bytes(patch.size(canvas.value), 90), BodyLayout { z_fastest, big_endian });
            let expected = painted(&canvas, &before, &patch, layout, &body);
            let whole = flat(&canvas, &before);
            canvas.paint_whole(&whole, &patch, layout, &body);
            prop_assert_eq!(&*whole.0.borrow(), &expected);
            if layout.is_plain() {
                let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
                cuts.sort_unstable();
                let pieces = flat(&canvas, &before);
                for cut in cuts.windows(2) {
                    canvas.paint(&pieces, &patch, cut[0], &body[cut[0]..cut[1]]);
                }
                prop_assert_eq!(&*pieces.0.borrow(), &expected);
            }
            let blank = painted(&canvas, &before, &patch, layout, &vec![0; body.len()]);
            canvas.clear(&whole, &patch);
            prop_assert_eq!(&*whole.0.borrow(), &blank);
        }
    }
}
