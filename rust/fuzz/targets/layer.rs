//! Any files, as the data zip of a layer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::layer(bytes));
