//! HTTP requests that the host takes for a route: a real guest and real clients, good ones and
//! hostile ones.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lotmq_host::fiber::{Endpoint, HttpService};
use lotmq_host::limits::{HTTP_SERVER_REQUESTS_MAX, ROUTE_TIME};
use lotmq_host::route::{
    LentAddressee, LentDelivery, LentMessage, Qos, RouteGuest, RouteInstance, RouteSpec,
};
use lotmq_host::{ComponentSource, Grants, GuestId, GuestLimits, TopicGrant};
use lotmq_test_support::WAIT_MAX;
use tokio::sync::mpsc;

use crate::routes::Taker;
use crate::support::engine;

/// The guest `route-serve`.
const SERVE: &[u8] = include_bytes!("../../../../sdk/examples/route-serve/prebuilt/route-serve.wasm");

struct Guest {
    instance: RouteInstance,
    port: u16,
}

fn here() -> Endpoint {
    Endpoint { host: "127.0.0.1".to_owned(), listens: true, ..Endpoint::default() }
}

async fn opened(settings: &str, grants: Grants) -> Guest {
    let guest = RouteGuest::compile(engine(), SERVE, ComponentSource::Upload).unwrap();
    let broker = Arc::new(Taker::new(Vec::new(), mpsc::unbounded_channel().0));
    let far = Endpoint { host: "192.0.2.1".to_owned(), listens: true, ..here() };
    let http = Some(HttpService::default());
    let endpoints = HashMap::from([
        ("web".to_owned(), Endpoint { http: http.clone(), ..here() }),
        ("plain".to_owned(), here()),
        ("far".to_owned(), Endpoint { http, ..far }),
    ]);
    let spec = RouteSpec {
        id: GuestId(1),
        services: broker,
        grants: Arc::new(grants),
        endpoints: Arc::new(endpoints),
        folders: Arc::default(),
        serial_lines: Arc::default(),
        limits: GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
    };
    let mut instance = guest.instance(spec).await.unwrap();
    let configuration = format!("{{\"sections\":{{\"WEB_CONFIG\":{settings}}}}}");
    instance.open(&configuration).await.unwrap().unwrap();
    let port = instance.request("port", b"").await.unwrap().unwrap();
    let port = String::from_utf8(port).unwrap().parse().unwrap();
    Guest { instance, port }
}

impl Guest {
    /// Lets the guest serve while `client` does something on a thread of its own.
    async fn serves<T: Send + 'static>(&mut self, client: impl FnOnce(u16) -> T + Send + 'static) -> T {
        let (port, work) = (self.port, self.instance.host_work());
        let client = std::thread::spawn(move || {
            let done = client(port);
            work.announce();
            done
        });
        while !client.is_finished() {
            // The word that the client has ended may come between two runs.
            self.instance.run(50).await.unwrap().unwrap();
        }
        self.instance.host_work().done();
        client.join().unwrap()
    }

    async fn says(&mut self, operation: &str, body: &[u8]) -> String {
        String::from_utf8(self.instance.request(operation, body).await.unwrap().unwrap()).unwrap()
    }
}

/// Sends bytes over a connection of its own and reads until the other side closes.
fn raw(port: u16, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(WAIT_MAX)).unwrap();
    connection.write_all(request).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn asked(port: u16, method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-a: 1\r\n");
    raw(port, format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())
}

/// Answer of the host when the route has ended.
const ENDED: &str = r#"{"success":false,"error":"the route has ended"}"#;

/// Status and body of an answer.
fn told(answer: &str) -> (u16, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), body)
}

fn granted() -> Grants {
    let filters = |filter: &str| TopicGrant::Filters(Box::new([filter.into()]));
    Grants { write: filters("in/#"), read: filters("seen/#"), ..Grants::default() }
}

