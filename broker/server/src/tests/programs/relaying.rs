//! Relays of the owners of definitions in a running broker.

use std::sync::Arc;
use std::time::Instant;

use lotmq_client::{Client, Publication, QoS};
use lotmq_definitions::{DefinitionKind, Owner};
use lotmq_host::limits::MAILBOX_MESSAGES_MAX;
use lotmq_host::{OwnedMessage, Runner};
use lotmq_shares::OwnerKey;

use super::authority::{eventually, ok, user};
use crate::testing::{Running, receive};
use lotmq_core::turn::Turn;
use lotmq_process::this_turn;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::authority::owner as owner_named;
use lotmq_programs::effects::{GuestMessage, Sender};
use lotmq_programs::inline_budget::InlineBudget;
use lotmq_programs::limits::OWN_EVENTS_PER_MESSAGE_MAX;
use lotmq_programs::pending_triggers::{look, thread_events};
use lotmq_programs::relay::OwnerRelay;
use lotmq_programs::relaying::hand_on;
use lotmq_programs::{Starts, TriggeredDefinition};

/// A broker in which `ann`, who is no administrator, may deploy Actions.
fn broker_of_ann() -> (Running, Client) {
    let running = Running::start("os");
    let mut root = user(&running, "root", "coreflux");
    ok(&mut root, "-addUser ann password");
    for scope in ["CommandCall", "ActionManagementCreation"] {
        let rule = format!(
            "DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"ann\" THEN\n        ALLOW\n"
        );
        ok(&mut root, &format!("-addRule {rule}"));
    }
    let ann = user(&running, "ann", "password");
    (running, ann)
}

/// Relay for the owner of a definition.
fn relay_of(trigger: &TriggeredDefinition, runner: &Runner) -> Arc<OwnerRelay> {
    let owner = OwnerKey { tenant: runner.tenant(), quota_key: trigger.definition.quota_key() };
    OwnerRelay::new(owner, runner)
}

fn actions(names: std::ops::Range<usize>, filter: &str, body: &str) -> String {
    names.map(|number| format!("DEFINE ACTION A{number}\nON TOPIC \"{filter}\" DO\n{body}")).collect()
}

#[test]
fn cost_for_other_publishers_is_independent_of_the_number_of_definitions() {
    const ACTIONS: usize = 20;
    let (running, mut ann) = broker_of_ann();
    let body = "    IF PAYLOAD == \"x\" THEN\n        PUBLISH TOPIC \"out\" WITH 1\n";
    ok(&mut ann, &format!("-addAction {}", actions(0..ACTIONS, "in/#", body)));
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let noted_of = |owner: Option<&str>| {
        let stranger = |name: &str| Owner { name: name.into(), account: 1 };
        let owner = owner.map(|name| owner_named(&tenant.users, name).unwrap_or_else(|| stranger(name)));
        this_turn::with(|turn| {
            turn.tick();
            let sender = Sender { owner: owner.as_ref(), origin: None, hops: 0 };
            assert!(GuestMessage::new("in/a", b"1").publish(turn, &tenant, sender).is_ok());
            thread_events(&mut turn.guests).inline_budget = InlineBudget::used_up(turn.core.clock.elapsed());
            let events = look(turn);
            let counts = (events.events.len(), events.others.len());
            turn.flush();
            counts
        })
    };
    assert_eq!(noted_of(None), (0, 1), "one event, whatever it starts");
    assert_eq!(noted_of(Some("bob")), (0, 1));
    assert_eq!(noted_of(Some("ann")), (ACTIONS, 0), "her own wait for each");
    this_turn::uninstall();
    let guests = &tenant.programs().guests;
    eventually("each has run for each message", || {
        guests.run_figures().iter().all(|(_, figures)| figures.runs == 3)
    });
    running.server.stop();
}

#[test]
fn route_of_a_topic_counts_each_definition_of_an_owner() {
    const ACTIONS: usize = 20;
    let (running, mut ann) = broker_of_ann();
    ok(&mut ann, &format!("-addAction {}", actions(0..ACTIONS, "in/#", "    SET \"x\" WITH PAYLOAD\n")));
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let (triggers, _) = tenant.hooks.triggers(&tenant, "in/a");
    let triggers = triggers.unwrap();
    assert_eq!((triggers.count(), triggers.definitions()), (1, ACTIONS));
    running.server.stop();
}

