//! Routes: the receivers of one topic, and each thread's cache of them.
//!
//! A route is computed once per topic, thread and generation of the tenant's subscriptions and
//! definitions; most messages find theirs with one comparison, because a publisher rarely changes
//! its topic. Only a topic that comes again is remembered: among more topics than can be, most
//! routes would be thrown away unused, and making and freeing them costs as much as finding the
//! receivers.
//!
//! If rules must be asked about many receivers of a Client's message, its route is the work of
//! several turns (`asking`). `members` chooses a member of each group for each message.
//!
//! Invariants: a remembered route is used only while its tenant's generation is the one it was
//! computed at; at most [`ROUTE_CACHE_TOPICS`] routes with [`ROUTE_CACHE_RECEIVERS`] receivers a
//! thread and tenant.

mod asking;
mod members;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashTable;
use lotmq_auth::Identity;
use lotmq_definitions::Caching;
use lotmq_router::Match;

use crate::arena::text;
use crate::hashing::Hashing;
use crate::limits::{
    RECEIVERS_ASKED_AT_ONCE, RECEIVERS_PER_DEFINITION, ROUTE_CACHE_RECEIVERS, ROUTE_CACHE_TOPIC_BYTES,
    ROUTE_CACHE_TOPICS, STEPS_PER_DEFINITION, STEPS_PER_ROUTE,
};
use crate::tenant::Tenant;
use crate::tenant::subscriber::{SharedGroup, Target};
use crate::tenant::system_topics::may_have_own_replies;
use crate::tenant::triggers::{Listeners, Triggers};
pub(crate) use asking::Asking;
use members::Answers;

/// Route of a topic: its receivers, and what its messages start.
pub struct Route {
    pub(crate) topic: String,
    /// Clients with subscriptions of their own.
    pub targets: Vec<Target>,
    /// Clients that get replies to their own commands only; empty for all other topics.
    pub(crate) askers: Vec<Target>,
    /// Groups of shared subscriptions, by number.
    pub groups: Vec<Arc<SharedGroup>>,
    pub(crate) triggers: Option<Box<dyn Triggers>>,
    pub(crate) listeners: Option<Box<dyn Listeners>>,
    /// Effect of a message on the topic's last value.
    pub caching: Caching,
    /// Whether rules let every session have messages of the topic. Else those in `targets` were
    /// checked, and members of groups are checked each time.
    pub is_open: bool,
    /// Answers of rules about members of groups, for one message.
    answers: Answers,
    /// Answers of rules about `targets` and those they deny it, for one message, where many had to
    /// be asked about.
    asked: Answers,
    /// Whether the route is good for more than one message: no rule looked at anything that may
    /// change without a new generation.
    pub is_stable: bool,
    /// Generation of the tenant's subscriptions that it has at least: whoever is subscribed since
    /// then is in it.
    pub(crate) generation: u64,
}

/// Cache of one thread's routes.
pub struct RouteCache {
    tenants: Vec<TenantRoutes>,
    hasher: Hashing,
    /// Steps that cache misses took since the last question.
    steps: usize,
}

#[derive(Default)]
struct TenantRoutes {
    generation: u64,
    last: Option<Arc<Route>>,
    routes: HashTable<Arc<Route>>,
    /// Memory of `routes`, in receivers.
    receivers: usize,
    /// Parts of the hashes of recent topics, each in the place that another part of the hash names.
    seen: Vec<u32>,
    /// Route that is kept for its memory alone.
    spare: Option<Arc<Route>>,
    /// Memory for making routes.
    found: Vec<(u64, Target)>,
}

/// Receivers whose memory a route that is not remembered keeps.
const SPARE_TARGETS_MAX: usize = 256;

impl RouteCache {
    /// Empty cache.
    pub fn new(hasher: Hashing) -> Self {
        Self { tenants: Vec::new(), hasher, steps: 0 }
    }

    /// Takes the route of `topic`, a decoded text. The caller hands it back with
    /// [`RouteCache::put_back`], which spares the hot path a counter update.
    pub fn take(&mut self, tenant: &Arc<Tenant>, topic: &[u8]) -> Arc<Route> {
        // Nobody waits for what is asked about at once, so members of groups need not be asked in
        // advance.
        self.begin(tenant, topic, None).unwrap_or_else(|asking| asking.finish(self, tenant))
    }

