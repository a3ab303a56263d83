//! Endpoints of a route: the places that its settings name, for its guest.
//!
//! Each section with a `HOST` (or `SERVER`), an `ALLOW_HOSTS` or a `LISTEN` is an endpoint of its
//! own name: `SQL_CONFIG` makes `sql`. If a section of a built-in type both connects and serves,
//! the name of the serving endpoint ends with `_server`.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue};
use lotmq_host::Capability;
use lotmq_host::fiber::{Endpoint, EndpointTls, HostPattern, HttpService, NotAPattern, ServerTls};

use super::template::Names;
use crate::asked_grants::AskedGrants;
use crate::grant_intersection::reaches;
use crate::granting;
use crate::policies::Policies;

/// Settings by which a section connects to other places.
const FAR: [&str; 3] = ["HOST", "SERVER", "ALLOW_HOSTS"];

/// Setting by which the host serves a protocol where the section listens.
pub(super) const SERVE: &str = "SERVE";

/// Setting by which a section listens.
pub(super) const LISTEN: &str = "LISTEN";

/// End of the name of an endpoint that serves HTTP beside another one of the same section.
const SERVED: &str = "_server";

/// Reason why the settings of a section make no endpoint.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum NoEndpoint {
    #[error("{section}: {key} is not set")]
    Missing { section: String, key: &'static str },
    #[error("{section}: {key} is '{value}', which is no port from 1 to 65535")]
    Port { section: String, key: &'static str, value: String },
    #[error("{section}: LISTEN is '{value}', which is not an IP address and a port, as in '10.0.0.7:502'")]
    Listen { section: String, value: String },
    #[error("{section}: SERVE is '{value}'; what the host serves where the route listens is 'HTTP'")]
    Serve { section: String, value: String },
    #[error("{section}: SERVE is set, and LISTEN is not")]
    ServesNowhere { section: String },
    #[error("{section}: ALLOW_HOSTS: {reason}")]
    Pattern { section: String, reason: NotAPattern },
    #[error("{section}: it connects and listens; these are two sections")]
    Both { section: String },
    #[error("{section}: module '{module}' was not granted endpoint:{place}; {} grants it", granting::command(module, [&**grant]))]
    NotGranted { section: String, module: String, place: String, grant: String },
    #[error("{section}: policy net does not name {place}")]
    AgainstPolicy { section: String, place: String },
    #[error("{section}: {place}: {reason}")]
    Refused { section: String, place: String, reason: String },
}

impl NoEndpoint {
    /// Whether the operator refuses the address.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, NoEndpoint::Refused { .. })
    }

    /// Whether a setting is there, and names a value that is not set.
    pub(super) fn is_of_value(&self, route: &RouteFacts) -> bool {
        let names = |section: &str, key: &str| {
            route.section(section).is_some_and(|block| block.settings.contains_key(key))
        };
        matches!(self, NoEndpoint::Missing { section, key } if names(section, key))
            || matches!(self, NoEndpoint::ServesNowhere { section } if names(section, LISTEN))
    }
}

/// Whether a section connects to other places.
pub(super) fn is_far(block: &RouteBlock) -> bool {
    FAR.iter().any(|key| block.settings.contains_key(*key))
}

/// Whether a section has a port, and no place.
pub(super) fn has_port_alone(block: &RouteBlock) -> bool {
    block.settings.contains_key("PORT") && !names_value(block)
}

/// Whether a section has a setting that says its place, be it by a value that is not set.
pub(super) fn names_value(block: &RouteBlock) -> bool {
    is_far(block) || block.settings.contains_key(LISTEN)
}

/// Whether a section listens, and the host serves HTTP there.
pub(super) fn serves(block: &RouteBlock) -> bool {
    block.settings.contains_key(SERVE)
}

/// TLS of the sections of a route, by their names.
#[derive(Debug, Default)]
pub(super) struct SectionTls {
    /// With servers.
    pub(super) far: HashMap<String, EndpointTls>,
    /// With clients, where HTTP is served.
    pub(super) served: HashMap<String, ServerTls>,
}

/// Places that the module of a route was granted.
#[derive(Clone, Copy)]
pub(super) struct GrantedPlaces<'a> {
    pub(super) module: &'a str,
    pub(super) places: &'a [Box<str>],
    /// Grants that the module asks for, if known.
    pub(super) asked: Option<&'a AskedGrants>,
}

