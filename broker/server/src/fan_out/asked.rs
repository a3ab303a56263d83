//! Messages that no PUBLISH brings, of definitions, the broker and Wills, about whose receivers rules are asked: on a thread that serves Clients over as many
//! turns as that takes.
//!
//! Nobody waits for an answer to such a message, and what it is besides being delivered it is at once: retained, remembered as the last value of its topic, the
//! start of other runs. So a run reads what those before it have published. Only its receivers get it when all of them have been asked about.
//!
//! Invariants: messages on one topic leave in the order in which they came; what a message rests on in the store (a promised run, the row of a session with
//! its Will) stays there until the message is with the store itself. Not here: threads without Clients, which ask at once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::parts::LeftParts;
use super::{FanOutOf, Publication};
use crate::client::Client;
use crate::clock::{Clock, Stretch};
use crate::limits::{ASKED_BYTES_MAX, ASKED_CROWD, ASKED_MESSAGES_MAX, ASKED_PART_BYTES, ASKING_TIME_MAX};
use crate::message::Message;
use crate::net::turn::Turn;
use crate::route::{Asking, Route};
use crate::session_end;
use crate::system_topics;
use crate::tenant::Tenant;

/// The messages of one thread whose receivers are being asked about.
#[derive(Default)]
pub(crate) struct AskedMessages {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Time for asking in this turn.
    stretch: Option<Stretch>,
    /// What publishers who have gone have left: messages on the same topics wait for it.
    pub(super) left: LeftParts,
}

struct Waiting {
    tenant: Arc<Tenant>,
    message: Arc<Message>,
    source: Option<Arc<Client>>,
    /// The route, or what is left to be asked.
    found: Result<Arc<Route>, Box<Asking>>,
    /// It is a Will that the row of its session in the store has until it is published.
    is_in_row: bool,
}

impl AskedMessages {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there are so many that runs had better publish no more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.len() >= ASKED_CROWD || self.bytes >= ASKED_PART_BYTES
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= ASKED_MESSAGES_MAX || self.bytes >= ASKED_BYTES_MAX
    }

    fn has_of(&self, tenant: &Arc<Tenant>, topic: &str) -> bool {
        let is_of = |it: &Waiting| Arc::ptr_eq(&it.tenant, tenant) && it.message.topic() == topic;
        self.left.has_of(tenant, topic) || self.waiting.iter().any(is_of)
    }

    /// The message that came last is a Will: its session is stored without it when it is published.
    pub(crate) fn last_is_in_row(&mut self) {
        if let Some(last) = self.waiting.back_mut() {
            last.is_in_row = true;
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.message.size();
        Some(first)
    }
}

/// Routes a message on a thread that serves Clients. False when its receivers get it in a later turn.
pub(super) fn publish(turn: &mut Turn, tenant: &Arc<Tenant>, publication: &Publication<'_>) -> bool {
    if turn.asked.is_full()
        && let Some(first) = turn.asked.pop()
    {
        // More than anybody has use for: the bound is worth more than the time.
        first.finish(turn);
    }
    let topic = turn.arena.text(publication.topic);
    let is_behind = turn.asked.has_of(tenant, topic);
    let found = turn.routes.begin(tenant, topic, Some(publication.bytes()));
    let found = found.or_else(|asking| if is_behind { Err(asking) } else { go_on(asking, turn, tenant) });
    match found {
        Ok(route) if !is_behind => {
            turn.publish_on(tenant, publication, route);
            true
        }
        found => {
            wait(turn, tenant, publication, found);
            false
        }
    }
}

/// Goes on asking while there is time for that in this turn.
fn go_on(asking: Box<Asking>, turn: &mut Turn, tenant: &Arc<Tenant>) -> Result<Arc<Route>, Box<Asking>> {
    let Turn { core, asked, routes, .. } = turn;
    let stretch = stretch(asked, &*core.clock);
    asking.go_on_until(routes, tenant, || stretch.is_over(&*core.clock))
}

/// Time for asking in this turn. It begins with the first message.
fn stretch(asked: &mut AskedMessages, clock: &dyn Clock) -> Stretch {
    *asked.stretch.get_or_insert_with(|| clock.stretch(ASKING_TIME_MAX))
}

/// Does with a message what does not depend on its receivers, and lets these wait.
fn wait(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    publication: &Publication<'_>,
    found: Result<Arc<Route>, Box<Asking>>,
) {
    turn.call_flusher();
    let route = found.as_ref().unwrap_or_else(|asking| asking.route());
    let mut fan_out = FanOutOf::new(publication, system_topics::is_system(&route.topic));
    fan_out.retain(turn, tenant);
    fan_out.tell_guests(turn, tenant, route);
    turn.steps += route.triggers.as_ref().map_or(0, |triggers| triggers.count());
    let index = fan_out.message(turn);
    let message = Arc::clone(turn.messages.shared(index, &turn.arena));
    turn.asked.bytes += message.size();
    let (tenant, source) = (Arc::clone(tenant), publication.source.map(Arc::clone));
    turn.asked.waiting.push_back(Waiting { tenant, message, source, found, is_in_row: false });
}

/// Begins a turn with asking about receivers of earlier ones' messages, while there is time. True when there were any.
pub(crate) fn resume(turn: &mut Turn) -> bool {
    turn.asked.stretch = None;
    let has_left = LeftParts::resume(turn);
    let has_any = !turn.asked.is_empty();
    let mut is_over = !has_any;
    while !is_over && let Some(mut first) = turn.asked.pop() {
        first.found = first.found.or_else(|asking| go_on(asking, turn, &first.tenant));
        if first.found.is_err() || turn.asked.left.has_of(&first.tenant, first.message.topic()) {
            turn.asked.bytes += first.message.size();
            turn.asked.waiting.push_front(first);
            break;
        }
        first.finish(turn);
        let is_late = stretch(&mut turn.asked, &*turn.core.clock).is_over(&*turn.core.clock);
        is_over = is_late || turn.time_shares.is_full();
    }
    has_any || has_left
}

impl Waiting {
    /// Gives it to its receivers, however long asking about those that are left takes.
    fn finish(self, turn: &mut Turn) {
        let Self { tenant, message, source, found, is_in_row } = self;
        let route = found.unwrap_or_else(|asking| asking.finish(&mut turn.routes, &tenant));
        let publication = Publication::copied(&mut turn.arena, message.parts(), source.as_ref());
        let mut fan_out = FanOutOf::new(&publication, system_topics::is_system(&route.topic));
        fan_out.send_to_all(turn, &tenant, &route);
        turn.call_flusher();
        turn.routes.put_back(&tenant, route);
        if let Some(client) = source.filter(|_| is_in_row) {
            session_end::store(&client, turn);
        }
        turn.relieve();
    }
}

#[cfg(test)]
mod tests {
    use lot_facts::{RuleFacts, RuleInputs};
    use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Validity};
    use lotmq_client::Client;
    use lotmq_codec::QoS;

    use super::*;
    use crate::message::MessageParts;
    use crate::testing::{PATIENCE, Running};
    use crate::this_turn;

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
        let found = turn.routes.begin(tenant, topic, Some(1));
        wait(turn, tenant, &publication, found);
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
        tenant.permissions.put(vec![Rule {
            name: "Allows".into(),
            facts: Some(facts),
            ask: Arc::new(Allows),
        }]);
        this_turn::install(Arc::clone(&broker.core), None);
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
            while resume(turn) {
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
}
