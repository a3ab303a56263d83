//! Configuration of the definition: a cluster, and the mappings to and from its topics.

use std::collections::BTreeMap;

use lotmq_guest::route::{Failure, Peer, QoS, Template};
use route_settings::{Configuration, Settings, TopicPattern};

use crate::compression::Codec;
use crate::limits::{SESSION_MS, SESSION_MS_MAX};
use crate::sasl::{Login, Mechanism};
use crate::topic::matches;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{
    "sections":{"required":["KAFKA_CONFIG"],"properties":{
        "KAFKA_CONFIG":{"required":["BOOTSTRAP_SERVERS"],"properties":{
            "SECURITY_PROTOCOL":{"enum":["PLAINTEXT","SSL","SASL_PLAINTEXT","SASL_SSL"]},
            "SASL_MECHANISM":{"enum":["PLAIN","SCRAM-SHA-256","SCRAM-SHA-512"]},
            "COMPRESSION_TYPE":{"enum":["none","gzip","snappy","lz4"]},
            "SESSION_TIMEOUT_MS":{"type":"integer","minimum":1,"maximum":1800000},
            "AUTO_OFFSET_RESET":{"enum":["earliest","latest"]}}}}}}}"#;

/// Name of the endpoint.
pub(crate) const ENDPOINT: &str = "kafka";

/// Port of a server that names none.
const PORT: u16 = 9092;

/// Default seconds until a silent broker counts as away, the same as those of the host.
const ACTIVITY_SECONDS: u64 = 60;

/// Bytes of the name of a topic, from Kafka's own rules.
const TOPIC_BYTES_MAX: usize = 249;

/// A mapping that takes messages of this broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outward {
    pub(crate) topic: String,
    pub(crate) key: Option<Template>,
}

/// A mapping that brings records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inward {
    pub(crate) topic: String,
    pub(crate) destination: TopicPattern,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// In the order in which they are tried. The first one is the endpoint itself.
    pub(crate) servers: Vec<Peer>,
    pub(crate) login: Option<Login>,
    pub(crate) client_id: String,
    pub(crate) group_id: String,
    /// Milliseconds after which the group counts this member as gone.
    pub(crate) session_ms: i32,
    pub(crate) codec: Codec,
    /// Whether a group that has read nothing yet begins with the first record.
    pub(crate) is_from_first: bool,
    /// By mapping.
    pub(crate) outward: BTreeMap<String, Outward>,
    pub(crate) inward: Vec<Inward>,
    /// Milliseconds after which a broker that has not answered is away.
    pub(crate) patience_ms: u64,
    /// Whether it is asked for no more than whether the cluster is there.
    pub(crate) is_probe: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let about: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let route = about["route"]["name"].as_str().unwrap_or("lotmq");
        let section = configuration.section("KAFKA_CONFIG");
        let named = |key: &str| -> Result<String, Failure> {
            Ok(section.text(key)?.filter(|text| !text.is_empty()).unwrap_or_else(|| route.to_owned()))
        };
        let activity = configuration.section("ROUTE_CONFIG").number("ACTIVITY_TIMEOUT");
        let mut config = Config {
            servers: servers(&section)?,
            login: login(&section)?,
            client_id: named("CLIENT_ID")?,
            group_id: named("GROUP_ID")?,
            session_ms: session_ms(&section)?,
            codec: codec(&section)?,
            is_from_first: is_from_first(&section)?,
            outward: BTreeMap::new(),
            inward: Vec::new(),
            patience_ms: activity.unwrap_or(ACTIVITY_SECONDS).saturating_mul(1000),
            is_probe: about["route"]["probe"].as_bool().unwrap_or(false),
        };
        let mut filters = Vec::new();
        for mapping in configuration.mappings() {
            config.add(&mapping, &mut filters)?;
        }
        config.check(&filters)?;
        Ok(config)
    }

    fn add(&mut self, mapping: &Settings<'_>, filters: &mut Vec<(String, String)>) -> Result<(), Failure> {
        let source = mapping.needed("SOURCE_TOPIC")?;
        let destination = mapping.needed("DESTINATION_TOPIC")?;
        let wrong = |reason: String| Failure::Fatal(format!("mapping {}: {reason}", mapping.name()));
        match mapping.text("DIRECTION")?.as_deref() {
            None | Some("out") => {
                let topic =
                    topic(&destination).map_err(|reason| wrong(format!("DESTINATION_TOPIC {reason}")))?;
                filters.push((source, topic.clone()));
                let outward = Outward { topic, key: mapping.template("KEY") };
                self.outward.insert(mapping.name().to_owned(), outward);
            }
            Some("in") if !mapping.raw("KEY").is_null() => {
                return Err(wrong("KEY is of messages that go out; a record has its own".to_owned()));
            }
            Some("in") => {
                let topic = topic(&source).map_err(|reason| wrong(format!("SOURCE_TOPIC {reason}")))?;
                let destination = TopicPattern::new(&destination).map_err(|reason| {
                    wrong(format!("DESTINATION_TOPIC {reason}, for the key of the record"))
                })?;
                let (qos, retain) = match mapping.number("QOS") {
                    Some(_) => mapping.publishing(),
                    None => (QoS::AtLeastOnce, mapping.is("RETAIN")),
                };
                self.inward.push(Inward { topic, destination, qos, retain });
            }
            Some(_) => return Err(wrong("DIRECTION is out or in".to_owned())),
        }
        Ok(())
    }

    /// Rejects circles: records of a topic that are published to topics whose messages go to the
    /// same topic.
    fn check(&self, filters: &[(String, String)]) -> Result<(), Failure> {
        for inward in &self.inward {
            let Some(published) = inward.destination.plain() else { continue };
            let is_back =
                |(filter, topic): &&(String, String)| *topic == inward.topic && matches(filter, published);
            if let Some((filter, topic)) = filters.iter().find(is_back) {
                return Err(Failure::Fatal(format!(
                    "records of '{topic}' are published to '{published}', and '{filter}' brings them to '{topic}' again: messages would go in circles"
                )));
            }
        }
        Ok(())
    }

    /// Topics of the cluster that messages go to.
    pub(crate) fn written(&self) -> impl Iterator<Item = &str> {
        self.outward.values().map(|outward| &*outward.topic)
    }

    /// Topics of the cluster that records come from, each once.
    pub(crate) fn read(&self) -> Vec<String> {
        let topics: std::collections::BTreeSet<&String> =
            self.inward.iter().map(|inward| &inward.topic).collect();
        topics.into_iter().cloned().collect()
    }
}

