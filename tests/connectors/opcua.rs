//! `OPCUA`: servers of asyncua that are subscribed to, polled and written, with and without
//! certificates, killed and frozen, and answers that no good server gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually, free_port, python_with_module};

use crate::{Standing, backlog, broker, next, options, publish_all, roomy, send, watch};

/// A server of asyncua.
struct Server {
    program: Program,
    port: u16,
}

impl Server {
    /// Starts one with further arguments; `None` where its package is not installed.
    fn start(port: u16, arguments: &[&str]) -> Option<Server> {
        let python = python_with_module("asyncua")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/opcua/server.py");
        let own = port.to_string();
        let program = Program::start(python, &[&[script, &own], arguments].concat())?;
        let is_ready = program.stdout.wait_for("ready", |line| (line == "ready").then_some(()));
        is_ready.unwrap_or_else(|| panic!("the server ended: {}", program.stderr.text()));
        Some(Server { program, port })
    }

    /// Waits until a value was written, as `<node> <value>`.
    fn was_written(&self, written: &str) {
        let line = format!("wrote {written}");
        let found = self.program.stdout.wait_for(&line, |said| (said == line).then_some(()));
        found.unwrap_or_else(|| panic!("the server ended: {}", self.program.stderr.text()));
    }

    fn signal(&self, signal: &str) {
        Program::run("kill", &[signal, &self.program.process_id().to_string()]).unwrap();
    }

    /// Kills it and starts another one at its port; gives what the first one has said.
    fn replace(mut self) -> (Server, Vec<String>) {
        self.program.kill();
        self.program.stdout.wait_for_end();
        let (port, said) = (self.port, self.program.stdout.all());
        drop(self);
        (Server::start(port, &[]).unwrap(), said)
    }
}

/// A route with settings of its section, and a mapping `M` every 50 ms that publishes below a
/// topic, with tags, each a line of `name setting; setting`.
fn route_of(name: &str, topic: &str, port: u16, settings: &str, tags: &str) -> String {
    let mut text = format!(
        "-addRoute DEFINE ROUTE {name} WITH TYPE OPCUA\n    ADD OPCUA_CONFIG\n        WITH ENDPOINT_URL \"opc.tcp://127.0.0.1:{port}/test/\"\n"
    );
    settings.lines().for_each(|line| text += &format!("        WITH {}\n", line.trim()));
    text += &format!(
        "    ADD MAPPING M\n        WITH SOURCE_TOPIC \"{topic}\"\n        WITH EVERY 50 MILLISECONDS\n"
    );
    for tag in tags.lines().map(str::trim) {
        let (name, settings) = tag.split_once(' ').unwrap();
        text += &format!("        ADD TAG {name}\n");
        settings.split("; ").for_each(|line| text += &format!("            WITH {line}\n"));
    }
    text
}

fn route(port: u16, settings: &str, tags: &str) -> String {
    route_of("Plc", "plc", port, settings, tags)
}

/// The first value of each of so many topics.
fn values(client: &mut Client, topics: usize) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    while values.len() < topics {
        let message = client.receive(WAIT_MAX).unwrap().expect("a value");
        values.entry(message.topic.to_string()).or_insert(message.text());
    }
    values
}

/// Waits for a message, as `topic=payload`.
fn until(client: &mut Client, wanted: &str) {
    while next(client) != wanted {}
}

/// Someone who hears the errors of the route.
fn errors(broker: &Broker) -> Client {
    let mut errors = broker.root("reader of errors");
    errors.subscribe_to("$SYS/Coreflux/Routes/Plc/Error", QoS::AtMostOnce).unwrap();
    errors
}

