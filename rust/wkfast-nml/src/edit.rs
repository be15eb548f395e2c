//! A tree that is asked and changed: rows by id, neighbours, removal.
//!
//! [`TreeColumns`] is what a file says. [`TreeTable`] adds what questions need, each built when first asked for: an
//! index of ids and an adjacency list. Row numbers are stable: removal marks a row, [`TreeTable::compacted`] drops it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::columns::{IdColumn, NodeNotes, NodeRow, TreeColumns};
use crate::graph::{Graph, Neighbor};
use crate::model::Id;
use crate::row_index::RowIndex;

/// Why a tree cannot be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The id is taken.
    #[error("the tree already has a node with the id {0}")]
    DuplicateId(Id),
    /// No live node in this row.
    #[error("the node in row {0} is not, or no longer, in the tree")]
    NoSuchRow(u32),
}

/// One tree with its index and adjacency.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TreeTable {
    columns: TreeColumns,
    removed_rows: usize,
    /// Edges removed since loading; empty if none.
    removed_edges: Vec<bool>,
    #[serde(skip)]
    changes: Changes,
    #[serde(skip)]
    index: OnceLock<RowIndex>,
    #[serde(skip)]
    graph: OnceLock<Graph>,
}

/// Rows that [`TreeTable::live_run`] looks at.
const RUN: u32 = 4096;

/// Counts how often nodes were added or removed. A copy of a table has a count of its own.
#[derive(Debug, Default)]
pub struct Changes(Arc<AtomicU32>);

impl Clone for Changes {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Changes {
    /// The count so far.
    #[inline]
    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl From<TreeColumns> for TreeTable {
    fn from(columns: TreeColumns) -> Self {
        let removed_rows = columns.removed.iter().filter(|&&removed| removed).count();
        Self { columns, removed_rows, ..Self::default() }
    }
}

impl TreeTable {
    /// The columns, removed rows and edges included.
    pub fn columns(&self) -> &TreeColumns {
        &self.columns
    }

    /// The columns, for changing values. Ids, edges and the number of rows are changed through the methods below.
    pub fn columns_mut(&mut self) -> &mut TreeColumns {
        &mut self.columns
    }

    /// A copy that goes on in place of this one, which stays as it is: those that step through the rows notice what changes
    /// in the copy.
    #[must_use]
    pub fn continued(&self) -> Self {
        Self { changes: self.changes(), ..self.clone() }
    }

    /// The count of changes to the rows, for those that step through them and must notice.
    pub fn changes(&self) -> Changes {
        Changes(Arc::clone(&self.changes.0))
    }

    /// The rows behind `row` up to which all are in the tree: nothing is to be looked at before the next change. No more than
    /// some thousands where rows were removed, or a loop that removes nodes would look at all rows after each of them.
    pub fn live_run(&self, row: u32) -> Range<u32> {
        let rows = self.columns.rows() as u32;
        let removed = |row: &u32| self.columns.is_removed(*row as usize);
        let start = (row..rows).find(|row| !removed(row)).unwrap_or(rows);
        if self.removed_rows == 0 {
            return start..rows;
        }
        let far = rows.min(start.saturating_add(RUN));
        start..(start..far).find(removed).unwrap_or(far)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.columns.rows() - self.removed_rows
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that are not removed, in order.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.columns.rows()).filter(|&row| !self.columns.is_removed(row)).map(|row| row as u32)
    }

    /// Whether a row exists and is not removed.
    pub fn is_live(&self, row: u32) -> bool {
        (row as usize) < self.columns.rows() && !self.columns.is_removed(row as usize)
    }

    /// The row of a node; of several with one id, the first.
    pub fn row_of(&self, id: Id) -> Option<u32> {
        self.index().get(id).filter(|&row| !self.columns.is_removed(row as usize))
    }

    fn index(&self) -> &RowIndex {
        self.index.get_or_init(|| RowIndex::of(&self.columns))
    }

    /// Adds a node and returns its row.
    pub fn push_node(&mut self, node: &NodeRow) -> Result<u32, EditError> {
        if self.row_of(node.id).is_some() {
            return Err(EditError::DuplicateId(node.id));
        }
        let row = self.columns.push_node(node);
        self.changes.add();
        if let Some(index) = self.index.get_mut() {
            index.insert(node.id, row);
        }
        Ok(row)
    }

    /// Removes a node and its edges.
    pub fn remove_node(&mut self, row: u32) -> Result<(), EditError> {
        self.check(row)?;
        let edges = self.graph_mut().remove_row(row);
        self.mark_removed(&edges);
        let rows = self.columns.rows();
        self.columns.removed.resize(rows, false);
        self.columns.removed[row as usize] = true;
        self.changes.add();
        self.removed_rows += 1;
        Ok(())
    }

    /// Adds an edge; `false` if there is one between the two already.
    pub fn add_edge(&mut self, source: u32, target: u32) -> Result<bool, EditError> {
        self.check(target)?;
        self.check(source)?;
        if self.has_edge(source, target) {
            return Ok(false);
        }
        let id = |row: u32| self.columns.ids.get(row as usize).unwrap_or_default();
        let edge = self.columns.push_edge(id(source), id(target));
        if !self.removed_edges.is_empty() {
            self.removed_edges.push(false);
        }
        self.graph_mut().insert(source, target, edge);
        self.compact_graph();
        Ok(true)
    }

