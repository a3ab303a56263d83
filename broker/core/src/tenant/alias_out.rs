//! Topic Aliases that we set towards a Client which allows them, chosen by use. They hold for one
//! connection \[MQTT-3.3.2-7\].
//!
//! A topic gets an alias when it comes for the second time. When all are in use, it takes that of
//! one which has not come for four times as long as lies between its own last two: so what is used
//! more takes over, and more topics than aliases that come in turn do not push each other out.
//!
//! Invariants: never more aliases than the Client allows \[MQTT-3.1.2-26\]; [`AliasesOut::choose`]
//! is called only for a PUBLISH that enters the stream of bytes next, in the order of that stream.
//! Not here: what the packet looks like (`aliased`).

use std::hash::BuildHasher as _;
use std::num::NonZeroU16;

use hashbrown::HashTable;

use crate::hashing::Hashing;
use crate::limits::{ALIASED_TOPIC_BYTES_MAX, ALIASES_OUT_MAX};

/// Bytes that an alias takes in a packet. A topic must be longer.
const ALIAS_BYTES: usize = 3;

/// Topics without alias that are remembered: 8 KiB, once there is one.
const SEEN: usize = 1024;

/// Places that a topic may have among them.
const ROW: usize = 8;

/// Aliases that are compared with a topic which wants one.
const COMPARED: usize = 4;

/// Bytes of an alias beside its topic.
const ENTRY_BYTES: usize = size_of::<Entry>() + 8;

/// How the topic of a PUBLISH is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// In full.
    Topic,
    /// In full, with this alias for those that follow.
    Set(NonZeroU16),
    /// As this alias alone.
    Alias(NonZeroU16),
}

/// Topic Aliases set towards one Client. Takes memory as aliases are given.
pub struct AliasesOut {
    maximum: usize,
    hasher: Hashing,
    /// By alias, from 1 on.
    entries: Vec<Entry>,
    /// Places in `entries` by topic.
    by_topic: HashTable<u16>,
    /// Topics without alias that came lately, in rows; the hash gives the row.
    seen: Vec<Seen>,
    /// Number of messages so far, which serves as time here. Begins anew after four billion.
    now: u32,
    /// Next entry that is compared with a topic which wants an alias.
    hand: usize,
    /// Bytes that the table takes.
    bytes: usize,
    may_grow: bool,
}

struct Entry {
    topic: Box<str>,
    /// Time at which it came last, in messages.
    at: u32,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    tag: u32,
    at: u32,
}

impl AliasesOut {
    /// Aliases for a Client with this Topic Alias Maximum; `None` where it allows none.
    pub fn new(topic_alias_maximum: u16, hashing: &Hashing) -> Option<Box<Self>> {
        let maximum = usize::from(topic_alias_maximum.min(ALIASES_OUT_MAX));
        (maximum > 0).then(|| {
            Box::new(Self {
                maximum,
                hasher: hashing.clone(),
                entries: Vec::new(),
                by_topic: HashTable::new(),
                seen: Vec::new(),
                now: 0,
                hand: 0,
                bytes: 0,
                may_grow: true,
            })
        })
    }

    /// Bytes that the table takes.
    pub fn bytes(&self) -> u32 {
        u32::try_from(self.bytes).unwrap_or(u32::MAX)
    }

    /// Sets whether the table may grow; existing aliases stay. True when growing has just been
    /// forbidden.
    pub(crate) fn set_may_grow(&mut self, may_grow: bool) -> bool {
        std::mem::replace(&mut self.may_grow, may_grow) && !may_grow
    }

    /// Chooses how the topic of the next PUBLISH is sent. `may_set`: whether the packet has room
    /// for a new alias.
    pub fn choose(&mut self, topic: &str, may_set: bool) -> Choice {
        if !(ALIAS_BYTES + 1..=ALIASED_TOPIC_BYTES_MAX).contains(&topic.len()) {
            return Choice::Topic;
        }
        self.now = self.now.wrapping_add(1);
        let hash = self.hasher.hash_one(topic);
        let Self { by_topic, entries, now, .. } = self;
        if let Some(&at) = by_topic.find(hash, |&at| *entries[usize::from(at)].topic == *topic) {
            entries[usize::from(at)].at = *now;
            return Choice::Alias(alias(usize::from(at)));
        }
        if !self.may_grow {
            return Choice::Topic;
        }
        let Some(gap) = self.note(hash).filter(|_| may_set) else { return Choice::Topic };
        match self.place(gap) {
            Some(at) => Choice::Set(self.set(at, topic, hash)),
            None => Choice::Topic,
        }
    }

