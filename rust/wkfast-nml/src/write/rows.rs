//! Nodes and edges as text.

use std::ops::Range;

use super::numbers::{push_float, push_integer};
use super::tag::{Attributes, check_name, is_kept};
use super::{Indent, close, elements};
use crate::columns::{OptionalColumn, TreeColumns};
use crate::error::NmlError;
use crate::model::Extras;
use crate::table::{is_before, node_columns};

/// Beyond this the server, which reads float text in single precision, would move a node.
const EXACT_IN_SINGLE: f64 = 16_777_216.0;

pub(super) fn push_nodes(out: &mut Vec<u8>, columns: &TreeColumns, rows: Range<usize>) -> Result<(), NmlError> {
    let axes = plain_axes(columns)?;
    for row in rows {
        if columns.is_removed(row) {
            continue;
        }
        let extras = columns.notes.get(&(row as u32)).map(|notes| &notes.extras).filter(|extras| !extras.is_empty());
        if extras.is_none() && !columns.coordinates.has_further(row) {
            push_plain_node(out, columns, row, &axes);
        } else {
            push_noted_node(out, columns, row, extras)?;
        }
    }
    Ok(())
}

/// Columns of axes beyond x, y, z with what stands before a value, in order of their names.
fn plain_axes(columns: &TreeColumns) -> Result<Vec<(String, &OptionalColumn<i64>)>, NmlError> {
    // A name that no node uses any more may be one that cannot be written.
    let used = |column: &OptionalColumn<i64>| (0..columns.rows()).any(|row| column.get(row).is_some());
    let mut axes: Vec<_> = columns.coordinates.columns().filter(|(_, column)| used(column)).collect();
    axes.sort_unstable_by_key(|(name, _)| *name);
    let prefixed = axes.into_iter().map(|(name, column)| {
        let name = format!("additionalCoordinate-{name}");
        check_name("node", &name)?;
        Ok((format!(" {name}=\""), column))
    });
    prefixed.collect()
}

fn push_plain_node(out: &mut Vec<u8>, columns: &TreeColumns, row: usize, axes: &[(String, &OptionalColumn<i64>)]) {
    out.extend_from_slice(b"      <node");
    for (prefix, column) in axes {
        if let Some(place) = column.get(row) {
            out.extend_from_slice(prefix.as_bytes());
            push_integer(out, place);
            out.push(b'"');
        }
    }
    push_optional(out, columns, row, |name| is_before(name, "id"));
    out.extend_from_slice(b" id=\"");
    push_id(out, columns.ids.as_narrow(), row, || columns.ids.get(row));
    out.push(b'"');
    push_optional(out, columns, row, |name| is_before("id", name) && is_before(name, "x"));
    let [x, y, z] = columns.positions[row];
    push_position(out, b" x=\"", x);
    push_position(out, b" y=\"", y);
    push_position(out, b" z=\"", z);
    push_optional(out, columns, row, |name| is_before("x", name));
    out.extend_from_slice(b" />\n");
}

macro_rules! columns {
    ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, [$($attribute:literal),+];)*) => {
        /// Those attributes of optional columns whose place is here, which is known when this is compiled.
        #[inline(always)]
        fn push_optional(out: &mut Vec<u8>, columns: &TreeColumns, row: usize, here: impl Fn(&str) -> bool) {
            $(
                if here([$($attribute),+][0]) {
                    if let Some(value) = columns.$field.get(row) {
                        for (part, name) in [$(concat!(" ", $attribute, "=\"")),+].into_iter().enumerate() {
                            out.extend_from_slice(name.as_bytes());
                            value.push(part, out);
                            out.push(b'"');
                        }
                    }
                }
            )*
        }

        /// All attributes of optional columns, of a node that also has things that no column exists for.
        fn collect_optional(attributes: &mut Attributes<'_>, columns: &TreeColumns, row: usize, extras: &Extras) {
            $(
                if let Some(value) = columns.$field.get(row) {
                    let names = [$($attribute),+];
                    for (part, name) in names.into_iter().enumerate() {
                        // A zero of several numbers may stand for text that was none.
                        if names.len() == 1 || !value.is_zero(part) || !is_kept(extras, name) {
                            let mut text = Vec::new();
                            value.push(part, &mut text);
                            attributes.owned(name, String::from_utf8(text).unwrap_or_default());
                        }
                    }
                }
            )*
        }
    };
}
node_columns!(columns);

