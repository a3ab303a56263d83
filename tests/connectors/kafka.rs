//! `KAFKA`: records that go to a cluster and come from it, seen by librdkafka as an independent
//! client, while brokers are killed, freeze, are slow and refuse.
//!
//! The cluster is the mock cluster of librdkafka (`kafka/cluster.py`). It ignores logins and the
//! numbers of producers, so a broker of our own (`kafka/fake.py`) covers them. No released Kafka
//! was at hand.

mod cluster;
mod faults;
mod group;
mod tansu;

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_codec::{PropertyId, PropertyValue};
use lotmq_test_support::{Broker, free_port};
use serde_json::{Value as Json, json};

use crate::{backlog, broker, next, publish_all, roomy, send, watch};
use cluster::{Cluster, Fake, Row};

/// A route to servers with settings of its section, and mappings, each a line of
/// `name setting; setting`.
fn route(servers: &str, settings: &str, mappings: &str) -> String {
    let mut text = format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE KAFKA\n    ADD KAFKA_CONFIG\n        WITH BOOTSTRAP_SERVERS \"{servers}\"\n"
    );
    settings.lines().map(str::trim).for_each(|line| text += &format!("        WITH {line}\n"));
    for mapping in mappings.lines().map(str::trim) {
        let (name, settings) = mapping.split_once(' ').unwrap();
        text += &format!("    ADD MAPPING {name}\n");
        settings.split("; ").for_each(|line| text += &format!("        WITH {line}\n"));
    }
    text
}

/// The same with a time after which a broker that does not answer is away, in seconds.
fn impatient(definition: &str, seconds: u32) -> String {
    let config = format!("    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT {seconds}\n    ADD MAPPING");
    definition.replacen("    ADD MAPPING", &config, 1)
}

const OUT: &str = r#"Out SOURCE_TOPIC "plant/+/+"; DESTINATION_TOPIC "t"; KEY "{topic.2}""#;
const IN: &str = r#"In SOURCE_TOPIC "t"; DESTINATION_TOPIC "from/kafka"; DIRECTION "in""#;

/// The mock cluster divides a group that has members anew only when its time is over.
const SHORT: &str = "SESSION_TIMEOUT_MS 6000";

/// Sends so many numbered messages, to `plant/k0/x` to `plant/k3/x` in turn, and does something
/// when a tenth is sent.
fn send_numbered(broker: &Broker, count: usize, at_a_tenth: impl FnOnce()) {
    let numbered = |number: usize| (format!("plant/k{}/x", number % 4), number.to_string());
    publish_all(broker, (0..count / 10).map(numbered));
    at_a_tenth();
    publish_all(broker, (count / 10..count).map(numbered));
}

/// Checks that all numbers below `count` are there, those of each key in order, whatever came
/// twice.
fn is_complete(rows: &[Row], count: usize) {
    let mut seen = std::collections::BTreeSet::new();
    let mut last = std::collections::BTreeMap::new();
    for row in rows {
        let number: usize = row.value.as_deref().unwrap().parse().unwrap();
        if !seen.insert(number) {
            continue;
        }
        let before = last.insert(number % 4, number);
        assert!(before.is_none_or(|before| before < number), "{number} came behind {before:?}");
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn messages_of_every_kind_become_records() {
    let Some(mut cluster) = Cluster::start(2) else { return };
    cluster.create("t", 4);
    cluster.create("u", 4);
    let broker = broker();
    let mappings = format!("{OUT}\nPlain SOURCE_TOPIC \"plain/#\"; DESTINATION_TOPIC \"u\"");
    broker.command_ok(&route(&cluster.servers, "", &mappings));
    assert_eq!(broker.command_ok("-checkRouteConnection Line").message(), "Route 'Line' is reachable.");
    let payloads: [&[u8]; 6] =
        [b"21.5", br#"{"t":1,"o":{"a":[null,true]}}"#, b"", "\u{fc}".as_bytes(), &[0, 255, 10], b"true"];
    let mut sender = broker.connect(&ConnectOptions::v5("sender"));
    for payload in payloads {
        let message = Publication::new("plant/oven/t", payload).qos(QoS::AtLeastOnce);
        let message = message
            .property(PropertyId::ContentType, PropertyValue::Utf8("text/plain"))
            .property(PropertyId::CorrelationData, PropertyValue::Binary(&[1, 255]))
            .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("unit", "C"))
            .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("unit", "F"));
        sender.publish(&message).unwrap();
    }
    let rows = cluster.read("t", payloads.len());
    let values: Vec<Vec<u8>> = rows.iter().map(Row::bytes).collect();
    assert_eq!(values, payloads);
    for row in &rows {
        assert_eq!((row.key.as_deref(), row.partition), (Some("oven"), rows[0].partition));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            header("mqtt.topic", "plant/oven/t"),
            header("mqtt.content-type", "text/plain"),
            header("mqtt.correlation-data", "\u{1}\u{ff}"),
            header("unit", "C"),
            header("unit", "F"),
        ];
        assert_eq!(row.headers, expected);
    }
    // Without a key each topic stays in its partition.
    for number in 0..8 {
        send(&broker, &format!("plain/{}", number % 4), &number.to_string());
    }
    let rows = cluster.read("u", 8);
    assert_eq!(rows.len(), 8);
    for topic in 0..4 {
        let of =
            |number: i32| rows.iter().find(|row| row.value.as_deref() == Some(&*number.to_string())).unwrap();
        assert_eq!((of(topic).partition, &of(topic).key), (of(topic + 4).partition, &None));
    }
    broker.wait_until_metric_is("lotmq_route_delivered_total", 14.0);
}

