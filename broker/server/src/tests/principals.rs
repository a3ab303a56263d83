//! Users without an account in a running broker: a member of the login chain vouches for them.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lotmq_client::{Client, ClientError, ConnectOptions, Message, Publication, QoS, ReasonCode, Will};

use crate::testing::{PATIENCE, Running, connect};

/// Time in which nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

fn start(dir: &Path) -> Running {
    Running::start_with_tokens(dir)
}

/// Options of a user with a token, whose session lasts.
fn by_token(client_id: &str, token: &str) -> ConnectOptions {
    let options = ConnectOptions::v5(client_id).user("any", format!("token:{token}"));
    options.clean_start(false).session_expiry(600)
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn root(running: &Running) -> Client {
    let mut root = connect(running.address(), &ConnectOptions::v5("admin").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    root
}

fn command(client: &mut Client, text: &str) -> Message {
    client.publish(&Publication::new("$SYS/Coreflux/Command", text).qos(QoS::AtLeastOnce)).unwrap();
    client.receive(PATIENCE).unwrap().expect("a reply")
}

fn send(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
}

/// Payloads that come until nothing more does.
fn received(client: &mut Client) -> Vec<String> {
    std::iter::from_fn(|| client.receive(SILENCE).unwrap()).map(|message| message.text()).collect()
}

fn refusal(running: &Running, options: &ConnectOptions) -> ReasonCode {
    match Client::connect(running.address().to_string(), options) {
        Err(ClientError::Refused { reason, .. }) => reason,
        other => panic!("{:?}", other.map(drop)),
    }
}

/// Reason with which the server ends a connection.
fn end(client: &mut Client) -> ReasonCode {
    match client.receive(PATIENCE) {
        Err(ClientError::Disconnected { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn member_cannot_name_root_nor_a_local_account_and_a_failure_denies() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    assert!(command(&mut root(&running), "-addUser bob pw").text().contains("successfully"));
    for (token, expected) in [
        ("root", ReasonCode::NotAuthorized),
        ("bob", ReasonCode::NotAuthorized),
        ("a/b", ReasonCode::NotAuthorized),
        ("ann odd=1", ReasonCode::ServerUnavailable),
    ] {
        assert_eq!(refusal(&running, &by_token("c", token)), expected, "{token}");
    }
    assert_eq!(
        refusal(&running, &ConnectOptions::v5("c").user("bob", "wrong")),
        ReasonCode::BadUserNameOrPassword
    );
    connect(running.address(), &ConnectOptions::v5("c").user("bob", "pw"));
    connect(running.address(), &by_token("c", "ann"));
    running.server.stop();
}

#[test]
fn group_admin_from_outside_gives_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let mut ann = connect(running.address(), &by_token("c", "ann group=admin"));
    assert_eq!(send(&mut ann, "$SYS/Coreflux/Command", "-listUsers"), ReasonCode::NotAuthorized);
    assert_eq!(ann.subscribe_to("$SYS/#", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(ann.subscribe_to("$SYS/broker/#", QoS::AtMostOnce).unwrap(), ReasonCode::Success);
    running.server.stop();
}

#[test]
fn sessions_of_an_account_a_member_and_nobody_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let lasting = || ConnectOptions::v5("same").clean_start(false).session_expiry(600);
    let all =
        [lasting(), lasting().user("root", "coreflux"), by_token("same", "ann"), by_token("same", "eve")];
    let mut first: Vec<Client> = all.iter().map(|options| connect(running.address(), options)).collect();
    assert!(first.iter().all(|client| !client.session_present()));
    for client in &mut first {
        client.ping().unwrap();
    }
    drop(first);
    for options in &all {
        assert!(connect(running.address(), options).session_present());
    }
    running.server.stop();
}

#[test]
fn offline_session_decides_by_its_principal_after_a_restart_and_asks_again_for_who_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let mut ann = connect(running.address(), &by_token("c", "ann allow=a/#"));
    assert_eq!(ann.subscribe_to("a/#", QoS::AtLeastOnce).unwrap(), ReasonCode::GrantedQos1);
    assert_eq!(ann.subscribe_to("b", QoS::AtLeastOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(send(&mut ann, "b", "x"), ReasonCode::NotAuthorized);
    ann.disconnect().unwrap();
    running.server.stop();
    let running = start(dir.path());
    let mut root = root(&running);
    for topic in ["a/1", "a/2"] {
        assert_eq!(send(&mut root, topic, topic), ReasonCode::Success, "the session is there");
    }
    let mut ann = connect(running.address(), &by_token("c", "ann deny=a/2 allow=a/#"));
    assert!(ann.session_present());
    assert_eq!(received(&mut ann), ["a/1"]);
    send(&mut root, "a/2", "live");
    assert_eq!(received(&mut ann), [""; 0], "a live message is asked about as well");
    running.server.stop();
}

#[test]
fn account_of_the_same_name_ends_the_sessions_of_an_external_user() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let mut ann = connect(running.address(), &by_token("live", "ann"));
    ann.subscribe_to("a", QoS::AtLeastOnce).unwrap();
    let mut away = connect(running.address(), &by_token("away", "ann"));
    away.subscribe_to("a", QoS::AtLeastOnce).unwrap();
    away.disconnect().unwrap();
    let mut root = root(&running);
    assert!(command(&mut root, "-addUser ann pw").text().contains("successfully"));
    assert_eq!(end(&mut ann), ReasonCode::AdministrativeAction);
    assert_eq!(send(&mut root, "a", "x"), ReasonCode::NoMatchingSubscribers, "the sessions are gone");
    assert_eq!(refusal(&running, &by_token("live", "ann")), ReasonCode::NotAuthorized);
    running.server.stop();
}

#[test]
fn end_of_the_login_closes_the_connection_and_keeps_the_will() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let expired = format!("ann until={}", now_ms() - 1);
    assert_eq!(refusal(&running, &by_token("c", &expired)), ReasonCode::NotAuthorized);
    let mut root = root(&running);
    root.subscribe_to("will", QoS::AtLeastOnce).unwrap();
    let soon = format!("ann until={}", now_ms() + 1_500);
    let mut will = Will::new("will", "gone");
    will.qos = QoS::AtLeastOnce;
    let options = ConnectOptions::v5("c").user("any", format!("token:{soon}")).will(will);
    let mut ann = connect(running.address(), &options);
    let begun = Instant::now();
    assert_eq!(end(&mut ann), ReasonCode::NotAuthorized);
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(received(&mut root), [""; 0], "a Will is published by the right of a login that lasts");
    running.server.stop();
}

#[test]
fn connections_of_an_old_password_and_a_removed_account_end_before_the_next_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let mut root = root(&running);
    assert!(command(&mut root, "-addUser bob pw").text().contains("successfully"));
    command(&mut root, "-changeUserPassword bob pw2");
    for (password, text) in [("pw2", "-changeUserPassword bob pw3"), ("pw3", "-removeUser bob")] {
        let mut bob = connect(running.address(), &ConnectOptions::v5("c").user("bob", password));
        bob.ping().unwrap();
        let begun = Instant::now();
        send(&mut root, "$SYS/Coreflux/Command", text);
        assert_eq!(end(&mut bob), ReasonCode::AdministrativeAction, "{text}");
        // The hash of the password and a busy machine are in it; a sweep takes 500 ms.
        assert!(begun.elapsed() < Duration::from_millis(400), "{text}: {:?}", begun.elapsed());
        while root.receive(SILENCE).unwrap().is_some() {}
    }
    running.server.stop();
}
