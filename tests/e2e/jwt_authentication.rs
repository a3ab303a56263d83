//! Logins by JSON Web Token in the authentication of MQTT 5.0, and new tokens on live connections.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lotmq_client::{
    Client, ClientError, ConnectOptions, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion,
    Publication, QoS, ReasonCode, Will,
};
use lotmq_codec::{Auth, ServerPacket, encode_auth};
use lotmq_test_support::{Broker, TokenSigner, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::options;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// A broker that takes tokens, and a folder that keeps its secret.
fn broker() -> (Broker, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let options = options()
        .variable("LOTMQ_AUTH_MODULES", "jwt,builtin")
        .variable("LOTMQ_AUTH_JWT_CLOCK_SKEW_SEC", "0")
        .variable("LOTMQ_AUTH_JWT_SECRET_FILE", path.to_str().unwrap());
    (options.start(), folder)
}

/// Token of a user that ends in so many seconds, with grants.
fn token(user: &str, seconds: u64, acl: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": user, "exp": now + seconds, "acl": acl});
    TokenSigner::hmac(SECRET).sign(&json!({"alg": "HS256"}), &claims)
}

fn all() -> Value {
    json!([{"permission": "allow", "action": "all", "topic": "#"}])
}

fn none() -> Value {
    json!([])
}

fn by_method(client_id: &str, method: &str, token: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id)
        .property(PropertyId::AuthenticationMethod, PropertyValue::Utf8(method))
        .property(PropertyId::AuthenticationData, PropertyValue::Binary(token.as_bytes()))
}

fn login(broker: &Broker, client_id: &str, token: &str) -> Client {
    broker.connect(&by_method(client_id, "JWT", token))
}

fn refused(broker: &Broker, options: &ConnectOptions) -> ReasonCode {
    match Client::connect(broker.address(), options) {
        Err(ClientError::Refused { reason, .. }) => reason,
        other => panic!("{:?}", other.map(|_| "let in")),
    }
}

/// Sends AUTH of method `JWT` with a token.
pub(crate) fn send_auth(client: &mut Client, reason: ReasonCode, token: Option<&str>) {
    let mut list = PropertyBuf::new();
    list.push(PropertyId::AuthenticationMethod, PropertyValue::Utf8("JWT")).unwrap();
    if let Some(token) = token {
        list.push(PropertyId::AuthenticationData, PropertyValue::Binary(token.as_bytes())).unwrap();
    }
    let mut packet = Vec::new();
    encode_auth(&mut packet, ProtocolVersion::V5, &Auth { reason, properties: list.properties() }).unwrap();
    client.connection().send(&packet).unwrap();
}

/// Answer of the broker to AUTH: the reason of its AUTH, or of its DISCONNECT.
fn answer(client: &mut Client) -> ReasonCode {
    let packet = client.connection().receive(WAIT_MAX).unwrap().expect("an answer");
    let packet = packet.decode().unwrap();
    if let ServerPacket::Disconnect(disconnect) = packet {
        return disconnect.reason;
    }
    let ServerPacket::Auth(auth) = packet else { panic!("{packet:?}") };
    assert_eq!(auth.properties.authentication_method(), Some("JWT"));
    auth.reason
}

fn again(client: &mut Client, token: &str) -> ReasonCode {
    send_auth(client, ReasonCode::ReAuthenticate, Some(token));
    answer(client)
}

fn publish(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
}

#[test]
fn token_in_authentication_data_is_a_login() {
    let (broker, _folder) = broker();
    let good = token("press-7", 3_600, &all());
    let mut client = login(&broker, "c", &good);
    assert_eq!(client.connack_properties().authentication_method(), Some("JWT"));
    assert_eq!(client.connack_properties().authentication_data(), None);
    client.ping().unwrap();
    let clients = broker.command_ok("-listClients c");
    assert!(clients.data()["clients"][0]["username"].as_str().unwrap().contains("press-7"));
    // The password beside the method is not looked at.
    broker.connect(&by_method("p", "JWT", &good).user("press-7", "any"));
    broker.command_ok("-addUser ann pw");
    let root = token("root", 3_600, &all());
    let local = token("ann", 3_600, &all());
    for (client_id, method, token, reason) in [
        ("none", "JWT", "", ReasonCode::BadUserNameOrPassword),
        ("text", "JWT", "pw", ReasonCode::BadUserNameOrPassword),
        ("forged", "JWT", &good[..good.len() - 2], ReasonCode::BadUserNameOrPassword),
        ("root", "JWT", &root, ReasonCode::NotAuthorized),
        ("local", "JWT", &local, ReasonCode::NotAuthorized),
        ("lower", "jwt", &good, ReasonCode::BadAuthenticationMethod),
    ] {
        assert_eq!(refused(&broker, &by_method(client_id, method, token)), reason, "{client_id}");
    }
    // No account logs in with its password by the method.
    let password = by_method("account", "JWT", "pw").user("ann", "pw");
    assert_eq!(refused(&broker, &password), ReasonCode::BadUserNameOrPassword);
    let without =
        ConnectOptions::v5("w").property(PropertyId::AuthenticationMethod, PropertyValue::Utf8("JWT"));
    assert_eq!(refused(&broker, &without), ReasonCode::NotAuthorized);
    let plain = options().start();
    assert_eq!(refused(&plain, &by_method("c", "JWT", &good)), ReasonCode::BadAuthenticationMethod);
}

