use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fuzzing::Far;
use super::source::Source;
use super::{Archive, Packed, ZipWriter};

pub(super) fn zipped(files: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

struct OnDisk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn on_disk(bytes: &[u8]) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    std::fs::write(&path, bytes).unwrap();
    OnDisk { _folder: folder, path }
}

fn find_all(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    (0..=bytes.len() - what.len()).filter(|&at| bytes[at..].starts_with(what)).collect()
}

#[test]
fn a_member_costs_less_than_sixty_four_bytes() {
    // As many painted chunks, as Zarr and as WKW name them.
    for name in [
        |n: u32| format!("volumeAnnotationData/1/c/0/{}/{}/{}", n / 4096, n / 64 % 64, n % 64),
        |n: u32| format!("volumeAnnotationData/1-1-1/z{}/y{}/x{}.wkw", n / 4096, n / 64 % 64, n % 64),
    ] {
        let names: Vec<String> = (0..64 * 4096).map(name).collect();
        let mut writer = ZipWriter::new(Vec::new());
        let empty = Packed::new(b"").unwrap();
        for name in &names {
            writer.add(name, &empty).unwrap();
        }
        let file = on_disk(&writer.finish().unwrap());
        let archive = Archive::open(&file.path).unwrap();
        assert!(archive.directory_bytes() <= names.len() * 64, "{}", archive.directory_bytes() / names.len());
        assert_eq!(archive.names(), names);
        assert!(names.iter().step_by(997).all(|name| archive.size(name) == Some(0)));
    }
}

#[test]
fn members_that_share_bytes_are_refused() {
    let whole = zipped(&[("first", vec![7; 3000]), ("second", vec![7; 3000])], true);
    let entries = find_all(&whole, b"PK\x01\x02");
    let mut shared = whole.clone();
    shared[entries[1] + 42..entries[1] + 46].copy_from_slice(&whole[entries[0] + 42..entries[0] + 46]);
    let error = Archive::open(&on_disk(&shared).path).unwrap_err().to_string();
    assert!(error.contains("overlap") && error.contains("\"first\""), "{error}");
    // One byte into the data of the one before.
    let mut inner = whole;
    let at = u32::from_le_bytes(inner[entries[1] + 42..entries[1] + 46].try_into().unwrap()) - 1;
    inner[entries[1] + 42..entries[1] + 46].copy_from_slice(&at.to_le_bytes());
    assert!(Archive::open(&on_disk(&inner).path).unwrap_err().to_string().contains("overlap"));
}

#[test]
fn names_of_old_programs_are_read_in_their_character_set() {
    let mut bytes = zipped(&[("a_b", vec![1])], false);
    for at in find_all(&bytes, b"a_b") {
        bytes[at + 1] = 0x84; // ä
    }
    assert_eq!(Archive::open(&on_disk(&bytes).path).unwrap().names(), ["a\u{e4}b"]);
}

#[test]
fn an_inner_archive_larger_than_memory_allows_is_read_through_a_file() {
    let noise: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let inner = zipped(&[("noise", noise.clone()), ("b", vec![1])], false);
    let small = zipped(&[("b", vec![1])], false);
    let file = on_disk(&zipped(&[("data.zip", inner), ("small.zip", small)], true));
    let outer = Archive::open(&file.path).unwrap();
    let archive = outer.nested("data.zip").unwrap();
    assert!(!archive.is_in_memory() && outer.nested("small.zip").unwrap().is_in_memory());
    let mut end = Vec::new();
    let mut reader = archive.reader("noise").unwrap();
    reader.skip(19_999_000).unwrap();
    reader.read_to_end(&mut end).unwrap();
    assert_eq!(end, noise[19_999_000..]);
    assert_eq!(archive.describe("noise"), format!("{}!data.zip!noise", file.path.display()));
}

fn far(bytes: Vec<u8>) -> (Arc<Far>, Archive) {
    let file = Arc::new(Far::new(bytes));
    (Arc::clone(&file), Archive::open_far(file).unwrap())
}

