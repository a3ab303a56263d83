//! Addresses with `mongodb+srv://`: a small name server of these tests has the records of their
//! servers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use lotmq_test_support::{Authority, Broker, free_port};
use serde_json::json;

use super::{Server, documents, route};
use crate::{Standing, options, send};

/// Service of these tests. Its domain is `0.0.1`, so that `127.0.0.1` is in it: a server that
/// nobody has to look up.
const SERVICE: &str = "cluster.0.0.1";

/// Records that the name server has.
#[derive(Clone, Default)]
struct Zone {
    servers: Vec<(&'static str, u16)>,
    texts: Vec<&'static str>,
    /// Over UDP it says only that there is more.
    truncates: bool,
    /// It answers nothing.
    is_silent: bool,
    /// Code of all answers: 2 is SERVFAIL.
    code: u8,
}

/// Name server at a port of this machine, over UDP and TCP. Its threads end with the process.
struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    fn start(zone: Zone) -> NameServer {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let zone = Arc::new(Mutex::new(zone));
        let of_udp = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut query) {
                let zone = of_udp.lock().unwrap().clone();
                if !zone.is_silent {
                    // One of somebody else comes first.
                    let mut foreign = zone.answer(&query[..length], true);
                    foreign[0] ^= 0xff;
                    udp.send_to(&foreign, from).unwrap();
                    udp.send_to(&zone.answer(&query[..length], true), from).unwrap();
                }
            }
        });
        let of_tcp = Arc::clone(&zone);
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut query).unwrap();
                let answer = of_tcp.lock().unwrap().answer(&query, false);
                let length = u16::try_from(answer.len()).unwrap();
                stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).unwrap();
            }
        });
        NameServer { address, zone }
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.lock().unwrap());
    }

    /// A broker that asks it.
    fn broker(&self) -> Broker {
        options().variable("LOTMQ_ROUTES_NAME_SERVERS", &self.address.to_string()).start()
    }
}

impl Zone {
    fn answer(&self, query: &[u8], is_udp: bool) -> Vec<u8> {
        let question = &query[12..];
        let is_truncated = is_udp && self.truncates;
        let (name, kind) = (name_of(question), question[question.len() - 3]);
        let all: Vec<Vec<u8>> = match kind {
            33 if name == format!("_mongodb._tcp.{SERVICE}") => {
                let data = |(host, port): &(&str, u16)| {
                    [&[0, 0, 0, 0], &port.to_be_bytes()[..], &labels(host)].concat()
                };
                self.servers.iter().map(data).collect()
            }
            16 if name == SERVICE => {
                self.texts.iter().map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
            }
            _ => Vec::new(),
        };
        let all = if is_truncated || self.code > 0 { Vec::new() } else { all };
        let flags = [0x81 | if is_truncated { 2 } else { 0 }, 0x80 | self.code];
        let mut answer = [&query[..2], &flags, &[0, 1, 0, all.len() as u8, 0, 0, 0, 0], question].concat();
        for data in all {
            let length = u16::try_from(data.len()).unwrap().to_be_bytes();
            answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
            answer.extend(length);
            answer.extend(data);
        }
        answer
    }
}

fn labels(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[label.len() as u8], label.as_bytes()].concat();
    let mut all: Vec<u8> = name.split('.').flat_map(label).collect();
    all.push(0);
    all
}

fn name_of(question: &[u8]) -> String {
    let (mut rest, mut all) = (question, Vec::new());
    while rest[0] > 0 {
        let (label, behind) = rest[1..].split_at(rest[0].into());
        all.push(String::from_utf8(label.to_vec()).unwrap());
        rest = behind;
    }
    all.join(".")
}

#[test]
fn servers_of_a_service_are_looked_up() {
    let port = free_port();
    let me = format!("127.0.0.1:{port}");
    let settings = json!({ "set": "rs", "hosts": [me], "me": me, "role": "primary" });
    let Some(server) = Server::start_at(port, &settings) else { return };
    let servers = vec![("127.0.0.1", port)];
    let names = NameServer::start(Zone { servers, texts: vec!["replicaSet=rs"], ..Zone::default() });
    let broker = names.broker();
    let address = format!("mongodb+srv://{SERVICE}/?tls=false");
    broker.command_ok(&route(&address, "", &documents()));
    send(&broker, "docs/1", r#"{"n":1}"#);
    server.until("docs", 1);
    assert_eq!(broker.command_ok("-checkRouteConnection Docs").message(), "Route 'Docs' is reachable.");
    // An answer that is too long for a datagram, and an option that the address says otherwise.
    names.change(|zone| zone.truncates = true);
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&format!("{address}&replicaSet=other"), "", &documents()));
    standing.until("is of the replica set 'rs', and not of 'other'");
    // The records are those of now, each time.
    names.change(|zone| zone.texts = vec!["replicaSet=changed"]);
    broker.command_ok(&route(&address, "", &documents()));
    standing.until("is of the replica set 'rs', and not of 'changed'");
}

