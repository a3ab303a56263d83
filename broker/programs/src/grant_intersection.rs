//! Intersection of two grants: of a route and its module, and of either and its policies.
//!
//! Invariant: the result is contained in both grants.

use std::net::IpAddr;

use lotmq_host::fiber::HostPattern;
use lotmq_host::{Grants, NameGrant, TopicGrant, ValueGrant};

/// Grants of a route that runs a module: what its text names and the module was granted, both;
/// state and configuration are the module's.
pub(super) fn both(route: Grants, module: &Grants) -> Grants {
    let values = |route: &ValueGrant, module: &ValueGrant| ValueGrant {
        read: both_names(&route.read, &module.read),
        write: both_names(&route.write, &module.write),
    };
    Grants {
        write: both_topics(&route.write, &module.write),
        read: both_topics(&route.read, &module.read),
        environment: values(&route.environment, &module.environment),
        secrets: values(&route.secrets, &module.secrets),
        files: module.files.clone(),
        serial_ports: module.serial_ports.clone(),
        state: module.state,
        config: module.config.clone(),
        ..route
    }
}

fn both_names(one: &NameGrant, other: &NameGrant) -> NameGrant {
    match (one, other) {
        (NameGrant::None, _) | (_, NameGrant::None) => NameGrant::None,
        (NameGrant::All, names) | (names, NameGrant::All) => names.clone(),
        (NameGrant::Names(names), other) => {
            NameGrant::Names(names.iter().filter(|name| other.covers(name)).cloned().collect())
        }
    }
}

pub(super) fn both_topics(one: &TopicGrant, other: &TopicGrant) -> TopicGrant {
    match (one, other) {
        (TopicGrant::None, _) | (_, TopicGrant::None) => TopicGrant::None,
        (TopicGrant::NotSystem, TopicGrant::NotSystem) => TopicGrant::NotSystem,
        (TopicGrant::NotSystem, TopicGrant::Filters(filters))
        | (TopicGrant::Filters(filters), TopicGrant::NotSystem) => {
            let others = filters.iter().filter(|filter| ***filter != *"$SYS" && !filter.starts_with("$SYS/"));
            TopicGrant::Filters(others.cloned().collect())
        }
        (TopicGrant::Filters(filters), TopicGrant::Filters(others)) => {
            let pairs = filters.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
            let mut common: Vec<Box<str>> =
                pairs.filter_map(|(one, other)| common_filter(one, other)).collect();
            common.sort_unstable();
            common.dedup();
            TopicGrant::Filters(common.into())
        }
    }
}

/// Topic Filter of the topics that two Topic Filters match both; `None` where there are none.
fn common_filter(one: &str, other: &str) -> Option<Box<str>> {
    let is_wild = |filter: &str| filter.starts_with(['#', '+']);
    // Wildcards in front match no topic that begins with `$`.
    if (is_wild(one) && other.starts_with('$')) || (is_wild(other) && one.starts_with('$')) {
        return None;
    }
    let (mut left, mut right) = (one.split('/'), other.split('/'));
    let mut common: Vec<&str> = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            // `a/#` matches `a`, too.
            (Some("#"), None) | (None, Some("#")) => break,
            (Some("#"), Some(level)) => {
                common.push(level);
                common.extend(right);
                break;
            }
            (Some(level), Some("#")) => {
                common.push(level);
                common.extend(left);
                break;
            }
            (Some("+"), Some(level)) => common.push(level),
            (Some(level), Some("+")) => common.push(level),
            (Some(level), Some(same)) if level == same => common.push(level),
            (_, _) => return None,
        }
    }
    Some(common.join("/").into())
}

/// Whether there are topics that two Topic Filters match both.
pub fn have_common_topics(one: &str, other: &str) -> bool {
    common_filter(one, other).is_some()
}

/// Whether a granted place covers one that a route names: both are a host, `*.suffix`, a network or
/// `*`, with a port, a range of them or `*`.
pub fn reaches(granted: &str, place: &str) -> bool {
    pattern(granted).zip(pattern(place)).is_some_and(|(granted, place)| granted.includes(&place))
}

/// A pattern of places; an address of IPv4 may be written as one of IPv6.
fn pattern(text: &str) -> Option<HostPattern> {
    let (host, ports) = text.trim().rsplit_once(':')?;
    let host = plain_host(host);
    let host = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if address.is_ipv4() => address.to_string(),
        Ok(address) => format!("[{address}]"),
        Err(_) if host.contains(':') => format!("[{host}]"),
        Err(_) => host,
    };
    format!("{host}:{ports}").parse().ok()
}

