use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use lotmq_codec::{AckType, PropertyId, PropertyValue};

use super::*;

const CONNECT_V4: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
const CONNACK_V4: &[u8] = b"\x20\x02\0\0";
const CONNECT_V5: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01c";
const CONNACK_V5: &[u8] = b"\x20\x03\0\0\0";
const SECOND: Duration = Duration::from_secs(1);

/// Next step of the scripted server.
enum Step {
    /// It must receive exactly this.
    Expect(&'static [u8]),
    Send(&'static [u8]),
}
use Step::{Expect, Send};

/// A server that plays its script for one connection and then closes.
fn server(script: Vec<Step>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for step in script {
            match step {
                Send(bytes) => stream.write_all(bytes).unwrap(),
                Expect(wanted) => {
                    let mut found = vec![0; wanted.len()];
                    stream.read_exact(&mut found).unwrap();
                    assert_eq!(found, wanted);
                }
            }
        }
    });
    (address, thread)
}

fn options() -> ConnectOptions {
    ConnectOptions { reply_timeout: SECOND, connect_timeout: SECOND, ..ConnectOptions::new("c") }
}

fn v5() -> ConnectOptions {
    options().version(ProtocolVersion::V5)
}

fn connected(options: &ConnectOptions, then: Vec<Step>) -> (Client, JoinHandle<()>) {
    let (connect, connack) =
        if options.version.has_properties() { (CONNECT_V5, CONNACK_V5) } else { (CONNECT_V4, CONNACK_V4) };
    let mut script = vec![Expect(connect), Send(connack)];
    script.extend(then);
    let (address, thread) = server(script);
    (Client::connect(address, options).unwrap(), thread)
}

fn refusal(answer: &'static [u8], options: &ConnectOptions) -> ClientError {
    let (address, _thread) = server(vec![Expect(&[0x10]), Send(answer)]);
    Client::connect(address, options).unwrap_err()
}

#[test]
fn connect_says_all_its_options() {
    let expected = b"\x10\x35\0\x04MQTT\x05\xec\0\x05\x05\x11\0\0\0\x0a\0\x01c\x05\x18\0\0\0\x07\0\x01w\0\x03bye\0\x01u\0\x02pw";
    let mut whole = expected.to_vec();
    whole[1] = u8::try_from(whole.len() - 2).unwrap();
    let expected: &'static [u8] = Vec::leak(whole);
    let assigned = b"\x20\x0b\x01\0\x08\x12\0\x02id\x13\0\x09";
    let (address, thread) = server(vec![Expect(expected), Send(assigned)]);
    let mut will = crate::Will::new("w", "bye");
    (will.qos, will.retain) = (QoS::AtLeastOnce, true);
    will.properties.push(PropertyId::WillDelayInterval, PropertyValue::FourByte(7)).unwrap();
    let options = v5().clean_start(false).keep_alive(5).session_expiry(10).user("u", "pw").will(will);
    let client = Client::connect(address, &options).unwrap();
    assert_eq!((client.client_id(), client.session_present()), ("id", true));
    assert_eq!(client.keep_alive, Some(Duration::from_secs(9)));
    thread.join().unwrap();
}

#[test]
fn connect_error_contains_the_reason_string_of_the_server() {
    let text = |answer, options: &ConnectOptions| refusal(answer, options).to_string();
    assert_eq!(
        text(b"\x20\x02\0\x05", &options()),
        "the server refused the connection: not authorized (0x87)"
    );
    assert_eq!(
        text(b"\x20\x09\0\x87\x06\x1f\0\x03nah", &v5()),
        "the server refused the connection: not authorized (0x87): nah"
    );
    assert!(matches!(refusal(b"", &options()), ClientError::Closed));
    assert!(matches!(refusal(b"\xd0\0", &options()), ClientError::Unexpected { .. }));
    assert!(matches!(refusal(b"\x20\x02\x05\0", &options()), ClientError::Malformed(_)));
    assert!(matches!(refusal(b"\xff\xff\xff\xff\xff\x01", &v5()), ClientError::Malformed(_)));
}

#[test]
fn nobody_listening_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::connect(free, &options()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to {free}: ")), "{error}");
}

#[test]
fn publish_walks_the_handshake_of_its_qos() {
    let script = vec![
        Expect(b"\x31\x05\0\x01tm0"),
        Expect(b"\x32\x07\0\x01t\0\x01m1"),
        Send(b"\x40\x02\0\x01"),
        Expect(b"\x34\x07\0\x01t\0\x02m2"),
        Send(b"\x50\x02\0\x02"),
        Expect(b"\x62\x02\0\x02"),
        Send(b"\x70\x02\0\x02"),
    ];
    let (mut client, thread) = connected(&options(), script);
    let publication = |text: &str| Publication::new("t", text);
    assert_eq!(client.publish(&publication("m0").retained()).unwrap(), ReasonCode::Success);
    assert_eq!(client.publish(&publication("m1").qos(QoS::AtLeastOnce)).unwrap(), ReasonCode::Success);
    assert_eq!(client.publish(&publication("m2").qos(QoS::ExactlyOnce)).unwrap(), ReasonCode::Success);
    assert_eq!(client.unacknowledged(), 0);
    thread.join().unwrap();
}

