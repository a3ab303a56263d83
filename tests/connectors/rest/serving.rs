//! `REST_API` as a server: requests of `curl`, which is no client of ours.

use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{
    Answer, Authority, Broker, BrokerOptions, HttpServer, Program, WAIT_MAX, eventually, free_port,
    wait_for_port,
};

use crate::{Standing, next, options, send, watch};

fn at_home() -> BrokerOptions {
    options().variable("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8")
}

/// A route that serves at a port of this machine, with further settings and events.
fn route(port: u16, more: &str, events: &str) -> String {
    let more: String = more.lines().map(|line| format!("        WITH {line}\n")).collect();
    format!(
        "-addRoute DEFINE ROUTE Web WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH SERVER_PORT {port}\n        WITH SERVER_BIND \"127.0.0.1\"\n{more}{events}"
    )
}

fn event(name: &str, settings: &str) -> String {
    let settings: String = settings.lines().map(|line| format!("        WITH {line}\n")).collect();
    format!("    ADD EVENT {name}\n{settings}")
}

/// Returns the output of `curl` with these arguments: body, status and content type. Returns `None`
/// if it is not installed.
fn curl(arguments: &[&str]) -> Option<String> {
    let fixed = ["-sS", "--max-time", "60", "-w", " %{http_code} %{content_type}"];
    Program::run("curl", &[&fixed, arguments].concat()).map(|done| done.output().to_owned())
}

fn has_curl() -> bool {
    Program::run("curl", &["--version"]).is_some()
}

fn serving(more: &str, events: &str) -> (Broker, u16) {
    let (broker, port) = (at_home().start(), free_port());
    broker.command_ok(&route(port, more, events));
    wait_for_port(port);
    (broker, port)
}

#[test]
fn get_returns_last_values_and_bodies_are_published() {
    if !has_curl() {
        return;
    }
    let events = event("State", "SOURCE_TOPIC \"dev/{id}/state\"\nENDPOINT \"/dev/{id}\"\nMETHOD \"GET\"")
        + &event(
            "Set",
            "DESTINATION_TOPIC \"dev/{id}/set\"\nENDPOINT \"/dev/{id}\"\nMETHOD \"PUT\"\nQOS 1\nRETAIN TRUE",
        )
        + &event("Post", "DESTINATION_TOPIC \"posted\"\nENDPOINT \"post\"")
        + &event("Root", "SOURCE_TOPIC \"greeting\"");
    let (broker, port) = serving("", &events);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    assert_eq!(
        curl(&[&at("/dev/7")]).unwrap(),
        "{\"success\":false,\"error\":\"there is no value\"} 404 application/json"
    );
    send(&broker, "dev/7/state", "{\"on\":true}");
    let told = "{\"on\":true} 200 application/json";
    eventually("the last value", || (curl(&[&at("/dev/7?x=1")]).unwrap() == told).then_some(()));
    send(&broker, "greeting", "Grüß Gott");
    let told = "Grüß Gott 200 text/plain; charset=utf-8";
    eventually("the last value", || (curl(&[&at("/")]).unwrap() == told).then_some(()));
    assert_eq!(curl(&["-I", "-o", "/dev/null", &at("/dev/7")]).unwrap(), " 200 application/json");

    let mut watcher = watch(&broker, "dev/+/set");
    let mut posted = watch(&broker, "posted");
    let done = "{\"success\":true} 200 application/json";
    assert_eq!(curl(&["-X", "PUT", "--data-binary", "{\"on\":false}", &at("/dev/a%20b")]).unwrap(), done);
    assert_eq!(next(&mut watcher), "dev/a b/set={\"on\":false}");
    assert_eq!(curl(&["--data-binary", "x y", &at("/post")]).unwrap(), done);
    assert_eq!(next(&mut posted), "posted=x y");
    // RETAIN of the event.
    assert_eq!(next(&mut watch(&broker, "dev/+/set")), "dev/a b/set={\"on\":false}");

    for (arguments, expected) in [
        (
            &["-X", "DELETE", "/dev/7"][..],
            "{\"success\":false,\"error\":\"the path has other methods\"} 405 application/json",
        ),
        (&["/other"], "{\"success\":false,\"error\":\"there is no such path\"} 404 application/json"),
        (
            &["-X", "PUT", "-d", "x", "/dev/a%2Fb"],
            "{\"success\":false,\"error\":\"a part of the path cannot be a level of a topic\"} 400 application/json",
        ),
    ] {
        let (path, arguments) = arguments.split_last().unwrap();
        let place = at(path);
        assert_eq!(curl(&[arguments, &[&*place]].concat()).unwrap(), expected, "{path}");
    }
    let head = curl(&["-X", "DELETE", "-D", "-", "-o", "/dev/null", &at("/dev/7")]).unwrap();
    assert!(head.to_ascii_lowercase().contains("allow: get, head, put"), "{head}");
    let large = "x".repeat(1024 * 1024 + 1);
    let sent = Program::start_with_input(
        "curl",
        &["-sS", "-w", " %{http_code} %{content_type}", "--data-binary", "@-", &at("/post")],
        &large,
    );
    let refused = "{\"success\":false,\"error\":\"the body is too long\"} 413 application/json";
    assert_eq!(sent.unwrap().wait().output(), refused);
    assert_eq!(broker.command_ok("-checkRouteConnection Web").message(), "Route 'Web' is reachable.");
}

