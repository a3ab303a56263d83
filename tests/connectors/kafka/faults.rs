//! Faults: brokers that end, freeze, are slow, refuse, or do not exist; wrong certificates, logins
//! and definitions.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use lotmq_client::QoS;
use lotmq_test_support::{Authority, WAIT_MAX, eventually};
use serde_json::{Value as Json, json};

use super::cluster::{Cluster, Fake, Row};
use super::{IN, OUT, SHORT, impatient, is_complete, route, send_numbered};
use crate::{Standing, broker, next, options, send, watch};

/// Keys of requests.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

fn down(cluster: &mut Cluster) {
    cluster.tell(&json!({ "do": "down" }));
}

fn up(cluster: &mut Cluster) {
    cluster.tell(&json!({ "do": "up" }));
}

#[test]
fn nothing_is_lost_when_the_cluster_ends_under_load() {
    const MESSAGES: usize = 10_000;
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 4);
    let broker = broker();
    let mut standing = Standing::of(&broker, "Line");
    broker.command_ok(&route(&cluster.servers, "", OUT));
    send_numbered(&broker, MESSAGES, || {
        cluster.read("t", 1);
        down(&mut cluster);
    });
    standing.until("\"Reconnecting\"");
    up(&mut cluster);
    broker.wait_until_metric_is("lotmq_route_delivered_total", MESSAGES as f64);
    is_complete(&cluster.read("t", MESSAGES), MESSAGES);
}

#[test]
fn reading_goes_on_when_the_cluster_is_back() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 4);
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    let mut standing = Standing::of(&broker, "Line");
    broker.command_ok(&route(&cluster.servers, SHORT, IN));
    let records = |numbers: std::ops::Range<usize>| -> Vec<Json> {
        numbers.map(|number| json!([null, number.to_string(), null, number % 4])).collect()
    };
    cluster.produce("t", &records(0..1000), "none");
    let mut rows: Vec<Row> =
        (0..100).map(|_| Row::of(&next(&mut watcher).replace("from/kafka=", ""))).collect();
    down(&mut cluster);
    standing.until("\"Reconnecting\"");
    up(&mut cluster);
    cluster.produce("t", &records(1000..2000), "none");
    let has_all = |rows: &[Row]| {
        let values: std::collections::BTreeSet<&str> =
            rows.iter().filter_map(|row| row.value.as_deref()).collect();
        values.len() == 2000
    };
    while !has_all(&rows) {
        rows.push(Row::of(&next(&mut watcher).replace("from/kafka=", "")));
    }
    is_complete(&rows, 2000);
    cluster.wait_for_commit("Line", "t", &[500; 4]);
}

#[test]
fn a_cluster_that_freezes_is_away_and_comes_back() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 1);
    let broker = broker();
    let mut standing = Standing::of(&broker, "Line");
    broker.command_ok(&impatient(&route(&cluster.servers, "", OUT), 2));
    send(&broker, "plant/a/b", "1");
    cluster.read("t", 1);
    cluster.signal("-STOP");
    send(&broker, "plant/a/b", "2");
    let told = standing.until("\"Reconnecting\"");
    assert!(told.contains("it has not answered"), "{told}");
    cluster.signal("-CONT");
    let rows = cluster.read("t", 2);
    assert_eq!((rows[0].value.as_deref(), rows.last().unwrap().value.as_deref()), (Some("1"), Some("2")));
}

#[test]
fn a_slow_cluster_is_waited_for() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 4);
    cluster.tell(&json!({ "do": "slow", "ms": 300 }));
    let broker = broker();
    broker.command_ok(&route(&cluster.servers, "", OUT));
    send_numbered(&broker, 3_000, || {});
    broker.wait_until_metric_is("lotmq_route_delivered_total", 3_000.0);
    assert_eq!(broker.metric("lotmq_route_reconnects_total"), Some(0.0));
    cluster.tell(&json!({ "do": "slow", "ms": 0 }));
    let rows = cluster.read("t", 3_000);
    assert_eq!(rows.len(), 3_000);
    is_complete(&rows, 3_000);
}

#[test]
fn transient_cluster_errors_are_retried() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    cluster.create("t", 1);
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    broker.command_ok(&route(&cluster.servers, "", &format!("{OUT}\n{IN}")));
    // Another leader, no answer of the other replicas in time, too few of them, a broker that has
    // lost count.
    cluster.tell(&json!({ "do": "errors", "api": PRODUCE, "codes": [6, 7, 19, 45] }));
    cluster.tell(&json!({ "do": "errors", "api": FETCH, "codes": [6, 75] }));
    send(&broker, "plant/a/b", "1");
    assert_eq!(next(&mut watcher), "from/kafka=1");
    for leader in [1, 2, 3] {
        cluster.tell(&json!({ "do": "leader", "topic": "t", "partition": 0, "broker": leader }));
        send(&broker, "plant/a/b", &format!("led by {leader}"));
        assert_eq!(next(&mut watcher), format!("from/kafka=led by {leader}"));
    }
    assert_eq!(broker.metric("lotmq_route_rejected_total"), Some(0.0));
    assert_eq!(cluster.read("t", 4).len(), 4);
}

