//! Drivers of routes: what opens the guest of a route, calls it with what waits in its mailbox, and does what its answers ask for.
//!
//! All of them run on the thread of routes; [`routes`](super::routes) is what everybody else knows of a route. Not here: what a route brings (`ingest`).

mod configuration;
mod delivery;
mod driver;
mod endpoints;
mod folders;
mod schema;
mod template;
mod thread;
mod tls_profiles;

use lot_facts::{Facts, TopicFact};
use lotmq_host::{Acting, Ambient, Grants, NameGrant, Qos, TopicGrant, ValueGrant};

pub(crate) use thread::{SteppedRoutes, start};

/// Grants of a route: what its text names, and nothing else.
fn grants(facts: &Facts, acting: Acting) -> Grants {
    let names = |names: &[String]| NameGrant::Names(names.iter().map(|name| name.as_str().into()).collect());
    let is_any = facts.writes.contains(&TopicFact::Any);
    let filters = facts.writes.iter().filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter.as_str().into()),
        TopicFact::Any => None,
    });
    Grants {
        acting,
        write: if is_any { TopicGrant::NotSystem } else { TopicGrant::Filters(filters.collect()) },
        environment: ValueGrant { read: names(&facts.env), write: names(&facts.env) },
        secrets: ValueGrant { read: names(&facts.secrets), write: names(&facts.secrets) },
        files: ValueGrant::all(),
        state: true,
        ..Grants::default()
    }
}

fn route_qos(qos: Qos) -> lotmq_host::route::Qos {
    match qos {
        Qos::AtMostOnce => lotmq_host::route::Qos::AtMostOnce,
        Qos::AtLeastOnce => lotmq_host::route::Qos::AtLeastOnce,
        Qos::ExactlyOnce => lotmq_host::route::Qos::ExactlyOnce,
    }
}

/// Text of `RANDOM UUID`: version 4, lower case.
fn uuid_text(chance: &dyn Ambient) -> String {
    let bytes = u128::from(chance.random()) << 64 | u128::from(chance.random());
    uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests;
