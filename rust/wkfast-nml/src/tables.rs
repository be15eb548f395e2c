//! Many files as one set of tables: rows of all of them one after the other, each with the number of its file.

use crate::columns::{IdColumn, TreeColumns};
use crate::edit::TreeTable;
use crate::model::{Id, Tree, TreeHeader};

/// The rows of some files. Ids are those in the files, so a node is known by its file and its id.
#[derive(Debug, Default)]
pub struct Tables {
    /// Nodes, and their edges as pairs of ids, repeated ones once. Comments and branchpoints have tables of their own.
    pub nodes: TreeColumns,
    /// Which file and tree each node is of.
    pub node_owners: Owners,
    /// Which file and tree each edge is of.
    pub edge_owners: Owners,
    /// Trees in the order of their files.
    pub trees: TreeRows,
    /// Comments: file, tree, node, text.
    pub comments: Notes<String>,
    /// Branchpoints: file, tree, node, time in ms since epoch.
    pub branchpoints: Notes<Option<i64>>,
}

/// File and tree of each row.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct Owners {
    pub files: Vec<i32>,
    pub trees: Vec<i64>,
}

impl Owners {
    fn add(&mut self, file: i32, tree: i64, rows: usize) {
        self.files.resize(self.files.len() + rows, file);
        self.trees.resize(self.trees.len() + rows, tree);
    }

    fn append(&mut self, other: &Self) {
        self.files.extend_from_slice(&other.files);
        self.trees.extend_from_slice(&other.trees);
    }
}

/// What few nodes have: one row for each.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct Notes<T> {
    pub owners: Owners,
    pub nodes: Vec<i64>,
    pub values: Vec<T>,
}

impl<T> Notes<T> {
    fn push(&mut self, file: i32, tree: i64, node: i64, value: T) {
        self.owners.add(file, tree, 1);
        self.nodes.push(node);
        self.values.push(value);
    }

    fn append(&mut self, mut other: Self) {
        self.owners.append(&other.owners);
        self.nodes.append(&mut other.nodes);
        self.values.append(&mut other.values);
    }
}

/// One row per tree, as columns.
#[derive(Debug, Default)]
#[allow(missing_docs)] // as `TreeHeader`
pub struct TreeRows {
    pub owners: Owners,
    pub names: Vec<String>,
    pub groups: Vec<Option<i64>>,
    /// `nan` where there is none.
    pub colors: Vec<[f64; 4]>,
    pub types: Vec<Option<String>>,
    pub visible: Vec<bool>,
    /// Number of nodes.
    pub nodes: Vec<i64>,
    /// Number of edges.
    pub edges: Vec<i64>,
    /// Smallest and largest coordinates, `nan` without nodes.
    pub bounds: Vec<[[f64; 3]; 2]>,
}

impl TreeRows {
    fn push(&mut self, file: i32, id: i64, header: TreeHeader, table: &TreeTable, edges: usize) {
        self.owners.add(file, id, 1);
        self.colors.push(header.rgba().unwrap_or([f64::NAN; 4]));
        self.visible.push(header.is_shown());
        self.names.push(header.name.unwrap_or_default());
        self.groups.push(header.group_id.and_then(|group| i64::try_from(group).ok()));
        self.types.push(header.tree_type);
        self.nodes.push(table.len() as i64);
        self.edges.push(edges as i64);
        self.bounds.push(table.bounds().unwrap_or([[f64::NAN; 3]; 2]));
    }

    fn append(&mut self, mut other: Self) {
        self.owners.append(&other.owners);
        self.names.append(&mut other.names);
        self.groups.append(&mut other.groups);
        self.colors.append(&mut other.colors);
        self.types.append(&mut other.types);
        self.visible.append(&mut other.visible);
        self.nodes.append(&mut other.nodes);
        self.edges.append(&mut other.edges);
        self.bounds.append(&mut other.bounds);
    }
}

impl Tables {
    /// Number of nodes.
    pub fn rows(&self) -> usize {
        self.nodes.rows()
    }

    /// Adds the trees of a file, all or none. Where nothing is wrong with its file, its edges need no look: none is repeated or leads nowhere.
    ///
    /// ```
    /// use wkfast_nml::tables::Tables;
    /// use wkfast_nml::{ReadOptions, read};
    /// let text = r#"<things><parameters/><thing id="7"><nodes><node id="4" x="1" y="2" z="3"/></nodes></thing></things>"#;
    /// let mut tables = Tables::default();
    /// tables.push(3, read(text.as_bytes(), ReadOptions::default())?.document.trees, true).unwrap();
    /// assert_eq!((&tables.node_owners.files[..], &tables.node_owners.trees[..]), (&[3][..], &[7][..]));
    /// # Ok::<(), wkfast_nml::NmlError>(())
    /// ```
    ///
    /// # Errors
    /// An id that needs more than 64 bits; nothing was added.
    pub fn push(&mut self, file: i32, trees: Vec<Tree>, faultless: bool) -> Result<(), Id> {
        trees.iter().try_for_each(check_width)?;
        for tree in trees {
            self.push_tree(file, tree, faultless);
        }
        Ok(())
    }