/// Variables of all types: node, type of the tag, and what is published.
const TYPES: [(&str, &str, &str); 27] = [
    ("s=Boolean", "BOOL", "true"),
    ("s=SByte", "INT8", "-128"),
    ("s=Byte", "UINT8", "255"),
    ("s=Int16", "INT16", "-32768"),
    ("s=UInt16", "UINT16", "65535"),
    ("s=Int32", "INT32", "-2147483648"),
    ("s=UInt32", "UINT32", "4294967295"),
    ("s=Int64", "INT64", "-9223372036854775808"),
    ("s=UInt64", "UINT64", "18446744073709551615"),
    ("s=Float", "FLOAT32", "21.5"),
    ("s=Double", "FLOAT64", "0.1"),
    ("s=String", "STRING", "grün"),
    ("s=DateTime", "STRING", "2026-11-25T01:02:03.500Z"),
    ("s=Guid", "STRING", "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
    ("s=ByteString", "STRING", "AQL/"),
    ("s=XmlElement", "STRING", "<a>1</a>"),
    ("s=NodeId", "STRING", "ns=2;s=A"),
    ("s=StatusCode", "STRING", "BadNotWritable"),
    ("s=QualifiedName", "STRING", "2:Speed"),
    ("s=LocalizedText", "STRING", "auf"),
    ("s=Int16List", "INT16", "[1,-2,3]"),
    ("s=DoubleList", "FLOAT64", "[0.5,1.5]"),
    ("s=StringList", "STRING", r#"["a","b\"c"]"#),
    ("s=BooleanList", "BOOL", "[true,false]"),
    ("s=Matrix", "INT32", "[[1,2,3],[4,5,6]]"),
    ("i=7", "INT32", "7"),
    ("s=ModeNow", "INT32", "1"),
];

#[test]
fn values_of_all_types_are_published_by_subscriptions_and_by_polls() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "+/#");
    let tag = |(at, (node, kind, _)): (usize, &(&str, &str, &str))| {
        format!("t{at} ADDRESS \"ns=2;{node}\"; DATA_TYPE \"{kind}\"")
    };
    let tags: Vec<String> = TYPES.iter().enumerate().map(tag).collect();
    broker.command_ok(&route_of("A", "subscribed", server.port, "", &tags.join("\n")));
    broker.command_ok(&route_of("B", "polled", server.port, "USE_SUBSCRIPTIONS FALSE", &tags.join("\n")));
    let values = values(&mut watcher, 2 * TYPES.len());
    for (at, (node, _, expected)) in TYPES.iter().enumerate() {
        for way in ["subscribed", "polled"] {
            assert_eq!(values[&format!("{way}/t{at}")], *expected, "{node}");
        }
    }
    broker.command_ok("-checkRouteConnection A");
}

#[test]
fn a_subscription_brings_what_changes_and_a_server_without_any_is_polled() {
    let broker = broker();
    for arguments in [&[][..], &["--no-subscriptions"]] {
        let Some(server) = Server::start(free_port(), arguments) else { return };
        let mut watcher = watch(&broker, "plc/#");
        let tags = r#"Counter ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32"
            Still ADDRESS "ns=2;s=Double"; DATA_TYPE "FLOAT64"; SCALING 10"#;
        broker.command_ok(&route(server.port, "", tags));
        let (mut last, mut changes, mut still) = (0, 0, 0);
        while changes < 20 {
            let message = watcher.receive(WAIT_MAX).unwrap().expect("a value");
            if &*message.topic == "plc/Still" {
                assert_eq!(message.text(), "1");
                still += 1;
                continue;
            }
            let count: u32 = message.text().parse().unwrap();
            assert!(count >= last, "{count} behind {last}");
            changes += u32::from(count > last);
            last = count;
        }
        // Subscribed to, what does not change comes once.
        assert_eq!(still == 1, arguments.is_empty(), "{still}");
        broker.command_ok("-removeRoute Plc");
    }
}

