//! Messages of SCRAM, through the server's side of an exchange.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_auth::fuzz_scram(bytes));
