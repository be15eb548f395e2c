//! Any text, as `.zarray` or `zarr.json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::zarr(bytes));
