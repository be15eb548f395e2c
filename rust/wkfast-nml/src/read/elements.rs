//! One function per element: its attributes to its record.

use super::attributes::{Channels, KEPT_AS_TEXT, Reading};
use super::numbers::{parse_f64, parse_i32, parse_i64, parse_number};
use crate::columns::NodeRow;
use crate::error::NmlError;
use crate::model::{
    AdditionalAxis, Experiment, Group, Id, Meta, MetadataEntry, NmlBoundingBox, Scale, Segment, TreeHeader, Vector,
    Volume,
};
use crate::table::node_columns;

pub(super) fn meta(cx: &mut Reading<'_, '_>) -> Meta {
    let mut meta = Meta::default();
    for (name, value) in cx.tag.attributes() {
        match name {
            "name" => meta.name = Some(value.into_owned()),
            "content" => meta.content = Some(value.into_owned()),
            _ => cx.keep(name, &value),
        }
    }
    if meta.name.is_none() || meta.content.is_none() {
        cx.note("no name or no content", "loaded as it is");
    }
    meta
}

pub(super) fn experiment(cx: &mut Reading<'_, '_>) -> Experiment {
    let mut experiment = Experiment::default();
    for (name, value) in cx.tag.attributes() {
        match name {
            "name" => experiment.name = Some(value.into_owned()),
            "organization" => experiment.organization = Some(value.into_owned()),
            "datasetId" => experiment.dataset_id = Some(value.into_owned()),
            "description" => experiment.description = Some(value.into_owned()),
            "wkUrl" => experiment.wk_url = Some(value.into_owned()),
            _ => cx.keep(name, &value),
        }
    }
    experiment
}

pub(super) fn scale(cx: &mut Reading<'_, '_>) -> Scale {
    let mut scale = Scale::default();
    for (name, value) in cx.tag.attributes() {
        match name {
            "x" => scale.x = cx.float(name, &value),
            "y" => scale.y = cx.float(name, &value),
            "z" => scale.z = cx.float(name, &value),
            "unit" => scale.unit = Some(value.into_owned()),
            _ => cx.keep(name, &value),
        }
    }
    let sizes = [scale.x, scale.y, scale.z];
    if sizes.iter().any(|size| !size.is_some_and(|size| size > 0.0 && size.is_finite())) {
        let text = |size: Option<f64>| size.map_or("none".to_owned(), |size| size.to_string());
        let [x, y, z] = sizes.map(text);
        cx.note(format!("a voxel of {x} × {y} × {z}; expected positive sizes"), "kept; lengths in space are not right");
    }
    scale
}

/// Attributes with these names, or `additionalCoordinate-<axis>`.
pub(super) fn vector(cx: &mut Reading<'_, '_>, names: [&str; 3]) -> Vector {
    let mut vector = Vector::default();
    for (name, value) in cx.tag.attributes() {
        if let Some(axis) = names.iter().position(|&this| this == name) {
            vector.xyz[axis] = cx.float(name, &value).unwrap_or_default();
        } else if !cx.additional_coordinate(name, &value, &mut vector.additional_coordinates) {
            cx.keep(name, &value);
        }
    }
    vector
}

pub(super) fn bounding_box(cx: &mut Reading<'_, '_>) -> NmlBoundingBox {
    let (mut bounding_box, mut color, mut sides) = (NmlBoundingBox::default(), Channels::default(), 0);
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => bounding_box.id = cx.optional_id(name, &value),
            "name" => bounding_box.name = Some(value.into_owned()),
            "isVisible" => bounding_box.is_visible = cx.truth(name, &value),
            _ => {
                if let Some(side) = side_of(&mut bounding_box, name) {
                    *side = cx.integer(name, &value).unwrap_or_default();
                    sides += 1;
                } else if !color.take(cx, "color.", name, &value) {
                    cx.keep(name, &value);
                }
            }
        }
    }
    if sides < 6 {
        cx.note(
            "not all of topLeftX, topLeftY, topLeftZ, width, height, depth",
            "those missing are 0; servers drop the box",
        );
    }
    bounding_box.color = color.finish();
    bounding_box
}

