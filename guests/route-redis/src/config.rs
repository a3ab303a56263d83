//! The configuration: the server, what each event asks of it, and which channels come here.

use std::collections::BTreeMap;

use lotmq_guest::route::{Failure, QoS, Template};
use route_settings::{Configuration, Settings, TopicPattern};

use crate::command::Command;
use crate::limits::TIMEOUT_SECONDS;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["REDIS_CONFIG"],"properties":{"REDIS_CONFIG":{"additionalProperties":false,"properties":{
"USERNAME":{"type":"string"},"PASSWORD":{"type":"string","minLength":1},"DATABASE":{"type":"integer","minimum":0,"default":0},"TIMEOUT":{"type":"integer","minimum":1,"maximum":3600}}}}}}}"#;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) login: Option<Login>,
    /// Number of the database.
    pub(crate) database: u64,
    /// Milliseconds after which a server that has not answered is away.
    pub(crate) timeout_ms: u32,
    pub(crate) events: BTreeMap<String, Event>,
    pub(crate) subscriptions: Vec<Subscription>,
}

/// Credentials of the route.
#[derive(Debug)]
pub(crate) struct Login {
    /// That of all who name none is `default`.
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

/// Task of an event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) command: Command,
    /// The command as the definition has it, for the values of its placeholders.
    pub(crate) template: Template,
    pub(crate) answer: Option<Answer>,
}

/// Destination of a reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) topic: Template,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

/// Channels whose messages come here.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// A channel, or a pattern of several.
    pub(crate) channel: String,
    pub(crate) topic: TopicPattern,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("REDIS_CONFIG");
        let user = section.text("USERNAME")?;
        let login = match section.text("PASSWORD")? {
            Some(password) => Some(Login { user, password }),
            None if user.is_some() => return Err(section.wrong("USERNAME", "needs PASSWORD")),
            None => None,
        };
        let timeout_ms = section.number("TIMEOUT").unwrap_or(TIMEOUT_SECONDS).saturating_mul(1000);
        let event = |block: Settings<'_>| Ok((block.name().to_owned(), event(&block)?));
        let subscriptions = configuration.mappings().map(|block| subscription(&block));
        let subscriptions =
            if configuration.is_probe() { Vec::new() } else { subscriptions.collect::<Result<_, _>>()? };
        Ok(Config {
            login,
            database: section.number("DATABASE").unwrap_or(0),
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            events: configuration.events().map(event).collect::<Result<_, Failure>>()?,
            subscriptions,
        })
    }
}

fn event(block: &Settings<'_>) -> Result<Event, Failure> {
    let template =
        block.template("COMMAND").ok_or_else(|| Failure::Fatal(format!("{} needs COMMAND", block.name())))?;
    let command = Command::parse(&template).map_err(|reason| block.wrong("COMMAND:", &reason))?;
    let (qos, retain) = block.publishing();
    let answer = block.template("DESTINATION_TOPIC").map(|topic| Answer { topic, qos, retain });
    Ok(Event { command, template, answer })
}

fn subscription(block: &Settings<'_>) -> Result<Subscription, Failure> {
    let topic = block.needed("DESTINATION_TOPIC")?;
    let topic = TopicPattern::new(&topic).map_err(|reason| block.wrong("DESTINATION_TOPIC", reason))?;
    let (qos, retain) = block.publishing();
    Ok(Subscription { channel: block.needed("SOURCE_TOPIC")?, topic, qos, retain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_commands_and_subscriptions() {
        let config = Config::parse(
            r#"{"sections":{"REDIS_CONFIG":{"PASSWORD":"p","DATABASE":3,"TIMEOUT":2}},
            "events":{"E":{"COMMAND":{"template":["SET k ",""],"placeholders":["payload"]},"DESTINATION_TOPIC":"done","QOS":1}},
            "mappings":{"M":{"SOURCE_TOPIC":"plant.*","DESTINATION_TOPIC":"redis/#","RETAIN":true}}}"#,
        )
        .unwrap();
        assert_eq!((config.database, config.timeout_ms), (3, 2000));
        assert!(config.login.is_some_and(|login| login.user.is_none() && login.password == "p"));
        assert!(config.events["E"].answer.as_ref().is_some_and(|answer| answer.qos == QoS::AtLeastOnce));
        assert!(config.subscriptions[0].channel == "plant.*" && config.subscriptions[0].retain);
    }

    #[test]
    fn what_a_route_cannot_do_is_told() {
        for (section, blocks, told) in [
            (r#""USERNAME":"u""#, "", "REDIS_CONFIG: USERNAME needs PASSWORD"),
            ("", r#","events":{"E":{}}"#, "E needs COMMAND"),
            (
                "",
                r#","events":{"E":{"COMMAND":"QUIT"}}"#,
                "E: COMMAND: QUIT is no command for an event: it concerns the connection",
            ),
            ("", r#","mappings":{"M":{"SOURCE_TOPIC":"c"}}"#, "M needs DESTINATION_TOPIC"),
            (
                "",
                r#","mappings":{"M":{"SOURCE_TOPIC":"c","DESTINATION_TOPIC":"+/#"}}"#,
                "M: DESTINATION_TOPIC has one wildcard at most",
            ),
        ] {
            let text = format!(r#"{{"sections":{{"REDIS_CONFIG":{{{section}}}}}{blocks}}}"#);
            let Err(Failure::Fatal(reason)) = Config::parse(&text) else { panic!("{text}") };
            assert_eq!(reason, told);
        }
    }
}
