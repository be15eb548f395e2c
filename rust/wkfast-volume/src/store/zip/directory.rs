//! The central directory of a zip file, in compact columns: an annotation may have a hundred thousand members.
//!
//! Only this directory is believed. Local headers lack sizes in what WEBKNOSSOS writes (general purpose bit 3).
//! Source of the layout: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3.

use super::source::Source;
use crate::store::check_key;

pub(super) const END: u32 = 0x0605_4b50;
pub(super) const END_64_LOCATOR: u32 = 0x0706_4b50;
pub(super) const END_64: u32 = 0x0606_4b50;
pub(super) const MEMBER: u32 = 0x0201_4b50;
const END_LENGTH: usize = 22;
const MEMBER_LENGTH: usize = 46;
/// More than three million members; a directory is held in memory while it is read.
const MAX_DIRECTORY: u64 = 256 << 20;

/// What the directory says of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    name: (u32, u16),
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where the local header starts.
    pub(super) offset: u64,
}

/// All files of an archive, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Members {
    names: String,
    members: Vec<Member>,
}

impl Members {
    /// Reads the directory at the end of `source`.
    pub(super) fn read(source: &Source) -> Result<Self, String> {
        let end = End::find(source)?;
        if end.size > MAX_DIRECTORY || end.start.checked_add(end.size).is_none_or(|stop| stop > source.len()) {
            return Err(format!("its directory of {} bytes at {} is out of bounds", end.size, end.start));
        }
        let mut space = Vec::new();
        let bytes = source.fetch(end.start, end.size as usize, &mut space).map_err(|error| error.to_string())?;
        let mut members = Self::default();
        let count = members.parse(bytes, &end)?;
        if count != end.count && !(end.count <= 0xffff && count & 0xffff == end.count) {
            return Err(format!("its directory has {count} members, its end record says {}", end.count));
        }
        members.sort()?;
        Ok(members)
    }

    /// Appends what `bytes` list and returns how many entries there were, folders included.
    fn parse(&mut self, bytes: &[u8], end: &End) -> Result<u64, String> {
        let mut count = 0;
        let mut rest = Fields(bytes);
        while !rest.0.is_empty() {
            let cut = || format!("its directory is damaged at entry {count}");
            let header = Fields(rest.take(MEMBER_LENGTH).ok_or_else(cut)?);
            if header.u32(0) != MEMBER {
                return Err(cut());
            }
            let name = rest.take(header.u16(28).into()).ok_or_else(cut)?;
            let extra = rest.take(header.u16(30).into()).ok_or_else(cut)?;
            rest.take(header.u16(32).into()).ok_or_else(cut)?;
            self.push(name, &header, extra, end)?;
            count += 1;
        }
        self.members.shrink_to_fit();
        Ok(count)
    }

    fn push(&mut self, name: &[u8], header: &Fields<'_>, extra: &[u8], end: &End) -> Result<(), String> {
        let name = String::from_utf8_lossy(name).replace('\\', "/");
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name.is_empty() || name.ends_with('/') {
            return Ok(()); // a folder
        }
        check_key(name).map_err(|error| format!("member {error}"))?;
        let mut wide = WideFields(Fields(extra).extra_64());
        let size = wide.or(header.u32(24)).ok_or_else(|| format!("member {name:?} lacks its 64-bit size"))?;
        let compressed = wide.or(header.u32(20)).ok_or_else(|| format!("member {name:?} lacks its 64-bit size"))?;
        let offset = wide.or(header.u32(42)).ok_or_else(|| format!("member {name:?} lacks its 64-bit offset"))?;
        let offset = offset.saturating_add(end.base);
        if offset.checked_add(compressed).is_none_or(|stop| stop > end.start) {
            return Err(format!("member {name:?} lies outside of the archive"));
        }
        let start = u32::try_from(self.names.len()).map_err(|_| "its member names exceed 4 GiB".to_owned())?;
        let length = u16::try_from(name.len()).map_err(|_| "a member name exceeds 64 KiB".to_owned())?;
        self.names.push_str(name);
        self.members.push(Member {
            name: (start, length),
            flags: header.u16(8),
            method: header.u16(10),
            crc: header.u32(16),
            compressed,
            size,
            offset,
        });
        Ok(())
    }

