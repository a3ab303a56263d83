//! `NATS`: subjects and streams at a NATS server, with what goes wrong on the way and at its end.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Authority, Program, Signed, WAIT_MAX, eventually, free_port};

use crate::{Standing, backlog, broker, next, publish_all, send, watch};

/// A server in a folder of its own, at a free port of this machine.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    port: u16,
    name: String,
    program: Option<Program>,
}

impl Server {
    /// Starts one with these lines in its configuration; `None` where it is not installed.
    pub(crate) fn start(more: &str) -> Option<Server> {
        Server::start_program(program(), more)
    }

    /// Starts this program in place of the system's.
    pub(crate) fn start_program(name: String, more: &str) -> Option<Server> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut text = format!("listen: \"127.0.0.1:{port}\"\n{more}\n");
        writeln!(text, "jetstream {{ store_dir: \"{}\" }}", folder.path().join("js").display()).unwrap();
        std::fs::write(folder.path().join("nats.conf"), text).unwrap();
        let mut server = Server { folder, port, name, program: None };
        server.start_again();
        server.program.is_some().then_some(server)
    }

    fn secured(signed: &Signed) -> Option<Server> {
        let (certificate, key) = (signed.certificate.display(), signed.key.display());
        Server::start(&format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts it in the folder and at the port that it has.
    pub(crate) fn start_again(&mut self) {
        let config = self.folder.path().join("nats.conf");
        self.program = Program::start(&self.name, &["-c", config.to_str().unwrap()]);
        if self.program.is_some() {
            eventually("the server answers", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok());
        }
    }

    pub(crate) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port, "")
    }
}

/// Server of the system. Debian keeps it where only root's search path looks.
fn program() -> String {
    let place = "/usr/sbin/nats-server";
    if std::path::Path::new(place).is_file() { place.to_owned() } else { "nats-server".to_owned() }
}

/// The server of the system, and the newer one that `scripts/require` installs beside the tests'
/// Python.
pub(crate) fn programs() -> Vec<String> {
    let python = std::env::var("LOTMQ_TEST_PYTHON").ok();
    let newest = python.map(|python| std::path::Path::new(&python).with_file_name("nats-server"));
    let newest = newest.filter(|place| place.is_file()).map(|place| place.display().to_string());
    std::iter::once(program()).chain(newest).collect()
}

/// A client that speaks the protocol's own words.
pub(crate) struct Client {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16, login: &str) -> Client {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let mut client = Client { stream, lines };
        client.says(&format!("CONNECT {{\"verbose\":false,\"headers\":true{login}}}\r\nPING\r\n"));
        while client.line() != "PONG" {}
        client
    }

    fn says(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn subscribe(&mut self, subject: &str) {
        self.says(&format!("SUB {subject} 1\r\nPING\r\n"));
        while self.line() != "PONG" {}
    }

    /// The next message: subject, headers and payload.
    fn next(&mut self) -> (String, String, String) {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            let (headers, whole) = match words[0] {
                "MSG" => (0, words[words.len() - 1].parse::<usize>().unwrap()),
                "HMSG" => (words[words.len() - 2].parse().unwrap(), words[words.len() - 1].parse().unwrap()),
                "PING" => {
                    self.says("PONG\r\n");
                    continue;
                }
                _ => continue,
            };
            let mut body = vec![0; whole + 2];
            self.lines.read_exact(&mut body).unwrap();
            body.truncate(whole);
            let payload = String::from_utf8(body.split_off(headers)).unwrap();
            return (words[1].to_owned(), String::from_utf8(body).unwrap(), payload);
        }
    }

    /// Returns the answer of the stream API.
    pub(crate) fn ask(&mut self, subject: &str, payload: &str) -> serde_json::Value {
        self.subscribe("_INBOX.test");
        self.says(&format!("PUB {subject} _INBOX.test {}\r\n{payload}\r\n", payload.len()));
        serde_json::from_str(&self.next().2).unwrap()
    }

    fn make_stream(&mut self, more: &str) {
        let config = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"file\"{more}}}");
        let made = self.ask("$JS.API.STREAM.CREATE.S", &config);
        assert!(made["error"].is_null(), "{made}");
    }

    fn stored(&mut self) -> u64 {
        self.ask("$JS.API.STREAM.INFO.S", "")["state"]["messages"].as_u64().unwrap_or_default()
    }
}

