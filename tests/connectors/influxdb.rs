//! `INFLUXDB`: points and questions at an InfluxDB of version 1, and at a server that speaks like
//! one of version 2, with what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lotmq_test_support::{Answer, Authority, HttpServer, Program, eventually, free_port};
use serde_json::{Value as Json, json};

use crate::{Standing, backlog, broker, event, failure, next, publish_all, send, watch};

/// A server in a folder of its own, at a free port of this machine, with the database `plant`.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    /// Whether it asks who one is.
    asks: bool,
    program: Option<Program>,
}

impl Server {
    /// Starts one; `None` where it is not installed.
    fn start(asks: bool) -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        let (place, port) = (folder.path().display(), free_port());
        let mut text = format!("reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n", free_port());
        writeln!(
            text,
            "[meta]\n  dir = \"{place}/meta\"\n[data]\n  dir = \"{place}/data\"\n  wal-dir = \"{place}/wal\""
        )
        .unwrap();
        writeln!(
            text,
            "[http]\n  bind-address = \"127.0.0.1:{port}\"\n  auth-enabled = {asks}\n  log-enabled = false"
        )
        .unwrap();
        std::fs::write(folder.path().join("influxdb.conf"), text).unwrap();
        let mut server = Server { folder, port, asks, program: None };
        server.start_again();
        server.program.as_ref()?;
        if asks {
            server.ask("CREATE USER root WITH PASSWORD 'root-password' WITH ALL PRIVILEGES");
        }
        server.ask("CREATE DATABASE plant");
        Some(server)
    }

    /// Starts it in the folder and at the port that it has.
    fn start_again(&mut self) {
        let config = self.folder.path().join("influxdb.conf");
        self.program = Program::start("influxd", &["run", "-config", config.to_str().unwrap()]);
        if self.program.is_some() {
            eventually("the server answers", || self.try_ask("SHOW DATABASES"));
        }
    }

    fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// The values of the first series of an answer.
    fn ask(&self, statement: &str) -> Json {
        self.try_ask(statement).unwrap()
    }

    fn try_ask(&self, statement: &str) -> Option<Json> {
        let url = format!("http://127.0.0.1:{}/query?db=plant&epoch=ms", self.port);
        let login: &[&str] = if self.asks { &["-u", "root:root-password"] } else { &[] };
        let form = format!("q={statement}");
        let ran = Program::run("curl", &[&["-s", "--data-urlencode", &form, &url], login].concat()).unwrap();
        let answer: Json = serde_json::from_str(&ran.stdout).ok()?;
        Some(answer["results"][0]["series"][0]["values"].clone())
    }

    fn until(&self, statement: &str, expected: &Json) {
        eventually(statement, || (self.try_ask(statement).as_ref() == Some(expected)).then_some(()));
    }

    /// Points that a measurement has in a field.
    fn count(&self, measurement: &str) -> u64 {
        let counted = self.try_ask(&format!("SELECT count(value) FROM {measurement}")).unwrap_or_default();
        counted[0][1].as_u64().unwrap_or_default()
    }
}

