//! State of definitions: values of their own under keys, which last until the definition is
//! removed.
//!
//! They are kept values below `$LOT/State/`, stored as those of `KEEP` are; the key stands behind a
//! NUL, which no Topic Name has, so that no Client and no program reaches them otherwise. Here is
//! what each definition has, for its bounds.
//!
//! Invariants: no definition has more than [`STATE_KEYS_MAX`] keys and [`STATE_BYTES_MAX`] bytes;
//! what a definition had is gone when it is removed or another user takes its name.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use lotmq_definitions::{Definition, LastValues, ValueKeeper};
use lotmq_host::StateRefused;
use parking_lot::Mutex;

use crate::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};

/// Beginning of the topics of all states.
const START: &str = "$LOT/State/";

/// Stands before the key.
const KEY: char = '\0';

/// Keys of one definition, with the bytes of their values.
type Held = BTreeMap<Box<str>, usize>;

/// Keys of a tenant's definitions, by topic prefix; `None` before the first lookup.
#[derive(Default)]
pub struct States(Mutex<Option<HashMap<String, Held>>>);

impl States {
    /// The value of a key.
    pub(super) fn get(values: &LastValues, of: &Definition, key: &str) -> Option<Vec<u8>> {
        values.get(&(beginning(of) + key))
    }

    /// Sets a value.
    ///
    /// # Errors
    /// [`StateRefused::Full`]; the value before stays.
    pub(super) fn set(
        &self,
        values: &LastValues,
        (of, key): (&Definition, &str),
        value: &[u8],
    ) -> Result<(), StateRefused> {
        self.with(values, of, |held, beginning| {
            let before = held.get(key).map(|bytes| key.len() + bytes);
            let bytes: usize = held.iter().map(|(key, bytes)| key.len() + bytes).sum();
            let is_full = before.is_none() && held.len() >= STATE_KEYS_MAX;
            if is_full || bytes - before.unwrap_or(0) + key.len() + value.len() > STATE_BYTES_MAX {
                return Err(StateRefused::Full);
            }
            values.keep(ValueKeeper::of(of), &(beginning + key), value).map_err(|_| StateRefused::Full)?;
            held.insert(key.into(), value.len());
            Ok(())
        })
    }

    /// Removes a value.
    pub(super) fn remove(&self, values: &LastValues, of: &Definition, key: &str) {
        self.with(values, of, |held, beginning| {
            if held.remove(key).is_some() {
                values.forget(&(beginning + key));
            }
        });
    }

    /// All keys, in their order.
    pub(super) fn keys(&self, values: &LastValues, of: &Definition) -> Vec<String> {
        self.with(values, of, |held, _| held.keys().map(|key| key.clone().into_string()).collect())
    }

    /// Removes all that a definition has; gives the topics, which are to be removed from the store,
    /// too.
    pub(super) fn clear(&self, values: &LastValues, of: &Definition) -> Vec<String> {
        self.with(values, of, |held, beginning| {
            let topics: Vec<String> =
                std::mem::take(held).into_keys().map(|key| beginning.clone() + &key).collect();
            topics.iter().for_each(|topic| values.forget(topic));
            topics
        })
    }

    /// Looks anew for what there is: kept values were removed by a command.
    pub fn look_again(&self) {
        *self.0.lock() = None;
    }

    fn with<T>(&self, values: &LastValues, of: &Definition, work: impl FnOnce(&mut Held, String) -> T) -> T {
        let beginning = beginning(of);
        let mut all = self.0.lock();
        let all = all.get_or_insert_with(|| found(values));
        let held = all.entry_ref(beginning.as_str()).or_default();
        let done = work(held, beginning.clone());
        if held.is_empty() {
            all.remove(beginning.as_str());
        }
        done
    }
}

