//! Book of promises: it derives from requests and answers the messages that each Client must get,
//! may get, and must not get.
//!
//! It sees what Clients see and nothing else, so it holds for any broker. An operation takes effect
//! between the step that sent it and the step of its answer. Without an answer it perhaps never
//! does. An answered operation outlives every crash.
//!
//! The book counts steps and knows no other order. Virtual time only matters for messages that
//! expire.

mod due;
mod filters;
mod kept;
mod presence;
mod replays;

use std::collections::{BTreeMap, BTreeSet};

use lotmq_codec::{QoS, SubscriptionOptions};

use crate::checked::{Checked, ensure};
use crate::client::{Got, MessageId, Tag};
use crate::machine::ConnectionId;
use crate::matching::{filter_matches, share, unshared};
use filters::Filters;
use kept::KeptValues;
pub(crate) use presence::Ends;
use presence::Presence;
use replays::Replays;

/// A step of the run.
pub(crate) type Step = u64;

/// How much later than due something may come that expires, in milliseconds: the broker's clock is
/// read with every tick, and intervals are whole seconds.
const EXPIRY_SLACK_MS: u64 = 1_500;

/// A message as its publisher knows it.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) publisher: u8,
    pub(crate) tag: Option<Tag>,
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Message Expiry Interval in milliseconds.
    pub(crate) expiry_ms: Option<u64>,
    /// It was sent again without one.
    pub(crate) is_expiry_unsure: bool,
    pub(crate) kind: Kind,
    /// The connection that it was sent on first.
    pub(crate) connection: ConnectionId,
    pub(crate) sent: Step,
    pub(crate) sent_ms: u64,
    /// When it was acknowledged.
    pub(crate) taken: Option<(Step, u64)>,
    /// When it was known that it has no effect any more that it has not had by then.
    pub(crate) over: Option<Step>,
}

/// Origin of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PUBLISH.
    Publish,
    /// PUBLISH with a delay: it has its effect at any time from then on.
    Delayed,
    /// Message that a definition makes of this one, if this one is taken.
    Effect(MessageId),
    /// The same, but a mailbox was full.
    RefusedEffect(MessageId),
    /// A Will that may be published.
    Will,
    /// A Will that must not be any more.
    DiscardedWill,
    /// A Will that must be: its connection ended in this step without DISCONNECT, and it has no
    /// delay.
    DueWill(Step),
}

impl Published {
    /// The last step in which it may have had its effect first.
    fn until(&self) -> Step {
        if self.kind == Kind::Delayed {
            return Step::MAX;
        }
        self.taken.map(|(step, _)| step).or(self.over).unwrap_or(Step::MAX)
    }

    fn may_have_expired(&self, now_ms: u64) -> bool {
        self.expiry_ms.is_some_and(|expiry| now_ms + EXPIRY_SLACK_MS >= self.sent_ms + expiry)
    }
}

/// Promises to one generation of a Client's sessions, and the messages that it got.
#[derive(Debug, Default)]
struct Book {
    filters: Filters,
    replays: Replays,
    got: BTreeMap<MessageId, Receipts>,
}

/// How often a message came.
#[derive(Debug, Default, Clone, Copy)]
struct Receipts {
    /// As a live one.
    live: usize,
    /// Of these at QoS 2.
    exactly_once: usize,
    /// With RETAIN.
    retained: usize,
}

/// See the module's documentation.
pub(crate) struct Promises {
    step: Step,
    now_ms: u64,
    messages: Vec<Published>,
    by_tag: BTreeMap<(u8, u32), MessageId>,
    clients: Vec<Vec<Book>>,
    presence: Vec<Presence>,
    /// How many Clients got a message of QoS 0 as members of groups alone.
    by_groups: BTreeMap<MessageId, usize>,
    /// The disk has failed: what was refused may have had an effect, and has another one when it is
    /// sent again.
    has_failed: bool,
    /// Runs of definitions are started again after a crash.
    runs_are_promised: bool,
    /// When the broker was started last.
    restarted: Step,
    /// Somebody keeps no book: takes what is for a group, and clears what is retained.
    is_incomplete: bool,
    /// Values that definitions keep.
    pub(crate) kept: KeptValues,
}

impl Promises {
    pub(crate) fn new(clients: usize, runs_are_promised: bool) -> Self {
        Self {
            step: 1,
            now_ms: 0,
            messages: Vec::new(),
            by_tag: BTreeMap::new(),
            // Before its first session a Client has none.
            clients: (0..clients).map(|_| vec![Book::default()]).collect(),
            presence: vec![Presence::default(); clients],
            by_groups: BTreeMap::new(),
            has_failed: false,
            runs_are_promised,
            restarted: 0,
            is_incomplete: false,
            kept: KeptValues::default(),
        }
    }

    /// Another step begins at this time.
    pub(crate) fn step(&mut self, now_ms: u64) {
        self.step += 1;
        self.now_ms = now_ms;
    }

    /// Something was refused, or may be, though it had its effect.
    pub(crate) fn something_failed(&mut self) {
        self.has_failed = true;
    }

