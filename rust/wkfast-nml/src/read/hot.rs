//! The elements that make up nearly all of a file, read without a tokeniser: runs of clean `<node …/>` or `<edge …/>`.
//!
//! A run only skips work whose result is known. Whatever is not plain (an unknown attribute, an escape, a value in a rare
//! form, a child) ends the run before that element, and the general road takes it.

use super::chars::is_space;
use super::places::Steps;
use crate::columns::{NodeRow, TreeColumns};
use crate::table::node_columns;

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Node,
    Edge,
}

/// Rows that were read ahead of the parser, for the place in the file where they start.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) kind: RowKind,
    /// Offset in the decoded file of the first row's `<`.
    pub(super) start: u64,
    pub(super) span: Span,
    pub(super) columns: TreeColumns,
    pub(super) steps: Steps,
}

/// How much text a run takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) length: usize,
    pub(super) rows: usize,
    pub(super) lines: u64,
    /// From the start of the run, if `lines` is not 0.
    pub(super) last_line_end: usize,
}

/// Reads the run of rows of a kind that the text starts with, if any, into columns and steps.
pub(super) fn scan(kind: RowKind, text: &[u8], columns: &mut TreeColumns, steps: &mut Steps) -> Span {
    match kind {
        RowKind::Node => scan_rows(text, steps, |at| {
            let mut axes = Axes::default();
            let (id, node, end) = node(text, at, &mut axes)?;
            if axes.count > 0 {
                let axes = &axes.list[..axes.count];
                if !columns.coordinates.has_columns_for(axes.iter().map(|(name, _)| *name)) {
                    return None;
                }
                let row = columns.rows();
                for (name, place) in axes {
                    columns.coordinates.put(row, name, *place);
                }
            }
            columns.push_narrow_node(id, &node);
            Some(end)
        }),
        RowKind::Edge => scan_rows(text, steps, |at| {
            let (source, target, end) = edge(text, at)?;
            columns.push_narrow_edge(source, target);
            Some(end)
        }),
    }
}

#[inline]
fn scan_rows(text: &[u8], steps: &mut Steps, mut row: impl FnMut(usize) -> Option<usize>) -> Span {
    let mut span = Span::default();
    // Behind the blanks after the last row, and the last row: `span` holds what is before the end of that row.
    let (mut here, mut last) = (Cursor::default(), Cursor::default());
    while let Some(end) = row(here.at) {
        if span.rows > 0 {
            let column = here.at - if here.lines == last.lines { last.at } else { here.line_end };
            steps.push(here.lines - last.lines, column as u64);
        }
        last = here;
        span = Span { length: end, rows: span.rows + 1, lines: here.lines, last_line_end: here.line_end };
        here.at = end;
        here.skip_blanks(text);
    }
    span
}

/// Where reading stands in a text, with the line ends before.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) at: usize,
    pub(super) lines: u64,
    /// Where the last line end is, if `lines` is not 0.
    pub(super) line_end: usize,
}

impl Cursor {
    #[inline]
    pub(super) fn skip_blanks(&mut self, text: &[u8]) {
        while let Some(&byte) = text.get(self.at).filter(|&&byte| is_space(byte)) {
            if byte == b'\n' {
                (self.lines, self.line_end) = (self.lines + 1, self.at);
            }
            self.at += 1;
        }
    }
}

/// Reads attributes, each behind one blank, as `attribute` does, in any order: the bits of those seen, and the place behind
/// them. A bit that comes twice is not plain.
#[inline]
pub(super) fn attributes(
    text: &[u8],
    mut at: usize,
    mut attribute: impl FnMut(usize) -> Option<(u16, usize)>,
) -> Option<(u16, usize)> {
    let mut have = 0_u16;
    while text.get(at) == Some(&b' ') && text.get(at + 1).is_some_and(|&byte| byte != b'/') {
        let (bit, end) = attribute(at + 1)?;
        if have & bit != 0 {
            return None;
        }
        have |= bit;
        at = end;
    }
    Some((have, at))
}

/// The text at `at` starts with `word`: the place behind it.
#[inline]
pub(super) fn after<const N: usize>(text: &[u8], at: usize, word: &[u8; N]) -> Option<usize> {
    (text.get(at..at + N)? == word).then_some(at + N)
}

/// `<edge source="1" target="2"/>`: both ends and the place behind it.
#[inline]
fn edge(text: &[u8], at: usize) -> Option<(i64, i64, usize)> {
    let (source, at) = integer(text, after(text, at, b"<edge source=\"")?)?;
    let (target, at) = integer(text, after(text, at, b" target=\"")?)?;
    Some((source, target, empty_tag_end(text, at)?))
}

