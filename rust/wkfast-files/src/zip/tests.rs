use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fuzzing::Far;
use super::{Archive, ZipWriter};

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
        let mut writer = super::ZipWriter::new(Vec::new());
        let empty = super::Packed::new(b"").unwrap();
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
        assert_eq!(content(&archive, "text"), noise(1, 70_000));
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
        let near = Archive::over("near".to_owned(), super::source::Source::Memory(bytes.clone())).unwrap();
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
        let near = Archive::over("near".to_owned(), super::source::Source::Memory(bytes.to_vec())).unwrap();
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
