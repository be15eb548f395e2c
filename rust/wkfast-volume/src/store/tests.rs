//! The stores of this crate, each held to what every store must do, and what is special about each.

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use crate::error::VolumeError;

use super::batch::read_all;
use super::conformance::{Files, conforms, keys, sample};
use super::far_file::zip_in;
use super::{
    Container, CountingStore, DirectoryStore, DiskStore, Fetch, MemoryStore, Origin, Part, ReadStore, SharedStore,
    SlowStore, Stamp, ZipStore, list,
};

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
    list(&store, "").unwrap();
    store.size("a.txt").unwrap();
    store.read_batch(&[Fetch { origin: Origin::Key("a.txt"), part: Part::Range(0..2) }], &|_, _| Ok(())).unwrap();
    let counts = store.counts();
    assert_eq!((counts.reads, counts.bytes, counts.lists, counts.batches, counts.stats), (3, 6, 1, 1, 1));
}

#[test]
fn a_slow_store_conforms() {
    conforms(|files| Arc::new(SlowStore::new(in_memory(files), Duration::from_micros(50), 8)));
}

#[test]
fn requests_of_a_batch_wait_together() {
    const TOGETHER: usize = 16;
    let store = SlowStore::new(in_memory(&sample()), Duration::from_millis(1), TOGETHER);
    let fetches = vec![Fetch { origin: Origin::Key("a.txt"), part: Part::Range(0..2) }; 3 * TOGETHER];
    // Nobody passes before so many have come.
    let all = Barrier::new(TOGETHER);
    store
        .read_batch(&fetches, &|_, _| {
            all.wait();
            Ok(())
        })
        .unwrap();
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

/// A store over the zip file `bytes` somewhere far away, and what counts the reads of it.
fn far_zip(bytes: Vec<u8>, member: Option<&str>) -> (Arc<CountingStore>, ZipStore) {
    let counting = Arc::new(CountingStore::new(in_memory(&[("a.zip", bytes)])));
    let store = ZipStore::open_far(zip_in(counting.clone(), "a.zip", None).unwrap(), member).unwrap();
    (counting, store)
}

#[test]
fn zip_stores_over_objects_conform_stored_and_deflated_alone_and_nested() {
    let methods = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated];
    for inner in methods {
        conforms(|files| Arc::new(far_zip(zipped(files, inner), None).1));
        for outer in methods {
            conforms(|files| {
                let members = [("a.nml", b"<things/>".to_vec()), ("data.zip", zipped(files, inner))];
                Arc::new(far_zip(zipped(&members, outer), Some("data.zip")).1)
            });
        }
    }
}

#[test]
fn members_of_an_archive_far_away_are_asked_for_together() {
    let noise: Vec<u8> = (0..250_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let names: Vec<String> = (0..20).map(|n| format!("z{n}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), noise.clone())).collect();
    let (counting, store) = far_zip(zipped(&files, zip::CompressionMethod::Stored), None);
    let before = counting.counts();
    assert_eq!((before.reads, before.batches), (1, 1), "the end of a small directory is all of it");
    let fetches: Vec<_> =
        names[5..8].iter().map(|name| Fetch { origin: Origin::Key(name), part: Part::Whole(u64::MAX) }).collect();
    let read = read_all(&store, &fetches).unwrap();
    assert!(read.into_iter().all(|bytes| bytes.unwrap() == noise));
    let after = counting.counts();
    assert_eq!((after.reads - before.reads, after.batches - before.batches), (3, 1));
    assert!(after.bytes - before.bytes < 3 * (noise.len() as u64 + 400));
}

#[test]
fn a_state_is_the_same_as_text() {
    let known = Stamp { size: 7, modified: Some(SystemTime::now()), inode: Some(u64::MAX) };
    for stamp in [known, Stamp { modified: None, ..known }, Stamp { inode: None, ..known }] {
        assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
    }
    for wrong in ["", "7", "7 - - -", "a - -", "7 x -", "7 - g"] {
        assert!(wrong.parse::<Stamp>().is_err(), "{wrong}");
    }
}

#[test]
fn an_archive_whose_state_is_known_is_asked_for_nothing_more() {
    let memory = in_memory(&[("a.zip", zipped(&sample(), zip::CompressionMethod::Stored))]);
    let state = memory.stamp("a.zip").unwrap();
    let counting = Arc::new(CountingStore::new(memory));
    let file = zip_in(counting.clone(), "a.zip", state).unwrap();
    assert_eq!(counting.counts(), crate::store::Requests::default());
    let store = ZipStore::open_far(file, None).unwrap();
    assert_eq!(store.read("a.txt", 9).unwrap().unwrap(), b"alpha");
    assert_eq!(store.archive_state(), state.map(|state| state.to_string()));
}

#[test]
fn an_archive_far_away_that_changes_is_not_read_on() {
    let memory = Arc::new(MemoryStore::default());
    memory.insert("a.zip", zipped(&sample(), zip::CompressionMethod::Deflated)).unwrap();
    let store = ZipStore::open_far(zip_in(memory.clone(), "a.zip", None).unwrap(), None).unwrap();
    memory.insert("a.zip", b"something else".to_vec()).unwrap();
    let error = store.read("layer/1/header.wkw", 100).unwrap_err();
    assert!(matches!(error, VolumeError::Changed { .. }), "{error}");
    let fetch = Fetch { origin: Origin::Key("layer/1/header.wkw"), part: Part::Whole(100) };
    assert!(matches!(read_all(&store, &[fetch]).unwrap_err(), VolumeError::Changed { .. }));
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
    // Those that cannot be read are listed: whoever reads all that is listed must come upon them.
    assert_eq!(keys(&store, ""), ["file_in", "file_out", "real/a"]);
    assert!(list(&store, "folder_out/").is_err());
}

#[test]
fn what_is_there_and_cannot_be_read_is_listed_and_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("nowhere", place("dangling")).unwrap();
    std::os::unix::fs::symlink("circle", place("circle")).unwrap();
    std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, place("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::create_dir_all(place("x1.wkw")).unwrap();
    std::fs::create_dir_all(place("z0/y0/7")).unwrap();
    std::fs::write(place("z0/y0/7/something"), b"else").unwrap();
    std::os::unix::fs::symlink("z0", place("x2.wkw")).unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    assert_eq!(keys(&store, "z0/"), ["z0/y0/7", "z0/y0/7/something"]);
    std::fs::remove_dir_all(place("z0/y0")).unwrap();
    let names = ["circle", "dangling", "fifo", "socket", "x1.wkw", "x2.wkw", "z0"];
    assert_eq!(keys(&store, ""), names);
    for key in names {
        assert!(store.read(key, 100).is_err() && store.size(key).is_err() && store.stamp(key).is_err(), "{key}");
        assert!(store.open_file(key).is_err() && store.read_into(key, 0, &mut []).is_err(), "{key}");
    }
    assert!(list(&store, "").unwrap().iter().all(|entry| entry.size > 0));
}

#[test]
fn links_to_folders_of_chunks_are_not_left_out_of_a_listing_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    for (name, target) in [("z0", std::path::Path::new("real")), ("c", outside.path()), ("17", outside.path())] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = list(&store, "").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("link to a folder"), "{error}");
        std::fs::remove_file(link).unwrap();
    }
}