#[inline]
pub(super) fn empty_tag_end(text: &[u8], at: usize) -> Option<usize> {
    after(text, at, b" />").or_else(|| after(text, at, b"/>"))
}

/// Bits of the attributes seen: what every row must have to be clean. Those of optional columns come behind.
mod seen {
    pub(super) const ID: u16 = 1;
    pub(super) const X: u16 = 1 << 1;
    pub(super) const Y: u16 = 1 << 2;
    pub(super) const Z: u16 = 1 << 3;
    pub(super) const NEEDED: u16 = ID | X | Y | Z;
    pub(super) const OPTIONAL: u16 = 1 << 4;
}

/// Axes beyond x, y, z of one node, and its places along them. Nodes with more are not plain.
#[derive(Default)]
struct Axes<'t> {
    list: [(&'t str, i64); 4],
    count: usize,
}

/// `<node id="1" x="2" … />`, any order of attributes: id, the rest and the place behind it.
#[inline]
fn node<'t>(text: &'t [u8], at: usize, axes: &mut Axes<'t>) -> Option<(i64, NodeRow, usize)> {
    let (mut id, mut row) = (0, NodeRow::default());
    let start = after(text, at, b"<node")?;
    let (have, at) = attributes(text, start, |at| attribute(text, at, &mut id, &mut row, axes))?;
    let end = empty_tag_end(text, at)?;
    (have & seen::NEEDED == seen::NEEDED && are_whole(have)).then_some((id, row, end))
}

#[inline]
fn attribute<'t>(
    text: &'t [u8],
    at: usize,
    id: &mut i64,
    row: &mut NodeRow,
    axes: &mut Axes<'t>,
) -> Option<(u16, usize)> {
    let end;
    let bit = match *text.get(at)? {
        b'x' => {
            (row.position[0], end) = place(text, after(text, at, b"x=\"")?)?;
            seen::X
        }
        b'y' => {
            (row.position[1], end) = place(text, after(text, at, b"y=\"")?)?;
            seen::Y
        }
        b'z' => {
            (row.position[2], end) = place(text, after(text, at, b"z=\"")?)?;
            seen::Z
        }
        b'i' if text.get(at + 1) == Some(&b'd') => {
            (*id, end) = integer(text, after(text, at, b"id=\"")?)?;
            seen::ID
        }
        first => match optional(text, at, first, row) {
            // No bit: axes have names, which are compared.
            None if first == b'a' => return Some((0, coordinate(text, at, axes)?)),
            found => return found,
        },
    };
    Some((bit, end))
}

macro_rules! columns {
    ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, [$($attribute:literal),+];)*) => {
        /// An attribute of an optional column: its bit and the place behind it.
        #[inline]
        fn optional(text: &[u8], at: usize, first: u8, row: &mut NodeRow) -> Option<(u16, usize)> {
            let mut bit = seen::OPTIONAL;
            $(
                for (part, name) in [$(concat!($attribute, "=\"")),+].into_iter().enumerate() {
                    if first == name.as_bytes()[0] && text[at..].starts_with(name.as_bytes()) {
                        let end = Plain::take(&mut row.$field, part, text, at + name.len())?;
                        return Some((bit, end));
                    }
                    bit <<= 1;
                }
            )*
            _ = bit;
            None
        }

        /// Whether of each column all attributes were seen or none.
        #[inline]
        fn are_whole(have: u16) -> bool {
            let mut shift = seen::OPTIONAL.trailing_zeros();
            $(
                const { assert!([$($attribute),+].len() < 8) };
                let all = (1_u16 << [$($attribute),+].len()) - 1;
                let these = (have >> shift) & all;
                if these != 0 && these != all {
                    return false;
                }
                shift += all.trailing_ones();
            )*
            _ = shift;
            true
        }
    };
}
node_columns!(columns);

/// A value that stands in a file in a plain form.
trait Plain: Sized {
    /// Reads one of its parts at `at`: the place behind the closing quote.
    fn take(to: &mut Option<Self>, part: usize, text: &[u8], at: usize) -> Option<usize>;
}

/// A value of one part.
fn put<T>(to: &mut Option<T>, (value, end): (T, usize)) -> usize {
    *to = Some(value);
    end
}

impl Plain for f64 {
    #[inline]
    fn take(to: &mut Option<Self>, _: usize, text: &[u8], at: usize) -> Option<usize> {
        Some(put(to, float(text, at)?))
    }
}

