//! Writes a zip file front to back. Sizes and checksums are known before a member is written, so nothing is patched
//! and any [`Write`] will do; equal members make equal bytes.
//!
//! Source of the layout: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.6 to 4.3.16 and 4.5.3.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::directory::{END, END_64, END_64_LOCATOR, MEMBER};
use super::member::{DEFLATED, LOCAL, STORED};

const NARROW: u64 = u32::MAX as u64;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// 1 January 1980, the first day a zip file knows: times would make equal content differ.
const DAY_ONE: u16 = 0x21;
/// Made by version 4.5 on Unix, for [`MODE`] to count.
const MADE_BY: u16 = 3 * 256 + 45;
/// A plain file that its owner may write.
const MODE: u32 = 0o100_644 << 16;
/// What is compressed already shrinks little more by trying harder.
const LEVEL: u32 = 1;

/// A member's bytes as they will lie in the file.
#[derive(Clone, Debug)]
pub struct Packed {
    method: u16,
    crc: u32,
    size: u32,
    bytes: Vec<u8>,
}

impl Packed {
    /// Deflates `content`, or leaves it as it is where that would not make it smaller.
    ///
    /// # Errors
    /// Content of 4 GiB and more.
    pub fn new(content: &[u8]) -> io::Result<Self> {
        let size = u32::try_from(content.len()).ok().filter(|&size| size < u32::MAX);
        let size = size.ok_or_else(|| io::Error::other("a member of 4 GiB or more"))?;
        let mut crc = Crc::new();
        crc.update(content);
        let (method, bytes) = match deflate(content)? {
            Some(bytes) => (DEFLATED, bytes),
            None => (STORED, content.to_vec()),
        };
        Ok(Self { method, crc: crc.sum(), size, bytes })
    }
}

/// The deflated bytes, `None` if they would not be fewer.
fn deflate(content: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    let status = deflate.compress_vec(content, &mut bytes, FlushCompress::Finish).map_err(io::Error::other)?;
    Ok((status == Status::StreamEnd && bytes.len() < content.len()).then_some(bytes))
}

/// A zip file under construction.
#[derive(Debug)]
pub struct ZipWriter<W: Write> {
    out: W,
    /// Where the next member starts.
    at: u64,
    count: u64,
    directory: Vec<u8>,
}

impl<W: Write> ZipWriter<W> {
    /// Starts a file at the present place of `out`.
    pub fn new(out: W) -> Self {
        Self { out, at: 0, count: 0, directory: Vec::new() }
    }

    /// Appends a member. Names are the caller's business: relative, with `/`, each once.
    pub fn add(&mut self, name: &str, packed: &Packed) -> io::Result<()> {
        let length = u16::try_from(name.len()).map_err(|_| io::Error::other("a member name of 64 KiB or more"))?;
        let mut facts = Record::default();
        facts.u16(UTF8).u16(packed.method).u16(0).u16(DAY_ONE).u32(packed.crc);
        facts.u32(packed.bytes.len() as u32).u32(packed.size).u16(length);
        let mut local = Record::default();
        local.bytes(&LOCAL).u16(20).bytes(&facts.0).u16(0).bytes(name.as_bytes());
        self.out.write_all(&local.0)?;
        self.out.write_all(&packed.bytes)?;
        self.list(name, &facts.0);
        self.at += (local.0.len() + packed.bytes.len()) as u64;
        self.count += 1;
        Ok(())
    }

    /// Adds the member at the present place to the directory.
    fn list(&mut self, name: &str, facts: &[u8]) {
        let wide = self.at >= NARROW;
        let mut entry = Record(std::mem::take(&mut self.directory));
        entry.u32(MEMBER).u16(MADE_BY).u16(if wide { 45 } else { 20 }).bytes(facts);
        entry.u16(if wide { 12 } else { 0 }).u16(0).u16(0).u16(0).u32(MODE);
        entry.u32(self.at.min(NARROW) as u32).bytes(name.as_bytes());
        if wide {
            entry.u16(1).u16(8).u64(self.at);
        }
        self.directory = entry.0;
    }

    /// Writes the directory and returns what was written to, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        let (start, size, count) = (self.at, self.directory.len() as u64, self.count);
        let mut end = Record(std::mem::take(&mut self.directory));
        if count >= 0xffff || start >= NARROW || size >= NARROW {
            end.u32(END_64).u64(44).u16(MADE_BY).u16(45).u32(0).u32(0);
            end.u64(count).u64(count).u64(size).u64(start);
            end.u32(END_64_LOCATOR).u32(0).u64(start + size).u32(1);
        }
        let narrow_count = count.min(0xffff) as u16;
        end.u32(END).u16(0).u16(0).u16(narrow_count).u16(narrow_count);
        end.u32(size.min(NARROW) as u32).u32(start.min(NARROW) as u32).u16(0);
        self.out.write_all(&end.0)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Little-endian numbers, one after the other.
#[derive(Default)]
struct Record(Vec<u8>);

impl Record {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Seek, SeekFrom};

    use super::*;
    use crate::store::{ReadStore, ZipStore};

    fn sample() -> Vec<(String, Vec<u8>)> {
        let noise: Vec<u8> = (0..3000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        vec![("1/z0/y0/x0.wkw".into(), vec![7; 5000]), ("é".into(), noise), ("empty".into(), Vec::new())]
    }

    fn written(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Vec::new());
        for (name, content) in files {
            writer.add(name, &Packed::new(content).unwrap()).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn an_independent_reader_finds_what_was_written() {
        let mut archive = zip::ZipArchive::new(Cursor::new(written(&sample()))).unwrap();
        assert_eq!(archive.len(), 3);
        for (name, content) in sample() {
            let mut file = archive.by_name(&name).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, content);
            assert!(file.compressed_size() <= file.size());
        }
    }

    #[test]
    fn equal_members_make_equal_files() {
        assert_eq!(written(&sample()), written(&sample()));
    }

    #[test]
    fn more_members_than_sixteen_bits_count_are_all_found() {
        let names: Vec<_> = (0..70_000).map(|n| (n.to_string(), Vec::new())).collect();
        let archive = zip::ZipArchive::new(Cursor::new(written(&names))).unwrap();
        assert_eq!(archive.len(), 70_000);
    }

    #[test]
    fn members_beyond_four_gibibytes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut file = std::fs::File::create(&path).unwrap();
        let far = 5 << 30;
        file.seek(SeekFrom::Start(far)).unwrap(); // a hole: nothing is stored
        let mut writer = ZipWriter::new(file);
        writer.at = far;
        for (name, content) in sample() {
            writer.add(&name, &Packed::new(&content).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let ours = ZipStore::open(&path).unwrap();
        let mut theirs = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        for (name, content) in sample() {
            assert_eq!(ours.read(&name, 1 << 20).unwrap().unwrap(), content);
            let mut bytes = Vec::new();
            theirs.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, content);
        }
    }
}