#[test]
fn a_service_is_encrypted_unless_its_address_says_otherwise() {
    let authority = Authority::new();
    let signed = authority.server("db");
    let settings = json!({ "certificate": signed.certificate, "key": signed.key });
    let Some(server) = Server::start(&settings) else { return };
    let names = NameServer::start(Zone { servers: vec![("127.0.0.1", server.port)], ..Zone::default() });
    let broker = names.broker();
    let address = format!("mongodb+srv://{SERVICE}/?tlsAllowInvalidCertificates=true");
    broker.command_ok(&route(&address, "", &documents()));
    send(&broker, "docs/1", r#"{"n":1}"#);
    server.until("docs", 1);
}

#[test]
fn unusable_srv_records_are_reported_and_queried_again() {
    let Some(server) = Server::start(&json!({})) else { return };
    let there = vec![("127.0.0.1", server.port)];
    let names = NameServer::start(Zone::default());
    let broker = names.broker();
    let mut standing = Standing::of(&broker, "Docs");
    let address = format!("mongodb+srv://u:hidden@{SERVICE}/?tls=false");
    let often = "    ADD ROUTE_CONFIG\n        WITH RECONNECTION_MAX_PAUSE 1\n";
    broker.command_ok(&route(&address.replace("u:hidden@", ""), "", &(often.to_owned() + &documents())));
    standing.until("'_mongodb._tcp.cluster.0.0.1' has no SRV records");
    names.change(|zone| zone.servers = vec![("127.0.0.2.evil", 1)]);
    standing.until("names '127.0.0.2.evil', which is not in the domain of 'cluster.0.0.1'");
    names.change(|zone| (zone.servers, zone.texts) = (there.clone(), vec!["authSource=a", "replicaSet=b"]));
    standing.until("'cluster.0.0.1' has 2 TXT records, limit 1");
    names.change(|zone| zone.texts = vec!["tls=false"]);
    standing.until("has the option 'tls'; authSource, replicaSet and loadBalanced are allowed there");
    names.change(|zone| zone.code = 2);
    standing.until("it answers ServerFailure");
    names.change(|zone| zone.is_silent = true);
    standing.until("no answer within 2 s");
    // Once the records are right nobody has to do anything at the broker.
    send(&broker, "docs/1", r#"{"n":1}"#);
    names.change(|zone| *zone = Zone { servers: there, ..Zone::default() });
    server.until("docs", 1);
    // Only a change of the definition can correct these errors, so the route stands still.
    for (wrong, told) in [
        (address.replace("0.0.1", "0.0.1:27017"), "something else than one host without a port"),
        (
            address.replace("tls=false", "directConnection=true"),
            "directConnection=true, which is for one server",
        ),
        (
            address.replace("tls=false", "loadBalanced=true&replicaSet=rs&tls=false"),
            "loadBalanced=true and replicaSet",
        ),
    ] {
        let mut standing = Standing::of(&broker, "Docs");
        broker.command_ok(&route(&wrong, "", &documents()));
        let status = standing.until(told);
        assert!(!status.contains("hidden"), "{status}");
    }
}

#[test]
fn network_policy_applies_to_servers_found_by_srv_records() {
    let names = NameServer::start(Zone { servers: vec![("127.0.0.1", 9)], ..Zone::default() });
    let broker = options()
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "false")
        .variable("LOTMQ_ROUTES_NAME_SERVERS", &names.address.to_string())
        .start();
    let mut standing = Standing::of(&broker, "Docs");
    broker.command_ok(&route(&format!("mongodb+srv://{SERVICE}/"), "", &documents()));
    standing.until("127.0.0.1 is this machine, and routes.allow_loopback is not set");
}
