//! Drivers of routes: what opens the guest of a route, calls it with what waits in its mailbox, and
//! does what its answers ask for.
//!
//! All of them run on the threads of routes; [`routes`](super::routes) is what everybody else knows
//! of a route. Not here: what a route brings (`ingest`).

pub mod asset_configuration;
mod configuration;
mod dead_lettering;
mod delivery;
mod document;
#[doc(hidden)]
pub mod driver;
mod endpoints;
mod fair_tasks;
pub mod folders;
mod later_values;
pub(crate) mod login_endpoints;
mod places;
mod schema;
mod serial_lines;
mod service_records;
mod supervise;
mod template;
mod thread;
mod tls_profiles;
mod turn_work;

use std::collections::BTreeSet;
use std::sync::Arc;

use lot_facts::{Facts, RouteBlock, RouteFacts, RouteValue, TopicFact};
use lot_route_catalogue::RouteType;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;
use lotmq_host::fiber::FiberServices as _;
use lotmq_host::route::{Abilities, Description};
use lotmq_host::{Acting, Ambient, Capability, Grants, NameGrant, Qos, RunContext, TopicGrant, ValueGrant};

use super::guest_id::guest_id;
use super::hosting::Hosting;
use super::route_modules;
use super::routes::version::RouteCode;
use super::services::TenantServices;
use crate::HasPrograms as _;
use endpoints::{PlaceBounds, SectionTls};
use lotmq_codes::Code;

pub(crate) use thread::again_after_panics;
pub use thread::{SteppedRoutes, open, start};

/// Reason why a guest that is described so, of a module with a configuration, cannot be opened with
/// the settings of a route, whatever values the environment and secrets give them.
pub fn refusal(described: &Description, route: &RouteFacts, of_asset: Option<&str>) -> Option<String> {
    refuses_events(described.abilities, route).map(str::to_owned).or_else(|| {
        let expected = asset_configuration::laid_under(configuration::expected(route), of_asset);
        schema::checked(&described.configuration, expected).err().map(|reason| reason.to_string())
    })
}

/// Checks that what a guest says of its settings is a schema.
pub(crate) fn check_schema(described: &Description) -> Result<(), schema::SchemaError> {
    schema::read(&described.configuration).map(drop)
}

/// Reason why a guest with these abilities cannot have the events of a route.
fn refuses_events(abilities: Abilities, route: &RouteFacts) -> Option<&'static str> {
    let has_none = abilities.contains(Abilities::DELIVER) || route.events.is_empty();
    (!has_none).then_some("its guest takes no messages, so it can have no events")
}

/// Returns warnings about the places to which a route connects or at which it listens, by code. It
/// asks no other system: it reports missing settings and places that the operator refuses.
pub fn place_warnings(
    (tenant, hosting): (&Arc<Tenant>, &Arc<Hosting>),
    definition: &Arc<Definition>,
) -> Vec<(Code, String)> {
    let Some(route) = definition.facts().route.as_deref() else { return Vec::new() };
    let services = Arc::new(TenantServices::new(tenant, hosting, definition));
    let names = template::OfRoute(&services, RunContext::new(guest_id(tenant, definition.id)));
    if let Err(wrong) = later_values::typed(route, &names) {
        return vec![(Code::ValueInvalid, format!("the route stands still: {wrong}"))];
    }
    let kind = tenant.programs().guests.route_modules.described(route);
    let Ok(mut said) = places::placed(route, kind.as_deref(), &names) else {
        return Vec::new();
    };
    add_default_ports(tenant, &mut said);
    let refuses = |address| services.refuses_address(address);
    let bounds = PlaceBounds { refuses: Some(&refuses), ..PlaceBounds::default() };
    let made = match endpoints::endpoints(&said, &names, bounds, &SectionTls::default()) {
        Ok(made) => made,
        // That a value is not set which a setting names is told of the value.
        Err(reason) if reason.is_of_value(&said) => return Vec::new(),
        Err(reason) => {
            let code = if reason.is_refused() { Code::AddressRefused } else { Code::EndpointMissing };
            return vec![(code, format!("the route stands still: {reason}"))];
        }
    };
    let module =
        route_modules::named(&said).and_then(|module| tenant.programs().guests.route_module(module).ok());
    let wants_one = module.is_some_and(|(module, _)| !module.places.is_empty());
    let without = without_place(&said, made.is_empty() && wants_one);
    let refused = made.values().filter(|endpoint| endpoint.listens).filter_map(|endpoint| {
        let reason = services.refuses_listening(endpoint.host.parse().ok()?)?;
        Some(format!("the route does not listen at port {}: {reason}", endpoint.port))
    });
    // Without a network the driver reports the failure when it tries to listen.
    let refused: BTreeSet<String> = refused.filter(|_| hosting.routes.network_refused.is_none()).collect();
    let refused = refused.into_iter().map(|told| (Code::AddressRefused, told));
    without.into_iter().map(|told| (Code::EndpointMissing, told)).chain(refused).collect()
}

/// Gives the sections of a module's route the ports that it has as defaults.
fn add_default_ports(tenant: &Tenant, route: &mut RouteFacts) {
    let Some(name) = route_modules::named(route).map(str::to_owned) else { return };
    RouteCode::Module(name.into()).described(&tenant.programs().guests, |described| {
        places::with_default_ports(route, &described.configuration);
    });
}

