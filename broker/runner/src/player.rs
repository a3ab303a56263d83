//! A running program that gets messages by hand, from a recording or from a broker. The player
//! prints its effects.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use lotmq_codec::QoS;
use lotmq_connect::{Following, Url, follow};
use lotmq_server::embedded::{Arriving, ClientIdentity, EmbeddedBroker, Embedding, Happening, What};
use lotmq_server::{Denial, Forwarded, Published};
use lotmq_terminal::{Exit, output};
use serde_json::{Value as Json, json};

use crate::program::{Program, Start};
use crate::properties::StatedProperties;
use crate::show;
use crate::told::ToldOnce;
use crate::traffic::{Recorded, Recorder, properties_as_json};

/// Longest wait for one message of a broker.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How messages that are fed by hand are sent.
#[derive(Clone, Debug)]
pub struct HandSent {
    /// Quality of service.
    pub qos: QoS,
    /// Whether they are retained.
    pub retain: bool,
    /// Properties of MQTT 5.0.
    pub properties: StatedProperties,
}

/// A program that is fed, and printed.
pub struct Player {
    broker: EmbeddedBroker,
    printer: Printer,
    /// Whether the warning about a recording that goes back in time was printed.
    told_of_past: bool,
    /// Whether the warning that a message below `$SYS` or the like reaches no subscriber was
    /// printed.
    told_of_unheard: bool,
    /// The Client that messages come from which name none.
    client: Option<ClientIdentity>,
}

impl Player {
    /// Starts a program; `ON START` has run when this returns. With `json` each message is printed
    /// as an object.
    ///
    /// # Errors
    /// When the program cannot be started, or standard output takes no more.
    pub fn start(embedding: &Embedding, program: &Program, start: Start, json: bool) -> anyhow::Result<Self> {
        let mut broker = program.broker(embedding, start)?;
        let mut told = ToldOnce::default();
        program.deploy(&mut broker, &mut told)?;
        let mut player = Self {
            broker,
            printer: Printer { json, has_failed: false, told },
            told_of_past: false,
            told_of_unheard: false,
            client: None,
        };
        player.settle()?;
        Ok(player)
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let happened = self.broker.settle()?;
        happened.iter().try_for_each(|happening| self.printer.show(happening))
    }

    /// Lets messages that name no Client come from this one, whose user is in these groups.
    ///
    /// # Errors
    /// When there can be no such user or group.
    pub fn publishes_as(&mut self, client: ClientIdentity, groups: &[String]) -> anyhow::Result<()> {
        if let Some(user) = &client.user {
            self.broker.add_user(user, groups, &[])?;
        }
        self.client = Some(client);
        Ok(())
    }

    /// Delivers a message, and prints the effects.
    ///
    /// # Errors
    /// When no packet holds it, a run does not end, or standard output takes no more.
    pub fn publish(&mut self, topic: &str, payload: &[u8], sent: &HandSent) -> anyhow::Result<()> {
        let properties = sent.properties.encoded().context("no message has these properties")?;
        let properties = properties.properties();
        let message =
            Arriving { qos: sent.qos, retain: sent.retain, properties, ..Arriving::new(topic, payload) };
        self.publish_from(None, &message)
    }

    fn publish_from(
        &mut self,
        client: Option<&ClientIdentity>,
        message: &Arriving<'_>,
    ) -> anyhow::Result<()> {
        let topic = message.topic;
        let is_unheard = topic.starts_with('$') && !self.broker.starts_anything(topic);
        match client.or(self.client.as_ref()) {
            Some(client) => self.broker.publish_from(client, message)?,
            None => self.broker.publish(message)?,
        }
        if is_unheard && !std::mem::replace(&mut self.told_of_unheard, true) {
            output::note(&format!(
                "warning: `{topic}` starts nothing: filters that begin with + or # leave out topics that begin with $"
            ));
        }
        self.settle()
    }

    /// Calls an Action with inputs, and prints the effects.
    ///
    /// # Errors
    /// When there is no such Action, the inputs do not fit, or standard output takes no more.
    pub fn call(&mut self, name: &str, inputs: Json) -> anyhow::Result<()> {
        self.broker.call(name, crate::program::inputs(inputs)?)?;
        self.settle()
    }

    /// Lets time pass, with the timers that are due in it.
    ///
    /// # Errors
    /// When a run does not end, or standard output takes no more.
    pub fn pass(&mut self, mut left: Duration) -> anyhow::Result<()> {
        while let Some(passed) = self.broker.pass_time(left) {
            left -= passed;
            self.settle()?;
        }
        self.broker.stand(left);
        Ok(())
    }

    /// Lets time pass until a message was recorded, and delivers it.
    ///
    /// # Errors
    /// When a run does not end, or standard output takes no more.
    pub fn replay(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        // A clock that was set back while it was recorded stands still here.
        let wall = self.broker.wall();
        if recorded.at < wall && !std::mem::replace(&mut self.told_of_past, true) {
            let at = recorded.at;
            output::note(&format!(
                "warning: {at} comes behind {wall} in the recording: the clock stands still until then"
            ));
        }
        let until = Duration::try_from(recorded.at.duration_since(wall)).unwrap_or_default();
        self.pass(until)?;
        self.deliver(recorded)
    }

