//! Rows of an Action that watches topics, which survive a restart as kept values: one for each of
//! its topics.
//!
//! They lie below `$LOT/`. A NUL is in front of the topic. No Topic Name has this byte, so no
//! Client and no program reaches the rows otherwise. A row begins with the version of its format
//! and the number of its trigger; rows of another trigger are forgotten. Not here: the contents of
//! rows.

use std::ops::RangeInclusive;

use lot_facts::Trigger;

use crate::last_values::{LastValues, ValueKeeper};

/// Level of the rows of `ON WINDOW`.
pub(crate) const WINDOW: &str = "Window";

/// Level of the rows of `ON SILENCE`.
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
    /// Returns the rows of the Action of this name, as long as it has this trigger. `level` is the
    /// kind of watch, `versions` are the readable formats.
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

    /// Shows the rows, by topic, with their version and contents. Forgets rows of another trigger
    /// and rows that `take` rejects.
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

    /// Returns version and contents of a row; `None` for another trigger or another version.
    fn read<'a>(&self, row: &'a [u8]) -> Option<(u8, &'a [u8])> {
        let (version, rest) = row.split_first()?;
        let said = rest.strip_prefix(&self.trigger)?;
        self.versions.contains(version).then_some((*version, said))
    }
}
