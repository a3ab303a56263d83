//! Test doubles of the host, for tests of a guest on the host machine (`cargo test`,
//! `lotmq guest test`). They answer the functions of the contract with values that the test sets.
//!
//! ```
//! use lotmq_guest::testing;
//!
//! testing::set_environment("SCALE", "0.5");
//! testing::set_time_ms(1_770_000_000_000);
//! ```
//!
//! Each test thread has its own host, which starts empty. There are doubles of values (`config`,
//! `environment`, `state`, `topic_store`), and of time and random numbers (`ambient`).
//! They record output (`messages`, `ingest`, `log`, `metrics`, `diagnostics`) and actions on
//! clients (`principals`). They answer for the message (`current_message`), and for other
//! definitions (`actions`, `modules`, `python`, `rows`, `models`).
//! `net` uses sockets of this machine, `http` a function of the test, and `files` a folder of the
//! test. Each world has its own doubles in a module `testing`.
//!
//! A double rejects only inputs outside the contract. It ignores grants, limits, TLS and call
//! times; test those with the component in a broker. Regular expressions with backtracking, served
//! HTTP and serial ports have no double and panic.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

/// Values that a test has set, and recorded effects of the guest.
pub(crate) struct HostDouble {
    pub(crate) config: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    pub(crate) values: BTreeMap<String, Vec<u8>>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) time_ms: Option<i64>,
    pub(crate) utc_offset_seconds: i32,
    pub(crate) began: Instant,
    pub(crate) random: u64,
    pub(crate) lines: Vec<String>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) endpoints: BTreeMap<String, SocketAddr>,
    pub(crate) listening: BTreeMap<String, SocketAddr>,
    pub(crate) folders: BTreeMap<String, PathBuf>,
    pub(crate) has_work: bool,
}

thread_local! {
    static HOST: RefCell<HostDouble> = RefCell::new(HostDouble {
        config: "{}".to_owned(),
        environment: BTreeMap::new(),
        secrets: BTreeMap::new(),
        state: BTreeMap::new(),
        values: BTreeMap::new(),
        groups: BTreeSet::new(),
        properties: BTreeMap::new(),
        time_ms: None,
        utc_offset_seconds: 0,
        began: Instant::now(),
        random: 0x9E37_79B9_7F4A_7C15,
        lines: Vec::new(),
        metrics: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        listening: BTreeMap::new(),
        folders: BTreeMap::new(),
        has_work: false,
    });
}

/// Does something with the host of this thread.
pub(crate) fn with<T>(work: impl FnOnce(&mut HostDouble) -> T) -> T {
    HOST.with_borrow_mut(work)
}

/// Sets the result of `config::get`: JSON.
pub fn set_config(json: &str) {
    with(|host| json.clone_into(&mut host.config));
}

/// Sets a value of the environment.
pub fn set_environment(name: &str, value: &str) {
    with(|host| drop(host.environment.insert(name.to_owned(), value.to_owned())));
}

/// Sets a secret.
pub fn set_secret(name: &str, value: &str) {
    with(|host| drop(host.secrets.insert(name.to_owned(), value.to_owned())));
}

/// Sets a value of the guest's own state.
pub fn set_state(key: &str, value: &[u8]) {
    with(|host| drop(host.state.insert(key.to_owned(), value.to_vec())));
}

/// A value of the guest's own state.
pub fn state(key: &str) -> Option<Vec<u8>> {
    with(|host| host.state.get(key).cloned())
}

/// Gives a topic a last value.
pub fn set_last_value(topic: &str, payload: &[u8]) {
    with(|host| drop(host.values.insert(topic.to_owned(), payload.to_vec())));
}

/// The last value of a topic, such as one that the guest has kept.
pub fn last_value(topic: &str) -> Option<Vec<u8>> {
    with(|host| host.values.get(topic).cloned())
}

/// Puts the user of a question to a rule into a group.
pub fn add_group(name: &str) {
    with(|host| host.groups.insert(name.to_owned()));
}

/// Sets a property of the user of a question to a rule.
pub fn set_user_property(name: &str, value: &str) {
    with(|host| drop(host.properties.insert(name.to_owned(), value.to_owned())));
}

/// Stops the clock at a time, in milliseconds since 1970, and the monotonic clock with it. Without
/// this call both clocks run.
pub fn set_time_ms(ms: i64) {
    with(|host| host.time_ms = Some(ms));
}

/// Sets how far local time is ahead of UTC, in seconds: 0 without this.
pub fn set_utc_offset_seconds(seconds: i32) {
    with(|host| host.utc_offset_seconds = seconds);
}

/// Returns the lines that the guest wrote with `log`. Lines of `println!` go to standard output.
pub fn lines() -> Vec<String> {
    with(|host| host.lines.clone())
}

/// A counter or gauge.
pub fn metric(name: &str) -> Option<f64> {
    with(|host| host.metrics.get(name).copied())
}

/// Lets an endpoint of the definition be this place, which a connection is made to.
pub fn set_endpoint(name: &str, place: SocketAddr) {
    with(|host| host.endpoints.insert(name.to_owned(), place));
}

/// Returns the address where the guest listens, for an endpoint that was set to port 0. Returns
/// `None` before it listens.
pub fn listens_at(name: &str) -> Option<SocketAddr> {
    with(|host| host.listening.get(name).copied())
}

/// Lets a folder of the definition be this one.
pub fn set_folder(name: &str, path: impl Into<PathBuf>) {
    with(|host| drop(host.folders.insert(name.to_owned(), path.into())));
}

/// Says whether the host has work for the guest, which ends `run`.
pub fn set_host_work(has_work: bool) {
    with(|host| host.has_work = has_work);
}