/// Asks in a thread of its own.
fn asking(port: u16, path: &str, body: &str) -> std::thread::JoinHandle<String> {
    let (place, body) = (format!("http://127.0.0.1:{port}{path}"), body.to_owned());
    std::thread::spawn(move || curl(&["--data-binary", &body, &place]).unwrap())
}

#[test]
fn a_request_waits_for_the_message_that_answers_it() {
    if !has_curl() {
        return;
    }
    let events = event(
        "Ask",
        "METHOD \"POST\"\nENDPOINT \"/ask/{id}\"\nDESTINATION_TOPIC \"asked/{id}\"\nSOURCE_TOPIC \"answers/{id}\"",
    );
    let (broker, port) = serving("TIMEOUT 20000", &events);
    let mut device = broker.connect(&ConnectOptions::v5("device"));
    device.subscribe_to("asked/+", QoS::AtLeastOnce).unwrap();
    let mut asked = || device.receive(WAIT_MAX).unwrap().expect("a question");
    let first = asking(port, "/ask/1", "one");
    let question = asked();
    assert_eq!((&*question.topic, &*question.text()), ("asked/1", "one"));
    let second = asking(port, "/ask/1", "two");
    let mark = asked().properties().correlation_data().expect("a mark").to_vec();
    let other = asking(port, "/ask/2", "three");
    let question = asked();
    assert_eq!(question.properties().response_topic(), Some("answers/2"));
    // By its topic, by its mark, and whoever waits longest.
    send(&broker, "answers/2", "for 2");
    assert_eq!(other.join().unwrap(), "for 2 200 text/plain; charset=utf-8");
    let mut sender = broker.connect(&ConnectOptions::v5("marker"));
    let answer = Publication::new("answers/1", "for two").qos(QoS::AtLeastOnce);
    let answer = answer.property(PropertyId::CorrelationData, PropertyValue::Binary(&mark));
    sender.publish(&answer).unwrap();
    assert_eq!(second.join().unwrap(), "for two 200 text/plain; charset=utf-8");
    send(&broker, "answers/1", "7");
    assert_eq!(first.join().unwrap(), "7 200 application/json");

    broker.command_ok(&route(port, "TIMEOUT 200", &events));
    let late = eventually("the new version serves", || {
        let told = asking(port, "/ask/3", "late").join();
        told.ok().filter(|told| told.contains(" 504 "))
    });
    assert_eq!(late, "{\"success\":false,\"error\":\"the route took too long\"} 504 application/json");
}

#[test]
fn request_without_token_is_rejected() {
    if !has_curl() {
        return;
    }
    let broker = at_home().start();
    broker.command_ok("-setSecret WEB=hidden-token");
    let port = free_port();
    broker.command_ok(&route(
        port,
        "SERVER_TOKEN GET SECRET \"WEB\"",
        &event("E", "SOURCE_TOPIC \"a\"\nENDPOINT \"/a\""),
    ));
    wait_for_port(port);
    send(&broker, "a", "1");
    let place = format!("http://127.0.0.1:{port}");
    let refused = "{\"success\":false,\"error\":\"a token is needed\"} 401 application/json";
    for header in ["x: y", "Authorization: Bearer hidden", "Authorization: Basic hidden-token"] {
        for path in ["/a", "/none"] {
            assert_eq!(curl(&["-H", header, &format!("{place}{path}")]).unwrap(), refused, "{header} {path}");
        }
    }
    eventually("the last value", || {
        let told = curl(&["-H", "Authorization: bearer hidden-token", &format!("{place}/a")]).unwrap();
        (told == "1 200 application/json").then_some(())
    });
    assert!(!broker.log().text().contains("hidden-token"));
}

