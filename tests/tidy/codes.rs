//! Every code that the broker and the tools tell is explained, and nothing is explained that nobody
//! tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::files::{Source, sources};

/// Upper-case words in quotes that are no codes: keys of routes, environment variables.
const NO_CODES: [&str; 73] = [
    "ACTIVITY_TIMEOUT",
    "ALLOW_HOSTS",
    "ALLOW_UNTRUSTED_CERTS",
    "AUTH_MODE",
    "BATCH_BYTES",
    "BATCH_LINGER",
    "BATCH_SIZE",
    "BAUD_RATE",
    "BROKER_ADDRESS",
    "BROKER_ROOT_PASSWORD",
    "BUFFER_MAX_BYTES",
    "BUFFER_MODE",
    "BUFFER_TTL_SEC",
    "CLIENT_CERT",
    "CLIENT_CERT_PASS",
    "CLIENT_CERT_PATH",
    "CLIENT_KEY",
    "CLIENT_KEY_PATH",
    "COM_PORT",
    "CONFIG_PATH",
    "DATA_BITS",
    "DESTINATION_TOPIC",
    "ERROR_TOPIC",
    "EVERY_MS",
    "FLOW_CONTROL",
    "IGNORE_CERT_ERRORS",
    "LOOPBACK_CONFIG",
    "MAX_ROWS",
    "MODBUS_SERIAL",
    "MODBUS_TCP",
    "MQTT_CONFIG",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "OPCUA_CONFIG",
    "ORDER_KEY",
    "OVERLOAD_CAPACITY",
    "OVERLOAD_POLICY",
    "OVERLOAD_TIMEOUT",
    "POOL_SIZE",
    "QUERY_TIMEOUT",
    "RECONNECTION_MAX_PAUSE",
    "RECONNECTION_RETRIES",
    "REST_API",
    "ROUTE_",
    "ROUTE_CONFIG",
    "RTS_CTS",
    "SECURITY_MODE",
    "SECURITY_POLICY",
    "SECURITY_PROTOCOL",
    "SERVER_CA_CERT",
    "SERVER_CA_CERT_PATH",
    "SERVER_CERT",
    "SERVER_CERT_PATH",
    "SERVER_KEY",
    "SERVER_KEY_PATH",
    "SOURCE_TOPIC",
    "SQL_CONFIG",
    "STATE_DIRECTORY",
    "STOP_BITS",
    "STORAGE_DIR",
    "TEMPLATE_PATH",
    "TLS_MIN_VERSION",
    "TLS_SERVER_NAME",
    "TRUST_SERVER_CERTIFICATE",
    "UNIX_MS",
    "USE_SECURITY",
    "USE_SSL",
    "USE_STARTTLS",
    "USE_TLS",
    "WASM_CONFIG",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "XON_XOFF",
];

/// Beginnings of environment variables.
const VARIABLES: [&str; 5] = ["CARGO_", "COREFLUX_", "LOTMQ_", "RUSTC_", "XDG_"];

/// Texts before a code of one word, which in other places is a word like any other.
const BEFORE_CODES: [&str; 2] = ["code: ", "Severity::Error, "];

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

/// Variants of `Code` in a text.
fn variants_in(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices("Code::").filter(move |(at, _)| !text[..*at].ends_with(is_word)).map(
        move |(at, found)| {
            let rest = &text[at + found.len()..];
            &rest[..rest.find(|character| !is_word(character)).unwrap_or(rest.len())]
        },
    )
}

/// Table of the settings of connectors, which are upper-case words in quotes and no codes.
const SETTINGS: &str = "broker/programs/src/route_types.rs";

/// Part of no broker: it asks the environment that cargo gives it.
const BUILD_SCRIPT: &str = "broker/programs/build.rs";

/// Entry point of guests in Python; components in JavaScript report the same codes.
const PYTHON_ENTRY: &str = include_str!("../../sdk/templates/python/action/entry.py");

fn is_told(source: &&Source) -> bool {
    let is_left_out = [SETTINGS, BUILD_SCRIPT].iter().any(|path| source.path.ends_with(path));
    source.path.starts_with("broker") && !source.is_test() && !is_left_out
}

#[test]
fn every_code_is_explained() {
    let sources = sources();
    let texts: Vec<String> = sources.iter().filter(is_told).map(Source::text_without_tests).collect();
    let names: BTreeMap<String, &str> =
        lotmq_codes::all().map(|row| (format!("{:?}", row.code), row.name)).collect();
    let variants = texts.iter().flat_map(|text| variants_in(text));
    let refused: BTreeSet<&str> = variants.filter_map(|variant| names.get(variant).copied()).collect();
    let told: BTreeSet<&str> = texts.iter().flat_map(|text| codes_in(text)).collect();
    assert!(
        told.contains("HOP_LIMIT") && told.contains("PATTERN") && told.len() + refused.len() > 80,
        "{told:?}"
    );
    let explained: BTreeSet<&str> = lotmq_codes::all().map(|code| code.name).collect();
    let unexplained = told
        .difference(&explained)
        .map(|code| format!("{code} is told, and not in broker/codes/src/table.rs"));
    let is_of_entry = |code: &&&str| PYTHON_ENTRY.contains(&format!("\"{code}\""));
    let whole =
        |code: &str| refused.contains(code) || texts.iter().any(|text| text.contains(&format!("\"{code}\"")));
    let gone = explained
        .iter()
        .filter(|code| !whole(code) && !is_of_entry(code))
        .map(|code| format!("{code} is explained, and never told"));
    assert_none(&unexplained.chain(gone).collect::<Vec<_>>());
}
