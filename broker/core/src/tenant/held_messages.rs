//! Messages whose delay is over and that wait for room in the outbox of a route.
//!
//! Such a message waits in the line of its publisher and topic, so that the order stays and other
//! topics go on. The housekeeping thread asks for each line in turn, with a pause between two
//! rounds. The bounds on delayed messages count for them as well. Not here: what is full
//! (`tenant::triggers`).

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use lotmq_session::Time;
use lotmq_shares::OwnerKey;

/// Pause between two rounds. An outbox has room when the far side has taken messages.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Publisher and topic whose messages wait for each other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct HeldLine {
    pub(super) owner: OwnerKey,
    pub(super) topic: Box<str>,
}

/// Held messages of all tenants.
pub(super) struct HeldMessages<M> {
    lines: HashMap<HeldLine, VecDeque<M>>,
    /// Lines in the order of their turns.
    turns: VecDeque<HeldLine>,
    /// Lines that this round has not asked for yet.
    left: usize,
    /// End of the pause behind the last round.
    next_round: Time,
}

impl<M> HeldMessages<M> {
    /// Time of the next round; `None` if nothing is held.
    pub(super) fn next(&self) -> Option<Time> {
        (!self.lines.is_empty()).then_some(self.next_round)
    }

    /// Puts a message behind those of its line; returns it if none is held.
    pub(super) fn put_behind(&mut self, message: M, line_of: impl FnOnce(&M) -> HeldLine) -> Option<M> {
        if self.lines.is_empty() {
            return Some(message);
        }
        match self.lines.get_mut(&line_of(&message)) {
            Some(line) => {
                line.push_back(message);
                None
            }
            None => Some(message),
        }
    }

    /// Puts a message before those of its line, whose turn ends.
    pub(super) fn put_back(&mut self, message: M, line: HeldLine) {
        self.lines.entry(line.clone()).or_default().push_front(message);
        if self.turns.front() == Some(&line) {
            self.turns.rotate_left(1);
            self.left = self.left.saturating_sub(1);
        } else {
            self.turns.push_back(line);
        }
    }

    /// Takes the oldest message of the line whose turn it is. The line keeps its turn until a
    /// message of it is put back.
    pub(super) fn take(&mut self, now: Time) -> Option<M> {
        if self.left == 0 {
            if now < self.next_round || self.turns.is_empty() {
                return None;
            }
            self.left = self.turns.len();
            self.next_round = now.plus(ROUND_PAUSE);
        }
        while self.left > 0 {
            let line = self.turns.front()?;
            if let Some(message) = self.lines.get_mut(line).and_then(VecDeque::pop_front) {
                return Some(message);
            }
            self.lines.remove(line);
            self.turns.pop_front();
            self.left -= 1;
        }
        None
    }

    /// Takes out all messages of which this is true.
    pub(super) fn take_if(&mut self, is_one: impl Fn(&M) -> bool, to: &mut Vec<M>) {
        for line in self.lines.values_mut() {
            let (taken, kept): (VecDeque<M>, VecDeque<M>) = line.drain(..).partition(&is_one);
            *line = kept;
            to.extend(taken);
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.turns.retain(|line| self.lines.contains_key(line));
        self.left = self.left.min(self.turns.len());
    }
}

impl<M> Default for HeldMessages<M> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), left: 0, next_round: Time::default() }
    }
}
