//! The registry: all definitions of a tenant, their life cycle, and everything that is derived from them.
//!
//! Changed by commands, one at a time; asked by every thread. Derived are the trigger index, the hooks, the timers, and
//! which topics are cached. Invariants: a definition is armed exactly when it is [`State::Running`]; a replacement
//! takes effect in one call, so that no message sees both versions or neither; a refused change changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use lot_facts::{TopicFact, Trigger};
use lotmq_router::{SubscriptionIndex, TopicError, topic_filter_valid};
use serde::Serialize;

use crate::activity::Activity;
use crate::cycle::find_cycle;
use crate::definition::{Definition, DefinitionId, DefinitionKind, NewDefinition};
use crate::fact_index::FactIndex;
use crate::hooks::Hooks;
use crate::last_values::{CacheLimits, LastValues};
use crate::limits::{CHANGE_TOPICS_MAX, DEFINITIONS_MAX};
use crate::now::Now;
use crate::schedule::{Arming, Schedule};

/// Settings of a [`Registry`].
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Local time of the broker, for calendar timers.
    pub zone: TimeZone,
    /// Which topics are cached; `[lot] cache`.
    pub cache: CacheMode,
    /// Bounds of the last values.
    pub cache_limits: CacheLimits,
    /// Topics that each `ON CHANGE` remembers. Default [`CHANGE_TOPICS_MAX`].
    pub change_topics_max: usize,
    /// Most definitions. Default [`DEFINITIONS_MAX`]; quota `Definitions` of an added tenant.
    pub definitions_max: usize,
}

impl RegistryOptions {
    /// The defaults, in this time zone.
    pub fn new(zone: TimeZone) -> RegistryOptions {
        RegistryOptions {
            zone,
            cache: CacheMode::default(),
            cache_limits: CacheLimits::default(),
            change_topics_max: CHANGE_TOPICS_MAX,
            definitions_max: DEFINITIONS_MAX,
        }
    }
}

/// Which topics have a last value, LoT reference §6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// `read-topics`: those that some deployed definition reads.
    #[default]
    ReadTopics,
    /// `all`.
    All,
}

/// What an accepted message does to the last values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Nothing: nobody reads this topic.
    Skip,
    /// Nobody reads this topic, but a `KEEP` may have written it: [`LastValues::clear`], because the last write wins.
    Clear,
    /// [`LastValues::publish`], or [`LastValues::clear`] for a retained delete.
    Store,
}

/// What to do when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Replace atomically: Models, Actions, Routes; Rules and modules with `-replace`.
    Replace,
    /// Refuse: Rules and modules.
    Refuse,
}

/// Life-cycle state of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Armed.
    Running,
    /// Waits for a dependency.
    Pending,
    /// Cannot run; the reason is in its report.
    Error,
    /// A module that was switched off.
    Disabled,
}

/// Names a definition by kind and name. `Display` gives `Model X`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefinitionRef {
    /// Kind.
    pub kind: DefinitionKind,
    /// Name.
    pub name: Arc<str>,
}

impl fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.title(), self.name)
    }
}

impl From<&lot_facts::Dependency> for DefinitionRef {
    fn from(dependency: &lot_facts::Dependency) -> DefinitionRef {
        DefinitionRef { kind: dependency.kind.into(), name: dependency.name.as_str().into() }
    }
}

/// What the author should know about a definition that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// It waits for these.
    Pending {
        /// What is missing, in the order of the source.
        missing: Vec<DefinitionRef>,
    },
    /// Its timer never fires: the instant is past.
    NeverRuns,
    /// What it writes triggers itself again.
    Cycle {
        /// Names from this definition back to itself.
        path: Vec<Arc<str>>,
    },
}

impl Warning {
    /// Stable code, upper-case words.
    pub fn code(&self) -> &'static str {
        match self {
            Warning::Pending { .. } => "PENDING",
            Warning::NeverRuns => "NEVER_RUNS",
            Warning::Cycle { .. } => "TRIGGER_CYCLE",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Pending { missing } => {
                f.write_str("pending until these are added: ")?;
                join(f, missing, ", ")
            }
            Warning::NeverRuns => f.write_str("the time of the trigger is past; the action never runs"),
            Warning::Cycle { path } => {
                f.write_str("may trigger itself: ")?;
                join(f, path, " -> ")
            }
        }
    }
}

