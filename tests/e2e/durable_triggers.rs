//! `lot.durable_triggers`: what a message was to start is run, whatever happens to the broker
//! meanwhile.

use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::disk::Sick;
use crate::options;

/// Runs for some milliseconds, so that messages wait for it.
const SLOW: &str = "-addAction DEFINE ACTION Slow\nON TOPIC \"in/+\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n        \
                    SET \"t\" WITH \"x\" + {i}\n    UNTIL {i} == 90000\n    PUBLISH TOPIC \"out\" WITH TOPIC POSITION 2 + \" \" + PAYLOAD QOS 1\n";

const SHORT: &str =
    "-addAction DEFINE ACTION Short\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD QOS 1\n";

const MESSAGES: usize = 200;

fn broker(program: &str) -> Broker {
    let broker = options().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true").start();
    broker.command_ok(program);
    broker
}

fn subscriber(broker: &Broker) -> Client {
    broker.connect(&ConnectOptions::v5("subscriber").clean_start(false).session_expiry(3_600))
}

fn subscribe_and_leave(broker: &Broker) {
    let mut client = subscriber(broker);
    client.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    client.disconnect().unwrap();
}

fn publish_all(broker: &Broker) {
    let mut publisher = broker.client("gauge");
    for number in 0..MESSAGES {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let publication = Publication::new("in/a", number.to_string()).qos(qos);
        assert!(!publisher.publish(&publication).unwrap().is_failure());
    }
}