    fn deliver(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        if recorded.retained {
            self.broker.retain(&recorded.topic, &recorded.payload);
            return Ok(());
        }
        recorded.with_message(|message| self.publish_from(recorded.from.as_ref(), message))
    }

    /// Runs beside a broker until `count` messages have come or `time` is over, and records the
    /// messages.
    ///
    /// # Errors
    /// When the broker cannot be followed, the file cannot be written, or a run does not end.
    pub fn record(
        &mut self,
        broker: &Url,
        file: &Path,
        count: Option<u64>,
        time: Option<Duration>,
    ) -> anyhow::Result<()> {
        let Following { mut client, filter } = follow(broker)?;
        let mut recorder = Recorder::create(file)?;
        output::note(&format!("recording `{filter}` to {}", file.display()));
        let (begun, mut passed, mut left) = (Instant::now(), Duration::ZERO, count);
        while left != Some(0) && time.is_none_or(|time| passed < time) {
            let until_end = time.map_or(WAIT_MAX, |time| time - passed);
            let message = client.receive(self.broker.next_timer().unwrap_or(WAIT_MAX).min(until_end))?;
            let now = begun.elapsed();
            self.pass(now - passed)?;
            passed = now;
            if let Some(message) = message {
                let (topic, payload) = (message.topic, message.payload);
                let (at, retained) = (Timestamp::now(), message.retain);
                let properties = StatedProperties::of_list(message.properties.properties());
                let qos = QoS::AtMostOnce;
                let recorded = Recorded { at, topic, payload, retained, qos, from: None, properties };
                recorder.write(&recorded)?;
                self.deliver(&recorded)?;
                left = left.map(|left| left - 1);
            }
        }
        Ok(client.disconnect()?)
    }

    /// Returns the exit code for all events so far.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.printer.has_failed { Exit::Failure } else { Exit::Success }
    }
}

/// Prints events as they happen.
struct Printer {
    json: bool,
    has_failed: bool,
    told: ToldOnce,
}

impl Printer {
    fn show(&mut self, Happening { definition, what }: &Happening) -> anyhow::Result<()> {
        match what {
            What::Published(message) => {
                let line = if self.json { as_json(definition, message) } else { as_text(message) };
                output::line(&line)?;
            }
            What::Denied(denial) if self.json => output::line(&denial_as_json(denial))?,
            What::Denied(denial) => output::note(&denial.to_string()),
            // Nobody subscribes or logs in here.
            What::Delivered { .. } | What::OfLogins(_) => {}
            What::Returned(outputs) => {
                output::line(&format!("{definition} returned {}", show::outputs(outputs)))?;
            }
            What::Reported(report) => {
                let severity = if report.is_error { "error" } else { "warning" };
                output::note(&format!("{severity}: {definition}{report}"));
                self.has_failed |= report.is_error;
            }
            What::Printed(text) => tell_printed(text),
            What::Unconnected(reason) => self.told.tell(reason),
            What::Forwarded(message) if self.json => output::line(&forwarded_as_json(definition, message))?,
            What::Forwarded(Forwarded { to, topic, payload }) => {
                let payload = String::from_utf8_lossy(payload);
                // A row has no topic.
                let gap = if topic.is_empty() { "" } else { " " };
                output::note(&format!("to route {definition}, {to}: {topic}{gap}{payload}"));
            }
        }
        Ok(())
    }
}

fn as_text(Published { topic, payload, properties, .. }: &Published) -> String {
    format!("{topic} {}{}", String::from_utf8_lossy(payload), StatedProperties::of(properties))
}

/// A payload that is no UTF-8 is in `base64`, as in recordings.
fn named_payload(payload: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_) => ("base64", BASE64_STANDARD.encode(payload)),
    }
}

fn forwarded_as_json(route: &str, Forwarded { to, topic, payload }: &Forwarded) -> String {
    let (name, payload) = named_payload(payload);
    json!({ "route": route, "to": to, "topic": topic, name: payload }).to_string()
}

fn as_json(definition: &str, Published { topic, payload, qos, retain, properties }: &Published) -> String {
    let (name, payload) = named_payload(payload);
    let mut line =
        json!({ "action": definition, "topic": topic, name: payload, "qos": *qos as u8, "retain": retain });
    if let Json::Object(members) = &mut line {
        members.append(&mut properties_as_json(&StatedProperties::of(properties)));
    }
    line.to_string()
}

fn denial_as_json(Denial { scope, topic, user, client_id, by }: &Denial) -> String {
    json!({ "denied": scope, "topic": topic, "username": user, "client_id": client_id, "by": by }).to_string()
}

/// Prints the output of a script.
pub(crate) fn tell_printed(text: &str) {
    if !text.is_empty() {
        output::note(text.trim_end());
    }
}
