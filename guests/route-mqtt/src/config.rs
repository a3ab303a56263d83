//! Configuration of the definition: two sides, and the flows between them.

use lotmq_codec::ProtocolVersion;
use lotmq_guest::route::Failure;
use route_settings::{Configuration, Settings};

use crate::topic::{is_shared, unshared};

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{
    "sections":{"required":["SOURCE_CONFIG","DESTINATION_CONFIG"],"properties":{
        "SOURCE_CONFIG":{"properties":{"KEEP_ALIVE":{"type":"integer","minimum":0,"maximum":65535},"CLEAN_SESSION":{"type":"boolean"},"PROTOCOL_VERSION":{"enum":["5","3.1.1","4","3.1","3"]},"USE_ZSTD":{"type":"boolean"}}},
        "DESTINATION_CONFIG":{"properties":{"KEEP_ALIVE":{"type":"integer","minimum":0,"maximum":65535},"CLEAN_SESSION":{"type":"boolean"},"PROTOCOL_VERSION":{"enum":["5","3.1.1","4","3.1","3"]},"USE_ZSTD":{"type":"boolean"}}}}}}}"#;

/// Default keep alive in seconds.
const KEEP_ALIVE_SECONDS: u16 = 60;

/// Default seconds until a silent far side counts as away, the same as those of the host.
const ACTIVITY_SECONDS: u64 = 60;

/// One side of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// This broker.
    Own,
    /// The other broker of this number.
    Far(usize),
}

/// Another broker, as the definition has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FarConfig {
    /// Name of the endpoint.
    pub(crate) endpoint: &'static str,
    /// Its address and port, as configured.
    pub(crate) place: String,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) keep_alive: u16,
    pub(crate) clean_session: bool,
    /// `None` where 5.0 is tried first, and then 3.1.1.
    pub(crate) version: Option<ProtocolVersion>,
    /// Whether it is asked for the zstd stream.
    pub(crate) wants_zstd: bool,
}

/// One direction of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flow {
    pub(crate) mapping: String,
    pub(crate) from: End,
    /// As it is subscribed to, with `$share` where it is shared.
    pub(crate) filter: String,
    pub(crate) to: End,
    /// Topic that is published to, with wildcards.
    pub(crate) topic: String,
    /// Highest QoS.
    pub(crate) qos: u8,
    /// RETAIN in place of that of each message.
    pub(crate) retain: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) fars: Vec<FarConfig>,
    pub(crate) flows: Vec<Flow>,
    /// Milliseconds after which a far side that has not answered is away.
    pub(crate) patience_ms: u64,
    /// Whether it is asked for no more than whether the far sides are there.
    pub(crate) is_probe: bool,
    /// Name of the route.
    pub(crate) route: String,
    /// Name of this broker among all; empty if unknown.
    pub(crate) broker: String,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let about: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let route = about["route"]["name"].as_str().unwrap_or("lotmq");
        let mut fars = Vec::new();
        let source = end(&configuration.section("SOURCE_CONFIG"), ("source", route, "src"), &mut fars)?;
        let destination =
            end(&configuration.section("DESTINATION_CONFIG"), ("destination", route, "dst"), &mut fars)?;
        let mut flows = Vec::new();
        for mapping in configuration.mappings() {
            flows.extend(of_mapping(&mapping, source, destination)?);
        }
        let activity =
            configuration.section("ROUTE_CONFIG").number("ACTIVITY_TIMEOUT").unwrap_or(ACTIVITY_SECONDS);
        let is_probe = about["route"]["probe"].as_bool().unwrap_or(false);
        let broker = about["route"]["broker"].as_str().unwrap_or_default().to_owned();
        let (route, patience_ms) = (route.to_owned(), activity.saturating_mul(1000));
        Ok(Config { fars, flows, patience_ms, is_probe, route, broker })
    }

    /// Number of the flow of messages of this broker that a mapping takes.
    pub(crate) fn of_delivery(&self, mapping: &str) -> Option<usize> {
        self.flows.iter().position(|flow| flow.from == End::Own && flow.mapping == mapping)
    }
}

