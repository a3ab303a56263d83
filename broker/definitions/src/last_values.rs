//! Last values: the newest payload of each cached topic, and the values that `KEEP` wrote. LoT
//! reference §6.
//!
//! Accepted messages (the server knows from [`Registry::caching`](crate::Registry::caching) whether
//! a topic is cached) and `KEEP` write them, running guests read them. Shared by all threads: 32
//! shards, each behind a short lock.
//!
//! Invariants: live entries never exceed the bounds of topics and bytes for longer than one call.
//! The entry that was written longest ago goes first. Kept values are never evicted and have bounds
//! of their own. Values of topics that a rule names are not evicted either, so that foreign writes
//! do not decide for it. Topics whose names a rule computes go last. Not here: retained messages,
//! writes of the running guest, its trigger payload (they come before and after this in the order
//! of reading).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use lot_facts::TopicFact;
use lotmq_shares::AccountShares;
use parking_lot::{Mutex, RwLock};

use crate::definition::DefinitionId;
use crate::limits::{
    CACHE_BYTES_MAX, CACHE_SHARDS, CACHE_TOPICS_MAX, KEEP_BYTES_MAX, KEEP_PART, KEEP_TOPICS_MAX,
    KEPT_ERRORS_MAX, SPARED_BEYOND_PART, SPARED_BYTES, SPARED_PER_WRITE,
};

mod held;
mod keeper;
mod shard;

pub use keeper::{KeepRefused, KeptSum, KeptValue, ValueKeeper};

use held::HeldByRules;
use keeper::KeptRooms;
use shard::{Change, Shard};

/// Bounds of a [`LastValues`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most live topics; `[lot] cache_topics`. Default [`CACHE_TOPICS_MAX`].
    pub topics_max: usize,
    /// Most bytes of live entries; `[lot] cache_bytes`. Default [`CACHE_BYTES_MAX`].
    pub bytes_max: u64,
    /// Most topics that programs keep. Default [`KEEP_TOPICS_MAX`].
    pub keep_topics_max: usize,
    /// Most bytes of what programs keep. Default [`KEEP_BYTES_MAX`].
    pub keep_bytes_max: u64,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits {
            topics_max: CACHE_TOPICS_MAX,
            bytes_max: CACHE_BYTES_MAX,
            keep_topics_max: KEEP_TOPICS_MAX,
            keep_bytes_max: KEEP_BYTES_MAX,
        }
    }
}

/// Figures for `/metrics` and `Stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Live entries.
    pub topics: u64,
    /// Bytes of live entries.
    pub bytes: u64,
    /// Live entries that gave way to newer ones since the start.
    pub evictions: u64,
    /// Kept values.
    pub keep_topics: u64,
    /// Bytes of kept values.
    pub keep_bytes: u64,
}