/// Adds actions that publish a message for each one that comes, a few at once.
fn add_to_in(ann: &mut Client, count: usize) {
    const AT_ONCE: usize = 8;
    let body = "    PUBLISH TOPIC \"out\" WITH \"ann\"\n";
    for first in (0..count).step_by(AT_ONCE) {
        let names = first..count.min(first + AT_ONCE);
        ok(ann, &format!("-addAction {}", actions(names, "in", body)));
    }
}

/// Texts of the messages that actions publish for `out`.
fn published_to_out(running: &Running, publish: impl FnOnce(&mut Turn)) -> impl Iterator<Item = String> {
    let mut watcher = running.client("watcher");
    watcher.subscribe_to("out", QoS::AtMostOnce).unwrap();
    this_turn::install(Arc::clone(&running.server.broker.hosting.context), None);
    this_turn::with(|turn| {
        turn.tick();
        publish(turn);
        turn.flush();
    });
    this_turn::uninstall();
    std::iter::repeat_with(move || receive(&mut watcher).1)
}

#[test]
fn events_of_two_publishers_take_turns() {
    const ACTIONS: usize = 24;
    let (running, mut ann) = broker_of_ann();
    add_to_in(&mut ann, ACTIONS);
    let mut root = user(&running, "root", "coreflux");
    let action = "DEFINE ACTION Other\nON TOPIC \"other\" DO\n    PUBLISH TOPIC \"out\" WITH 1\n";
    ok(&mut root, &format!("-addAction {action}"));
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let order = this_turn::with(|turn| {
        turn.tick();
        for (topic, owner) in [("in", "ann"), ("in", "ann"), ("other", "root")] {
            let owner = owner_named(&tenant.users, owner);
            let sender = Sender { owner: owner.as_ref(), origin: None, hops: 0 };
            assert!(GuestMessage::new(topic, b"1").publish(turn, &tenant, sender).is_ok());
        }
        let mut events = std::mem::take(&mut thread_events(&mut turn.guests).events);
        let mut order = Vec::new();
        while events.take_turn(|event, _| order.push(event.trigger.definition.name().to_string())) {}
        turn.flush();
        order
    });
    this_turn::uninstall();
    assert_eq!(order.len(), 2 * ACTIONS + 1);
    assert_eq!(order.iter().position(|name| name == "Other"), Some(1));
    let of_ann: Vec<_> = order.into_iter().filter(|name| name != "Other").collect();
    assert_eq!(of_ann[..ACTIONS], of_ann[ACTIONS..], "each message in its order");
    running.server.stop();
}

#[test]
fn message_for_many_definitions_of_its_publisher_costs_the_thread_one_event() {
    let actions_count = OWN_EVENTS_PER_MESSAGE_MAX + 1;
    let (running, mut ann) = broker_of_ann();
    add_to_in(&mut ann, actions_count);
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let owner = owner_named(&tenant.users, "ann");
    let published = published_to_out(&running, |turn| {
        let sender = Sender { owner: owner.as_ref(), origin: None, hops: 0 };
        assert!(GuestMessage::new("in", b"1").publish(turn, &tenant, sender).is_ok());
        let events = look(turn);
        assert_eq!((events.events.len(), events.others.len()), (0, 1));
    });
    assert_eq!(published.take(actions_count).filter(|text| text == "ann").count(), actions_count);
    running.server.stop();
}

