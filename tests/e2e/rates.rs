//! Rates of addresses and users, and passwords without TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{
    Client, ClientError, ConnectOptions, Endpoint, ProtocolVersion, Publication, QoS, ReasonCode, TlsContext,
};
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX};

use crate::options;

fn reached(broker: &Broker, limit: &str) -> f64 {
    let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"mqtt\"}}");
    broker.metric(&name).unwrap_or_default()
}

/// Reason Code of a refused login.
fn refusal(connected: Result<Client, ClientError>) -> ReasonCode {
    match connected {
        Ok(_) => panic!("the client was admitted"),
        Err(ClientError::Refused { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
    }
}

/// A broker whose MQTT listener takes addresses from a PROXY header.
fn behind_proxy() -> BrokerOptions {
    options().variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true").variable("LOTMQ_ANONYMOUS", "true")
}

/// CONNECT of version 5.0 as `user`, with the password `wrong`.
fn connect_packet(user: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0010, 0, 60, 0, 0, 0];
    for field in [user, "wrong"] {
        body.extend((field.len() as u16).to_be_bytes());
        body.extend(field.as_bytes());
    }
    let mut packet = vec![0x10, body.len() as u8];
    packet.extend(body);
    packet
}

/// Reason Code that a login from `address` gets; `None` if the connection is closed unanswered.
fn login_from(broker: &Broker, address: &str, user: &str) -> Option<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.address().port())).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let family = if address.contains(':') { "TCP6" } else { "TCP4" };
    let own = if address.contains(':') { "2001:db8::1" } else { "10.0.0.2" };
    let mut bytes = format!("PROXY {family} {address} {own} 4711 1883\r\n").into_bytes();
    bytes.extend(connect_packet(user));
    // The broker may have closed it already.
    let _ = stream.write_all(&bytes);
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    assert_eq!(answer[0], 0x20, "CONNACK");
    Some(answer[3])
}

#[test]
fn logins_of_one_address_are_bounded_before_their_password_is_checked() {
    let broker = behind_proxy().variable("LOTMQ_LISTENER_MQTT_LOGINS_PER_SEC_PER_ADDRESS", "2").start();
    // Each as another user, so that no login waits for a failed one. One per second is let through
    // while the test goes on.
    let codes: Vec<Option<u8>> =
        (0..12).map(|number| login_from(&broker, "192.0.2.7", &format!("user-{number}"))).collect();
    assert_eq!(codes[0], Some(0x86));
    assert!(codes.contains(&Some(0x9F)), "{codes:?}");
    assert_eq!(login_from(&broker, "192.0.2.8", "user"), Some(0x86), "another address");
    // Of IPv6 the first 64 bits count.
    let six: Vec<Option<u8>> = (0..12)
        .map(|number| login_from(&broker, &format!("2001:db8:1:2::{number:x}"), &format!("six-{number}")))
        .collect();
    assert!(six.contains(&Some(0x9F)), "{six:?}");
    assert!(reached(&broker, "logins_per_sec_per_address") >= 2.0);
}

/// A flood of one address meets the defaults, and this machine does not.
#[test]
fn defaults_bound_a_flood_of_one_address_and_not_this_machine() {
    let config = lotmq_config::Config::default();
    let limits = config.limits.for_all();
    assert_eq!((limits.connections_per_sec_per_address, limits.logins_per_sec_per_address), (2_000, 1_000));
    let broker = options().start();
    for _ in 0..2_500 {
        drop(TcpStream::connect(("127.0.0.1", broker.address().port())).unwrap());
    }
    broker.client("after").ping().unwrap();
    assert_eq!(reached(&broker, "connections_per_sec_per_address"), 0.0);
}

