//! The configuration: the server, the place in it, and what each event does there.

use std::collections::BTreeMap;

use lotmq_guest::route::{Failure, QoS, Template};
use route_settings::{Configuration, Settings};

use crate::point::{PointOf, Precision};
use crate::question::QuestionOf;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["INFLUXDB_CONFIG"],"properties":{"INFLUXDB_CONFIG":{"additionalProperties":false,"properties":{
"BASE_URL":{"type":"string","minLength":1},"DATABASE":{"type":"string","minLength":1},"RETENTION_POLICY":{"type":"string","minLength":1},"USERNAME":{"type":"string"},"PASSWORD":{"type":"string"},
"BUCKET":{"type":"string","minLength":1},"ORG":{"type":"string","minLength":1},"TOKEN":{"type":"string","minLength":1},"PRECISION":{"enum":["s","ms","us","ns"]}}}}}}}"#;

#[derive(Debug)]
pub(crate) struct Config {
    /// Path of the server's address, without a slash at its end.
    pub(crate) path: String,
    pub(crate) place: Place,
    pub(crate) precision: Precision,
    pub(crate) events: BTreeMap<String, Event>,
}

/// Target of points.
#[derive(Debug)]
pub(crate) enum Place {
    /// Of InfluxDB 1.
    Database { database: String, policy: Option<String>, login: Option<(String, String)> },
    /// Of InfluxDB 2 and later.
    Bucket { bucket: String, organization: Option<String>, token: String },
}

/// Task of an event.
#[derive(Debug)]
pub(crate) enum Event {
    Write(PointOf),
    Ask { question: QuestionOf, template: Template, answer: Option<Answer> },
}

/// Destination of a result.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) topic: Template,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("INFLUXDB_CONFIG");
        let event = |block: Settings<'_>| Ok((block.name().to_owned(), event(&block)?));
        Ok(Config {
            path: section.text("BASE_URL")?.map(|url| path_of(&url)).unwrap_or_default(),
            place: place(&section)?,
            precision: Precision::of(&section.text("PRECISION")?.unwrap_or_default()),
            events: configuration.events().map(event).collect::<Result<_, Failure>>()?,
        })
    }
}

fn place(section: &Settings<'_>) -> Result<Place, Failure> {
    let needed = |key: &str| section.text(key)?.ok_or_else(|| section.wrong(key, "is needed"));
    match (section.text("BUCKET")?, section.text("DATABASE")?) {
        (Some(_), Some(_)) => {
            Err(section
                .wrong("BUCKET", "is of InfluxDB 2 and later, DATABASE of InfluxDB 1: it is one of them"))
        }
        (Some(bucket), None) => {
            Ok(Place::Bucket { bucket, organization: section.text("ORG")?, token: needed("TOKEN")? })
        }
        (None, _) => Ok(Place::Database {
            database: needed("DATABASE")?,
            policy: section.text("RETENTION_POLICY")?,
            login: match section.text("USERNAME")? {
                Some(user) => Some((user, section.text("PASSWORD")?.unwrap_or_default())),
                None => None,
            },
        }),
    }
}

fn event(block: &Settings<'_>) -> Result<Event, Failure> {
    match (block.template("MEASUREMENT"), block.template("QUERY")) {
        (Some(measurement), None) => {
            let template = |key| block.template(key);
            PointOf::new(measurement, template("TAGS"), template("FIELDS"), template("TIMESTAMP"))
                .map(Event::Write)
                .map_err(|(key, reason)| block.wrong(key, &reason))
        }
        (None, Some(template)) => {
            let question = QuestionOf::parse(&template).map_err(|reason| block.wrong("QUERY:", &reason))?;
            let (qos, retain) = block.publishing();
            let answer = block.template("DESTINATION_TOPIC").map(|topic| Answer { topic, qos, retain });
            Ok(Event::Ask { question, template, answer })
        }
        _ => Err(Failure::Fatal(format!("{} needs MEASUREMENT or QUERY, and not both", block.name()))),
    }
}

/// The path of a URL, without a slash at its end; empty where there is none.
fn path_of(url: &str) -> String {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = behind_scheme.find('/').map_or("", |at| &behind_scheme[at..]);
    path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_places_and_events() {
        let config = Config::parse(
            r#"{"sections":{"INFLUXDB_CONFIG":{"BASE_URL":"https://h/influx/","BUCKET":"b","TOKEN":"t","PRECISION":"us"}},
            "events":{"W":{"MEASUREMENT":"m","TAGS":"a=b"},"Q":{"QUERY":"SHOW DATABASES","DESTINATION_TOPIC":"x"}}}"#,
        )
        .unwrap();
        assert_eq!((&*config.path, config.precision), ("/influx", Precision::Microseconds));
        assert!(matches!(config.place, Place::Bucket { organization: None, .. }));
        assert!(matches!(
            (&config.events["W"], &config.events["Q"]),
            (Event::Write(_), Event::Ask { answer: Some(_), .. })
        ));
    }

    #[test]
    fn what_a_route_cannot_do_is_told() {
        for (section, event, told) in [
            ("", "", "INFLUXDB_CONFIG: DATABASE is needed"),
            (r#""BUCKET":"b""#, "", "INFLUXDB_CONFIG: TOKEN is needed"),
            (
                r#""BUCKET":"b","DATABASE":"d""#,
                "",
                "INFLUXDB_CONFIG: BUCKET is of InfluxDB 2 and later, DATABASE of InfluxDB 1: it is one of them",
            ),
            (r#""DATABASE":"d""#, "{}", "E needs MEASUREMENT or QUERY, and not both"),
            (r#""DATABASE":"d""#, r#"{"MEASUREMENT":"m","TAGS":"a"}"#, "E: TAGS 'a' has no value"),
            (r#""DATABASE":"d""#, r#"{"QUERY":"SELECT 'x"}"#, "E: QUERY: the quote ' does not end"),
        ] {
            let events = if event.is_empty() { String::new() } else { format!(r#""E":{event}"#) };
            let text = format!(r#"{{"sections":{{"INFLUXDB_CONFIG":{{{section}}}}},"events":{{{events}}}}}"#);
            let Err(Failure::Fatal(reason)) = Config::parse(&text) else { panic!("{text}") };
            assert_eq!(reason, told);
        }
    }
}
