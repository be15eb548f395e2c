//! The trees of a file, most of them as bytes: a tree of a few nodes takes what its text takes, not what a table takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::columns::TreeColumns;
use crate::model::{Id, Tree, TreeHeader};
use crate::pack::{Pack, packed_length};

/// Trees of fewer nodes and edges are packed. Those of more are columns, whose frame weighs little beside them.
const SMALL: usize = 64;

/// Where a tree that is not packed stands among the starts.
const WHOLE: u64 = u64::MAX;

/// Trees in the order of a file.
///
/// ```
/// use wkfast_nml::{Forest, Tree};
/// let mut forest = Forest::default();
/// forest.push(&Tree::default().header, &Tree::default().columns);
/// assert_eq!((forest.len(), forest.tree(0)), (1, Some(Tree::default())));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Forest {
    small: PackedTrees,
    whole: BTreeMap<usize, Arc<Tree>>,
}

/// The small trees of a file. Numbers are those in the file: large trees have theirs, too.
#[derive(Clone, Debug, Default)]
pub struct PackedTrees {
    bytes: Vec<u8>,
    starts: Vec<u64>,
}

/// A tree of either kind.
#[derive(Clone, Copy, Debug)]
pub enum TreeEntry<'a> {
    /// One of few rows.
    Packed(PackedTree<'a>),
    /// One of many.
    Whole(&'a Arc<Tree>),
}

impl Forest {
    /// Number of trees.
    pub fn len(&self) -> usize {
        self.small.starts.len()
    }

    /// Whether there are no trees.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a tree of these columns is one of many rows.
    pub(crate) fn is_large(columns: &TreeColumns) -> bool {
        columns.rows() + columns.edge_count() >= SMALL
    }

    /// Adds a tree.
    pub fn push(&mut self, header: &TreeHeader, columns: &TreeColumns) {
        if Self::is_large(columns) {
            self.push_whole(Tree { header: header.clone(), columns: columns.clone() });
        } else {
            self.small.starts.push(self.small.bytes.len() as u64);
            pack_tree(header, columns, &mut self.small.bytes);
        }
    }

    pub(crate) fn push_whole(&mut self, tree: Tree) {
        self.whole.insert(self.len(), Arc::new(tree));
        self.small.starts.push(WHOLE);
    }

    /// A tree by its number; `None` past the end.
    pub fn get(&self, number: usize) -> Option<TreeEntry<'_>> {
        self.small.get(number).map(TreeEntry::Packed).or_else(|| Some(TreeEntry::Whole(self.whole.get(&number)?)))
    }

    /// All trees.
    pub fn iter(&self) -> impl Iterator<Item = TreeEntry<'_>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// A tree of one's own; `None` past the end.
    pub fn tree(&self, number: usize) -> Option<Tree> {
        Some(match self.get(number)? {
            TreeEntry::Packed(tree) => tree.unpack(),
            TreeEntry::Whole(tree) => (**tree).clone(),
        })
    }

    /// Changes a tree.
    pub(crate) fn edit(&mut self, number: usize, change: impl FnOnce(&mut Tree)) {
        if let Some(tree) = self.whole.get_mut(&number) {
            change(Arc::make_mut(tree));
        } else if let Some(packed) = self.small.get(number) {
            let mut tree = packed.unpack();
            change(&mut tree);
            self.small.starts[number] = self.small.bytes.len() as u64;
            pack_tree(&tree.header, &tree.columns, &mut self.small.bytes);
        }
    }

    /// Gives memory back that growing took in advance.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.small.bytes.shrink_to_fit();
        self.small.starts.shrink_to_fit();
    }

    /// Small trees and large ones, by their numbers.
    pub fn into_parts(self) -> (PackedTrees, BTreeMap<usize, Arc<Tree>>) {
        (self.small, self.whole)
    }

    /// All trees, unpacked.
    pub fn into_trees(self) -> Vec<Tree> {
        let Self { small, mut whole } = self;
        let tree = |number| {
            let packed = small.get(number).map(|tree| tree.unpack());
            packed.or_else(|| Some(Arc::unwrap_or_clone(whole.remove(&number)?)))
        };
        (0..small.starts.len()).filter_map(tree).collect()
    }
}

impl PackedTrees {
    /// Number of trees of the file, large ones included.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are no trees.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// A small tree by its number; `None` for large ones and past the end.
    pub fn get(&self, number: usize) -> Option<PackedTree<'_>> {
        let start = *self.starts.get(number)?;
        (start != WHOLE).then(|| PackedTree(&self.bytes[start as usize..]))
    }
}

impl TreeEntry<'_> {
    /// Ids of the tree, and of the group that it names.
    pub fn ids(&self) -> (Id, Option<Id>) {
        match self {
            Self::Packed(tree) => tree.ids(),
            Self::Whole(tree) => (tree.header.id, tree.header.group_id),
        }
    }
}

/// A packed tree. What is asked for most comes first: ids, number of rows and of edges, whether there are notes.
#[derive(Clone, Copy, Debug)]
pub struct PackedTree<'a>(&'a [u8]);

impl PackedTree<'_> {
    /// Ids of the tree, and of the group that it names.
    pub fn ids(&self) -> (Id, Option<Id>) {
        Pack::unpack(&mut &*self.0)
    }

    fn after_ids(&self) -> &[u8] {
        let mut rest = self.0;
        let _: (Id, Option<Id>) = Pack::unpack(&mut rest);
        rest
    }

    /// Whether a node has a comment, a branchpoint or things that no column exists for.
    pub fn has_notes(&self) -> bool {
        bool::unpack(&mut self.after_ids())
    }

    /// Number of edges and of nodes.
    pub fn counts(&self) -> (usize, usize) {
        let mut rest = self.after_ids();
        let (_, edges) = <(bool, usize)>::unpack(&mut rest);
        (edges, packed_length(&mut rest).0)
    }

    /// Ids of the nodes.
    pub fn node_ids(&self) -> impl Iterator<Item = Id> {
        let mut rest = self.after_ids();
        let _ = <(bool, usize)>::unpack(&mut rest);
        let (rows, wide) = packed_length(&mut rest);
        (0..rows).map(move |_| if wide { Id::unpack(&mut rest) } else { i64::unpack(&mut rest).into() })
    }

    /// A tree of one's own.
    pub fn unpack(&self) -> Tree {
        let mut rest = self.0;
        let (id, group_id) = Pack::unpack(&mut rest);
        let _ = <(bool, usize)>::unpack(&mut rest);
        let columns = TreeColumns::unpack(&mut rest);
        let (name, tree_type) = Pack::unpack(&mut rest);
        let header = TreeHeader {
            id,
            name,
            color: Pack::unpack(&mut rest),
            group_id,
            tree_type,
            is_visible: Pack::unpack(&mut rest),
            edges_are_visible: Pack::unpack(&mut rest),
            metadata: Pack::unpack(&mut rest),
            extras: Pack::unpack(&mut rest),
        };
        Tree { header, columns }
    }
}

fn pack_tree(header: &TreeHeader, columns: &TreeColumns, out: &mut Vec<u8>) {
    let TreeHeader { id, name, color, group_id, tree_type, is_visible, edges_are_visible, metadata, extras } = header;
    (*id, *group_id).pack(out);
    (!columns.notes.is_empty(), columns.edge_count()).pack(out);
    columns.pack(out);
    name.pack(out);
    tree_type.pack(out);
    color.pack(out);
    is_visible.pack(out);
    edges_are_visible.pack(out);
    metadata.pack(out);
    extras.pack(out);
}
