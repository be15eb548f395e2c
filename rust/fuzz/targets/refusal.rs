//! Any bytes, as what a server says of a refusal, and of its data stores.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_objects::fuzzing::refusal(bytes));
