//! Routes of programs that are run and tested: they reach nothing unless they are told to, and what
//! would have gone there is shown.

use std::net::TcpListener;

use lotmq_test_support::{Finished, Program, eventually};

use crate::LOTMQ;

/// Servers that a program must not reach, and the program with its cases.
struct Plant {
    servers: [TcpListener; 3],
    folder: tempfile::TempDir,
}

/// Routes to a controller, an HTTP server, another broker and the disk.
const ROUTES: &str = r#"DEFINE ROUTE Plc WITH TYPE MODBUS_TCP
    ADD MODBUS_CONFIG
        WITH HOST "127.0.0.1"
        WITH PORT <plc>
        WITH RETRY_COUNT 0
    ADD MAPPING Fast
        WITH SOURCE_TOPIC "plc"
        WITH EVERY 500 MILLISECONDS
        ADD TAG Setpoint
            WITH ADDRESS "40008"
            WITH DATA_TYPE "INT16"
            WITH DESTINATION_TOPIC "plc/Setpoint/write"

DEFINE ROUTE Office WITH TYPE REST_API
    ADD REST_API_CONFIG
        WITH BASE_ADDRESS "http://127.0.0.1:<office>"
        WITH AUTHORIZATION "Bearer " + GET SECRET "TOKEN"
    ADD EVENT Order
        WITH SOURCE_TOPIC "plc/Parts"
        WITH METHOD "POST"
        WITH ENDPOINT "/orders"

DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE
    ADD SOURCE_CONFIG
        WITH BROKER SELF
    ADD DESTINATION_CONFIG
        WITH BROKER_ADDRESS "127.0.0.1"
        WITH BROKER_PORT <up>
    ADD MAPPING all
        WITH SOURCE_TOPIC "report"
        WITH DESTINATION_TOPIC "line/report"

DEFINE ROUTE Csv WITH TYPE FILE_STORAGE
    ADD FILE_STORAGE_CONFIG
        WITH STORAGE_DIR "readings"
    ADD EVENT Line
        WITH SOURCE_TOPIC "report"
        WITH QUERY "APPEND day.txt {payload}"

DEFINE ACTION Report
ON TOPIC "plc/Parts" DO
    PUBLISH TOPIC "report" WITH PAYLOAD
"#;

const CASES: &str = r#"[[case]]
name = "what goes to routes is seen"
when = [
    { topic = "plc/Setpoint/write", payload = 41 },
    { topic = "plc/Parts", payload = 3 },
]
then = [{ topic = "report", payload = 3 }]
routed = [
    { route = "Plc", topic = "plc/Setpoint/write", payload = 41 },
    { route = "Office", topic = "plc/Parts", payload = 3 },
    { route = "Up", topic = "report", contains = "3" },
    { route = "Csv", topic = "report" },
]

[[case]]
name = "nobody has to look"
when = [{ topic = "plc/Setpoint/write", payload = 41 }]

[[case]]
name = "one that expects another value fails"
when = [{ topic = "plc/Setpoint/write", payload = 41 }]
routed = [{ route = "Plc", topic = "plc/Setpoint/write", payload = 42 }]

[[case]]
name = "one that expects nothing fails"
when = [{ topic = "plc/Setpoint/write", payload = 41 }]
routed = []
"#;

impl Plant {
    fn new() -> Self {
        let servers = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let folder = tempfile::tempdir().unwrap();
        let [plc, office, up] =
            servers.each_ref().map(|server| server.local_addr().unwrap().port().to_string());
        let program = ROUTES.replace("<plc>", &plc).replace("<office>", &office).replace("<up>", &up);
        std::fs::write(folder.path().join("plant.lot"), program).unwrap();
        std::fs::write(folder.path().join("plant.test.toml"), CASES).unwrap();
        servers.iter().for_each(|server| server.set_nonblocking(true).unwrap());
        Self { servers, folder }
    }

    fn lotmq(&self, arguments: &[&str]) -> Finished {
        let program = self.folder.path().join("plant.lot");
        let (verb, rest) = arguments.split_first().unwrap();
        Program::run(LOTMQ, &[&[*verb, program.to_str().unwrap()], rest].concat()).unwrap()
    }

    /// Whether anybody has connected to the controller, the HTTP server or the other broker.
    fn was_reached(&self) -> bool {
        self.servers.iter().any(|server| server.accept().is_ok())
    }
}

#[test]
fn a_tested_program_reaches_nothing_and_shows_what_would_have_gone_there() {
    let plant = Plant::new();
    let tested = plant.lotmq(&["test"]);
    let told = format!("{}{}", tested.stdout, tested.stderr);
    for part in [
        "ok    ",
        "2 passed, 2 failed",
        "warning: Route Plc is not connected here: --network connects it",
        "warning: Route Csv is not connected here: nothing is written to the disk",
        "expected to route Plc: plc/Setpoint/write 42, found to route Plc, tag `Fast/Setpoint`: plc/Setpoint/write 41",
        "expected nothing more for routes, found to route Plc",
    ] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
    assert_eq!(told.matches("Route Plc is not connected").count(), 1, "it is told once: {told}");
    assert!(!plant.was_reached());
}

