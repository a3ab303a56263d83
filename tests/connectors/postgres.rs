//! `POSTGRESQL` and `CRATEDB`: rows, questions and tables at a PostgreSQL server, with what goes
//! wrong on the way and at its end.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Authority, Broker, PostgresServer, SqlServer as _};
use serde_json::{Value as Json, json};

use crate::{Standing, broker, event, failure, next, publish_all, send, sql, watch};

mod away;
mod changed;
mod seen;

const USER: &str = PostgresServer::USER;
const PASSWORD: &str = PostgresServer::PASSWORD;

/// A route of a type to a port with lines in its section, and events.
fn route_of(kind: &str, port: u16, section: &str, events: &str) -> String {
    let place = format!("    ADD SQL_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {port}\n");
    let section = section.lines().fold(place, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Db WITH TYPE {kind}\n{section}{events}")
}

fn login() -> String {
    format!("DATABASE \"postgres\"\nUSERNAME \"{USER}\"\nPASSWORD \"{PASSWORD}\"")
}

fn route(server: &PostgresServer, more: &str, events: &str) -> String {
    route_of("POSTGRESQL", server.port, &format!("{}\n{more}", login()), events)
}

fn send_bytes(broker: &Broker, topic: &str, payload: &[u8]) {
    let mut client = broker.client("sender of bytes");
    client.publish(&Publication::new(topic, payload.to_vec()).qos(QoS::AtLeastOnce)).unwrap();
    client.disconnect().unwrap();
}

#[test]
fn rows_are_written_and_asked_for() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (dev text PRIMARY KEY, v float8, at timestamptz, n int DEFAULT 7)");
    let broker = broker();
    let mut answers = watch(&broker, "answer/#");
    let events = event(
        "Put",
        "in/+",
        "QUERY \"INSERT INTO t (dev, v, at) VALUES ('{topic.2}', {payload.json.v}, '{timestamp}') ON CONFLICT (dev) DO UPDATE SET v = excluded.v\"",
    ) + &event(
        "Back",
        "back/+",
        "QUERY \"INSERT INTO t (dev, v) VALUES ('dev-{topic.2}', {payload}) RETURNING dev, v\"\nDESTINATION_TOPIC \"answer/{topic.2}\"\nQOS 1",
    ) + &event(
        "Ask",
        "ask/+",
        "QUERY \"SELECT dev, v, n FROM t WHERE dev = '{topic.2}'\"\nDESTINATION_TOPIC \"answer/{topic.2}\"",
    ) + &event(
        "All",
        "all/+",
        "QUERY \"SELECT * FROM t WHERE dev = '{topic.2}'\"\nDESTINATION_TOPIC \"answer/all\"",
    ) + &event(
        "Away",
        "away/+",
        "QUERY \"DELETE FROM t WHERE dev = '{topic.2}'\"\nDESTINATION_TOPIC \"answer/{topic.2}\"",
    );
    broker.command_ok(&route(&server, "", &events));
    send(&broker, "in/oven", r#"{"v":81}"#);
    server.until("SELECT dev, v, at > now() - interval '1 hour', n FROM t", "oven|81|t|7");
    send(&broker, "in/oven", r#"{"v":82.5}"#);
    server.until("SELECT v FROM t", "82.5");
    send(&broker, "ask/oven", "");
    assert_eq!(next(&mut answers), r#"answer/oven=[{"dev":"oven","v":82.5,"n":7}]"#);
    // Text in a topic or a payload stays a value.
    send(&broker, "in/x'); DROP TABLE t; --", r#"{"v":null}"#);
    server.until("SELECT dev FROM t WHERE v IS NULL", "x'); DROP TABLE t; --");
    send(&broker, "back/2", "-3");
    assert_eq!(next(&mut answers), r#"answer/2=[{"dev":"dev-2","v":-3}]"#);
    send(&broker, "ask/nobody", "");
    assert_eq!(next(&mut answers), "answer/nobody=[]");
    send(&broker, "away/oven", "");
    assert_eq!(next(&mut answers), r#"answer/oven=[{"affected":1}]"#);
    // A statement that is prepared outlives that its table changes.
    for (change, row) in [
        ("DELETE FROM t WHERE dev <> 'dev-2'", r#"{"dev":"dev-2","v":-3,"at":null,"n":7}"#),
        ("ALTER TABLE t ADD COLUMN more bool", r#"{"dev":"dev-2","v":-3,"at":null,"n":7,"more":null}"#),
        ("ALTER TABLE t ALTER COLUMN n TYPE text", r#"{"dev":"dev-2","v":-3,"at":null,"n":"7","more":null}"#),
    ] {
        server.sql(change);
        send(&broker, "all/dev-2", "");
        assert_eq!(next(&mut answers), format!("answer/all=[{row}]"));
    }
    assert_eq!(broker.command_ok("-checkRouteConnection Db").message(), "Route 'Db' is reachable.");
    for line in
        ["Put: rows of a batch go together, by unnest", "Ask: each message goes with a statement of its own"]
    {
        assert!(broker.log().text().contains(line), "{line}: {}", broker.log().text());
    }
    let paths =
        r#"{"All":"one by one","Ask":"one by one","Away":"one by one","Back":"one by one","Put":"unnest"}"#;
    assert_eq!(broker.command_ok("-listRoutes").data()[0]["paths"].to_string(), paths);
    let mut standing = Standing::of(&broker, "Db");
    send(&broker, "ask/oven", "");
    standing.until(&format!(r#""paths":{paths}"#));
}

#[test]
fn a_statement_that_the_server_cannot_run_costs_no_message() {
    let Some(server) = PostgresServer::start() else { return };
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO temps (v) VALUES ({payload})\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &put));
    let mut standing = Standing::of(&broker, "Db");
    // Before the first message a probe says what is missing, over either connection.
    standing.until("\"Connected\"");
    for (way, tried) in [("", "open"), (" -new", "new")] {
        let probe = broker.command(&format!("-checkRouteConnection Db{way}"));
        assert_eq!((probe.code(), &probe.data()["tried"]), ("NOT_REACHABLE", &tried.into()), "{probe:?}");
        assert!(probe.message().contains("relation \"temps\" does not exist"), "{probe:?}");
    }
    let publish = |from: usize| {
        publish_all(&broker, (from..from + 50).map(|number| ("in/a".to_owned(), number.to_string())));
    };
    publish(0);
    let told = standing.until(
        "relation \\\"temps\\\" does not exist (SQLSTATE 42P01): so it is for every message; they wait",
    );
    assert!(told.contains("\"Reconnecting\""), "{told}");
    server.sql("CREATE TABLE temps (v float8)");
    server.until("SELECT count(*), min(v), max(v) FROM temps", "50|0|49");
    server.sql("ALTER TABLE temps RENAME COLUMN v TO w");
    publish(50);
    standing.until("SQLSTATE 42703");
    server.sql("ALTER TABLE temps RENAME COLUMN w TO v");
    server.until("SELECT count(*), min(v), max(v) FROM temps", "100|0|99");
    // An error in one row costs only that row.
    send(&broker, "in/a", "no number");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    assert_eq!(broker.command_ok("-listDeadLetters Db").data()["letters"][0]["payload"], "no number");
}

#[test]
fn misspelt_names_are_reported_before_the_first_message() {
    for kind in ["POSTGRESQL", "CRATEDB"] {
        let Some(server) = PostgresServer::start() else { return };
        sql::misspelt_names_are_told(
            &server,
            "CREATE TABLE t (topic text, n int)",
            |events| route_of(kind, server.port, &format!("{}\nPOOL_SIZE 1", login()), events),
            "SQLSTATE 42703",
        );
    }
}

/// Lines of a section that gathers messages for a while, so that they come as one batch.
const GATHERED: &str = "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 1000\n        WITH BATCH_LINGER 700\n";

#[test]
fn every_type_of_value_arrives_and_comes_back() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TYPE mood AS ENUM ('good', 'bad')");
    let single = "b bool, i2 int2, i4 int4, i8 int8, n numeric, m numeric(6,2), f4 float4, f8 float8, t text, vc varchar(9), d date, ts timestamp, tz timestamptz, ti time, iv interval, u uuid, j json, jb jsonb, ip inet, e mood";
    server.sql(&format!("CREATE TABLE many ({single})"));
    server.sql(&format!("CREATE TABLE one ({single}, ai int[], at text[], y bytea)"));
    let values = "{payload.json.b}, {payload.json.i2}, {payload.json.i4}, {payload.json.i8}, '{payload.json.n}', {payload.json.m}, {payload.json.f}, {payload.json.f}, '{payload.json.t}', '{payload.json.vc}', '{payload.json.d}', '{payload.json.ts}', '{payload.json.ts}', '{payload.json.ti}', '{payload.json.iv}', '{payload.json.u}', '{payload.json.j}', '{payload.json.j}'::jsonb, '{payload.json.ip}', '{payload.json.e}'";
    let events = event("Many", "many", &format!("QUERY \"INSERT INTO many VALUES ({values})\""))
        + &event(
            "One",
            "one",
            &format!(
                "QUERY \"INSERT INTO one VALUES ({values}, '{{payload.json.ai}}', '{{payload.json.at}}', '{{payload.json.y}}') RETURNING *\"\nDESTINATION_TOPIC \"answer\""
            ),
        )
        + &event(
            "Bytes",
            "bytes",
            "QUERY \"INSERT INTO one (y) VALUES ('{payload}') RETURNING y\"\nDESTINATION_TOPIC \"answer\"",
        )
        + &event(
            "Values",
            "values",
            "QUERY \"SELECT 'NaN'::numeric AS nan, '{payload.json.t}' || '!' AS t, {payload.json.x} AS none, ARRAY[[1,2],[3,4]] AS a, ARRAY['{\\\"k\\\":1}'::jsonb] AS j, jsonb_build_object('v', '{payload.json.t}') AS o, '2026-01-05'::timestamptz AT TIME ZONE 'UTC' AS ts, 12345678901234567890.12 AS big\"\nDESTINATION_TOPIC \"answer\"",
        );
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let message = r#"{"b":true,"i2":-32768,"i4":2147483647,"i8":9223372036854775807,"n":"0.10000000000000000001","m":21.5,"f":1e-7,"t":"quo'te \"x\" \\ ü {y}","vc":"a,b","d":"2026-02-28","ts":"2026-01-05T10:00:00.125Z","ti":"23:59:59","iv":"90 minutes","u":"7f3c0b1e-0d7a-4f0e-9d59-0c8f3b0a8f11","j":{"a":[1,2.50,null],"b":"x"},"ip":"10.0.0.7","e":"good","ai":"{1,NULL,3}","at":"{\"a b\",NULL}","y":"\\x00ff"}"#;
    publish_all(
        &broker,
        [message, r#"{"t":null}"#, "{}"].into_iter().map(|text| ("many".to_owned(), text.to_owned())),
    );
    server.until("SELECT count(*) FROM many", "3");
    assert!(broker.http("/metrics").body.contains("rows_by_unnest"), "{}", broker.http("/metrics").body);
    server.until("SELECT count(*) FROM many WHERE num_nonnulls(b, i2, t, j, e) = 0", "2");
    let row = "b, i2, i4, i8, n, m, f4, f8, t, vc, d, tz = '2026-01-05 10:00:00.125+00' AS tz, ti, iv, u, j, jb, ip, e";
    let written = r#"t|-32768|2147483647|9223372036854775807|0.10000000000000000001|21.50|1e-07|1e-07|quo'te "x" \ ü {y}|a,b|2026-02-28|t|23:59:59|01:30:00|7f3c0b1e-0d7a-4f0e-9d59-0c8f3b0a8f11|{"a":[1,2.50,null],"b":"x"}|{"a": [1, 2.50, null], "b": "x"}|10.0.0.7|good"#;
    assert_eq!(server.sql(&format!("SELECT {row} FROM many WHERE b")), written);
    send(&broker, "one", message);
    let zone = server.sql("SHOW timezone");
    let answer = next(&mut answers);
    for part in [
        r#"answer=[{"b":true,"i2":-32768,"i4":2147483647,"i8":9223372036854775807,"n":0.10000000000000000001,"m":21.50,"f4":1e-07,"f8":1e-07,"t":"quo'te \"x\" \\ ü {y}","vc":"a,b","d":"2026-02-28","ts":"2026-01-05T10:00:00.125","tz":"2026-01-05T"#,
        r#""ti":"23:59:59","iv":"01:30:00","u":"7f3c0b1e-0d7a-4f0e-9d59-0c8f3b0a8f11","j":{"a":[1,2.50,null],"b":"x"},"jb":{"a":[1,2.50,null],"b":"x"},"ip":"10.0.0.7","e":"good","ai":[1,null,3],"at":["a b",null],"y":"AP8="}]"#,
    ] {
        assert!(answer.contains(part), "{zone}: {answer}");
    }
    send_bytes(&broker, "bytes", &[0, 255, b'\\', b'\'', 128]);
    assert_eq!(next(&mut answers), r#"answer=[{"y":"AP9cJ4A="}]"#);
    send_bytes(&broker, "bytes", b"a\\b");
    assert_eq!(next(&mut answers), r#"answer=[{"y":"YVxi"}]"#);
    send(&broker, "values", r#"{"t":"w"}"#);
    assert_eq!(
        next(&mut answers),
        r#"answer=[{"nan":"NaN","t":"w!","none":null,"a":[[1,2],[3,4]],"j":[{"k":1}],"o":{"v":"w"},"ts":"2026-01-05T00:00:00","big":12345678901234567890.12}]"#
    );
}

#[test]
fn one_bad_row_among_a_thousand_costs_only_itself() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (id serial, n int CHECK (n <> 700), note text)");
    server.sql("CREATE TABLE last (dev text PRIMARY KEY, n int)");
    let broker = broker();
    let mut failed = watch(&broker, "failed");
    let events = event(
        "Put",
        "in/+",
        "QUERY \"INSERT INTO t (n, note) VALUES ('{payload}', 'x')\"\nERROR_TOPIC \"failed\"",
    ) + &event(
        "Last",
        "last/+",
        "QUERY \"INSERT INTO last VALUES ('{topic.2}', {payload}) ON CONFLICT (dev) DO UPDATE SET n = excluded.n\"",
    );
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let payload = |number: i32| if number == 300 { "no number".to_owned() } else { number.to_string() };
    publish_all(&broker, (0..1_000).map(|number| ("in/1".to_owned(), payload(number))));
    server.until("SELECT count(*), count(DISTINCT n), min(n), max(n) FROM t", "998|998|0|999");
    let mut told = vec![failure(&mut failed), failure(&mut failed)];
    told.sort();
    assert_eq!(told[0], "invalid input syntax for type integer: \"no number\" (SQLSTATE 22P02)");
    assert!(told[1].starts_with("new row for relation \"t\" violates check constraint"), "{told:?}");
    assert_eq!(
        server.sql(
            "SELECT count(*) FROM (SELECT n - lag(n) OVER (ORDER BY id) AS step FROM t) s WHERE step < 1"
        ),
        "0"
    );
    broker.wait_until_metric_is("lotmq_route_rejected_total", 2.0);
    // A row that changes twice within a batch is as it was told last.
    publish_all(&broker, (0..100).map(|number| (format!("last/{}", number % 3), number.to_string())));
    server.until("SELECT string_agg(dev || '=' || n, ' ' ORDER BY dev) FROM last", "0=99 1=97 2=98");
}

#[test]
fn a_column_of_whole_numbers_takes_a_fraction_behind_them() {
    let Some(server) = PostgresServer::start() else { return };
    let broker = broker();
    broker.command_ok(&route(&server, "POOL_SIZE 1", &event("E", "rows", "TABLE_NAME \"things\"")));
    for (rows, stored) in
        [(&["1", "2"][..], "1 2"), (&["2.5"], "1 2 2.5"), (&["3", "0.5", "4"], "1 2 2.5 3 0.5 4")]
    {
        publish_all(&broker, rows.iter().map(|a| ("rows".to_owned(), format!("{{\"a\":{a}}}"))));
        server.until("SELECT string_agg(a::text, ' ' ORDER BY lotmq_row) FROM things", stored);
    }
}

#[test]
fn rows_are_stored_in_tables_and_asked_for() {
    let Some(server) = PostgresServer::start() else { return };
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    let mut failed = watch(&broker, "failed");
    let events = event("E", "rows", "TABLE_NAME \"things\"\nERROR_TOPIC \"failed\"")
        + &event("Told", "told", "TABLE_NAME \"things\"\nDESTINATION_TOPIC \"answer\"");
    server.sql("CREATE SCHEMA plant");
    broker.command_ok(&route(&server, "SCHEMA \"plant\"\nPOOL_SIZE 2", &(GATHERED.to_owned() + &events)));
    let rows = [
        r#"{"a":1,"b":true,"none":null}"#,
        r#"{"a":2,"b":false,"none":null}"#,
        r#"{"a":2.5,"text":"it's","list":[1,{"z":1}],"o":{"k":"v"}}"#,
        r#"{"none":null}"#,
        r#"{"big":9007199254740993,"odd \"name\"":"x"}"#,
        r#"{"list":"word"}"#,
        r#"{"b":"perhaps"}"#,
        "[1]",
    ];
    publish_all(&broker, rows.into_iter().map(|row| ("rows".to_owned(), row.to_owned())));
    server.until("SELECT count(*) FROM plant.things", "6");
    assert_eq!(
        server.sql("SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'things'"),
        "lotmq_row bigint, a double precision, b boolean, text text, list json, o json, big bigint, odd \"name\" text"
    );
    assert_eq!(
        server.sql(
            "SELECT a, b, text, list, o, big, \"odd \"\"name\"\"\" FROM plant.things ORDER BY lotmq_row"
        ),
        "1|t|||||\n2|f|||||\n2.5||it's|[1,{\"z\":1}]|{\"k\":\"v\"}||\n||||||\n|||||9007199254740993|x\n|||\"word\"|||"
    );
    let mut told = vec![failure(&mut failed), failure(&mut failed)];
    told.sort();
    assert_eq!(
        told,
        ["a row is a JSON object", "invalid input syntax for type boolean: \"perhaps\" (SQLSTATE 22P02)"]
    );
    // Somebody else makes it smaller meanwhile.
    server.sql("ALTER TABLE plant.things DROP COLUMN a");
    send(&broker, "told", r#"{"a":5}"#);
    assert_eq!(next(&mut answers), r#"answer=[{"affected":1}]"#);
    assert_eq!(server.sql("SELECT a FROM plant.things WHERE a IS NOT NULL"), "5");
    // A table of somebody else keeps its types.
    server.sql("CREATE TABLE plant.theirs (n int, exact numeric)");
    broker.command_ok(&route(
        &server,
        "SCHEMA \"plant\"",
        &event("E", "rows", "TABLE_NAME \"theirs\"\nERROR_TOPIC \"failed\""),
    ));
    send(&broker, "rows", r#"{"n":1.5}"#);
    assert_eq!(failure(&mut failed), "invalid input syntax for type integer: \"1.5\" (SQLSTATE 22P02)");
    send(&broker, "rows", r#"{"n":7,"exact":0.10000000000000000001}"#);
    server.until("SELECT n, exact FROM plant.theirs", "7|0.10000000000000000001");
}

/// A model whose instances are stored in the table `parts`, what makes some, and what finds heavy
/// ones.
fn weigh_parts(broker: &Broker) {
    broker.command_ok(
        "-addModel DEFINE MODEL Part COLLAPSED\n    ADD STRING \"id\"\n    ADD INT \"weight\"\n    STORE IN \"Db\" WITH TABLE \"parts\"\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Weigh\nON TOPIC \"scale/+\" DO\n    PUBLISH MODEL Part TO \"parts/\" + TOPIC POSITION 2 WITH\n        id = TOPIC POSITION 2\n        weight = PAYLOAD AS INT\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Heavy\nON TOPIC \"heavy\" DO\n    PUBLISH TOPIC \"found\" WITH GET MODEL \"Part\" FROM \"Db\" WHERE weight > PAYLOAD AS DOUBLE\n",
    );
}

#[test]
fn models_store_and_read_rows() {
    let Some(server) = PostgresServer::start() else { return };
    sql::models_store_and_read_rows(
        &server,
        &route(&server, "", ""),
        "CREATE TABLE devices (id text, place text, floor numeric)",
    );
}

#[test]
fn nothing_is_lost_when_the_server_ends_or_stands_still_under_load() {
    let Some(mut server) = PostgresServer::start() else { return };
    sql::nothing_is_lost(&mut server, "CREATE TABLE t (id serial, topic text, n int)", |server, events| {
        route(server, "", events)
    });
}

#[test]
fn a_row_that_waited_has_the_time_of_its_message() {
    let Some(mut server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (at timestamptz, written timestamptz DEFAULT clock_timestamp())");
    let broker = broker();
    let put = event("Put", "in", "QUERY \"INSERT INTO t (at) VALUES ('{timestamp}')\"");
    broker.command_ok(&route(&server, "", &put));
    server.end_at_once();
    publish_all(&broker, [("in".to_owned(), "1".to_owned())].into_iter());
    std::thread::sleep(Duration::from_secs(1));
    server.start_again();
    server.until("SELECT written - at > interval '1 s' FROM t", "t");
}

/// A lock of others is waited for as long as a statement may take, told, and waited for again: it
/// costs no message and no connection.
#[test]
fn lock_of_another_session_is_reported_and_loses_no_message() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (n int)");
    let broker = broker();
    let put = event("Put", "in", "QUERY \"INSERT INTO t VALUES ({payload})\"");
    for (number, (setting, told)) in [
        ("0", "canceling statement due to statement timeout (SQLSTATE 57014)"),
        ("'200ms'", "canceling statement due to lock timeout (SQLSTATE 55P03)"),
    ]
    .into_iter()
    .enumerate()
    {
        server.sql(&format!("ALTER ROLE {USER} SET lock_timeout = {setting}"));
        let mut standing = Standing::of(&broker, "Db");
        broker.command_ok(&route(&server, "QUERY_TIMEOUT 1\nPOOL_SIZE 1", &put));
        standing.until("\"Connected\"");
        let reconnects = broker.metric("lotmq_route_reconnects_total");
        std::thread::scope(|scope| {
            scope.spawn(|| server.sql("BEGIN; LOCK TABLE t; SELECT pg_sleep(6); COMMIT"));
            let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 't'::regclass AND granted";
            server.until(locks, "1");
            send(&broker, "in", &number.to_string());
            standing.until(told);
        });
        server.until(&format!("SELECT count(*) FROM t WHERE n = {number}"), "1");
        assert_eq!(broker.metric("lotmq_route_reconnects_total"), reconnects);
    }
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
}

#[test]
fn server_error_code_decides_between_retry_and_stop() {
    let Some(server) = PostgresServer::start_with(&["max_connections=9"], None) else { return };
    server.sql("CREATE TABLE t (n int)");
    let broker = broker();
    broker.command_ok("-setSecret PG=hidden-password");
    let events = event("Put", "in", "QUERY \"INSERT INTO t VALUES ({payload})\"")
        + &event("Slow", "slow", "QUERY \"SELECT pg_sleep({payload})\"");
    let with = |section: &str| route_of("POSTGRESQL", server.port, section, &events);
    for (section, connection, told) in [
        (
            format!("DATABASE \"postgres\"\nUSERNAME \"{USER}\"\nPASSWORD GET SECRET \"PG\""),
            "Disconnected",
            "password authentication failed for user \\\"app\\\" (SQLSTATE 28P01)",
        ),
        (
            format!("DATABASE \"postgres\"\nUSERNAME \"{USER}\""),
            "Disconnected",
            "the server wants a password, and SQL_CONFIG has no PASSWORD",
        ),
        (
            login().replace("\"postgres\"", "\"nowhere\""),
            "Reconnecting",
            "database \\\"nowhere\\\" does not exist (SQLSTATE 3D000)",
        ),
        (
            format!("{}\nUSE_SSL TRUE", login()),
            "Disconnected",
            "the server has no TLS, for which USE_SSL or the connection string asks",
        ),
    ] {
        broker.command_ok(&with(&section));
        let status = Standing::of(&broker, "Db").until(told);
        assert!(
            status.contains(&format!("\"{connection}\"")) && !status.contains("hidden-password"),
            "{status}"
        );
    }
    // A corrected route goes on, with the messages that waited.
    send(&broker, "in", "1");
    broker.command_ok(&with(&format!(
        "DATABASE \"postgres\"\nUSERNAME \"{USER}\"\nPASSWORD GET SECRET \"PG\""
    )));
    broker.command_ok(&format!("-setSecret PG={PASSWORD}"));
    server.until("SELECT n FROM t", "1");
    let mut standing = Standing::of(&broker, "Db");
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lotmq'");
    send(&broker, "in", "2");
    server.until("SELECT count(*) FROM t WHERE n = 2", "1");
    // The route reports a statement that takes too long and tries it again, even if it holds the
    // table.
    broker.command_ok(&with(&format!("{}\nQUERY_TIMEOUT 1", login())));
    send(&broker, "slow", "30");
    standing.until("canceling statement due to statement timeout (SQLSTATE 57014)");
    assert!(!broker.log().text().contains("hidden-password") && !broker.log().text().contains(PASSWORD));
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = PostgresServer::start_with(&[], Some(&authority.server("localhost"))) else { return };
    let broker = broker();
    broker.command_ok(&format!(
        "-setSecret CA={}",
        std::fs::read_to_string(authority.file()).unwrap().trim().replace('\n', "\\n")
    ));
    let events = event(
        "Ask",
        "ask",
        "QUERY \"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\"\nDESTINATION_TOPIC \"answer\"",
    );
    let port = server.port;
    let text = format!(
        "Host=127.0.0.1;Port={port};Database=postgres;Username={USER};Password='{PASSWORD}';SSL Mode="
    );
    let url = format!(
        "CONNECTION_STRING \"postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=verify-full\""
    );
    let trust = "SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"";
    let mut answers = watch(&broker, "answer");
    let written = |section: &str| {
        format!(
            "-addRoute DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n{}{events}",
            section.lines().map(|line| format!("        WITH {line}\n")).collect::<String>()
        )
    };
    for (definition, is_secure) in [
        (route(&server, &format!("USE_SSL TRUE\n{trust}"), &events), "true"),
        (route(&server, "USE_SSL TRUE\nTRUST_SERVER_CERTIFICATE TRUE", &events), "true"),
        (written(&format!("CONNECTION_STRING \"{text}Require;Trust Server Certificate=true\"")), "true"),
        (written(&format!("{url}\n{trust}")), "true"),
        (written(&format!("CONNECTION_STRING \"{text}Prefer\"")), "false"),
        (written(&format!("{url}\nUSE_SSL FALSE")), "false"),
    ] {
        broker.command_ok(&definition);
        send(&broker, "ask", "");
        assert_eq!(next(&mut answers), format!("answer=[{{\"ssl\":{is_secure}}}]"), "{definition}");
    }
    for definition in [route(&server, "USE_SSL TRUE", &events), written(&url)] {
        broker.command_ok(&definition);
        Standing::of(&broker, "Db").until("UnknownIssuer");
    }
    let other_name = trust.replace("localhost", "elsewhere");
    broker.command_ok(&route(&server, &format!("USE_SSL TRUE\n{other_name}"), &events));
    Standing::of(&broker, "Db").until("certificate not valid for name");
    assert!(!broker.log().text().contains(PASSWORD));
}

#[test]
fn statements_that_are_slow_together_pass_all_the_same() {
    const MESSAGES: usize = 120;
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (n int)");
    let broker = broker();
    // Together they take longer than a call may.
    let gathered = format!("{GATHERED}        WITH ACTIVITY_TIMEOUT 5\n");
    let slow = event("Put", "in", "QUERY \"INSERT INTO t SELECT {payload} FROM pg_sleep(0.06)\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(gathered + &slow)));
    publish_all(&broker, (0..MESSAGES).map(|number| ("in".to_owned(), number.to_string())));
    server.until_counted("SELECT count(DISTINCT n) FROM t", MESSAGES);
    assert_eq!(server.sql("SELECT count(*) FROM t"), MESSAGES.to_string());
}

/// A message of the protocol.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    let let_in = [message(b'R', &0u32.to_be_bytes()), message(b'Z', b"I")].concat();
    let scram = [message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"), message(b'R', &0u32.to_be_bytes())].concat();
    let no_protocol = "the server does not speak the protocol of PostgreSQL";
    let broker = broker();
    let mut number = 0;
    for (says, and_then, told) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new(), no_protocol),
        (Vec::new(), Vec::new(), "the server has ended the connection"),
        (
            message(b'E', b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"),
            Vec::new(),
            "the database system is starting up (SQLSTATE 57P03)",
        ),
        (scram, Vec::new(), "the server has not proved that it knows the password"),
        (
            message(b'R', b"\0\0\0\x07"),
            Vec::new(),
            "the server wants another way to authenticate than with a password",
        ),
        (let_in.clone(), b"\0\0\0\0\0\0\0\0\0".to_vec(), no_protocol),
        (let_in.clone(), message(b'T', b"\xff\xff"), no_protocol),
        (let_in.clone(), b"D\xff\xff\xff\xff".to_vec(), no_protocol),
        (let_in.clone(), b"Z\x7f\xff\xff\xff".to_vec(), no_protocol),
        (let_in, message(b'D', b"\0\x01\0\0\0\x01x"), no_protocol),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Its end is that of the client.
                let _ = stream.read(&mut [0; 1_024]);
                let _ = stream.write_all(&says);
                if !and_then.is_empty() {
                    let _ = stream.read(&mut [0; 1_024]);
                    let _ = stream.write_all(&and_then);
                }
                if !says.is_empty() {
                    let _ = stream.read(&mut [0; 1_024]);
                }
            }
        });
        number += 1;
        let name = format!("Nonsense{number}");
        let section = format!("{}\nPOOL_SIZE 1", login());
        let definition = route_of("POSTGRESQL", port, &section, &event("E", "in", "TABLE_NAME \"t\""));
        broker.command_ok(&definition.replace("ROUTE Db", &format!("ROUTE {name}")));
        Standing::of(&broker, &name).until(told);
    }
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO t VALUES ('{payload}')\"");
    let with = |section: &str, events: &str| route_of("POSTGRESQL", 1, section, events);
    let without = |line: &str| with(&login(), &put).replace(line, "");
    for (definition, told) in [
        (with(&login(), &put).replace("PORT 1\n", "PORT 70000\n"), "PORT is a whole number from 1 to 65535"),
        (with(&format!("{}\nPOOL_SIZE 65", login()), &put), "POOL_SIZE is a whole number from 1 to 64"),
        (
            with(&format!("{}\nQUERY_TIMEOUT 0", login()), &put),
            "QUERY_TIMEOUT is a whole number from 1 to 86400",
        ),
        (with(&format!("{}\nUSE_SSL \"perhaps\"", login()), &put), "USE_SSL is TRUE or FALSE"),
        (with(&format!("{}\nRAW_PLACEHOLDERS 2", login()), &put), "RAW_PLACEHOLDERS is TRUE or FALSE"),
        (without("        WITH DATABASE \"postgres\"\n"), "SQL_CONFIG needs DATABASE"),
        (without("        WITH SERVER \"127.0.0.1\"\n"), "SQL_CONFIG needs SERVER"),
        (
            with(&login(), &event("Put", "in/+", "QUERY \"SELECT '{topic.0}'\"")),
            "{topic.0}: it counts from 1",
        ),
        (with(&login(), "    ADD EVENT E\n        WITH QUERY \"SELECT 1\"\n"), "needs SOURCE_TOPIC"),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    let warned = broker.command_ok(&with(&format!("{}\nDATABSE \"x\"", login()), &put));
    assert!(warned.0["warnings"].to_string().contains("DATABSE"), "{warned:?}");
    sql::strings_that_would_not_be_followed_are_refused(&broker, |section| with(section, &put));
    // These mistakes show only when the route begins, and they stop it.
    broker.command_ok("-setSecret STRING=Password=hidden-password");
    broker.command_ok("-setSecret SLIP=Host=db;Passwrod=hidden-password;Databse=x");
    for (section, query, told) in [
        ("CONNECTION_STRING GET SECRET \"STRING\"", "SELECT 1", "CONNECTION_STRING names no server"),
        (
            "CONNECTION_STRING GET SECRET \"SLIP\"",
            "SELECT 1",
            "has the key 'passwrod', which is none; did you mean password? It also has the key 'databse', which is none; did you mean database?",
        ),
        (&*login(), "SELECT \\\"{payload}\\\"", "Put: QUERY: {payload} stands in a quoted name"),
        (
            &*login(),
            "SELECT X'{payload}'",
            "Put: QUERY: a literal that begins with X' can have no placeholder",
        ),
        (&*login(), "SELECT '{payload}", "Put: QUERY: the literal ' does not end"),
    ] {
        broker.command_ok(&with(section, &event("Put", "in/+", &format!("QUERY \"{query}\""))));
        let status = Standing::of(&broker, "Db").until(told);
        assert!(!status.contains("hidden-password"), "{status}");
    }
}

#[test]
fn statements_may_be_written_as_they_are() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE a (n int)");
    server.sql("CREATE TABLE log (n int)");
    let broker = broker();
    let (mut failed, mut answers) = (watch(&broker, "failed"), watch(&broker, "answer"));
    let events = event(
        "Put",
        "in/+",
        "QUERY \"INSERT INTO {topic.2} VALUES ({payload}); INSERT INTO log VALUES (1)\"\nERROR_TOPIC \"failed\"",
    ) + &event(
        "Ask",
        "ask/+",
        "QUERY \"SELECT 1 AS no; SELECT n FROM {topic.2}\"\nDESTINATION_TOPIC \"answer\"",
    );
    broker.command_ok(&route(&server, "RAW_PLACEHOLDERS TRUE", &events));
    send(&broker, "in/a", "5");
    send(&broker, "in/a", "five");
    assert_eq!(failure(&mut failed), "column \"five\" does not exist (SQLSTATE 42703)");
    send(&broker, "in/a", "6); BEGIN; INSERT INTO a VALUES (9");
    assert!(failure(&mut failed).starts_with("the statement has begun a transaction and not ended it"));
    send(&broker, "ask/a", "");
    assert_eq!(next(&mut answers), r#"answer=[{"n":5}]"#);
    assert_eq!(server.sql("SELECT count(*) FROM log"), "1");
    // Without that the same text is one statement too many, as it is for every message: it waits
    // until the route is mended.
    let mut standing = Standing::of(&broker, "Db");
    let put =
        event("Put", "in/+", "QUERY \"INSERT INTO a VALUES ('{payload}'); INSERT INTO log VALUES (1)\"");
    broker.command_ok(&route(&server, "", &put));
    send(&broker, "in/a", "1");
    standing.until("cannot insert multiple commands into a prepared statement");
    // A transaction is not begun either.
    let events = event("Put", "in/+", "QUERY \"INSERT INTO a VALUES ({payload})\"")
        + &event("Begin", "begin", "QUERY \"BEGIN\"\nERROR_TOPIC \"failed\"")
        + &event("Copy", "copy", "QUERY \"COPY a FROM STDIN\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "", &events));
    server.until("SELECT count(*) FROM a", "2");
    for (topic, told) in [
        ("begin", "the statement has begun a transaction and not ended it"),
        ("copy", "a route brings no data for COPY"),
    ] {
        send(&broker, topic, "1");
        let failure = failure(&mut failed);
        assert!(failure.starts_with(told), "{failure}");
    }
}

#[test]
fn long_result_is_truncated_and_logged() {
    let Some(server) = PostgresServer::start() else { return };
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    let events = event(
        "Ask",
        "ask",
        "QUERY \"SELECT n, repeat('x', 1000) AS t FROM generate_series(1, {payload}) AS n\"\nDESTINATION_TOPIC \"answer\"",
    ) + &event(
        "Long",
        "long",
        "QUERY \"SELECT repeat('x', {payload}) AS t UNION ALL SELECT 'short'\"\nDESTINATION_TOPIC \"answer\"",
    );
    broker.command_ok(&route(&server, "", &events));
    send(&broker, "ask", "2000");
    let answer = next(&mut answers);
    let rows: Json = serde_json::from_str(answer.strip_prefix("answer=").unwrap()).unwrap();
    assert!(answer.len() <= (1 << 20) + 7 && rows.as_array().unwrap().len() > 1_000);
    broker.log().expect("an answer has more than 1 MiB");
    send(&broker, "long", "20000000");
    let answer = next(&mut answers);
    assert!(answer == r#"answer=[{"t":"short"}]"# || answer == "answer=[]", "{answer}");
}

/// CrateDB itself was not at hand: this shows that its type of route speaks the protocol, and does
/// without transactions.
#[test]
fn the_type_of_cratedb_speaks_the_protocol() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE t (n int, v float8, j json)");
    let broker = broker();
    let (mut failed, mut answers) = (watch(&broker, "failed"), watch(&broker, "answer"));
    let events = event(
        "Put",
        "in",
        "QUERY \"INSERT INTO t VALUES ({payload.json.n}, {payload.json.v}, '{payload.json}')\"\nERROR_TOPIC \"failed\"",
    ) + &event("Row", "row", "TABLE_NAME \"rows\"\nERROR_TOPIC \"failed\"")
        + &event(
            "Ask",
            "ask",
            "QUERY \"SELECT n, v, j FROM t WHERE n > {payload} ORDER BY n\"\nDESTINATION_TOPIC \"answer\"",
        );
    broker.command_ok(&route_of(
        "CRATEDB",
        server.port,
        &format!("{}\nPOOL_SIZE 1", login()),
        &(GATHERED.to_owned() + &events),
    ));
    let payloads = [r#"{"n":1,"v":1.5}"#, r#"{"n":2147483648}"#, r#"{"n":2,"v":2}"#, r#"{"n":3}"#];
    publish_all(&broker, payloads.into_iter().map(|payload| ("in".to_owned(), payload.to_owned())));
    publish_all(
        &broker,
        [r#"{"a":1,"o":{"k":[1]}}"#, r#"{"a":2,"b":true}"#]
            .into_iter()
            .map(|row| ("row".to_owned(), row.to_owned())),
    );
    server.until("SELECT a, o, b FROM rows ORDER BY a", "1|{\"k\":[1]}|\n2||t");
    assert_eq!(failure(&mut failed), "integer out of range (SQLSTATE 22003)");
    send(&broker, "ask", "1");
    let answer = next(&mut answers);
    assert_eq!(
        serde_json::from_str::<Json>(answer.strip_prefix("answer=").unwrap()).unwrap(),
        json!([{ "n": 2, "v": 2, "j": { "n": 2, "v": 2 } }, { "n": 3, "v": null, "j": { "n": 3 } }])
    );
    weigh_parts(&broker);
    let mut found = watch(&broker, "found");
    send(&broker, "scale/a", "12");
    send(&broker, "scale/b", "3");
    server.until("SELECT count(*) FROM parts", "2");
    for least in ["11", "2.5e0"] {
        send(&broker, "heavy", least);
    }
    assert_eq!(next(&mut found), r#"found={"id":"a","weight":12}"#);
    assert_eq!(next(&mut found), r#"found=[{"id":"b","weight":3},{"id":"a","weight":12}]"#);
    assert_eq!(broker.command_ok("-checkRouteConnection Db").message(), "Route 'Db' is reachable.");
}
