//! Bounds of what is read, and which of them the environment raises.

use std::env;

/// States bounds that real data may hit. Nesting, names and values of more than the others allow are no real data.
const VARIABLE: &str = "WKFAST_NML_LIMITS";
pub(super) const RECORDS: &str = "records";
/// What [`Limits::records`] counts.
pub(crate) const OF_RECORDS: &str = "groups, boxes, axes, volume layers and metas";
pub(super) const EXTRAS_BYTES: &str = "extras_bytes";
pub(super) const TEXT_BYTES: &str = "text_bytes";

/// Bounds that keep hostile files from exhausting memory or stack. The defaults are far beyond real files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Nesting of elements, e.g. of groups: 512.
    pub depth: usize,
    /// Attributes of one element, e.g. the values of a metadata list: 1,048,576.
    pub attributes: usize,
    /// Bytes of an element's or attribute's name: 1,024.
    pub name_bytes: usize,
    /// Bytes of an attribute's value: 64 MiB.
    pub value_bytes: usize,
    /// Bytes of one tag, comment, instruction or stretch of character data: 64 MiB.
    pub token_bytes: usize,
    /// Bytes of all unknown elements and attributes kept: 256 MiB.
    pub extras_bytes: usize,
    /// Bytes of text in all, as it is once inflated: 64 GiB.
    pub text_bytes: u64,
    /// Groups, boxes, axes, volume layers and metas: 262,144. Each becomes an object or a record of many bytes.
    pub records: usize,
    /// Problems listed; more are only counted: 1,000.
    pub problems: usize,
    /// Bytes of text parsed at once, a quarter of what a worker thread takes: 64 KiB, so that what is under way stays in the cache. Affects speed only.
    pub piece_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 512,
            attributes: 1 << 20,
            name_bytes: 1 << 10,
            value_bytes: 1 << 26,
            token_bytes: 1 << 26,
            extras_bytes: 1 << 28,
            text_bytes: 1 << 36,
            records: 1 << 18,
            problems: 1000,
            piece_bytes: 1 << 16,
        }
    }
}

impl Limits {
    /// How deep groups of the skeleton may be nested: the elements around them are `<things>` and `<groups>`.
    pub const fn group_depth(&self) -> usize {
        self.depth.saturating_sub(2)
    }

    /// The bounds that `WKFAST_NML_LIMITS` states; of those that it does not name, the defaults.
    ///
    /// # Errors
    /// It says something else than `records`, `extras_bytes` or `text_bytes`, each `=` a number, with commas between them.
    pub fn from_environment() -> Result<Self, String> {
        match env::var_os(VARIABLE) {
            Some(text) => Self::stated(&text.to_string_lossy()),
            None => Ok(Self::default()),
        }
    }

    fn stated(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || {
                format!(
                    "{VARIABLE} is {text:?}, expected such as records=1000000,extras_bytes=1000000000,text_bytes=200000000000"
                )
            };
            let (name, number) = part.split_once('=').ok_or_else(wrong)?;
            let number: u64 = number.trim().parse().map_err(|_| wrong())?;
            match name.trim() {
                RECORDS => limits.records = number as usize,
                EXTRAS_BYTES => limits.extras_bytes = number as usize,
                TEXT_BYTES => limits.text_bytes = number,
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }
}

/// The end of what is said of a bound that [`Limits::from_environment`] takes.
pub(super) fn raised_by(name: &str) -> String {
    format!("; {VARIABLE}={name}=NUMBER in the environment raises that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_what_the_environment_states() {
        let limits = Limits::stated("records=5, text_bytes=200000000000,").unwrap();
        assert_eq!(limits, Limits { records: 5, text_bytes: 200_000_000_000, ..Limits::default() });
        assert_eq!(Limits::stated("extras_bytes=7").unwrap().extras_bytes, 7);
        assert_eq!(Limits::stated(" ").unwrap(), Limits::default());
        for wrong in ["records", "records=many", "records=-1", "depth=600", "5"] {
            let said = Limits::stated(wrong).unwrap_err();
            assert!(said.contains(VARIABLE) && said.contains(wrong), "{said}");
        }
    }
}
