//! Tokens to the model: a stack of open elements, each with the record it becomes.

use std::collections::{HashMap, HashSet};

use super::attributes::Reading;
use super::check::{Checker, OpenTree};
use super::hot::{RowKind, Run, scan};
use super::kinds::{
    Kind, another, inner_child, parameters_child, repeated, root, root_child, row, tree_child, unknown,
};
use super::lexer::Tag;
use super::places::Steps;
use super::problems::Ledger;
use super::small_trees::SmallTrees;
use super::window::{Feed, Window};
use super::{LoadedForest, ReadOptions, elements, other_files};
use crate::columns::NodeNotes;
use crate::error::{NmlError, Position, Problem};
use crate::model::{
    AdditionalAxis, Element, Experiment, Extras, Group, Header, Meta, MetadataEntry, NmlBoundingBox, Scale, Segment,
    StrayBranchpoint, StrayComment, Tree, Vector, Volume,
};

struct Frame {
    kind: Kind,
    at: Position,
    /// What the record has no field for: attributes of the start tag, then children and text.
    extras: Extras,
}

/// Fills the model token by token.
pub(super) struct Builder {
    ledger: Ledger,
    frames: Vec<Frame>,
    header: Header,
    root_at: Position,
    root_name: String,
    /// Whether a tree was begun.
    has_trees: bool,
    singles: Vec<&'static str>,
    /// Names that must differ, by element.
    names: HashSet<(&'static str, String)>,
    /// The first user bounding box without an id.
    box_without_id: Option<Position>,
    tree: Option<OpenTree>,
    done: Option<Tree>,
    checker: Checker,
    steps: Steps,
    small_trees: SmallTrees,
}

impl Builder {
    pub(super) fn new(options: &ReadOptions<'_>) -> Self {
        Self {
            ledger: Ledger::new(options),
            frames: Vec::new(),
            header: Header::default(),
            root_at: Position::default(),
            root_name: String::new(),
            has_trees: false,
            singles: Vec::new(),
            names: HashSet::new(),
            box_without_id: None,
            tree: None,
            done: None,
            checker: Checker::default(),
            steps: Steps::default(),
            small_trees: SmallTrees::new(&options.limits),
        }
    }

    /// A builder that remembers nothing of earlier trees.
    pub(super) fn for_stream(options: &ReadOptions<'_>) -> Self {
        Self { checker: Checker::forgetful(), ..Self::new(options) }
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.ledger.problems
    }

    /// The tree that the last token completed, of a builder that remembers nothing.
    pub(super) fn take_tree(&mut self) -> Option<Tree> {
        self.done.take()
    }

    /// Whether reading goes on.
    pub(super) fn check_strict(&mut self) -> Result<(), NmlError> {
        let at = self.frames.last().map_or(self.root_at, |frame| frame.at);
        self.ledger.check(at)
    }

    /// The kind of rows that the innermost open element holds, if it holds rows.
    pub(super) fn rows_expected(&self) -> Option<RowKind> {
        match self.frames.last()?.kind {
            Kind::Container("nodes", _) => Some(RowKind::Node),
            Kind::Container("edges", _) => Some(RowKind::Edge),
            _ => None,
        }
    }

    /// Takes the run of plain rows at the start of the window; `false` if there is none.
    pub(super) fn take_rows<F: Feed>(&mut self, kind: RowKind, window: &mut Window<'_, F>) -> bool {
        let Some(tree) = &mut self.tree else { return false };
        let places = match kind {
            RowKind::Node => &mut tree.node_places,
            RowKind::Edge => &mut tree.edge_places,
        };
        // What does not fit in columns is accounted for row by row.
        let fits = |run: &Run| {
            tree.columns.coordinates.has_columns_for(run.columns.coordinates.columns().map(|(name, _)| name))
        };
        let run = window.take_run(kind);
        let span = if let Some(run) = run.filter(fits) {
            places.push(window.place(0));
            places.append(&run.steps);
            tree.columns.append_batch(&run.columns);
            let span = run.span;
            window.feed.recycle(run);
            span
        } else {
            self.steps.clear();
            let span = scan(kind, window.rest_before_run(), &mut tree.columns, &mut self.steps);
            if span.rows > 0 {
                places.push(window.place(0));
                places.append(&self.steps);
            }
            span
        };
        window.jump(span.length, span.lines, span.last_line_end);
        span.rows > 0
    }

