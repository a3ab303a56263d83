//! `ON SILENCE OF … FOR …`: times of the last publications on the topics of an Action, and
//! detection of silent topics.
//!
//! One [`SilenceWatch`] for each armed Action. A thread that routes messages has an [`Ear`] for
//! each of its topics, which records the time. Only the timer thread asks the watches for topics
//! that are [due](SilenceWatch::due). A message does not move a deadline: the timer checks it when
//! it comes.
//!
//! Topics that only a wildcard matches are kept while they are not silent, as rows below
//! `$LOT/Silence/` among the last values. So a topic that stays silent after a restart is reported:
//! its silence counts from the restart. The times are not kept, so a message writes nothing.
//! Invariants: a topic is in the table exactly as long as it is not silent, and then has one
//! deadline that is not later than its silence; never more topics than its bound, nor more bytes of
//! them than there is room. All times are monotonic, in milliseconds. Not here: permissions on the
//! topic, and the run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lot_facts::Trigger;
use lotmq_router::SubscriptionIndex;
use lotmq_shares::{AccountShares, HeldShare};
use parking_lot::Mutex;

use crate::definition::{Definition, DefinitionId};
use crate::last_values::{LastValues, ValueKeeper};
use crate::limits::{
    HEARD_PER_SILENCE, INTERVAL_MIN, SILENCE_TOPIC_BYTES, WATCHED_TOPIC_BYTES_MAX, WINDOW_SAVE_BYTES,
    WINDOW_SAVE_PERIOD,
};
use crate::watch_rows::{SILENCE, WatchRows};

/// Time of a topic that is silent, and of a watch without a deadline.
const NEVER: u64 = u64::MAX;

/// Version of the form of the rows.
const VERSION: u8 = 1;

/// The watches of all armed Actions of a tenant.
pub(crate) struct Silences {
    watches: BTreeMap<DefinitionId, Arc<SilenceWatch>>,
    index: SubscriptionIndex<DefinitionId, Arc<SilenceWatch>>,
    topics_max: usize,
    /// Room of all that is watched.
    room: Arc<AccountShares>,
}

/// Topics that one Action with `ON SILENCE` hears of.
pub struct SilenceWatch {
    /// The Action.
    pub definition: Arc<Definition>,
    filters: Vec<String>,
    after_ms: u64,
    topics_max: usize,
    values: Arc<LastValues>,
    rows: WatchRows,
    table: Mutex<Table>,
    /// The first deadline, to be read without the lock.
    first_deadline_ms: AtomicU64,
    /// Messages on topics for which there was no room, since the last question.
    refused: AtomicU64,
    /// Rows for which there was no room, likewise.
    unkept: AtomicU64,
}

#[derive(Debug)]
struct Table {
    /// Part that the topics take of the room of the tenant.
    room: HeldShare,
    topics: HashMap<Arc<str>, Arc<Heard>>,
    /// Each topic once, by its deadline and a number that makes it unique.
    deadlines: BTreeMap<(u64, u64), Arc<Heard>>,
    next_number: u64,
    /// Topics of the table that have no row yet.
    fresh: BTreeSet<Arc<str>>,
    /// Topics with a row that are silent by now.
    gone: BTreeSet<Arc<str>>,
    saved_ms: u64,
}

/// A topic that is not silent yet.
#[derive(Debug)]
struct Heard {
    topic: Arc<str>,
    /// When it was heard last; [`NEVER`] once it was silent.
    at_ms: AtomicU64,
}

/// Losses since the last question.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SilenceTrouble {
    /// Messages on topics for which there was no room, or that are too long.
    pub refused: u64,
    /// Topics that are not remembered over a restart because the kept values are full, or those of
    /// their owner.
    pub unkept: u64,
}

/// A topic of a watch, for a thread that routes its messages.
pub struct Ear {
    watch: Arc<SilenceWatch>,
    topic: Arc<str>,
    known: Mutex<Option<Arc<Heard>>>,
}