#[test]
fn a_program_that_is_run_replayed_or_recorded_reaches_nothing() {
    let plant = Plant::new();
    let ran = plant.lotmq(&["run", "--in", "plc/Parts=3"]);
    assert_eq!((ran.status.code(), ran.output()), (Some(0), "report 3"), "{}", ran.stderr);
    for part in [
        "warning: Route Office is not connected here: --network connects it",
        "to route Office, event `Order`: plc/Parts 3",
        "to route Up, mapping `all`: report 3",
        "to route Csv, event `Line`: report 3",
    ] {
        assert!(ran.stderr.contains(part), "{part} in:\n{}", ran.stderr);
    }
    let recording = plant.folder.path().join("day.jsonl");
    let line = r#"{"at":"2026-01-15T10:00:00Z","topic":"plc/Parts","payload":"7"}"#;
    std::fs::write(&recording, line).unwrap();
    let replayed = plant.lotmq(&["run", "--json", "--replay", recording.to_str().unwrap()]);
    let lines: Vec<serde_json::Value> =
        replayed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_office = lines.iter().find(|line| line["route"] == "Office").unwrap();
    assert_eq!(
        *of_office,
        serde_json::json!({"route": "Office", "to": "event `Order`", "topic": "plc/Parts", "payload": "7"})
    );
    assert!(!plant.was_reached());
    // Nobody answers there, so that it is not waited for.
    let program = plant.folder.path().join("plant.lot");
    let asked = ["run", program.to_str().unwrap(), "--network", "--in", "plc/Setpoint/write=41"];
    let mut asked = Program::start(LOTMQ, &asked).unwrap();
    eventually("a connection", || plant.was_reached().then_some(()));
    asked.kill();
}

/// Routes to an HTTP server and to a database, which is asked.
const ASKING: &str = r#"DEFINE ROUTE Office WITH TYPE REST_API
    ADD REST_API_CONFIG
        WITH BASE_ADDRESS "http://127.0.0.1:" + GET ENV "WEB_PORT"
    ADD EVENT Order
        WITH SOURCE_TOPIC "orders"
        WITH METHOD "POST"
        WITH ENDPOINT "/orders"

DEFINE ROUTE Db WITH TYPE POSTGRESQL
    ADD SQL_CONFIG
        WITH SERVER "10.1.2.3"
        WITH DATABASE "plant"
        WITH USERNAME "line"
        WITH PASSWORD GET SECRET "PASSWORD"

DEFINE MODEL Row COLLAPSED
    ADD STRING "serial"
    STORE IN "Db" WITH TABLE "rows"

DEFINE ACTION Keep
ON TOPIC "keep" DO
    PUBLISH MODEL Row TO "row" WITH serial = PAYLOAD

DEFINE ACTION Ask
ON TOPIC "ask" DO
    SET "r" WITH GET MODEL "Row" FROM "Db" WHERE serial EQUALS PAYLOAD
    PUBLISH TOPIC "answer" WITH {r}
"#;

const ASKING_CASES: &str = r#"[[case]]
name = "a server of the case is reached"
far = { WEB_PORT = { answers = { "5" = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" }, contains = "POST /orders" } }
when = [{ topic = "orders", payload = 5 }]
routed = []

[[case]]
name = "no other one"
env = { WEB_PORT = "<port>" }
when = [{ topic = "orders", payload = 5 }]
routed = [{ route = "Office", topic = "orders", payload = 5 }]

[[case]]
name = "who asks is told"
when = [{ topic = "ask", payload = "p7" }]
then = [{ error = "Route Db is not connected here: --network connects it" }, { topic = "answer" }]

[[case]]
name = "rows of models are seen by their table"
when = [{ topic = "keep", payload = "p7" }]
then = [{ topic = "row", payload = { serial = "p7" } }]
routed = [{ route = "Db", table = "rows", contains = "p7" }]

[[case]]
name = "one of another table fails"
when = [{ topic = "keep", payload = "p7" }]
ignore = ["row"]
routed = [{ route = "Db", table = "row" }]
"#;

#[test]
fn servers_of_a_case_are_reached_and_questions_are_refused() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ask.lot"), ASKING).unwrap();
    std::fs::write(folder.path().join("ask.test.toml"), ASKING_CASES.replace("<port>", &port)).unwrap();
    let tested = Program::run(LOTMQ, &["test", folder.path().to_str().unwrap()]).unwrap();
    let told = format!("{}{}", tested.stdout, tested.stderr);
    for part in [
        "4 passed, 1 failed",
        "expected to route Db: table `row`, found to route Db, table `rows`: {\"serial\":\"p7\"}",
    ] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
    assert!(server.accept().is_err(), "nobody else was connected to");
}
