//! `examples/line4`: a simulated press, a database and a head office, of which the last two are
//! away for a while.

mod press;

use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, PostgresServer, Program, SqlServer as _, WAIT_MAX, eventually, free_port};
use serde_json::Value as Json;

use self::press::Press;
use crate::link::Link;
use crate::{Standing, broker, options, watch};

const LOTMQ: &str = env!("CARGO_BIN_EXE_lotmq");

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/line4");

/// Seconds of the press that pass in one, so that a minute of it is as long as one of [`QUICKER`].
const SPEED: u32 = 240;

/// Replacements in the example that shorten its minutes.
const QUICKER: [(&str, &str); 2] = [
    ("ON EVERY 1 MINUTE", "ON EVERY 250 MILLISECONDS"),
    ("WITH EVERY 500 MILLISECONDS", "WITH EVERY 50 MILLISECONDS"),
];

/// A file of the example, quicker.
fn program(name: &str) -> String {
    let text = std::fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap();
    QUICKER.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// Uploads the example to a broker.
fn deploy(line: &Broker) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for name in ["routes.lot", "minutes.lot", "access.lot"] {
        let text = program(name);
        std::fs::write(folder.path().join(name), &text).unwrap();
        all += &text;
    }
    assert!(QUICKER.iter().all(|(_, to)| all.contains(to)));
    let arguments = ["deploy", "-p", &line.port(), "--name", "line4", folder.path().to_str().unwrap()];
    Program::run(LOTMQ, &arguments).unwrap().output();
}

/// Connects the reader at the head office, whose session persists while it is offline.
fn reader(office: &Broker) -> Client {
    let mut reader = office.connect(&ConnectOptions::v5("reader").clean_start(false).session_expiry(3_600));
    reader.subscribe_to("plants/north/line4/report", QoS::AtLeastOnce).unwrap();
    reader
}

fn text(client: &mut Client) -> String {
    client.receive(WAIT_MAX).unwrap().expect("a message").text()
}

fn report(client: &mut Client) -> Json {
    serde_json::from_str(&text(client)).unwrap()
}

fn made(reports: &[Json]) -> u64 {
    reports.iter().map(|report| report["made"].as_u64().unwrap()).sum()
}

/// Each thing once, where it came first: what was not acknowledged before something ended comes
/// again.
fn once(things: impl IntoIterator<Item = Json>) -> Vec<Json> {
    let mut seen = Vec::new();
    for thing in things {
        if !seen.contains(&thing) {
            seen.push(thing);
        }
    }
    seen
}