/// Variables that are written: node, type of the tag, payload, what the server has then, and what
/// is read back.
const WRITTEN: [(&str, &str, &str, &str, &str); 21] = [
    ("Boolean", "BOOL", "false", "False", "false"),
    ("SByte", "INT8", "-5", "-5", "-5"),
    ("Byte", "UINT8", "6", "6", "6"),
    ("Int16", "INT16", r#"{"value":7}"#, "7", "7"),
    ("UInt16", "UINT16", "8", "8", "8"),
    ("Int32", "INT32", "-9", "-9", "-9"),
    ("UInt32", "FLOAT64", "10", "10", "10"),
    ("Int64", "INT64", "9223372036854775807", "9223372036854775807", "9223372036854775807"),
    ("UInt64", "UINT64", "18446744073709551614", "18446744073709551614", "18446744073709551614"),
    ("Float", "FLOAT32", "0.25", "0.25", "0.25"),
    ("Double", "FLOAT64", "-1e300", "-1e+300", "-1e300"),
    ("String", "STRING", "zwölf", "zwölf", "zwölf"),
    (
        "DateTime",
        "STRING",
        "2026-01-02T03:04:05.25+01:00",
        "2026-01-02 02:04:05.250000+00:00",
        "2026-01-02T02:04:05.250Z",
    ),
    (
        "Guid",
        "STRING",
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000001",
    ),
    ("ByteString", "STRING", "AAE=", r"b'\x00\x01'", "AAE="),
    (
        "NodeId",
        "STRING",
        "ns=2;i=9",
        "NodeId(Identifier=9, NamespaceIndex=2, NodeIdType=<NodeIdType.FourByte: 1>)",
        "ns=2;i=9",
    ),
    ("StatusCode", "STRING", "BadOutOfRange", "StatusCode(value=2151415808)", "BadOutOfRange"),
    ("LocalizedText", "STRING", "zu", "LocalizedText(Locale='de', Text='zu')", "zu"),
    ("Int16List", "INT16", "[4,5]", "[4, 5]", "[4,5]"),
    ("StringList", "STRING", r#"{"value":["x","y"]}"#, "['x', 'y']", r#"["x","y"]"#),
    ("ModeNow", "INT32", "2", "2", "2"),
];

#[test]
fn tag_value_is_written_with_the_type_of_its_variable() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let tag = |(node, kind, ..): &(&str, &str, &str, &str, &str)| {
        format!("{node} ADDRESS \"ns=2;s={node}\"; DATA_TYPE \"{kind}\"; DESTINATION_TOPIC \"write/{node}\"")
    };
    let mut tags: Vec<String> = WRITTEN.iter().map(tag).collect();
    tags.push(
        r#"Fixed ADDRESS "ns=2;s=Fixed"; DATA_TYPE "INT32"; DESTINATION_TOPIC "write/Fixed""#.to_owned(),
    );
    tags.push(
        r#"Small ADDRESS "ns=2;s=Counter"; DATA_TYPE "STRING"; DESTINATION_TOPIC "write/Small""#.to_owned(),
    );
    tags.push(
        r#"Wrong ADDRESS "ns=2;s=XmlElement"; DATA_TYPE "INT16"; DESTINATION_TOPIC "write/Wrong""#.to_owned(),
    );
    tags.push(r#"Gone ADDRESS "ns=2;s=Gone"; DATA_TYPE "INT16"; DESTINATION_TOPIC "write/Gone""#.to_owned());
    broker.command_ok(&route(server.port, "", &tags.join("\n")));
    values(&mut watcher, WRITTEN.len());
    for (node, _, payload, written, read_back) in WRITTEN {
        send(&broker, &format!("write/{node}"), payload);
        server.was_written(&format!("{node} {written}"));
        until(&mut watcher, &format!("plc/{node}={read_back}"));
    }
    let mut errors = errors(&broker);
    for (node, payload, expected) in [
        ("Int16", "32768", "tag M/Int16 is not written: 32768 is out of the range of INT16"),
        ("DateTime", "soon", "tag M/DateTime is not written: 'soon' is no DateTime"),
        ("Int16List", "1", "tag M/Int16List is not written: a JSON array is wanted"),
        ("Small", "4294967296", "tag M/Small is not written: 4294967296 is out of the range of UINT32"),
        ("Wrong", "1", "tag M/Wrong is not written: the variable is a XmlElement, and DATA_TYPE is INT16"),
        ("Fixed", "1", "tag M/Fixed is not written: BadUserAccessDenied"),
        ("Gone", "1", "tag M/Gone is not written: BadNodeIdUnknown"),
    ] {
        send(&broker, &format!("write/{node}"), payload);
        let said = |text: String| text.contains("is not written").then_some(text);
        let told = loop {
            if let Some(told) = said(errors.receive(WAIT_MAX).unwrap().expect("an error").text()) {
                break told;
            }
        };
        assert!(told.contains(expected), "{told}");
    }
    // None of that cost the connection.
    send(&broker, "write/Int16", "1");
    server.was_written("Int16 1");
}

#[test]
fn bad_item_is_reported_with_its_code_and_others_continue() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "+/+");
    for (name, settings) in [("Subscribed", ""), ("Polled", "USE_SUBSCRIPTIONS FALSE")] {
        let mut standing = Standing::of(&broker, name);
        let tags = r#"A ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32"
            Bad ADDRESS "ns=2;s=Nothing"; DATA_TYPE "INT"
            C ADDRESS "ns=2;s=Double"; DATA_TYPE "LREAL"
            Object ADDRESS "ns=2;s=Plant"; DATA_TYPE "INT""#;
        broker.command_ok(&route_of(name, name, server.port, settings, tags));
        let told = standing.until("M/Bad");
        assert!(told.contains("M/Bad: BadNodeIdUnknown; M/Object: BadAttributeIdInvalid"), "{told}");
        assert!(told.contains("\"Connected\""), "{told}");
        let topics: BTreeSet<String> = values(&mut watcher, 2).into_keys().collect();
        assert_eq!(topics, ["A", "C"].map(|tag| format!("{name}/{tag}")).into());
        for _ in 0..5 {
            next(&mut watcher);
        }
        // A value that the tag's type cannot hold is none of that tag, and the connection stays.
        let odd = r#"Odd ADDRESS "ns=2;s=String"; DATA_TYPE "INT"
            A ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32""#;
        broker.command_ok(&route_of(name, &format!("odd-{name}"), server.port, settings, odd));
        let told = standing.until("M/Odd");
        assert!(told.contains("M/Odd: the text 'grün' is no INT16"), "{told}");
        while !next(&mut watcher).starts_with(&format!("odd-{name}/A")) {}
        broker.command_ok(&format!("-removeRoute {name}"));
        // The barrier comes behind all messages of the removed route.
        broker.client("barrier").publish(&Publication::new("barrier/x", "x").qos(QoS::AtLeastOnce)).unwrap();
        until(&mut watcher, "barrier/x=x");
    }
}

