//! Messages about whose receivers rules are asked later.

use std::sync::Arc;

use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Validity};
use lotmq_client::Client;
use lotmq_codec::QoS;

use crate::process::this_turn;
use crate::testing::{PATIENCE, Running};
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::{ask_later, resume_asked};

/// A rule that lets everybody have everything, and is asked about each message.
struct Allows;

impl Ask for Allows {
    fn ask(&self, _: &Question<'_>, _: Option<&Arc<Account>>) -> Answer {
        Answer { opinion: Opinion::Allow, validity: Validity::Never }
    }
}

fn publish_later(turn: &mut Turn, tenant: &Arc<Tenant>, (topic, payload): (&str, &str)) {
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
    ask_later(turn, tenant, &publication, found);
}

#[test]
fn messages_reach_their_receivers_later_in_order_and_are_retained_at_once() {
    const RECEIVERS: usize = 40;
    const MESSAGES: usize = 20;
    let running = Running::start("none");
    let mut receivers: Vec<Client> = (0..RECEIVERS)
        .map(|number| {
            let mut client = running.client(&format!("receiver-{number}"));
            client.subscribe_to("asked/+", QoS::AtLeastOnce).unwrap();
            client
        })
        .collect();
    let broker = &running.server.broker;
    let tenant = broker.tenants.default_tenant();
    let facts = RuleFacts {
        priority: 1,
        scope: "Subscribe".to_owned(),
        topic: Some("asked/#".to_owned()),
        inputs: RuleInputs { client_id: true, ..RuleInputs::default() },
    };
    tenant.permissions.put(vec![Rule { name: "Allows".into(), facts: Some(facts), ask: Arc::new(Allows) }]);
    this_turn::install(Arc::clone(&broker.context), None);
    this_turn::with(|turn| {
        for number in 0..MESSAGES {
            publish_later(turn, &tenant, ("asked/x", &number.to_string()));
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
    assert!(late.receive(std::time::Duration::ZERO).unwrap().is_none(), "it came after they were sent");
    running.server.stop();
}
