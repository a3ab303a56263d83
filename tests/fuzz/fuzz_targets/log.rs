//! The store's log: chunks, records, and what they do to the index.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_store::fuzz_log(bytes));