    /// Takes the route of `topic`, unless rules must be asked about many receivers, members of
    /// groups included where the `bytes` of the message are known.
    ///
    /// # Errors
    /// The remaining questions.
    pub fn begin(
        &mut self,
        tenant: &Arc<Tenant>,
        topic: &[u8],
        bytes: Option<usize>,
    ) -> Result<Arc<Route>, Box<Asking>> {
        let index = tenant.number as usize;
        if index >= self.tenants.len() {
            self.tenants.resize_with(index + 1, TenantRoutes::default);
        }
        let known = &mut self.tenants[index];
        let generation = tenant.generation.load(Ordering::Acquire);
        if known.generation != generation {
            known.generation = generation;
            known.forget();
        }
        // Most messages have the topic of the one before.
        if let Some(last) = known.last.take() {
            if last.topic.as_bytes() == topic {
                return Ok(last);
            }
            known.recycle(last);
        }
        known.find(tenant, (text(topic), bytes), &self.hasher, &mut self.steps)
    }

    /// Caches a route that was asked about over several turns, where that is of use.
    fn remember(&mut self, tenant: &Tenant, hash: u64, route: &Arc<Route>) {
        let known = &mut self.tenants[tenant.number as usize];
        if known.generation == route.generation {
            known.remember(hash, route, &self.hasher);
        }
    }

    /// Steps that cache misses took since the last call.
    pub(crate) fn take_steps(&mut self) -> usize {
        std::mem::take(&mut self.steps)
    }

    /// Puts a route back as the latest of its tenant, unless it is good for one message only, or
    /// others have subscribed since it was made: a message may hold it for several turns.
    pub fn put_back(&mut self, tenant: &Tenant, route: Arc<Route>) {
        let known = &mut self.tenants[tenant.number as usize];
        if route.is_stable && route.generation >= known.generation {
            known.last = Some(route);
        }
    }

    /// Lets go of the routes of tenants whose generation has passed, so that an idle thread does
    /// not keep closed Clients alive.
    pub(crate) fn drop_stale(&mut self, tenants: &[Arc<Tenant>]) {
        for tenant in tenants {
            let Some(known) = self.tenants.get_mut(tenant.number as usize) else { continue };
            if known.generation != tenant.generation.load(Ordering::Acquire) {
                known.forget();
                known.generation = 0;
            }
        }
    }
}

impl Route {
    /// Empty route.
    pub fn empty() -> Self {
        Self {
            topic: String::new(),
            targets: Vec::new(),
            askers: Vec::new(),
            groups: Vec::new(),
            triggers: None,
            listeners: None,
            caching: Caching::Skip,
            is_open: true,
            answers: Answers::default(),
            asked: Answers::default(),
            is_stable: true,
            generation: 0,
        }
    }

    /// Replaces the route of one message by the present one, unless it has this generation of
    /// subscriptions: whoever has subscribed since is in it then. Of those about whom rules were
    /// asked for this message such are asked about again as came back meanwhile.
    pub(crate) fn bring_up_to(route: &mut Arc<Self>, generation: u64, tenant: &Tenant) {
        if route.generation < generation {
            // A route that others have as well is stable: its answers are remembered elsewhere.
            let asked = Arc::get_mut(route).map(Self::take_answers).unwrap_or_default();
            *route = Arc::new(Self::after(&route.topic, asked, tenant, true));
        }
    }

    fn take_answers(&mut self) -> (Answers, Answers) {
        (std::mem::take(&mut self.answers), std::mem::take(&mut self.asked))
    }

    /// Route of one message after subscriptions, sessions or rules have changed, with the answers
    /// about members of groups and about targets so far.
    fn after(topic: &str, (answers, asked): (Answers, Answers), tenant: &Tenant, takes_late: bool) -> Self {
        let mut now = Self::laid_out(topic, (answers, asked), tenant);
        now.settle(tenant, takes_late);
        now
    }

