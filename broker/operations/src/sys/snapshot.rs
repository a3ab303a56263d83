//! Snapshot of the `$SYS` tree's retained topics for a new subscription.
//!
//! Everything is decided when the subscription is made, before any lock of its Client is taken;
//! only the sources of definitions and the states of bridges, which may be many, are copied when
//! their turn comes. Of a definition that is gone or replaced by then nothing is sent: its end was
//! published.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use lotmq_auth::built_in::BUILT_INS;
use lotmq_codec::QoS;
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_router::filter_matches;

use super::definition::{LEAVES, Leaf};
use super::documents::{CLUSTER, DOCUMENTS, LISTINGS, PERIODIC};
use super::monitor;
use crate::assets::Asset;
use crate::broker::Broker;
use crate::managed::Managing as _;
use crate::tenant_projects;
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::replay::Pending;
use lotmq_core::tenant::subscription::Options;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::authority::SourceReader;

/// Retained topics for a new subscription of a Client, in the order of the tree's tables.
pub(crate) fn snapshot(
    broker: &Broker,
    client: &Client,
    filter: &str,
    options: Options,
) -> VecDeque<Pending> {
    let tenant = &*client.tenant;
    let mut found = VecDeque::new();
    // Wildcards do not reach a first level that begins with $ [MQTT-4.7.2-1].
    if !lotmq_core::tenant::system_topics::is_system(filter) {
        return found;
    }
    let wants = |topic: &str| options.cover(topic) && filter_matches(filter, topic);
    let mut push = |topic: &str, payload: &[u8]| found.push_back(Pending::Ready(message(topic, payload)));
    for document in DOCUMENTS.iter().chain(PERIODIC).chain(CLUSTER).filter(|document| wants(document.topic)) {
        push(document.topic, (document.payload)(broker, tenant).as_bytes());
    }
    for document in LISTINGS.iter().filter(|document| wants(document.topic)) {
        push(document.topic, super::listing::listing(broker, tenant, document).as_bytes());
    }
    if broker.hosting.config.sys.interval_sec > 0 && may_match(filter, "broker") {
        for (topic, payload) in monitor::topics(broker, tenant).iter().filter(|(topic, _)| wants(topic)) {
            push(topic, payload.as_bytes());
        }
    }
    if may_match(filter, "broker") {
        found.push_back(bridges(tenant, filter, options));
    }
    if may_match(filter, "Coreflux") {
        for module in tenant.managed().modules.all() {
            let topic = format!("$SYS/Coreflux/Modules/{}", module.name);
            if wants(&topic) {
                let info = crate::modules::info(tenant, &module).to_string();
                found.push_back(Pending::Ready(message(&topic, info.as_bytes())));
            }
        }
        assets(broker, tenant, filter, &wants, &mut found);
        for project in tenant.managed().projects.all() {
            for (topic, payload) in
                tenant_projects::topics(tenant, &project).iter().filter(|(topic, _)| wants(topic))
            {
                found.push_back(Pending::Ready(message(topic, payload.as_bytes())));
            }
        }
        for rule in BUILT_INS {
            let topic = format!("$SYS/Coreflux/Rules/{}", rule.name);
            if wants(&topic) {
                found.push_back(Pending::Ready(message(&topic, rule.source.as_bytes())));
            }
        }
        definitions(client, filter, &wants, &mut found);
    }
    found
}

/// Whether the filter's second level reaches this one.
fn may_match(filter: &str, second: &str) -> bool {
    filter.split('/').nth(1).is_some_and(|level| matches!(level, "+" | "#") || level == second)
}

/// States of bridges, which any Client may fill up to their bound: each is looked up when its turn
/// comes.
fn bridges(tenant: &Tenant, filter: &str, options: Options) -> Pending {
    let states = Arc::clone(&tenant.managed().bridges);
    let (filter, mut last): (Box<str>, Option<Arc<str>>) = (filter.into(), None);
    Pending::Each(Box::new(move || {
        let wants = |topic: &str| options.cover(topic) && filter_matches(&filter, topic);
        let (topic, state) = states.next(last.as_deref(), wants)?;
        last = Some(Arc::clone(&topic));
        Some(message(&topic, &state))
    }))
}

fn assets(
    broker: &Broker,
    tenant: &Tenant,
    filter: &str,
    wants: &dyn Fn(&str) -> bool,
    found: &mut VecDeque<Pending>,
) {
    if !filter.split('/').nth(2).is_some_and(|level| matches!(level, "+" | "#" | "Assets")) {
        return;
    }
    for asset in Asset::all(tenant) {
        let topic = asset.topic();
        if wants(&topic) {
            let info = asset.info(tenant, broker.core.clock.wall_ms()).to_string();
            tenant.managed().assets.tells(&asset.name, &info);
            found.push_back(Pending::Ready(message(&topic, info.as_bytes())));
        }
    }
}

fn definitions(client: &Client, filter: &str, wants: &dyn Fn(&str) -> bool, found: &mut VecDeque<Pending>) {
    let tenant = &client.tenant;
    // The rules are asked without the lock of the registry.
    let reader = SourceReader::new(tenant, &client.identity());
    let registry = tenant.programs().guests.registry.read();
    let mut add = |definition: &Arc<Definition>| {
        let matching = LEAVES.into_iter().filter(|leaf| wants(&leaf.topic(definition)));
        let sees_all = reader.sees_all_of(definition.owner());
        found.extend(matching.map(|leaf| {
            let definition = Arc::downgrade(definition);
            Pending::Made(Box::new(move || of_definition(&definition, leaf, sees_all)))
        }));
    };
    // The name is the last level of a kind's own, so a filter that spells it out needs one look.
    let levels: Vec<&str> = filter.split('/').collect();
    for kind in DefinitionKind::ALL {
        let depth = 2 + kind.sys_level().split('/').count();
        match levels.get(depth) {
            Some(name) if !matches!(*name, "+" | "#") => {
                registry.get(kind, name).into_iter().for_each(&mut add)
            }
            _ => registry.list(kind).for_each(&mut add),
        }
    }
}

/// Message of a definition's topic, unless the definition is removed by now. Readers that do not
/// see all get no passwords.
fn of_definition(definition: &Weak<Definition>, leaf: Leaf, sees_all: bool) -> Option<Arc<Message>> {
    let definition = definition.upgrade()?;
    let whole = leaf.payload(&definition)?;
    let payload = if sees_all { None } else { leaf.masked(&whole) }.unwrap_or(whole);
    Some(message(&leaf.topic(&definition), payload.as_bytes()))
}

/// Retained message of the tree. Each subscription gets it with its own QoS.
fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
    let parts = MessageParts {
        topic,
        properties: &[],
        payload,
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at_ms: None,
    };
    Arc::new(Message::new(0, parts))
}
