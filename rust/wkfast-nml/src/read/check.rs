//! What a server checks on upload, and what ties the parts of a file together.

use std::collections::{HashMap, HashSet};

use super::places::Places;
use super::problems::Ledger;
use crate::columns::{IdColumn, NodeNotes, TreeColumns};
use crate::error::Position;
use crate::forest::{Forest, TreeEntry};
use crate::model::{Extras, Header, Id, StrayBranchpoint, StrayComment, Tree, TreeHeader};
use crate::pack::{Pack, PackedList};

/// A tree whose end tag has not come yet.
pub(super) struct OpenTree {
    pub(super) header: TreeHeader,
    pub(super) columns: TreeColumns,
    pub(super) node_places: Places,
    pub(super) edge_places: Places,
    pub(super) at: Position,
}

impl OpenTree {
    fn finish(self) -> Tree {
        let Self { header, mut columns, .. } = self;
        columns.shrink_to_fit();
        Tree { header, columns }
    }
}

/// Rows of a tree and where they stand: empty, with the memory that those of an earlier tree grew in.
#[derive(Default)]
struct Spare {
    columns: TreeColumns,
    node_places: Places,
    edge_places: Places,
}

/// A comment or branchpoint whose node may come later in the file.
#[derive(Default)]
struct Pending<T> {
    notes: PackedList<T>,
    /// Where each stands.
    places: Vec<Position>,
}

impl<T: Pack> Pending<T> {
    fn push(&mut self, note: &T, at: Position) {
        self.notes.push(note);
        self.places.push(at);
    }
}

/// What is remembered between trees.
#[derive(Default)]
pub(super) struct Checker {
    comments: Pending<StrayComment>,
    branchpoints: Pending<StrayBranchpoint>,
    /// Ids of the skeleton's groups.
    pub(super) groups: Vec<(Id, Position)>,
    /// Every closed tree, and where it stands.
    forest: Forest,
    trees: Vec<Position>,
    /// Ids of the nodes of all closed trees.
    nodes: IdSet,
    /// Remembers nothing of closed trees.
    forgetful: bool,
    index: NodeIndex,
    partners: Vec<u32>,
    /// What the next tree uses.
    spare: Spare,
}

/// Trees of fewer nodes and edges are copied, so that the memory they grew in serves the next tree.
const HUGE: usize = 1024;

/// Faults of one tree's rows: where, and what.
type Faults = Vec<(usize, String)>;

impl Checker {
    pub(super) fn forgetful() -> Self {
        Self { forgetful: true, ..Self::default() }
    }

    /// Checks a tree by itself and against the nodes of earlier ones.
    pub(super) fn check_tree(&mut self, tree: &OpenTree, ledger: &mut Ledger) {
        if i32::try_from(tree.header.id).is_err() {
            ledger.reject(tree.at, "thing", format!("id {} needs more than 32 bits", tree.header.id), "kept");
        }
        let mut nodes = Bounded::new(ledger.room());
        self.index.build(&tree.columns.ids, &mut nodes);
        self.check_other_trees(&tree.columns.ids, &mut nodes);
        check_width(&tree.columns.ids, &mut nodes);
        nodes.report(ledger, &tree.node_places, "node", "kept");
        let mut edges = Bounded::new(ledger.room());
        self.check_edges(&tree.columns, &mut edges);
        edges.report(ledger, &tree.edge_places, "edge", "kept");
    }

    fn check_other_trees(&mut self, ids: &IdColumn, faults: &mut Bounded) {
        if self.forgetful {
            return;
        }
        let index = &self.index;
        let known = &mut self.nodes;
        let mut check = |row: usize, id: Id, new: bool| {
            // A second row of this tree was reported already.
            if !new && index.row(id) == Some(row as u32) {
                faults.add(row, || format!("node {id} is in an earlier tree too"));
            }
        };
        match ids.as_narrow() {
            Some(ids) => {
                for (row, &id) in ids.iter().enumerate() {
                    if !known.insert_narrow(id) {
                        check(row, Id::from(id), false);
                    }
                }
            }
            None => ids.iter().enumerate().for_each(|(row, id)| check(row, id, known.insert(id))),
        }
    }