impl Silences {
    /// No watches; each will have at most so many topics, and all of them together so much room.
    pub(crate) fn new(topics_max: usize, room: &Arc<AccountShares>) -> Silences {
        let (watches, index) = (BTreeMap::new(), SubscriptionIndex::new());
        Silences { watches, index, topics_max, room: Arc::clone(room) }
    }

    /// Watches for the definition if its trigger is silence.
    pub(crate) fn arm(&mut self, definition: &Arc<Definition>, now: Duration, values: &Arc<LastValues>) {
        let Some(Trigger::Silence { filters, after_ms }) = definition.trigger() else { return };
        let bounds = (self.topics_max, &self.room);
        let watch = Arc::new(SilenceWatch::new(definition, (filters, *after_ms), bounds, values));
        watch.begin(now);
        for filter in filters {
            self.index.insert(filter, definition.id, Arc::clone(&watch));
        }
        self.watches.insert(definition.id, watch);
    }

    /// Ends the watch of a definition, if it has one. Its topics stay among the kept values.
    pub(crate) fn disarm(&mut self, id: DefinitionId) {
        let Some(watch) = self.watches.remove(&id) else { return };
        watch.save_all();
        for filter in &watch.filters {
            self.index.remove(filter, &id);
        }
    }

    /// Forgets the topics of a watch whose definition is not armed.
    pub(crate) fn forget(definition: &Definition, values: &LastValues) {
        if let Some(trigger @ Trigger::Silence { .. }) = definition.trigger() {
            WatchRows::new((SILENCE, VERSION..=VERSION), definition.name(), trigger).forget_all(values);
        }
    }

    /// Begins anew with all of them.
    pub(crate) fn begin(&self, now: Duration) {
        self.all().for_each(|watch| watch.begin(now));
    }

    /// Appends those that a topic concerns, each once, in the order of deployment.
    pub(crate) fn matching(&self, topic: &str, found: &mut Vec<Arc<SilenceWatch>>) {
        if self.watches.is_empty() {
            return;
        }
        let start = found.len();
        self.index.matches(topic, |_, watch| found.push(Arc::clone(watch)), |_| {});
        found[start..].sort_unstable_by_key(|watch| watch.definition.id);
        found.dedup_by_key(|watch| watch.definition.id);
    }

    /// All of them, in the order of deployment.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<SilenceWatch>> {
        self.watches.values()
    }

    /// How long until some topic may have been silent for long enough; `None` while none is heard.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        self.all().filter_map(|watch| watch.next_timeout(now)).min()
    }
}

impl Table {
    fn new(room: HeldShare) -> Self {
        let (fresh, gone) = (BTreeSet::new(), BTreeSet::new());
        let (topics, deadlines) = (HashMap::new(), BTreeMap::new());
        Table { room, topics, deadlines, next_number: 0, fresh, gone, saved_ms: 0 }
    }

    fn clear(&mut self) {
        self.topics = HashMap::new();
        self.deadlines.clear();
        (self.fresh, self.gone) = (BTreeSet::new(), BTreeSet::new());
        self.room.shrink(self.room.amount());
    }

    /// Notes that the row of a topic, if it has one, is to go.
    fn note_silent(&mut self, topic: &Arc<str>) {
        if !self.fresh.remove(topic) {
            self.gone.insert(Arc::clone(topic));
        }
    }
}

/// Returns the bytes of room that a topic takes.
fn room_of(topic: &str) -> u64 {
    SILENCE_TOPIC_BYTES + topic.len() as u64
}

impl Ear {
    /// Notes that the topic has been published to. Allocates nothing while the topic is known.
    pub fn hears(&self, now_ms: u64) {
        let mut known = self.known.lock();
        if !known.as_ref().is_some_and(|heard| heard.again(now_ms)) {
            *known = self.watch.admit(&self.topic, now_ms);
        }
    }
}

