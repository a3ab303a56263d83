//! Values that definitions keep: the versions that a crash may leave.
//!
//! After a crash there is the value that was on the disk, or one that a run kept later. Values that
//! were replaced before, or that nobody kept, are not there. A kept value comes to the disk within
//! a second, as long as the disk works.

use std::collections::BTreeMap;

use crate::checked::{Checked, ensure};
use crate::guests::Kept;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct KeptValues(BTreeMap<&'static str, History>);

/// The values of one topic since one of them was known to be on the disk.
#[derive(Debug)]
struct History {
    /// The one on the disk, and all later ones.
    values: Vec<Kept>,
}

impl KeptValues {
    /// A run has changed the value of a topic.
    pub(crate) fn changed(&mut self, topic: &'static str, kept: Kept) {
        let nothing = || History { values: vec![Kept { version: 0, is_there: false }] };
        self.0.entry(topic).or_insert_with(nothing).values.push(kept);
    }

    /// The value of a topic is on the disk, or a newer one.
    pub(crate) fn saved(&mut self, topic: &'static str, kept: Kept) {
        let Some(history) = self.0.get_mut(topic) else { return };
        // The first one may be of a former life of the broker, which may have used the same number
        // for it.
        if let Some(at) = history.values.iter().rposition(|value| *value == kept) {
            history.values.drain(..at);
        }
    }

    /// A broker has started and has found these values.
    ///
    /// # Errors
    /// When one is there that cannot be, or is missing.
    pub(crate) fn found(&mut self, found: &BTreeMap<String, u32>) -> Checked {
        for (topic, History { values }) in &mut self.0 {
            let version = found.get(*topic).copied();
            let is_found = |kept: &&Kept| kept.is_there.then_some(kept.version) == version;
            let Some(kept) = values.iter().find(is_found).copied() else {
                return Err(format!("{topic:?} has the kept value {version:?} after a crash, of {values:?}"));
            };
            *values = vec![kept];
        }
        let strange = found.keys().find(|topic| !self.0.contains_key(topic.as_str()));
        ensure!(strange.is_none(), "{strange:?} has a value that nobody kept");
        Ok(())
    }

    /// Topics whose newest value is not on the disk.
    pub(crate) fn unsaved(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, history)| history.values.len() > 1).map(|(topic, _)| *topic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_saved_whose_number_was_used_before_the_crash() {
        let mut values = KeptValues::default();
        for _ in 0..2 {
            values.changed("k", Kept { version: 1, is_there: true });
            values.changed("k", Kept { version: 2, is_there: false });
            values.saved("k", Kept { version: 2, is_there: false });
            assert!(values.unsaved().is_empty());
            // Nothing is there, so that the next broker counts from 0 again.
            values.found(&BTreeMap::new()).unwrap();
        }
    }
}
