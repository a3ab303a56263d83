//! Many sessions of which something is due at once: their ends, their delayed Wills, the removal of
//! their user.

use std::net::SocketAddr;
use std::thread;

use lotmq_client::{
    Client, ConnectOptions, PropertyId, PropertyValue, Publication, QoS, SubscriptionOptions, Will,
};
use lotmq_codec::Properties;
use lotmq_test_support::{Broker, WAIT_MAX, allow_open_files};

use crate::turns::others_are_served;
use crate::watch::broker;

/// Sessions of each attack.
const SESSIONS: usize = 1_500;

/// Filters of each of them.
const FILTERS: usize = 4;

/// Threads that connect them.
const THREADS: usize = 4;

/// Connects them all, each with its filters, and leaves them connected.
fn connect_all(broker: &Broker, options: impl Fn(usize) -> ConnectOptions + Sync) -> Vec<Client> {
    // Those of this process, and those of the broker.
    allow_open_files(2 * SESSIONS as u64 + 1_000);
    let address = broker.address();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let options = &options;
                scope.spawn(move || {
                    let own = (0..SESSIONS).skip(thread).step_by(THREADS);
                    own.map(|number| connect(address, number, &options(number))).collect::<Vec<Client>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn connect(address: SocketAddr, number: usize, options: &ConnectOptions) -> Client {
    let mut client = Client::connect(address, options).unwrap();
    let filters: Vec<String> =
        (0..FILTERS).map(|filter| format!("own/{number}/{filter}/+{}", "/a".repeat(20))).collect();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let asked: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
    client.subscribe(&asked, Properties::EMPTY).unwrap();
    client
}

fn all_are_subscribed(broker: &Broker) {
    assert_eq!(broker.metric("lotmq_subscriptions"), Some((SESSIONS * FILTERS) as f64));
}

/// All connections break at once, and a second later all sessions have ended.
#[test]
fn many_sessions_expire_at_once() {
    let broker = broker().start();
    let clients =
        connect_all(&broker, |number| ConnectOptions::v5(format!("brief-{number}")).session_expiry(1));
    all_are_subscribed(&broker);
    others_are_served(&broker, || {
        clients.into_iter().for_each(Client::abort);
        broker.wait_until_metric_is("lotmq_sessions_expired_total", SESSIONS as f64);
        broker.wait_until_metric_is("lotmq_subscriptions", 0.0);
    });
}

/// All connections break at once, and a second later all Wills are published, to somebody who gets
/// each of them.
#[test]
fn many_delayed_wills_are_due_at_once() {
    let broker = broker().start();
    let mut heir = broker.connect(&ConnectOptions::v5("heir"));
    heir.subscribe_to("wills/#", QoS::AtLeastOnce).unwrap();
    let clients = connect_all(&broker, |number| {
        let mut will = Will::new(format!("wills/{number}{}", "/a".repeat(180)), number.to_string());
        (will.qos, will.retain) = (QoS::AtLeastOnce, true);
        will.properties.push(PropertyId::WillDelayInterval, PropertyValue::FourByte(1)).unwrap();
        ConnectOptions::v5(format!("late-{number}")).session_expiry(3_600).will(will)
    });
    let mut seen = vec![0; SESSIONS];
    others_are_served(&broker, || {
        clients.into_iter().for_each(Client::abort);
        for _ in 0..SESSIONS {
            let message = heir.receive(WAIT_MAX).unwrap().expect("every Will is published");
            seen[message.text().parse::<usize>().unwrap()] += 1;
        }
    });
    assert!(seen.iter().all(|count| *count == 1), "each of them once");
}

/// Half of them connected and half away, with messages that wait.
#[test]
fn a_user_with_many_sessions_is_removed() {
    let broker = broker().variable("LOTMQ_AUTH_PASSWORD_CHARS_MIN", "1").start();
    broker.command_ok("-addUser owner pw");
    let mut clients = connect_all(&broker, |number| {
        ConnectOptions::v5(format!("owned-{number}")).user("owner", "pw").session_expiry(3_600)
    });
    clients.split_off(SESSIONS / 2).into_iter().for_each(Client::abort);
    all_are_subscribed(&broker);
    let mut publisher = broker.client("publisher");
    for number in 0..SESSIONS {
        let topic = format!("own/{number}/0/x{}", "/a".repeat(20));
        publisher.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap();
    }
    others_are_served(&broker, || {
        assert!(broker.slow_command("-removeUser owner").success());
        broker.wait_until_metric_is("lotmq_subscriptions", 0.0);
    });
    for client in &mut clients {
        while client.receive(WAIT_MAX).is_ok() {}
    }
}
