//! The configuration: the servers, and what each event and mapping does there.

use std::collections::BTreeMap;

use bson::{RawBson, RawDocumentBuf};
use lotmq_guest::route::{Failure, QoS, Template};
use route_settings::{Configuration, Settings};
use serde_json::Value as Json;

use crate::address::{Address, By, Concern, ServiceRecords};
use crate::bson_value::append;
use crate::statement::Statement;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["MONGODB_CONFIG"],"properties":{"MONGODB_CONFIG":{"required":["CONNECTION_STRING","DATABASE"],"additionalProperties":false,"properties":{
"CONNECTION_STRING":{},"DATABASE":{"minLength":1}}}}}}}"#;

/// Name of the endpoint.
pub(crate) const ENDPOINT: &str = "mongodb";

/// Section with the address.
const SECTION: &str = "MONGODB_CONFIG";

/// Bytes of the name of a database, of MongoDB's own rules.
const DATABASE_BYTES_MAX: usize = 63;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) address: Address,
    pub(crate) database: String,
    /// Name of the route, by which the server knows it where the address names none.
    pub(crate) route: String,
    pub(crate) events: BTreeMap<String, Target>,
    pub(crate) mappings: BTreeMap<String, Target>,
}

/// Task of an event or a mapping.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) statement: Statement,
    pub(crate) answer: Option<Answer>,
}

/// Destination of the result.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) topic: Template,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section(SECTION);
        let records = service_records(text);
        let address = Address::parse(&section.needed("CONNECTION_STRING")?, records.as_ref())
            .map_err(|reason| section.wrong("CONNECTION_STRING", &reason))?;
        let database = section.needed("DATABASE")?;
        let is_wrong = |c: char| c.is_control() || "/\\. \"$*<>:|?".contains(c);
        if database.len() > DATABASE_BYTES_MAX || database.contains(is_wrong) {
            let reason = format!(
                "is '{}', which is no name of a database: up to {DATABASE_BYTES_MAX} bytes without blanks and any of /\\.\"$*<>:|?",
                database.escape_debug()
            );
            return Err(section.wrong("DATABASE", &reason));
        }
        let target = |block: Settings<'_>| Ok((block.name().to_owned(), target(&block)?));
        Ok(Config {
            address,
            database,
            route: configuration.route().to_owned(),
            events: configuration.events().map(target).collect::<Result<_, Failure>>()?,
            mappings: configuration.mappings().map(target).collect::<Result<_, Failure>>()?,
        })
    }

    /// When a write is done, as commands say it.
    pub(crate) fn write_concern(&self) -> Result<RawDocumentBuf, String> {
        let Concern { acknowledged_by, is_journaled, timeout_ms } = &self.address.concern;
        let mut concern = RawDocumentBuf::new();
        let members = match acknowledged_by {
            By::Members(members) => RawBson::Int32(*members),
            By::Mode(mode) => RawBson::String(mode.clone()),
        };
        append(&mut concern, "w", members)?;
        if let Some(is) = is_journaled {
            append(&mut concern, "j", RawBson::Boolean(*is))?;
        }
        let timeout = timeout_ms.unwrap_or(self.address.answer_ms / 5 * 4).max(1);
        append(&mut concern, "wtimeout", RawBson::Int64(timeout.into()))?;
        Ok(concern)
    }
}

/// Returns the DNS records that the host looked up for the address; `None` if the address lists its
/// servers.
fn service_records(configuration: &str) -> Option<ServiceRecords> {
    let whole: Json = serde_json::from_str(configuration).ok()?;
    let found = whole["route"]["service_records"].get(SECTION)?;
    let servers = found["servers"].as_array()?.iter().filter_map(Json::as_str).map(str::to_owned);
    let options = found["options"].as_str().unwrap_or_default().to_owned();
    Some(ServiceRecords { servers: servers.collect(), options })
}

