//! Payloads of commands, taken apart.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_operations::fuzz_command(bytes));
