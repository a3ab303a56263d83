//! Data model of a file with test cases.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lotmq_codec::{PropertyBuf, QoS};
use lotmq_router::{topic_filter_valid, topic_name_valid};
use lotmq_server::embedded::ClientIdentity;
use serde::Deserialize;

use crate::far::FarSide;
use crate::keys::{CLIENT_KEYS, Keys};
use crate::logins::{self, ClientLoginStep, ExpectedDeed};
use crate::modules::CaseModule;
use crate::payload::Payload;
use crate::properties::{KEYS, WantedProperties};
use crate::told::placed;
use crate::visit::{RUN_TIME, Visit, brings, run_time};

/// Default start time of a case.
const AT: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Keys that determine the kind of a step.
const STEP_KINDS: [&str; 13] = [
    "topic",
    "subscribe",
    "pass",
    "call",
    "run",
    "connect",
    "request",
    "replay",
    logins::STEP_KINDS[0],
    logins::STEP_KINDS[1],
    logins::STEP_KINDS[2],
    logins::STEP_KINDS[3],
    logins::STEP_KINDS[4],
];

/// Longest span of time that passes at once: a leap year. Calendars look at the clock each minute
/// of it.
const PASS_MAX: Duration = Duration::from_secs(8_784 * 3600);

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    /// The program, seen from the file.
    pub(crate) program: Option<String>,
    /// Components that are there as modules, by name.
    #[serde(default)]
    pub(crate) modules: BTreeMap<String, CaseModule>,
    /// Groups and properties of users that rules can read, by user name.
    #[serde(default)]
    pub(crate) users: BTreeMap<String, CaseUser>,
    /// Environment values and secrets of all cases, of which a case has its own of a name in their
    /// place.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) case: Vec<Case>,
}

/// Groups and properties of a user that rules can read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseUser {
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Payload>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    at: Option<StartTime>,
    zone: Option<ZoneName>,
    /// Last values of topics.
    #[serde(default)]
    pub(crate) given: BTreeMap<Topic, Payload>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) when: Vec<Step>,
    /// Messages, results and reports that the case expects, in order.
    #[serde(default)]
    pub(crate) then: Vec<Expected>,
    /// Topics that are not looked at.
    #[serde(default)]
    pub(crate) ignore: Vec<Filter>,
    /// Last values at the end.
    #[serde(default)]
    pub(crate) kept: BTreeMap<Topic, Payload>,
    /// Parts of lines for the log, in order; between them may be others.
    #[serde(default)]
    pub(crate) logs: Vec<String>,
    /// Messages for routes that are not connected, in order; `None` if the case does not check
    /// them.
    pub(crate) routed: Option<Vec<Routed>>,
    /// Servers of its own that the program connects to, by the environment values that have their
    /// ports.
    #[serde(default)]
    pub(crate) far: BTreeMap<String, FarSide>,
}

/// Step of a case: an event that happens to the program.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Spanned<toml::Table>")]
pub(crate) enum Step {
    Message {
        topic: Topic,
        payload: Payload,
        qos: QoS,
        retain: bool,
        properties: PropertyBuf,
        /// Its Client, where one is named.
        from: Option<ClientIdentity>,
    },
    Subscribe {
        filter: Filter,
        client: ClientIdentity,
    },
    Pass {
        /// As it is written.
        pass: String,
        length: Duration,
    },
    /// The messages of a recording arrive.
    Replay {
        /// Its file, seen from that of the case.
        file: String,
    },
    Call {
        call: String,
        inputs: BTreeMap<String, toml::Value>,
    },
    /// The guest of a route runs by itself.
    Run {
        route: String,
        /// Time of the machine.
        time: Duration,
        /// Messages after which it is enough.
        brings: Option<u64>,
    },
    /// A client of a route that listens talks to the route.
    Visit(Box<Visit>),
    /// A login, or an event of a client, that a guest for logins handles.
    OfLogin(ClientLoginStep),
}

impl TryFrom<toml::Spanned<toml::Table>> for Step {
    type Error = String;

    fn try_from(table: toml::Spanned<toml::Table>) -> Result<Self, String> {
        let span = table.span();
        Self::read(Keys { table: table.into_inner(), of: "a step" }).map_err(|error| placed(&error, &span))
    }
}

