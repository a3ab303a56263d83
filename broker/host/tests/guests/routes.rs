//! A real route guest over real sockets: suspended waits, TLS in the host, the host's own work, and
//! what it may not do.

use crate::support::{Broker, engine};
use lotmq_chain::limits::ISSUERS_MAX;
use lotmq_host::{
    Acting, ComponentSource, Engine, EngineOptions, Grants, GuestId, GuestLimits, LoadError, LogLevel,
    MetricChange, NestedCall, RunContext, RunError, Services, Severity, TopicGrant, TrapKind,
    fiber::{ClientTls, Endpoint, EndpointTls, FiberServices, HttpEvent},
    limits::{MESSAGE_BYTES_MAX, ROUTE_TIME},
    route::{
        Abilities, Failure, IngestedMessage, Ingesting, LentAddressee, LentDelivery, LentMessage, Qos,
        RetainedMessage, RouteGuest, RouteInstance, RouteServices, RouteSpec,
    },
};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    pin::pin,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

/// A broker that takes what a route brings.
pub(crate) struct Taker {
    pub(crate) broker: Broker,
    /// Addresses that no route may connect to.
    pub(crate) refused: Mutex<Vec<IpAddr>>,
    pub(crate) arrivals: mpsc::UnboundedSender<IngestedMessage>,
    /// HTTP events that it has received.
    pub(crate) http: Mutex<Vec<HttpEvent>>,
    pub(crate) is_of_administrator: bool,
}

/// Account of an administrator.
const ADMINISTRATOR: u64 = 99;

impl Taker {
    pub(crate) fn new(refused: Vec<IpAddr>, arrivals: mpsc::UnboundedSender<IngestedMessage>) -> Taker {
        let (broker, refused) = (Broker::default(), Mutex::new(refused));
        Taker { broker, refused, arrivals, http: Mutex::default(), is_of_administrator: false }
    }
}

impl Services for Taker {
    fn topic_value(&self, run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        self.broker.topic_value(run, topic, value)
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, run: &RunContext, topic: &str) -> bool {
        self.broker.retained_exists(run, topic)
    }
    fn environment(&self, run: &RunContext, name: &str) -> Option<String> {
        self.broker.environment(run, name)
    }
    fn set_environment(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.broker.set_environment(run, name, value)
    }
    fn secret(&self, run: &RunContext, name: &str) -> Option<String> {
        self.broker.secret(run, name)
    }
    fn set_secret(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.broker.set_secret(run, name, value)
    }
    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[lotmq_host::Argument],
    ) -> Result<Vec<lotmq_host::Value>, RunError> {
        self.broker.call_action(call, name, inputs)
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
    fn now_ms(&self) -> i64 {
        self.broker.now_ms()
    }
}

impl RouteServices for Taker {
    fn ingest<'a>(&'a self, _run: RunContext, messages: Vec<IngestedMessage>) -> Ingesting<'a> {
        Box::pin(async move {
            // A busy broker: the guest is suspended meanwhile.
            tokio::task::yield_now().await;
            for arrival in messages {
                self.arrivals.send(arrival).ok();
            }
            Ok(())
        })
    }

    fn retained(
        &self,
        _run: &RunContext,
        _filter: &str,
        _after: Option<&str>,
        _is_granted: &dyn Fn(&str) -> bool,
    ) -> (Vec<RetainedMessage>, Option<String>) {
        (Vec::new(), None)
    }
}

impl FiberServices for Taker {
    fn acts_for_administrator(&self) -> bool {
        self.is_of_administrator
    }

    fn note_http(&self, _run: &RunContext, event: HttpEvent) {
        self.http.lock().unwrap().push(event);
    }

    fn lost_datagrams(&self, _run: &RunContext, _count: u64) {}

    fn log(&self, _run: &RunContext, _level: LogLevel, _text: &str) {}

    fn measure(&self, _run: &RunContext, _name: &str, _change: MetricChange) -> bool {
        true
    }

    fn report(&self, _run: &RunContext, _severity: Severity, _code: &str, _message: &str) {}

    fn refuses_address(&self, address: IpAddr) -> Option<String> {
        self.refused
            .lock()
            .unwrap()
            .contains(&address.to_canonical())
            .then(|| "the operator says no".to_owned())
    }

    fn refuses_listening(&self, address: IpAddr) -> Option<String> {
        (!address.is_loopback()).then(|| "only at home".to_owned())
    }

