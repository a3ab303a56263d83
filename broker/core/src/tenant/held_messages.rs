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
    /// Lines of this round, in the order of their turns.
    turns: VecDeque<HeldLine>,
    /// Lines that wait for the next round.
    full: VecDeque<HeldLine>,
    /// End of the pause behind the begin of the last round.
    next_round: Time,
}

impl<M> HeldMessages<M> {
    /// Time at which a message may be taken; `None` if nothing is held.
    pub(super) fn next(&self) -> Option<Time> {
        let next = if self.turns.is_empty() { self.next_round } else { Time::default() };
        (!self.lines.is_empty()).then_some(next)
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

    /// Puts a message before those of its line, which waits for the next round.
    pub(super) fn put_back(&mut self, message: M, line: HeldLine) {
        self.lines.entry(line.clone()).or_default().push_front(message);
        if self.turns.back() == Some(&line) {
            self.turns.pop_back();
        }
        self.full.push_back(line);
    }

    /// Takes the oldest message of the line whose turn it is. The next message is of the next line.
    pub(super) fn take(&mut self, now: Time) -> Option<M> {
        if self.turns.is_empty() && now >= self.next_round {
            std::mem::swap(&mut self.turns, &mut self.full);
            self.next_round = now.plus(ROUND_PAUSE);
        }
        while let Some(line) = self.turns.pop_front() {
            if let Some(message) = self.lines.get_mut(&line).and_then(VecDeque::pop_front) {
                self.turns.push_back(line);
                return Some(message);
            }
            self.lines.remove(&line);
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
        self.full.retain(|line| self.lines.contains_key(line));
    }
}

impl<M> Default for HeldMessages<M> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            full: VecDeque::new(),
            next_round: Time::default(),
        }
    }
}
