//! Dead letter queues of routes: what a route gives up enters the store here, in the batch with
//! which it leaves the outbox, and leaves it again: replayed, removed, or because there are too
//! many.
//!
//! The queue is that of a session whose Client Identifier no Client can have, made when the first
//! message is given up. Not here: what is known in memory
//! ([`dead_letters`](super::routes::dead_letters)).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lotmq_changes::{
    Batch, Delivery, MessageId, MessageRef, Op, QueueSlice, SessionId, SliceBounds, StoreError, Waiting,
};
use lotmq_codec::QoS;
use lotmq_core::durable::commit_watcher::CommitWatcher;
use lotmq_host::PostError;
use tracing::warn;

use super::effects::codec_qos;
use super::hosting::Hosting;
use super::outboxes::{kept_name, new_queue};
use super::outgoing;
use super::routes::RouteRunner;
use super::routes::dead_letters::{Claim, DeadLetter, EnteringLetter, Letter};
use super::routes::mailbox::RouteMessage;
use super::routes::outbox::Amount;
use super::routes::stored_post::{self, StoredPost};
use crate::limits::{ROUTE_SLICE_BYTES, ROUTE_SLICE_MESSAGES};
use lotmq_core::tenant::Tenant;
use lotmq_process::this_turn;

/// Pause between two tries of who takes letters out while another one does.
const CLAIM_PAUSE: Duration = Duration::from_millis(10);

/// Number of tries.
const CLAIM_TRIES: usize = 500;

/// Gives up a message for a reason: it becomes a dead letter, and leaves the outbox with the same
/// commit.
pub(super) fn bury(
    hosting: &Hosting,
    tenant: &Arc<Tenant>,
    route: &Arc<RouteRunner>,
    (post, reason): (&RouteMessage, &str),
) {
    if hosting.routes.is_at_once {
        // Nobody is there who would look for them later.
        return;
    }
    let has_room = post.stored_bytes.is_some() || !hosting.core.storage.queues_are_full();
    let Some(session) = session(hosting, tenant, route).filter(|_| has_room) else {
        route.dead_letters.finds_no_place();
        return route.stands.notify_one();
    };
    enter(hosting, tenant, (route, session), (post, reason), None);
}

/// Puts a message among the dead letters that are in the queue of `session`; `watcher` hears when
/// that is on the disk.
pub(super) fn enter(
    hosting: &Hosting,
    tenant: &Tenant,
    (route, session): (&Arc<RouteRunner>, SessionId),
    (post, reason): (&RouteMessage, &str),
    watcher: Option<Arc<dyn CommitWatcher>>,
) {
    let message = &*post.message;
    let letter = Letter::new(reason, hosting.core.clock.wall_ms());
    let stored = StoredPost {
        hops: post.hops,
        received_ms: None,
        expires_at_ms: message.expires_at_ms(),
        client_id: &message.client_id,
        properties: message.properties(),
    };
    let beside = letter.encoded(&stored.encoded([(session, &post.to)].into_iter()));
    let id = hosting.core.ids.next_message();
    let enters = MessageRef {
        id,
        tenant: tenant.id,
        topic: &message.topic,
        properties: &beside,
        payload: &message.payload,
        qos: codec_qos(message.qos).bits(),
        published_at_ms: message.received_ms,
        expires_at_ms: None,
    };
    let delivery = Delivery {
        session,
        qos: QoS::AtLeastOnce.bits(),
        retain: message.retain,
        published_retain: message.retain,
        packet_id: None,
        subscription_ids: &[],
        membership: None,
    };
    let bytes = (message.topic.len() + beside.len() + message.payload.len()) as u64;
    route.dead_letters.enters(id, (&message.topic, &letter), bytes);
    route.stands.notify_one();
    this_turn::with(|turn| {
        turn.tick();
        turn.notes().watch(Arc::new(EnteringLetter::of(route)));
        if let Some(watcher) = watcher {
            turn.notes().watch(watcher);
        }
        turn.batch.push(Op::Enqueue { message: enters, deliveries: &[delivery] });
        let is_stored = post.stored_bytes.is_some();
        let message = MessageId(post.sequence);
        if let Some(session) = is_stored.then(|| route.leaves_as_dead_letter(message)).flatten() {
            turn.batch.push(Op::Dequeue { session, message });
        }
        turn.flush();
    });
    // There may be too many now.
    route.outbox_called.notify_one();
}

