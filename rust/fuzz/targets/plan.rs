//! Any plan, as JSON and as a plan file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::plan(bytes));