#[tokio::test]
async fn requests_are_answered_by_the_guest_and_mistakes_by_the_host() {
    let mut guest = opened("{\"BODY_BYTES\":10,\"TIMEOUT\":300}", granted()).await;
    for (method, target, body, status, expected) in [
        ("POST", "/echo/a%20b?c=d", "hello", 200, "POST /echo/a%20b Some(\"c=d\")\nx-a: 1\nhello"),
        ("PUT", "/echo", "", 200, "PUT /echo None\nx-a: 1\n"),
        ("POST", "/publish/in/a", "1", 200, "{\"success\":true}"),
        ("POST", "/publish/out/a", "1", 403, "not-allowed"),
        ("GET", "/last/hidden/a", "", 404, "no value"),
        ("POST", "/echo", "12345678901", 413, r#"{"success":false,"error":"the body is too long"}"#),
        ("GET", "/drop", "", 500, r#"{"success":false,"error":"the route gave no answer"}"#),
        ("GET", "/bad", "", 500, "the answer cannot be sent"),
        ("GET", "/keep", "", 504, r#"{"success":false,"error":"the route took too long"}"#),
        ("CONNECT", "a:1", "", 501, r#"{"success":false,"error":"this is no proxy"}"#),
    ] {
        let answer = guest.serves(move |port| asked(port, method, target, body)).await;
        assert_eq!(told(&answer), (status, expected), "{method} {target}");
    }
    let chunked = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = guest.serves(move |port| raw(port, chunked)).await;
    assert_eq!(told(&answer), (200, "POST /echo None\nabc"));
    let too_long = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n";
    assert_eq!(told(&guest.serves(move |port| raw(port, too_long)).await).0, 413);
    // From HTTP/1.1 on, a request has exactly one `Host` header: RFC 9112, §3.2.
    for nonsense in [
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
        "GET /echo HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /echo HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n",
    ] {
        assert_eq!(
            told(&guest.serves(move |port| raw(port, nonsense.as_bytes())).await).0,
            400,
            "{nonsense:?}"
        );
    }
    let older = b"GET /echo HTTP/1.0\r\n\r\n";
    assert_eq!(told(&guest.serves(move |port| raw(port, older)).await), (200, "GET /echo None\n"));
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(told(&guest.serves(move |port| raw(port, head.as_bytes())).await).0, 431);
}

#[tokio::test]
async fn an_answer_waits_for_a_message() {
    let mut guest = opened("{}", granted()).await;
    let port = guest.port;
    let client: JoinHandle<String> =
        std::thread::spawn(move || asked(port, "POST", "/ask/in/q", "how warm?"));
    // Another one is answered meanwhile, behind it.
    let other = guest.serves(move |port| asked(port, "GET", "/echo", "")).await;
    assert_eq!(told(&other).0, 200);
    while !client.is_finished() {
        guest.instance.run(20).await.unwrap().unwrap();
        let message = LentMessage {
            topic: "seen/a",
            payload: b"warm",
            qos: Qos::AtLeastOnce,
            retain: false,
            client_id: "",
        };
        let delivery = LentDelivery {
            sequence: 1,
            to: LentAddressee::Event("E"),
            message,
            properties: None,
            received_ms: 0,
            placeholders: Vec::new(),
        };
        guest.instance.deliver(&[delivery]).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(told(&client.join().unwrap()), (200, "warm"));
}

#[tokio::test]
async fn excess_requests_and_pending_requests_of_an_ended_instance_get_503() {
    let mut guest = opened("{}", granted()).await;
    let port = guest.port;
    // Nobody takes them: the guest does not run.
    let ask = move || std::thread::spawn(move || asked(port, "GET", "/echo", ""));
    let clients: Vec<_> = (0..=HTTP_SERVER_REQUESTS_MAX).map(|_| ask()).collect();
    while !clients.iter().any(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(guest.says("end", b"").await, "");
    let mut ended = 0;
    for client in clients {
        while !client.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = client.join().unwrap();
        let (status, body) = told(&answer);
        assert_eq!(status, 503, "{answer}");
        ended += usize::from(body == ENDED);
    }
    assert_eq!(ended, HTTP_SERVER_REQUESTS_MAX);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it does not listen any more");
}

#[tokio::test]
async fn waiting_request_gets_503_when_its_instance_ends() {
    let mut guest = opened("{}", granted()).await;
    let port = guest.port;
    let kept = std::thread::spawn(move || asked(port, "GET", "/keep", ""));
    // It is taken before what comes behind it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    guest.serves(move |port| asked(port, "GET", "/echo", "")).await;
    drop(guest);
    while !kept.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = kept.join().unwrap();
    assert_eq!(told(&answer), (503, ENDED));
}

#[tokio::test]
async fn a_guest_serves_where_its_definition_says_and_the_operator_allows() {
    let mut guest = opened("{}", granted()).await;
    for (endpoint, expected) in [
        ("none", "NONE_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN"),
        ("plain", "endpoint 'plain' is none that serves HTTP"),
        ("far", "only at home"),
    ] {
        let told = guest.says("begin", endpoint.as_bytes()).await;
        assert!(told.contains(expected), "{endpoint}: {told}");
    }
    assert_eq!(guest.says("begin", b"web").await, "it serves");
}
