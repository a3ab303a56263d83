//! `GET /metrics` and `$SYS/broker` tell what happens.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually, get_from};

use crate::{broker, options};

/// Samples of the text format by name and labels; each family has its head, and each sample is
/// there once.
fn samples(broker: &Broker) -> BTreeMap<String, f64> {
    let response = broker.http("/metrics");
    assert_eq!(response.status, 200);
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in response.body.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample is a name and a value");
        let base = name.split('{').next().unwrap();
        assert!(base.starts_with("lotmq_") || base.starts_with("process_"), "{line}");
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| base.strip_suffix(end));
        let is_known =
            of_histogram.is_some_and(|name| kinds.get(name).is_some_and(|kind| kind == "histogram"));
        assert!(is_known || kinds.get(base).is_some_and(|kind| kind != "histogram"), "no head: {line}");
        assert!(samples.insert(name.to_owned(), value.parse().expect("a number")).is_none(), "twice: {line}");
    }
    samples
}

#[test]
fn metrics_are_prometheus_text() {
    let broker = broker();
    let mut client = broker.client("c");
    client.publish(&Publication::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    let samples = samples(&broker);
    assert!(samples.len() > 100, "{samples:?}");
    let build = samples.keys().find(|name| name.starts_with("lotmq_build_info{")).unwrap();
    assert!(build.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")), "{build}");
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "lotmq_memory_limit_bytes",
        "lotmq_store_commit_duration_seconds_count",
    ] {
        assert!(samples[name] > 0.0, "{name}");
    }
    assert!(samples["process_resident_memory_bytes"] < samples["process_virtual_memory_bytes"]);
    assert!(samples["process_open_fds"] < samples["process_max_fds"]);
}

/// Sum of the samples of a family that have all of these labels.
fn sum(samples: &BTreeMap<String, f64>, family: &str, labels: &[&str]) -> f64 {
    let is_ours = |name: &str| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
            && labels.iter().all(|label| name.contains(label))
    };
    samples.iter().filter(|(name, _)| is_ours(name)).map(|(_, value)| value).sum()
}

#[test]
fn message_metrics_by_qos_and_listener_match_the_totals() {
    let broker = broker();
    let mut receiver = broker.client("receiver");
    receiver.subscribe_to("t/#", QoS::ExactlyOnce).unwrap();
    let mut sender = broker.client("sender");
    for (qos, count) in [(QoS::AtMostOnce, 40), (QoS::AtLeastOnce, 30), (QoS::ExactlyOnce, 20)] {
        for _ in 0..count {
            sender.publish(&Publication::new("t/a", "payload").qos(qos)).unwrap();
            receiver.receive(WAIT_MAX).unwrap().unwrap();
        }
    }
    // The commands of the connection that asks are not counted yet, but nothing else is under way.
    broker.wait_for_metric("lotmq_publish_sent_total", 90.0);
    let samples = samples(&broker);
    for direction in ["received", "sent"] {
        let family = format!("lotmq_messages_{direction}_total");
        for (label, count) in [("qos=\"0\"", 40.0), ("qos=\"1\"", 30.0), ("qos=\"2\"", 20.0)] {
            assert!((sum(&samples, &family, &[label]) - count).abs() < 0.5, "{family} {label}: {samples:?}");
        }
        let by_listener = format!("lotmq_listener_messages_{direction}_total");
        let of_mqtt = sum(&samples, &by_listener, &["listener=\"mqtt\""]);
        assert!((of_mqtt - samples[&format!("lotmq_publish_{direction}_total")]).abs() < 0.5, "{samples:?}");
        let bytes = sum(&samples, &format!("lotmq_listener_bytes_{direction}_total"), &["listener=\"mqtt\""]);
        assert!((bytes - samples[&format!("lotmq_bytes_{direction}_total")]).abs() < 0.5, "{samples:?}");
    }
    assert!((sum(&samples, "lotmq_listener_connections", &["listener=\"mqtt\""]) - 2.0).abs() < 0.5);
    let measured = samples["lotmq_delivery_duration_seconds_count"];
    assert!((1.0..=90.0).contains(&measured), "{measured}");
    assert!((samples["lotmq_delivery_duration_seconds_bucket{le=\"+Inf\"}"] - measured).abs() < 0.5);
    assert!(samples["lotmq_delivery_duration_seconds_sum"] > 0.0);
    assert!((samples["lotmq_login_duration_seconds_count"] - 2.0).abs() < 0.5, "{samples:?}");
}

