//! Names of chunk files: `c/0/1/2/3`, `c.0.1.2.3`, `0/1/2/3` or `0.1.2.3`.

use crate::format::parse_index;

/// How a chunk's indices are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyStyle {
    /// Whether a `c` comes first (Zarr v3's `default` encoding, not its `v2`).
    pub(super) with_c: bool,
    pub(super) separator: char,
}

impl KeyStyle {
    const ALL: [Self; 4] = [
        Self { with_c: true, separator: '.' },
        Self { with_c: false, separator: '.' },
        Self { with_c: true, separator: '/' },
        Self { with_c: false, separator: '/' },
    ];

    /// The name of the chunk at `indices`.
    pub(super) fn key(self, indices: &[u32]) -> String {
        let c = self.with_c.then(|| "c".to_owned());
        let parts: Vec<_> = c.into_iter().chain(indices.iter().map(u32::to_string)).collect();
        parts.join(self.separator.encode_utf8(&mut [0; 4]))
    }

    /// The indices that `name` spells, `None` if it spells none.
    pub(super) fn parse(self, name: &str) -> Option<Vec<u32>> {
        let indices = match (self.with_c, name.strip_prefix('c')) {
            (true, Some(rest)) => rest.strip_prefix(self.separator)?,
            (false, None) => name,
            _ => return None,
        };
        indices.split(self.separator).map(parse_index).collect()
    }

    /// This style, unless none of `names` follows it and some follow another: WEBKNOSSOS wrote archives whose
    /// metadata declare another style than its files have (between autumn 2024 and July 2025).
    pub(super) fn or_as_found<'a>(self, names: &(impl Iterator<Item = &'a str> + Clone), axes: usize) -> Self {
        let follows =
            |style: Self| names.clone().any(|name| style.parse(name).is_some_and(|found| found.len() == axes));
        if follows(self) {
            return self;
        }
        Self::ALL.into_iter().find(|&style| follows(style)).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_reads_its_own_names_only() {
        let names = ["c.0.1.20.3", "0.1.20.3", "c/0/1/20/3", "0/1/20/3"];
        for (style, name) in KeyStyle::ALL.into_iter().zip(names) {
            assert_eq!(style.key(&[0, 1, 20, 3]), name);
            for other in names {
                assert_eq!(style.parse(other), (other == name).then(|| vec![0, 1, 20, 3]), "{style:?} {other}");
            }
        }
    }

    #[test]
    fn names_that_are_no_chunks_are_passed_over() {
        let style = KeyStyle { with_c: true, separator: '.' };
        for name in ["zarr.json", "c", "c.", "c.0..1", "c.0.01.2", "c.0.1.2.part", "c.-1.0.0", "c.0.1.2.4294967296"] {
            assert_eq!(style.parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_wrong_declaration_yields_to_what_the_files_are_called() {
        let declared = KeyStyle { with_c: false, separator: '.' };
        let found = declared.or_as_found(&["zarr.json", "c.0.1.2.3"].into_iter(), 4);
        assert_eq!(found, KeyStyle { with_c: true, separator: '.' });
        assert_eq!(declared.or_as_found(&["0.1.2.3", "c.0.1.2.3"].into_iter(), 4), declared);
        assert_eq!(declared.or_as_found(&["zarr.json"].into_iter(), 4), declared);
    }
}
