//! Any text, as what processes note of a merge.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::notes(bytes));
