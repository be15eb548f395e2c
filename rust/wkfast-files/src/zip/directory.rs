//! The central directory of a zip file, in compact columns: an annotation may have a hundred thousand members.
//!
//! Only this directory is believed. Local headers lack sizes in what WEBKNOSSOS writes (general purpose bit 3).
//! Source of the layout: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3.

use std::borrow::Cow;
use std::io;

use super::names::Names;
use super::source::Source;
use super::{check_name, invalid};

pub(super) const END: u32 = 0x0605_4b50;
pub(super) const END_64_LOCATOR: u32 = 0x0706_4b50;
pub(super) const END_64: u32 = 0x0606_4b50;
pub(super) const MEMBER: u32 = 0x0201_4b50;
const END_LENGTH: usize = 22;
const MEMBER_LENGTH: usize = 46;
/// Of a local header, without name and extra fields.
const LOCAL_LENGTH: u64 = 30;
/// More than three million members; a directory is held in memory while it is read.
const MAX_DIRECTORY: u64 = 256 << 20;

/// What the directory says of one member, but its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
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
    names: Names,
    members: Vec<Member>,
}

impl Members {
    /// Reads the directory at the end of `source`.
    pub(super) fn read(source: &Source) -> io::Result<Self> {
        let end = End::find(source)?;
        if end.size > MAX_DIRECTORY || end.start.checked_add(end.size).is_none_or(|stop| stop > source.len()) {
            let reason = format!("its directory of {} bytes at {} is out of bounds", end.size, end.start);
            return Err(invalid(reason));
        }
        let mut space = Vec::new();
        let bytes = source.fetch(end.start, end.size as usize, &mut space)?;
        Self::listed(bytes, &end).map_err(invalid)
    }

    fn listed(bytes: &[u8], end: &End) -> Result<Self, String> {
        let mut listed = Listed::default();
        let count = listed.parse(bytes, end)?;
        if count != end.count && !(end.count <= 0xffff && count & 0xffff == end.count) {
            return Err(format!("its directory has {count} members, its end record says {}", end.count));
        }
        listed.sort()?;
        listed.check_overlap(end.start)?;
        Ok(listed.packed())
    }

    /// The member called `name`.
    pub(super) fn get(&self, name: &str) -> Option<Member> {
        self.names.find(name).map(|index| self.members[index])
    }

    /// Hands all members whose name starts with `prefix` to `each`, by name.
    pub(super) fn with_prefix(&self, prefix: &str, mut each: impl FnMut(&str, &Member)) {
        self.names.with_prefix(prefix, |index, name| each(name, &self.members[index]));
    }

    /// Memory it takes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.names.heap_bytes() + self.members.capacity() * size_of::<Member>()
    }
}

/// A directory while it is read.
#[derive(Default)]
struct Listed {
    names: String,
    members: Vec<(Place, Member)>,
}

/// Where in [`Listed::names`] a name lies, and how long it is in its headers.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    length: u16,
    raw: u16,
}

