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

use std::collections::BTreeSet;

use lot_facts::{Facts, TopicFact};
use lotmq_host::{Acting, Ambient, Grants, NameGrant, Qos, TopicGrant, ValueGrant};

pub(crate) use thread::{SteppedRoutes, start};

/// Grants of a route: what its text names, but for private keys, and nothing else.
fn grants(facts: &Facts, acting: Acting) -> Grants {
    let [no_environment, no_secrets] =
        facts.route.as_deref().map(tls_profiles::withheld_names).unwrap_or_default();
    let names = |names: &[String], withheld: &BTreeSet<&str>| {
        let named = names.iter().filter(|name| !withheld.contains(name.as_str()));
        NameGrant::Names(named.map(|name| name.as_str().into()).collect())
    };
    let (environment, secrets) = (names(&facts.env, &no_environment), names(&facts.secrets, &no_secrets));
    let is_any = facts.writes.contains(&TopicFact::Any);
    let filters = facts.writes.iter().filter_map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter.as_str().into()),
        TopicFact::Any => None,
    });
    Grants {
        acting,
        write: if is_any { TopicGrant::NotSystem } else { TopicGrant::Filters(filters.collect()) },
        environment: ValueGrant { read: environment.clone(), write: environment },
        secrets: ValueGrant { read: secrets.clone(), write: secrets },
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
