//! Filter of a listener for the addresses of its clients.

use std::net::IpAddr;

use crate::networks::Networks;

/// Filter of client addresses: networks that may connect, and networks that may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressFilter {
    /// Networks whose clients may connect. If it is empty, all may.
    pub allowed: Networks,
    /// Networks whose clients may not connect, even if `allowed` contains them.
    pub denied: Networks,
}

impl AddressFilter {
    /// Whether a client with this address may connect.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        (self.allowed.is_empty() || self.allowed.contains(address)) && !self.denied.contains(address)
    }

    /// Whether a client may connect whose address is unknown, such as a health check of a proxy.
    #[must_use]
    pub const fn admits_unknown(&self) -> bool {
        self.allowed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::setting::Setting as _;

    fn networks(text: &str) -> Networks {
        Networks::parse(&json!(text)).unwrap()
    }

    #[test]
    fn denied_networks_go_before_allowed_ones() {
        let filter = AddressFilter {
            allowed: networks("10.0.0.0/8,2001:db8::/32"),
            denied: networks("10.9.0.0/16,192.0.2.1"),
        };
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::7", true),
            ("10.9.0.1", false),
            ("::ffff:10.9.0.1", false),
            ("192.0.2.1", false),
            ("203.0.113.1", false),
            ("2001:db9::7", false),
        ] {
            assert_eq!(filter.admits(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!filter.admits_unknown());
    }

    #[test]
    fn filter_without_allowed_networks_admits_all_but_the_denied() {
        let filter = AddressFilter { denied: networks("192.0.2.0/24"), ..AddressFilter::default() };
        assert!(filter.admits("203.0.113.1".parse().unwrap()) && filter.admits_unknown());
        assert!(!filter.admits("192.0.2.255".parse().unwrap()));
    }
}