/// A route to a port with lines in its section, and events.
fn route(port: u16, section: &str, events: &str) -> String {
    let place = format!("    ADD INFLUXDB_CONFIG\n        WITH BASE_URL \"http://127.0.0.1:{port}\"\n");
    let section = section.lines().fold(place, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Series WITH TYPE INFLUXDB\n{section}{events}")
}

const PLANT: &str = "DATABASE \"plant\"";

#[test]
fn points_are_written_and_asked_for() {
    let Some(server) = Server::start(false) else { return };
    let broker = broker();
    let (mut answers, mut failed) = (watch(&broker, "answer/#"), watch(&broker, "failed"));
    let events = event(
        "Any",
        "any/+",
        "MEASUREMENT \"free\"\nTAGS \"dev={topic.2}\"\nERROR_TOPIC \"failed\"",
    ) + &event(
        "Typed",
        "typed/+",
        "MEASUREMENT \"typed\"\nTAGS \"line={topic.2}\"\nFIELDS \"t={payload.json.t},n={payload.json.n}i,note={payload.json.note},unit=C,ok=true\"\nTIMESTAMP \"{payload.json.at}\"\nERROR_TOPIC \"failed\"",
    ) + &event(
        "Ask",
        "ask/+",
        "QUERY \"SELECT t, n, note, unit, ok FROM typed WHERE line = '{topic.2}' AND t > {payload}\"\nDESTINATION_TOPIC \"answer/{topic.2}\"\nQOS 1\nERROR_TOPIC \"failed\"",
    );
    broker.command_ok(&route(server.port, PLANT, &events));
    for (payload, fields) in [("21", json!([[21]])), ("21.5", json!([[21.5]]))] {
        send(&broker, "any/a", payload);
        let last = "SELECT last(value) FROM free WHERE dev='a'";
        eventually(last, || (server.try_ask(last)?[0][1] == fields[0][0]).then_some(()));
    }
    send(&broker, "any/b", r#"{"s":"a \"text\"","on":true,"deep":{"x":1}}"#);
    server.until(
        "SELECT last(s), last(\"deep.x\") FROM free WHERE dev='b' AND \"on\"=true",
        &json!([[0, "a \"text\"", 1]]),
    );
    // A record that breaks its bounds costs only itself, and the others of its batch pass.
    send(&broker, "any/c", r#"{"value":"a text in a field of numbers"}"#);
    assert!(failure(&mut failed).contains("field type conflict"));
    send(&broker, "any/a", "22");
    let last = "SELECT last(value) FROM free WHERE dev='a'";
    eventually(last, || (server.try_ask(last)?[0][1] == 22).then_some(()));
    let evil = r#"{"t":1.5,"n":3,"note":"x\", ok=false\n","at":1700000000123}"#;
    send(&broker, "typed/l 1,=", evil);
    send(&broker, "typed/other", r#"{"t":9,"n":4,"note":"","at":1700000000124}"#);
    eventually("both are there", || (server.try_ask("SELECT count(t) FROM typed")?[0][1] == 2).then_some(()));
    for (topic, payload, expected) in [
        (
            "ask/l 1,=",
            "1",
            json!([{"time": 1_700_000_000_123_u64, "t": 1.5, "n": 3, "note": "x\", ok=false\n", "unit": "C", "ok": true}]),
        ),
        ("ask/x' OR '1'='1", "0", json!([])),
    ] {
        send(&broker, topic, payload);
        let said = next(&mut answers);
        let said: Json = serde_json::from_str(
            said.split_once("=[").map(|(_, rest)| format!("[{rest}")).as_deref().unwrap(),
        )
        .unwrap();
        assert_eq!(said, expected, "{topic}");
    }
    for (topic, payload, told) in [
        ("typed/l", r#"{"t":1,"n":1.5,"at":1}"#, "'1.5' is no whole number"),
        ("typed/l", r#"{"t":1,"n":1,"at":"noon"}"#, "TIMESTAMP 'noon' is no whole number"),
        ("any/l", "", "it has no field"),
    ] {
        send(&broker, topic, payload);
        let said = failure(&mut failed);
        assert!(said.contains(told), "{said}");
    }
    assert_eq!(broker.command_ok("-checkRouteConnection Series").message(), "Route 'Series' is reachable.");
}

#[test]
fn a_line_that_the_server_would_skip_is_rejected() {
    let Some(server) = Server::start(false) else { return };
    let broker = broker();
    let mut failed = watch(&broker, "failed");
    let settings = "MEASUREMENT \"{payload.json.m}\"\nFIELDS \"v={payload.json.v}\"\nERROR_TOPIC \"failed\"";
    broker.command_ok(&route(server.port, PLANT, &event("Put", "p/+", settings)));
    for name in ["#/0.1L", "#"] {
        send(&broker, "p/a", &format!(r#"{{"m":"{name}","v":5}}"#));
        let said = failure(&mut failed);
        assert!(said.contains("would skip the line as a comment"), "{name}: {said}");
    }
    send(&broker, "p/a", r#"{"m":" #x","v":5}"#);
    eventually("its name is escaped", || {
        (server.try_ask("SELECT last(v) FROM \" #x\"")?[0][1] == 5).then_some(())
    });
    let time = "MEASUREMENT \"m\"\nFIELDS \"time={payload}\"";
    broker.command_ok(&route(server.port, PLANT, &event("Put", "p/+", time)));
    Standing::of(&broker, "Series").until("which InfluxDB ignores");
}

#[test]
fn nothing_is_lost_when_the_server_is_killed_under_load_or_frozen() {
    let count = backlog(12_000);
    let Some(mut server) = Server::start(false) else { return };
    let broker = broker();
    let section =
        "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n        WITH BUFFER_MAX_BYTES 4000000000\n"
            .to_owned();
    let events = section + &event("Put", "in/+", "MEASUREMENT \"m\"\nTAGS \"n={topic.2}\"");
    broker.command_ok(&route(server.port, PLANT, &events));
    // The server takes 100,000 values of a tag, and of each of them a point for each time.
    let numbered = |number: usize| (format!("in/{}", number % 10_000), number.to_string());
    let messages = |from: usize, to: usize| (from..to).map(numbered);
    publish_all(&broker, messages(0, count / 3));
    eventually("some are there", || (server.count("m") > 0).then_some(()));
    server.kill();
    publish_all(&broker, messages(count / 3, 2 * count / 3));
    server.start_again();
    eventually("it goes on", || (server.count("m") > (count / 2) as u64).then_some(()));
    let frozen = server.program.as_ref().unwrap().freeze();
    let mut standing = Standing::of(&broker, "Series");
    publish_all(&broker, messages(2 * count / 3, count));
    standing.until("\"Reconnecting\"");
    drop(frozen);
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    // Each once: a point that comes again has the same time.
    let found = server.ask("SELECT value FROM m");
    let found: BTreeSet<u64> = found.as_array().unwrap().iter().filter_map(|row| row[1].as_u64()).collect();
    let missing: Vec<u64> = (0..count as u64).filter(|number| !found.contains(number)).collect();
    assert!(
        missing.is_empty(),
        "{} of {count} are missing, from {:?} to {:?}",
        missing.len(),
        missing.first(),
        missing.last()
    );
    assert_eq!(server.count("m"), count as u64);
}

#[test]
fn failed_login_holds_messages_back_and_reveals_no_secret() {
    let Some(server) = Server::start(true) else { return };
    server.ask("CREATE USER app WITH PASSWORD 'app-password'");
    server.ask("GRANT WRITE ON plant TO app");
    let broker = broker();
    broker.command_ok("-setSecret DB=hidden-password");
    let events = event("Put", "in", "MEASUREMENT \"m\"");
    let login = |rest: &str| format!("{PLANT}\n{rest}");
    send(&broker, "in", "0");
    for (section, told) in [
        (login(""), "the server answered 401"),
        (
            login("USERNAME \"app\"\nPASSWORD GET SECRET \"DB\""),
            "the server answered 401: authorization failed",
        ),
        (
            "DATABASE \"nowhere\"\nUSERNAME \"root\"\nPASSWORD \"root-password\"".to_owned(),
            "the server answered 404: database not found",
        ),
        ("DATABASE \"other\"\nUSERNAME \"app\"\nPASSWORD \"app-password\"".to_owned(), "other"),
    ] {
        let mut standing = Standing::of(&broker, "Series");
        broker.command_ok(&route(server.port, &section, &events));
        send(&broker, "in", "1");
        let status = standing.until(told);
        // A database may be made; a login comes right by people alone.
        let state =
            if told.contains("404") || told == "other" { "\"Reconnecting\"" } else { "\"Disconnected\"" };
        assert!(status.contains(state) && !status.contains("hidden-password"), "{status}");
    }
    broker.command_ok(&route(server.port, &login("USERNAME \"app\"\nPASSWORD GET SECRET \"DB\""), &events));
    broker.command_ok("-setSecret DB=app-password");
    eventually("what waited is there", || (server.count("m") >= 1).then_some(()));
    assert!(
        !broker.log().text().contains("hidden-password") && !broker.log().text().contains("app-password")
    );
}

#[test]
fn a_bucket_is_written_to_and_a_server_that_is_busy_or_talks_nonsense_is_waited_for() {
    let server = HttpServer::start(|asked| match asked.connection {
        1 => Answer::Close(b"HTTP/1.1 503 So\r\ncontent-length: 0\r\n\r\n".to_vec()),
        2 => Answer::Close(b"220 this is mail\r\n".to_vec()),
        3 => Answer::Close(Vec::new()),
        _ if String::from_utf8_lossy(&asked.body).contains("wrong") => {
            Answer::of(422, r#"{"code":"unprocessable entity","message":"field type conflict"}"#)
        }
        _ => Answer::Close(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()),
    });
    let broker = broker();
    broker.command_ok("-setSecret TOKEN=hidden-token");
    let mut failed = watch(&broker, "failed");
    let gathered =
        "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 100\n        WITH BATCH_LINGER 300\n".to_owned();
    let events = gathered
        + &event(
            "Put",
            "in/+",
            "MEASUREMENT \"m {topic.2}\"\nFIELDS \"v=\\\"{payload}\\\"\"\nTIMESTAMP \"7{topic.2}\"\nERROR_TOPIC \"failed\"",
        );
    let section = "BUCKET \"plant\"\nORG \"a b\"\nTOKEN GET SECRET \"TOKEN\"\nPRECISION \"us\"";
    broker.command_ok(&route(server.address.port(), section, &events));
    publish_all(
        &broker,
        (0..8).map(|number| (format!("in/{number}"), if number == 5 { "wrong" } else { "fine" }.to_owned())),
    );
    assert_eq!(failure(&mut failed), "the server answered 422: field type conflict");
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    for asked in server.asked() {
        assert_eq!(asked.line(), "POST /api/v2/write?bucket=plant&org=a%20b&precision=us");
        assert_eq!(asked.field("authorization"), Some("Token hidden-token"));
        for line in String::from_utf8_lossy(&asked.body).lines() {
            *written.entry(line.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(written.len(), 8);
    assert!(written.contains_key("m\\ 0 v=\"fine\" 70"), "{written:?}");
    assert!(!broker.log().text().contains("hidden-token"));
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let config = authority.server("localhost").server_config();
    let server = HttpServer::start_at(lotmq_test_support::free_address(), Some(config), |_| {
        Answer::of(200, r#"{"results":[{"series":[{"columns":["time","v"],"values":[[1,2]]}]}]}"#)
    });
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let mut answers = watch(&broker, "answer");
    let events = event("Ask", "ask", "QUERY \"SELECT v FROM m\"\nDESTINATION_TOPIC \"answer\"");
    let secure = |more: &str| {
        let port = server.address.port();
        route(port, &format!("{PLANT}\n{more}"), &events).replace("http://", "https://")
    };
    for section in
        ["SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"", "IGNORE_CERT_ERRORS TRUE"]
    {
        broker.command_ok(&secure(section));
        send(&broker, "ask", "");
        assert_eq!(next(&mut answers), r#"answer=[{"time":1,"v":2}]"#, "{section}");
    }
    let mut standing = Standing::of(&broker, "Series");
    broker.command_ok(&secure(""));
    send(&broker, "ask", "");
    standing.until("TLS: ");
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let put = event("Put", "in", "MEASUREMENT \"m\"");
    for (definition, told) in [
        (route(1, "", &put), "INFLUXDB_CONFIG needs DATABASE"),
        (route(1, &format!("{PLANT}\nPRECISION \"h\""), &put), "PRECISION is"),
        (route(1, PLANT, &event("E", "in", "TAGS \"a=b\"")), "needs MEASUREMENT"),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    for (section, events, told) in [
        ("BUCKET \"b\"", put.as_str(), "INFLUXDB_CONFIG: TOKEN is needed"),
        ("BUCKET \"b\"\nDATABASE \"d\"", &put, "it is one of them"),
        (
            PLANT,
            &event("E", "in", "MEASUREMENT \"m\"\nTAGS \"{payload}=1\""),
            "E: TAGS a name is the same for all messages",
        ),
        (PLANT, &event("E", "in", "MEASUREMENT \"m\"\nFIELDS \"a\""), "E: FIELDS 'a' has no value"),
        (
            PLANT,
            &event("E", "in", "MEASUREMENT \"m\"\nQUERY \"SHOW DATABASES\""),
            "E needs MEASUREMENT or QUERY, and not both",
        ),
        (PLANT, &event("E", "in", "QUERY \"SELECT 'x\""), "E: QUERY: the quote ' does not end"),
    ] {
        let mut standing = Standing::of(&broker, "Series");
        broker.command_ok(&route(1, section, events));
        standing.until(told);
    }
}
