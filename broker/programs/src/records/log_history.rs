//! Last log lines of definitions, for readers that come later.
//!
//! Invariants: no definition has more than [`LOG_LINES_KEPT_MAX`] lines. Those of a tenant have at
//! most [`LOG_BYTES_KEPT_MAX`], of which the definitions of one user have at most [`USER_PART`] of
//! what others leave. The oldest lines of a definition give way to its new ones. Its lines outlive
//! a replacement by the same owner. They are gone when it is removed or another user takes its
//! name. They are in memory only.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use lotmq_definitions::{Definition, DefinitionId};
use lotmq_shares::AccountShares;
use parking_lot::Mutex;

use crate::limits::{LOG_BYTES_KEPT_MAX, LOG_LINE_BYTES, LOG_LINES_KEPT_MAX};
use lotmq_core::limits::USER_PART;

/// Last log lines of the definitions of a tenant.
pub struct LogHistory {
    room: Arc<AccountShares>,
    all: Mutex<HashMap<DefinitionId, KeptLines>>,
}

/// Lines of a definition, the oldest first, and the key of the share that they count in.
struct KeptLines {
    quota_key: u64,
    lines: VecDeque<Box<str>>,
}

impl Default for LogHistory {
    fn default() -> Self {
        Self { room: AccountShares::new(LOG_BYTES_KEPT_MAX, USER_PART), all: Mutex::default() }
    }
}

impl LogHistory {
    /// Keeps a line of a definition. Without room for it the line is not kept.
    pub(super) fn keep(&self, definition: &Definition, line: &str) {
        let mut all = self.all.lock();
        // Under the lock, so that the removal clears all lines that came before it.
        if !definition.activity.is_retired() {
            let new = || KeptLines { quota_key: definition.quota_key(), lines: VecDeque::new() };
            all.entry(definition.id).or_insert_with(new).keep(&self.room, line);
        }
    }

    /// Returns the last lines of a definition, the oldest of them first.
    pub fn last(&self, of: DefinitionId, count: usize) -> Vec<Box<str>> {
        let all = self.all.lock();
        let Some(KeptLines { lines, .. }) = all.get(&of) else { return Vec::new() };
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Forgets the lines of a definition.
    pub(crate) fn clear(&self, of: DefinitionId) {
        if let Some(mut kept) = self.all.lock().remove(&of) {
            while kept.drop_oldest(&self.room) {}
        }
    }
}

impl KeptLines {
    fn keep(&mut self, room: &AccountShares, line: &str) {
        if self.lines.len() >= LOG_LINES_KEPT_MAX {
            self.drop_oldest(room);
        }
        while room.take(self.quota_key, bytes_of(line)).is_err() {
            if !self.drop_oldest(room) {
                return;
            }
        }
        self.lines.push_back(line.into());
    }

    /// Drops the oldest line; false if there is none.
    fn drop_oldest(&mut self, room: &AccountShares) -> bool {
        let oldest = self.lines.pop_front();
        oldest.inspect(|line| room.give_back(self.quota_key, bytes_of(line))).is_some()
    }
}

/// Bytes that a kept line counts for.
fn bytes_of(line: &str) -> u64 {
    line.len() as u64 + LOG_LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(quota_key: u64) -> KeptLines {
        KeptLines { quota_key, lines: VecDeque::new() }
    }

    #[test]
    fn the_oldest_lines_of_a_definition_give_way() {
        let (history, of) = (LogHistory::default(), DefinitionId(1));
        let mut lines = kept(7);
        for number in 0..=LOG_LINES_KEPT_MAX {
            lines.keep(&history.room, &number.to_string());
        }
        history.all.lock().insert(of, lines);
        assert_eq!(history.last(of, usize::MAX).len(), LOG_LINES_KEPT_MAX);
        let last: [Box<str>; 2] =
            [LOG_LINES_KEPT_MAX - 1, LOG_LINES_KEPT_MAX].map(|number| number.to_string().into());
        assert_eq!(history.last(of, 2), last);
        assert!(history.last(of, 0).is_empty() && history.last(DefinitionId(2), 9).is_empty());
        history.clear(of);
        assert_eq!((history.room.used(), history.last(of, 1).len()), (0, 0));
    }

    #[test]
    fn one_owner_leaves_room_for_the_lines_of_others() {
        let room: Arc<AccountShares> = AccountShares::new(8 * bytes_of("a"), USER_PART);
        let (mut first, mut second, mut other) = (kept(1), kept(1), kept(2));
        (0..20).for_each(|_| first.keep(&room, "a"));
        assert_eq!(first.lines.len(), 6, "three quarters");
        second.keep(&room, "b");
        assert!(second.lines.is_empty(), "the share of the owner is used");
        other.keep(&room, "c");
        assert_eq!(other.lines.len(), 1);
        first.keep(&room, &"x".repeat(1_000));
        assert!(first.lines.is_empty(), "a line without room displaces the older ones");
        assert_eq!(room.used(), bytes_of("c"));
    }
}
