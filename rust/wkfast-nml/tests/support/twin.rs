//! A slow, obvious reader: a DOM of another crate, walked element by element. No positions, no problems, no limits.

use std::collections::BTreeMap;

use roxmltree::Node;
use wkfast_nml::columns::{NodeNotes, NodeRow, TreeColumns};
use wkfast_nml::model::{
    AdditionalAxis, Color, Document, Element, Experiment, Extras, Group, Id, Meta, MetadataEntry, NmlBoundingBox,
    Number, Scale, Segment, StrayBranchpoint, StrayComment, Tree, TreeHeader, Vector, Volume,
};
use wkfast_nml::{AnyColumnMut, NODE_COLUMNS};

/// The document of a text, or why it does not load.
pub(crate) fn read(text: &str) -> Result<Document, String> {
    let xml = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let mut document = Document::default();
    things(xml.root_element(), &mut document)?;
    Ok(document)
}

/// Attributes that were not taken yet.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(node: Node<'_, '_>) -> Self {
        // roxmltree hides namespace declarations, which the reader keeps as attributes.
        let declared = node.namespaces().filter(|ns| ns.name().is_none() && node.parent_element().is_none());
        let declared = declared.map(|ns| ("xmlns".to_owned(), ns.uri().to_owned()));
        let others = node.attributes().map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned()));
        Self(declared.chain(others).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(this, _)| this == name).map(|(_, value)| value.as_str())
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(this, _)| this == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes a value that can be read; others stay.
    fn value<T>(&mut self, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let value = parse(self.get(name)?)?;
        self.text(name);
        Some(value)
    }

    /// As `value`; an empty text is absent and gone.
    fn value_or_empty<T>(&mut self, name: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        if self.get(name) == Some("") {
            self.text(name);
        }
        self.value(name, parse)
    }

    fn id(&mut self, name: &str) -> Result<Id, String> {
        self.value(name, integer).ok_or_else(|| format!("no {name}"))
    }

    fn color(&mut self, prefix: &str) -> Option<Color> {
        let names = ["r", "g", "b", "a"].map(|letter| format!("{prefix}{letter}"));
        let seen = names.iter().any(|name| self.get(name).is_some());
        let color = names.each_ref().map(|name| self.value_or_empty(name, float));
        seen.then_some(color)
    }

    fn coordinates(&mut self) -> Vec<(String, i64)> {
        let names: Vec<_> = self
            .0
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("additionalCoordinate-"))
            .map(str::to_owned)
            .collect();
        names
            .into_iter()
            .filter_map(|axis| Some((axis.clone(), self.value(&format!("additionalCoordinate-{axis}"), integer64)?)))
            .collect()
    }

    /// What is left, with unknown children and text.
    fn extras(self, node: Node<'_, '_>, known: &[&str]) -> Extras {
        let elements = elements(node).filter(|child| !known.contains(&child.tag_name().name())).map(element).collect();
        Extras { attributes: self.0, elements, text: text(node), containers: BTreeMap::new() }
    }
}

fn elements<'a, 'd: 'a>(node: Node<'a, 'd>) -> impl Iterator<Item = Node<'a, 'd>> {
    node.children().filter(Node::is_element)
}

fn text(node: Node<'_, '_>) -> String {
    let blank = [' ', '\t', '\n', '\r'];
    node.children().filter(Node::is_text).filter_map(|text| text.text()).map(|text| text.trim_matches(blank)).collect()
}

fn element(node: Node<'_, '_>) -> Element {
    Element {
        name: node.tag_name().name().to_owned(),
        attributes: Attributes::of(node).0,
        children: elements(node).map(element).collect(),
        text: text(node),
    }
}

fn plain(text: &str) -> Option<String> {
    let text: Vec<char> = text.trim().chars().map(|c| if c == '٣' { '3' } else { c }).collect();
    let mut plain = String::new();
    for (at, &character) in text.iter().enumerate() {
        if character == '_' {
            let digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
            if at == 0 || !digit(at - 1) || !digit(at + 1) {
                return None;
            }
        } else {
            plain.push(character);
        }
    }
    Some(plain)
}

fn integer(text: &str) -> Option<Id> {
    plain(text)?.parse().ok()
}

fn integer64(text: &str) -> Option<i64> {
    plain(text)?.parse().ok()
}

fn integer32(text: &str) -> Option<i32> {
    plain(text)?.parse().ok()
}

fn float(text: &str) -> Option<f64> {
    plain(text)?.parse().ok()
}

