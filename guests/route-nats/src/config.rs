//! The configuration: the server, what goes there and what comes from there.

use std::collections::BTreeMap;

use lotmq_guest::route::{Failure, QoS};
use nats_protocol::Login;
use route_settings::{Configuration, Settings, TopicPattern};

use crate::limits::TIMEOUT_SECONDS;
use crate::subject::{SubjectPattern, is_filter};

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["NATS_CONFIG"],"properties":{"NATS_CONFIG":{"additionalProperties":false,"properties":{
"USERNAME":{"type":"string"},"PASSWORD":{"type":"string"},"TOKEN":{"type":"string","minLength":1},"USE_TLS":{"type":"boolean"},"JETSTREAM":{"type":"boolean"},"TIMEOUT":{"type":"integer","minimum":1,"maximum":3600}}}}}}}"#;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) login: Login,
    /// Whether the connection has to switch to TLS, as configured.
    pub(crate) is_secure: bool,
    /// Whether a message is done when a stream has it.
    pub(crate) is_stored: bool,
    /// Milliseconds after which a server that has not answered is away.
    pub(crate) timeout_ms: u32,
    /// Subjects by mapping.
    pub(crate) outward: BTreeMap<String, SubjectPattern>,
    pub(crate) inward: Vec<Inward>,
}

/// Subjects whose messages come here.
#[derive(Debug)]
pub(crate) struct Inward {
    pub(crate) subject: String,
    /// Of the members of a group each message goes to one.
    pub(crate) group: Option<String>,
    pub(crate) topic: TopicPattern,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("NATS_CONFIG");
        let timeout_ms = section.number("TIMEOUT").unwrap_or(TIMEOUT_SECONDS).saturating_mul(1000);
        let mut config = Config {
            login: login(&section)?,
            is_secure: section.is("USE_TLS"),
            is_stored: section.is("JETSTREAM"),
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            outward: BTreeMap::new(),
            inward: Vec::new(),
        };
        for mapping in configuration.mappings() {
            config.add(&mapping)?;
        }
        if configuration.is_probe() {
            config.inward.clear();
        }
        Ok(config)
    }

    fn add(&mut self, mapping: &Settings<'_>) -> Result<(), Failure> {
        let destination = mapping.text("DESTINATION_TOPIC")?;
        if mapping.text("DIRECTION")?.as_deref() != Some("in") {
            let subject = SubjectPattern::new(destination.as_deref().unwrap_or(">"));
            let subject = subject.map_err(|reason| mapping.wrong("DESTINATION_TOPIC", reason))?;
            self.outward.insert(mapping.name().to_owned(), subject);
            return Ok(());
        }
        let subject = mapping.needed("SOURCE_TOPIC")?;
        if !is_filter(&subject) {
            return Err(mapping.wrong("SOURCE_TOPIC", "is no subject"));
        }
        let group = mapping.text("QUEUE_GROUP")?;
        if group.as_ref().is_some_and(|group| group.is_empty() || group.contains(char::is_whitespace)) {
            return Err(mapping.wrong("QUEUE_GROUP", "is a name without blanks"));
        }
        let topic = TopicPattern::new(destination.as_deref().unwrap_or("#"));
        let topic = topic.map_err(|reason| mapping.wrong("DESTINATION_TOPIC", reason))?;
        let (qos, retain) = mapping.publishing();
        self.inward.push(Inward { subject, group, topic, qos, retain });
        Ok(())
    }
}

fn login(section: &Settings<'_>) -> Result<Login, Failure> {
    match (section.text("TOKEN")?, section.text("USERNAME")?, section.text("PASSWORD")?) {
        (Some(token), None, None) => Ok(Login::Token(token)),
        (Some(_), _, _) => Err(section.wrong("TOKEN", "stands instead of USERNAME and PASSWORD")),
        (None, Some(user), password) => Ok(Login::User { user, password: password.unwrap_or_default() }),
        (None, None, Some(_)) => Err(section.wrong("PASSWORD", "needs USERNAME")),
        (None, None, None) => Ok(Login::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(section: &str, mapping: &str) -> Result<Config, String> {
        let text =
            format!(r#"{{"sections":{{"NATS_CONFIG":{{{section}}}}},"mappings":{{"M":{{{mapping}}}}}}}"#);
        Config::parse(&text).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn mappings_have_a_direction() {
        let config = parsed(r#""TOKEN":"t","JETSTREAM":true"#, r#""SOURCE_TOPIC":"a/#""#).unwrap();
        assert_eq!((&config.login, config.is_stored), (&Login::Token("t".to_owned()), true));
        assert_eq!(config.outward["M"].filled("a/b"), Ok("a.b".to_owned()));
        let config = parsed("", r#""SOURCE_TOPIC":"a.>","DIRECTION":"in","QUEUE_GROUP":"g""#).unwrap();
        assert_eq!((&*config.inward[0].subject, config.inward[0].group.as_deref()), ("a.>", Some("g")));
    }

    #[test]
    fn what_a_route_cannot_do_is_told() {
        let out = r#""SOURCE_TOPIC":"a""#;
        for (section, mapping, told) in [
            (r#""PASSWORD":"p""#, out, "NATS_CONFIG: PASSWORD needs USERNAME"),
            (
                r#""TOKEN":"t","USERNAME":"u""#,
                out,
                "NATS_CONFIG: TOKEN stands instead of USERNAME and PASSWORD",
            ),
            (
                "",
                r#""SOURCE_TOPIC":"a","DESTINATION_TOPIC":"a.*""#,
                "M: DESTINATION_TOPIC is no subject with at most one wildcard, a `>` at its end",
            ),
            ("", r#""SOURCE_TOPIC":"a b","DIRECTION":"in""#, "M: SOURCE_TOPIC is no subject"),
            (
                "",
                r#""SOURCE_TOPIC":"a","DIRECTION":"in","QUEUE_GROUP":"a b""#,
                "M: QUEUE_GROUP is a name without blanks",
            ),
        ] {
            assert_eq!(parsed(section, mapping).unwrap_err(), told);
        }
    }
}