/// Interrupts a broker whose Action has begun with what it was sent, and shows that every message
/// has its run in the end.
fn every_run_happens(interrupt: impl Fn(&mut Broker)) {
    let mut broker = broker(SLOW);
    subscribe_and_leave(&broker);
    publish_all(&broker);
    interrupt(&mut broker);
    broker.start_again();
    let again = broker.metric("lotmq_guest_messages_again_total").unwrap();
    assert!(again > 0.0, "nothing was interrupted");
    let mut client = subscriber(&broker);
    let mut seen = Vec::new();
    eventually("everything has run, and is with the subscriber", || {
        while let Some(message) = client.receive(Duration::from_millis(20)).unwrap() {
            let text = message.text();
            let number = text.strip_prefix("a ").expect("it has its topic");
            seen.push(number.parse::<usize>().unwrap());
        }
        (broker.metric("lotmq_store_deliveries") == Some(0.0)).then_some(())
    });
    // A run that was interrupted before its end was noted repeats once. The order is that of the
    // messages.
    let repeats = seen.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    assert!(repeats <= 1, "{seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
    broker.kill();
    broker.start_again();
    assert_eq!(
        broker.metric("lotmq_guest_messages_again_total"),
        Some(0.0),
        "what has run does not run again"
    );
}

#[test]
fn a_message_whose_runs_a_kill_interrupts_starts_them_again() {
    every_run_happens(Broker::kill);
}

#[test]
fn a_message_whose_runs_a_stop_interrupts_starts_them_again() {
    every_run_happens(|broker| assert!(broker.stop().success()));
}

#[test]
fn kept_values_of_acknowledged_runs_survive_a_kill() {
    const EACH: usize = 20;
    let mut broker = broker(
        "-addAction DEFINE ACTION Count\nON TOPIC \"in\" DO\n    KEEP TOPIC \"n\" WITH (GET TOPIC \"n\" AS INT) + 1\n    KEEP ENV \"N\" WITH (GET ENV \"N\" AS INT) + 1\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Tell\nON TOPIC \"ask\" DO\n    PUBLISH TOPIC \"told\" WITH (GET TOPIC \"n\") + \" \" + (GET ENV \"N\")\n",
    );
    for round in 1..=6 {
        let mut publisher = broker.client("gauge");
        for _ in 0..EACH {
            publisher.publish(&Publication::new("in", "x").qos(QoS::AtLeastOnce)).unwrap();
        }
        broker.kill();
        broker.start_again();
        let mut client = broker.client("reader");
        client.subscribe_to("told", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("ask", "x").qos(QoS::AtLeastOnce)).unwrap();
        let told = client.receive(WAIT_MAX).unwrap().expect("it is told").text();
        let counts = told.split(' ').map(|count| count.parse::<usize>().unwrap_or_default());
        assert!(counts.clone().count() == 2 && counts.min() >= Some(round * EACH), "round {round}: {told}");
    }
}

#[test]
fn a_chain_of_actions_keeps_its_order_over_a_kill() {
    let mut broker = broker(
        &SLOW.replace("Slow", "First").replace("\"out\" WITH TOPIC POSITION 2 + \" \" +", "\"mid/b\" WITH"),
    );
    broker.command_ok(&SLOW.replace("Slow", "Second").replace("in/+", "mid/+"));
    subscribe_and_leave(&broker);
    publish_all(&broker);
    // Some are between the two, most before the first.
    broker.wait_for_metric("lotmq_publish_internal_total", 20.0);
    broker.kill();
    broker.start_again();
    let mut client = subscriber(&broker);
    let mut next = 0;
    while next < MESSAGES {
        let message = client.receive(WAIT_MAX).unwrap().expect("a run is missing").text();
        let number: usize = message.strip_prefix("b ").unwrap().parse().unwrap();
        assert!(number <= next, "{number} came in place of {next}");
        next = next.max(number + 1);
    }
}

#[test]
fn finished_runs_are_not_repeated_after_a_kill() {
    let mut broker = broker(SHORT);
    publish_all(&broker);
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
    broker.kill();
    broker.start_again();
    assert_eq!(broker.metric("lotmq_guest_messages_again_total"), Some(0.0));
}

#[test]
fn messages_waiting_for_a_removed_action_are_discarded() {
    let broker = broker(SLOW);
    publish_all(&broker);
    broker.command_ok("-removeAction Slow");
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}

#[test]
fn a_message_that_cannot_be_kept_for_its_runs_is_refused() {
    let sick = Sick::with(&[("LOTMQ_LOT_DURABLE_TRIGGERS", "true")]);
    sick.broker.command_ok(SHORT);
    let mut client = sick.broker.connect(&ConnectOptions::v5("gauge"));
    let publish = |client: &mut Client, topic: &str, qos| {
        client.publish(&Publication::new(topic, "x").qos(qos)).unwrap()
    };
    assert!(!publish(&mut client, "in/a", QoS::AtLeastOnce).is_failure());
    sick.becomes("full");
    // A message whose run ends before it would be written needs no disk. Once the broker knows that
    // the disk fails, it refuses messages that may need it.
    let kept = Publication::new("state", "x").qos(QoS::AtLeastOnce).retained();
    assert_eq!(client.publish(&kept).unwrap(), ReasonCode::QuotaExceeded);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(publish(&mut client, "in/a", qos), ReasonCode::QuotaExceeded);
        assert!(!publish(&mut client, "elsewhere", qos).is_failure(), "it starts nothing");
    }
    sick.heals();
    eventually("the disk works again", || {
        (!publish(&mut client, "in/a", QoS::AtLeastOnce).is_failure()).then_some(())
    });
}

/// Returns a definition that `cfg` has deployed, with a command that `cfg` may give.
fn of_cfg(say: &str) -> String {
    let command = "    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser evil password\"\n";
    SLOW.replace(
        "    PUBLISH TOPIC \"out\" WITH",
        &format!("{command}    PUBLISH TOPIC \"out\" WITH \"{say} \" +"),
    )
}

/// Interrupts runs after `change` was answered. Returns what they publish afterwards and whether
/// the command was given. Here `cfg` has deployed what they started.
fn after_a_change(change: &str, interrupt: fn(&mut Broker)) -> (Vec<String>, bool) {
    let mut broker = options().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true").start();
    broker.command_ok("-addUser cfg password");
    broker.command_ok("-changeUserSettings cfg AllowedSystemConfiguration true");
    broker.command_ok("-changeUserSettings cfg AllowedUserManagement true");
    // The first run and those behind it wait for the one before, which takes five seconds.
    broker.command_ok(
        "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 59000",
    );
    let waits = "DO\n    SET \"rows\" WITH GET MODEL \"A\" FROM \"Db\"\n    SET \"i\"";
    let program = of_cfg("cfg").replacen("DO\n    SET \"i\"", waits, 1);
    let added = broker.command_as(("cfg", "password"), &program);
    assert!(added.success(), "{added:?}");
    subscribe_and_leave(&broker);
    let mut publisher = broker.client("gauge");
    for number in 0..3 {
        let publication = Publication::new("in/a", number.to_string()).qos(QoS::AtLeastOnce);
        assert!(!publisher.publish(&publication).unwrap().is_failure());
    }
    broker.command_ok(change);
    interrupt(&mut broker);
    broker.start_again();
    if !change.contains("Slow") {
        broker.command_ok("-removeRoute Db");
    }
    let mut client = subscriber(&broker);
    let mut said = Vec::new();
    eventually("nothing is left to run", || {
        while let Some(message) = client.receive(Duration::from_millis(20)).unwrap() {
            said.push(message.text());
        }
        (broker.metric("lotmq_store_deliveries") == Some(0.0)).then_some(())
    });
    (said, broker.command_ok("-listUsers").0.to_string().contains("\"evil\""))
}

