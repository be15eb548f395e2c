//! Adjacency of a tree: compressed rows for what was loaded, a table for rows changed since.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// One end of an edge as seen from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The node at the other end.
    pub row: u32,
    /// Number of the edge in the tree's list.
    pub edge: u32,
    /// Whether the edge points from here to there; on a self-edge, it does.
    pub source: bool,
}

/// Undirected and simple: a repeated edge counts once, under its first number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// Where each row's entries start; one more than rows.
    offsets: Vec<u32>,
    entries: Vec<Neighbor>,
    /// Rows changed since the entries were laid out.
    changed: HashMap<u32, Vec<Neighbor>, RandomState>,
    /// Numbers of the repetitions of an edge.
    repeats: HashMap<u32, Vec<u32>, RandomState>,
    edges: usize,
}

/// Below this many neighbours, looking at all of them is quicker than a table.
const FEW: usize = 16;

impl Graph {
    /// The graph of a list of edges; `None` stands for one that does not count.
    pub(crate) fn of(rows: usize, edges: &[Option<[u32; 2]>]) -> Self {
        let mut graph = Self::laid_out(rows, edges);
        graph.drop_repeats();
        graph
    }

    fn laid_out(rows: usize, edges: &[Option<[u32; 2]>]) -> Self {
        let mut offsets = vec![0_u32; rows + 1];
        for &[a, b] in edges.iter().flatten() {
            offsets[a as usize + 1] += 1;
            offsets[b as usize + 1] += u32::from(a != b);
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let mut entries = vec![Neighbor { row: 0, edge: 0, source: false }; offsets[rows] as usize];
        let mut put = |row: u32, neighbor: Neighbor| {
            entries[next[row as usize] as usize] = neighbor;
            next[row as usize] += 1;
        };
        for (edge, pair) in edges.iter().enumerate() {
            let Some([a, b]) = *pair else { continue };
            put(a, Neighbor { row: b, edge: edge as u32, source: true });
            if a != b {
                put(b, Neighbor { row: a, edge: edge as u32, source: false });
            }
        }
        Self { offsets, entries, edges: edges.iter().flatten().count(), ..Self::default() }
    }

    /// Moves rows with repeated edges to `changed`, without the repetitions.
    fn drop_repeats(&mut self) {
        for row in 0..self.offsets.len() as u32 - 1 {
            let entries = self.neighbors(row);
            if !has_repeats(entries) {
                continue;
            }
            let mut firsts: HashMap<u32, u32, RandomState> = HashMap::default();
            let (kept, repeated): (Vec<_>, Vec<_>) =
                entries.iter().partition(|n| *firsts.entry(n.row).or_insert(n.edge) == n.edge);
            // Each repetition shows at both ends; it is counted at one.
            for neighbor in repeated.into_iter().filter(|n: &Neighbor| n.row >= row) {
                self.repeats.entry(firsts[&neighbor.row]).or_default().push(neighbor.edge);
                self.edges -= 1;
            }
            self.changed.insert(row, kept);
        }
    }

    pub(crate) fn edge_count(&self) -> usize {
        self.edges
    }

    pub(crate) fn neighbors(&self, row: u32) -> &[Neighbor] {
        if let Some(entries) = self.changed.get(&row) {
            return entries;
        }
        match (self.offsets.get(row as usize), self.offsets.get(row as usize + 1)) {
            (Some(&start), Some(&end)) => &self.entries[start as usize..end as usize],
            _ => &[],
        }
    }

    pub(crate) fn degree(&self, row: u32) -> u32 {
        let neighbors = self.neighbors(row);
        neighbors.len() as u32 + u32::from(neighbors.iter().any(|neighbor| neighbor.row == row))
    }

    /// Adds an edge that is not there yet.
    pub(crate) fn insert(&mut self, source: u32, target: u32, edge: u32) {
        self.row_mut(source).push(Neighbor { row: target, edge, source: true });
        if source != target {
            self.row_mut(target).push(Neighbor { row: source, edge, source: false });
        }
        self.edges += 1;
    }

    /// Removes the edge between two rows and returns its numbers, repetitions included.
    pub(crate) fn remove(&mut self, a: u32, b: u32) -> Vec<u32> {
        let Some(edge) = self.find(a, b) else { return Vec::new() };
        self.row_mut(a).retain(|neighbor| neighbor.row != b);
        self.row_mut(b).retain(|neighbor| neighbor.row != a);
        self.numbers(edge)
    }

    /// Removes all edges of a row and returns their numbers, repetitions included.
    pub(crate) fn remove_row(&mut self, row: u32) -> Vec<u32> {
        let entries = std::mem::take(self.row_mut(row));
        for neighbor in entries.iter().filter(|neighbor| neighbor.row != row) {
            self.row_mut(neighbor.row).retain(|other| other.row != row);
        }
        entries.into_iter().flat_map(|neighbor| self.numbers(neighbor.edge)).collect()
    }

    /// Takes an edge and its repetitions off the books.
    fn numbers(&mut self, edge: u32) -> Vec<u32> {
        self.edges -= 1;
        let mut numbers = self.repeats.remove(&edge).unwrap_or_default();
        numbers.push(edge);
        numbers
    }

    /// The number of the edge between two rows, looked up at the end that has fewer.
    pub(crate) fn find(&self, a: u32, b: u32) -> Option<u32> {
        let (at, other) = if self.neighbors(a).len() <= self.neighbors(b).len() { (a, b) } else { (b, a) };
        self.neighbors(at).iter().find(|neighbor| neighbor.row == other).map(|neighbor| neighbor.edge)
    }

    /// Whether most rows are in the table of changed ones.
    pub(crate) fn is_fragmented(&self) -> bool {
        self.changed.len() > 1024 + self.offsets.len()
    }

    fn row_mut(&mut self, row: u32) -> &mut Vec<Neighbor> {
        if !self.changed.contains_key(&row) {
            let entries = self.neighbors(row).to_vec();
            self.changed.insert(row, entries);
        }
        self.changed.entry(row).or_default()
    }
}

fn has_repeats(entries: &[Neighbor]) -> bool {
    if entries.len() <= FEW {
        return entries.iter().enumerate().any(|(i, n)| entries[..i].iter().any(|other| other.row == n.row));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    !entries.iter().all(|neighbor| seen.insert(neighbor.row))
}
