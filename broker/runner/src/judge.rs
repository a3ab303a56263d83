//! Comparison of the effects of a program with those that a case expects.

use std::fmt;

use lotmq_codec::QoS;
use lotmq_router::filter_matches;
use lotmq_server::embedded::{Happening, What};
use lotmq_server::{Denial, Forwarded, Published};

use crate::case::{Case, Expected, Routed, RoutedPlace};
use crate::logins::SeenDeed;
use crate::payload::{Compared, compared};
use crate::player::tell_printed;
use crate::properties::StatedProperties;
use crate::show;
use crate::told::ToldOnce;

/// Most lines for the log that are shown where one is missing.
const LINES_SHOWN_MAX: usize = 100;

/// Something that the program did.
#[derive(Debug)]
pub(crate) enum Seen {
    Message {
        /// Client Identifier of the receiving subscriber; `None` for the message as it was
        /// published.
        to: Option<String>,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
        qos: QoS,
        properties: StatedProperties,
    },
    Denied(Denial),
    Returned(String),
    Error(String),
    /// A line for the log, which is not compared in order with the expectations.
    Said(String),
    /// A message for the unconnected route of this name; it is not compared with the expected
    /// effects.
    Routed(String, Forwarded),
    /// Warning of a run, which is shown where a case fails.
    Warned(String),
    /// An answer of a guest for logins, or its request to the broker about clients.
    OfLogins(SeenDeed),
}

impl Seen {
    /// Stores an event of the broker.
    pub(crate) fn note(
        Happening { definition, what }: Happening,
        seen: &mut Vec<Self>,
        unconnected: &mut ToldOnce,
    ) {
        match what {
            What::Published(message) => seen.push(Self::message(None, message)),
            What::Delivered { client_id, message } => seen.push(Self::message(Some(client_id), message)),
            What::Denied(denial) => seen.push(Self::Denied(denial)),
            What::Returned(outputs) => seen.push(Self::Returned(show::outputs(&outputs))),
            What::Reported(report) if report.is_error => {
                seen.push(Self::Error(format!("{definition}{report}")));
            }
            What::Reported(report) => seen.push(Self::Warned(format!("{definition}{report}"))),
            What::Printed(text) => {
                tell_printed(&text);
                seen.push(Self::Said(text));
            }
            What::Unconnected(reason) => unconnected.tell(&reason),
            What::Forwarded(message) => seen.push(Self::Routed(definition, message)),
            What::OfLogins(deed) => seen.push(Self::OfLogins(SeenDeed::of(deed))),
        }
    }

    fn message(to: Option<String>, message: Published) -> Self {
        let Published { topic, payload, qos, retain, properties } = message;
        Self::Message {
            to,
            topic,
            payload,
            retain,
            qos: of_host(qos),
            properties: StatedProperties::of(&properties),
        }
    }

    fn is(&self, expected: &Expected) -> bool {
        match (self, expected) {
            (
                Self::Denied(Denial { scope, topic, user, client_id, by: _ }),
                Expected::Denied { scope: wanted, topic: of, username, client_id: by },
            ) => {
                scope == wanted
                    && of.as_ref().is_none_or(|of| topic.as_deref() == Some(&**of))
                    && username.as_ref().is_none_or(|name| user.as_ref() == Some(name))
                    && by.as_ref().is_none_or(|by| client_id == by)
            }
            (
                Self::Message { to, topic, payload, retain, qos, properties },
                Expected::Message {
                    to: who,
                    topic: wanted,
                    payload: says,
                    contains,
                    retain: kept,
                    qos: at,
                    properties: looked_at,
                },
            ) => {
                let text = String::from_utf8_lossy(payload);
                to == who
                    && **topic == **wanted
                    && says.as_ref().is_none_or(|says| says.is_like(payload))
                    && contains.as_ref().is_none_or(|part| text.contains(part))
                    && kept.is_none_or(|kept| kept == *retain)
                    && at.is_none_or(|at| at == *qos)
                    && looked_at.are_in(properties)
            }
            (Self::Returned(found), Expected::Returned { returned }) => returned.is_like(found.as_bytes()),
            (Self::Error(found), Expected::Error { error }) => found.contains(error),
            (Self::OfLogins(found), Expected::OfLogins(expected)) => expected.differences(found).is_empty(),
            _ => false,
        }
    }

