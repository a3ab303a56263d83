//! Endpoints that a route may connect to and listen at, as its definition names them.
//!
//! An endpoint has one place of its own, and patterns for places that only the other side names,
//! such as the brokers of a cluster. The operator of the broker decides which resolved addresses
//! are allowed ([`refuses_address`](super::FiberServices::refuses_address)).

use super::{client_tls::ClientTls, server_tls::ServerTls};
use std::{net::IpAddr, str::FromStr};

/// Bytes of a host name. RFC 1035.
const HOST_BYTES_MAX: usize = 253;

/// Place outside of the broker, by its name in the definition.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// Section of the definition that says all this.
    pub section: String,
    /// Host name or address, which the certificate must match. [`Endpoint::server_name`] overrides
    /// the name in the certificate.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Further places that the guest may connect to.
    pub others: Vec<HostPattern>,
    /// Whether TLS is used.
    pub tls: EndpointTls,
    /// Name that the certificate must be for, where it is not that of the host.
    pub server_name: Option<String>,
    /// Whether the guest may listen here, in place of connecting.
    pub listens: bool,
    /// Whether the host serves HTTP where the guest listens.
    pub http: Option<HttpService>,
}

/// How the host serves HTTP at an endpoint.
#[derive(Clone, Debug, Default)]
pub struct HttpService {
    /// Certificate and key that it shows to clients; `None` without TLS.
    pub tls: Option<ServerTls>,
}

/// Use of TLS on an endpoint.
#[derive(Clone, Debug, Default)]
pub enum EndpointTls {
    /// None: `start-tls` is denied.
    #[default]
    Never,
    /// From the first byte.
    OnConnect(ClientTls),
    /// When the guest asks for it.
    OnDemand(ClientTls),
}

/// Pattern of places: a host, `*.suffix`, a network or `*`, and a port, a range of ports or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: HostRule,
    ports: (u16, u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostRule {
    Any,
    Name(String),
    /// Names that end with this, which begins with a dot.
    Suffix(String),
    Network(IpAddr, u32),
}

/// Text that is no [`HostPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' names no places: a host, '*.suffix', a network or '*' is meant, then ':' and a port, a range such as '9092-9099' or '*'; IPv6 in brackets"
)]
pub struct NotAPattern(String);

/// A host as a guest names it: in lower case, without the dot at the end. `None` when it cannot be
/// one.
pub(super) fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    let is_host = !name.is_empty() && name.len() <= HOST_BYTES_MAX && name.bytes().all(is_fit);
    is_host.then(|| name.to_ascii_lowercase())
}

impl HostPattern {
    /// Whether it covers all places of another one.
    pub fn includes(&self, other: &HostPattern) -> bool {
        self.ports.0 <= other.ports.0 && other.ports.1 <= self.ports.1 && self.host.includes(&other.host)
    }

    /// Whether a guest may connect there; the host is a [`host_name`].
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        (self.ports.0..=self.ports.1).contains(&port) && self.host.covers(host)
    }
}

impl HostRule {
    fn parse(text: &str) -> Option<HostRule> {
        if text == "*" {
            return Some(HostRule::Any);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return host_name(suffix).map(|suffix| HostRule::Suffix(format!(".{suffix}")));
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(it, bits)| (it, Some(bits)));
        match (address.parse::<IpAddr>(), bits) {
            (Ok(address), bits) => {
                let width = if address.is_ipv4() { u32::BITS } else { u128::BITS };
                let bits =
                    bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
                (address.to_canonical() == address).then_some(HostRule::Network(address, bits))
            }
            (Err(_), None) if !text.contains(':') => host_name(text).map(HostRule::Name),
            (Err(_), _) => None,
        }
    }

    fn includes(&self, other: &HostRule) -> bool {
        match (self, other) {
            (HostRule::Any, _) => true,
            (HostRule::Network(network, bits), HostRule::Network(other, other_bits)) => {
                bits <= other_bits && is_within(*other, (*network, *bits))
            }
            (HostRule::Name(name), HostRule::Name(other)) => name == other,
            (HostRule::Suffix(suffix), HostRule::Name(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix)
            }
            (HostRule::Suffix(suffix), HostRule::Suffix(other)) => other.ends_with(suffix),
            (HostRule::Network(..) | HostRule::Name(_) | HostRule::Suffix(_), _) => false,
        }
    }