#[test]
fn a_route_serves_with_its_certificate_where_the_operator_allows() {
    if !has_curl() {
        return;
    }
    let authority = Authority::new();
    std::fs::write(authority.path("web.both"), authority.server("server").with_key()).unwrap();
    let roots = authority.path("").display().to_string();
    let broker = at_home().variable("LOTMQ_ROUTES_FILE_ROOTS", &roots).start();
    let port = free_port();
    let mut standing = Standing::of(&broker, "Web");
    let events = event("E", "SOURCE_TOPIC \"a\"");
    broker.command_ok(&route(port, "USE_SSL TRUE", &events));
    standing
        .until("REST_API_CONFIG: it serves with TLS, and neither SERVER_CERT_PATH nor SERVER_CERT is set");
    broker.command_ok(&route(port, "SERVER_CERT_PATH \"web.both\"", &events));
    wait_for_port(port);
    let trusted = authority.file().display().to_string();
    let told = curl(&["--cacert", &trusted, &format!("https://localhost:{port}/")]).unwrap();
    assert_eq!(told, "{\"success\":false,\"error\":\"there is no value\"} 404 application/json");

    let strict = options().start();
    let mut standing = Standing::of(&strict, "Web");
    strict.command_ok(&route(free_port(), "", &events));
    standing.until("127.0.0.1 is none of routes.listen_networks");
    // All addresses, where none is said.
    let anywhere = route(free_port(), "", &events).replace("        WITH SERVER_BIND \"127.0.0.1\"\n", "");
    strict.command_ok(&anywhere);
    standing.until("0.0.0.0 is none of routes.listen_networks");
}

#[test]
fn a_route_may_ask_and_serve() {
    if !has_curl() {
        return;
    }
    let server =
        HttpServer::start(|asked| Answer::of(200, &format!("{} {}", asked.line(), asked.body.len())));
    let base = format!("BASE_ADDRESS \"http://{}\"", server.address);
    let events = event("Ask", "SOURCE_TOPIC \"ask\"\nDESTINATION_TOPIC \"answer\"\nMETHOD \"POST\"")
        + &event("Told", "SOURCE_TOPIC \"answer\"\nENDPOINT \"/last\"\nSIDE \"SERVER\"")
        + &event("In", "DESTINATION_TOPIC \"in\"\nENDPOINT \"/in\"");
    let (broker, port) = serving(&base, &events);
    send(&broker, "ask", "abc");
    let place = format!("http://127.0.0.1:{port}");
    eventually("the answer as last value", || {
        let told = curl(&[&format!("{place}/last")]).unwrap();
        (told == "POST / 3 200 text/plain; charset=utf-8").then_some(())
    });
    let mut watcher = watch(&broker, "in");
    assert_eq!(
        curl(&["-d", "x", &format!("{place}/in")]).unwrap(),
        "{\"success\":true} 200 application/json"
    );
    assert_eq!(next(&mut watcher), "in=x");
    broker.command_ok(&route(
        port,
        &format!("{base}\nENABLE_SERVER FALSE"),
        &events.replace("\n        WITH SIDE \"SERVER\"", ""),
    ));
    eventually("it serves no more", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())
    });
}

#[test]
fn a_port_that_somebody_else_has_is_not_reachable() {
    let (broker, other) = (at_home().start(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = other.local_addr().unwrap().port();
    broker.command_ok(&route(port, "", &event("Root", "SOURCE_TOPIC \"greeting\"")));
    for command in ["-checkRouteConnection Web", "-checkRouteConnection Web -new"] {
        let refused = broker.command(command);
        let expected =
            format!("LISTEN: 127.0.0.1:{port} is in use: another route, process or listener has it");
        assert!(refused.message().contains(&expected), "{}", refused.message());
    }
    drop(other);
    wait_for_port(port);
    for command in ["-checkRouteConnection Web", "-checkRouteConnection Web -new"] {
        assert_eq!(broker.command_ok(command).message(), "Route 'Web' is reachable.");
    }
}