fn number(text: &str) -> Option<Number> {
    integer(text).map(Number::Int).or_else(|| float(text).map(Number::Float))
}

fn truth(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

/// Adds what a container without a record holds to its owner.
fn contain(extras: &mut Extras, node: Node<'_, '_>, known: &[&str], always: bool) {
    let inner = Attributes::of(node).extras(node, known);
    if always || !inner.is_empty() {
        let kept = extras.containers.entry(node.tag_name().name().to_owned()).or_default();
        for (name, value) in inner.attributes {
            if !kept.attributes.iter().any(|(this, _)| *this == name) {
                kept.attributes.push((name, value));
            }
        }
        kept.elements.extend(inner.elements);
        kept.text.push_str(&inner.text);
    }
}

#[derive(Default)]
struct Notes {
    comments: Vec<StrayComment>,
    branchpoints: Vec<StrayBranchpoint>,
}

fn things(root: Node<'_, '_>, document: &mut Document) -> Result<(), String> {
    let (mut notes, mut parameters_seen) = (Notes::default(), false);
    let mut extras = Attributes::of(root)
        .extras(root, &["meta", "parameters", "thing", "branchpoints", "comments", "groups", "volume"]);
    let mut unknown = Vec::new();
    for child in elements(root) {
        let header = &mut document.header;
        match child.tag_name().name() {
            "meta" => {
                let mut a = Attributes::of(child);
                let meta = Meta { name: a.text("name"), content: a.text("content"), extras: Extras::default() };
                header.meta.push(Meta { extras: a.extras(child, &[]), ..meta });
            }
            "parameters" if !parameters_seen => {
                parameters_seen = true;
                parameters(child, &mut header.parameters);
            }
            "thing" => {
                document.trees.push(tree(child)?);
                for notes_of_tree in elements(child) {
                    match notes_of_tree.tag_name().name() {
                        "comments" => {
                            contain(&mut extras, notes_of_tree, &["comment"], false);
                            comments(notes_of_tree, &mut notes)?;
                        }
                        "branchpoints" => {
                            contain(&mut extras, notes_of_tree, &["branchpoint"], false);
                            branchpoints(notes_of_tree, &mut notes)?;
                        }
                        _ => {}
                    }
                }
            }
            "branchpoints" => {
                contain(&mut extras, child, &["branchpoint"], false);
                branchpoints(child, &mut notes)?;
            }
            "comments" => {
                contain(&mut extras, child, &["comment"], false);
                comments(child, &mut notes)?;
            }
            "groups" => {
                contain(&mut extras, child, &["group"], false);
                header.groups.extend(groups(child)?);
            }
            "volume" => {
                let index = header.volumes.len();
                header.volumes.push(volume(child, index)?);
            }
            _ => unknown.push(element(child)),
        }
    }
    if !parameters_seen && document.trees.is_empty() {
        return Err("no parameters".to_owned());
    }
    extras.elements = unknown;
    document.header.extras = extras;
    ungroup(document);
    attach(notes, document);
    Ok(())
}

fn branchpoints(node: Node<'_, '_>, notes: &mut Notes) -> Result<(), String> {
    for child in elements(node)
        .filter(|child| child.has_tag_name(("", "branchpoint")) || child.tag_name().name() == "branchpoint")
    {
        let mut a = Attributes::of(child);
        let (node_id, time) = (a.id("id")?, a.value("time", integer64));
        notes.branchpoints.push(StrayBranchpoint { node_id, time, extras: a.extras(child, &[]) });
    }
    Ok(())
}

fn comments(node: Node<'_, '_>, notes: &mut Notes) -> Result<(), String> {
    for child in elements(node).filter(|child| child.tag_name().name() == "comment") {
        let mut a = Attributes::of(child);
        let (node_id, content) = (a.id("node")?, a.text("content"));
        notes.comments.push(StrayComment { node_id, content, extras: a.extras(child, &[]) });
    }
    Ok(())
}

fn ungroup(document: &mut Document) {
    fn ids(groups: &[Group], to: &mut Vec<Id>) {
        for group in groups {
            to.push(group.id);
            ids(&group.children, to);
        }
    }
    let mut known = Vec::new();
    ids(&document.header.groups, &mut known);
    for tree in &mut document.trees {
        if tree.header.group_id.is_some_and(|id| id < 0 && !known.contains(&id)) {
            tree.header.group_id = None;
        }
    }
}

fn attach(notes: Notes, document: &mut Document) {
    fn find(trees: &mut [Tree], id: Id) -> Option<&mut NodeNotes> {
        for tree in trees {
            for row in 0..tree.columns.rows() {
                if tree.columns.ids.get(row) == Some(id) {
                    return Some(tree.columns.notes.entry(row as u32).or_default());
                }
            }
        }
        None
    }
    for comment in notes.comments {
        match find(&mut document.trees, comment.node_id) {
            Some(notes) => {
                if !comment.extras.is_empty() {
                    notes.comment_extras.insert(notes.comments.len() as u32, comment.extras);
                }
                notes.comments.push(comment.content.unwrap_or_default());
            }
            None => document.header.stray_comments.push(&comment),
        }
    }
    for branchpoint in notes.branchpoints {
        match find(&mut document.trees, branchpoint.node_id) {
            Some(notes) => {
                if !branchpoint.extras.is_empty() {
                    notes.branchpoint_extras.insert(notes.branchpoints.len() as u32, branchpoint.extras);
                }
                notes.branchpoints.push(branchpoint.time);
            }
            None => document.header.stray_branchpoints.push(&branchpoint),
        }
    }
}

fn parameters(node: Node<'_, '_>, to: &mut wkfast_nml::model::Parameters) {
    let mut extras = Extras { attributes: Attributes::of(node).0, text: text(node), ..Extras::default() };
    let mut seen = Vec::new();
    for child in elements(node) {
        let name = child.tag_name().name();
        let single = [
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
            "parameters",
        ];
        if single.contains(&name) && seen.contains(&name) {
            extras.elements.push(element(child));
            continue;
        }
        seen.push(name);
        let mut a = Attributes::of(child);
        match name {
            "experiment" => {
                to.experiment = Experiment {
                    name: a.text("name"),
                    organization: a.text("organization"),
                    dataset_id: a.text("datasetId"),
                    description: a.text("description"),
                    wk_url: a.text("wkUrl"),
                    extras: a.extras(child, &[]),
                };
                if to.experiment == Experiment::default() {
                    extras.containers.insert(name.to_owned(), Extras::default());
                }
            }
            "scale" => {
                to.scale = Scale {
                    x: a.value("x", float),
                    y: a.value("y", float),
                    z: a.value("z", float),
                    unit: a.text("unit"),
                    extras: a.extras(child, &[]),
                };
                if to.scale == Scale::default() {
                    extras.containers.insert(name.to_owned(), Extras::default());
                }
            }
            "offset" => to.offset = Some(vector(child, ["x", "y", "z"])),
            "editPosition" => to.edit_position = Some(vector(child, ["x", "y", "z"])),
            "editRotation" => to.edit_rotation = Some(vector(child, ["xRot", "yRot", "zRot"])),
            "time" => {
                let empty = a.0.is_empty();
                to.time = a.value("ms", integer64).or(empty.then_some(0));
                single_left(a, child, &mut extras, false);
            }
            "zoomLevel" => {
                to.zoom_level = a.value("zoom", number);
                single_left(a, child, &mut extras, to.zoom_level.is_none());
            }
            "activeNode" => {
                to.active_node = a.value("id", integer);
                single_left(a, child, &mut extras, to.active_node.is_none());
            }
            "userBoundingBox" => to.user_bounding_boxes.push(bounding_box(child)),
            "taskBoundingBox" => to.task_bounding_box = Some(bounding_box(child)),
            "additionalAxes" => {
                let axes = elements(child).filter(|axis| axis.tag_name().name() == "additionalAxis").count();
                contain(&mut extras, child, &["additionalAxis"], axes == 0);
                to.additional_axes
                    .extend(elements(child).filter(|axis| axis.tag_name().name() == "additionalAxis").map(axis));
            }
            _ => extras.elements.push(element(child)),
        }
    }
    to.extras = extras;
}

fn single_left(a: Attributes, node: Node<'_, '_>, extras: &mut Extras, always: bool) {
    let inner = a.extras(node, &[]);
    if always || !inner.is_empty() {
        extras.containers.insert(node.tag_name().name().to_owned(), inner);
    }
}

fn vector(node: Node<'_, '_>, names: [&str; 3]) -> Vector {
    let mut a = Attributes::of(node);
    Vector {
        xyz: names.map(|name| a.value(name, float).unwrap_or_default()),
        additional_coordinates: a.coordinates(),
        extras: a.extras(node, &[]),
    }
}

fn bounding_box(node: Node<'_, '_>) -> NmlBoundingBox {
    let mut a = Attributes::of(node);
    NmlBoundingBox {
        id: a.value("id", integer),
        name: a.text("name"),
        is_visible: a.value_or_empty("isVisible", truth),
        color: a.color("color."),
        topleft: ["topLeftX", "topLeftY", "topLeftZ"].map(|name| a.value(name, integer64).unwrap_or_default()),
        size: ["width", "height", "depth"].map(|name| a.value(name, integer64).unwrap_or_default()),
        extras: a.extras(node, &[]),
    }
}

fn axis(node: Node<'_, '_>) -> AdditionalAxis {
    let mut a = Attributes::of(node);
    AdditionalAxis {
        name: a.text("name").unwrap_or_default(),
        index: a.value("index", integer64).unwrap_or_default(),
        start: a.value("start", integer64).unwrap_or_default(),
        end: a.value("end", integer64).unwrap_or_default(),
        extras: a.extras(node, &[]),
    }
}

fn tree(node: Node<'_, '_>) -> Result<Tree, String> {
    let mut a = Attributes::of(node);
    let before = a.0.clone();
    let (old, new) = (a.color("color"), a.color("color."));
    let has_values = |color: Option<Color>| color.is_some_and(|color| color.iter().any(Option::is_some));
    let color = if has_values(old) && has_values(new) {
        let old =
            before.into_iter().filter(|(name, _)| ["colorr", "colorg", "colorb", "colora"].contains(&name.as_str()));
        let taken: Vec<_> = old.filter(|(name, _)| a.get(name).is_none()).collect();
        a.0.extend(taken);
        new
    } else {
        old.filter(|_| has_values(old)).or(new)
    };
    let mut header = TreeHeader {
        id: a.id("id")?,
        name: a.text("name"),
        color,
        group_id: a.value_or_empty("groupId", integer),
        tree_type: a.text("type"),
        is_visible: a.value_or_empty("isVisible", truth),
        edges_are_visible: a.value_or_empty("edgesAreVisible", truth),
        metadata: Vec::new(),
        extras: Extras::default(),
    };
    if header.name.as_deref().unwrap_or_default().is_empty() {
        header.name = a.text("comment").or(header.name);
    } else if let Some(comment) = a.text("comment") {
        a.0.push(("comment".to_owned(), comment));
    }
    let mut tree = Tree { header, ..Tree::default() };
    let mut extras = a.extras(node, &["nodes", "edges", "metadata", "node", "edge", "comments", "branchpoints"]);
    for child in elements(node) {
        match child.tag_name().name() {
            "metadata" => tree.header.metadata.extend(metadata(child, &mut extras)),
            "nodes" | "edges" => {
                contain(&mut extras, child, &["node", "edge"], false);
                for row in elements(child) {
                    push_row(row, &mut tree)?;
                }
            }
            _ => push_row(child, &mut tree)?,
        }
    }
    tree.header.extras = extras;
    Ok(tree)
}

fn push_row(node: Node<'_, '_>, tree: &mut Tree) -> Result<(), String> {
    let mut a = Attributes::of(node);
    match node.tag_name().name() {
        "edge" => {
            let (source, target) = (a.id("source")?, a.id("target")?);
            let edge = tree.columns.push_edge(source, target);
            let extras = a.extras(node, &[]);
            if !extras.is_empty() {
                tree.columns.edge_extras.insert(edge, extras);
            }
        }
        "node" => {
            let id = a.id("id")?;
            let position = ["x", "y", "z"].map(|name| a.value(name, float).unwrap_or_default());
            let row = tree.columns.push_node(&NodeRow { id, position, ..optional(&mut a) });
            for (axis, place) in a.coordinates() {
                tree.columns.coordinates.put(row as usize, &axis, place);
            }
            let notes = NodeNotes { extras: a.extras(node, &[]), ..NodeNotes::default() };
            if notes != NodeNotes::default() {
                tree.columns.notes.insert(row, notes);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The table names attributes and kinds of values; how each is read is said here once more.
fn optional(a: &mut Attributes) -> NodeRow {
    let mut columns = TreeColumns::default();
    for (index, column) in NODE_COLUMNS.iter().enumerate() {
        let name = column.attributes[0];
        match columns.column_mut(index) {
            AnyColumnMut::Int32(to) => to.push(0, a.value(name, integer32)),
            AnyColumnMut::Int64(to) => to.push(0, a.value(name, integer64)),
            AnyColumnMut::Float(to) => to.push(0, a.value(name, float)),
            AnyColumnMut::Truth(to) => to.push(0, a.value_or_empty(name, truth)),
            AnyColumnMut::Vector(to) => {
                let parts: [Option<f64>; 3] = std::array::from_fn(|part| a.value(column.attributes[part], float));
                to.push(0, parts.iter().any(Option::is_some).then(|| parts.map(Option::unwrap_or_default)));
            }
        }
    }
    columns.ids.push(0);
    columns.positions.push([0.0; 3]);
    columns.node(0).unwrap_or_default()
}

fn metadata(node: Node<'_, '_>, owner: &mut Extras) -> Vec<MetadataEntry> {
    contain(owner, node, &["metadataEntry"], false);
    elements(node).filter(|entry| entry.tag_name().name() == "metadataEntry").map(metadata_entry).collect()
}

fn metadata_entry(node: Node<'_, '_>) -> MetadataEntry {
    let mut a = Attributes::of(node);
    let index = |name: &str| {
        let digits = name.strip_prefix("stringListValue-")?;
        digits.parse::<u32>().ok().filter(|index| index.to_string() == digits)
    };
    let indices: Vec<u32> = a.0.iter().filter_map(|(name, _)| index(name)).collect();
    let mut list: Vec<(u32, String)> =
        indices.into_iter().filter_map(|index| Some((index, a.text(&format!("stringListValue-{index}"))?))).collect();
    list.sort();
    MetadataEntry {
        key: a.text("key").unwrap_or_default(),
        string: a.text("stringValue"),
        number: a.value("numberValue", number),
        bool: a.value_or_empty("boolValue", truth),
        list,
        extras: a.extras(node, &[]),
    }
}

fn groups(node: Node<'_, '_>) -> Result<Vec<Group>, String> {
    elements(node).filter(|child| child.tag_name().name() == "group").map(group).collect()
}

fn group(node: Node<'_, '_>) -> Result<Group, String> {
    let mut a = Attributes::of(node);
    Ok(Group {
        id: a.id("id")?,
        name: a.text("name"),
        is_expanded: a.value_or_empty("isExpanded", truth),
        children: groups(node)?,
        extras: a.extras(node, &["group"]),
    })
}

fn volume(node: Node<'_, '_>, index: usize) -> Result<Volume, String> {
    let mut a = Attributes::of(node);
    let id = if a.get("id").is_some() { a.id("id")? } else { index as Id };
    let mut volume = Volume {
        id,
        name: a.text("name"),
        location: a.text("location"),
        format: a.text("format"),
        fallback_layer: a.text("fallbackLayer"),
        largest_segment_id: a.value("largestSegmentId", integer),
        mapping_name: a.text("mappingName"),
        mapping_is_locked: a.value_or_empty("mappingIsLocked", truth),
        edited_mapping_edges_location: a.text("editedMappingEdgesLocation"),
        edited_mapping_base_mapping_name: a.text("editedMappingBaseMappingName"),
        ..Volume::default()
    };
    let mut extras = a.extras(node, &["segments", "groups", "segment"]);
    for child in elements(node) {
        match child.tag_name().name() {
            "segment" => volume.segments.push(&segment(child)?),
            "segments" => {
                contain(&mut extras, child, &["segment"], false);
                for child in elements(child).filter(|child| child.tag_name().name() == "segment") {
                    volume.segments.push(&segment(child)?);
                }
            }
            "groups" => {
                contain(&mut extras, child, &["group"], false);
                volume.groups.extend(groups(child)?);
            }
            _ => {}
        }
    }
    volume.extras = extras;
    Ok(volume)
}

fn segment(node: Node<'_, '_>) -> Result<Segment, String> {
    let mut a = Attributes::of(node);
    let id = a.id("id")?;
    let axes = ["anchorPositionX", "anchorPositionY", "anchorPositionZ"];
    let anchor = axes.map(|name| a.get(name).and_then(integer64));
    let anchor_position = if let [Some(x), Some(y), Some(z)] = anchor {
        for name in axes {
            a.text(name);
        }
        Some([x, y, z])
    } else {
        // The reader looks at anchors last.
        let kept = axes.map(|name| (name, a.text(name)));
        a.0.extend(kept.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        None
    };
    let mut segment = Segment {
        id,
        name: a.text("name"),
        created: a.value("created", integer64),
        anchor_position,
        additional_coordinates: a.coordinates(),
        color: a.color("color.").filter(|color| color.iter().any(Option::is_some)),
        group_id: a.value_or_empty("groupId", integer),
        is_visible: a.value_or_empty("isVisible", truth),
        ..Segment::default()
    };
    let mut extras = a.extras(node, &["metadata"]);
    for child in elements(node).filter(|child| child.tag_name().name() == "metadata") {
        segment.metadata.extend(metadata(child, &mut extras));
    }
    segment.extras = extras;
    Ok(segment)
}
