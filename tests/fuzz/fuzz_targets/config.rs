//! The configuration file and what Config/New sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_config::fuzz_config(bytes));
