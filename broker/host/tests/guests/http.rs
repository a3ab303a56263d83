//! Exchanges of routes with HTTP servers: a real guest and real servers, good ones and hostile
//! ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_disk::Random;
use lotmq_host::fiber::{Endpoint, EndpointTls, HttpEvent, HttpFailure};
use lotmq_host::limits::ROUTE_TIME;
use lotmq_host::route::{RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::{ComponentSource, Grants, GuestId, GuestLimits};
use lotmq_test_support::{Answer, Asked, HttpServer, WAIT_MAX};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::routes::{Taker, certificates};
use crate::support::engine;

/// The guest `route-http`.
const HTTP: &[u8] = include_bytes!("../../../../tests/guests/route-http/prebuilt/route-http.wasm");

/// An instance whose endpoint `server` is a server of the test.
struct Guest {
    instance: RouteInstance,
    broker: Arc<Taker>,
}

impl Guest {
    async fn of(endpoint: Endpoint) -> Guest {
        let guest = RouteGuest::compile(engine(), HTTP, ComponentSource::Upload).unwrap();
        let broker = Arc::new(Taker::new(Vec::new(), mpsc::unbounded_channel().0));
        let spec = RouteSpec {
            id: GuestId(1),
            services: broker.clone(),
            grants: Arc::new(Grants::default()),
            endpoints: Arc::new(HashMap::from([("server".to_owned(), endpoint)])),
            folders: Arc::default(),
            serial_lines: Arc::default(),
            limits: GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
        };
        Guest { instance: guest.instance(spec).await.unwrap(), broker }
    }

    async fn at(server: &HttpServer) -> Guest {
        Guest::of(endpoint(server)).await
    }

    async fn says(&mut self, operation: &str, body: &Value) -> String {
        let answer = self.instance.request(operation, body.to_string().as_bytes()).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn does(&mut self, request: &Value) -> String {
        self.says("do", request).await
    }

    async fn gets(&mut self, target: &str) -> String {
        self.does(&json!({ "target": target })).await
    }

    /// Takes the HTTP events that the broker has received since the last call.
    fn events(&self) -> Vec<HttpEvent> {
        std::mem::take(&mut *self.broker.http.lock().unwrap())
    }
}

/// Waits until so many connections are open; what is dropped is closed by the same thread.
async fn has_open(server: &HttpServer, count: usize) {
    let deadline = Instant::now() + WAIT_MAX;
    while server.open() != count {
        assert!(Instant::now() < deadline, "{} connections are open, and not {count}", server.open());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn endpoint(server: &HttpServer) -> Endpoint {
    Endpoint { host: "127.0.0.1".to_owned(), port: server.address.port(), ..Endpoint::default() }
}

/// Answers with what it was asked; some paths have responses of their own.
fn shop(asked: &Asked) -> Answer {
    let raw = |text: &str| Answer::Keep(text.as_bytes().to_vec());
    match asked.line().split_once(' ').map_or("", |(_, target)| target) {
        "/chunked" => raw(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nx: y\r\n\r\n",
        ),
        "/to the end" | "/to-the-end" => Answer::Close(b"HTTP/1.0 200 OK\r\n\r\nuntil it closes".to_vec()),
        "/close" => {
            Answer::Close(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlast".to_vec())
        }
        "/nothing" => raw("HTTP/1.1 204 No Content\r\n\r\n"),
        "/unchanged" => raw("HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        "/moved" => raw("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
        "/early" => raw(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
        "/fields" => raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\nX-b: \u{e4}\r\nx-a: 2\r\n\r\n"),
        "/large" => {
            let mut response = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
            response.resize(response.len() + 1_000_000, b'x');
            Answer::Keep(response)
        }
        "/slow" => Answer::Stall(Vec::new()),
        _ if asked.head.starts_with("HEAD ") => raw("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"),
        _ => Answer::of(200, &format!("{} {}", asked.line(), String::from_utf8_lossy(&asked.body))),
    }
}

/// Requests and responses of every kind, one after the other over the same connections.
async fn every_kind_comes_whole(mut guest: Guest) {
    for (request, expected) in [
        (json!({ "target": "/a?b=c" }), "200 GET /a?b=c "),
        (json!({ "method": "POST", "target": "/a", "body": "hello" }), "200 POST /a hello"),
        (json!({ "method": "PUT", "target": "/a", "body": "hello" }), "200 PUT /a hello"),
        (json!({ "method": "DELETE", "target": "/a" }), "200 DELETE /a "),
        (json!({ "method": "POST", "target": "/a" }), "200 POST /a "),
        (json!({ "method": "WHAT", "target": "/a" }), "200 WHAT /a "),
        (json!({ "method": "HEAD", "target": "/a" }), "200 "),
        (json!({ "target": "/chunked" }), "200 hello world"),
        (json!({ "target": "/nothing" }), "204 "),
        (json!({ "target": "/unchanged" }), "304 "),
        (json!({ "target": "/moved" }), "302 "),
        (json!({ "target": "/early" }), "200 ok"),
        (json!({ "target": "/close" }), "200 last"),
        (json!({ "target": "/a" }), "200 GET /a "),
    ] {
        assert_eq!(guest.does(&request).await, expected, "{request}");
    }
    assert_eq!(guest.says("count", &json!({ "target": "/large" })).await, "1000000");
    let fields = guest.says("fields", &json!({ "target": "/fields" })).await;
    assert_eq!(fields, "content-length=0\nx-a=1\nx-a=2\nx-b=\u{e4}");
    let most = json!({ "method": "POST", "bytes": 16 << 20 });
    let expected = format!("200 POST / {}", "x".repeat(16 << 20));
    assert!(guest.does(&json!({ "method": "POST", "bytes": 16 << 20, "max": 1 << 30 })).await == expected);
    assert!(
        guest.does(&most).await.starts_with("HttpError::TooLarge("),
        "1 MiB of the response is what it takes"
    );
}

#[tokio::test]
async fn requests_and_responses_of_every_kind_come_whole() {
    let server = HttpServer::start(shop);
    let mut guest = Guest::at(&server).await;
    assert_eq!(guest.gets("/to-the-end").await, "200 until it closes");
    every_kind_comes_whole(guest).await;
    let asked = server.asked();
    assert_eq!(asked[0].field("host"), Some(format!("127.0.0.1:{}", server.address.port()).as_str()));
    assert_eq!(asked[0].field("user-agent"), Some("lotmq"));
    has_open(&server, 0).await;
}

#[tokio::test]
async fn with_tls_it_is_the_same() {
    let (config, trusting) = certificates();
    let server = HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), shop);
    let tls = EndpointTls::OnConnect(trusting);
    let own = Endpoint { server_name: Some("localhost".to_owned()), tls: tls.clone(), ..endpoint(&server) };
    every_kind_comes_whole(Guest::of(own.clone()).await).await;
    assert_eq!(
        server.asked()[0].field("host"),
        Some(format!("localhost:{}", server.address.port()).as_str())
    );

    // Whom it does not trust it asks nothing.
    let asked = server.asked().len();
    for (endpoint, expected) in [
        (Endpoint { server_name: Some("other".to_owned()), ..own.clone() }, "HttpError::Tls("),
        (Endpoint { tls: EndpointTls::OnConnect(certificates().1), ..own.clone() }, "HttpError::Tls("),
        (Endpoint { tls: EndpointTls::Never, ..own.clone() }, "HttpError::"),
        (
            Endpoint { tls: EndpointTls::OnDemand(certificates().1), ..own.clone() },
            "HttpError::Denied(\"TLS begins later",
        ),
    ] {
        let error = Guest::of(endpoint).await.gets("/a").await;
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn plain_text_or_truncation_within_tls_is_an_error() {
    let (config, trusting) = certificates();
    let head = b"HTTP/1.1 200 OK\r\n\r\nsome".to_vec();
    let server =
        HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), move |asked| match asked.line() {
            "GET /garbage" => Answer::PastTls(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()),
            // Without the end of TLS the response could have been cut.
            _ => Answer::Close(head.clone()),
        });
    let tls = EndpointTls::OnConnect(trusting);
    let mut guest = Guest::of(Endpoint { host: "localhost".to_owned(), tls, ..endpoint(&server) }).await;
    let error = guest.gets("/garbage").await;
    assert!(error.starts_with("HttpError::Tls("), "{error}");
    assert_eq!(guest.gets("/cut").await, "HttpError::Closed");
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = HttpServer::start(shop);
    let mut guest = Guest::at(&server).await;
    for _ in 0..20 {
        assert_eq!(guest.gets("/a").await, "200 GET /a ");
    }
    assert_eq!((server.asked().len(), server.accepted()), (20, 1));
    let connected = guest.events().into_iter().filter(|event| *event == HttpEvent::Connected);
    assert_eq!(connected.count(), 1);
    // One that the server has closed is not asked again, and nothing is lost by it.
    server.close_all();
    has_open(&server, 0).await;
    assert_eq!(guest.does(&json!({ "method": "POST", "target": "/a", "body": "x" })).await, "200 POST /a x");
    assert_eq!(server.accepted(), 2);
    // Nor is one of whose response something is unread.
    assert_eq!(guest.says("head", &json!({ "target": "/large" })).await, "200");
    assert_eq!(guest.gets("/a").await, "200 GET /a ");
    assert_eq!(server.accepted(), 3);
    has_open(&server, 1).await;
    // Several at once have several, which are kept.
    for _ in 0..3 {
        let all = vec![json!({ "target": "/a" }); 8];
        assert_eq!(guest.says("all", &json!(all)).await, ["200 GET /a "; 8].join("\n"));
    }
    has_open(&server, 8).await;
    assert_eq!(server.accepted(), 10);
    // They end with the instance.
    drop(guest);
    has_open(&server, 0).await;
}

#[tokio::test]
async fn unsolicited_data_on_a_kept_connection_is_not_a_response() {
    let server = HttpServer::start(|asked| {
        match asked.line() {
        "GET /two" => Answer::Keep(
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged".to_vec(),
        ),
        _ => shop(asked),
    }
    });
    let mut guest = Guest::at(&server).await;
    for _ in 0..10 {
        assert_eq!(guest.gets("/two").await, "200 one");
        assert_eq!(guest.gets("/a").await, "200 GET /a ");
    }
}

#[tokio::test]
async fn hostile_responses_are_errors() {
    let cases: &[(&str, Answer, &str)] = &[
        ("endless-field", endless("HTTP/1.1 200 OK\r\nx: ", "xxxxxxxx"), "HttpError::TooLarge("),
        ("endless-fields", endless("HTTP/1.1 200 OK\r\n", "x: y\r\n"), "HttpError::TooLarge("),
        ("endless-status", endless("HTTP/1.1 200 ", "xxxxxxxx"), "HttpError::TooLarge("),
        ("endless-body", endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx"), "HttpError::TooLarge("),
        ("endless-chunks", endless(CHUNKED, "1\r\nx\r\n"), "HttpError::TooLarge("),
        ("endless-extension", endless(&format!("{CHUNKED}1;"), "xxxx"), "HttpError::Protocol("),
        ("endless-trailer", endless(&format!("{CHUNKED}0\r\n"), "x: y\r\n"), "HttpError::"),
        ("announced", close("HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n"), "HttpError::TooLarge("),
        (
            "huge",
            close("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n"),
            "HttpError::Protocol(",
        ),
        (
            "two-lengths",
            close("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
            "HttpError::Protocol(",
        ),
        ("negative", close("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), "HttpError::Protocol("),
        ("short", close("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"), "HttpError::Closed"),
        ("cut-chunk", close(&format!("{CHUNKED}5\r\nab")), "HttpError::Closed"),
        ("cut-chunks", close(&format!("{CHUNKED}2\r\nab\r\n")), "HttpError::Closed"),
        ("bad-chunk", close(&format!("{CHUNKED}x\r\nab\r\n0\r\n\r\n")), "HttpError::Protocol("),
        ("large-chunk", close(&format!("{CHUNKED}fffffffffffffffff\r\nab")), "HttpError::Protocol("),
        ("unended-chunk", close(&format!("{CHUNKED}2\r\nabc\r\n0\r\n\r\n")), "HttpError::Protocol("),
        ("cut-head", close("HTTP/1.1 200 OK\r\ncontent-le"), "HttpError::Closed"),
        ("nothing", close(""), "HttpError::Closed"),
        ("other", close("SSH-2.0-OpenSSH_9.6\r\n\r\n"), "HttpError::Protocol("),
        ("version", close("HTTP/3.0 200 OK\r\n\r\n"), "HttpError::Protocol("),
        ("status", close("HTTP/1.1 2x0 OK\r\n\r\n"), "HttpError::Protocol("),
        (
            "switch",
            Answer::Stall(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec(),
            ),
            "HttpError::Protocol(",
        ),
        ("field", close("HTTP/1.1 200 OK\r\nx y: z\r\n\r\n"), "HttpError::Protocol("),
        ("value", close("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n"), "HttpError::Protocol("),
    ];
    let answers: HashMap<String, Answer> =
        cases.iter().map(|(name, answer, _)| (format!("GET /{name}"), answer.clone())).collect();
    let server =
        HttpServer::start(move |asked| answers.get(asked.line()).cloned().unwrap_or_else(|| shop(asked)));
    let mut guest = Guest::at(&server).await;
    for (name, _, expected) in cases {
        guest.events();
        let error = guest.does(&json!({ "target": format!("/{name}"), "max": 100_000 })).await;
        assert!(error.starts_with(expected), "{name}: {error:.300}");
        let failures = guest.events().into_iter().filter(|event| matches!(event, HttpEvent::Failed(_)));
        assert_eq!(failures.count(), 1, "{name}");
        // Nothing of it is left over.
        assert_eq!(guest.gets("/a").await, "200 GET /a ", "{name}");
        has_open(&server, 1).await;
    }
}

/// Head of a response whose body comes in chunks.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn close(text: &str) -> Answer {
    Answer::Close(text.as_bytes().to_vec())
}

fn endless(first: &str, again: &str) -> Answer {
    Answer::Endless(first.as_bytes().to_vec(), again.repeat(1000).into_bytes())
}

#[tokio::test]
async fn a_request_stays_one_request() {
    let server = HttpServer::start(shop);
    let mut guest = Guest::at(&server).await;
    for request in [
        json!({ "target": "/a HTTP/1.1\r\nhost: x\r\n\r\nGET /b" }),
        json!({ "target": "/a", "headers": [["x", "y\r\n\r\nGET /b HTTP/1.1"]] }),
        json!({ "target": "/a", "headers": [["x\r\ny", "z"]] }),
        json!({ "target": "/a", "headers": [["transfer-encoding", "chunked"]] }),
        json!({ "target": "/a", "method": "POST", "headers": [["content-length", "1"]], "body": "xGET /b HTTP/1.1" }),
        json!({ "target": "/a", "headers": [["connection", "upgrade"]] }),
        json!({ "target": "/a", "method": "GET /b HTTP/1.1\r\n" }),
        json!({ "target": "http://elsewhere/" }),
    ] {
        let error = guest.does(&request).await;
        assert!(error.starts_with("HttpError::Invalid("), "{request}: {error}");
    }
    assert_eq!(
        guest.does(&json!({ "endpoint": "other" })).await,
        "HttpError::Denied(\"OTHER_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN\")"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn http_request_times_out_when_the_server_does_not_answer() {
    let server = HttpServer::start(|asked| match asked.line() {
        "GET /head" => Answer::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()),
        "GET /body" => Answer::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc".to_vec()),
        "GET /size" => endless(CHUNKED, "0000"),
        "GET /informational" => endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
        _ => shop(asked),
    });
    let mut guest = Guest::at(&server).await;
    for target in ["/slow", "/head", "/body", "/size", "/informational"] {
        let error = guest.does(&json!({ "target": target, "timeout": 100 })).await;
        assert_eq!(error, "HttpError::TimedOut", "{target}");
        has_open(&server, 0).await;
    }
    assert_eq!(guest.gets("/a").await, "200 GET /a ");
    // A server that reads nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut guest = Guest::of(Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() }).await;
    let half = json!({ "method": "POST", "bytes": 7 << 20 });
    assert_eq!(guest.says("fill", &half).await, "2 HttpError::LimitReached", "a third has no room");
    guest.events();
    let request = json!({ "method": "POST", "bytes": 16 << 20, "timeout": 100 });
    assert_eq!(guest.does(&request).await, "HttpError::TimedOut");
    assert_eq!(guest.does(&request).await, "HttpError::TimedOut", "the room of the first is free");
    drop(listener);
    assert_eq!(guest.does(&request).await, "HttpError::Refused");
    let events = guest.events();
    let failed = |kind| events.iter().filter(|event| **event == HttpEvent::Failed(kind)).count();
    assert_eq!((failed(HttpFailure::TimedOut), failed(HttpFailure::Refused)), (2, 1));
}

#[tokio::test]
async fn exchanges_are_bounded_and_come_back_when_they_are_dropped() {
    let server = HttpServer::start(shop);
    let mut guest = Guest::at(&server).await;
    for _ in 0..3 {
        assert_eq!(guest.says("fill", &json!({ "target": "/slow" })).await, "16 HttpError::LimitReached");
        has_open(&server, 0).await;
    }
    let error = guest.does(&json!({ "method": "POST", "bytes": (16 << 20) + 1 })).await;
    assert_eq!(error, "HttpError::TooLarge(\"body of 16777217 bytes, limit 16777216\")");
    assert_eq!(guest.gets("/a").await, "200 GET /a ");
    // A trap in the middle takes them all with it.
    assert!(guest.instance.request("fill and trap", br#"{"target":"/slow"}"#).await.is_err());
    drop(guest);
    has_open(&server, 0).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_open() {
    let server = HttpServer::start(shop);
    for patience in 0..12 {
        let mut guest = Guest::at(&server).await;
        let given_up = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = guest.instance.request("do", br#"{"target":"/slow"}"#) => {}
            () = given_up => {}
        }
        drop(guest);
    }
    has_open(&server, 0).await;
}

#[tokio::test]
async fn http_exchanges_proceed_concurrently_and_between_guest_calls() {
    let server = HttpServer::start(shop);
    let mut guest = Guest::at(&server).await;
    for target in ["/slow", "/a", "/slow"] {
        guest.says("begin", &json!({ "target": target })).await;
    }
    assert_eq!(guest.says("wait", &json!({})).await, "[1] Some(200)");
    // Its body is there as well.
    assert_eq!(guest.says("wait", &json!({})).await, "[1] Some(200)");
    guest.says("drop", &json!({})).await;
    guest.says("begin", &json!({ "target": "/slow" })).await;
    assert_eq!(guest.says("wait", &json!({ "timeout": 50 })).await, "[] None");
    // The host's own work ends a wait, however long it would be.
    let work = guest.instance.host_work();
    work.announce();
    assert_eq!(guest.says("wait", &json!({ "timeout": 3_600_000 })).await, "[] None");
    work.done();
    guest.says("drop", &json!({})).await;
    guest.says("begin", &json!({ "target": "/b" })).await;
    assert_eq!(guest.says("end", &json!({})).await, "200 GET /b ");
}

#[tokio::test]
async fn an_address_is_asked_about_for_every_request() {
    let server = HttpServer::start(shop);
    let port = server.address.port();
    let mut guest = Guest::of(Endpoint { host: "localhost".to_owned(), port, ..Endpoint::default() }).await;
    assert_eq!(guest.gets("/a").await, "200 GET /a ");
    let home = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    *guest.broker.refused.lock().unwrap() = home.to_vec();
    let error = format!("HttpError::Denied(\"localhost:{port}: the operator says no\")");
    assert_eq!(guest.gets("/a").await, error, "also of a connection that is there");
    has_open(&server, 0).await;
    assert_eq!(server.asked().len(), 1);
    guest.broker.refused.lock().unwrap().clear();
    assert_eq!(guest.gets("/a").await, "200 GET /a ");
}

/// An exchange ends by a response or an error, whatever a server sends. The next exchange works.
#[tokio::test]
async fn any_bytes_of_a_server_end_an_exchange() {
    const PARTS: [&str; 24] = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 204 \r\n",
        "content-length: 3\r\n",
        "content-length: 0\r\n",
        "content-length: 18446744073709551615\r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: x\r\n",
        "connection: close\r\n",
        "connection: keep-alive\r\n",
        "x: y\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "ffffffff\r\n",
        "abc",
        ":",
        "\0",
        "\u{ff}",
    ];
    let server = HttpServer::start(|asked| {
        let Some(seed) = asked.line().strip_prefix("GET /seed/") else { return shop(asked) };
        let mut random = Random::new(seed.parse().unwrap());
        let mut bytes = Vec::new();
        for _ in 0..random.below(12) {
            bytes.extend_from_slice(PARTS[random.below(PARTS.len())].as_bytes());
        }
        if random.is_one_of(1, 2) {
            let head =
                if random.is_one_of(1, 2) { CHUNKED } else { "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" };
            bytes.splice(0..0, head.bytes());
        }
        for _ in 0..random.below(3) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
        }
        if random.is_one_of(1, 2) { Answer::Close(bytes) } else { Answer::Keep(bytes) }
    });
    let mut guest = Guest::at(&server).await;
    let (mut responses, mut errors) = (0, 0);
    for seed in 0..400 {
        let told =
            guest.does(&json!({ "target": format!("/seed/{seed}"), "timeout": 50, "max": 1000 })).await;
        if told.starts_with("HttpError::") {
            errors += 1
        } else {
            responses += 1
        }
        assert!(told.len() < 3000, "{seed}: {told}");
        assert_eq!(guest.gets("/a").await, "200 GET /a ", "{seed}");
    }
    assert!(responses > 40 && errors > 40, "{responses} responses, {errors} errors");
    drop(guest);
    has_open(&server, 0).await;
}