/// A value of an optional column as text.
trait Writable {
    fn push(&self, part: usize, out: &mut Vec<u8>);

    fn is_zero(&self, _: usize) -> bool {
        false
    }
}

impl Writable for i32 {
    #[inline]
    fn push(&self, _: usize, out: &mut Vec<u8>) {
        push_integer(out, *self);
    }
}

impl Writable for i64 {
    #[inline]
    fn push(&self, _: usize, out: &mut Vec<u8>) {
        push_integer(out, *self);
    }
}

impl Writable for f64 {
    #[inline]
    fn push(&self, _: usize, out: &mut Vec<u8>) {
        push_float(out, *self);
    }
}

impl Writable for bool {
    #[inline]
    fn push(&self, _: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Writable for [f64; 3] {
    #[inline]
    fn push(&self, part: usize, out: &mut Vec<u8>) {
        push_float(out, self[part]);
    }

    fn is_zero(&self, part: usize) -> bool {
        self[part] == 0.0
    }
}

#[inline]
fn push_id(out: &mut Vec<u8>, narrow: Option<&[i64]>, row: usize, wide: impl Fn() -> Option<i128>) {
    match narrow {
        Some(ids) => push_integer(out, ids[row]),
        None => push_integer(out, wide().unwrap_or_default()),
    }
}

#[inline]
fn push_position(out: &mut Vec<u8>, name: &[u8], value: f64) {
    out.extend_from_slice(name);
    push_coordinate(out, value);
    out.push(b'"');
}

/// Float text as the reference writes it, but integer text where single precision would lose the place.
#[inline]
fn push_coordinate(out: &mut Vec<u8>, value: f64) {
    if value.abs() < EXACT_IN_SINGLE || value.fract() != 0.0 || value.abs() >= 9e18 {
        push_float(out, value);
    } else {
        push_integer(out, value as i64);
    }
}

/// A node with coordinates along more axes, or with things that no column exists for.
fn push_noted_node(
    out: &mut Vec<u8>,
    columns: &TreeColumns,
    row: usize,
    extras: Option<&Extras>,
) -> Result<(), NmlError> {
    let nothing = Extras::default();
    let extras = extras.unwrap_or(&nothing);
    let mut attributes = Attributes::default();
    attributes.integer("id", columns.ids.get(row));
    collect_optional(&mut attributes, columns, row, extras);
    for (name, value) in ["x", "y", "z"].into_iter().zip(columns.positions[row]) {
        if value != 0.0 || !is_kept(extras, name) {
            let mut text = Vec::new();
            push_coordinate(&mut text, value);
            attributes.owned(name, String::from_utf8(text).unwrap_or_default());
        }
    }
    attributes.additional_coordinates(columns.coordinates.of(row));
    elements::push_record(out, Indent(3), "node", attributes, extras)
}

pub(super) fn push_edges(out: &mut Vec<u8>, columns: &TreeColumns, edges: Range<usize>) -> Result<(), NmlError> {
    for edge in edges {
        match columns.edge_extras.get(&(edge as u32)) {
            Some(extras) if !extras.is_empty() => push_noted_edge(out, columns, edge, extras)?,
            _ => push_plain_edge(out, columns, edge),
        }
    }
    Ok(())
}

fn push_plain_edge(out: &mut Vec<u8>, columns: &TreeColumns, edge: usize) {
    let narrow = columns.edges.as_narrow();
    out.extend_from_slice(b"      <edge source=\"");
    push_id(out, narrow, 2 * edge, || columns.edges.get(2 * edge));
    out.extend_from_slice(b"\" target=\"");
    push_id(out, narrow, 2 * edge + 1, || columns.edges.get(2 * edge + 1));
    out.push(b'"');
    close(out);
}

fn push_noted_edge(out: &mut Vec<u8>, columns: &TreeColumns, edge: usize, extras: &Extras) -> Result<(), NmlError> {
    let (source, target) = columns.edge(edge).unwrap_or_default();
    let mut attributes = Attributes::default();
    attributes.integer("source", Some(source));
    attributes.integer("target", Some(target));
    elements::push_record(out, Indent(3), "edge", attributes, extras)
}
