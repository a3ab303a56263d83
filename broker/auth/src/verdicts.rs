//! Cache of rule answers, keyed by exactly the inputs that the facts of a rule name.
//!
//! A rule is a pure function of its inputs. So a change of a user, a group or a property needs no
//! clean-up: it changes the key. An answer that depends on reads is used only while the same reads
//! give the same. A replaced rule has another number.
//!
//! Invariants: never more than [`VERDICTS_MAX`] answers, none with a key or reads beyond
//! [`VERDICT_KEY_BYTES_MAX`]; an answer that is not lasting is not kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use lot_facts::RuleInputs;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::account::Account;
use crate::decide::Question;
use crate::limits::{VERDICT_KEY_BYTES_MAX, VERDICTS_MAX};
use crate::opinion::{Answer, Ask, Opinion, Still, Validity};
use crate::peer::Peer;

/// Key of an answer, on the stack unless its inputs are long.
type Key = SmallVec<[u8; 128]>;

/// Parts with a lock each, so that threads seldom wait for one another.
const PARTS: usize = 16;

/// See the module's documentation.
pub(crate) struct Verdicts {
    hasher: RandomState,
    parts: [Mutex<Part>; PARTS],
}

/// Two generations: when the young one is full, it replaces the old one. A hit in the old one moves
/// to the young one.
#[derive(Default)]
struct Part {
    young: HashMap<Box<[u8]>, Known>,
    old: HashMap<Box<[u8]>, Known>,
}

#[derive(Clone)]
struct Known {
    opinion: Opinion,
    reads: Option<Arc<dyn Still>>,
}

impl Default for Verdicts {
    fn default() -> Self {
        Verdicts { hasher: RandomState::new(), parts: Default::default() }
    }
}

impl Verdicts {
    /// Returns the answer of the rule. The second part is whether it depends on its inputs alone.
    pub(crate) fn get_or_ask(
        &self,
        rule: u64,
        inputs: &RuleInputs,
        question: &Question<'_>,
        account: Option<&Arc<Account>>,
        ask: &dyn Ask,
    ) -> (Opinion, bool) {
        let key = key(rule, inputs, question, account.map(|account| &**account));
        let part = &self.parts[self.hasher.hash_one(&*key) as usize % PARTS];
        let known = part.lock().get(&key);
        if let Some(Known { opinion, reads }) = known {
            match reads {
                None => return (opinion, true),
                // Asked without the lock: reading takes other locks.
                Some(reads) if reads.holds() => return (opinion, false),
                Some(_) => {}
            }
        }
        let Answer { opinion, validity } = ask.ask(question, account);
        let (reads, is_lasting) = match validity {
            Validity::Lasting => (None, true),
            Validity::While(reads) => (Some(reads), false),
            Validity::Never => return (opinion, false),
        };
        if key.len() <= VERDICT_KEY_BYTES_MAX {
            part.lock().put(key.into_boxed_slice(), Known { opinion, reads });
        }
        (opinion, is_lasting)
    }
}

impl Part {
    fn get(&mut self, key: &[u8]) -> Option<Known> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let (key, known) = self.old.remove_entry(key)?;
        self.put(key, known.clone());
        Some(known)
    }

    fn put(&mut self, key: Box<[u8]>, known: Known) {
        if self.young.len() >= VERDICTS_MAX / PARTS / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, known);
    }
}

/// The inputs of a rule, each with its length, so that no two questions that differ in them share a
/// key.
fn key(rule: u64, inputs: &RuleInputs, question: &Question<'_>, account: Option<&Account>) -> Key {
    let mut key = Key::new();
    key.extend_from_slice(&rule.to_le_bytes());
    let identity = question.identity;
    if inputs.login || !inputs.groups.is_empty() || !inputs.properties.is_empty() {
        key.push(identity.user().is_some().into());
    }
    if inputs.user {
        field(&mut key, identity.user_name().map(str::as_bytes));
    }
    for group in &inputs.groups {
        let is_in = account.is_some_and(|account| account.groups.contains(group));
        key.push((is_in || identity.principal.in_group(group)).into());
    }
    for property in &inputs.properties {
        let value = account.and_then(|account| account.property(property));
        field(&mut key, value.or_else(|| identity.principal.property(property)).map(str::as_bytes));
    }
    if inputs.client_id {
        field(&mut key, Some(identity.client_id.as_bytes()));
    }
    if inputs.endpoint {
        endpoint(&mut key, identity.peer);
    }
    if inputs.topic {
        field(&mut key, question.topic.map(str::as_bytes));
    } else if !inputs.topic_levels.is_empty() {
        let levels = &inputs.topic_levels;
        for level in levels {
            let level = question.topic.and_then(|topic| topic.split('/').nth(*level as usize - 1));
            field(&mut key, level.map(str::as_bytes));
        }
    }
    key
}

/// As distinct as [`Peer::address`], and no text.
fn endpoint(key: &mut Key, peer: Peer) {
    match peer {
        Peer::Unix => field(key, None),
        Peer::Guest => field(key, Some(b"guest")),
        Peer::Unknown => field(key, Some(b"?")),
        Peer::Proxied(_) if peer.claims_loopback() => field(key, Some(&[])),
        Peer::Tcp(address) | Peer::Proxied(address) => match address.to_canonical() {
            IpAddr::V4(address) => field(key, Some(&address.octets())),
            IpAddr::V6(address) => field(key, Some(&address.octets())),
        },
    }
}

fn field(key: &mut Key, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return key.push(0) };
    key.push(1);
    key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    key.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_the_bound_says() {
        let mut part = Part::default();
        let key = |number: usize| number.to_le_bytes().to_vec().into_boxed_slice();
        for number in 0..VERDICTS_MAX {
            part.put(key(number), Known { opinion: Opinion::Allow, reads: None });
            assert!(part.get(&key(0)).is_some(), "what is in use stays");
        }
        assert!(part.young.len() + part.old.len() <= VERDICTS_MAX / PARTS);
    }
}
