//! Runner of a deployed route, for everybody else. Its [driver](crate::guests::route_drivers) takes its work from here.
//!
//! Replacing gives it another version and keeps the mailbox; the driver goes over to it between two calls of the guest. No lock is held while
//! a guest runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lot_facts::{RouteFacts, RouteValue};
use lotmq_definitions::Definition;
use lotmq_host::route::RouteGuest;
use lotmq_host::{OwnedMessage, PostError, limits::HOPS_MAX};
use lotmq_router::filter_matches;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batch::PostBatch;
use super::mailbox::{Addressee, Batches, Full, Mailbox, Post};
use super::questions::{Answer, Question, Questions, refused};
use super::standing::{DeliveryFigures, Standing};
use crate::limits::ROUTE_CALL_TIME;

/// Code of a route.
#[derive(Clone)]
pub(crate) enum RouteCode {
    /// The guest of its type.
    Own(RouteGuest),
    /// The module of this name, as it is when the route is opened.
    Module(Arc<str>),
}

/// Version of a route: its definition, with its code.
pub(crate) struct Version {
    pub(crate) definition: Arc<Definition>,
    pub(in crate::guests) code: RouteCode,
    /// What takes messages, each with its Topic Filter.
    takers: Box<[(Addressee, Box<str>)]>,
    /// Time stands still: no batch waits.
    is_at_once: bool,
}

impl Version {
    pub(in crate::guests) fn new(definition: Arc<Definition>, code: RouteCode, is_at_once: bool) -> Self {
        let said = definition.facts().route.as_deref();
        let takers = said.into_iter().flat_map(RouteFacts::takers);
        let takers = takers.map(|(taker, filter)| (taker.into(), filter.into()));
        Self { takers: takers.collect(), definition, code, is_at_once }
    }

    /// Facts of the definition.
    pub(crate) fn said(&self) -> &RouteFacts {
        self.definition.facts().route.as_deref().expect("only routes have a runner of routes")
    }

    /// Bound of the mailbox by `OVERLOAD_CAPACITY`.
    fn capacity(&self) -> Option<usize> {
        self.number("OVERLOAD_CAPACITY")
    }

    /// Bounds of batches by `BATCH_SIZE`, `BATCH_BYTES` and `BATCH_LINGER`, as far as the broker's own allow.
    fn batches(&self) -> Batches {
        let most = Batches::default();
        let at_most = |name, most: usize| self.number(name).unwrap_or(most).clamp(1, most);
        let linger = self.number("BATCH_LINGER").filter(|_| !self.is_at_once);
        let linger = linger.and_then(|linger| u64::try_from(linger).ok()).map(Duration::from_millis);
        Batches {
            messages: at_most("BATCH_SIZE", most.messages),
            bytes: at_most("BATCH_BYTES", most.bytes),
            linger: linger.unwrap_or_default(),
        }
    }

    /// Time after which a far side that has not answered counts as away, by `ACTIVITY_TIMEOUT`: for each call of the guest.
    pub(in crate::guests) fn call_time(&self) -> Duration {
        let seconds = self.number("ACTIVITY_TIMEOUT").and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(ROUTE_CALL_TIME, Duration::from_secs)
    }

    /// Whole number of a setting in `ROUTE_CONFIG`.
    fn number(&self, name: &str) -> Option<usize> {
        match self.said().section("ROUTE_CONFIG")?.settings.get(name)? {
            RouteValue::Int(number) => usize::try_from(*number).ok(),
            RouteValue::Text(_)
            | RouteValue::Double(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_)
            | RouteValue::Template(_) => None,
        }
    }
}

/// Runner of a route.
pub(crate) struct RouteRunner {
    shared: Mutex<Shared>,
    /// Signal that the driver has work.
    called: Notify,
    /// Number of calls.
    calls: AtomicU64,
    /// Number of calls when the driver last found nothing to do.
    rested: AtomicU64,
    /// Signal that its standing has changed.
    pub(in crate::guests) stands: Notify,
    /// Hops of the message on which the guest works.
    hops: AtomicU8,
    /// Payload on which the driver panics, so many times.
    #[cfg(test)]
    pub(in crate::guests) planted: Mutex<Option<(&'static [u8], u32)>>,
}

struct Shared {
    version: Arc<Version>,
    /// Counter of versions and of reopenings.
    number: u64,
    mailbox: Mailbox,
    questions: Questions,
    standing: Standing,
    is_closed: bool,
}

/// Next work of a driver.
pub(in crate::guests) enum Work {
    /// Messages, at least one.
    Batch(PostBatch),
    Question(Question),
}

impl RouteRunner {
    pub(in crate::guests) fn new(version: Version, now: Timestamp) -> Self {
        let mut mailbox = Mailbox::new();
        mailbox.bound(version.capacity());
        mailbox.batch_by(version.batches());
        let shared = Shared {
            version: Arc::new(version),
            number: 1,
            mailbox,
            questions: Questions::default(),
            standing: Standing::new(now),
            is_closed: false,
        };
        Self {
            shared: Mutex::new(shared),
            called: Notify::new(),
            calls: AtomicU64::new(1),
            rested: AtomicU64::new(0),
            stands: Notify::new(),
            hops: AtomicU8::new(0),
            #[cfg(test)]
            planted: Mutex::default(),
        }
    }

