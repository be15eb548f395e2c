//! What every store must do, as one function that each is run through: those of this crate, and those of others.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use super::{BucketStore, Fetch, Found, ListStore, Origin, Part, ReadStore, SharedStore, WriteStore, list};
use crate::error::{Result, VolumeError};

/// Keys and contents.
pub type Files<'a> = &'a [(&'a str, Vec<u8>)];

/// Contents that a store is tried with.
pub fn sample() -> Vec<(&'static str, Vec<u8>)> {
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

/// Keys that start with `prefix`, sorted.
///
/// # Panics
/// Where the store cannot list them.
pub fn keys(store: &dyn ReadStore, prefix: &str) -> Vec<String> {
    let mut keys: Vec<_> = list(store, prefix).unwrap().into_iter().map(|entry| entry.key).collect();
    keys.sort();
    keys
}

/// Runs a store that `make` fills with the files it is given through all that a store must do. What only some stores can
/// is tried where the store says that it can.
///
/// # Panics
/// Where the store does otherwise.
pub fn conforms(make: impl Fn(Files<'_>) -> SharedStore) {
    let files = sample();
    let store = make(&files);
    reads_what_was_put_in(&store, &files);
    reads_batches(&*store, &files);
    ends_a_batch_at_the_first_error(&*store);
    knows_what_is_absent(&*store);
    refuses_keys_that_are_no_relative_paths(&*store);
    refuses_more_than_the_file_has(&*store);
    if let Some(lister) = store.lister() {
        lists_by_prefix(&*store, lister, &files);
    }
    if store.disk().is_some() {
        holds_files_open(&*store);
    }
    if let Some(writer) = store.writer() {
        replaces_files_whole_or_not_at_all(&*store, writer);
        tells_a_replaced_file_from_the_one_before(&*store, writer);
        lets_one_write_at_a_time(&*store, writer);
    }
    if let Some(bucket) = store.bucket() {
        tells_who_came_first(&*store, bucket);
        takes_objects_in_parts(&*store, bucket);
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
                    let (range, stamp) = (start as u64..end as u64, store.stamp(key).unwrap().unwrap());
                    let mut streamed = Vec::new();
                    store.stream(key, range, stamp).unwrap().read_to_end(&mut streamed).unwrap();
                    assert_eq!(streamed, bytes[start..end], "{key}");
                    assert_eq!(store.size(key).unwrap(), Some(bytes.len() as u64));
                    assert_eq!(store.stamp(key).unwrap().unwrap().size, bytes.len() as u64);
                }
            });
        }
    });
}

/// What came of each fetch, by its number.
type Answers = BTreeMap<usize, Option<Vec<u8>>>;

fn fetch(store: &dyn ReadStore, fetches: &[Fetch<'_>]) -> Result<Answers> {
    let answers = Mutex::new(Answers::new());
    store.read_batch(fetches, &|number, found: Option<Found<'_>>| {
        let bytes = found.map(|found| std::mem::take(found.bytes));
        let before = answers.lock().unwrap().insert(number, bytes);
        assert!(before.is_none(), "fetch {number} was answered twice");
        Ok(())
    })?;
    Ok(answers.into_inner().unwrap())
}

fn reads_batches(store: &dyn ReadStore, files: Files<'_>) {
    assert!(fetch(store, &[]).unwrap().is_empty());
    let parts = |length: u64| {
        let inner = length / 3..length - length / 5;
        [
            Part::Whole(length),
            Part::Start(3),
            Part::End(3),
            Part::Start(1 << 40),
            Part::End(1 << 40),
            Part::Range(inner),
        ]
    };
    let (mut fetches, mut expected) = (Vec::new(), Vec::new());
    for (key, bytes) in files {
        for part in parts(bytes.len() as u64) {
            let range = part.range(bytes.len() as u64);
            expected.push(Some(bytes[range.start as usize..range.end as usize].to_vec()));
            fetches.push(Fetch { origin: Origin::Key(key), part });
        }
        let stamp = store.stamp(key).unwrap().unwrap();
        expected.push(Some(bytes.clone()));
        fetches.push(Fetch { origin: Origin::State(key, stamp), part: Part::Range(0..stamp.size) });
    }
    for part in [Part::Whole(9), Part::Start(9), Part::End(9)] {
        expected.push(None);
        fetches.push(Fetch { origin: Origin::Key("absent"), part });
    }
    let answers = fetch(store, &fetches).unwrap();
    assert!(answers.into_iter().eq(expected.into_iter().enumerate()));
}

