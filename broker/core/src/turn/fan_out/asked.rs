//! Fan-out over several turns for messages of definitions, the broker and Wills, about whose
//! receivers rules are asked, or which are large and for many: on a thread that serves Clients over
//! as many turns as that takes.
//!
//! Nobody waits for an answer to such a message, and what it is besides being delivered it is at
//! once: retained, remembered as the last value of its topic, the start of other runs. So a run
//! reads what those before it have published. Only its receivers get it when all of them have been
//! asked about.
//!
//! Invariants: messages on one topic leave in the order in which they came; what a message rests on
//! in the store (a promised run, the row of a session with its Will) stays there until the message
//! is with the store itself. Not here: threads without Clients, which ask at once.

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_definitions::Owner;

use crate::clock::{Clock, Stretch};
use crate::limits::{
    ASKED_BYTES_MAX, ASKED_CONGESTED, ASKED_MESSAGES_MAX, ASKED_PART_BYTES, ASKING_TIME_MAX,
};
use crate::message::Message;
use crate::routing::route::{Asking, Route};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::retain::RetainedAt;
use crate::tenant::system_topics;
use crate::turn::Turn;
use crate::turn::fan_out::FanOutOf;
use crate::turn::fan_out::parts::{LeftParts, Remainder, is_in_parts};
use crate::turn::session_row;

/// Messages of one thread about whose receivers rules are being asked.
#[derive(Default)]
pub struct AskedMessages {
    waiting: VecDeque<Waiting>,
    pub bytes: usize,
    /// Time for asking in this turn.
    stretch: Option<Stretch>,
    /// Remaining parts of messages whose publishers have gone: messages on the same topics wait for
    /// them.
    pub(super) left: LeftParts,
}

struct Waiting {
    tenant: Arc<Tenant>,
    message: Arc<Message>,
    source: Option<Arc<Client>>,
    owner: Option<Owner>,
    /// Route, or the questions that are left.
    found: Result<Arc<Route>, Box<Asking>>,
    /// Whether it is a Will that stays in its session's row until it is published.
    is_in_row: bool,
    /// Whether it is retained already.
    retained: Option<RetainedAt>,
}

impl AskedMessages {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so many messages wait that no more runs should begin.
    pub fn is_congested(&self) -> bool {
        self.waiting.len() >= ASKED_CONGESTED || self.bytes >= ASKED_PART_BYTES
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= ASKED_MESSAGES_MAX || self.bytes >= ASKED_BYTES_MAX
    }

    fn has_of(&self, tenant: &Arc<Tenant>, topic: &str) -> bool {
        let is_of = |it: &Waiting| Arc::ptr_eq(&it.tenant, tenant) && it.message.topic() == topic;
        self.left.has_of(tenant, topic) || self.waiting.iter().any(is_of)
    }

