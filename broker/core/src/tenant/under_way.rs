//! Retained messages under way: the turns in which they were routed, as far as those may not have
//! ended.
//!
//! A message is retained before its receivers get it, which is at the end of its turn. A Client
//! that subscribes in between must not get it before older ones that are under way to it
//! \[MQTT-4.6.0-6\]. Not here: the messages (`retain`), and their replay for new subscriptions
//! (`replay`).

use smallvec::SmallVec;

use crate::durable::changes::{Stamp, Turns};

/// Turn in which messages that are retained were routed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutedTurn {
    /// Stamp of the turn; the default for what was retained before the broker started.
    pub(crate) turn: Stamp,
    /// Oldest generation of their routes.
    pub(crate) generation: u64,
}

/// Turns that have retained messages and may not have delivered them: the latest of each thread.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Vec<RoutedTurn>);

impl UnderWay {
    /// Notes that a message of this turn is retained.
    pub(crate) fn note(&mut self, routed: RoutedTurn) {
        match self.0.iter_mut().find(|known| known.turn.thread() == routed.turn.thread()) {
            Some(known) if known.turn == routed.turn => {
                known.generation = known.generation.min(routed.generation);
            }
            Some(known) => *known = routed,
            None => self.0.push(routed),
        }
    }

    /// Those that have not ended.
    pub(crate) fn open(&self, turns: &Turns) -> SmallVec<[RoutedTurn; 4]> {
        self.0.iter().filter(|routed| !turns.has_ended(routed.turn)).copied().collect()
    }
}
