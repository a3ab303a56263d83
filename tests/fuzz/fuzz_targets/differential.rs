//! MQTT packets against two foreign implementations: the same verdicts and the same fields.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, reason = "the oracles are shared with the tests of the codec, which use more of them")]

#[path = "../../../broker/codec/tests/codec/fields.rs"]
mod fields;
#[path = "../../../broker/codec/tests/codec/oracle_v3.rs"]
mod oracle_v3;
#[path = "../../../broker/codec/tests/codec/oracle_v5.rs"]
mod oracle_v5;

static QUIET: std::sync::Once = std::sync::Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // An oracle that panics refuses; the fuzzer's hook would end the process.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let judged = std::panic::catch_unwind(|| {
        oracle_v3::check(bytes);
        oracle_v5::check(bytes);
    });
    if let Err(panic) = judged {
        eprintln!("{}", panic.downcast_ref::<String>().map_or("they disagree", String::as_str));
        std::process::abort();
    }
});
