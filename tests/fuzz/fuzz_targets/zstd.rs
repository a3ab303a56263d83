//! The zstd stream transport, both ends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_zstd::fuzz_zstd(bytes));
