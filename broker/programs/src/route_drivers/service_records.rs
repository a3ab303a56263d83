//! Servers that a name stands for by SRV records: `mongodb+srv://name`, as MongoDB's specification
//! "Initial DNS Seedlist Discovery" has it.
//!
//! Looked up each time when an instance is opened. The route goes on as if its address named these
//! servers, so what the operator and policies say of places holds for
//! each of them. Its guest is told the servers, and the options of the TXT record.
//!
//! Invariant: a server is in the domain of the name, so that who can forge one answer cannot send a
//! login elsewhere in the world.

mod dns;

use std::net::SocketAddr;
use std::time::Duration;

use lot_facts::{RouteFacts, RouteValue};
use serde_json::{Map, Value as Json, json};
use simple_dns::TYPE;
use tokio::time::timeout;

use super::endpoints::setting;
use super::places::cluster_url::{ClusterUrl, ServiceName};
use super::template::Names;
use dns::{DnsQuestion, DnsRecord, LookupError};
use lot_route_catalogue::{Far, SectionPlace};

/// Servers that a name stands for.
const SERVERS_MAX: usize = 50;

/// Time for both questions, whatever the name servers do.
const LOOKUP_TIME: Duration = Duration::from_secs(10);

/// File in which this system lists its name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Options that a TXT record may have.
const TEXT_OPTIONS: [&str; 3] = ["authsource", "replicaset", "loadbalanced"];

/// Characters of a foreign text in a reason.
const SHOWN_CHARS_MAX: usize = 80;

/// Servers and options that DNS has for the address of a section.
#[derive(Debug, PartialEq)]
pub(super) struct ServiceRecords {
    section: String,
    /// Setting with the address.
    key: &'static str,
    /// Options of the address itself.
    own_options: String,
    servers: Vec<(String, u16)>,
    /// Options of the TXT record.
    options: String,
}

/// Reason why an address has no servers.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum NoServers {
    #[error("{section}: {key} {reason}")]
    Address { section: String, key: &'static str, reason: &'static str },
    #[error("{section}: {0}", section = .1)]
    Lookup(LookupError, String),
    #[error("{section}: no name server has answered for '{name}' within {} s", LOOKUP_TIME.as_secs())]
    TimedOut { section: String, name: String },
    #[error("{section}: '{name}' has no SRV records")]
    NoRecords { section: String, name: String },
    #[error("{section}: '{name}' has {count} SRV records, limit {SERVERS_MAX}")]
    TooMany { section: String, name: String, count: usize },
    #[error("{section}: the SRV record of '{name}' names '{server}', which is not in the domain of '{host}'")]
    OutsideDomain { section: String, name: String, server: String, host: String },
    #[error("{section}: '{host}' has {count} TXT records, limit 1")]
    Texts { section: String, host: String, count: usize },
    #[error(
        "{section}: the TXT record of '{host}' has the option '{option}'; authSource, replicaSet and loadBalanced are allowed there"
    )]
    Option { section: String, host: String, option: String },
}

impl NoServers {
    /// Whether the definition has to be changed: all else may be mended in DNS.
    pub(super) fn is_of_definition(&self) -> bool {
        matches!(self, NoServers::Address { .. })
    }
}

/// Name servers that are asked: those of the configuration, or of this system.
pub(super) async fn name_servers(configured: &[SocketAddr]) -> Vec<SocketAddr> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let read = tokio::task::spawn_blocking(|| std::fs::read_to_string(RESOLV_CONF)).await;
    dns::of_system(&read.ok().and_then(Result::ok).unwrap_or_default())
}

/// Services that a route names in its addresses, by section.
pub(super) fn named(
    route: &RouteFacts,
    places: &'static [SectionPlace],
    names: &impl Names,
) -> Vec<(String, &'static str, String)> {
    let addresses = route.sections.iter().filter_map(|block| {
        let place = places.iter().find(|place| place.section == block.name)?;
        let Far::ClusterUrl { url } = &place.far else { return None };
        let text = setting(block, names, url)?;
        ClusterUrl::parse(&text)?.is_service.then(|| (block.name.clone(), url.as_str(), text))
    });
    addresses.collect()
}

