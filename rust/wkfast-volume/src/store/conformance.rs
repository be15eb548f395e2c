//! What every store must do, as one function that each is run through.

use std::io::Write;
use std::sync::Arc;

use super::{Container, CountingStore, DirectoryStore, MemoryStore, ReadStore, SharedStore, ZipStore};
use crate::error::VolumeError;

type Files<'a> = &'a [(&'a str, Vec<u8>)];

fn sample() -> Vec<(&'static str, Vec<u8>)> {
    let long: Vec<u8> = (0..400_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    vec![
        ("a.txt", b"alpha".to_vec()),
        ("empty", Vec::new()),
        ("layer/1/header.wkw", vec![1; 16]),
        ("layer/1/z0/y0/x0.wkw", long),
        ("layer/10/header.wkw", vec![2; 16]),
        ("layer2/x", vec![3]),
    ]
}

fn keys(store: &dyn ReadStore, prefix: &str) -> Vec<String> {
    let mut keys: Vec<_> = store.list(prefix).unwrap().into_iter().map(|entry| entry.key).collect();
    keys.sort();
    keys
}

fn conforms(make: impl Fn(Files<'_>) -> SharedStore) {
    let files = sample();
    let store = make(&files);
    lists_by_prefix(&*store, &files);
    reads_what_was_put_in(&store, &files);
    knows_what_is_absent(&*store);
    refuses_keys_that_are_no_relative_paths(&*store);
    refuses_more_than_the_file_has(&*store);
}

fn lists_by_prefix(store: &dyn ReadStore, files: Files<'_>) {
    assert_eq!(keys(store, ""), files.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>());
    assert_eq!(keys(store, "layer/1/"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw"]);
    assert_eq!(keys(store, "layer/1"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw", "layer/10/header.wkw"]);
    assert_eq!(keys(store, "lay"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw", "layer/10/header.wkw", "layer2/x"]);
    assert!(keys(store, "nothing/here/").is_empty());
    for entry in store.list("").unwrap() {
        assert_eq!(store.size(&entry.key).unwrap(), Some(entry.size));
    }
}

fn reads_what_was_put_in(store: &SharedStore, files: Files<'_>) {
    std::thread::scope(|scope| {
        for (key, bytes) in files {
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(store.read(key, u64::MAX).unwrap().as_ref(), Some(bytes), "{key}");
                    let (start, end) = (bytes.len() / 3, bytes.len() - bytes.len() / 5);
                    assert_eq!(store.read_range(key, start as u64..end as u64).unwrap(), bytes[start..end], "{key}");
                }
            });
        }
    });
}

fn knows_what_is_absent(store: &dyn ReadStore) {
    for key in ["b.txt", "layer", "layer/1", "a.txt/b", "layer/1/z0/y0/x1.wkw"] {
        assert_eq!(store.size(key).unwrap(), None, "{key}");
        assert_eq!(store.read(key, 100).unwrap(), None, "{key}");
        assert!(store.open_file(key).unwrap().is_none(), "{key}");
        assert!(store.read_range(key, 0..1).is_err(), "{key}");
    }
}

fn refuses_keys_that_are_no_relative_paths(store: &dyn ReadStore) {
    for key in ["", "/a.txt", "../a.txt", "layer/../a.txt", "./a.txt", "layer//1", "a.txt/", "a\0", "layer\\1"] {
        assert!(matches!(store.read(key, 100), Err(VolumeError::Corrupt { .. })), "{key:?}");
        assert!(store.size(key).is_err() && store.read_range(key, 0..0).is_err(), "{key:?}");
    }
}

fn refuses_more_than_the_file_has(store: &dyn ReadStore) {
    let error = store.read("a.txt", 4).unwrap_err().to_string();
    assert!(error.contains("a.txt") && error.contains("5 bytes"), "{error}");
    for range in [0..6, 5..6, 6..7, u64::MAX - 1..u64::MAX] {
        let error = store.read_range("a.txt", range).unwrap_err();
        assert!(error.to_string().contains("a.txt"), "{error}");
    }
    assert_eq!(store.read_range("a.txt", 5..5).unwrap(), b"");
}

fn in_memory(files: Files<'_>) -> SharedStore {
    let store = MemoryStore::default();
    for (key, bytes) in files {
        store.insert(key, bytes.clone()).unwrap();
    }
    Arc::new(store)
}

pub(crate) fn zipped(files: Files<'_>, method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (key, bytes) in files {
        writer.start_file(*key, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn the_memory_store_conforms() {
    conforms(in_memory);
}

#[test]
fn the_counting_store_conforms_and_counts() {
    conforms(|files| Arc::new(CountingStore::new(in_memory(files))));
    let store = CountingStore::new(in_memory(&sample()));
    store.read_range("a.txt", 1..4).unwrap();
    store.read("layer2/x", 9).unwrap();
    store.list("").unwrap();
    let counts = store.counts();
    assert_eq!((counts.reads, counts.bytes, counts.lists, counts.files), (2, 4, 1, 0));
}

#[test]
fn the_directory_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|files| {
        for (key, bytes) in files {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Arc::new(DirectoryStore::open(folder.path()).unwrap())
    });
}

#[test]
fn zip_stores_conform_stored_and_deflated_alone_and_nested() {
    let folder = tempfile::tempdir().unwrap();
    let methods = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated];
    for inner in methods {
        let path = folder.path().join("plain.zip");
        conforms(|files| {
            std::fs::write(&path, zipped(files, inner)).unwrap();
            Arc::new(ZipStore::open(&path, None).unwrap())
        });
        for outer in methods {
            let path = folder.path().join("outer.zip");
            conforms(|files| {
                let data = zipped(files, inner);
                std::fs::write(&path, zipped(&[("a.nml", b"<things/>".to_vec()), ("data.zip", data)], outer)).unwrap();
                Container::Zip { path: path.clone(), member: Some("data.zip".to_owned()) }.open().unwrap()
            });
        }
    }
}

#[test]
fn the_directory_store_hands_out_files_that_the_kernel_can_copy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), b"alpha").unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    assert_eq!(store.open_file("a").unwrap().unwrap().metadata().unwrap().len(), 5);
}

#[test]
fn links_that_lead_out_of_the_directory_are_refused_and_inner_ones_followed() {
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    std::fs::write(folder.path().join("real/a"), b"alpha").unwrap();
    let link = |to: &std::path::Path, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    link(&outside.path().join("secret"), "file_out");
    link(outside.path(), "folder_out");
    link(std::path::Path::new("real/a"), "file_in");
    link(std::path::Path::new("real"), "folder_in");
    link(std::path::Path::new("."), "loop");
    let store = DirectoryStore::open(folder.path()).unwrap();
    for key in ["file_out", "folder_out/secret"] {
        let error = store.read(key, 100).unwrap_err().to_string();
        assert!(error.contains("leads out of"), "{error}");
        assert!(store.open_file(key).is_err());
    }
    assert_eq!(store.read("file_in", 100).unwrap().unwrap(), b"alpha");
    assert_eq!(store.read("folder_in/a", 100).unwrap().unwrap(), b"alpha");
    assert_eq!(keys(&store, ""), ["file_in", "real/a"]);
    assert!(store.list("folder_out/").is_err());
}