    fn refuses_serial_port(&self, device: &str) -> Option<String> {
        (device == "/dev/denied").then(|| "the operator says no".to_owned())
    }
}

/// An instance of the guest `route-echo` with one endpoint, and what it brings.
pub(crate) async fn echo(
    endpoint: Endpoint,
    grants: Grants,
) -> (RouteInstance, mpsc::UnboundedReceiver<IngestedMessage>) {
    echo_within(ROUTE_TIME, endpoint, grants).await
}

/// As [`echo`], with so much processor time for each call.
async fn echo_within(
    time: Duration,
    endpoint: Endpoint,
    grants: Grants,
) -> (RouteInstance, mpsc::UnboundedReceiver<IngestedMessage>) {
    echo_refused(Vec::new(), time, endpoint, grants).await
}

/// As [`echo_within`], with addresses that the operator allows no route.
async fn echo_refused(
    refused: Vec<IpAddr>,
    time: Duration,
    endpoint: Endpoint,
    grants: Grants,
) -> (RouteInstance, mpsc::UnboundedReceiver<IngestedMessage>) {
    echo_on(engine(), refused, time, endpoint, grants).await
}

/// As [`echo_refused`], on an engine of the test's own.
async fn echo_on(
    engine: &Engine,
    refused: Vec<IpAddr>,
    time: Duration,
    endpoint: Endpoint,
    grants: Grants,
) -> (RouteInstance, mpsc::UnboundedReceiver<IngestedMessage>) {
    let guest = RouteGuest::compile(engine, ECHO, ComponentSource::Upload).unwrap();
    let (arrivals, receiver) = mpsc::unbounded_channel();
    let is_of_administrator = grants.acting.now().account == ADMINISTRATOR;
    let spec = RouteSpec {
        id: GuestId(1),
        services: Arc::new(Taker { is_of_administrator, ..Taker::new(refused, arrivals) }),
        grants: Arc::new(grants),
        endpoints: Arc::new(HashMap::from([("echo".to_owned(), endpoint)])),
        folders: Arc::default(),
        serial_lines: Arc::default(),
        limits: GuestLimits { time, ..GuestLimits::default() },
    };
    (guest.instance(spec).await.unwrap(), receiver)
}

/// Configuration of the guest by which it uses its endpoint so.
pub(crate) fn how(how: &str) -> String {
    format!(r#"{{"sections":{{"ECHO_CONFIG":{{"HOW":"{how}"}}}}}}"#)
}

pub(crate) fn all_topics() -> Grants {
    Grants { write: TopicGrant::NotSystem, ..Grants::default() }
}

pub(crate) fn delivery(sequence: u64, payload: &str) -> LentDelivery<'_> {
    let (topic, payload, client_id) = ("to/echo", payload.as_bytes(), "c1");
    let message = LentMessage { topic, payload, qos: Qos::AtLeastOnce, retain: false, client_id };
    let to = LentAddressee::Event("line");
    LentDelivery { sequence, to, message, properties: None, received_ms: 0, placeholders: Vec::new() }
}

/// Answers each line with `echo <line>`, after a greeting, until the other side ends.
fn serve(stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"hello\n").unwrap();
    stream.get_mut().flush().unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
        stream.get_mut().write_all(format!("echo {line}").as_bytes()).unwrap();
        stream.get_mut().flush().unwrap();
        line.clear();
    }
}

/// A server for one connection; `accepted` makes a stream of it.
pub(crate) fn listen<S: Read + Write>(accepted: impl FnOnce(TcpStream) -> S + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || serve(accepted(listener.accept().unwrap().0)));
    port
}

pub(crate) fn certificates() -> (Arc<ServerConfig>, ClientTls) {
    certificates_behind(0)
}

/// A server that shows so many certificates besides its own, and a client that trusts it.
fn certificates_behind(others: usize) -> (Arc<ServerConfig>, ClientTls) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let other = |number| rcgen::generate_simple_self_signed([format!("issuer {number}")]).unwrap();
    let others = (0..others).map(|number| other(number).cert.der().clone());
    let chain = std::iter::once(made.cert.der().clone()).chain(others).collect();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (Arc::new(server), ClientTls::trusting(roots).unwrap())
}

/// Little processor time for a call.
const SHORT: Duration = Duration::from_millis(200);

