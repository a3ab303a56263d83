//! Addresses with the servers of a cluster in them:
//! `mongodb://user:password@a:27017,b:27017/database?tls=true`, or with a name that SRV records
//! make servers of: `mongodb+srv://`.
//! Their guest reads the rest (`guests/route-mongodb`).

use super::{Server, lower};

/// Service of SRV records, where the address names none.
const SERVICE: &str = "mongodb";

/// Bytes of the name of a service, RFC 6335 §5.1.
const SERVICE_BYTES_MAX: usize = 15;

/// Parts of an address that say its place.
pub(in crate::route_drivers) struct ClusterUrl<'t> {
    /// Whether SRV records say the servers.
    pub(in crate::route_drivers) is_service: bool,
    hosts: &'t str,
    options: &'t str,
}

/// Name that has SRV records.
#[derive(Debug, PartialEq)]
pub(in crate::route_drivers) struct ServiceName {
    /// Host in lower case.
    pub(in crate::route_drivers) host: String,
    pub(in crate::route_drivers) service: String,
    /// How many of the servers are used; 0 for all.
    pub(in crate::route_drivers) servers_max: usize,
}

impl<'t> ClusterUrl<'t> {
    /// Takes an address apart; `None` where it is none.
    pub(in crate::route_drivers) fn parse(text: &'t str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let is_service = match scheme {
            "mongodb" => false,
            "mongodb+srv" => true,
            _ => return None,
        };
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or_default();
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        Some(Self { is_service, hosts, options })
    }

    /// Returns the text behind the question mark.
    pub(in crate::route_drivers) fn options(&self) -> &'t str {
        self.options
    }

    /// The name whose records say the servers.
    ///
    /// # Errors
    /// Why it is none, to be read behind the name of the setting.
    pub(in crate::route_drivers) fn service(&self) -> Result<ServiceName, &'static str> {
        let host = self.hosts.strip_suffix('.').unwrap_or(self.hosts);
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(is_fit) || host.split('.').any(str::is_empty) {
            return Err("names with mongodb+srv:// something else than one host without a port");
        }
        if self.is(&["directconnection"]) == Some(true) {
            return Err(
                "has directConnection=true, which is for one server, and mongodb+srv:// finds several",
            );
        }
        let service = self.option("srvservicename").unwrap_or(SERVICE);
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if service.is_empty() || service.len() > SERVICE_BYTES_MAX || !service.bytes().all(is_fit) {
            return Err("has a srvServiceName that is no name of a service, such as 'mongodb'");
        }
        let servers_max = self.option("srvmaxhosts").unwrap_or("0").parse();
        let servers_max = servers_max.map_err(|_| "has a srvMaxHosts that is no number")?;
        Ok(ServiceName { host: host.to_ascii_lowercase(), service: service.to_owned(), servers_max })
    }

    fn option(&self, name: &str) -> Option<&'t str> {
        let mut pairs = self.options.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| lower(key) == name).map(|(_, value)| value)
    }

    fn is(&self, names: &[&str]) -> Option<bool> {
        names.iter().find_map(|name| self.option(name)).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The servers, the first as the endpoint; `None` where it names none. Of a service its name
    /// stands for them until it is looked up.
    pub(super) fn server(&self, default_port: u16) -> Option<Server> {
        let mut servers = self.hosts.split(',').map(|text| host_and_port(text, default_port));
        let (host, port) = servers.next()??;
        let mut server = Server::new(host, Some(port));
        for other in servers {
            let (host, port) = other?;
            server.others.push(if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            });
        }
        server.is_secure = self.is(&["tls", "ssl"]).or(self.is_service.then_some(true));
        server.is_trusting = self.is(&["tlsallowinvalidcertificates", "tlsinsecure"]) == Some(true);
        if self.is(&["directconnection"]) != Some(true) {
            // Members of a replica set are named by the set; which addresses are open to routes at
            // all says the operator.
            server.others.push("*:*".to_owned());
        }
        Some(server)
    }
}

fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) | None => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // A name with a percent sign in it is that of a Unix socket.
    (!host.is_empty() && !host.contains(['%', '/'])).then(|| (host.to_owned(), port))
}