    /// Whether trees may stand here.
    pub(super) fn tree_expected(&self) -> bool {
        matches!(self.frames[..], [Frame { kind: Kind::Root, .. }])
    }

    /// Takes the small plain tree at the start of the window; `false` if there is none.
    pub(super) fn take_small_tree<F: Feed>(&mut self, window: &mut Window<'_, F>) -> bool {
        let Some(tree) = self.small_trees.take(window, &mut self.checker) else { return false };
        self.has_trees = true;
        self.keep_tree(tree);
        true
    }

    pub(super) fn start(&mut self, tag: Tag<'_>) -> Result<(), NmlError> {
        let mut cx = Reading::new(tag, &mut self.ledger);
        let parent = self.frames.last().map(|frame| &frame.kind);
        let name = tag.name;
        let kind = match (parent, name) {
            (None, _) => {
                self.root_at = tag.at;
                name.clone_into(&mut self.root_name);
                root(&mut cx)?
            }
            (Some(Kind::Unknown(_)), _) => unknown(&mut cx),
            (Some(parent @ (Kind::Root | Kind::Parameters)), _) if repeated(&mut self.singles, parent, name) => {
                another(&mut cx)
            }
            (Some(Kind::Root), _) => match root_child(&mut cx, self.header.volumes.len())? {
                Kind::Tree => {
                    let header = elements::tree(&mut cx)?;
                    self.tree = Some(self.checker.open_tree(header, tag.at));
                    self.has_trees = true;
                    Kind::Tree
                }
                kind => kind,
            },
            (Some(Kind::Parameters), _) => parameters_child(&mut cx, &mut self.header),
            (Some(Kind::Container("nodes" | "edges", _)), "node" | "edge") => row(&mut cx, self.tree.as_mut())?,
            (Some(Kind::Tree), _) => tree_child(&mut cx, self.tree.as_mut())?,
            (Some(parent), _) => inner_child(parent, &mut cx)?,
        };
        let extras = std::mem::take(&mut cx.extras);
        self.frames.push(Frame { kind, at: tag.at, extras });
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str, at: Position) -> Result<(), NmlError> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        self.ledger.keep(text.len());
        match &mut frame.kind {
            Kind::Unknown(element) => element.text.push_str(text),
            _ => frame.extras.text.push_str(text),
        }
        self.ledger.check(at)
    }

    pub(super) fn end(&mut self) {
        let Some(Frame { kind, at, extras }) = self.frames.pop() else { return };
        match kind {
            Kind::Root => self.header.extras = extras,
            Kind::Parameters => self.close_parameters(extras, at),
            Kind::Tree => self.close_tree(extras),
            Kind::Node(row) => self.close_node(row, extras),
            Kind::Edge(edge) => self.close_edge(edge, extras),
            Kind::Branchpoint(node_id, time) => {
                self.checker.add_branchpoint(&StrayBranchpoint { node_id, time, extras }, at);
            }
            Kind::Comment(node_id, content) => {
                self.checker.add_comment(&StrayComment { node_id, content, extras }, at);
            }
            Kind::Container(name, keep_empty) => self.close_container(name, keep_empty, extras, at),
            Kind::Experiment(ref experiment) if *experiment == Experiment::default() && extras.is_empty() => {
                self.close_container("experiment", true, extras, at);
            }
            Kind::Scale(ref scale) if *scale == Scale::default() && extras.is_empty() => {
                self.close_container("scale", true, extras, at);
            }
            Kind::Unknown(element) => self.close_unknown(element),
            Kind::MetadataEntry(entry) => self.close_metadata_entry(MetadataEntry { extras, ..entry }),
            Kind::Group(group) => self.close_group(Group { extras, ..group }, at),
            Kind::Segment(segment) => self.close_segment(&Segment { extras, ..*segment }),
            kind => {
                self.check_names(&kind, at);
                self.close_header_record(kind, extras);
            }
        }
    }

