//! The steps of a change: checking, taking versions in and out of the indexes, arming what can run.
//!
//! Invariant: after [`Registry::settle`] a definition is armed exactly when nothing is missing and
//! nothing holds it.

use std::sync::Arc;

use lot_facts::{TopicFact, Trigger};
use lotmq_router::topic_filter_valid;
use lotmq_shares::share_of;

use super::cycle::find_cycle;
use super::{CacheMode, Changed, CodeState, Entry, Hold, InstallError, OnExisting, Registry, State, Warning};
use crate::activity::Activity;
use crate::definition::{Definition, DefinitionId, DefinitionKind, Need, NewDefinition, Owner};
use crate::limits::DEFINITIONS_PART;
use crate::now::Now;
use crate::schedule::Arming;

impl Registry {
    /// Everything that can refuse an installation; gives the id to install under, and that of what
    /// is replaced.
    pub(super) fn check(
        &self,
        new: &NewDefinition,
        existing: OnExisting,
    ) -> Result<(DefinitionId, Option<DefinitionId>), InstallError> {
        check_filters(new)?;
        let next = DefinitionId(self.next_id);
        let replacing = |id| (if self.is_of_same_owner(id, new) { id } else { next }, Some(id));
        match (self.names[new.kind.index()].get(&new.name), existing) {
            (Some(id), OnExisting::Replace) => Ok(replacing(*id)),
            (Some(id), OnExisting::ReplaceOwn) => match self.other_owner(*id, new) {
                None => Ok(replacing(*id)),
                Some(owner) => {
                    Err(InstallError::OfAnother { kind: new.kind, name: Arc::clone(&new.name), owner })
                }
            },
            (Some(_), OnExisting::Refuse) => {
                Err(InstallError::Exists { kind: new.kind, name: Arc::clone(&new.name) })
            }
            (None, _) if self.entries.len() >= self.definitions_max => {
                Err(InstallError::TooMany { limit: self.definitions_max })
            }
            (None, _) => Ok((next, None)),
        }
    }

    /// Checks that a definition fits its owner's share of the tenant's definitions, unless the
    /// owner is an administrator. The share is three quarters of the rest that others leave.
    ///
    /// # Errors
    /// [`InstallError::TooManyOfOwner`].
    pub fn check_share(&self, new: &NewDefinition) -> Result<(), InstallError> {
        let limit = self.definitions_max;
        // With fewer, nobody can have as much.
        if self.is_loading || self.entries.len() < limit / 4 * 3 {
            return Ok(());
        }
        let known = self.names[new.kind.index()].get(&new.name);
        if known.is_some_and(|id| self.is_of_same_owner(*id, new)) {
            return Ok(());
        }
        let payer = new.owner.as_ref().map_or(0, Owner::payer);
        let own = self.all().filter(|definition| definition.payer() == payer).count() as u64;
        let max = share_of(limit as u64, self.entries.len() as u64 - own, DEFINITIONS_PART);
        if own < max { Ok(()) } else { Err(InstallError::TooManyOfOwner { own, max, limit }) }
    }