/// The number of a box that an attribute states.
fn side_of<'b>(bounding_box: &'b mut NmlBoundingBox, name: &str) -> Option<&'b mut i64> {
    let NmlBoundingBox { topleft, size, .. } = bounding_box;
    match name {
        "topLeftX" => Some(&mut topleft[0]),
        "topLeftY" => Some(&mut topleft[1]),
        "topLeftZ" => Some(&mut topleft[2]),
        "width" => Some(&mut size[0]),
        "height" => Some(&mut size[1]),
        "depth" => Some(&mut size[2]),
        _ => None,
    }
}

pub(super) fn additional_axis(cx: &mut Reading<'_, '_>) -> AdditionalAxis {
    let mut axis = AdditionalAxis::default();
    for (name, value) in cx.tag.attributes() {
        match name {
            "name" => axis.name = value.into_owned(),
            "index" => axis.index = cx.integer(name, &value).unwrap_or_default(),
            "start" => axis.start = cx.integer(name, &value).unwrap_or_default(),
            "end" => axis.end = cx.integer(name, &value).unwrap_or_default(),
            _ => cx.keep(name, &value),
        }
    }
    axis
}

pub(super) fn tree(cx: &mut Reading<'_, '_>) -> Result<TreeHeader, NmlError> {
    let mut tree = TreeHeader { id: cx.id("id")?, ..TreeHeader::default() };
    let (mut color, mut old_color, mut comment) = (Channels::default(), Channels::default(), None);
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => {}
            "name" => tree.name = Some(value.into_owned()),
            "comment" => comment = Some(value.into_owned()),
            "groupId" if value.is_empty() => {}
            "groupId" => tree.group_id = cx.optional_id(name, &value),
            "type" => tree.tree_type = Some(value.into_owned()),
            "isVisible" => tree.is_visible = cx.truth(name, &value),
            "edgesAreVisible" => tree.edges_are_visible = cx.truth(name, &value),
            _ if color.take(cx, "color.", name, &value) || old_color.take(cx, "color", name, &value) => {}
            _ => cx.keep(name, &value),
        }
    }
    if old_color.has_values() && color.has_values() {
        cx.note("both colorr and color.r", "color.r counts, as for servers; colorr is kept");
        keep_old_color(cx);
        tree.color = color.finish();
    } else {
        tree.color = old_color.finish_with_values().or_else(|| color.finish());
    }
    match comment {
        // Desktop dialect: the comment is the name.
        Some(comment) if tree.name.as_deref().is_none_or(str::is_empty) => tree.name = Some(comment),
        Some(comment) => cx.keep("comment", &comment),
        None => {}
    }
    Ok(tree)
}

/// Keeps what was read of the old names of a color; what could not be read is kept already.
fn keep_old_color(cx: &mut Reading<'_, '_>) {
    let tag = cx.tag;
    for (name, value) in tag.attributes().filter(|(name, _)| OLD_COLOR.contains(name)) {
        if !cx.extras.attributes.iter().any(|(kept, _)| kept == name) {
            cx.keep(name, &value);
        }
    }
}

const OLD_COLOR: [&str; 4] = ["colorr", "colorg", "colorb", "colora"];