    fn push_tree(&mut self, file: i32, tree: Tree, faultless: bool) {
        let Tree { header, mut columns } = tree;
        let id = header.id as i64;
        let notes = std::mem::take(&mut columns.notes);
        let mut table = TreeTable::from(columns);
        if !faultless {
            let ends = table.edge_rows();
            let ids = &table.columns().ids;
            let edges = ends.as_flattened().iter().filter_map(|&row| ids.get(row as usize)).collect();
            table.columns_mut().edges = edges;
        }
        let columns = table.columns();
        self.node_owners.add(file, id, columns.rows());
        self.edge_owners.add(file, id, columns.edge_count());
        self.nodes.append_batch(columns);
        for (row, note) in notes {
            let node = columns.ids.as_narrow().map_or(0, |ids| ids[row as usize]);
            for text in note.comments {
                self.comments.push(file, id, node, text);
            }
            for time in note.branchpoints {
                self.branchpoints.push(file, id, node, time);
            }
        }
        self.trees.push(file, id, header, &table, table.columns().edge_count());
    }

    /// Adds a comment or a branchpoint that was read apart from its tree.
    pub fn push_comment(&mut self, file: i32, tree: i64, node: i64, text: String) {
        self.comments.push(file, tree, node, text);
    }

    /// As [`Self::push_comment`].
    pub fn push_branchpoint(&mut self, file: i32, tree: i64, node: i64, time: Option<i64>) {
        self.branchpoints.push(file, tree, node, time);
    }

    /// Adds the rows of later files.
    pub fn append(&mut self, other: Self) {
        if self.trees.names.is_empty() && self.rows() == 0 && self.comments.nodes.is_empty() {
            *self = other;
            return;
        }
        self.nodes.append_batch(&other.nodes);
        self.node_owners.append(&other.node_owners);
        self.edge_owners.append(&other.edge_owners);
        self.trees.append(other.trees);
        self.comments.append(other.comments);
        self.branchpoints.append(other.branchpoints);
    }
}

/// An id of a tree that does not fit in 64 bits, if there is one.
fn check_width(tree: &Tree) -> Result<(), Id> {
    let is_wide = |id: &Id| i64::try_from(*id).is_err();
    let wide = |ids: &IdColumn| if ids.as_narrow().is_some() { None } else { ids.iter().find(is_wide) };
    let found = wide(&tree.columns.ids).or_else(|| wide(&tree.columns.edges));
    let found = found.or_else(|| [Some(tree.header.id), tree.header.group_id].into_iter().flatten().find(is_wide));
    found.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, read};

    fn trees(text: &str) -> Vec<Tree> {
        read(text.as_bytes(), ReadOptions::default()).unwrap().document.trees
    }

    fn file(nodes: &str, edges: &str) -> String {
        format!(
            r#"<things><parameters/><thing id="1"><nodes>{nodes}</nodes><edges>{edges}</edges></thing>
            <comments><comment node="4" content="c"/></comments><branchpoints><branchpoint id="5"/></branchpoints></things>"#
        )
    }

    const TWO: &str = r#"<node id="4" x="1" y="2" z="3"/><node id="5" radius="2" x="1" y="2" z="9"/>"#;

    #[test]
    fn rows_of_files_follow_one_another() {
        let text = file(TWO, r#"<edge source="4" target="5"/>"#);
        let mut tables = Tables::default();
        for number in 0..2 {
            let mut more = Tables::default();
            more.push(number, trees(&text), true).unwrap();
            tables.append(more);
        }
        assert_eq!(tables.node_owners.files, [0, 0, 1, 1]);
        assert_eq!(tables.nodes.ids.as_narrow(), Some(&[4, 5, 4, 5][..]));
        assert_eq!(tables.nodes.radius.absent, [true, false, true, false]);
        assert_eq!(tables.nodes.edges.as_narrow(), Some(&[4, 5, 4, 5][..]));
        assert_eq!((tables.comments.nodes, tables.branchpoints.nodes), (vec![4, 4], vec![5, 5]));
        assert_eq!(tables.trees.bounds[1], [[1.0, 2.0, 3.0], [1.0, 2.0, 9.0]]);
    }

    #[test]
    fn a_repeated_edge_is_there_once_and_one_that_leads_nowhere_is_not() {
        let edges = r#"<edge source="4" target="5"/><edge source="5" target="4"/><edge source="4" target="9"/>"#;
        let mut tables = Tables::default();
        tables.push(0, trees(&file(TWO, edges)), false).unwrap();
        assert_eq!(tables.nodes.edges.as_narrow(), Some(&[4, 5][..]));
        assert_eq!((tables.edge_owners.files.len(), &tables.trees.edges[..]), (1, &[1][..]));
    }

    #[test]
    fn an_id_beyond_64_bits_is_refused_and_named() {
        let text = file(r#"<node id="99999999999999999999" x="1" y="2" z="3"/>"#, "");
        let mut tables = Tables::default();
        assert_eq!(tables.push(0, trees(&text), true), Err(99_999_999_999_999_999_999));
        assert_eq!(tables.rows(), 0);
    }
}
