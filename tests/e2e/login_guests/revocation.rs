//! Changes of a login guest to Clients that it has let in: `revoke` and `update`.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use lotmq_client::Will;

use super::*;

/// The guest whose passwords are rights.
const GRANTS: &[u8] = include_bytes!("../../guests/auth-grants/prebuilt/auth-grants.wasm");

/// A broker whose guest takes orders.
struct Stage {
    broker: Broker,
    orders: TcpStream,
    listener: TcpListener,
}

impl Stage {
    fn set() -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = asking("table,builtin").variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
        let endpoints = format!(r#"{{"endpoints":{{"orders":{{"HOST":"127.0.0.1","PORT":{port}}}}},"#);
        let config = CONFIG.replacen('{', &endpoints, 1);
        let bytes = BASE64_STANDARD.encode(TABLE);
        broker.command_ok(&format!(
            "-addModule table -world auth -grant state -net 127.0.0.1:{port} -config {config} wasm64:{bytes}"
        ));
        let (orders, _) = listener.accept().unwrap();
        until_open(&broker);
        Stage { broker, orders, listener }
    }

    /// Gives an order, and waits until the guest has reported how many sessions it reached.
    fn order(&mut self, order: &str, reached: u32) {
        self.orders.write_all(format!("{order}\n").as_bytes()).unwrap();
        let expected = format!("{order}: {reached} sessions");
        let lines = || self.broker.command_ok("-listLogLines module table 200").0.to_string();
        eventually(&expected, || lines().contains(&expected).then_some(()));
    }

    fn connect(&self, options: &ConnectOptions) -> Client {
        Client::connect(self.broker.address(), options).unwrap()
    }

    /// Kills the broker, starts it again, and waits until the guest is open.
    fn restart(&mut self) {
        self.broker.kill();
        self.broker.start_again();
        (self.orders, _) = self.listener.accept().unwrap();
        until_open(&self.broker);
    }

    fn publish(&self, topic: &str) {
        let mut root = self.broker.root("publisher");
        root.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap();
    }

    /// Topics of the messages that a Client gets until a last one, which it may have.
    fn topics_until(&self, client: &mut Client, last: &str) -> Vec<String> {
        self.publish(last);
        let mut topics = Vec::new();
        loop {
            let message = client.receive(WAIT_MAX).unwrap().expect("the last message comes");
            if message.topic == last {
                return topics;
            }
            topics.push(message.topic);
        }
    }
}

fn durable(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).user("bob", "pw").session_expiry(3_600).clean_start(false)
}

fn publishes(client: &mut Client, topic: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap()
}

#[test]
fn revoked_user_loses_live_and_offline_sessions_wills_and_delayed_messages() {
    let mut stage = Stage::set();
    let mut watcher = stage.broker.root("watcher");
    watcher.subscribe_to("bobs/#", QoS::AtLeastOnce).unwrap();
    let will = Will::new("bobs/will", "gone");
    let mut live = stage.connect(&ConnectOptions { will: Some(will), ..durable("live") });
    assert_eq!(publishes(&mut live, "$delayed/2/bobs/late"), ReasonCode::Success);
    let mut away = stage.connect(&durable("away"));
    away.subscribe_to("news/#", QoS::AtLeastOnce).unwrap();
    drop(away);
    stage.publish("news/1");
    let mut ann = login(&stage.broker, "ann-1", "ann", "pw").unwrap();

    stage.order("revoke bob", 2);
    let end = eventually("the connection ends", || live.ping().err());
    let ClientError::Disconnected { reason, text } = end else { panic!("{end:?}") };
    assert_eq!((reason, &*text), (ReasonCode::AdministrativeAction, "by order"));
    ann.ping().unwrap();
    for client_id in ["live", "away"] {
        assert!(!stage.connect(&durable(client_id)).session_present(), "{client_id}");
    }
    stage.order("revoke nobody", 0);
    // Longer than the delay of the message.
    let mut bob = stage.connect(&durable("live"));
    assert_eq!(publishes(&mut bob, "$delayed/3/bobs/new"), ReasonCode::Success);
    let message = watcher.receive(WAIT_MAX).unwrap().expect("a message of the new session");
    assert_eq!(message.topic, "bobs/new");
}

