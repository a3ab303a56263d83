//! Fair queue, in which nobody's items keep those of others waiting: it takes turns over the
//! networks and the addresses that items come from, and over the users that they name.
//!
//! Of three items one is that of the next network, one that of the next user, one that of the next
//! address. So a flood from one network or address, whatever names it makes up, and a flood as one
//! user, from however many addresses, delay an item of somebody else by a few places. Against a
//! flood from many networks with made-up names, users that there are take the turns of users, once
//! more than [`CALM`] items wait.
//!
//! Not `lotmq_shares::FairTurns`: an item waits in three lines at once, and may leave from the
//! middle of each.
//!
//! Invariants: at most `max` items; when one more comes, it takes the place of the youngest one of
//! whoever has most, who may be itself. Each operation costs O(log items). Not here: what the items
//! are (`logins`).

use std::collections::{BTreeMap, BTreeSet};

/// Number of items up to which nobody is preferred: the order would tell which users exist. At 20
/// ms each the last of them waits for 0.6 s.
pub(crate) const CALM: usize = 32;

/// Fair queue of items. `S` is where an item comes from, `U` whom it names.
pub(crate) struct FairQueue<S, U, T> {
    max: usize,
    next_number: u64,
    /// Items by number, which ascends with time.
    items: BTreeMap<u64, Entry<S, U, T>>,
    networks: Lines<S>,
    sources: Lines<S>,
    users: Lines<U>,
    /// Items that name an existing user.
    known_users: Lines<U>,
    /// Items that name no existing user.
    of_nobody: BTreeSet<u64>,
    turn: Rotation,
}

/// Over what the next item is chosen.
#[derive(Clone, Copy)]
enum Rotation {
    Networks,
    Users,
    Sources,
}

struct Entry<S, U, T> {
    network: S,
    source: S,
    user: U,
    is_known: bool,
    item: T,
}

impl<S: Ord + Copy, U: Ord + Copy, T> FairQueue<S, U, T> {
    /// Empty queue for so many items.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            next_number: 0,
            items: BTreeMap::new(),
            networks: Lines::new(),
            sources: Lines::new(),
            users: Lines::new(),
            known_users: Lines::new(),
            of_nobody: BTreeSet::new(),
            turn: Rotation::Networks,
        }
    }

    /// Takes at most so many items from now on; those that wait stay.
    pub(crate) fn hold_to(&mut self, max: usize) {
        self.max = max;
    }

    /// Adds an item from a network and an address; `is_known` says whether the user that it names
    /// exists. Returns the item that finds no place: another one, or this.
    pub(crate) fn push(
        &mut self,
        (network, source): (S, S),
        (user, is_known): (U, bool),
        item: T,
    ) -> Option<T> {
        let displaced = if self.items.len() < self.max {
            None
        } else {
            let youngest = self
                .sources
                .youngest_of_longer_line(source)
                .or_else(|| self.users.youngest_of_longer_line(user));
            let youngest = youngest.or_else(|| self.networks.youngest_of_longer_line(network));
            match youngest.or_else(|| self.of_nobody.last().copied().filter(|_| is_known)) {
                Some(number) => self.remove(number),
                None => return Some(item),
            }
        };
        let number = self.next_number;
        self.next_number += 1;
        self.items.insert(number, Entry { network, source, user, is_known, item });
        self.networks.push(network, number);
        self.sources.push(source, number);
        self.users.push(user, number);
        if is_known {
            self.known_users.push(user, number);
        } else {
            self.of_nobody.insert(number);
        }
        displaced
    }

    /// Takes the item whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let is_calm = self.items.len() <= CALM;
        let (number, turn) = match self.turn {
            Rotation::Networks => (self.networks.next(), Rotation::Users),
            Rotation::Users if !is_calm && !self.known_users.is_empty() => {
                (self.known_users.next(), Rotation::Sources)
            }
            Rotation::Users => (self.users.next(), Rotation::Sources),
            Rotation::Sources => (self.sources.next(), Rotation::Networks),
        };
        self.turn = turn;
        self.remove(number?)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn remove(&mut self, number: u64) -> Option<T> {
        let Entry { network, source, user, is_known, item } = self.items.remove(&number)?;
        self.networks.remove(network, number);
        self.sources.remove(source, number);
        self.users.remove(user, number);
        if is_known {
            self.known_users.remove(user, number);
        } else {
            self.of_nobody.remove(&number);
        }
        Some(item)
    }
}