    fn close_header_record(&mut self, kind: Kind, extras: Extras) {
        self.ledger.count_record();
        let parameters = &mut self.header.parameters;
        match kind {
            Kind::Meta(meta) => self.header.meta.push(Meta { extras, ..meta }),
            Kind::Experiment(experiment) => parameters.experiment = Experiment { extras, ..experiment },
            Kind::Scale(scale) => parameters.scale = Scale { extras, ..scale },
            Kind::Offset(vector) => parameters.offset = Some(Vector { extras, ..vector }),
            Kind::EditPosition(vector) => parameters.edit_position = Some(Vector { extras, ..vector }),
            Kind::EditRotation(vector) => parameters.edit_rotation = Some(Vector { extras, ..vector }),
            Kind::UserBox(bounds) => parameters.user_bounding_boxes.push(NmlBoundingBox { extras, ..bounds }),
            Kind::TaskBox(bounds) => parameters.task_bounding_box = Some(NmlBoundingBox { extras, ..bounds }),
            Kind::Axis(axis) => parameters.additional_axes.push(AdditionalAxis { extras, ..axis }),
            Kind::Volume(volume) => self.header.volumes.push(Volume { extras, ..*volume }),
            _ => {}
        }
    }

    /// Servers tell layers and axes apart by name, boxes by id.
    fn check_names(&mut self, kind: &Kind, at: Position) {
        let (element, name) = match kind {
            Kind::Volume(volume) => ("volume", volume.name.clone().unwrap_or_default()),
            Kind::Axis(axis) => ("additionalAxis", axis.name.clone()),
            Kind::UserBox(bounds) if bounds.id.is_none() => {
                self.box_without_id.get_or_insert(at);
                return;
            }
            _ => return,
        };
        let reason = format!("a second one named {name:?}");
        if !self.names.insert((element, name)) {
            self.ledger.reject(at, element, reason, "kept");
        }
    }

    fn close_tree(&mut self, extras: Extras) {
        let Some(mut tree) = self.tree.take() else { return };
        tree.header.extras = extras;
        self.keep_tree(tree);
    }

    fn keep_tree(&mut self, tree: OpenTree) {
        self.checker.check_tree(&tree, &mut self.ledger);
        self.done = self.checker.close_tree(tree);
    }

    fn close_node(&mut self, row: u32, extras: Extras) {
        if let Some(tree) = self.tree.as_mut().filter(|_| !extras.is_empty()) {
            tree.columns.notes.entry(row).or_insert_with(NodeNotes::default).extras = extras;
        }
    }

    fn close_edge(&mut self, edge: u32, extras: Extras) {
        if let Some(tree) = self.tree.as_mut().filter(|_| !extras.is_empty()) {
            tree.columns.edge_extras.insert(edge, extras);
        }
    }

    fn close_container(&mut self, name: &'static str, keep_empty: bool, extras: Extras, at: Position) {
        // An empty first one stays the first one.
        let empty_axes = name == "additionalAxes" && self.header.parameters.additional_axes.is_empty();
        if extras.is_empty() && !keep_empty && !empty_axes {
            return;
        }
        // Those of a tree's are the file's.
        let of_file = matches!(name, "comments" | "branchpoints");
        let Some(owner) = (if of_file { self.frames.first_mut() } else { self.frames.last_mut() }) else { return };
        let kept = owner.extras.containers.entry(name.to_owned()).or_default();
        let dropped = merge_attributes(&mut kept.attributes, extras.attributes);
        if dropped > 0 {
            let reason = format!("{dropped} attributes of another <{name}> before it, with other values");
            self.ledger.note(at, name, reason, "those of the first count");
        }
        kept.elements.extend(extras.elements);
        kept.text.push_str(&extras.text);
    }

