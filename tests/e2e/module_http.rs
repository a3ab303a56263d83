//! HTTP servers of modules of world `route`: messages that are posted, whoever ends, as far as it
//! was granted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Answer, Asked, Authority, Broker, BrokerOptions, HttpServer, eventually};

use crate::module_routes::Standing;
use crate::{options, send};

/// A guest that posts each message.
const POST: &[u8] = include_bytes!("../../sdk/examples/route-post/prebuilt/route-post.wasm");

fn with_modules() -> BrokerOptions {
    options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

pub(crate) fn at_home() -> BrokerOptions {
    with_modules().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
}

pub(crate) fn module(options: &str) -> String {
    format!("-addModule post -world route {options} wasm64:{}", STANDARD.encode(POST))
}

/// A route that posts what comes below a topic to a server, with more of its section `API_CONFIG`.
pub(crate) fn route(name: &str, topic: &str, server: &HttpServer, further: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE {name} WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"post\"\n    ADD API_CONFIG\n        WITH HOST \"127.0.0.1\"\n        \
         WITH PORT {}\n{further}    ADD EVENT Out\n        WITH SOURCE_TOPIC \"{topic}/#\"\n",
        server.address.port()
    )
}

/// A broker whose route `Line` posts what comes below `out` to a server.
fn posting(options: BrokerOptions, server: &HttpServer, further: &str) -> Broker {
    let broker = options.start();
    broker.command_ok(&module(&format!("-grantAll -net {}", server.address)));
    broker.command_ok(&route("Line", "out", server, further));
    broker
}

pub(crate) fn bodies(server: &HttpServer) -> Vec<String> {
    bodies_of(server.asked())
}

fn bodies_of(asked: Vec<Asked>) -> Vec<String> {
    asked.into_iter().map(|asked| String::from_utf8(asked.body).unwrap()).collect()
}

#[test]
fn each_message_is_posted_and_what_the_server_says_is_heeded() {
    let busy = AtomicUsize::new(2);
    let server = HttpServer::start(move |asked: &Asked| match &*asked.body {
        b"wrong" => Answer::of(422, "no"),
        b"moved" => {
            Answer::Keep(b"HTTP/1.1 307 There\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n".to_vec())
        }
        b"later"
            if busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() =>
        {
            Answer::of(503, "busy")
        }
        _ => Answer::of(201, ""),
    });
    let broker = at_home().start();
    broker.command_ok("-setSecret API_TOKEN=hidden");
    broker.command_ok(&module(&format!("-grantAll -net {}", server.address)));
    let further = "        WITH PATH \"/v1/in?from=lotmq\"\n        WITH TOKEN GET SECRET \"API_TOKEN\"\n";
    broker.command_ok(&route("Line", "out", &server, further));
    for payload in ["one", "wrong", "two", "later", "moved", "three"] {
        send(&broker, "out/1", payload);
    }
    eventually("the last one", || bodies(&server).contains(&"three".to_owned()).then_some(()));
    let asked = bodies(&server);
    assert_eq!(asked, ["one", "wrong", "two", "later", "later", "later", "moved", "three"]);
    for asked in server.asked() {
        assert_eq!(asked.line(), "POST /v1/in?from=lotmq");
        assert_eq!(asked.field("authorization"), Some("Bearer hidden"));
    }
    assert_eq!(server.accepted(), 1, "one connection for all");
    broker.wait_until_metric_is("lotmq_route_delivered_total", 4.0);
    broker.wait_until_metric_is("lotmq_route_rejected_total", 2.0);
    for (name, value) in
        [("lotmq_route_http_requests_total", 8.0), ("lotmq_route_http_connections_total", 1.0)]
    {
        assert_eq!(broker.metric(name), Some(value), "{name}");
    }
    assert_eq!(broker.metric("lotmq_route_http_failures_total"), None);
    let report = broker.command_ok("-lotDiagnostic route Line").data().clone();
    assert!(report.to_string().contains("the server answered 307"), "{report}");
}

