//! What an NML file says. Nodes and edges are columns ([`crate::columns`]); everything rarer is a plain record.
//!
//! Absence is kept apart from a default: an attribute that the file leaves out is `None`. What no field exists for is
//! kept in [`Extras`] with its owner and written back.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::columns::TreeColumns;
use crate::pack::PackedList;

/// Id of a tree, group, box, layer or segment. The server keeps 32 or 64 bits; files of other writers hold more.
pub type Id = i128;

/// A number that remembers whether it was written as an integer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names say it
pub enum Number {
    Int(i128),
    Float(f64),
}

// By hand, since what serde derives for "one of these" cannot hold 128 bits.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Int(value) => match i64::try_from(value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(value),
            },
            Self::Float(value) => serializer.serialize_f64(value),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("a number, integers of up to 128 bits")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(Number::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Number, E> {
        Ok(Number::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Number, E> {
        Ok(i128::try_from(value).map_or(Number::Float(value as f64), Number::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
        Ok(Number::Float(value))
    }
}

/// What the model has no field for, in file order. Also the raw text of an optional value that could not be read: it is
/// written back as long as the field it belongs to is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    /// Name and unescaped value.
    pub attributes: Vec<(String, String)>,
    /// Whole elements.
    pub elements: Vec<Element>,
    /// Character data other than blanks, which NML has no use for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The same of known child elements without a record of their own (`nodes`, `edges`, `metadata`, `time`…), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<String, Extras>,
}

impl Extras {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.elements.is_empty() && self.text.is_empty() && self.containers.is_empty()
    }
}

/// An element kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    /// Character data other than blanks, joined.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A whole NML file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Everything but trees.
    pub header: Header,
    /// `<thing>` elements in file order.
    pub trees: Vec<Tree>,
}

/// Everything of a file but its trees, small enough to cross to Python as one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// `<meta>` elements.
    pub meta: Vec<Meta>,
    /// `<parameters>`.
    pub parameters: Parameters,
    /// Skeleton groups, nested.
    pub groups: Vec<Group>,
    /// Volume layers.
    pub volumes: Vec<Volume>,
    /// Branchpoints on nodes that no tree has: a problem, but kept.
    pub stray_branchpoints: PackedList<StrayBranchpoint>,
    /// Comments on nodes that no tree has: a problem, but kept.
    pub stray_comments: PackedList<StrayComment>,
    /// Unknown attributes and children of `<things>`.
    pub extras: Extras,
}

/// `<meta name content>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Meta {
    pub name: Option<String>,
    pub content: Option<String>,
    pub extras: Extras,
}

/// `<parameters>` and its children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// `<experiment>`: the dataset and where it is.
    pub experiment: Experiment,
    /// `<scale>`: size of a mag-1 voxel.
    pub scale: Scale,
    /// `<offset>`: unused by every reader, kept.
    pub offset: Option<Vector>,
    /// `<time ms>`: creation, ms since epoch.
    pub time: Option<i64>,
    /// `<editPosition>` in mag-1 voxels.
    pub edit_position: Option<Vector>,
    /// `<editRotation>`: angles.
    pub edit_rotation: Option<Vector>,
    /// `<zoomLevel zoom>`.
    pub zoom_level: Option<Number>,
    /// `<activeNode id>`.
    pub active_node: Option<Id>,
    /// `<userBoundingBox>` elements.
    pub user_bounding_boxes: Vec<NmlBoundingBox>,
    /// `<taskBoundingBox>`.
    pub task_bounding_box: Option<NmlBoundingBox>,
    /// `<additionalAxes>`.
    pub additional_axes: Vec<AdditionalAxis>,
    /// Unknown attributes and children, e.g. `<transform>`.
    pub extras: Extras,
}

/// `<experiment>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Experiment {
    pub name: Option<String>,
    pub organization: Option<String>,
    pub dataset_id: Option<String>,
    pub description: Option<String>,
    pub wk_url: Option<String>,
    pub extras: Extras,
}

/// `<scale>`: voxel size in `unit`, nanometre where the file names none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Scale {
    pub x: Option<f64>,
    pub y: Option<f64>,
    pub z: Option<f64>,
    pub unit: Option<String>,
    pub extras: Extras,
}

/// Three numbers, e.g. a position, with coordinates along additional axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// x, y, z; a missing attribute is `0.0`, as every reader has it.
    pub xyz: [f64; 3],
    /// `additionalCoordinate-<axis>` attributes.
    pub additional_coordinates: Vec<(String, i64)>,
    /// Unknown attributes.
    pub extras: Extras,
}

