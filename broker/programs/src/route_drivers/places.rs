//! Places of the types of routes that this build runs: their own settings, each type's in its own
//! words, as the settings that every section with a place has (`HOST`, `PORT`, `USE_TLS`,
//! `USE_STARTTLS`, `ALLOW_HOSTS`).
//!
//! So endpoints and TLS are made in one way, of what a module's section says and of what a type's
//! says. Not here: which settings a type has, and which of them say a place
//! ([`lot_route_catalogue`]).

pub(super) mod cluster_url;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;
use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lot_route_catalogue::{Far, RouteType, SectionPlace, TlsOf};
use lotmq_connection_string as connection_string;

use super::endpoints::{LISTEN, SERVE, is_far, setting};
use super::template::Names;
use crate::route_modules::WASM;
use crate::route_modules::described_routes;
use crate::route_types;
use cluster_url::ClusterUrl;

/// Flaws of a connection string that are told at once.
const FLAWS_TOLD_MAX: usize = 8;

/// Reason why a setting names no place.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum NoPlace {
    #[error("{section}: {key} is no address such as '{example}', with a port from 1 to 65535 if any")]
    Url { section: String, key: String, example: &'static str },
    #[error(
        "{section}: {key} names no server, or a port that is none: `Host=…;Port=…;Database=…` or `scheme://user:password@host:port/database` is meant"
    )]
    ConnectionString { section: String, key: String },
    #[error("{section}: {key} {flaw}")]
    Flaw { section: String, key: String, flaw: String },
    #[error("{section}: {key} is '{value}', which is no list of servers such as 'a:9092,b:9092'")]
    Servers { section: String, key: String, value: String },
    #[error(
        "{section}: {key} names the instance '{instance}', whose port only a service of its machine knows: write its port, as in '{host},50123'"
    )]
    Instance { section: String, key: String, host: String, instance: String },
    #[error(
        "{section}: {key} begins with '{protocol}:', which is no way over TCP: write the server's host, or 'tcp:' and the host"
    )]
    Protocol { section: String, key: String, protocol: String },
    #[error(
        "{section}: {key} names no servers: `mongodb://user:password@host:port,host:port/?options` is meant"
    )]
    ClusterUrl { section: String, key: String },
    #[error("{section}: {key} is '{value}', which is no IP address of this machine such as '10.0.0.1'")]
    Bind { section: String, key: String, value: String },
    #[error("{section}: {key} has a port that is none from 1 to 65535")]
    Port { section: String, key: String },
    #[error("{section}: {key} is '{value}', which is no port from 1 to 65535")]
    ServedPort { section: String, key: String, value: String },
}

/// A route whose sections say their places in the settings that all sections have. Of a section
/// that serves HTTP as well there are two, the second for that. `of_module` is the type that the
/// module of the route describes.
pub(super) fn placed(
    route: &RouteFacts,
    of_module: Option<&RouteType>,
    names: &impl Names,
) -> Result<RouteFacts, NoPlace> {
    let places = of_module.map_or_else(|| route_types::places(&route.kind), |kind| &kind.places);
    let mut placed = described_routes::canonical(route, of_module).into_owned();
    let mut serving = Vec::new();
    for block in &mut placed.sections {
        if let Some(place) = places.iter().find(|place| place.section == block.name) {
            let section = Section { kind: &route.kind, block, names, place };
            serving.extend(section.serving()?);
            *block = section.placed()?;
        }
    }
    placed.sections.append(&mut serving);
    Ok(placed)
}

/// Gives each section that connects to a host and says no port the one that the schema of its guest
/// has as default.
pub(super) fn with_default_ports(route: &mut RouteFacts, schema: &str) {
    // The opening of the route reports an invalid schema.
    let Ok(schema) = serde_json::from_str::<serde_json::Value>(schema) else { return };
    let sections = &schema["properties"]["sections"]["properties"];
    for block in &mut route.sections {
        let default = sections[&block.name]["properties"]["PORT"]["default"].as_u64();
        if let Some(port) = default.and_then(|port| u16::try_from(port).ok())
            && is_far(block)
            && !block.settings.contains_key("PORT")
        {
            block.settings.insert("PORT".to_owned(), RouteValue::Int(port.into()));
        }
    }
}