#[test]
fn paths_of_browse_names_lead_to_variables() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    let tags = r#"A ADDRESS "Plant/Seven"; DATA_TYPE "INT32"
        B ADDRESS "2:Plant/2:Line&/1/Deep"; DATA_TYPE "INT32"
        C ADDRESS "Plant/Float"; DATA_TYPE "REAL"; DESTINATION_TOPIC "write/c"
        D ADDRESS "0:Server/ServerStatus/State"; DATA_TYPE "INT32"
        Bad ADDRESS "Plant/Motor"; DATA_TYPE "INT32""#;
    broker.command_ok(&route(server.port, "USE_BROWSE_PATH TRUE", tags));
    let told = standing.until("M/Bad");
    assert!(told.contains("M/Bad: BadNoMatch: there is no 'Motor' below ns=2;s=Plant"), "{told}");
    let expected = [("plc/A", "7"), ("plc/B", "42"), ("plc/C", "21.5"), ("plc/D", "0")];
    let expected = expected.map(|(topic, value)| (topic.to_owned(), value.to_owned()));
    assert_eq!(values(&mut watcher, 4), expected.into());
    send(&broker, "write/c", "3.5");
    server.was_written("Float 3.5");
    until(&mut watcher, "plc/C=3.5");
}

/// Certificates of a server and of a user, and the folder of a route below the broker's root of
/// files.
struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Option<Certificates> {
        let python = python_with_module("asyncua")?;
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/opcua/certificates.py");
        let path = folder.path().to_str().unwrap();
        Program::run(python, &[script, path, "server", "user", "stranger"]).unwrap().output();
        fs::create_dir(folder.path().join("trusted")).unwrap();
        fs::create_dir_all(folder.path().join("routes")).unwrap();
        Some(Certificates { folder })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn broker(&self) -> Broker {
        options().variable("LOTMQ_ROUTES_FILE_ROOTS", self.path("routes").to_str().unwrap()).start()
    }

    /// Lets the route trust the server, also before it has begun.
    fn trust_server(&self) {
        let trusted = self.path("routes/opcua/trusted");
        fs::create_dir_all(&trusted).unwrap();
        fs::copy(self.path("server.der"), trusted.join("server.der")).unwrap();
    }

    /// Lets the server trust the route, once it has made its certificate.
    fn trust_route(&self) {
        let own = self.path("routes/opcua/own/cert.der");
        eventually("a certificate of the route", || own.is_file().then_some(()));
        fs::copy(own, self.path("trusted/route.der")).unwrap();
    }
}

/// Whether no file of a folder, nor the log of a broker, has a text.
fn is_nowhere(broker: &Broker, folder: &Path, secret: &str) {
    assert!(!broker.log().text().contains(secret));
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let has = |bytes: Vec<u8>| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!path.is_file() || !has(fs::read(&path).unwrap()), "{}", path.display());
    }
}

