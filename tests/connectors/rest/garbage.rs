//! `REST_API` as a server that is given what no client should send: it answers or hangs up, goes on
//! for others, and holds no more than its bounds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use lotmq_test_support::{Broker, eventually, free_port, wait_for_port};

use crate::{next, options, send, watch};

/// Longest wait for the end of a connection: a head has 30 s to come.
const END_MAX: Duration = Duration::from_secs(60);

/// A good request.
const ASKED: &[u8] = b"GET /state HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn serving() -> (Broker, u16) {
    let broker = options().variable("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8").start();
    let port = free_port();
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Web WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH SERVER_PORT {port}\n        WITH SERVER_BIND \"127.0.0.1\"\n    \
         ADD EVENT State\n        WITH SOURCE_TOPIC \"state\"\n        WITH ENDPOINT \"/state\"\n        WITH METHOD \"GET\"\n    ADD EVENT Post\n        \
         WITH DESTINATION_TOPIC \"posted\"\n        WITH ENDPOINT \"/post\"\n        WITH METHOD \"POST\"\n"
    ));
    wait_for_port(port);
    send(&broker, "state", "good");
    let asked = || answer(port, ASKED).ends_with("good").then_some(());
    eventually("the last value", asked);
    (broker, port)
}

fn connected(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(END_MAX)).unwrap();
    stream
}

/// All that comes until the connection ends. That it is reset is an end, too.
fn until_end(stream: &mut TcpStream) -> String {
    let mut come = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length) = stream.read(&mut piece) {
        if length == 0 {
            break;
        }
        come.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&come).into_owned()
}

/// The answers to requests of which the last one ends the connection. The server may hang up while
/// they are sent.
fn answer(port: u16, bytes: &[u8]) -> String {
    let mut stream = connected(port);
    let _ = stream.write_all(bytes);
    until_end(&mut stream)
}

/// The answer to bytes behind which nothing comes.
fn answer_to_all(port: u16, bytes: &[u8]) -> String {
    let mut stream = connected(port);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    until_end(&mut stream)
}

fn asks_well(port: u16) {
    let told = answer(port, ASKED);
    assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with("good"), "{told}");
}

#[test]
fn malformed_http_is_rejected_and_other_clients_are_served() {
    let (broker, port) = serving();
    let mut posted = watch(&broker, "posted");
    let post = "POST /post HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let long = "x".repeat(1 << 20);
    for bytes in [
        "\r\n\r\n\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "GET /state HTTP/9.9\r\nHost: h\r\n\r\n".to_owned(),
        "GET  /state HTTP/1.1\r\nHost h\r\n\r\n".to_owned(),
        "GET /state HTTP/1.1\r\nHo st: h\r\n\r\n".to_owned(),
        "GET /state HTTP/1.1\r\n: h\r\n\r\n".to_owned(),
        "\u{1}\u{2}\u{3}\0\0\0\u{16}\u{3}\u{1}".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("{post}Content-Length: x\r\n\r\nbody"),
        format!("{post}Content-Length: -4\r\n\r\nbody"),
        format!("{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: gzip\r\n\r\nbody"),
        format!("GET /state HTTP/1.1\r\nHost: h\r\nLong: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /state HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)),
    ] {
        let told = answer_to_all(port, bytes.as_bytes());
        let status = told.split(' ').nth(1).unwrap_or_default();
        let shown: String = bytes.chars().take(90).collect();
        assert!(told.is_empty() || status.starts_with('4') || status.starts_with('5'), "{shown:?}: {told}");
        asks_well(port);
    }
    // Of all that, nothing was published.
    let good = answer(port, format!("{post}Content-Length: 4\r\n\r\ngood").as_bytes());
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
    assert_eq!(next(&mut posted), "posted=good");
    assert_eq!(broker.command_ok("-checkRouteConnection Web").message(), "Route 'Web' is reachable.");
}

#[test]
fn requests_behind_each_other_are_answered_in_order() {
    let (broker, port) = serving();
    let mut posted = watch(&broker, "posted");
    let mut bytes = String::new();
    for number in 0..20 {
        bytes += &format!("POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{number:02}");
        bytes += "GET /other HTTP/1.1\r\nHost: h\r\n\r\n";
    }
    bytes += "GET /state HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let told = answer(port, bytes.as_bytes());
    let statuses: Vec<&str> = told.match_indices("HTTP/1.1 ").map(|(at, _)| &told[at + 9..at + 12]).collect();
    let expected: Vec<&str> = ["200", "404"].into_iter().cycle().take(40).chain(["200"]).collect();
    assert_eq!(statuses, expected, "{told}");
    for number in 0..20 {
        assert_eq!(next(&mut posted), format!("posted={number:02}"));
    }
}

#[test]
fn slow_request_times_out_and_delays_no_other_client() {
    let (broker, port) = serving();
    let mut slow: Vec<TcpStream> = (0..100).map(|_| connected(port)).collect();
    for (at, stream) in slow.iter_mut().enumerate() {
        let head: &[u8] = match at % 3 {
            0 => b"G",
            1 => b"GET /state HTTP/1.1\r\nHost: h\r\nX",
            _ => b"POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx",
        };
        stream.write_all(head).unwrap();
    }
    (0..20).for_each(|_| asks_well(port));
    // One more byte now and then changes nothing about when a head has to be there.
    for stream in &mut slow[..3] {
        let mut sender = stream.try_clone().unwrap();
        let feeding = std::thread::spawn(move || {
            while sender.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let told = until_end(stream);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
        let _ = stream.shutdown(std::net::Shutdown::Both);
        feeding.join().unwrap();
    }
    asks_well(port);
    assert_eq!(broker.command_ok("-checkRouteConnection Web").message(), "Route 'Web' is reachable.");
}
