//! `MYSQL` and `MARIADB`: rows, questions and tables at a MariaDB server, with what goes wrong on
//! the way and at its end, and a login as MySQL has it.

mod fake;
pub(crate) mod server;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Authority, Broker, Program, SqlServer as _, WAIT_MAX, eventually};
use serde_json::Value as Json;

use self::fake::{NONCE, OK, greeting, packet, serve};
use self::server::{DATABASE, PASSWORD, Server, USER};
use crate::{Standing, broker, event, failure, next, publish_all, send, sql, watch};

/// A route of a type to a port with lines in its section, and events.
fn route_of(kind: &str, port: u16, section: &str, events: &str) -> String {
    let place = format!("    ADD SQL_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {port}\n");
    let section = section.lines().fold(place, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Db WITH TYPE {kind}\n{section}{events}")
}

fn login_of(user: &str) -> String {
    format!("DATABASE \"{DATABASE}\"\nUSERNAME \"{user}\"\nPASSWORD \"{PASSWORD}\"")
}

fn login() -> String {
    login_of(USER)
}

fn route(server: &Server, more: &str, events: &str) -> String {
    route_of("MARIADB", server.port, &format!("{}\n{more}", login()), events)
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

#[test]
fn a_column_that_changed_its_type_costs_no_message() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE tx (tag varchar(9), v datetime(6))");
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO tx (tag, v) VALUES ('{topic.2}', '{payload}')\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &put));
    // A time of a column of times has 26 characters, the text of the message 24.
    let at = "2026-01-05T10:00:00.125Z";
    send(&broker, "in/a", at);
    server.until("SELECT v FROM tx", "2026-01-05 10:00:00.125000");
    server.sql("DELETE FROM tx");
    server.sql("ALTER TABLE tx MODIFY COLUMN v varchar(24)");
    send(&broker, "in/b", at);
    server.until("SELECT tag, v FROM tx", "b|2026-01-05T10:00:00.125Z");
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
}

#[test]
fn misspelt_names_are_reported_before_the_first_message() {
    let Some(server) = Server::start() else { return };
    sql::misspelt_names_are_told(
        &server,
        "CREATE TABLE t (topic varchar(40), n int)",
        |events| route(&server, "POOL_SIZE 1", events),
        "1054",
    );
}

/// Lines of a section that gathers messages for a while, so that they come as one batch.
const GATHERED: &str = "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 1000\n        WITH BATCH_LINGER 700\n";