const COUNTER: &str = r#"T ADDRESS "ns=2;s=Int16"; DATA_TYPE "INT"; DESTINATION_TOPIC "write/t""#;

#[test]
fn a_server_is_trusted_when_its_certificate_is_and_its_user_is_let_in() {
    let Some(certificates) = Certificates::make() else { return };
    let folder = certificates.folder.path().to_str().unwrap();
    let Some(server) = Server::start(free_port(), &["--users", "--certificates", folder]) else { return };
    let broker = certificates.broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok("-setSecret PLC=not-the-password");
    let security =
        "SECURITY_POLICY \"Basic256Sha256\"\nSECURITY_MODE \"SignAndEncrypt\"\nSTORAGE_DIR \"opcua\"";
    let user = "USERNAME \"operator\"\nPASSWORD GET SECRET \"PLC\"";
    // Each is a new route, so that none waits for the next try of the one before.
    let deploy = |number: u32| {
        let settings = format!("{security}\n{user}\nREQUEST_TIMEOUT {number}");
        broker.command_ok(&route(server.port, &settings, COUNTER));
    };
    // Nobody knows the server.
    deploy(9_001);
    let told = standing.until("is not trusted");
    assert!(told.contains("certificate 'CN=server'"), "{told}");
    let only =
        |folder: &str| fs::read_dir(certificates.path(folder)).unwrap().next().unwrap().unwrap().path();
    let rejected = only("routes/opcua/rejected");
    let name = rejected.file_name().unwrap().to_str().unwrap();
    assert!(told.contains(&format!("once rejected/{name} is moved to trusted/")), "{told}");
    let trusted = certificates.path("routes/opcua/trusted").join(rejected.file_name().unwrap());
    fs::rename(rejected, &trusted).unwrap();
    // The server does not know the route.
    deploy(9_002);
    standing.until("BadCertificateUntrusted");
    certificates.trust_route();
    // It does, and the password is wrong.
    deploy(9_003);
    standing.until("ActivateSession: BadUserAccessDenied");
    broker.command_ok("-setSecret PLC=s3cret");
    deploy(9_004);
    until(&mut watcher, "plc/T=-32768");
    send(&broker, "write/t", "12");
    server.was_written("Int16 12");
    until(&mut watcher, "plc/T=12");
    // Somebody else's certificate in the server's place is none that is trusted.
    fs::copy(certificates.path("stranger.der"), trusted).unwrap();
    deploy(9_005);
    standing.until("is not trusted");
    for secret in ["not-the-password", "s3cret"] {
        is_nowhere(&broker, &certificates.path("routes/opcua/own"), secret);
    }
}

#[test]
fn every_policy_mode_and_token_is_spoken() {
    let Some(certificates) = Certificates::make() else { return };
    let folder = certificates.folder.path().to_str().unwrap();
    let Some(server) = Server::start(free_port(), &["--users", "--certificates", folder]) else { return };
    let broker = certificates.broker();
    let mut watcher = watch(&broker, "plc/#");
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok("-setSecret PLC=s3cret");
    let user = certificates.path("routes/opcua/user");
    fs::create_dir_all(&user).unwrap();
    fs::copy(certificates.path("user.der"), user.join("cert.der")).unwrap();
    fs::copy(certificates.path("user.pem"), user.join("key.pem")).unwrap();
    certificates.trust_server();
    let named = "USERNAME \"operator\"\nPASSWORD GET SECRET \"PLC\"";
    broker.command_ok(&route(
        server.port,
        &format!("USE_SECURITY TRUE\nSTORAGE_DIR \"opcua\"\n{named}"),
        COUNTER,
    ));
    certificates.trust_route();
    until(&mut watcher, "plc/T=-32768");
    for (number, (policy, mode, token)) in [
        ("Basic256Sha256", "Sign", named),
        ("3", "2", "AUTH_MODE 2"),
        ("Aes128_Sha256_RsaOaep", "SignAndEncrypt", named),
        ("Aes128_Sha256_RsaOaep", "Sign", "AUTH_MODE 2"),
        ("Aes256_Sha256_RsaPss", "SignAndEncrypt", named),
        ("Aes256_Sha256_RsaPss", "1", "AUTH_MODE 2"),
    ]
    .into_iter()
    .enumerate()
    {
        let settings =
            format!("SECURITY_POLICY \"{policy}\"\nSECURITY_MODE \"{mode}\"\nSTORAGE_DIR \"opcua\"\n{token}");
        broker.command_ok(&route(server.port, &settings, COUNTER));
        send(&broker, "write/t", &number.to_string());
        server.was_written(&format!("Int16 {number}"));
        until(&mut watcher, &format!("plc/T={number}"));
    }
    // If the server lacks the setting, the status lists the settings that it has.
    for (settings, expected) in [
        (named, "the server does not offer None with None, but Basic256Sha256 with"),
        (
            "USE_SECURITY FALSE\nSECURITY_POLICY 3\nSECURITY_MODE 2",
            "the server does not offer None with None",
        ),
    ] {
        broker.command_ok(&route(server.port, settings, COUNTER));
        standing.until(expected);
    }
}

