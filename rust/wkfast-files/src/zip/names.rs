//! Sorted names in little memory: each but every sixteenth says only how it differs from the one before. The chunks of an
//! annotation share all but the last few letters with their neighbours.

/// Names that are told from one that is there as a whole.
const BLOCK: usize = 16;

/// Different names in ascending order.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// For each name: letters shared with the one before (none at the start of a block), length of the rest, the rest.
    bytes: Vec<u8>,
    /// Where blocks start.
    blocks: Vec<u32>,
    count: usize,
}

impl Names {
    /// Packs names that ascend.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut packed = Self::default();
        let mut before = "";
        for name in names {
            if packed.count.is_multiple_of(BLOCK) {
                // Directories, and so all names of one, are far smaller than 4 GiB.
                packed.blocks.push(packed.bytes.len() as u32);
                before = "";
            }
            let shared = before.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
            packed.put(shared);
            packed.put(name.len() - shared);
            packed.bytes.extend(&name.as_bytes()[shared..]);
            packed.count += 1;
            before = name;
        }
        packed.bytes.shrink_to_fit();
        packed.blocks.shrink_to_fit();
        packed
    }

    /// Appends a number, seven bits a byte.
    fn put(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// The place of `name` in the order.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let mut walk = self.walk_from(name);
        loop {
            let (index, found) = walk.next()?;
            if found >= name.as_bytes() {
                return (found == name.as_bytes()).then_some(index);
            }
        }
    }

    /// Hands all names that start with `prefix` to `each`, with their places in the order.
    pub(super) fn with_prefix(&self, prefix: &str, mut each: impl FnMut(usize, &str)) {
        let mut walk = self.walk_from(prefix);
        while let Some((index, found)) = walk.next() {
            if let Ok(name) = std::str::from_utf8(found)
                && name.starts_with(prefix)
            {
                each(index, name);
            } else if found > prefix.as_bytes() {
                break;
            }
        }
    }

    /// Names from the last block on whose first is not behind `name`.
    fn walk_from(&self, name: &str) -> Walk<'_> {
        let behind = self.blocks.partition_point(|&start| self.first_of(start) <= name.as_bytes());
        let block = behind.saturating_sub(1);
        let at = self.blocks.get(block).map_or(self.bytes.len(), |&start| start as usize);
        Walk { names: self, index: block * BLOCK, at, name: Vec::new() }
    }

    /// The name that starts a block.
    fn first_of(&self, start: u32) -> &[u8] {
        let mut at = start as usize;
        let (_, length) = (self.number(&mut at), self.number(&mut at));
        &self.bytes[at..at + length]
    }

    fn number(&self, at: &mut usize) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bytes[*at];
            *at += 1;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// Memory it takes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.blocks.capacity() * size_of::<u32>()
    }
}

/// Rebuilds names one by one.
struct Walk<'a> {
    names: &'a Names,
    index: usize,
    at: usize,
    name: Vec<u8>,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<(usize, &[u8])> {
        if self.at == self.names.bytes.len() {
            return None;
        }
        let shared = self.names.number(&mut self.at);
        let length = self.names.number(&mut self.at);
        self.name.truncate(shared);
        self.name.extend(&self.names.bytes[self.at..self.at + length]);
        self.at += length;
        self.index += 1;
        Some((self.index - 1, &self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_any_length_are_found() {
        let mut names: Vec<String> = [1, 127, 128, 129, 255, 256, 16_383, 16_384, 16_512].map(|n| "b".repeat(n)).into();
        // One that shares as many letters.
        names.push("b".repeat(128) + "c");
        names.sort();
        let packed = Names::of(names.iter().map(String::as_str));
        for (index, name) in names.iter().enumerate() {
            assert_eq!(packed.find(name), Some(index));
        }
    }

    proptest! {
        #[test]
        fn packed_names_equal_a_sorted_set(
            names in proptest::collection::btree_set("[ab/é]{1,9}", 0..99),
            asked in proptest::collection::vec("[ab/é]{0,9}", 9),
            long in 0..400_usize,
        ) {
            let mut names: BTreeSet<String> = names;
            names.insert("b".repeat(long + 1));
            let packed = Names::of(names.iter().map(String::as_str));
            for (index, name) in names.iter().enumerate() {
                prop_assert_eq!(packed.find(name), Some(index));
            }
            for name in asked {
                prop_assert_eq!(packed.find(&name), names.iter().position(|other| *other == name));
                let mut found = Vec::new();
                packed.with_prefix(&name, |index, name| found.push((index, name.to_owned())));
                let expected = names.iter().cloned().enumerate().filter(|(_, other)| other.starts_with(&name));
                prop_assert_eq!(found, expected.collect::<Vec<_>>());
            }
        }
    }
}
