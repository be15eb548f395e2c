use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;

use super::ZipStore;
use crate::error::VolumeError;
use crate::store::tests::zipped;
use crate::store::{ListStore, ReadStore};

const DEFLATED: zip::CompressionMethod = zip::CompressionMethod::Deflated;

struct Archive {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn archive(bytes: &[u8]) -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    std::fs::write(&path, bytes).unwrap();
    Archive { _folder: folder, path }
}

fn sample() -> Vec<u8> {
    zipped(&[("1/header.wkw", vec![7; 16]), ("1/z0/y0/x0.wkw", (0..=255).collect())], DEFLATED)
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).rposition(|window| window == what).unwrap()
}

fn open_error(bytes: &[u8]) -> String {
    ZipStore::open(&archive(bytes).path, None).unwrap_err().to_string()
}

#[test]
fn an_empty_archive_has_no_members() {
    let empty = archive(&zipped(&[], DEFLATED));
    assert!(ZipStore::open(&empty.path, None).unwrap().list("").unwrap().is_empty());
}

#[test]
fn what_is_no_zip_file_is_said_to_be_none() {
    for bytes in [&b""[..], b"PK", &[0; 100], b"<things/>"] {
        let error = open_error(bytes);
        assert!(error.contains("a.zip") && error.contains("no zip file"), "{error}");
    }
    let whole = sample();
    assert!(open_error(&whole[..whole.len() - 30]).contains("no zip file"));
}

#[test]
fn folders_are_passed_over_and_backslashes_are_slashes() {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_directory("1/", options).unwrap();
    writer.start_file("1_z0_y0_x0.wkw", options).unwrap();
    writer.write_all(b"abc").unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let windows = replace(&bytes, b"1_z0_y0_x0.wkw", b"1\\z0\\y0\\x0.wkw");
    let archive = archive(&windows);
    let store = ZipStore::open(&archive.path, None).unwrap();
    assert_eq!(store.list("").unwrap().len(), 1);
    assert_eq!(store.read("1/z0/y0/x0.wkw", 9).unwrap().unwrap(), b"abc");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    for at in 0..=out.len() - from.len() {
        if out[at..].starts_with(from) {
            out[at..at + to.len()].copy_from_slice(to);
        }
    }
    out
}

#[test]
fn bytes_before_the_archive_are_no_obstacle() {
    let archive = archive(&[&b"#!/bin/self-extractor"[..], &sample()].concat());
    let store = ZipStore::open(&archive.path, None).unwrap();
    assert_eq!(store.read("1/header.wkw", 16).unwrap().unwrap(), [7; 16]);
}

#[test]
fn members_that_climb_or_come_twice_are_refused() {
    let climbing = replace(&sample(), b"1/header.wkw", b"../../evil.w");
    assert!(open_error(&climbing).contains("no relative path"));
    let two = zipped(&[("aa", vec![1]), ("ab", vec![2])], DEFLATED);
    assert!(open_error(&replace(&two, b"ab", b"aa")).contains("two members named \"aa\""));
}

#[test]
fn encrypted_and_unknown_members_are_refused_by_name() {
    let whole = sample();
    let central = find(&whole, b"PK\x01\x02");
    for (at, value, word) in [(8, 1, "encrypted"), (10, 12, "zip method 12")] {
        let mut bytes = whole.clone();
        bytes[central + at] = value;
        let archive = archive(&bytes);
        let error = ZipStore::open(&archive.path, None).unwrap().read("1/z0/y0/x0.wkw", 999).unwrap_err();
        assert!(matches!(error, VolumeError::Unsupported { .. }));
        assert!(error.to_string().contains(word) && error.to_string().contains("a.zip!1/z0"), "{error}");
    }
}

#[test]
fn a_member_that_lies_about_its_size_is_caught() {
    let whole = sample();
    let central = find(&whole, b"PK\x01\x02");
    for size in [255_u32, 257, 1 << 30, 1 << 20] {
        let mut bytes = whole.clone();
        bytes[central + 24..central + 28].copy_from_slice(&size.to_le_bytes());
        let archive = archive(&bytes);
        let error = ZipStore::open(&archive.path, None).unwrap().read("1/z0/y0/x0.wkw", u64::MAX).unwrap_err();
        assert!(matches!(error, VolumeError::Corrupt { .. }), "{size}: {error}");
    }
}

