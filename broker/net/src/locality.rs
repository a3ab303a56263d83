//! Locality of HTTP clients from a loopback address: whether they are programs of this machine. The
//! address alone does not say so: a reverse proxy has it, and every browser that shows a foreign
//! page.
//!
//! In doubt nobody is. Not here: what being local allows (`lotmq_auth`), and the PROXY protocol,
//! behind which nobody is local (`proxy`).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use lotmq_websocket::Asker;

use lotmq_config::WebOrigins;

/// Reason why a handshake does not count as that of a program on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It has a field that a proxy may have added.
    Field(Box<str>),
    /// It was sent to another name or address than one of this machine, or to none.
    Host(Option<Box<str>>),
    /// A web page asks that is neither of the server itself nor allowed.
    Origin(Box<str>),
}

impl fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, "field {name} of the handshake"),
            Self::Host(Some(host)) => write!(formatter, "Host {host} of the handshake"),
            Self::Host(None) => formatter.write_str("handshake without Host"),
            Self::Origin(origin) => write!(formatter, "Origin {origin} of the handshake"),
        }
    }
}

impl Foreign {
    /// Judges a handshake. A page that this server itself has delivered is of the origin to which
    /// it connects; other pages are as local as `allowed` says.
    pub(crate) fn of(asker: &Asker, is_encrypted: bool, allowed: &WebOrigins) -> Option<Self> {
        if let Some(name) = &asker.foreign_field {
            return Some(Self::Field(name.clone()));
        }
        let Some(host) = asker.host.as_deref().filter(|host| is_this_machine(host)) else {
            return Some(Self::Host(asker.host.clone()));
        };
        let origin = asker.origin.as_deref()?;
        let scheme = if is_encrypted { "https://" } else { "http://" };
        let is_own = split(origin, scheme.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(scheme) && rest.eq_ignore_ascii_case(host)
        });
        (!is_own && !allowed.contains(origin)).then(|| Self::Origin(origin.into()))
    }
}

fn split(text: &str, at: usize) -> Option<(&str, &str)> {
    text.split_at_checked(at)
}

/// Whether a `Host` is a loopback address, or the name of one, with any port.
fn is_this_machine(authority: &str) -> bool {
    match HostName::read(authority) {
        Some(HostName::Address(address)) => address.to_canonical().is_loopback(),
        Some(HostName::Name(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Host name in front of the port in a `Host` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostName<'a> {
    /// An IP address.
    Address(IpAddr),
    /// Any other name.
    Name(&'a str),
}

impl<'a> HostName<'a> {
    /// Reads `host` or `host:port`; `None` when it is neither.
    pub fn read(authority: &'a str) -> Option<Self> {
        let (host, behind) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']')?;
                (Self::Address(host.parse::<Ipv6Addr>().ok()?.into()), behind)
            }
            None => {
                let (host, behind) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
                let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                if host.is_empty() || !host.chars().all(is_of_name) {
                    return None;
                }
                (host.parse().map_or(Self::Name(host), Self::Address), behind)
            }
        };
        let is_port =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
        (behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port)).then_some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::{Config, Sources};

    fn judge(host: &str, origin: Option<&str>, is_encrypted: bool) -> bool {
        let variable =
            ("LOTMQ_LISTENER_WS_ORIGINS".to_owned(), "http://localhost:3000,https://dash.example".to_owned());
        let config = Config::load(Sources { environment: vec![variable], ..Sources::default() }).unwrap();
        let asker = Asker { host: Some(host.into()), origin: origin.map(Into::into), foreign_field: None };
        Foreign::of(&asker, is_encrypted, &config.listener.ws.origins).is_none()
    }

    #[test]
    fn local_hosts_are_distinguished_from_remote_ones() {
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "127.8.0.1", "[::1]:80", "[::ffff:127.0.0.1]"]
        {
            assert!(judge(host, None, false), "{host}");
        }
        for host in [
            "",
            "h",
            "10.0.0.7",
            "0.0.0.0",
            "127.1",
            "[::]",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "localhost:",
            "localhost:+1",
            "localhost:65536",
            "localhost.",
            "localhost.evil.example",
            "x@localhost",
            "localhost,localhost",
            "127.0.0.1.evil.example:5000",
        ] {
            assert!(!judge(host, None, false), "{host}");
        }
    }

    #[test]
    fn only_own_and_allowed_pages_are_local() {
        for (host, origin, is_encrypted) in [
            ("localhost:5000", "http://localhost:5000", false),
            ("LocalHost:5000", "HTTP://localhost:5000", false),
            ("[::1]:5000", "http://[::1]:5000", false),
            ("localhost", "https://localhost", true),
            ("localhost:5000", "http://localhost:3000", false),
            ("127.0.0.1:5000", "https://dash.example", true),
        ] {
            assert!(judge(host, Some(origin), is_encrypted), "{origin}");
        }
        for (host, origin, is_encrypted) in [
            ("localhost:5000", "http://localhost", false),
            ("localhost:5000", "https://localhost:5000", false),
            ("localhost:5000", "http://localhost:5000", true),
            ("localhost:5000", "http://127.0.0.1:5000", false),
            ("localhost:5000", "http://localhost:x@evil.example", false),
            ("localhost:5000", "http://localhost:5000,http://evil.example", false),
            ("localhost:5000", "http://localhost:8080", false),
            ("localhost:5000", "https://dash.example:8443", false),
            ("localhost:5000", "https://evil.example", false),
            ("localhost:5000", "http://localhost.evil.example:5000", false),
            ("localhost:5000", "chrome-extension://abcdef", false),
            ("localhost:5000", "vscode-webview://1a2b", false),
            ("localhost:5000", "file://", false),
            ("localhost:5000", "null", false),
            ("localhost:5000", "", false),
            ("localhost:5000", "é", false),
            ("evil.example:5000", "http://evil.example:5000", false),
        ] {
            assert!(!judge(host, Some(origin), is_encrypted), "{origin}");
        }
    }

    #[test]
    fn request_through_a_proxy_is_never_local() {
        let asker =
            Asker { host: Some("localhost".into()), foreign_field: Some("Via".into()), ..Asker::default() };
        let foreign = Foreign::of(&asker, false, &WebOrigins::default());
        assert_eq!(foreign.unwrap().to_string(), "field Via of the handshake");
        let nameless = Foreign::of(&Asker::default(), false, &WebOrigins::default());
        assert_eq!(nameless, Some(Foreign::Host(None)));
    }
}