/// Returns the side of a section. Adds another broker to the list.
fn end(
    section: &Settings<'_>,
    (endpoint, route, suffix): (&'static str, &str, &str),
    fars: &mut Vec<FarConfig>,
) -> Result<End, Failure> {
    let is_own =
        |key| Ok::<_, Failure>(section.text(key)?.is_some_and(|text| text.eq_ignore_ascii_case("SELF")));
    if is_own("BROKER")? || is_own("BROKER_ADDRESS")? {
        return Ok(End::Own);
    }
    let version = match section.text("PROTOCOL_VERSION")?.as_deref() {
        None => None,
        Some("5") => Some(ProtocolVersion::V5),
        Some("3.1.1" | "4") => Some(ProtocolVersion::V3_1_1),
        Some("3.1" | "3") => Some(ProtocolVersion::V3_1),
        Some(_) => return Err(section.wrong("PROTOCOL_VERSION", "is 5, 3.1.1 or 3.1")),
    };
    let keep_alive = section.number("KEEP_ALIVE").map_or(Ok(KEEP_ALIVE_SECONDS), u16::try_from);
    let port = section.number("BROKER_PORT").unwrap_or(if section.is("USE_TLS") { 8883 } else { 1883 });
    let address = section.text("BROKER_ADDRESS")?.unwrap_or_default();
    let far = FarConfig {
        endpoint,
        place: format!("{}:{port}", address.to_ascii_lowercase()),
        client_id: section
            .text("CLIENT_ID")?
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("{route}-{suffix}")),
        username: section.text("USERNAME")?,
        password: section.text("PASSWORD")?,
        keep_alive: keep_alive
            .map_err(|_| section.wrong("KEEP_ALIVE", "is a number of seconds up to 65535"))?,
        clean_session: section.raw("CLEAN_SESSION").is_null() || section.is("CLEAN_SESSION"),
        version,
        wants_zstd: section.is("USE_ZSTD"),
    };
    if far.wants_zstd && far.version.is_some_and(|version| version != ProtocolVersion::V5) {
        return Err(section.wrong("USE_ZSTD", "needs PROTOCOL_VERSION 5"));
    }
    if far.password.is_some() && far.username.is_none() && far.version != Some(ProtocolVersion::V5) {
        return Err(section.wrong("PASSWORD", "needs USERNAME"));
    }
    fars.push(far);
    Ok(End::Far(fars.len() - 1))
}

