//! The configuration: the server, and what each event and mapping does there.

use std::collections::BTreeMap;

use lotmq_guest::route::{Failure, QoS, Template};
use route_settings::{Configuration, Settings};

use crate::statement::Statement;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"properties":{"OPENSEARCH_CONFIG":{"additionalProperties":false,"properties":{
"BASE_URL":{"type":"string","minLength":1},"USERNAME":{"type":"string"},"PASSWORD":{"type":"string"},"INDEX":{"type":"string","minLength":1}}}}}}}"#;

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

#[derive(Debug)]
pub(crate) struct Config {
    /// Path of the server's address, without a slash at its end.
    pub(crate) path: String,
    /// User name and password.
    pub(crate) login: Option<(String, String)>,
    pub(crate) events: BTreeMap<String, Target>,
    pub(crate) mappings: BTreeMap<String, Target>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("OPENSEARCH_CONFIG");
        let index = section.text("INDEX")?;
        let login = match section.text("USERNAME")? {
            Some(user) => Some((user, section.text("PASSWORD")?.unwrap_or_default())),
            None => None,
        };
        let target = |block: Settings<'_>| Ok((block.name().to_owned(), target(&block, index.as_deref())?));
        Ok(Config {
            path: section.text("BASE_URL")?.map(|url| path_of(&url)).unwrap_or_default(),
            login,
            events: configuration.events().map(target).collect::<Result<_, Failure>>()?,
            mappings: configuration.mappings().map(target).collect::<Result<_, Failure>>()?,
        })
    }
}

fn target(block: &Settings<'_>, index: Option<&str>) -> Result<Target, Failure> {
    let statement = match block.template("QUERY") {
        Some(query) => Statement::parse(&query).map_err(|reason| block.wrong("QUERY", &reason))?,
        None => {
            let own = block.text("INDEX")?.or(block.text("TABLE")?);
            let index = own.as_deref().or(index).filter(|index| !index.is_empty());
            Statement::document(index.ok_or_else(|| {
                Failure::Fatal(format!("{} needs QUERY, TABLE or INDEX of OPENSEARCH_CONFIG", block.name()))
            })?)
        }
    };
    let (qos, retain) = block.publishing();
    let answer = block.template("DESTINATION_TOPIC").map(|topic| Answer { topic, qos, retain });
    Ok(Target { statement, answer })
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
    fn settings_become_targets() {
        let config = Config::parse(
            r#"{"sections":{"OPENSEARCH_CONFIG":{"BASE_URL":"https://os:9200/search/","USERNAME":"u","PASSWORD":"p","INDEX":"all"}},
            "events":{"A":{"SOURCE_TOPIC":"a","DESTINATION_TOPIC":"b","QOS":1},"B":{"QUERY":"SEARCH x {}"}},"mappings":{"M":{"INDEX":"own"}}}"#,
        )
        .unwrap();
        assert_eq!((&*config.path, config.login), ("/search", Some(("u".into(), "p".into()))));
        assert!(config.events["A"].answer.as_ref().is_some_and(|answer| answer.qos == QoS::AtLeastOnce));
        assert!(matches!(&config.events["A"].statement, Statement::Index(_)));
        assert!(matches!(&config.events["B"].statement, Statement::Search(_)));
        assert!(config.mappings.contains_key("M"));
        for (url, path) in [("http://h", ""), ("http://h:1/", ""), ("h:9200/a/b?c", "/a/b")] {
            assert_eq!(path_of(url), path);
        }
    }

    #[test]
    fn what_a_route_cannot_do_is_told_with_the_event() {
        for (event, told) in [
            ("{}", "E needs QUERY, TABLE or INDEX of OPENSEARCH_CONFIG"),
            (r#"{"QUERY":"DROP x"}"#, "E: QUERY begins with 'DROP', and not with INDEX or SEARCH"),
        ] {
            let text = format!(r#"{{"sections":{{}},"events":{{"E":{event}}},"mappings":{{}}}}"#);
            let Err(Failure::Fatal(reason)) = Config::parse(&text) else { panic!("{event}") };
            assert_eq!(reason, told);
        }
    }
}
