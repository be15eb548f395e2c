//! Plain trees of a few rows, read whole and without a tokeniser: files of agglomerates and synapses have a million of them.
//!
//! As with runs of rows ([`super::hot`]), only work is skipped whose result is known. What is not plain (an unknown attribute or
//! child, metadata, an escape, a letter beyond ASCII, a tree that does not end in the text that is there) is left to the
//! general road, with nothing of it taken.

use super::Limits;
use super::check::{Checker, OpenTree};
use super::hot::{Cursor, RowKind, after, attributes, empty_tag_end, float, integer, scan, truth};
use super::places::{Places, Steps};
use super::window::{Feed, Window};
use crate::columns::TreeColumns;
use crate::error::Position;
use crate::model::{Color, TreeHeader};

/// Bytes of a small tree: more are worth the general road, which hands long runs of rows to other threads.
const LONGEST: usize = 8 << 10;

/// Trees that are left to the general road after one that was not plain, and after another such, and so on.
const LONGEST_PAUSE: u32 = 64;

/// Takes small trees, and learns whether a file has any.
pub(super) struct SmallTrees {
    /// Whether the bounds of options are so wide that no plain tree can reach one.
    bounds_are_wide: bool,
    /// Trees still to be left alone, and how many will be after the next that is not plain.
    pause: u32,
    next_pause: u32,
    steps: Steps,
}

impl SmallTrees {
    pub(super) fn new(limits: &Limits) -> Self {
        let bytes = limits.value_bytes.min(limits.token_bytes);
        // Names and attributes are those of `header`; things, thing, nodes and node are four elements deep.
        let bounds_are_wide =
            bytes >= LONGEST && limits.name_bytes >= 32 && limits.attributes >= 16 && limits.depth >= 4;
        Self { bounds_are_wide, pause: 0, next_pause: 1, steps: Steps::default() }
    }

    /// The tree at the start of the window, which moves on behind it; `None`, and nothing is taken, if it is not plain.
    pub(super) fn take<F: Feed>(&mut self, window: &mut Window<'_, F>, checker: &mut Checker) -> Option<OpenTree> {
        if !self.bounds_are_wide || !window.rest().starts_with(b"<thing ") {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        let mut tree = checker.open_tree(TreeHeader::default(), window.place(0));
        if let Some(end) = self.read(window.rest(), &mut tree) {
            window.jump(end.at, end.lines, end.line_end);
            self.next_pause = 1;
            return Some(tree);
        }
        checker.drop_tree(tree);
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause).min(LONGEST_PAUSE);
        None
    }

    fn read(&mut self, text: &[u8], tree: &mut OpenTree) -> Option<Cursor> {
        let text = &text[..text.len().min(LONGEST)];
        let OpenTree { header, columns, node_places, edge_places, at: start } = tree;
        let (end, is_empty) = header_of(text, header)?;
        let mut at = Cursor { at: end, ..Cursor::default() };
        if is_empty {
            return Some(at);
        }
        at.skip_blanks(text);
        let mut rows = Rows { text, start: *start, columns, steps: &mut self.steps };
        rows.take(&mut at, RowKind::Node, [b"<nodes", b"</nodes>"], node_places)?;
        rows.take(&mut at, RowKind::Edge, [b"<edges", b"</edges>"], edge_places)?;
        if let Some(end) = after(text, at.at, b"<metadata").and_then(|end| empty_tag_end(text, end)) {
            at.at = end;
            at.skip_blanks(text);
        }
        at.at = after(text, at.at, b"</thing>")?;
        Some(at)
    }
}

/// Takes the containers of a tree's rows.
struct Rows<'r> {
    /// From the start of the tree on.
    text: &'r [u8],
    /// Where the tree stands in the file.
    start: Position,
    columns: &'r mut TreeColumns,
    steps: &'r mut Steps,
}

