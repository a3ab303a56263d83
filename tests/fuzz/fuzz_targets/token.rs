//! Tokens, their claims and keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_jwt::fuzz_token(bytes));