    fn check_edges(&mut self, columns: &TreeColumns, faults: &mut Bounded) {
        self.partners.clear();
        self.partners.resize(columns.rows(), 0);
        let mut edges = EdgeSet { partners: &mut self.partners, others: HashSet::new() };
        let index = &self.index;
        let mut check = |edge: usize, source: Id, target: Id| {
            if source == target {
                faults.add(edge, || format!("an edge from node {source} to itself"));
                return;
            }
            match (index.row(source), index.row(target)) {
                (Some(from), Some(to)) if edges.insert(from, to) => {}
                (Some(_), Some(_)) => faults.add(edge, || format!("a second edge between nodes {source} and {target}")),
                (from, _) => {
                    let missing = if from.is_none() { source } else { target };
                    faults.add(edge, || format!("edge {source} to {target}: node {missing} is not in this tree"));
                }
            }
        };
        if let Some(ends) = columns.edges.as_narrow() {
            for (edge, ends) in ends.chunks_exact(2).enumerate() {
                check(edge, Id::from(ends[0]), Id::from(ends[1]));
            }
        } else {
            for edge in 0..columns.edge_count() {
                if let Some((source, target)) = columns.edge(edge) {
                    check(edge, source, target);
                }
            }
        }
    }

    /// A tree without rows yet.
    pub(super) fn open_tree(&mut self, header: TreeHeader, at: Position) -> OpenTree {
        let Spare { columns, node_places, edge_places } = std::mem::take(&mut self.spare);
        OpenTree { header, columns, node_places, edge_places, at }
    }

    /// Forgets a tree.
    pub(super) fn drop_tree(&mut self, tree: OpenTree) {
        let OpenTree { mut columns, mut node_places, mut edge_places, .. } = tree;
        columns.clear();
        node_places.clear();
        edge_places.clear();
        self.spare = Spare { columns, node_places, edge_places };
    }

    pub(super) fn add_comment(&mut self, comment: &StrayComment, at: Position) {
        self.comments.push(comment, at);
    }

    pub(super) fn add_branchpoint(&mut self, branchpoint: &StrayBranchpoint, at: Position) {
        self.branchpoints.push(branchpoint, at);
    }

    /// Keeps the finished tree, or hands it back if nothing is to be remembered.
    pub(super) fn close_tree(&mut self, tree: OpenTree) -> Option<Tree> {
        if self.forgetful {
            return Some(tree.finish());
        }
        self.trees.push(tree.at);
        if tree.columns.rows() + tree.columns.edge_count() >= HUGE {
            self.forest.push_whole(tree.finish());
        } else {
            self.forest.push(&tree.header, &tree.columns);
            self.drop_tree(tree);
        }
        None
    }

    /// Ties comments, branchpoints and groups to trees and checks what only the whole file shows.
    pub(super) fn finish(mut self, header: &mut Header, ledger: &mut Ledger) -> Forest {
        self.check_trees(ledger);
        self.attach_notes(header, ledger);
        self.forest.shrink_to_fit();
        header.volumes.iter_mut().for_each(|volume| volume.segments.shrink_to_fit());
        self.forest
    }

    /// Checks ids of trees, and the groups that they name.
    fn check_trees(&mut self, ledger: &mut Ledger) {
        let known = self.check_groups(ledger);
        let (mut seen, mut negative) = (IdSet::default(), Vec::new());
        for (number, (tree, at)) in self.forest.iter().zip(&self.trees).enumerate() {
            let (id, group) = tree.ids();
            if !seen.insert(id) {
                ledger.reject(*at, "thing", format!("a second tree with id {id}"), "kept");
            }
            match group.filter(|group| !known.contains(group)) {
                // Old front ends write -1 for "no group".
                Some(..0) => negative.push(number),
                Some(group) => ledger.reject(*at, "thing", format!("groupId={group}: there is no such group"), "kept"),
                None => {}
            }
        }
        for number in negative {
            self.forest.edit(number, |tree| tree.header.group_id = None);
        }
    }