/// The last values of one tenant.
///
/// ```
/// use lotmq_definitions::{CacheLimits, ValueKeeper, LastValues};
/// let values = LastValues::new(CacheLimits::default());
/// values.publish("s/k1/h", b"40");
/// assert_eq!(values.read("s/k1/h", |value| value.map(<[u8]>::len)), Some(2));
/// values.keep(ValueKeeper::NOBODY, "s/k1/h", b"41")?; // the last write wins
/// assert_eq!(values.get("s/k1/h").as_deref(), Some(&b"41"[..]));
/// # Ok::<(), lotmq_definitions::KeepRefused>(())
/// ```
pub struct LastValues {
    limits: CacheLimits,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    /// Per shard the write number of its oldest live entry, `u64::MAX` for none: eviction finds the
    /// oldest of all without locking them all.
    oldest: Vec<AtomicU64>,
    next_write: AtomicU64,
    topics: AtomicU64,
    bytes: AtomicU64,
    evictions: AtomicU64,
    keep_topics: AtomicU64,
    keep_bytes: AtomicU64,
    rooms: KeptRooms,
    /// Topics that do not give way, or as the last ones.
    held: RwLock<HeldByRules>,
    unsaved: Mutex<Unsaved>,
    /// Shares of users in the unsaved changes.
    waiting: Arc<AccountShares>,
    /// Notifies the saver of kept values that the first one waits.
    tell_saver: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Topics whose kept value has changed and was not taken for saving.
#[derive(Debug, Default)]
struct Unsaved {
    /// In the order in which they came to be.
    order: VecDeque<Arc<str>>,
    /// With the payer in whose share of them each is.
    known: HashMap<Arc<str>, u64>,
}

impl LastValues {
    /// Empty, with these bounds.
    pub fn new(limits: CacheLimits) -> LastValues {
        LastValues {
            rooms: KeptRooms::new(&limits),
            limits,
            hasher: RandomState::new(),
            shards: (0..CACHE_SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            oldest: (0..CACHE_SHARDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
            next_write: AtomicU64::new(0),
            topics: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            keep_topics: AtomicU64::new(0),
            keep_bytes: AtomicU64::new(0),
            held: RwLock::default(),
            unsaved: Mutex::default(),
            waiting: AccountShares::new(limits.keep_topics_max as u64 + KEPT_ERRORS_MAX, KEEP_PART),
            tell_saver: OnceLock::new(),
        }
    }

    /// Makes an accepted message on a cached topic the topic's last value, also in place of a kept
    /// one.
    ///
    /// No allocation when the topic has an entry and the payload is not longer than before. A
    /// message that is larger than the whole cache only removes the entry.
    pub fn publish(&self, topic: &str, payload: &[u8]) {
        if Shard::cost(topic, payload.len()) > self.limits.bytes_max {
            self.evictions.fetch_add(1, Ordering::Relaxed);
            return self.clear(topic);
        }
        let write = self.next_write.fetch_add(1, Ordering::Relaxed);
        self.change(topic, |shard, hash| shard.put_live(hash, topic, payload, write));
        self.evict(Shard::cost(topic, payload.len()));
    }

    /// A retained delete, or any message on a topic that is not cached but may have a kept value:
    /// removes the entry.
    pub fn clear(&self, topic: &str) {
        self.change(topic, |shard, hash| shard.remove(hash, topic));
    }

    /// `KEEP TOPIC`: replaces the last value by one that survives a restart. The caller saves it
    /// with [`take_unsaved`](LastValues::take_unsaved). A value of another keeper counts for this
    /// keeper from now on.
    ///
    /// # Errors
    /// [`KeepRefused`] when the value is new, longer or another keeper's, and this keeper has no
    /// room. Also when the keeper has as many unsaved changes as it may have kept values. Removed
    /// values count as unsaved changes, too: a program that replaces values may be faster than the
    /// disk.
    pub fn keep(&self, keeper: ValueKeeper<'_>, topic: &str, payload: &[u8]) -> Result<(), KeepRefused> {
        self.check_unsaved(keeper, topic)?;
        let (hash, number) = self.place(topic);
        let mut shard = self.shards[number].lock();
        self.rooms.replace(shard.keeper(hash, topic), (keeper, Shard::cost(topic, payload.len())))?;
        let change = shard.put_kept(hash, topic, payload, keeper);
        self.account(number, &shard, &change);
        self.note_unsaved(topic, keeper);
        Ok(())
    }

    /// Removes a kept value; a live one stays.
    pub fn forget(&self, topic: &str) {
        self.change(topic, |shard, hash| shard.remove_kept(hash, topic));
    }

    /// Shows every kept value, in no order. `show` is called under the lock of a part of them and
    /// must not call back into this.
    pub fn each_kept(&self, mut show: impl FnMut(&str, KeptValue<'_>)) {
        for shard in &self.shards {
            shard.lock().kept().for_each(|(topic, kept)| show(topic, kept));
        }
    }

    /// Shows every topic with a value, live or kept, in no order, until `show` has had enough. It
    /// is called under the lock of a part of them and must not call back into this.
    pub fn each_topic(&self, mut show: impl FnMut(&str) -> ControlFlow<()>) {
        for shard in &self.shards {
            if shard.lock().topics().try_for_each(&mut show).is_break() {
                return;
            }
        }
    }

    /// Removes the kept values of the topics that are chosen. How many they were.
    pub fn forget_all(&self, is_chosen: impl Fn(&str) -> bool) -> usize {
        let mut count = 0;
        for shard in &self.shards {
            let chosen: Vec<String> = shard
                .lock()
                .kept()
                .map(|(topic, _)| topic)
                .filter(|topic| is_chosen(topic))
                .map(str::to_owned)
                .collect();
            chosen.iter().for_each(|topic| self.forget(topic));
            count += chosen.len();
        }
        count
    }

    /// Puts back a kept value that was recovered from the store, however much there is.
    pub fn restore_kept(&self, keeper: ValueKeeper<'_>, topic: &str, payload: &[u8]) {
        let (hash, number) = self.place(topic);
        let mut shard = self.shards[number].lock();
        if let Some((former, bytes)) = shard.keeper(hash, topic) {
            self.rooms.give_back(former, bytes);
        }
        self.rooms.put_back(keeper, Shard::cost(topic, payload.len()));
        let change = shard.put_kept(hash, topic, payload, keeper);
        self.account(number, &shard, &change);
    }

    /// Lets `use_value` look at the last value, live or kept, under the shard's lock: copy and
    /// return.
    pub fn read<R>(&self, topic: &str, use_value: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let (hash, shard) = self.place(topic);
        use_value(self.shards[shard].lock().get(hash, topic))
    }

    /// A copy of the last value.
    pub fn get(&self, topic: &str) -> Option<Vec<u8>> {
        self.read(topic, |value| value.map(<[u8]>::to_vec))
    }

    /// Whether the last value was written by `KEEP`.
    pub fn is_kept(&self, topic: &str) -> bool {
        if self.keep_topics.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let (hash, shard) = self.place(topic);
        self.shards[shard].lock().is_kept(hash, topic)
    }

    /// Sets the callback for a change of a kept value while none waits to be saved. It runs on the
    /// changing thread, under locks of this, so it must not call back. Only the first call counts.
    pub fn tell_saver(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.tell_saver.set(Box::new(tell));
    }

    /// Whether kept values changed since they were taken for saving.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.lock().order.is_empty()
    }

    /// Hands out at most `topics_max` topics whose kept value changed, with the present value:
    /// `Some` is to be stored, `None` to be deleted. Only the last value of a topic comes; those
    /// that wait for longest come first. `save` is called under the lock of the topic's shard and
    /// must not call back into this. One caller at a time, or an older value may be stored after a
    /// newer one.
    pub fn take_unsaved(&self, topics_max: usize, mut save: impl FnMut(&str, Option<KeptValue<'_>>)) {
        let topics: Vec<Arc<str>> = {
            let Unsaved { order, known } = &mut *self.unsaved.lock();
            let topics: Vec<Arc<str>> = order.drain(..topics_max.min(order.len())).collect();
            for topic in &topics {
                known.remove(topic).into_iter().for_each(|payer| self.waiting.give_back(payer, 1));
            }
            topics
        };
        for topic in topics {
            let (hash, shard) = self.place(&topic);
            save(&topic, self.shards[shard].lock().get_kept(hash, &topic));
        }
    }

    /// Notes that topics which [`take_unsaved`](LastValues::take_unsaved) has handed out were not
    /// stored: they come first the next time.
    pub fn save_again(&self, topics: Vec<String>) {
        let Unsaved { order, known } = &mut *self.unsaved.lock();
        for topic in topics.into_iter().rev() {
            let topic: Arc<str> = topic.into();
            if let Entry::Vacant(unknown) = known.entry(Arc::clone(&topic)) {
                // The owner of a removed value is unknown.
                self.waiting.put_back(*unknown.insert(ValueKeeper::NOBODY.payer()), 1);
                order.push_front(topic);
            }
        }
    }

    /// Drops the live entries of topics that are no longer cached. Kept values stay. O(entries),
    /// one shard at a time.
    pub(crate) fn retain(&self, is_cached: impl Fn(&str) -> bool) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.lock();
            let change = shard.retain_live(&is_cached);
            self.account(number, &shard, &change);
        }
    }

    /// Sizes and counters.
    pub fn figures(&self) -> CacheFigures {
        CacheFigures {
            topics: self.topics.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            keep_topics: self.keep_topics.load(Ordering::Relaxed),
            keep_bytes: self.keep_bytes.load(Ordering::Relaxed),
        }
    }

    /// Changes one shard and keeps the sums; a kept value that goes must be deleted from the store.
    fn change(&self, topic: &str, change: impl FnOnce(&mut Shard, u64) -> Change) {
        let (hash, number) = self.place(topic);
        let mut shard = self.shards[number].lock();
        let change = change(&mut shard, hash);
        self.account(number, &shard, &change);
        if let Some((keeper, bytes)) = change.gone() {
            self.rooms.give_back(keeper, bytes);
            self.note_unsaved(topic, keeper);
        }
    }

    fn account(&self, number: usize, shard: &Shard, change: &Change) {
        self.oldest[number].store(shard.oldest_write(), Ordering::Relaxed);
        // Most writes replace a value by one of the same length; they leave the shared sums alone.
        for (sum, by) in [
            (&self.topics, change.topics),
            (&self.bytes, change.bytes),
            (&self.keep_topics, change.keep_topics),
            (&self.keep_bytes, change.keep_bytes),
        ] {
            if by != 0 {
                // Two's complement: adding a negative number wraps to the right sum.
                sum.fetch_add(by as u64, Ordering::Relaxed);
            }
        }
    }

    fn check_unsaved(&self, keeper: ValueKeeper<'_>, topic: &str) -> Result<(), KeepRefused> {
        if self.unsaved.lock().known.contains_key(topic) {
            return Ok(());
        }
        let payer = keeper.payer();
        let has_room = self.waiting.take(payer, 1).map(|()| self.waiting.give_back(payer, 1));
        let (user, unit) = (|| keeper.user.cloned(), "changes on their way to the disk");
        has_room.map_err(|reason| KeepRefused { user: user(), unit, reason })
    }

    fn note_unsaved(&self, topic: &str, keeper: ValueKeeper<'_>) {
        let mut unsaved = self.unsaved.lock();
        let Unsaved { order, known } = &mut *unsaved;
        if known.contains_key(topic) {
            return;
        }
        let is_first = order.is_empty();
        let topic: Arc<str> = topic.into();
        known.insert(Arc::clone(&topic), keeper.payer());
        self.waiting.put_back(keeper.payer(), 1);
        order.push_back(topic);
        drop(unsaved);
        if let Some(tell) = self.tell_saver.get().filter(|_| is_first) {
            tell();
        }
    }

    /// Has the values that a rule reads stay.
    pub(crate) fn hold(&self, rule: DefinitionId, reads: &[TopicFact]) {
        self.held.write().add(rule, reads);
    }

    /// Takes back a call of [`hold`](Self::hold).
    pub(crate) fn let_go(&self, rule: DefinitionId, reads: &[TopicFact]) {
        self.held.write().remove(rule, reads);
    }

    /// Whether there is more than may be, and `beyond` of it over and above: one in so many.
    fn is_over(&self, beyond: Option<u64>) -> bool {
        let is_more = |sum: &AtomicU64, max: u64| {
            let above = beyond.map_or(0, |part| max / part + 1);
            sum.load(Ordering::Relaxed) > max.saturating_add(above)
        };
        is_more(&self.topics, self.limits.topics_max as u64) || is_more(&self.bytes, self.limits.bytes_max)
    }

    /// Evicts the oldest entries until there is room again for the `written` bytes. Skips a bounded
    /// number of values whose names rules compute; meanwhile the cache may exceed its bound by a
    /// part. Beyond that part it evicts these values, too: then there is little else.
    fn evict(&self, written: u64) {
        let mut spared = 0;
        while self.is_over(None) {
            let oldest = self.oldest.iter().map(|write| write.load(Ordering::Relaxed)).enumerate();
            let Some((number, _)) = oldest.filter(|(_, w)| *w != u64::MAX).min_by_key(|(_, w)| *w) else {
                return;
            };
            let held = self.held.read();
            let patience = if held.has_computed() { SPARED_PER_WRITE + written / SPARED_BYTES } else { 0 };
            if spared > held.named() as u64 + patience {
                return;
            }
            let spares_computed = !self.is_over(Some(SPARED_BEYOND_PART));
            let write = self.next_write.fetch_add(1, Ordering::Relaxed);
            let mut shard = self.shards[number].lock();
            let is_held = |topic: &str| held.names(topic) || (spares_computed && held.may_name(topic));
            let change = shard.evict_oldest(is_held, write);
            self.account(number, &shard, &change);
            match change.topics < 0 {
                true => drop(self.evictions.fetch_add(1, Ordering::Relaxed)),
                false => spared += 1,
            }
        }
    }

    fn place(&self, topic: &str) -> (u64, usize) {
        let hash = self.hasher.hash_one(topic);
        // The table inside a shard uses the low and the top bits.
        (hash, (hash >> 32) as usize % CACHE_SHARDS)
    }
}

#[cfg(test)]
mod tests;