#[test]
fn new_token_moves_the_end_of_the_login() {
    let (broker, _folder) = broker();
    let mut renewed = login(&broker, "renewed", &token("press-7", 3, &all()));
    let mut shortened = login(&broker, "shortened", &token("press-8", 3_600, &all()));
    assert_eq!(again(&mut renewed, &token("press-7", 3_600, &all())), ReasonCode::Success);
    assert_eq!(again(&mut shortened, &token("press-8", 3, &all())), ReasonCode::Success);
    let ended = shortened.receive(WAIT_MAX).unwrap_err();
    assert!(matches!(ended, ClientError::Disconnected { reason: ReasonCode::NotAuthorized, .. }), "{ended}");
    // The first end of the other one is over as well, give or take a second.
    assert!(renewed.receive(Duration::from_secs(2)).unwrap().is_none());
    renewed.ping().unwrap();
}

#[test]
fn grants_of_a_new_token_decide_at_once() {
    let (broker, _folder) = broker();
    let mut client = login(&broker, "c", &token("press-7", 3_600, &all()));
    let mut root = broker.root("r");
    client.subscribe_to("a/#", QoS::AtLeastOnce).unwrap();
    assert_eq!(publish(&mut client, "out", "x"), ReasonCode::NoMatchingSubscribers);
    publish(&mut root, "a/1", "first");
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "first");
    let fewer = json!([{"permission": "allow", "action": "all", "topic": "a/2"}]);
    assert_eq!(again(&mut client, &token("press-7", 3_600, &fewer)), ReasonCode::Success);
    assert_eq!(publish(&mut client, "out", "x"), ReasonCode::NotAuthorized);
    publish(&mut root, "a/1", "second");
    publish(&mut root, "a/2", "third");
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "third");
    assert_eq!(again(&mut client, &token("press-7", 3_600, &all())), ReasonCode::Success);
    publish(&mut root, "a/1", "fourth");
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "fourth");
    assert!(!publish(&mut client, "out", "x").is_failure());
}

#[test]
fn refused_new_token_ends_the_connection() {
    let (broker, _folder) = broker();
    let good = |user: &str| token(user, 3_600, &all());
    let old = token("press-7", 0, &all());
    let cases = [
        ("other", good("press-8"), ReasonCode::NotAuthorized),
        ("root", good("root"), ReasonCode::NotAuthorized),
        ("ended", old, ReasonCode::NotAuthorized),
        ("text", "secret".to_owned(), ReasonCode::NotAuthorized),
    ];
    for (client_id, token, reason) in cases {
        let mut client = login(&broker, client_id, &good("press-7"));
        assert_eq!(again(&mut client, &token), reason, "{client_id}");
        assert!(client.connection().wait_closed(WAIT_MAX).unwrap(), "{client_id}");
    }
    let text = broker.log().text();
    assert!(!text.contains(good("press-8").split('.').next().unwrap()), "{text}");
    // A step without an exchange, no token, and a method that CONNECT did not name.
    let mut client = login(&broker, "c0", &good("press-7"));
    send_auth(&mut client, ReasonCode::ContinueAuthentication, Some(&good("press-7")));
    assert_eq!(answer(&mut client), ReasonCode::ProtocolError);
    let mut client = login(&broker, "c1", &good("press-7"));
    send_auth(&mut client, ReasonCode::ReAuthenticate, None);
    assert_eq!(answer(&mut client), ReasonCode::NotAuthorized);
    let mut client = broker.connect(&ConnectOptions::v5("c2").user("jwt", good("press-7")));
    send_auth(&mut client, ReasonCode::ReAuthenticate, Some(&good("press-7")));
    assert_eq!(answer(&mut client), ReasonCode::ProtocolError);
}

/// The Will of an offline session is due after a restart, with the rights of the last token.
#[test]
fn rights_of_a_new_token_survive_kill_9() {
    let (mut broker, _folder) = broker();
    for (client_id, acl) in [("allowed", all()), ("denied", none())] {
        let mut will = Will::new(format!("will/{client_id}"), "gone");
        let delay = PropertyValue::FourByte(600);
        will.properties.push(PropertyId::WillDelayInterval, delay).unwrap();
        let options = by_method(client_id, "JWT", &token("press-7", 3_600, &all()));
        let options = options.clean_start(false).session_expiry(3_600).will(will);
        let mut client = broker.connect(&options);
        assert_eq!(again(&mut client, &token("press-7", 3_600, &acl)), ReasonCode::Success);
        client.abort();
    }
    let count = || broker.metric("lotmq_connections").filter(|count| *count == 0.0);
    eventually("both are away", count);
    broker.command_ok("-setEnv COMMITTED=1");
    broker.kill();
    broker.start_again();
    let mut watcher = broker.root("w");
    watcher.subscribe_to("will/+", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-endSession denied");
    broker.command_ok("-endSession allowed");
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "will/allowed");
}