/// Looks up the servers of one address.
pub(super) async fn look_up(
    (section, key, text): (String, &'static str, String),
    name_servers: &[SocketAddr],
) -> Result<ServiceRecords, NoServers> {
    let wrong = |reason| NoServers::Address { section: section.clone(), key, reason };
    let url = ClusterUrl::parse(&text).ok_or_else(|| wrong("names no server"))?;
    let ServiceName { host, service, servers_max } = url.service().map_err(wrong)?;
    let name = format!("_{service}._tcp.{host}");
    let servers = dns::records(name_servers, DnsQuestion { name: &name, kind: TYPE::SRV });
    let texts = dns::records(name_servers, DnsQuestion { name: &host, kind: TYPE::TXT });
    let both = async { tokio::try_join!(servers, texts) };
    let found = timeout(LOOKUP_TIME, both).await;
    let (servers, texts) = found
        .map_err(|_| NoServers::TimedOut { section: section.clone(), name: name.clone() })?
        .map_err(|error| NoServers::Lookup(error, section.clone()))?;
    let mut servers = servers_of(servers, (&section, &name, &host))?;
    choose(&mut servers, servers_max);
    let options = options_of(texts, (&section, &host))?;
    Ok(ServiceRecords { section, key, own_options: url.options().to_owned(), servers, options })
}

/// The servers of SRV records, all of which are in the domain of the host.
fn servers_of(
    records: Vec<DnsRecord>,
    (section, name, host): (&str, &str, &str),
) -> Result<Vec<(String, u16)>, NoServers> {
    let (section, name) = (section.to_owned(), name.to_owned());
    let servers = records.into_iter().filter_map(|record| match record {
        DnsRecord::Server(server, port) => Some((server.to_ascii_lowercase(), port)),
        DnsRecord::Text(_) => None,
    });
    let servers: Vec<_> = servers.collect();
    if servers.is_empty() {
        return Err(NoServers::NoRecords { section, name });
    }
    if servers.len() > SERVERS_MAX {
        return Err(NoServers::TooMany { section, name, count: servers.len() });
    }
    match servers.iter().find(|(server, port)| *port == 0 || !is_in_domain(server, host)) {
        Some((server, _)) => {
            Err(NoServers::OutsideDomain { section, name, server: escaped(server), host: host.to_owned() })
        }
        None => Ok(servers),
    }
}

/// Whether a server is in the domain of a host: what follows its first label, or the host itself
/// where it has fewer than three labels. Both are in lower case.
fn is_in_domain(server: &str, host: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let domain = match host.split_once('.') {
        Some((_, domain)) if domain.contains('.') => domain,
        Some(_) | None => host,
    };
    let before = server.strip_suffix(domain).and_then(|before| before.strip_suffix('.'));
    server.bytes().all(is_fit) && before.is_some_and(|before| !before.is_empty())
}

/// Keeps so many servers, chosen at random; all of them for 0.
fn choose(servers: &mut Vec<(String, u16)>, servers_max: usize) {
    if servers_max == 0 || servers.len() <= servers_max {
        return;
    }
    for place in 0..servers_max {
        let left = servers.len() - place;
        let drawn = usize::try_from(getrandom::u32().unwrap_or_default()).unwrap_or_default() % left;
        servers.swap(place, place + drawn);
    }
    servers.truncate(servers_max);
}

/// The options of the TXT record, of which there may be one.
fn options_of(records: Vec<DnsRecord>, (section, host): (&str, &str)) -> Result<String, NoServers> {
    let (section, host) = (section.to_owned(), host.to_owned());
    let texts = records.into_iter().filter_map(|record| match record {
        DnsRecord::Text(text) => Some(text),
        DnsRecord::Server(..) => None,
    });
    let texts: Vec<String> = texts.collect();
    let text = match &texts[..] {
        [] => return Ok(String::new()),
        [text] => text,
        _ => return Err(NoServers::Texts { section, host, count: texts.len() }),
    };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let mut pairs = text.split('&').filter(|pair| !pair.is_empty());
    match pairs.find(|pair| !pair.contains('=') || !TEXT_OPTIONS.contains(&&*name(pair))) {
        Some(pair) => Err(NoServers::Option { section, host, option: escaped(&name(pair)) }),
        None => Ok(text.clone()),
    }
}

/// A text of others, for people.
fn escaped(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// The route with the servers in its addresses, without their logins.
pub(super) fn with_servers(route: &RouteFacts, records: &[ServiceRecords]) -> RouteFacts {
    let mut route = route.clone();
    for found in records {
        let block = route.sections.iter_mut().find(|block| block.name == found.section);
        if let Some(block) = block {
            block.settings.insert(found.key.to_owned(), RouteValue::Text(found.address()));
        }
    }
    route
}

/// Returns the records by section, as JSON for the guest.
pub(super) fn to_json(records: &[ServiceRecords]) -> Json {
    let members = records.iter().map(|found| (found.section.clone(), found.to_json()));
    members.collect::<Map<_, _>>().into()
}

impl ServiceRecords {
    fn address(&self) -> String {
        let is_said = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            ["tls", "ssl"].iter().any(|known| name.eq_ignore_ascii_case(known))
        };
        // Encrypted unless the address says otherwise.
        let tls = if self.own_options.split('&').any(is_said) { "" } else { "&tls=true" };
        format!("mongodb://{}/?{}{tls}", self.places().join(","), self.own_options)
    }

    fn places(&self) -> Vec<String> {
        self.servers.iter().map(|(host, port)| format!("{host}:{port}")).collect()
    }

    fn to_json(&self) -> Json {
        json!({ "servers": self.places(), "options": self.options })
    }
}

#[cfg(test)]
mod tests;
