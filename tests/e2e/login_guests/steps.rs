//! Authentication by a method of a login guest: `REVERSE`, whose challenge is answered backwards.

use lotmq_client::{Connection, PropertyBuf, PropertyId, PropertyValue};
use lotmq_codec::{Auth, Properties, ServerPacket, encode_auth};

use super::*;

const METHOD: &str = "REVERSE";

fn stage() -> Broker {
    let broker = asking("table,builtin").start();
    install(&broker, "");
    until_open(&broker);
    broker
}

fn of_method(method: &str, data: Option<&[u8]>) -> PropertyBuf {
    let mut list = PropertyBuf::new();
    list.push(PropertyId::AuthenticationMethod, PropertyValue::Utf8(method)).unwrap();
    if let Some(data) = data {
        list.push(PropertyId::AuthenticationData, PropertyValue::Binary(data)).unwrap();
    }
    list
}

fn send_auth(connection: &mut Connection, reason: ReasonCode, data: Option<&[u8]>) {
    let mut packet = Vec::new();
    let list = of_method(METHOD, data);
    encode_auth(&mut packet, ProtocolVersion::V5, &Auth { reason, properties: list.properties() }).unwrap();
    connection.send(&packet).unwrap();
}

/// Sends CONNECT by a method.
fn begin(broker: &Broker, client_id: &str, method: &str) -> Connection {
    let options =
        ConnectOptions::v5(client_id).property(PropertyId::AuthenticationMethod, PropertyValue::Utf8(method));
    let mut packet = Vec::new();
    options.encode(&mut packet).unwrap();
    let mut connection = Connection::open(broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    connection.send(&packet).unwrap();
    connection
}

/// Next packet of the broker: its reason, and its Authentication Data.
fn next(connection: &mut Connection) -> (&'static str, ReasonCode, Vec<u8>) {
    let packet = connection.receive(WAIT_MAX).unwrap().expect("a packet");
    let data = |properties: Properties<'_>| properties.authentication_data().unwrap_or_default().to_vec();
    match packet.decode().unwrap() {
        ServerPacket::Connack(connack) => ("CONNACK", connack.reason, data(connack.properties)),
        ServerPacket::Auth(auth) => ("AUTH", auth.reason, data(auth.properties)),
        ServerPacket::Disconnect(disconnect) => ("DISCONNECT", disconnect.reason, Vec::new()),
        other @ (ServerPacket::Publish(_)
        | ServerPacket::Ack(_)
        | ServerPacket::Suback(_)
        | ServerPacket::Unsuback(_)
        | ServerPacket::Pingresp) => panic!("{other:?}"),
    }
}

/// Takes the challenge; its answer.
fn challenged(connection: &mut Connection) -> Vec<u8> {
    let (packet, reason, mut challenge) = next(connection);
    assert_eq!((packet, reason), ("AUTH", ReasonCode::ContinueAuthentication));
    assert!(!challenge.is_empty());
    challenge.reverse();
    challenge
}

#[test]
fn client_that_answers_the_challenge_of_a_guest_is_let_in_and_may_authenticate_anew() {
    let broker = stage();
    let mut connection = begin(&broker, "c1", METHOD);
    let answer = challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ContinueAuthentication, Some(&answer));
    assert_eq!(next(&mut connection).1, ReasonCode::Success);
    let clients = broker.command_ok("-listClients c1").0.to_string();
    assert!(clients.contains("reverser c1"), "{clients}");

    send_auth(&mut connection, ReasonCode::ReAuthenticate, None);
    let answer = challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ContinueAuthentication, Some(&answer));
    assert_eq!(next(&mut connection), ("AUTH", ReasonCode::Success, Vec::new()));
    // A wrong answer ends the connection.
    send_auth(&mut connection, ReasonCode::ReAuthenticate, None);
    challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ContinueAuthentication, Some(b"wrong"));
    assert_eq!(next(&mut connection).0, "DISCONNECT");
}

#[test]
fn wrong_answers_unknown_methods_and_messages_out_of_turn_are_refused() {
    let broker = stage();
    let mut connection = begin(&broker, "wrong", METHOD);
    challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ContinueAuthentication, Some(b"wrong"));
    assert_eq!(next(&mut connection).1, ReasonCode::BadUserNameOrPassword);
    for (method, expected) in
        [("OTHER", ReasonCode::BadAuthenticationMethod), ("reverse", ReasonCode::BadAuthenticationMethod)]
    {
        assert_eq!(next(&mut begin(&broker, "other", method)).1, expected, "{method}");
    }
    let mut connection = begin(&broker, "turn", METHOD);
    let answer = challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ReAuthenticate, Some(&answer));
    assert_eq!(next(&mut connection).1, ReasonCode::ProtocolError);
    broker.command_ok("-disableModule table");
    until_login("it is disabled", &broker, false);
    assert!(next(&mut begin(&broker, "away", METHOD)).1.is_failure());
}

#[test]
fn guest_forgets_challenges_of_clients_that_have_gone() {
    let broker = stage();
    let lines = || broker.command_ok("-listLogLines module table 200").0.to_string();
    let mut connection = begin(&broker, "gone", METHOD);
    challenged(&mut connection);
    drop(connection);
    eventually("the guest forgets the login", || (lines().matches(": true").count() == 1).then_some(()));

    let mut connection = begin(&broker, "live", METHOD);
    let answer = challenged(&mut connection);
    send_auth(&mut connection, ReasonCode::ContinueAuthentication, Some(&answer));
    assert_eq!(next(&mut connection).1, ReasonCode::Success);
    send_auth(&mut connection, ReasonCode::ReAuthenticate, None);
    challenged(&mut connection);
    drop(connection);
    eventually("the guest forgets the second one", || (lines().matches(": true").count() == 2).then_some(()));
}
