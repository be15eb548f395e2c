//! Any bytes, as a zip file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_files::zip::fuzzing::archive(bytes));