    fn covers(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
        match (self, address) {
            (HostRule::Any, _) => true,
            (HostRule::Network(network, bits), Ok(address)) => is_within(address, (*network, *bits)),
            (HostRule::Name(name), Err(_)) => name == host,
            (HostRule::Suffix(suffix), Err(_)) => host.len() > suffix.len() && host.ends_with(suffix),
            (HostRule::Network(..), Err(_)) | (HostRule::Name(_) | HostRule::Suffix(_), Ok(_)) => false,
        }
    }
}

fn is_within(address: IpAddr, (network, bits): (IpAddr, u32)) -> bool {
    let differing = match (network, address) {
        (IpAddr::V4(own), IpAddr::V4(other)) => {
            u128::from(own.to_bits() ^ other.to_bits()) << (u128::BITS - u32::BITS)
        }
        (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differing.leading_zeros() >= bits
}

impl FromStr for HostPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let parse = || {
            let (host, ports) = text.trim().rsplit_once(':')?;
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host = HostRule::parse(bracketed.unwrap_or(host))?;
            let is_v6 = matches!(host, HostRule::Network(IpAddr::V6(_), _));
            let ports = match (ports, ports.split_once('-')) {
                // Of one that listens 0 is any free one.
                ("*", _) => (0, u16::MAX),
                (_, Some((first, last))) => {
                    (first.parse().ok().filter(|first| *first > 0)?, last.parse().ok()?)
                }
                (port, None) => port.parse().ok().map(|port| (port, port))?,
            };
            let is_fit = bracketed.is_some() == is_v6 && ports.1 > 0 && ports.0 <= ports.1;
            is_fit.then_some(HostPattern { host, ports })
        };
        parse().ok_or_else(|| NotAPattern(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_their_places_and_no_others() {
        for (pattern, host, port, expected) in [
            ("kafka-1.local:9092", "kafka-1.local", 9092, true),
            ("kafka-1.local:9092", "Kafka-1.LOCAL.", 9092, true),
            ("kafka-1.local:9092", "kafka-1.local", 9093, false),
            ("kafka-1.local:9092", "x.kafka-1.local", 9092, false),
            ("*.local:9092-9094", "a.b.local", 9094, true),
            ("*.local:9092-9094", "local", 9094, false),
            ("*.local:9092-9094", "a.local", 9095, false),
            ("*.local:*", "evillocal", 1, false),
            ("10.1.0.0/16:502", "10.1.255.3", 502, true),
            ("10.1.0.0/16:502", "::ffff:10.1.2.3", 502, true),
            ("10.1.0.0/16:502", "10.2.0.1", 502, false),
            ("10.1.0.0/16:502", "10.1.0.1.example", 502, false),
            ("10.1.0.7:502", "10.1.0.7", 502, true),
            ("[2001:db8::/32]:502", "2001:db8:1::2", 502, true),
            ("[2001:db8::/32]:502", "2001:db9::2", 502, false),
            ("*:502", "anything", 502, true),
            ("*:*", "10.0.0.1", 65_535, true),
            ("*.0.0.1:*", "10.0.0.1", 80, false),
        ] {
            let covers = pattern.parse::<HostPattern>().unwrap().covers(&host_name(host).unwrap(), port);
            assert_eq!(covers, expected, "{pattern} and {host}:{port}");
        }
    }

    #[test]
    fn everything_else_is_no_pattern() {
        for text in [
            "",
            ":",
            "host",
            "host:",
            ":80",
            "host:0",
            "host:65536",
            "host:9-8",
            "host:1-",
            "2001:db8::1:80",
            "[host]:80",
            "[10.0.0.1]:80",
            "10.0.0.0/33:80",
            "a b:80",
            "*.:80",
            "*x:80",
            "a*.b:80",
            "host/8:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(NotAPattern(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn names_that_cannot_be_hosts_are_none() {
        assert_eq!(host_name("A.b_c-9."), Some("a.b_c-9".to_owned()));
        for text in ["", ".", "a b", "a/b", "a@b", "a%b", "ä", &"x".repeat(HOST_BYTES_MAX + 1)] {
            assert_eq!(host_name(text), None, "{text}");
        }
    }
}