    fn sort(&mut self) -> Result<(), String> {
        let names = &self.names;
        self.members.sort_unstable_by(|a, b| name_of(names, a).cmp(name_of(names, b)));
        let twice = self.members.windows(2).find(|pair| name_of(names, &pair[0]) == name_of(names, &pair[1]));
        twice.map_or(Ok(()), |pair| Err(format!("has two members named {:?}", name_of(names, &pair[0]))))
    }

    /// The member called `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Member> {
        let found = self.members.binary_search_by(|member| self.name(member).cmp(key));
        found.ok().map(|index| &self.members[index])
    }

    /// All members whose name starts with `prefix`, by name.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Member)> {
        let start = self.members.partition_point(|member| self.name(member) < prefix);
        let named = self.members[start..].iter().map(|member| (self.name(member), member));
        named.take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// Memory it takes, for tests.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.names.capacity() + self.members.capacity() * size_of::<Member>()
    }

    fn name(&self, member: &Member) -> &str {
        name_of(&self.names, member)
    }
}

fn name_of<'a>(names: &'a str, member: &Member) -> &'a str {
    let start = member.name.0 as usize;
    &names[start..start + usize::from(member.name.1)]
}

/// The end record: where the directory lies.
struct End {
    count: u64,
    size: u64,
    start: u64,
    /// Bytes before the archive proper, e.g. of a self-extractor; offsets do not count them.
    base: u64,
}

impl End {
    fn find(source: &Source) -> Result<Self, String> {
        let tail_length = source.len().min(END_LENGTH as u64 + 0xffff);
        let tail_start = source.len() - tail_length;
        let mut space = Vec::new();
        let tail = source.fetch(tail_start, tail_length as usize, &mut space).map_err(|error| error.to_string())?;
        let at = (0..(tail.len() + 1).saturating_sub(END_LENGTH)).rev().find(|&at| is_end(&tail[at..]));
        let at = at.ok_or("is no zip file, or cut off: it has no end record")?;
        let record = Fields(&tail[at..]);
        let (count, size, offset) = (record.u16(10).into(), record.u32(12).into(), u64::from(record.u32(16)));
        let saturated = count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff;
        let locator = (at >= 20).then(|| Fields(&tail[at - 20..at])).filter(|found| found.u32(0) == END_64_LOCATOR);
        if let Some(locator) = locator {
            // Python writes the 64-bit record from 2 GiB on, where the 32-bit one could still say everything. Then it
            // lies between the directory and the end record, which must not be taken for an archive with a preamble.
            match Self::wide(source, locator.u64(8)) {
                Err(fault) if saturated => return Err(fault),
                Err(_) => {} // a comment that looks like a locator
                wide => return wide,
            }
        }
        let start = (tail_start + at as u64).checked_sub(size).ok_or("its directory is larger than the file")?;
        let base = start.checked_sub(offset).ok_or("its directory is said to start behind its end")?;
        Ok(Self { count, size, start, base })
    }

    fn wide(source: &Source, offset: u64) -> Result<Self, String> {
        let mut space = Vec::new();
        if offset > source.len() {
            return Err("its 64-bit end record lies behind its end".to_owned());
        }
        let record = Fields(source.fetch(offset, 56, &mut space).map_err(|error| error.to_string())?);
        if record.0.len() < 56 || record.u32(0) != END_64 {
            return Err("its 64-bit end record is damaged".to_owned());
        }
        Ok(Self { count: record.u64(32), size: record.u64(40), start: record.u64(48), base: 0 })
    }
}

/// An end record is followed by its comment and nothing else.
fn is_end(bytes: &[u8]) -> bool {
    let record = Fields(bytes);
    record.u32(0) == END && usize::from(record.u16(20)) + END_LENGTH == bytes.len()
}

/// Little-endian numbers at fixed places of a record, whose length has been checked.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    /// The 64-bit values among the extra fields; empty if there are none.
    fn extra_64(mut self) -> &'a [u8] {
        while let Some(head) = self.take(4) {
            let (kind, length) = (Fields(head).u16(0), Fields(head).u16(2));
            match self.take(length.into()) {
                Some(values) if kind == 1 => return values,
                Some(_) => {}
                None => break,
            }
        }
        &[]
    }
}

/// Wide values stand in the extra field in a fixed order, each only if its narrow field is saturated.
struct WideFields<'a>(&'a [u8]);

impl WideFields<'_> {
    fn or(&mut self, narrow: u32) -> Option<u64> {
        if narrow != u32::MAX {
            return Some(narrow.into());
        }
        let (value, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(Fields(value).u64(0))
    }
}
