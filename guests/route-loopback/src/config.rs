//! The configuration that the host hands over: settings of the sections and events, by name.

use crate::failing::Failing;
use lotmq_guest::route::{Failure, QoS, Template};
use serde_json::Value as Json;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"properties":{"LOOPBACK_CONFIG":{"additionalProperties":false,"properties":{"MAX_ROWS":{"type":"integer","minimum":1,"maximum":100000,"default":1000},"FAIL":{"enum":["never","retry","reconnect","reject","fatal","trap"]},"DELAY":{"type":"integer","minimum":0}}}}}}}"#;

/// Rows of a table when the route does not say.
const ROWS_MAX: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Rows of a table; the oldest make room.
    pub(crate) rows_max: usize,
    pub(crate) failing: Failing,
    /// Pause before each operation.
    pub(crate) delay_ms: u32,
    events: Json,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let wrong = |error| Failure::Fatal(format!("the configuration is not JSON: {error}"));
        let mut config: Json = serde_json::from_str(text).map_err(wrong)?;
        let own = &config["sections"]["LOOPBACK_CONFIG"];
        Ok(Config {
            rows_max: number(&own["MAX_ROWS"]).unwrap_or(ROWS_MAX),
            failing: Failing::parse(own["FAIL"].as_str().unwrap_or_default())?,
            delay_ms: number(&own["DELAY"]).unwrap_or(0),
            events: config["events"].take(),
        })
    }

    /// A setting of an event that may have placeholders.
    pub(crate) fn template(&self, event: &str, setting: &str) -> Option<Template> {
        let value = &self.events[event][setting];
        let texts = |member: &str| -> Option<Vec<String>> {
            value[member].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        match value.as_str() {
            Some(text) => Some(Template::plain(setting, text)),
            None => Template::new(setting, texts("template")?, texts("placeholders")?),
        }
    }

    /// The table of an event that stores.
    pub(crate) fn table_of(&self, event: &str) -> Option<&str> {
        self.events[event]["TABLE"].as_str()
    }

    /// How an event's answer is published.
    pub(crate) fn answer_options(&self, event: &str) -> (QoS, bool) {
        let event = &self.events[event];
        let qos = match number::<u8>(&event["QOS"]) {
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            _ => QoS::AtMostOnce,
        };
        (qos, event["RETAIN"].as_bool().unwrap_or(false))
    }
}

/// A number, or the text of one, as values of the environment are.
fn number<T: TryFrom<u64>>(value: &Json) -> Option<T> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    T::try_from(number).ok()
}
