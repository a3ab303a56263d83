//! Checks of settings with the address of the far side: invalid addresses, and parts of a
//! connection string that the route would ignore.
//!
//! Not here: values from the environment or a secret, which are known when the route is opened.

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue};

use super::{settings, value, value_of};
use crate::connection_string::{UNKNOWN, flaws_of_type};
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{Far, RouteCheck, RouteType};
use crate::source::Span;
use crate::syntax::route::{AddBlock, RouteItem};

/// Keys of a host, with those that people take for it.
const HOSTS: [&str; 5] = ["HOST", "SERVER", "IP", "ADDRESS", "BROKER_ADDRESS"];

/// Keys of a connection string that name the server.
const SERVER_KEYS: [&str; 6] = ["host", "server", "data source", "address", "addr", "network address"];

/// Seconds of a statement without `QUERY_TIMEOUT` (routes reference §4.2).
const QUERY_TIMEOUT: i64 = 30;

/// Problem with a text, and its fix.
type Problem = (String, String);

/// Checks a section of a type that the broker knows.
pub(super) fn in_section(kind: &RouteType, block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let of_places = kind.places.iter().filter_map(|place| keys(&place.far)).map(|(host, _)| host);
    hosts(kind, &HOSTS.into_iter().chain(of_places).collect::<Vec<_>>(), block, sink);
    if kind.has(RouteCheck::Sql) {
        connection_string(kind, block, section, sink);
    }
    if kind.has(RouteCheck::Http)
        && let Some(RouteValue::Text(place)) = section.settings.get("SERVER_BIND")
        && place.trim().parse::<std::net::IpAddr>().is_err()
    {
        let message = format!("SERVER_BIND is an IP address of this machine, not `{}`", place.escape_debug());
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "SERVER_BIND"), message);
        let way = match place.eq_ignore_ascii_case("localhost") {
            true => "write \"127.0.0.1\"",
            false => "write \"127.0.0.1\" for this machine alone, \"0.0.0.0\" for all",
        };
        sink.push(draft.suggest(way).unless_stored());
    }
    if kind.has(RouteCheck::Files)
        && let Some(RouteValue::Text(pattern)) = section.settings.get("DATE_FORMAT")
        && let Some(problem) = date_problem(pattern)
    {
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "DATE_FORMAT"), problem);
        let way = "write it of yyyy MM dd HH hh mm ss fff tt MMM ddd K zzz, and other letters in quotes: \"yyyy-MM-dd HH:mm:ss\"";
        sink.push(draft.suggest(way).unless_stored());
    }
    if kind.has(RouteCheck::Http)
        && let Some(RouteValue::Text(address)) = section.settings.get("BASE_ADDRESS")
        && address.contains(['?', '#'])
    {
        let message = "BASE_ADDRESS ends with the beginning of the path: what stands behind ? or # would stand within it";
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "BASE_ADDRESS"), message);
        let draft = draft.suggest("write the query in ENDPOINT of each event, as in \"/x?key=abc\"");
        sink.push(draft.unless_stored());
    }
}

/// Returns the problem with a .NET pattern of a time: letters that are no part of a time would
/// appear literally in each row.
fn date_problem(pattern: &str) -> Option<String> {
    let (mut quote, mut is_escaped, mut has_part) = (None, false, false);
    for letter in pattern.chars() {
        match (quote, letter) {
            _ if std::mem::take(&mut is_escaped) => {}
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '\\') => is_escaped = true,
            (None, 'y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'f' | 'F' | 't' | 'K' | 'z') => has_part = true,
            // As between date and time of ISO 8601, and at its end.
            (None, 'T' | 'Z') => {}
            (None, _) if letter.is_ascii_alphabetic() => {
                return Some(format!(
                    "DATE_FORMAT: `{letter}` is no part of a time, and would stand in each row as it is"
                ));
            }
            (None, _) => {}
        }
    }
    (!has_part).then(|| "DATE_FORMAT has no part of a time in it".to_owned())
}

