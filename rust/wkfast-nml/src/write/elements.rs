//! Every element but the plain rows as text.

use std::borrow::Cow;

use super::tag::{Attributes, check, push_text, unwritable};
use super::{Indent, close};
use crate::columns::TreeColumns;
use crate::error::NmlError;
use crate::model::{
    AdditionalAxis, Element, Experiment, Extras, Group, Header, Id, Meta, MetadataEntry, NmlBoundingBox, Parameters,
    Scale, Segment, StrayBranchpoint, StrayComment, TreeHeader, Vector, Volume,
};
use crate::read::is_whole_name;

type Result<T = ()> = std::result::Result<T, NmlError>;

/// An element whose only children are unknown ones.
pub(super) fn push_record(
    out: &mut Vec<u8>,
    indent: Indent,
    name: &str,
    attributes: Attributes<'_>,
    extras: &Extras,
) -> Result {
    push_with_children(out, indent, name, attributes, extras, |_| Ok(()))
}

/// An element with known children, which `children` writes one level deeper, and the unknown ones behind them.
pub(super) fn push_with_children<'a>(
    out: &mut Vec<u8>,
    indent: Indent,
    name: &str,
    mut attributes: Attributes<'a>,
    extras: &'a Extras,
    children: impl FnOnce(&mut Vec<u8>) -> Result,
) -> Result {
    attributes.extras(extras);
    indent.push(out);
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    attributes.write(name, out)?;
    let tag_end = out.len();
    out.push(b'>');
    check(name, "text", &extras.text)?;
    push_text(out, &extras.text);
    out.push(b'\n');
    let content = out.len();
    children(out)?;
    push_unknown(out, indent.deeper(), &extras.elements)?;
    if out.len() > content {
        indent.push(out);
    } else if extras.text.is_empty() {
        out.truncate(tag_end);
        close(out);
        return Ok(());
    } else {
        // Text only: the end tag follows it.
        out.truncate(content - 1);
    }
    push_end(out, name);
    Ok(())
}

pub(super) fn push_end(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">\n");
}

/// A known element without a record: its unknown attributes and children, and the known children.
fn push_container(
    out: &mut Vec<u8>,
    indent: Indent,
    name: &str,
    owner: &Extras,
    children: impl FnOnce(&mut Vec<u8>) -> Result,
) -> Result {
    let nothing = Extras::default();
    let extras = owner.containers.get(name).unwrap_or(&nothing);
    push_with_children(out, indent, name, Attributes::default(), extras, children)
}

