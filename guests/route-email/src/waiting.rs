//! Mails that some recipients have not got yet, and busy recipients. Both outlive the connection
//! and the broker, so that nobody gets a mail twice and a busy recipient's time does not start
//! again.
//!
//! That time belongs to the recipient, not to a mail. Mails are sent in order, so with a time per
//! mail, later mails would wait once for each mail to the same recipient.

use std::collections::BTreeMap;

use lettre::Address;
use lotmq_guest::route::state;
use serde_json::{Value as Json, json};

use crate::session::Left;

/// Most mails to remember, more than events and mappings can have at once. Beyond it, some
/// recipients get a mail twice.
const MAILS_MAX: usize = 200;

/// Milliseconds after which a mail is forgotten that never came again.
const MAIL_MS: i64 = 24 * 60 * 60 * 1000;

/// Recipients that are known to be busy at a time.
const BUSY_MAX: usize = 100;

/// Milliseconds for which a recipient may be busy. Servers with greylisting reject new senders for
/// about five minutes.
const PATIENCE_MS: i64 = 10 * 60 * 1000;

/// Milliseconds after which it does not matter any more that a recipient was busy.
const FORGOTTEN_MS: i64 = 60 * 60 * 1000;

/// Milliseconds in which it is kept once that a recipient is still busy.
const KEPT_MS: i64 = 60 * 1000;

/// Key of the busy recipients.
const BUSY: &str = "busy";

/// Beginning of the keys of mails.
const MAIL: &str = "mail.";

/// Remaining recipients of a mail, by its Message-ID, because sequence numbers may repeat after the
/// end of a broker.
#[derive(Debug)]
struct Mail {
    id: String,
    at_ms: i64,
    left: Left,
}

/// When a recipient was busy first and last, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Busy {
    since_ms: i64,
    last_ms: i64,
}

/// See the text of the module.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    mails: BTreeMap<u64, Mail>,
    busy: BTreeMap<String, Busy>,
}

impl Waiting {
    /// Loads the state of earlier connections.
    pub(crate) fn load(now_ms: i64) -> Waiting {
        let mut waiting = Waiting { mails: BTreeMap::new(), busy: busy() };
        for key in state::keys() {
            let Some(sequence) = key.strip_prefix(MAIL).and_then(|number| number.parse().ok()) else {
                continue;
            };
            match kept(&key).and_then(|kept| mail(&kept)).filter(|mail| now_ms - mail.at_ms < MAIL_MS) {
                Some(mail) => _ = waiting.mails.insert(sequence, mail),
                None => state::remove(&key),
            }
        }
        waiting
    }

    /// Returns the remaining recipients of this mail, if others have got it.
    pub(crate) fn left_of(&self, sequence: u64, id: &str) -> Option<&Left> {
        self.mails.get(&sequence).filter(|mail| mail.id == id).map(|mail| &mail.left)
    }

    /// Notes who is still to get a mail.
    pub(crate) fn waits(&mut self, sequence: u64, id: &str, left: Left, now_ms: i64) {
        while self.mails.len() >= MAILS_MAX && !self.mails.contains_key(&sequence) {
            let Some((oldest, _)) = self.mails.pop_first() else { break };
            state::remove(&key_of(oldest));
        }
        let mail = Mail { id: id.to_owned(), at_ms: now_ms, left };
        // A mail without room in the state is known only while the connection lasts.
        let _ = state::set(&key_of(sequence), written(&mail).to_string().as_bytes());
        self.mails.insert(sequence, mail);
    }

    /// Notes that a mail is sent, or given up.
    pub(crate) fn is_over(&mut self, sequence: u64) {
        if self.mails.remove(&sequence).is_some() {
            state::remove(&key_of(sequence));
        }
    }

    /// Notes which recipients are busy. Moves those that were busy for too long from later to
    /// refused in `left`.
    pub(crate) fn heed(&mut self, recipients: &[Address], left: &mut Left, now_ms: i64) {
        let before = self.busy.len();
        let is_later = |address: &Address| left.later.iter().any(|(later, _)| later == address);
        for free in recipients.iter().filter(|address| !is_later(address)) {
            self.busy.remove(&free.to_string());
        }
        let mut has_changed = self.busy.len() != before;
        for (address, reason) in std::mem::take(&mut left.later) {
            let (busy_ms, is_news) = self.is_busy(&address.to_string(), now_ms);
            has_changed |= is_news;
            match busy_ms >= PATIENCE_MS {
                true => left.refused.push(format!("{reason}, and has not for {} min", busy_ms / 60_000)),
                false => left.later.push((address, reason)),
            }
        }
        if has_changed {
            let busy: BTreeMap<&String, [i64; 2]> =
                self.busy.iter().map(|(address, busy)| (address, [busy.since_ms, busy.last_ms])).collect();
            let _ = state::set(BUSY, json!(busy).to_string().as_bytes());
        }
    }

