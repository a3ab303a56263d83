//! Login guests: modules of world `auth` that the login chain asks.

mod revocation;
mod steps;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{Client, ClientError, ConnectOptions, ProtocolVersion, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};
use serde_json::json;

use crate::options;

/// The guest with a table of users.
const TABLE: &[u8] = include_bytes!("../../sdk/examples/auth-table/prebuilt/auth-table.wasm");

const CONFIG: &str = r#"{"users":{"ann":{"password":"pw","groups":["staff"],"publish":"a/#"},"bob":{"password":"pw"},"probe":{"password":"pw"},"root":{"password":"pw"},"short":{"password":"pw","seconds":1}}}"#;

fn asking(modules: &str) -> BrokerOptions {
    options().variable("LOTMQ_AUTH_MODULES", modules)
}

fn install(broker: &Broker, more: &str) {
    let bytes = BASE64_STANDARD.encode(TABLE);
    let command = format!("-addModule table -world auth -grant state {more} -config {CONFIG} wasm64:{bytes}");
    let added = broker.command_ok(&command);
    let warnings = added.0["warnings"].to_string();
    assert!(!warnings.contains("NOT_ASKED_YET"), "{warnings}");
}

fn login(broker: &Broker, client_id: &str, user: &str, password: &str) -> Result<Client, ClientError> {
    Client::connect(broker.address(), &ConnectOptions::v5(client_id).user(user, password))
}

fn refused(broker: &Broker, client_id: &str, user: &str, password: &str) -> ReasonCode {
    match login(broker, client_id, user, password) {
        Err(ClientError::Refused { reason, .. }) => reason,
        other => panic!("{client_id}: {:?}", other.map(|_| "let in")),
    }
}

/// Waits until a user of the guest can log in, or cannot. Each try is another client.
fn until_login(what: &str, broker: &Broker, is_let_in: bool) {
    let mut tries = 0;
    eventually(what, || {
        tries += 1;
        let login = login(broker, &format!("try-{tries}"), "probe", "pw");
        (login.is_ok() == is_let_in).then_some(())
    });
}

/// Waits until the guest answers.
fn until_open(broker: &Broker) {
    until_login("the guest is open", broker, true);
}

