//! `SQLSERVER`: rows, questions and tables at a server of TDS, with what goes wrong on the way and
//! at its end.
//!
//! SQL Server itself cannot be installed by a test. The server is of these tests' own, and another
//! test shows that a client of others understands it.

mod fake;
mod server;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Authority, Broker, SqlServer as _, WAIT_MAX};
use serde_json::Value as Json;

use self::fake::{DONE, packet, prelogin, serve};
use self::server::{DATABASE, PASSWORD, Server, USER};
use crate::{Standing, broker, event, failure, next, publish_all, send, sql, watch};

/// A route to a port with lines in its section, and events.
fn route_to(port: u16, section: &str, events: &str) -> String {
    let place = format!("SERVER \"127.0.0.1\"\nPORT {port}\n");
    written(&(place + section), events)
}

fn written(section: &str, events: &str) -> String {
    let lines = section.lines().filter(|line| !line.is_empty());
    let section: String = lines.map(|line| format!("        WITH {line}\n")).collect();
    format!("-addRoute DEFINE ROUTE Db WITH TYPE SQLSERVER\n    ADD SQL_CONFIG\n{section}{events}")
}

fn login() -> String {
    format!("DATABASE \"{DATABASE}\"\nUSERNAME \"{USER}\"\nPASSWORD \"{PASSWORD}\"")
}

fn route(server: &Server, more: &str, events: &str) -> String {
    route_to(server.port, &format!("{}\n{more}", login()), events)
}

fn publish(client: &mut Client, topic: &str, payload: impl Into<Vec<u8>>) {
    client.publish(&Publication::new(topic, payload.into()).qos(QoS::AtLeastOnce)).unwrap();
}

/// Adds a route and returns the first status that contains `part`. If none does, the panic shows
/// the last one.
fn adds(broker: &Broker, definition: &str, part: &str) -> String {
    const STATUSES_MAX: usize = 40;
    // Before: of what is as it was nothing is told for half a minute.
    let mut standing = Standing::of(broker, "Db");
    broker.command_ok(definition);
    let mut last = String::new();
    for _ in 0..STATUSES_MAX {
        last = standing.0.receive(WAIT_MAX).unwrap().expect(part).text();
        if last.contains(part) {
            return last;
        }
    }
    panic!("{last} and not {part}");
}

/// Lines of a section that gathers messages for a while, so that they come as one batch.
const GATHERED: &str = "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 1000\n        WITH BATCH_LINGER 700\n";

#[test]
fn a_client_of_others_understands_the_server_of_these_tests() {
    let Some(plain) = Server::start() else { return };
    let failed = "Login failed for user 'app'.";
    let told = |is_secure: &str| format!("{is_secure}|2627|100000|(\"{failed}\", None)");
    assert_eq!(plain.asked("plain", ""), told("FALSE"));
    let authority = Authority::new();
    let signed = authority.server("localhost");
    for (how, is_secure) in [("login", "FALSE"), ("tls", "TRUE")] {
        let server = Server::start_with(Some(&signed), false).unwrap();
        assert_eq!(server.asked(how, authority.file().to_str().unwrap()), told(is_secure), "{how}");
    }
}

