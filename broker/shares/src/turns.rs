//! Round robin between keys: the items of one key never block those of others, however many there
//! are.

use std::collections::VecDeque;

/// Lines of things, one for each key, which take turns.
///
/// Invariant: no line is empty between two calls, as far as [`WaitingLine::is_empty`] tells.
#[derive(Debug)]
pub struct FairTurns<K, L> {
    lines: VecDeque<(K, L)>,
    /// Line that has become empty, kept for its memory.
    spare: Option<L>,
}

/// Things that wait in order.
pub trait WaitingLine: Default {
    /// Whether nothing waits there.
    fn is_empty(&self) -> bool;
}

impl<T> WaitingLine for VecDeque<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, L> WaitingLine for FairTurns<K, L> {
    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl<K, L> Default for FairTurns<K, L> {
    fn default() -> Self {
        Self { lines: VecDeque::new(), spare: None }
    }
}

impl<K: Eq, L: WaitingLine> FairTurns<K, L> {
    /// Line of a key, to put something into; a new one is the last whose turn comes. O(keys).
    pub fn line(&mut self, key: &K) -> &mut L
    where
        K: Clone,
    {
        let Self { lines, spare } = self;
        let at = lines.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            lines.push_back((key.clone(), spare.take().unwrap_or_default()));
            lines.len() - 1
        });
        &mut lines[at].1
    }

    /// Line of a key, if anything waits there. O(keys).
    pub fn get(&self, key: &K) -> Option<&L> {
        self.lines.iter().find(|(known, _)| known == key).map(|(_, line)| line)
    }

    /// The lines with their keys, in the order of turns.
    pub fn lines(&self) -> impl Iterator<Item = &(K, L)> {
        self.lines.iter()
    }

    /// The same, as a whole.
    pub fn into_lines(self) -> impl Iterator<Item = (K, L)> {
        self.lines.into_iter()
    }

    /// Takes something out of the first line, in the order of turns, that has anything which may be
    /// taken; then the turns of all others come before its next.
    pub fn take<T>(&mut self, mut take: impl FnMut(&K, &mut L) -> Option<T>) -> Option<T> {
        let Self { lines, spare } = self;
        let (at, taken) =
            lines.iter_mut().enumerate().find_map(|(at, (key, line))| Some((at, take(key, line)?)))?;
        let (key, line) = lines.remove(at)?;
        if line.is_empty() {
            *spare = Some(line);
        } else {
            lines.push_back((key, line));
        }
        Some(taken)
    }

    /// Removes empty lines, after something was taken out of one.
    fn remove_empty(&mut self) {
        self.lines.retain(|(_, line)| !line.is_empty());
    }
}

/// Lines of things of owners, which take turns: tenants do, accounts within a tenant, and the
/// things of an account, in the order in which they came.
#[derive(Debug)]
pub struct OwnerTurns<T>(FairTurns<u32, FairTurns<u64, VecDeque<T>>>);

impl<T> Default for OwnerTurns<T> {
    fn default() -> Self {
        Self(FairTurns::default())
    }
}

impl<T> OwnerTurns<T> {
    /// Puts something behind all that waits for an account of a tenant. O(tenants + accounts).
    pub fn push(&mut self, (tenant, account): (u32, u64), thing: T) {
        self.0.line(&tenant).line(&account).push_back(thing);
    }

    /// Takes the next thing, of those whose tenant and account may have their turn now.
    pub fn take(&mut self, may: impl Fn(u32, u64) -> bool) -> Option<T> {
        self.0.take(|tenant, accounts| {
            accounts.take(|account, line| may(*tenant, *account).then(|| line.pop_front())?)
        })
    }

    /// Takes the next thing for which `may` returns something: it is asked about the first thing of
    /// each account, in the order of turns.
    pub fn take_if<R>(&mut self, may: impl Fn(u32, u64, &T) -> Option<R>) -> Option<R> {
        self.0.take(|tenant, accounts| {
            accounts.take(|account, line| {
                let taken = may(*tenant, *account, line.front()?)?;
                line.pop_front();
                Some(taken)
            })
        })
    }

    /// Keeps those things of an account that still wait. O(tenants + accounts + things of the
    /// account).
    pub fn retain(&mut self, (tenant, account): (u32, u64), keep: impl Fn(&T) -> bool) {
        let accounts = self.0.line(&tenant);
        accounts.line(&account).retain(keep);
        accounts.remove_empty();
        self.0.remove_empty();
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of things that wait. O(tenants + accounts).
    pub fn len(&self) -> usize {
        let accounts = self.0.lines().flat_map(|(_, accounts)| accounts.lines());
        accounts.map(|(_, line)| line.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_and_accounts_within_them() {
        const FLOOD: u64 = 7;
        const ROOT: u64 = 0;
        let mut queue = OwnerTurns::default();
        (0..100).for_each(|number| queue.push((1, FLOOD), number));
        queue.push((1, ROOT), 1_000);
        queue.push((1, ROOT), 1_001);
        queue.push((2, FLOOD), 2_000);
        assert_eq!(queue.len(), 103);
        let order: Vec<u32> = std::iter::from_fn(|| queue.take(|_, _| true)).collect();
        assert_eq!(queue.len(), 0);
        assert_eq!(order[..7], [0, 2_000, 1_000, 1, 1_001, 2, 3]);
        assert_eq!(order.len(), 103);
        assert!(queue.is_empty());
    }

    #[test]
    fn first_thing_of_each_account_is_asked_about_and_given_up_things_leave_no_line() {
        let mut queue = OwnerTurns::default();
        for (account, number) in [(1, 10), (1, 11), (2, 20)] {
            queue.push((1, account), number);
        }
        assert_eq!(queue.take_if(|_, account, number| (account == 2).then_some(*number)), Some(20));
        assert_eq!(queue.take_if(|_, _, number| (*number > 10).then_some(*number)), None, "11 is no first");
        queue.retain((1, 1), |number| *number != 10);
        queue.retain((7, 7), |_| true);
        assert_eq!(queue.take_if(|_, _, number| Some(*number)), Some(11));
        assert!(queue.is_empty());
        queue.push((3, 3), 1);
        queue.retain((3, 3), |_| false);
        assert!(queue.is_empty());
    }

    #[test]
    fn key_that_may_not_start_keeps_its_turn() {
        let mut queue = FairTurns::<&str, VecDeque<u32>>::default();
        for (key, number) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            queue.line(&key).push_back(number);
        }
        let mut of = |wanted: &str| queue.take(|key, line| (*key == wanted).then(|| line.pop_front())?);
        assert_eq!((of("b"), of("b"), of("b")), (Some(2), Some(4), None));
        assert_eq!(queue.take(|_, line| line.pop_front()), Some(1));
    }
}