/// Runs the guest until a line has come in; it is suspended meanwhile, and ended by the host's work
/// at the end.
pub(crate) async fn lines(
    instance: &mut RouteInstance,
    arrivals: &mut mpsc::UnboundedReceiver<IngestedMessage>,
    count: usize,
) -> Vec<String> {
    let work = instance.host_work();
    let mut lines = Vec::new();
    let collect = async {
        while lines.len() < count {
            let arrival = arrivals.recv().await.unwrap();
            assert_eq!(arrival.topic, "echo/in");
            lines.push(String::from_utf8(arrival.payload).unwrap());
        }
        work.announce();
    };
    // Far longer than the test may take: only the host's work ends it.
    let mut ran = pin!(instance.run(600_000));
    tokio::select! {
        ended = &mut ran => panic!("it ended before the lines came: {ended:?}"),
        () = collect => {}
    }
    assert_eq!(ran.await.unwrap().unwrap(), 0);
    work.done();
    lines
}

async fn talks_both_ways(endpoint: Endpoint, configuration: &str) {
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    let abilities = instance.describe().await.unwrap().abilities;
    assert_eq!(abilities, Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST);
    instance.open(configuration).await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["hello"]);
    let batch = [delivery(1, "one"), delivery(2, "two"), delivery(3, "three")];
    let receipt = instance.deliver(&batch).await.unwrap().unwrap();
    assert_eq!((receipt.accepted, receipt.rejected.len()), (3, 0));
    assert_eq!(lines(&mut instance, &mut arrivals, 3).await, ["echo one", "echo two", "echo three"]);
    let long = "x".repeat(300_000);
    instance.deliver(&[delivery(4, &long)]).await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, [format!("echo {long}")]);
    instance.close().await.unwrap();
}

#[tokio::test]
async fn a_guest_talks_tcp_while_the_host_has_work_for_it() {
    let port = listen(|stream| stream);
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    talks_both_ways(endpoint, "{}").await;
}

#[tokio::test]
async fn tls_is_the_hosts_from_the_first_byte() {
    let (server, client) = certificates();
    let port = listen(|stream| StreamOwned::new(ServerConnection::new(server).unwrap(), stream));
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        tls: EndpointTls::OnConnect(client),
        ..Endpoint::default()
    };
    talks_both_ways(endpoint, "{}").await;
}

#[tokio::test]
async fn tls_can_begin_when_the_guest_asks_for_it() {
    let (server, client) = certificates();
    let port = listen(|stream| StreamOwned::new(ServerConnection::new(server).unwrap(), stream));
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        tls: EndpointTls::OnDemand(client),
        ..Endpoint::default()
    };
    talks_both_ways(endpoint, &how("starttls")).await;
}

async fn is_refused(server: Arc<ServerConfig>, client: ClientTls) {
    let port = listen(|stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), stream);
        stream.conn.complete_io(&mut stream.sock).ok();
        std::io::Cursor::new(Vec::new())
    });
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        tls: EndpointTls::OnConnect(client),
        ..Endpoint::default()
    };
    let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
    let refused = instance.open("{}").await.unwrap().unwrap_err();
    assert!(matches!(&refused, Failure::Reconnect(text) if text.starts_with("TLS: ")), "{refused:?}");
}

#[tokio::test]
async fn plain_text_after_a_tls_handshake_ends_the_connection() {
    let (server, client) = certificates();
    let (goes_on, told) = std::sync::mpsc::channel::<()>();
    let port = listen(move |stream| {
        let mut below = stream.try_clone().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), stream);
        stream.write_all(b"hello\n").unwrap();
        told.recv().unwrap();
        below.write_all(b"in plain text\n").unwrap();
        // The connection stays open until the end of the test.
        told.recv().unwrap_err();
        std::io::Cursor::new(Vec::new())
    });
    let tls = EndpointTls::OnConnect(client);
    let endpoint = Endpoint { host: "localhost".to_owned(), port, tls, ..Endpoint::default() };
    let (mut instance, mut arrivals) = echo_within(SHORT, endpoint, all_topics()).await;
    instance.open("{}").await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["hello"]);
    let mut ran = pin!(instance.run(600_000));
    tokio::select! {
        ended = &mut ran => panic!("it ended before: {ended:?}"),
        () = tokio::time::sleep(Duration::from_millis(50)) => goes_on.send(()).unwrap(),
    }
    let ended = ran.await.expect("no trap for want of time").unwrap_err();
    assert!(matches!(&ended, Failure::Reconnect(text) if text.starts_with("TLS: ")), "{ended:?}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_connect() {
    let (server, _) = certificates();
    let (_, other_client) = certificates();
    is_refused(server, other_client).await;
}