#[test]
fn session_that_was_revoked_stays_ended_after_a_crash() {
    let mut stage = Stage::set();
    let mut away = stage.connect(&durable("away"));
    away.subscribe_to("news/#", QoS::AtLeastOnce).unwrap();
    drop(away);
    stage.order("revoke bob", 1);
    // Its reply says that all earlier changes are on the disk.
    stage.broker.command_ok("-addUser witness secret");
    stage.restart();
    assert!(!stage.connect(&durable("away")).session_present());
}

#[test]
fn replaced_principal_counts_at_once_and_ends_subscriptions_that_it_denies() {
    let mut stage = Stage::set();
    let mut ann = login(&stage.broker, "ann-1", "ann", "pw").unwrap();
    assert_eq!(publishes(&mut ann, "a/1"), ReasonCode::NoMatchingSubscribers);
    assert_eq!(publishes(&mut ann, "b/1"), ReasonCode::NotAuthorized);
    let mut bob = login(&stage.broker, "bob-1", "bob", "pw").unwrap();
    for filter in ["c/#", "d/#"] {
        bob.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    }
    stage.order("widen ann b/#", 1);
    assert_eq!(publishes(&mut ann, "a/1"), ReasonCode::NotAuthorized, "the topic was allowed before");
    assert_eq!(publishes(&mut ann, "b/1"), ReasonCode::NoMatchingSubscribers);
    stage.order("widen bob d/#", 1);
    stage.publish("c/1");
    assert_eq!(stage.topics_until(&mut bob, "d/1"), Vec::<String>::new());
    let ended = bob.unsubscribe(&["c/#", "d/#"]).unwrap();
    assert_eq!(ended, [ReasonCode::NoSubscriptionExisted, ReasonCode::Success]);
}

#[test]
fn subscriptions_that_a_replaced_principal_denies_end_offline_and_for_good() {
    let mut stage = Stage::set();
    let mut away = stage.connect(&durable("away"));
    for filter in ["c/#", "d/#"] {
        away.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    }
    drop(away);
    stage.publish("c/1");
    stage.publish("d/1");
    stage.order("widen bob d/#", 1);
    stage.broker.command_ok("-addUser witness secret");
    stage.restart();
    stage.publish("c/2");
    // The next login has all rights again. They decide about messages that waited.
    let mut bob = stage.connect(&durable("away"));
    assert!(bob.session_present());
    assert_eq!(stage.topics_until(&mut bob, "d/2"), ["c/1", "d/1"]);
}

#[test]
fn login_that_is_revoked_before_it_has_a_session_leaves_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = asking("grants,builtin").variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let config = json!({"endpoints": {"orders": {"HOST": "127.0.0.1", "PORT": port}}});
    let bytes = BASE64_STANDARD.encode(GRANTS);
    broker.command_ok(&format!(
        "-addModule grants -world auth -net 127.0.0.1:{port} -config {config} wasm64:{bytes}"
    ));
    let _orders = listener.accept().unwrap();
    until_open_for(&broker, "{}");
    let rights = r##"{"revoked":true,"grants":[["allow","#"]]}"##;
    for number in 0..30 {
        let options = ConnectOptions::v5(format!("gone-{number}")).user(format!("user-{number}"), rights);
        // It is refused or ended, whichever the revocation meets.
        let client = Client::connect(broker.address(), &options.session_expiry(3_600));
        if let Ok(mut client) = client {
            drop(client.publish(&Publication::new("news/1", "x").qos(QoS::AtLeastOnce)));
        }
    }
    eventually("no session is left", || {
        let listed = broker.command_ok("-listSessions gone-");
        (listed.data()["total"] == json!(0)).then_some(())
    });
    let stays =
        ConnectOptions::v5("stays").user("bob", r##"{"grants":[["allow","#"]]}"##).session_expiry(3_600);
    Client::connect(broker.address(), &stays).unwrap().ping().unwrap();
}

/// Waits until a guest lets in a client with this password.
fn until_open_for(broker: &Broker, password: &str) {
    let options = ConnectOptions::v5("probe").user("probe", password);
    eventually("the guest is open", || Client::connect(broker.address(), &options).ok());
}
