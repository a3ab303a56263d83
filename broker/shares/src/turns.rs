//! Round robin between keys: the items of one key never block those of others, however many there
//! are.

use std::collections::VecDeque;

use crate::OwnerKey;

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

/// Lines of things of owners, which take turns: tenants do, and owners within a tenant. The things
/// of an owner keep their order.
#[derive(Debug)]
pub struct OwnerTurns<T>(FairTurns<u32, FairTurns<u64, VecDeque<T>>>);

impl<T> Default for OwnerTurns<T> {
    fn default() -> Self {
        Self(FairTurns::default())
    }
}

impl<T> OwnerTurns<T> {
    /// Puts something behind all that waits for an owner. O(tenants + owners).
    pub fn push(&mut self, owner: OwnerKey, thing: T) {
        self.0.line(&owner.tenant).line(&owner.quota_key).push_back(thing);
    }

    /// Takes the next thing, in the order of turns.
    pub fn pop(&mut self) -> Option<T> {
        self.take(|_, line| line.pop_front())
    }

    /// Takes something out of the line of the first owner, in the order of turns, for whom `take`
    /// returns anything.
    pub fn take<R>(&mut self, mut take: impl FnMut(OwnerKey, &mut VecDeque<T>) -> Option<R>) -> Option<R> {
        self.0.take(|&tenant, owners| {
            owners.take(|&quota_key, line| take(OwnerKey { tenant, quota_key }, line))
        })
    }

    /// Keeps those things of an owner that still wait. O(tenants + owners + things of the owner).
    pub fn retain(&mut self, owner: OwnerKey, keep: impl Fn(&T) -> bool) {
        let accounts = self.0.line(&owner.tenant);
        accounts.line(&owner.quota_key).retain(keep);
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
        let [flood, root] = [7, 0].map(|quota_key| OwnerKey { tenant: 1, quota_key });
        let mut queue = OwnerTurns::default();
        (0..100).for_each(|number| queue.push(flood, number));
        queue.push(root, 1_000);
        queue.push(root, 1_001);
        queue.push(OwnerKey { tenant: 2, ..flood }, 2_000);
        assert_eq!(queue.len(), 103);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(queue.len(), 0);
        assert_eq!(order[..7], [0, 2_000, 1_000, 1, 1_001, 2, 3]);
        assert_eq!(order.len(), 103);
        assert!(queue.is_empty());
    }

    #[test]
    fn owner_who_may_not_start_is_passed_over_and_given_up_things_leave_no_line() {
        let owner = |quota_key| OwnerKey { tenant: 1, quota_key };
        let mut queue = OwnerTurns::default();
        for (quota_key, number) in [(1, 10), (1, 11), (2, 20)] {
            queue.push(owner(quota_key), number);
        }
        assert_eq!(queue.take(|of, line| (of == owner(2)).then(|| line.pop_front())?), Some(20));
        assert_eq!(queue.take(|_, line| line.pop_front_if(|number| *number > 10)), None, "11 is no first");
        queue.retain(owner(1), |number| *number != 10);
        queue.retain(owner(7), |_| true);
        assert_eq!(queue.pop(), Some(11));
        assert!(queue.is_empty());
        queue.push(owner(3), 1);
        queue.retain(owner(3), |_| false);
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
