//! Rows of routes as a user has them: `GET MODEL` and `FETCH FROM` against the type `LOOPBACK`,
//! which stores in memory, and what goes wrong.

use lotmq_client::{Client, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use serde_json::Value;

use crate::{broker, next, send, watch};

/// A route with these settings that stores the messages of `row/<table>`, and answers when it has.
fn add_route(broker: &Broker, settings: &str) {
    let config: String = settings.lines().map(|line| format!("        WITH {line}\n")).collect();
    let config = if config.is_empty() { config } else { format!("    ADD LOOPBACK_CONFIG\n{config}") };
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n{config}    ADD EVENT Site\n        WITH SOURCE_TOPIC \"row/sites\"\n        WITH TABLE \"sites\"\n        WITH DESTINATION_TOPIC \"stored\"\n    ADD EVENT Asked\n        WITH SOURCE_TOPIC \"row/Asked\"\n        WITH TABLE \"Asked\"\n        WITH DESTINATION_TOPIC \"stored\""
    ));
}

/// An action that publishes what the route has.
fn add_asking(broker: &Broker, query: &str) {
    broker.command_ok(&format!(
        "-addAction DEFINE ACTION Ask\nON TOPIC \"ask/+\" DO\n    SET \"r\" WITH GET MODEL {query}\n    PUBLISH TOPIC \"out/\" + TOPIC POSITION 2 WITH {{r}}"
    ));
}

/// The errors of the asking action, from now on.
fn errors(broker: &Broker) -> Client {
    let mut root = broker.root("reader of errors");
    root.subscribe_to("$SYS/Coreflux/Actions/Ask/Error", QoS::AtMostOnce).unwrap();
    root
}

