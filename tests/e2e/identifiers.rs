//! Client Identifiers: each user has their own, and those who came without a name share theirs.

use lotmq_client::{
    Client, ConnectOptions, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, Publication, QoS,
    ReasonCode, Will,
};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::json;

use crate::{broker, options, send, watch};

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];

/// A kept session of this identifier, for ever if the broker lets it.
fn kept(version: ProtocolVersion, client_id: &str, user: Option<&str>) -> ConnectOptions {
    let mut options = ConnectOptions::new(client_id).version(version).clean_start(false);
    if version == ProtocolVersion::V5 {
        options = options.session_expiry(u32::MAX);
    }
    match user {
        Some("root") => options.user("root", "coreflux"),
        Some(user) => options.user(user, "pw"),
        None => options,
    }
}

fn add_users(broker: &Broker, users: &[&str]) {
    for user in users {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
}

/// The payloads that a client gets up to the one that is published behind them.
fn receive_all(broker: &Broker, client: &mut Client) -> Vec<String> {
    let end = format!("end/{}", client.client_id());
    client.subscribe_to(&end, QoS::AtLeastOnce).unwrap();
    send(broker, &end, "end");
    let mut payloads = Vec::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("the last message comes");
        if message.topic == end {
            client.unsubscribe(&[&end]).unwrap();
            return payloads;
        }
        payloads.push(message.text());
    }
}

/// Covers each first user, expiry and version, before and after a restart.
#[test]
fn nobody_keeps_an_identifier_from_others() {
    let mut broker = broker();
    add_users(&broker, &["eve", "ann"]);
    let all = [Some("eve"), Some("ann"), Some("root"), None];
    let topic = |id: &str, user: Option<&str>| format!("for/{}/{id}", user.unwrap_or("all"));
    for squatted in VERSIONS {
        let id = format!("device-{squatted:?}");
        let mut squatter = broker.connect(&kept(squatted, &id, Some("eve")));
        squatter.subscribe_to(&topic(&id, Some("eve")), QoS::AtLeastOnce).unwrap();
        for version in VERSIONS {
            for user in [Some("ann"), Some("root"), None] {
                let mut client = broker.connect(&kept(version, &id, user));
                client.subscribe_to(&topic(&id, user), QoS::AtLeastOnce).unwrap();
                // Both are there, at the same time.
                client.ping().unwrap();
                squatter.ping().unwrap();
            }
        }
    }
    broker.kill();
    broker.start_again();
    for squatted in VERSIONS {
        let id = format!("device-{squatted:?}");
        for user in all {
            let topic = topic(&id, user);
            send(&broker, &topic, &topic);
            for version in VERSIONS {
                let mut client = broker.connect(&kept(version, &id, user));
                assert!(client.session_present(), "{user:?}");
                let expected = if version == VERSIONS[0] { vec![topic.clone()] } else { Vec::new() };
                assert_eq!(receive_all(&broker, &mut client), expected, "{user:?}");
                client.disconnect().unwrap();
            }
        }
    }
}

#[test]
fn nothing_of_an_anonymous_session_passes_to_a_user_nor_back() {
    let mut broker = broker();
    add_users(&broker, &["ann"]);
    let mut watcher = watch(&broker, "gone");
    for version in VERSIONS {
        let id = format!("plc-{version:?}");
        let will = Will::new("gone", "a will that was prepared");
        let mut prepared = broker.connect(&kept(version, &id, None).will(will));
        for filter in ["orders/#", &format!("$share/{id}/jobs/#")] {
            prepared.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        }
        let mut ann = broker.connect(&kept(version, &id, Some("ann")));
        assert!(!ann.session_present());
        ann.subscribe_to("hers", QoS::AtLeastOnce).unwrap();
        prepared.ping().unwrap();
        prepared.disconnect().unwrap();
        for topic in ["orders/1", "jobs/1", "hers"] {
            send(&broker, topic, topic);
        }
        assert_eq!(receive_all(&broker, &mut ann), ["hers"]);
        ann.disconnect().unwrap();
        send(&broker, "hers", "later");
        let mut anonymous = broker.connect(&kept(version, &id, None));
        assert!(anonymous.session_present());
        assert_eq!(receive_all(&broker, &mut anonymous), ["orders/1", "jobs/1"]);
        anonymous.disconnect().unwrap();
        assert_eq!(receive_all(&broker, &mut watcher), [""; 0], "no will was published");
        broker.kill();
        broker.start_again();
        let mut ann = broker.connect(&kept(version, &id, Some("ann")));
        assert!(ann.session_present());
        assert_eq!(receive_all(&broker, &mut ann), ["later"]);
        ann.disconnect().unwrap();
        watcher = watch(&broker, "gone");
    }
}

/// [MQTT-3.1.4-3], [3.1.1: MQTT-3.1.4-2].
#[test]
fn one_user_takes_over_from_himself_and_so_do_those_without_a_name() {
    let broker = broker();
    add_users(&broker, &["ann"]);
    for version in VERSIONS {
        for user in [Some("ann"), None] {
            let id = format!("one-{version:?}");
            let mut first = broker.connect(&kept(version, &id, user));
            first.subscribe_to("a", QoS::AtLeastOnce).unwrap();
            let mut second = broker.connect(&kept(version, &id, user));
            assert!(second.session_present());
            let error = first.receive(WAIT_MAX).unwrap_err();
            assert!(error.is_closed(), "{error}");
            send(&broker, "a", "x");
            assert_eq!(receive_all(&broker, &mut second), ["x"]);
        }
    }
}