#[test]
fn rows_are_written_and_asked_for() {
    let Some(server) = Server::start() else { return };
    server.sql("CREATE TABLE t (dev varchar(40) PRIMARY KEY, v double, at datetime(3), n int DEFAULT 7)");
    server.sql("CREATE PROCEDURE last(d varchar(40)) SELECT dev, v FROM t WHERE dev = d");
    let broker = broker();
    let mut answers = watch(&broker, "answer/#");
    let put = "QUERY \"INSERT INTO t (dev, v, at) VALUES ('{topic.2}', {payload.json.v}, '{timestamp}') ON DUPLICATE KEY UPDATE v = VALUES(v)\"";
    let answered =
        |query: &str| format!("QUERY \"{query}\"\nDESTINATION_TOPIC \"answer/{{topic.2}}\"\nQOS 1");
    let events = event("Put", "in/+", put)
        + &event(
            "Back",
            "back/+",
            &answered("INSERT INTO t (dev, v) VALUES ('dev-{topic.2}', {payload}) RETURNING dev, v"),
        )
        + &event("Ask", "ask/+", &answered("SELECT dev, v, n FROM t WHERE dev = '{topic.2}'"))
        + &event("Call", "call/+", &answered("CALL last('{topic.2}')"))
        + &event("Away", "away/+", &answered("DELETE FROM t WHERE dev = '{topic.2}'"))
        + &event("Late", "late/+", &answered("UPDATE t SET at = '{payload}' WHERE dev = '{topic.2}'"));
    broker.command_ok(&route(&server, "", &events));
    send(&broker, "in/oven", r#"{"v":81}"#);
    server.until(
        "SELECT dev, v, at BETWEEN utc_timestamp() - interval 1 minute AND utc_timestamp() + interval 1 minute, n FROM t",
        "oven|81|1|7",
    );
    send(&broker, "in/oven", r#"{"v":82.5}"#);
    server.until("SELECT v FROM t", "82.5");
    for (topic, payload, expected) in [
        ("ask/oven", "", r#"answer/oven=[{"dev":"oven","v":82.5,"n":7}]"#),
        ("call/oven", "", r#"answer/oven=[{"dev":"oven","v":82.5}]"#),
        ("late/oven", "2026-01-05T12:00:00.5+02:00", r#"answer/oven=[{"affected":1}]"#),
        ("back/2", "-3", r#"answer/2=[{"dev":"dev-2","v":-3.0}]"#),
        ("ask/nobody", "", "answer/nobody=[]"),
        ("away/dev-2", "", r#"answer/dev-2=[{"affected":1}]"#),
    ] {
        send(&broker, topic, payload);
        assert_eq!(next(&mut answers), expected, "{topic}");
    }
    assert_eq!(server.sql("SELECT at FROM t"), "2026-01-05 10:00:00.500");
    // Text in a topic or a payload stays a value.
    send(&broker, "in/x'); DROP TABLE t; --", r#"{"v":null}"#);
    server.until("SELECT dev FROM t WHERE v IS NULL", "x'); DROP TABLE t; --");
    assert_eq!(broker.command_ok("-checkRouteConnection Db").message(), "Route 'Db' is reachable.");
    broker.command_ok(&route_of("MYSQL", server.port, &login(), &events));
    send(&broker, "ask/oven", "");
    assert_eq!(next(&mut answers), r#"answer/oven=[{"dev":"oven","v":82.5,"n":7}]"#);
}

#[test]
fn every_type_of_value_arrives_and_comes_back() {
    let Some(server) = Server::start() else { return };
    let columns = "b boolean, i1 tinyint, i2 smallint, i3 mediumint, i4 int, i8 bigint, u8 bigint unsigned, n decimal(30,20), m decimal(6,2), f4 float, f8 double, t text, vc varchar(9), d date, dt datetime(6), ts timestamp(3) NULL, ti time(1), y year, j json, e enum('good','bad'), st set('a','b'), bi bit(1), bits bit(12), bl blob, z int(5) zerofill";
    server.sql(&format!("CREATE TABLE many ({columns}); CREATE TABLE one ({columns})"));
    let json = |name: &str| format!("'{{payload.json.{name}}}'");
    let names = [
        "b", "i1", "i2", "i3", "i4", "i8", "u8", "n", "m", "f", "f", "t", "vc", "d", "at", "at", "ti", "y",
        "j", "e", "st", "bi", "bits", "bl", "i1",
    ];
    // Numbers and truth values outside of quotes, as they are.
    let bare = ["b", "i1", "i2", "i3", "i4", "i8", "u8", "m", "f", "y", "bi", "bits"];
    let values: Vec<String> = names
        .iter()
        .map(|name| if bare.contains(name) { format!("{{payload.json.{name}}}") } else { json(name) })
        .collect();
    let values = values.join(", ");
    let answered = |query: &str| format!("QUERY \"{query}\"\nDESTINATION_TOPIC \"answer\"");
    let events = event("Many", "many", &format!("QUERY \"INSERT INTO many VALUES ({values})\""))
        + &event("One", "one", &answered(&format!("INSERT INTO one VALUES ({values}) RETURNING *")))
        + &event("Text", "text", &answered("SELECT * FROM many WHERE b"))
        + &event("Bytes", "bytes", &answered("INSERT INTO one (bl) VALUES ('{payload}') RETURNING bl"))
        + &event(
            "Values",
            "values",
            &answered(
                "SELECT NULL AS none, '{payload}' AS t, {payload.json.x} AS x, 18446744073709551615 AS big, JSON_ARRAY(1, 'a') AS j, CAST('2026-01-05' AS date) AS d, 0x00ff AS bin, -1.50 AS dec_",
            ),
        );
    let broker = broker();
    let mut answers = watch(&broker, "answer");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let message = r#"{"b":true,"i1":-128,"i2":-32768,"i3":8388607,"i4":2147483647,"i8":9223372036854775807,"u8":18446744073709551615,"n":"0.10000000000000000001","m":21.5,"f":1e-7,"t":"quo'te \"x\" \\ ü 😀 {y}","vc":"a,b","d":"2026-02-28","at":"2026-01-05T12:00:00.125+02:00","ti":"-25:59:59.5","y":2026,"j":{"a":[1,2.50,null],"b":"x"},"e":"good","st":"a,b","bi":1,"bits":258,"bl":"\u0000\\x"}"#;
    let message = message.replace("\"i1\":-128", "\"i1\":127");
    let mut sender = broker.client("publisher");
    publish_all(
        &broker,
        [&*message, r#"{"t":null}"#, "{}"].into_iter().map(|text| ("many".to_owned(), text.to_owned())),
    );
    server.until("SELECT count(*) FROM many", "3");
    assert_eq!(server.sql("SELECT count(*) FROM many WHERE coalesce(b, i2, t, j, e, bl) IS NULL"), "2");
    assert_eq!(
        server.sql("SELECT b, i1, i2, i3, i4, i8, u8, n, m, f8, t, vc, d, dt, ts = '2026-01-05 10:00:00.125' OR @@time_zone <> 'UTC', ti, y, j, e, st, bits + 0, hex(bl), z FROM many WHERE b"),
        r#"1|127|-32768|8388607|2147483647|9223372036854775807|18446744073709551615|0.10000000000000000001|21.50|0.0000001|quo'te "x" \\ ü 😀 {y}|a,b|2026-02-28|2026-01-05 10:00:00.125000|1|-25:59:59.5|2026|{"a":[1,2.50,null],"b":"x"}|good|a,b|258|005C78|00127"#
    );
    let expected = r#"answer=[{"b":true,"i1":127,"i2":-32768,"i3":8388607,"i4":2147483647,"i8":9223372036854775807,"u8":18446744073709551615,"n":0.10000000000000000001,"m":21.50,"f4":1e-7,"f8":1e-7,"t":"quo'te \"x\" \\ ü 😀 {y}","vc":"a,b","d":"2026-02-28","dt":"2026-01-05T10:00:00.125000","ts":"2026-01-05T10:00:00.125Z","ti":"-25:59:59.5","y":2026,"j":{"a":[1,2.50,null],"b":"x"},"e":"good","st":"a,b","bi":true,"bits":258,"bl":"AFx4","z":127}]"#;
    // Of bound values, and of a text without any.
    for topic in ["one", "text"] {
        send(&broker, topic, &message);
        let answer = next(&mut answers);
        assert_eq!(answer, expected, "{topic}");
    }
    publish(&mut sender, "bytes", [0, 255, b'\\', b'\'', 128]);
    assert_eq!(next(&mut answers), r#"answer=[{"bl":"AP9cJ4A="}]"#);
    send(&broker, "values", r#"{"x":-7}"#);
    assert_eq!(
        next(&mut answers),
        r#"answer=[{"none":null,"t":"{\"x\":-7}","x":-7,"big":18446744073709551615,"j":[1,"a"],"d":"2026-01-05","bin":"AP8=","dec_":-1.50}]"#
    );
}

#[test]
fn one_bad_row_among_a_thousand_costs_only_itself() {
    let Some(server) = Server::start() else { return };
    server.sql(
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, n int UNIQUE CHECK (n <> 700), note varchar(4))",
    );
    server.sql("CREATE TABLE last (dev varchar(9) PRIMARY KEY, n int)");
    let broker = broker();
    let mut failed = watch(&broker, "failed");
    let events = event(
        "Put",
        "in/+",
        "QUERY \"INSERT INTO t (n, note) VALUES ('{payload}', '{topic.2}')\"\nERROR_TOPIC \"failed\"",
    ) + &event(
        "Last",
        "last/+",
        "QUERY \"INSERT INTO last VALUES ('{topic.2}', {payload}) ON DUPLICATE KEY UPDATE n = VALUES(n)\"",
    );
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let message = |number: i32| match number {
        300 => ("in/1".to_owned(), "no number".to_owned()),
        400 => ("in/longer".to_owned(), "400".to_owned()),
        500 => ("in/1".to_owned(), "499".to_owned()),
        _ => ("in/1".to_owned(), number.to_string()),
    };
    publish_all(&broker, (0..1_000).map(message));
    server.until("SELECT count(*), min(n), max(n) FROM t", "996|0|999");
    let mut told: Vec<String> = (0..4).map(|_| failure(&mut failed)).collect();
    told.sort();
    for (told, expected) in told.iter().zip([
        "1062 (23000): Duplicate entry '499' for key 'n'",
        "1366 (22007): Incorrect integer value: 'no number' for column",
        "1406 (22001): Data too long for column 'note'",
        "4025 (23000): CONSTRAINT",
    ]) {
        assert!(told.starts_with(expected), "{told}");
    }
    let late = "SELECT count(*) FROM (SELECT n - lag(n) OVER (ORDER BY id) AS step FROM t) s WHERE step < 1";
    assert_eq!(server.sql(late), "0");
    broker.wait_until_metric_is("lotmq_route_rejected_total", 4.0);
    // A row that changes often within a batch is as it was told last.
    publish_all(&broker, (0..100).map(|number| (format!("last/{}", number % 3), number.to_string())));
    server.until("SELECT group_concat(dev, '=', n ORDER BY dev SEPARATOR ' ') FROM last", "0=99 1=97 2=98");
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
        r#"{"big":9007199254740993,"odd `name`":"x"}"#,
        r#"{"b":"perhaps"}"#,
        "[1]",
    ];
    publish_all(&broker, rows.into_iter().map(|row| ("rows".to_owned(), row.to_owned())));
    server.until("SELECT count(*) FROM things", "5");
    assert_eq!(
        server.sql("SELECT group_concat(column_name, ' ', data_type ORDER BY ordinal_position SEPARATOR ', ') FROM information_schema.columns WHERE table_name = 'things'"),
        "lotmq_row bigint, a double, b tinyint, text longtext, list longtext, o longtext, big bigint, odd `name` longtext"
    );
    assert_eq!(
        server.sql("SELECT a, b, text, list, o, big, `odd ``name``` FROM things ORDER BY lotmq_row"),
        "1|1|NULL|NULL|NULL|NULL|NULL\n2|0|NULL|NULL|NULL|NULL|NULL\n2.5|NULL|it's|[1,{\"z\":1}]|{\"k\":\"v\"}|NULL|NULL\nNULL|NULL|NULL|NULL|NULL|NULL|NULL\nNULL|NULL|NULL|NULL|NULL|9007199254740993|x"
    );
    let mut told = vec![failure(&mut failed), failure(&mut failed)];
    told.sort();
    assert!(told[0].starts_with("1366 (22007): Incorrect integer value: 'perhaps'"), "{told:?}");
    assert_eq!(told[1], "a row is a JSON object");
    // Somebody else makes it smaller meanwhile.
    server.sql("ALTER TABLE things DROP COLUMN a");
    publish(&mut sender, "told", r#"{"a":5}"#);
    assert_eq!(next(&mut answers), r#"answer=[{"affected":1}]"#);
    assert_eq!(server.sql("SELECT a FROM things WHERE a IS NOT NULL"), "5");
    // A table of somebody else keeps its types, and takes times.
    server.sql("CREATE TABLE theirs (n int, at datetime)");
    let events = event("E", "rows", "TABLE_NAME \"theirs\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "", &events));
    publish(&mut sender, "rows", r#"{"n":7,"at":"2026-01-05T10:00:00Z"}"#);
    server.until("SELECT n, at FROM theirs", "7|2026-01-05 10:00:00");
}

#[test]
fn models_store_and_read_rows() {
    let Some(server) = Server::start() else { return };
    sql::models_store_and_read_rows(
        &server,
        &route(&server, "", ""),
        "CREATE TABLE devices (id varchar(9), place text, floor decimal(4,2))",
    );
}

#[test]
fn nothing_is_lost_when_the_server_is_killed_or_stands_still_under_load() {
    let Some(mut server) = Server::start() else { return };
    sql::nothing_is_lost(
        &mut server,
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, topic varchar(9), n int, KEY (topic, n))",
        |server, events| route(server, "", events),
    );
}

#[test]
fn server_error_code_decides_between_retry_and_stop() {
    let Some(server) = Server::start_with(&["--plugin-load-add=auth_ed25519"], None) else { return };
    server.sql("CREATE TABLE t (n int PRIMARY KEY, v int); INSERT INTO t VALUES (0, 0)");
    server.sql(&format!(
        "CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}'); GRANT ALL ON {DATABASE}.* TO modern@'%'"
    ));
    let broker = broker();
    broker.command_ok("-setSecret DB=hidden-password");
    let events = event("Put", "in", "QUERY \"INSERT INTO t VALUES ({payload}, 1)\"")
        + &event("Change", "change", "QUERY \"UPDATE t SET v = {payload} WHERE n = 0\"")
        + &event("Slow", "slow", "QUERY \"SELECT SLEEP({payload})\"\nDESTINATION_TOPIC \"slept\"");
    let with = |section: &str| route_of("MARIADB", server.port, section, &events);
    let hidden = format!("DATABASE \"{DATABASE}\"\nUSERNAME \"{USER}\"\nPASSWORD GET SECRET \"DB\"");
    for (section, told) in [
        (hidden.clone(), "1045 (28000): Access denied for user 'app'@'localhost' (using password: YES)"),
        (login_of("modern").replace(PASSWORD, "wrong"), "1045 (28000): Access denied for user 'modern'@"),
        (
            format!("DATABASE \"{DATABASE}\"\nUSERNAME \"{USER}\""),
            "1045 (28000): Access denied for user 'app'@'localhost' (using password: NO)",
        ),
        (login().replace(USER, "nobody"), "1045 (28000): Access denied for user 'nobody'@"),
    ] {
        let status = adds(&broker, &with(&section), told);
        assert!(status.contains("\"Disconnected\"") && !status.contains("hidden-password"), "{status}");
    }
    // Rights are granted at the server, and nobody tells the route.
    let nowhere = with(&login().replace(DATABASE, "nowhere"));
    let status = adds(&broker, &nowhere, "1044 (42000): Access denied for user 'app'@");
    assert!(status.contains("\"Reconnecting\""), "{status}");
    adds(&broker, &with(&format!("{}\nUSE_SSL TRUE", login())), "the server has no TLS");
    // A corrected route goes on, with the messages that waited.
    send(&broker, "in", "1");
    broker.command_ok(&with(&hidden));
    broker.command_ok(&format!("-setSecret DB={PASSWORD}"));
    server.until("SELECT n FROM t WHERE n = 1", "1");
    broker.command_ok(&with(&login_of("modern")));
    send(&broker, "in", "2");
    server.until("SELECT count(*) FROM t WHERE n = 2", "1");
    let mut standing = Standing::of(&broker, "Db");
    // Somebody ends the connections, then holds a row for longer than the server waits.
    server.sql("KILL USER modern");
    send(&broker, "in", "3");
    server.until("SELECT count(*) FROM t WHERE n = 3", "1");
    let holder = server
        .client(DATABASE, "START TRANSACTION; UPDATE t SET v = 5 WHERE n = 0; SELECT 'held'; DO SLEEP(3600)");
    eventually("the row is held", || {
        // `innodb_trx` would not do: it stays as it is for as long as it is asked often.
        let held =
            server.sql("SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'");
        (held == "1").then_some(())
    });
    send(&broker, "change", "7");
    standing.until("1205 (HY000): Lock wait timeout exceeded");
    drop(holder);
    server.sql("SELECT 1");
    eventually("its connection ends", || {
        let sleeper = server.sql(
            "SELECT coalesce(max(id), 0) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'",
        );
        if sleeper != "0" {
            server.sql(&format!("KILL {sleeper}"));
        }
        (sleeper == "0").then_some(())
    });
    server.until("SELECT v FROM t WHERE n = 0", "7");
    // The route reports a statement that takes too long and tries it again.
    broker.command_ok(&with(&format!("{}\nQUERY_TIMEOUT 1", login())));
    send(&broker, "slow", "30");
    standing.until("1969 (70100): Query execution was interrupted");
    assert!(!broker.log().text().contains("hidden-password") && !broker.log().text().contains(PASSWORD));
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = Server::start_with(&[], Some(&authority.server("localhost"))) else { return };
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let events = event(
        "Ask",
        "ask",
        "QUERY \"SELECT VARIABLE_VALUE <> '' AS tls FROM information_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'\"\nDESTINATION_TOPIC \"answer\"",
    );
    let port = server.port;
    let text =
        format!("Server=127.0.0.1;Port={port};Database={DATABASE};Uid={USER};Pwd='{PASSWORD}';SSL Mode=");
    let url = format!(
        "CONNECTION_STRING \"mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?ssl-mode=VERIFY_IDENTITY\""
    );
    let trust = "SERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"";
    let written = |section: &str| {
        let section: String = section.lines().map(|line| format!("        WITH {line}\n")).collect();
        format!("-addRoute DEFINE ROUTE Db WITH TYPE MARIADB\n    ADD SQL_CONFIG\n{section}{events}")
    };
    let mut answers = watch(&broker, "answer");
    for (definition, is_secure) in [
        (route(&server, &format!("USE_SSL TRUE\n{trust}"), &events), 1),
        (route(&server, "USE_SSL TRUE\nTRUST_SERVER_CERTIFICATE TRUE", &events), 1),
        (written(&format!("{url}\n{trust}")), 1),
        (written(&format!("CONNECTION_STRING \"{text}Preferred\"")), 0),
        (written(&format!("{url}\nUSE_SSL FALSE")), 0),
    ] {
        broker.command_ok(&definition);
        send(&broker, "ask", "");
        assert_eq!(next(&mut answers), format!("answer=[{{\"tls\":{is_secure}}}]"), "{definition}");
    }
    for definition in [route(&server, "USE_SSL TRUE", &events), written(&url)] {
        adds(&broker, &definition, "UnknownIssuer");
    }
    let other_name = trust.replace("localhost", "elsewhere");
    adds(&broker, &route(&server, &format!("USE_SSL TRUE\n{other_name}"), &events), "not valid for name");
    assert!(!broker.log().text().contains(PASSWORD));
}

/// Decrypts a password with `openssl` and removes the nonce that was mixed into it.
fn decrypted(key: &std::path::Path, folder: &std::path::Path, secret: &[u8]) -> String {
    let (from, to) = (folder.join("secret"), folder.join("plain"));
    std::fs::write(&from, secret).unwrap();
    let arguments =
        ["pkeyutl", "-decrypt", "-pkeyopt", "rsa_padding_mode:oaep", "-inkey", key.to_str().unwrap()];
    let files = ["-in", from.to_str().unwrap(), "-out", to.to_str().unwrap()];
    Program::run("openssl", &[&arguments[..], &files].concat()).unwrap().output();
    let mixed = std::fs::read(to).unwrap();
    let plain: Vec<u8> = mixed.iter().zip(NONCE.iter().cycle()).map(|(one, other)| one ^ other).collect();
    String::from_utf8(plain).unwrap()
}

#[test]
fn a_login_by_caching_sha2_password_is_short_or_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = (folder.path().join("key.pem"), folder.path().join("public.pem"));
    let made = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    if Program::run("openssl", &[&made[..], &[key.to_str().unwrap()]].concat()).is_none() {
        return;
    }
    let told = ["pkey", "-in", key.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()];
    Program::run("openssl", &told).unwrap().output();
    let public = std::fs::read(public).unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    let place = folder.path().to_owned();
    let full = serve(move |mut peer| {
        peer.say(&greeting("caching_sha2_password"));
        let Some((number, _)) = peer.next() else { return };
        peer.say(&packet(number + 1, &[1, 4]));
        let Some((number, asked)) = peer.next() else { return };
        assert_eq!(asked, [2]);
        peer.say(&packet(number + 1, &[&[1], &public[..]].concat()));
        let Some((number, secret)) = peer.next() else { return };
        tell.send(decrypted(&key, &place, &secret)).unwrap();
        peer.say(&packet(number + 1, OK));
        peer.answer_all();
    });
    let (tell_short, heard_short) = std::sync::mpsc::channel();
    let short = serve(move |mut peer| {
        peer.say(&greeting("caching_sha2_password"));
        let Some((number, response)) = peer.next() else { return };
        tell_short.send(response).unwrap();
        peer.say(&packet(number + 1, &[1, 3]));
        peer.say(&packet(number + 2, OK));
        peer.answer_all();
    });
    let broker = broker();
    for port in [full, short] {
        let definition = route_of("MYSQL", port, &format!("{}\nPOOL_SIZE 1", login()), "");
        adds(&broker, &definition, "\"Connected\"");
    }
    assert_eq!(heard.recv().unwrap(), format!("{PASSWORD}\0"));
    let response = heard_short.recv().unwrap();
    assert!(!response.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
    assert!(!broker.log().text().contains(PASSWORD));
}

#[test]
fn a_server_that_talks_nonsense_is_away() {
    let native = greeting("mysql_native_password");
    let no_protocol = "what the server says is not of its protocol";
    let broker = broker();
    for (first, second, third, told) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![], vec![], no_protocol),
        (vec![], vec![], vec![], "the server has ended the connection"),
        (packet(0, b"\xff\x10\x04Too many connections"), vec![], vec![], "1040: Too many connections"),
        (packet(0, b"\x0a8.0"), vec![], vec![], no_protocol),
        (packet(0, b""), vec![], vec![], no_protocol),
        (native.clone(), packet(2, b"\xfe"), vec![], "the server asks for a login by mysql_old_password"),
        (
            native.clone(),
            packet(2, b"\xfemysql_clear_password\0"),
            vec![],
            "the server asks for a login by mysql_clear_password",
        ),
        (native.clone(), packet(2, b"\xfedialog\0abc\0"), vec![], "the server asks for a login by dialog"),
        (native.clone(), packet(2, b"\x01\x04"), vec![], no_protocol),
        (native.clone(), packet(9, OK), vec![], no_protocol),
        (native.clone(), packet(2, OK), packet(1, b"\xfbfile"), no_protocol),
        (native.clone(), packet(2, OK), packet(1, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), no_protocol),
        (
            native.clone(),
            packet(2, OK),
            [packet(1, b"\x01"), packet(2, b"\x03def\xff")].concat(),
            no_protocol,
        ),
        (native, packet(2, OK), packet(1, b"\0"), no_protocol),
    ] {
        let says = [first, second, third];
        let port = serve(move |mut peer| {
            for said in &says {
                peer.say(said);
                if said.is_empty() || peer.next().is_none() {
                    return;
                }
            }
        });
        let section = format!("{}\nPOOL_SIZE 1", login());
        adds(&broker, &route_of("MYSQL", port, &section, &event("E", "in", "TABLE_NAME \"t\"")), told);
    }
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let put = event("Put", "in/+", "QUERY \"INSERT INTO t VALUES ('{payload}')\"");
    let with = |section: &str, events: &str| route_of("MYSQL", 1, section, events);
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
    sql::strings_that_would_not_be_followed_are_refused(&broker, |section| with(section, &put));
    // These mistakes show only when the route begins, and they stop it.
    broker.command_ok("-setSecret STRING=Password=hidden-password");
    broker.command_ok("-setSecret SLIP=Host=db;Passwrod=hidden-password");
    for (section, query, told) in [
        ("CONNECTION_STRING GET SECRET \"STRING\"", "SELECT 1", "CONNECTION_STRING names no server"),
        (
            "CONNECTION_STRING GET SECRET \"SLIP\"",
            "SELECT 1",
            "has the key 'passwrod', which is none; did you mean password?",
        ),
        (&*login(), "SELECT `{payload}`", "Put: QUERY: {payload} stands in a quoted name"),
        (
            &*login(),
            "SELECT X'{payload}'",
            "Put: QUERY: a literal that begins with X' can have no placeholder",
        ),
        (&*login(), "SELECT '{payload}", "Put: QUERY: the literal ' does not end"),
        (&*format!("{}\nSCHEMA \"x\"", login()), "SELECT 1", "SCHEMA is of PostgreSQL"),
    ] {
        let definition = with(section, &event("Put", "in/+", &format!("QUERY \"{query}\"")));
        let status = adds(&broker, &definition, told);
        assert!(!status.contains("hidden-password"), "{status}");
    }
}

#[test]
fn statements_may_be_written_as_they_are_and_long_ones_are_refused_or_cut() {
    let Some(server) = Server::start_with(&["--max-allowed-packet=1M"], None) else { return };
    server.sql("CREATE TABLE t (n int, v mediumtext)");
    let broker = broker();
    let (mut answers, mut failed) = (watch(&broker, "answer"), watch(&broker, "failed"));
    let raw =
        event("Raw", "raw", "QUERY \"{payload}\"\nDESTINATION_TOPIC \"answer\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "RAW_PLACEHOLDERS TRUE", &raw));
    send(&broker, "raw", "INSERT INTO t SELECT seq, repeat('x', 20000) FROM seq_1_to_100");
    assert_eq!(next(&mut answers), "answer=[{\"affected\":100}]");
    send(&broker, "raw", "SELECT n, v FROM t ORDER BY n");
    let answer = next(&mut answers);
    let rows: Json = serde_json::from_str(answer.strip_prefix("answer=").unwrap()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 52);
    send(&broker, "raw", "SELECT nothing FROM nowhere");
    assert!(failure(&mut failed).starts_with("1146 (42S02): Table 'plant.nowhere' doesn't exist"));
    send(&broker, "raw", "SELECT 1; SELECT 2");
    assert!(failure(&mut failed).starts_with("1064 (42000): "));
    server.sql("TRUNCATE t");
    let events =
        event("Put", "in", "QUERY \"INSERT INTO t VALUES (1, '{payload}')\"\nERROR_TOPIC \"failed\"");
    broker.command_ok(&route(&server, "POOL_SIZE 1", &(GATHERED.to_owned() + &events)));
    let lengths = [700_000, 700_000, 1_200_000, 10, 700_000];
    publish_all(&broker, lengths.into_iter().map(|length| ("in".to_owned(), "x".repeat(length))));
    server.until("SELECT count(*), sum(length(v)) FROM t", "4|2100010");
    let refused = failure(&mut failed);
    assert!(refused.contains("has more than 1048576 bytes (max_allowed_packet)"), "{refused}");
}