#[test]
fn connections_and_subscriptions_of_one_user_are_bounded() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECTIONS_PER_USER", "2")
        .variable("LOTMQ_LIMITS_SUBSCRIPTIONS_PER_USER", "3")
        .start();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} password"));
    }
    let login = |id: &str, user: &str| {
        Client::connect(broker.address(), &ConnectOptions::v5(id).user(user, "password"))
    };
    let mut one = login("one", "ann").unwrap();
    let mut two = login("two", "ann").unwrap();
    assert_eq!(refusal(login("three", "ann")), ReasonCode::QuotaExceeded);
    let mut again = login("two", "ann").expect("it takes over a session of the user");
    assert!(two.ping().is_err());
    let mut of_bob = login("three", "bob").unwrap();
    let anonymous: Vec<Client> = (0..4).map(|number| broker.client(&format!("anybody-{number}"))).collect();

    let subscribe = |client: &mut Client, filter: &str| client.subscribe_to(filter, QoS::AtMostOnce).unwrap();
    for filter in ["a/1", "a/2"] {
        assert_eq!(subscribe(&mut one, filter), ReasonCode::Success);
    }
    assert_eq!(subscribe(&mut again, "a/3"), ReasonCode::Success);
    assert_eq!(subscribe(&mut again, "a/3"), ReasonCode::Success, "it replaces one");
    assert_eq!(subscribe(&mut again, "a/4"), ReasonCode::QuotaExceeded, "two sessions have three together");
    assert_eq!(subscribe(&mut of_bob, "a/4"), ReasonCode::Success);
    one.unsubscribe(&["a/1"]).unwrap();
    assert_eq!(subscribe(&mut again, "a/4"), ReasonCode::Success);
    drop(anonymous);
    assert!(reached(&broker, "connections_per_user") >= 1.0);
    assert!(reached(&broker, "subscriptions_per_user") >= 1.0);
}

#[test]
fn messages_of_all_connections_of_one_user_have_one_rate_and_none_is_lost() {
    let broker = options().variable("LOTMQ_LIMITS_MESSAGES_PER_SEC_PER_USER", "100").start();
    broker.command_ok("-addUser ann password");
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe_to("t/#", QoS::AtMostOnce).unwrap();
    let login = |id: &str| broker.connect(&ConnectOptions::v5(id).user("ann", "password"));
    let mut publishers = [login("one"), login("two")];
    for number in 0..100 {
        for (at, publisher) in publishers.iter_mut().enumerate() {
            publisher.send_publish(&Publication::new(format!("t/{at}"), number.to_string())).unwrap();
        }
    }
    for _ in 0..200 {
        subscriber.receive(WAIT_MAX).unwrap().expect("nothing is lost");
    }
    publishers.iter_mut().for_each(|publisher| publisher.ping().unwrap());
    assert!(reached(&broker, "messages_per_sec_per_user") >= 1.0);
    assert_eq!(reached(&broker, "messages_per_sec"), 0.0);
}

#[test]
fn passwords_without_tls_are_refused_unchecked_if_they_need_tls() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let with_tls = |options: BrokerOptions| {
        options
            .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
            .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
            .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
            .variable("LOTMQ_LISTENER_WSS_PORT", "off")
            .variable("LOTMQ_LISTENER_WS_PORT", "0")
            .variable("LOTMQ_AUTH_PASSWORDS_NEED_TLS", "true")
    };
    let broker = with_tls(behind_proxy()).start();
    assert_eq!(login_from(&broker, "192.0.2.7", "root"), Some(0x87), "refused before the check");
    assert_eq!(login_from(&broker, "127.0.0.1", "root"), Some(0x87), "a header is no proof of a place");
    let refused = broker.metric("lotmq_passwords_checked_total").unwrap_or_default();
    assert_eq!(refused, 0.0);
    let local = |endpoint: &Endpoint, version: ProtocolVersion| {
        let options = ConnectOptions { version, ..ConnectOptions::new("local") };
        Client::connect_at(endpoint, &options.user("root", "coreflux"))
    };
    let context: TlsContext = authority.context();
    let encrypted = Endpoint::tcp("localhost", broker.port_of("mqtts")).tls(&context);
    let websocket = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).websocket("/mqtt");
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        local(&encrypted, version).expect("over TLS");
        local(&websocket, version).expect("on this machine");
    }
}

#[test]
fn listeners_that_take_readable_passwords_are_told() {
    let start =
        |value: &str| options().listen("0.0.0.0:0").variable("LOTMQ_AUTH_PASSWORDS_NEED_TLS", value).start();
    let health = |broker: &Broker| -> serde_json::Value {
        serde_json::from_str(&broker.http("/health").body).unwrap()
    };
    let broker = start("false");
    broker.log().expect("passwords of other machines are readable on their way");
    let told = health(&broker);
    assert_eq!(told["status"], "healthy");
    assert_eq!(told["passwords_without_tls"], serde_json::json!(["mqtt 0.0.0.0:0"]));
    let broker = start("true");
    assert!(health(&broker).get("passwords_without_tls").is_none());
    broker.client("ready").ping().unwrap();
    assert!(!broker.log().text().contains("readable on their way"));
}
