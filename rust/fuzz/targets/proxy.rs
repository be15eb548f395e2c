//! Any bytes, as a proxy's answer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_http::fuzzing::proxy(bytes));
