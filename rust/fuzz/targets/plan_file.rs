//! Any head and columns, as a plan file whose checksums are right.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::plan_file(bytes));
