//! Any bytes, as a table of labels.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::labels(bytes));