    /// Removes the edge between two nodes, whichever way it points; `false` if there is none.
    pub fn remove_edge(&mut self, a: u32, b: u32) -> Result<bool, EditError> {
        self.check(a)?;
        self.check(b)?;
        let edges = self.graph_mut().remove(a, b);
        if edges.is_empty() {
            return Ok(false);
        }
        self.mark_removed(&edges);
        Ok(true)
    }

    fn mark_removed(&mut self, edges: &[u32]) {
        let count = self.columns.edge_count();
        self.removed_edges.resize(count, false);
        for &edge in edges {
            self.removed_edges[edge as usize] = true;
        }
    }

    /// Whether an edge joins two rows, whichever way it points.
    pub fn has_edge(&self, a: u32, b: u32) -> bool {
        self.graph().find(a, b).is_some()
    }

    /// The neighbours of a node in the order their edges came, each once, the node itself if an edge says so.
    pub fn neighbors(&self, row: u32) -> Result<&[Neighbor], EditError> {
        self.check(row)?;
        Ok(self.graph().neighbors(row))
    }

    /// Number of edges, repeated ones once and those to missing nodes not at all.
    pub fn edge_count(&self) -> usize {
        self.graph().edge_count()
    }

    /// The rows that each edge joins, in the order they came, repeated edges once.
    pub fn edge_rows(&self) -> Vec<[u32; 2]> {
        let rows = self.columns.rows() as u32;
        let graph = self.graph();
        let mut numbered: Vec<(u32, [u32; 2])> = Vec::with_capacity(graph.edge_count());
        for row in 0..rows {
            numbered.extend(graph.neighbors(row).iter().filter(|n| n.source).map(|n| (n.edge, [row, n.row])));
        }
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, rows)| rows).collect()
    }

    /// Number of neighbours of each live row, a self-edge counting twice.
    pub fn degrees(&self) -> Vec<u32> {
        let graph = self.graph();
        self.rows().map(|row| graph.degree(row)).collect()
    }

    /// Number of neighbours of a row, a self-edge counting twice.
    pub fn degree(&self, row: u32) -> Result<u32, EditError> {
        self.check(row)?;
        Ok(self.graph().degree(row))
    }

    /// Number of parts that no edge joins; none in a tree without nodes.
    pub fn component_count(&self) -> usize {
        let mut roots: Vec<u32> = (0..self.columns().rows() as u32).collect();
        let mut parts = self.len();
        for [a, b] in self.edge_rows() {
            let (a, b) = (root(&mut roots, a), root(&mut roots, b));
            if a != b {
                roots[a.max(b) as usize] = a.min(b);
                parts -= 1;
            }
        }
        parts
    }

    /// Sum of the lengths of all edges, positions times `scale`.
    pub fn path_length(&self, scale: [f64; 3]) -> f64 {
        let edges = self.edge_rows();
        let positions = &self.columns.positions;
        edges.into_iter().map(|[a, b]| distance(&positions[a as usize], &positions[b as usize], scale)).sum()
    }

    /// Smallest and largest coordinates, `None` for a tree without nodes.
    pub fn bounds(&self) -> Option<[[f64; 3]; 2]> {
        let mut positions = self.rows().map(|row| self.columns.positions[row as usize]);
        let first = positions.next()?;
        Some(positions.fold([first, first], |[low, high], position| {
            [std::array::from_fn(|i| low[i].min(position[i])), std::array::from_fn(|i| high[i].max(position[i]))]
        }))
    }

    /// The largest id, `None` for a tree without nodes.
    pub fn max_id(&self) -> Option<Id> {
        self.rows().filter_map(|row| self.columns.ids.get(row as usize)).max()
    }

    /// The columns without what was removed.
    pub fn compacted(&self) -> Cow<'_, TreeColumns> {
        if self.removed_rows == 0 && !self.removed_edges.contains(&true) {
            return Cow::Borrowed(&self.columns);
        }
        let mut kept = TreeColumns::default();
        for row in self.rows() {
            let new = self.columns.node(row as usize).map(|node| kept.push_node(&node));
            if let Some(new) = new {
                kept.coordinates.set(new as usize, self.columns.coordinates.of(row as usize));
            }
            if let (Some(new), Some(notes)) = (new, self.columns.notes.get(&row)) {
                kept.notes.insert(new, notes.clone());
            }
        }
        for edge in (0..self.columns.edge_count()).filter(|&edge| !self.is_removed_edge(edge)) {
            let new = self.columns.edge(edge).map(|(source, target)| kept.push_edge(source, target));
            if let (Some(new), Some(extras)) = (new, self.columns.edge_extras.get(&(edge as u32))) {
                kept.edge_extras.insert(new, extras.clone());
            }
        }
        Cow::Owned(kept)
    }

    /// The columns without what was removed and with ids counting up from `first`.
    pub fn renumbered(&self, first: Id) -> TreeColumns {
        let mut columns = self.compacted().into_owned();
        let index = RowIndex::of(&columns);
        let new_id = |row: u32| first + Id::from(row);
        let mapped = columns.edges.iter().map(|id| index.get(id).map(new_id)).collect::<Vec<_>>();
        // An edge to a node that does not exist cannot be renamed; it is left behind.
        let whole: Vec<_> =
            mapped.chunks_exact(2).map(|pair| pair.iter().copied().collect::<Option<Vec<_>>>()).collect();
        let mut extras = std::mem::take(&mut columns.edge_extras);
        columns.edges = IdColumn::default();
        for (old, pair) in whole.into_iter().enumerate() {
            if let Some(pair) = pair {
                let new = columns.push_edge(pair[0], pair[1]);
                extras.remove(&(old as u32)).map(|extra| columns.edge_extras.insert(new, extra));
            }
        }
        columns.ids = (0..columns.rows() as u32).map(new_id).collect();
        columns
    }

    /// Whether two trees have the same nodes, whatever their order, and the same undirected edges.
    pub fn same_content(&self, other: &Self) -> bool {
        let (one, other) = (self.compacted(), other.compacted());
        same_nodes(&one, &other) && simple_edges(&one) == simple_edges(&other)
    }

    fn check(&self, row: u32) -> Result<(), EditError> {
        if self.is_live(row) { Ok(()) } else { Err(EditError::NoSuchRow(row)) }
    }

    fn is_removed_edge(&self, edge: usize) -> bool {
        self.removed_edges.get(edge).copied().unwrap_or(false)
    }

    fn graph(&self) -> &Graph {
        self.graph.get_or_init(|| self.build_graph())
    }

    fn graph_mut(&mut self) -> &mut Graph {
        let graph = self.graph.take().unwrap_or_else(|| self.build_graph());
        self.graph = OnceLock::from(graph);
        match self.graph.get_mut() {
            Some(graph) => graph,
            None => unreachable!("set on the line above"),
        }
    }

    fn build_graph(&self) -> Graph {
        let columns = &self.columns;
        let index = self.index();
        let row = |id: Id| index.get(id).filter(|&row| !columns.is_removed(row as usize));
        let edges = (0..columns.edge_count()).map(|edge| {
            let (source, target) = columns.edge(edge)?;
            if self.is_removed_edge(edge) { None } else { Some([row(source)?, row(target)?]) }
        });
        Graph::of(columns.rows(), &edges.collect::<Vec<_>>())
    }

    /// Rebuilds the adjacency when most of it lies in the part for changes; each rebuild doubles what the next takes.
    fn compact_graph(&mut self) {
        if self.graph.get().is_some_and(Graph::is_fragmented) {
            self.graph = OnceLock::from(self.build_graph());
        }
    }
}

