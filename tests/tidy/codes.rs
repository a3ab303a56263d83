//! Every code that the broker and the tools tell is explained, and nothing is explained that nobody tells.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::files::{Source, sources};

/// Upper-case words in quotes that are no codes: keys of routes, environment variables.
const NO_CODES: [&str; 43] = [
    "ACTIVITY_TIMEOUT",
    "ALLOW_HOSTS",
    "ALLOW_UNTRUSTED_CERTS",
    "BATCH_BYTES",
    "BATCH_LINGER",
    "BATCH_SIZE",
    "BROKER_ADDRESS",
    "BUFFER_MAX_BYTES",
    "BUFFER_MODE",
    "BUFFER_TTL_SEC",
    "CLIENT_CERT",
    "CLIENT_CERT_PASS",
    "CLIENT_CERT_PATH",
    "CLIENT_KEY",
    "CLIENT_KEY_PATH",
    "CONFIG_PATH",
    "DESTINATION_TOPIC",
    "ERROR_TOPIC",
    "EVERY_MS",
    "IGNORE_CERT_ERRORS",
    "LOOPBACK_CONFIG",
    "MAX_ROWS",
    "MODBUS_TCP",
    "MQTT_CONFIG",
    "OVERLOAD_CAPACITY",
    "OVERLOAD_POLICY",
    "OVERLOAD_TIMEOUT",
    "REST_API",
    "ROUTE_CONFIG",
    "SERVER_CA_CERT",
    "SERVER_CA_CERT_PATH",
    "SOURCE_TOPIC",
    "STATE_DIRECTORY",
    "STORAGE_DIR",
    "TLS_MIN_VERSION",
    "TLS_SERVER_NAME",
    "TRUST_SERVER_CERTIFICATE",
    "UNIX_MS",
    "USE_SSL",
    "USE_STARTTLS",
    "USE_TLS",
    "WASM_CONFIG",
    "BROKER_ROOT_PASSWORD",
];

/// What environment variables begin with.
const VARIABLES: [&str; 4] = ["CARGO_", "LOTMQ_", "RUSTC_", "XDG_"];

/// What stands before a code of one word, which in other places is a word like any other.
const BEFORE_CODES: [&str; 5] = ["Refusal::new(", "problem(", "with_warning(", "code: ", "Severity::Error, "];

/// The codes in a text.
fn codes_in(text: &str) -> impl Iterator<Item = &str> {
    let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
    let pairs: Vec<(usize, usize)> = quotes.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter().filter_map(|(open, close)| {
        let word = &text[open + 1..close];
        let before = text[..open].trim_end();
        let is_upper = word.len() > 3
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_code =
            word.contains('_') || BEFORE_CODES.iter().any(|known| before.ends_with(known.trim_end()));
        let is_other =
            NO_CODES.contains(&word) || VARIABLES.iter().any(|variable| word.starts_with(variable));
        (is_upper && is_code && !is_other).then_some(word)
    })
}

fn is_told(source: &&Source) -> bool {
    source.path.starts_with("broker") && !source.is_test()
}

#[test]
fn every_code_is_explained() {
    let sources = sources();
    let texts: Vec<String> = sources.iter().filter(is_told).map(Source::text_without_tests).collect();
    let told: BTreeSet<&str> = texts.iter().flat_map(|text| codes_in(text)).collect();
    assert!(told.contains("HOP_LIMIT") && told.contains("PATTERN") && told.len() > 80, "{told:?}");
    let explained: BTreeSet<&str> = lotmq_server::codes::all().map(|code| code.name).collect();
    let unexplained = told
        .difference(&explained)
        .map(|code| format!("{code} is told, and not in broker/server/src/management/codes.rs"));
    let whole = |code: &str| texts.iter().any(|text| text.contains(&format!("\"{code}\"")));
    let gone = explained
        .iter()
        .filter(|code| !whole(code))
        .map(|code| format!("{code} is explained, and never told"));
    assert_none(&unexplained.chain(gone).collect::<Vec<_>>());
}
