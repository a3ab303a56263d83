//! What an Action that watches topics remembers over a restart, as kept values: a row for each of
//! its topics.
//!
//! They lie below `$LOT/`; the topic stands behind a NUL, which no Topic Name has, so that no
//! Client and no program reaches them otherwise. A row begins with the version of its form and the
//! number of the trigger that it belongs to; what belongs to another one is forgotten. Not here:
//! what the rows say.

use std::ops::RangeInclusive;

use lot_facts::Trigger;

use crate::last_values::{LastValues, ValueKeeper};

/// What rows of `ON WINDOW` are below.
pub(crate) const WINDOW: &str = "Window";

/// What rows of `ON SILENCE` are below.
pub(crate) const SILENCE: &str = "Silence";

/// Action whose row a topic has; `None` of another kept value.
pub fn watching_action(topic: &str) -> Option<&str> {
    let (level, rest) = topic.strip_prefix("$LOT/")?.split_once('/')?;
    let (action, _) = rest.split_once("/\0")?;
    [WINDOW, SILENCE].contains(&level).then_some(action)
}

/// The rows of one Action.
#[derive(Debug)]
pub(crate) struct WatchRows {
    /// Beginning of their topics.
    beginning: String,
    /// Versions of their form that are read; the last one is written.
    versions: RangeInclusive<u8>,
    /// Number of the trigger, behind the version.
    trigger: [u8; 8],
}

impl WatchRows {
    /// Those of the Action of this name, as long as it has this trigger; `level` says what it
    /// watches for, `versions` of their form are read.
    pub(crate) fn new(
        (level, versions): (&str, RangeInclusive<u8>),
        name: &str,
        trigger: &Trigger,
    ) -> WatchRows {
        let text = serde_json::to_string(trigger).unwrap_or_default();
        // FNV-1a, which stays the same from build to build.
        let number = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let beginning = format!("$LOT/{level}/{name}/\0");
        WatchRows { beginning, versions, trigger: number.to_le_bytes() }
    }

    /// Keeps the row of a topic; how many bytes it has. `None` when there is no room.
    pub(crate) fn keep(
        &self,
        (values, keeper): (&LastValues, ValueKeeper<'_>),
        topic: &str,
        said: impl IntoIterator<Item = u8>,
    ) -> Option<usize> {
        let mut row = vec![*self.versions.end()];
        row.extend(self.trigger);
        row.extend(said);
        values.keep(keeper, &format!("{}{topic}", self.beginning), &row).ok().map(|()| row.len())
    }

    /// Forgets the row of a topic.
    pub(crate) fn forget(&self, values: &LastValues, topic: &str) {
        values.forget(&format!("{}{topic}", self.beginning));
    }

    /// Forgets all rows of the Action, whichever trigger it has.
    pub(crate) fn forget_all(&self, values: &LastValues) {
        values.forget_all(|topic| topic.starts_with(&self.beginning));
    }

    /// Shows the rows, by topic, with their version and what they say; those of another trigger,
    /// and those that are not taken, are forgotten.
    pub(crate) fn load(&self, values: &LastValues, mut take: impl FnMut(&str, u8, &[u8]) -> bool) {
        let mut foreign = Vec::new();
        values.each_kept(|topic, kept| {
            let Some(key) = topic.strip_prefix(&*self.beginning) else { return };
            if !self.read(kept.payload).is_some_and(|(version, said)| take(key, version, said)) {
                foreign.push(topic.to_owned());
            }
        });
        foreign.iter().for_each(|topic| values.forget(topic));
    }

    /// Version of a row and what it says; `None` of another trigger, or another version.
    fn read<'a>(&self, row: &'a [u8]) -> Option<(u8, &'a [u8])> {
        let (version, rest) = row.split_first()?;
        let said = rest.strip_prefix(&self.trigger)?;
        self.versions.contains(version).then_some((*version, said))
    }
}