#[tokio::test]
async fn a_long_chain_of_a_server_is_refused_and_a_short_one_is_not() {
    let (server, client) = certificates_behind(ISSUERS_MAX);
    let port = listen(|stream| StreamOwned::new(ServerConnection::new(server).unwrap(), stream));
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        tls: EndpointTls::OnConnect(client),
        ..Endpoint::default()
    };
    talks_both_ways(endpoint, "{}").await;
    let (server, client) = certificates_behind(ISSUERS_MAX + 1);
    is_refused(server, client).await;
}

#[tokio::test]
async fn only_named_endpoints_can_be_dialled() {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: 1, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
    for (name, expected) in [
        (" at elsewhere", "Fatal(\"ELSEWHERE_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN\")"),
        (
            " at 127.0.0.1:80",
            "Fatal(\"there is no endpoint '127.0.0.1:80': the one of section NAME_CONFIG is called name\")",
        ),
        (" at echo", "Reconnect(\"nothing listens there\")"),
    ] {
        let refused = instance.open(&how(name)).await.unwrap().unwrap_err();
        assert_eq!(format!("{refused:?}").replace("Failure::", ""), expected, "{name}");
    }
}

/// The operator's check covers the resolved addresses, and the host connects only to these.
#[tokio::test]
async fn addresses_that_the_operator_refuses_are_not_connected_to_whatever_leads_there() {
    let refused: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    let port = listen(|stream| stream);
    for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "127.1", "2130706433", "::1"] {
        let endpoint = Endpoint { host: host.to_owned(), port, ..Endpoint::default() };
        let (mut instance, _arrivals) =
            echo_refused(refused.clone(), ROUTE_TIME, endpoint, all_topics()).await;
        let error = format!("{:?}", instance.open("{}").await.unwrap().unwrap_err());
        assert!(error.contains("Fatal") && error.contains("the operator says no"), "{host}: {error}");
    }
    let endpoint = Endpoint { host: "no-such-host.invalid".to_owned(), port, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
    let error = format!("{:?}", instance.open("{}").await.unwrap().unwrap_err());
    assert!(error.contains("Reconnect") && error.contains("it cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_guest_connects_to_places_that_an_endpoint_allows_and_no_others() {
    let port = listen(|stream| stream);
    let other = listen(|stream| stream);
    let others =
        vec![format!("127.0.0.0/8:{port}").parse().unwrap(), format!("localhost:{port}").parse().unwrap()];
    let endpoint = Endpoint { others, ..Endpoint::default() };
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    for (place, expected) in [
        (format!("127.0.0.1:{other}"), format!("endpoint 'echo' does not allow 127.0.0.1:{other}")),
        (format!("example.com:{port}"), format!("endpoint 'echo' does not allow example.com:{port}")),
        (format!("a/b:{port}"), "that is no host name".to_owned()),
    ] {
        let error = format!("{:?}", instance.open(&how(&format!("to={place}"))).await.unwrap().unwrap_err());
        assert!(error.contains("Fatal") && error.contains(&expected), "{place}: {error}");
    }
    let error = format!("{:?}", instance.open("{}").await.unwrap().unwrap_err());
    assert!(error.contains("endpoint 'echo' is none to connect to"), "{error}");
    instance.open(&how(&format!("to=127.0.0.1:{port}"))).await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["hello"]);
}

#[tokio::test]
async fn a_guest_listens_where_it_may_and_takes_connections() {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), listens: true, ..Endpoint::default() };
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    instance.open(&how("listen")).await.unwrap().unwrap();
    let port = String::from_utf8(instance.request("port", b"").await.unwrap().unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.write_all(b"from outside\n").unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["from outside"]);
    instance.deliver(&[delivery(1, "answer")]).await.unwrap().unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    assert_eq!(answer, "answer\n");
    for (host, listens, expected) in [
        ("127.0.0.1", false, "endpoint 'echo' is none to listen at"),
        ("0.0.0.0", true, "only at home"),
        ("localhost", true, "'localhost' is no address to listen at"),
    ] {
        let endpoint = Endpoint { host: host.to_owned(), listens, ..Endpoint::default() };
        let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
        let error = format!("{:?}", instance.open(&how("listen")).await.unwrap().unwrap_err());
        assert!(error.contains("Fatal") && error.contains(expected), "{host}: {error}");
    }
}