#[test]
fn a_flipped_bit_is_caught_by_the_checksum() {
    let whole = zipped(&[("a", (0..=255).collect())], zip::CompressionMethod::Stored);
    for at in [40, 100, 200] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        let archive = archive(&bytes);
        let error = ZipStore::open(&archive.path, None).unwrap().read("a", 999).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}

#[test]
fn an_inner_archive_larger_than_memory_allows_is_read_through_a_file() {
    let noise: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let inner = zipped(&[("noise", noise.clone()), ("b", vec![1])], zip::CompressionMethod::Stored);
    let archive = archive(&zipped(&[("data.zip", inner)], DEFLATED));
    let store = ZipStore::open(&archive.path, Some("data.zip")).unwrap();
    assert_eq!(store.read_range("noise", 19_999_000..20_000_000).unwrap(), noise[19_999_000..]);
    let missing = ZipStore::open(&archive.path, Some("other.zip")).unwrap_err();
    assert!(missing.to_string().contains("a.zip!other.zip not found"), "{missing}");
}

#[test]
fn more_members_than_sixteen_bits_count_are_listed() {
    let names: Vec<String> = (0..70_000).map(|n| format!("1/z{}/y{}/x{}.wkw", n / 2500, n / 50 % 50, n % 50)).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), Vec::new())).collect();
    let archive = archive(&zipped(&files, zip::CompressionMethod::Stored)); // more than 65,535: zip64
    let store = ZipStore::open(&archive.path, None).unwrap();
    assert_eq!(store.list("1/z3/").unwrap().len(), 2500);
    assert_eq!(store.list("").unwrap().len(), 70_000);
}

#[test]
fn inner_archives_are_probed_without_inflating_them() {
    let noise: Vec<u8> = (0..1_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let good = zipped(&[("noise", noise)], zip::CompressionMethod::Stored);
    for method in [zip::CompressionMethod::Stored, DEFLATED] {
        let members = [
            ("good", good.clone()),
            ("vacant", zipped(&[], DEFLATED)),
            ("empty", Vec::new()),
            ("text", b"<things/>".to_vec()),
        ];
        let archive = archive(&zipped(&members, method));
        let store = ZipStore::open(&archive.path, None).unwrap();
        for name in ["good", "vacant"] {
            store.probe_nested(name).unwrap();
        }
        for name in ["empty", "text"] {
            let error = store.probe_nested(name).unwrap_err().to_string();
            assert!(error.contains(&format!("a.zip!{name}")) && error.contains("no zip file"), "{error}");
        }
        assert!(store.probe_nested("missing").unwrap_err().to_string().contains("not found"));
    }
}

proptest! {
    #[test]
    fn damaged_archives_never_panic(at in 0..400_usize, value: u8, cut in 0..50_usize) {
        let mut bytes = sample();
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(length - cut);
        let archive = archive(&bytes);
        if let Ok(store) = ZipStore::open(&archive.path, None) {
            for entry in store.list("").unwrap() {
                let _ = store.read(&entry.key, 1 << 20);
                let _ = store.read_range(&entry.key, 3..9);
            }
        }
    }
}

/// `sample` with the 64-bit end record that Python writes from 2 GiB on, though the narrow one says everything.
fn with_wide_end(preamble: &[u8]) -> Vec<u8> {
    let plain = sample();
    let end = find(&plain, b"PK\x05\x06");
    let narrow = |at: usize| u64::from(u32::from_le_bytes(plain[end + at..end + at + 4].try_into().unwrap()));
    let (size, start) = (narrow(12), narrow(16));
    let mut bytes = [preamble, &plain[..end]].concat();
    let wide_at = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [2, 2, size, start] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(wide_at.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(&plain[end..]);
    bytes
}

#[test]
fn a_wide_end_record_counts_where_the_narrow_one_would_do() {
    let archive = archive(&with_wide_end(b""));
    let store = ZipStore::open(&archive.path, None).unwrap();
    assert_eq!(store.list("").unwrap().len(), 2);
    assert_eq!(store.read("1/header.wkw", 100).unwrap(), Some(vec![7; 16]));
}

#[test]
fn a_locator_that_points_nowhere_is_no_panic() {
    let mut bytes = with_wide_end(b"");
    let locator = find(&bytes, b"PK\x06\x07");
    bytes[locator + 8..locator + 16].fill(0xff);
    assert!(open_error(&bytes).contains("directory"));
}