    /// Whether it went to a route as it should.
    fn goes_as(&self, wanted: &Routed) -> bool {
        let Self::Routed(route, Forwarded { to, topic, payload }) = self else { return false };
        let is_there = match &wanted.place {
            RoutedPlace::Topic(wanted) => **topic == **wanted,
            // A row has no topic.
            RoutedPlace::Table(_) => topic.is_empty() && *to == wanted.place.to_string(),
        };
        *route == wanted.route
            && is_there
            && wanted.payload.as_ref().is_none_or(|says| says.is_like(payload))
            && wanted.contains.as_ref().is_none_or(|part| String::from_utf8_lossy(payload).contains(part))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { to, topic, payload, retain, qos, properties } => {
                let retained = if *retain { " (retained)" } else { "" };
                let payload = String::from_utf8_lossy(payload);
                write!(f, "{topic} {payload}{retained}{}{properties}", at_qos(*qos))?;
                to.iter().try_for_each(|to| write!(f, " to {to}"))
            }
            Self::Denied(denial) => denial.fmt(f),
            Self::Returned(outputs) => write!(f, "returned {outputs}"),
            Self::Error(text) => write!(f, "error {text}"),
            Self::Said(text) => write!(f, "log {}", text.trim_end()),
            Self::Routed(route, Forwarded { to, topic, payload }) => {
                let gap = if topic.is_empty() { "" } else { " " };
                write!(f, "to route {route}, {to}: {topic}{gap}{}", String::from_utf8_lossy(payload))
            }
            Self::Warned(text) => write!(f, "warning {text}"),
            Self::OfLogins(deed) => deed.fmt(f),
        }
    }
}

impl fmt::Display for RoutedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => f.write_str(topic),
            Self::Table(table) => write!(f, "table `{table}`"),
        }
    }
}

impl fmt::Display for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to route {}: {}", self.route, self.place)?;
        self.payload.iter().try_for_each(|payload| write!(f, " {payload}"))?;
        self.contains.iter().try_for_each(|part| write!(f, " … {part} …"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { scope, topic, username, client_id } => {
                write!(f, "denied {scope}")?;
                topic.iter().try_for_each(|topic| write!(f, " {}", &**topic))?;
                username.iter().try_for_each(|user| write!(f, " to {user}"))?;
                client_id.iter().try_for_each(|client_id| write!(f, " as {client_id}"))
            }
            Self::Message { to, topic, payload, contains, retain, qos, properties } => {
                f.write_str(topic)?;
                payload.iter().try_for_each(|payload| write!(f, " {payload}"))?;
                contains.iter().try_for_each(|part| write!(f, " … {part} …"))?;
                f.write_str(if *retain == Some(true) { " (retained)" } else { "" })?;
                write!(f, "{}{properties}", qos.map_or("", shown_qos))?;
                to.iter().try_for_each(|to| write!(f, " to {to}"))
            }
            Self::Returned { returned } => write!(f, "returned {returned}"),
            Self::Error { error } => write!(f, "error … {error} …"),
            Self::OfLogins(expected) => expected.fmt(f),
        }
    }
}

/// QoS as the codec has it.
fn of_host(qos: lotmq_host::Qos) -> QoS {
    match qos {
        lotmq_host::Qos::AtMostOnce => QoS::AtMostOnce,
        lotmq_host::Qos::AtLeastOnce => QoS::AtLeastOnce,
        lotmq_host::Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// QoS for people; nothing of the usual one.
fn at_qos(qos: QoS) -> &'static str {
    if qos == QoS::AtMostOnce { "" } else { shown_qos(qos) }
}

fn shown_qos(qos: QoS) -> &'static str {
    match qos {
        QoS::AtMostOnce => " (QoS 0)",
        QoS::AtLeastOnce => " (QoS 1)",
        QoS::ExactlyOnce => " (QoS 2)",
    }
}

/// Reports how a case failed: the first difference, and everything that happened.
pub(crate) fn judge(case: &Case, seen: &[Seen]) -> Vec<String> {
    let mut unsaid = unsaid(case, seen);
    unsaid.extend(misrouted(case, seen));
    let is_ignored = |seen: &&Seen| match seen {
        Seen::Message { topic, .. } => case.ignore.iter().any(|filter| filter_matches(filter, topic)),
        Seen::Said(_) | Seen::Routed(..) | Seen::Warned(_) => true,
        Seen::Denied(_) | Seen::Returned(_) | Seen::Error(_) | Seen::OfLogins(_) => false,
    };
    let seen: Vec<&Seen> = seen.iter().filter(|seen| !is_ignored(seen)).collect();
    let same = seen.iter().zip(&case.then).take_while(|(seen, expected)| seen.is(expected)).count();
    let mut difference = match (case.then.get(same), seen.get(same)) {
        (None, None) => return unsaid,
        (Some(expected), Some(found)) => differing(expected, found),
        (Some(expected), None) => vec![format!("expected {expected}, and nothing more happened")],
        (None, Some(found)) => vec![format!("expected nothing more, found {found}")],
    };
    if let Some(hint) = case.then.get(same).and_then(|expected| never_published(expected, &seen))
        && let Some(told) = difference.last_mut()
    {
        told.push_str(&format!("; {hint}"));
    }
    let all = seen.iter().map(|seen| format!("  {seen}"));
    unsaid.into_iter().chain(difference).chain(["all that happened:".to_owned()]).chain(all).collect()
}