impl Listed {
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
        Ok(count)
    }

    fn push(&mut self, raw: &[u8], header: &Fields<'_>, extra: &[u8], end: &End) -> Result<(), String> {
        let name = text_of(raw).replace('\\', "/");
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name.is_empty() || name.ends_with('/') {
            return Ok(()); // a folder
        }
        check_name(name).map_err(|reason| format!("member {name:?} {reason}"))?;
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
        let place = Place { start, length, raw: raw.len() as u16 };
        let (flags, method, crc) = (header.u16(8), header.u16(10), header.u32(16));
        self.members.push((place, Member { flags, method, crc, compressed, size, offset }));
        Ok(())
    }

    fn name(&self, place: Place) -> &str {
        name_of(&self.names, place)
    }

    fn sort(&mut self) -> Result<(), String> {
        let names = &self.names;
        self.members.sort_unstable_by(|a, b| name_of(names, a.0).cmp(name_of(names, b.0)));
        let twice = self.members.windows(2).find(|pair| self.name(pair[0].0) == self.name(pair[1].0));
        twice.map_or(Ok(()), |pair| Err(format!("has two members named {:?}", self.name(pair[0].0))))
    }

    /// Refuses members that share bytes: a small archive could pretend to hold very much. What is left lies within the
    /// archive, one behind the other, so that all together are no larger than it is.
    fn check_overlap(&self, directory: u64) -> Result<(), String> {
        let mut order: Vec<u32> = (0..self.members.len() as u32).collect();
        order.sort_unstable_by_key(|&index| self.members[index as usize].1.offset);
        let end = |index: u32| {
            let (place, member) = &self.members[index as usize];
            member.offset + LOCAL_LENGTH + u64::from(place.raw) + member.compressed
        };
        let name = |index: u32| self.name(self.members[index as usize].0);
        for pair in order.windows(2) {
            if end(pair[0]) > self.members[pair[1] as usize].1.offset {
                return Err(format!("its members {:?} and {:?} overlap", name(pair[0]), name(pair[1])));
            }
        }
        match order.last() {
            Some(&last) if end(last) > directory => Err(format!("its member {:?} overlaps the directory", name(last))),
            _ => Ok(()),
        }
    }

    fn packed(&self) -> Members {
        let names = Names::of(self.members.iter().map(|(place, _)| self.name(*place)));
        Members { names, members: self.members.iter().map(|(_, member)| *member).collect() }
    }
}

fn name_of(names: &str, place: Place) -> &str {
    let start = place.start as usize;
    &names[start..start + usize::from(place.length)]
}

/// Names are UTF-8; what is none is of the first zip programs' character set.
fn text_of(raw: &[u8]) -> Cow<'_, str> {
    let old = |&byte: &u8| match byte {
        0..128 => char::from(byte),
        _ => CODE_PAGE_437.chars().nth(usize::from(byte) - 128).unwrap_or('?'),
    };
    std::str::from_utf8(raw).map_or_else(|_| raw.iter().map(old).collect(), Cow::Borrowed)
}

/// The upper half of IBM's code page 437 (APPNOTE.TXT, appendix D).
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The end record: where the directory lies.
struct End {
    count: u64,
    size: u64,
    start: u64,
    /// Bytes before the archive proper, e.g. of a self-extractor; offsets do not count them.
    base: u64,
}

impl End {
    fn find(source: &Source) -> io::Result<Self> {
        let tail_length = source.len().min(END_LENGTH as u64 + 0xffff);
        let tail_start = source.len() - tail_length;
        let mut space = Vec::new();
        let tail = source.fetch(tail_start, tail_length as usize, &mut space)?;
        let at = (0..(tail.len() + 1).saturating_sub(END_LENGTH)).rev().find(|&at| is_end(&tail[at..]));
        let at = at.ok_or_else(|| invalid("is no zip file, or cut off: it has no end record"))?;
        let record = Fields(&tail[at..]);
        let (count, size, offset) = (record.u16(10).into(), record.u32(12).into(), u64::from(record.u32(16)));
        let saturated = count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff;
        let locator = (at >= 20).then(|| Fields(&tail[at - 20..at])).filter(|found| found.u32(0) == END_64_LOCATOR);
        if let Some(locator) = locator {
            // Python writes the 64-bit record from 2 GiB on, where the 32-bit one could still say everything. Then it
            // lies between the directory and the end record, which must not be taken for an archive with a preamble.
            match Self::wide(source, locator.u64(8)) {
                // a comment that looks like a locator
                Err(fault) if !saturated && fault.kind() == io::ErrorKind::InvalidData => {}
                wide => return wide,
            }
        }
        let start = (tail_start + at as u64).checked_sub(size);
        let start = start.ok_or_else(|| invalid("its directory is larger than the file"))?;
        let base = start.checked_sub(offset).ok_or_else(|| invalid("its directory is said to start behind its end"))?;
        Ok(Self { count, size, start, base })
    }

    fn wide(source: &Source, offset: u64) -> io::Result<Self> {
        let mut space = Vec::new();
        if offset > source.len() {
            return Err(invalid("its 64-bit end record lies behind its end"));
        }
        let record = Fields(source.fetch(offset, 56, &mut space)?);
        if record.0.len() < 56 || record.u32(0) != END_64 {
            return Err(invalid("its 64-bit end record is damaged"));
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
