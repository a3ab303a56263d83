//! The registry: all definitions of a tenant, their life cycle, and everything that is derived from
//! them.
//!
//! Changed by commands, one at a time; asked by every thread. Derived are the trigger index, the
//! hooks, the timers, and which topics are cached. Invariants: a definition is armed exactly when
//! its state [is](State::is_armed); a replacement takes effect in one call, so that no message sees
//! both versions or neither; a refused change changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use lotmq_router::SubscriptionIndex;
use lotmq_shares::AccountShares;

use crate::definition::{Definition, DefinitionId, DefinitionKind, Need, NewDefinition};
use crate::fact_index::FactIndex;
use crate::hooks::Hooks;
use crate::last_values::{CacheLimits, LastValues};
use crate::limits::{
    CHANGE_TOPICS_MAX, DEFINITIONS_MAX, SILENCE_TOPICS_MAX, WATCHED_BYTES_MAX, WATCHED_PART,
};
use crate::now::Now;
use crate::schedule::Schedule;
use crate::silence::{SilenceWatch, Silences};
use crate::window::{WindowWatch, Windows};

mod cycle;
mod life_cycle;
mod outcome;

use life_cycle::starts;
pub use outcome::{Caching, Changed, InstallError, Installed, NotFound, OnExisting, Removed, State, Warning};

/// Settings of a [`Registry`].
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Local time of the broker, for calendar timers.
    pub zone: TimeZone,
    /// Topics that are cached; `[lot] cache`.
    pub cache: CacheMode,
    /// Bounds of the last values.
    pub cache_limits: CacheLimits,
    /// Topics that each `ON CHANGE` remembers. Default [`CHANGE_TOPICS_MAX`].
    pub change_topics_max: usize,
    /// Topics that each `ON SILENCE` hears of. Default [`SILENCE_TOPICS_MAX`].
    pub silence_topics_max: usize,
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
            silence_topics_max: SILENCE_TOPICS_MAX,
            definitions_max: DEFINITIONS_MAX,
        }
    }
}

/// Selection of the topics that have a last value, LoT reference §6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// `read-topics`: those that some deployed definition reads.
    #[default]
    ReadTopics,
    /// `all`.
    All,
}

/// All definitions of a tenant.
///
/// Operations: [`install`](Registry::install), [`remove`](Registry::remove) and others change it;
/// [`finish_loading`](Registry::finish_loading) comes once after the start;
/// [`matches`](Registry::matches), [`caching`](Registry::caching) and [`hooks`](Registry::hooks)
/// are asked; [`due`](Registry::due) is called after [`next_timeout`](Registry::next_timeout), and
/// whenever the registry has changed the time-out is asked again.
pub struct Registry {
    pub(crate) entries: BTreeMap<DefinitionId, Entry>,
    names: [HashMap<Arc<str>, DefinitionId>; DefinitionKind::ALL.len()],
    dependents: HashMap<Need, BTreeSet<DefinitionId>>,
    /// Names of the Python scripts, which are kept elsewhere.
    scripts: BTreeSet<Arc<str>>,
    triggers: SubscriptionIndex<DefinitionId, Arc<Definition>>,
    reads: FactIndex,
    keeps: FactIndex,
    hooks: Hooks,
    schedule: Schedule,
    silences: Silences,
    windows: Windows,
    values: Arc<LastValues>,
    cache: CacheMode,
    change_topics_max: usize,
    definitions_max: usize,
    next_id: u64,
    /// Place in the load order for the next definition.
    next_order: u64,
    generation: u64,
    is_loading: bool,
    /// Until when every Action is traced, those deployed meanwhile too.
    pub(crate) trace_all_until: Option<jiff::Timestamp>,
}

/// A definition with the state that the registry has for it.
pub(crate) struct Entry {
    pub(crate) definition: Arc<Definition>,
    pub(crate) hold: Option<Hold>,
    pub(crate) missing: Vec<Need>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) code: CodeState,
    is_armed: bool,
}

/// Native code of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CodeState {
    /// It is there, or the definition needs none.
    There,
    /// It is still being compiled.
    Compiling,
    /// It could not be compiled, for this reason.
    Missing(String),
}