/// Formats an expectation and the event in its place. For JSON on the same topic it adds the
/// differences.
fn differing(expected: &Expected, found: &Seen) -> Vec<String> {
    let told = match (expected, found) {
        (Expected::OfLogins(wanted), Seen::OfLogins(deed)) => {
            let differs = wanted.differences(deed).join(", ");
            return vec![
                format!("expected {wanted}"),
                format!("found    {deed}"),
                format!("differs: {differs}"),
            ];
        }
        (
            Expected::Message { topic: wanted, payload: Some(payload), .. },
            Seen::Message { topic, payload: came, .. },
        ) if **wanted == **topic => compared(payload, came).map(|told| (format!("{topic} "), told)),
        (Expected::Returned { returned }, Seen::Returned(came)) => {
            compared(returned, came.as_bytes()).map(|told| ("returned ".to_owned(), told))
        }
        _ => None,
    };
    match told {
        Some((what, Compared { expected, found, differences })) => vec![
            format!("expected {what}{expected}"),
            format!("found    {what}{found}"),
            format!("differs: {differences}"),
        ],
        None => vec![format!("expected {expected}, found {found}")],
    }
}

/// Returns expected lines for the log that are missing, in their order: the first one, and all
/// lines of the log.
fn unsaid(case: &Case, seen: &[Seen]) -> Vec<String> {
    let mut said = seen.iter().filter_map(|seen| match seen {
        Seen::Said(text) => Some(text),
        Seen::Message { .. }
        | Seen::Denied(_)
        | Seen::Returned(_)
        | Seen::Error(_)
        | Seen::Routed(..)
        | Seen::Warned(_)
        | Seen::OfLogins(_) => None,
    });
    let Some(part) = case.logs.iter().find(|part| !said.any(|text| text.contains(&***part))) else {
        return Vec::new();
    };
    let lines = seen.iter().filter(|seen| matches!(seen, Seen::Said(_))).map(|line| format!("  {line}"));
    [format!("expected log … {part} …, and no such line came behind those before it:")]
        .into_iter()
        .chain(lines.take(LINES_SHOWN_MAX))
        .collect()
}

/// Lists the warnings of the runs of a failed case, each once: they often explain the failure.
pub(crate) fn warned(seen: &[Seen]) -> Vec<String> {
    listed("warnings of its runs:", seen.iter().filter(|seen| matches!(seen, Seen::Warned(_))))
}

/// Errors and denials before a step that failed, each once.
pub(crate) fn errors(seen: &[Seen]) -> Vec<String> {
    let is_error = |seen: &&Seen| matches!(seen, Seen::Error(_) | Seen::Denied(_));
    listed("errors before that:", seen.iter().filter(is_error))
}

/// The lines below a heading, each once; nothing if there is no line.
fn listed<'a>(heading: &str, found: impl Iterator<Item = &'a Seen>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in found.map(|seen| format!("  {seen}")) {
        if lines.len() < LINES_SHOWN_MAX && !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        lines.insert(0, heading.to_owned());
    }
    lines
}

/// Returns the first difference in the messages for routes that are not connected, and all these
/// messages, if the case checks them.
fn misrouted(case: &Case, seen: &[Seen]) -> Vec<String> {
    let Some(wanted) = &case.routed else { return Vec::new() };
    let found: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Routed(..))).collect();
    let same = found.iter().zip(wanted).take_while(|(found, wanted)| found.goes_as(wanted)).count();
    let difference = match (wanted.get(same), found.get(same)) {
        (None, None) => return Vec::new(),
        (Some(wanted), Some(found)) => format!("expected {wanted}, found {found}"),
        (Some(wanted), None) => format!("expected {wanted}, and nothing more went to a route"),
        (None, Some(found)) => format!("expected nothing more for routes, found {found}"),
    };
    let all = found.iter().take(LINES_SHOWN_MAX).map(|found| format!("  {found}"));
    [difference, "all that went to routes:".to_owned()].into_iter().chain(all).collect()
}

/// Reports an expected topic to which nothing was published in the whole case.
fn never_published(expected: &Expected, seen: &[&Seen]) -> Option<String> {
    let Expected::Message { topic: wanted, .. } = expected else { return None };
    let topics = || {
        seen.iter().filter_map(|seen| match seen {
            Seen::Message { topic, .. } => Some(topic.as_str()),
            Seen::Denied(_)
            | Seen::Returned(_)
            | Seen::Error(_)
            | Seen::Said(_)
            | Seen::Routed(..)
            | Seen::Warned(_)
            | Seen::OfLogins(_) => None,
        })
    };
    if topics().any(|topic| topic == &**wanted) {
        return None;
    }
    let near = lot_nearest::nearest(wanted, topics());
    let hint = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
    Some(format!("nothing was published to {} at all{hint}", &**wanted))
}
