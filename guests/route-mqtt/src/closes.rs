//! Detects a message that makes another broker end the connection each time. Before 5.0 the broker
//! cannot report a packet that is too large.
//!
//! All ends of a connection look the same, so all of this must hold. The message was sent alone,
//! and the end came right after it. That happened [`CLOSES_MAX`] times, each on an accepted
//! connection. The message is larger than any that the broker has acknowledged. So a broker that
//! rejects all messages, for example with a full disk, costs at most the largest one so far.

use std::collections::BTreeMap;

use lotmq_guest::route::state;
use serde_json::{Value as Json, json};

use crate::limits::{CLOSES_MAX, CLOSING_MESSAGES_MAX};

/// Key of what is kept of them: an instance has one connection.
const KEY: &str = "closes";

/// Ends of connections that came right behind messages, and the largest message that passed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Closes {
    /// The brokers that it is known of.
    places: String,
    /// Ends behind each message, by its sequence number.
    behind: BTreeMap<u64, u32>,
    /// Bytes of the largest message that was acknowledged; 0 where none was.
    taken_bytes: u64,
    /// Sequence number and fingerprint of the last [witness](crate::witness), which the broker has
    /// but the host does not know of.
    witness: Option<(u64, u64)>,
}

impl Closes {
    /// Loads the state from former connections to these brokers.
    pub(crate) fn load<'a>(places: impl Iterator<Item = &'a str>) -> Closes {
        let places = places.collect::<Vec<_>>().join(" ");
        let kept: Option<Json> = state::get(KEY).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match kept.filter(|kept| kept["places"] == *places) {
            Some(kept) => read(places, &kept),
            None => Closes { places, ..Closes::default() },
        }
    }

    /// Notes a message that the broker has acknowledged.
    pub(crate) fn passed(&mut self, sequence: u64, bytes: u64) {
        self.taken_bytes = self.taken_bytes.max(bytes);
        if !self.behind.is_empty() {
            self.behind.remove(&sequence);
        }
    }

    /// Returns whether a message has ended enough connections, but the broker has acknowledged no
    /// other message to compare with.
    pub(crate) fn wants_witness(&self, sequence: u64) -> bool {
        self.taken_bytes == 0 && self.behind.get(&sequence).is_some_and(|closes| *closes >= CLOSES_MAX)
    }

    /// Notes that the broker has acknowledged the witness against a message.
    pub(crate) fn is_witness(&mut self, sequence: u64, fingerprint: u64, bytes: u64) {
        self.passed(sequence, bytes);
        self.witness = Some((sequence, fingerprint));
        self.keep();
    }

    /// Whether this message was the last witness.
    pub(crate) fn was_witness(&self, sequence: u64, fingerprint: impl FnOnce() -> u64) -> bool {
        self.witness.is_some_and(|(witness, known)| witness == sequence && known == fingerprint())
    }

    /// Notes that a connection has ended right behind a message that was sent alone.
    pub(crate) fn ended_behind(&mut self, sequence: u64) {
        if self.behind.len() < CLOSING_MESSAGES_MAX || self.behind.contains_key(&sequence) {
            *self.behind.entry(sequence).or_default() += 1;
        }
    }

    /// Notes that a connection ended in another way while a message was in flight. The message may
    /// not be the cause.
    pub(crate) fn ended_beside(&mut self, sequence: u64) {
        self.behind.remove(&sequence);
    }

    /// Reason why a message is not sent any more; it is forgotten then.
    pub(crate) fn verdict(&mut self, sequence: u64, bytes: u64) -> Option<String> {
        let closes = *self.behind.get(&sequence)?;
        let taken = self.taken_bytes;
        if closes < CLOSES_MAX || taken == 0 || bytes <= taken {
            return None;
        }
        self.behind.remove(&sequence);
        Some(format!(
            "the broker has ended the connection {closes} times right behind this message, which was sent alone: its {bytes} bytes may be too many, the most that it has taken are {taken}"
        ))
    }

    /// Keeps what is known for the next connection.
    pub(crate) fn keep(&self) {
        let behind: Vec<_> = self.behind.iter().collect();
        let witness = self.witness;
        let kept =
            json!({ "places": self.places, "behind": behind, "taken": self.taken_bytes, "witness": witness });
        // If the state cannot be stored, counting starts again.
        let _ = state::set(KEY, kept.to_string().as_bytes());
    }
}

fn read(places: String, kept: &Json) -> Closes {
    let close = |it: &Json| Some((it[0].as_u64()?, u32::try_from(it[1].as_u64()?).ok()?));
    let behind = kept["behind"].as_array().into_iter().flatten().filter_map(close);
    let taken_bytes = kept["taken"].as_u64().unwrap_or(0);
    let witness =
        kept["witness"].as_array().and_then(|it| Some((it.first()?.as_u64()?, it.get(1)?.as_u64()?)));
    Closes { places, behind: behind.take(CLOSING_MESSAGES_MAX).collect(), taken_bytes, witness }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(times: u32, taken: u64) -> Closes {
        let mut closes = Closes::default();
        closes.passed(1, taken);
        (0..times).for_each(|_| closes.ended_behind(7));
        closes
    }

    #[test]
    fn a_message_is_given_up_when_all_speaks_against_it() {
        for (mut closes, bytes, is_given_up) in [
            (closed(CLOSES_MAX, 100), 101, true),
            (closed(CLOSES_MAX - 1, 100), 101, false),
            // As large a one has passed: it is the broker that is in trouble.
            (closed(CLOSES_MAX, 100), 100, false),
            // Nothing has ever passed.
            (closed(CLOSES_MAX, 0), 101, false),
        ] {
            assert_eq!(closes.verdict(7, bytes).is_some(), is_given_up, "{closes:?} {bytes}");
            assert_eq!(closes.verdict(8, bytes), None, "another one");
        }
        let mut closes = closed(CLOSES_MAX - 1, 100);
        closes.ended_beside(7);
        closes.ended_behind(7);
        assert_eq!(closes.verdict(7, 101), None, "not each time");
        let mut closes = closed(CLOSES_MAX, 100);
        closes.passed(7, 50);
        assert_eq!(closes.verdict(7, 101), None, "it has passed");
    }

    #[test]
    fn a_witness_is_wanted_where_nothing_has_passed() {
        assert!(closed(CLOSES_MAX, 0).wants_witness(7));
        assert!(!closed(CLOSES_MAX - 1, 0).wants_witness(7));
        assert!(!closed(CLOSES_MAX, 100).wants_witness(7), "it is known what passes");
        let mut closes = closed(CLOSES_MAX, 0);
        closes.is_witness(9, 1, 50);
        assert!(closes.verdict(7, 60).is_some(), "it is larger than the witness");
        assert!(closes.was_witness(9, || 1) && !closes.was_witness(9, || 2) && !closes.was_witness(8, || 1));
    }

    #[test]
    fn few_messages_are_counted_and_they_are_kept() {
        let mut closes = closed(3, 100);
        closes.is_witness(5, u64::MAX, 90);
        (10..1_000).for_each(|sequence| closes.ended_behind(sequence));
        closes.ended_behind(7);
        assert_eq!((closes.behind.len(), closes.behind[&7]), (CLOSING_MESSAGES_MAX, 4));
        closes.keep();
        assert_eq!(Closes::load([""].into_iter()), closes);
        assert_eq!(Closes::load(["elsewhere"].into_iter()).taken_bytes, 0);
    }
}