/// Session for the dead letters of a route, made where there is none; `None` when the store is
/// closed, so that the message stays in the outbox for the next start.
pub(super) fn session(hosting: &Hosting, tenant: &Tenant, route: &RouteRunner) -> Option<SessionId> {
    if let Some(session) = route.dead_letters.session() {
        return Some(session);
    }
    let version = route.deployed()?;
    let name = version.definition.name();
    let made = new_queue(hosting, tenant, &kept_name(name));
    let id = made
        .inspect_err(|error| {
            warn!(tenant = &*tenant.name, route = &**name, %error, "a message that was given up is not kept");
        })
        .ok()?;
    let session = route.dead_letters.open(id, Waiting::default());
    if session != id {
        // Another thread was faster.
        let mut batch = Batch::new();
        batch.push(Op::DeleteSession { tenant: tenant.id, session: id });
        if let Err(error) = hosting.core.log.append(batch) {
            warn!(tenant = &*tenant.name, route = &**name, %error, "an empty queue of dead letters is left");
        }
    }
    Some(session)
}

/// Begins to drop the oldest letters where there are too many.
pub(super) fn trim(hosting: &Hosting, route: &Arc<RouteRunner>) {
    let Some(claim) = Claim::on_surplus(route) else { return };
    let session = claim.session;
    let reply = move |slice: Result<QueueSlice, StoreError>| {
        if let Ok(slice) = slice {
            claim.drop_surplus(&slice);
        }
    };
    let bounds = SliceBounds::new(ROUTE_SLICE_MESSAGES, ROUTE_SLICE_BYTES);
    // If the broker stops, the next start continues.
    let _ = hosting.core.log.read_queue(session, MessageId(0), bounds, Box::new(reply));
}

/// Removes letters that were dropped from the store.
pub(super) fn remove_dropped(route: &Arc<RouteRunner>) {
    let Some((claim, dropped)) = Claim::on_dropped(route) else { return };
    let session = claim.session;
    this_turn::with(|turn| {
        turn.tick();
        turn.notes().watch(Arc::new(claim));
        dropped.into_iter().for_each(|message| turn.batch.push(Op::Dequeue { session, message }));
        turn.flush();
    });
}

/// Selection of dead letters.
pub enum Chosen {
    /// All letters.
    All,
    /// Those with these numbers.
    These(Vec<u64>),
}

impl Chosen {
    /// Numbers that were named, each once.
    pub fn numbers(&self) -> Vec<u64> {
        match self {
            Chosen::All => Vec::new(),
            Chosen::These(ids) => BTreeSet::from_iter(ids.iter().copied()).into_iter().collect(),
        }
    }

    fn has(&self, id: MessageId) -> bool {
        match self {
            Chosen::All => true,
            Chosen::These(ids) => ids.contains(&id.0),
        }
    }
}

/// Result of an operation on dead letters.
#[derive(Debug, Default)]
pub struct LettersTaken {
    /// Number of letters that the operation took.
    pub letters: u64,
    /// Letters that are damaged on the disk; they were removed.
    pub damaged: u64,
    /// Why no more were replayed.
    pub stopped: Option<PostError>,
    /// Letters that stay, because the route does not have what they are for any more, by what that
    /// is.
    pub gone: BTreeMap<String, u64>,
    /// Numbers that were named and that no letter has.
    pub missing: Vec<u64>,
}