/// A host in lower case, without brackets, and without the dot at the end.
fn plain_host(host: &str) -> String {
    let bracketed = host.strip_prefix('[').and_then(|inside| inside.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use lotmq_router::filter_matches;

    use super::*;

    #[test]
    fn common_filter_matches_exactly_the_topics_of_both_filters() {
        let filters = [
            "#", "+", "a", "a/#", "a/+", "+/b", "a/b", "+/+", "+/#", "a/+/c", "+/b/#", "a/b/c", "$SYS/#",
            "$SYS/a", "$x/+", "/", "/+", "a/",
        ];
        let topics = [
            "a", "b", "a/b", "a/c", "b/b", "a/b/c", "a/x/c", "b/b/c", "$SYS", "$SYS/a", "$SYS/b", "$x/a",
            "/", "/a", "a/", "/b",
        ];
        for one in filters {
            for other in filters {
                let common = common_filter(one, other);
                for topic in topics {
                    let expected = filter_matches(one, topic) && filter_matches(other, topic);
                    let found = common.as_deref().is_some_and(|common| filter_matches(common, topic));
                    assert_eq!(found, expected, "{topic} by {one} and {other}: {common:?}");
                }
            }
        }
    }

    #[test]
    fn a_route_has_what_its_text_names_and_its_module_was_granted() {
        let names = |names: &[&str]| NameGrant::Names(names.iter().map(|name| (*name).into()).collect());
        let filters = |names: &[&str]| TopicGrant::Filters(names.iter().map(|name| (*name).into()).collect());
        let route = Grants {
            write: TopicGrant::NotSystem,
            read: filters(&["seen/+", "other"]),
            environment: ValueGrant { read: names(&["A", "B"]), write: names(&["A", "B"]) },
            secrets: ValueGrant { read: names(&["P"]), write: NameGrant::None },
            ..Grants::default()
        };
        let module = Grants {
            write: filters(&["in/#", "$SYS/Coreflux/Command"]),
            read: filters(&["seen/a", "in/#"]),
            environment: ValueGrant { read: names(&["B", "C"]), write: NameGrant::None },
            secrets: ValueGrant::all(),
            actions: NameGrant::All,
            state: true,
            ..Grants::default()
        };
        let common = both(route.clone(), &module);
        assert_eq!(common.write, filters(&["in/#"]));
        assert_eq!(common.read, filters(&["seen/a"]));
        assert_eq!(common.environment, ValueGrant { read: names(&["B"]), write: NameGrant::None });
        assert_eq!(common.secrets, ValueGrant { read: names(&["P"]), write: NameGrant::None });
        assert_eq!((common.actions, common.state), (NameGrant::None, true));
        let named = Grants { write: filters(&["in/a", "out/b"]), ..route };
        assert_eq!(both(named, &module).write, filters(&["in/a"]));
    }

    #[test]
    fn a_granted_place_covers_no_other_one() {
        for (granted, place, expected) in [
            ("plc.example:502", "plc.example:502", true),
            ("plc.example:502", "PLC.example.:502", true),
            ("plc.example:502", "plc.example:503", false),
            ("plc.example:502", "a.plc.example:502", false),
            ("plc.example:*", "plc.example:9000-9009", true),
            ("plc.example:502", "plc.example:*", false),
            ("*.example:*", "a.b.example:1", true),
            ("*.example:*", "*.a.example:1", true),
            ("*.example:*", "*.example:*", true),
            ("*.a.example:*", "*.example:1", false),
            ("*.example:*", "example:1", false),
            ("*.example:*", "evilexample:1", false),
            ("10.0.0.7:502", "10.0.0.7:502", true),
            ("10.0.0.7:502", "[::ffff:10.0.0.7]:502", true),
            ("10.0.0.7:502", "10.0.0.7/8:502", false),
            ("*.0.0.7:502", "10.0.0.7:502", false),
            ("[2001:db8::1]:502", "[2001:DB8:0::1]:502", true),
            ("[2001:db8::1]:502", "[2001:db8::2]:502", false),
            ("*.example:*", "*:1", false),
            ("plc.example:502", "plc.example", false),
            ("*:9092", "*:9092", true),
            ("*:*", "10.0.0.0/8:1-9", true),
            ("*:9092", "b.example:9092", true),
            ("*.example:*", "*:*", false),
            ("10.0.0.0/8:2000-2010", "10.1.0.0/16:2001-2010", true),
            ("10.0.0.0/8:2000-2010", "10.1.0.7:2000", true),
            ("10.0.0.0/8:2000-2010", "10.1.0.7:2000-2011", false),
            ("10.0.0.0/8:2000", "11.0.0.7:2000", false),
            ("10.0.0.0/8:2000", "a.example:2000", false),
            ("[2001:db8::/32]:502", "[2001:db8:7::/48]:502", true),
            ("[2001:db8::/32]:502", "[2001::/16]:502", false),
        ] {
            assert_eq!(reaches(granted, place), expected, "{granted} and {place}");
        }
    }
}