fn ends_a_batch_at_the_first_error(store: &dyn ReadStore) {
    let of = |key: &'static str, part: Part| Fetch { origin: Origin::Key(key), part };
    for bad in [
        of("absent", Part::Range(0..1)),
        of("a.txt", Part::Range(3..9)),
        of("a.txt", Part::Whole(4)),
        of("../a.txt", Part::Whole(9)),
    ] {
        for batch in [vec![bad.clone()], vec![of("a.txt", Part::Whole(9)), bad.clone(), of("layer2/x", Part::End(1))]] {
            assert!(fetch(store, &batch).is_err(), "{bad:?}");
        }
    }
    let many = vec![of("a.txt", Part::Whole(9)); 100];
    let refused = store.read_batch(&many, &|_, _| Err(VolumeError::Mismatch("enough".to_owned())));
    assert_eq!(refused.unwrap_err().to_string(), "enough");
}

fn knows_what_is_absent(store: &dyn ReadStore) {
    // A folder is no object; on a disk one in the place of a file is an error.
    let folders: &[&str] = if store.disk().is_some() { &[] } else { &["layer", "layer/1"] };
    for key in ["b.txt", "a.txt/b", "layer/1/z0/y0/x1.wkw"].iter().chain(folders) {
        assert_eq!(store.size(key).unwrap(), None, "{key}");
        assert_eq!(store.stamp(key).unwrap(), None, "{key}");
        assert_eq!(store.read(key, 100).unwrap(), None, "{key}");
        assert!(store.read_range(key, 0..1).is_err(), "{key}");
    }
}