    /// For how long a recipient has been busy, in milliseconds, and whether that is to be kept.
    fn is_busy(&mut self, address: &str, now_ms: i64) -> (i64, bool) {
        if self.busy.len() >= BUSY_MAX && !self.busy.contains_key(address) {
            let oldest = self.busy.iter().min_by_key(|(_, busy)| busy.last_ms);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                self.busy.remove(&oldest);
            }
        }
        let first = Busy { since_ms: now_ms, last_ms: 0 };
        let busy = self.busy.entry(address.to_owned()).or_insert(first);
        // A clock that was set back counts as one that has not gone on.
        if now_ms - busy.last_ms > FORGOTTEN_MS || busy.since_ms > now_ms {
            *busy = first;
        }
        let is_news = now_ms - busy.last_ms >= KEPT_MS;
        if is_news {
            busy.last_ms = now_ms;
        }
        (now_ms - busy.since_ms, is_news)
    }
}

fn key_of(sequence: u64) -> String {
    format!("{MAIL}{sequence}")
}

fn kept(key: &str) -> Option<Json> {
    state::get(key).and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

fn busy() -> BTreeMap<String, Busy> {
    let kept = kept(BUSY).unwrap_or_default();
    let times = |times: &Json| Some(Busy { since_ms: times[0].as_i64()?, last_ms: times[1].as_i64()? });
    kept.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(address, of)| Some((address.clone(), times(of)?)))
        .take(BUSY_MAX)
        .collect()
}

fn written(mail: &Mail) -> Json {
    let later: Vec<_> =
        mail.left.later.iter().map(|(address, reason)| json!([address.to_string(), reason])).collect();
    json!({ "id": mail.id, "at": mail.at_ms, "later": later, "refused": mail.left.refused })
}

fn mail(kept: &Json) -> Option<Mail> {
    let list = |member: &str| kept[member].as_array().into_iter().flatten();
    let later = |it: &Json| Some((it[0].as_str()?.parse().ok()?, it[1].as_str()?.to_owned()));
    let left = Left {
        later: list("later").map(later).collect::<Option<_>>()?,
        refused: list("refused").map(|it| it.as_str().map(str::to_owned)).collect::<Option<_>>()?,
    };
    Some(Mail { id: kept["id"].as_str()?.to_owned(), at_ms: kept["at"].as_i64()?, left })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const START_MS: i64 = 1_764_000_000_000;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// Returns the remaining recipients after a try at which `busy@x.org` was busy and `a@x.org`
    /// was not.
    fn tried(waiting: &mut Waiting, minute: i64) -> Left {
        let busy = (address("busy@x.org"), "the server does not take busy@x.org now: 450 later".to_owned());
        let mut left = Left { later: vec![busy], refused: Vec::new() };
        waiting.heed(&[address("a@x.org"), address("busy@x.org")], &mut left, START_MS + minute * MINUTE_MS);
        left
    }

    #[test]
    fn a_recipient_is_busy_for_ten_minutes_whatever_ends_meanwhile() {
        let mut waiting = Waiting::load(START_MS);
        for minute in [0, 1, 5, 9] {
            assert_eq!(tried(&mut waiting, minute).later.len(), 1, "{minute}");
            waiting = Waiting::load(START_MS);
        }
        let over = tried(&mut waiting, 10);
        assert!(over.later.is_empty());
        assert_eq!(
            over.refused,
            ["the server does not take busy@x.org now: 450 later, and has not for 10 min"]
        );
        // Each later mail is tried once, until the recipient accepts one.
        assert!(tried(&mut waiting, 11).later.is_empty());
        waiting.heed(&[address("busy@x.org")], &mut Left::default(), START_MS + 12 * MINUTE_MS);
        assert_eq!(tried(&mut Waiting::load(START_MS), 13).later.len(), 1);
    }

    #[test]
    fn that_somebody_was_busy_once_is_forgotten_and_a_clock_may_be_set_back() {
        let mut waiting = Waiting::load(START_MS);
        for (minute, waits) in [(0, 1), (30, 0), (100, 1), (109, 1), (110, 0), (5, 1)] {
            assert_eq!(tried(&mut waiting, minute).later.len(), waits, "{minute}");
        }
        for number in 0..2 * BUSY_MAX {
            waiting.is_busy(&format!("{number}@x.org"), START_MS + number as i64);
        }
        assert_eq!(waiting.busy.len(), BUSY_MAX);
    }

    #[test]
    fn who_has_a_mail_is_known_over_the_end_of_a_connection() {
        let mut waiting = Waiting::load(START_MS);
        let left = tried(&mut waiting, 0);
        waiting.waits(7, "<1.7>", left.clone(), START_MS);
        let mut again = Waiting::load(START_MS + MINUTE_MS);
        assert_eq!(again.left_of(7, "<1.7>"), Some(&left));
        assert_eq!(again.left_of(7, "<2.7>"), None, "another mail with its number");
        again.is_over(7);
        assert!(Waiting::load(START_MS).left_of(7, "<1.7>").is_none());
        again.waits(8, "<1.8>", left.clone(), START_MS);
        assert!(Waiting::load(START_MS + MAIL_MS).left_of(8, "<1.8>").is_none(), "it never came again");
        for number in 0..2 * MAILS_MAX as u64 {
            again.waits(number, "<1>", left.clone(), START_MS);
        }
        assert_eq!(Waiting::load(START_MS).mails.len(), MAILS_MAX);
    }
}
