//! Rows of every table of the store.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_store::fuzz_row(bytes));
