//! Messages about whose receivers rules are asked later.

use std::sync::Arc;
use std::time::Duration;

use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Validity};
use lotmq_client::Client;
use lotmq_codec::QoS;

use crate::testing::{PATIENCE, Running};
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::{ask_later, resume_asked};
use lotmq_process::this_turn;

/// A rule that lets everybody have everything, and is asked about each message. An answer takes so
/// long.
struct Allows(Duration);

impl Ask for Allows {
    fn ask(&self, _: &Question<'_>, _: Option<&Arc<Account>>) -> Answer {
        std::thread::sleep(self.0);
        Answer { opinion: Opinion::Allow, validity: Validity::Never }
    }
}

fn put_rule(tenant: &Tenant, takes: Duration) {
    let facts = RuleFacts {
        priority: 1,
        scope: "Subscribe".to_owned(),
        topic: Some("asked/#".to_owned()),
        inputs: RuleInputs { client_id: true, ..RuleInputs::default() },
    };
    let ask = Arc::new(Allows(takes));
    tenant.permissions.put(vec![Rule { name: "Allows".into(), facts: Some(facts), ask }]);
}

fn receivers(running: &Running, count: usize) -> Vec<Client> {
    let receiver = |number| {
        let mut client = running.client(&format!("receiver-{number}"));
        client.subscribe_to("asked/+", QoS::AtLeastOnce).unwrap();
        client
    };
    (0..count).map(receiver).collect()
}

/// Leaves a message to later turns, with `between` after its route has been looked for.
fn publish_later(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (topic, payload): (&str, &str),
    between: impl FnOnce(),
) {
    let parts = MessageParts {
        topic,
        properties: &[],
        payload: payload.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at_ms: None,
    };
    let publication = Publication::copied(&mut turn.arena, parts, None);
    let found = turn.routes.begin(tenant, topic.as_bytes(), Some(1));
    between();
    ask_later(turn, tenant, &publication, found);
}

#[test]
fn messages_reach_their_receivers_later_in_order_and_are_retained_at_once() {
    const RECEIVERS: usize = 40;
    const MESSAGES: usize = 20;
    let running = Running::start("os");
    let mut receivers = receivers(&running, RECEIVERS);
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    put_rule(&tenant, Duration::ZERO);
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    this_turn::with(|turn| {
        for number in 0..MESSAGES {
            publish_later(turn, &tenant, ("asked/x", &number.to_string()), || ());
        }
        turn.flush();
        assert!(!turn.asked.is_empty());
    });
    let mut late = running.client("late");
    late.subscribe_to("asked/x", QoS::AtMostOnce).unwrap();
    let last = late.receive(PATIENCE).unwrap().expect("it is retained");
    assert_eq!(last.text(), (MESSAGES - 1).to_string());
    this_turn::with(|turn| {
        while resume_asked(turn) {
            turn.flush();
        }
        assert_eq!(turn.asked.bytes, 0);
    });
    this_turn::uninstall();
    for client in &mut receivers {
        for number in 0..MESSAGES {
            let message = client.receive(PATIENCE).unwrap().expect("each message comes");
            assert_eq!(message.text(), number.to_string());
        }
    }
    assert!(late.receive(Duration::ZERO).unwrap().is_none(), "it came after they were sent");
    running.server.stop();
}

#[test]
fn subscriber_that_joins_before_a_routed_message_is_retained_gets_it() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let mut late = running.client("late");
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    this_turn::with(|turn| {
        publish_later(turn, &tenant, ("asked/x", "new"), || {
            late.subscribe_to("asked/x", QoS::AtMostOnce).unwrap();
            late.ping().unwrap();
            assert!(late.receive(Duration::ZERO).unwrap().is_none(), "nothing is retained");
        });
        turn.flush();
        while resume_asked(turn) {
            turn.flush();
        }
    });
    this_turn::uninstall();
    assert_eq!(late.receive(PATIENCE).unwrap().expect("it was sent since").text(), "new");
    running.server.stop();
}

#[test]
fn subscriber_that_joins_during_a_long_rule_check_gets_the_message() {
    const RECEIVERS: usize = 100;
    let running = Running::start("os");
    let _receivers = receivers(&running, RECEIVERS);
    put_rule(&running.server.broker.hosting.tenants.default_tenant(), Duration::from_millis(1));
    let mut publisher = running.client("publisher");
    for round in 0..10 {
        let text = round.to_string();
        let publication = lotmq_client::Publication {
            retain: true,
            ..lotmq_client::Publication::new("asked/x", text.as_str())
        };
        publisher.send_publish(&publication).unwrap();
        let mut late = running.client(&format!("late-{round}"));
        late.subscribe_to("asked/x", QoS::AtMostOnce).unwrap();
        publisher.ping().unwrap();
        let mut last = String::new();
        while last != text {
            let next = late.receive(PATIENCE).unwrap();
            last = next.expect("the message came after the subscription, or is retained").text();
        }
    }
    running.server.stop();
}

#[test]
fn deferred_messages_reach_a_new_subscriber_once_and_in_order() {
    const MESSAGES: usize = 5;
    let running = Running::start("os");
    let _receivers = receivers(&running, 40);
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    put_rule(&tenant, Duration::ZERO);
    let mut late = running.client("late");
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    this_turn::with(|turn| {
        for number in 0..MESSAGES {
            let subscribes = || {
                if number == 0 {
                    late.subscribe_to("asked/x", QoS::ExactlyOnce).unwrap();
                }
            };
            publish_later(turn, &tenant, ("asked/x", &number.to_string()), subscribes);
        }
        turn.flush();
    });
    late.ping().unwrap();
    assert!(late.receive(Duration::from_millis(100)).unwrap().is_none(), "all of them come later");
    this_turn::with(|turn| {
        while resume_asked(turn) {
            turn.flush();
        }
    });
    this_turn::uninstall();
    for number in 0..MESSAGES {
        assert_eq!(late.receive(PATIENCE).unwrap().expect("each comes").text(), number.to_string());
    }
    running.server.stop();
}