    pub(crate) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.shared.lock().version)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.shared.lock().standing.clone()
    }

    /// Numbers of waiting messages and of their bytes, with 64 for each message.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.shared.lock().mailbox.waiting()
    }

    /// Replaces the version; waiting messages go to the new one.
    pub(in crate::guests) fn replace(&self, version: Version) {
        {
            let mut shared = self.shared.lock();
            shared.mailbox.bound(version.capacity());
            shared.mailbox.batch_by(version.batches());
            shared.version = Arc::new(version);
            shared.begin_anew();
        }
        self.call();
    }

    /// Reopens the route, because a value that it was opened with has changed.
    pub(in crate::guests) fn reopen(&self) {
        self.shared.lock().begin_anew();
        self.call();
    }

    /// Ends the route and drops waiting messages; returns their number.
    pub(crate) fn close(&self) -> usize {
        let waited = {
            let mut shared = self.shared.lock();
            shared.is_closed = true;
            shared.questions.refuse("it was removed");
            shared.mailbox.clear()
        };
        self.call();
        self.stands.notify_one();
        waited
    }

    /// Takes a message on a topic of some of its events, mappings and tags.
    pub(crate) fn arrived(&self, message: &Arc<OwnedMessage>, hops: u8) -> Result<(), PostError> {
        let version = self.version();
        for (taker, _) in version.takers.iter().filter(|(_, filter)| filter_matches(filter, &message.topic)) {
            self.post(taker.clone(), Arc::clone(message), hops)?;
        }
        Ok(())
    }

    /// Puts a message at the end of the mailbox.
    pub(in crate::guests) fn post(
        &self,
        to: Addressee,
        message: Arc<OwnedMessage>,
        hops: u8,
    ) -> Result<(), PostError> {
        if hops > HOPS_MAX {
            return Err(PostError::TooManyHops { hops });
        }
        let posted = {
            let mut shared = self.shared.lock();
            if shared.is_closed {
                return Err(PostError::Stopped);
            }
            shared.standing.message_came();
            shared.mailbox.post(to, message, hops)
        };
        self.call();
        posted.map_err(|Full(messages)| PostError::Full { messages })
    }

    /// Asks the far side, behind what was handed to it before; not when it has been away for longer than the asker would wait, so that what
    /// asks does not come to a stand with it.
    pub(in crate::guests) fn ask(
        &self,
        body: Vec<u8>,
        patience: Duration,
        now: Timestamp,
    ) -> Receiver<Answer> {
        let answered = {
            let mut shared = self.shared.lock();
            let away = shared.standing.away_for(now).and_then(|away| Duration::try_from(away).ok());
            if let Some(away) = away.filter(|away| *away > patience) {
                return refused(format!("it has been away for {} s", away.as_secs()));
            }
            let behind = shared.mailbox.next_sequence();
            shared.questions.ask(body, behind, patience)
        };
        self.call();
        answered
    }

    /// Whether its mailbox takes a message more.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().mailbox.has_room()
    }

    /// Notes a message that was not taken, at once, because a flood of them has one record only.
    pub(crate) fn shed(&self, error: &PostError, now: Timestamp) {
        self.update(|standing| standing.failed(1, &error.to_string(), now));
    }

    /// Has the driver look what there is to do.
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::Release);
        self.called.notify_one();
    }

    /// Whether the driver has found nothing to do since it was called last.
    pub(in crate::guests) fn rests(&self) -> bool {
        self.rested.load(Ordering::Acquire) == self.calls.load(Ordering::Acquire)
    }

    /// Whether somebody waits for an answer.
    pub(in crate::guests) fn is_asked(&self) -> bool {
        self.shared.lock().questions.next_behind().is_some()
    }

    /// Hops of the messages that it publishes.
    pub(crate) fn hops(&self) -> u8 {
        self.hops.load(Ordering::Relaxed).saturating_add(1)
    }
}

impl Shared {
    fn begin_anew(&mut self) {
        self.number += 1;
        self.questions.accept();
    }

    fn has_work(&self) -> bool {
        let is_asked = self.questions.next_behind().is_some();
        is_asked || (self.mailbox.first_sequence().is_some() && self.mailbox.due_at().is_none())
    }