/// Lines of items with the same key, each in order of time; the lines take turns.
struct Lines<K> {
    lines: BTreeMap<K, Line>,
    /// Keys in the order of their turns.
    turns: BTreeMap<u64, K>,
    /// Keys by the length of their lines.
    lengths: BTreeSet<(usize, K)>,
    next_turn: u64,
}

struct Line {
    turn: u64,
    numbers: BTreeSet<u64>,
}

impl<K: Ord + Copy> Lines<K> {
    fn new() -> Self {
        Self { lines: BTreeMap::new(), turns: BTreeMap::new(), lengths: BTreeSet::new(), next_turn: 0 }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn push(&mut self, key: K, number: u64) {
        let (turns, next_turn) = (&mut self.turns, &mut self.next_turn);
        let line = self.lines.entry(key).or_insert_with(|| {
            let turn = *next_turn;
            *next_turn += 1;
            turns.insert(turn, key);
            Line { turn, numbers: BTreeSet::new() }
        });
        self.lengths.remove(&(line.numbers.len(), key));
        line.numbers.insert(number);
        self.lengths.insert((line.numbers.len(), key));
    }

    fn remove(&mut self, key: K, number: u64) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        self.lengths.remove(&(line.numbers.len(), key));
        line.numbers.remove(&number);
        if line.numbers.is_empty() {
            self.turns.remove(&line.turn);
            self.lines.remove(&key);
        } else {
            self.lengths.insert((line.numbers.len(), key));
        }
    }