/// Server that a section names.
struct Server {
    host: String,
    port: Option<u16>,
    /// Further ones, as patterns.
    others: Vec<String>,
    /// TLS flag of the address itself; `None` if the address does not say.
    is_secure: Option<bool>,
    /// Whether any certificate will do.
    is_trusting: bool,
    /// Name that its certificate is for, where it is another one.
    certified: Option<String>,
}

impl Server {
    fn new(host: impl Into<String>, port: Option<u16>) -> Self {
        let (others, is_secure, is_trusting, certified) = (Vec::new(), None, false, None);
        Self { host: host.into(), port, others, is_secure, is_trusting, certified }
    }
}

struct Section<'a, N> {
    kind: &'a str,
    block: &'a RouteBlock,
    names: &'a N,
    place: &'a SectionPlace,
}

impl<N: Names> Section<'_, N> {
    fn placed(&self) -> Result<RouteBlock, NoPlace> {
        let mut block = self.block.clone();
        for key in ["HOST", "SERVER", "ALLOW_HOSTS", LISTEN, SERVE] {
            block.settings.remove(key);
        }
        let Some(server) = self.server()? else {
            // Its value is not known yet.
            if let Some(value) = self.value_to_come() {
                block.settings.insert("HOST".to_owned(), value.clone());
            }
            return Ok(block);
        };
        let port = server.port.unwrap_or_else(|| self.default_port(server.is_secure));
        if !server.others.is_empty() {
            block.settings.insert("ALLOW_HOSTS".to_owned(), RouteValue::Text(server.others.join(",")));
        }
        block.settings.insert("HOST".to_owned(), RouteValue::Text(server.host));
        block.settings.insert("PORT".to_owned(), RouteValue::Int(port.into()));
        if server.is_trusting {
            let trust = RouteValue::Bool(true);
            block.settings.entry("TRUST_SERVER_CERTIFICATE".to_owned()).or_insert(trust);
        }
        if let Some(certified) = server.certified {
            block.settings.entry("TLS_SERVER_NAME".to_owned()).or_insert(RouteValue::Text(certified));
        }
        self.secure(&mut block, server.is_secure, port);
        Ok(block)
    }

    /// The setting of the place of a module's section that comes from the environment or a secret.
    /// Our own types wait for such values before they get here.
    fn value_to_come(&self) -> Option<&RouteValue> {
        let key = match &self.place.far {
            Far::Host { host, .. } => host,
            Far::Url { url } | Far::UrlOrHost { url, .. } => url,
            Far::Broker { .. }
            | Far::HostOrConnectionString { .. }
            | Far::Servers { .. }
            | Far::ClusterUrl { .. } => return None,
        };
        let is_to_come = |value: &&RouteValue| matches!(value, RouteValue::Parts(_));
        self.block.settings.get(key).filter(|_| self.kind == WASM).filter(is_to_come)
    }

    /// The section as one that serves HTTP; `None` where it does not.
    fn serving(&self) -> Result<Option<RouteBlock>, NoPlace> {
        let Some(served) = &self.place.served else { return Ok(None) };
        let is_off = self.text(&served.switch).is_some_and(|text| text.eq_ignore_ascii_case("false"));
        let Some(port) = self.text(&served.port).filter(|_| !is_off) else { return Ok(None) };
        let section = || self.block.name.clone();
        let port = match port.trim().parse::<u16>() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return Err(NoPlace::ServedPort {
                    section: section(),
                    key: served.port.clone(),
                    value: port,
                });
            }
        };
        let address = match self.text(&served.bind) {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(value) => value.trim().parse().map_err(|_| NoPlace::Bind {
                section: section(),
                key: served.bind.clone(),
                value: value.clone(),
            })?,
        };
        let mut settings = self.block.settings.clone();
        // If the section connects as well, the plain TLS settings belong to its address.
        let is_far = self.server()?.is_some();
        settings.retain(|key, _| {
            key.starts_with("SERVER_CERT")
                || key.starts_with("SERVER_KEY")
                || match &**key {
                    "USE_TLS" | "USE_SSL" => !is_far,
                    key => key == "TLS_MIN_VERSION",
                }
        });
        settings.insert(LISTEN.to_owned(), RouteValue::Text(SocketAddr::new(address, port).to_string()));
        settings.insert(SERVE.to_owned(), RouteValue::Text("HTTP".to_owned()));
        Ok(Some(RouteBlock { settings, name: section(), ..RouteBlock::default() }))
    }

    /// The server; `None` where the section means this broker, or connects nowhere.
    fn server(&self) -> Result<Option<Server>, NoPlace> {
        match &self.place.far {
            Far::Host { host, port } => Ok(self.host(host, port)),
            Far::Broker { host, port } => {
                let is_own = self.text("BROKER").is_some();
                let server = self.host(host, port).filter(|server| !server.host.eq_ignore_ascii_case("SELF"));
                Ok(server.filter(|_| !is_own))
            }
            Far::Url { url } => self.text(url).map(|text| self.of_url(url, &text)).transpose(),
            Far::UrlOrHost { url, host, port } => match self.text(url) {
                Some(text) => self.of_url(url, &text).map(Some),
                None => Ok(self.host(host, port)),
            },
            Far::HostOrConnectionString { host, port, string } => match self.text(string) {
                Some(text) => {
                    self.is_flawless(string, &text)?;
                    let server = of_connection_string(&text);
                    let section = self.block.name.clone();
                    let server = server.ok_or(NoPlace::ConnectionString { section, key: string.clone() })?;
                    self.of_sql(string, server).map(Some)
                }
                None => self.host(host, port).map(|server| self.of_sql(host, server)).transpose(),
            },
            Far::Servers { servers } => {
                self.text(servers).map(|text| self.of_list(servers, &text)).transpose()
            }
            Far::ClusterUrl { url } => self.text(url).map(|text| self.of_cluster_url(url, &text)).transpose(),
        }
    }

    fn host(&self, host: &str, port: &str) -> Option<Server> {
        // A port that is none is told where endpoints are made.
        let port = self.text(port).and_then(|port| port.parse().ok());
        Some(Server::new(self.text(host)?, port))
    }

    /// Refuses a connection string that says what would not be followed.
    fn is_flawless(&self, key: &str, text: &str) -> Result<(), NoPlace> {
        let flaws = lot_to_wasm::connection_string_flaws(self.kind, text);
        let told = flaws.into_iter().filter(|flaw| flaw.is_grave).take(FLAWS_TOLD_MAX).map(|flaw| {
            let help = flaw.help.map_or_else(String::new, |help| format!("; {help}"));
            flaw.text + &help
        });
        let told = told.reduce(|all, next| match all.ends_with('?') {
            true => format!("{all} It also {next}"),
            false => format!("{all}; it also {next}"),
        });
        match told {
            Some(flaw) => Err(NoPlace::Flaw { section: self.block.name.clone(), key: key.to_owned(), flaw }),
            None => Ok(()),
        }
    }

    /// A server as clients of SQL Server write it, `tcp:host\instance,port`, as what it means.
    fn of_sql(&self, key: &str, mut server: Server) -> Result<Server, NoPlace> {
        const PROTOCOLS: [&str; 3] = ["np", "lpc", "admin"];
        let section = || self.block.name.clone();
        let text = server.host.trim().to_owned();
        let text = match text.split_once(':') {
            Some((protocol, host)) if protocol.eq_ignore_ascii_case("tcp") => host.to_owned(),
            Some((protocol, _)) if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) => {
                return Err(NoPlace::Protocol {
                    section: section(),
                    key: key.to_owned(),
                    protocol: lower(protocol),
                });
            }
            Some(_) | None => text,
        };
        let (text, behind) = text.split_once(',').map_or((&*text, None), |(host, port)| (host, Some(port)));
        if let (None, Some(port)) = (server.port, behind) {
            let port = port.trim().parse().ok().filter(|port| *port > 0);
            server.port =
                Some(port.ok_or_else(|| NoPlace::Port { section: section(), key: key.to_owned() })?);
        }
        let (host, instance) = text.split_once('\\').map_or((text, None), |(host, name)| (host, Some(name)));
        match (instance, server.port) {
            // Of a server at a port the instance is not asked for.
            (Some(instance), None) if !instance.eq_ignore_ascii_case("MSSQLSERVER") => {
                let (host, instance) = (host.to_owned(), instance.to_owned());
                return Err(NoPlace::Instance { section: section(), key: key.to_owned(), host, instance });
            }
            (Some(_) | None, _) => {}
        }
        server.host = if [".", "(local)"].contains(&host) { "localhost".to_owned() } else { host.to_owned() };
        Ok(server)
    }

    fn of_url(&self, key: &str, text: &str) -> Result<Server, NoPlace> {
        let example =
            if self.place.tls == TlsOf::Never { "opc.tcp://10.0.0.7:4840" } else { "https://host:8080" };
        server_of_url(text).ok_or_else(|| NoPlace::Url {
            section: self.block.name.clone(),
            key: key.to_owned(),
            example,
        })
    }

    fn of_list(&self, key: &str, text: &str) -> Result<Server, NoPlace> {
        let mut servers = text.split(',').map(str::trim).map(|text| match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
                let port = port.parse().ok().filter(|port| *port > 0)?;
                Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
            }
            Some(_) | None => (!text.is_empty()).then(|| (text.to_owned(), self.place.port)),
        });
        let wrong = || NoPlace::Servers {
            section: self.block.name.clone(),
            key: key.to_owned(),
            value: text.to_owned(),
        };
        let (host, port) = servers.next().flatten().ok_or_else(wrong)?;
        let mut server = Server::new(host, Some(port));
        for other in servers {
            let (host, port) = other.ok_or_else(wrong)?;
            server.others.push(if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            });
        }
        server.is_secure = self.text("SECURITY_PROTOCOL").map(|protocol| protocol.ends_with("SSL"));
        // Brokers of a cluster are named by the cluster; which addresses are open to routes at all
        // says the operator.
        server.others.push("*:*".to_owned());
        Ok(server)
    }

    fn of_cluster_url(&self, key: &str, text: &str) -> Result<Server, NoPlace> {
        let server = ClusterUrl::parse(text).and_then(|url| url.server(self.place.port));
        server.ok_or_else(|| NoPlace::ClusterUrl { section: self.block.name.clone(), key: key.to_owned() })
    }

    fn default_port(&self, is_secure: Option<bool>) -> u16 {
        let said = ["USE_TLS", "USE_SSL"].iter().find_map(|key| self.text(key));
        let said = said.map(|text| text.eq_ignore_ascii_case("true"));
        let is_secure = said.or(is_secure).unwrap_or(false);
        match self.place.secure_port {
            Some(port) if is_secure => port,
            Some(_) | None => self.place.port,
        }
    }

    fn secure(&self, block: &mut RouteBlock, by_address: Option<bool>, port: u16) {
        let said = ["USE_TLS", "USE_SSL"].iter().find_map(|key| block.settings.remove(*key));
        let said = said.or(by_address.map(RouteValue::Bool));
        let key = match self.place.tls {
            TlsOf::Never => return,
            TlsOf::AtOnce => "USE_TLS",
            TlsOf::OnDemand => "USE_STARTTLS",
            TlsOf::AtOnceAt(at_once) if port == at_once => {
                block.settings.insert("USE_TLS".to_owned(), RouteValue::Bool(true));
                return;
            }
            TlsOf::AtOnceAt(_) => "USE_STARTTLS",
        };
        // Without a setting the guest may start TLS if the other side offers it.
        let may_begin = matches!(self.place.tls, TlsOf::AtOnceAt(_)).then_some(RouteValue::Bool(true));
        if let Some(said) = said.or(may_begin) {
            block.settings.insert(key.to_owned(), said);
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        setting(self.block, self.names, key).filter(|text| !text.is_empty())
    }
}

