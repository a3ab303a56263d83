//! HTTP requests to modules of world `route`: the host serves them as the route's definition says,
//! and as far as it was granted and the operator allows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::QoS;
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX, eventually, free_address};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::module_routes::Standing;
use crate::{next, options, send};

/// A guest that serves HTTP.
const SERVE: &[u8] = include_bytes!("../../sdk/examples/route-serve/prebuilt/route-serve.wasm");

fn at_home() -> BrokerOptions {
    let modules = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true");
    modules.variable("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8")
}

fn module(options: &str) -> String {
    format!("-addModule serve -world route {options} wasm64:{}", STANDARD.encode(SERVE))
}

/// A route that serves at an address, with more of its section `WEB_CONFIG`.
fn route(address: SocketAddr, further: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"serve\"\n    ADD WEB_CONFIG\n        WITH LISTEN \"{address}\"\n        \
         WITH SERVE \"HTTP\"\n{further}    ADD EVENT Answer\n        WITH SOURCE_TOPIC \"answers\"\n        WITH READ_TOPIC \"seen/+\"\n        WITH DESTINATION_TOPIC \"asked/1\"\n"
    )
}

/// Status and body of an answer to a request over a connection.
fn ask(mut stream: impl Read + Write, method: &str, target: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Of TLS the end need not be said.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).unwrap_or("0").parse().unwrap(), body.to_owned())
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = eventually("the route serves", || TcpStream::connect(address).ok());
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

fn asked(address: SocketAddr, method: &str, target: &str, body: &str) -> (u16, String) {
    ask(connected(address), method, target, body)
}

fn serving(address: SocketAddr, further: &str) -> Broker {
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address}")));
    broker.command_ok(&route(address, further));
    broker
}

#[test]
fn a_route_serves_http_between_messages() {
    let address = free_address();
    let broker = serving(address, "");
    assert_eq!(asked(address, "GET", "/last/seen/1", ""), (404, "no value".to_owned()));
    send(&broker, "seen/1", "21.5");
    send(&broker, "hidden", "x");
    eventually("the last value", || {
        (asked(address, "GET", "/last/seen/1", "") == (200, "21.5".to_owned())).then_some(())
    });
    assert_eq!(asked(address, "GET", "/last/hidden", ""), (404, "no value".to_owned()), "it is not granted");
    // An answer that waits for a message.
    let mut device = broker.client("device");
    device.subscribe_to("asked/#", QoS::AtLeastOnce).unwrap();
    let client = std::thread::spawn(move || asked(address, "POST", "/ask/asked/1", "how warm?"));
    assert_eq!(next(&mut device), "asked/1=how warm?");
    send(&broker, "answers", "very");
    assert_eq!(client.join().unwrap(), (200, "very".to_owned()));
    assert_eq!(asked(address, "POST", "/publish/other", "x"), (403, "not-allowed".to_owned()));
    // The report about an invalid message names its topic.
    assert_eq!(asked(address, "POST", "/publish/asked/+", "x"), (403, "not-allowed".to_owned()));
    eventually("the report", || {
        let told = broker.command_ok("-lotDiagnostic route Line").data()["lastError"].clone();
        let is_told = told["message"].as_str()?.contains("'asked/+' is no topic to publish to");
        (is_told && told["code"] == "MESSAGE_INVALID").then_some(())
    });
    // A trap costs what waits, and nothing behind it.
    assert_eq!(asked(address, "GET", "/trap", "").0, 503);
    eventually("it serves again", || {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        (ask(stream, "PUT", "/echo", "").0 == 200).then_some(())
    });
}

/// A request that a proxy in front may read otherwise is refused, also behind a request that is
/// not.
#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let address = free_address();
    let _broker = serving(address, "");
    let statuses = |requests: &str| -> Vec<String> {
        let mut stream = connected(address);
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = Vec::new();
        // A reset is an end, too: what stands behind the refusal was not read.
        let _ = stream.read_to_end(&mut answers);
        let answers = String::from_utf8_lossy(&answers).into_owned();
        let status = |rest: &str| rest.get(..3).unwrap_or_default().to_owned();
        answers.split("HTTP/1.1 ").skip(1).map(status).collect()
    };
    let put = |fields: &str, body: &str| format!("PUT /echo HTTP/1.1\r\nhost: x\r\n{fields}\r\n{body}");
    let good = put("content-length: 2\r\n", "\n\n");
    let closing = put("connection: close\r\ntransfer-encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n");
    assert_eq!(statuses(&closing), ["200"]);
    assert_eq!(statuses(&format!("{good}{closing}")), ["200", "200"]);
    for refused in [
        put("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        put("transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
        put("", "").replace("\r\n", "\n"),
        put("x: y\n", ""),
        put("transfer-encoding: chunked\r\n", "2\nab\r\n0\r\n\r\n"),
    ] {
        assert_eq!(statuses(&refused), ["400"], "{refused:?}");
        assert_eq!(statuses(&format!("{good}{refused}")), ["200", "400"], "{refused:?}");
    }
}

