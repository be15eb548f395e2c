//! Any bytes, as a file of a Zarr array: a shard, or a chunk.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wkfast_volume::fuzzing::shard(bytes));