    /// Ids of all groups.
    fn check_groups(&self, ledger: &mut Ledger) -> HashSet<Id> {
        let mut known = HashSet::new();
        for (id, at) in &self.groups {
            if i32::try_from(*id).is_err() {
                ledger.reject(*at, "group", format!("id {id} needs more than 32 bits"), "kept");
            }
            if !known.insert(*id) {
                ledger.reject(*at, "group", format!("a second group with id {id}"), "kept");
            }
        }
        known
    }

    /// Moves comments and branchpoints to their nodes, or to the lists of stray ones.
    fn attach_notes(&mut self, header: &mut Header, ledger: &mut Ledger) {
        let (comments, branchpoints) = (std::mem::take(&mut self.comments), std::mem::take(&mut self.branchpoints));
        let mut wanted: Vec<Id> = comments.notes.iter().map(|comment| comment.node_id).collect();
        wanted.extend(branchpoints.notes.iter().map(|branchpoint| branchpoint.node_id));
        let nodes = FoundNodes::find(&self.forest, wanted);
        let mut found: Vec<(NodePlace, Note)> = Vec::new();
        for (comment, at) in comments.notes.iter().zip(comments.places) {
            if let Some(place) = nodes.place(comment.node_id) {
                found.push((place, Note::comment(comment)));
            } else {
                report_stray(ledger, at, "comment", comment.node_id);
                header.stray_comments.push(&comment);
            }
        }
        for (branchpoint, at) in branchpoints.notes.iter().zip(branchpoints.places) {
            if let Some(place) = nodes.place(branchpoint.node_id) {
                found.push((place, Note::branchpoint(branchpoint)));
            } else {
                report_stray(ledger, at, "branchpoint", branchpoint.node_id);
                header.stray_branchpoints.push(&branchpoint);
            }
        }
        self.put_notes(found);
    }

    /// A tree at a time, since most are to be packed again.
    fn put_notes(&mut self, mut found: Vec<(NodePlace, Note)>) {
        // Stable: those of one node stay in file order.
        found.sort_by_key(|(place, _)| place.tree);
        let mut found = found.into_iter().peekable();
        while let Some((NodePlace { tree: number, row }, note)) = found.next() {
            self.forest.edit(number as usize, |tree| {
                let notes = &mut tree.columns.notes;
                note.put(notes.entry(row).or_default());
                while let Some((place, note)) = found.next_if(|(place, _)| place.tree == number) {
                    note.put(notes.entry(place.row).or_default());
                }
            });
        }
    }

    /// Hands all comments and branchpoints on: their trees are gone.
    pub(super) fn leave_stray(&mut self, header: &mut Header) {
        header.stray_comments = std::mem::take(&mut self.comments).notes;
        header.stray_branchpoints = std::mem::take(&mut self.branchpoints).notes;
    }
}

/// A comment or branchpoint on its way to its node. Very many may be under way: few of them have extras.
enum Note {
    Comment(String, Option<Box<Extras>>),
    Branchpoint(Option<i64>, Option<Box<Extras>>),
}

impl Note {
    fn comment(comment: StrayComment) -> Self {
        Self::Comment(comment.content.unwrap_or_default(), boxed(comment.extras))
    }

    fn branchpoint(branchpoint: StrayBranchpoint) -> Self {
        Self::Branchpoint(branchpoint.time, boxed(branchpoint.extras))
    }

    fn put(self, notes: &mut NodeNotes) {
        match self {
            Self::Comment(content, extras) => {
                if let Some(extras) = extras {
                    notes.comment_extras.insert(notes.comments.len() as u32, *extras);
                }
                notes.comments.push(content);
            }
            Self::Branchpoint(time, extras) => {
                if let Some(extras) = extras {
                    notes.branchpoint_extras.insert(notes.branchpoints.len() as u32, *extras);
                }
                notes.branchpoints.push(time);
            }
        }
    }
}

fn boxed(extras: Extras) -> Option<Box<Extras>> {
    (!extras.is_empty()).then(|| Box::new(extras))
}

