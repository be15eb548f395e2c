//! Which element means what inside which.

use super::attributes::Reading;
use super::check::OpenTree;
use super::numbers::{parse_i64, parse_id, parse_number};
use super::{elements, other_files};
use crate::error::NmlError;
use crate::model::{
    AdditionalAxis, Element, Experiment, Group, Header, Id, Meta, MetadataEntry, NmlBoundingBox, Scale, Segment,
    Vector, Volume,
};

/// An open element with the record it becomes.
pub(super) enum Kind {
    Root,
    Meta(Meta),
    Parameters,
    Experiment(Experiment),
    Scale(Scale),
    Offset(Vector),
    EditPosition(Vector),
    EditRotation(Vector),
    UserBox(NmlBoundingBox),
    TaskBox(NmlBoundingBox),
    Axis(AdditionalAxis),
    Tree,
    Node(u32),
    Edge(u32),
    MetadataEntry(MetadataEntry),
    Branchpoint(Id, Option<i64>),
    Comment(Id, Option<String>),
    Group(Group),
    Volume(Box<Volume>),
    Segment(Box<Segment>),
    /// Known, without a record of its own; `true` keeps it even if nothing is in it.
    Container(&'static str, bool),
    Unknown(Element),
}

/// Elements that mean something somewhere: elsewhere they are a problem, while truly unknown ones are not.
const KNOWN: [&str; 27] = [
    "additionalAxes",
    "additionalAxis",
    "activeNode",
    "branchpoint",
    "branchpoints",
    "comment",
    "comments",
    "edge",
    "edges",
    "editPosition",
    "editRotation",
    "experiment",
    "group",
    "groups",
    "meta",
    "metadata",
    "metadataEntry",
    "node",
    "nodes",
    "offset",
    "parameters",
    "scale",
    "segment",
    "segments",
    "thing",
    "volume",
    "zoomLevel",
];

/// Elements of which the first counts.
const SINGLE: [&str; 11] = [
    "parameters",
    "experiment",
    "scale",
    "offset",
    "time",
    "editPosition",
    "editRotation",
    "zoomLevel",
    "activeNode",
    "taskBoundingBox",
    "additionalAxes",
];

pub(super) fn unknown(cx: &mut Reading<'_, '_>) -> Kind {
    let attributes: Vec<_> = cx.tag.attributes().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
    let bytes = attributes.iter().map(|(name, value)| name.len() + value.len() + 64).sum::<usize>();
    cx.ledger.keep(cx.tag.name.len() + bytes + 128);
    Kind::Unknown(Element { name: cx.tag.name.to_owned(), attributes, ..Element::default() })
}

/// What may stand once in its parent, and did.
pub(super) fn another(cx: &mut Reading<'_, '_>) -> Kind {
    cx.note(format!("a second <{}>", cx.tag.name), "the first counts, this one is kept as unknown");
    unknown(cx)
}

/// As [`unknown`], a problem if the element is known elsewhere.
fn misplaced(cx: &mut Reading<'_, '_>) -> Kind {
    if KNOWN.contains(&cx.tag.name) {
        cx.note("not expected in this place", "kept as an unknown element");
    }
    unknown(cx)
}

/// Whether an element that may stand once in its parent was there before; remembers it.
pub(super) fn repeated(singles: &mut Vec<&'static str>, parent: &Kind, name: &str) -> bool {
    let Some(single) = SINGLE.iter().find(|&&single| single == name) else { return false };
    if (name == "parameters") != matches!(parent, Kind::Root) {
        return false;
    }
    if singles.contains(single) {
        return true;
    }
    singles.push(single);
    false
}

fn container(cx: &mut Reading<'_, '_>, name: &'static str) -> Kind {
    cx.keep_all();
    Kind::Container(name, false)
}

/// The outermost element.
pub(super) fn root(cx: &mut Reading<'_, '_>) -> Result<Kind, NmlError> {
    let name = cx.tag.name;
    if let Some(reason) = other_files::of_another_kind(name) {
        return Err(NmlError::Syntax { at: cx.tag.at, element: name.to_owned(), reason });
    }
    if name != "things" {
        cx.note(format!("the root is <{name}>; expected <things>"), "read as <things>");
    }
    cx.keep_all();
    Ok(Kind::Root)
}

pub(super) fn root_child(cx: &mut Reading<'_, '_>, volumes: usize) -> Result<Kind, NmlError> {
    Ok(match cx.tag.name {
        "meta" => Kind::Meta(elements::meta(cx)),
        "parameters" => {
            cx.keep_all();
            Kind::Parameters
        }
        "thing" => Kind::Tree,
        "branchpoints" => container(cx, "branchpoints"),
        "comments" => container(cx, "comments"),
        "groups" => container(cx, "groups"),
        "volume" => Kind::Volume(Box::new(elements::volume(cx, volumes)?)),
        _ => misplaced(cx),
    })
}

pub(super) fn parameters_child(cx: &mut Reading<'_, '_>, header: &mut Header) -> Kind {
    let parameters = &mut header.parameters;
    match cx.tag.name {
        "experiment" => Kind::Experiment(elements::experiment(cx)),
        "scale" => Kind::Scale(elements::scale(cx)),
        "offset" => Kind::Offset(elements::vector(cx, ["x", "y", "z"])),
        "editPosition" => Kind::EditPosition(elements::vector(cx, ["x", "y", "z"])),
        "editRotation" => Kind::EditRotation(elements::vector(cx, ["xRot", "yRot", "zRot"])),
        "time" => {
            parameters.time = single_value(cx, "ms", parse_i64).or((cx.extras.is_empty()).then_some(0));
            Kind::Container("time", false)
        }
        "zoomLevel" => {
            parameters.zoom_level = single_value(cx, "zoom", parse_number);
            Kind::Container("zoomLevel", parameters.zoom_level.is_none())
        }
        "activeNode" => {
            parameters.active_node = single_value(cx, "id", parse_id);
            Kind::Container("activeNode", parameters.active_node.is_none())
        }
        "userBoundingBox" => Kind::UserBox(elements::bounding_box(cx)),
        "taskBoundingBox" => Kind::TaskBox(elements::bounding_box(cx)),
        "additionalAxes" => container(cx, "additionalAxes"),
        _ => misplaced(cx),
    }
}

/// The value of the one attribute that an element has.
fn single_value<T>(cx: &mut Reading<'_, '_>, attribute: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
    let mut found = None;
    for (name, value) in cx.tag.attributes() {
        if name == attribute {
            found = cx.value(name, &value, parse, "a number");
        } else {
            cx.keep(name, &value);
        }
    }
    found
}

pub(super) fn tree_child(cx: &mut Reading<'_, '_>, tree: Option<&mut OpenTree>) -> Result<Kind, NmlError> {
    const ELSEWHERE: [&str; 2] = ["inside <thing>, where servers do not look", "read as those behind the trees"];
    Ok(match cx.tag.name {
        "node" | "edge" => row(cx, tree)?,
        "nodes" => container(cx, "nodes"),
        "edges" => container(cx, "edges"),
        "metadata" => container(cx, "metadata"),
        "comments" => {
            cx.note(ELSEWHERE[0], ELSEWHERE[1]);
            container(cx, "comments")
        }
        "branchpoints" => {
            cx.note(ELSEWHERE[0], ELSEWHERE[1]);
            container(cx, "branchpoints")
        }
        _ => misplaced(cx),
    })
}

/// A node or an edge that is not plain.
pub(super) fn row(cx: &mut Reading<'_, '_>, tree: Option<&mut OpenTree>) -> Result<Kind, NmlError> {
    let Some(tree) = tree else { return Ok(misplaced(cx)) };
    if cx.tag.name == "edge" {
        let (source, target) = elements::edge(cx)?;
        tree.edge_places.push(cx.tag.at);
        return Ok(Kind::Edge(tree.columns.push_edge(source, target)));
    }
    let (node, additional_coordinates) = elements::node(cx)?;
    tree.node_places.push(cx.tag.at);
    let row = tree.columns.push_node(&node);
    let coordinates = &mut tree.columns.coordinates;
    for (axis, place) in additional_coordinates {
        if !coordinates.has_columns_for([axis.as_str()]) {
            cx.ledger.keep(axis.len());
        }
        coordinates.put(row as usize, &axis, place);
    }
    Ok(Kind::Node(row))
}

pub(super) fn inner_child(parent: &Kind, cx: &mut Reading<'_, '_>) -> Result<Kind, NmlError> {
    Ok(match (parent, cx.tag.name) {
        (Kind::Container("metadata", _), "metadataEntry") => Kind::MetadataEntry(elements::metadata_entry(cx)),
        (Kind::Container("branchpoints", _), "branchpoint") => {
            let id = cx.id("id")?;
            Kind::Branchpoint(id, attribute_beside(cx, "id", "time", Reading::integer))
        }
        (Kind::Container("comments", _), "comment") => {
            let node = cx.id("node")?;
            let content = attribute_beside(cx, "node", "content", |_, _, text| Some(text.to_owned()));
            if content.is_none() {
                cx.note("no content", "the comment is empty");
            }
            Kind::Comment(node, content)
        }
        (Kind::Container("groups", _) | Kind::Group(_), "group") => Kind::Group(elements::group(cx)?),
        (Kind::Container("additionalAxes", _), "additionalAxis") => Kind::Axis(elements::additional_axis(cx)),
        (Kind::Segment(_), "metadata") => container(cx, "metadata"),
        (Kind::Volume(_), "segments") => container(cx, "segments"),
        (Kind::Volume(_), "groups") => container(cx, "groups"),
        (Kind::Volume(_) | Kind::Container("segments", _), "segment") => {
            Kind::Segment(Box::new(elements::segment(cx)?))
        }
        _ => misplaced(cx),
    })
}

/// The value of `attribute` of an element that also has `id`; others are kept.
fn attribute_beside<'t, 'l, T>(
    cx: &mut Reading<'t, 'l>,
    id: &str,
    attribute: &str,
    take: impl Fn(&mut Reading<'t, 'l>, &str, &str) -> Option<T>,
) -> Option<T> {
    let mut found = None;
    for (name, value) in cx.tag.attributes() {
        if name == attribute {
            found = take(cx, name, &value);
        } else if name != id {
            cx.keep(name, &value);
        }
    }
    found
}
