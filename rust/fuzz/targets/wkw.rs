//! Any bytes, as the one file of a mag in WKW.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::wkw(bytes));