fn servers(section: &Settings<'_>) -> Result<Vec<Peer>, Failure> {
    let text = section.needed("BOOTSTRAP_SERVERS")?;
    let server = |text: &str| -> Option<Peer> {
        let peer = |host: &str, port| (!host.is_empty()).then(|| Peer { host: host.to_owned(), port });
        match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
                peer(host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?)
            }
            Some(_) | None => peer(text, PORT),
        }
    };
    let servers = text.split(',').map(str::trim).map(server).collect::<Option<Vec<Peer>>>();
    servers.ok_or_else(|| section.wrong("BOOTSTRAP_SERVERS", "is a list of servers such as 'a:9092,b:9092'"))
}

fn login(section: &Settings<'_>) -> Result<Option<Login>, Failure> {
    let protocol = section.text("SECURITY_PROTOCOL")?;
    let username = section.text("USERNAME")?;
    if let Some(protocol) = &protocol {
        let is_secure = protocol.ends_with("SSL");
        let differs = |key: &&str| !section.raw(key).is_null() && section.is(key) != is_secure;
        if let Some(key) = ["USE_TLS", "USE_SSL"].into_iter().find(differs) {
            return Err(section.wrong(key, &format!("says something else than SECURITY_PROTOCOL {protocol}")));
        }
    }
    let is_wanted = match protocol.as_deref() {
        Some(protocol) => protocol.starts_with("SASL_"),
        None => username.is_some() || !section.raw("SASL_MECHANISM").is_null(),
    };
    if !is_wanted {
        let unused =
            ["SASL_MECHANISM", "USERNAME", "PASSWORD"].into_iter().find(|key| !section.raw(key).is_null());
        return match unused {
            Some(key) => Err(section.wrong(key, "needs SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT")),
            None => Ok(None),
        };
    }
    let mechanism = match section.text("SASL_MECHANISM")?.as_deref() {
        None | Some("PLAIN") => Mechanism::Plain,
        Some("SCRAM-SHA-256") => Mechanism::ScramSha256,
        Some("SCRAM-SHA-512") => Mechanism::ScramSha512,
        Some(_) => return Err(section.wrong("SASL_MECHANISM", "is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")),
    };
    let (username, password) = (section.needed("USERNAME")?, section.needed("PASSWORD")?);
    Ok(Some(Login { mechanism, username, password }))
}

fn session_ms(section: &Settings<'_>) -> Result<i32, Failure> {
    let ms = section.number("SESSION_TIMEOUT_MS").unwrap_or(SESSION_MS);
    let wrong = || section.wrong("SESSION_TIMEOUT_MS", "is a number of milliseconds up to 1800000");
    i32::try_from(ms).ok().filter(|_| (1..=SESSION_MS_MAX).contains(&ms)).ok_or_else(wrong)
}

fn codec(section: &Settings<'_>) -> Result<Codec, Failure> {
    match section.text("COMPRESSION_TYPE")?.as_deref() {
        None | Some("none") => Ok(Codec::None),
        Some("gzip") => Ok(Codec::Gzip),
        Some("snappy") => Ok(Codec::Snappy),
        Some("lz4") => Ok(Codec::Lz4),
        Some(_) => Err(section.wrong("COMPRESSION_TYPE", "is none, gzip, snappy or lz4")),
    }
}

fn is_from_first(section: &Settings<'_>) -> Result<bool, Failure> {
    match section.text("AUTO_OFFSET_RESET")?.as_deref() {
        None | Some("earliest") => Ok(true),
        Some("latest") => Ok(false),
        Some(_) => Err(section.wrong("AUTO_OFFSET_RESET", "is earliest or latest")),
    }
}