impl Heard {
    /// Notes the time; false when the topic has been silent meanwhile.
    fn again(&self, now_ms: u64) -> bool {
        let later = |at: u64| (at != NEVER).then_some(at.max(now_ms));
        self.at_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, later).is_ok()
    }
}

impl SilenceWatch {
    /// Hears of nothing yet.
    pub(crate) fn new(
        definition: &Arc<Definition>,
        (filters, after_ms): (&[String], u64),
        (topics_max, room): (usize, &Arc<AccountShares>),
        values: &Arc<LastValues>,
    ) -> SilenceWatch {
        let trigger = Trigger::Silence { filters: filters.to_vec(), after_ms };
        let shortest = u64::try_from(INTERVAL_MIN.as_millis()).unwrap_or(u64::MAX);
        SilenceWatch {
            definition: Arc::clone(definition),
            filters: filters.to_vec(),
            after_ms: after_ms.max(shortest),
            topics_max,
            values: Arc::clone(values),
            rows: WatchRows::new((SILENCE, VERSION..=VERSION), definition.name(), &trigger),
            table: Mutex::new(Table::new(room.hold_nothing(definition.quota_key()))),
            first_deadline_ms: AtomicU64::new(NEVER),
            refused: AtomicU64::new(0),
            unkept: AtomicU64::new(0),
        }
    }

    /// Begins anew: silence counts from now on, of topics that are named without wildcards whether
    /// they are ever heard or not, and of those that were kept.
    pub(crate) fn begin(&self, now: Duration) {
        let mut table = self.table.lock();
        table.clear();
        for filter in self.filters.iter().filter(|filter| !filter.contains(['+', '#'])) {
            if self.put(&mut table, filter.as_str().into(), milliseconds(now)).is_none() {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.rows.load(&self.values, |topic, _, said| {
            let is_known = table.topics.contains_key(topic);
            let has_room = is_known || table.topics.len() < self.topics_max;
            said.is_empty()
                && has_room
                && (is_known || self.put(&mut table, topic.into(), milliseconds(now)).is_some())
        });
        // They have rows.
        table.fresh.clear();
        self.note_first(&table);
    }

    /// The ear of a thread for one of its topics.
    pub fn ear(self: &Arc<Self>, topic: &Arc<str>) -> Ear {
        Ear { watch: Arc::clone(self), topic: Arc::clone(topic), known: Mutex::new(None) }
    }

    /// Whether the topic is one that it names without wildcards.
    pub fn names(&self, topic: &str) -> bool {
        self.filters.iter().any(|filter| filter == topic)
    }

    /// Counts the silence of a topic from this time on, as if it had been heard then.
    pub fn count_from(&self, topic: &str, now: Duration) {
        self.admit(topic, milliseconds(now));
    }

    /// Tells again, at this time, that a topic is silent, unless it is heard before.
    pub fn tell_again_at(&self, topic: &str, at: Duration) {
        self.admit(topic, milliseconds(at).saturating_sub(self.after_ms));
    }

    /// Takes the losses since the last call.
    pub fn take_trouble(&self) -> SilenceTrouble {
        let take = |count: &AtomicU64| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        SilenceTrouble { refused: take(&self.refused), unkept: take(&self.unkept) }
    }

    /// Saves which topics were heard, and removes rows of silent ones: a part of the changes, at
    /// most once in [`WINDOW_SAVE_PERIOD`]. Returns the number of rows.
    pub fn save_some(&self, now: Duration) -> usize {
        let mut table = self.table.lock();
        let now_ms = milliseconds(now);
        if now_ms.saturating_sub(table.saved_ms) < milliseconds(WINDOW_SAVE_PERIOD) {
            return 0;
        }
        table.saved_ms = now_ms;
        self.save(&mut table, WINDOW_SAVE_BYTES)
    }

    /// Keeps all of it.
    pub fn save_all(&self) {
        self.save(&mut self.table.lock(), usize::MAX);
    }

    fn save(&self, table: &mut Table, bytes_max: usize) -> usize {
        let values = (&*self.values, ValueKeeper::of(&self.definition));
        let (mut bytes, mut rows) = (0, 0);
        // Removes rows of silent topics first: that makes room.
        while bytes < bytes_max
            && let Some(topic) = table.gone.pop_first()
        {
            self.rows.forget(&self.values, &topic);
            (bytes, rows) = (bytes + topic.len(), rows + 1);
        }
        while bytes < bytes_max
            && let Some(topic) = table.fresh.pop_first()
        {
            rows += 1;
            match self.rows.keep(values, &topic, []) {
                Some(kept) => bytes += kept + topic.len(),
                None => drop(self.unkept.fetch_add(1, Ordering::Relaxed)),
            }
        }
        rows
    }

    /// How many topics it may hear of.
    pub fn topics_max(&self) -> usize {
        self.topics_max
    }

    /// How long until [`due`](Self::due) has something to do; `None` while no topic is heard.
    pub(crate) fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let first = self.first_deadline_ms.load(Ordering::Acquire);
        (first != NEVER).then(|| Duration::from_millis(first).saturating_sub(now))
    }

    /// Reports at most `most` topics that are silent now, the longest silent first. A topic is
    /// reported again only after it was heard again. Topics that were heard meanwhile use up a part
    /// of `most`, too. Returns the used part.
    pub fn due(&self, now: Duration, most: usize, mut silent: impl FnMut(Arc<str>)) -> usize {
        let now_ms = milliseconds(now);
        if self.first_deadline_ms.load(Ordering::Acquire) > now_ms {
            return 0;
        }
        let mut table = self.table.lock();
        let (mut count, mut heard_again) = (0, 0);
        while count + heard_again / HEARD_PER_SILENCE < most
            && let Some(first) = table.deadlines.first_entry().filter(|first| first.key().0 <= now_ms)
        {
            let heard = first.remove();
            let later = |at: u64| (at.saturating_add(self.after_ms) <= now_ms).then_some(NEVER);
            match heard.at_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, later) {
                Ok(_) => {
                    table.topics.remove(&heard.topic);
                    if !self.names(&heard.topic) {
                        table.note_silent(&heard.topic);
                    }
                    table.room.shrink(room_of(&heard.topic));
                    silent(Arc::clone(&heard.topic));
                    count += 1;
                }
                Err(at) => {
                    heard_again += 1;
                    self.wait(&mut table, at, heard);
                }
            }
        }
        self.note_first(&table);
        count + heard_again / HEARD_PER_SILENCE
    }

