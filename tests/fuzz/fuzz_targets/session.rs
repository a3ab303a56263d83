//! Two Clients that keep to the standard, over links that break; the bytes decide what happens
//! when.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_simulation::fuzz_two_clients(bytes));