#[test]
fn a_message_that_can_never_pass_costs_only_itself() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 1);
    let broker = broker();
    broker.command_ok(&route(&cluster.servers, "", OUT));
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Line/Error", QoS::AtMostOnce).unwrap();
    // MESSAGE_TOO_LARGE of the first, alone in its batch.
    cluster.tell(&json!({ "do": "errors", "api": PRODUCE, "codes": [10] }));
    send(&broker, "plant/a/b", "large");
    let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
    assert!(told.contains("topic 't', partition 0: MESSAGE_TOO_LARGE (10)"), "{told}");
    send(&broker, "plant/a/b", "small");
    assert_eq!(cluster.read("t", 1)[0].value.as_deref(), Some("small"));
    broker.wait_until_metric_is("lotmq_route_rejected_total", 1.0);
}

#[test]
fn missing_rights_stop_the_route() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 1);
    let broker = broker();
    for (api, code, mapping, expected) in [
        (PRODUCE, 29, OUT, "topic 't', partition 0: TOPIC_AUTHORIZATION_FAILED (29)"),
        (FETCH, 29, IN, "Fetch: TOPIC_AUTHORIZATION_FAILED (29)"),
        (12, 30, IN, "group 'Line': Heartbeat: GROUP_AUTHORIZATION_FAILED (30)"),
        (22, 31, OUT, "InitProducerId: CLUSTER_AUTHORIZATION_FAILED (31)"),
    ] {
        let mut standing = Standing::of(&broker, "Line");
        cluster.tell(&json!({ "do": "errors", "api": api, "codes": [code] }));
        broker.command_ok(&route(&cluster.servers, &format!("{SHORT}\nCLIENT_ID \"{api}\""), mapping));
        send(&broker, "plant/a/b", "1");
        let told = standing.until(expected);
        assert!(told.contains("\"Disconnected\""), "{told}");
    }
}

/// A login to a broker that knows the password `hidden-right` of `u`.
fn login(mechanism: &str) -> String {
    format!(
        "SECURITY_PROTOCOL \"SASL_PLAINTEXT\"\nSASL_MECHANISM \"{mechanism}\"\nUSERNAME \"u\"\nPASSWORD GET SECRET \"KAFKA\""
    )
}

#[test]
fn wrong_kafka_login_is_reported_without_the_password() {
    let broker = broker();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let settings = json!({ "users": { "u": "hidden-right" }, "mechanism": mechanism });
        let Some(fake) = Fake::start(&settings) else { return };
        let mut standing = Standing::of(&broker, "Line");
        broker.command_ok("-setSecret KAFKA=hidden-wrong");
        broker.command_ok(&route(&fake.servers(), &login(mechanism), OUT));
        let told =
            standing.until("refuses the login: Authentication failed: SASL_AUTHENTICATION_FAILED (58)");
        assert!(told.contains("\"Disconnected\"") && !told.contains("hidden-"), "{told}");
        // A value that is set lets the route try again.
        broker.command_ok("-setSecret KAFKA=hidden-right");
        send(&broker, "plant/a/b", "1");
        eventually("the record", || (fake.rows().len() == 1).then_some(()));
        assert!(!broker.log().text().contains("hidden-"));
        let mut standing = Standing::of(&broker, "Line");
        let other = if mechanism == "PLAIN" { "SCRAM-SHA-256" } else { "PLAIN" };
        broker.command_ok(&route(&fake.servers(), &login(other), OUT));
        standing.until(&format!("does not take SASL_MECHANISM {other}, it takes {mechanism}"));
    }
}

#[test]
fn nothing_is_sent_to_kafka_broker_with_untrusted_certificate() {
    let authority = Authority::new();
    let signed = authority.server("127.0.0.1");
    let Some(fake) =
        Fake::start(&json!({ "certificate": [signed.certificate, signed.key], "users": { "u": "hidden" } }))
    else {
        return;
    };
    let file = authority.file();
    let broker =
        options().variable("LOTMQ_ROUTES_FILE_ROOTS", file.parent().unwrap().to_str().unwrap()).start();
    let mut standing = Standing::of(&broker, "Line");
    let login = "SECURITY_PROTOCOL \"SASL_SSL\"\nUSERNAME \"u\"\nPASSWORD \"hidden\"";
    broker.command_ok(&route(&fake.servers(), login, OUT));
    send(&broker, "plant/a/b", "1");
    standing.until("UnknownIssuer");
    assert!(fake.rows().is_empty());
    let name = file.file_name().unwrap().to_str().unwrap();
    let trusts = |more: &str| route(&fake.servers(), &format!("{login}\n{more}"), OUT);
    broker.command_ok(&trusts(&format!("SERVER_CA_CERT_PATH \"{name}\"")));
    eventually("the record", || (fake.rows().len() == 1).then_some(()));
    broker.command_ok(&trusts("TRUST_SERVER_CERTIFICATE TRUE"));
    send(&broker, "plant/a/b", "2");
    eventually("the next record", || (fake.rows().len() == 2).then_some(()));
    assert!(!broker.log().text().contains("hidden"));
}

