//! Stores as earlier builds have written them, under a broker of today.

use std::time::Duration;

use lotmq_changes::{Batch, KeeperRow, Op};
use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_store::{Store, StoreOptions};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::options;

/// Messages that a user has room for until none is retained any more.
fn retains(broker: &Broker, user: &str, prefix: &str) -> usize {
    let mut client = broker.connect(&ConnectOptions::v5("").user(user, "pw"));
    let is_kept = |number: &usize| {
        let message = Publication::new(format!("{prefix}/{number}"), "1").qos(QoS::AtLeastOnce);
        !client.publish(&message.retained()).unwrap().is_failure()
    };
    (0..64).take_while(is_kept).count()
}

/// Retained messages below a topic that a user gets.
fn retained(broker: &Broker, user: &str, prefix: &str) -> usize {
    let mut client = broker.connect(&ConnectOptions::v5("").user(user, "pw"));
    client.subscribe_to(&format!("{prefix}/#"), QoS::AtMostOnce).unwrap();
    std::iter::from_fn(|| client.receive(Duration::from_millis(500)).unwrap()).count()
}

/// Name of a user as a row has it.
fn name(stored: &str) -> String {
    stored.split('\u{1}').next().unwrap_or_default().to_owned()
}

/// Writes what is stored of users again as it was before accounts had numbers: by name alone.
fn without_numbers(broker: &mut Broker) {
    broker.stop();
    let (store, recovered) = Store::open(StoreOptions::new(broker.data()), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    let (mut users, mut rows) = (0, 0);
    for mut user in recovered.users {
        let before = user.settings.len();
        user.settings.retain(|(name, _)| !name.ends_with("number"));
        users += before - user.settings.len();
        batch.push(Op::PutUser(&user));
    }
    for mut row in recovered.retained {
        let KeeperRow::User(stored) = &row.keeper else { continue };
        rows += usize::from(name(stored) != *stored);
        (row.keeper, row.version) = (KeeperRow::User(name(stored)), store.next_message_id());
        batch.push(Op::PutRetained(&row));
    }
    for mut row in recovered.keeps {
        row.user = row.user.map(|stored| name(&stored));
        batch.push(Op::PutKeep(&row));
    }
    assert!(users >= 2 && rows >= 12, "{users} users and {rows} retained messages had numbers");
    store.commit(batch).unwrap();
    store.close();
    drop(store);
    broker.start_again();
}

#[test]
fn a_store_from_before_accounts_had_numbers_is_theirs_and_not_their_namesakes() {
    let mut broker = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "16").start();
    let add = |broker: &Broker| {
        broker.command_ok("-addUser ann pw");
        broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    };
    let keeps = |broker: &Broker| {
        let found = broker.command_ok("-listKept kept/#");
        found.data().as_array().unwrap().iter().map(|kept| kept["user"].clone()).collect::<Vec<_>>()
    };
    add(&broker);
    let action = "-addAction DEFINE ACTION Keeps\nON TOPIC \"keep\" DO\n    KEEP TOPIC \"kept/a\" WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH GET TOPIC \"kept/a\"\n";
    assert!(broker.command_as(("ann", "pw"), action).success());
    let runs = |broker: &Broker, payload: &str| {
        let mut client = broker.root("go");
        client.subscribe_to("out", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("keep", payload).qos(QoS::AtLeastOnce)).unwrap();
        client.receive(WAIT_MAX).unwrap().unwrap().text()
    };
    assert_eq!(runs(&broker, "1"), "1");
    assert_eq!(retains(&broker, "ann", "former"), 12);
    without_numbers(&mut broker);
    // They are hers: as messages, as values, as a definition that runs, and in her share.
    assert_eq!(retained(&broker, "ann", "former"), 12);
    assert_eq!(keeps(&broker), ["ann"]);
    assert_eq!(runs(&broker, "2"), "2");
    assert_eq!(retains(&broker, "ann", "more"), 0);
    // Behind another start, too.
    broker.kill();
    broker.start_again();
    assert_eq!((retains(&broker, "ann", "more"), retained(&broker, "ann", "former")), (0, 12));
    broker.command_ok("-removeUser ann");
    add(&broker);
    assert_eq!(retains(&broker, "ann", "later"), 3, "her namesake has a share of his own");
    broker.kill();
    broker.start_again();
    assert_eq!(retains(&broker, "ann", "later"), 3, "he keeps what he has, and there is no more for him");
    assert_eq!(retains(&broker, "ann", "more"), 0);
    assert_eq!(retained(&broker, "ann", "former"), 12, "what she has left is there");
}