fn refuses_keys_that_are_no_relative_paths(store: &dyn ReadStore) {
    for key in ["", "/a.txt", "../a.txt", "layer/../a.txt", "./a.txt", "layer//1", "a.txt/", "a\0", "layer\\1"] {
        assert!(matches!(store.read(key, 100), Err(VolumeError::Corrupt { .. })), "{key:?}");
        assert!(store.size(key).is_err() && store.read_range(key, 0..0).is_err(), "{key:?}");
        assert!(store.disk().is_none_or(|disk| disk.open_file(key).is_err() && disk.place(key).is_err()), "{key:?}");
        assert!(store.writer().is_none_or(|writer| writer.replace(key, 0).is_err()), "{key:?}");
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

fn lists_by_prefix(store: &dyn ReadStore, lister: &dyn ListStore, files: Files<'_>) {
    assert_eq!(keys(store, ""), files.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>());
    assert_eq!(keys(store, "layer/1/"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw"]);
    assert_eq!(keys(store, "layer/1"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw", "layer/10/header.wkw"]);
    assert_eq!(keys(store, "lay"), ["layer/1/header.wkw", "layer/1/z0/y0/x0.wkw", "layer/10/header.wkw", "layer2/x"]);
    assert!(keys(store, "nothing/here/").is_empty());
    for entry in lister.list("").unwrap() {
        assert_eq!(store.size(&entry.key).unwrap(), Some(entry.size));
    }
}

/// What is read of a file that is held open is of that file, whatever takes its name.
fn holds_files_open(store: &dyn ReadStore) {
    let disk = store.disk().unwrap();
    assert!(disk.pin("absent").unwrap().is_none() && disk.open_file("absent").unwrap().is_none());
    assert_eq!(disk.open_file("a.txt").unwrap().unwrap().metadata().unwrap().len(), 5);
    let held = disk.pin("a.txt").unwrap().unwrap();
    assert_eq!(Some(held.stamp()), store.stamp("a.txt").unwrap());
    std::fs::remove_file(disk.place("a.txt").unwrap()).unwrap();
    std::fs::write(disk.place("a.txt").unwrap(), "omega").unwrap();
    let answers = fetch(store, &[Fetch { origin: Origin::Pinned(&held), part: Part::Range(1..3) }]).unwrap();
    assert_eq!(answers[&0].as_deref(), Some(&b"lp"[..]));
    std::fs::write(disk.place("a.txt").unwrap(), "alpha").unwrap();
}

fn put(writer: &dyn WriteStore, key: &str, content: &[u8]) {
    let mut file = writer.replace(key, 1 << 10).unwrap();
    file.write_all(content).unwrap();
    file.sync().unwrap();
    assert!(file.place().unwrap());
}

fn replaces_files_whole_or_not_at_all(store: &dyn ReadStore, writer: &dyn WriteStore) {
    let key = "new/folder/file";
    for (before, after) in [(None, &b"first"[..]), (Some(&b"first"[..]), b"the second")] {
        let mut file = writer.replace(key, 2).unwrap();
        file.write_all(b"never to be seen").unwrap();
        drop(file);
        assert_eq!(store.read(key, 99).unwrap().as_deref(), before);
        put(writer, key, after);
        assert_eq!(store.read(key, 99).unwrap().as_deref(), Some(after));
    }
    assert!(writer.replace(key, 0).unwrap().remove_target().unwrap());
    assert_eq!(store.read(key, 99).unwrap(), None);
    assert!(store.lister().is_none() || keys(store, "new/").is_empty(), "something is left over");
}

fn tells_a_replaced_file_from_the_one_before(store: &dyn ReadStore, writer: &dyn WriteStore) {
    put(writer, "changing", b"first");
    let stamp = store.stamp("changing").unwrap().unwrap();
    put(writer, "changing", b"other");
    let fetches = [Fetch { origin: Origin::State("changing", stamp), part: Part::Range(0..5) }];
    assert!(matches!(fetch(store, &fetches), Err(VolumeError::Changed { .. })));
    put(writer, "changing", b"cut");
    assert!(matches!(fetch(store, &fetches), Err(VolumeError::Changed { .. })));
    writer.replace("changing", 0).unwrap().remove_target().unwrap();
    assert!(matches!(fetch(store, &fetches), Err(VolumeError::Changed { .. })));
}

/// Each of several writers adds a byte to what it finds once the file is its own.
fn lets_one_write_at_a_time(store: &dyn ReadStore, writer: &dyn WriteStore) {
    const WRITERS: usize = 8;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let mut file = writer.replace("counted", 0).unwrap();
                let mut content = store.read("counted", 99).unwrap().unwrap_or_default();
                content.push(b'x');
                file.write_all(&content).unwrap();
                assert!(file.place().unwrap());
            });
        }
    });
    assert_eq!(store.read("counted", 99).unwrap().unwrap(), [b'x'; WRITERS]);
    writer.replace("counted", 0).unwrap().remove_target().unwrap();
}

fn tells_who_came_first(store: &dyn ReadStore, bucket: &dyn BucketStore) {
    let key = "new/decided";
    let put = |content: &[u8], expected| bucket.put_if(key, content.to_vec(), expected).unwrap();
    let first = put(b"one", None).unwrap();
    assert_eq!(put(b"two", None), None);
    let (content, read) = bucket.read_version(key, 3).unwrap().unwrap();
    assert_eq!((&content[..], &read), (&b"one"[..], &first));
    assert!(bucket.read_version(key, 2).is_err());
    let second = put(b"two", Some(&first)).unwrap();
    assert_eq!(put(b"three", Some(&first)), None);
    assert_eq!(store.read(key, 9).unwrap().unwrap(), b"two");
    bucket.put(key, b"four".to_vec()).unwrap();
    assert_eq!(put(b"five", Some(&second)), None);
    bucket.release(key, &|content| content == b"one").unwrap();
    assert!(store.size(key).unwrap().is_some());
    bucket.release(key, &|content| content == b"four").unwrap();
    assert!(store.size(key).unwrap().is_none());
    bucket.release(key, &|_| true).unwrap();
    bucket.put(key, b"four".to_vec()).unwrap();
    bucket.remove(&[key.to_owned(), "new/absent".to_owned()]).unwrap();
    assert_eq!(put(b"six", Some(&second)), None);
    assert!(bucket.read_version(key, 9).unwrap().is_none());
}

/// The first bytes are rewritten when the last ones have been sent, as tables of shards are.
fn takes_objects_in_parts(store: &dyn ReadStore, bucket: &dyn BucketStore) {
    let key = "new/parts";
    for length in [0, 5, 9 << 20, 17 << 20] {
        let mut expected: Vec<u8> = (0..length).map(|number| (number / 3) as u8).collect();
        let mut upload = bucket.upload(key).unwrap();
        for piece in expected.chunks(700_001) {
            upload.write_all(piece).unwrap();
        }
        assert_eq!(upload.stream_position().unwrap(), length as u64);
        if length > 5 {
            upload.seek(SeekFrom::Start(3)).unwrap();
            upload.write_all(b"early").unwrap();
            expected[3..8].copy_from_slice(b"early");
            assert_eq!(upload.seek(SeekFrom::End(0)).unwrap(), length as u64);
            upload.write_all(b"late").unwrap();
            expected.extend(b"late");
        }
        assert_eq!(upload.finish().unwrap(), expected.len() as u64);
        assert!(store.read(key, 64 << 20).unwrap().unwrap() == expected, "{length}");
        let mut given_up = bucket.upload(key).unwrap();
        given_up.write_all(&expected).unwrap();
        drop(given_up);
        assert_eq!(store.size(key).unwrap(), Some(expected.len() as u64));
    }
    bucket.remove(&[key.to_owned()]).unwrap();
}
