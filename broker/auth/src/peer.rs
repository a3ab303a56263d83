//! Peers: from where a connection came, as rules see it and as logins are counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The address of the TCP or QUIC connection itself.
    Tcp(IpAddr),
    /// A unix socket.
    Unix,
    /// The address that the PROXY protocol or a forwarding header gives.
    Proxied(IpAddr),
    /// No connection at all: a definition of this broker, on behalf of its owner.
    Guest,
    /// A connection of which nothing is known: that of a session in a store that did not keep it.
    /// Nothing that is local is allowed to it.
    Unknown,
}

impl Peer {
    /// Whether the peer is on this machine, commands reference §9.1: a loopback address of the TCP
    /// connection or a unix socket; an address that was only told never is.
    pub fn is_loopback(self) -> bool {
        match self {
            Peer::Tcp(address) => address.to_canonical().is_loopback(),
            Peer::Unix => true,
            Peer::Proxied(_) | Peer::Guest | Peer::Unknown => false,
        }
    }

    /// Whether a proxy or a web page would have it that the peer is on this machine.
    pub(crate) fn claims_loopback(self) -> bool {
        matches!(self, Peer::Proxied(address) if address.to_canonical().is_loopback())
    }

    /// The address as rules see it: without port, IPv4 as such, `unix` for a Unix socket, `guest`
    /// for definitions, `unknown` for none that is known, `proxied` where it is that of this
    /// machine and the peer is not known to be there.
    pub fn address(self) -> String {
        match self {
            Peer::Proxied(_) if self.claims_loopback() => "proxied".to_owned(),
            Peer::Tcp(address) | Peer::Proxied(address) => address.to_canonical().to_string(),
            Peer::Unix => "unix".to_owned(),
            Peer::Guest => "guest".to_owned(),
            Peer::Unknown => "unknown".to_owned(),
        }
    }
}

impl Peer {
    /// Returns the source, as logins are counted.
    pub fn source(self) -> Source {
        match self {
            Peer::Tcp(address) | Peer::Proxied(address) => Source::of(address),
            Peer::Unix => Source(0),
            Peer::Guest | Peer::Unknown => Source(u64::MAX),
        }
    }
}

/// Source of a login, as logins are counted: an address of IPv4, a network of 64 bits of IPv6, or
/// this machine's Unix sockets. One customer usually has such a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(u64);

impl Source {
    /// That of an address.
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            // Of IPv6, nothing begins with 32 bits of zero but the loopback.
            IpAddr::V4(address) => Source(u64::from(address.to_bits())),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Source(1),
            IpAddr::V6(address) => Source(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }

    /// Whether it is this machine: a loopback address, or a Unix socket.
    pub fn is_of_this_machine(self) -> bool {
        match u32::try_from(self.0) {
            // A Unix socket, and the loopback of IPv6.
            Ok(0 | 1) => true,
            Ok(bits) => Ipv4Addr::from_bits(bits).is_loopback(),
            Err(_) => false,
        }
    }

    /// Returns the network around it that one customer may have: 24 bits of IPv4, 48 of IPv6.
    pub fn network(self) -> Source {
        let is_ipv4 = u32::try_from(self.0).is_ok();
        Source(if is_ipv4 { self.0 & !0xff } else { self.0 & !0xffff })
    }

    /// As people read it: an address of IPv4, a network of IPv6 as `2001:db8::/64`, `unix`.
    pub fn render(self) -> String {
        match (self.0, u32::try_from(self.0)) {
            (0, _) => "unix".to_owned(),
            (1, _) => Ipv6Addr::LOCALHOST.to_string(),
            (u64::MAX, _) => "unknown".to_owned(),
            (_, Ok(bits)) => Ipv4Addr::from_bits(bits).to_string(),
            (bits, Err(_)) => format!("{}/64", Ipv6Addr::from_bits(u128::from(bits) << 64)),
        }
    }

    /// As it is stored.
    pub(crate) fn to_text(self) -> String {
        format!("{:x}", self.0)
    }

    /// From its stored form.
    pub(crate) fn from_text(text: &str) -> Option<Source> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_hex).map(Source)
    }
}
