//! Type of values that are networks of IP addresses.

use std::net::IpAddr;

use serde_json::Value;

use super::setting::Setting;
use super::web::texts;
use crate::value_error::ValueError;

/// Networks of IP addresses, single addresses among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// An address of a network, and how many of its bits all addresses of it have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Networks {
    /// Networks that are written in the source.
    pub(crate) fn named(texts: &[&str]) -> Self {
        let parsed = texts.iter().map(|text| Network::parse(text).expect("a network is written as one"));
        Self(parsed.collect())
    }

    /// Whether none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address belongs to one of them; an IPv4 address that is written as IPv6 is the
    /// IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width(address))?,
            None => width(address),
        };
        // As IPv6, the bits would be counted from another place.
        (address.to_canonical() == address).then_some(Self { address, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u128::from(own.to_bits() ^ other.to_bits()) << (u128::BITS - u32::BITS)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing.leading_zeros() >= self.bits
    }

    fn show(self) -> String {
        if self.bits == width(self.address) {
            self.address.to_string()
        } else {
            format!("{}/{}", self.address, self.bits)
        }
    }
}

/// Bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { u32::BITS } else { u128::BITS }
}

impl Setting for Networks {
    const TYPE: &'static str =
        "addresses and networks such as `10.0.0.7` and `10.1.0.0/16`: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let texts = texts(value);
        let networks = texts.and_then(|texts| texts.iter().map(|text| Network::parse(text)).collect());
        networks.map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        self.0.iter().map(|network| Value::from(network.show())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let networks = Networks::parse(&json!("10.1.0.0/16, 192.0.2.7,2001:db8::/33,::1")).unwrap();
        assert_eq!(networks.show(), json!(["10.1.0.0/16", "192.0.2.7", "2001:db8::/33", "::1"]));
        for (address, expected) in [
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::", false),
            ("::1", true),
            ("::2", false),
            ("0.0.0.1", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), expected, "{address}");
        }
        let all = Networks::parse(&json!(["0.0.0.0/0"])).unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        assert!(Networks::default().is_empty() && !Networks::default().contains("::1".parse().unwrap()));
    }

    #[test]
    fn everything_else_is_no_network() {
        for value in [
            json!("10.0.0.0/33"),
            json!("::/129"),
            json!("10.0.0"),
            json!("10.0.0.0/"),
            json!("10.0.0.0/-1"),
            json!("::ffff:10.0.0.0/96"),
            json!("proxy"),
            json!(7),
        ] {
            assert_eq!(
                Networks::parse(&value),
                Err(ValueError::WrongType { expected: Networks::TYPE }),
                "{value}"
            );
        }
    }
}