/// A guest of this account that listens, with a client that has connected.
async fn listening(
    engine: &Engine,
    account: u64,
) -> (RouteInstance, mpsc::UnboundedReceiver<IngestedMessage>, TcpStream) {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), listens: true, ..Endpoint::default() };
    let acting = Acting { account: Arc::new(account.into()), ..Acting::default() };
    let grants = Grants { acting, ..all_topics() };
    let (mut instance, arrivals) = echo_on(engine, Vec::new(), ROUTE_TIME, endpoint, grants).await;
    instance.open(&how("listen")).await.unwrap().unwrap();
    let port = String::from_utf8(instance.request("port", b"").await.unwrap().unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.write_all(b"here\n").unwrap();
    (instance, arrivals, stream)
}

#[tokio::test]
async fn nobodys_guests_accept_all_connections_that_there_may_be() {
    let engine = Engine::new(&EngineOptions { instances_max: 16, ..EngineOptions::default() }).unwrap();
    engine.bound_accepted(8);
    let mut held = Vec::new();
    for account in [1, 1, 1, 1, 1, 1, 2] {
        let (mut instance, mut arrivals, stream) = listening(&engine, account).await;
        assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["here"], "guest {}", held.len());
        held.push((instance, arrivals, stream));
    }
    // Another one of the first account would have the last of the eight.
    let (mut instance, mut arrivals, stream) = listening(&engine, 1).await;
    let closed = thread::spawn(move || {
        let mut rest = Vec::new();
        // The host has not read all bytes, so the close may be a reset.
        (&stream).read_to_end(&mut rest).unwrap_or(0)
    });
    let run = async {
        while !closed.is_finished() {
            instance.run(50).await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), run).await.expect("it is closed as it comes");
    assert_eq!(closed.join().unwrap(), 0);
    assert!(arrivals.try_recv().is_err());
    // Of the seven that the other one leaves an owner has five: once two have ended there is room,
    // and the guest that turned one away goes on.
    held.drain(..2);
    let port = String::from_utf8(instance.request("port", b"").await.unwrap().unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.write_all(b"again\n").unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["again"]);
}

/// A guest of this account that uses its endpoint so, or why it does not open.
async fn opening(engine: &Engine, account: u64, way: &str, port: u16) -> Result<RouteInstance, Failure> {
    let endpoint =
        Endpoint { host: "127.0.0.1".to_owned(), port, listens: way == "listen", ..Endpoint::default() };
    let acting = Acting { account: Arc::new(account.into()), ..Acting::default() };
    let grants = Grants { acting, ..all_topics() };
    let (mut instance, _arrivals) = echo_on(engine, Vec::new(), ROUTE_TIME, endpoint, grants).await;
    instance.open(&how(way)).await.unwrap().map(|()| instance)
}

#[tokio::test]
async fn nobodys_guests_open_all_sockets_that_there_may_be() {
    let engine = Engine::new(&EngineOptions { instances_max: 32, ..EngineOptions::default() }).unwrap();
    engine.bound_opened(8);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut held = Vec::new();
    for (account, way, port) in [
        (1, "connect", port),
        (1, "udp", port),
        (1, "listen", 0),
        (1, "connect", port),
        (1, "connect", port),
        (1, "connect", port),
        (2, "udp", port),
    ] {
        held.push(opening(&engine, account, way, port).await.unwrap());
    }
    for (way, port) in [("connect", port), ("udp", port), ("listen", 0)] {
        let refused = opening(&engine, 1, way, port).await.map(drop).unwrap_err();
        assert!(
            matches!(&refused, Failure::Reconnect(text) if text.contains("the 5 sockets that others leave")),
            "{way}: {refused:?}"
        );
    }
    // An administrator's have theirs in any case.
    for _ in 0..4 {
        held.push(opening(&engine, ADMINISTRATOR, "connect", port).await.unwrap());
    }
    let refused = opening(&engine, 2, "udp", port).await.map(drop).unwrap_err();
    assert!(format!("{refused:?}").contains("all routes together have the 8 sockets"), "{refused:?}");
    held.truncate(2);
    for way in ["connect", "udp"] {
        held.push(opening(&engine, 1, way, port).await.unwrap());
    }
}