#[test]
fn guest_lets_in_denies_and_leaves_logins_to_the_next_member() {
    let broker = asking("table,builtin").start();
    broker.command_ok("-addUser carl secret");
    assert_eq!(refused(&broker, "early", "ann", "pw"), ReasonCode::ServerUnavailable, "not installed yet");
    install(&broker, "");
    until_open(&broker);
    let mut ann = login(&broker, "ann-1", "ann", "pw").unwrap();
    let connack = ann.connack_properties();
    let told: Vec<_> = connack.user_properties().collect();
    assert_eq!(told, [("logins", "1")]);
    assert_eq!(connack.reason_string(), Some("welcome by mqtt"));
    // Grants of the guest decide about topics.
    let publish = |client: &mut Client, topic: &str| {
        client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap()
    };
    assert!(!publish(&mut ann, "a/1").is_failure());
    assert_eq!(publish(&mut ann, "b/1"), ReasonCode::NotAuthorized);
    assert_eq!(refused(&broker, "ann-2", "ann", "wrong"), ReasonCode::BadUserNameOrPassword);
    // The user store is next.
    login(&broker, "carl-1", "carl", "secret").unwrap().ping().unwrap();
    assert_eq!(refused(&broker, "carl-2", "carl", "wrong"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(refused(&broker, "nobody", "nobody", "x"), ReasonCode::BadUserNameOrPassword);
    let old = ConnectOptions::new("ann-3").user("ann", "pw");
    Client::connect(broker.address(), &old).unwrap().ping().unwrap();
    // `root` is asked of the user store alone.
    assert_eq!(refused(&broker, "root-1", "root", "pw"), ReasonCode::BadUserNameOrPassword);
    broker.root("root-2").ping().unwrap();
}

#[test]
fn welcome_of_a_guest_is_no_reason_of_a_refusal() {
    let broker = asking("table").start();
    install(&broker, "");
    broker.command_ok("-addUser bob secret");
    until_open(&broker);
    // The guest lets in a user whose name an account has.
    let options = ConnectOptions::v5("bob-1").user("bob", "pw");
    match Client::connect(broker.address(), &options) {
        Err(ClientError::Refused { reason, text, .. }) => {
            assert_eq!(reason, ReasonCode::NotAuthorized);
            assert!(!text.contains("welcome"), "the guest has let it in, and the broker not");
        }
        other => panic!("{:?}", other.map(|_| "let in")),
    }
}

#[test]
fn missing_disabled_and_removed_guest_refuses_and_a_replacement_takes_over() {
    let broker = asking("table").start();
    let unavailable = ReasonCode::ServerUnavailable;
    assert_eq!(refused(&broker, "c1", "bob", "pw"), unavailable);
    broker.root("admin").ping().unwrap();
    install(&broker, "");
    until_open(&broker);
    broker.command_ok("-disableModule table");
    until_login("it is disabled", &broker, false);
    assert_eq!(refused(&broker, "c2", "bob", "pw"), unavailable);
    broker.command_ok("-enableModule table");
    until_open(&broker);
    install(&broker, "-replace");
    until_open(&broker);
    broker.command_ok("-removeModule table");
    until_login("it is removed", &broker, false);
    assert_eq!(refused(&broker, "c3", "bob", "pw"), unavailable);
}

#[test]
fn login_without_an_answer_is_refused_and_later_ones_are_answered() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let broker = asking("table,builtin").variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let endpoints =
        format!(r#"{{"tokens":true,"endpoints":{{"tokens":{{"HOST":"127.0.0.1","PORT":{port}}}}},"#);
    let config = CONFIG.replacen('{', &endpoints, 1);
    let bytes = BASE64_STANDARD.encode(TABLE);
    broker.command_ok(&format!(
        "-addModule table -world auth -grant state -net 127.0.0.1:{port} -config {config} wasm64:{bytes}"
    ));
    until_open(&broker);
    // The guest asks a server that never answers.
    assert_eq!(refused(&broker, "stranger", "nobody", "token"), ReasonCode::ServerUnavailable);
    until_open(&broker);
    broker.root("admin").ping().unwrap();
}

#[test]
fn durable_session_of_a_guest_user_has_its_grants_after_a_restart() {
    let mut broker = asking("table,builtin").start();
    install(&broker, "");
    until_open(&broker);
    let durable = ConnectOptions::v5("keeper").user("bob", "pw").session_expiry(3_600);
    let mut bob = Client::connect(broker.address(), &durable).unwrap();
    bob.subscribe_to("news/#", QoS::AtLeastOnce).unwrap();
    drop(bob);
    broker.kill();
    broker.start_again();
    let mut root = broker.root("publisher");
    root.publish(&Publication::new("news/1", "hello").qos(QoS::AtLeastOnce)).unwrap();
    until_open(&broker);
    let keeps = durable.clean_start(false);
    let mut bob = Client::connect(broker.address(), &keeps).unwrap();
    let message = bob.receive(WAIT_MAX).unwrap().expect("the message waits for him");
    assert_eq!(message.text(), "hello");
}

#[test]
fn login_of_a_guest_ends_when_the_guest_says() {
    let broker = asking("table").start();
    install(&broker, "");
    until_open(&broker);
    let mut short = login(&broker, "short-1", "short", "pw").unwrap();
    eventually("its login has ended", || short.ping().err());
}

#[test]
fn guest_hears_of_its_clients_in_order() {
    let broker = asking("table").start();
    install(&broker, "");
    until_open(&broker);
    let mut first = login(&broker, "twin", "bob", "pw").unwrap();
    first.subscribe_to("x/#", QoS::AtLeastOnce).unwrap();
    let second = login(&broker, "twin", "bob", "pw").unwrap();
    second.disconnect().unwrap();
    let history = || {
        let lines = broker.command_ok("-listLogLines module table 200");
        lines.0.to_string()
    };
    eventually("both ends are told", || (history().matches("disconnected ").count() >= 2).then_some(()));
    let text = history();
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(place("subscribed ") < place("session-taken-over"), "{text}");
    let taken_over = place("session-taken-over");
    let second = text[taken_over..].find("as twin").expect("the second connection comes behind the end");
    assert!(text[taken_over + second..].contains("disconnected "), "{text}");
}

#[test]
fn guest_publishes_to_the_topics_that_it_was_granted_and_to_no_others() {
    let broker = asking("table").start();
    let announcing = CONFIG.replacen('{', r#"{"announce":"logins","#, 1);
    let bytes = BASE64_STANDARD.encode(TABLE);
    let add = |grants: &str| {
        let command = format!(
            "-addModule table -world auth -replace -grant state {grants} -config {announcing} wasm64:{bytes}"
        );
        broker.command_ok(&command);
    };
    add("-grant write:logins/+");
    until_open(&broker);
    let mut root = broker.root("watcher");
    root.subscribe_to("logins/bob", QoS::AtLeastOnce).unwrap();
    let mut first = login(&broker, "twin", "ann", "pw").unwrap();
    first.subscribe_to("a/1", QoS::AtLeastOnce).unwrap();
    let mut bob = login(&broker, "twin", "bob", "pw").unwrap();
    bob.subscribe_to("x", QoS::AtLeastOnce).unwrap();
    let mut again = login(&broker, "twin", "bob", "pw").unwrap();
    again.subscribe_to("x", QoS::AtLeastOnce).unwrap();
    again.disconnect().unwrap();
    let mut next = || {
        let message = root.receive(WAIT_MAX).unwrap().expect("an announcement");
        format!("{} {}", message.topic, message.text())
    };
    for expected in ["1", "0", "1", "0"] {
        assert_eq!(next(), format!("logins/bob {expected}"));
    }
    // Without the grant nothing comes of it.
    add("");
    until_open(&broker);
    let mut bob = login(&broker, "lone", "bob", "pw").unwrap();
    bob.subscribe_to("x", QoS::AtLeastOnce).unwrap();
    let refused = || broker.command_ok("-listLogLines module table 200").0.to_string();
    eventually("the refusal is logged", || refused().contains("not announced").then_some(()));
}

#[test]
fn versions_without_properties_get_return_codes_of_a_guest() {
    let broker = asking("table").start();
    install(&broker, "");
    until_open(&broker);
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1] {
        let options = ConnectOptions { version, ..ConnectOptions::new("old") }.user("ann", "wrong");
        let refused = Client::connect(broker.address(), &options).err();
        let reason = match refused {
            Some(ClientError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason, ReasonCode::BadUserNameOrPassword, "{version:?}");
    }
    assert_eq!(broker.command_ok("-listModules").data()[0]["world"], json!("auth"));
}
