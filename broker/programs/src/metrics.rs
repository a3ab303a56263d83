//! Metrics of guests: counters and gauges that definitions have of their own.
//!
//! Invariants: no definition has more than [`METRICS_PER_RUN_MAX`] and no tenant more than
//! [`GUEST_METRICS_MAX`], of which the definitions of one user have at most [`USER_PART`] of what
//! others leave; those of a definition are gone when it is removed or another user takes its name.
//! They are in memory only.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use lotmq_definitions::{Definition, DefinitionId};
use lotmq_host::MetricChange;
use lotmq_host::limits::METRICS_PER_RUN_MAX;
use lotmq_shares::{AccountShares, HeldShare, NoShare};
use parking_lot::Mutex;

use crate::limits::GUEST_METRICS_MAX;
use lotmq_core::limits::USER_PART;

/// Code of the error of a definition that wants too many.
pub(super) const METRIC_LIMIT: &str = "METRIC_LIMIT";

/// Why a counter or gauge is one too many.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum TooManyMetrics {
    /// For its definition.
    #[error("'{0}' is one counter or gauge too many: a definition has at most {METRICS_PER_RUN_MAX}")]
    Definition(Box<str>),
    /// For the user to whom that belongs.
    #[error(
        "'{name}' is one counter or gauge too many: all definitions of their user have the {max} that others leave to him"
    )]
    User { name: Box<str>, max: u64 },
    /// For the tenant.
    #[error("'{name}' is one counter or gauge too many: all of the tenant have the {max} that there are")]
    All { name: Box<str>, max: u64 },
}

/// Counters and gauges of the definitions of a tenant.
pub struct GuestMetrics {
    room: Arc<AccountShares>,
    all: Mutex<HashMap<DefinitionId, HeldMetrics>>,
}

/// Counters and gauges of a definition, and the share of its owner that they take.
struct HeldMetrics {
    held: HeldShare,
    metrics: OwnMetrics,
}

/// Counters and gauges of one definition by their names; a value is the sum of its changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnMetrics {
    pub counters: BTreeMap<Box<str>, MetricChange>,
    pub gauges: BTreeMap<Box<str>, MetricChange>,
}

impl Default for GuestMetrics {
    fn default() -> Self {
        let room = AccountShares::new(GUEST_METRICS_MAX, USER_PART);
        GuestMetrics { room, all: Mutex::default() }
    }
}

impl GuestMetrics {
    /// Changes a counter or gauge of a definition.
    ///
    /// # Errors
    /// [`TooManyMetrics`] when it is a new one and there is no room for it.
    pub(super) fn change(
        &self,
        definition: &Definition,
        name: &str,
        change: MetricChange,
    ) -> Result<(), TooManyMetrics> {
        self.change_of((definition.id, definition.quota_key()), name, change)
    }

    fn change_of(
        &self,
        (of, quota_key): (DefinitionId, u64),
        name: &str,
        change: MetricChange,
    ) -> Result<(), TooManyMetrics> {
        let mut all = self.all.lock();
        let held = || self.room.hold_nothing(quota_key);
        let new = || HeldMetrics { held: held(), metrics: OwnMetrics::default() };
        let HeldMetrics { held, metrics } = all.entry(of).or_insert_with(new);
        let count = metrics.len();
        let named = match change {
            MetricChange::Add(_) => &mut metrics.counters,
            MetricChange::Set(_) => &mut metrics.gauges,
        };
        if let Some(value) = named.get_mut(name) {
            value.took(change);
            return Ok(());
        }
        if count >= METRICS_PER_RUN_MAX {
            return Err(TooManyMetrics::Definition(name.into()));
        }
        held.grow(1).map_err(|reason| match reason {
            NoShare::Owner { max } => TooManyMetrics::User { name: name.into(), max },
            NoShare::All { max } => TooManyMetrics::All { name: name.into(), max },
        })?;
        named.insert(name.into(), change);
        Ok(())
    }

    /// Forgets what a definition has.
    pub(super) fn clear(&self, of: DefinitionId) {
        self.all.lock().remove(&of);
    }

    /// All of them.
    pub fn all(&self) -> Vec<(DefinitionId, OwnMetrics)> {
        self.all.lock().iter().map(|(of, held)| (*of, held.metrics.clone())).collect()
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
            metrics.change_of((of, 0), "a", change).unwrap();
        }
        let [(_, found)] = <[_; 1]>::try_from(metrics.all()).unwrap();
        assert_eq!(found.counters[&Box::from("a")], MetricChange::Add(5));
        assert_eq!(found.gauges[&Box::from("a")], MetricChange::Set(0.5));
        let add = |name: &str| metrics.change_of((of, 0), name, MetricChange::Add(1));
        for number in 2..METRICS_PER_RUN_MAX {
            add(&format!("n{number}")).unwrap();
        }
        assert_eq!(add("one_more"), Err(TooManyMetrics::Definition("one_more".into())));
        add("a").unwrap();
        metrics.clear(of);
        assert!(metrics.all().is_empty());
        add("one_more").unwrap();
    }

    #[test]
    fn nobodys_definitions_have_all_counters_and_gauges_of_a_tenant() {
        let metrics = GuestMetrics::default();
        let mut ids = (0..).map(DefinitionId);
        let mut fill = |account| {
            let mut of = DefinitionId(0);
            (0..)
                .find_map(|number| {
                    if number % 8 == 0 {
                        of = ids.next().unwrap();
                    }
                    let name = format!("n{}", number % 8);
                    let refused = metrics.change_of((of, account), &name, MetricChange::Set(0.0)).err()?;
                    Some((number, refused.to_string()))
                })
                .unwrap()
        };
        let (of_one, refused) = fill(1);
        assert_eq!(of_one, GUEST_METRICS_MAX / 4 * 3);
        assert!(refused.ends_with("all definitions of their user have the 3072 that others leave to him"));
        assert_eq!(fill(2).0, GUEST_METRICS_MAX / 16 * 3);
        for id in 0..of_one / 8 {
            metrics.clear(DefinitionId(id));
        }
        assert_eq!(
            fill(3).0,
            (GUEST_METRICS_MAX - GUEST_METRICS_MAX / 16 * 3) / 4 * 3,
            "what is gone is room"
        );
    }
}