/// The directions of a mapping.
fn of_mapping(mapping: &Settings<'_>, source: End, destination: End) -> Result<Vec<Flow>, Failure> {
    let filter = mapping.needed("SOURCE_TOPIC")?;
    let topic = mapping.text("DESTINATION_TOPIC")?.unwrap_or_else(|| unshared(&filter).to_owned());
    let direction = mapping.text("DIRECTION")?;
    let direction = direction.as_deref().unwrap_or("out");
    let flow = |from: End, filter: &str, to: End, topic: &str| Flow {
        mapping: mapping.name().to_owned(),
        from,
        filter: filter.to_owned(),
        to,
        topic: topic.to_owned(),
        qos: mapping.number("QOS").and_then(|qos| u8::try_from(qos).ok()).unwrap_or(1).min(2),
        retain: (!mapping.raw("RETAIN").is_null()).then(|| mapping.is("RETAIN")),
    };
    let wrong = |reason: &str| Failure::Fatal(format!("mapping {}: {reason}", mapping.name()));
    let flows = match direction {
        "out" => vec![flow(source, &filter, destination, &topic)],
        "in" => vec![flow(destination, &filter, source, &topic)],
        "both" if source == destination => {
            return Err(wrong("both sides are this broker, and messages would go in circles"));
        }
        "both" => {
            vec![
                flow(source, &filter, destination, &topic),
                flow(destination, &topic, source, unshared(&filter)),
            ]
        }
        _ => return Err(wrong("DIRECTION is out, in or both")),
    };
    if flows.iter().any(|flow| flow.from == End::Own && is_shared(&flow.filter)) {
        return Err(wrong(
            "a bridge takes all messages of this broker; a shared subscription is one of another broker",
        ));
    }
    if flows.iter().any(|flow| is_shared(&flow.topic)) {
        return Err(wrong("a shared subscription is no topic to publish to"));
    }
    Ok(flows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &str, destination: &str, mapping: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"type":"MQTT_BRIDGE","route":{{"name":"Up"}},"sections":{{"SOURCE_CONFIG":{{{source}}},"DESTINATION_CONFIG":{{{destination}}}}},"mappings":{{"M":{{{mapping}}}}}}}"#
        );
        Config::parse(&text).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        })
    }

    const OWN: &str = r#""BROKER":"SELF""#;
    const FAR: &str = r#""BROKER_ADDRESS":"far""#;

    fn directions(config: &Config) -> Vec<(End, &str, End, &str)> {
        config.flows.iter().map(|flow| (flow.from, &*flow.filter, flow.to, &*flow.topic)).collect()
    }

    #[test]
    fn directions_are_between_the_sides() {
        let (own, far) = (End::Own, End::Far(0));
        let topics = r#""SOURCE_TOPIC":"a/#","DESTINATION_TOPIC":"b/#""#;
        let there = (own, "a/#", far, "b/#");
        for (source, destination, more, expected) in [
            (OWN, FAR, "", vec![there]),
            (OWN, FAR, r#","DIRECTION":"out""#, vec![there]),
            (OWN, FAR, r#","DIRECTION":"in""#, vec![(far, "a/#", own, "b/#")]),
            (OWN, FAR, r#","DIRECTION":"both""#, vec![there, (far, "b/#", own, "a/#")]),
            (FAR, OWN, "", vec![(far, "a/#", own, "b/#")]),
            (FAR, r#""BROKER_ADDRESS":"self""#, r#","DIRECTION":"in""#, vec![(own, "a/#", far, "b/#")]),
            (FAR, FAR, "", vec![(far, "a/#", End::Far(1), "b/#")]),
            (OWN, OWN, "", vec![(own, "a/#", own, "b/#")]),
        ] {
            let config = parsed(source, destination, &format!("{topics}{more}")).unwrap();
            assert_eq!(directions(&config), expected, "{source} {destination} {more}");
        }
        let config = parsed(FAR, OWN, r#""SOURCE_TOPIC":"$share/g/a/+","QOS":2,"RETAIN":false"#).unwrap();
        assert_eq!(directions(&config), [(far, "$share/g/a/+", own, "a/+")]);
        assert_eq!((config.flows[0].qos, config.flows[0].retain), (2, Some(false)));
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = parsed(FAR, FAR, r#""SOURCE_TOPIC":"a""#).unwrap();
        let [source, destination] = &config.fars[..] else { panic!("{config:?}") };
        assert_eq!((&*source.client_id, &*destination.client_id), ("Up-src", "Up-dst"));
        assert_eq!((source.endpoint, destination.endpoint), ("source", "destination"));
        assert_eq!((source.keep_alive, source.clean_session, source.version), (60, true, None));
        assert_eq!((config.flows[0].qos, config.flows[0].retain), (1, None));
        assert_eq!((config.patience_ms, config.is_probe), (60_000, false));
        assert_eq!((&*config.route, &*config.broker, &*source.place), ("Up", "", "far:1883"));
    }

    #[test]
    fn what_makes_no_bridge_is_told() {
        let both = r#""SOURCE_TOPIC":"a","DIRECTION":"both""#;
        for (source, destination, mapping, expected) in [
            (OWN, OWN, both, "mapping M: both sides are this broker, and messages would go in circles"),
            (
                OWN,
                FAR,
                r#""SOURCE_TOPIC":"$share/g/a""#,
                "mapping M: a bridge takes all messages of this broker; a shared subscription is one of another broker",
            ),
            (
                OWN,
                FAR,
                r#""SOURCE_TOPIC":"a","DESTINATION_TOPIC":"$share/g/a""#,
                "mapping M: a shared subscription is no topic to publish to",
            ),
            (
                OWN,
                r#""BROKER_ADDRESS":"far","PASSWORD":"x""#,
                both,
                "DESTINATION_CONFIG: PASSWORD needs USERNAME",
            ),
            (
                OWN,
                r#""BROKER_ADDRESS":"far","KEEP_ALIVE":70000"#,
                both,
                "DESTINATION_CONFIG: KEEP_ALIVE is a number of seconds up to 65535",
            ),
            (
                OWN,
                r#""BROKER_ADDRESS":"far","PROTOCOL_VERSION":"6""#,
                both,
                "DESTINATION_CONFIG: PROTOCOL_VERSION is 5, 3.1.1 or 3.1",
            ),
            (
                OWN,
                r#""BROKER_ADDRESS":"far","PROTOCOL_VERSION":"3.1.1","USE_ZSTD":true"#,
                both,
                "DESTINATION_CONFIG: USE_ZSTD needs PROTOCOL_VERSION 5",
            ),
        ] {
            assert_eq!(parsed(source, destination, mapping).unwrap_err(), expected);
        }
    }
}
