//! Any text, as what files of wkfast say in a few words: processes, states of files, mags.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::words(bytes));