fn report_stray(ledger: &mut Ledger, at: Position, element: &str, node: Id) {
    ledger.reject(at, element, format!("there is no node {node}"), "kept apart from the trees");
}

/// The number of a tree, and a row of it.
#[derive(Clone, Copy)]
struct NodePlace {
    tree: u32,
    row: u32,
}

/// Where wanted nodes are; the first in file order if there are several with one id.
struct FoundNodes {
    /// In order, each once.
    wanted: Vec<Id>,
    places: Vec<Option<NodePlace>>,
}

impl FoundNodes {
    fn find(forest: &Forest, mut wanted: Vec<Id>) -> Self {
        wanted.sort_unstable();
        wanted.dedup();
        let places = vec![None; wanted.len()];
        let mut found = Self { wanted, places };
        if found.wanted.is_empty() {
            return found;
        }
        let mut filter = IdSet::default();
        for &id in &found.wanted {
            filter.insert(id);
        }
        for (number, tree) in forest.iter().enumerate() {
            match tree {
                TreeEntry::Packed(tree) => found.take(number, tree.node_ids(), &filter),
                TreeEntry::Whole(tree) => found.take(number, tree.columns.ids.iter(), &filter),
            }
        }
        found
    }

    fn take(&mut self, tree: usize, ids: impl Iterator<Item = Id>, filter: &IdSet) {
        for (row, id) in ids.enumerate().filter(|(_, id)| filter.contains(*id)) {
            if let Ok(index) = self.wanted.binary_search(&id) {
                self.places[index].get_or_insert(NodePlace { tree: tree as u32, row: row as u32 });
            }
        }
    }

    fn place(&self, id: Id) -> Option<NodePlace> {
        self.places[self.wanted.binary_search(&id).ok()?]
    }
}

/// One problem a tree for all ids that servers have no room for.
fn check_width(ids: &IdColumn, faults: &mut Bounded) {
    let wide = match ids.as_narrow() {
        Some(ids) => ids.iter().position(|&id| i32::try_from(id).is_err()),
        None => ids.iter().position(|id| i32::try_from(id).is_err()),
    };
    if let Some(row) = wide {
        let id = ids.get(row).unwrap_or_default();
        faults.add(row, || format!("id {id} needs more than 32 bits, perhaps others of this tree too"));
    }
}

/// Faults of rows, as many as the ledger has room for.
struct Bounded {
    faults: Faults,
    room: usize,
    omitted: u64,
}

impl Bounded {
    fn new(room: usize) -> Self {
        Self { faults: Vec::new(), room, omitted: 0 }
    }

    #[cold]
    fn add(&mut self, row: usize, reason: impl FnOnce() -> String) {
        // One more than there is room for, so that a strict ledger hears of it even if its list is full.
        if self.faults.len() <= self.room {
            self.faults.push((row, reason()));
        } else {
            self.omitted += 1;
        }
    }

    fn report(mut self, ledger: &mut Ledger, places: &Places, element: &str, done: &str) {
        self.faults.sort_by_key(|(row, _)| *row);
        let found = places.find(self.faults.iter().map(|(row, _)| *row));
        for (at, (_, reason)) in found.into_iter().zip(self.faults) {
            ledger.reject(at, element, reason, done);
        }
        ledger.omit(self.omitted);
    }
}

/// Row of each node id of one tree; the first if there are several.
enum NodeIndex {
    /// Ids lie close together: `rows[id - least]` is the row plus one.
    Dense {
        least: i64,
        rows: Vec<u32>,
    },
    Sparse(HashMap<Id, u32>),
}

impl Default for NodeIndex {
    fn default() -> Self {
        Self::Dense { least: 0, rows: Vec::new() }
    }
}

impl NodeIndex {
    /// Replaces the index by that of these ids; second rows of an id are faults.
    fn build(&mut self, ids: &IdColumn, faults: &mut Bounded) {
        if let Some((ids, (least, size))) = ids.as_narrow().and_then(|ids| Some((ids, dense_range(ids)?))) {
            self.build_dense(ids, least, size, faults);
        } else {
            let mut rows = HashMap::with_capacity(ids.len());
            for (row, id) in ids.iter().enumerate() {
                if *rows.entry(id).or_insert(row as u32) != row as u32 {
                    faults.add(row, || format!("a second node with id {id} in this tree"));
                }
            }
            *self = Self::Sparse(rows);
        }
    }

