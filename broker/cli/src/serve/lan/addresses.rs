//! Names and addresses at which clients of the local network reach this machine, as the system
//! lists them.
//!
//! Invariant: at most [`ADDRESSES_MAX`] addresses. Not here: which of them a listener opens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Most addresses that are used. Machines with containers have dozens.
const ADDRESSES_MAX: usize = 64;

/// Address of the documentation (RFC 5737), for which the system chooses its address towards other
/// networks.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Flag of a temporary address (`IFA_F_TEMPORARY`), which changes every day.
const TEMPORARY: u8 = 0x01;

/// Names and addresses of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reachable {
    /// Host names, the name of the system first.
    pub(crate) names: Vec<String>,
    /// Addresses that are not loopback, that towards other networks first.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether the system has IPv6.
    pub(crate) has_ipv6: bool,
}

impl Reachable {
    /// Returns those that the system has now.
    pub(crate) fn of_machine() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let listed = text("/proc/net/if_inet6");
        let mut addresses: Vec<IpAddr> = towards_others().into_iter().collect();
        let others = ipv4_addresses(&text("/proc/net/fib_trie")).into_iter().map(IpAddr::V4);
        for address in others.chain(ipv6_addresses(&listed).into_iter().map(IpAddr::V6)) {
            if !address.is_loopback() && !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
                addresses.push(address);
            }
        }
        let names = host_names(&text("/proc/sys/kernel/hostname"));
        Self { names, addresses, has_ipv6: !listed.is_empty() }
    }

    /// The name or address that a client of the network uses: the first address, else a name.
    pub(crate) fn preferred(&self) -> String {
        let address = self.addresses.first().map(IpAddr::to_string);
        address.or_else(|| self.names.first().cloned()).unwrap_or_else(|| "localhost".to_owned())
    }
}

/// The address of this machine that packets to other networks carry. Sends nothing.
fn towards_others() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The name of the system in lower case, its first label, and that label in `local` (RFC 6762). No
/// name if the text is no host name.
fn host_names(text: &str) -> Vec<String> {
    let name = text.trim().to_ascii_lowercase();
    let is_label = |label: &str| {
        let is_inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty()
            && label.len() <= 63
            && is_inside
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 240 || name == "localhost" || !name.split('.').all(is_label) {
        return Vec::new();
    }
    let first = name.split('.').next().unwrap_or_default().to_owned();
    let in_local = format!("{first}.local");
    let mut names = vec![name];
    for more in [first, in_local] {
        if !names.contains(&more) {
            names.push(more);
        }
    }
    names
}

/// Own addresses in a listing as `/proc/net/fib_trie` has it: each leaf has a line with the
/// address, then one for each route.
fn ipv4_addresses(listing: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf = None;
    for line in listing.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = leaf
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// Lasting addresses beyond one link in a listing as `/proc/net/if_inet6` has it: address,
/// interface, prefix, scope, flags, name.
fn ipv6_addresses(listing: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [bits, _, _, scope, flags, _] = *fields else { return None };
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let is_global = scope == "00" && flags & TEMPORARY == 0;
        let bits = u128::from_str_radix(bits, 16).ok()?;
        is_global.then(|| Ipv6Addr::from_bits(bits))
    };
    listing.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_found_in_the_listings_of_the_system() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 192.168.1.0/24 2 0 2\n        |-- 192.168.1.0\n           /24 link UNICAST\n        |-- 192.168.1.50\n           /32 host LOCAL\n        |-- 192.168.1.255\n           /32 link BROADCAST\nLocal:\n        |-- 192.168.1.50\n           /32 host LOCAL\n        |-- 127.0.0.1\n           /32 host LOCAL\n";
        let expected: Vec<Ipv4Addr> = vec!["192.168.1.50".parse().unwrap(), Ipv4Addr::LOCALHOST];
        assert_eq!(ipv4_addresses(trie), expected);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000007 02 40 00 80     eth0\nfd000000000000000000000000000008 02 40 00 01     eth0\nfe80000000000000000000fffe000001 02 40 20 80     eth0\nnonsense\n";
        assert_eq!(ipv6_addresses(inet6), ["fd00::7".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!((ipv4_addresses("?"), ipv6_addresses("?")), (Vec::new(), Vec::new()));
    }

    #[test]
    fn host_name_is_complete_short_and_local() {
        for (text, expected) in [
            ("Plant-1\n", &["plant-1", "plant-1.local"][..]),
            ("plant.example.org", &["plant.example.org", "plant", "plant.local"]),
            ("plant.local", &["plant.local", "plant"]),
            ("localhost", &[]),
            ("under_score", &[]),
            ("-a", &[]),
            ("a..b", &[]),
            ("", &[]),
        ] {
            assert_eq!(host_names(text), expected, "{text}");
        }
    }
}
