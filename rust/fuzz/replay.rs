//! What fuzzing found worth keeping, checked in every test run as the fuzzer does.

use std::panic;
use std::path::Path;

/// Has `check` look at every kept input of `target`, and names the one of which it does not hold.
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("a corpus").map(|file| file.expect("a file").path());
    let mut count = 0;
    for file in files {
        let bytes = std::fs::read(&file).expect("its bytes");
        if let Err(fault) = panic::catch_unwind(|| check(&bytes)) {
            eprintln!("{}", file.display());
            panic::resume_unwind(fault);
        }
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