/// Reports a time for an answer that is over before a statement may be: it would be given up and
/// run again without end.
pub(super) fn times(kind: &RouteType, items: &[RouteItem], said: &RouteFacts, sink: &mut Sink<'_>) {
    let seconds = |section: &str, key| match said.section(section)?.settings.get(key) {
        Some(RouteValue::Int(seconds)) => Some(*seconds),
        // Known when it is opened.
        Some(_) => None,
        None => Some(0),
    };
    if !kind.has(RouteCheck::Sql) {
        return;
    }
    let (Some(statement), Some(answer @ 1..)) =
        (seconds("SQL_CONFIG", "QUERY_TIMEOUT"), seconds("ROUTE_CONFIG", "ACTIVITY_TIMEOUT"))
    else {
        return;
    };
    let is_said = statement != 0;
    let statement = if is_said { statement } else { QUERY_TIMEOUT };
    if answer > statement {
        return;
    }
    let written = items.iter().find_map(|item| match item {
        RouteItem::Block(block) => super::key_of(block, "ACTIVITY_TIMEOUT"),
        RouteItem::Setting(_) | RouteItem::Every(..) | RouteItem::Store { .. } => None,
    });
    let span = written.map_or(Span::default(), |setting| setting.key.span);
    let message = format!(
        "ACTIVITY_TIMEOUT is {answer} s, and a statement may take {statement} s (QUERY_TIMEOUT): it would be given up while it runs, and run again"
    );
    // The default of QUERY_TIMEOUT only gives a warning: no statement may take so long.
    let draft = match is_said {
        true => Draft::error(codes::SETTING_VALUE, span, message).unless_stored(),
        false => Draft::warning(codes::SETTING_VALUE, span, message),
    };
    sink.push(draft.suggest("write more seconds than QUERY_TIMEOUT has, or a shorter QUERY_TIMEOUT"));
}

/// Reports errors of a section that a module defines. With a host, the section connects.
pub(super) fn in_open_section(kind: &RouteType, block: &AddBlock, sink: &mut Sink<'_>) {
    let has_port = settings(block).any(|setting| setting.key.text.eq_ignore_ascii_case("PORT"));
    hosts(kind, if has_port { &["HOST", "SERVER"] } else { &["HOST"] }, block, sink);
}

fn hosts(kind: &RouteType, keys: &[&str], block: &AddBlock, sink: &mut Sink<'_>) {
    for setting in settings(block) {
        let key = setting.key.text.to_ascii_uppercase();
        let Some(text) = value::written(setting).filter(|_| keys.contains(&&*key)) else { continue };
        let Some((problem, way)) = host_problem(kind, text.trim()) else { continue };
        let span = setting.value.as_ref().map_or(setting.key.span, |value| value.span);
        let message = format!("{key} {problem}, not `{}`", text.escape_debug());
        sink.push(Draft::error(codes::SETTING_VALUE, span, message).suggest(way).unless_stored());
    }
}

/// Why a text is no host for a route of this type.
fn host_problem(kind: &RouteType, text: &str) -> Option<Problem> {
    if let Some((_, host)) = text.split_once("://") {
        let host = host.split(['/', ':']).next().unwrap_or_default();
        return Some(("is a host without a scheme".to_owned(), format!("write \"{}\"", host.escape_debug())));
    }
    let mut host = text;
    if kind.has(RouteCheck::SqlServer) {
        let protocol = text.split_once(':').filter(|(protocol, _)| protocol.eq_ignore_ascii_case("tcp"));
        host = protocol.map_or(text, |(_, host)| host);
        if let Some((before, port)) = host.split_once(',') {
            if !is_port(port.trim()) {
                let problem = "is a host with a port from 1 to 65535 behind the comma".to_owned();
                return Some((problem, "write \"host,1433\", or the host alone and WITH PORT".to_owned()));
            }
            host = before;
        }
        host = host.split('\\').next().unwrap_or_default();
    } else if kind.has(RouteCheck::Sql) && host.contains([',', '\\']) {
        let problem = "is a host: a port behind a comma, and an instance behind \\, has SQL Server only";
        return Some((problem.to_owned(), "write the host alone, and WITH PORT for its port".to_owned()));
    }
    let (name, behind) = match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
        // More than one colon has an address of IPv6.
        None if host.matches(':').count() == 1 => host.split_at(host.find(':').unwrap_or(host.len())),
        None => (host, ""),
    };
    let port = behind.strip_prefix(':')?;
    // SQL Server's syntax has other words in front of the colon. They are checked when the route is
    // opened.
    if kind.has(RouteCheck::SqlServer) && !is_port(port) {
        return None;
    }
    let key = port_key(kind);
    let way = match is_port(port) {
        true => format!("write \"{}\", and a line WITH {key} {port}", name.escape_debug()),
        false => format!("write the host alone, and its port in WITH {key}"),
    };
    Some((format!("is a host, and its port stands in {key}"), way))
}

/// The key of the port beside a host.
fn port_key(kind: &RouteType) -> &str {
    kind.places.iter().find_map(|place| keys(&place.far)).map_or("PORT", |(_, port)| port)
}