fn content(archive: &Archive, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive.reader(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Noise, so that archives are longer than the end that is read of them first.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    (0..length).flat_map(|n| (n ^ seed).wrapping_mul(2_654_435_761).rotate_left(7).to_le_bytes()).collect()
}

#[test]
fn an_archive_far_away_holds_what_it_holds_on_a_disk() {
    for deflated in [false, true] {
        let files: Vec<_> = [("a", 90_000), ("b", 3), ("c", 0), ("d", 200_000)]
            .map(|(name, length)| (name, noise(length, length)))
            .into();
        let inner = zipped(&files, deflated);
        let (file, archive) = far(zipped(&[("text", noise(1, 70_000)), ("data.zip", inner)], false));
        let nested = archive.nested("data.zip").unwrap();
        let before = file.requests.load(Ordering::Relaxed);
        assert!(before <= 3, "the end of both, and where the inner one begins: {before}");
        for (name, bytes) in &files {
            assert_eq!(content(&nested, name), *bytes, "{name}");
        }
        assert_eq!(file.requests.load(Ordering::Relaxed) - before, 4);
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        let many = nested.read_many(&names, &|number, reader| {
            let mut bytes = Vec::new();
            reader?.read_to_end(&mut bytes)?;
            assert_eq!(bytes, files[number].1);
            Ok(())
        });
        many.unwrap();
        let [asked, at_once] = [&file.requests, &file.at_once].map(|count| count.load(Ordering::Relaxed));
        assert_eq!((asked - before, at_once), (8, 4));
        assert_eq!(content(&archive, "text"), noise(1, 70_000));
        assert!(nested.is_far() && nested.far_state().unwrap() == "today's");
        assert_eq!([archive.name(), nested.name()], ["far.zip", "far.zip!data.zip"]);
        let mut copy = ZipWriter::new(Vec::new());
        copy.copy(&nested, "d", "copied").unwrap();
        let copy = on_disk(&copy.finish().unwrap());
        assert_eq!(content(&Archive::open(&copy.path).unwrap(), "copied"), files[3].1);
    }
}

#[test]
fn a_local_header_longer_than_foreseen_is_read_in_a_second_request() {
    let bytes = noise(5, 50_000);
    let extra = vec![7; 4000];
    let mut options = zip::write::FullFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    options.add_extra_field(0x7777, extra.into_boxed_slice(), false).unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a", options).unwrap();
    writer.write_all(&bytes).unwrap();
    let (_, archive) = far(writer.finish().unwrap().into_inner());
    assert_eq!(content(&archive, "a"), bytes);
    let taken = AtomicU64::new(0);
    let many = archive.read_many(&["a"], &|_, reader| {
        let mut read = Vec::new();
        taken.fetch_add(reader?.read_to_end(&mut read)? as u64, Ordering::Relaxed);
        assert_eq!(read, bytes);
        Ok(())
    });
    many.unwrap();
    assert_eq!(taken.into_inner(), bytes.len() as u64);
}

#[test]
fn damage_far_away_is_told_of() {
    let mut bytes = zipped(&[("a", noise(1, 50_000)), ("b", noise(2, 50_000))], false);
    bytes[1000] ^= 1;
    bytes[200_100] ^= 1;
    let (_, archive) = far(bytes);
    for name in ["a", "b"] {
        let error = archive.reader(name).and_then(|mut reader| io::copy(&mut reader, &mut io::sink()));
        assert!(matches!(error.unwrap_err().kind(), io::ErrorKind::InvalidData), "{name}");
    }
}

#[test]
fn data_that_a_local_header_puts_behind_the_end_are_damage_here_and_far_away() {
    // The name in the local header is longer than the archive; the members are empty, stored and an archive.
    let inner = zipped(&[("a", Vec::new())], false);
    for content in [Vec::new(), inner] {
        let mut bytes = zipped(&[("m", content)], false);
        bytes[26..28].copy_from_slice(&u16::MAX.to_le_bytes());
        let near = Archive::over("near".to_owned(), Source::Memory(bytes.clone())).unwrap();
        let (_, far) = far(bytes);
        for archive in [near, far] {
            let faults = [archive.reader("m").map(drop), archive.nested("m").map(drop)];
            assert!(faults.iter().all(|fault| fault.as_ref().unwrap_err().kind() == io::ErrorKind::InvalidData));
        }
    }
}

#[test]
fn of_archives_in_archives_in_archives_each_lies_in_the_one_around_it() {
    let inner = zipped(&[("a", noise(1, 30_000))], false);
    let middle = zipped(&[("inner.zip", inner)], false);
    let outer = zipped(&[("middle.zip", middle)], false);
    let open = |bytes: &[u8]| {
        let near = Archive::over("near".to_owned(), Source::Memory(bytes.to_vec())).unwrap();
        [near, far(bytes.to_vec()).1]
    };
    for archive in open(&outer) {
        let innermost = archive.nested("middle.zip").unwrap().nested("inner.zip").unwrap();
        assert_eq!(content(&innermost, "a"), noise(1, 30_000));
    }
    // The local header of each in turn puts its data behind the end of the one around it, but not of the outermost.
    for (depth, header) in find_all(&outer, b"PK\x03\x04").into_iter().enumerate() {
        let mut bytes = outer.clone();
        bytes[header + 28..header + 30].copy_from_slice(&u16::MAX.to_le_bytes());
        for archive in open(&bytes) {
            let read = archive.nested("middle.zip").and_then(|middle| middle.nested("inner.zip")).and_then(|inner| {
                let mut bytes = Vec::new();
                inner.reader("a")?.read_to_end(&mut bytes).map(drop)
            });
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData, "{depth}");
        }
    }
}