impl Step {
    fn read(mut keys: Keys) -> Result<Self, String> {
        let kind = keys.first_of(&STEP_KINDS)?;
        let step = match kind {
            "topic" => Step::Message {
                topic: keys.text("topic")?.try_into()?,
                payload: keys.payload("payload")?,
                qos: keys.qos()?,
                retain: keys.boolean("retain")?.unwrap_or_default(),
                properties: keys.properties()?.encoded().map_err(|error| error.to_string())?,
                from: keys.client()?,
            },
            "subscribe" => Step::Subscribe {
                filter: keys.text("subscribe")?.try_into()?,
                client: keys.client()?.unwrap_or_else(|| ClientIdentity::of(None, None, None)),
            },
            "pass" => {
                let pass = keys.text("pass")?;
                Step::Pass { length: duration(&pass)?, pass }
            }
            "replay" => Step::Replay { file: keys.text("replay")? },
            "run" => Step::Run {
                route: keys.text("run")?,
                time: keys.optional_text("for")?.as_deref().map_or(Ok(RUN_TIME), run_time)?,
                brings: keys.integer("brings")?.map(brings).transpose()?,
            },
            "connect" | "request" => Step::Visit(Box::new(Visit::read(&mut keys, kind)?)),
            kind if logins::STEP_KINDS.contains(&kind) => {
                Step::OfLogin(ClientLoginStep::read(&mut keys, kind)?)
            }
            _ => Step::Call { call: keys.text("call")?, inputs: keys.table("inputs")? },
        };
        let (of_visit, of_login) = ([Visit::keys(kind)], [ClientLoginStep::keys(kind)]);
        keys.finish(match kind {
            "topic" => &[&["topic", "payload", "qos", "retain"], &KEYS, &CLIENT_KEYS],
            "subscribe" => &[&["subscribe"], &CLIENT_KEYS],
            "pass" => &[&["pass"]],
            "replay" => &[&["replay"]],
            "run" => &[&["run", "for", "brings"]],
            "connect" | "request" => &of_visit,
            kind if logins::STEP_KINDS.contains(&kind) => &of_login,
            _ => &[&["call", "inputs"]],
        })?;
        Ok(step)
    }
}

/// Effect that a case expects of the program.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Spanned<toml::Table>")]
pub(crate) enum Expected {
    Message {
        /// Client Identifier of the receiving subscriber; `None` for the message as it was
        /// published.
        to: Option<String>,
        topic: Topic,
        payload: Option<Payload>,
        contains: Option<String>,
        retain: Option<bool>,
        qos: Option<QoS>,
        properties: WantedProperties,
    },
    Denied {
        scope: String,
        topic: Option<Filter>,
        username: Option<String>,
        client_id: Option<String>,
    },
    Returned {
        returned: Payload,
    },
    Error {
        error: String,
    },
    /// Of a guest for logins.
    OfLogins(ExpectedDeed),
}

impl TryFrom<toml::Spanned<toml::Table>> for Expected {
    type Error = String;

    fn try_from(table: toml::Spanned<toml::Table>) -> Result<Self, String> {
        let span = table.span();
        Self::read(Keys { table: table.into_inner(), of: "what is expected" })
            .map_err(|error| placed(&error, &span))
    }
}

impl Expected {
    fn read(mut keys: Keys) -> Result<Self, String> {
        let [answer, revoke, update] = logins::DEED_KINDS;
        let kind = keys.first_of(&["denied", "topic", "returned", "error", answer, revoke, update])?;
        let expected = match kind {
            "denied" => Expected::Denied {
                scope: keys.scope()?,
                topic: keys.optional_text("topic")?.map(Filter::try_from).transpose()?,
                username: keys.optional_text("username")?,
                client_id: keys.optional_text("client_id")?,
            },
            "topic" => Expected::Message {
                to: keys.optional_text("to")?,
                topic: keys.text("topic")?.try_into()?,
                payload: keys.has("payload").then(|| keys.payload("payload")).transpose()?,
                contains: keys.has("contains").then(|| keys.text("contains")).transpose()?,
                retain: keys.boolean("retain")?,
                qos: keys.wanted_qos()?,
                properties: keys.wanted_properties()?,
            },
            "returned" => Expected::Returned { returned: keys.payload("returned")? },
            kind if logins::DEED_KINDS.contains(&kind) => {
                let expected = ExpectedDeed::read(&mut keys, kind)?;
                keys.finish(&expected.keys(kind))?;
                return Ok(Expected::OfLogins(expected));
            }
            _ => Expected::Error { error: keys.text("error")? },
        };
        keys.finish(match kind {
            "denied" => &[&["denied", "topic", "username", "client_id"]],
            "topic" => &[&["to", "topic", "payload", "contains", "retain", "qos"], &KEYS],
            "returned" => &[&["returned"]],
            _ => &[&["error"]],
        })?;
        Ok(expected)
    }
}

