//! `GET /metrics` and `$SYS/broker` tell what happens.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{WAIT_MAX, get_from};

use crate::{broker, options};

#[test]
fn metrics_are_prometheus_text() {
    let broker = broker();
    let mut client = broker.client("c");
    client.publish(&Publication::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    let response = broker.http("/metrics");
    assert_eq!(response.status, 200);
    let mut names = std::collections::BTreeSet::new();
    for line in response.body.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            names.insert(help.split(' ').next().unwrap().to_owned());
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample is a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let base = name.split('{').next().unwrap();
        assert!(base.starts_with("lotmq_"), "{line}");
        assert!(names.iter().any(|known| base.starts_with(known.as_str())), "no help: {line}");
    }
    assert!(names.len() > 5, "{}", response.body);
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

/// Who asks by way of a proxy on this machine need not be on it.
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
    // Who has said where they may be read has said so to proxies, too.
    let open = options.variable("LOTMQ_ADMIN_BIND", "127.0.0.1").start();
    let address = ([127, 0, 0, 1], open.port_of("health")).into();
    assert_eq!(get_from(address, "localhost\r\nVia: 1.1 p", "/metrics").status, 200);
}