    fn build_dense(&mut self, ids: &[i64], first: i64, size: usize, faults: &mut Bounded) {
        if let Self::Sparse(_) = self {
            *self = Self::default();
        }
        let Self::Dense { least, rows } = self else { return };
        *least = first;
        rows.clear();
        rows.resize(size, 0);
        for (row, &id) in ids.iter().enumerate() {
            let slot = &mut rows[(id - first) as usize];
            if *slot == 0 {
                *slot = row as u32 + 1;
            } else {
                faults.add(row, || format!("a second node with id {id} in this tree"));
            }
        }
    }

    #[inline]
    fn row(&self, id: Id) -> Option<u32> {
        match self {
            Self::Dense { least, rows } => {
                let slot = usize::try_from(id - Id::from(*least)).ok()?;
                rows.get(slot)?.checked_sub(1)
            }
            Self::Sparse(rows) => rows.get(&id).copied(),
        }
    }
}

/// Least id and number of slots, if a table over the whole range is worth its memory.
fn dense_range(ids: &[i64]) -> Option<(i64, usize)> {
    let (&least, &greatest) = (ids.iter().min()?, ids.iter().max()?);
    let size = usize::try_from(greatest.checked_sub(least)?).ok()?.checked_add(1)?;
    (size <= 4 * ids.len() + 1024).then_some((least, size))
}

/// Undirected edges between rows: trees have about as many as rows, so most find a free slot at one of their ends.
struct EdgeSet<'a> {
    /// Row plus one of the other end.
    partners: &'a mut [u32],
    others: HashSet<(u32, u32)>,
}

impl EdgeSet<'_> {
    /// Whether the edge is new.
    #[inline]
    fn insert(&mut self, from: u32, to: u32) -> bool {
        let (at_from, at_to) = (self.partners[from as usize], self.partners[to as usize]);
        if at_from == to + 1 || at_to == from + 1 {
            return false;
        }
        if at_to == 0 {
            self.partners[to as usize] = from + 1;
            return true;
        }
        if at_from == 0 {
            self.partners[from as usize] = to + 1;
            return true;
        }
        self.others.insert((from.min(to), from.max(to)))
    }
}

/// A set of ids, a bit each where they lie close together.
#[derive(Default)]
struct IdSet {
    /// By id / 512: the index of the page.
    index: HashMap<i64, usize>,
    pages: Vec<[u64; 8]>,
    /// Key and index of the page used last.
    last: Option<(i64, usize)>,
    wide: HashSet<Id>,
}

impl IdSet {
    /// Whether the id is new.
    fn insert(&mut self, id: Id) -> bool {
        match i64::try_from(id) {
            Ok(id) => self.insert_narrow(id),
            Err(_) => self.wide.insert(id),
        }
    }

    #[inline]
    fn insert_narrow(&mut self, id: i64) -> bool {
        let key = id >> 9;
        let page = match self.last {
            Some((last, page)) if last == key => page,
            _ => self.page(key),
        };
        let (word, bit) = place_in_page(id);
        let word = &mut self.pages[page][word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, id: Id) -> bool {
        match i64::try_from(id) {
            Ok(id) => self.contains_narrow(id),
            Err(_) => self.wide.contains(&id),
        }
    }

    fn contains_narrow(&self, id: i64) -> bool {
        let (word, bit) = place_in_page(id);
        self.index.get(&(id >> 9)).is_some_and(|&page| self.pages[page][word] & bit != 0)
    }

    fn page(&mut self, key: i64) -> usize {
        let pages = &mut self.pages;
        let page = *self.index.entry(key).or_insert_with(|| {
            pages.push([0; 8]);
            pages.len() - 1
        });
        self.last = Some((key, page));
        page
    }
}

fn place_in_page(id: i64) -> (usize, u64) {
    let bit = (id & 511) as usize;
    (bit / 64, 1 << (bit % 64))
}
