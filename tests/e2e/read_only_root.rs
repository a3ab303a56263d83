//! A system whose root is read-only, as gateways and containers have it: the broker writes nothing
//! but its data.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{BrokerOptions, WAIT_MAX};

use crate::backup::run_ok;
use crate::{LOTMQ, python};

/// Script that starts a broker which can write only its data, the first argument. The rest are its
/// arguments. The process stays the same.
const SCRIPT: &str = r#"#!/bin/sh
exec unshare --mount sh -ec 'mount --bind "$1" "$1"; mount -o remount,bind,ro /; cd /; shift
    for place in /tmp /dev/shm; do mount -o remount,bind,ro "$place" 2>/dev/null || :; done
    exec env -i PATH="$PATH" "$@"' sh "$DATA" "$LOTMQ" "$@"
"#;

/// Action that the test runs in each life of the broker; `Stat.twice` is a script in Python.
const ACTION: &str = "-addAction DEFINE ACTION Twice\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.twice\"\n        WITH (PAYLOAD)\n        RETURN AS {twice}\n    KEEP TOPIC \"kept\" WITH {twice}\n    PUBLISH TOPIC \"out\" WITH {twice}\n";

#[test]
fn everything_works_where_only_the_data_can_be_written() {
    let data = python::data_with_python();
    make_own(&data.path().join("cache"));
    let place = tempfile::tempdir().unwrap();
    let start = place.path().join("start");
    let data_path = data.path().to_str().unwrap();
    fs::write(&start, SCRIPT.replace("$DATA", data_path).replace("$LOTMQ", LOTMQ)).unwrap();
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).unwrap();
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: a mount table of its own needs root");
        return;
    }
    let mut broker = BrokerOptions::new(&start).data(data.path()).start();
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", broker.process_id())).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
    broker.command_ok("-addPython # Script Name: Stat\ndef twice(a):\n    return float(a) * 2\n");
    broker.command_ok(ACTION);
    broker.command_ok("-setSecret KEY=value");
    for value in ["4", "5"] {
        let mut client = broker.client("client");
        client.subscribe_to("out", QoS::AtLeastOnce).unwrap();
        client.publish(&Publication::new("in", value).qos(QoS::AtLeastOnce)).unwrap();
        let twice = client.receive(WAIT_MAX).unwrap().expect("an answer").text();
        assert_eq!(twice.parse(), Ok(value.parse::<f64>().unwrap() * 2.0), "{twice}");
        let file = place.path().join(format!("{value}.zip"));
        run_ok("backup", &broker, &file, &[]);
        broker.stop();
        broker.start_again();
    }
    let log = broker.log().text();
    assert!(!log.contains("Read-only") && !log.contains("ERROR"), "{log}");
}

/// Makes a folder that a link leads to one that is the link's owner's.
fn make_own(link: &Path) {
    let shared = fs::canonicalize(link).unwrap();
    fs::remove_file(link).unwrap();
    let copied = Command::new("cp").arg("-r").args([&shared, link]).status().unwrap();
    assert!(copied.success());
}