    fn is_of_same_owner(&self, id: DefinitionId, new: &NewDefinition) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.definition.owner() == new.owner.as_ref())
    }

    /// Returns the owner of a definition, unless `new` has the same one.
    fn other_owner(&self, id: DefinitionId, new: &NewDefinition) -> Option<Arc<str>> {
        let owner = self.entries.get(&id)?.definition.owner()?;
        (new.owner.as_ref() != Some(owner)).then(|| Arc::clone(&owner.name))
    }

    pub(super) fn new_version(
        &self,
        id: DefinitionId,
        deployed: NewDefinition,
        before: Option<&Definition>,
        now: Now,
    ) -> Definition {
        let is_change = matches!(deployed.facts.trigger, Some(Trigger::Change { .. }));
        let account = deployed.owner.as_ref().map_or(0, |owner| owner.account);
        let mut activity = Activity::new(account, is_change.then_some(self.change_topics_max));
        if let Some(before) = before.filter(|before| before.id == id) {
            activity.counts_on(&before.activity);
        }
        if deployed.kind == DefinitionKind::Action {
            let of_before = before.and_then(|before| before.activity.traced_until(now.wall));
            activity.trace_until(of_before.max(self.trace_all_until.filter(|until| *until > now.wall)));
        }
        let kept = before.filter(|before| before.id == id).map(|before| before.order);
        let order = kept.or(deployed.order).unwrap_or(self.next_order);
        let version = before.map_or(0, |before| before.version) + 1;
        Definition { id, version, order, deployed, activity }
    }

    /// Adds a version that is in no index yet, not armed.
    pub(super) fn put_in(&mut self, definition: &Arc<Definition>) {
        let id = definition.id;
        self.next_id = self.next_id.max(id.0 + 1);
        self.next_order = self.next_order.max(definition.order.saturating_add(1));
        self.names[definition.kind().index()].insert(Arc::clone(definition.name()), id);
        self.reads.add(id, &definition.facts().reads);
        self.values.hold(id, read_by_rule(definition));
        self.keeps.add(id, &definition.facts().keeps);
        for need in Need::all(definition.facts()) {
            self.dependents.entry(need).or_default().insert(id);
        }
        let entry = Entry {
            definition: Arc::clone(definition),
            hold: None,
            missing: Vec::new(),
            warnings: Vec::new(),
            code: CodeState::There,
            is_armed: false,
        };
        self.entries.insert(id, entry);
    }

    /// Takes a version out of every index but the names.
    pub(super) fn take_out(&mut self, id: DefinitionId, changed: &mut Changed) -> Option<Arc<Definition>> {
        self.disarm(id, changed);
        let definition = self.entries.remove(&id)?.definition;
        self.reads.remove(id, &definition.facts().reads);
        self.values.let_go(id, read_by_rule(&definition));
        self.keeps.remove(id, &definition.facts().keeps);
        for need in Need::all(definition.facts()) {
            if let Some(ids) = self.dependents.get_mut(&need) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.dependents.remove(&need);
                }
            }
        }
        Some(definition)
    }

    /// Updates the missing dependencies, and arms or disarms accordingly.
    pub(super) fn settle(&mut self, id: DefinitionId, now: Now, changed: &mut Changed) {
        let Some(entry) = self.entries.get(&id) else { return };
        let missing: Vec<Need> = Need::all(entry.definition.facts()).filter(|need| !self.has(need)).collect();
        let entry = self.entries.get_mut(&id).expect("it was there");
        entry.warnings.retain(|warning| !matches!(warning, Warning::Pending { .. }));
        if !missing.is_empty() {
            entry.warnings.push(Warning::Pending { missing: missing.clone() });
        }
        entry.missing = missing;
        match (entry.state(), entry.is_armed) {
            (State::Running | State::Compiling, false) => self.arm(id, now, changed),
            (State::Running | State::Compiling, true) => {}
            (State::Pending | State::Error | State::Disabled, _) => self.disarm(id, changed),
        }
    }

    /// Settles those that need something that has arrived or gone; itself it is settled already.
    pub(super) fn settle_dependents(
        &mut self,
        need: &Need,
        itself: Option<DefinitionId>,
        now: Now,
        changed: &mut Changed,
    ) {
        let waiting = self.dependents.get(need).cloned().unwrap_or_default();
        for id in waiting.into_iter().filter(|id| Some(*id) != itself) {
            self.settle(id, now, changed);
        }
    }

    pub(super) fn set_hold(&mut self, id: DefinitionId, hold: Option<Hold>, now: Now) -> Changed {
        let mut changed = Changed::default();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.hold = hold;
            self.settle(id, now, &mut changed);
            self.generation += 1;
        }
        changed
    }

    fn arm(&mut self, id: DefinitionId, now: Now, changed: &mut Changed) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_armed = true;
        let definition = Arc::clone(&entry.definition);
        if let Some(trigger) = definition.trigger() {
            if trigger.takes_messages() {
                for filter in trigger.filters() {
                    self.triggers.insert(filter, id, Arc::clone(&definition));
                }
            }
            self.silences.arm(&definition, now.elapsed, &self.values);
            self.windows.arm(&definition, now, &self.values);
            self.hooks.arm(&definition);
            entry.warnings.retain(|warning| *warning != Warning::NeverRuns);
            if self.schedule.arm(id, trigger, now) == Arming::Never {
                entry.warnings.push(Warning::NeverRuns);
            }
        }
        if let Some(filter) = &definition.facts().reception {
            self.triggers.insert(filter, id, Arc::clone(&definition));
        }
        if !self.is_loading && starts(&definition) {
            changed.starts.push(Arc::clone(&definition));
        }
        changed.armed.push(definition);
    }

    fn disarm(&mut self, id: DefinitionId, changed: &mut Changed) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.is_armed) else { return };
        entry.is_armed = false;
        let definition = Arc::clone(&entry.definition);
        for filter in definition.trigger().map(Trigger::filters).unwrap_or_default() {
            self.triggers.remove(filter, &id);
        }
        self.silences.disarm(id);
        self.windows.disarm(id);
        if let Some(filter) = &definition.facts().reception {
            self.triggers.remove(filter, &id);
        }
        self.hooks.disarm(id);
        self.schedule.disarm(id);
        changed.disarmed.push(definition);
    }

    /// Drops values that are no longer cached, if the reads have changed.
    pub(super) fn prune_cache(&self, before: Option<&Definition>, after: Option<&Definition>) {
        let reads = |definition: Option<&Definition>| -> Vec<TopicFact> {
            definition.map(|definition| definition.facts().reads.clone()).unwrap_or_default()
        };
        let before = reads(before);
        if self.cache == CacheMode::All || before.is_empty() || before == reads(after) {
            return;
        }
        self.values.retain(|topic| self.reads.covers(topic));
    }

    /// Looks for a cycle through a new definition; not while loading, when nobody reads the
    /// warning.
    pub(super) fn warn_of_cycle(&mut self, id: DefinitionId) {
        if self.is_loading {
            return;
        }
        let cycle = find_cycle(id, self);
        if let (Some(cycle), Some(entry)) = (cycle, self.entries.get_mut(&id)) {
            entry.warnings.push(Warning::Cycle(cycle));
        }
    }
}

/// Whether this version has an `ON START` run to come; says so once.
pub(super) fn starts(definition: &Definition) -> bool {
    matches!(definition.trigger(), Some(Trigger::Start)) && definition.activity.claim_start()
}

fn check_filters(new: &NewDefinition) -> Result<(), InstallError> {
    let of_trigger = new.facts.trigger.as_ref().map(Trigger::filters).unwrap_or_default();
    let of_facts = new.facts.reads.iter().chain(&new.facts.keeps).filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter),
        TopicFact::Any => None,
    });
    for filter in of_trigger.iter().chain(&new.facts.reception).chain(of_facts) {
        topic_filter_valid(filter)
            .map_err(|reason| InstallError::FilterInvalid { filter: filter.clone(), reason })?;
    }
    Ok(())
}

/// Topics that a rule reads; none of other definitions.
fn read_by_rule(definition: &Definition) -> &[TopicFact] {
    if definition.kind() == DefinitionKind::Rule { &definition.facts().reads } else { &[] }
}