fn opened(bytes: Vec<u8>) -> io::Result<Archive> {
    Archive::over("a.zip".to_owned(), Source::Memory(bytes))
}

/// Why `bytes` are no archive, nor that of which this is read.
fn refused(bytes: Vec<u8>) -> String {
    let error = opened(bytes).and_then(|archive| io::copy(&mut archive.reader("m")?, &mut io::sink())).unwrap_err();
    assert!(matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::Unsupported), "{error:?}");
    error.to_string()
}

/// `bytes` with `new` at `at`.
fn patched(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut patched = bytes.to_vec();
    patched[at..at + new.len()].copy_from_slice(new);
    patched
}

/// Of an archive of one member: where its directory begins, and its end record.
fn directory_of(bytes: &[u8]) -> (usize, usize) {
    (find_all(bytes, b"PK\x01\x02")[0], *find_all(bytes, b"PK\x05\x06").last().unwrap())
}

/// An archive of one member whose directory entry ends with `more`, whose length stands in the entry at `field`.
fn with_more(bytes: &[u8], field: usize, more: &[u8]) -> Vec<u8> {
    let (entry, end) = directory_of(bytes);
    let mut longer = patched(bytes, entry + field, &(more.len() as u16).to_le_bytes());
    let size = (end - entry + more.len()) as u32;
    longer[end + 12..end + 16].copy_from_slice(&size.to_le_bytes());
    longer.splice(end..end, more.iter().copied());
    longer
}