/// RGBA, 0 to 1; channels that the file leaves out or empty are `None`.
pub type Color = [Option<f64>; 4];

/// `<userBoundingBox>` or `<taskBoundingBox>`, mag-1 voxels. Sizes are as written, negative ones too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct NmlBoundingBox {
    pub id: Option<Id>,
    pub name: Option<String>,
    pub is_visible: Option<bool>,
    pub color: Option<Color>,
    pub topleft: [i64; 3],
    pub size: [i64; 3],
    pub extras: Extras,
}

/// `<additionalAxis>`; `end` is exclusive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct AdditionalAxis {
    pub name: String,
    pub index: i64,
    pub start: i64,
    pub end: i64,
    pub extras: Extras,
}

/// `<thing>`: one tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// Attributes and metadata.
    pub header: TreeHeader,
    /// Nodes and edges.
    pub columns: TreeColumns,
}

/// What a `<thing>` says apart from nodes and edges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct TreeHeader {
    pub id: Id,
    /// `name`, or the old `comment` where there is no name.
    pub name: Option<String>,
    pub color: Option<Color>,
    /// `None` for absent, empty and negative `groupId`s.
    pub group_id: Option<Id>,
    /// `type`, e.g. `DEFAULT` or `AGGLOMERATE`.
    pub tree_type: Option<String>,
    pub is_visible: Option<bool>,
    pub edges_are_visible: Option<bool>,
    pub metadata: Vec<MetadataEntry>,
    pub extras: Extras,
}

impl TreeHeader {
    /// The colour: one that lacks one of three channels is none, without alpha it is opaque.
    pub fn rgba(&self) -> Option<[f64; 4]> {
        let [red, green, blue, alpha] = self.color?;
        Some([red?, green?, blue?, alpha.unwrap_or(1.0)])
    }

    /// Whether the tree is shown, as the server has it: an old file hides a tree by its alpha.
    pub fn is_shown(&self) -> bool {
        self.is_visible.unwrap_or_else(|| self.rgba().is_none_or(|[.., alpha]| alpha != 0.0))
    }
}

/// `<metadataEntry>`. Every kind of value that the file gives is kept; none at all is an empty list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetadataEntry {
    /// `key`, empty where missing.
    pub key: String,
    /// `stringValue`.
    pub string: Option<String>,
    /// `numberValue`.
    pub number: Option<Number>,
    /// `boolValue`.
    pub bool: Option<bool>,
    /// `stringListValue-<n>`, sorted by n, gaps allowed.
    pub list: Vec<(u32, String)>,
    /// Unknown attributes.
    pub extras: Extras,
}

/// `<group>`: of trees (with `is_expanded`) or of segments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Group {
    pub id: Id,
    pub name: Option<String>,
    pub is_expanded: Option<bool>,
    pub children: Vec<Group>,
    pub extras: Extras,
}

/// A branchpoint on a node that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct StrayBranchpoint {
    pub node_id: Id,
    pub time: Option<i64>,
    pub extras: Extras,
}

/// A comment on a node that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct StrayComment {
    pub node_id: Id,
    pub content: Option<String>,
    pub extras: Extras,
}

/// `<volume>`: one volume layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Volume {
    pub id: Id,
    pub name: Option<String>,
    /// Member of the annotation zip that holds the voxels.
    pub location: Option<String>,
    pub format: Option<String>,
    pub fallback_layer: Option<String>,
    pub largest_segment_id: Option<Id>,
    pub mapping_name: Option<String>,
    pub mapping_is_locked: Option<bool>,
    pub edited_mapping_edges_location: Option<String>,
    pub edited_mapping_base_mapping_name: Option<String>,
    pub segments: PackedList<Segment>,
    /// Segment groups, nested.
    pub groups: Vec<Group>,
    pub extras: Extras,
}

/// `<segment>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // attribute names
pub struct Segment {
    pub id: Id,
    pub name: Option<String>,
    /// ms since epoch.
    pub created: Option<i64>,
    /// Mag-1 voxels.
    pub anchor_position: Option<[i64; 3]>,
    pub additional_coordinates: Vec<(String, i64)>,
    pub color: Option<Color>,
    pub group_id: Option<Id>,
    pub is_visible: Option<bool>,
    pub metadata: Vec<MetadataEntry>,
    pub extras: Extras,
}