/// Beginning of the topics of a definition's state.
/// Kind and name of the definition whose state a topic has; `None` of another kept value.
pub(super) fn definition_of(topic: &str) -> Option<(&str, &str)> {
    topic.strip_prefix(START)?.split_once("/\0")?.0.split_once('/')
}

fn beginning(of: &Definition) -> String {
    format!("{START}{}/{}/{KEY}", of.kind().key(), of.name())
}

/// Collects the keys of all definitions from the kept values.
fn found(values: &LastValues) -> HashMap<String, Held> {
    let mut all: HashMap<String, Held> = HashMap::new();
    values.each_kept(|topic, kept| {
        let end = topic.strip_prefix(START).and_then(|rest| rest.find(KEY)).map(|at| START.len() + at + 1);
        if let Some((beginning, key)) = end.map(|end| topic.split_at(end)) {
            all.entry_ref(beginning).or_default().insert(key.into(), kept.payload.len());
        }
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lot_facts::{Facts, Kind};
    use lotmq_definitions::{Activity, CacheLimits, DefinitionId, DefinitionKind, NewDefinition, Origin};
    use std::sync::Arc;

    fn definition(name: &str) -> Definition {
        let deployed = NewDefinition {
            kind: DefinitionKind::Action,
            name: name.into(),
            source: "".into(),
            origin: Origin::AdHoc,
            lines_before: 0,
            owner: None,
            facts: Arc::new(Facts::new(Kind::Action, name)),
            installed_at: Timestamp::UNIX_EPOCH,
            order: None,
        };
        Definition { id: DefinitionId(1), version: 1, order: 1, deployed, activity: Activity::default() }
    }

    #[test]
    fn every_definition_has_its_own_and_what_is_stored_is_found_again() {
        let (states, values) = (States::default(), LastValues::new(CacheLimits::default()));
        let (a, ab) = (definition("A"), definition("AB"));
        for (of, key, value) in [(&a, "k", "1"), (&a, "a/+", "2"), (&ab, "k", "3"), (&a, "k", "4")] {
            states.set(&values, (of, key), value.as_bytes()).unwrap();
        }
        for states in [&states, &States::default()] {
            assert_eq!(states.keys(&values, &a), ["a/+", "k"]);
            assert_eq!(states.keys(&values, &ab), ["k"]);
        }
        assert_eq!(States::get(&values, &a, "k").as_deref(), Some(&b"4"[..]));
        states.remove(&values, &a, "k");
        assert_eq!(States::get(&values, &a, "k"), None);
        states.clear(&values, &a);
        assert_eq!((states.keys(&values, &a).len(), values.figures().keep_topics), (0, 1));
        assert_eq!(States::get(&values, &ab, "k").as_deref(), Some(&b"3"[..]));
        values.forget_all(|_| true);
        states.look_again();
        assert!(states.keys(&values, &ab).is_empty());
    }

    #[test]
    fn a_definition_has_no_more_than_it_may_and_others_have_room() {
        let (states, values) = (States::default(), LastValues::new(CacheLimits::default()));
        let (many, much) = (definition("Many"), definition("Much"));
        for number in 0..STATE_KEYS_MAX {
            states.set(&values, (&many, &number.to_string()), b"").unwrap();
        }
        let full = Err(StateRefused::Full);
        assert_eq!(states.set(&values, (&many, "x"), b""), full);
        assert_eq!(states.set(&values, (&many, "7"), b"longer"), Ok(()));
        let half = vec![0; STATE_BYTES_MAX / 2 - 1];
        assert_eq!(states.set(&values, (&much, "a"), &half), Ok(()));
        assert_eq!(states.set(&values, (&much, "b"), &half), Ok(()));
        assert_eq!(states.set(&values, (&much, "c"), b""), full);
        assert_eq!(states.set(&values, (&much, "a"), &half), Ok(()), "a value makes room for its successor");
        states.remove(&values, &much, "b");
        assert_eq!(states.set(&values, (&much, "c"), b"1"), Ok(()));
    }
}