    /// Somebody of whom nothing is known is there.
    pub(crate) fn somebody_else_is_there(&mut self) {
        self.is_incomplete = true;
    }

    fn book(&mut self, client: usize) -> &mut Book {
        self.clients[client].last_mut().expect("a Client has a book from the beginning")
    }

    /// The number of the message that is published next.
    pub(crate) fn next_message(&self) -> MessageId {
        self.messages.len()
    }

    /// A message is on its way; its number.
    pub(crate) fn publish(&mut self, message: Published) -> MessageId {
        let id = self.messages.len();
        if let Some(tag) = message.tag {
            self.by_tag.insert((tag.publisher, tag.sequence), id);
        }
        self.messages.push(message);
        id
    }

    /// A message of this step.
    pub(crate) fn message(
        &self,
        publisher: u8,
        tag: Option<Tag>,
        topic: &'static str,
        qos: QoS,
    ) -> Published {
        Published {
            publisher,
            tag,
            topic,
            qos,
            retain: false,
            expiry_ms: None,
            is_expiry_unsure: false,
            kind: Kind::Publish,
            connection: 0,
            sent: self.step,
            sent_ms: self.now_ms,
            taken: None,
            over: None,
        }
    }

    /// A message was acknowledged, or refused.
    pub(crate) fn acknowledged(&mut self, id: MessageId, is_taken: bool) {
        let (step, now_ms) = (self.step, self.now_ms);
        let message = &mut self.messages[id];
        if is_taken {
            message.taken.get_or_insert((step, now_ms));
        } else {
            message.over.get_or_insert(step);
        }
    }

    /// A message is sent again by a Client that can say no more when it expires.
    pub(crate) fn does_not_expire(&mut self, id: MessageId) {
        self.messages[id].is_expiry_unsure = true;
    }

    /// The broker has nothing to do any more with messages of which this is true: what had no
    /// effect has none.
    pub(crate) fn given_up(&mut self, is_over: impl Fn(MessageId, &Published) -> bool) {
        let step = self.step;
        for (id, message) in self.messages.iter_mut().enumerate() {
            let is_open = message.taken.is_none() && message.over.is_none() && message.kind == Kind::Publish;
            if is_open && is_over(id, message) {
                message.over = Some(step);
            }
        }
    }

    /// Sets the kind of a Will, given the current step.
    pub(crate) fn will(&mut self, tag: Tag, becomes: impl FnOnce(Step) -> Kind) {
        let Some(&id) = self.by_tag.get(&(tag.publisher, tag.sequence)) else { return };
        self.messages[id].kind = becomes(self.step);
    }

    /// A full mailbox has refused the run that these were to come of.
    pub(crate) fn refused(&mut self, effects: &[Tag]) {
        for tag in effects {
            let Some(&id) = self.by_tag.get(&(tag.publisher, tag.sequence)) else { continue };
            if let Kind::Effect(cause) = self.messages[id].kind {
                self.messages[id].kind = Kind::RefusedEffect(cause);
            }
        }
    }

    /// A Will that was due may have been lost in a crash, and one that was discarded may be there
    /// again: nobody acknowledges DISCONNECT.
    pub(crate) fn wills_may_be_lost(&mut self) {
        for message in &mut self.messages {
            if matches!(message.kind, Kind::DueWill(_) | Kind::DiscardedWill) {
                message.kind = Kind::Will;
            }
        }
    }