#[test]
fn a_directory_that_cannot_be_true_is_refused_for_what_it_says() {
    let good = zipped(&[("m", vec![7; 100])], false);
    assert_eq!(content(&opened(good.clone()).unwrap(), "m"), vec![7; 100]);
    let (entry, end) = directory_of(&good);
    let number = |value: usize| (value as u32).to_le_bytes();
    for (at, new, reason) in [
        (entry, &b"PX"[..], "damaged at entry 0"),
        (entry + 8, &[1, 0], "encrypted"),
        (entry + 10, &[99, 0], "zip method 99"),
        (entry + 16, &[0; 4], "checksum"),
        (entry + 20, &number(99), "99 bytes cannot hold the 100"),
        (entry + 20, &number(131), "overlaps the directory"),
        (entry + 20, &number(entry + 1), "outside of the archive"),
        (entry + 24, &number(101), "100 bytes cannot hold the 101"),
        (entry + 24, &[0xff; 4], "lacks its 64-bit size"),
        (entry + 42, &number(1), "overlaps the directory"),
        (entry + 42, &number(entry), "outside of the archive"),
        (entry + 42, &[0xff; 4], "lacks its 64-bit offset"),
        (entry + 46, b".", "no relative path"),
        (0, b"PX", "its local header"),
        (26, &[1, 1], "end too early"),
        (end + 10, &[2, 0], "has 1 members, its end record says 2"),
        (end + 10, &[0, 0], "has 1 members, its end record says 0"),
        (end + 12, &number(end + 1), "larger than the file"),
        (end + 12, &number(end - entry - 1), "damaged at entry 0"),
        (end + 16, &number(entry + 1), "behind its end"),
        (end + 20, &[1, 0], "no end record"),
    ] {
        let told = refused(patched(&good, at, new));
        assert!(told.contains(reason), "{at}: {told}");
    }
    for length in [0, 21, good.len() - 1] {
        assert!(refused(good[..length].to_vec()).contains("no end record"), "{length}");
    }
    // No deflated byte says more than 1,032.
    let deflated = zipped(&[("m", vec![7; 100_000])], true);
    let (entry, _) = directory_of(&deflated);
    let most = u32::from_le_bytes(deflated[entry + 20..entry + 24].try_into().unwrap()) * 1032;
    assert!(refused(patched(&deflated, entry + 24, &(most + 1032).to_le_bytes())).contains("cannot hold"));
    for possible in [most, 100_001] {
        let told = refused(patched(&deflated, entry + 24, &possible.to_le_bytes()));
        assert!(told.contains("inflates to 100000 bytes"), "{told}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["", "/", "/m", "m/", "a//m", ".", "a/./m", "..", "../m", "a/..", "a\\m", "a\0m"] {
        assert!(super::check_name(name).is_err(), "{name:?}");
    }
    for name in ["m", "a/m", "...", ".m", "a/..m", "m.."] {
        assert!(super::check_name(name).is_ok(), "{name:?}");
    }
    let bytes = zipped(&[("__/m", vec![7])], false);
    let (entry, _) = directory_of(&bytes);
    assert!(refused(patched(&bytes, entry + 46, b"../m")).contains("\"../m\" is no relative path"));
    assert_eq!(opened(patched(&bytes, entry + 46, b"a/./")).unwrap().names(), <[&str; 0]>::default());
    assert_eq!(opened(patched(&bytes, entry + 46, b"./am")).unwrap().names(), ["am"]);
}

#[test]
fn folders_are_passed_over() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_directory("a", options).unwrap();
    writer.start_file("a/m", options).unwrap();
    let archive = opened(writer.finish().unwrap().into_inner()).unwrap();
    assert_eq!(archive.names(), ["a/m"]);
    let mut listed = Vec::new();
    archive.list("a/", |name, size| listed.push((name.to_owned(), size)));
    assert_eq!(listed, [("a/m".to_owned(), 0)]);
}

#[test]
fn a_comment_is_not_taken_for_the_end() {
    let mut bytes = zipped(&[("m", vec![7; 100])], false);
    let (_, end) = directory_of(&bytes);
    // One that begins as an end record does, and ends as one of nothing would.
    let comment = [&b"PK\x05\x06"[..], &[0; 60]].concat();
    bytes[end + 20..].copy_from_slice(&(comment.len() as u16).to_le_bytes());
    bytes.extend(comment);
    assert_eq!(content(&opened(bytes).unwrap(), "m"), vec![7; 100]);
}

#[test]
fn what_lies_in_front_of_an_archive_is_no_part_of_it() {
    let bytes = zipped(&[("m", vec![7; 100])], false);
    assert_eq!(content(&opened([&b"a program"[..], &bytes].concat()).unwrap(), "m"), vec![7; 100]);
}