#[test]
fn keys_choose_the_partitions_that_other_clients_choose() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 7);
    cluster.create("other", 7);
    let broker = broker();
    broker.command_ok(&route(&cluster.servers, "", OUT));
    let keys: Vec<String> = (0..20).map(|number| format!("machine-{}", number * number)).collect();
    keys.iter().for_each(|key| send(&broker, &format!("plant/{key}/x"), "1"));
    let messages: Vec<Json> = keys.iter().map(|key| json!([key, "1", null, null])).collect();
    cluster.produce_by("other", &messages, "none", "murmur2");
    let placed = |rows: Vec<Row>| -> std::collections::BTreeMap<String, i64> {
        rows.into_iter().map(|row| (row.key.unwrap(), row.partition)).collect()
    };
    let own = placed(cluster.read("t", 20));
    assert_eq!(own, placed(cluster.read("other", 20)));
    assert!(own.len() == 20 && own.values().any(|partition| *partition != own["machine-0"]));
}

#[test]
fn batches_are_compressed_as_the_definition_says() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 1);
    let broker = broker();
    for (number, codec) in ["none", "gzip", "snappy", "lz4"].into_iter().enumerate() {
        broker.command_ok(&route(&cluster.servers, &format!("COMPRESSION_TYPE \"{codec}\""), OUT));
        send(&broker, "plant/a/b", &codec.repeat(100));
        let rows = cluster.read("t", number + 1);
        assert_eq!(rows.last().unwrap().value.as_deref(), Some(&*codec.repeat(100)));
        assert_eq!(rows.len(), number + 1);
    }
}

#[test]
fn records_of_every_kind_are_published() {
    let Some(mut cluster) = Cluster::start(2) else { return };
    cluster.create("t", 4);
    let broker = broker();
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher"));
    watcher.subscribe_to("from/#", QoS::AtLeastOnce).unwrap();
    let mapping = r#"In SOURCE_TOPIC "t"; DESTINATION_TOPIC "from/+/x"; DIRECTION "in""#;
    broker.command_ok(&route(&cluster.servers, "", mapping));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let value = codec.repeat(50);
        cluster.produce(
            "t",
            &[json!(["oven", value, [["unit", "C"], ["mqtt.content-type", "text/plain"]], 1])],
            codec,
        );
        let message = watcher.receive(lotmq_test_support::WAIT_MAX).unwrap().expect("a message");
        assert_eq!((&*message.topic, message.text()), ("from/oven/x", value));
        let properties = message.properties();
        assert_eq!(properties.content_type(), Some("text/plain"));
        let named: Vec<(&str, &str)> =
            properties.user_properties().filter(|(name, _)| *name != "kafka.timestamp").collect();
        let offset = named.iter().find(|(name, _)| *name == "kafka.offset").unwrap();
        assert_eq!(
            named,
            [("unit", "C"), ("kafka.topic", "t"), ("kafka.partition", "1"), *offset, ("kafka.key", "oven")]
        );
    }
    // The route leaves out and reports a record that has no topic here, and takes the next one.
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Line/Error", QoS::AtMostOnce).unwrap();
    let rows = [
        json!([null, "no key", null, 1]),
        json!(["a/b", "no level", null, 1]),
        json!(["last", null, null, 1]),
    ];
    cluster.produce("t", &rows, "none");
    assert_eq!(next(&mut watcher), "from/last/x=");
    // Those that follow soon are counted with the last of them.
    let told = errors.receive(lotmq_test_support::WAIT_MAX).unwrap().expect("an error").text();
    assert!(
        told.contains("is left out: its key is missing") || told.contains("is left out: its key 'a/b'"),
        "{told}"
    );
}