/// A node that the hot path did not take: its row, and its additional coordinates.
pub(super) fn node(cx: &mut Reading<'_, '_>) -> Result<(NodeRow, Vec<(String, i64)>), NmlError> {
    let mut node = NodeRow { id: cx.id("id")?, ..NodeRow::default() };
    let (mut coordinates, mut axes) = (Vec::new(), 0);
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => {}
            "x" | "y" | "z" => {
                axes += 1;
                let index = usize::from(name.as_bytes()[0] - b'x');
                node.position[index] = cx.needed(name, &value, parse_f64, "a number").unwrap_or_default();
                if !node.position[index].is_finite() {
                    cx.reject(format!("{name}={value:?}; expected a finite number"), "kept, the node has no place");
                }
            }
            _ if optional(cx, name, &value, &mut node) => {}
            _ if cx.additional_coordinate(name, &value, &mut coordinates) => {}
            _ => cx.keep(name, &value),
        }
    }
    if axes < 3 {
        cx.reject("not all of x, y, z", "those missing are 0");
    }
    Ok((node, coordinates))
}

macro_rules! columns {
    ($($doc:literal, $field:ident: $type:ty, $shown:literal, $name:literal, $attributes:tt;)*) => {
        /// Takes an attribute of an optional column; `false` if it is another.
        fn optional(cx: &mut Reading<'_, '_>, name: &str, text: &str, node: &mut NodeRow) -> bool {
            $(
                if let Some(part) = $attributes.iter().position(|this| *this == name) {
                    Readable::take(&mut node.$field, part, cx, name, text);
                    return true;
                }
            )*
            false
        }
    };
}
node_columns!(columns);

/// A value of an optional column in whatever form. One that cannot be read stays absent, a number of a vector is 0.
trait Readable: Sized {
    fn take(to: &mut Option<Self>, part: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str);
}

impl Readable for f64 {
    fn take(to: &mut Option<Self>, _: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str) {
        *to = cx.float(name, text);
    }
}

impl Readable for i64 {
    fn take(to: &mut Option<Self>, _: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str) {
        *to = cx.integer(name, text);
    }
}

impl Readable for i32 {
    fn take(to: &mut Option<Self>, _: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str) {
        *to = cx.value(name, text, parse_i32, "an integer of 32 bits");
    }
}

impl Readable for bool {
    fn take(to: &mut Option<Self>, _: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str) {
        *to = cx.truth(name, text);
    }
}

impl Readable for [f64; 3] {
    fn take(to: &mut Option<Self>, part: usize, cx: &mut Reading<'_, '_>, name: &str, text: &str) {
        if let Some(value) = cx.float(name, text) {
            to.get_or_insert_default()[part] = value;
        }
    }
}

/// An edge that the hot path did not take: source and target.
pub(super) fn edge(cx: &mut Reading<'_, '_>) -> Result<(Id, Id), NmlError> {
    let ends = (cx.id("source")?, cx.id("target")?);
    for (name, value) in cx.tag.attributes() {
        if name != "source" && name != "target" {
            cx.keep(name, &value);
        }
    }
    Ok(ends)
}

pub(super) fn metadata_entry(cx: &mut Reading<'_, '_>) -> MetadataEntry {
    let (mut entry, mut keyed) = (MetadataEntry::default(), false);
    for (name, value) in cx.tag.attributes() {
        match name {
            "key" => (entry.key, keyed) = (value.into_owned(), true),
            "stringValue" => entry.string = Some(value.into_owned()),
            "numberValue" => entry.number = cx.value(name, &value, parse_number, "a number"),
            "boolValue" => entry.bool = cx.truth(name, &value),
            _ => match list_index(name) {
                Some(index) => entry.list.push((index, value.into_owned())),
                None => cx.keep(name, &value),
            },
        }
    }
    entry.list.sort_by_key(|(index, _)| *index);
    if !keyed {
        cx.note("no key", "the key is empty");
    }
    entry
}

/// The index of `stringListValue-<index>` in the one form that is written back the same.
fn list_index(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("stringListValue-")?;
    digits.parse().ok().filter(|index: &u32| index.to_string() == digits)
}

