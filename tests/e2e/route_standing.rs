//! How a route that only brings messages stands: what is wrong with it is named, and over as soon
//! as it works again; and how a connection is checked that is open.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, Program, eventually};
use serde_json::{Value, json};

use crate::module_routes::{Standing, accept, line};
use crate::{LOTMQ, next, options, send};

/// A guest that has a line for each message, both ways.
const ECHO: &[u8] = include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

/// A system that acknowledges each line, over any number of connections.
const DEVICE: &str = r#"
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
def serve(client):
    for line in client.makefile("rb"):
        client.sendall(b"+" + line)
while True:
    client, _ = server.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"#;

fn at_home() -> BrokerOptions {
    options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

fn module(options: &str) -> String {
    format!("-addModule echo -world route {options} wasm64:{}", STANDARD.encode(ECHO))
}

/// A route that publishes what comes, and takes messages where `further` says so.
fn route(far: SocketAddr, further: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"echo\"\n    ADD ECHO_CONFIG\n        WITH HOST \"{}\"\n        \
         WITH PORT {}\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"echo/in\"\n{further}",
        far.ip(),
        far.port()
    )
}

/// The row of the only route.
fn row(broker: &Broker) -> Value {
    broker.command_ok("-listRoutes").data()[0].clone()
}

#[test]
fn missing_write_grant_is_reported_with_its_command_until_granted() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address} -topics other/#")));
    let added = broker.command_ok(&route(address, ""));
    let warned = added.0["warnings"].to_string();
    assert!(warned.contains("NOT_GRANTED") && warned.contains("-grant write:echo/in"), "{warned}");
    let (mut stream, _lines) = accept(&far);
    stream.write_all(b"one\n").unwrap();
    let told = "module 'echo' was not granted 'write:echo/in' (it has write:other/#), and is refused it from now on; -grantModule echo -grant write:echo/in grants it";
    let told_row = eventually("the route to be red", || {
        Some(row(&broker)).filter(|row| row["health"] == "Red" && row["connection"] == "Connected")
    });
    assert_eq!(told_row["reason"], *told);
    let of_route = Program::run(LOTMQ, &["routes", "-p", &broker.port()]).unwrap().stdout;
    assert!(of_route.contains("; lotmq cmd -grantModule echo -grant write:echo/in grants it"), "{of_route}");
    let mut standing = Standing::of(&broker);
    let status: Value = serde_json::from_str(&standing.until("\"Red\"")).unwrap();
    assert!(status["lastError"].as_str().unwrap().ends_with(told), "{status}");
    let is_it =
        |line: &str| line.contains("a module wanted what it was not granted").then(|| line.to_owned());
    let log = broker.log().wait_for("what is missing", is_it).expect("a line of the log");
    assert!(log.contains("-grantModule echo -grant write:echo/in grants it"), "{log}");

    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    let granted = broker.command_ok("-grantModule echo -grant write:echo/in");
    assert_eq!(granted.data()["added"], json!(["write:echo/in"]));
    let (mut stream, _lines) = accept(&far);
    stream.write_all(b"two\n").unwrap();
    assert_eq!(next(&mut watcher), "echo/in=two");
    let well =
        eventually("the route to be green", || Some(row(&broker)).filter(|row| row["health"] == "Green"));
    assert_eq!((&well["reason"], &well["received"]), (&Value::Null, &json!(1)));
    let mut standing = Standing::of(&broker);
    let status: Value = serde_json::from_str(&standing.until("\"Green\"")).unwrap();
    assert_eq!(status["messages"]["received"], 1);
    broker.wait_until_metric_is("lotmq_route_received_total", 1.0);
}