#[test]
fn messages_of_other_publishers_reach_each_definition_completely_and_in_order() {
    const COUNT: u32 = 1_500;
    let (running, mut ann) = broker_of_ann();
    let body = format!(
        "    SET \"last\" WITH \"last/\" + TOPIC POSITION 2\n    \
         IF NOT PAYLOAD == (GET TOPIC {{last}} AS INT) + 1 THEN\n        \
         PUBLISH TOPIC \"done\" WITH \"out of order: \" + PAYLOAD\n    KEEP TOPIC {{last}} WITH PAYLOAD\n    \
         IF PAYLOAD == {COUNT} THEN\n        PUBLISH TOPIC \"done\" WITH \"all\"\n"
    );
    ok(&mut ann, &format!("-addAction {}", actions(0..1, "in/+", &body)));
    let idle = "    SET \"x\" WITH PAYLOAD + \"y\"\n";
    ok(&mut ann, &format!("-addAction {}", actions(1..8, "in/+", idle)));
    let mut watcher = running.client("watcher");
    watcher.subscribe_to("done", QoS::AtMostOnce).unwrap();
    let mut publisher = running.client("p");
    publisher.publish(&Publication::new("last/a", "0").qos(QoS::AtLeastOnce)).unwrap();
    for number in 1..=COUNT {
        publisher.publish(&Publication::new("in/a", number.to_string())).unwrap();
    }
    assert_eq!(receive(&mut watcher).1, "all");
    assert_eq!(running.server.broker.core.counters.guest_events_dropped.get(), 0);
    running.server.stop();
}

#[test]
fn dropped_event_is_reported_to_each_definition_that_it_triggers() {
    const ACTIONS: usize = 3;
    const TOO_MANY: usize = 5;
    let (running, mut ann) = broker_of_ann();
    ok(&mut ann, &format!("-addAction {}", actions(0..ACTIONS, "in", "    SET \"x\" WITH PAYLOAD\n")));
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let guests = &tenant.programs().guests;
    let triggers: Arc<[_]> = tenant.programs().triggers("in").into();
    let Starts::Guest(runner) = &triggers[0].starts else { panic!("an Action has a runner") };
    // One that nobody calls.
    let relay = relay_of(&triggers[0], runner);
    relay.is_called();
    for _ in 0..MAILBOX_MESSAGES_MAX + TOO_MANY {
        let message = OwnedMessage::new("in", bytes::Bytes::from_static(b"1"));
        relay.put(relay.relayed((Arc::clone(&triggers), 0), message, None, 0));
    }
    assert!(relay.is_ahead());
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let began = Instant::now();
    let is_left = || this_turn::with(|turn| hand_on(&relay, turn, &tenant));
    while is_left() {
        assert!(began.elapsed() < crate::testing::PATIENCE);
    }
    this_turn::with(Turn::flush);
    this_turn::uninstall();
    assert!(!relay.is_ahead());
    let dropped = broker.core.counters.guest_events_dropped.get();
    assert_eq!(dropped, (ACTIONS * TOO_MANY) as u64);
    for number in 0..ACTIONS {
        let registry = guests.registry.read();
        let action = registry.get(DefinitionKind::Action, &format!("A{number}")).unwrap();
        assert_eq!(action.activity.last_error().unwrap().code, "MAILBOX_FULL");
    }
    running.server.stop();
}

#[test]
fn waiting_messages_are_charged_for_their_lists_of_definitions() {
    const DEFINITIONS: usize = 10_000;
    let (running, mut ann) = broker_of_ann();
    ok(&mut ann, &format!("-addAction {}", actions(0..1, "in/#", "    SET \"x\" WITH PAYLOAD\n")));
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let [trigger] = &*tenant.programs().triggers("in/a") else { panic!("one Action is triggered") };
    let Starts::Guest(runner) = &trigger.starts else { panic!("an Action has a runner") };
    let list = || -> Arc<[_]> { vec![Arc::clone(trigger); DEFINITIONS].into() };
    let waiting_of = |lists: &mut dyn FnMut() -> Arc<[Arc<TriggeredDefinition>]>| {
        let relay = relay_of(trigger, runner);
        relay.is_called();
        for _ in 0..100 {
            let message = OwnedMessage::new("in/a", bytes::Bytes::from_static(b"1"));
            relay.put(relay.relayed((lists(), 0), message, None, 0));
        }
        std::iter::from_fn(|| relay.next().1).count()
    };
    assert!(waiting_of(&mut || list()) < 30, "each message has a list of a megabyte");
    let one = list();
    assert_eq!(waiting_of(&mut || Arc::clone(&one)), 100, "all have one list");
    running.server.stop();
}
