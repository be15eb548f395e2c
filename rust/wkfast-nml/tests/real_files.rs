//! Files that other programs wrote, read and written back. They are found through `WKFAST_FIXTURES`.

use std::path::PathBuf;

use wkfast_nml::{Document, ReadOptions, WriteOptions, read, read_file, write};

fn fixtures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures");
    let folder = std::env::var_os("WKFAST_FIXTURES").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no fixtures at {}", folder.display());
    None
}

fn written(document: &Document) -> Vec<u8> {
    let mut out = Vec::new();
    write(document, &mut out, WriteOptions::default()).expect("written");
    out
}

#[test]
fn real_files_survive_a_round_trip() {
    let Some(folder) = fixtures() else { return };
    let files = std::fs::read_dir(folder.join("nmls")).expect("nmls").map(|entry| entry.expect("entry").path());
    for path in files {
        let loaded = read_file(&path, ReadOptions::default()).expect("a real file");
        let text = written(&loaded.document);
        let again = read(text.as_slice(), ReadOptions::default()).expect("our own file");
        let mut sorted = loaded.document.clone();
        sorted.trees.sort_by_key(|tree| tree.header.id);
        assert_eq!(again.document, sorted, "{}", path.display());
        assert_eq!(written(&again.document), text, "{}", path.display());
    }
}