fn error(errors: &mut Client) -> (String, String) {
    let record: Value = serde_json::from_str(&errors.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!(record["line"], 3);
    (record["code"].as_str().unwrap().to_owned(), record["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_program_reads_what_a_model_has_stored() {
    let broker = broker();
    add_route(&broker, "");
    broker.command_ok(
        "-addModel DEFINE MODEL Heat COLLAPSED WITH TOPIC \"heat/+\"\n    ADD STRING \"oven\" WITH TOPIC POSITION 2\n    ADD DOUBLE \"t\" WITH TOPIC \"raw/+\" AS TRIGGER\n    STORE IN \"Other\" WITH TABLE \"cold\"\n    STORE IN \"Db\" WITH TABLE \"hot\" WHEN {t} > 50",
    );
    let mut heat = watch(&broker, "heat/#");
    for (oven, t) in [("a", "40"), ("a", "60"), ("b", "80"), ("a", "70.5")] {
        send(&broker, &format!("raw/{oven}"), t);
        assert_eq!(next(&mut heat), format!("heat/{oven}={{\"oven\":\"{oven}\",\"t\":{t}}}"));
    }
    let mut out = watch(&broker, "out/#");
    for (condition, asked, answer) in [
        ("", "x", r#"[{"oven":"a","t":70.5},{"oven":"b","t":80},{"oven":"a","t":60}]"#),
        ("WHERE oven EQUALS TOPIC POSITION 2", "a", r#"[{"oven":"a","t":70.5},{"oven":"a","t":60}]"#),
        ("WHERE oven EQUALS TOPIC POSITION 2", "b", r#"{"oven":"b","t":80}"#),
        ("WHERE oven EQUALS TOPIC POSITION 2", "c", "null"),
        ("WHERE oven EQUALS TOPIC POSITION 2 LIMIT 1", "a", r#"{"oven":"a","t":70.5}"#),
        ("WHERE oven EQUALS \"a\" ORDER BY t ASC LIMIT 1", "x", r#"{"oven":"a","t":60}"#),
        (
            "WHERE t > 75 OR oven EQUALS \"a\" AND t < PAYLOAD",
            "x",
            r#"[{"oven":"b","t":80},{"oven":"a","t":60}]"#,
        ),
        ("WHERE oven NOT CONTAINS \"a\"", "x", r#"{"oven":"b","t":80}"#),
        ("WHERE t IN [60, 80] AND oven IS NOT NULL", "x", r#"[{"oven":"b","t":80},{"oven":"a","t":60}]"#),
    ] {
        add_asking(&broker, &format!("\"Heat\" FROM \"Db\" {condition}"));
        send(&broker, &format!("ask/{asked}"), "65");
        assert_eq!(next(&mut out), format!("out/{asked}={answer}"), "{condition}");
    }
    let report = broker.command_ok("-lotDiagnostic action Ask");
    assert_eq!(report.data()["lastError"], Value::Null);

    // Without TABLE it is that of the model's name (§15 row 19).
    broker.command_ok(
        "-addModel DEFINE MODEL Cold COLLAPSED WITH TOPIC \"heat/x\"\n    ADD DOUBLE \"t\" WITH TOPIC \"cold\" AS TRIGGER\n    STORE IN \"Db\"",
    );
    send(&broker, "cold", "-3");
    assert_eq!(next(&mut heat), "heat/x={\"t\":-3}");
    add_asking(&broker, "Cold FROM Db");
    send(&broker, "ask/x", "");
    assert_eq!(next(&mut out), "out/x={\"t\":-3}");
}

#[test]
fn a_row_fills_a_model() {
    let broker = broker();
    add_route(&broker, "");
    broker.command_ok(
        "-addModel DEFINE MODEL Meter COLLAPSED WITH TOPIC \"meter/+\"\n    ADD STRING \"id\" WITH TOPIC POSITION 2\n    ADD STRING \"site\"\n    ADD DOUBLE \"v\" WITH TOPIC \"raw/+\" AS TRIGGER\n    ADD INT \"factor\"\n    ADD DOUBLE \"kwh\" WITH v * factor\n    FETCH FROM \"Db\" WITH TABLE \"sites\" WHEN id EQUALS {id} LIMIT 1",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Send\nON TOPIC \"send\" DO\n    PUBLISH MODEL Meter TO \"sent\" WITH id = PAYLOAD, v = 3, site = \"here\"",
    );
    let mut stored = watch(&broker, "stored");
    let mut meter = watch(&broker, "meter/#");
    let mut sent = watch(&broker, "sent");
    for row in [r#"{"id":"7","site":"hall","factor":9}"#, r#"{"id":"7","site":"yard","factor":"10"}"#] {
        send(&broker, "row/sites", row);
        assert_eq!(next(&mut stored), format!("stored={row}"));
    }
    for (id, meant) in [
        ("7", r#"{"id":"7","site":"yard","v":1.5,"factor":10,"kwh":15}"#),
        ("8", r#"{"id":"8","site":null,"v":1.5,"factor":null,"kwh":0}"#),
    ] {
        send(&broker, &format!("raw/{id}"), "1.5");
        assert_eq!(next(&mut meter), format!("meter/{id}={meant}"));
    }
    send(&broker, "send", "7");
    assert_eq!(next(&mut sent), r#"sent={"id":"7","site":"here","v":3,"factor":10,"kwh":30}"#);
}

#[test]
fn failed_row_lookup_returns_null_and_an_error_record() {
    let broker = broker();
    add_asking(&broker, "\"Asked\" FROM \"Db\"");
    let mut out = watch(&broker, "out/#");
    let mut errors = errors(&broker);
    let mut fails = |code: &str, message: &str| {
        send(&broker, "ask/x", "");
        assert_eq!(next(&mut out), "out/x=null");
        assert_eq!(error(&mut errors), (code.to_owned(), message.to_owned()));
    };
    fails("ROUTE_UNKNOWN", "there is no route 'Db'");
    add_route(&broker, "FAIL \"reject\"");
    fails("ROUTE_REFUSED", "route 'Db': it was asked to fail");
    // A route that stands still is not waited for.
    add_route(&broker, "FAIL GET ENV \"MISSING\"");
    fails("ROUTE_REFUSED", "route 'Db': not set: environment value 'MISSING'");
    broker.command_ok("-setEnv MISSING=fatal");
    fails("ROUTE_REFUSED", "route 'Db': it was asked to fail");
    let mut stored = watch(&broker, "stored");
    add_route(&broker, "");
    send(&broker, "row/Asked", "{\"v\":1}");
    assert_eq!(next(&mut stored), "stored={\"v\":1}");
    send(&broker, "ask/x", "");
    assert_eq!(next(&mut out), "out/x={\"v\":1}");
}

/// A far side that is busy or away is asked again as long as somebody waits; what waits goes over
/// to a replacement.
#[test]
fn a_question_waits_for_the_far_side() {
    let broker = broker();
    add_asking(&broker, "\"Asked\" FROM \"Db\"");
    let mut out = watch(&broker, "out/#");
    for failing in ["retry", "reconnect"] {
        add_route(&broker, &format!("FAIL \"{failing}\""));
        send(&broker, "ask/x", "");
        eventually("a far side that was asked", || {
            (broker.command_ok("-listRoutes").data()[0]["errors"] != 0).then_some(())
        });
        // Handed over behind the question, which sees nothing of it.
        send(&broker, "row/Asked", "{\"v\":1}");
        add_route(&broker, "");
        assert_eq!(next(&mut out), "out/x=null", "{failing}");
        broker.command_ok("-removeRoute Db");
    }
}

/// §8.7: after five seconds the run goes on without rows. Its definition's next run waits for that;
/// nobody else does.
#[test]
fn a_far_side_that_is_slow_costs_its_asker_five_seconds() {
    let broker = broker();
    add_asking(&broker, "\"Asked\" FROM \"Db\"");
    broker.command_ok(
        "-addAction DEFINE ACTION Other\nON TOPIC \"other\" DO\n    LOOP\n        PUBLISH TOPIC \"out/other\" WITH PAYLOAD\n    UNTIL TRUE",
    );
    add_route(&broker, "DELAY 59000");
    let mut out = watch(&broker, "out/#");
    let mut errors = errors(&broker);
    send(&broker, "ask/1", "");
    send(&broker, "ask/2", "");
    send(&broker, "other", "at once");
    assert_eq!(next(&mut out), "out/other=at once");
    let waiting =
        |reason: &str| broker.metric(&format!("lotmq_guest_runs_waiting{{reason=\"{reason}\"}}")).unwrap();
    assert_eq!(["script", "route", "writes"].map(waiting), [0.0, 1.0, 0.0]);
    assert_eq!(next(&mut out), "out/1=null");
    let expected = ("ROUTE_TIMEOUT".to_owned(), "route 'Db' did not answer within 5 s".to_owned());
    assert_eq!(error(&mut errors), expected);
    broker.command_ok("-removeRoute Db");
    assert_eq!(next(&mut out), "out/2=null");
    broker.wait_until_metric_is("lotmq_guest_runs_waiting{reason=\"route\"}", 0.0);
}

/// A far side that has been away for longer than a run would wait is not waited for.
#[test]
fn a_far_side_that_stays_away_costs_nothing() {
    let broker = broker();
    broker.command_ok("-setEnv FAILS=trap");
    add_asking(&broker, "\"Asked\" FROM \"Db\"");
    add_route(&broker, "FAIL GET ENV \"FAILS\"");
    let mut out = watch(&broker, "out/#");
    let mut errors = errors(&broker);
    send(&broker, "ask/1", "");
    assert_eq!(next(&mut out), "out/1=null");
    assert_eq!(error(&mut errors).0, "ROUTE_TIMEOUT");
    send(&broker, "ask/2", "");
    assert_eq!(next(&mut out), "out/2=null");
    let (code, message) = error(&mut errors);
    assert_eq!(code, "ROUTE_REFUSED");
    assert!(message.starts_with("route 'Db': it has been away for "), "{message}");
}

/// §7.5: `ON START` that waits for rows does not hold the listeners at all.
#[test]
fn a_start_that_waits_does_not_hold_the_listeners() {
    let mut broker = broker();
    add_route(&broker, "DELAY 59000");
    // Ten seconds, where others may hold them for five.
    broker.command_ok(
        "-addAction DEFINE ACTION Boot\nON START DO\n    SET \"a\" WITH GET MODEL \"A\" FROM \"Db\"\n    SET \"b\" WITH GET MODEL \"B\" FROM \"Db\"\n    PUBLISH TOPIC \"up\" WITH {a} + {b}",
    );
    broker.kill();
    broker.start_again();
    broker.command_ok("-setEnv A=1");
    broker.log().expect("verb=\"setEnv\"");
    assert!(!broker.log().text().contains("ON START takes longer"), "{}", broker.log().text());
}
