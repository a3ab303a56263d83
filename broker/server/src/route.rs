//! Routes: who gets the messages of one topic, and each thread's memory of them.
//!
//! A route is computed once per topic, thread and generation of the tenant's subscriptions and definitions; most messages find theirs
//! with one comparison, because a publisher rarely changes its topic.
//!
//! Invariants: a remembered route is used only while its tenant's generation is the one it was computed at; at most
//! [`ROUTE_CACHE_TOPICS`] routes a thread and tenant.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::{DefaultHashBuilder, HashTable};
use lotmq_codec::QoS;
use lotmq_definitions::Caching;

use crate::client::Client;
use crate::guests::Trigger;
use crate::limits::ROUTE_CACHE_TOPICS;
use crate::subscription::{Identifiers, SharedGroup};
use crate::tenant::Tenant;

/// Who gets the messages of one topic.
pub(crate) struct Route {
    pub(crate) topic: Box<str>,
    pub(crate) targets: Box<[Target]>,
    pub(crate) groups: Box<[Arc<SharedGroup>]>,
    pub(crate) triggers: Box<[Arc<Trigger>]>,
    /// What a message does to the topic's last value.
    pub(crate) caching: Caching,
}

/// One receiver of a topic, its overlapping subscriptions already merged \[MQTT-3.3.4-2\].
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) client: Arc<Client>,
    /// The highest granted QoS.
    pub(crate) qos: QoS,
    /// True when every matching subscription said so \[MQTT-3.8.3-3\]; see `own` for some of them.
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifiers of all matching subscriptions \[MQTT-3.3.4-4\].
    pub(crate) identifiers: Identifiers,
    /// What counts for the Client's own messages, where some of its matching subscriptions said No Local and others did not.
    pub(crate) own: Option<Box<Target>>,
}

/// One thread's routes.
#[derive(Default)]
pub(crate) struct RouteCache {
    tenants: Vec<TenantRoutes>,
    hasher: DefaultHashBuilder,
}

#[derive(Default)]
struct TenantRoutes {
    generation: u64,
    last: Option<Arc<Route>>,
    routes: HashTable<Arc<Route>>,
}

impl RouteCache {
    /// The route of `topic`. The caller hands it back with [`RouteCache::put_back`], which spares the hot path a counter update.
    pub(crate) fn take(&mut self, tenant: &Arc<Tenant>, topic: &str) -> Arc<Route> {
        let index = tenant.number as usize;
        if index >= self.tenants.len() {
            self.tenants.resize_with(index + 1, TenantRoutes::default);
        }
        let known = &mut self.tenants[index];
        let generation = tenant.generation.load(Ordering::Acquire);
        if known.generation != generation {
            known.generation = generation;
            known.last = None;
            known.routes.clear();
        }
        if let Some(last) = known.last.take()
            && *last.topic == *topic
        {
            return last;
        }
        known.find(tenant, topic, &self.hasher)
    }

    /// Remembers the route as the latest of its tenant.
    pub(crate) fn put_back(&mut self, tenant: &Tenant, route: Arc<Route>) {
        self.tenants[tenant.number as usize].last = Some(route);
    }

    /// Lets go of the routes of tenants whose generation has passed, so that an idle thread does not keep closed Clients alive.
    pub(crate) fn drop_stale(&mut self, tenants: &[Arc<Tenant>]) {
        for tenant in tenants {
            let Some(known) = self.tenants.get_mut(tenant.number as usize) else { continue };
            if known.generation != tenant.generation.load(Ordering::Acquire) {
                known.last = None;
                known.routes.clear();
                known.generation = 0;
            }
        }
    }
}

impl TenantRoutes {
    fn find(&mut self, tenant: &Arc<Tenant>, topic: &str, hasher: &DefaultHashBuilder) -> Arc<Route> {
        let hash = hasher.hash_one(topic);
        if let Some(route) = self.routes.find(hash, |route| *route.topic == *topic) {
            return Arc::clone(route);
        }
        let route = Arc::new(tenant.route(topic));
        if self.routes.len() >= ROUTE_CACHE_TOPICS {
            self.routes.clear();
        }
        self.routes.insert_unique(hash, Arc::clone(&route), |route| hasher.hash_one(&*route.topic));
        route
    }
}
