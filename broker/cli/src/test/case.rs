//! What stands in a file with cases.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Deserialize;

/// When a case begins that does not say when.
const AT: &str = "2026-01-01T00:00:00Z";

/// Longest span of time that passes at once: a leap year. Calendars look at the clock each minute of it.
const PASS_MAX: Duration = Duration::from_secs(8_784 * 3600);

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    /// The program, seen from the file.
    pub(super) program: Option<String>,
    pub(super) case: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    at: Option<String>,
    zone: Option<String>,
    /// Last values of topics.
    #[serde(default)]
    pub(super) given: BTreeMap<String, Payload>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) when: Vec<Step>,
    /// All that is published, returned and reported, in order.
    #[serde(default)]
    pub(super) then: Vec<Expected>,
    /// Topics that are not looked at.
    #[serde(default)]
    pub(super) ignore: Vec<String>,
    /// Last values at the end.
    #[serde(default)]
    pub(super) kept: BTreeMap<String, Payload>,
}

/// What happens to the program.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Step {
    Message {
        topic: String,
        payload: Payload,
    },
    Pass {
        pass: String,
    },
    Call {
        call: String,
        #[serde(default)]
        inputs: BTreeMap<String, toml::Value>,
    },
}

/// What the program does.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Expected {
    Message { topic: String, payload: Option<Payload>, contains: Option<String>, retain: Option<bool> },
    Returned { returned: Payload },
    Error { error: String },
}

/// A text, or a value that is written as JSON.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Payload(toml::Value);

impl Payload {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Whether a payload says this: the same text, or where a table or list is expected the same JSON.
    pub(super) fn is_like(&self, found: &[u8]) -> bool {
        if let toml::Value::Table(_) | toml::Value::Array(_) = &self.0 {
            let wanted = serde_json::to_value(&self.0).ok();
            return wanted.is_some() && serde_json::from_slice::<serde_json::Value>(found).ok() == wanted;
        }
        self.to_string().as_bytes() == found
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            Some(text) => f.write_str(text),
            None => f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?),
        }
    }
}

impl Case {
    pub(super) fn at(&self) -> anyhow::Result<Timestamp> {
        let at = self.at.as_deref().unwrap_or(AT);
        at.parse().with_context(|| format!("{}: at = \"{at}\" is no time as {AT}", self.name))
    }

    pub(super) fn zone(&self) -> anyhow::Result<TimeZone> {
        let Some(zone) = &self.zone else { return Ok(TimeZone::UTC) };
        TimeZone::get(zone).with_context(|| format!("{}: zone = \"{zone}\"", self.name))
    }
}

/// Reads a span of time, as `90s`, `1h 30m` or `PT5S`.
pub(super) fn duration(text: &str) -> anyhow::Result<Duration> {
    let wrong = || format!("pass = \"{text}\" is no span of time as 90s");
    let duration: SignedDuration = text.parse().with_context(wrong)?;
    let duration = Duration::try_from(duration).with_context(wrong)?;
    anyhow::ensure!(duration <= PASS_MAX, "pass = \"{text}\" is more than {} h", PASS_MAX.as_secs() / 3600);
    Ok(duration)
}