#[test]
fn a_route_without_a_place_says_which_setting_is_missing_when_it_is_added_and_when_it_runs() {
    let broker = at_home().start();
    broker.command_ok(&module("-net 127.0.0.1:7 -topics out/#,echo/in"));
    let whole = route("127.0.0.1:7".parse().unwrap(), "");
    let (host, port) = ("        WITH HOST \"127.0.0.1\"\n", "        WITH PORT 7\n");
    assert!(whole.contains(host) && whole.contains(port), "{whole}");
    for (command, warned, told) in [
        (
            whole.replace(host, ""),
            "ECHO_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN, so there is no endpoint 'echo'",
            "ECHO_CONFIG: HOST is not set",
        ),
        (
            whole.replace(host, "").replace(port, ""),
            "ECHO_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN, so there is no endpoint 'echo'",
            "ECHO_CONFIG: HOST is not set",
        ),
        (
            whole.replace(port, ""),
            "the route stands still: ECHO_CONFIG: PORT is not set",
            "ECHO_CONFIG: PORT is not set",
        ),
    ] {
        let added = broker.command_ok(&command);
        assert_eq!(
            added.0["warnings"],
            json!([{ "code": "ENDPOINT_MISSING", "message": warned }]),
            "{added:?}"
        );
        eventually("the route to stand still", || {
            (row(&broker)["connection"] == "Disconnected").then_some(())
        });
        let reason = row(&broker)["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(told), "{reason}");
        assert!(reason.ends_with("; it stands still; -run Line tries again"), "{reason}");
        let shown = broker.command_ok("-lotDiagnostic route Line").data().clone();
        let standing = &shown["standing"];
        assert_eq!(
            (&shown["state"], &standing["connection"], &standing["health"]),
            (&json!("error"), &json!("Disconnected"), &json!("Red")),
            "{shown}"
        );
        assert!(standing["reason"].as_str().unwrap().starts_with(told), "{shown}");
    }
    let folder = tempfile::tempdir().unwrap();
    let text = whole.replace(host, "").replace("-addRoute ", "").replace("ROUTE Line", "ROUTE Other");
    std::fs::write(folder.path().join("line.lot"), text).unwrap();
    let path = folder.path().to_str().unwrap();
    let deployed = Program::run(LOTMQ, &["deploy", path, "--name", "line", "-p", &broker.port()]).unwrap();
    assert!(
        deployed.stdout.contains("warning[ENDPOINT_MISSING]: ECHO_CONFIG: HOST is not set"),
        "{deployed:?}"
    );
}

#[test]
fn allow_list_endpoints_without_grant_are_reported_on_add() {
    let broker = at_home().start();
    broker.command_ok(&module("-net 127.0.0.1:7 -topics out/#,echo/in"));
    let whole = route("127.0.0.1:7".parse().unwrap(), "");
    let host = "        WITH HOST \"127.0.0.1\"\n        WITH PORT 7\n";
    let listed =
        whole.replace(host, "        WITH ALLOW_HOSTS \"127.0.0.1:7, 127.0.0.1:8-9, *.plant:502\"\n");
    assert_ne!(listed, whole);
    let added = broker.command_ok(&listed);
    let told = "Module 'echo' was not granted endpoint:*.plant:502, endpoint:127.0.0.1:8-9. \
                -grantModule echo -grant 'endpoint:*.plant:502' -grant endpoint:127.0.0.1:8-9 grants it.";
    assert_eq!(added.0["warnings"], json!([{ "code": "NOT_GRANTED", "message": told }]), "{added:?}");
    broker.command_ok("-grantModule echo -grant endpoint:*.plant:502 -grant endpoint:127.0.0.1:8-9");
    let added = broker.command_ok(&listed);
    assert!(!added.0.to_string().contains("NOT_GRANTED"), "{added:?}");
}

#[test]
fn a_route_that_only_brings_messages_is_green_as_soon_as_it_does_again() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address}")));
    broker.command_ok(&route(address, ""));
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    // It ends its connection as soon as it has it, again and again.
    for _ in 0..3 {
        drop(accept(&far));
    }
    let (mut stream, _lines) = accept(&far);
    stream.write_all(b"well\n").unwrap();
    assert_eq!(next(&mut watcher), "echo/in=well");
    let well = eventually("the route to be well", || {
        Some(row(&broker)).filter(|row| row["health"] == "Green" && row["connection"] == "Connected")
    });
    assert_eq!((&well["reason"], &well["received"]), (&Value::Null, &json!(1)));
}