    /// Present route for one message, with these answers so far.
    fn laid_out(topic: &str, (answers, asked): (Answers, Answers), tenant: &Tenant) -> Self {
        let mut now = Self::empty();
        tenant.lay_out(&mut now, topic, &mut Vec::new());
        Self { answers, asked, is_stable: false, ..now }
    }

    /// Leaves those targets that rules allow the message. Such as came back since they were asked
    /// about are asked about again, and those who were not asked about if it `takes_late` ones;
    /// else they do not get it.
    fn settle(&mut self, tenant: &Tenant, takes_late: bool) {
        let Self { targets, askers, asked, topic, is_open, is_stable, .. } = self;
        if *is_open {
            return;
        }
        targets.retain(|target| {
            let client = &target.client;
            let is_allowed = asked.of(client).unwrap_or_else(|| {
                (takes_late || asked.has(client)) && asked.ask(tenant, client, topic, is_stable)
            });
            if !is_allowed && may_have_own_replies(&client.identity(), topic) {
                askers.push(target.clone());
            }
            is_allowed
        });
    }

    /// Number of receivers that it lists; a group counts once.
    pub fn receivers(&self) -> usize {
        self.targets.len() + self.askers.len() + self.groups.len()
    }

    /// Memory that it takes for its topic, in receivers.
    fn kept(&self) -> usize {
        self.receivers() + RECEIVERS_PER_DEFINITION * self.definitions()
    }

    /// Number of definitions that start with its topic, or listen.
    fn definitions(&self) -> usize {
        let starting = self.triggers.as_ref().map_or(0, |triggers| triggers.definitions());
        let listening = self.listeners.as_ref().map_or(0, |listeners| listeners.count());
        starting + listening
    }

    /// Removes receivers whom rules deny messages of the topic.
    pub fn ask(&mut self, tenant: &Tenant) {
        let Self { targets, askers, topic, is_open, is_stable, .. } = self;
        if !*is_open {
            targets.retain(|target| {
                let identity = target.client.identity();
                let is_allowed = delivers(tenant, &identity, topic, is_stable);
                if !is_allowed && may_have_own_replies(&identity, topic) {
                    askers.push(target.clone());
                }
                is_allowed
            });
        }
    }

    /// Empties the route but keeps its memory.
    pub fn clear(&mut self) {
        self.topic.clear();
        self.targets.clear();
        self.askers.clear();
        self.groups.clear();
        self.triggers = None;
        self.listeners = None;
        self.caching = Caching::Skip;
        (self.answers, self.asked) = (Answers::default(), Answers::default());
        (self.is_open, self.is_stable, self.generation) = (true, true, 0);
    }
}

impl Tenant {
    /// Route of `topic` at present.
    pub fn route(&self, topic: &str) -> Route {
        let mut route = Route::empty();
        self.lay_out(&mut route, topic, &mut Vec::new());
        route.ask(self);
        route
    }

    /// Makes `route` that of `topic`, in its own memory, without the decisions of rules about
    /// receivers. `found` is memory for this, empty before and after.
    pub(crate) fn lay_out(&self, route: &mut Route, topic: &str, found: &mut Vec<(u64, Target)>) {
        route.clear();
        route.topic.push_str(topic);
        route.generation = self.generation.load(Ordering::Acquire);
        self.index.read().visit(topic, |matched| match matched {
            Match::Subscriber(session, subscriber) if subscriber.options.cover(topic) => {
                found.push((*session, subscriber.target()));
            }
            Match::Subscriber(..) => {}
            Match::Group(group) => route.groups.push(Arc::clone(group)),
        });
        merge(found, &mut route.targets);
        route.groups.sort_unstable_by_key(|group| group.id());
        route.is_open = self.permissions.delivers_to_all(topic) == Some(true);
        (route.triggers, route.is_stable) = self.hooks.triggers(self, topic);
        let (listeners, are_stable) = self.hooks.listeners(self, topic);
        route.listeners = listeners;
        route.is_stable &= are_stable;
        route.caching = self.hooks.caching(topic);
    }
}

impl TenantRoutes {
    fn forget(&mut self) {
        self.last = None;
        self.clear();
    }

