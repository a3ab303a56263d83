//! The PROXY protocol in front of every kind of listener.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, Endpoint, QoS};
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX, eventually};

use crate::options;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.2 4711 1883\r\n";

/// CONNECT of 3.1.1 with the identifier `ab`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab";

fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    header.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    header.extend([0; 16]);
    header.extend([0x12, 0x34, 0x07, 0x5b]);
    header
}

fn behind_proxy() -> BrokerOptions {
    options()
        .variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true")
        .variable("LOTMQ_ANONYMOUS", "true")
        .variable("LOTMQ_LOG_DEBUG", "true")
}

/// Opens a connection that begins with these bytes.
fn open(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

fn read_connack(stream: &mut TcpStream) -> [u8; 4] {
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn address_from_proxy_header_is_logged() {
    let broker = behind_proxy().start();
    for (header, expected) in [(V1.to_vec(), "peer=192.0.2.7:4711"), (v2(), "peer=[2001:db8::7]:4660")] {
        // At once, and byte by byte.
        let all = [&header[..], CONNECT].concat();
        let mut at_once = open(&broker, &all);
        assert_eq!(read_connack(&mut at_once), [0x20, 2, 0, 0]);
        let mut slowly = open(&broker, &[]);
        slowly.set_nodelay(true).unwrap();
        for byte in &all {
            slowly.write_all(&[*byte]).unwrap();
        }
        assert_eq!(read_connack(&mut slowly), [0x20, 2, 0, 0]);
        broker.log().expect(expected);
    }
    assert_eq!(broker.metric("lotmq_proxy_headers_total"), Some(4.0));
}

#[test]
fn without_header_there_is_no_connection() {
    let broker = behind_proxy().variable("LOTMQ_LIMITS_HANDSHAKE_TIMEOUT_SEC", "1").start();
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 300]].concat();
    for bytes in [CONNECT, b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", &endless] {
        let mut stream = open(&broker, bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    broker.wait_for_metric("lotmq_proxy_headers_missing_total", 4.0);
    // Half a header is waited for no longer than any handshake.
    let mut stream = open(&broker, &V1[..20]);
    let _ = stream.read_to_end(&mut Vec::new());
    broker.wait_for_metric("lotmq_handshake_timeouts_total", 1.0);
    assert_eq!(broker.metric("lotmq_connects_accepted_total"), Some(0.0));
}

#[test]
fn connection_closed_within_the_proxy_header_is_removed_at_once() {
    let broker = behind_proxy().start();
    let mut stream = open(&broker, &V1[..20]);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    broker.wait_for_metric("lotmq_connections_closed_total", 1.0);
    assert_eq!(broker.metric("lotmq_handshake_timeouts_total"), Some(0.0));
    assert_eq!(broker.metric("lotmq_connections_opened_total"), Some(1.0));
}

#[test]
fn only_trusted_proxies_are_believed_where_they_are_named() {
    let trusting =
        |proxies: &str| behind_proxy().variable("LOTMQ_LISTENER_MQTT_TRUSTED_PROXIES", proxies).start();
    let header = [V1, CONNECT].concat();
    let broker = trusting("192.0.2.1, 2001:db8::/32");
    let mut stream = open(&broker, &header);
    let _ = stream.read_to_end(&mut Vec::new());
    broker.wait_for_metric("lotmq_proxies_refused_total", 1.0);
    assert_eq!(broker.metric("lotmq_proxy_headers_total"), Some(0.0));
    broker.log().expect("it comes from none of the trusted_proxies");
    let broker = trusting("192.0.2.1, 127.0.0.0/8");
    assert_eq!(read_connack(&mut open(&broker, &header)), [0x20, 2, 0, 0]);
    broker.log().expect("peer=192.0.2.7:4711");
}

#[test]
fn a_port_where_everybody_may_claim_any_address_is_warned_of() {
    let broker = behind_proxy().listen_as_configured();
    let public = |options: BrokerOptions| {
        options.variable("LOTMQ_LISTENER_MQTT_BIND", "0.0.0.0").variable("LOTMQ_LISTENER_MQTT_PORT", "0")
    };
    public(broker).start().log().expect("whoever reaches the port may claim any address");
}

/// Commands reference §9.1: an address that was told is never this machine, nor is that of the
/// proxy.
#[test]
fn proxied_connection_is_never_treated_as_local() {
    let broker = options().variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true").start();
    for header in [&b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"[..], b"PROXY UNKNOWN\r\n"] {
        let mut stream = open(&broker, &[header, CONNECT].concat());
        assert_eq!(read_connack(&mut stream), [0x20, 2, 0, 5], "anonymous clients are for this machine only");
    }
}

#[test]
fn tls_and_websocket_begin_behind_the_header() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = options()
        .variable("LOTMQ_ANONYMOUS", "true")
        .variable("LOTMQ_LOG_DEBUG", "true")
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "off")
        .variable("LOTMQ_LISTENER_WSS_PORT", "0")
        .variable("LOTMQ_LISTENER_WSS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PROXY_PROTOCOL", "true")
        .start();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    let target = ("127.0.0.1", broker.port_of("wss"));
    // The smallest proxy: one connection, a header in front.
    let forwarding = std::thread::spawn(move || {
        let (client, _) = proxy.accept().unwrap();
        let mut server = TcpStream::connect(target).unwrap();
        server.write_all(V1).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut server, &mut &client);
        let _ = client.shutdown(std::net::Shutdown::Both);
        up.join().unwrap();
    });
    let endpoint = Endpoint::tcp("127.0.0.1", port).tls(&authority.context()).websocket("/mqtt");
    let mut client = Client::connect_at(&endpoint, &ConnectOptions::v5("behind")).unwrap();
    client.subscribe_to("t", QoS::AtMostOnce).unwrap();
    broker.log().expect("peer=192.0.2.7:4711");
    client.disconnect().unwrap();
    forwarding.join().unwrap();
}

/// They say CONNECT, and then nothing any more.
#[test]
fn one_address_leaves_places_to_others_without_a_user() {
    let broker = behind_proxy().variable("LOTMQ_LIMITS_CONNECTIONS", "20").start();
    let from = |address: &str, number: u8| {
        let header = format!("PROXY TCP4 {address} 10.0.0.2 4711 1883\r\n").into_bytes();
        let mut connect = CONNECT.to_vec();
        connect[15] = number;
        let mut stream = open(&broker, &[header, connect].concat());
        let mut answer = [0; 4];
        (stream.read_exact(&mut answer).is_ok() && answer[3] == 0).then_some(stream)
    };
    let enter = |address: &str, first: u8| -> Vec<TcpStream> {
        (first..first + 20).map_while(|number| from(address, number)).collect()
    };
    // Three quarters of the three quarters that those without a user have, and then of what is
    // left.
    let first = enter("192.0.2.7", b'A');
    let second = enter("192.0.2.8", b'a');
    assert_eq!((first.len(), second.len()), (11, 3));
    // Those who go leave their places to others of their address.
    drop(first);
    eventually("the places are free", || (broker.metric("lotmq_connections")? < 5.0).then_some(()));
    assert_eq!(enter("192.0.2.7", b'A').len(), 9);
}