#[test]
fn a_connection_that_is_open_is_asked_and_no_second_one_is_made() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address}")));
    broker.command_ok(&route(address, ""));
    let (_stream, mut lines) = accept(&far);
    let mut standing = Standing::of(&broker);
    standing.says("\"Connected\"");
    far.set_nonblocking(true).unwrap();
    let checked = broker.command_ok("-checkRouteConnection Line");
    assert_eq!(checked.message(), "Route 'Line' is reachable.");
    assert_eq!((&checked.data()["tried"], &checked.data()["reachable"]), (&json!("open"), &json!(true)));
    assert!(far.accept().is_err(), "nobody else came");
    far.set_nonblocking(false).unwrap();
    let checked = broker.command_ok("-checkRouteConnection Line -new");
    assert_eq!(checked.data()["tried"], "new");
    drop(accept(&far));
    send(&broker, "out/1", "the first goes on");
    assert_eq!(line(&mut lines), "the first goes on");
    let refused = broker.command("-checkRouteConnection Line twice");
    assert_eq!(refused.code(), "TOO_MANY_ARGUMENTS");
}

#[test]
fn a_frozen_device_is_not_connected_whenever_it_takes_a_connection() {
    let mut device = Program::start("python3", &["-c", DEVICE]).unwrap();
    let port = device.stdout.wait_for("its port", |line| line.parse::<u16>().ok()).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let broker = at_home().start();
    let mut standing = Standing::of(&broker);
    broker.command_ok(&module(&format!("-net {address}")));
    let impatient = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 1\n";
    broker.command_ok(
        &route(address, impatient)
            .replace("    ADD EVENT", "        WITH HOW \"acknowledged\"\n    ADD EVENT"),
    );
    send(&broker, "out/1", "one");
    standing.says("\"succeeded\":1");
    let frozen = device.freeze();
    send(&broker, "out/1", "two");
    standing.says("\"Reconnecting\"");
    // A minute until then, and as long at most until it is tried again.
    let until = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let began = Instant::now();
        loop {
            let row = row(&broker);
            if is_so(&row) {
                return row;
            }
            assert!(began.elapsed() < Duration::from_secs(150), "{what}: {row}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let red = until("red", &|row: &Value| {
        assert_eq!(row["connection"], "Reconnecting", "{row}");
        row["health"] == "Red"
    });
    let reason = red["reason"].as_str().unwrap();
    assert!(reason.starts_with("no answer within 1 s (127.0.0.1:"), "{reason}");
    drop(frozen);
    let well = until("the message to pass", &|row: &Value| row["delivered"] == 2);
    assert_eq!((&well["connection"], &well["health"]), (&json!("Connected"), &json!("Green")));
    device.kill();
}

#[test]
fn run_of_a_running_route_does_nothing_and_counts_no_restart() {
    let broker = options().start();
    broker.command_ok("-addRoute DEFINE ROUTE Up WITH TYPE LOOPBACK\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH FAIL \"{payload}\"");
    let restarts = || {
        let listed = broker.command_ok("-list").data().clone();
        (listed[0]["state"].clone(), listed[0]["restarts"].as_u64().unwrap())
    };
    let runs = |count: u64| {
        eventually("it runs", || (restarts() == (json!("running"), count)).then_some(()));
    };
    runs(0);
    broker.command_ok("-asset-policy-set Up memory 16");
    runs(0);
    broker.command_ok("-stop Up");
    let stopped = broker.command("-checkRouteConnection Up");
    assert_eq!((&stopped.data()["tried"], stopped.code()), (&json!("new"), "NOT_REACHABLE"));
    assert_eq!(broker.command_ok("-run Up").message(), "Asset 'Up' started successfully!");
    runs(0);
    let before = broker.metric("lotmq_route_reconnects_total");
    assert_eq!(before, Some(2.0));
    let again = broker.command_ok("-run Up");
    assert_eq!((again.message(), &again.data()["state"]), ("Asset 'Up' runs already.", &json!("running")));
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), before);
    // A route that comes back by itself has restarted.
    broker.client("publisher").publish(&Publication::new("in/a", "reconnect").qos(QoS::AtLeastOnce)).unwrap();
    eventually("restarts", || (restarts().1 > 0).then_some(()));
    // Something is wrong with it: it begins anew.
    assert_eq!(broker.command_ok("-run Up").message(), "Asset 'Up' started successfully!");
}