    fn clear(&mut self) {
        self.routes.clear();
        self.receivers = 0;
    }

    /// Keeps the memory of a route that nobody else has. It must not keep Clients alive.
    fn recycle(&mut self, mut route: Arc<Route>) {
        if let Some(own) = Arc::get_mut(&mut route)
            && own.targets.capacity() <= SPARE_TARGETS_MAX
        {
            own.clear();
            self.spare = Some(route);
        }
    }

    /// Whether a topic with this hash came lately; notes that it has come.
    #[expect(clippy::cast_possible_truncation, reason = "parts of a hash")]
    fn comes_again(&mut self, hash: u64) -> bool {
        if self.seen.is_empty() {
            // Zeroed by the kernel, page by page as it is used: a tenant of few topics takes little
            // of it.
            self.seen = vec![0; ROUTE_CACHE_TOPICS];
        }
        let place = hash as usize % ROUTE_CACHE_TOPICS;
        // Never 0, which stands for nothing.
        let part = (hash >> 32) as u32 | 1;
        std::mem::replace(&mut self.seen[place], part) == part
    }

    fn find(
        &mut self,
        tenant: &Arc<Tenant>,
        (topic, bytes): (&str, Option<usize>),
        hasher: &Hashing,
        steps: &mut usize,
    ) -> Result<Arc<Route>, Box<Asking>> {
        let hash = hasher.hash_one(topic);
        if let Some(route) = self.routes.find(hash, |route| *route.topic == *topic) {
            return Ok(Arc::clone(route));
        }
        let comes_again = self.comes_again(hash);
        let spare = if comes_again { None } else { self.spare.take() };
        let mut route = spare.unwrap_or_else(|| Arc::new(Route::empty()));
        let own = Arc::get_mut(&mut route).expect("a spare route has one owner");
        tenant.lay_out(own, topic, &mut self.found);
        *steps += STEPS_PER_ROUTE + own.definitions() * STEPS_PER_DEFINITION;
        self.found.shrink_to(SPARE_TARGETS_MAX);
        let members = if bytes.is_some() { own.groups.iter().map(|group| group.len()).sum() } else { 0 };
        if !own.is_open && own.targets.len() + members > RECEIVERS_ASKED_AT_ONCE {
            return Err(Box::new(Asking::new(route, comes_again.then_some(hash), bytes)));
        }
        own.ask(tenant);
        if comes_again {
            self.remember(hash, &route, hasher);
        }
        Ok(route)
    }

    /// Caches a route that is good for more than one message.
    fn remember(&mut self, hash: u64, route: &Arc<Route>, hasher: &Hashing) {
        let receivers = route.kept();
        if !route.is_stable
            || receivers > ROUTE_CACHE_RECEIVERS
            || route.topic.len() > ROUTE_CACHE_TOPIC_BYTES
        {
            return;
        }
        if self.routes.len() >= ROUTE_CACHE_TOPICS || self.receivers + receivers > ROUTE_CACHE_RECEIVERS {
            self.clear();
        }
        self.receivers += receivers;
        self.routes.insert_unique(hash, Arc::clone(route), |route| hasher.hash_one(&*route.topic));
    }
}

/// Whether rules allow an identity messages of a topic. `is_stable` is cleared when they have to be
/// asked again for the next message.
fn delivers(tenant: &Tenant, identity: &Identity, topic: &str, is_stable: &mut bool) -> bool {
    let decision = tenant.delivers(identity, topic);
    *is_stable &= decision.is_stable;
    decision.authorization.is_allowed()
}