/// Address of a message within a route: a topic or a table.
#[derive(Debug)]
pub(crate) enum RoutedPlace {
    /// Topic of the message.
    Topic(Topic),
    /// Table of the row of a model.
    Table(String),
}

/// Message that a case expects for a route that is not connected.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Spanned<toml::Table>")]
pub(crate) struct Routed {
    pub(crate) route: String,
    pub(crate) place: RoutedPlace,
    pub(crate) payload: Option<Payload>,
    pub(crate) contains: Option<String>,
}

impl TryFrom<toml::Spanned<toml::Table>> for Routed {
    type Error = String;

    fn try_from(table: toml::Spanned<toml::Table>) -> Result<Self, String> {
        let span = table.span();
        Self::read(Keys { table: table.into_inner(), of: "what goes to a route" })
            .map_err(|error| placed(&error, &span))
    }
}

impl Routed {
    fn read(mut keys: Keys) -> Result<Self, String> {
        let place = match keys.first_of(&["topic", "table"])? {
            "topic" => RoutedPlace::Topic(keys.text("topic")?.try_into()?),
            _ => RoutedPlace::Table(keys.text("table")?),
        };
        let routed = Self {
            route: keys.text("route")?,
            payload: keys.has("payload").then(|| keys.payload("payload")).transpose()?,
            contains: keys.has("contains").then(|| keys.text("contains")).transpose()?,
            place,
        };
        let key = match routed.place {
            RoutedPlace::Topic(_) => "topic",
            RoutedPlace::Table(_) => "table",
        };
        keys.finish(&[&["route", key, "payload", "contains"]])?;
        Ok(routed)
    }
}

/// A topic without wildcards.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Topic(String);

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Topic {
    type Error = String;

    fn try_from(topic: String) -> Result<Self, String> {
        topic_name_valid(&topic).map_err(|error| format!("`{topic}` is no topic: {error}"))?;
        Ok(Self(topic))
    }
}

/// A topic filter.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Filter(String);

impl Deref for Filter {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(filter: String) -> Result<Self, String> {
        topic_filter_valid(&filter).map_err(|error| format!("`{filter}` is no topic filter: {error}"))?;
        Ok(Self(filter))
    }
}

impl Case {
    pub(crate) fn at(&self) -> Timestamp {
        self.at.as_ref().map_or(AT, |at| at.0)
    }

    pub(crate) fn zone(&self) -> TimeZone {
        self.zone.as_ref().map_or(TimeZone::UTC, |zone| zone.0.clone())
    }
}

/// When a case begins.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct StartTime(Timestamp);

impl TryFrom<String> for StartTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            |_| format!("`{text}` is no time as {AT}: a case begins on a day, in UTC or with an offset");
        text.parse().map(Self).map_err(wrong)
    }
}

/// The time zone of the broker in a case.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct ZoneName(TimeZone);

impl TryFrom<String> for ZoneName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        TimeZone::get(&name).map(Self).map_err(|_| format!("`{name}` is no time zone as Europe/Berlin"))
    }
}