    /// Marks the last message as a Will: its session is stored without it when it is published.
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

/// Routes a message on a thread that serves Clients. False when its receivers get it in a later
/// turn.
pub(super) fn publish(turn: &mut Turn, tenant: &Arc<Tenant>, publication: &Publication<'_>) -> bool {
    if turn.asked.is_full()
        && let Some(first) = turn.asked.pop()
    {
        // More than anybody has use for: the bound is worth more than the time.
        first.finish(turn);
    }
    let topic = turn.arena.text(publication.message.topic);
    let is_behind = turn.asked.has_of(tenant, topic);
    let found = turn.routes.begin(tenant, topic.as_bytes(), Some(publication.message.bytes()));
    let found = found.or_else(|asking| if is_behind { Err(asking) } else { go_on(asking, turn, tenant) });
    let lengths = (publication.message.payload.len(), publication.message.bytes());
    match found {
        Ok(route) if !is_behind && !is_in_parts(publication.message.qos, lengths, &route) => {
            turn.publish_on(tenant, publication, route);
            true
        }
        found => {
            wait(turn, tenant, publication, found);
            false
        }
    }
}

/// Goes on asking while this turn has time for it.
fn go_on(asking: Box<Asking>, turn: &mut Turn, tenant: &Arc<Tenant>) -> Result<Arc<Route>, Box<Asking>> {
    let Turn { core, asked, routes, .. } = turn;
    let stretch = stretch(asked, &*core.clock);
    asking.go_on_until(routes, tenant, || stretch.is_over(&*core.clock))
}

/// Stretch for asking in this turn. It begins with the first message.
fn stretch(asked: &mut AskedMessages, clock: &dyn Clock) -> Stretch {
    *asked.stretch.get_or_insert_with(|| clock.stretch(ASKING_TIME_MAX))
}

/// Handles the parts of a message that do not depend on its receivers, and lets the receivers wait.
pub fn wait(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    publication: &Publication<'_>,
    mut found: Result<Arc<Route>, Box<Asking>>,
) {
    turn.call_flusher();
    let is_system = system_topics::is_system(turn.arena.text(publication.message.topic));
    let mut fan_out = FanOutOf::new(publication, is_system);
    let retained = fan_out.retain_before(turn, tenant, &mut found);
    let route = found.as_ref().unwrap_or_else(|asking| asking.route());
    fan_out.tell_guests(turn, tenant, route);
    turn.work.steps += route.triggers.as_ref().map_or(0, |triggers| triggers.count());
    let index = fan_out.message(turn);
    let message = Arc::clone(turn.messages.shared(index, &turn.arena));
    turn.asked.bytes += message.size();
    let (source, owner) = (publication.source.map(Arc::clone), publication.owner.cloned());
    let tenant = Arc::clone(tenant);
    turn.asked.waiting.push_back(Waiting {
        tenant,
        message,
        source,
        owner,
        found,
        is_in_row: false,
        retained,
    });
}

/// Begins a turn by asking about receivers of earlier messages, while there is time. True when
/// there were any.
pub fn resume(turn: &mut Turn) -> bool {
    turn.asked.stretch = None;
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
        is_over = is_late || !turn.time_shares.may_resume(0);
    }
    has_any
}

impl FanOutOf<'_> {
    /// Makes the message its topic's retained one before its receivers get it, who are those of
    /// this moment.
    fn retain_before(
        &mut self,
        turn: &mut Turn,
        tenant: &Tenant,
        found: &mut Result<Arc<Route>, Box<Asking>>,
    ) -> Option<RetainedAt> {
        let retained = if self.is_retained() { self.retain_only(turn, tenant, true) } else { None };
        let RetainedAt { generation, .. } = retained?;
        match found {
            Ok(route) => Route::bring_up_to(route, generation, tenant),
            Err(asking) => asking.close_at(generation, tenant),
        }
        retained
    }
}

impl Waiting {
    /// Delivers the message, however long the remaining questions take.
    fn finish(self, turn: &mut Turn) {
        let Self { tenant, message, source, owner, found, is_in_row, retained } = self;
        let route = found.unwrap_or_else(|asking| asking.finish(&mut turn.routes, &tenant));
        turn.in_one_batch(|turn| {
            if let Some(later) = retained {
                tenant.retained.write().reaches_receivers(message.topic(), later, turn.stamp());
            }
            if is_in_parts(message.qos, (message.payload_len(), message.size()), &route) {
                turn.routes.put_back(&tenant, Arc::clone(&route));
                Remainder::new(message, route, true).leave(turn, &tenant, source.as_ref());
            } else {
                Self::send(turn, &tenant, &message, (source.as_ref(), owner.as_ref()), route);
            }
            if let Some(client) = source.filter(|_| is_in_row) {
                session_row::store(&client, turn);
            }
        });
    }

    fn send(
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        message: &Message,
        (source, owner): (Option<&Arc<Client>>, Option<&Owner>),
        route: Arc<Route>,
    ) {
        let copied = Publication::of(&mut turn.arena, message, source, turn.moment.lifetime_ms);
        let publication = Publication { owner, ..copied };
        let mut fan_out = FanOutOf::new(&publication, system_topics::is_system(&route.topic));
        fan_out.send_to_all(turn, tenant, &route);
        turn.call_flusher();
        turn.routes.put_back(tenant, route);
    }
}
