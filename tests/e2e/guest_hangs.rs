//! Guests that do not come back from a call: whether they compute or wait for the far side is told,
//! in a broker and in cases.

use std::path::Path;

use lotmq_test_support::{Broker, eventually};

use crate::guest_tutorial::compiles_guests;
use crate::guests::{guest, guest_with_cargo};
use crate::{options, send};

/// A guest that never comes back from a delivery: it computes, or waits.
const HANGS: &str = r#"//! A route that does not come back.

use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route, net};

lotmq_guest::manifest!("endpoint:127.0.0.1:*");

struct Guest;

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: "{}".to_owned(), abilities: Abilities::DELIVER }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        match &*batch[0].message.payload {
            b"compute" => loop {
                std::hint::black_box(&batch);
            },
            _ => loop {
                net::wait(&[], 100);
            },
        }
    }
}

lotmq_guest::export_route!(Guest);
"#;

/// Cases for it, in which no wait is as long as in a broker.
const CASES: &str = r#"program = "line.lot"

[[case]]
name = "it waits"
when = [{ topic = "out/a", payload = "wait" }]
then = [{ error = "no answer within 10 s: its call of `deliver` does not come back" }, { error = "ROUTE_AWAY" }]

[[case]]
name = "it computes"
when = [{ topic = "out/a", payload = "compute" }]
then = [{ error = "the run took longer than 10000 ms (GUEST_TIME)" }, { error = "ROUTE_AWAY" }]
"#;

/// Patience of the routes in the broker.
const IMPATIENT: &str = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 1\n";

/// Route of the module.
fn route(name: &str, patience: &str, topic: &str) -> String {
    format!(
        "DEFINE ROUTE {name} WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"hangs\"\n{patience}    ADD LINE_CONFIG\n        WITH HOST \"127.0.0.1\"\n        \
         WITH PORT 7\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"{topic}\"\n"
    )
}

/// The reason of a route, when it has one.
fn reason(broker: &Broker, name: &str) -> String {
    eventually("a reason", || {
        let rows = broker.command_ok("-listRoutes").data().clone();
        let row = rows.as_array()?.iter().find(|row| row["name"] == name)?.clone();
        row["reason"].as_str().map(str::to_owned)
    })
}

fn built(place: &Path) -> std::path::PathBuf {
    let (told, code) = guest(place, "new hangs -t route");
    assert_eq!(code, Some(0), "{told}");
    let folder = place.join("hangs");
    std::fs::write(folder.join("src/lib.rs"), HANGS).unwrap();
    std::fs::write(folder.join("cases.test.toml"), CASES).unwrap();
    std::fs::write(folder.join("line.lot"), route("Line", "", "out/a")).unwrap();
    folder
}

#[test]
fn guest_timeout_reports_computing_or_waiting_for_an_answer() {
    if !compiles_guests() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = built(place.path());
    let (told, code) = guest_with_cargo(&folder, &["test", "--no-native"]);
    assert!(told.contains("2 passed, 0 failed") && code == Some(0), "{told}");

    let unstable = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true");
    let broker = unstable.variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let deploy = format!("deploy --file target/hangs.wasm --grant-all -p {}", broker.port());
    let (told, code) = guest(&folder, &deploy);
    assert_eq!(code, Some(0), "{told}");
    for (name, payload, expected) in [
        (
            "Computes",
            "compute",
            "event `Out`: the guest did not come back within 1 s: in `deliver` it was computing, not waiting for the far side (GUEST_TIME)",
        ),
        ("Waits", "wait", "event `Out`: no answer within 1 s (127.0.0.1:7)"),
    ] {
        broker.command_ok(&format!("-addRoute {}", route(name, IMPATIENT, name)));
        send(&broker, name, payload);
        let told = reason(&broker, name);
        assert!(expected.ends_with(&told), "{name}: {told}");
    }
}