/// Error: somebody else takes letters out for so long.
#[derive(Debug)]
pub struct LettersBusy;

/// Letters of a route from one number on, to be taken out.
pub struct LetterTaking {
    claim: Arc<Claim>,
    route: Arc<RouteRunner>,
    after: MessageId,
    /// Letters that come later are not meant.
    until: MessageId,
    chosen: Chosen,
    taken: LettersTaken,
}

impl LetterTaking {
    /// Begins to take letters out; `None` where there are none.
    ///
    /// # Errors
    /// [`LettersBusy`].
    pub fn begin(
        hosting: &Hosting,
        route: &Arc<RouteRunner>,
        chosen: Chosen,
    ) -> Result<Option<Self>, LettersBusy> {
        if route.dead_letters.session().is_none() {
            return Ok(None);
        }
        let claim = (0..CLAIM_TRIES).find_map(|_| {
            Claim::on(route).or_else(|| {
                std::thread::sleep(CLAIM_PAUSE);
                None
            })
        });
        let claim = Arc::new(claim.ok_or(LettersBusy)?);
        let (route, after, until) = (Arc::clone(route), MessageId(0), hosting.core.ids.next_message());
        let taken = LettersTaken { missing: chosen.numbers(), ..LettersTaken::default() };
        Ok(Some(Self { claim, route, after, until, chosen, taken }))
    }

    /// Position of the next letters to read: the session, and the number after which they begin.
    pub fn next(&self) -> (SessionId, MessageId) {
        (self.claim.session, self.after)
    }

    /// Takes the chosen ones out of a slice that was read; they are replayed where a tenant is
    /// given. Whether it is over.
    pub fn take(&mut self, slice: &QueueSlice, replay: Option<&Tenant>) -> bool {
        let meant = |delivery: &&lotmq_changes::RecoveredDelivery| {
            delivery.message.id < self.until && self.chosen.has(delivery.message.id)
        };
        let (mut left, mut ids) = (Amount::default(), Vec::new());
        let version = self.route.version();
        this_turn::with(|turn| turn.tick());
        for delivery in slice.deliveries.iter().filter(meant) {
            self.taken.missing.retain(|number| *number != delivery.message.id.0);
            match (replay, DeadLetter::read(delivery, self.claim.session)) {
                (_, None) => self.taken.damaged += 1,
                (None, Some(_)) => self.taken.letters += 1,
                (Some(_), Some(letter)) if letter.to.is_gone(version.said()) => {
                    *self.taken.gone.entry(letter.to.described()).or_default() += 1;
                    continue;
                }
                (Some(tenant), Some(letter)) => {
                    if let Err(error) = self.replay(tenant, letter) {
                        self.taken.stopped = Some(error);
                        break;
                    }
                    self.taken.letters += 1;
                }
            }
            left.add(Amount { messages: 1, bytes: stored_post::size(delivery) });
            ids.push(delivery.message.id);
        }
        let session = self.claim.session;
        this_turn::with(|turn| {
            if !ids.is_empty() {
                turn.notes().watch(Arc::clone(&self.claim) as _);
            }
            // With the messages that were put into the outbox.
            ids.iter().for_each(|message| turn.batch.push(Op::Dequeue { session, message: *message }));
            turn.flush();
        });
        self.claim.leave(left, &ids);
        self.after = slice.last.unwrap_or(self.after);
        slice.is_last || slice.last.is_none_or(|last| last >= self.until) || self.taken.stopped.is_some()
    }

    fn replay(&self, tenant: &Tenant, letter: DeadLetter) -> Result<(), PostError> {
        let DeadLetter { to, message, hops, .. } = letter;
        this_turn::with(|turn| outgoing::hand_in(turn, tenant, &self.route, (to, message), hops))
    }

    /// Returns the result.
    pub fn end(self) -> LettersTaken {
        self.taken
    }
}