/// Why a definition is not armed though nothing is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    Disabled,
    Failed(String),
}

impl Entry {
    pub(crate) fn state(&self) -> State {
        match (&self.hold, self.missing.is_empty(), &self.code) {
            (Some(Hold::Failed(_)), _, _) | (_, _, CodeState::Missing(_)) => State::Error,
            (Some(Hold::Disabled), _, _) => State::Disabled,
            (None, false, _) => State::Pending,
            (None, true, CodeState::Compiling) => State::Compiling,
            (None, true, CodeState::There) => State::Running,
        }
    }
}

impl Registry {
    /// An empty registry that is loading: `ON START` waits for [`Registry::finish_loading`].
    pub fn new(options: RegistryOptions) -> Registry {
        let watched = AccountShares::new(WATCHED_BYTES_MAX, WATCHED_PART);
        Registry {
            entries: BTreeMap::new(),
            names: Default::default(),
            dependents: HashMap::new(),
            scripts: BTreeSet::new(),
            triggers: SubscriptionIndex::new(),
            reads: FactIndex::default(),
            keeps: FactIndex::default(),
            hooks: Hooks::default(),
            windows: Windows::new(options.zone.clone(), &watched),
            schedule: Schedule::new(options.zone),
            silences: Silences::new(options.silence_topics_max, &watched),
            values: Arc::new(LastValues::new(options.cache_limits)),
            cache: options.cache,
            change_topics_max: options.change_topics_max,
            definitions_max: options.definitions_max,
            next_id: 1,
            next_order: 1,
            generation: 1,
            is_loading: true,
            trace_all_until: None,
        }
    }

    /// The time zone of timers.
    pub fn zone(&self) -> &TimeZone {
        self.schedule.zone()
    }