#[tokio::test]
async fn a_guest_sends_and_receives_datagrams() {
    let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = far.local_addr().unwrap().port();
    let endpoint = Endpoint { host: "localhost".to_owned(), port, ..Endpoint::default() };
    // `localhost` may resolve to `::1` first, at which nobody listens here.
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), ..endpoint };
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    instance.open(&how("udp")).await.unwrap().unwrap();
    instance.deliver(&[delivery(1, "there")]).await.unwrap().unwrap();
    let mut bytes = [0; 64];
    let (length, from) = far.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"there\n");
    // Of a socket for one place nothing else is taken.
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"forged\n", from).unwrap();
    far.send_to(b"back\n", from).unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["back"]);
    let long = "x".repeat(70_000);
    let error = format!("{:?}", instance.deliver(&[delivery(2, &long)]).await.unwrap().unwrap_err());
    assert!(error.contains("70001 bytes are too long for a datagram"), "{error}");
}

#[tokio::test]
async fn sockets_are_bounded_and_come_back_when_they_are_dropped() {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), listens: true, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
    for _ in 0..3 {
        let opened = instance.request("sockets", b"").await.unwrap().unwrap();
        assert_eq!(String::from_utf8(opened).unwrap(), "64 IoError::LimitReached");
    }
    // A trap in the middle takes them all with it.
    assert!(instance.request("sockets and trap", b"").await.is_err());
}