    /// The entry of a topic that is heard now; `None` when there are too many, or it is too long.
    fn admit(&self, topic: &str, now_ms: u64) -> Option<Arc<Heard>> {
        let mut table = self.table.lock();
        if let Some(heard) = table.topics.get(topic) {
            // A topic in the table is not silent.
            heard.again(now_ms);
            return Some(Arc::clone(heard));
        }
        let has_room = table.topics.len() < self.topics_max && topic.len() <= WATCHED_TOPIC_BYTES_MAX;
        let heard = if has_room { self.put(&mut table, topic.into(), now_ms) } else { None };
        match &heard {
            Some(_) => self.note_first(&table),
            None => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
        }
        heard
    }

    /// Puts a topic into the table; `None` when there is no room.
    fn put(&self, table: &mut Table, topic: Arc<str>, at_ms: u64) -> Option<Arc<Heard>> {
        if table.room.grow(room_of(&topic)).is_err() {
            return None;
        }
        if !self.names(&topic) && !table.gone.remove(&topic) {
            table.fresh.insert(Arc::clone(&topic));
        }
        let heard = Arc::new(Heard { topic: Arc::clone(&topic), at_ms: AtomicU64::new(at_ms) });
        table.topics.insert(topic, Arc::clone(&heard));
        self.wait(table, at_ms, Arc::clone(&heard));
        Some(heard)
    }