impl Rows<'_> {
    /// Passes a container of rows and the blanks behind it, if there is one; `None` if it is not plain.
    fn take(&mut self, at: &mut Cursor, kind: RowKind, [start, end]: [&[u8]; 2], places: &mut Places) -> Option<()> {
        let text = self.text;
        if !text[at.at..].starts_with(start) {
            return Some(());
        }
        at.at += start.len();
        if let Some(end) = empty_tag_end(text, at.at) {
            at.at = end;
        } else {
            at.at = after(text, at.at, b">")?;
            at.skip_blanks(text);
            self.scan(at, kind, places);
            at.skip_blanks(text);
            at.at += text[at.at..].starts_with(end).then_some(end.len())?;
        }
        at.skip_blanks(text);
        Some(())
    }

    fn scan(&mut self, at: &mut Cursor, kind: RowKind, places: &mut Places) {
        self.steps.clear();
        let span = scan(kind, &self.text[at.at..], self.columns, self.steps);
        if span.rows > 0 {
            places.push(self.place(*at));
            places.append(self.steps);
        }
        if span.lines > 0 {
            (at.lines, at.line_end) = (at.lines + span.lines, at.at + span.last_line_end);
        }
        at.at += span.length;
    }

    /// The place in the file: all text from the tree's start on is ASCII.
    fn place(&self, at: Cursor) -> Position {
        let Position { line, column } = self.start;
        let column = if at.lines == 0 { column + at.at as u64 } else { (at.at - at.line_end) as u64 };
        Position { line: line + at.lines, column }
    }
}

/// Bits of the attributes seen; channels of the color come behind.
mod seen {
    pub(super) const ID: u16 = 1;
    pub(super) const NAME: u16 = 1 << 1;
    pub(super) const GROUP: u16 = 1 << 2;
    pub(super) const TYPE: u16 = 1 << 3;
    pub(super) const VISIBLE: u16 = 1 << 4;
    pub(super) const EDGES: u16 = 1 << 5;
    pub(super) const CHANNEL: u16 = 1 << 6;
}

/// Reads `<thing id="1" … >`: the place behind it, and whether it is an empty element.
fn header_of(text: &[u8], header: &mut TreeHeader) -> Option<(usize, bool)> {
    let (have, at) = attributes(text, b"<thing".len(), |at| attribute(text, at, header))?;
    if have & seen::ID == 0 {
        return None;
    }
    let empty = empty_tag_end(text, at).map(|end| (end, true));
    empty.or_else(|| Some((after(text, at, b">")?, false)))
}

/// An attribute of a tree: its bit, and the place behind it.
fn attribute(text: &[u8], at: usize, header: &mut TreeHeader) -> Option<(u16, usize)> {
    let rest = &text[at..];
    if let Some(end) = after(text, at, b"id=\"") {
        let (id, end) = integer(text, end)?;
        header.id = id.into();
        return Some((seen::ID, end));
    }
    if let Some(end) = after(text, at, b"groupId=\"") {
        let (id, end) = integer(text, end)?;
        header.group_id = Some(id.into());
        return Some((seen::GROUP, end));
    }
    if rest.starts_with(b"color.") {
        return channel(text, at + b"color.".len(), header.color.get_or_insert_default());
    }
    let texts = [(b"name=\"", &mut header.name, seen::NAME), (b"type=\"", &mut header.tree_type, seen::TYPE)];
    for (name, to, bit) in texts {
        if let Some(start) = after(text, at, name) {
            let (value, end) = plain_text(text, start)?;
            *to = Some(value.to_owned());
            return Some((bit, end));
        }
    }
    if let Some(start) = after(text, at, b"isVisible=\"") {
        let (value, end) = truth(text, start)?;
        header.is_visible = Some(value);
        return Some((seen::VISIBLE, end));
    }
    let (value, end) = truth(text, after(text, at, b"edgesAreVisible=\"")?)?;
    header.edges_are_visible = Some(value);
    Some((seen::EDGES, end))
}

/// `r="0.5"`, or g, b, a.
fn channel(text: &[u8], at: usize, color: &mut Color) -> Option<(u16, usize)> {
    let index = b"rgba".iter().position(|letter| text.get(at) == Some(letter))?;
    let (value, end) = float(text, after(text, at + 1, b"=\"")?)?;
    color[index] = Some(value);
    Some((seen::CHANNEL << index, end))
}

/// Letters of ASCII up to the closing quote, none of which is written in another way than it is read.
fn plain_text(text: &[u8], at: usize) -> Option<(&str, usize)> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'&' && byte != b'<';
    let length = text[at..].iter().position(|&byte| !is_plain(byte))?;
    let end = after(text, at + length, b"\"")?;
    Some((std::str::from_utf8(&text[at..at + length]).ok()?, end))
}