/// As the reference writes it: there is no key for a folder.
#[test]
fn a_route_with_security_has_a_folder_of_its_own_for_its_certificates() {
    let Some(certificates) = Certificates::make() else { return };
    let folder = certificates.folder.path().to_str().unwrap();
    let Some(server) = Server::start(free_port(), &["--certificates", folder]) else { return };
    let broker = options().start();
    let mut watcher = watch(&broker, "plc/#");
    let settings =
        "USE_SECURITY TRUE\nSECURITY_POLICY 3\nSECURITY_MODE 2\nAUTO_ACCEPT_UNTRUSTED_CERTIFICATES TRUE";
    broker.command_ok(&route(server.port, settings, COUNTER));
    let own = broker.data().join("files/default/opcua/Plc/own/cert.der");
    eventually("a certificate of the route", || own.is_file().then_some(()));
    fs::copy(own, certificates.path("trusted/route.der")).unwrap();
    until(&mut watcher, "plc/T=-32768");
}

#[test]
fn keys_are_renewed_before_they_expire_while_values_come() {
    let Some(certificates) = Certificates::make() else { return };
    let folder = certificates.folder.path().to_str().unwrap();
    let arguments = ["--certificates", folder, "--token-lifetime", "2000"];
    let Some(server) = Server::start(free_port(), &arguments) else { return };
    let broker = certificates.broker();
    let mut watcher = watch(&broker, "plc/Counter");
    certificates.trust_server();
    let own = certificates.path("routes/opcua/own");
    fs::create_dir_all(&own).unwrap();
    fs::copy(certificates.path("stranger.der"), own.join("cert.der")).unwrap();
    fs::copy(certificates.path("stranger.pem"), own.join("key.pem")).unwrap();
    fs::copy(certificates.path("stranger.der"), certificates.path("trusted/route.der")).unwrap();
    let tags = r#"Counter ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32"
        Target ADDRESS "ns=2;s=Int32"; DATA_TYPE "INT32"; DESTINATION_TOPIC "write/target""#;
    broker.command_ok(&route(server.port, "USE_SECURITY TRUE\nSTORAGE_DIR \"opcua\"", tags));
    for renewals in 1..=3 {
        // Values come all the while.
        while server.program.stdout.all().iter().filter(|line| *line == "renewed").count() < renewals {
            next(&mut watcher);
        }
        until_counting(&mut watcher);
        send(&broker, "write/target", &renewals.to_string());
        server.was_written(&format!("Int32 {renewals}"));
    }
    // All of that on the connection that was opened first.
    let report = broker.command_ok("-lotDiagnostic route Plc");
    assert!(report.data()["lastError"].is_null(), "{report:?}");
}

#[test]
fn a_server_that_was_killed_under_load_has_all_writes_and_subscriptions_again() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/Counter");
    let mut standing = Standing::of(&broker, "Plc");
    let tags = r#"Counter ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32"
        Target ADDRESS "ns=2;s=Int32"; DATA_TYPE "INT32"; DESTINATION_TOPIC "write/target""#;
    broker.command_ok(&route(server.port, "", tags));
    next(&mut watcher);
    let mut client = broker.client("sender of many");
    let mut write = |value: u32| {
        client.publish(&Publication::new("write/target", value.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    };
    (0..500).for_each(&mut write);
    server.was_written("Int32 100");
    let (server, written) = server.replace();
    (500..1_000).for_each(&mut write);
    server.was_written("Int32 999");
    // Each value was written before or behind the fall, and in order; what the fall left without an
    // answer was written again.
    let count = |line: &String| line.strip_prefix("wrote Int32 ").and_then(|value| value.parse::<u32>().ok());
    let mut all: Vec<u32> = written.iter().chain(&server.program.stdout.all()).filter_map(count).collect();
    let steps_back = all.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(steps_back <= 1, "{steps_back} steps back");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..1_000).collect::<Vec<u32>>());
    standing.until("\"Connected\"");
    until_counting(&mut watcher);
}