#[test]
fn clients_with_one_identifier_are_authorised_and_listed_per_user() {
    let broker = broker();
    add_users(&broker, &["ann", "eve"]);
    broker.command_ok(
        "-addRule DEFINE RULE Hers WITH PRIORITY 100 FOR Publish TO TOPIC \"hers/#\"\n    IF USER IS \"ann\" AND CLIENTID IS \"device\" THEN\n        ALLOW\n    ELSE\n        DENY",
    );
    let mut watcher = watch(&broker, "hers/#");
    let will = |user: &str| {
        let will = Will { qos: QoS::AtLeastOnce, ..Will::new("hers/will", user) };
        ConnectOptions::v5("device").user(user, "pw").will(will)
    };
    let mut ann = broker.connect(&will("ann"));
    let refused = Client::connect(broker.address(), &will("eve")).err();
    assert!(refused.is_some(), "her will is not allowed, whatever her identifier");
    let mut eve = broker.connect(&ConnectOptions::v5("device").user("eve", "pw"));
    let message = Publication::new("hers/a", "x").qos(QoS::AtLeastOnce);
    assert_eq!(eve.publish(&message).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(ann.publish(&message).unwrap(), ReasonCode::Success);
    let page = broker.command_ok("-listClients device");
    let listed: Vec<_> =
        page.data()["clients"].as_array().unwrap().iter().map(|row| row["username"].clone()).collect();
    assert_eq!((listed, &page.data()["next"]), (vec![json!("ann"), json!("eve")], &json!(null)));
    ann.abort();
    eve.ping().unwrap();
    for expected in ["x", "ann"] {
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().text(), expected);
    }
}

#[test]
fn a_removed_user_takes_only_his_own_sessions_with_him() {
    let mut broker = broker();
    add_users(&broker, &["eve", "ann"]);
    let all = [Some("eve"), Some("ann"), None];
    for user in all {
        for id in ["away", "there"] {
            broker.connect(&kept(ProtocolVersion::V5, id, user)).disconnect().unwrap();
        }
    }
    let mut there = broker.connect(&kept(ProtocolVersion::V5, "there", Some("eve")));
    let mut stays = broker.connect(&kept(ProtocolVersion::V5, "there", Some("ann")));
    broker.command_ok("-removeUser eve");
    broker.command_ok("-addUser eve pw");
    for round in 0..2 {
        for user in all {
            for id in ["away", "there"] {
                if user == Some("ann") && id == "there" && round == 0 {
                    continue;
                }
                let client = broker.connect(&kept(ProtocolVersion::V5, id, user));
                assert_eq!(
                    client.session_present(),
                    user != Some("eve") || round > 0,
                    "{user:?} {id} {round}"
                );
                client.disconnect().unwrap();
            }
        }
        if round == 0 {
            assert!(there.receive(WAIT_MAX).unwrap_err().is_closed());
            stays.ping().unwrap();
            broker.kill();
            broker.start_again();
        }
    }
}

/// The broker dies as soon as the name is given again, while the connections of the one before are
/// being closed.
#[test]
fn reused_user_name_gets_no_former_sessions_after_a_crash() {
    const SESSIONS: usize = 8;
    let mut broker = options().variable("LOTMQ_STORE_LINGER_MS", "100").start();
    add_users(&broker, &["eve"]);
    let mut root = broker.root("administrator");
    let sessions = |broker: &Broker, user: &'static str| {
        let connect = |number| broker.connect(&kept(ProtocolVersion::V5, &format!("c{number}"), Some(user)));
        (0..SESSIONS).map(connect).collect::<Vec<Client>>()
    };
    let mut before = sessions(&broker, "eve");
    before.iter_mut().for_each(|client| drop(client.subscribe_to("secret/#", QoS::AtLeastOnce)));
    // One behind the other, without a look at the reply.
    for command in ["-removeUser eve", "-addUser eve pw"] {
        root.send_publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    }
    // The list shows a user once the user is stored.
    let listed = lotmq_test_support::eventually("the name is given again", || {
        let mut ended =
            before.iter_mut().filter_map(|client| client.receive(std::time::Duration::ZERO).err());
        let reply = ended.next().map(|_| broker.command("-listUsers"))?;
        reply.data().to_string().contains("eve").then_some(reply)
    });
    assert!(listed.success());
    broker.kill();
    broker.start_again();
    for client in sessions(&broker, "eve") {
        assert!(!client.session_present(), "{}", client.client_id());
    }
}

#[test]
fn sessions_of_those_without_a_name_end_in_time() {
    let week = broker();
    add_users(&week, &["ann"]);
    for (user, announced) in [(None, 7 * 86_400), (Some("ann"), 30 * 86_400)] {
        let client = week.connect(&kept(ProtocolVersion::V5, "c", user));
        assert_eq!(client.connack_properties().session_expiry_interval(), Some(announced));
    }
    let broker = options().variable("LOTMQ_LIMITS_ANONYMOUS_SESSION_EXPIRY_MAX", "1s").start();
    add_users(&broker, &["ann"]);
    for version in VERSIONS {
        for user in [None, Some("ann")] {
            broker.connect(&kept(version, &format!("{version:?}"), user)).disconnect().unwrap();
        }
    }
    // DISCONNECT asks for more than it gets, too.
    let mut asked = PropertyBuf::new();
    asked.push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(3_600)).unwrap();
    let asking = broker.connect(&kept(ProtocolVersion::V5, "asks", None));
    asking.disconnect_with(ReasonCode::Success, asked.properties()).unwrap();
    broker.wait_for_metric("lotmq_sessions_expired_total", 3.0);
    for version in VERSIONS {
        for user in [None, Some("ann")] {
            let client = broker.connect(&kept(version, &format!("{version:?}"), user));
            assert_eq!(client.session_present(), user.is_some(), "{version:?}");
        }
    }
}