/// The keys of a host and its port, if a place has some.
fn keys(far: &Far) -> Option<(&str, &str)> {
    match far {
        Far::Host { host, port }
        | Far::Broker { host, port }
        | Far::UrlOrHost { host, port, .. }
        | Far::HostOrConnectionString { host, port, .. } => Some((host, port)),
        Far::Url { .. } | Far::Servers { .. } | Far::ClusterUrl { .. } => None,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn connection_string(kind: &RouteType, block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    const KEY: &str = "CONNECTION_STRING";
    let text = match section.settings.get(KEY) {
        Some(RouteValue::Text(text)) => text.clone(),
        Some(RouteValue::Parts(parts)) => parts.iter().map(known_part).collect(),
        Some(
            RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Template(_),
        )
        | None => return,
    };
    let span = value_of(block, KEY);
    let flaws = flaws_of_type(kind, &text);
    let is_grave = flaws.iter().any(|flaw| flaw.is_grave);
    for flaw in flaws {
        let message = format!("{KEY} {}", flaw.text);
        let draft = match flaw.is_grave {
            true => Draft::error(codes::SETTING_VALUE, span, message).unless_stored(),
            false => Draft::warning(codes::IDLE_SETTING, span, message),
        };
        sink.push(draft.suggest_if(flaw.help));
    }
    if !is_grave && !text.contains(UNKNOWN) {
        names_server(&text, span, sink);
    }
}

/// Reports a connection string without a server.
fn names_server(text: &str, span: Span, sink: &mut Sink<'_>) {
    let pairs = lotmq_connection_string::pairs(text);
    let is_there = pairs.iter().any(|(key, value)| SERVER_KEYS.contains(&&**key) && !value.trim().is_empty());
    if is_there || lotmq_connection_string::is_address(text) {
        return;
    }
    let draft = Draft::error(codes::SETTING_VALUE, span, "CONNECTION_STRING names no server");
    let way = "write \"Host=…;Port=…;Database=…\" or \"scheme://user:password@host:port/database\"";
    sink.push(draft.suggest(way).unless_stored());
}

fn known_part(part: &RoutePart) -> String {
    match part {
        RoutePart::Text(text) => text.clone(),
        RoutePart::Env(_) | RoutePart::Secret(_) | RoutePart::RandomUuid => UNKNOWN.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::find;

    #[test]
    fn a_pattern_of_a_time_has_parts_of_one_alone() {
        for (pattern, is_right) in [
            ("yyyy-MM-dd HH:mm:ss", true),
            ("yyyy-MM-ddTHH:mm:ss.fffZ", true),
            ("dd.MM.yy 'at' h:mm tt zzz", true),
            ("HH\\h mm", true),
            ("qqq", false),
            ("YYYY-MM-DD", false),
            ("'day'", false),
            ("", false),
        ] {
            assert_eq!(date_problem(pattern).is_none(), is_right, "{pattern}");
        }
    }

    #[test]
    fn a_host_is_one() {
        const PORT: &str = "is a host, and its port stands in PORT";
        const COMMA: &str =
            "is a host: a port behind a comma, and an instance behind \\, has SQL Server only";
        for (kind, text, expected) in [
            ("POSTGRESQL", "db", None),
            ("POSTGRESQL", "10.0.0.7", None),
            ("POSTGRESQL", "2001:db8::1", None),
            ("POSTGRESQL", "::1", None),
            ("POSTGRESQL", "[::1]", None),
            ("REDIS", "", None),
            ("POSTGRESQL", "db:5432", Some(PORT)),
            ("NATS", "bus:x", Some(PORT)),
            ("NATS", "[::1]:4222", Some(PORT)),
            ("MQTT_BRIDGE", "b:1883", Some("is a host, and its port stands in BROKER_PORT")),
            ("REDIS", "redis://cache:6379", Some("is a host without a scheme")),
            ("MYSQL", "127.0.0.1,3306", Some(COMMA)),
            ("CRATEDB", "127.0.0.1\\inst", Some(COMMA)),
            ("SQLSERVER", "tcp:db\\line4,1433", None),
            ("SQLSERVER", "TCP:db", None),
            ("SQLSERVER", "np:db", None),
            ("SQLSERVER", "db\\line4", None),
            ("SQLSERVER", "db,zzz", Some("is a host with a port from 1 to 65535 behind the comma")),
            ("SQLSERVER", "tcp:db:1433", Some(PORT)),
            ("WASM", "10.0.0.7:502", Some(PORT)),
        ] {
            let problem = host_problem(find(kind).unwrap(), text).map(|(problem, _)| problem);
            assert_eq!(problem.as_deref(), expected, "{kind} {text}");
        }
    }
}