/// Bounds of the places that a route may name.
#[derive(Clone, Copy, Default)]
pub(super) struct PlaceBounds<'a> {
    /// Of a route that a module runs.
    pub(super) granted: Option<GrantedPlaces<'a>>,
    /// Policies of the route, and of its module.
    pub(super) policies: [Option<&'a Policies>; 2],
    /// Why the operator refuses an address; `None` where nothing is connected to anyway, which is
    /// told when it is tried.
    pub(super) refuses: Option<&'a (dyn Fn(IpAddr) -> Option<String> + Sync)>,
}

/// The endpoints that a route names, all within `bounds`, with the TLS of their sections.
pub(super) fn endpoints(
    route: &RouteFacts,
    names: &impl Names,
    bounds: PlaceBounds<'_>,
    tls: &SectionTls,
) -> Result<HashMap<String, Endpoint>, NoEndpoint> {
    let mut endpoints = HashMap::new();
    for (place, block) in route.sections.iter().enumerate() {
        let section = Section { block, names, bounds };
        let far = tls.far.get(&block.name).cloned().unwrap_or_default();
        let served = tls.served.get(&block.name).cloned();
        if let Some(endpoint) = section.endpoint(far, served)? {
            let is_second = route.sections[..place].iter().any(|other| other.name == block.name);
            let name = if is_second { name_of(block) + SERVED } else { name_of(block) };
            endpoints.insert(name, Endpoint { section: block.name.clone(), ..endpoint });
        }
    }
    Ok(endpoints)
}

/// Places that a route names, as grants name them; of a section whose settings make no endpoint
/// none.
pub(super) fn places_named(route: &RouteFacts, names: &impl Names) -> BTreeSet<String> {
    let sections = route.sections.iter();
    sections.flat_map(|block| Section { block, names, bounds: PlaceBounds::default() }.places()).collect()
}

struct Section<'a, N> {
    block: &'a RouteBlock,
    names: &'a N,
    bounds: PlaceBounds<'a>,
}