#[test]
fn a_refused_message_is_a_reason_and_ends_its_handshake() {
    let script = vec![
        Expect(b"\x34\x07\0\x01t\0\x01\0m"),
        Send(b"\x50\x03\0\x01\x97"),
        Expect(b"\x32\x07\0\x01t\0\x02\0n"),
        Send(b"\x40\x03\0\x02\x10"),
    ];
    let (mut client, thread) = connected(&v5(), script);
    let refused = client.publish(&Publication::new("t", "m").qos(QoS::ExactlyOnce)).unwrap();
    assert_eq!(refused, ReasonCode::QuotaExceeded);
    let nobody = client.publish(&Publication::new("t", "n").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(nobody, ReasonCode::NoMatchingSubscribers);
    thread.join().unwrap();
}

#[test]
fn messages_are_received_once_and_acknowledged() {
    let script = vec![
        Send(b"\x30\x04\0\x01ta\x32\x06\0\x01t\0\x05b\x34\x06\0\x01t\0\x06c"),
        Expect(b"\x40\x02\0\x05"),
        Expect(b"\x50\x02\0\x06"),
        Send(b"\x3c\x06\0\x01t\0\x06c\x62\x02\0\x06"),
        Expect(b"\x50\x02\0\x06"),
        Expect(b"\x70\x02\0\x06"),
        Send(b"\x39\x00"),
    ];
    let (mut client, thread) = connected(&options(), script);
    let texts: Vec<String> = (0..3).map(|_| client.receive(SECOND).unwrap().unwrap().text()).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    let end = client.receive(SECOND).unwrap_err();
    assert!(matches!(end, ClientError::Malformed(_)), "{end}");
    thread.join().unwrap();
}

#[test]
fn subscribe_keeps_messages_that_come_before_its_answer() {
    let script = vec![
        Expect(b"\x82\x0a\0\x01\0\x01a\x01\0\x01b\x00"),
        Send(b"\x31\x04\0\x01ax\x90\x04\0\x01\x01\x80"),
        Expect(b"\xa2\x05\0\x02\0\x01a"),
        Send(b"\xb0\x02\0\x02"),
    ];
    let (mut client, thread) = connected(&options(), script);
    let at = |qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let filters = [("a", at(QoS::AtLeastOnce)), ("b", at(QoS::AtMostOnce))];
    let codes = client.subscribe(&filters, Properties::EMPTY).unwrap();
    assert_eq!(codes, [ReasonCode::GrantedQos1, ReasonCode::UnspecifiedError]);
    let message = client.receive(SECOND).unwrap().unwrap();
    assert_eq!((message.topic.as_str(), message.text().as_str(), message.retain), ("a", "x", true));
    assert_eq!(client.unsubscribe(&["a"]).unwrap(), []);
    thread.join().unwrap();
}

#[test]
fn manual_acks_are_left_to_the_caller() {
    let script = vec![
        Send(b"\x32\x06\0\x01t\0\x05b"),
        Expect(b"\xc0\0"),
        Send(b"\xd0\0"),
        Expect(b"\x40\x02\0\x05"),
        Expect(b"\x62\x02\0\x09"),
    ];
    let (mut client, thread) = connected(&options().manual_acks(), script);
    let message = client.receive(SECOND).unwrap().unwrap();
    client.ping().unwrap();
    client.acknowledge(&message, ReasonCode::Success).unwrap();
    client.send_ack(AckType::Pubrel, PacketId::new(9).unwrap(), ReasonCode::Success).unwrap();
    thread.join().unwrap();
}

#[test]
fn topic_aliases_are_resolved() {
    let script = vec![Send(b"\x30\x08\0\x01t\x03\x23\0\x01a\x30\x07\0\0\x03\x23\0\x01b")];
    let (mut client, thread) = connected(&v5(), script);
    for expected in ["a", "b"] {
        let message = client.receive(SECOND).unwrap().unwrap();
        assert_eq!((message.topic.as_str(), message.text().as_str()), ("t", expected));
    }
    thread.join().unwrap();
}

#[test]
fn server_disconnect_is_reported_with_its_reason() {
    let (mut client, thread) = connected(&v5(), vec![Send(b"\xe0\x01\x8e")]);
    let end = client.receive(SECOND).unwrap_err();
    assert_eq!(end.to_string(), "the server ended the connection: session taken over (0x8E)");
    assert!(end.is_closed());
    thread.join().unwrap();
}

#[test]
fn waiting_sends_signs_of_life() {
    let mut expected = CONNECT_V4.to_vec();
    expected[11] = 1;
    let script = vec![
        Expect(Vec::leak(expected)),
        Send(CONNACK_V4),
        Expect(b"\xc0\0"),
        Send(b"\xd0\0\x30\x04\0\x01ta"),
    ];
    let (address, thread) = server(script);
    let mut client = Client::connect(address, &options().keep_alive(1)).unwrap();
    assert_eq!(client.receive(Duration::from_secs(10)).unwrap().unwrap().text(), "a");
    thread.join().unwrap();
}

#[test]
fn packet_that_fails_to_encode_takes_no_packet_identifier() {
    let (mut client, thread) = connected(&options(), vec![Expect(b"\xe0\0")]);
    let wildcard = Publication::new("a/#", "x").qos(QoS::AtLeastOnce);
    assert!(matches!(client.publish(&wildcard), Err(ClientError::Encode(_))));
    assert!(matches!(client.subscribe(&[], Properties::EMPTY), Err(ClientError::Encode(_))));
    assert_eq!(client.unacknowledged(), 0);
    client.disconnect().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_missing_answer_is_a_timeout() {
    let (mut client, thread) =
        connected(&options(), vec![Expect(b"\x32\x06\0\x01t\0\x01m"), Expect(b"\xe0\0")]);
    client.reply_timeout = Duration::from_millis(50);
    let late = client.publish(&Publication::new("t", "m").qos(QoS::AtLeastOnce)).unwrap_err();
    assert_eq!(late.to_string(), "no acknowledgement of PUBLISH within 0.05 s");
    assert!(client.receive(Duration::from_millis(1)).unwrap().is_none());
    client.disconnect().unwrap();
    thread.join().unwrap();
}