fn is_killed(broker: &mut Broker) {
    broker.kill();
}

fn is_stopped(broker: &mut Broker) {
    assert!(broker.stop().success());
}

#[test]
fn restarted_runs_execute_no_commands_of_a_removed_owner() {
    for interrupt in [is_killed, is_stopped] {
        let (said, is_given) = after_a_change("-removeUser cfg", interrupt);
        assert!(!is_given, "{said:?}");
    }
}

#[test]
fn interrupted_runs_are_repeated_with_the_code_of_the_new_owner() {
    let taken_over = SHORT.replace("Short", "Slow").replace("-addAction", "-addAction -replace");
    let taken_over = taken_over.replace("WITH PAYLOAD", "WITH \"root \" + PAYLOAD");
    for interrupt in [is_killed, is_stopped] {
        let (said, is_given) = after_a_change(&taken_over, interrupt);
        assert!(said.iter().all(|text| text.starts_with("root ")), "{said:?}");
        assert!(!is_given);
    }
}

#[test]
fn interrupted_runs_of_a_removed_action_are_discarded() {
    for interrupt in [is_killed, is_stopped] {
        assert_eq!(after_a_change("-removeAction Slow -force", interrupt), (Vec::new(), false));
    }
}

/// A route whose messages another one stores, which cannot.
const FORWARDS: &str = "-addRoute DEFINE ROUTE Front WITH TYPE LOOPBACK\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"in/+\"\n    STORE Db WITH TABLE_NAME \"t\"\n";

fn store(fails: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL \"{fails}\"\n"
    )
}

#[test]
fn message_forwarded_between_routes_is_kept_until_delivery() {
    let mut broker = broker(&store("retry"));
    broker.command_ok(FORWARDS);
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Routes/+/status", QoS::AtMostOnce).unwrap();
    let mut publisher = broker.client("gauge");
    publisher.publish(&Publication::new("in/a", "{\"v\":1}").qos(QoS::AtLeastOnce)).unwrap();
    let wait = |watcher: &mut Client, name: &str, what: &str| loop {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("a status");
        if message.topic.contains(name) && message.text().contains(what) {
            break;
        }
    };
    wait(&mut watcher, "/Front/", "\"succeeded\":1");
    wait(&mut watcher, "/Db/", "it was asked to fail");
    broker.kill();
    broker.start_again();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Routes/+/status", QoS::AtMostOnce).unwrap();
    broker.command_ok(&store("never"));
    wait(&mut watcher, "/Db/", "\"succeeded\":1");
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}

#[test]
fn messages_waiting_for_a_full_batch_survive_a_kill() {
    let route = |more: &str| {
        format!(
            "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n{more}    ADD EVENT Out\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH DESTINATION_TOPIC \"out\"\n        WITH QOS 1\n"
        )
    };
    let mut broker = broker(&route("    ADD ROUTE_CONFIG\n        WITH BATCH_LINGER 60000\n"));
    subscribe_and_leave(&broker);
    publish_all(&broker);
    broker.wait_until_metric_is("lotmq_route_waiting", 200.0);
    broker.kill();
    broker.start_again();
    broker.command_ok(&route(""));
    let mut client = subscriber(&broker);
    for number in 0..MESSAGES {
        let message = client.receive(WAIT_MAX).unwrap().expect("an answer is missing");
        assert_eq!(message.text(), number.to_string());
    }
}