impl<N: Names> Section<'_, N> {
    fn endpoint(&self, tls: EndpointTls, served: Option<ServerTls>) -> Result<Option<Endpoint>, NoEndpoint> {
        let http = self.http(served)?;
        let [host, server, patterns] = FAR;
        let host = self.text(host).or_else(|| self.text(server));
        match (host, self.text(LISTEN), self.text(patterns)) {
            (_, None, _) if http.is_some() => Err(NoEndpoint::ServesNowhere { section: self.name() }),
            (None, None, None) => Ok(None),
            (None, Some(listen), None) => {
                // A text that names no place needs no grant.
                let endpoint = self.listening(listen.clone())?;
                self.check(&listen)?;
                Ok(Some(Endpoint { http, ..endpoint }))
            }
            (_, Some(_), _) => Err(NoEndpoint::Both { section: self.name() }),
            (host, None, patterns) => {
                let others = patterns.map_or(Ok(Vec::new()), |patterns| self.patterns(&patterns))?;
                let port = if host.is_some() { self.port()? } else { 0 };
                if let Some(host) = &host {
                    self.check(&place(host, port))?;
                    // Of several servers another one may do.
                    if others.is_empty() {
                        self.check_address(host, port)?;
                    }
                }
                let server_name = self.text("TLS_SERVER_NAME");
                let host = host.unwrap_or_default();
                Ok(Some(Endpoint { host, port, others, tls, server_name, ..Endpoint::default() }))
            }
        }
    }

    /// Places that it names, as grants name them: where it connects to or listens, and what else
    /// its guest may reach.
    fn places(&self) -> Vec<String> {
        let Ok(Some(endpoint)) = self.endpoint(EndpointTls::default(), None) else { return Vec::new() };
        let own = (!endpoint.host.is_empty()).then(|| place(&endpoint.host, endpoint.port));
        let [.., patterns] = FAR;
        let others = self.text(patterns).unwrap_or_default();
        let others = others.split(',').map(str::trim).filter(|other| !other.is_empty());
        own.into_iter().chain(others.map(str::to_owned)).collect()
    }

    fn http(&self, tls: Option<ServerTls>) -> Result<Option<HttpService>, NoEndpoint> {
        match self.text(SERVE) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("HTTP") => Ok(Some(HttpService { tls })),
            Some(value) => Err(NoEndpoint::Serve { section: self.name(), value }),
        }
    }

    /// Checks that the module of the route was granted a place, and that policies allow it.
    fn check(&self, place: &str) -> Result<(), NoEndpoint> {
        if self.bounds.policies.iter().flatten().any(|policies| !policies.allow_place(place)) {
            return Err(NoEndpoint::AgainstPolicy { section: self.name(), place: place.to_owned() });
        }
        match self.bounds.granted {
            Some(GrantedPlaces { module, places, asked })
                if !places.iter().any(|granted| reaches(granted, place)) =>
            {
                let grant = asked.and_then(|asked| asked.covering(Capability::Connect, place));
                let grant = grant.unwrap_or_else(|| format!("endpoint:{place}"));
                let (module, place) = (module.to_owned(), place.to_owned());
                Err(NoEndpoint::NotGranted { section: self.name(), module, place, grant })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that the operator allows a host that is an address, as `localhost` is
    /// \[RFC 6761 §6.3\]. Without this check every attempt would fail, and a guest that connects at
    /// the first message would seem well until then. Names are checked when they are looked up.
    fn check_address(&self, host: &str, port: u16) -> Result<(), NoEndpoint> {
        let address: Option<IpAddr> = match host.trim_matches(['[', ']']) {
            name if name.eq_ignore_ascii_case("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            host => host.parse().ok(),
        };
        let reason = address.zip(self.bounds.refuses).and_then(|(address, refuses)| refuses(address));
        let refused = |reason| NoEndpoint::Refused { section: self.name(), place: place(host, port), reason };
        reason.map_or(Ok(()), |reason| Err(refused(reason)))
    }

    fn listening(&self, listen: String) -> Result<Endpoint, NoEndpoint> {
        match listen.parse::<std::net::SocketAddr>() {
            Ok(address) => Ok(Endpoint {
                host: address.ip().to_string(),
                port: address.port(),
                listens: true,
                ..Endpoint::default()
            }),
            Err(_) => Err(NoEndpoint::Listen { section: self.name(), value: listen }),
        }
    }

    fn patterns(&self, texts: &str) -> Result<Vec<HostPattern>, NoEndpoint> {
        let parsed: Result<_, _> = texts.split(',').map(str::parse).collect();
        let patterns = parsed.map_err(|reason| NoEndpoint::Pattern { section: self.name(), reason })?;
        texts.split(',').try_for_each(|pattern| self.check(pattern.trim()))?;
        Ok(patterns)
    }

    fn port(&self) -> Result<u16, NoEndpoint> {
        let section = self.name();
        let Some(value) = self.text("PORT") else { return Err(NoEndpoint::Missing { section, key: "PORT" }) };
        match value.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(NoEndpoint::Port { section, key: "PORT", value }),
        }
    }

    fn name(&self) -> String {
        self.block.name.clone()
    }

    fn text(&self, key: &str) -> Option<String> {
        setting(self.block, self.names, key)
    }
}

/// A setting as text, with the values that it names; `None` where it is not there, or is filled for
/// each message.
pub(super) fn setting(block: &RouteBlock, names: &impl Names, key: &str) -> Option<String> {
    let part = |part: &RoutePart| match part {
        RoutePart::Text(text) => Some(text.clone()),
        RoutePart::Env(name) => names.environment(name),
        RoutePart::Secret(name) => names.secret(name),
        RoutePart::RandomUuid => None,
    };
    match block.settings.get(key)? {
        RouteValue::Text(text) | RouteValue::Digits(text) => Some(text.clone()),
        RouteValue::Int(number) => Some(number.to_string()),
        RouteValue::Double(number) => Some(number.to_string()),
        RouteValue::Bool(is) => Some(is.to_string()),
        RouteValue::Parts(parts) => parts.iter().map(part).collect(),
        RouteValue::Template(_) => None,
    }
}

/// Name by which a guest knows what a section gives it.
pub(super) fn name_of(block: &RouteBlock) -> String {
    block.name.strip_suffix("_CONFIG").unwrap_or(&block.name).to_ascii_lowercase()
}

/// A place as a grant names it.
fn place(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site;

    impl Names for Site {
        fn environment(&self, name: &str) -> Option<String> {
            (name == "PLC").then(|| "10.0.0.7".to_owned())
        }
        fn secret(&self, _name: &str) -> Option<String> {
            None
        }
    }

    fn of(settings: &[(&str, RouteValue)]) -> Result<HashMap<String, Endpoint>, String> {
        of_module(settings, None)
    }

    fn of_module(
        settings: &[(&str, RouteValue)],
        granted: Option<GrantedPlaces<'_>>,
    ) -> Result<HashMap<String, Endpoint>, String> {
        let bounds = PlaceBounds { granted, ..PlaceBounds::default() };
        within(settings, bounds)
    }

    fn within(
        settings: &[(&str, RouteValue)],
        bounds: PlaceBounds<'_>,
    ) -> Result<HashMap<String, Endpoint>, String> {
        endpoints(&route(settings), &Site, bounds, &SectionTls::default()).map_err(|error| error.to_string())
    }

    fn route(settings: &[(&str, RouteValue)]) -> RouteFacts {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let section = RouteBlock { name: "PLC_CONFIG".to_owned(), settings, ..RouteBlock::default() };
        let (kind, sections) = ("WASM".to_owned(), vec![section]);
        let (events, mappings, stores) = (Vec::new(), Vec::new(), Vec::new());
        RouteFacts { kind, sections, events, mappings, stores }
    }

    #[test]
    fn missing_endpoint_value_is_attributed_to_the_unset_variable() {
        let unset = || RouteValue::Parts(vec![RoutePart::Env("NOWHERE".to_owned())]);
        for (settings, is_of_value) in [
            (&[("HOST", text("a")), ("PORT", unset())][..], true),
            (&[("HOST", text("a"))], false),
            (&[("SERVE", text("HTTP")), ("LISTEN", unset())], true),
            (&[("SERVE", text("HTTP"))], false),
        ] {
            let said = route(settings);
            let refused = endpoints(&said, &Site, PlaceBounds::default(), &SectionTls::default());
            assert_eq!(refused.unwrap_err().is_of_value(&said), is_of_value, "{settings:?}");
        }
    }

    fn text(text: &str) -> RouteValue {
        RouteValue::Text(text.to_owned())
    }

    #[test]
    fn sections_with_a_place_are_endpoints() {
        assert!(of(&[("RATE", RouteValue::Int(5))]).unwrap().is_empty());
        let named = RouteValue::Parts(vec![RoutePart::Env("PLC".to_owned())]);
        let found = of(&[("HOST", named), ("PORT", RouteValue::Int(502))]).unwrap();
        assert_eq!((found["plc"].host.as_str(), found["plc"].port), ("10.0.0.7", 502));
        let found = of(&[("HOST", text("a")), ("PORT", RouteValue::Digits("0502".to_owned()))]).unwrap();
        assert_eq!(found["plc"].port, 502);
        let found = of(&[("ALLOW_HOSTS", text("*.kafka.local:9092, 10.0.0.0/8:*"))]).unwrap();
        assert_eq!((found["plc"].others.len(), found["plc"].host.as_str()), (2, ""));
        let found = of(&[("LISTEN", text("10.0.0.1:5020"))]).unwrap();
        assert!(found["plc"].listens && found["plc"].port == 5020 && found["plc"].http.is_none());
        let found = of(&[("LISTEN", text("10.0.0.1:8080")), ("SERVE", text("http"))]).unwrap();
        assert!(found["plc"].listens && found["plc"].http.is_some());
    }

    #[test]
    fn a_module_has_the_endpoints_that_it_was_granted() {
        let places: &[Box<str>] = &["10.0.0.7:502".into(), "*.local:9092".into(), "[::1]:80".into()];
        let granted = |settings: &[(&str, RouteValue)]| {
            of_module(settings, Some(GrantedPlaces { module: "m", places, asked: None })).map(|_| ())
        };
        let at = |host: &str, port: i64| [("HOST", text(host)), ("PORT", RouteValue::Int(port))];
        assert_eq!(granted(&at("10.0.0.7", 502)), Ok(()));
        assert_eq!(granted(&at("::1", 80)), Ok(()));
        assert_eq!(granted(&[("ALLOW_HOSTS", text("a.local:9092, *.b.local:9092"))]), Ok(()));
        assert_eq!(granted(&[("LISTEN", text("10.0.0.7:502"))]), Ok(()));
        for (settings, place) in [
            (&at("10.0.0.7", 503)[..], "10.0.0.7:503"),
            (&at("::2", 80), "[::2]:80"),
            (&[("ALLOW_HOSTS", text("a.local:9092, *:9092"))], "*:9092"),
            (&[("LISTEN", text("0.0.0.0:502"))], "0.0.0.0:502"),
        ] {
            let grant = granting::command("m", [&*format!("endpoint:{place}")]);
            let expected =
                format!("PLC_CONFIG: module 'm' was not granted endpoint:{place}; {grant} grants it");
            assert_eq!(granted(settings), Err(expected));
        }
        let asked: AskedGrants = [(Capability::Connect, "10.0.0.0/24:*".into())].into_iter().collect();
        let granted_places = GrantedPlaces { module: "m", places, asked: Some(&asked) };
        let told = of_module(&at("10.0.0.7", 503), Some(granted_places)).unwrap_err();
        assert!(told.ends_with("-grantModule m -grant 'endpoint:10.0.0.0/24:*' grants it"), "{told}");
        // No grant makes it a place.
        let told = granted(&[("LISTEN", text("localhost:80"))]).unwrap_err();
        assert!(
            told.starts_with("PLC_CONFIG: LISTEN is 'localhost:80', which is not an IP address"),
            "{told}"
        );
    }

    #[test]
    fn places_are_named_as_grants_name_them() {
        for (settings, expected) in [
            (&[("HOST", text("10.0.0.7")), ("PORT", RouteValue::Int(502))][..], &["10.0.0.7:502"][..]),
            (&[("LISTEN", text("10.0.0.7:502"))], &["10.0.0.7:502"]),
            (
                &[("ALLOW_HOSTS", text("*.kafka.local:9092, 10.0.0.0/8:*"))],
                &["*.kafka.local:9092", "10.0.0.0/8:*"],
            ),
            (
                &[("HOST", text("::1")), ("PORT", RouteValue::Int(80)), ("ALLOW_HOSTS", text("b:80"))],
                &["[::1]:80", "b:80"],
            ),
            (&[("ALLOW_HOSTS", text("kafka"))], &[]),
            (&[("HOST", text("10.0.0.7"))], &[]),
        ] {
            let named: Vec<String> = places_named(&route(settings), &Site).into_iter().collect();
            assert_eq!(named, expected, "{settings:?}");
        }
    }

    #[test]
    fn address_denied_by_the_operator_is_reported_and_names_resolve_later() {
        let refuses = |address: IpAddr| address.is_loopback().then(|| format!("{address} is refused"));
        let bounds = PlaceBounds { refuses: Some(&refuses), ..PlaceBounds::default() };
        let at = |host: &str, more: &[(&str, RouteValue)]| {
            let settings = [("HOST", text(host)), ("PORT", RouteValue::Int(80))];
            within(&[&settings[..], more].concat(), bounds).map(|_| ())
        };
        for (host, place) in [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("[::1]", "[::1]:80")] {
            let address = host.trim_matches(['[', ']']);
            assert_eq!(at(host, &[]), Err(format!("PLC_CONFIG: {place}: {address} is refused")));
        }
        assert_eq!(at("10.0.0.7", &[]), Ok(()));
        assert_eq!(at("localhost", &[]), Err("PLC_CONFIG: localhost:80: 127.0.0.1 is refused".to_owned()));
        assert_eq!(at("plc.localdomain", &[]), Ok(()));
        assert_eq!(at("127.0.0.1", &[("ALLOW_HOSTS", text("10.0.0.7:80"))]), Ok(()), "another one may do");
        assert_eq!(of(&[("HOST", text("127.0.0.1")), ("PORT", RouteValue::Int(80))]).map(|_| ()), Ok(()));
    }

    #[test]
    fn invalid_endpoint_settings_are_reported() {
        let host = || ("HOST", text("plc"));
        let port = || ("PORT", RouteValue::Int(502));
        for (settings, expected) in [
            (vec![host()], "PLC_CONFIG: PORT is not set"),
            (
                vec![("LISTEN", text("10.0.0.1:80")), ("SERVE", text("FTP"))],
                "PLC_CONFIG: SERVE is 'FTP'; what the host serves where the route listens is 'HTTP'",
            ),
            (vec![host(), port(), ("SERVE", text("HTTP"))], "PLC_CONFIG: SERVE is set, and LISTEN is not"),
            (vec![host(), ("PORT", text("0"))], "PLC_CONFIG: PORT is '0', which is no port from 1 to 65535"),
            (vec![host(), ("PORT", text("x"))], "PLC_CONFIG: PORT is 'x', which is no port from 1 to 65535"),
            (
                vec![("LISTEN", text("here"))],
                "PLC_CONFIG: LISTEN is 'here', which is not an IP address and a port, as in '10.0.0.7:502'",
            ),
            (
                vec![host(), port(), ("LISTEN", text("10.0.0.1:1"))],
                "PLC_CONFIG: it connects and listens; these are two sections",
            ),
        ] {
            assert_eq!(of(&settings).unwrap_err(), expected, "{settings:?}");
        }
        let refused = of(&[("ALLOW_HOSTS", text("kafka"))]).unwrap_err();
        assert!(refused.starts_with("PLC_CONFIG: ALLOW_HOSTS: 'kafka' names no places"), "{refused}");
    }
}
