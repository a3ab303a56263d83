//! An action that keeps large settings as fast as it can, for anybody who publishes: what others
//! are promised holds meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, eventually};

use crate::options;

const KEEPS: &str = "-addAction DEFINE ACTION Keep\nON TOPIC \"keep\" DO\n    SET \"n\" WITH 0\n    LOOP\n        SET \"n\" WITH {n} + 1\n        \
                     KEEP ENV \"LARGE\" WITH PAYLOAD\n        KEEP ENV \"B\" WITH \"1\"\n        KEEP ENV \"B\" WITH \"2\"\n        KEEP SECRET \"S\" WITH \"3\"\n    \
                     UNTIL {n} > 9000\n";

const ROUTES: usize = 8;

/// A route that refuses whatever comes.
fn route(number: usize) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line{number} WITH TYPE LOOPBACK\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/{number}\"\n        \
         WITH FAIL \"{{payload.json.fail}}\"\n        WITH DESTINATION_TOPIC \"done/{number}\"\n"
    )
}

fn dead_letters(broker: &Broker, number: usize) -> u64 {
    broker.command_ok(&format!("-listDeadLetters Line{number}")).data()["count"].as_u64().unwrap_or(0)
}

/// Deploys routes that refuse their messages, and adds and removes users.
fn work(broker: &Broker) {
    for number in 0..ROUTES {
        broker.command_ok(&route(number));
        let mut client = broker.client(&format!("to {number}"));
        let message = Publication::new(format!("in/{number}"), r#"{"fail":"reject"}"#);
        client.publish(&message.qos(QoS::AtLeastOnce)).unwrap();
        broker.command_ok(&format!("-removeUser mallory{number}"));
        let waiting = broker.metric("lotmq_store_waiting_bytes").unwrap();
        assert!(waiting < f64::from(8 << 20), "{waiting} bytes wait for the disk");
    }
    for number in 0..ROUTES {
        eventually("the message is a dead letter", || (dead_letters(broker, number) == 1).then_some(()));
    }
}

#[test]
fn kept_value_flood_does_not_lose_acknowledged_changes_of_other_users() {
    let mut broker = options().start();
    broker.command_ok(KEEPS);
    for number in 0..ROUTES {
        broker.command_ok(&format!("-addUser mallory{number} s3cret-pump"));
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut stranger = broker.client("stranger");
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                stranger.publish(&Publication::new("keep", vec![b'v'; 65_000])).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        // A panic must end the other thread as well.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&broker)));
        is_over.store(true, Ordering::Relaxed);
        worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    broker.kill();
    broker.start_again();
    let users = broker.command_ok("-listUsers").data().to_string();
    assert!(!users.contains("mallory"), "{users}");
    for number in 0..ROUTES {
        eventually("the dead letter is there", || (dead_letters(&broker, number) == 1).then_some(()));
    }
}