/// The first row of those that are known to hang together with a row; roads to it are halved on the way.
fn root(roots: &mut [u32], mut row: u32) -> u32 {
    while roots[row as usize] != row {
        roots[row as usize] = roots[roots[row as usize] as usize];
        row = roots[row as usize];
    }
    row
}

fn distance(a: &[f64; 3], b: &[f64; 3], scale: [f64; 3]) -> f64 {
    (0..3).map(|i| ((a[i] - b[i]) * scale[i]).powi(2)).sum::<f64>().sqrt()
}

/// What makes two nodes the same: `nan` equals itself.
struct Facts<'a> {
    node: NodeRow,
    coordinates: Vec<(&'a str, i64)>,
    notes: Option<&'a NodeNotes>,
}

impl<'a> Facts<'a> {
    fn of(columns: &'a TreeColumns, row: usize) -> Self {
        let mut coordinates = columns.coordinates.of(row);
        coordinates.sort_unstable();
        let notes = columns.notes.get(&(row as u32)).filter(|notes| **notes != NodeNotes::default());
        Self { node: columns.node(row).unwrap_or_default(), coordinates, notes }
    }

    fn equal(&self, other: &Self) -> bool {
        self.node.equals(&other.node) && self.coordinates == other.coordinates && self.notes == other.notes
    }
}

/// Whether two rows say the same; `nan` equals itself.
pub fn same_node(one: (&TreeColumns, usize), other: (&TreeColumns, usize)) -> bool {
    Facts::of(one.0, one.1).equal(&Facts::of(other.0, other.1))
}

fn same_nodes(one: &TreeColumns, other: &TreeColumns) -> bool {
    let rows = |columns: &TreeColumns| {
        let mut rows: Vec<_> = columns.ids.iter().zip(0..).collect();
        rows.sort_unstable();
        rows
    };
    let pairs = rows(one).into_iter().zip(rows(other));
    one.rows() == other.rows() && pairs.into_iter().all(|((_, a), (_, b))| same_node((one, a), (other, b)))
}

fn simple_edges(columns: &TreeColumns) -> Vec<(Id, Id)> {
    let mut edges: Vec<_> =
        (0..columns.edge_count()).filter_map(|edge| columns.edge(edge)).map(|(a, b)| (a.min(b), a.max(b))).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests;