fn server_of_url(text: &str) -> Option<Server> {
    let uri: Uri = text.trim().parse().ok()?;
    let scheme = uri.scheme_str()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let is_secure = match scheme {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    };
    let port = match port_text(&uri) {
        Some(text) => Some(text.parse().ok().filter(|port| *port > 0)?),
        None => match scheme {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        },
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(Server { is_secure, ..Server::new(host, port) })
}

/// Returns the text of the port in a URL, valid or not; `None` if there is none.
fn port_text(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let behind = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    behind.split_once(':').map(|(_, port)| port).filter(|port| !port.is_empty())
}

/// Server of a connection string, in either of its two forms. Its guest reads the rest of it
/// (`guests/lib/route-sql`).
fn of_connection_string(text: &str) -> Option<Server> {
    let pairs = connection_string::pairs(text);
    if connection_string::is_address(text) {
        return server_of_url(text).map(|server| server.with(&pairs));
    }
    let value = |names: &[&str]| {
        pairs.iter().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| value.as_str())
    };
    let hosts = ["host", "server", "data source", "address", "addr", "network address"];
    let host = value(&hosts).filter(|host| !host.is_empty())?;
    let port = match value(&["port"]).map(str::trim).filter(|port| !port.is_empty()) {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some(Server::new(host, port).with(&pairs))
}

impl Server {
    /// With what the pairs of its connection string say of TLS.
    fn with(self, pairs: &[(String, String)]) -> Self {
        let is_secure = connection_string::asks_for_tls(pairs);
        let trusting = ["trust server certificate", "trustservercertificate", "trust_server_certificate"];
        let is_trusting = pairs
            .iter()
            .any(|(key, value)| trusting.contains(&key.as_str()) && matches!(&*lower(value), "true" | "yes"));
        let certified = ["hostnameincertificate", "host name in certificate"];
        let certified = pairs.iter().find(|(key, _)| certified.contains(&key.as_str()));
        let certified = certified.map(|(_, value)| value.trim().to_owned()).filter(|name| !name.is_empty());
        Self { is_secure, is_trusting, certified, ..self }
    }
}

fn lower(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use lot_route_catalogue::ServedPlace;

    use super::*;

    struct Nothing;

    impl Names for Nothing {
        fn environment(&self, _name: &str) -> Option<String> {
            None
        }
        fn secret(&self, _name: &str) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_section_without_a_port_has_the_default_of_its_schema() {
        let schema = |default: &str| {
            format!(
                r#"{{"properties":{{"sections":{{"properties":{{"ADS_CONFIG":{{"properties":{{"PORT":{{"default":{default}}}}}}}}}}}}}}}"#
            )
        };
        let port = |schema: &str, settings: &[&str]| {
            let settings = settings.iter().map(|key| ((*key).to_owned(), RouteValue::Text("7".to_owned())));
            let block = RouteBlock {
                name: "ADS_CONFIG".to_owned(),
                settings: settings.collect(),
                ..RouteBlock::default()
            };
            let (events, mappings, stores) = (Vec::new(), Vec::new(), Vec::new());
            let mut route =
                RouteFacts { kind: "WASM".into(), sections: vec![block], events, mappings, stores };
            with_default_ports(&mut route, schema);
            setting(&route.sections[0], &Nothing, "PORT")
        };
        assert_eq!(port(&schema("48898"), &["HOST"]).as_deref(), Some("48898"));
        assert_eq!(port(&schema("48898"), &["HOST", "PORT"]).as_deref(), Some("7"));
        for (schema, settings) in [
            (&*schema("48898"), &["LISTEN"]),
            (&*schema("70000"), &["HOST"]),
            ("{}", &["HOST"]),
            ("", &["HOST"]),
        ] {
            assert_eq!(port(schema, settings), None, "{schema}");
        }
    }

    static SQL: LazyLock<Far> = LazyLock::new(|| Far::HostOrConnectionString {
        host: "SERVER".into(),
        port: "PORT".into(),
        string: "CONNECTION_STRING".into(),
    });

    /// Formats the place in a section with these settings, in one line.
    fn said(far: &Far, tls: TlsOf, settings: &[(&str, &str)]) -> Result<String, String> {
        let (section, far, served) = ("X_CONFIG".to_owned(), far.clone(), None);
        let place = SectionPlace { section, far, port: 10, secure_port: Some(20), tls, served };
        let settings =
            settings.iter().map(|(key, value)| ((*key).to_owned(), RouteValue::Text((*value).to_owned())));
        let block =
            RouteBlock { name: "X_CONFIG".to_owned(), settings: settings.collect(), ..RouteBlock::default() };
        let placed = Section { kind: "POSTGRESQL", block: &block, names: &Nothing, place: &place }.placed();
        let placed = placed.map_err(|reason| reason.to_string())?;
        let keys = [
            "HOST",
            "PORT",
            "ALLOW_HOSTS",
            "USE_TLS",
            "USE_SSL",
            "USE_STARTTLS",
            "TRUST_SERVER_CERTIFICATE",
            "TLS_SERVER_NAME",
        ];
        let texts = keys.iter().filter_map(|key| Some(format!("{key}={}", setting(&placed, &Nothing, key)?)));
        Ok(texts.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn settings_of_a_type_say_its_place() {
        let host = &Far::Host { host: "IP".into(), port: "PORT".into() };
        let broker = &Far::Broker { host: "BROKER_ADDRESS".into(), port: "BROKER_PORT".into() };
        let url = &Far::UrlOrHost { url: "URL".into(), host: "SERVER".into(), port: "PORT".into() };
        let servers = &Far::Servers { servers: "SERVERS".into() };
        for (far, tls, settings, expected) in [
            (host, TlsOf::Never, &[("IP", "10.0.0.7")][..], "HOST=10.0.0.7 PORT=10"),
            (host, TlsOf::AtOnce, &[("IP", "plc"), ("PORT", "5")], "HOST=plc PORT=5"),
            (host, TlsOf::AtOnce, &[("IP", "plc"), ("USE_TLS", "TRUE")], "HOST=plc PORT=20 USE_TLS=TRUE"),
            (
                host,
                TlsOf::OnDemand,
                &[("IP", "plc"), ("USE_SSL", "true")],
                "HOST=plc PORT=20 USE_STARTTLS=true",
            ),
            (
                host,
                TlsOf::AtOnceAt(465),
                &[("IP", "mail"), ("PORT", "465")],
                "HOST=mail PORT=465 USE_TLS=true",
            ),
            (
                host,
                TlsOf::AtOnceAt(465),
                &[("IP", "mail"), ("USE_TLS", "false"), ("PORT", "587")],
                "HOST=mail PORT=587 USE_STARTTLS=false",
            ),
            (
                host,
                TlsOf::AtOnceAt(465),
                &[("IP", "mail"), ("PORT", "587")],
                "HOST=mail PORT=587 USE_STARTTLS=true",
            ),
            (broker, TlsOf::AtOnce, &[("BROKER", "SELF")], ""),
            (broker, TlsOf::AtOnce, &[("BROKER_ADDRESS", "self")], ""),
            (broker, TlsOf::AtOnce, &[("BROKER_ADDRESS", "cloud")], "HOST=cloud PORT=10"),
            (
                url,
                TlsOf::AtOnce,
                &[("URL", "https://api.example/v1")],
                "HOST=api.example PORT=443 USE_TLS=true",
            ),
            (url, TlsOf::AtOnce, &[("URL", "http://[::1]:81")], "HOST=::1 PORT=81 USE_TLS=false"),
            (
                url,
                TlsOf::AtOnce,
                &[("URL", "http://os"), ("USE_SSL", "true")],
                "HOST=os PORT=80 USE_TLS=true",
            ),
            (url, TlsOf::AtOnce, &[("SERVER", "os")], "HOST=os PORT=10"),
            (url, TlsOf::Never, &[("URL", "opc.tcp://plc:4840/a")], "HOST=plc PORT=4840"),
            (servers, TlsOf::AtOnce, &[("SERVERS", "a:1, b")], "HOST=a PORT=1 ALLOW_HOSTS=b:10,*:*"),
            (
                servers,
                TlsOf::AtOnce,
                &[("SERVERS", "[::1]:1"), ("SECURITY_PROTOCOL", "SASL_SSL")],
                "HOST=::1 PORT=1 ALLOW_HOSTS=*:* USE_TLS=true",
            ),
            (
                &Far::ClusterUrl { url: "URL".into() },
                TlsOf::AtOnce,
                &[("URL", "mongodb://u:p@a:1,[::1]/d?tls=true&tlsAllowInvalidCertificates=true")],
                "HOST=a PORT=1 ALLOW_HOSTS=[::1]:10,*:* USE_TLS=true TRUST_SERVER_CERTIFICATE=true",
            ),
            (
                &Far::ClusterUrl { url: "URL".into() },
                TlsOf::AtOnce,
                &[("URL", "mongodb+srv://u:p@c.plant.example/d")],
                "HOST=c.plant.example PORT=10 ALLOW_HOSTS=*:* USE_TLS=true",
            ),
            (
                &Far::ClusterUrl { url: "URL".into() },
                TlsOf::AtOnce,
                &[("URL", "mongodb+srv://c.plant.example/?tls=false")],
                "HOST=c.plant.example PORT=10 ALLOW_HOSTS=*:* USE_TLS=false",
            ),
            (
                &Far::ClusterUrl { url: "URL".into() },
                TlsOf::AtOnce,
                &[("URL", "mongodb://a/?directConnection=true"), ("USE_TLS", "TRUE")],
                "HOST=a PORT=10 USE_TLS=TRUE",
            ),
            (&*SQL, TlsOf::OnDemand, &[("SERVER", "db")], "HOST=db PORT=10"),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[("CONNECTION_STRING", "Host=db;Port=7;Password='a;Host=b';SSL Mode=Require")],
                "HOST=db PORT=7 USE_STARTTLS=true",
            ),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[("CONNECTION_STRING", "Host=db;SSL Mode=Require;Trust Server Certificate=true")],
                "HOST=db PORT=20 USE_STARTTLS=true TRUST_SERVER_CERTIFICATE=true",
            ),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[("CONNECTION_STRING", "Host=db;SSL Mode=Require"), ("USE_SSL", "false")],
                "HOST=db PORT=10 USE_STARTTLS=false",
            ),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[("CONNECTION_STRING", "Server=tcp:db,1433;Encrypt=False")],
                "HOST=db PORT=1433 USE_STARTTLS=false",
            ),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[(
                    "CONNECTION_STRING",
                    "Data Source=.\\SQLEXPRESS,5000;Encrypt=Strict;HostNameInCertificate=db.plant",
                )],
                "HOST=localhost PORT=5000 USE_STARTTLS=true TLS_SERVER_NAME=db.plant",
            ),
            (&*SQL, TlsOf::OnDemand, &[("SERVER", "db\\MSSQLSERVER")], "HOST=db PORT=10"),
            (&*SQL, TlsOf::OnDemand, &[("SERVER", "db\\line4"), ("PORT", "7")], "HOST=db PORT=7"),
            (&*SQL, TlsOf::OnDemand, &[("SERVER", "2001:db8::1")], "HOST=2001:db8::1 PORT=10"),
            (
                &*SQL,
                TlsOf::OnDemand,
                &[("CONNECTION_STRING", "postgres://u:p@db:7/plant?sslmode=disable")],
                "HOST=db PORT=7 USE_STARTTLS=false",
            ),
        ] {
            assert_eq!(said(far, tls, settings).unwrap(), expected, "{settings:?}");
        }
    }

    /// Formats the HTTP server in a section with these settings, in one line.
    fn serving(settings: &[(&str, &str)]) -> Result<String, String> {
        let served = ServedPlace {
            port: "SERVER_PORT".into(),
            bind: "SERVER_BIND".into(),
            switch: "ENABLE_SERVER".into(),
        };
        let far = Far::Url { url: "URL".into() };
        let (section, tls, served) = ("X_CONFIG".to_owned(), TlsOf::AtOnce, Some(served));
        let place = SectionPlace { section, far, port: 80, secure_port: None, tls, served };
        let settings =
            settings.iter().map(|(key, value)| ((*key).to_owned(), RouteValue::Text((*value).to_owned())));
        let block =
            RouteBlock { name: "X_CONFIG".to_owned(), settings: settings.collect(), ..RouteBlock::default() };
        let section = Section { kind: "POSTGRESQL", block: &block, names: &Nothing, place: &place };
        let Some(block) = section.serving().map_err(|reason| reason.to_string())? else {
            return Ok(String::new());
        };
        let texts = block
            .settings
            .keys()
            .filter_map(|key| Some(format!("{key}={}", setting(&block, &Nothing, key)?)));
        Ok(texts.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_section_may_serve_as_well() {
        for (settings, expected) in [
            (&[("URL", "http://h")][..], ""),
            (&[("SERVER_PORT", "8080"), ("ENABLE_SERVER", "false")], ""),
            (&[("SERVER_PORT", "8080")], "LISTEN=0.0.0.0:8080 SERVE=HTTP"),
            (
                &[
                    ("SERVER_PORT", "8080"),
                    ("SERVER_BIND", "::1"),
                    ("USE_SSL", "true"),
                    ("SERVER_CERT_PATH", "a"),
                    ("CLIENT_CERT_PATH", "b"),
                ],
                "LISTEN=[::1]:8080 SERVE=HTTP SERVER_CERT_PATH=a USE_SSL=true",
            ),
            (
                &[("SERVER_PORT", "8080"), ("URL", "https://h"), ("USE_SSL", "true")],
                "LISTEN=0.0.0.0:8080 SERVE=HTTP",
            ),
        ] {
            assert_eq!(serving(settings).unwrap(), expected, "{settings:?}");
        }
        for (settings, expected) in [
            (&[("SERVER_PORT", "0")][..], "X_CONFIG: SERVER_PORT is '0', which is no port from 1 to 65535"),
            (
                &[("SERVER_PORT", "1"), ("SERVER_BIND", "here")],
                "X_CONFIG: SERVER_BIND is 'here', which is no IP address of this machine such as '10.0.0.1'",
            ),
        ] {
            assert_eq!(serving(settings).unwrap_err(), expected);
        }
    }

    #[test]
    fn invalid_address_is_reported_without_its_secrets() {
        let url = &Far::Url { url: "URL".into() };
        for (far, settings, expected) in [
            (
                url,
                ("URL", "api.example"),
                "X_CONFIG: URL is no address such as 'https://host:8080', with a port from 1 to 65535 if any",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Password=hidden"),
                "X_CONFIG: CONNECTION_STRING names no server, or a port that is none: `Host=…;Port=…;Database=…` or `scheme://user:password@host:port/database` is meant",
            ),
            (
                url,
                ("URL", "https://u:hidden@h:65536/v1"),
                "X_CONFIG: URL is no address such as 'https://host:8080', with a port from 1 to 65535 if any",
            ),
            (
                url,
                ("URL", "http://[::1]:0"),
                "X_CONFIG: URL is no address such as 'https://host:8080', with a port from 1 to 65535 if any",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Host=db;Prot=7;Password=hidden"),
                "X_CONFIG: CONNECTION_STRING has the key 'prot', which is none; did you mean port?",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Host=db;Prot=7;Ssl=true;Encrypt=x;Password=hidden"),
                "X_CONFIG: CONNECTION_STRING has the key 'prot', which is none; did you mean port? It also has the key 'ssl', by which no TLS is asked for here; write sslmode=require, or USE_SSL TRUE in SQL_CONFIG; it also says encrypt=x, which is none of true, false or strict",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "mysql://u:hidden@db/plant"),
                "X_CONFIG: CONNECTION_STRING begins with mysql://, which is no address of POSTGRESQL; write postgres://user:password@host:port/database, or WITH TYPE MYSQL",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Host=db;Port=x;Password=hidden"),
                "X_CONFIG: CONNECTION_STRING names no server, or a port that is none: `Host=…;Port=…;Database=…` or `scheme://user:password@host:port/database` is meant",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Server=tcp:db,99999;Password=hidden"),
                "X_CONFIG: CONNECTION_STRING has a port that is none from 1 to 65535",
            ),
            (
                &*SQL,
                ("CONNECTION_STRING", "Server=db\\line4;Password=hidden"),
                "X_CONFIG: CONNECTION_STRING names the instance 'line4', whose port only a service of its machine knows: write its port, as in 'db,50123'",
            ),
            (
                &*SQL,
                ("SERVER", "np:\\\\db\\pipe"),
                "X_CONFIG: SERVER begins with 'np:', which is no way over TCP: write the server's host, or 'tcp:' and the host",
            ),
            (
                &Far::ClusterUrl { url: "URL".into() },
                ("URL", "mongodb://u:hidden@h:x"),
                "X_CONFIG: URL names no servers: `mongodb://user:password@host:port,host:port/?options` is meant",
            ),
            (
                &Far::Servers { servers: "S".into() },
                ("S", "a:b"),
                "X_CONFIG: S is 'a:b', which is no list of servers such as 'a:9092,b:9092'",
            ),
            (
                &Far::Servers { servers: "S".into() },
                ("S", "a:0"),
                "X_CONFIG: S is 'a:0', which is no list of servers such as 'a:9092,b:9092'",
            ),
        ] {
            assert_eq!(said(far, TlsOf::AtOnce, &[settings]).unwrap_err(), expected);
        }
    }
}