#[test]
fn route_loses_no_message_when_broker_or_http_server_restarts() {
    const MESSAGES: usize = 100;
    let mut has = BTreeSet::new();
    let mut server = HttpServer::start(|_| Answer::of(200, ""));
    let mut broker = posting(at_home().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true"), &server, "");
    for round in 0..4 {
        let mut sender = broker.client("sender");
        for number in 0..MESSAGES {
            let publication = Publication::new("out/line", format!("{round}-{number:04}"));
            sender.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
        }
        // It has some of them, and others are under way.
        eventually("the first of a round", || {
            bodies(&server).iter().any(|body| body.starts_with(&format!("{round}-"))).then_some(())
        });
        if round % 2 == 0 {
            let address = server.address;
            has.extend(bodies_of(server.end()));
            eventually("the port", || std::net::TcpListener::bind(address).ok());
            server = HttpServer::start_at(address, None, |_| Answer::of(200, ""));
        } else {
            broker.kill();
            broker.start_again();
        }
    }
    eventually("all of them", || {
        has.extend(bodies(&server));
        (has.len() == 4 * MESSAGES).then_some(())
    });
}

#[test]
fn a_module_asks_the_servers_that_it_was_granted_and_the_operator_allows() {
    let server = HttpServer::start(|_| Answer::of(200, ""));
    let broker = at_home().start();
    broker.command_ok(&route("Line", "out", &server, ""));
    let mut standing = Standing::of(&broker);
    // It asks for this machine itself, for its cases.
    broker.command_ok(&module("-grant read:# -grant secret-read:API_TOKEN"));
    standing.says(&format!("API_CONFIG: module 'post' was not granted endpoint:{}", server.address));

    let refused = "127.0.0.1 is this machine, and routes.allow_loopback is not set";
    let strict = posting(with_modules(), &server, "");
    // An address is refused before there is anything to post, and so is the name that every machine
    // has for itself.
    Standing::of(&strict).says(refused);
    let port = server.address.port();
    strict.command_ok(&module(&format!("-replace -grantAll -net localhost:{port}")));
    strict.command_ok(&route("Line", "out", &server, "").replace("127.0.0.1", "localhost"));
    let mut standing = Standing::of(&strict);
    standing.says(refused);
    send(&strict, "out/1", "secret");
    assert_eq!((server.asked().len(), server.accepted()), (0, 0));
}

#[test]
fn unknown_module_settings_are_rejected_and_reported() {
    let server = HttpServer::start(|_| Answer::of(200, ""));
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-grantAll -net {}", server.address)));
    for (further, told) in [
        ("        WITH PAHT \"/x\"\n", "API_CONFIG: PAHT is not known; did you mean PATH?"),
        ("        WITH PATH \"\"\n", "API_CONFIG: PATH is '', which is not a text of at least 1"),
    ] {
        let refused = broker.command(&route("Line", "out", &server, further));
        assert_eq!(refused.code(), "ROUTE_SETTINGS_INVALID", "{refused:?}");
        assert!(refused.message().contains(told), "{refused:?}");
    }
    assert_eq!(broker.command_ok("-listRoutes").message(), "No routes registered.");
    // It says nothing of other sections.
    let mut standing = Standing::of(&broker);
    broker.command_ok(&route("Line", "out", &server, "    ADD OTHER_CONFIG\n        WITH PATH \"/x\"\n"));
    standing.says("\"connection\":\"Connected\"");
    // The broker checks values from the environment when it opens the route.
    let added =
        broker.command_ok(&route("Line", "out", &server, "        WITH PATH GET ENV \"PATH_OF_API\"\n"));
    assert!(
        added.0["warnings"].to_string().contains("environment value 'PATH_OF_API' is not set"),
        "{added:?}"
    );
    broker.command_ok("-setEnv PATH_OF_API=");
    standing.says("API_CONFIG: PATH is '', which is not a text of at least 1");
    broker.command_ok("-setEnv PATH_OF_API=/x");
    standing.says("\"connection\":\"Connected\"");
}

#[test]
fn a_route_whose_new_module_refuses_its_settings_says_so_when_it_is_opened() {
    let server = HttpServer::start(|_| Answer::of(200, ""));
    let broker = at_home().start();
    let mut standing = Standing::of(&broker);
    // Before its module is there nobody knows its settings.
    broker.command_ok(&route("Line", "out", &server, "        WITH PAHT \"/x\"\n"));
    broker.command_ok(&module(&format!("-grantAll -net {}", server.address)));
    standing.says("API_CONFIG: PAHT is not known; did you mean PATH?");
}

#[test]
fn untrusted_server_receives_no_request() {
    let authority = Authority::new();
    let config = authority.server("localhost").server_config();
    let server = HttpServer::start_at(([127, 0, 0, 1], 0).into(), Some(config), |_| Answer::of(200, ""));
    let tls = "        WITH USE_TLS TRUE\n        WITH TLS_SERVER_NAME \"localhost\"\n";
    let broker = posting(at_home(), &server, tls);
    let mut standing = Standing::of(&broker);
    send(&broker, "out/1", "secret");
    standing.says("UnknownIssuer");
    assert!(server.asked().is_empty());
}

#[test]
fn a_server_that_sends_for_ever_holds_up_nobody_else() {
    let flood = HttpServer::start(|asked| match &*asked.body {
        b"body" => Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 16]),
        b"field" => Answer::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 16]),
        _ => Answer::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)),
    });
    let good = HttpServer::start(|_| Answer::of(200, ""));
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-grantAll -net {},{}", flood.address, good.address)));
    broker.command_ok(&route("Line", "out", &flood, ""));
    broker.command_ok(&route("Other", "other", &good, ""));
    send(&broker, "out/1", "body");
    send(&broker, "out/1", "field");
    eventually("both are refused", || {
        let text = broker.http("/metrics").body;
        text.contains("route=\"Line\",type=\"WASM\",error=\"too-large\"} 2").then_some(())
    });
    let before = broker.resident_bytes();
    send(&broker, "out/1", "informational");
    eventually("it is asked", || (flood.asked().len() == 3).then_some(()));
    for number in 0..20 {
        send(&broker, "other/1", &number.to_string());
    }
    eventually("the other route goes on", || (bodies(&good).len() == 20).then_some(()));
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}
