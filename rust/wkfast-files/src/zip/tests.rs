use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

use super::Archive;

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