#[test]
fn a_route_serves_where_it_was_granted_and_the_operator_allows() {
    let address = free_address();
    let broker = at_home().start();
    broker.command_ok(&route(address, ""));
    let mut standing = Standing::of(&broker);
    broker.command_ok(&module(""));
    standing.says(&format!("WEB_CONFIG: module 'serve' was not granted endpoint:{address}"));

    let strict = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
    strict.command_ok(&module(&format!("-net {address}")));
    strict.command_ok(&route(address, ""));
    let mut standing = Standing::of(&strict);
    standing.says("127.0.0.1 is none of routes.listen_networks");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_route_serves_with_the_certificate_that_its_settings_name() {
    let authority = Authority::new();
    let server = authority.server("server");
    let address = free_address();
    let roots = authority.path("").display().to_string();
    let broker = at_home().variable("LOTMQ_ROUTES_FILE_ROOTS", &roots).start();
    broker.command_ok(&module(&format!("-net {address}")));
    let mut standing = Standing::of(&broker);
    broker.command_ok(&route(address, "        WITH USE_TLS TRUE\n"));
    standing.says("WEB_CONFIG: it serves with TLS, and neither SERVER_CERT_PATH nor SERVER_CERT is set");
    std::fs::write(authority.path("web.both"), server.with_key()).unwrap();
    broker.command_ok(&route(address, "        WITH SERVER_CERT_PATH \"web.both\"\n"));
    let mut trusted = RootCertStore::empty();
    trusted.add(rustls::pki_types::CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(trusted).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(config, name).unwrap();
    let answer = ask(StreamOwned::new(tls, connected(address)), "PUT", "/echo", "hidden");
    assert_eq!(answer, (200, "PUT /echo None\nhidden".to_owned()));
}

#[test]
fn requests_served_by_a_route_are_counted() {
    let address = free_address();
    let broker = serving(address, "        WITH BODY_BYTES 8\n");
    assert_eq!(asked(address, "PUT", "/echo", "12345"), (200, "PUT /echo None\n12345".to_owned()));
    assert_eq!(asked(address, "GET", "/last/seen/1", ""), (404, "no value".to_owned()));
    const TOO_LONG: &str = r#"{"success":false,"error":"the body is too long"}"#;
    assert_eq!(asked(address, "PUT", "/echo", "far too long"), (413, TOO_LONG.to_owned()));
    let mut nonsense = connected(address);
    nonsense.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    nonsense.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut client = connected(address);
    client.write_all(b"GET /keep HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    broker.wait_until_metric_is("lotmq_route_served_open", 1.0);
    drop(client);
    broker.wait_until_metric_is("lotmq_route_served_open", 0.0);
    broker.wait_until_metric_is("lotmq_route_served_refused_total", 2.0);
    let sent = "PUT /echo None\n12345".len() + "no value".len() + TOO_LONG.len();
    for (name, value) in
        [("requests_total", 1.0), ("received_bytes_total", 5.0), ("sent_bytes_total", sent as f64)]
    {
        assert_eq!(broker.metric(&format!("lotmq_route_served_{name}")), Some(value), "{name}");
    }
    let told = broker.command_ok("-listRoutes").data()[0]["served"].clone();
    assert_eq!(told["requests"].to_string(), r#"{"2xx":1,"4xx":3,"none":1}"#);
    assert_eq!((&told["open"], &told["refused"]), (&0.into(), &2.into()), "{told}");
    // A change of its state publishes its status.
    let mut standing = Standing::of(&broker);
    send(&broker, "answers", "nobody waits");
    standing
        .says(r#""served":{"requests":{"2xx":1,"4xx":3,"none":1},"open":0,"refused":2,"receivedBytes":5,"#);
}
