//! Any text, as what a target says of its merge.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::target(bytes));
