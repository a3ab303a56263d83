//! MQTT packets of every version, from both sides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_codec::fuzz_packet(bytes));