    /// Takes the oldest item of the line whose turn it is, which goes to the end.
    fn next(&mut self) -> Option<u64> {
        let (_, key) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&key)?;
        line.turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(line.turn, key);
        line.numbers.first().copied()
    }

    /// Youngest item of the longest line, if that would still not be shorter than the line of `key`
    /// with one more.
    fn youngest_of_longer_line(&self, key: K) -> Option<u64> {
        let own = self.lines.get(&key).map_or(0, |line| line.numbers.len());
        let (length, longest) = self.lengths.last()?;
        let line = self.lines.get(longest).filter(|_| *length > own + 1)?;
        line.numbers.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    type Queue = FairQueue<u32, u32, &'static str>;

    /// An address and its network.
    fn from(source: u32) -> (u32, u32) {
        (source / 256, source)
    }

    /// How many items come out before that one.
    fn before(queue: &mut Queue, wanted: &str) -> usize {
        (0..).find(|_| queue.pop().expect("it is in") == wanted).expect("it comes")
    }

    #[test]
    fn a_flood_delays_others_by_a_few_places() {
        // Address and user of the n-th item of the flood.
        type Flood = fn(u32) -> (u32, u32);
        let floods: [(&str, Flood); 6] = [
            ("one address, one user", |_| (1, 1)),
            ("one address, made-up users", |n| (1, n)),
            ("many addresses, one user", |n| (n, 1)),
            ("four addresses, made-up users", |n| (n % 4, n)),
            ("many addresses, made-up users", |n| (n, n)),
            ("four networks, existing users", |n| (n % 1_024, n)),
        ];
        for (name, flood) in floods {
            for size in [CALM as u32 + 8, 4_000] {
                let mut queue = Queue::new(4_096);
                for n in 0..size {
                    let (source, user) = flood(n);
                    let is_known = name.contains("existing");
                    assert_eq!(queue.push(from(source), (user, is_known), "flood"), None);
                }
                assert_eq!(queue.push(from(9_999), (9_999, true), "other"), None);
                let places = before(&mut queue, "other");
                // Four lines and the user's own take turns, and every third turn is of that kind.
                assert!(places <= 15, "{name}, {size}: behind {places}");
            }
        }
    }

    #[test]
    fn user_is_served_soon_despite_a_flood_from_the_same_address() {
        let mut queue = Queue::new(4_096);
        (0..4_000).for_each(|_| assert_eq!(queue.push(from(1), (1, true), "flood"), None));
        assert_eq!(queue.push(from(1), (2, true), "other"), None);
        assert!(before(&mut queue, "other") <= 4);
    }

    #[test]
    fn full_login_queue_evicts_from_the_source_with_most_entries() {
        let mut queue = Queue::new(10);
        (0..10).for_each(|n| assert_eq!(queue.push(from(1), (n, false), "flood"), None));
        assert_eq!(queue.push(from(1), (77, false), "more"), Some("more"), "the flood's own next one");
        for (source, user) in [(2, 2), (3, 3), (2, 2)] {
            assert_eq!(queue.push(from(source), (user, true), "other"), Some("flood"));
        }
        // From many addresses, as one user.
        let mut queue = Queue::new(10);
        (0..10).for_each(|n| assert_eq!(queue.push(from(n), (1, true), "flood"), None));
        assert_eq!(queue.push(from(77), (1, true), "more"), Some("more"));
        assert_eq!(queue.push(from(78), (2, true), "other"), Some("flood"));
        assert_eq!(queue.len(), 10);
        // From many addresses of one network, as existing users.
        let mut queue = Queue::new(10);
        (0..10).for_each(|n| assert_eq!(queue.push(from(n), (n, true), "flood"), None));
        assert_eq!(queue.push(from(77), (77, true), "more"), Some("more"));
        assert_eq!(queue.push(from(300), (78, true), "other"), Some("flood"));
        // From many networks, with made-up names.
        let mut queue = Queue::new(10);
        (0..10).for_each(|n| assert_eq!(queue.push(from(n * 256), (n, false), "flood"), None));
        assert_eq!(queue.push(from(77 * 256), (77, false), "more"), Some("more"));
        assert_eq!(queue.push(from(78 * 256), (78, true), "other"), Some("flood"));
    }

    /// While few wait, what comes out first does not tell who there is.
    #[test]
    fn nobody_is_preferred_while_few_wait() {
        let order = |is_known: bool| -> Vec<u32> {
            let mut queue = FairQueue::new(4_096);
            (0..30_u32).for_each(|n| assert_eq!(queue.push(from(n), (n, is_known && n == 20), n), None));
            std::iter::from_fn(|| queue.pop()).collect()
        };
        assert_eq!(order(true), order(false));
    }

    proptest! {
        /// Everything comes out once, in order of time per address and user; never more are in than
        /// may be.
        #[test]
        fn nothing_is_lost_doubled_or_overtaken(
            steps in prop::collection::vec((0_u32..5, 0_u32..5, any::<bool>()), 0..300)
        ) {
            let mut queue = FairQueue::new(20);
            let mut inside = BTreeSet::new();
            let mut last: HashMap<(u32, u32), usize> = HashMap::new();
            let mut out = |item: Option<(u32, u32, usize)>, inside: &mut BTreeSet<(u32, u32, usize)>| {
                let Some(item) = item else { return inside.is_empty() };
                let (source, user, number) = item;
                let former = last.insert((source, user), number);
                inside.remove(&item) && former.is_none_or(|former| former < number)
            };
            for (number, (source, user, takes)) in steps.into_iter().enumerate() {
                if takes {
                    prop_assert!(out(queue.pop(), &mut inside));
                    continue;
                }
                inside.insert((source, user, number));
                if let Some(displaced) = queue.push((source / 2, source), (user, user % 2 == 0), (source, user, number)) {
                    prop_assert!(inside.remove(&displaced));
                }
                prop_assert!(queue.len() <= 20);
                prop_assert_eq!(queue.len(), inside.len());
            }
            while queue.len() > 0 {
                prop_assert!(out(queue.pop(), &mut inside));
            }
            prop_assert!(inside.is_empty());
            prop_assert!(queue.networks.turns.is_empty() && queue.sources.turns.is_empty() && queue.users.lengths.is_empty());
            prop_assert!(queue.known_users.is_empty() && queue.of_nobody.is_empty());
        }
    }
}