/// Rows of the database, in the order in which they came.
fn rows(database: &PostgresServer) -> Vec<Json> {
    let rows = database.sql(
        "SELECT row_to_json(m) FROM (SELECT machine, at, mean, max, samples, made FROM minutes ORDER BY lotmq_row) m",
    );
    rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

#[test]
fn press_reports_reach_database_and_office_after_every_outage() {
    let Some(mut database) = PostgresServer::start() else { return };
    let (press, office, line) = (Press::start(SPEED), options().start(), broker());
    let link = Link::to(office.address().port());
    let mut at_office = reader(&office);
    let mut passing = watch(&office, "plants/north/line4/report");
    let mut at_line = watch(&line, "line4/report");
    for (name, value) in [
        ("PLC_PORT", press.port.to_string()),
        ("DB_PORT", database.port.to_string()),
        ("DB_USER", PostgresServer::USER.to_owned()),
        ("OFFICE_PORT", link.port.to_string()),
    ] {
        line.command_ok(&format!("-setEnv {name}={value}"));
    }
    line.command_ok(&format!("-setSecret DB_PASSWORD={}", PostgresServer::PASSWORD));
    deploy(&line);

    let mut reports = vec![report(&mut at_line)];
    assert_eq!(report(&mut at_office), reports[0]);
    eventually("the first row", || (!database.sql("SELECT to_regclass('minutes')").is_empty()).then_some(()));

    let (mut of_office, mut of_database) = (Standing::of(&line, "HeadOffice"), Standing::of(&line, "Db"));
    link.cut();
    database.end_at_once();
    of_office.until("\"Reconnecting\"");
    of_database.until("\"Reconnecting\"");
    at_office.disconnect().unwrap();
    reports.extend((0..3).map(|_| report(&mut at_line)));
    link.join();
    database.start_again();
    of_office.until("\"Connected\"");
    of_database.until("\"Connected\"");
    while report(&mut passing) != reports[reports.len() - 1] {}
    let mut at_office = reader(&office);

    let parts = press.switch_off();
    while made(&reports) < parts {
        reports.push(report(&mut at_line));
    }
    assert_eq!(made(&reports), parts, "{reports:?}");
    let mut arrived = vec![reports[0].clone()];
    while arrived.last() != reports.last() {
        arrived.push(report(&mut at_office));
    }
    assert_eq!(once(arrived), reports);
    let last = format!(
        "SELECT count(*) > 0 FROM minutes WHERE at = '{}'",
        reports.last().unwrap()["at"].as_str().unwrap()
    );
    database.until(&last, "t");
    assert_eq!(once(rows(&database))[..reports.len()], reports);
    let max = |report: &Json| report["max"].as_f64().unwrap();
    // A mean of equal values is rounded.
    assert!(reports.iter().all(|report| report["mean"].as_f64().unwrap() <= max(report) + 1e-9));
    assert!(reports.iter().any(|report| (60.0..=65.0).contains(&max(report))), "{reports:?}");
}

#[test]
fn only_who_serves_the_machine_changes_its_setpoint() {
    let (press, line) = (Press::start(1), broker());
    line.command_ok(&format!("-setEnv PLC_PORT={}", press.port));
    line.command_ok(&format!("-addRule {}", program("access.lot")));
    let mut setpoint = watch(&line, "line4/press/setpoint");
    let routes = program("routes.lot");
    let route = &routes[routes.find("DEFINE ROUTE Plc").unwrap()..routes.find("DEFINE ROUTE Db").unwrap()];
    line.command_ok(&format!("-addRoute {route}"));
    assert_eq!(text(&mut setpoint), "65");
    let wanted = Publication::new("line4/press/setpoint/write", "90.5").qos(QoS::AtLeastOnce);
    let anybody = line.connect(&ConnectOptions::v5("anybody")).publish(&wanted);
    assert_eq!(anybody.unwrap(), ReasonCode::NotAuthorized);
    line.root("fitter").publish(&wanted).unwrap();
    assert_eq!(text(&mut setpoint), "90.5");
    assert_eq!(press.registers()[7], 905);
}

#[test]
fn one_command_starts_all_of_it_again_when_it_ends_and_leaves_nothing() {
    if !PostgresServer::is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ports = ["PLC_PORT", "DB_PORT", "LINE_PORT", "OFFICE_PORT"].map(|name| (name, free_port()));
    let set: String = ports.iter().map(|(name, port)| format!("{name}={port} ")).collect();
    let command = format!(
        "exec env {set} LOTMQ='{LOTMQ}' TMPDIR='{}' EVERY='1 SECOND' SPEED=60 PAUSE=0.1 '{EXAMPLE}/run'",
        folder.path().display()
    );
    Program::run("chmod", &["755", folder.path().to_str().unwrap()]).unwrap();
    let run = Program::start("sh", &["-c", &command]).unwrap();
    let reported = run.stdout.expect("plants/north/line4/report ");
    let reported: Json = serde_json::from_str(reported.split_once(' ').unwrap().1).unwrap();
    assert_eq!(reported["machine"], "press");

    let own = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let process = |name: &str| std::fs::read_to_string(own.join(format!("{name}.pid"))).unwrap();
    let names = ["database", "press", "office", "line"];
    let before = names.map(process);
    for process in &before {
        Program::run("kill", &["-9", process.trim()]).unwrap();
    }
    eventually("all are started again", || {
        names.map(process).iter().zip(&before).all(|(now, then)| now != then).then_some(())
    });
    let seen = run.stdout.all().len();
    eventually("further reports", || (run.stdout.all().len() > seen + 1).then_some(()));

    Program::run("kill", &["-TERM", &run.process_id().to_string()]).unwrap();
    run.wait().output();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for (name, port) in ports {
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "{name} is still taken");
    }
}