/// Elements that the model does not know, however deep they are nested.
pub(super) fn push_unknown(out: &mut Vec<u8>, indent: Indent, elements: &[Element]) -> Result {
    let mut open: Vec<(&str, std::slice::Iter<'_, Element>)> = vec![("", elements.iter())];
    while let Some((name, children)) = open.last_mut() {
        let name = *name;
        let Some(element) = children.next() else {
            open.pop();
            if !open.is_empty() {
                Indent(indent.0 + open.len() - 1).push(out);
                push_end(out, name);
            }
            continue;
        };
        let depth = Indent(indent.0 + open.len() - 1);
        if push_unknown_start(out, depth, element)? {
            open.push((&element.name, element.children.iter()));
        }
    }
    Ok(())
}

/// The start of an unknown element, all of it if it has no children; whether it has.
fn push_unknown_start(out: &mut Vec<u8>, indent: Indent, element: &Element) -> Result<bool> {
    if !is_whole_name(&element.name) {
        return unwritable(&element.name, "a name that is none of XML".to_owned());
    }
    let mut attributes = Attributes::default();
    element.attributes.iter().for_each(|(name, value)| attributes.text(name, Some(value)));
    indent.push(out);
    out.push(b'<');
    out.extend_from_slice(element.name.as_bytes());
    attributes.write(&element.name, out)?;
    if element.text.is_empty() && element.children.is_empty() {
        close(out);
        return Ok(false);
    }
    out.push(b'>');
    check(&element.name, "text", &element.text)?;
    push_text(out, &element.text);
    if element.children.is_empty() {
        push_end(out, &element.name);
        return Ok(false);
    }
    out.push(b'\n');
    Ok(true)
}

pub(super) fn push_parameters(out: &mut Vec<u8>, parameters: &Parameters) -> Result {
    let inner = Indent(2);
    push_with_children(out, Indent(1), "parameters", Attributes::default(), &parameters.extras, |out| {
        push_experiment(out, parameters)?;
        push_scale(out, parameters)?;
        push_vector(out, "offset", ["x", "y", "z"], parameters.offset.as_ref())?;
        push_single(out, "time", "ms", parameters, |attributes| attributes.integer("ms", parameters.time))?;
        push_vector(out, "editPosition", ["x", "y", "z"], parameters.edit_position.as_ref())?;
        push_vector(out, "editRotation", ["xRot", "yRot", "zRot"], parameters.edit_rotation.as_ref())?;
        push_single(out, "zoomLevel", "zoom", parameters, |attributes| {
            attributes.number("zoom", parameters.zoom_level);
        })?;
        push_single(out, "activeNode", "id", parameters, |attributes| {
            attributes.integer("id", parameters.active_node);
        })?;
        if let Some(bounds) = &parameters.task_bounding_box {
            push_bounding_box(out, "taskBoundingBox", bounds)?;
        }
        for bounds in &parameters.user_bounding_boxes {
            push_bounding_box(out, "userBoundingBox", bounds)?;
        }
        if parameters.additional_axes.is_empty() && !parameters.extras.containers.contains_key("additionalAxes") {
            return Ok(());
        }
        push_container(out, inner, "additionalAxes", &parameters.extras, |out| {
            parameters.additional_axes.iter().try_for_each(|axis| push_additional_axis(out, axis))
        })
    })
}

/// `<time>` and its like: one attribute, left out if there is neither a value nor anything kept.
fn push_single<'a>(
    out: &mut Vec<u8>,
    name: &str,
    attribute: &str,
    parameters: &'a Parameters,
    set: impl FnOnce(&mut Attributes<'a>),
) -> Result {
    let mut attributes = Attributes::default();
    set(&mut attributes);
    let nothing = Extras::default();
    match parameters.extras.containers.get(name) {
        Some(extras) => push_record(out, Indent(2), name, attributes, extras),
        None if attributes.has(attribute) => push_record(out, Indent(2), name, attributes, &nothing),
        None => Ok(()),
    }
}

fn push_experiment(out: &mut Vec<u8>, parameters: &Parameters) -> Result {
    let experiment = &parameters.experiment;
    if *experiment == Experiment::default() && !parameters.extras.containers.contains_key("experiment") {
        return Ok(());
    }
    let mut attributes = Attributes::default();
    attributes.text("datasetId", experiment.dataset_id.as_deref());
    attributes.text("description", experiment.description.as_deref());
    attributes.text("name", experiment.name.as_deref());
    attributes.text("organization", experiment.organization.as_deref());
    attributes.text("wkUrl", experiment.wk_url.as_deref());
    push_record(out, Indent(2), "experiment", attributes, &experiment.extras)
}

fn push_scale(out: &mut Vec<u8>, parameters: &Parameters) -> Result {
    let scale = &parameters.scale;
    if *scale == Scale::default() && !parameters.extras.containers.contains_key("scale") {
        return Ok(());
    }
    let mut attributes = Attributes::default();
    attributes.text("unit", scale.unit.as_deref());
    attributes.float("x", scale.x);
    attributes.float("y", scale.y);
    attributes.float("z", scale.z);
    push_record(out, Indent(2), "scale", attributes, &scale.extras)
}

fn push_vector(out: &mut Vec<u8>, element: &str, names: [&'static str; 3], vector: Option<&Vector>) -> Result {
    let Some(vector) = vector else { return Ok(()) };
    let mut attributes = Attributes::default();
    attributes.floats_or_kept(names, vector.xyz, &vector.extras);
    attributes.additional_coordinates(named(&vector.additional_coordinates));
    push_record(out, Indent(2), element, attributes, &vector.extras)
}

fn push_bounding_box(out: &mut Vec<u8>, element: &str, bounds: &NmlBoundingBox) -> Result {
    let mut attributes = Attributes::default();
    attributes.color(bounds.color, &bounds.extras);
    attributes.integer("id", bounds.id);
    attributes.truth("isVisible", bounds.is_visible);
    attributes.text("name", bounds.name.as_deref());
    let sides = ["topLeftX", "topLeftY", "topLeftZ"].into_iter().zip(bounds.topleft);
    for (name, value) in sides.chain(["width", "height", "depth"].into_iter().zip(bounds.size)) {
        attributes.integer_or_kept(name, value, &bounds.extras);
    }
    push_record(out, Indent(2), element, attributes, &bounds.extras)
}

fn push_additional_axis(out: &mut Vec<u8>, axis: &AdditionalAxis) -> Result {
    let mut attributes = Attributes::default();
    attributes.integer_or_kept("end", axis.end, &axis.extras);
    attributes.integer_or_kept("index", axis.index, &axis.extras);
    attributes.text("name", Some(&axis.name));
    attributes.integer_or_kept("start", axis.start, &axis.extras);
    push_record(out, Indent(3), "additionalAxis", attributes, &axis.extras)
}

/// `username` and `annotationId` come last, as the reference has them.
pub(super) fn push_metas(out: &mut Vec<u8>, metas: &[Meta]) -> Result {
    let rank = |meta: &&Meta| match meta.name.as_deref() {
        Some("username") => 1,
        Some("annotationId") => 2,
        _ => 0,
    };
    let mut metas: Vec<_> = metas.iter().collect();
    metas.sort_by_key(rank);
    for meta in metas {
        let mut attributes = Attributes::default();
        attributes.text("content", meta.content.as_deref());
        attributes.text("name", meta.name.as_deref());
        push_record(out, Indent(1), "meta", attributes, &meta.extras)?;
    }
    Ok(())
}

/// `<thing …>`; text that a reader of the file found in it stands behind the tag.
pub(super) fn push_tree_start(out: &mut Vec<u8>, tree: &TreeHeader) -> Result {
    let mut attributes = Attributes::default();
    attributes.color(tree.color, &tree.extras);
    attributes.truth("edgesAreVisible", tree.edges_are_visible);
    attributes.integer("groupId", tree.group_id);
    attributes.integer("id", Some(tree.id));
    attributes.truth("isVisible", tree.is_visible);
    attributes.text("name", tree.name.as_deref());
    attributes.text("type", tree.tree_type.as_deref());
    attributes.extras(&tree.extras);
    out.extend_from_slice(b"  <thing");
    attributes.write("thing", out)?;
    out.push(b'>');
    check("thing", "text", &tree.extras.text)?;
    push_text(out, &tree.extras.text);
    out.push(b'\n');
    Ok(())
}

/// The start of `<nodes>` or `<edges>`; all of it if there are no rows and nothing is kept.
pub(super) fn push_rows_start(out: &mut Vec<u8>, tree: &TreeHeader, name: &str, rows: usize) -> Result {
    if rows == 0 {
        return push_container(out, Indent(2), name, &tree.extras, |_| Ok(()));
    }
    let mut attributes = Attributes::default();
    let kept = tree.extras.containers.get(name);
    if let Some(kept) = kept {
        attributes.extras(kept);
    }
    Indent(2).push(out);
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    attributes.write(name, out)?;
    out.push(b'>');
    if let Some(kept) = kept {
        check(name, "text", &kept.text)?;
        push_text(out, &kept.text);
    }
    out.push(b'\n');
    Ok(())
}

pub(super) fn push_rows_end(out: &mut Vec<u8>, tree: &TreeHeader, name: &str) -> Result {
    if let Some(kept) = tree.extras.containers.get(name) {
        push_unknown(out, Indent(3), &kept.elements)?;
    }
    Indent(2).push(out);
    push_end(out, name);
    Ok(())
}

pub(super) fn push_tree_end(out: &mut Vec<u8>, tree: &TreeHeader) -> Result {
    push_metadata(out, Indent(2), &tree.metadata, &tree.extras)?;
    push_unknown(out, Indent(2), &tree.extras.elements)?;
    Indent(1).push(out);
    push_end(out, "thing");
    Ok(())
}

fn push_metadata(out: &mut Vec<u8>, indent: Indent, entries: &[MetadataEntry], owner: &Extras) -> Result {
    push_container(out, indent, "metadata", owner, |out| {
        for entry in entries {
            let mut attributes = Attributes::default();
            attributes.truth("boolValue", entry.bool);
            attributes.text("key", Some(&entry.key));
            attributes.number("numberValue", entry.number);
            for (index, value) in &entry.list {
                attributes.owned(format!("stringListValue-{index}"), value);
            }
            attributes.text("stringValue", entry.string.as_deref());
            push_record(out, indent.deeper(), "metadataEntry", attributes, &entry.extras)?;
        }
        Ok(())
    })
}

pub(super) fn push_branchpoints<'a>(
    out: &mut Vec<u8>,
    header: &Header,
    trees: impl Iterator<Item = Cow<'a, TreeColumns>>,
) -> Result {
    push_container(out, Indent(1), "branchpoints", &header.extras, |out| {
        let nothing = Extras::default();
        for columns in trees {
            for (id, notes) in noted_nodes(&columns) {
                for (index, time) in notes.branchpoints.iter().enumerate() {
                    let extras = notes.branchpoint_extras.get(&(index as u32)).unwrap_or(&nothing);
                    push_branchpoint(out, id, *time, extras)?;
                }
            }
        }
        header
            .stray_branchpoints
            .iter()
            .try_for_each(|StrayBranchpoint { node_id, time, extras }| push_branchpoint(out, node_id, time, &extras))
    })
}

fn push_branchpoint(out: &mut Vec<u8>, id: Id, time: Option<i64>, extras: &Extras) -> Result {
    let mut attributes = Attributes::default();
    attributes.integer("id", Some(id));
    attributes.integer("time", time);
    push_record(out, Indent(2), "branchpoint", attributes, extras)
}

pub(super) fn push_comments<'a>(
    out: &mut Vec<u8>,
    header: &Header,
    trees: impl Iterator<Item = Cow<'a, TreeColumns>>,
) -> Result {
    push_container(out, Indent(1), "comments", &header.extras, |out| {
        let nothing = Extras::default();
        for columns in trees {
            for (id, notes) in noted_nodes(&columns) {
                for (index, content) in notes.comments.iter().enumerate() {
                    let extras = notes.comment_extras.get(&(index as u32)).unwrap_or(&nothing);
                    push_comment(out, id, Some(content), extras)?;
                }
            }
        }
        header.stray_comments.iter().try_for_each(|StrayComment { node_id, content, extras }| {
            push_comment(out, node_id, content.as_deref(), &extras)
        })
    })
}

