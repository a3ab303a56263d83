//! Tables that somebody changes while a route writes to them.

use lotmq_test_support::{PostgresServer, SqlServer as _};

use super::{GATHERED, route};
use crate::{broker, event, next, publish_all, send, watch};

#[test]
fn a_column_that_changed_its_type_costs_no_message() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE tx (tag text, v int); CREATE TABLE kept (n int)");
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    let events = event("Put", "in/+", "QUERY \"INSERT INTO tx (tag, v) VALUES ('{topic.2}', '{payload}')\"")
        + &event(
            "Back",
            "back/+",
            "QUERY \"INSERT INTO tx (tag, v) VALUES ('{topic.2}', '{payload}') RETURNING v\"\nDESTINATION_TOPIC \"answer\"",
        )
        + &event("Row", "row", "TABLE \"kept\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    send(&broker, "in/a", "1");
    send(&broker, "back/b", "2");
    assert_eq!(next(&mut answers), "answer=[{\"v\":2}]");
    send(&broker, "row", r#"{"n":3}"#);
    server.until("SELECT count(*) FROM kept", "1");
    // A wrong value stays wrong, however fresh the statement is.
    for topic in ["in/c", "back/d"] {
        send(&broker, topic, "12.5x");
    }
    send(&broker, "row", r#"{"n":"4x"}"#);
    broker.wait_until_metric_is("lotmq_route_dead_letters", 3.0);
    server.sql("ALTER TABLE tx ALTER COLUMN v TYPE text; DROP TABLE kept; CREATE TABLE kept (n text)");
    broker.command_ok("-replayDeadLetters Db");
    assert_eq!(next(&mut answers), "answer=[{\"v\":\"12.5x\"}]");
    server.until("SELECT string_agg(v, ' ' ORDER BY tag) FROM tx", "1 2 12.5x 12.5x");
    server.until("SELECT n FROM kept", "4x");
    // And for many together.
    server.sql("DELETE FROM tx; ALTER TABLE tx ALTER COLUMN v TYPE float8 USING 0.0");
    publish_all(&broker, (0..50).map(|number| (format!("in/{number}"), format!("{number}.5"))));
    server.until("SELECT count(*), max(v) FROM tx", "50|49.5");
    server.sql("ALTER TABLE tx ALTER COLUMN v TYPE text");
    publish_all(&broker, (0..50).map(|number| (format!("in/{number}"), format!("{number}y"))));
    server.until("SELECT count(*) FROM tx WHERE v LIKE '%y'", "50");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 0.0);
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(3.0));
}