    /// Remembers a topic without alias; returns how many messages ago it came last, if that is
    /// known.
    fn note(&mut self, hash: u64) -> Option<u32> {
        if self.seen.is_empty() {
            self.seen = vec![Seen::default(); SEEN];
            self.bytes += SEEN * size_of::<Seen>();
        }
        // The low bits say the row, others whose place in it it is; the one that came longest ago
        // makes room.
        let (row, tag) = (hash as usize % (SEEN / ROW) * ROW, (hash >> 32) as u32);
        let Self { seen, now, .. } = self;
        let row = &mut seen[row..row + ROW];
        let known = row.iter().position(|seen| seen.tag == tag);
        let oldest = || (0..ROW).max_by_key(|at| now.wrapping_sub(row[*at].at)).unwrap_or(0);
        let place = known.unwrap_or_else(oldest);
        let before = std::mem::replace(&mut row[place], Seen { tag, at: *now });
        known.map(|_| now.wrapping_sub(before.at))
    }

    /// Finds a place for a topic that comes every `gap` messages: a free one, or that of a topic
    /// which has not come for longer.
    fn place(&mut self, gap: u32) -> Option<usize> {
        if self.entries.len() < self.maximum {
            return Some(self.entries.len());
        }
        (0..COMPARED).find_map(|_| {
            let at = self.hand;
            self.hand = (at + 1) % self.entries.len();
            (self.now.wrapping_sub(self.entries[at].at) > gap.saturating_mul(4)).then_some(at)
        })
    }

    fn set(&mut self, at: usize, topic: &str, hash: u64) -> NonZeroU16 {
        let entry = Entry { topic: topic.into(), at: self.now };
        self.bytes += ENTRY_BYTES + topic.len();
        let Self { entries, by_topic, hasher, bytes, .. } = self;
        if at == entries.len() {
            entries.push(entry);
        } else {
            let old = std::mem::replace(&mut entries[at], entry);
            *bytes -= ENTRY_BYTES + old.topic.len();
            let known = by_topic.find_entry(hasher.hash_one(&*old.topic), |&other| usize::from(other) == at);
            if let Ok(known) = known {
                known.remove();
            }
        }
        let alias = alias(at);
        by_topic
            .insert_unique(hash, alias.get() - 1, |&at| hasher.hash_one(&*entries[usize::from(at)].topic));
        alias
    }
}