    /// Deploys a definition: arms it, or leaves it pending, and arms those that waited for it.
    ///
    /// # Errors
    /// [`InstallError`]; then nothing has changed, and the former version runs on.
    pub fn install(
        &mut self,
        new: NewDefinition,
        existing: OnExisting,
        now: Now,
    ) -> Result<Installed, InstallError> {
        let (id, before) = self.check(&new, existing)?;
        let mut changed = Changed::default();
        let replaced = before.and_then(|before| self.take_out(before, &mut changed));
        if let Some(taken_over) = replaced.as_ref().filter(|before| before.id != id) {
            taken_over.activity.retire();
            self.windows.forget(taken_over, &self.values);
            Silences::forget(taken_over, &self.values);
        }
        let definition = Arc::new(self.new_version(id, new, replaced.as_deref(), now));
        if let Some(before) = replaced.as_ref().filter(|before| before.trigger() != definition.trigger()) {
            self.windows.forget(before, &self.values);
            Silences::forget(before, &self.values);
        }
        self.put_in(&definition);
        self.settle(id, now, &mut changed);
        if replaced.is_none() {
            self.settle_dependents(&definition.as_need(), Some(id), now, &mut changed);
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
        definition.activity.retire();
        self.windows.forget(&definition, &self.values);
        Silences::forget(&definition, &self.values);
        self.names[kind.index()].remove(name);
        self.settle_dependents(&definition.as_need(), Some(id), now, &mut changed);
        self.prune_cache(Some(&definition), None);
        self.generation += 1;
        Ok(Removed { definition, changed })
    }

    /// Removes all definitions of a kind and returns them in the order of deployment.
    pub fn remove_all(&mut self, kind: DefinitionKind, now: Now) -> Vec<Removed> {
        let names: Vec<Arc<str>> = self.list(kind).map(|definition| Arc::clone(definition.name())).collect();
        names.iter().filter_map(|name| self.remove(kind, name, now).ok()).collect()
    }

    /// Notes that a Python script is there, or is gone: what calls it is armed or becomes pending.
    pub fn set_script(&mut self, name: &str, is_there: bool, now: Now) -> Changed {
        let mut changed = Changed::default();
        let name: Arc<str> = name.into();
        let is_new =
            if is_there { self.scripts.insert(Arc::clone(&name)) } else { self.scripts.remove(&name) };
        if is_new {
            self.settle_dependents(&Need::Script(name), None, now, &mut changed);
            self.generation += 1;
        }
        changed
    }

    /// Ends the loading of a start; silence counts from here on. Returns the armed `ON START`
    /// definitions in load order, to be run once.
    pub fn finish_loading(&mut self, now: Now) -> Vec<Arc<Definition>> {
        self.is_loading = false;
        self.silences.begin(now.elapsed);
        let armed = self.entries.values().filter(|entry| entry.is_armed).map(|entry| &entry.definition);
        armed.filter(|definition| starts(definition)).cloned().collect()
    }

    /// Whether the stored definitions are still being loaded.
    pub fn is_loading(&self) -> bool {
        self.is_loading
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

    /// Notes that a definition cannot run at all: its guest does not load, or a module was stopped
    /// after its last trap. It is disarmed with [`State::Error`] until it is replaced or enabled.
    /// Unknown ids, of definitions removed meanwhile, are ignored.
    pub fn set_failed(&mut self, id: DefinitionId, reason: &str, now: Now) -> Changed {
        self.set_hold(id, Some(Hold::Failed(reason.to_owned())), now)
    }

    /// Notes that the native code of a definition is still being compiled. It stays armed.
    pub fn set_compiling(&mut self, id: DefinitionId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.code = CodeState::Compiling;
            self.generation += 1;
        }
    }

    /// Notes that the native code of this version is there. False where it is not waited for: the
    /// definition was removed or replaced.
    pub fn set_compiled(&mut self, id: DefinitionId, version: u64) -> bool {
        let is_waited_for = self.is_compiling(id, version);
        if let Some(entry) = self.entries.get_mut(&id).filter(|_| is_waited_for) {
            entry.code = CodeState::There;
            self.generation += 1;
        }
        is_waited_for
    }

    /// Notes that the native code of this version cannot be compiled: it is disarmed with
    /// [`State::Error`] until it is replaced. `None` where the code is not waited for.
    pub fn set_not_compiled(
        &mut self,
        (id, version): (DefinitionId, u64),
        reason: &str,
        now: Now,
    ) -> Option<Changed> {
        if !self.is_compiling(id, version) {
            return None;
        }
        let mut changed = Changed::default();
        let entry = self.entries.get_mut(&id)?;
        entry.code = CodeState::Missing(reason.to_owned());
        self.settle(id, now, &mut changed);
        self.generation += 1;
        Some(changed)
    }

    /// Whether the native code of this version is still being compiled.
    pub fn is_compiling(&self, id: DefinitionId, version: u64) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.definition.version == version && entry.code == CodeState::Compiling)
    }

    /// Definitions whose native code is still being compiled, in the order of deployment.
    pub fn compiling(&self) -> impl Iterator<Item = &Arc<Definition>> {
        let compiling = self.entries.values().filter(|entry| entry.code == CodeState::Compiling);
        compiling.map(|entry| &entry.definition)
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
        self.all().filter(move |definition| definition.kind() == kind)
    }

    /// Returns the definitions of a user, in the order of deployment.
    pub fn of_owner(&self, user: &str) -> impl Iterator<Item = &Arc<Definition>> {
        self.all().filter(move |definition| definition.owner().is_some_and(|owner| *owner.name == *user))
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.entries.values().map(|entry| &entry.definition)
    }

    /// Returns the definitions that need this one, in the order of deployment, without itself.
    pub fn dependents(&self, definition: &Definition) -> Vec<Arc<Definition>> {
        let ids = self.dependents.get(&definition.as_need()).into_iter().flatten();
        ids.filter(|id| **id != definition.id).filter_map(|id| self.by_id(*id).cloned()).collect()
    }

    /// Returns the definitions that need this kind and name, in the order of deployment. The needed
    /// definition may be missing.
    pub fn dependents_of(&self, need: &Need) -> impl Iterator<Item = &Arc<Definition>> {
        let ids = self.dependents.get(need).into_iter().flatten();
        ids.filter_map(|id| self.by_id(*id))
    }

    /// Number of definitions of a kind.
    pub fn count(&self, kind: DefinitionKind) -> usize {
        self.names[kind.index()].len()
    }

    /// Changes with everything that [`matches`](Registry::matches), [`caching`](Registry::caching)
    /// or [`hooks`](Registry::hooks) depend on.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Appends the armed definitions whose `ON TOPIC` or `ON CHANGE` matches the topic, each once,
    /// in the order of deployment. Asked once per new topic; per message, ask
    /// [`Definition::fires`].
    pub fn matches(&self, topic: &str, found: &mut Vec<Arc<Definition>>) {
        if self.triggers.is_empty() {
            return;
        }
        let start = found.len();
        self.triggers.matches(topic, |_, definition| found.push(Arc::clone(definition)), |_| {});
        found[start..].sort_unstable_by_key(|definition| definition.id);
        // Several filters of one definition may match; earlier entries are of other definitions.
        found.dedup_by_key(|definition| definition.id);
    }

    /// Disabled modules, of which there are few, that a message with this topic would start. Asked
    /// once per new topic, as [`silence_watches`](Self::silence_watches).
    pub fn disabled_modules(&self, topic: &str) -> Vec<Arc<Definition>> {
        let would_start = |definition: &&Arc<Definition>| {
            let filters = definition.trigger().filter(|trigger| trigger.takes_messages());
            let mut filters = filters.map(lot_facts::Trigger::filters).unwrap_or_default().iter();
            filters.any(|filter| lotmq_router::filter_matches(filter, topic))
        };
        let modules =
            self.names[DefinitionKind::Module.index()].values().filter_map(|id| self.entries.get(id));
        let disabled = modules.filter(|entry| entry.state() == State::Disabled);
        disabled.map(|entry| &entry.definition).filter(would_start).cloned().collect()
    }

    /// Appends the watches of armed definitions whose `ON SILENCE` matches the topic, each once, in
    /// the order of deployment. Asked once per new topic; per message, use an [`Ear`](crate::Ear)
    /// of each.
    pub fn silence_watches(&self, topic: &str, found: &mut Vec<Arc<SilenceWatch>>) {
        self.silences.matching(topic, found);
    }

    /// All watches of armed definitions, in the order of deployment.
    pub fn all_silence_watches(&self) -> impl Iterator<Item = &Arc<SilenceWatch>> {
        self.silences.all()
    }

    /// The windows of an armed definition, if its trigger is `ON WINDOW`.
    pub fn window(&self, id: DefinitionId) -> Option<&Arc<WindowWatch>> {
        self.windows.get(id)
    }

    /// The windows of all armed definitions, in the order of deployment.
    pub fn all_windows(&self) -> impl Iterator<Item = &Arc<WindowWatch>> {
        self.windows.all()
    }

    /// Returns the effect of an accepted message on the last value of its topic.
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

    /// How long until [`Registry::due`], [`SilenceWatch::due`] or [`WindowWatch::close_due`] must
    /// be called; `None` while no timer is armed.
    pub fn next_timeout(&self, now: Now) -> Option<Duration> {
        let of_silences = self.silences.next_timeout(now.elapsed);
        let of_windows = self.windows.next_timeout(now.elapsed);
        self.schedule.next_timeout(now).into_iter().chain(of_silences).chain(of_windows).min()
    }

    /// Appends the definitions whose timer has fired, each at most once. A tick that comes while
    /// the run before has not ended is skipped: ask [`claim_tick`](crate::Activity::claim_tick) for
    /// each.
    pub fn due(&mut self, now: Now, found: &mut Vec<Arc<Definition>>) {
        let entries = &self.entries;
        self.schedule
            .due(now, |id| found.extend(entries.get(&id).map(|entry| Arc::clone(&entry.definition))));
    }

    pub(crate) fn id_of(&self, kind: DefinitionKind, name: &str) -> Result<DefinitionId, NotFound> {
        let found = self.names[kind.index()].get(name).copied();
        found.ok_or_else(|| NotFound { kind, name: name.into() })
    }

    pub(crate) fn has(&self, need: &Need) -> bool {
        match need {
            Need::Definition(kind, name) => self.names[kind.index()].contains_key(name),
            Need::Script(name) => self.scripts.contains(name),
        }
    }
}

#[cfg(test)]
mod tests;