/// Waits until ten values in a row have grown, so that they come of a subscription that lives.
fn until_counting(watcher: &mut Client) {
    let (mut last, mut growing) = (u32::MAX, 0);
    while growing < 10 {
        let value: u32 = watcher.receive(WAIT_MAX).unwrap().expect("a value").text().parse().unwrap();
        growing = if value > last { growing + 1 } else { 0 };
        last = value;
    }
}

#[test]
fn a_server_that_hangs_is_away_until_it_answers() {
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    for (name, settings) in [("Polled", "USE_SUBSCRIPTIONS FALSE"), ("Subscribed", "USE_SUBSCRIPTIONS TRUE")]
    {
        let mut watcher = watch(&broker, &format!("{name}/#"));
        let mut standing = Standing::of(&broker, name);
        broker.command_ok(&route_of(
            name,
            name,
            server.port,
            &format!("{settings}\nREQUEST_TIMEOUT 300\nTIMEOUT 2000"),
            r#"Counter ADDRESS "ns=2;s=Counter"; DATA_TYPE "UINT32"; DESTINATION_TOPIC "write/t""#,
        ));
        next(&mut watcher);
        server.signal("-STOP");
        // A subscription would be missed when its signs of life are; a write is at once.
        send(&broker, "write/t", "1");
        let told = standing.until("\"Reconnecting\"");
        assert!(told.contains("the server does not answer within 300 ms"), "{told}");
        server.signal("-CONT");
        standing.until("\"Connected\"");
        until_counting(&mut watcher);
        broker.command_ok(&format!("-removeRoute {name}"));
    }
}

#[test]
fn a_slow_server_is_waited_for() {
    let Some(server) = Server::start(free_port(), &["--slow", "0.1"]) else { return };
    let broker = broker();
    let mut watcher = watch(&broker, "plc/#");
    broker.command_ok(&route(server.port, "USE_SUBSCRIPTIONS FALSE", COUNTER));
    for _ in 0..3 {
        assert_eq!(next(&mut watcher), "plc/T=-32768");
    }
    let report = broker.command_ok("-lotDiagnostic route Plc");
    assert!(report.data()["lastError"].is_null(), "{report:?}");
}

#[test]
fn malformed_reply_is_reported_and_ends_the_connection() {
    let greeting = |bytes: u32| {
        let sizes = [0, bytes, 65_535, 0, 0].map(u32::to_le_bytes).concat();
        [&b"ACKF"[..], &28u32.to_le_bytes(), &sizes].concat()
    };
    let after = |rest: &[u8]| [&greeting(65_535), rest].concat();
    let error =
        [&b"ERRF"[..], &22u32.to_le_bytes(), &0x807D_0000u32.to_le_bytes(), &6u32.to_le_bytes(), b"no way"]
            .concat();
    let broker = broker();
    for (number, (reply, expected)) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "the server does not speak OPC UA"),
        (b"ACKF\xFF\xFF\xFF\xFF".to_vec(), "a frame of 4294967295 bytes"),
        (b"ACKF\x08\0\0\0".to_vec(), "the server's greeting cannot be read"),
        (greeting(100), "the server takes chunks of 100 bytes"),
        (error, "the server says BadTcpServerTooBusy: no way"),
        (after(b"OPNF\x09\0\0\0x"), "the server sends a chunk of 9 bytes"),
        (after(&[b"OPNF\x28\0\0\0", &[0xFF; 32][..]].concat()), "cannot be read"),
        (after(b"MSGF\x18\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0"), "cannot be read"),
    ]
    .into_iter()
    .enumerate()
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1_024]).and_then(|_| stream.write_all(&reply));
                // Until the other side has had enough.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let name = format!("Plc{number}");
        let mut standing = Standing::of(&broker, &name);
        broker.command_ok(&route_of(&name, "plc", port, "TIMEOUT 5000", COUNTER));
        let told = standing.until(expected);
        assert!(told.contains("\"Reconnecting\""), "{expected}: {told}");
    }
}

