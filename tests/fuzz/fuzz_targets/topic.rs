//! Topic Names and Filters, through the rules and the indexes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lotmq_router::fuzz_topic(bytes));