    fn wait(&self, table: &mut Table, at_ms: u64, heard: Arc<Heard>) {
        let number = table.next_number;
        table.next_number += 1;
        table.deadlines.insert((at_ms.saturating_add(self.after_ms), number), heard);
    }

    fn note_first(&self, table: &Table) {
        let first = table.deadlines.first_key_value().map_or(NEVER, |((deadline, _), _)| *deadline);
        self.first_deadline_ms.store(first, Ordering::Release);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{World, on_topic};

    fn watch(filters: &[&str], after_ms: u64, topics_max: usize) -> Arc<SilenceWatch> {
        let definition = World::new().add(on_topic("Lost", &["unused"])).definition;
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let watch = SilenceWatch::new(
            &definition,
            (&filters, after_ms),
            (topics_max, &AccountShares::new(u64::MAX, (1, 1))),
            &values(),
        );
        watch.begin(Duration::ZERO);
        Arc::new(watch)
    }

    fn values() -> Arc<LastValues> {
        Arc::clone(World::new().registry.values())
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn silent(watch: &SilenceWatch, at: u64) -> Vec<String> {
        let mut found = Vec::new();
        watch.due(ms(at), usize::MAX, |topic| found.push(topic.to_string()));
        found
    }

    #[test]
    fn silent_topic_is_reported_once_until_a_new_message_arrives() {
        let watch = watch(&["p/+/beat"], 30_000, 10);
        assert_eq!((watch.next_timeout(ms(0)), silent(&watch, 100_000)), (None, vec![]));
        // Two threads have ears of their own.
        let (one, other) = (watch.ear(&Arc::from("p/a/beat")), watch.ear(&Arc::from("p/a/beat")));
        one.hears(1_000);
        other.hears(20_000);
        one.hears(15_000);
        assert_eq!(watch.next_timeout(ms(20_000)), Some(ms(11_000)), "the deadline is not moved yet");
        assert_eq!(silent(&watch, 31_000), [""; 0]);
        assert_eq!(watch.next_timeout(ms(31_000)), Some(ms(19_000)));
        assert_eq!(silent(&watch, 49_999), [""; 0]);
        assert_eq!(silent(&watch, 50_000), ["p/a/beat"]);
        assert_eq!((watch.next_timeout(ms(50_000)), silent(&watch, 900_000)), (None, vec![]));
        one.hears(900_000);
        other.hears(910_000);
        assert_eq!(silent(&watch, 939_999), [""; 0]);
        assert_eq!(silent(&watch, 940_000), ["p/a/beat"]);
    }

    #[test]
    fn topics_without_wildcards_count_from_the_beginning() {
        let watch = watch(&["a", "b/+", "c"], 1_000, 10);
        watch.ear(&Arc::from("c")).hears(500);
        assert_eq!(silent(&watch, 1_000), ["a"]);
        assert_eq!(silent(&watch, 1_500), ["c"]);
        assert!(watch.names("a") && !watch.names("b/x"));
        watch.begin(ms(5_000));
        assert_eq!(silent(&watch, 6_000), ["a", "c"]);
    }

    #[test]
    fn there_are_so_many_topics_and_silent_ones_do_not_count() {
        let watch = watch(&["+"], 1_000, 2);
        for topic in ["a", "b", "c"] {
            watch.ear(&Arc::from(topic)).hears(0);
        }
        assert_eq!((watch.take_trouble().refused, watch.take_trouble().refused), (1, 0));
        let late = watch.ear(&Arc::from("c"));
        late.hears(999);
        assert_eq!(watch.take_trouble().refused, 1);
        assert_eq!(silent(&watch, 1_000), ["a", "b"]);
        late.hears(1_000);
        assert_eq!((watch.take_trouble().refused, silent(&watch, 2_000)), (0, vec!["c".to_owned()]));
    }

    #[test]
    fn a_topic_that_is_heard_has_so_many_bytes() {
        let watch = watch(&["+"], 1_000, 2);
        let longest = "t".repeat(WATCHED_TOPIC_BYTES_MAX);
        watch.ear(&Arc::from(&*longest)).hears(0);
        assert_eq!(watch.take_trouble().refused, 0);
        watch.ear(&Arc::from(format!("{longest}t"))).hears(0);
        assert_eq!((watch.take_trouble().refused, silent(&watch, 1_000)), (1, vec![longest]));
    }

    #[test]
    fn unreported_silence_is_retried_unless_a_message_arrives() {
        let watch = watch(&["+"], 1_000, 9);
        let (a, b) = (watch.ear(&Arc::from("a")), watch.ear(&Arc::from("b")));
        a.hears(0);
        b.hears(0);
        let mut first = Vec::new();
        watch.due(ms(1_000), 1, |topic| first.push(topic));
        assert_eq!(&*first[0], "a", "no more than was asked for");
        assert_eq!(silent(&watch, 1_000), ["b"]);
        watch.tell_again_at("a", ms(1_100));
        watch.tell_again_at("b", ms(1_100));
        b.hears(1_050);
        assert_eq!(silent(&watch, 1_099), [""; 0]);
        assert_eq!(silent(&watch, 1_100), ["a"]);
        assert_eq!(silent(&watch, 2_050), ["b"]);
        watch.count_from("a", ms(3_000));
        assert_eq!(silent(&watch, 4_000), ["a"]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(steps in prop::collection::vec((0u8..4, 0u64..60), 1..200)) {
            let watch = watch(&["+"], 100, 3);
            let names = ["a", "b", "c", "d"];
            let ears = names.map(|name| watch.ear(&Arc::from(name)));
            let mut model: Vec<(u64, &str)> = Vec::new();
            let mut now = 0;
            for (which, step) in steps {
                now += step;
                let mut expected: Vec<(u64, &str)> = Vec::new();
                model.retain(|entry| {
                    let is_silent = entry.0 + 100 <= now;
                    if is_silent { expected.push(*entry); }
                    !is_silent
                });
                let mut found = silent(&watch, now);
                found.sort();
                let mut expected: Vec<&str> = expected.into_iter().map(|(_, name)| name).collect();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
                let name = names[usize::from(which)];
                if let Some(entry) = model.iter_mut().find(|entry| entry.1 == name) {
                    entry.0 = now;
                } else if model.len() < 3 {
                    model.push((now, name));
                }
                ears[usize::from(which)].hears(now);
                let table = watch.table.lock();
                prop_assert_eq!(table.topics.len(), model.len());
                prop_assert_eq!(table.deadlines.len(), model.len());
            }
        }
    }

    #[test]
    fn silence_watches_share_a_quota_and_release_it() {
        let definition = World::new().add(on_topic("Lost", &["unused"])).definition;
        let room = AccountShares::new(4 * room_of("a"), (3, 4));
        let watch = |filter: &str| {
            let watch =
                SilenceWatch::new(&definition, (&[filter.to_owned()], 1_000), (100, &room), &values());
            watch.begin(Duration::ZERO);
            Arc::new(watch)
        };
        let (one, other) = (watch("+"), watch("+"));
        for topic in ["a", "b", "c", "d"] {
            one.ear(&Arc::from(topic)).hears(0);
        }
        assert_eq!(
            (one.take_trouble().refused, room.used()),
            (1, 3 * room_of("a")),
            "three quarters are for one owner"
        );
        other.ear(&Arc::from("a")).hears(0);
        assert_eq!(other.take_trouble().refused, 1);
        assert_eq!(silent(&one, 1_000), ["a", "b", "c"]);
        assert_eq!(room.used(), 0);
        other.ear(&Arc::from("a")).hears(1_000);
        assert_eq!((other.take_trouble().refused, room.used()), (0, room_of("a")));
        drop((one, other));
        assert_eq!(room.used(), 0);
        let named = watch("a");
        assert_eq!(room.used(), room_of("a"));
        named.begin(ms(1));
        assert_eq!(room.used(), room_of("a"));
    }
}
