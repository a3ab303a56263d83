//! Clients of a route that listens: the data that a client sends in a step, and the expected
//! response.
//!
//! The guest of the route runs for as long as its client needs, and its messages are delivered
//! meanwhile, so that an answer may wait for a message. Connections stay open to the end of the
//! case.

mod http;
mod link;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use lotmq_host::fiber::Reception;
use lotmq_server::embedded::{ClientPlace, EmbeddedBroker, ServedRoute};

use crate::encoding::Encoding;
use crate::keys::{Keys, listed};
use http::HttpWords;
use link::{LineWords, VisitLine};

/// Default time for which a guest runs in a step.
pub(crate) const RUN_TIME: Duration = Duration::from_secs(1);

/// Default of the longest wait for an expected answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Name of a client that has none.
const ONLY_ONE: &str = "";

/// Keys of a step in which a client connects.
const CONNECT_KEYS: [&str; 11] =
    ["connect", "as", "section", "sends", "ends", "gets", "contains", "closes", "encoding", "for", "brings"];

/// Keys of a step in which a client of HTTP asks.
const REQUEST_KEYS: [&str; 11] = [
    "request", "section", "method", "path", "headers", "body", "status", "gets", "contains", "for", "brings",
];

/// Step in which a client talks to a route.
#[derive(Debug)]
pub(crate) struct Visit {
    route: String,
    /// Name that tells several clients of the route apart.
    name: String,
    /// Section of the endpoint, where the route has several.
    section: Option<String>,
    /// Time of the machine.
    time: Duration,
    /// Messages that the guest brings meanwhile.
    brings: Option<u64>,
    words: Words,
}

#[derive(Debug)]
enum Words {
    OverLine(LineWords),
    Http(HttpWords),
}

/// Clients that are connected, by route and name.
#[derive(Default)]
pub(crate) struct Visitors(BTreeMap<(String, String), VisitLine>);

impl Visit {
    /// Reads a step with the key `connect` or `request`.
    pub(crate) fn read(keys: &mut Keys, kind: &str) -> Result<Self, String> {
        let route = keys.text(kind)?;
        let section = keys.optional_text("section")?;
        let (name, words) = match kind {
            "connect" => {
                let name = keys.optional_text("as")?.unwrap_or_else(|| ONLY_ONE.to_owned());
                (name, Words::OverLine(LineWords::read(keys)?))
            }
            _ => (ONLY_ONE.to_owned(), Words::Http(HttpWords::read(keys)?)),
        };
        let said = keys.optional_text("for")?.as_deref().map(run_time).transpose()?;
        let usual = if words.expect_something() { ANSWER_TIME } else { RUN_TIME };
        let brings = keys.integer("brings")?.map(brings).transpose()?;
        Ok(Self { route, name, section, time: said.unwrap_or(usual), brings, words })
    }

    /// The keys that such a step may have.
    pub(crate) fn keys(kind: &str) -> &'static [&'static str] {
        if kind == "connect" { &CONNECT_KEYS } else { &REQUEST_KEYS }
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// Describes the step in the words of the file.
    fn described(&self) -> String {
        let name = if self.name == ONLY_ONE { String::new() } else { format!(", as = \"{}\"", self.name) };
        match &self.words {
            Words::OverLine(_) => format!("connect = \"{}\"{name}", self.route),
            Words::Http(words) => format!("request = \"{}\", {}", self.route, words.described()),
        }
    }

    /// Returns the address at which the route listens for this client; `None` if it does not listen
    /// yet.
    fn place(&self, served: &ServedRoute) -> Result<Option<ClientPlace>, String> {
        let places = served.places();
        let section_of = |endpoint: &str| format!("{}_CONFIG", endpoint.to_ascii_uppercase());
        let found = match &self.section {
            Some(section) => places.iter().find(|(endpoint, _)| section_of(endpoint) == *section),
            None if places.len() > 1 => {
                let sections: Vec<String> = places.keys().map(|endpoint| section_of(endpoint)).collect();
                let sections: Vec<&str> = sections.iter().map(String::as_str).collect();
                return Err(format!(
                    "it listens at several places: `section` is one of {}",
                    listed(&sections)
                ));
            }
            None => places.iter().next(),
        };
        let Some((endpoint, place)) = found else { return Ok(None) };
        let section = section_of(endpoint);
        match (&self.words, place.reception) {
            (_, Reception::Http { has_tls: true }) => {
                Err(format!("{section} listens with TLS, which clients of cases do not speak"))
            }
            (Words::Http(_), Reception::Http { .. }) => Ok(Some(*place)),
            (Words::Http(_), _) => Err(format!("{section} does not serve HTTP: use `connect`")),
            (Words::OverLine(_), Reception::Http { .. }) => {
                Err(format!("{section} serves HTTP: use `request`"))
            }
            (Words::OverLine(words), reception) => words.suits(reception, &section).map(|()| Some(*place)),
        }
    }
}

impl Words {
    fn expect_something(&self) -> bool {
        match self {
            Self::OverLine(words) => words.expect_something(),
            Self::Http(_) => true,
        }
    }
}