/// A tree's or segment's group; only those of trees have `isExpanded`.
pub(super) fn group(cx: &mut Reading<'_, '_>) -> Result<Group, NmlError> {
    let mut group = Group { id: cx.id("id")?, ..Group::default() };
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => {}
            "name" => group.name = Some(value.into_owned()),
            "isExpanded" => group.is_expanded = cx.truth(name, &value),
            _ => cx.keep(name, &value),
        }
    }
    if group.name.is_none() {
        cx.note("no name", "loaded without one");
    }
    Ok(group)
}

/// A volume layer, the `index`-th of the file: that is its id if it has none.
pub(super) fn volume(cx: &mut Reading<'_, '_>, index: usize) -> Result<Volume, NmlError> {
    let mut volume = Volume::default();
    if cx.tag.attributes().any(|(name, _)| name == "id") {
        volume.id = cx.id("id")?;
    } else {
        volume.id = index as Id;
        cx.note("no id", "the layer's index is its id");
    }
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => {}
            "name" => volume.name = Some(value.into_owned()),
            "location" => volume.location = Some(value.into_owned()),
            "format" => volume.format = Some(value.into_owned()),
            "fallbackLayer" => volume.fallback_layer = Some(value.into_owned()),
            "largestSegmentId" => volume.largest_segment_id = cx.optional_id(name, &value),
            "mappingName" => volume.mapping_name = Some(value.into_owned()),
            "mappingIsLocked" => volume.mapping_is_locked = cx.truth(name, &value),
            "editedMappingEdgesLocation" => volume.edited_mapping_edges_location = Some(value.into_owned()),
            "editedMappingBaseMappingName" => volume.edited_mapping_base_mapping_name = Some(value.into_owned()),
            _ => cx.keep(name, &value),
        }
    }
    Ok(volume)
}

pub(super) fn segment(cx: &mut Reading<'_, '_>) -> Result<Segment, NmlError> {
    let mut segment = Segment { id: cx.id("id")?, ..Segment::default() };
    if i64::try_from(segment.id).is_err() {
        cx.reject(format!("id {} needs more than 64 bits", segment.id), "kept");
    }
    let (mut color, mut anchor) = (Channels::default(), [None, None, None]);
    for (name, value) in cx.tag.attributes() {
        match name {
            "id" => {}
            "name" => segment.name = Some(value.into_owned()),
            "created" => segment.created = cx.integer(name, &value),
            "anchorPositionX" => anchor[0] = Some((name, value)),
            "anchorPositionY" => anchor[1] = Some((name, value)),
            "anchorPositionZ" => anchor[2] = Some((name, value)),
            "groupId" if value.is_empty() => {}
            "groupId" => segment.group_id = cx.optional_id(name, &value),
            "isVisible" => segment.is_visible = cx.truth(name, &value),
            _ if color.take(cx, "color.", name, &value) => {}
            _ if cx.additional_coordinate(name, &value, &mut segment.additional_coordinates) => {}
            _ => cx.keep(name, &value),
        }
    }
    segment.color = color.finish_with_values();
    segment.anchor_position = anchor_position(cx, &anchor);
    Ok(segment)
}

/// All three coordinates or none: what is there of an incomplete or unreadable anchor is kept as text.
fn anchor_position(
    cx: &mut Reading<'_, '_>,
    anchor: &[Option<(&str, std::borrow::Cow<'_, str>)>; 3],
) -> Option<[i64; 3]> {
    let values = anchor.each_ref().map(|axis| axis.as_ref().and_then(|(_, text)| parse_i64(text)));
    if let [Some(x), Some(y), Some(z)] = values {
        return Some([x, y, z]);
    }
    for (axis, value) in anchor.iter().zip(values) {
        let Some((name, text)) = axis else { continue };
        cx.keep(name, text);
        if value.is_none() {
            cx.reject(format!("{name}={text:?}; expected an integer"), KEPT_AS_TEXT);
        } else {
            cx.note("not all of anchorPositionX, anchorPositionY, anchorPositionZ", KEPT_AS_TEXT);
        }
    }
    None
}