fn push_comment(out: &mut Vec<u8>, node: Id, content: Option<&str>, extras: &Extras) -> Result {
    let mut attributes = Attributes::default();
    attributes.text("content", content);
    attributes.integer("node", Some(node));
    push_record(out, Indent(2), "comment", attributes, extras)
}

/// Id and notes of the nodes that have notes, in node order.
fn noted_nodes(columns: &TreeColumns) -> impl Iterator<Item = (Id, &crate::columns::NodeNotes)> {
    columns
        .notes
        .iter()
        .filter(|(row, _)| !columns.is_removed(**row as usize))
        .filter_map(|(&row, notes)| Some((columns.ids.get(row as usize)?, notes)))
}

/// Groups of trees or segments, however deep they are nested.
pub(super) fn push_groups(out: &mut Vec<u8>, indent: Indent, groups: &[Group], owner: &Extras) -> Result {
    push_container(out, indent, "groups", owner, |out| {
        let mut open: Vec<(Option<&Group>, std::slice::Iter<'_, Group>)> = vec![(None, groups.iter())];
        while let Some((group, children)) = open.last_mut() {
            let group = *group;
            let Some(child) = children.next() else {
                open.pop();
                if let Some(group) = group {
                    let depth = Indent(indent.0 + open.len());
                    push_unknown(out, depth.deeper(), &group.extras.elements)?;
                    depth.push(out);
                    push_end(out, "group");
                }
                continue;
            };
            let depth = Indent(indent.0 + open.len());
            if child.children.is_empty() {
                push_record(out, depth, "group", group_attributes(child), &child.extras)?;
            } else {
                push_group_start(out, depth, child)?;
                open.push((Some(child), child.children.iter()));
            }
        }
        Ok(())
    })
}

fn group_attributes(group: &Group) -> Attributes<'_> {
    let mut attributes = Attributes::default();
    attributes.integer("id", Some(group.id));
    attributes.truth("isExpanded", group.is_expanded);
    attributes.text("name", group.name.as_deref());
    attributes
}