#[tokio::test]
async fn start_tls_needs_an_endpoint_that_allows_it() {
    let port = listen(|stream| stream);
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo(endpoint, all_topics()).await;
    let refused = instance.open(&how("starttls")).await.unwrap().unwrap_err();
    assert!(
        matches!(&refused, Failure::Fatal(text) if text.contains("not one on which TLS begins later")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_route_publishes_only_where_it_may() {
    let port = listen(|stream| stream);
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let elsewhere = TopicGrant::Filters(Box::new(["elsewhere/#".into()]));
    let (mut instance, _arrivals) = echo(endpoint, Grants { write: elsewhere, ..Grants::default() }).await;
    instance.open("{}").await.unwrap().unwrap();
    let refused = instance.run(600_000).await.unwrap().unwrap_err();
    assert!(matches!(&refused, Failure::Reject(text) if text.contains("not-allowed")), "{refused:?}");
}

#[tokio::test]
async fn a_route_that_spins_gives_the_thread_back_and_is_stopped() {
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: 1, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo_within(SHORT, endpoint, all_topics()).await;
    let mut turns = 0_u32;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    let trap = tokio::select! {
        trapped = instance.request("spin", b"") => trapped.unwrap_err(),
        () = others => unreachable!(),
    };
    assert_eq!(trap.kind, TrapKind::Time);
    assert!(turns > 1, "the thread must be given back while the guest spins");
}

#[tokio::test]
async fn a_waiting_guest_does_not_use_up_its_time() {
    let port = listen(|stream| stream);
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let (mut instance, mut arrivals) = echo_within(SHORT, endpoint, all_topics()).await;
    instance.open("{}").await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["hello"]);
    // Twice its limit, without anything to do.
    assert_eq!(instance.run(400).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn whether_a_call_that_is_given_up_has_computed_or_waited_is_known() {
    const PATIENCE: Duration = Duration::from_millis(300);
    let port = listen(|stream| stream);
    let endpoint = || Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let (mut instance, _arrivals) = echo(endpoint(), all_topics()).await;
    assert!(tokio::time::timeout(PATIENCE, instance.request("spin", b"")).await.is_err());
    assert!(instance.has_computed());
    let (mut instance, mut arrivals) = echo(endpoint(), all_topics()).await;
    instance.open("{}").await.unwrap().unwrap();
    assert_eq!(lines(&mut instance, &mut arrivals, 1).await, ["hello"]);
    assert!(tokio::time::timeout(PATIENCE, instance.run(600_000)).await.is_err());
    assert!(!instance.has_computed());
}

/// The guest `route-echo`.
const ECHO: &[u8] = include_bytes!("../../../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

/// The guest of the type `LOOPBACK` as the broker has it in itself.
const LOOPBACK: &[u8] = include_bytes!("../../../../guests/route-loopback/prebuilt/route-loopback.wasm");

#[tokio::test]
async fn the_loopback_stores_and_finds_rows() {
    let guest = RouteGuest::compile(engine(), LOOPBACK, ComponentSource::Upload).unwrap();
    let description = guest.description().expect("it is known before there is an instance");
    assert!(
        description.abilities.contains(Abilities::REQUEST) && description.configuration.contains("MAX_ROWS")
    );
    let spec = RouteSpec {
        id: GuestId(1),
        services: Arc::new(Taker::new(Vec::new(), mpsc::unbounded_channel().0)),
        grants: Arc::new(Grants::default()),
        endpoints: Arc::default(),
        folders: Arc::default(),
        serial_lines: Arc::default(),
        limits: GuestLimits::default(),
    };
    let mut route = guest.instance(spec).await.unwrap();
    route.open(r#"{"sections":{"LOOPBACK_CONFIG":{"MAX_ROWS":"3"}},"events":{}}"#).await.unwrap().unwrap();
    let row = |sequence, text| LentDelivery { to: LentAddressee::Table("t"), ..delivery(sequence, text) };
    let rows = [r#"{"n":1}"#, r#"{"n":2,"k":"x"}"#, "[]", r#"{"n":"3","k":"y"}"#, r#"{"n":4,"k":"x"}"#];
    let batch: Vec<LentDelivery<'_>> = (1..).zip(rows).map(|(sequence, text)| row(sequence, text)).collect();
    let receipt = route.deliver(&batch).await.unwrap().unwrap();
    let rejected: Vec<u32> = receipt.rejected.iter().map(|rejection| rejection.index).collect();
    assert_eq!((receipt.accepted, rejected), (5, vec![2]), "only objects are rows");
    for (query, expected) in [
        (r#"{"table":"t"}"#, r#"[{"n":4,"k":"x"},{"n":"3","k":"y"},{"n":2,"k":"x"}]"#),
        (r#"{"table":"none"}"#, "[]"),
        (r#"{"table":"t","where":{"column":"n","operator":"==","value":3}}"#, r#"[{"n":"3","k":"y"}]"#),
        (
            r#"{"table":"t","where":{"and":[{"column":"k","operator":"==","value":"x"},{"or":[{"column":"n","operator":">","value":"3"},{"column":"n","operator":"<=","value":1}]}]}}"#,
            r#"[{"n":4,"k":"x"}]"#,
        ),
        (r#"{"table":"t","order":{"column":"n"},"limit":1}"#, r#"[{"n":2,"k":"x"}]"#),
        (r#"{"table":"t","order":{"column":"n","descending":true},"limit":1}"#, r#"[{"n":4,"k":"x"}]"#),
    ] {
        let found = route.request("query", query.as_bytes()).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), expected, "{query}");
    }
    let refused = route.request("query", b"[]").await.unwrap();
    assert!(matches!(refused, Err(Failure::Reject(reason)) if reason == "a query names a table"));
    assert!(route.request("probe", b"{}").await.unwrap().is_ok());
    // Any failure text of a guest goes to people.
    let refused = route.request(&"x".repeat(100_000), b"{}").await.unwrap();
    assert!(matches!(refused, Err(Failure::Reject(reason)) if reason.len() == MESSAGE_BYTES_MAX));
}

#[test]
fn failed_describe_of_a_route_guest_is_a_compile_error() {
    const HANDLER: &str = "lotmq:guest/route-handler@0.2.0";
    let of = |describe: &str| {
        let core = format!(
            r#"(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "{HANDLER}#describe") (result i32) {describe})
  (func (export "{HANDLER}#open") (param i32 i32) (result i32) unreachable)
  (func (export "{HANDLER}#deliver") (param i32 i32) (result i32) unreachable)
  (func (export "{HANDLER}#run") (param i32) (result i32) unreachable)
  (func (export "{HANDLER}#request") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "{HANDLER}#close")))"#
        );
        let component = crate::support::component(&core, "route");
        let guest = RouteGuest::compile(engine(), &component, ComponentSource::Upload).unwrap();
        guest.first_look(Grants::default(), GuestLimits::default())
    };
    let described = of("(i32.const 16)").unwrap();
    assert_eq!((&*described.configuration, described.abilities), ("", Abilities::empty()));
    for (describe, kind) in
        [("unreachable", TrapKind::Unreachable), ("(loop (br 0)) unreachable", TrapKind::Time)]
    {
        let error = of(describe).unwrap_err();
        assert_eq!(error.code(), "COMPILE_FAILED");
        assert!(matches!(&error, LoadError::DescribeFailed(trap) if trap.kind == kind), "{error}");
    }
}