/// The name of a topic, by Kafka's rules.
fn topic(name: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name =
        name.len() <= TOPIC_BYTES_MAX && name.bytes().all(is_of_name) && !matches!(name, "." | "..");
    if is_name {
        return Ok(name.to_owned());
    }
    Err(format!(
        "is '{name}', which is no topic of Kafka: up to {TOPIC_BYTES_MAX} letters, digits, '.', '_' and '-'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(section: &str, mapping: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"type":"KAFKA","route":{{"name":"Line"}},"sections":{{"KAFKA_CONFIG":{{"BOOTSTRAP_SERVERS":"a:1, b"{section}}}}},"mappings":{{{mapping}}}}}"#
        );
        Config::parse(&text).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        })
    }

    const OUT: &str = r#""O":{"SOURCE_TOPIC":"a/+","DESTINATION_TOPIC":"t"}"#;

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = parsed(
            "",
            &format!(r#"{OUT},"I":{{"SOURCE_TOPIC":"u","DESTINATION_TOPIC":"b/+","DIRECTION":"in"}}"#),
        )
        .unwrap();
        let places: Vec<String> =
            config.servers.iter().map(|peer| format!("{}:{}", peer.host, peer.port)).collect();
        assert_eq!(places, ["a:1", "b:9092"]);
        assert_eq!((&*config.client_id, &*config.group_id, config.codec), ("Line", "Line", Codec::None));
        assert_eq!(config.session_ms, 30_000);
        assert!(config.login.is_none() && config.is_from_first && !config.is_probe);
        assert_eq!(config.outward["O"], Outward { topic: "t".to_owned(), key: None });
        assert_eq!((config.inward[0].qos, config.inward[0].retain), (QoS::AtLeastOnce, false));
        assert_eq!((config.written().collect::<Vec<_>>(), config.read()), (vec!["t"], vec!["u".to_owned()]));
    }

    #[test]
    fn a_login_is_made_where_one_is_wanted() {
        let user = r#","USERNAME":"u","PASSWORD":"p""#;
        let of = |more: &str| parsed(&format!("{user}{more}"), OUT).unwrap().login.unwrap().mechanism;
        assert_eq!(of(""), Mechanism::Plain);
        assert_eq!(
            of(r#","SECURITY_PROTOCOL":"SASL_SSL","SASL_MECHANISM":"SCRAM-SHA-512""#),
            Mechanism::ScramSha512
        );
    }

    #[test]
    fn what_cannot_work_is_told() {
        let circle = r#""O":{"SOURCE_TOPIC":"a/#","DESTINATION_TOPIC":"t"},"I":{"SOURCE_TOPIC":"t","DESTINATION_TOPIC":"a/b","DIRECTION":"in"}"#;
        let refused = |section: &str, mapping: &str| parsed(section, mapping).unwrap_err();
        for (section, mapping, expected) in [
            (
                r#","BOOTSTRAP_SERVERS":"a:x""#,
                OUT,
                "KAFKA_CONFIG: BOOTSTRAP_SERVERS is a list of servers such as 'a:9092,b:9092'",
            ),
            (
                r#","BOOTSTRAP_SERVERS":"a,""#,
                OUT,
                "KAFKA_CONFIG: BOOTSTRAP_SERVERS is a list of servers such as 'a:9092,b:9092'",
            ),
            (
                r#","SECURITY_PROTOCOL":"SSL","USERNAME":"u""#,
                OUT,
                "KAFKA_CONFIG: USERNAME needs SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT",
            ),
            (r#","SECURITY_PROTOCOL":"SASL_SSL","USERNAME":"u""#, OUT, "KAFKA_CONFIG needs PASSWORD"),
            (
                r#","SECURITY_PROTOCOL":"SASL_SSL","USE_TLS":false"#,
                OUT,
                "KAFKA_CONFIG: USE_TLS says something else than SECURITY_PROTOCOL SASL_SSL",
            ),
            (
                "",
                r#""O":{"SOURCE_TOPIC":"a","DESTINATION_TOPIC":"t/u"}"#,
                "mapping O: DESTINATION_TOPIC is 't/u', which is no topic of Kafka: up to 249 letters, digits, '.', '_' and '-'",
            ),
            (
                "",
                r#""I":{"SOURCE_TOPIC":"t","DESTINATION_TOPIC":"a","DIRECTION":"in","KEY":"x"}"#,
                "mapping I: KEY is of messages that go out; a record has its own",
            ),
            (
                "",
                r#""I":{"SOURCE_TOPIC":"t","DESTINATION_TOPIC":"a/+/+","DIRECTION":"in"}"#,
                "mapping I: DESTINATION_TOPIC has one wildcard at most, for the key of the record",
            ),
            (
                "",
                circle,
                "records of 't' are published to 'a/b', and 'a/#' brings them to 't' again: messages would go in circles",
            ),
        ] {
            assert_eq!(refused(section, mapping), expected);
        }
    }
}