    fn close_unknown(&mut self, element: Element) {
        match self.frames.last_mut() {
            Some(Frame { kind: Kind::Unknown(parent), .. }) => parent.children.push(element),
            Some(parent) => parent.extras.elements.push(element),
            None => {}
        }
    }

    fn close_metadata_entry(&mut self, entry: MetadataEntry) {
        // The innermost open element is <metadata>; its owner is around it.
        let owner = self.frames.len().checked_sub(2).map(|index| &mut self.frames[index].kind);
        match owner {
            Some(Kind::Segment(segment)) => segment.metadata.push(entry),
            _ => {
                if let Some(tree) = &mut self.tree {
                    tree.header.metadata.push(entry);
                }
            }
        }
    }

    fn close_group(&mut self, group: Group, at: Position) {
        self.ledger.count_record();
        let in_volume = self.frames.iter().any(|frame| matches!(frame.kind, Kind::Volume(_)));
        if !in_volume {
            self.checker.groups.push((group.id, at));
        }
        match self.frames.last_mut() {
            Some(Frame { kind: Kind::Group(parent), .. }) => parent.children.push(group),
            _ => self.top_groups().push(group),
        }
    }

    /// The list that a group without a parent belongs to: the open volume's or the skeleton's.
    fn top_groups(&mut self) -> &mut Vec<Group> {
        let volume = self.frames.iter_mut().find_map(|frame| match &mut frame.kind {
            Kind::Volume(volume) => Some(&mut volume.groups),
            _ => None,
        });
        volume.unwrap_or(&mut self.header.groups)
    }

    fn close_segment(&mut self, segment: &Segment) {
        for frame in self.frames.iter_mut().rev() {
            if let Kind::Volume(volume) = &mut frame.kind {
                volume.segments.push(segment);
                return;
            }
        }
    }

    /// Checks what depends on the whole file.
    pub(super) fn finish(mut self) -> Result<LoadedForest, NmlError> {
        self.check_header()?;
        let trees = self.checker.finish(&mut self.header, &mut self.ledger);
        self.ledger.check(self.root_at)?;
        let Ledger { mut problems, omitted, .. } = self.ledger;
        problems.sort_by_key(|problem| problem.at);
        Ok(LoadedForest { header: self.header, trees, problems, problems_omitted: omitted })
    }

    /// Checks what a stream can know at its end, and hands on what belongs to trees that are gone.
    pub(super) fn finish_stream(&mut self) -> Result<(), NmlError> {
        self.check_header()?;
        self.checker.leave_stray(&mut self.header);
        self.ledger.check(self.root_at)
    }

    fn check_header(&mut self) -> Result<(), NmlError> {
        if !self.singles.contains(&"parameters") {
            if !self.has_trees {
                let reason = other_files::without_parameters(&self.root_name);
                return Err(NmlError::Syntax { at: self.root_at, element: self.root_name.clone(), reason });
            }
            let done = "loaded without: no dataset, no size of a voxel";
            self.ledger.reject(self.root_at, "things", "no <parameters> in it", done);
        }
        if let Some(at) = self.box_without_id.filter(|_| self.header.parameters.user_bounding_boxes.len() > 1) {
            self.ledger.note(at, "userBoundingBox", "no id, and it is not the only box", "kept; servers drop it");
        }
        Ok(())
    }

    fn close_parameters(&mut self, extras: Extras, at: Position) {
        self.header.parameters.extras = extras;
        for name in ["experiment", "scale"] {
            if !self.singles.contains(&name) {
                self.ledger.note(at, "parameters", format!("no <{name}>"), "loaded without it");
            }
        }
    }
}

/// Adds attributes that are not there yet; how many are there with another value.
fn merge_attributes(kept: &mut Vec<(String, String)>, more: Vec<(String, String)>) -> usize {
    let before: HashMap<String, String> = kept.iter().cloned().collect();
    let mut dropped = 0;
    for (name, value) in more {
        match before.get(&name) {
            None => kept.push((name, value)),
            Some(other) => dropped += usize::from(*other != value),
        }
    }
    dropped
}
