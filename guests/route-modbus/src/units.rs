//! Units of one connection. A silent unit is skipped for a while, so that it does not delay the
//! others.

use std::collections::BTreeMap;

use crate::limits::{SILENT_PAUSE_MS, SILENT_PAUSE_MS_MAX};

/// The units of a route.
#[derive(Debug, Default)]
pub(crate) struct Units(BTreeMap<u8, Silence>);

/// When a unit is asked again, and the pause that was made; nothing of a unit that answers.
type Silence = Option<(u64, u64)>;

impl Units {
    /// Adds a unit.
    pub(crate) fn know(&mut self, unit: u8) {
        self.0.entry(unit).or_default();
    }

    /// Whether a unit is left alone now.
    pub(crate) fn is_left_alone(&self, unit: u8, now_ms: u64) -> bool {
        self.0.get(&unit).copied().flatten().is_some_and(|(until_ms, _)| now_ms < until_ms)
    }

    /// Whether a unit did not answer when it was asked last.
    pub(crate) fn is_silent(&self, unit: u8) -> bool {
        self.0.get(&unit).copied().flatten().is_some()
    }

    /// Notes that a unit has answered.
    pub(crate) fn answered(&mut self, unit: u8) {
        self.0.insert(unit, None);
    }

    /// Notes that a unit has not answered; false when none does.
    pub(crate) fn was_silent(&mut self, unit: u8, now_ms: u64) -> bool {
        let before = self.0.get(&unit).copied().flatten();
        let pause = before.map_or(SILENT_PAUSE_MS, |(_, pause)| (pause * 2).min(SILENT_PAUSE_MS_MAX));
        self.0.insert(unit, Some((now_ms.saturating_add(pause), pause)));
        self.0.values().any(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_unit_is_left_alone_for_longer_and_longer() {
        let mut units = Units::default();
        [1, 2].into_iter().for_each(|unit| units.know(unit));
        assert!(!units.is_left_alone(1, 0));
        assert!(!units.is_silent(1) && units.was_silent(1, 0));
        assert!(units.is_silent(1) && !units.is_silent(2));
        assert!(units.is_left_alone(1, 999) && !units.is_left_alone(1, 1_000) && !units.is_left_alone(2, 0));
        assert!(units.was_silent(1, 1_000));
        assert!(units.is_left_alone(1, 2_999) && !units.is_left_alone(1, 3_000));
        assert!(!units.was_silent(2, 3_000), "none answers");
        units.answered(1);
        assert!(!units.is_left_alone(1, 3_000) && units.was_silent(2, 5_000));
    }
}