impl Plain for i64 {
    #[inline]
    fn take(to: &mut Option<Self>, _: usize, text: &[u8], at: usize) -> Option<usize> {
        Some(put(to, integer(text, at)?))
    }
}

impl Plain for i32 {
    #[inline]
    fn take(to: &mut Option<Self>, _: usize, text: &[u8], at: usize) -> Option<usize> {
        let (value, end) = integer(text, at)?;
        Some(put(to, (i32::try_from(value).ok()?, end)))
    }
}

impl Plain for bool {
    #[inline]
    fn take(to: &mut Option<Self>, _: usize, text: &[u8], at: usize) -> Option<usize> {
        Some(put(to, truth(text, at)?))
    }
}

impl Plain for [f64; 3] {
    #[inline]
    fn take(to: &mut Option<Self>, part: usize, text: &[u8], at: usize) -> Option<usize> {
        let (value, end) = float(text, at)?;
        to.get_or_insert_default()[part] = value;
        Some(end)
    }
}

/// `additionalCoordinate-t="4"`: the place behind it.
#[inline(never)]
fn coordinate<'t>(text: &'t [u8], at: usize, axes: &mut Axes<'t>) -> Option<usize> {
    const LONGEST: usize = 32;
    let start = after(text, at, b"additionalCoordinate-")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = text[start..].iter().take(LONGEST).take_while(|&&byte| is_plain(byte)).count();
    let name = std::str::from_utf8(&text[start..start + length]).ok()?;
    let (value, end) = integer(text, after(text, start + length, b"=\"")?)?;
    if name.is_empty() || axes.list[..axes.count].iter().any(|(this, _)| *this == name) {
        return None;
    }
    *axes.list.get_mut(axes.count)? = (name, value);
    axes.count += 1;
    Some(end)
}

/// `true` or `false` and the closing quote: the value and the place behind the quote.
#[inline]
pub(super) fn truth(text: &[u8], at: usize) -> Option<(bool, usize)> {
    let end = after(text, at, b"true\"").map(|end| (true, end));
    end.or_else(|| after(text, at, b"false\"").map(|end| (false, end)))
}

/// A sign and at most 18 digits up to the closing quote: the value and the place behind the quote.
#[inline]
pub(super) fn integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (value, end) = digits(text, first, 0);
    let length = end - first;
    if length == 0 || length > 18 || text.get(end) != Some(&b'"') {
        return None;
    }
    Some((if negative { -(value as i64) } else { value as i64 }, end + 1))
}

/// Appends the digits at `at` to a number (wrapping: the caller checks their count).
#[inline]
fn digits(text: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at)
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// As [`float`], of what can be a position: an infinite one is a problem, and so not plain.
#[inline]
fn place(text: &[u8], at: usize) -> Option<(f64, usize)> {
    decimal(text, at).or_else(|| general_float(text, at).filter(|(value, _)| value.is_finite()))
}

/// A number up to the closing quote: the nearest double and the place behind the quote.
#[inline]
pub(super) fn float(text: &[u8], at: usize) -> Option<(f64, usize)> {
    decimal(text, at).or_else(|| general_float(text, at))
}

/// As [`float`], for the usual short forms without an exponent.
#[inline]
fn decimal(text: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = text.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (mut value, mut end) = digits(text, first, 0);
    let mut count = end - first;
    let mut fraction = 0;
    if text.get(end) == Some(&b'.') {
        let point = end;
        (value, end) = digits(text, point + 1, value);
        fraction = end - point - 1;
        count += fraction;
    }
    // Both numbers are exact doubles, so one division rounds once: the nearest double.
    if text.get(end) == Some(&b'"') && (1..=19).contains(&count) && value <= 1 << 53 && fraction <= 22 {
        let value = if fraction == 0 { value as f64 } else { value as f64 / EXACT_POWERS[fraction] };
        return Some((if negative { -value } else { value }, end + 1));
    }
    None
}