#[test]
fn wide_sizes_stand_behind_other_fields_and_must_stand_there() {
    let good = zipped(&[("m", vec![7; 100])], false);
    let (entry, _) = directory_of(&good);
    let wide = patched(&patched(&good, entry + 20, &[0xff; 8]), entry + 42, &[0xff; 4]);
    let field = |kind: u16, values: &[u64]| {
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [&kind.to_le_bytes()[..], &(values.len() as u16).to_le_bytes(), &values].concat()
    };
    let read = |more: &[u8]| opened(with_more(&wide, 30, more));
    for before in [vec![], field(7, &[]), field(7, &[9]), [field(7, &[9, 9]), field(8, &[9])].concat()] {
        let archive = read(&[before, field(1, &[100, 100, 0])].concat()).unwrap();
        assert_eq!(content(&archive, "m"), vec![7; 100]);
    }
    for (more, reason) in [
        (field(1, &[]), "64-bit size"),
        (field(1, &[100]), "64-bit size"),
        (field(1, &[100, 100]), "64-bit offset"),
        (field(7, &[100, 100, 0]), "64-bit size"),
        (field(1, &[100, 100, 0])[..20].to_vec(), "64-bit size"),
        (field(1, &[100, 100, u64::MAX]), "outside of the archive"),
        (field(1, &[100, u64::MAX, 0]), "outside of the archive"),
    ] {
        let told = read(&more).unwrap_err().to_string();
        assert!(told.contains(reason), "{told}");
    }
}

/// An archive with a 64-bit end record that names `start`, and is said to lie at `record`; the narrow one says as much as
/// it can.
fn wide_end(start: u64, record: impl Fn(u64) -> u64) -> Vec<u8> {
    let good = zipped(&[("m", vec![7; 100])], false);
    let (entry, end) = directory_of(&good);
    let mut bytes = good[..end].to_vec();
    bytes.extend([&b"PK\x06\x06"[..], &44_u64.to_le_bytes(), &[0; 12]].concat());
    let size = (end - entry) as u64;
    bytes.extend([1, 1, size, start].into_iter().flat_map(u64::to_le_bytes));
    bytes.extend([&b"PK\x06\x07"[..], &[0; 4], &record(end as u64).to_le_bytes(), &[1, 0, 0, 0]].concat());
    bytes.extend(&good[end..]);
    bytes
}

#[test]
fn wide_end_records_are_believed_where_they_are_some() {
    let start = directory_of(&zipped(&[("m", vec![7; 100])], false)).0 as u64;
    let good = wide_end(start, |end| end);
    let (_, end) = directory_of(&good);
    let saturated = [
        patched(&good, end + 10, &[0xff; 2]),
        patched(&good, end + 12, &[0xff; 4]),
        patched(&good, end + 16, &[0xff; 4]),
    ];
    for bytes in [good.clone()].iter().chain(&saturated) {
        assert_eq!(content(&opened(bytes.clone()).unwrap(), "m"), vec![7; 100]);
    }
    // One that is damaged, and cannot be done without.
    let record = find_all(&good, b"PK\x06\x06")[0];
    for bytes in saturated {
        assert!(refused(patched(&bytes, record, b"PX")).contains("64-bit end record is damaged"));
    }
    let length = good.len() as u64;
    for (place, reason) in [
        (length, "is damaged"),
        (length - 30, "is damaged"),
        (length + 1, "behind its end"),
        (u64::MAX, "behind its end"),
    ] {
        let told = refused(patched(&wide_end(start, |_| place), end + 10, &[0xff; 2]));
        assert!(told.contains(reason), "{place}: {told}");
    }
    for start in [start + 1000, u64::MAX] {
        assert!(refused(wide_end(start, |end| end)).contains("out of bounds"), "{start}");
    }
}

#[test]
fn a_comment_that_looks_like_a_wide_end_record_is_one_of_the_member() {
    let good = zipped(&[("m", vec![7; 100])], false);
    let looks = [&b"PK\x06\x07"[..], &[9; 16]].concat();
    assert_eq!(content(&opened(with_more(&good, 32, &looks)).unwrap(), "m"), vec![7; 100]);
}

#[test]
fn directories_larger_than_is_sensible_are_not_read() {
    let file = on_disk(b"");
    let disk = std::fs::File::create(&file.path).unwrap();
    let size = (256_u32 << 20) + 1;
    disk.set_len(size.into()).unwrap(); // a hole: nothing is stored
    let mut end = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    end[12..16].copy_from_slice(&size.to_le_bytes());
    std::os::unix::fs::FileExt::write_all_at(&disk, &end, size.into()).unwrap();
    assert!(Archive::open(&file.path).unwrap_err().to_string().contains("out of bounds"));
}

