//! Section `[routes]`: where routes may connect to, listen and have files, whatever their definitions say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::folders::Folders;
use super::key::section;
use super::networks::Networks;

section! {
    /// Where routes may connect to, listen and have files. Whoever may deploy a route decides where it leads; here the operator says what is out of bounds for all of them.
    Routes at "routes", |config| config.routes => {
        /// Networks that routes do not connect to. What a host name resolves to is looked at, at every connect. The default: link-local addresses and where clouds tell
        /// their machines secrets.
        denied_networks: Networks = Networks::named(&DENIED);
        /// Whether routes may connect to this machine itself. Programs that listen there only often ask nobody for a name, and the broker takes who comes from there for
        /// local: `root` with its default password is.
        allow_loopback: bool = false;
        /// Networks of addresses of this machine at which routes may listen. By default none.
        listen_networks: Networks = Networks::default();
        /// Folders below which routes may have files, as absolute paths. They must be there. A relative `STORAGE_DIR`, or path of a certificate, is below the first;
        /// without any, below `files/<tenant>` of the data directory. All tenants may use them; the data directory must lie in none of them, and none of them in it.
        file_roots: Folders = Folders::default(), json "AllowedFileRoots";
    }
}

/// Link-local addresses, among them the usual one of metadata services; and those of such services elsewhere.
const DENIED: [&str; 5] =
    ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"];

/// The IPv4 addresses that are reached through a NAT64 gateway, RFC 6052.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

impl Routes {
    /// Why no route may connect to an address; `None` where they may.
    #[must_use]
    pub fn refuses_address(&self, address: IpAddr) -> Option<String> {
        let address = meant(address);
        if is_this_machine(address) && !self.allow_loopback {
            return Some(format!("{address} is this machine, and routes.allow_loopback is not set"));
        }
        let is_denied = self.denied_networks.contains(address);
        is_denied.then(|| format!("{address} is one of routes.denied_networks"))
    }

    /// Why no route may listen at an address of this machine; `None` where they may.
    #[must_use]
    pub fn refuses_listening(&self, address: IpAddr) -> Option<String> {
        let is_allowed = self.listen_networks.contains(address);
        (!is_allowed).then(|| format!("{address} is none of routes.listen_networks"))
    }
}

/// The address that is reached in the end.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address.segments()[..6] == NAT64 => {
            let octets = address.octets();
            IpAddr::V4(Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]))
        }
        address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
    }
}

/// Whether it leads to this machine: the loopback, and the unspecified address, which does when it is connected to.
fn is_this_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.octets()[0] == 0,
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST || address == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plant_is_reached_and_metadata_and_the_machine_itself_are_not() {
        let routes = Routes::default();
        for (address, expected) in [
            ("10.0.0.7", true),
            ("192.168.1.2", true),
            ("fd12::1", true),
            ("198.51.100.1", true),
            ("2001:db8::1", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("169.254.169.254", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
        ] {
            let refused = routes.refuses_address(address.parse().unwrap());
            assert_eq!(refused.is_none(), expected, "{address}: {refused:?}");
        }
        let open = Routes { allow_loopback: true, denied_networks: Networks::default(), ..routes };
        for address in ["127.0.0.1", "::1", "169.254.169.254"] {
            assert_eq!(open.refuses_address(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn nothing_is_listened_at_that_is_not_named() {
        let routes = Routes::default();
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        let refused = routes.refuses_listening(home).unwrap();
        assert_eq!(refused, "127.0.0.1 is none of routes.listen_networks");
        let routes = Routes { listen_networks: Networks::named(&["127.0.0.0/8"]), ..routes };
        assert_eq!(routes.refuses_listening(home), None);
        assert!(routes.refuses_listening("0.0.0.0".parse().unwrap()).is_some());
    }
}