/// Long or exponent forms, by the standard library.
#[cold]
fn general_float(text: &[u8], at: usize) -> Option<(f64, usize)> {
    let length = text.get(at..)?.iter().take(64).position(|&byte| byte == b'"')?;
    let value = std::str::from_utf8(&text[at..at + length]).ok()?.parse().ok()?;
    Some((value, at + length + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan_nodes(text: &str) -> (Span, TreeColumns) {
        let (mut columns, mut steps) = (TreeColumns::default(), Steps::default());
        (scan(RowKind::Node, text.as_bytes(), &mut columns, &mut steps), columns)
    }

    #[test]
    fn a_run_ends_before_the_first_row_that_is_not_plain() {
        let plain = "<node id=\"1\" x=\"1.5\" y=\"-2\" z=\"3e2\" />\n  <node id=\"-2\" x=\"0\" y=\"0\" z=\"0\"/>";
        for odd in [
            "",
            "<node",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\"",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" x=\"1\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" rotX=\"1\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" new=\"1\"/>",
            "<node id=\"3\" x=\"nan\" y=\"0\" z=\"0\"/>",
            "<node id=\"3\" x=\"0\" y=\"1e999\" z=\"0\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" additionalCoordinate-=\"1\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" additionalCoordinate-t=\"1.5\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" additionalCoordinate-t=\"1\" additionalCoordinate-t=\"2\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" additionalCoordinate-\u{e9}=\"1\"/>",
            "<node id=\"3\" x=\"1_0\" y=\"0\" z=\"0\"/>",
            "<node id=\"+3\" x=\"0\" y=\"0\" z=\"0\"/>",
            "<node id=\"9999999999999999999\" x=\"0\" y=\"0\" z=\"0\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\"></node>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" interpolation=\"True\"/>",
            "<node id=\"3\" x=\"0\" y=\"0\" z=\"0\" inMag=\"2147483648\"/>",
            "<nodes/>",
            "<!-- -->",
        ] {
            let (span, columns) = scan_nodes(&format!("{plain}\n {odd}"));
            assert_eq!((span.length, span.rows, span.lines), (plain.len(), 2, 1), "{odd}");
            assert_eq!(columns.positions, [[1.5, -2.0, 300.0], [0.0; 3]]);
        }
    }

    #[test]
    fn all_attributes_are_taken_in_any_order() {
        let (span, columns) = scan_nodes(
            "<node time=\"12\" interpolation=\"false\" bitDepth=\"8\" inMag=\"1\" inVp=\"-1\" rotZ=\"3\" rotY=\"2\" \
             rotX=\"1\" z=\"6\" additionalCoordinate-t=\"4\" y=\"5\" x=\"4\" radius=\"0.5\" additionalCoordinate-c.2=\"-1\" \
             id=\"7\"/>",
        );
        assert_eq!(span.rows, 1);
        let row = NodeRow {
            id: 7,
            position: [4.0, 5.0, 6.0],
            radius: Some(0.5),
            rotation: Some([1.0, 2.0, 3.0]),
            in_vp: Some(-1),
            in_mag: Some(1),
            bit_depth: Some(8),
            interpolation: Some(false),
            time: Some(12),
        };
        assert_eq!(columns.node(0), Some(row));
        assert_eq!(columns.coordinates.of(0), [("t", 4), ("c.2", -1)]);
    }

    #[test]
    fn digits_that_no_double_holds_are_rounded_once() {
        for text in [
            "9007199254740992.5",
            "9007199254740993",
            "900719925474099.35",
            "123456789012345.6789",
            "0.1234567890123456789",
        ] {
            let read = float(format!("{text}\"").as_bytes(), 0).map(|(value, _)| value.to_bits());
            assert_eq!(read, text.parse::<f64>().ok().map(f64::to_bits), "{text}");
        }
        // Divided by a power of ten after they were rounded, hundreds of these would be off.
        for n in 0..10_000_u64 {
            let text = format!("{}.{:03}", (1_u64 << 53) + n * 7_919, n % 1000);
            assert_eq!(float(format!("{text}\"").as_bytes(), 0).map(|(value, _)| value), text.parse().ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_float_is_the_nearest_double(text in "-?[0-9]{0,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{1,3})?") {
            let read = float(format!("{text}\"").as_bytes(), 0).map(|(value, _)| value.to_bits());
            prop_assert_eq!(read, text.parse::<f64>().ok().map(f64::to_bits));
        }

        #[test]
        fn every_double_is_read_back(value: f64) {
            prop_assume!(!value.is_nan());
            let read = float(format!("{value:?}\"").as_bytes(), 0).map(|(value, _)| value.to_bits());
            prop_assert_eq!(read, Some(value.to_bits()));
        }

        #[test]
        fn an_integer_is_exact(value: i64) {
            let read = integer(format!("{value}\"").as_bytes(), 0).map(|(value, _)| value);
            prop_assert!(read == Some(value) || (read.is_none() && value.unsigned_abs() >= 10_u64.pow(18)));
        }
    }
}
