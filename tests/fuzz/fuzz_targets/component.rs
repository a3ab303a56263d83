//! Uploaded binaries, judged before they are compiled.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_host::fuzz_component(bytes));
