//! Metrics of guests: counters and gauges that definitions have of their own.
//!
//! Invariants: no definition has more than [`METRICS_PER_RUN_MAX`] and no tenant more than [`GUEST_METRICS_MAX`]; those of a definition are gone when it is removed
//! or another user takes its name. They are in memory only.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use lotmq_definitions::DefinitionId;
use lotmq_host::MetricChange;
use lotmq_host::limits::METRICS_PER_RUN_MAX;
use parking_lot::Mutex;

use crate::limits::GUEST_METRICS_MAX;

/// Code of the error of a definition that wants too many.
pub(super) const METRIC_LIMIT: &str = "METRIC_LIMIT";

/// Message of that error.
pub(super) fn too_many(name: &str) -> String {
    format!(
        "'{name}' is one counter or gauge too many: a definition has at most {METRICS_PER_RUN_MAX}, all of a tenant {GUEST_METRICS_MAX}"
    )
}

/// Counters and gauges of the definitions of a tenant.
#[derive(Default)]
pub(crate) struct GuestMetrics(Mutex<HashMap<DefinitionId, OwnMetrics>>);

/// Counters and gauges of one definition by their names; a value is the sum of its changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OwnMetrics {
    pub(crate) counters: BTreeMap<Box<str>, MetricChange>,
    pub(crate) gauges: BTreeMap<Box<str>, MetricChange>,
}

impl GuestMetrics {
    /// Changes a counter or gauge. False when it would be one too many.
    pub(super) fn change(&self, of: DefinitionId, name: &str, change: MetricChange) -> bool {
        let mut all = self.0.lock();
        let count: usize = all.values().map(OwnMetrics::len).sum();
        let metrics = all.entry(of).or_default();
        let is_full = count >= GUEST_METRICS_MAX || metrics.len() >= METRICS_PER_RUN_MAX;
        let named = match change {
            MetricChange::Add(_) => &mut metrics.counters,
            MetricChange::Set(_) => &mut metrics.gauges,
        };
        match named.get_mut(name) {
            Some(value) => value.took(change),
            None if is_full => false,
            None => named.insert(name.into(), change).is_none(),
        }
    }

    /// Forgets what a definition has.
    pub(super) fn clear(&self, of: DefinitionId) {
        self.0.lock().remove(&of);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(DefinitionId, OwnMetrics)> {
        self.0.lock().iter().map(|(of, metrics)| (*of, metrics.clone())).collect()
    }
}

impl OwnMetrics {
    fn len(&self) -> usize {
        self.counters.len() + self.gauges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_gauges_are_set_and_there_are_so_many() {
        let (metrics, of) = (GuestMetrics::default(), DefinitionId(1));
        for change in
            [MetricChange::Add(2), MetricChange::Set(1.0), MetricChange::Add(3), MetricChange::Set(0.5)]
        {
            assert!(metrics.change(of, "a", change));
        }
        let [(_, found)] = <[_; 1]>::try_from(metrics.all()).unwrap();
        assert_eq!(found.counters[&Box::from("a")], MetricChange::Add(5));
        assert_eq!(found.gauges[&Box::from("a")], MetricChange::Set(0.5));
        for number in 2..METRICS_PER_RUN_MAX {
            assert!(metrics.change(of, &format!("n{number}"), MetricChange::Add(1)));
        }
        assert!(!metrics.change(of, "one_more", MetricChange::Add(1)));
        assert!(metrics.change(of, "a", MetricChange::Add(1)));
        metrics.clear(of);
        assert!(metrics.all().is_empty() && metrics.change(of, "one_more", MetricChange::Add(1)));
    }

    #[test]
    fn all_definitions_together_have_so_many() {
        let metrics = GuestMetrics::default();
        let taken = (0..).take_while(|number| {
            let of = DefinitionId(number / 8);
            metrics.change(of, &format!("n{}", number % 8), MetricChange::Set(0.0))
        });
        assert_eq!(taken.count(), GUEST_METRICS_MAX);
    }
}