#[test]
fn rows_are_written_and_asked_for() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE t (dev nvarchar(40) PRIMARY KEY, v float, at datetime2(3), n int DEFAULT 7)");
    server.sql("CREATE PROCEDURE last @d nvarchar(40) AS SELECT dev, v FROM t WHERE dev = @d");
    let broker = broker();
    let mut answers = watch(&broker, "answer/#");
    let put = "QUERY \"INSERT INTO t (dev, v, at) VALUES (N'{topic.2}', {payload.json.v}, '{timestamp}')\"";
    let answered =
        |query: &str| format!("QUERY \"{query}\"\nDESTINATION_TOPIC \"answer/{{topic.2}}\"\nQOS 1");
    let events = event("Put", "in/+", put)
        + &event(
            "Back",
            "back/+",
            &answered(
                "INSERT INTO t (dev, v) OUTPUT inserted.dev, inserted.v VALUES ('dev-{topic.2}', {payload})",
            ),
        )
        + &event("Ask", "ask/+", &answered("SELECT TOP (1) dev, v, n FROM t WHERE dev = '{topic.2}'"))
        + &event("Count", "count/+", &answered("SELECT count(*), max(v) FROM t"))
        + &event("Call", "call/+", &answered("EXEC last '{topic.2}'"))
        + &event("Away", "away/+", &answered("DELETE FROM t WHERE dev = '{topic.2}'"))
        + &event("Late", "late/+", &answered("UPDATE t SET at = '{payload}' WHERE dev = '{topic.2}'"));
    broker.command_ok(&route(&server, "", &events));
    send(&broker, "in/oven", r#"{"v":81}"#);
    server.until(
        "SELECT dev, v, n FROM t WHERE julianday(SYSUTCDATETIME()) - julianday(at) < 0.001",
        "oven|81.0|7",
    );
    for (topic, payload, expected) in [
        ("ask/oven", "", r#"answer/oven=[{"dev":"oven","v":81.0,"n":7}]"#),
        ("call/oven", "", r#"answer/oven=[{"dev":"oven","v":81.0}]"#),
        ("count/all", "", r#"answer/all=[{"column1":1,"column2":81.0}]"#),
        ("late/oven", "2026-01-05T12:00:00.5+02:00", r#"answer/oven=[{"affected":1}]"#),
        ("back/2", "-3", r#"answer/2=[{"dev":"dev-2","v":-3.0}]"#),
        ("ask/nobody", "", "answer/nobody=[]"),
        ("away/dev-2", "", r#"answer/dev-2=[{"affected":1}]"#),
    ] {
        send(&broker, topic, payload);
        assert_eq!(next(&mut answers), expected, "{topic}");
    }
    assert_eq!(server.sql("SELECT at FROM t"), "2026-01-05T10:00:00.500000");
    // Text in a topic or a payload stays a value.
    let mut standing = Standing::of(&broker, "Db");
    send(&broker, "in/x'); DROP TABLE t; --", r#"{"v":null}"#);
    server.until("SELECT dev FROM t WHERE v IS NULL", "x'); DROP TABLE t; --");
    assert_eq!(broker.command_ok("-checkRouteConnection Db").message(), "Route 'Db' is reachable.");
    let status = standing.until("\"paths\"");
    assert!(
        status.contains(r#""Put":"rows together""#) && status.contains(r#""Late":"one by one""#),
        "{status}"
    );
}

#[test]
fn every_type_of_value_arrives_and_comes_back() {
    let Some(server) = Server::start() else { return };
    let columns = "b bit, i1 tinyint, i2 smallint, i4 int, i8 bigint, n decimal(30,20), m money, sm smallmoney, f4 real, f8 float, t nvarchar(max), vc varchar(9), d date, dt datetime, d2 datetime2(7), sd smalldatetime, dz datetimeoffset(3), ti time(2), u uniqueidentifier, bl varbinary(max), x xml";
    server.sql(&format!("CREATE TABLE many ({columns}); CREATE TABLE one ({columns})"));
    let names = [
        "b", "i1", "i2", "i4", "i8", "n", "m", "m", "f", "f", "t", "vc", "d", "at", "at", "sd", "at", "ti",
        "u", "bl", "x",
    ];
    // Numbers and truth values outside of quotes, as they are.
    let bare = ["b", "i1", "i2", "i4", "i8", "m", "f"];
    let values: Vec<String> = names
        .iter()
        .map(|name| {
            let place = format!("{{payload.json.{name}}}");
            if bare.contains(name) { place } else { format!("'{place}'") }
        })
        .collect();
    let values = values.join(", ");
    let answered = |query: &str| format!("QUERY \"{query}\"\nDESTINATION_TOPIC \"answer\"");
    let events = event("Many", "many", &format!("QUERY \"INSERT INTO many VALUES ({values})\""))
        + &event("Text", "text", &answered("SELECT * FROM many WHERE b IS NOT NULL"))
        + &event("Bytes", "bytes", &answered("INSERT INTO one (bl) OUTPUT inserted.bl VALUES ('{payload}')"))
        + &event(
            "Values",
            "values",
            &answered(
                "SELECT NULL AS none, '{payload}' AS t, CAST({payload.json.x} AS decimal(9,3)) AS x, 9223372036854775807 AS big, CAST('2026-01-05' AS date) AS d, 0x00ff AS bin, -1.50 AS dec, CAST(7 AS sql_variant) AS va, CAST('grüße' AS text) AS old, CAST(NULL AS varchar(max)) AS nothing, CAST('é' AS char(3)) AS c, CAST(5 AS smallmoney) AS sm, 'x' AS [odd \\\"name\\\"]",
            ),
        );
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let message = r#"{"b":true,"i1":255,"i2":-32768,"i4":2147483647,"i8":9223372036854775807,"n":"0.10000000000000000001","m":21.5,"f":1e-7,"t":"quo'te \"x\" \\ ü 😀 {y}","vc":"a,b","d":"2026-02-28","at":"2026-01-05T12:00:00.125+02:00","sd":"2026-01-05T10:07:00","ti":"23:59:59.5","u":"00112233-4455-6677-8899-aabbccddeeff","bl":"\u0000\\x","x":"<a>ü</a>"}"#;
    let mut sender = broker.client("publisher");
    publish_all(
        &broker,
        [message, r#"{"t":null}"#, "{}"].into_iter().map(|text| ("many".to_owned(), text.to_owned())),
    );
    server.until("SELECT count(*) FROM many", "3");
    assert_eq!(server.sql("SELECT count(*) FROM many WHERE coalesce(b, i2, t, bl, x) IS NULL"), "2");
    assert_eq!(
        server.sql("SELECT b, i1, i2, i4, i8, n, m, f8, t, vc, d, dt, d2, dz, ti, u, hex(bl), x FROM many WHERE b IS NOT NULL"),
        "1|255|-32768|2147483647|9223372036854775807|0.10000000000000000001|21.5000|1e-07|quo'te \"x\" \\ ü 😀 {y}|a,b|2026-02-28|2026-01-05T10:00:00.125000|2026-01-05T10:00:00.125000|2026-01-05T12:00:00.125000+02:00|23:59:59.500000|00112233-4455-6677-8899-AABBCCDDEEFF|005C78|<a>ü</a>"
    );
    send(&broker, "text", "");
    assert_eq!(
        next(&mut answers),
        r#"answer=[{"b":true,"i1":255,"i2":-32768,"i4":2147483647,"i8":9223372036854775807,"n":0.10000000000000000001,"m":21.5000,"sm":21.5000,"f4":1e-7,"f8":1e-7,"t":"quo'te \"x\" \\ ü 😀 {y}","vc":"a,b","d":"2026-02-28","dt":"2026-01-05T10:00:00.127","d2":"2026-01-05T10:00:00.1250000","sd":"2026-01-05T10:07:00","dz":"2026-01-05T12:00:00.125+02:00","ti":"23:59:59.50","u":"00112233-4455-6677-8899-AABBCCDDEEFF","bl":"AFx4","x":"<a>ü</a>"}]"#
    );
    publish(&mut sender, "bytes", [0, 255, b'\\', b'\'', 128]);
    assert_eq!(next(&mut answers), r#"answer=[{"bl":"AP9cJ4A="}]"#);
    send(&broker, "values", r#"{"x":-7.5}"#);
    assert_eq!(
        next(&mut answers),
        r#"answer=[{"none":null,"t":"{\"x\":-7.5}","x":-7.500,"big":9223372036854775807,"d":"2026-01-05","bin":"AP8=","dec":-1.50,"va":"7","old":"grüße","nothing":null,"c":"é","sm":5.0000,"odd \"name\"":"x"}]"#
    );
}

#[test]
fn a_column_that_changed_its_type_costs_no_message() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE tx (tag nvarchar(9), v nvarchar(9))");
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO tx (tag, v) VALUES ('{topic.2}', '{payload}')\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &put));
    let mut sender = broker.client("publisher");
    publish(&mut sender, "in/a", "x");
    server.until("SELECT v FROM tx", "x");
    // A wrong value stays wrong, however often the route looks at the table.
    publish(&mut sender, "in/b", [0, 255]);
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    server.sql("DELETE FROM tx");
    server.sql("ALTER TABLE tx ALTER COLUMN v varbinary(9)");
    broker.command_ok("-replayDeadLetters Db");
    server.until("SELECT tag, hex(v) FROM tx", "b|00FF");
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(1.0));
}

#[test]
fn one_bad_row_among_a_thousand_costs_only_itself() {
    let Some(server) = Server::start() else { return };
    server.sql(
        "CREATE TABLE t (id int IDENTITY(1,1), n int NOT NULL UNIQUE CHECK (n <> 700), note nvarchar(4))",
    );
    server.sql("CREATE TABLE last (dev nvarchar(9) PRIMARY KEY, n int); INSERT INTO last VALUES ('0', 0)");
    let broker = broker();
    let mut failed = watch(&broker, "failed");
    let events =
        event(
            "Put",
            "in/+",
            "QUERY \"INSERT INTO t (n, note) VALUES ('{payload}', '{topic.2}')\"\nERROR_TOPIC \"failed\"",
        ) + &event(
            "Null",
            "null",
            "QUERY \"INSERT INTO t (n, note) VALUES ('{payload.json.n}', 'x')\"\nERROR_TOPIC \"failed\"",
        ) + &event("Last", "last/+", "QUERY \"UPDATE last SET n = {payload} WHERE dev = '{topic.2}'\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let message = |number: i32| match number {
        300 => ("in/1".to_owned(), "no number".to_owned()),
        400 => ("in/longer".to_owned(), "400".to_owned()),
        500 => ("in/1".to_owned(), "499".to_owned()),
        600 => ("null".to_owned(), "{}".to_owned()),
        _ => ("in/1".to_owned(), number.to_string()),
    };
    publish_all(&broker, (0..1_000).map(message));
    server.until("SELECT count(*), min(n), max(n) FROM t", "995|0|999");
    let mut told: Vec<String> = (0..5).map(|_| failure(&mut failed)).collect();
    told.sort();
    for (told, expected) in told.iter().zip([
        "245: Conversion failed when converting the nvarchar value",
        "2627: Violation of PRIMARY KEY constraint",
        "2628: String or binary data would be truncated in table",
        "515: Cannot insert the value NULL into column 'n'",
        "547: The INSERT statement conflicted with the CHECK constraint",
    ]) {
        assert!(told.starts_with(expected), "{told}");
    }
    let late = "SELECT count(*) FROM (SELECT n - lag(n) OVER (ORDER BY id) AS step FROM t) s WHERE step < 1";
    assert_eq!(server.sql(late), "0");
    broker.wait_until_metric_is("lotmq_route_rejected_total", 5.0);
    // A row that changes often within a batch is as it was told last.
    publish_all(&broker, (0..100).map(|number| ("last/0".to_owned(), number.to_string())));
    server.until("SELECT n FROM last", "99");
}

#[test]
fn rows_are_stored_in_tables_and_asked_for() {
    let Some(server) = Server::start() else { return };
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    let mut failed = watch(&broker, "failed");
    let events = event("E", "rows", "TABLE_NAME \"things\"\nERROR_TOPIC \"failed\"")
        + &event("Told", "told", "TABLE_NAME \"things\"\nDESTINATION_TOPIC \"answer\"");
    broker.command_ok(&route(&server, "POOL_SIZE 2", &(GATHERED.to_owned() + &events)));
    let mut sender = broker.client("publisher");
    let rows = [
        r#"{"a":1,"b":true,"none":null}"#,
        r#"{"a":2,"b":false,"none":null}"#,
        r#"{"a":2.5,"text":"it's","list":[1,{"z":1}],"o":{"k":"v"}}"#,
        r#"{"none":null}"#,
        r#"{"big":9007199254740993,"odd ]name":"x"}"#,
        r#"{"b":"perhaps"}"#,
        "[1]",
    ];
    publish_all(&broker, rows.into_iter().map(|row| ("rows".to_owned(), row.to_owned())));
    server.until("SELECT count(*) FROM things", "5");
    assert_eq!(
        server.sql("SELECT c, declared FROM sys_columns ORDER BY place").replace('\n', ", "),
        "lotmq_row|BIGINT, a|FLOAT, b|BIT, text|NVARCHAR(MAX), list|NVARCHAR(MAX), o|NVARCHAR(MAX), big|BIGINT, odd ]name|NVARCHAR(MAX)"
    );
    assert_eq!(
        server.sql("SELECT a, b, text, list, o, big, \"odd ]name\" FROM things ORDER BY lotmq_row"),
        "1|1|NULL|NULL|NULL|NULL|NULL\n2|0|NULL|NULL|NULL|NULL|NULL\n2.5|NULL|it's|[1,{\"z\":1}]|{\"k\":\"v\"}|NULL|NULL\nNULL|NULL|NULL|NULL|NULL|NULL|NULL\nNULL|NULL|NULL|NULL|NULL|9007199254740993|x"
    );
    let mut told = vec![failure(&mut failed), failure(&mut failed)];
    told.sort();
    assert!(
        told[0].starts_with("245: Conversion failed when converting the nvarchar value 'perhaps'"),
        "{told:?}"
    );
    assert_eq!(told[1], "a row is a JSON object");
    // Somebody else makes it smaller meanwhile.
    server.sql("ALTER TABLE things DROP COLUMN a");
    publish(&mut sender, "told", r#"{"a":5}"#);
    assert_eq!(next(&mut answers), r#"answer=[{"affected":1}]"#);
    assert_eq!(server.sql("SELECT a FROM things WHERE a IS NOT NULL"), "5");
    // A table of somebody else keeps its types, and takes times.
    server.sql("CREATE TABLE theirs (n int, at datetime, bl varbinary(9))");
    let events = event("E", "rows", "TABLE_NAME \"dbo.theirs\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "", &events));
    publish(&mut sender, "rows", r#"{"N":7,"at":"2026-01-05T10:00:00.123456Z","bl":"ab"}"#);
    server.until("SELECT n, at, bl FROM theirs", "7|2026-01-05T10:00:00.123000|6162");
}

#[test]
fn models_store_and_read_rows() {
    let Some(server) = Server::start() else { return };
    sql::models_store_and_read_rows(
        &server,
        &route(&server, "", ""),
        "CREATE TABLE devices (id nvarchar(9), place nvarchar(max), floor decimal(4,2))",
    );
}

#[test]
fn nothing_is_lost_when_the_server_is_killed_or_stands_still_under_load() {
    let Some(mut server) = Server::start() else { return };
    sql::nothing_is_lost(
        &mut server,
        "CREATE TABLE t (id int IDENTITY(1,1), topic nvarchar(9), n int)",
        |server, events| route(server, "", events),
    );
}

#[test]
fn server_error_code_decides_between_retry_and_stop() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE t (n int PRIMARY KEY, v int)");
    let broker = broker();
    broker.command_ok("-setSecret DB=hidden-password");
    let events = event("Put", "in", "QUERY \"INSERT INTO t VALUES ({payload}, 1)\"\nERROR_TOPIC \"failed\"")
        + &event(
            "Fail",
            "fail/+/+",
            "QUERY \"EXEC sp_fails @number = {topic.2}, @severity = {topic.3}, @times = 1, @name = N'{topic}'\"\nERROR_TOPIC \"failed\"",
        )
        + &event("Slow", "slow", "QUERY \"WAITFOR DELAY '00:00:30'\"\nDESTINATION_TOPIC \"slept\"");
    let with = |section: &str| route_to(server.port, section, &events);
    let hidden = format!("DATABASE \"{DATABASE}\"\nUSERNAME \"{USER}\"\nPASSWORD GET SECRET \"DB\"");
    for (section, state, told) in [
        (hidden.clone(), "\"Disconnected\"", "18456: Login failed for user 'app'."),
        (login().replace(USER, "nobody"), "\"Disconnected\"", "18456: Login failed for user 'nobody'."),
        (format!("DATABASE \"{DATABASE}\""), "\"Disconnected\"", "SQL_CONFIG needs USERNAME"),
        (
            login().replace(DATABASE, "nowhere"),
            "\"Reconnecting\"",
            "4060: Cannot open database \\\"nowhere\\\"",
        ),
        (format!("{}\nUSE_SSL TRUE", login()), "\"Reconnecting\"", "the server has no TLS"),
    ] {
        let status = adds(&broker, &with(&section), told);
        assert!(status.contains(state) && !status.contains("hidden-password"), "{status}");
    }
    // A corrected route goes on, with the messages that waited.
    broker.command_ok(&with(&hidden));
    send(&broker, "in", "1");
    broker.command_ok(&format!("-setSecret DB={PASSWORD}"));
    server.until("SELECT n FROM t WHERE n = 1", "1");
    broker.command_ok(&with(&login()));
    let mut standing = Standing::of(&broker, "Db");
    // A deadlock is tried again, a server that fails asked anew; other errors are of the message.
    send(&broker, "fail/1205/13", "");
    standing.until("1205: failed on purpose");
    send(&broker, "fail/40613/17", "");
    standing.until("40613: failed on purpose");
    let mut failed = watch(&broker, "failed");
    send(&broker, "fail/50000/16", "");
    assert_eq!(failure(&mut failed), "50000: failed on purpose (fail/50000/16)");
    send(&broker, "in", "1");
    assert!(failure(&mut failed).starts_with("2627: Violation of PRIMARY KEY constraint"));
    // A transaction that fails in its middle leaves nothing behind.
    let gathered =
        route_to(server.port, &format!("{}\nPOOL_SIZE 1", login()), &(GATHERED.to_owned() + &events));
    broker.command_ok(&gathered);
    let both = [("in", "10"), ("fail/547/16", ""), ("in", "11")];
    publish_all(&broker, both.into_iter().map(|(topic, payload)| (topic.to_owned(), payload.to_owned())));
    server.until("SELECT count(*), sum(n) FROM t", "3|22");
    // The route gives up a statement that takes too long, reports it and retries over the same
    // connection.
    broker.command_ok(&with(&format!("{}\nQUERY_TIMEOUT 1", login())));
    send(&broker, "slow", "");
    let status = standing.until("took longer than 1 s (QUERY_TIMEOUT)");
    assert!(status.contains("\"Connected\""), "{status}");
    assert!(!broker.log().text().contains("hidden-password") && !broker.log().text().contains(PASSWORD));
    assert_eq!(server.errors(), "");
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let signed = authority.server("localhost");
    let Some(server) = Server::start_with(Some(&signed), false) else { return };
    let strict = Server::start_with(Some(&signed), true).unwrap();
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let events = event(
        "Ask",
        "ask",
        "QUERY \"SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID\"\nDESTINATION_TOPIC \"answer\"",
    );
    let string = |server: &Server, more: &str| {
        format!(
            "CONNECTION_STRING \"Server=tcp:127.0.0.1,{};Initial Catalog={DATABASE};User ID={USER};Password='{PASSWORD}';{more}\"",
            server.port
        )
    };
    let trust = "SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"";
    let ca = "SERVER_CA_CERT GET SECRET \"CA\"";
    let mut answers = watch(&broker, "answer");
    for (definition, is_secure) in [
        (route(&server, &format!("USE_SSL TRUE\n{trust}"), &events), "TRUE"),
        (route(&server, "USE_SSL TRUE\nTRUST_SERVER_CERTIFICATE TRUE", &events), "TRUE"),
        (route(&strict, &format!("USE_SSL TRUE\n{trust}"), &events), "TRUE"),
        (written(&format!("{}\n{trust}", string(&server, "Encrypt=True")), &events), "TRUE"),
        (
            written(
                &format!("{}\n{ca}", string(&server, "Encrypt=Mandatory;HostNameInCertificate=localhost")),
                &events,
            ),
            "TRUE",
        ),
        (written(&string(&server, "Encrypt=yes;TrustServerCertificate=yes"), &events), "TRUE"),
        (written(&format!("{}\n{trust}", string(&server, "Encrypt=Strict")), &events), "TRUE"),
        (written(&string(&server, "Encrypt=Optional"), &events), "FALSE"),
        (written(&format!("{}\nUSE_SSL FALSE", string(&server, "Encrypt=True")), &events), "FALSE"),
    ] {
        broker.command_ok(&definition);
        send(&broker, "ask", "");
        assert_eq!(
            next(&mut answers),
            format!("answer=[{{\"encrypt_option\":\"{is_secure}\"}}]"),
            "{definition}"
        );
    }
    for definition in [
        route(&server, "USE_SSL TRUE", &events),
        written(&string(&server, "Encrypt=True"), &events),
        written(&string(&server, "Encrypt=Strict"), &events),
    ] {
        adds(&broker, &definition, "UnknownIssuer");
    }
    let other_name = trust.replace("localhost", "elsewhere");
    adds(&broker, &route(&server, &format!("USE_SSL TRUE\n{other_name}"), &events), "not valid for name");
    let other_name = format!("{}\n{other_name}", string(&server, "Encrypt=Strict"));
    adds(&broker, &written(&other_name, &events), "not valid for name");
    adds(&broker, &route(&strict, "", &events), "the server takes nobody without TLS: write USE_SSL TRUE");
    assert!(!broker.log().text().contains(PASSWORD));
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    let no_protocol = "what the server says is not of its protocol";
    let broker = broker();
    let said = |body: &[u8]| packet(&[body, DONE].concat());
    let error = "\u{12}l\0o\0g\0".as_bytes();
    let error = &[&[0xaa, 14, 0][..], &4711_i32.to_le_bytes(), &[1, 14, 3, 0], &error[1..7]].concat();
    // Answers of the server to the begin of a session and to one query.
    let begun = || [prelogin(), fake::login(), packet(DONE)];
    for (answers, told) in [
        (vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], no_protocol),
        (vec![vec![]], "the server has ended the connection"),
        (vec![packet(b"")], no_protocol),
        (vec![packet(b"\x01\0\x07\0\x01\xff")], no_protocol),
        (vec![packet(b"\x01\0\x06\0\x01\xff\x01")], "the server takes nobody without TLS"),
        (vec![b"\x04\x01\0\x07\0\0\0\0".to_vec()], no_protocol),
        (vec![prelogin(), packet(b"")], no_protocol),
        (vec![prelogin(), packet(DONE)], no_protocol),
        (vec![prelogin(), packet(b"\x81\xff")], no_protocol),
        (
            vec![prelogin(), said(b"\xad\x0a\0\x01\x71\0\0\x01\0\x10\0\0\0")],
            "the server speaks version 0x71 of TDS",
        ),
        (vec![prelogin(), said(error)], "4711: log"),
        (
            vec![prelogin(), said(b"\xe3\x10\0\x14\x0d\0\0\x17\x27\x04\0d\0b\0-\x002\0")],
            "the server sends its clients on to db-2, port 10007",
        ),
        (vec![prelogin(), [b"\x04\0\0\x09\0\0\0\0\xab".repeat(70)].concat()], no_protocol),
        (vec![prelogin(), fake::login(), packet(b"\x99")], no_protocol),
        (
            begun().into_iter().chain([packet(&[b"\x81\x01\0\0\0\0\0\0\0\x99\0", DONE].concat())]).collect(),
            no_protocol,
        ),
        (begun().into_iter().chain([packet(b"\x81\xfe\xff")]).collect(), no_protocol),
        (begun().into_iter().chain([packet(b"\xd1")]).collect(), no_protocol),
        (begun().into_iter().chain([packet(&[DONE, b"\0"].concat())]).collect(), no_protocol),
        (begun().into_iter().chain([said(&[0xe3, 2, 0, 4, 9])]).collect(), no_protocol),
    ] {
        let says = answers.clone();
        let port = serve(move |mut peer| {
            for said in &says {
                if peer.next().is_none() {
                    return;
                }
                peer.say(said);
                if said.is_empty() {
                    return;
                }
            }
        });
        let section = format!("{}\nPOOL_SIZE 1", login());
        let definition = route_to(port, &section, &event("E", "in", "QUERY \"SELECT 1\""));
        let mut standing = Standing::of(&broker, "Db");
        broker.command_ok(&definition);
        send(&broker, "in", "");
        standing.until(told);
        broker.command_ok("-removeRoute Db");
    }
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO t VALUES ('{payload}')\"");
    let with = |section: &str, events: &str| route_to(1, section, events);
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
        (without("        WITH DATABASE \"plant\"\n"), "SQL_CONFIG needs DATABASE"),
        (without("        WITH SERVER \"127.0.0.1\"\n"), "SQL_CONFIG needs SERVER"),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    let string = |text: &str| format!("CONNECTION_STRING \"{text};Database=plant;Password=hidden-password\"");
    for (text, told) in [
        ("User Id=a", "CONNECTION_STRING names no server"),
        (
            "Server=127.0.0.1,1;Encrypt=sometimes",
            "says encrypt=sometimes, which is none of true, false or strict",
        ),
    ] {
        let refused = broker.command(&with(&string(text), &put));
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    // These mistakes show only when the route begins, and they stop it.
    for (section, query, told) in [
        (string("Server=db\\\\line4"), "SELECT 1", "write its port, as in 'db,50123'"),
        (string("Server=np:db"), "SELECT 1", "begins with 'np:', which is no way over TCP"),
        (string("Server=127.0.0.1,1;Integrated Security=true"), "SELECT 1", "a login of Windows"),
        (string("Server=127.0.0.1,1;Authentication=ActiveDirectoryDefault"), "SELECT 1", "Microsoft Entra"),
        (
            string("Server=127.0.0.1,1;Encrypt=strict;TrustServerCertificate=true"),
            "SELECT 1",
            "leave TrustServerCertificate and TRUST_SERVER_CERTIFICATE out",
        ),
        (
            string("Server=127.0.0.1,1;Encrypt=strict") + "\nTRUST_SERVER_CERTIFICATE TRUE",
            "SELECT 1",
            "leave TrustServerCertificate and TRUST_SERVER_CERTIFICATE out",
        ),
        (string("Server=127.0.0.1,1;Failover Partner=x"), "SELECT 1", "Failover Partner cannot be used"),
        (string("Server=127.0.0.1,1;hidden-password=1"), "SELECT 1", "the key behind 'server' is not known"),
        (login(), "SELECT [{payload}]", "Put: QUERY: {payload} stands in a quoted name"),
        (login(), "SELECT X'{payload}'", "Put: QUERY: a literal that begins with X' can have no placeholder"),
        (login(), "SELECT '{payload}", "Put: QUERY: the literal ' does not end"),
        (format!("{}\nSCHEMA \"x\"", login()), "SELECT 1", "a table's name has its schema: 'dbo.t'"),
    ] {
        let place = if section.starts_with("CONNECTION") { "" } else { "SERVER \"127.0.0.1\"\nPORT 1\n" };
        let events = event("Put", "in/+", &format!("QUERY \"{query}\""));
        let status = adds(&broker, &written(&format!("{place}{section}"), &events), told);
        assert!(!status.contains("hidden-password"), "{status}");
    }
    assert!(!broker.log().text().contains("hidden-password"));
}

#[test]
fn statements_may_be_written_as_they_are_and_long_ones_are_refused_or_cut() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE t (n int, v nvarchar(max))");
    let broker = broker();
    let (mut answers, mut failed) = (watch(&broker, "answer"), watch(&broker, "failed"));
    let raw =
        event("Raw", "raw", "QUERY \"{payload}\"\nDESTINATION_TOPIC \"answer\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "RAW_PLACEHOLDERS TRUE", &raw));
    let rows: Vec<String> = (0..100).map(|number| format!("({number}, '{}')", "x".repeat(20_000))).collect();
    server.sql(&format!("INSERT INTO t VALUES {}", rows[..5].join(", ")));
    for rows in rows[5..].chunks(5) {
        send(&broker, "raw", &format!("INSERT INTO t VALUES {}", rows.join(", ")));
        assert_eq!(next(&mut answers), "answer=[{\"affected\":5}]");
    }
    send(&broker, "raw", "SELECT n, v FROM t ORDER BY n");
    let answer = next(&mut answers);
    let rows: Json = serde_json::from_str(answer.strip_prefix("answer=").unwrap()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 52);
    send(&broker, "raw", "SELECT missing FROM nowhere");
    assert_eq!(failure(&mut failed), "208: Invalid object name 'nowhere'.");
    // Of several results the first that has rows.
    send(&broker, "raw", "UPDATE t SET n = 0 WHERE n = 1; SELECT 1 AS a; SELECT 2 AS b");
    assert_eq!(next(&mut answers), "answer=[{\"a\":1}]");
    // A value that is larger than any that is taken costs its message alone.
    send(&broker, "raw", "SELECT REPLICATE(N'x', 9000000)");
    assert_eq!(failure(&mut failed), "a value of the answer has more than 4194304 bytes");
    send(&broker, "raw", "SELECT REPLICATE(N'x', 2000000) AS long");
    assert_eq!(next(&mut answers), "answer=[]");
    send(&broker, "raw", "SELECT REPLICATE(N'x', 900000) AS long");
    assert!(next(&mut answers).len() > 900_000);
    server.sql("DELETE FROM t");
    let events =
        event("Put", "in", "QUERY \"INSERT INTO t VALUES (1, '{payload}')\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let lengths = [400_000, 4_200_000, 400_000, 4_100_000, 10, 700_000];
    publish_all(&broker, lengths.into_iter().map(|length| ("in".to_owned(), "x".repeat(length))));
    server.until("SELECT count(*), sum(length(v)) FROM t", "5|5600010");
    assert_eq!(
        failure(&mut failed),
        "a statement with its values has more than 8388608 bytes, of which a character has two"
    );
}
