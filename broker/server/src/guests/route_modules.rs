//! Modules of world `route`: the code of routes of type `WASM`, with what it may do.
//!
//! A route names its module; which code that is, is found out each time when the route is opened. So a route may be there before its module, and a replaced module
//! is in use when the routes that name it have been opened again.
//!
//! Invariant: what a route can do is what its own text names and its module was granted, both.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lot_facts::{RouteFacts, RouteValue};
use lotmq_host::limits::{FAILED_AFTER_TRAPS, FAILED_WITHIN};
use lotmq_host::route::RouteGuest;
use lotmq_host::{Grants, GuestLimits, NameGrant, TopicGrant, ValueGrant};
use parking_lot::{Mutex, RwLock};

/// Type of routes whose code is a module.
pub(crate) const WASM: &str = "WASM";

/// Section of such a route, and its setting, that name the module.
const SECTION: &str = "WASM_CONFIG";
const SETTING: &str = "MODULE";

/// Module of world `route`.
#[derive(Clone)]
pub(crate) struct RouteModule {
    pub(crate) guest: RouteGuest,
    /// What it may do, within what the text of its route names.
    pub(crate) grants: Grants,
    /// Places that it may connect to and listen at, as `host:port`; see [`reaches`].
    pub(crate) places: Box<[Box<str>]>,
    pub(crate) limits: GuestLimits,
}

/// Counts of a module of world `route`, of all its versions.
#[derive(Debug, Default)]
pub(crate) struct ModuleFigures {
    pub(crate) calls: AtomicU64,
    pub(crate) traps: AtomicU64,
    recent: Mutex<RecentTraps>,
}

/// Latest traps of a module, by which it has failed or not. A value without a clock: time comes in.
#[derive(Debug, Default)]
struct RecentTraps {
    /// Times of the latest, at most [`FAILED_AFTER_TRAPS`].
    at: VecDeque<Instant>,
    has_failed: bool,
}

/// Time without a trap after which a module has not failed any more: its routes have been opened again meanwhile, after the longest pause, and were well for a minute.
const FAILURE_FORGOTTEN: Duration = Duration::from_secs(132);

impl RecentTraps {
    fn trapped(&mut self, now: Instant) {
        self.has_failed &= self.have_failed(now);
        self.at.push_back(now);
        if self.at.len() >= FAILED_AFTER_TRAPS {
            let first = self.at.pop_front();
            self.has_failed |=
                first.is_some_and(|first| now.saturating_duration_since(first) <= FAILED_WITHIN);
        }
    }

    fn have_failed(&self, now: Instant) -> bool {
        let is_recent = |last: &Instant| now.saturating_duration_since(*last) < FAILURE_FORGOTTEN;
        self.has_failed && self.at.back().is_some_and(is_recent)
    }
}

impl ModuleFigures {
    pub(crate) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn trapped(&self) {
        self.traps.fetch_add(1, Ordering::Relaxed);
        self.recent.lock().trapped(Instant::now());
    }

    /// Whether it has failed: five traps within a minute, and others since then.
    pub(crate) fn have_failed(&self) -> bool {
        self.recent.lock().have_failed(Instant::now())
    }

    /// Forgets that it has failed.
    pub(crate) fn forget_traps(&self) {
        *self.recent.lock() = RecentTraps::default();
    }
}

/// Modules of world `route` of a tenant, by name.
#[derive(Default)]
pub(crate) struct RouteModules(RwLock<BTreeMap<Arc<str>, KnownModule>>);

/// Module with its figures.
type KnownModule = (Arc<RouteModule>, Arc<ModuleFigures>);

impl RouteModules {
    /// The module of a name, with its figures.
    pub(crate) fn get(&self, name: &str) -> Option<KnownModule> {
        self.0.read().get(name).cloned()
    }

    /// Puts a module in the place of the one of its name, whose figures go on.
    pub(super) fn put(&self, name: &Arc<str>, module: RouteModule) {
        let mut modules = self.0.write();
        let figures = modules.get(name).map(|(_, figures)| Arc::clone(figures)).unwrap_or_default();
        figures.forget_traps();
        modules.insert(Arc::clone(name), (Arc::new(module), figures));
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }
}

/// Name of the module that a route of type `WASM` names; `None` of other routes, and where it names none in plain text.
pub(crate) fn named(route: &RouteFacts) -> Option<&str> {
    if route.kind != WASM {
        return None;
    }
    match route.section(SECTION)?.settings.get(SETTING)? {
        RouteValue::Text(name) => Some(name),
        RouteValue::Int(_)
        | RouteValue::Double(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_)
        | RouteValue::Template(_) => None,
    }
}

/// Grants of a route that runs a module: what its text names and the module was granted, both; state and configuration are the module's.
pub(super) fn both(route: Grants, module: &Grants) -> Grants {
    let values = |route: &ValueGrant, module: &ValueGrant| ValueGrant {
        read: both_names(&route.read, &module.read),
        write: both_names(&route.write, &module.write),
    };
    Grants {
        write: both_topics(&route.write, &module.write),
        environment: values(&route.environment, &module.environment),
        secrets: values(&route.secrets, &module.secrets),
        files: module.files.clone(),
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

fn both_topics(one: &TopicGrant, other: &TopicGrant) -> TopicGrant {
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

/// Whether a granted place, as `host:port`, covers one that a route names: a host, `*.suffix` or a network, and a port, a range of them or `*`. A granted host
/// may begin with `*.`, a granted port may be `*`.
pub(crate) fn reaches(granted: &str, place: &str) -> bool {
    let (Some((granted_host, granted_port)), Some((host, port))) =
        (granted.rsplit_once(':'), place.trim().rsplit_once(':'))
    else {
        return false;
    };
    (granted_port == "*" || granted_port == port) && covers_host(&plain_host(granted_host), &plain_host(host))
}

fn covers_host(granted: &str, host: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    match (address(granted), address(host)) {
        (Some(granted), Some(host)) => granted == host,
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => match granted.strip_prefix('*') {
            // `*.a.example` is covered by `*.example`.
            Some(suffix) => granted == host || (host.len() > suffix.len() && host.ends_with(suffix)),
            None => granted == host,
        },
    }
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
    fn five_traps_within_a_minute_are_a_failure_for_as_long_as_there_are_others() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut traps = RecentTraps::default();
        for second in [0, 20, 40, 59, 61] {
            traps.trapped(at(second));
            assert!(!traps.have_failed(at(second)), "{second}");
        }
        traps.trapped(at(62));
        for second in [133, 200] {
            assert!(traps.have_failed(at(second)), "{second}");
            traps.trapped(at(second));
        }
        assert!(!traps.have_failed(at(332)));
        traps.trapped(at(400));
        assert!(!traps.have_failed(at(400)), "it begins anew");
    }

    #[test]
    fn what_two_filters_have_in_common_is_what_both_match() {
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
            environment: ValueGrant { read: names(&["A", "B"]), write: names(&["A", "B"]) },
            secrets: ValueGrant { read: names(&["P"]), write: NameGrant::None },
            ..Grants::default()
        };
        let module = Grants {
            write: filters(&["in/#", "$SYS/Coreflux/Command"]),
            environment: ValueGrant { read: names(&["B", "C"]), write: NameGrant::None },
            secrets: ValueGrant::all(),
            actions: NameGrant::All,
            state: true,
            ..Grants::default()
        };
        let common = both(route.clone(), &module);
        assert_eq!(common.write, filters(&["in/#"]));
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
        ] {
            assert_eq!(reaches(granted, place), expected, "{granted} and {place}");
        }
    }
}