fn push_group_start(out: &mut Vec<u8>, indent: Indent, group: &Group) -> Result {
    let mut attributes = group_attributes(group);
    attributes.extras(&group.extras);
    indent.push(out);
    out.extend_from_slice(b"<group");
    attributes.write("group", out)?;
    out.push(b'>');
    check("group", "text", &group.extras.text)?;
    push_text(out, &group.extras.text);
    out.push(b'\n');
    Ok(())
}

pub(super) fn push_volume(out: &mut Vec<u8>, volume: &Volume) -> Result {
    let mut attributes = Attributes::default();
    attributes.text("editedMappingBaseMappingName", volume.edited_mapping_base_mapping_name.as_deref());
    attributes.text("editedMappingEdgesLocation", volume.edited_mapping_edges_location.as_deref());
    attributes.text("fallbackLayer", volume.fallback_layer.as_deref());
    attributes.text("format", volume.format.as_deref());
    attributes.integer("id", Some(volume.id));
    attributes.integer("largestSegmentId", volume.largest_segment_id);
    attributes.text("location", volume.location.as_deref());
    attributes.truth("mappingIsLocked", volume.mapping_is_locked);
    attributes.text("mappingName", volume.mapping_name.as_deref());
    attributes.text("name", volume.name.as_deref());
    push_with_children(out, Indent(1), "volume", attributes, &volume.extras, |out| {
        push_container(out, Indent(2), "segments", &volume.extras, |out| {
            volume.segments.iter().try_for_each(|segment| push_segment(out, &segment))
        })?;
        // The reference has no segment groups and writes no element for them.
        if volume.groups.is_empty() && !volume.extras.containers.contains_key("groups") {
            return Ok(());
        }
        push_groups(out, Indent(2), &volume.groups, &volume.extras)
    })
}

fn push_segment(out: &mut Vec<u8>, segment: &Segment) -> Result {
    let mut attributes = Attributes::default();
    if let Some([x, y, z]) = segment.anchor_position {
        attributes.integer("anchorPositionX", Some(x));
        attributes.integer("anchorPositionY", Some(y));
        attributes.integer("anchorPositionZ", Some(z));
    }
    attributes.color(segment.color, &segment.extras);
    attributes.integer("created", segment.created);
    attributes.integer("groupId", segment.group_id);
    attributes.integer("id", Some(segment.id));
    attributes.truth("isVisible", segment.is_visible);
    attributes.text("name", segment.name.as_deref());
    attributes.additional_coordinates(named(&segment.additional_coordinates));
    push_with_children(out, Indent(3), "segment", attributes, &segment.extras, |out| {
        push_metadata(out, Indent(4), &segment.metadata, &segment.extras)
    })
}

fn named(places: &[(String, i64)]) -> impl Iterator<Item = (&str, i64)> {
    places.iter().map(|(axis, place)| (axis.as_str(), *place))
}
