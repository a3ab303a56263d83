//! Two Clients that keep to no rule but the format; the bytes are their packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_simulation::fuzz_hostile_clients(bytes));