/// Which definitions started or stopped to be armed by a change, in the order of deployment.
#[derive(Debug, Default)]
pub struct Changed {
    /// Newly armed versions: their guests are to be ready.
    pub armed: Vec<Arc<Definition>>,
    /// No longer armed: removed or replaced versions, and those whose dependency went.
    pub disarmed: Vec<Arc<Definition>>,
    /// Newly armed with `ON START`, to be run once now. Empty while loading.
    pub starts: Vec<Arc<Definition>>,
}

/// A definition was installed.
#[derive(Debug)]
pub struct Installed {
    /// The new version.
    pub definition: Arc<Definition>,
    /// The version that it replaced.
    pub replaced: Option<Arc<Definition>>,
    /// Whether it runs.
    pub state: State,
    /// What the author should know.
    pub warnings: Vec<Warning>,
    /// Consequences, for this definition and for those that waited for it.
    pub changed: Changed,
}

/// A definition was removed.
#[derive(Debug)]
pub struct Removed {
    /// What was removed.
    pub definition: Arc<Definition>,
    /// Consequences.
    pub changed: Changed,
}

/// Why a definition was not installed. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The name is taken, and replacing was not asked for.
    #[error("A {} with the name '{name}' already exists", kind.title().to_lowercase())]
    Exists {
        /// Kind.
        kind: DefinitionKind,
        /// Name.
        name: Arc<str>,
    },
    /// The tenant's bound.
    #[error("there are already {limit} definitions")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A topic in its facts is no valid Topic Filter. The compiler never does this; an upload may.
    #[error("topic '{filter}' is invalid: {reason}")]
    FilterInvalid {
        /// The text.
        filter: String,
        /// What is wrong with it.
        reason: TopicError,
    },
}

/// No definition has this kind and name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} '{name}' not found.", kind.title())]
pub struct NotFound {
    /// Kind.
    pub kind: DefinitionKind,
    /// Name.
    pub name: Arc<str>,
}

/// All definitions of a tenant.
///
/// Operations: [`install`](Registry::install), [`remove`](Registry::remove) and others change it;
/// [`finish_loading`](Registry::finish_loading) comes once after the start; [`matches`](Registry::matches),
/// [`caching`](Registry::caching) and [`hooks`](Registry::hooks) are asked; [`due`](Registry::due) is called after
/// [`next_timeout`](Registry::next_timeout), and whenever the registry has changed the time-out is asked again.
pub struct Registry {
    pub(crate) entries: BTreeMap<DefinitionId, Entry>,
    names: [HashMap<Arc<str>, DefinitionId>; DefinitionKind::ALL.len()],
    dependents: HashMap<DefinitionRef, BTreeSet<DefinitionId>>,
    triggers: SubscriptionIndex<DefinitionId, Arc<Definition>>,
    reads: FactIndex,
    keeps: FactIndex,
    hooks: Hooks,
    schedule: Schedule,
    values: Arc<LastValues>,
    cache: CacheMode,
    change_topics_max: usize,
    definitions_max: usize,
    next_id: u64,
    generation: u64,
    is_loading: bool,
    /// Until when every Action is traced, those deployed meanwhile too.
    pub(crate) trace_all_until: Option<jiff::Timestamp>,
}

/// A definition with what the registry knows about it.
pub(crate) struct Entry {
    pub(crate) definition: Arc<Definition>,
    pub(crate) hold: Option<Hold>,
    pub(crate) missing: Vec<DefinitionRef>,
    pub(crate) warnings: Vec<Warning>,
    is_armed: bool,
}

/// Why a definition is not armed though nothing is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    Disabled,
    Failed(String),
}

impl Entry {
    pub(crate) fn state(&self) -> State {
        match (&self.hold, self.missing.is_empty()) {
            (Some(Hold::Failed(_)), _) => State::Error,
            (Some(Hold::Disabled), _) => State::Disabled,
            (None, false) => State::Pending,
            (None, true) => State::Running,
        }
    }
}

impl Registry {
    /// An empty registry that is loading: `ON START` waits for [`Registry::finish_loading`].
    pub fn new(options: RegistryOptions) -> Registry {
        Registry {
            entries: BTreeMap::new(),
            names: Default::default(),
            dependents: HashMap::new(),
            triggers: SubscriptionIndex::new(),
            reads: FactIndex::default(),
            keeps: FactIndex::default(),
            hooks: Hooks::default(),
            schedule: Schedule::new(options.zone),
            values: Arc::new(LastValues::new(options.cache_limits)),
            cache: options.cache,
            change_topics_max: options.change_topics_max,
            definitions_max: options.definitions_max,
            next_id: 1,
            generation: 1,
            is_loading: true,
            trace_all_until: None,
        }
    }