/// Merges targets of the same Client to one.
fn merge(found: &mut Vec<(u64, Target)>, targets: &mut Vec<Target>) {
    found.sort_by_key(|(session, _)| *session);
    for (_, target) in found.drain(..) {
        match targets.last_mut() {
            Some(last) if Arc::ptr_eq(&last.client, &target.client) => last.merge(target),
            _ => targets.push(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_receivers_of_remembered_routes_are_bounded() {
        const SUBSCRIBERS: usize = 40;
        let tenant = fixture::open_tenant();
        for number in 0..SUBSCRIBERS {
            let name = format!("everything-{number}");
            let client = fixture::client(&tenant, u32::try_from(number).unwrap(), &name);
            tenant.subscribe(&client, "#", fixture::PLAIN);
        }
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let mut most = 0;
        // A route is remembered when its topic comes for the second time.
        for topic in 0..ROUTE_CACHE_RECEIVERS / SUBSCRIBERS + 100 {
            for other in ["", "/other"] {
                for _ in 0..2 {
                    let route = cache.take(&tenant, format!("{topic}{other}").as_bytes());
                    assert_eq!(route.targets.len(), SUBSCRIBERS);
                    cache.put_back(&tenant, route);
                    // Not the one before.
                    let between = cache.take(&tenant, b"between");
                    cache.put_back(&tenant, between);
                }
            }
            let known = &cache.tenants[tenant.number as usize];
            assert!(known.receivers <= ROUTE_CACHE_RECEIVERS && known.routes.len() <= ROUTE_CACHE_TOPICS);
            most = most.max(known.receivers);
        }
        assert!(most > ROUTE_CACHE_RECEIVERS / 2, "they are remembered: {most}");
        let known = &cache.tenants[tenant.number as usize];
        assert_eq!(known.receivers, known.routes.iter().map(|route| route.kept()).sum::<usize>());
    }

    #[test]
    fn a_route_that_was_held_is_not_used_again_when_others_have_subscribed() {
        let tenant = fixture::open_tenant();
        let [first, second] =
            [(0, "first"), (1, "second")].map(|(slot, name)| fixture::client(&tenant, slot, name));
        tenant.subscribe(&first, "a", fixture::PLAIN);
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let held = cache.take(&tenant, b"a");
        tenant.subscribe(&second, "a", fixture::PLAIN);
        let between = cache.take(&tenant, b"between");
        cache.put_back(&tenant, between);
        cache.put_back(&tenant, held);
        assert_eq!(cache.take(&tenant, b"a").targets.len(), 2);
    }

    #[test]
    fn a_route_is_brought_up_to_the_subscriptions_of_its_moment() {
        let tenant = fixture::open_tenant();
        let client = fixture::client(&tenant, 0, "late");
        let mut route = RouteCache::new(Hashing::fixed(0)).take(&tenant, b"a");
        let before = route.generation;
        tenant.subscribe(&client, "a", fixture::PLAIN);
        Route::bring_up_to(&mut route, before, &tenant);
        assert_eq!(route.targets.len(), 0, "who came later has it as the retained one");
        Route::bring_up_to(&mut route, before + 1, &tenant);
        assert_eq!(route.targets.len(), 1);
        assert!(route.generation > before && !route.is_stable);
    }

    /// Between two packets the clock is looked at where steps were taken for it.
    #[test]
    fn a_new_topic_counts_for_each_definition_that_hears_of_it() {
        for definitions in [0, 3, 100] {
            let tenant = fixture::tenant_heard_by(definitions);
            let mut cache = RouteCache::new(Hashing::fixed(0));
            let take = |cache: &mut RouteCache| {
                let route = cache.take(&tenant, b"a");
                cache.put_back(&tenant, route);
                cache.take_steps()
            };
            assert_eq!(take(&mut cache), STEPS_PER_ROUTE + definitions * STEPS_PER_DEFINITION);
            assert_eq!(take(&mut cache), 0, "its route is known");
        }
    }

    #[test]
    fn routes_of_long_topics_are_not_remembered() {
        let tenant = fixture::open_tenant();
        let mut cache = RouteCache::new(Hashing::fixed(0));
        for (length, remembered) in [(ROUTE_CACHE_TOPIC_BYTES, 1), (ROUTE_CACHE_TOPIC_BYTES + 1, 1)] {
            for _ in 0..3 {
                for topic in ["a".repeat(length), "between".to_owned()] {
                    let route = cache.take(&tenant, topic.as_bytes());
                    assert_eq!(*route.topic, *topic);
                    cache.put_back(&tenant, route);
                }
            }
            let known = &cache.tenants[tenant.number as usize];
            let long = known.routes.iter().filter(|route| route.topic.starts_with("aa")).count();
            assert_eq!(long, remembered, "{length}");
        }
    }
}
