//! Events of one route with one instance: what fails of one holds the others up only for moments,
//! and nothing of it is lost or overtaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lotmq_test_support::{Answer, HttpServer, PostgresServer, SqlServer as _, eventually};

use crate::{Standing, broker, event, next, publish_all, send, watch};

/// Time for which a table is missing: so many seconds, or as many as `LOTMQ_OUTAGE` says.
fn outage(seconds: u64) -> Duration {
    Duration::from_secs(std::env::var("LOTMQ_OUTAGE").map_or(seconds, |text| text.parse().expect("a number")))
}

fn put(name: &str, topic: &str, table: &str) -> String {
    event(name, topic, &format!("QUERY \"INSERT INTO {table} (v) VALUES ({{payload}})\""))
}

fn route(server: &PostgresServer, events: &str) -> String {
    let (user, password) = (PostgresServer::USER, PostgresServer::PASSWORD);
    format!(
        "-addRoute DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {}\n        WITH DATABASE \"postgres\"\n        WITH USERNAME \"{user}\"\n        WITH PASSWORD \"{password}\"\n        WITH POOL_SIZE 1\n{events}",
        server.port
    )
}

/// All rows of a table, in the order in which they were written.
fn rows(server: &PostgresServer, table: &str) -> String {
    server.sql(&format!("SELECT string_agg(v::text, ',' ORDER BY id) FROM {table}")).trim().to_owned()
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn rows_of_other_events_arrive_while_a_table_is_missing() {
    const TABLE: &str = "(id serial, v int)";
    let Some(server) = PostgresServer::start() else { return };
    for table in ["lost", "kept"] {
        server.sql(&format!("CREATE TABLE {table} {TABLE}"));
    }
    let broker = broker();
    broker.command_ok(&route(&server, &(put("Lost", "lost/+", "lost") + &put("Kept", "kept/+", "kept"))));
    let mut standing = Standing::of(&broker, "Db");
    let pair = |number: usize| ["lost", "kept"].map(|event| (format!("{event}/a"), number.to_string()));
    publish_all(&broker, (0..10).flat_map(pair));
    server.until_counted("SELECT count(*) FROM lost", 10);
    server.sql("DROP TABLE lost");
    let (began, mut sent, mut slowest) = (Instant::now(), 10, Duration::ZERO);
    while began.elapsed() < outage(20) {
        publish_all(&broker, (sent..sent + 20).flat_map(pair));
        sent += 20;
        let waits = Instant::now();
        server.until_counted("SELECT count(*) FROM kept", sent);
        slowest = slowest.max(waits.elapsed());
    }
    println!("{sent} rows of each, the slowest twenty took {slowest:?}");
    assert!(slowest < Duration::from_secs(6), "{slowest:?}");
    let told = standing.until("relation \\\"lost\\\" does not exist");
    assert!(told.contains("\"lastErrorIsOver\":false"), "{told}");
    server.sql(&format!("CREATE TABLE lost {TABLE}"));
    server.until_counted("SELECT count(*) FROM lost", sent - 10);
    let expected: Vec<String> = (10..sent).map(|number| number.to_string()).collect();
    assert_eq!(rows(&server, "lost"), expected.join(","));
    assert_eq!(rows(&server, "kept"), numbers(sent));
    broker.wait_until_metric_is("lotmq_route_dead_letters", 0.0);
}

#[test]
fn requests_of_other_events_go_on_while_an_endpoint_is_busy() {
    let is_busy = Arc::new(AtomicBool::new(true));
    let busy = Arc::clone(&is_busy);
    let server = HttpServer::start(move |asked| {
        let is_refused = asked.line().contains("/busy") && busy.load(Ordering::Acquire);
        Answer::of(if is_refused { 503 } else { 200 }, &String::from_utf8_lossy(&asked.body))
    });
    let broker = broker();
    let post = |name: &str| {
        let lines = format!("METHOD \"POST\"\nENDPOINT \"/{name}\"\nDESTINATION_TOPIC \"answer/{name}\"");
        event(name, &format!("{name}/+"), &lines)
    };
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Api WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://{}\"\n{}{}",
        server.address,
        post("busy"),
        post("idle")
    ));
    let mut idle = watch(&broker, "answer/idle");
    let mut late = watch(&broker, "answer/busy");
    let began = Instant::now();
    for number in 0..40 {
        send(&broker, "busy/a", &number.to_string());
        send(&broker, "idle/a", &number.to_string());
        assert_eq!(next(&mut idle), format!("answer/idle={number}"));
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    is_busy.store(false, Ordering::Release);
    for number in 0..40 {
        assert_eq!(next(&mut late), format!("answer/busy={number}"));
    }
}

/// A message does not overtake a waiting message of the same topic, even if another event takes it.
/// Its rows may need the rows of that one.
#[test]
fn messages_of_one_topic_keep_their_order_over_all_events() {
    let Some(server) = PostgresServer::start() else { return };
    server.sql("CREATE TABLE children (id serial, v int)");
    server.sql("CREATE TABLE others (id serial, v int)");
    let broker = broker();
    let events = put("Parent", "in/+", "parents")
        + &put("Child", "in/+", "children")
        + &put("Other", "other", "others");
    broker.command_ok(&route(&server, &events));
    for number in 0..5 {
        send(&broker, "in/a", &number.to_string());
        send(&broker, "other", &number.to_string());
    }
    server.until_counted("SELECT count(*) FROM others", 5);
    assert_eq!(rows(&server, "children"), "");
    server.sql("CREATE TABLE parents (id serial, v int)");
    server.until_counted("SELECT count(*) FROM children", 5);
    for table in ["parents", "children", "others"] {
        assert_eq!(rows(&server, table), numbers(5), "{table}");
    }
}

/// A server that goes away altogether is no matter of one event: when it is back, all that waited
/// comes at once.
#[test]
fn all_events_come_back_with_their_server() {
    let Some(mut server) = PostgresServer::start() else { return };
    for table in ["a", "b"] {
        server.sql(&format!("CREATE TABLE {table} (id serial, v int)"));
    }
    let broker = broker();
    broker.command_ok(&route(&server, &(put("A", "a/+", "a") + &put("B", "b/+", "b"))));
    let pair = |number: usize| ["a", "b"].map(|event| (format!("{event}/x"), number.to_string()));
    publish_all(&broker, (0..50).flat_map(pair));
    server.until_counted("SELECT count(*) FROM b", 50);
    server.end_at_once();
    publish_all(&broker, (50..2050).flat_map(pair));
    std::thread::sleep(Duration::from_secs(5));
    server.start_again();
    let began = Instant::now();
    for table in ["a", "b"] {
        eventually("all rows", || (rows(&server, table) == numbers(2050)).then_some(()));
    }
    println!("{:?} until all was there", began.elapsed());
}
