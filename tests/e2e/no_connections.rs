//! The broker makes no connection of its own: packets that leave a machine on which everything is
//! switched on are counted.

use std::process::Command;

use lotmq_test_support::Authority;

use crate::LOTMQ;

/// Seconds for which packets are counted; `LOTMQ_SILENCE_SECONDS=3600` makes it an hour.
const SECONDS: &str = "10";

#[test]
fn no_packet_leaves_but_those_that_definitions_ask_for() {
    let own_network = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.arg("--net").args(program);
        command
    };
    let may = own_network(&["ip", "link", "add", "far", "type", "veth", "peer", "near"]).output();
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a network of its own needs root and iproute2");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let signed = authority.server("localhost");
    std::fs::copy(&signed.certificate, place.path().join("certificate.pem")).unwrap();
    std::fs::copy(&signed.key, place.path().join("key.pem")).unwrap();
    let seconds = std::env::var("LOTMQ_SILENCE_SECONDS").unwrap_or_else(|_| SECONDS.to_owned());
    let script = include_str!("no_connections.sh");
    let folder = place.path().to_str().unwrap();
    let output = own_network(&["sh", "-c", script, "sh", LOTMQ, folder, &seconds]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(place.path().join("log")).unwrap_or_default();
    assert!(output.status.success(), "{told}{}{log}", String::from_utf8_lossy(&output.stderr));
    assert!(told.lines().any(|line| line == "by itself: 0"), "{told}{log}");
    let asked = told.lines().find_map(|line| line.strip_prefix("by a route: ")).unwrap();
    assert_ne!(asked, "0", "packets are counted: {told}{log}");
}