    /// Deploys a definition: arms it, or leaves it pending, and arms those that waited for it.
    ///
    /// # Errors
    /// [`InstallError`]; nothing has changed then and what was there runs on.
    pub fn install(
        &mut self,
        new: NewDefinition,
        existing: OnExisting,
        now: Now,
    ) -> Result<Installed, InstallError> {
        let id = self.check(&new, existing)?;
        let mut changed = Changed::default();
        let replaced = self.take_out(id, &mut changed);
        let definition = Arc::new(self.new_version(id, new, replaced.as_deref(), now));
        self.put_in(&definition);
        self.settle(id, now, &mut changed);
        if replaced.is_none() {
            self.settle_dependents(&definition, now, &mut changed);
        }
        self.prune_cache(replaced.as_deref(), Some(&definition));
        self.warn_of_cycle(id);
        self.generation += 1;
        let entry = &self.entries[&id];
        Ok(Installed {
            state: entry.state(),
            warnings: entry.warnings.clone(),
            definition,
            replaced,
            changed,
        })
    }

    /// Removes a definition; what depends on it becomes pending.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn remove(&mut self, kind: DefinitionKind, name: &str, now: Now) -> Result<Removed, NotFound> {
        let id = self.id_of(kind, name)?;
        let mut changed = Changed::default();
        let definition = self.take_out(id, &mut changed).expect("its name led to it");
        self.names[kind.index()].remove(name);
        self.settle_dependents(&definition, now, &mut changed);
        self.prune_cache(Some(&definition), None);
        self.generation += 1;
        Ok(Removed { definition, changed })
    }

    /// Removes all definitions of a kind and returns them in the order of deployment.
    pub fn remove_all(&mut self, kind: DefinitionKind, now: Now) -> Vec<Removed> {
        let names: Vec<Arc<str>> = self.list(kind).map(|definition| Arc::clone(definition.name())).collect();
        names.iter().filter_map(|name| self.remove(kind, name, now).ok()).collect()
    }

    /// Ends the loading of a start. Returns the armed `ON START` definitions in load order, to be run once.
    pub fn finish_loading(&mut self) -> Vec<Arc<Definition>> {
        self.is_loading = false;
        let armed = self.entries.values().filter(|entry| entry.is_armed).map(|entry| &entry.definition);
        armed.filter(|definition| starts(definition)).cloned().collect()
    }

    /// Switches a definition off or on again.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn set_disabled(
        &mut self,
        kind: DefinitionKind,
        name: &str,
        is_disabled: bool,
        now: Now,
    ) -> Result<Changed, NotFound> {
        let id = self.id_of(kind, name)?;
        Ok(self.set_hold(id, is_disabled.then_some(Hold::Disabled), now))
    }

    /// Notes that a definition cannot run at all: its guest does not load, or a module was stopped after its last trap.
    /// It is disarmed with [`State::Error`] until it is replaced or enabled. Unknown ids, of definitions removed
    /// meanwhile, are ignored.
    pub fn set_failed(&mut self, id: DefinitionId, reason: &str, now: Now) -> Changed {
        self.set_hold(id, Some(Hold::Failed(reason.to_owned())), now)
    }

    /// The present version of a definition.
    pub fn get(&self, kind: DefinitionKind, name: &str) -> Option<&Arc<Definition>> {
        Some(&self.entries[self.names[kind.index()].get(name)?].definition)
    }

    /// The present version under this id.
    pub fn by_id(&self, id: DefinitionId) -> Option<&Arc<Definition>> {
        self.entries.get(&id).map(|entry| &entry.definition)
    }

    /// The state of a definition.
    pub fn state(&self, id: DefinitionId) -> Option<State> {
        self.entries.get(&id).map(Entry::state)
    }

    /// All definitions of a kind in the order of deployment.
    pub fn list(&self, kind: DefinitionKind) -> impl Iterator<Item = &Arc<Definition>> {
        self.entries
            .values()
            .map(|entry| &entry.definition)
            .filter(move |definition| definition.kind() == kind)
    }

    /// Number of definitions of a kind.
    pub fn count(&self, kind: DefinitionKind) -> usize {
        self.names[kind.index()].len()
    }

    /// Changes with everything that [`matches`](Registry::matches), [`caching`](Registry::caching) or
    /// [`hooks`](Registry::hooks) depend on.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Appends the armed definitions whose `ON TOPIC` or `ON CHANGE` matches the topic, each once, in the order of
    /// deployment. Asked once per new topic; per message, ask [`Definition::fires`].
    pub fn matches(&self, topic: &str, found: &mut Vec<Arc<Definition>>) {
        if self.triggers.is_empty() {
            return;
        }
        let start = found.len();
        self.triggers.matches(topic, |_, definition| found.push(Arc::clone(definition)), |_| {});
        found[start..].sort_unstable_by_key(|definition| definition.id);
        // Several filters of one definition may match; what the caller had before is of other definitions.
        found.dedup_by_key(|definition| definition.id);
    }

    /// What an accepted message on this topic does to the last values.
    pub fn caching(&self, topic: &str) -> Caching {
        if self.cache == CacheMode::All || self.reads.covers(topic) {
            Caching::Store
        } else if self.keeps.covers(topic) || self.values.is_kept(topic) {
            Caching::Clear
        } else {
            Caching::Skip
        }
    }

    /// The armed hooks.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The last values, shared with executors.
    pub fn values(&self) -> &Arc<LastValues> {
        &self.values
    }

    /// How long until [`Registry::due`] must be called; `None` while no timer is armed.
    pub fn next_timeout(&self, now: Now) -> Option<Duration> {
        self.schedule.next_timeout(now)
    }

    /// Appends the definitions whose timer has fired, each at most once. A tick that comes while the run before has not
    /// ended is skipped: ask [`Activity::claim_tick`] for each.
    pub fn due(&mut self, now: Now, found: &mut Vec<Arc<Definition>>) {
        let entries = &self.entries;
        self.schedule
            .due(now, |id| found.extend(entries.get(&id).map(|entry| Arc::clone(&entry.definition))));
    }

    pub(crate) fn id_of(&self, kind: DefinitionKind, name: &str) -> Result<DefinitionId, NotFound> {
        let found = self.names[kind.index()].get(name).copied();
        found.ok_or_else(|| NotFound { kind, name: name.into() })
    }

    pub(crate) fn has(&self, wanted: &DefinitionRef) -> bool {
        self.names[wanted.kind.index()].contains_key(&wanted.name)
    }

    /// Everything that can refuse an installation; gives the id to install under.
    fn check(&self, new: &NewDefinition, existing: OnExisting) -> Result<DefinitionId, InstallError> {
        check_filters(new)?;
        match (self.names[new.kind.index()].get(&new.name), existing) {
            (Some(id), OnExisting::Replace) => Ok(*id),
            (Some(_), OnExisting::Refuse) => {
                Err(InstallError::Exists { kind: new.kind, name: Arc::clone(&new.name) })
            }
            (None, _) if self.entries.len() >= self.definitions_max => {
                Err(InstallError::TooMany { limit: self.definitions_max })
            }
            (None, _) => Ok(DefinitionId(self.next_id)),
        }
    }

    fn new_version(
        &self,
        id: DefinitionId,
        deployed: NewDefinition,
        before: Option<&Definition>,
        now: Now,
    ) -> Definition {
        let is_change = matches!(deployed.facts.trigger, Some(Trigger::Change { .. }));
        let activity = Activity::new(is_change.then_some(self.change_topics_max));
        if deployed.kind == DefinitionKind::Action {
            let of_before = before.and_then(|before| before.activity.traced_until(now.wall));
            activity.trace_until(of_before.max(self.trace_all_until.filter(|until| *until > now.wall)));
        }
        Definition { id, version: before.map_or(0, |before| before.version) + 1, deployed, activity }
    }

    /// Adds a version that is in no index yet, not armed.
    fn put_in(&mut self, definition: &Arc<Definition>) {
        let id = definition.id;
        self.next_id = self.next_id.max(id.0 + 1);
        self.names[definition.kind().index()].insert(Arc::clone(definition.name()), id);
        self.reads.add(id, &definition.facts().reads);
        self.keeps.add(id, &definition.facts().keeps);
        for dependency in &definition.facts().depends_on {
            self.dependents.entry(dependency.into()).or_default().insert(id);
        }
        let entry = Entry {
            definition: Arc::clone(definition),
            hold: None,
            missing: Vec::new(),
            warnings: Vec::new(),
            is_armed: false,
        };
        self.entries.insert(id, entry);
    }

    /// Takes a version out of every index but the names.
    fn take_out(&mut self, id: DefinitionId, changed: &mut Changed) -> Option<Arc<Definition>> {
        self.disarm(id, changed);
        let definition = self.entries.remove(&id)?.definition;
        self.reads.remove(id, &definition.facts().reads);
        self.keeps.remove(id, &definition.facts().keeps);
        for dependency in &definition.facts().depends_on {
            let wanted = DefinitionRef::from(dependency);
            if let Some(ids) = self.dependents.get_mut(&wanted) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.dependents.remove(&wanted);
                }
            }
        }
        Some(definition)
    }

    /// Finds out what is missing and arms or disarms accordingly.
    fn settle(&mut self, id: DefinitionId, now: Now, changed: &mut Changed) {
        let Some(entry) = self.entries.get(&id) else { return };
        let wanted = entry.definition.facts().depends_on.iter().map(DefinitionRef::from);
        let missing: Vec<DefinitionRef> = wanted.filter(|wanted| !self.has(wanted)).collect();
        let entry = self.entries.get_mut(&id).expect("it was there");
        entry.warnings.retain(|warning| !matches!(warning, Warning::Pending { .. }));
        if !missing.is_empty() {
            entry.warnings.push(Warning::Pending { missing: missing.clone() });
        }
        entry.missing = missing;
        match (entry.state(), entry.is_armed) {
            (State::Running, false) => self.arm(id, now, changed),
            (State::Running, true) => {}
            (State::Pending | State::Error | State::Disabled, _) => self.disarm(id, changed),
        }
    }

    fn settle_dependents(&mut self, arrived_or_gone: &Definition, now: Now, changed: &mut Changed) {
        let name = Arc::clone(arrived_or_gone.name());
        let waiting = self.dependents.get(&DefinitionRef { kind: arrived_or_gone.kind(), name });
        for id in waiting.cloned().unwrap_or_default() {
            if id != arrived_or_gone.id {
                self.settle(id, now, changed);
            }
        }
    }

    fn set_hold(&mut self, id: DefinitionId, hold: Option<Hold>, now: Now) -> Changed {
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
            for filter in trigger.filters() {
                self.triggers.insert(filter, id, Arc::clone(&definition));
            }
            self.hooks.arm(&definition);
            entry.warnings.retain(|warning| *warning != Warning::NeverRuns);
            if self.schedule.arm(id, trigger, now) == Arming::Never {
                entry.warnings.push(Warning::NeverRuns);
            }
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
        self.hooks.disarm(id);
        self.schedule.disarm(id);
        changed.disarmed.push(definition);
    }

    /// Drops what is no longer cached, if the reads became others.
    fn prune_cache(&self, before: Option<&Definition>, after: Option<&Definition>) {
        let reads = |definition: Option<&Definition>| -> Vec<TopicFact> {
            definition.map(|definition| definition.facts().reads.clone()).unwrap_or_default()
        };
        let before = reads(before);
        if self.cache == CacheMode::All || before.is_empty() || before == reads(after) {
            return;
        }
        self.values.retain(|topic| self.reads.covers(topic));
    }

    /// Looks for a cycle through a new definition; not while loading, when nobody reads the warning.
    fn warn_of_cycle(&mut self, id: DefinitionId) {
        if self.is_loading {
            return;
        }
        let path = find_cycle(id, self);
        if let (Some(path), Some(entry)) = (path, self.entries.get_mut(&id)) {
            entry.warnings.push(Warning::Cycle { path });
        }
    }
}

/// Whether this version has an `ON START` run to come; says so once.
fn starts(definition: &Definition) -> bool {
    matches!(definition.trigger(), Some(Trigger::Start)) && definition.activity.claim_start()
}

fn check_filters(new: &NewDefinition) -> Result<(), InstallError> {
    let of_trigger = new.facts.trigger.as_ref().map(Trigger::filters).unwrap_or_default();
    let of_facts = new.facts.reads.iter().chain(&new.facts.keeps).filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter),
        TopicFact::Any => None,
    });
    for filter in of_trigger.iter().chain(of_facts) {
        topic_filter_valid(filter)
            .map_err(|reason| InstallError::FilterInvalid { filter: filter.clone(), reason })?;
    }
    Ok(())
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
