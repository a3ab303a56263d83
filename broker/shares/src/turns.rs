//! Turns of those who wait: nobody's things keep those of others waiting, however many he has.

use std::collections::VecDeque;

/// Lines of things, one for each key, which take turns.
///
/// Invariant: no line is empty between two calls, as far as [`WaitingLine::is_empty`] tells.
#[derive(Debug)]
pub struct FairTurns<K, L>(VecDeque<(K, L)>);

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
        self.0.is_empty()
    }
}

impl<K, L> Default for FairTurns<K, L> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Eq, L: WaitingLine> FairTurns<K, L> {
    /// Line of a key, to put something into; a new one is the last whose turn comes. O(keys).
    pub fn line(&mut self, key: &K) -> &mut L
    where
        K: Clone,
    {
        let at = self.0.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            self.0.push_back((key.clone(), L::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// Takes something out of the first line, in the order of turns, that has anything which may be taken; then the turns of all others come before its next.
    pub fn take<T>(&mut self, mut take: impl FnMut(&K, &mut L) -> Option<T>) -> Option<T> {
        let (at, taken) =
            self.0.iter_mut().enumerate().find_map(|(at, (key, line))| Some((at, take(key, line)?)))?;
        let whose = self.0.remove(at);
        self.0.extend(whose.filter(|(_, line)| !line.is_empty()));
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = FairTurns<u8, FairTurns<&'static str, VecDeque<u32>>>;

    fn put(queue: &mut Queue, tenant: u8, user: &'static str, number: u32) {
        queue.line(&tenant).line(&user).push_back(number);
    }

    fn take(queue: &mut Queue) -> Option<u32> {
        queue.take(|_, users| users.take(|_, line| line.pop_front()))
    }

    #[test]
    fn tenants_take_turns_and_users_within_them() {
        let mut queue = Queue::default();
        (0..100).for_each(|number| put(&mut queue, 1, "flood", number));
        put(&mut queue, 1, "root", 1_000);
        put(&mut queue, 1, "root", 1_001);
        put(&mut queue, 2, "other", 2_000);
        let order: Vec<u32> = std::iter::from_fn(|| take(&mut queue)).collect();
        assert_eq!(order[..7], [0, 2_000, 1_000, 1, 1_001, 2, 3]);
        assert_eq!(order.len(), 103);
        assert!(WaitingLine::is_empty(&queue));
    }

    #[test]
    fn whoever_may_not_begin_keeps_his_turn() {
        let mut queue = FairTurns::<&str, VecDeque<u32>>::default();
        for (key, number) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            queue.line(&key).push_back(number);
        }
        let mut of = |wanted: &str| queue.take(|key, line| (*key == wanted).then(|| line.pop_front())?);
        assert_eq!((of("b"), of("b"), of("b")), (Some(2), Some(4), None));
        assert_eq!(queue.take(|_, line| line.pop_front()), Some(1));
    }
}
