//! Any bytes, as what a codec made.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::codecs(bytes));
