//! What fuzzing found worth keeping, checked as the fuzzer does.

#[path = "../fuzz/fuzz_targets/check.rs"]
mod check;

#[test]
fn what_holds_of_any_bytes_holds_of_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/read");
    let files: Vec<_> = std::fs::read_dir(folder).expect(folder).map(|file| file.expect("a file").path()).collect();
    assert!(files.len() > 300, "{} files", files.len());
    for file in files {
        let bytes = std::fs::read(&file).expect("its bytes");
        if let Err(panic) = std::panic::catch_unwind(|| check::check(&bytes)) {
            eprintln!("{}", file.display());
            std::panic::resume_unwind(panic);
        }
    }
}
