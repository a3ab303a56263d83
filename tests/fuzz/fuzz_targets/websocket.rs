//! WebSocket: handshakes, and frames of both sides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_websocket::fuzz_websocket(bytes));
