//! Section `[routes]`: where routes may connect to, listen and have files, and which serial ports
//! they may open, whatever their definitions say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::folders::Folders;
use super::key::section;
use super::name_servers::NameServers;
use super::networks::Networks;
use super::serial_ports::SerialPorts;
use super::setting::words;
use super::tenant_places::{PlacesOfTenant, TenantPlaces};

section! {
    /// Bounds on the networks, listening addresses, files and serial ports of routes. A user who
    /// may deploy a route decides where it leads. The operator sets the bounds here, for all routes
    /// or for those of one tenant.
    Routes at "routes", |config| config.routes => {
        /// Networks that routes do not connect to. The broker checks the addresses of a host name
        /// at every connect. The default: link-local addresses and the metadata services of clouds.
        denied_networks: Networks = Networks::named(&DENIED);
        /// Whether routes may connect to this machine itself. Programs that listen only there often
        /// need no login. The broker treats such connections as local, so `root` may use its
        /// default password there.
        allow_loopback: bool = false;
        /// Networks of addresses of this machine at which routes may listen. By default none.
        listen_networks: Networks = Networks::default();
        /// Bounds of the routes of single tenants, each with a section of its own:
        /// `[routes.tenants.acme]`. A key that is set there holds for the routes of that tenant, in
        /// place of the key of this section. All other tenants have the keys of this section.
        tenants: TenantPlaces = TenantPlaces::default();
        /// Name servers for the SRV and TXT records of addresses such as `mongodb+srv://`. By
        /// default those of `/etc/resolv.conf`. The system always looks up addresses of hosts.
        name_servers: NameServers = NameServers::default();
        /// Folders below which routes may have files, as absolute paths. They must exist. A
        /// relative `STORAGE_DIR` or path of a certificate is below the first one. Without a folder
        /// here it is below `files/<tenant>` of the data directory. Files of users other than
        /// `root` are then below `users/<name>`, and those of routes without an owner below
        /// `nobody`. All tenants may use the folders. The data directory must not be in one of
        /// them, and none of them in it.
        file_roots: Folders = Folders::default(), json "AllowedFileRoots";
        /// Serial ports that routes may open, such as `/dev/ttyUSB*`. By default none. The broker
        /// compares the path in the route's `COM_PORT` as it is, so name a link itself, such as
        /// those in `/dev/serial/by-id`. Name only serial ports, because some other devices do
        /// something when they are opened.
        serial_ports: SerialPorts = SerialPorts::default();
        /// Policy for messages to a route whose outbox is full, unless its `ROUTE_CONFIG` sets one.
        overload_policy: OverloadPolicy = OverloadPolicy::ByQos, variable "COREFLUX_ROUTE_OVERLOAD_POLICY";
        /// Milliseconds for which an outbox is full before it sheds messages by policy `balanced`,
        /// unless `ROUTE_CONFIG` sets a value.
        overload_timeout_ms: u64 = 50, range 0..=86_400_000, variable "COREFLUX_ROUTE_CHANNEL_FULL_TIMEOUT_MS";
    }
}

words! {
    /// Policy for messages to a route whose outbox is full.
    OverloadPolicy {
        /// `lossless` for messages of QoS 1 and 2, `balanced` for those of QoS 0.
        ByQos = "by-qos",
        /// Their publishers wait.
        Lossless = "lossless",
        /// Their publishers wait for a short time, then the arriving messages are shed.
        Balanced = "balanced",
        /// The arriving messages are shed at once.
        Realtime = "realtime",
    }
}

/// Link-local addresses, among them the usual one of metadata services; and those of such services
/// elsewhere.
const DENIED: [&str; 5] =
    ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"];

/// The IPv4 addresses that are reached through a NAT64 gateway, RFC 6052.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

impl Routes {
    /// Why no route of a tenant may connect to an address; `None` where they may.
    #[must_use]
    pub fn refuses_address(&self, tenant: &str, address: IpAddr) -> Option<String> {
        let (address, own) = (meant(address), self.tenants.of(tenant));
        let (may, key) = ours(own, |own| own.allow_loopback.as_ref(), &self.allow_loopback);
        if is_this_machine(address) && !may {
            return Some(format!(
                "{address} is this machine, and {}.allow_loopback is not set",
                section(key, tenant)
            ));
        }
        let (denied, key) = ours(own, |own| own.denied_networks.as_ref(), &self.denied_networks);
        let section = section(key, tenant);
        denied.contains(address).then(|| format!("{address} is one of {section}.denied_networks"))
    }

