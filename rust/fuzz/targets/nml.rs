//! Any text, as NML.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_nml::fuzzing::nml(bytes));