impl Visitors {
    /// Lets a client do its step while the guest runs. `settle` takes the events of the broker.
    /// Returns the reason if the step failed.
    pub(crate) fn take(
        &mut self,
        visit: &Visit,
        broker: &mut EmbeddedBroker,
        mut settle: impl FnMut(&mut EmbeddedBroker) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<String>> {
        let served = broker.served(&visit.route)?;
        let (began, before) = (Instant::now(), served.brought());
        let key = (visit.route.clone(), visit.name.clone());
        // A client of HTTP has a connection for each request.
        let line = matches!(visit.words, Words::OverLine(_)).then(|| self.0.remove(&key)).flatten();
        let mut talk = Talk { visit, served: &served, line, has_spoken: false, failed: None };
        loop {
            let left = visit.time.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            // As in a broker, messages of the guest are delivered before it continues.
            let after = broker.run_route(&visit.route, (left, Some(1)), || {
                talk.goes_on();
                talk.is_over(visit.brings.is_some())
            })?;
            settle(broker)?;
            let has_brought = visit.brings.is_none_or(|wanted| served.brought() - before >= wanted);
            let is_enough = talk.is_over(visit.brings.is_some()) && has_brought;
            let Some(after) = after.filter(|_| !is_enough && talk.failed.is_none()) else { break };
            let pause = after.min(visit.time.saturating_sub(began.elapsed()));
            broker.wait(pause, || {
                talk.goes_on();
                talk.is_over(false)
            })?;
        }
        talk.goes_on();
        let complaint = talk.judged();
        if let (Some(line), Words::OverLine(_)) = (talk.line, &visit.words) {
            self.0.insert(key, line);
        }
        Ok(complaint.map(|complaint| format!("{}: {complaint}", visit.described())))
    }

    /// Returns failures for data that clients received after the last check of their steps.
    pub(crate) fn judged(self) -> Vec<String> {
        let unseen = self.0.into_iter().filter_map(|((route, name), mut line)| {
            let more = line.unseen()?;
            let name = if name == ONLY_ONE { name } else { format!(", as = \"{name}\"") };
            Some(format!("connect = \"{route}\"{name}: got {more} behind all that was looked at"))
        });
        unseen.collect()
    }
}

/// Client that carries out its step.
struct Talk<'a> {
    visit: &'a Visit,
    served: &'a ServedRoute,
    line: Option<VisitLine>,
    has_spoken: bool,
    failed: Option<String>,
}

impl Talk<'_> {
    fn goes_on(&mut self) {
        if self.failed.is_some() {
            return;
        }
        if let Err(reason) = self.try_to_go_on() {
            self.failed = Some(reason);
        }
    }

    fn try_to_go_on(&mut self) -> Result<(), String> {
        if self.line.is_none() {
            let Some(place) = self.visit.place(self.served)? else { return Ok(()) };
            let line = VisitLine::open(place)
                .map_err(|error| format!("cannot connect to {}: {error}", place.address))?;
            // Opening the port is safe: only this client listens on it.
            line.datagram_port().into_iter().for_each(|port| self.served.open_far_port(port));
            self.line = Some(line);
        }
        let Some(line) = &mut self.line else { return Ok(()) };
        if !std::mem::replace(&mut self.has_spoken, true) {
            match &self.visit.words {
                Words::OverLine(words) => line.says(words)?,
                Words::Http(words) => line.asks(words),
            }
        }
        line.goes_on();
        Ok(())
    }

    /// Whether the client has all that it waits for. A step without an expectation lasts to the end
    /// of its time, or until the guest has brought its messages.
    fn is_over(&self, has_other_end: bool) -> bool {
        let Some(line) = self.line.as_ref().filter(|_| self.failed.is_none()) else {
            return self.failed.is_some();
        };
        match &self.visit.words {
            Words::OverLine(words) if words.expect_something() => line.has_what(words),
            Words::OverLine(_) => has_other_end && line.has_sent(),
            Words::Http(_) => http::is_whole(line),
        }
    }

    fn judged(&mut self) -> Option<String> {
        if let Some(failed) = self.failed.take() {
            return Some(failed);
        }
        let Some(line) = &mut self.line else {
            let sections = "a section with LISTEN, and a guest that binds it in `open` or `run`, make it";
            return Some(match &self.visit.section {
                Some(section) => format!("nothing listens at section {section}: {sections}"),
                None => format!("the route listens nowhere: {sections}"),
            });
        };
        match &self.visit.words {
            Words::OverLine(words) => line.judged(words),
            Words::Http(words) => words.judged(line),
        }
    }
}

/// Reads the time for which a guest runs.
pub(crate) fn run_time(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|time: SignedDuration| Duration::try_from(time).ok());
    let max = EmbeddedBroker::RUN_MAX;
    let time = time.filter(|time| *time <= max);
    time.ok_or_else(|| format!("`for` is a span of time up to {} s, as 500ms, found `{text}`", max.as_secs()))
}

/// Reads a number of messages after which it is enough.
pub(crate) fn brings(number: i64) -> Result<u64, String> {
    let number = u64::try_from(number).ok().filter(|number| *number > 0);
    number.ok_or_else(|| "`brings` is how many messages are enough, from 1".to_owned())
}

/// Formats the expected bytes and the received ones.
fn unlike(wanted: &[u8], got: &[u8], encoding: Encoding) -> String {
    format!("expected to get {}, got {}", encoding.shown(wanted), encoding.shown(got))
}