/// A route to a port with lines in its section, and mappings.
fn route(port: u16, section: &str, mappings: &str) -> String {
    let place = format!("    ADD NATS_CONFIG\n        WITH SERVER \"127.0.0.1\"\n        WITH PORT {port}\n");
    let section = section.lines().fold(place, |text, line| format!("{text}        WITH {line}\n"));
    format!("-addRoute DEFINE ROUTE Bus WITH TYPE NATS\n{section}{mappings}")
}

fn mapping(name: &str, lines: &str) -> String {
    lines
        .lines()
        .fold(format!("    ADD MAPPING {name}\n"), |text, line| format!("{text}        WITH {line}\n"))
}

fn outward(topic: &str, subject: &str) -> String {
    mapping("Out", &format!("SOURCE_TOPIC \"{topic}\"\nDESTINATION_TOPIC \"{subject}\""))
}

#[test]
fn messages_go_both_ways_with_what_they_say_of_themselves() {
    let Some(server) = Server::start("") else { return };
    let broker = broker();
    let (mut here, mut errors) = (broker.connect(&ConnectOptions::v5("here")), broker.root("errors"));
    here.subscribe_to("nats/#", QoS::AtLeastOnce).unwrap();
    errors.subscribe_to("$SYS/Coreflux/Routes/Bus/Error", QoS::AtLeastOnce).unwrap();
    let mut there = server.client();
    there.subscribe(">");
    let inward = "SOURCE_TOPIC \"orders.*\"\nDIRECTION \"in\"\nDESTINATION_TOPIC \"nats/#\"\nQOS 1";
    let mappings = outward("plant/#", "mqtt.>")
        + &mapping("In", inward)
        + &mapping("All", "SOURCE_TOPIC \"all/+\"\nDESTINATION_TOPIC \"all\"");
    broker.command_ok(&route(server.port, "", &mappings));
    let mut sender = broker.connect(&ConnectOptions::v5("sender"));
    let message = Publication::new("plant/press/t", "21.5").qos(QoS::AtLeastOnce);
    let message = message.property(PropertyId::ContentType, PropertyValue::Utf8("text/plain"));
    sender
        .publish(&message.property(PropertyId::UserProperty, PropertyValue::Utf8Pair("unit", "C")))
        .unwrap();
    let (subject, headers, payload) = there.next();
    assert_eq!((&*subject, &*payload), ("mqtt.plant.press.t", "21.5"));
    assert_eq!(headers, "NATS/1.0\r\nContent-Type: text/plain\r\nunit: C\r\n\r\n");
    send(&broker, "all/x", "1\r\nPUB evil 0\r\n\r\n");
    assert_eq!(there.next(), ("all".to_owned(), String::new(), "1\r\nPUB evil 0\r\n\r\n".to_owned()));
    // A level that is no part of a subject.
    send(&broker, "plant/a.b", "1");
    let told = errors.receive(WAIT_MAX).unwrap().expect("an error").text();
    assert!(told.contains("the level 'a.b' of its topic is no part of a subject"), "{told}");
    there.says("HPUB orders.press 26 31\r\nNATS/1.0\r\nby: somebody\r\n\r\nstart\r\n");
    let order = here.receive(WAIT_MAX).unwrap().expect("an order");
    assert_eq!((&*order.topic, &*order.text()), ("nats/orders/press", "start"));
    assert_eq!(order.properties().user_properties().collect::<Vec<_>>(), [("by", "somebody")]);
    there.says(
        &(0..2_000)
            .map(|number| {
                let text = number.to_string();
                format!("PUB orders.x {}\r\n{text}\r\n", text.len())
            })
            .collect::<String>(),
    );
    for number in 0..2_000 {
        assert_eq!(here.receive(WAIT_MAX).unwrap().expect("one of many").text(), number.to_string());
    }
    assert_eq!(broker.command_ok("-checkRouteConnection Bus").message(), "Route 'Bus' is reachable.");
}

