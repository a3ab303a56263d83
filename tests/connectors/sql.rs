//! Tests for every connector to an SQL database: models in tables, and no loss while the server is
//! away.

use lotmq_test_support::{Broker, SqlServer, eventually};

use crate::{Standing, backlog, broker, event, next, publish_all, send, watch};

/// Stores instances of a model by the route `Db`, finds them again, and adds what another table
/// says. `devices` makes that table.
pub(crate) fn models_store_and_read_rows(server: &impl SqlServer, route: &str, devices: &str) {
    let broker = broker();
    broker.command_ok(route);
    broker.command_ok(
        "-addModel DEFINE MODEL Part COLLAPSED\n    ADD STRING \"id\"\n    ADD INT \"weight\"\n    ADD BOOL \"good\"\n    STORE IN \"Db\" WITH TABLE \"parts\"\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Weigh\nON TOPIC \"scale/+\" DO\n    PUBLISH MODEL Part TO \"parts/\" + TOPIC POSITION 2 WITH\n        id = TOPIC POSITION 2\n        weight = PAYLOAD AS INT\n        good = TRUE\n",
    );
    for (name, condition) in [("Find", "id == PAYLOAD"), ("Heavy", "weight > PAYLOAD AS DOUBLE")] {
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"{name}\" DO\n    PUBLISH TOPIC \"found\" WITH GET MODEL \"Part\" FROM \"Db\" WHERE {condition}\n"
        ));
    }
    let mut found = watch(&broker, "found");
    send(&broker, "scale/a", "12");
    send(&broker, "scale/b", "3");
    send(&broker, "scale/a", "13");
    server.until("SELECT count(*) FROM parts", "3");
    for (topic, payload, expected) in [
        ("Find", "a", r#"found=[{"id":"a","weight":13,"good":true},{"id":"a","weight":12,"good":true}]"#),
        ("Heavy", "12.5", r#"found={"id":"a","weight":13,"good":true}"#),
    ] {
        send(&broker, topic, payload);
        assert_eq!(next(&mut found), expected);
    }
    server.sql(devices);
    server.sql("INSERT INTO devices VALUES ('7', 'hall', 2.50)");
    broker.command_ok(
        "-addModel DEFINE MODEL Placed COLLAPSED\n    ADD STRING \"id\"\n    ADD STRING \"place\"\n    ADD DOUBLE \"floor\"\n    FETCH FROM \"Db\" WITH TABLE \"devices\" WHEN id EQUALS {id}\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Place\nON TOPIC \"seen/+\" DO\n    PUBLISH MODEL Placed TO \"placed\" WITH\n        id = TOPIC POSITION 2\n",
    );
    let mut placed = watch(&broker, "placed");
    send(&broker, "seen/7", "");
    assert_eq!(next(&mut placed), r#"placed={"id":"7","place":"hall","floor":2.5}"#);
    // A fetch by a column that the table lacks finds nothing, and the route reports it.
    broker.command_ok(
        "-addModel DEFINE MODEL Lost COLLAPSED\n    ADD STRING \"id\"\n    ADD STRING \"place\"\n    FETCH FROM \"Db\" WITH TABLE \"devices\" WHEN ident EQUALS {id}\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Lose\nON TOPIC \"lost/+\" DO\n    PUBLISH MODEL Lost TO \"placed\" WITH\n        id = TOPIC POSITION 2\n",
    );
    let mut standing = Standing::of(&broker, "Db");
    send(&broker, "lost/7", "");
    let told = standing.until("has no column 'ident', which a question names");
    assert!(told.contains("(COLUMN)"), "{told}");
    assert!(told.contains(r#""lastErrorIsOver":true"#), "{told}");
}

/// A query with a name that the server does not know is told before there is a message for it, as
/// long as it is so; `route` makes one of events.
pub(crate) fn misspelt_names_are_told(
    server: &impl SqlServer,
    table: &str,
    route: impl FnOnce(&str) -> String,
    code: &str,
) {
    server.sql(table);
    let broker = broker();
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Db/Error", lotmq_client::QoS::AtMostOnce).unwrap();
    let mut standing = Standing::of(&broker, "Db");
    let events =
        event("Good", "good/+", "QUERY \"INSERT INTO t (topic, n) VALUES ('{topic.2}', {payload})\"")
            + &event("Lazy", "lazy/+", "TABLE \"lazy\"")
            + &event("Reads", "reads/+", "QUERY \"SELECT * FROM lazy WHERE n = {payload}\"")
            + &event("Bad", "bad/+", "QUERY \"UPDATE t SET n = {payload} WHERE tpoic = '{topic.2}'\"");
    broker.command_ok(&route(&events));
    let told = standing.until("Bad: QUERY cannot be prepared");
    for part in ["tpoic", code, r#""lastErrorIsOver":false"#, r#""health":"Yellow""#, r#""Connected""#] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("more)"), "a table that the route makes is none: {told}");
    let error = errors.receive(lotmq_test_support::WAIT_MAX).unwrap().unwrap().text();
    assert!(error.contains("ROUTE_QUERY") && error.contains("tpoic"), "{error}");
    let listed = broker.command_ok("-listRoutes").data()[0]["reason"].to_string();
    assert!(listed.contains("tpoic"), "{listed}");
    // Somebody makes the column; what is known is asked again behind a batch.
    server.sql("ALTER TABLE t ADD COLUMN tpoic varchar(10)");
    eventually("it is over", || {
        send(&broker, "good/a", "1");
        let told = standing.0.receive(lotmq_test_support::WAIT_MAX).unwrap().unwrap().text();
        (!told.contains("cannot be prepared")).then_some(())
    });
}

/// Ends the server and then freezes it while thousands of rows go into the table `t`, of a topic, a
/// number and an `id` by which rows count up.
pub(crate) fn nothing_is_lost<S: SqlServer>(
    server: &mut S,
    table: &str,
    route: impl FnOnce(&S, &str) -> String,
) {
    // More than that takes minutes: the pages of `docs/routes` have the command.
    let messages = backlog(10_000);
    server.sql(table);
    let broker = broker();
    let hurry = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 2\n";
    let events = event("Put", "in/+", "QUERY \"INSERT INTO t (topic, n) VALUES ('{topic.2}', {payload})\"");
    broker.command_ok(&route(server, &(hurry.to_owned() + &events)));
    let mut standing = Standing::of(&broker, "Db");
    let load =
        |from: usize, to: usize| (from..to).map(|number| (format!("in/{}", number % 8), number.to_string()));
    publish_all(&broker, load(0, messages / 4));
    eventually("some rows", || (server.sql("SELECT count(*) FROM t") != "0").then_some(()));
    server.end_at_once();
    publish_all(&broker, load(messages / 4, messages / 2));
    standing.until("\"Reconnecting\"");
    server.start_again();
    standing.until("\"Connected\"");
    let frozen = server.freeze();
    publish_all(&broker, load(messages / 2, messages));
    standing.until("\"Reconnecting\"");
    drop(frozen);
    server.until_counted("SELECT count(DISTINCT n) FROM t", messages);
    // Repeated rows came later. The first copies came in the order of their topic.
    assert_eq!(
        server.sql("SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY topic ORDER BY first) AS is_late FROM (SELECT topic, n, min(id) AS first FROM t GROUP BY topic, n) a) b WHERE is_late"),
        "0"
    );
}

/// Connection strings of which something would not be followed are refused with the definition;
/// `route` has a section with these lines.
pub(crate) fn strings_that_would_not_be_followed_are_refused(
    broker: &Broker,
    route: impl Fn(&str) -> String,
) {
    for (text, told) in [
        ("Password=hidden-password", "names no server"),
        ("Host=db;Prot=7;Password=hidden-password", "has the key 'prot', which is none"),
        ("mongodb://u:hidden-password@db/plant", "begins with mongodb://, which is no address of"),
    ] {
        let refused = broker.command(&route(&format!("CONNECTION_STRING \"{text}\"")));
        assert!(refused.message().contains(&format!("CONNECTION_STRING {told}")), "{told}: {refused:?}");
    }
}