/// Reason why the sections of a route make no endpoints for a guest that is described so, of a
/// module with this type, whatever is granted and whatever values it names; `wants_one`: it asks
/// for places to connect to or listen at.
pub fn place_refusal(
    described: &Description,
    route: &RouteFacts,
    kind: Option<&RouteType>,
    wants_one: bool,
) -> Option<String> {
    let mut said = match places::placed(route, kind, &configuration::NobodysNames) {
        Ok(said) => said,
        Err(reason) => return Some(format!("the route stands still: {reason}")),
    };
    places::with_default_ports(&mut said, &described.configuration);
    let made = endpoints::endpoints(
        &said,
        &configuration::NobodysNames,
        PlaceBounds::default(),
        &SectionTls::default(),
    );
    match made {
        Ok(made) => without_place(&said, made.is_empty() && wants_one).into_iter().next(),
        Err(reason) if reason.is_of_value(&said) => None,
        Err(reason) => Some(format!("the route stands still: {reason}")),
    }
}

/// Describes the sections of a module's route that lack a place. These are the sections with a port
/// and, if no section has a place and `wants_one`, the only one.
fn without_place(route: &RouteFacts, wants_one: bool) -> Vec<String> {
    let Some(module) = route_modules::named(route) else { return Vec::new() };
    let own: Vec<_> = route.sections.iter().filter(|section| !schema::is_of_host(&section.name)).collect();
    let told = |section: &RouteBlock| {
        let name = &section.name;
        format!(
            "{name}: HOST is not set, nor ALLOW_HOSTS or LISTEN, so there is no endpoint '{}'",
            endpoints::name_of(section)
        )
    };
    let with_port = own.iter().filter(|section| endpoints::has_port_alone(section));
    let of_port: Vec<String> = with_port.map(|section| told(section)).collect();
    match &own[..] {
        _ if !of_port.is_empty() || !wants_one => of_port,
        [only] if !endpoints::names_value(only) => vec![told(only)],
        [_] => Vec::new(),
        _ => vec![format!(
            "module '{module}' reaches places, and no section of the route has HOST, ALLOW_HOSTS or LISTEN"
        )],
    }
}

/// Places that a route names, as `host:port` and as patterns of them, which its module needs the
/// grants `endpoint:` of; none of a section whose settings do not say them well.
pub fn places_named(
    (tenant, hosting): (&Arc<Tenant>, &Arc<Hosting>),
    definition: &Arc<Definition>,
) -> BTreeSet<String> {
    let Some(route) = definition.facts().route.as_deref() else { return BTreeSet::new() };
    let services = Arc::new(TenantServices::new(tenant, hosting, definition));
    let names = template::OfRoute(&services, RunContext::new(guest_id(tenant, definition.id)));
    let kind = tenant.programs().guests.route_modules.described(route);
    let Ok(mut said) = places::placed(route, kind.as_deref(), &names) else { return BTreeSet::new() };
    add_default_ports(tenant, &mut said);
    endpoints::places_named(&said, &names)
}

/// Topics and secrets that the text of a route names, which its module needs the grants of as well:
/// topics with placeholders as the filter that they stand for.
pub fn names_needed(facts: &Facts) -> Vec<(Capability, String)> {
    let named = |capability, of: &[TopicFact]| {
        let filter = |fact: &TopicFact| match fact {
            TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some((capability, filter.clone())),
            TopicFact::Any => None,
        };
        of.iter().filter_map(filter).collect::<Vec<_>>()
    };
    let read = topics_read(facts);
    let mut needed =
        [named(Capability::WriteTopic, &facts.writes), named(Capability::ReadTopic, &read)].concat();
    if let Some(route) = facts.route.as_deref() {
        let topics = route.answered().chain(route.brought());
        let with_placeholders = topics.filter(|topic| matches!(topic, RouteValue::Template(_)));
        let filters = with_placeholders.filter_map(RouteValue::topics);
        needed.extend(filters.map(|filter| (Capability::WriteTopic, filter)));
        let handed = configuration::secrets_handed(route);
        let secrets = facts.secrets.iter().filter(|name| handed.contains(*name));
        needed.extend(secrets.map(|name| (Capability::ReadSecret, name.clone())));
    }
    needed.sort();
    needed.dedup();
    needed
}

/// Settings of a route as its guest gets them, as far as its text says them: secrets by their
/// names.
pub fn settings(route: &RouteFacts) -> serde_json::Value {
    schema::with_plain_numbers(configuration::expected(route))
}

/// Grants of a route: what its text names, but for private keys, and nothing else.
fn grants(facts: &Facts, acting: Acting) -> Grants {
    let [no_environment, no_secrets] =
        facts.route.as_deref().map(tls_profiles::host_only_names).unwrap_or_default();
    let names = |names: &[String], host_only: &BTreeSet<&str>| {
        let named = names.iter().filter(|name| !host_only.contains(name.as_str()));
        NameGrant::Names(named.map(|name| name.as_str().into()).collect())
    };
    let (environment, secrets) = (names(&facts.env, &no_environment), names(&facts.secrets, &no_secrets));
    Grants {
        acting,
        write: topics(&facts.writes),
        read: topics(&topics_read(facts)),
        environment: ValueGrant { read: environment.clone(), write: environment },
        secrets: ValueGrant { read: secrets.clone(), write: secrets },
        files: ValueGrant::all(),
        serial_ports: NameGrant::All,
        state: true,
        ..Grants::default()
    }
}

/// Topics of which a route reads last values, or what is retained.
fn topics_read(facts: &Facts) -> Vec<TopicFact> {
    [&facts.reads[..], &facts.retained_reads].concat()
}

fn topics(facts: &[TopicFact]) -> TopicGrant {
    let filters = facts.iter().map(|fact| match fact {
        TopicFact::Exact(filter) | TopicFact::Pattern(filter) => Some(filter.as_str().into()),
        TopicFact::Any => None,
    });
    filters.collect::<Option<_>>().map_or(TopicGrant::NotSystem, TopicGrant::Filters)
}

pub(crate) fn route_qos(qos: Qos) -> lotmq_host::route::Qos {
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