#[test]
fn ten_thousand_values_are_written_in_their_order() {
    let count = backlog(10_000);
    let Some(server) = Server::start(free_port(), &[]) else { return };
    let broker = broker();
    let mut standing = Standing::of(&broker, "Plc");
    let tag = r#"T ADDRESS "ns=2;s=Int32"; DATA_TYPE "INT32"; DESTINATION_TOPIC "write/t""#;
    broker.command_ok(&roomy(&route(server.port, "", tag)));
    standing.until("\"Connected\"");
    publish_all(&broker, (0..count).map(|value| ("write/t".to_owned(), value.to_string())));
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    server.was_written(&format!("Int32 {}", count - 1));
    let lines = server.program.stdout.all();
    let written: Vec<usize> =
        lines.iter().filter_map(|line| line.strip_prefix("wrote Int32 ")?.parse().ok()).collect();
    assert_eq!(written, (0..count).collect::<Vec<_>>());
}

#[test]
fn wrong_settings_are_reported_by_name() {
    let broker = broker();
    let tag = r#"T ADDRESS "ns=2;s=A"; DATA_TYPE "INT""#;
    for (settings, tags, expected) in [
        ("AUTH_MODE 3", tag, "AUTH_MODE is a whole number from 0 to 2"),
        ("SECURITY_POLICY \"Best\"", tag, "SECURITY_POLICY"),
        ("SECURITY_MODE \"Maybe\"", tag, "SECURITY_MODE"),
        ("USE_SECURITY \"perhaps\"", tag, "USE_SECURITY"),
        ("AUTO_ACCEPT_UNTRUSTED_CERTIFICATES 7", tag, "AUTO_ACCEPT_UNTRUSTED_CERTIFICATES"),
        ("SUPPRESS_NONCE_VALIDATION_ERRORS 7", tag, "SUPPRESS_NONCE_VALIDATION_ERRORS"),
        ("USE_BROWSE_PATH 7", tag, "USE_BROWSE_PATH"),
        ("USE_SUBSCRIPTIONS 7", tag, "USE_SUBSCRIPTIONS"),
        ("TIMEOUT \"long\"", tag, "TIMEOUT"),
        ("REQUEST_TIMEOUT \"long\"", tag, "REQUEST_TIMEOUT"),
        ("ENDPOINT \"x\"", tag, "ENDPOINT"),
        ("", r#"T ADDRESS "ns=2;s=A""#, "needs DATA_TYPE"),
        ("", r#"T DATA_TYPE "INT""#, "needs ADDRESS"),
        ("", r#"T ADDRESS "ns=2;s=A"; DATA_TYPE "INTEGER""#, "DATA_TYPE"),
        ("AUTH_MODE 1", tag, "AUTH_MODE is 1, user and password, and USERNAME is missing"),
        ("USE_BROWSE_PATH TRUE\nBROWSE_ROOT \"Here\"", tag, "BROWSE_ROOT is one of Objects"),
        ("SECURITY_POLICY 2", tag, "SECURITY_POLICY is `2`, which is broken and not spoken any more"),
        ("USE_SECURITY TRUE\nSECURITY_POLICY 0\nSECURITY_MODE 0", tag, "USE_SECURITY is TRUE, and"),
        ("", r#"T ADDRESS "A.B"; DATA_TYPE "INT""#, "ADDRESS `A.B`: it is no node id"),
    ] {
        let reply = format!("{:?}", broker.command(&route(4_840, settings, tags)));
        assert!(reply.contains(expected), "{settings} {tags}: {reply}");
    }
    let mut standing = Standing::of(&broker, "Plc");
    broker.command_ok("-setSecret PLACE=A.B");
    // Nobody is there: a mistake that the text does not say is told all the same.
    broker.command_ok(&route(free_port(), "", r#"T ADDRESS GET SECRET "PLACE"; DATA_TYPE "INT""#));
    standing.until("tag M/T: ADDRESS 'A.B': it is no node id");
    let Some(server) = Server::start(free_port(), &[]) else { return };
    for (settings, expected) in [
        ("AUTH_MODE 2", "the server lets nobody in with a certificate"),
        (
            "USE_SECURITY TRUE\nSTORAGE_DIR \"opcua\"",
            "the server does not offer Basic256Sha256 with SignAndEncrypt",
        ),
    ] {
        broker.command_ok(&route(server.port, settings, tag));
        standing.until(expected);
    }
}