/// Reads a span of time, as `90s`, `1h 30m` or `PT5S`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("pass = \"{text}\" is no span of time as 90s, 5m or 1h 30m");
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_| wrong())?;
    if duration > PASS_MAX {
        return Err(format!("pass = \"{text}\" is more than {} h", PASS_MAX.as_secs() / 3600));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the error message for a case with these lines.
    fn refused(lines: &str) -> String {
        toml::from_str::<Cases>(&format!("[[case]]\nname = \"x\"\n{lines}\n")).unwrap_err().to_string()
    }

    #[test]
    fn case_errors_name_the_keys_and_values_of_the_file() {
        for (lines, part) in [
            ("when = [{ topic = \"x\" }]", "a step lacks the key `payload`"),
            (
                "when = [{ topic = \"x\", payload = 1, dup = 1 }]",
                "unknown key `dup`; known here: `topic`, `payload`, `qos`, `retain`, `user`, `response_topic`",
            ),
            (
                "when = [{ topic = \"a\", payload = 1, correlation = \"x\" }]",
                "unknown key `correlation`; did you mean `correlation_data`? known here: `topic`",
            ),
            (
                "when = [{ topic = \"x\", payload = 1, user_properties = {} }]",
                "unknown key `user_properties`; did you mean `user`? known here: `topic`",
            ),
            ("when = [{ topic = \"x\", payload = 1, qos = 3 }]", "`qos` is 0, 1 or 2, found 3"),
            ("when = [{ topic = \"x\", payload = 1, client_id = \"\" }]", "`client_id` is empty"),
            (
                "when = [{ topic = \"x\", payload = 1, endpoint = \"here\" }]",
                "`endpoint` is an address as 192.0.2.7, found `here`",
            ),
            ("when = [{ subscribe = \"a/#/b\" }]", "`a/#/b` is no topic filter: "),
            ("when = [{ subscribe = \"a\", payload = 1 }]", "unknown key `payload`; known here: `subscribe`"),
            (
                "then = [{ denied = \"publish\" }]",
                "`denied` is one of `Connect`, `Publish`, `PublishSys`, `Subscribe`, `SubscribeSys`, found `publish`",
            ),
            ("then = [{ denied = \"Publish\", topic = \"a#\" }]", "`a#` is no topic filter: "),
            (
                "when = [{ tpic = \"x\" }]",
                "a step needs one of the keys `topic`, `subscribe`, `pass`, `call`",
            ),
            ("when = [{ topic = 5, payload = 1 }]", "`topic` is a text in quotes, found 5"),
            ("when = [{ topic = \"x/#\", payload = 1 }]", "`x/#` is no topic: "),
            (
                "when = [{ topic = \"x\", payload = 1979-05-27 }]",
                "`payload`: write the time 1979-05-27 in quotes",
            ),
            ("when = [{ topic = \"x\", payload = { a = [nan] } }]", "is no number of JSON"),
            ("when = [{ call = \"A\", inputs = 3 }]", "`inputs` is a table as { a = 1 }, found 3"),
            ("then = [{ topic = \"x\", payload = 1, retain = 1 }]", "`retain` is true or false, found 1"),
            (
                "when = [{ topic = \"x\", payload = 1, expiry = -1 }]",
                "`expiry` is a number of seconds, found -1",
            ),
            (
                "then = [{ topic = \"x\", user = { a = 1 } }]",
                "`user.a` is a text or a list of texts, found 1",
            ),
            ("then = [{ error = \"x\", topic = \"+\" }]", "`+` is no topic: "),
            ("then = [{ returned = 1, payload = 1 }]", "unknown key `payload`; known here: `returned`"),
            ("given = { \"a/#\" = 1 }", "`a/#` is no topic: "),
            ("given = { a = 07:32:00 }", "write the time 07:32:00 in quotes"),
            ("kept = { \"\" = 1 }", "`` is no topic: "),
            ("when = [{ run = 1 }]", "`run` is a text in quotes, found 1"),
            (
                "when = [{ run = \"R\", time = \"1s\" }]",
                "unknown key `time`; known here: `run`, `for`, `brings`",
            ),
            (
                "when = [{ run = \"R\", for = \"11s\" }]",
                "`for` is a span of time up to 10 s, as 500ms, found `11s`",
            ),
            ("when = [{ run = \"R\", brings = 0 }]", "`brings` is how many messages are enough, from 1"),
            ("when = [{ connect = 1 }]", "`connect` is a text in quotes, found 1"),
            (
                "when = [{ connect = \"R\", sends = 5 }]",
                "`sends` is a text, or a list of texts for datagrams, found 5",
            ),
            (
                "when = [{ connect = \"R\", encoding = \"base64\" }]",
                "`encoding` is \"text\" or \"hex\", found `base64`",
            ),
            ("when = [{ connect = \"R\", encoding = \"hex\", gets = \"0\" }]", "`0` is no hex"),
            ("when = [{ connect = \"R\", path = \"/\" }]", "unknown key `path`; known here: `connect`, `as`"),
            ("when = [{ request = \"R\", sends = \"x\" }]", "unknown key `sends`; known here: `request`"),
            ("when = [{ request = \"R\", path = \"x\" }]", "`path` begins with /"),
            (
                "when = [{ request = \"R\", method = \"get\" }]",
                "`method` is a method of HTTP as POST, found `get`",
            ),
            ("when = [{ request = \"R\", status = 20 }]", "`status` is a number from 200 to 599"),
            ("when = [{ request = \"R\", headers = { a = 1 } }]", "`headers.a` is a field of HTTP"),
            ("far = { PORT = { send = \"x\" } }", "unknown field `send`"),
            ("ignore = [\"a/#/b\"]", "`a/#/b` is no topic filter: "),
            ("whne = []", "unknown field `whne`"),
        ] {
            let told = refused(lines);
            assert!(told.contains(part) && told.contains("line 3"), "{lines}: {told}");
        }
    }
}
