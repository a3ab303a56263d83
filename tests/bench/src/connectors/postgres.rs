//! From MQTT at QoS 1 to rows that are committed: the route, the same by hand, and the database by
//! itself.

use lotmq_test_support::{Broker, PostgresServer, SqlServer as _};

use super::publishers::Publishers;
use super::{Case, Figures, Meter, Native, add_route, broker, rounds, route_figure, wait_for};

/// Rows of a run.
const ROWS: usize = 2000 * Publishers::STEP;

pub(super) fn group(binary: &str, times: usize) {
    let Some(database) = PostgresServer::start_with(&["fsync=on"], None) else { return };
    let cases: [Case<'_>; 4] = [
        ("native: client crate, tokio-postgres", Box::new(|| by_hand(binary, &database))),
        ("route, POOL_SIZE 1", Box::new(|| by_route(binary, &database, 1))),
        ("route, POOL_SIZE 4 (default)", Box::new(|| by_route(binary, &database, 4))),
        ("tokio-postgres alone, rows from memory", Box::new(|| from_memory(&database))),
    ];
    rounds("rows", times, &cases);
}

fn url(database: &PostgresServer) -> String {
    let (user, password) = (PostgresServer::USER, PostgresServer::PASSWORD);
    format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", database.port)
}

fn new_table(database: &PostgresServer) {
    database.sql("DROP TABLE IF EXISTS t");
    database.sql("CREATE TABLE t (topic text, v float8)");
    database.sql("CHECKPOINT");
}

fn has_all(database: &PostgresServer) {
    assert_eq!(database.sql("SELECT count(*) FROM t"), ROWS.to_string());
}

fn publishers(broker: &Broker) -> Publishers {
    Publishers::connect(broker.address(), "in", b"81.5")
}

fn by_route(binary: &str, database: &PostgresServer, connections: usize) -> Figures {
    new_table(database);
    let broker = broker(binary);
    add_route(
        &broker,
        &format!(
            "DEFINE ROUTE Db WITH TYPE POSTGRESQL
    ADD SQL_CONFIG
        WITH CONNECTION_STRING \"{}\"
        WITH POOL_SIZE {connections}
    ADD EVENT Put
        WITH SOURCE_TOPIC \"in/+\"
        WITH QUERY \"INSERT INTO t (topic, v) VALUES ('{{topic}}', {{payload}})\"
",
            url(database)
        ),
    );
    let mut publishers = publishers(&broker);
    let meter = Meter::start(vec![broker.process_id()]);
    publishers.publish(ROWS);
    wait_for(|| route_figure(&broker, "delivered_total") == ROWS as f64);
    let figures = meter.figures(ROWS);
    has_all(database);
    figures
}

fn by_hand(binary: &str, database: &PostgresServer) -> Figures {
    new_table(database);
    let broker = broker(binary);
    let mut native =
        Native::start(&["native-postgres", &broker.address().to_string(), &url(database), &ROWS.to_string()]);
    let mut publishers = publishers(&broker);
    let meter = Meter::start(vec![broker.process_id(), native.process()]);
    publishers.publish(ROWS);
    native.wait_ready();
    let figures = meter.figures(ROWS);
    has_all(database);
    figures
}

fn from_memory(database: &PostgresServer) -> Figures {
    new_table(database);
    let rows = ROWS / 1000 * 1000;
    let mut native = Native::start(&["native-rows", &url(database), &rows.to_string()]);
    let meter = Meter::start(vec![native.process()]);
    native.wait_ready();
    meter.figures(rows)
}
