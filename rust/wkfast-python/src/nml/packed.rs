//! A small tree of a file, where it was read: objects of very many trees do not each hold a table.

use std::sync::Arc;

use wkfast_nml::model::{Id, Tree};
use wkfast_nml::{PackedTree, PackedTrees};

/// One of the packed trees of a file.
#[derive(Clone)]
pub(super) struct PackedAt {
    trees: Arc<PackedTrees>,
    number: usize,
}

impl PackedAt {
    /// The tree with that number; `None` where it is none of the small ones.
    pub(super) fn of(trees: &Arc<PackedTrees>, number: usize) -> Option<Self> {
        trees.get(number).map(|_| Self { trees: Arc::clone(trees), number })
    }

    /// The bytes, which are there for as long as this is.
    pub(super) fn get(&self) -> Option<PackedTree<'_>> {
        self.trees.get(self.number)
    }

    /// A tree of one's own.
    pub(super) fn unpack(&self) -> Tree {
        self.get().map(|tree| tree.unpack()).unwrap_or_default()
    }

    /// Number of nodes.
    pub(super) fn rows(&self) -> usize {
        self.get().map_or(0, |tree| tree.counts().1)
    }

    /// Id of the group that the tree names.
    pub(super) fn group_id(&self) -> Option<Id> {
        self.get()?.ids().1
    }

    /// Whether both are the same tree of one file.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trees, &other.trees) && self.number == other.number
    }
}