#[test]
fn metrics_count_refusals_disconnects_and_denials_by_reason() {
    let broker = broker();
    broker.command_ok(
        "-addRule DEFINE RULE Locked WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n",
    );
    let mut client = broker.client("c");
    client.publish(&Publication::new("valve/1", "x").qos(QoS::AtLeastOnce)).unwrap();
    client.disconnect().unwrap();
    drop(broker.client("lost"));
    let thief = ConnectOptions::v5("thief").user("root", "wrong");
    assert!(Client::connect(broker.address(), &thief).is_err());
    broker.wait_until_metric_is("lotmq_connections", 0.0);
    let samples = samples(&broker);
    assert!((sum(&samples, "lotmq_denials_total", &["scope=\"Publish\""]) - 1.0).abs() < 0.5, "{samples:?}");
    assert!(sum(&samples, "lotmq_disconnects_total", &["reason=\"normal\""]) >= 1.0, "{samples:?}");
    assert!(sum(&samples, "lotmq_disconnects_total", &["reason=\"network-error\""]) >= 1.0, "{samples:?}");
    assert!((sum(&samples, "lotmq_disconnects_total", &["reason=\"refused\""]) - 1.0).abs() < 0.5);
    let refused = sum(&samples, "lotmq_logins_refused_total", &["reason=\"bad user name or password\""]);
    assert!((refused - 1.0).abs() < 0.5, "{samples:?}");
}

