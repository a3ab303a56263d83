//! Our tools with a broker that is not lotmq: what any broker can do works, and what needs lotmq
//! says so.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use lotmq_test_support::{Finished, Program, free_port};

use crate::LOTMQ;
use crate::bridge::mosquitto;

fn tool(port: u16, before: &[&str], behind: &[&str]) -> Finished {
    let port = port.to_string();
    Program::run(LOTMQ, &[before, &["-p", &port], behind].concat()).unwrap()
}

#[test]
fn tools_work_with_mosquitto_or_say_that_it_is_not_lotmq() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = folder.path().join("mosquitto.conf");
    let mut text = String::new();
    writeln!(text, "listener {port} 127.0.0.1\nallow_anonymous true").unwrap();
    std::fs::write(&file, text).unwrap();
    let Some(_mosquitto) = mosquitto(&file) else { return };
    let wait = lotmq_test_support::eventually;
    wait("mosquitto listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());

    assert_eq!(tool(port, &["pub"], &["-t", "a/b", "-m", "7", "-q", "1", "-r"]).output(), "");
    assert_eq!(tool(port, &["sub"], &["-t", "a/#", "-C", "1", "-v"]).output(), "a/b 7");
    let topics = tool(port, &["topics"], &["--for", "0.5"]);
    assert!(topics.output().contains("R 7"), "{topics:?}");
    let asked = tool(port, &["request"], &["-t", "nobody", "-m", "1", "--timeout", "0.2"]);
    assert_eq!(asked.status.code(), Some(27), "{asked:?}");
    let top = tool(port, &["top", "topics"], &["--once", "--interval", "0.2"]);
    assert_eq!(top.status.code(), Some(0), "{top:?}");

    let program = folder.path().join("echo.lot");
    std::fs::write(
        &program,
        "DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n",
    )
    .unwrap();
    let program = program.to_str().unwrap();
    let saved = folder.path().join("saved");
    let no_broker = Some(3);
    for (before, behind, code) in [
        (&["cmd"][..], &["-listUsers"][..], no_broker),
        (&["status"], &[], Some(1)),
        // A client of 3.1.1 is not told that a message was refused.
        (&["status", "-V", "311"], &[], Some(1)),
        (&["routes"], &[], no_broker),
        (&["top"], &["--once"], no_broker),
        (&["top", "definitions"], &["--once"], no_broker),
        (&["watch"], &[], no_broker),
        (&["watch", "Echo"], &[], no_broker),
        (&["deploy", program], &[], no_broker),
        (&["rollback", "plant"], &[], no_broker),
        (&["undeploy", "plant"], &[], no_broker),
        (&["backup", saved.to_str().unwrap()], &[], no_broker),
        (&["guest", "download", "m"], &[], no_broker),
    ] {
        let done = tool(port, before, behind);
        assert_eq!(done.status.code(), code, "{before:?}: {done:?}");
        let told = done.stderr.trim_end();
        assert!(
            told.starts_with("error: this broker is not lotmq but `mosquitto version "),
            "{before:?}: {done:?}"
        );
        assert_eq!(told.lines().count(), 1, "{before:?}: {done:?}");
    }
}

/// A broker that knows 3.1.1 alone: one that says so, and ones that only close.
#[test]
fn tool_reports_that_an_option_needs_mqtt_5() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (answer, told) in [
        (&[0x20, 2, 0, 1][..], "error: the broker does not speak MQTT 5.0, which "),
        (&[], "error: the server closed the connection; possibly it does not speak MQTT 5.0, which "),
    ] {
        for (tool_with, what) in [
            (&["request", "-t", "a", "-m", "1"][..], "lotmq request"),
            (&["pub", "-t", "a", "-m", "1", "-D", "publish", "content-type", "x"], "-D"),
        ] {
            let listener = listener.try_clone().unwrap();
            let far = std::thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                let mut connect = [0; 256];
                let read = socket.read(&mut connect).unwrap();
                assert!(read > 8 && connect[8] == 5, "a CONNECT of 5.0");
                socket.write_all(answer).unwrap();
            });
            let done = tool(port, &tool_with[..1], &tool_with[1..]);
            far.join().unwrap();
            assert!(done.stderr.starts_with(&format!("{told}{what} needs")), "{done:?}");
            assert_eq!(done.status.code(), Some(3), "{done:?}");
        }
    }
}
