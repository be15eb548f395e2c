//! Chunks of a layer by the ten million: their additional coordinates are kept once for all that share them.

use std::collections::BTreeMap;

/// Chunks, by their additional coordinates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    by_extra: BTreeMap<Box<[u32]>, Vec<[u32; 3]>>,
}

impl Blocks {
    pub(super) fn is_empty(&self) -> bool {
        self.by_extra.is_empty()
    }

    /// Adds some that have the additional coordinates `extra`.
    pub(super) fn extend(&mut self, extra: &[u32], blocks: impl Iterator<Item = [u32; 3]>) {
        let mut blocks = blocks.peekable();
        if blocks.peek().is_none() {
            return;
        }
        match self.by_extra.get_mut(extra) {
            Some(known) => known.extend(blocks),
            None => drop(self.by_extra.insert(extra.into(), blocks.collect())),
        }
    }

    /// Sorts them, and has each once.
    pub(super) fn sort(&mut self) {
        for blocks in self.by_extra.values_mut() {
            blocks.sort_unstable();
            blocks.dedup();
            blocks.shrink_to_fit();
        }
    }

    /// All of them, with their additional coordinates.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], [u32; 3])> {
        self.by_extra.iter().flat_map(|(extra, blocks)| blocks.iter().map(move |&block| (&**extra, block)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_sorted_each_once_and_by_their_additional_coordinates() {
        let mut blocks = Blocks::default();
        blocks.extend(&[7], std::iter::empty());
        assert!(blocks.is_empty());
        blocks.extend(&[1], [[2, 0, 0], [1, 0, 9]].into_iter());
        blocks.extend(&[0], [[5, 5, 5]].into_iter());
        blocks.extend(&[1], [[2, 0, 0]].into_iter());
        blocks.sort();
        let all: Vec<_> = blocks.iter().collect();
        assert_eq!(all, [(&[0][..], [5, 5, 5]), (&[1], [1, 0, 9]), (&[1], [2, 0, 0])]);
    }
}