#[test]
fn a_stream_has_each_message_once_whatever_is_killed_or_frozen() {
    let count = backlog(9_000);
    let Some(mut server) = Server::start("") else { return };
    server.client().make_stream("");
    let broker = broker();
    let section = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    broker.command_ok(&route(server.port, "JETSTREAM TRUE\nTIMEOUT 1", &(section + &outward("in/+", "s.>"))));
    let messages =
        |from: usize, to: usize| (from..to).map(|number| (format!("in/{}", number % 3), number.to_string()));
    publish_all(&broker, messages(0, count / 3));
    eventually("some are there", || (server.client().stored() > 0).then_some(()));
    server.kill();
    publish_all(&broker, messages(count / 3, 2 * count / 3));
    server.start_again();
    eventually("it goes on", || (server.client().stored() > (count / 2) as u64).then_some(()));
    let frozen = server.program.as_ref().unwrap().freeze();
    let mut standing = Standing::of(&broker, "Bus");
    publish_all(&broker, messages(2 * count / 3, count));
    standing.until("\"Reconnecting\"");
    drop(frozen);
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    // The stream recognises a repeated message by its number.
    assert_eq!(server.client().stored(), count as u64);
    let mut reader = server.client();
    let consumer = r#"{"stream_name":"S","config":{"deliver_subject":"read","ack_policy":"none","deliver_policy":"all"}}"#;
    reader.subscribe("read");
    reader.says(&format!("PUB $JS.API.CONSUMER.CREATE.S {}\r\n{consumer}\r\n", consumer.len()));
    let mut last = [None; 3];
    for _ in 0..count {
        let (_, _, payload) = reader.next();
        let number: usize = payload.parse().unwrap();
        let of_topic = &mut last[number % 3];
        assert!(of_topic.is_none_or(|last| last < number), "{number} behind {of_topic:?}");
        *of_topic = Some(number);
    }
}

#[test]
fn a_stream_that_is_not_there_or_takes_no_more_is_waited_for() {
    let Some(server) = Server::start("") else { return };
    let broker = broker();
    let mut standing = Standing::of(&broker, "Bus");
    broker.command_ok(&route(server.port, "JETSTREAM TRUE", &outward("in/+", "s.>")));
    send(&broker, "in/a", "1");
    standing.until("no stream takes this subject");
    server.client().make_stream(",\"max_msgs\":2,\"discard\":\"new\",\"max_msg_size\":100");
    eventually("it is there", || (server.client().stored() == 1).then_some(()));
    // A message that can never pass costs only itself.
    send(&broker, "in/a", &"x".repeat(200));
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    send(&broker, "in/a", "2");
    send(&broker, "in/a", "3");
    standing.until("maximum messages exceeded");
    server.client().ask("$JS.API.STREAM.PURGE.S", "");
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    assert_eq!(server.client().stored(), 1);
}

#[test]
fn failed_login_holds_messages_back_and_reveals_no_secret() {
    const USERS: &str = "authorization { users: [ { user: app, password: right-password, permissions: { publish: [\"s.>\", \"_INBOX.>\"], subscribe: \"_INBOX.>\" } } ] }";
    let Some(server) = Server::start(USERS) else { return };
    let broker = broker();
    broker.command_ok("-setSecret NATS=hidden-password");
    let login = "USERNAME \"app\"\nPASSWORD GET SECRET \"NATS\"";
    for (section, topic, told) in [
        ("", "s", "Authorization Violation"),
        (login, "s", "Authorization Violation"),
        ("TOKEN \"hidden-password\"", "s", "Authorization Violation"),
        ("USERNAME \"app\"\nPASSWORD \"right-password\"", "denied", "Permissions Violation for Publish to"),
    ] {
        let mut standing = Standing::of(&broker, "Bus");
        broker.command_ok(&route(server.port, section, &outward("in/+", &format!("{topic}.>"))));
        send(&broker, "in/a", "1");
        let status = standing.until(told);
        assert!(status.contains("\"Disconnected\"") && !status.contains("hidden-password"), "{status}");
    }
    broker.command_ok(&route(server.port, login, &outward("in/+", "s.>")));
    broker.command_ok("-setSecret NATS=right-password");
    // The waiting messages go out.
    broker.wait_until_metric_is("lotmq_route_outbox_bytes", 0.0);
    assert!(
        !broker.log().text().contains("hidden-password") && !broker.log().text().contains("right-password")
    );
}

