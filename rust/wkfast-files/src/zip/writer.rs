//! Writes a zip file front to back. Where sizes and checksums are known before a member is written, nothing is patched and
//! any [`Write`] will do; equal members make equal bytes.
//!
//! Source of the layout: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.6 to 4.3.16 and 4.5.3.

use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::Archive;
use super::compressed::{Compressed, LOCAL};
use super::directory::{END, END_64, END_64_LOCATOR, MEMBER};
use super::member::{DEFLATED, STORED};

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
/// Bytes copied at once.
const PIECE: usize = 1 << 20;

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

/// Length and checksum of what is to be a member.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    size: u64,
    crc: u32,
}

impl Sums {
    /// Those of all that `bytes` has.
    pub fn of(bytes: &mut (impl Read + ?Sized)) -> io::Result<Self> {
        let mut summed = Summed::new(io::sink());
        io::copy(bytes, &mut summed)?;
        Ok(Self { size: summed.count, crc: summed.crc.sum() })
    }
}

/// What headers say of a member.
struct Facts {
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
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
        let Packed { method, crc, size, bytes } = packed;
        let facts = Facts { method: *method, crc: *crc, compressed: bytes.len() as u64, size: (*size).into() };
        let header = local(name, &facts, false)?;
        self.out.write_all(&header)?;
        self.out.write_all(bytes)?;
        self.list(name, &facts, header.len());
        Ok(())
    }

    /// Appends a member of another archive under `name`, without inflating it.
    pub fn copy(&mut self, archive: &Archive, member: &str, name: &str) -> io::Result<()> {
        let found = archive.find(member)?;
        let facts = Facts { method: found.method, crc: found.crc, compressed: found.compressed, size: found.size };
        let header = local(name, &facts, facts.is_wide())?;
        self.out.write_all(&header)?;
        let mut space = Vec::new();
        let mut data = Compressed::open(&archive.source, &found, &mut space)?;
        while data.left() > 0 {
            let length = data.fill(PIECE, &mut space)?;
            self.out.write_all(&space[..length])?;
        }
        self.list(name, &facts, header.len());
        Ok(())
    }

    /// Appends all that `bytes` has as it is.
    ///
    /// # Errors
    /// It is not what `sums` are of.
    pub fn store(&mut self, name: &str, sums: &Sums, bytes: &mut (impl Read + ?Sized)) -> io::Result<()> {
        let Sums { size, crc } = *sums;
        let facts = Facts { method: STORED, crc, compressed: size, size };
        let header = local(name, &facts, facts.is_wide())?;
        self.out.write_all(&header)?;
        let mut out = Summed::new(&mut self.out);
        io::copy(bytes, &mut out)?;
        if (out.count, out.crc.sum()) != (size, crc) {
            return Err(io::Error::other(format!("{name} changed while it was copied")));
        }
        self.list(name, &facts, header.len());
        Ok(())
    }

    /// Adds the member at the present place to the directory, and goes behind it.
    fn list(&mut self, name: &str, facts: &Facts, header: usize) {
        let mut extra = Record::default();
        for value in [facts.size, facts.compressed, self.at] {
            if value >= NARROW {
                extra.u64(value);
            }
        }
        let wide = !extra.0.is_empty();
        let mut entry = Record(std::mem::take(&mut self.directory));
        entry.u32(MEMBER).u16(MADE_BY).u16(if wide { 45 } else { 20 });
        entry.u16(UTF8).u16(facts.method).u16(0).u16(DAY_ONE).u32(facts.crc);
        entry.u32(facts.compressed.min(NARROW) as u32).u32(facts.size.min(NARROW) as u32).u16(name.len() as u16);
        entry.u16(if wide { extra.0.len() as u16 + 4 } else { 0 }).u16(0).u16(0).u16(0).u32(MODE);
        entry.u32(self.at.min(NARROW) as u32).bytes(name.as_bytes());
        if wide {
            entry.u16(1).u16(extra.0.len() as u16).bytes(&extra.0);
        }
        self.directory = entry.0;
        self.at += header as u64 + facts.compressed;
        self.count += 1;
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

impl<W: Write + Seek> ZipWriter<W> {
    /// Appends a member that `fill` writes, deflated or as it is. About `size` bytes are expected: from 4 GiB on the header
    /// has to have room for the sum, which is filled in afterwards.
    ///
    /// # Errors
    /// Those of `out`; what `fill` returns comes back within.
    pub fn stream<E>(
        &mut self,
        name: &str,
        deflated: bool,
        size: u64,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let wide = size > NARROW / 2;
        let method = if deflated { DEFLATED } else { STORED };
        let unknown = Facts { method, crc: 0, compressed: 0, size: 0 };
        let length = local(name, &unknown, wide)?.len();
        self.out.write_all(&local(name, &unknown, wide)?)?;
        let mut below = Summed::new(&mut self.out);
        let (filled, crc, size) = if deflated {
            let mut encoder = DeflateEncoder::new(&mut below, Compression::new(LEVEL));
            let mut above = Summed::new(&mut encoder);
            let filled = fill(&mut above);
            let sums = (above.crc.sum(), above.count);
            encoder.finish()?;
            (filled, sums.0, sums.1)
        } else {
            let filled = fill(&mut below);
            (filled, below.crc.sum(), below.count)
        };
        if filled.is_err() {
            return Ok(filled);
        }
        let facts = Facts { method, crc, compressed: below.count, size };
        if facts.is_wide() && !wide {
            return Err(io::Error::other("a member of 4 GiB that was expected to be smaller"));
        }
        self.out.seek(SeekFrom::Current(-((length as u64 + facts.compressed) as i64)))?;
        self.out.write_all(&local(name, &facts, wide)?)?;
        self.out.seek(SeekFrom::Current(facts.compressed as i64))?;
        self.list(name, &facts, length);
        Ok(Ok(()))
    }
}

impl Facts {
    fn is_wide(&self) -> bool {
        self.size >= NARROW || self.compressed >= NARROW
    }
}

/// A member's own header, with its sizes in 64 bits if `wide`.
fn local(name: &str, facts: &Facts, wide: bool) -> io::Result<Vec<u8>> {
    let length = u16::try_from(name.len()).map_err(|_| io::Error::other("a member name of 64 KiB or more"))?;
    let narrow = |value: u64| if wide { u32::MAX } else { value as u32 };
    let mut header = Record::default();
    header.bytes(&LOCAL).u16(if wide { 45 } else { 20 }).u16(UTF8).u16(facts.method).u16(0).u16(DAY_ONE);
    header.u32(facts.crc).u32(narrow(facts.compressed)).u32(narrow(facts.size)).u16(length);
    header.u16(if wide { 20 } else { 0 }).bytes(name.as_bytes());
    if wide {
        header.u16(1).u16(16).u64(facts.size).u64(facts.compressed);
    }
    Ok(header.0)
}

/// Counts and sums up what passes.
struct Summed<W> {
    out: W,
    crc: Crc,
    count: u64,
}

impl<W: Write> Summed<W> {
    fn new(out: W) -> Self {
        Self { out, crc: Crc::new(), count: 0 }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.crc.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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

    fn sample() -> Vec<(String, Vec<u8>)> {
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let noise: Vec<u8> = std::iter::successors(Some(1), next).map(|state| (state >> 24) as u8).take(3000).collect();
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
            let is_smaller = file.compressed_size() < file.size();
            assert_eq!(is_smaller, file.compression() == zip::CompressionMethod::Deflated);
            assert_eq!(is_smaller, name.starts_with('1'), "{name}");
        }
        assert!(!written(&sample()).windows(4).any(|bytes| bytes == END_64.to_le_bytes()), "nothing is large");
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
        let ours = Archive::open(&path).unwrap();
        let mut theirs = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        for (name, content) in sample() {
            let mut bytes = Vec::new();
            ours.reader(&name).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, content);
            let mut bytes = Vec::new();
            theirs.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, content);
        }
    }

    #[test]
    fn streamed_and_copied_members_are_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first.zip", "second.zip"].map(|name| folder.path().join(name));
        for size in [0, 5 << 30] {
            let mut writer = ZipWriter::new(std::fs::File::create(&first).unwrap());
            for (n, (name, content)) in sample().into_iter().enumerate() {
                let fill = |out: &mut dyn Write| content.chunks(700).try_for_each(|piece| out.write_all(piece));
                writer.stream(&name, n != 1, size, fill).unwrap().unwrap();
            }
            writer.finish().unwrap();
            let archive = Archive::open(&first).unwrap();
            assert_eq!(archive.names(), sample().into_iter().map(|(name, _)| name).collect::<Vec<_>>());
            let mut writer = ZipWriter::new(std::fs::File::create(&second).unwrap());
            for (name, _) in sample() {
                writer.copy(&archive, &name, &format!("new/{name}")).unwrap();
            }
            writer.finish().unwrap();
            for (path, prefix) in [(&first, ""), (&second, "new/")] {
                let ours = Archive::open(path).unwrap();
                let mut theirs = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
                for (name, content) in sample() {
                    let name = format!("{prefix}{name}");
                    let mut bytes = Vec::new();
                    ours.reader(&name).unwrap().read_to_end(&mut bytes).unwrap();
                    assert_eq!(bytes, content);
                    bytes.clear();
                    theirs.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
                    assert_eq!(bytes, content);
                }
            }
        }
    }

    #[test]
    fn what_a_member_is_filled_with_may_fail() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let filled = writer.stream("a", true, 0, |_| Err("no more"));
        assert_eq!(filled.unwrap(), Err("no more"));
    }
    #[test]
    fn what_is_stored_is_what_it_was_when_it_was_summed_up() {
        let content = vec![3; 5000];
        let sums = Sums::of(&mut &content[..]).unwrap();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.store("a", &sums, &mut &content[..]).unwrap();
        let mut archive = zip::ZipArchive::new(writer.finish().unwrap()).unwrap();
        let mut file = archive.by_name("a").unwrap();
        assert_eq!(file.compression(), zip::CompressionMethod::Stored);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, content);
        for changed in [&content[..4999], &[&content[..4999], b"x"].concat(), &[&content[..], b"x"].concat()] {
            let error = ZipWriter::new(Vec::new()).store("a", &sums, &mut &*changed).unwrap_err();
            assert!(error.to_string().contains("a changed"), "{error}");
        }
    }

    #[test]
    fn headers_have_room_for_what_may_become_large() {
        let length = |size: u64| {
            let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
            writer.stream("a", false, size, |_| Ok::<_, ()>(())).unwrap().unwrap();
            writer.at
        };
        assert_eq!([0, 1, NARROW / 2, NARROW / 2 + 1, u64::MAX].map(length), [31, 31, 31, 51, 51]);
        let is_wide = |size, compressed| Facts { method: STORED, crc: 0, compressed, size }.is_wide();
        assert!(is_wide(NARROW, 1) && is_wide(1, NARROW) && !is_wide(NARROW - 1, NARROW - 1));
    }

    /// A member that deflate says with these bytes.
    fn deflated(bytes: Vec<u8>, content: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(content);
        let packed = Packed { method: DEFLATED, crc: crc.sum(), size: content.len() as u32, bytes };
        let mut writer = ZipWriter::new(Vec::new());
        writer.add("a", &packed).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let archive = Archive::over("a.zip".to_owned(), super::super::source::Source::Memory(bytes))?;
        let mut read = Vec::new();
        archive.reader("a")?.read_to_end(&mut read).map(|_| read)
    }

    #[test]
    fn deflated_bytes_may_say_nothing_for_long_and_are_missed_where_they_end() {
        let content = b"voxels".repeat(100);
        let end = deflate(&content).unwrap().unwrap();
        // Empty blocks, more than are read at once.
        let bytes = [[0, 0, 0, 0xff, 0xff].repeat(60_000), end.clone()].concat();
        assert_eq!(read(deflated(bytes.clone(), &content)).unwrap(), content);
        for cut in [bytes.len() - end.len(), bytes.len() - end.len() + 1, 5, 1, 0] {
            let error = read(deflated(bytes[..cut].to_vec(), &content[..1])).unwrap_err();
            assert!(error.kind() == io::ErrorKind::InvalidData, "{cut}: {error:?}");
            assert!(error.to_string().contains("end too early"), "{cut}: {error}");
        }
    }
}