/// Topic Alias of a place.
fn alias(at: usize) -> NonZeroU16 {
    let number = u16::try_from(at).ok().and_then(|at| NonZeroU16::new(at + 1));
    number.expect("there are fewer places than ALIASES_OUT_MAX")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;

    /// xorshift64*; a dependency for tests would build the whole server's once more.
    pub(crate) struct Random(pub(crate) u64);

    impl Random {
        pub(crate) fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
        }
    }

    /// Aliases as a receiver resolves them.
    #[derive(Default)]
    struct Receiver(HashMap<NonZeroU16, String>);

    impl Receiver {
        fn resolve(&mut self, choice: Choice, topic: &str) -> String {
            match choice {
                Choice::Topic => topic.to_owned(),
                Choice::Set(alias) => {
                    self.0.insert(alias, topic.to_owned());
                    topic.to_owned()
                }
                Choice::Alias(alias) => self.0[&alias].clone(),
            }
        }
    }

    #[test]
    fn every_receiver_resolves_every_topic() {
        let mut random = Random(1);
        for round in 0..300 {
            let maximum = [1, 2, 5, 32, u16::MAX][round % 5];
            let (mut aliases, mut receiver) =
                (AliasesOut::new(maximum, &Hashing::fixed(0)).unwrap(), Receiver::default());
            for _ in 0..600 {
                let (number, may_set) = (random.below(40), random.below(4) > 0);
                // Short, usual, and too long for an alias.
                let topic = match number {
                    0..3 => "a".repeat(number),
                    3 => "long".repeat(ALIASED_TOPIC_BYTES_MAX),
                    _ => format!("plant/line/{number}"),
                };
                let choice = aliases.choose(&topic, may_set);
                assert!(may_set || !matches!(choice, Choice::Set(_)));
                assert_eq!(receiver.resolve(choice, &topic), topic);
                assert!(receiver.0.keys().all(|alias| alias.get() <= maximum.min(ALIASES_OUT_MAX)));
                assert_eq!(aliases.entries.len(), aliases.by_topic.len());
            }
        }
    }

    #[test]
    fn the_same_hashes_choose_the_same_aliases() {
        let choices = |hashing: &Hashing| {
            let (mut aliases, mut random) = (AliasesOut::new(32, hashing).unwrap(), Random(7));
            let mut topic = || format!("plant/line/{}", random.below(4 * SEEN));
            (0..20_000).map(|_| aliases.choose(&topic(), true)).collect::<Vec<_>>()
        };
        assert_eq!(choices(&Hashing::fixed(1)), choices(&Hashing::fixed(1)));
        // More topics come than are remembered, so the hash decides of which it is known that they
        // have come before.
        assert_ne!(choices(&Hashing::fixed(1)), choices(&Hashing::fixed(2)));
    }

    #[test]
    fn alias_table_that_may_not_grow_keeps_existing_aliases_only() {
        let mut aliases = AliasesOut::new(10, &Hashing::fixed(0)).unwrap();
        assert_eq!(aliases.bytes(), 0);
        let first = NonZeroU16::MIN;
        aliases.choose("plant/line/1", true);
        assert_eq!(aliases.choose("plant/line/1", true), Choice::Set(first));
        let bytes = aliases.bytes() as usize;
        assert_eq!(bytes, SEEN * size_of::<Seen>() + ENTRY_BYTES + "plant/line/1".len());
        assert!(aliases.set_may_grow(false) && !aliases.set_may_grow(false));
        for _ in 0..3 {
            assert_eq!(aliases.choose("plant/line/2", true), Choice::Topic);
        }
        assert_eq!(aliases.choose("plant/line/1", true), Choice::Alias(first));
        assert_eq!(aliases.bytes() as usize, bytes);
        assert!(!aliases.set_may_grow(true));
        aliases.choose("plant/line/2", true);
        assert!(matches!(aliases.choose("plant/line/2", true), Choice::Set(_)));
        // Of those that change their topics the former ones count no more.
        let mut aliases = AliasesOut::new(1, &Hashing::fixed(0)).unwrap();
        for number in 0..50 {
            for _ in 0..8 {
                aliases.choose(&format!("plant/line/{number:02}"), true);
            }
        }
        assert_eq!(aliases.bytes() as usize, bytes + 1);
    }

    #[test]
    fn a_topic_gets_its_alias_when_it_comes_again() {
        assert!(AliasesOut::new(0, &Hashing::fixed(0)).is_none());
        let mut aliases = AliasesOut::new(10, &Hashing::fixed(0)).unwrap();
        let first = NonZeroU16::MIN;
        let choices: Vec<Choice> = (0..4).map(|_| aliases.choose("plant/line/1", true)).collect();
        assert_eq!(choices, [Choice::Topic, Choice::Set(first), Choice::Alias(first), Choice::Alias(first)]);
        assert!((0..1000).all(
            |n| aliases.choose(&format!("once/{n}"), true) == Choice::Topic || aliases.entries.len() > 1
        ));
        // It has kept its alias.
        assert_eq!(aliases.choose("plant/line/1", true), Choice::Alias(first));
    }

    /// Messages that leave with an alias alone, of so many for topics that `next` names.
    fn hits(maximum: u16, messages: usize, mut next: impl FnMut(usize) -> usize) -> usize {
        let mut aliases = AliasesOut::new(maximum, &Hashing::fixed(0)).unwrap();
        let is_hit =
            |n: &usize| matches!(aliases.choose(&format!("plant/{}", next(*n)), true), Choice::Alias(_));
        (0..messages).filter(is_hit).count()
    }

    #[test]
    fn more_topics_than_aliases_do_not_push_each_other_out() {
        // 200 topics in turn share 32 aliases: close to 32 of 200 messages have one.
        let share = hits(32, 20_000, |n| n % 200);
        assert!(share > 20_000 * 28 / 200, "{share} of 20000");
        // With room for all of them, all but the first two rounds.
        let share = hits(256, 20_000, |n| n % 200);
        assert!(share > 20_000 - 200 * 4, "{share} of 20000");
    }

    #[test]
    fn frequently_used_topics_replace_old_aliases() {
        // Ten topics fill the table; then ten others come.
        let share = hits(10, 10_000, |n| if n < 2000 { n % 10 } else { 100 + n % 10 });
        assert!(share > 9000, "{share} of 10000");
    }
}