    /// Why no route of a tenant may listen at an address of this machine; `None` where they may.
    #[must_use]
    pub fn refuses_listening(&self, tenant: &str, address: IpAddr) -> Option<String> {
        let own = self.tenants.of(tenant);
        let (allowed, key) = ours(own, |own| own.listen_networks.as_ref(), &self.listen_networks);
        let section = section(key, tenant);
        (!allowed.contains(address)).then(|| format!("{address} is none of {section}.listen_networks"))
    }

    /// Why no route of a tenant may open a serial port, by the path of its device; `None` where
    /// they may.
    #[must_use]
    pub fn refuses_serial_port(&self, tenant: &str, device: &str) -> Option<String> {
        let own = self.tenants.of(tenant);
        let (allowed, key) = ours(own, |own| own.serial_ports.as_ref(), &self.serial_ports);
        let section = section(key, tenant);
        (!allowed.contains(device)).then(|| format!("'{device}' is none of {section}.serial_ports"))
    }
}

/// Scope of a value: one tenant or all.
#[derive(Clone, Copy)]
enum Whose {
    Tenant,
    All,
}

/// The value that holds for a tenant, and whose it is.
fn ours<'a, T>(
    own: Option<&'a PlacesOfTenant>,
    value: impl FnOnce(&'a PlacesOfTenant) -> Option<&'a T>,
    of_all: &'a T,
) -> (&'a T, Whose) {
    own.and_then(value).map_or((of_all, Whose::All), |value| (value, Whose::Tenant))
}

/// The section in which a value stands.
fn section(whose: Whose, tenant: &str) -> String {
    match whose {
        Whose::Tenant => format!("routes.tenants.{tenant}"),
        Whose::All => "routes".to_owned(),
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

/// Whether it leads to this machine: the loopback, and the unspecified address, which does when it
/// is connected to.
fn is_this_machine(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.octets()[0] == 0,
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST || address == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Setting as _;
    use serde_json::json;

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
            let refused = routes.refuses_address("default", address.parse().unwrap());
            assert_eq!(refused.is_none(), expected, "{address}: {refused:?}");
        }
        let open = Routes { allow_loopback: true, denied_networks: Networks::default(), ..routes };
        for address in ["127.0.0.1", "::1", "169.254.169.254"] {
            assert_eq!(open.refuses_address("default", address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn nothing_is_listened_at_that_is_not_named() {
        let routes = Routes::default();
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        let refused = routes.refuses_listening("default", home).unwrap();
        assert_eq!(refused, "127.0.0.1 is none of routes.listen_networks");
        let routes = Routes { listen_networks: Networks::named(&["127.0.0.0/8"]), ..routes };
        assert_eq!(routes.refuses_listening("default", home), None);
        assert!(routes.refuses_listening("default", "0.0.0.0".parse().unwrap()).is_some());
    }

    #[test]
    fn a_tenant_has_what_is_its_own_and_the_rest_of_all() {
        let value = json!({
            "acme": { "allow_loopback": true, "denied_networks": ["10.0.0.0/8"] },
            "shut": { "allow_loopback": false, "listen_networks": [] },
        });
        let routes = Routes {
            listen_networks: Networks::named(&["127.0.0.0/8"]),
            tenants: TenantPlaces::parse(&value).unwrap(),
            ..Routes::default()
        };
        for (tenant, address, expected) in [
            ("default", "127.0.0.1", Some("127.0.0.1 is this machine, and routes.allow_loopback is not set")),
            ("acme", "127.0.0.1", None),
            ("shut", "::1", Some("::1 is this machine, and routes.tenants.shut.allow_loopback is not set")),
            ("default", "10.0.0.7", None),
            ("acme", "10.0.0.7", Some("10.0.0.7 is one of routes.tenants.acme.denied_networks")),
            // Its own list is in place of that of all.
            ("acme", "169.254.169.254", None),
            ("shut", "169.254.169.254", Some("169.254.169.254 is one of routes.denied_networks")),
        ] {
            let refused = routes.refuses_address(tenant, address.parse().unwrap());
            assert_eq!(refused.as_deref(), expected, "{tenant}: {address}");
        }
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(routes.refuses_listening("acme", home), None);
        let refused = routes.refuses_listening("shut", home).unwrap();
        assert_eq!(refused, "127.0.0.1 is none of routes.tenants.shut.listen_networks");
    }
}