#[test]
fn a_server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = Server::secured(&authority.server("localhost")) else { return };
    let broker = broker();
    let pem = std::fs::read_to_string(authority.file()).unwrap();
    broker.command_ok(&format!("-setSecret CA={}", pem.trim().replace('\n', "\\n")));
    let mut answers = watch(&broker, "back/#");
    let blocks = outward("in/+", "echo.>")
        + &mapping("In", "SOURCE_TOPIC \"echo.>\"\nDIRECTION \"in\"\nDESTINATION_TOPIC \"back/#\"\nQOS 1");
    for section in [
        "USE_TLS TRUE\nSERVER_CA_CERT GET SECRET \"CA\"\nTLS_SERVER_NAME \"localhost\"",
        "USE_TLS TRUE\nALLOW_UNTRUSTED_CERTS TRUE",
    ] {
        let mut standing = Standing::of(&broker, "Bus");
        broker.command_ok(&route(server.port, section, &blocks));
        standing.until("\"Connected\"");
        send(&broker, "in/a", "secret");
        assert_eq!(next(&mut answers), "back/echo/in/a=secret", "{section}");
    }
    for (section, told) in [("USE_TLS TRUE", "TLS: "), ("", "the server wants TLS: USE_TLS TRUE")] {
        let mut standing = Standing::of(&broker, "Bus");
        broker.command_ok(&route(server.port, section, &blocks));
        standing.until(told);
    }
}

#[test]
fn protocol_violation_counts_as_outage_and_invalid_definition_is_reported() {
    let broker = broker();
    let out = outward("in/#", ">");
    for (answer, told) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what it sends is not NATS"),
        (b"", "has ended"),
        (b"INFO {\"max_payload\":9}\r\n", "it has not answered for 1 s"),
        (b"INFO {}\r\n-ERR 'maximum connections exceeded'\r\n", "maximum connections exceeded"),
        (b"INFO {}\r\nMSG a 1 99999999\r\n", "it sends a message of 99999999 bytes"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.write_all(answer);
                if !answer.is_empty() {
                    // Until the other side has had enough.
                    while stream.read(&mut [0; 1_024]).is_ok_and(|count| count > 0) {}
                }
            }
        });
        let mut standing = Standing::of(&broker, "Bus");
        broker.command_ok(&route(port, "TIMEOUT 1", &out));
        standing.until(told);
    }
    for (definition, told) in [
        (route(1, "", &out).replace("        WITH SERVER \"127.0.0.1\"\n", ""), "NATS_CONFIG needs SERVER"),
        (route(1, "TIMEOUT 0", &out), "TIMEOUT is a whole number from 1 to 3600"),
        (route(1, "JETSTREAM 2", &out), "JETSTREAM is TRUE or FALSE"),
        (route(1, "", &mapping("M", "DIRECTION \"in\"")), "needs SOURCE_TOPIC"),
        (route(1, "PASSWORD \"p\"", &out), "PASSWORD needs USERNAME"),
    ] {
        let refused = broker.command(&definition);
        assert!(refused.message().contains(told), "{told}: {refused:?}");
    }
    for (section, blocks, told) in [
        ("", outward("in", "a.*"), "Out: DESTINATION_TOPIC is no subject"),
        ("", mapping("M", "SOURCE_TOPIC \"a b\"\nDIRECTION \"in\""), "M: SOURCE_TOPIC is no subject"),
    ] {
        let mut standing = Standing::of(&broker, "Bus");
        broker.command_ok(&route(1, section, &blocks));
        standing.until(told);
    }
}