    pub(crate) fn subscribe(&mut self, client: usize, wanted: &[(&'static str, SubscriptionOptions)]) {
        let step = self.step;
        let Book { filters, replays, .. } = self.book(client);
        for &(filter, options) in wanted {
            filters.ask(filter, Some(options), step);
            replays.ask(filter, options, step);
        }
    }

    pub(crate) fn unsubscribe(&mut self, client: usize, unwanted: &[&'static str]) {
        let step = self.step;
        let filters = &mut self.book(client).filters;
        unwanted.iter().for_each(|filter| filters.ask(filter, None, step));
    }

    pub(crate) fn subscribed(&mut self, client: usize, answers: &[(&'static str, bool)]) {
        let step = self.step;
        let Book { filters, replays, .. } = self.book(client);
        for &(filter, is_done) in answers {
            filters.answered(filter, true, is_done, step);
            replays.answered(filter, is_done, step);
        }
    }

    pub(crate) fn unsubscribed(&mut self, client: usize, answers: &[(&'static str, bool)]) {
        let step = self.step;
        let filters = &mut self.book(client).filters;
        answers.iter().for_each(|&(filter, is_done)| filters.answered(filter, false, is_done, step));
    }

    /// The connection on which a Client has asked is gone: answers do not come any more.
    pub(crate) fn left(&mut self, client: usize) {
        let Book { filters, replays, .. } = self.book(client);
        filters.forget_unanswered();
        replays.forget_unanswered();
    }

    /// A Client has got a message, whose first byte the broker wrote at `written_ms`, or where that
    /// is not known `None`.
    ///
    /// # Errors
    /// When it must not.
    pub(crate) fn got(
        &mut self,
        client: usize,
        got: &Got,
        (retain, dup): (bool, bool),
        written_ms: Option<u64>,
    ) -> Checked {
        let Some(tag) = Tag::read(&got.payload) else { return Ok(()) };
        let Some(&id) = self.by_tag.get(&(tag.publisher, tag.sequence)) else {
            ensure!(!tag.is_ordered(), "c{client} got {got:?}, which nobody can have published");
            return Ok(());
        };
        let (step, message) = (self.step, self.messages[id].clone());
        let (has_failed, may_repeat) = (self.has_failed, self.may_be_made_again(&message));
        let groups = self.groups_of(message.topic).len();
        ensure!(message.topic == got.topic, "{got:?} was published as {message:?}");
        ensure!(got.qos <= message.qos, "{got:?} was published as {message:?}");
        ensure!(message.retain || !retain, "{got:?} is no retained message: {message:?}");
        ensure!(message.kind != Kind::DiscardedWill, "{got:?} is a Will that was discarded, [MQTT-3.1.2-10]");
        ensure!(!self.is_refused_for_good(&message), "{got:?} is of a run that was refused: {message:?}");
        let window = (message.sent, if retain { step } else { message.until() });
        let is_own = usize::from(message.publisher) == client && message.kind == Kind::Publish;
        let book = self.book(client);
        let mut possible = book.filters.possible(message.topic, window);
        // A message that another member of a group leaves may go to one that came later.
        let later = book.filters.possible(message.topic, (message.sent, step)).into_iter();
        possible.extend(later.filter(|(filter, _)| unshared(filter) != *filter));
        ensure!(!possible.is_empty(), "c{client} is not subscribed to {got:?} any more, or not yet");
        let is_wanted = retain || !is_own || possible.iter().any(|(_, options)| !options.no_local);
        ensure!(is_wanted, "c{client} got its own {got:?}, [MQTT-3.8.3-3]");
        let qos_max = possible.iter().map(|(_, options)| options.qos).max().unwrap_or(QoS::AtMostOnce);
        ensure!(got.qos <= qos_max, "{got:?} at more than QoS {}", qos_max.bits());
        let expiry_ms = message.expiry_ms.filter(|_| !message.is_expiry_unsure);
        if let (Some(expiry), Some((_, taken_ms)), Some(written_ms)) = (expiry_ms, message.taken, written_ms)
        {
            let is_young = dup || written_ms <= taken_ms + expiry + EXPIRY_SLACK_MS;
            ensure!(
                is_young,
                "{got:?} left {written_ms} ms, taken at {taken_ms}, and expires after {expiry}, [MQTT-3.3.2-5]"
            );
        }
        let receipts = book.got.entry(id).or_default();
        if retain {
            receipts.retained += 1;
            return Ok(());
        }
        receipts.live += 1;
        receipts.exactly_once += usize::from(got.qos == QoS::ExactlyOnce);
        // One for its own subscriptions, and one for each group that it may have been a member of.
        let own = possible.iter().any(|(filter, _)| unshared(filter) == *filter);
        let shared = possible.iter().map(|(filter, _)| *filter).filter(|filter| unshared(filter) != *filter);
        let memberships = shared.collect::<BTreeSet<_>>().len();
        let copies = usize::from(own) + memberships;
        let is_once =
            has_failed || may_repeat || message.qos != QoS::ExactlyOnce || receipts.exactly_once <= copies;
        ensure!(is_once, "c{client} got {got:?} {} times, {copies} at most", receipts.exactly_once);
        if message.kind == Kind::Publish && message.qos == QoS::AtMostOnce && memberships > 0 && !own {
            // Nothing of QoS 0 passes from one member to another, or comes again.
            let members = self.by_groups.entry(id).or_default();
            *members += 1;
            ensure!(*members <= groups, "{members} members of {groups} groups got {got:?}, [MQTT-4.8.2-4]");
        }
        Ok(())
    }

    /// Whether a definition may make a message more than once: its cause may have been routed
    /// again, or its run was started again.
    fn may_be_made_again(&self, message: &Published) -> bool {
        let (Kind::Effect(cause) | Kind::RefusedEffect(cause)) = message.kind else { return false };
        let cause = &self.messages[cause];
        cause.qos == QoS::AtLeastOnce || (self.runs_are_promised && self.restarted > cause.sent)
    }

    /// Whether it is certain that no definition has made a message: its run was refused, and there
    /// was no other one.
    fn is_refused_for_good(&self, message: &Published) -> bool {
        let Kind::RefusedEffect(cause) = message.kind else { return false };
        let may_come_again = self.has_failed || self.may_be_made_again(message);
        !may_come_again && self.restarted < self.messages[cause].sent
    }

    /// Filters of groups that match a topic.
    fn groups_of(&self, topic: &str) -> BTreeSet<&'static str> {
        let all = self.clients.iter().flatten().flat_map(|book| book.filters.all());
        all.filter(|filter| share(filter).is_some() && filter_matches(unshared(filter), topic)).collect()
    }

    /// Whether a filter that is none of a group matches a topic.
    fn matches(filter: &str, topic: &str) -> bool {
        unshared(filter) == filter && filter_matches(filter, topic)
    }
}