    fn next_work(&mut self, route: &Arc<RouteRunner>) -> Option<Work> {
        if let Some(question) = self.questions.take(self.mailbox.first_sequence()) {
            return Some(Work::Question(question));
        }
        if !self.has_work() {
            return None;
        }
        let batch = self.mailbox.take(self.questions.next_behind().unwrap_or(u64::MAX));
        (!batch.is_empty()).then(|| Work::Batch(PostBatch::new(route, batch)))
    }
}

/// Interface for the driver.
impl RouteRunner {
    /// Present version with its number; `None` after the end.
    pub(in crate::guests) fn current(&self) -> Option<(u64, Arc<Version>)> {
        let shared = self.shared.lock();
        (!shared.is_closed).then(|| (shared.number, Arc::clone(&shared.version)))
    }

    /// Whether another version than `number` is to be driven.
    pub(in crate::guests) fn is_changed(&self, number: u64) -> bool {
        let shared = self.shared.lock();
        shared.is_closed || shared.number != number
    }

    /// Waits until [`is_changed`](Self::is_changed).
    pub(in crate::guests) async fn changed(&self, number: u64) {
        loop {
            let calls = self.calls.load(Ordering::Acquire);
            if self.is_changed(number) {
                return;
            }
            self.rest_until_called(calls, None).await;
        }
    }

    /// Waits for a call, or until a batch is due; there was nothing to do after so many of them.
    async fn rest_until_called(&self, calls: u64, due_at: Option<Instant>) {
        self.rested.store(calls, Ordering::Release);
        match due_at {
            None => self.called.notified().await,
            Some(at) => {
                // Either way it is time to look.
                let _ = tokio::time::timeout_at(at.into(), self.called.notified()).await;
            }
        }
    }

    /// Waits for the next work; `None` when there is a change.
    pub(in crate::guests) async fn next_work(self: &Arc<Self>, number: u64) -> Option<Work> {
        loop {
            let calls = self.calls.load(Ordering::Acquire);
            let due_at = {
                let mut shared = self.shared.lock();
                if shared.is_closed || shared.number != number {
                    return None;
                }
                if let Some(work) = shared.next_work(self) {
                    return Some(work);
                }
                shared.mailbox.due_at()
            };
            self.rest_until_called(calls, due_at).await;
        }
    }

    /// Puts a question back, to be answered later.
    pub(in crate::guests) fn ask_again(&self, question: Question) {
        self.shared.lock().questions.put_back(question);
    }

    /// Refuses all questions, and further ones until it is reopened, with the reason why version `number` stands still.
    pub(in crate::guests) fn refuse_questions(&self, number: u64, reason: &str) {
        let mut shared = self.shared.lock();
        // Another version may be able to.
        if shared.number == number {
            shared.questions.refuse(reason);
        }
    }

    /// Ends all questions, because nobody answers them any more.
    pub(in crate::guests) fn end_questions(&self) {
        self.shared.lock().questions.refuse("it has ended");
    }

    /// Notes on what the guest works.
    pub(in crate::guests) fn work_on<'a>(&self, posts: impl IntoIterator<Item = &'a Post>) {
        let hops = posts.into_iter().map(|post| post.hops).max().unwrap_or_default();
        self.hops.store(hops, Ordering::Relaxed);
    }

    /// Panics on a planted payload.
    #[cfg(test)]
    pub(in crate::guests) fn panic_on_planted(&self, batch: &PostBatch) {
        let mut planted = self.planted.lock();
        if let Some((payload, left)) = &mut *planted
            && *left > 0
            && batch.iter().any(|post| post.message.payload == *payload)
        {
            *left -= 1;
            drop(planted);
            panic!("on purpose");
        }
    }

    /// Waits until there is work, or a change.
    pub(in crate::guests) async fn has_work(&self, number: u64) {
        loop {
            let calls = self.calls.load(Ordering::Acquire);
            let due_at = {
                let shared = self.shared.lock();
                if shared.is_closed || shared.number != number || shared.has_work() {
                    return;
                }
                shared.mailbox.due_at()
            };
            self.rest_until_called(calls, due_at).await;
        }
    }

    /// Puts back messages that were not delivered.
    pub(in crate::guests) fn put_back(&self, batch: VecDeque<Post>) {
        let mut shared = self.shared.lock();
        if !shared.is_closed {
            shared.mailbox.put_back(batch);
        }
    }

    /// Puts back messages of which some cannot pass, to be delivered by halves.
    pub(in crate::guests) fn put_back_halved(&self, batch: VecDeque<Post>) {
        let mut shared = self.shared.lock();
        if !shared.is_closed {
            shared.mailbox.put_back_halved(batch);
        }
    }

    /// Changes its figures, which nobody is told at once.
    pub(in crate::guests) fn note(&self, change: impl FnOnce(&mut DeliveryFigures)) {
        change(&mut self.shared.lock().standing.deliveries);
    }

    /// Changes its standing, which is published then.
    pub(in crate::guests) fn update(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.shared.lock().standing);
        self.stands.notify_one();
    }
}