#[test]
fn a_backlog_of_10_000_records_comes_in_order_and_once() {
    const RECORDS: usize = 10_000;
    let Some(mut cluster) = Cluster::start(2) else { return };
    cluster.create("t", 4);
    let records: Vec<Json> =
        (0..RECORDS).map(|number| json!([null, number.to_string(), null, number % 4])).collect();
    cluster.produce("t", &records, "lz4");
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    broker.command_ok(&route(&cluster.servers, SHORT, IN));
    let rows: Vec<Row> =
        (0..RECORDS).map(|_| Row::of(&next(&mut watcher).replace("from/kafka=", ""))).collect();
    is_complete(&rows, RECORDS);
    cluster.wait_for_commit("Line", "t", &[2500; 4]);
    // Only what is new comes after a new connection.
    broker.command_ok(&route(&cluster.servers, &format!("{SHORT}\nCLIENT_ID \"other\""), IN));
    cluster.produce("t", &[json!([null, "new", null, 0])], "none");
    assert_eq!(next(&mut watcher), "from/kafka=new");
}

/// The broker is our own: the mock cluster forgets what a partition has beyond 5 MiB.
#[test]
fn ten_thousand_messages_wait_for_a_broker_that_is_away_and_are_written_once() {
    let (count, port) = (backlog(10_000), free_port());
    let broker = broker();
    broker.command_ok(&roomy(&route(&format!("127.0.0.1:{port}"), "", OUT)));
    send_numbered(&broker, count, || {});
    let Some(fake) = Fake::start(&json!({ "port": port })) else { return };
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    let rows = fake.rows();
    assert_eq!(rows.len(), count, "each is written once");
    is_complete(&rows, count);
}

#[test]
fn a_group_without_offsets_begins_where_the_definition_says() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 1);
    cluster.produce("t", &[json!([null, "old", null, null])], "none");
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    broker.command_ok(&route(&cluster.servers, "AUTO_OFFSET_RESET \"latest\"\nGROUP_ID \"late\"", IN));
    // The route looks up the end of the partition before its first heartbeat. Earlier records may
    // be skipped, so the test repeats them.
    lotmq_test_support::eventually("the end is known", || {
        cluster.produce("t", &[json!([null, "new", null, null])], "none");
        watcher
            .receive(std::time::Duration::from_millis(300))
            .unwrap()
            .map(|message| assert_eq!(message.text(), "new"))
    });
    broker.command_ok(&route(&cluster.servers, "AUTO_OFFSET_RESET \"earliest\"\nGROUP_ID \"early\"", IN));
    while next(&mut watcher) != "from/kafka=old" {}
}

#[test]
fn nothing_is_written_twice_when_answers_get_lost() {
    const MESSAGES: usize = 2_000;
    let Some(fake) = Fake::start(&json!({ "lose": 8 })) else { return };
    let broker = broker();
    let definition = route(&fake.servers(), "", OUT).replacen(
        "    ADD MAPPING",
        "    ADD ROUTE_CONFIG\n        WITH BATCH_SIZE 200\n    ADD MAPPING",
        1,
    );
    broker.command_ok(&definition);
    send_numbered(&broker, MESSAGES, || {});
    broker.wait_until_metric_is("lotmq_route_delivered_total", MESSAGES as f64);
    assert!(broker.metric("lotmq_route_reconnects_total").unwrap() >= 1.0);
    let rows = fake.rows();
    assert_eq!(rows.len(), MESSAGES, "each is written once");
    is_complete(&rows, MESSAGES);
}