#[test]
fn malformed_response_is_reported_and_ends_the_connection() {
    let answers: [(&[u8], &str); 7] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of 1213486160 bytes came, the limit is 8388608"),
        (&[0, 0, 0, 4, 0, 0, 0, 9], "it has answered 9, which was not asked"),
        (&[0, 0, 0, 2, 0, 0], "its answer is malformed"),
        (&[0, 0, 0, 6, 0, 0, 0, 1, 0, 0], "its answer to ApiVersions is malformed"),
        // More versions than there is memory for.
        (&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff], "the guest gave up (panic or abort)"),
        (&[0, 0, 0, 10, 0, 0, 0, 1, 0, 35, 0, 0, 0, 0], "ApiVersions: UNSUPPORTED_VERSION (35)"),
        (&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "does not speak Metadata as it is spoken here"),
    ];
    let broker = broker();
    for (answer, expected) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The request does not matter, but the server reads it first.
                let _ = stream.read(&mut [0; 256]);
                let _ = stream.write_all(answer);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let mut standing = Standing::of(&broker, "Line");
        broker.command_ok(&route(&format!("127.0.0.1:{port}"), "", OUT));
        standing.until(expected);
    }
}

#[test]
fn invalid_route_definition_is_reported() {
    let broker = broker();
    let of = |settings: &str, mappings: &str| route("127.0.0.1:1", settings, mappings);
    for (definition, told) in [
        (of("SECURITY_PROTOCOL \"TLS\"", OUT), "SECURITY_PROTOCOL"),
        (of("SASL_MECHANISM \"GSSAPI\"", OUT), "SASL_MECHANISM"),
        (of("COMPRESSION_TYPE \"zstd\"", OUT), "COMPRESSION_TYPE"),
        (of("SESSION_TIMEOUT_MS 0", OUT), "SESSION_TIMEOUT_MS"),
        (of("AUTO_OFFSET_RESET \"none\"", OUT), "AUTO_OFFSET_RESET"),
        (of("USE_TLS \"perhaps\"", OUT), "USE_TLS is TRUE or FALSE"),
        (of("", r#"O SOURCE_TOPIC "a""#), "needs DESTINATION_TOPIC"),
        (of("", r#"O DESTINATION_TOPIC "a""#), "needs SOURCE_TOPIC"),
        (of("", r#"O SOURCE_TOPIC "a"; DESTINATION_TOPIC "t"; DIRECTION "both""#), "DIRECTION"),
        (of("", r#"O SOURCE_TOPIC "a"; DESTINATION_TOPIC "t"; QOS 3"#), "QOS"),
        (
            of("", OUT)
                .replace("        WITH BOOTSTRAP_SERVERS \"127.0.0.1:1\"\n", "        WITH GROUP_ID \"g\"\n"),
            "needs BOOTSTRAP_SERVERS",
        ),
    ] {
        let refused = broker.command(&definition);
        assert!(!refused.success() && refused.0.to_string().contains(told), "{told}: {refused:?}");
    }
    let warned = broker.command(&of("BROKERS \"a\"", OUT));
    assert!(warned.0.to_string().contains("Unknown setting 'BROKERS' in KAFKA_CONFIG"), "{warned:?}");
    // Only the guest can judge these mistakes, and they stop the route.
    for (definition, told) in [
        (
            of("USERNAME \"u\"\nSECURITY_PROTOCOL \"SSL\"", OUT),
            "USERNAME needs SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT",
        ),
        (
            of("SECURITY_PROTOCOL \"SSL\"\nUSE_TLS FALSE", OUT),
            "USE_TLS says something else than SECURITY_PROTOCOL SSL",
        ),
        (of("SECURITY_PROTOCOL \"SASL_SSL\"", OUT), "KAFKA_CONFIG needs USERNAME"),
        (of("", r#"O SOURCE_TOPIC "a"; DESTINATION_TOPIC "a/b""#), "'a/b', which is no topic of Kafka"),
        (
            of("", r#"I SOURCE_TOPIC "t"; DESTINATION_TOPIC "a"; DIRECTION "in"; KEY "k""#),
            "KEY is of messages that go out",
        ),
        (route("a:b", "", OUT), "no list of servers such as 'a:9092,b:9092'"),
    ] {
        let mut standing = Standing::of(&broker, "Line");
        broker.command(&definition);
        standing.until(told);
    }
}
