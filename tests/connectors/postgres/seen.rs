//! True status of a route to a PostgreSQL server: per event, for a silent server, and for a
//! replaced definition.

use std::net::TcpListener;
use std::time::Duration;

use lotmq_client::QoS;
use lotmq_test_support::{Broker, PostgresServer, SqlServer as _, WAIT_MAX, eventually};
use serde_json::{Value as Json, json};

use super::route;
use crate::{broker, event, send};

/// Returns the row of the only route in `-listRoutes`.
fn listed(broker: &Broker) -> Json {
    broker.command_ok("-listRoutes").data()[0].clone()
}

#[test]
fn success_of_one_event_does_not_hide_failure_of_another() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE a (n int)");
    let broker = broker();
    let events = event("A", "a", "QUERY \"INSERT INTO a VALUES ({payload})\"")
        + &event("B", "b", "QUERY \"INSERT INTO b VALUES ({payload})\"");
    broker.command_ok(&route(&server, "", &events));
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Db/Error", QoS::AtMostOnce).unwrap();
    eventually("it is connected", || (listed(&broker)["connection"] == "Connected").then_some(()));
    send(&broker, "b", "1");
    let record: Json = loop {
        let record: Json = serde_json::from_str(&errors.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
        if record["code"] == "ROUTE_AWAY" {
            break record;
        }
    };
    assert_eq!(record["trigger"], json!({"topic": "b", "payload": "1"}), "{record}");
    let message = record["message"].as_str().unwrap();
    assert!(message.starts_with("event `B`: ") && message.contains("\"b\" does not exist"), "{message}");
    let mut sent = 0;
    eventually("A passes and B is told", || {
        sent += 1;
        send(&broker, "a", "1");
        server.until_counted("SELECT count(*) FROM a", sent);
        let row = listed(&broker);
        let reason = row["reason"].as_str().unwrap_or_default();
        (row["connection"] == "Connected" && reason.contains("event `B`: ")).then_some(())
    });
    assert_eq!(listed(&broker)["waiting"], 1);
    // The status drops the error of a message when its retry passes.
    server.sql("CREATE TABLE b (n int)");
    server.until("SELECT n FROM b", "1");
    eventually("nothing is wrong", || listed(&broker)["reason"].is_null().then_some(()));
}

#[test]
fn a_far_side_that_does_not_answer_is_not_connected_whatever_unused_instances_believe() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (n int)");
    let broker = broker();
    let hurry = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n";
    let events = event("Put", "in", "QUERY \"INSERT INTO t VALUES ({payload})\"");
    let text = route(&server, "POOL_SIZE 4", &(hurry.to_owned() + &events));
    broker.command_ok(&text);
    eventually("all instances are connected", || {
        let metrics = broker.http("/metrics").body;
        let connected =
            |line: &&str| line.starts_with("lotmq_route_instances") && line.contains("\"Connected\"");
        metrics.lines().find(connected)?.ends_with(" 4").then_some(())
    });
    let frozen = server.freeze();
    send(&broker, "in", "1");
    eventually("it is away", || (listed(&broker)["connection"] == "Reconnecting").then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let row = listed(&broker);
    assert_eq!(row["connection"], "Reconnecting", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("no answer within 2 s"), "{row}");
    // Nor is it when its text is replaced, until the new version has connected.
    broker.command_ok(&text.replace("POOL_SIZE 4", "POOL_SIZE 3"));
    assert_ne!(listed(&broker)["connection"], "Connected");
    drop(frozen);
    // Twice where the server reads, when it goes on, what it was sent before nobody waited for its
    // answer any more.
    server.until("SELECT DISTINCT n FROM t", "1");
    eventually("it is back", || (listed(&broker)["connection"] == "Connected").then_some(()));
    let row = listed(&broker);
    assert!(row["reason"].is_null(), "{row}");
}

#[test]
fn a_replaced_route_is_not_connected_before_its_new_text_is() {
    let Some(server) = PostgresServer::start() else { return };
    let broker = broker();
    let text = route(&server, "POOL_SIZE 2", &event("Put", "in", "QUERY \"SELECT {payload}\""));
    broker.command_ok(&text);
    eventually("it is connected", || (listed(&broker)["connection"] == "Connected").then_some(()));
    // One that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    broker.command_ok(&text.replace(&format!("PORT {}", server.port), &format!("PORT {port}")));
    let row = listed(&broker);
    assert_eq!((&row["connection"], &row["since"]), (&"Connecting".into(), &Json::Null), "{row}");
    drop(silent);
}
