//! LoT text, through the whole compiler.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lot_to_wasm::fuzz_compile(bytes));