#[test]
fn metrics_count_runs_errors_and_time_per_definition() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Divide\nON TOPIC \"divide\" DO\n    PUBLISH TOPIC \"quotient\" WITH (1 / (PAYLOAD AS INT))\n");
    broker.command_ok(
        "-addAction DEFINE ACTION Idle\nON TOPIC \"never\" DO\n    PUBLISH TOPIC \"out\" WITH 1\n",
    );
    let mut client = broker.client("c");
    for payload in ["1", "0", "2", "0", "3"] {
        client.publish(&Publication::new("divide", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.wait_for_metric("lotmq_guest_errors_total", 2.0);
    let of = ["tenant=\"default\"", "kind=\"Action\"", "definition=\"Divide\""];
    let is_there = || (sum(&samples(&broker), "lotmq_definition_runs_total", &of) - 5.0).abs() < 0.5;
    eventually("five runs", || is_there().then_some(()));
    let samples = samples(&broker);
    assert!((sum(&samples, "lotmq_definition_errors_total", &of) - 2.0).abs() < 0.5, "{samples:?}");
    assert!(sum(&samples, "lotmq_definition_seconds_total", &of) > 0.0, "{samples:?}");
    assert!(sum(&samples, "lotmq_definition_run_duration_seconds_count", &of) >= 1.0, "{samples:?}");
    assert!(sum(&samples, "lotmq_definition_runs_total", &["definition=\"Idle\""]).abs() < 0.5);
}

#[test]
fn definition_metrics_survive_a_replacement() {
    let broker = broker();
    let text = "-addAction DEFINE ACTION Spin\nON TOPIC \"spin\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} > (PAYLOAD AS INT)\n    PUBLISH TOPIC \"out\" WITH (1 / (PAYLOAD AS INT))\n";
    broker.command_ok(text);
    let mut client = broker.client("c");
    for payload in ["1", "1", "1", "0", "2000000"] {
        client.publish(&Publication::new("spin", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    let of = ["definition=\"Spin\""];
    let figure = |name: &str| sum(&samples(&broker), name, &of);
    let is = |name: &str, wanted: f64| {
        eventually(&format!("{name} = {wanted}"), || ((figure(name) - wanted).abs() < 0.5).then_some(()));
    };
    is("lotmq_definition_errors_total", 2.0);
    broker.command_ok(&text.replace("\"out\"", "\"elsewhere\""));
    is("lotmq_definition_errors_total", 2.0);
    client.publish(&Publication::new("spin", "0").qos(QoS::AtLeastOnce)).unwrap();
    is("lotmq_definition_errors_total", 3.0);
    is("lotmq_definition_runs_total", 6.0);
}

#[test]
fn anonymous_clients_on_this_machine_read_the_monitoring_tree_only() {
    let broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "1").start();
    let mut client = broker.client("monitor");
    let granted = client.subscribe_to("$SYS/#", QoS::AtMostOnce).unwrap();
    assert!(!granted.is_failure(), "{granted}");
    let mut topics = std::collections::BTreeSet::new();
    while !topics.contains("$SYS/broker/uptime") || topics.len() < 10 {
        let message = client.receive(WAIT_MAX).unwrap().expect("the tree is published");
        assert!(message.topic.starts_with("$SYS/broker/"), "{}", message.topic);
        topics.insert(message.topic);
    }
    let refused = client.subscribe_to("$SYS/Coreflux/Version", QoS::AtMostOnce).unwrap();
    assert!(refused.is_failure(), "{refused}");
}

#[test]
fn idle_connections_do_not_silence_the_health_port() {
    let broker = broker();
    let address = broker.listener("health");
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, address) = (&is_over, &address);
        let idle = scope.spawn(move || {
            let mut sockets: Vec<TcpStream> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                while sockets.len() < 260 {
                    sockets.push(TcpStream::connect(address).unwrap());
                }
                // Each asks often enough not to be closed for being idle.
                sockets.retain_mut(|socket| socket.write_all(request).is_ok());
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let _end = EndOf(is_over);
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..5 {
            assert_eq!(broker.http("/health").status, 200);
            std::thread::sleep(Duration::from_millis(300));
        }
        is_over.store(true, Ordering::Relaxed);
        idle.join().unwrap();
    });
}

/// Sets its flag when it goes, so that a failed test ends.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A web page can make any name of its own lead here, and would read what is answered.
#[test]
fn the_health_port_answers_to_its_own_names_only() {
    let broker = options().variable("LOTMQ_ADMIN_HOSTS", "lotmq").start();
    let address = ([127, 0, 0, 1], broker.port_of("health")).into();
    for path in ["/health", "/metrics"] {
        for host in ["localhost:9100", "127.0.0.1", "[::1]:1", "10.0.0.7:9100", "lotmq:9100"] {
            assert_eq!(get_from(address, host, path).status, 200, "{host}{path}");
        }
        for host in ["evil.example:9100", "localhost.evil.example", "localhost\r\nHost: evil.example"] {
            let refused = get_from(address, host, path);
            assert_eq!(refused.status, 421, "{host}{path}");
            assert!(refused.body.contains("admin.hosts"), "{}", refused.body);
        }
    }
}

/// A client behind a proxy on this machine need not be on it.
#[test]
fn metrics_are_not_for_those_behind_a_proxy() {
    let options = options().health_as_configured().variable("LOTMQ_ADMIN_HEALTH_PORT", "0");
    let broker = options.clone().start();
    let address = ([127, 0, 0, 1], broker.port_of("health")).into();
    for field in [
        "X-Forwarded-For: 8.8.8.8",
        "x-forwarded-proto: https",
        "Forwarded: for=8.8.8.8",
        "Via: 1.1 p",
        "X-Real-IP: ::1",
    ] {
        let host = format!("localhost\r\n{field}");
        let refused = get_from(address, &host, "/metrics");
        assert_eq!(refused.status, 403, "{field}");
        assert!(refused.body.contains("admin.bind"), "{}", refused.body);
        assert_eq!(get_from(address, &host, "/health").status, 200, "{field}");
    }
    let scraper = "localhost\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\nUser-Agent: x";
    assert_eq!(get_from(address, scraper, "/metrics").status, 200);
    // A configured bind address allows proxies, too.
    let open = options.variable("LOTMQ_ADMIN_BIND", "127.0.0.1").start();
    let address = ([127, 0, 0, 1], open.port_of("health")).into();
    assert_eq!(get_from(address, "localhost\r\nVia: 1.1 p", "/metrics").status, 200);
}