/// An archive of very many members whose end record says how many they are modulo 65,536, as old programs write it.
fn counted_narrowly(more: u16) -> Vec<u8> {
    let mut writer = ZipWriter::new(Vec::new());
    let empty = Packed::new(b"").unwrap();
    for n in 0..65_600_u32 {
        writer.add(&format!("a folder of some length/{n:06}"), &empty).unwrap();
    }
    let mut bytes = writer.finish().unwrap();
    let end = bytes.len() - 22;
    for at in [end + 8, end + 10] {
        bytes[at..at + 2].copy_from_slice(&(64 + more).to_le_bytes());
    }
    bytes.drain(end - 76..end);
    bytes
}

#[test]
fn more_members_than_the_end_record_can_count_are_all_there_here_and_far_away() {
    let bytes = counted_narrowly(0);
    // More than one request has.
    assert!(bytes.len() - find_all(&bytes[bytes.len() / 3..], b"PK\x01\x02")[0] > 4 << 20);
    for (archive, is_far) in [(opened(bytes.clone()).unwrap(), false), (far(bytes).1, true)] {
        assert_eq!((archive.is_far(), archive.far_state().is_some()), (is_far, is_far));
        assert_eq!(archive.names().len(), 65_600);
        assert_eq!(archive.size("a folder of some length/065599"), Some(0));
    }
    assert!(refused(counted_narrowly(1)).contains("has 65600 members, its end record says 65"));
}

#[test]
fn what_is_an_archive_itself_is_told_by_how_it_begins() {
    let inner = zipped(&[("a", vec![1; 3000])], false);
    let empty = zipped(&[], false);
    let files =
        [("zip", inner), ("empty", empty), ("text", b"no archive at all".repeat(20)), ("short", b"PK".to_vec())];
    for deflated in [false, true] {
        let bytes = zipped(&files, deflated);
        let file = on_disk(&bytes);
        for archive in [Archive::open(&file.path).unwrap(), far(bytes).1] {
            for is_one in ["zip", "empty"] {
                archive.probe_nested(is_one).unwrap();
                assert_eq!(archive.nested(is_one).unwrap().names().len(), usize::from(is_one == "zip"));
            }
            for (other, told) in [("text", "no zip file"), ("short", "no zip file, or cut off")] {
                let error = archive.probe_nested(other).unwrap_err();
                assert!(error.kind() == io::ErrorKind::InvalidData && error.to_string().contains(told), "{error:?}");
            }
            assert_eq!(archive.probe_nested("none").unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
    // Damage at its end shows where looking there is cheap, and else when it is opened.
    let inner = zipped(&[("a", vec![1; 3000])], false);
    let cut = [("zip", inner[..inner.len() - 1].to_vec())];
    for (deflated, shows) in [(false, true), (true, false)] {
        let archive = opened(zipped(&cut, deflated)).unwrap();
        assert_eq!((archive.probe_nested("zip").is_err(), archive.nested("zip").is_err()), (shows, true));
    }
    let (entry, _) = directory_of(&zipped(&files[..1], true));
    for (at, new, told) in [(entry + 8, 1, "encrypted"), (30 + "zip".len(), 7, "deflate")] {
        let error = opened(patched(&zipped(&files[..1], true), at, &[new])).unwrap().probe_nested("zip").unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn an_inner_archive_that_would_inflate_to_far_more_than_voxels_do_is_refused() {
    let many = zipped(&[("m", vec![7; 12 << 20])], false);
    let few = zipped(&[("m", vec![7; 2 << 20])], false);
    let giga = 1_u32 << 30;
    for (bytes, size, suspicious) in [(&few, giga + 1, true), (&few, giga, false), (&many, giga + 1, false)] {
        let (entry, _) = directory_of(bytes);
        let deflated = patched(&patched(bytes, entry + 10, &[8, 0]), entry + 24, &size.to_le_bytes());
        let error = opened(deflated).unwrap().nested("m").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string().contains("no volume data"), suspicious, "{error}");
    }
}

#[test]
fn no_more_is_passed_over_than_there_is() {
    let archive = opened(zipped(&[("m", vec![7; 100])], true)).unwrap();
    archive.reader("m").unwrap().skip(100).unwrap();
    assert_eq!(archive.reader("m").unwrap().skip(101).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