fn target(block: &Settings<'_>) -> Result<Target, Failure> {
    let statement = match block.template("QUERY") {
        Some(query) => Statement::parse(&query).map_err(|reason| block.wrong("QUERY", &reason))?,
        None => {
            let collection = block.text("TABLE")?.or(block.text("INDEX")?).unwrap_or_default();
            if collection.is_empty() {
                return Err(Failure::Fatal(format!("{} needs QUERY or COLLECTION", block.name())));
            }
            Statement::storing(&collection).map_err(|reason| block.wrong("COLLECTION", &reason))?
        }
    };
    let (qos, retain) = block.publishing();
    let answer = block.template("DESTINATION_TOPIC").map(|topic| Answer { topic, qos, retain });
    Ok(Target { statement, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Kind;

    fn parsed(section: &str, blocks: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"route":{{"name":"Docs"}},"sections":{{"MONGODB_CONFIG":{{{section}}}}},{blocks}}}"#
        );
        Config::parse(&text).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        })
    }

    const SECTION: &str = r#""CONNECTION_STRING":"mongodb://h","DATABASE":"d""#;

    #[test]
    fn settings_become_statements() {
        let config = parsed(
            SECTION,
            r#""events":{"A":{"QUERY":"FIND c","DESTINATION_TOPIC":"b","QOS":1},"B":{"TABLE":"all"}},"mappings":{"M":{"INDEX":"own"}}"#,
        )
        .unwrap();
        assert!(config.events["A"].answer.as_ref().is_some_and(|answer| answer.qos == QoS::AtLeastOnce));
        assert!(matches!(config.events["A"].statement.kind, Kind::Find(_)));
        assert!(
            config.events["B"].statement.takes_payload() && config.mappings["M"].statement.takes_payload()
        );
        let mut concern = String::new();
        crate::bson_value::write_json(&config.write_concern().unwrap(), &mut concern).unwrap();
        assert_eq!(concern, r#"{"w":"majority","wtimeout":16000}"#);
        assert_eq!(&*config.route, "Docs");
    }

    #[test]
    fn servers_of_a_service_are_those_that_the_host_has_looked_up() {
        let text = r#"{"route":{"name":"R","service_records":{"MONGODB_CONFIG":{"servers":["a.b.c:1"],"options":"replicaSet=rs"}}},"sections":{"MONGODB_CONFIG":{"CONNECTION_STRING":"mongodb+srv://x.b.c","DATABASE":"d"}}}"#;
        let config = Config::parse(text).unwrap();
        assert_eq!((&*config.address.servers[0].host, config.address.servers[0].port), ("a.b.c", 1));
        assert_eq!(config.address.replica_set.as_deref(), Some("rs"));
    }

    #[test]
    fn what_a_route_cannot_do_is_told_with_its_setting() {
        for (section, blocks, told) in [
            (r#""DATABASE":"d""#, r#""events":{}"#, "MONGODB_CONFIG needs CONNECTION_STRING"),
            (r#""CONNECTION_STRING":"mongodb://h""#, r#""events":{}"#, "MONGODB_CONFIG needs DATABASE"),
            (
                r#""CONNECTION_STRING":"h","DATABASE":"d""#,
                r#""events":{}"#,
                "MONGODB_CONFIG: CONNECTION_STRING does not begin with mongodb:// or mongodb+srv://",
            ),
            (
                r#""CONNECTION_STRING":"mongodb://h","DATABASE":"a.b""#,
                r#""events":{}"#,
                "MONGODB_CONFIG: DATABASE is 'a.b', which is no name of a database: up to 63 bytes without blanks and any of /\\.\"$*<>:|?",
            ),
            (SECTION, r#""events":{"E":{}}"#, "E needs QUERY or COLLECTION"),
            (
                SECTION,
                r#""events":{"E":{"TABLE":"a$"}}"#,
                "E: COLLECTION has '$' in the name of the collection",
            ),
            (
                SECTION,
                r#""events":{"E":{"QUERY":"DROP x"}}"#,
                "E: QUERY begins with 'DROP', and not with INSERT, FIND, UPDATE or DELETE",
            ),
        ] {
            assert_eq!(parsed(section, blocks).unwrap_err(), told);
        }
    }
}
