//! Any text, as the address of a bucket with its options.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_objects::fuzzing::address(bytes));
