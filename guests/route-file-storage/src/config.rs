//! File settings of the definition, and the tasks of its events and mappings.

use std::collections::BTreeMap;

use lotmq_guest::route::{Delivery, Failure, QoS, Template};
use route_settings::{Configuration, Settings};

use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_NAMES_MAX, RECORDS_MAX};
use crate::query::Query;
use crate::time::Time;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["FILE_STORAGE_CONFIG"],"properties":{"FILE_STORAGE_CONFIG":{"properties":{
    "FORMAT":{"enum":["CSV","JSON"]},"APPEND":{"type":"boolean"},"INCLUDE_TIMESTAMP":{"type":"boolean"},"MAX_RECORDS":{"type":"integer","minimum":1}}}}}}}"#;

/// Format of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Csv { delimiter: char },
    Json,
}

/// How files are written.
#[derive(Clone, Debug)]
pub(crate) struct FileConfig {
    pub(crate) format: Format,
    /// Name of a file, with `{0}` for the table, `{date}`, and the conversions of strftime.
    pattern: String,
    /// Whether files that are there when the route starts are continued.
    pub(crate) appends: bool,
    /// Pattern of the field `timestamp`, where there is one.
    pub(crate) timestamp: Option<String>,
    pub(crate) records_max: u64,
    /// Another one whenever the route begins anew.
    pub(crate) start: String,
}

/// Task of an event or a mapping.
#[derive(Debug)]
pub(crate) struct Taker {
    pub(crate) query: Option<(Template, Query)>,
    pub(crate) table: String,
    pub(crate) answer: Option<Template>,
    pub(crate) publishing: (QoS, bool),
}

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) files: FileConfig,
    events: BTreeMap<String, Taker>,
    mappings: BTreeMap<String, Taker>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("FILE_STORAGE_CONFIG");
        let named = |blocks: Vec<Settings<'_>>| -> Result<BTreeMap<String, Taker>, Failure> {
            blocks.iter().map(|block| Ok((block.name().to_owned(), taker(block)?))).collect()
        };
        let events = named(configuration.events().collect())?;
        let mappings = named(configuration.mappings().collect())?;
        let about: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let start = about["route"]["start"].as_str().unwrap_or_default().to_owned();
        Ok(Config { files: files(&section, start)?, events, mappings })
    }

    pub(crate) fn event(&self, name: &str) -> Option<&Taker> {
        self.events.get(name)
    }

    pub(crate) fn mapping(&self, name: &str) -> Option<&Taker> {
        self.mappings.get(name)
    }
}

fn files(section: &Settings<'_>, start: String) -> Result<FileConfig, Failure> {
    let format = match section.text("FORMAT")?.as_deref() {
        None | Some("CSV") => Format::Csv { delimiter: delimiter(section)? },
        Some("JSON") => Format::Json,
        Some(_) => return Err(section.wrong("FORMAT", "is CSV or JSON")),
    };
    let name = if format == Format::Json { "{0}.json" } else { "{0}.csv" };
    let date_format = section.text("DATE_FORMAT")?.unwrap_or_else(|| "yyyy-MM-dd HH:mm:ss".to_owned());
    let records_max = section.number("MAX_RECORDS").unwrap_or(RECORDS_MAX);
    if records_max == 0 {
        return Err(section.wrong("MAX_RECORDS", "is a whole number from 1"));
    }
    let files = FileConfig {
        format,
        pattern: section.text("FILE_PATTERN")?.unwrap_or_else(|| name.to_owned()),
        appends: section.is("APPEND"),
        timestamp: section.is("INCLUDE_TIMESTAMP").then_some(date_format),
        records_max,
        start,
    };
    files
        .path("table", Time::of(0))
        .map_err(|reason| section.wrong("FILE_PATTERN", &format!("gives {reason}")))?;
    Ok(files)
}

fn delimiter(section: &Settings<'_>) -> Result<char, Failure> {
    let Some(text) = section.text("CSV_DELIMITER")? else { return Ok(',') };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(delimiter), None) if !['"', '\r', '\n'].contains(&delimiter) => Ok(delimiter),
        _ => Err(section.wrong("CSV_DELIMITER", "is one character, and neither a quote nor a line break")),
    }
}

fn taker(block: &Settings<'_>) -> Result<Taker, Failure> {
    let parsed = |template: Template| match Query::parse(&template) {
        Ok(query) => Ok((template, query)),
        Err(reason) => Err(Failure::Fatal(format!("{}: QUERY: {reason}", block.name()))),
    };
    let table = ["TABLE", "INDEX"].into_iter().find_map(|key| block.text(key).transpose()).transpose()?;
    Ok(Taker {
        query: block.template("QUERY").map(parsed).transpose()?,
        table: table.unwrap_or_else(|| block.name().to_owned()),
        answer: block.template("DESTINATION_TOPIC"),
        publishing: block.publishing(),
    })
}

impl Taker {
    /// Values of the placeholders of the query.
    pub(crate) fn values<'a>(&self, delivery: &'a Delivery) -> &'a [lotmq_guest::route::Value] {
        self.query.as_ref().map(|(template, _)| template.values(delivery)).unwrap_or_default()
    }
}

impl FileConfig {
    /// Path of the file of a table at a time; the error is for people.
    pub(crate) fn path(&self, table: &str, at: Time) -> Result<String, String> {
        // The table last: what it is called is no pattern.
        let name = at.by_strftime(&self.pattern).replace("{date}", &at.date()).replace("{0}", table);
        checked(name)
    }
}

/// A path of a file below the folder.
pub(crate) fn checked(path: String) -> Result<String, String> {
    let is_plain =
        |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains(['\0', '\\']);
    if path.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(format!("'{path}' has a name of more than {NAME_BYTES_MAX} bytes"));
    }
    let is_path = path.len() <= PATH_BYTES_MAX && path.split('/').count() <= PATH_NAMES_MAX;
    if is_path && path.split('/').all(is_plain) {
        return Ok(path);
    }
    Err(format!("'{path}', which is no path of a file below STORAGE_DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(section: &str, event: &str) -> Result<Config, String> {
        let text =
            format!(r#"{{"sections":{{"FILE_STORAGE_CONFIG":{{{section}}}}},"events":{{"E":{{{event}}}}}}}"#);
        Config::parse(&text).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn paths_are_below_the_folder() {
        let config = parsed(r#""FILE_PATTERN":"%Y/{0}-{date}.csv""#, "").unwrap();
        let at = Time::of(1_795_166_305_120);
        assert_eq!(config.files.path("s", at).unwrap(), "2026/s-2026-11-20.csv");
        assert_eq!(config.files.path("a/%d{date}", at).unwrap(), "2026/a/%d{date}-2026-11-20.csv");
        for table in ["../x", "a/../../x", "/etc/x/..", "a//b", "a\0"] {
            assert!(config.files.path(table, at).is_err(), "{table}");
        }
        let long = config.files.path(&"x".repeat(NAME_BYTES_MAX), at).unwrap_err();
        assert!(long.contains("has a name of more than 240 bytes"), "{long}");
        let absolute = parsed("", "").unwrap().files.path("/etc/passwd", at);
        assert_eq!(absolute.unwrap_err(), "'/etc/passwd.csv', which is no path of a file below STORAGE_DIR");
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = parsed("", r#""TABLE":"t""#).unwrap();
        assert_eq!(config.files.format, Format::Csv { delimiter: ',' });
        assert_eq!(
            (config.files.appends, &config.files.timestamp, config.files.records_max),
            (false, &None, 10_000)
        );
        assert_eq!(config.files.path("s", Time::of(0)).unwrap(), "s.csv");
        assert_eq!(config.event("E").unwrap().table, "t");
        let json = parsed(r#""FORMAT":"JSON","INCLUDE_TIMESTAMP":"TRUE","MAX_RECORDS":"5""#, "").unwrap();
        assert_eq!(json.files.path("s", Time::of(0)).unwrap(), "s.json");
        assert_eq!(
            (json.files.timestamp.as_deref(), json.files.records_max),
            (Some("yyyy-MM-dd HH:mm:ss"), 5)
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (section, event, expected) in [
            (r#""FORMAT":"XML""#, "", "FORMAT is CSV or JSON"),
            (r#""CSV_DELIMITER":";;""#, "", "CSV_DELIMITER is one character"),
            (r#""MAX_RECORDS":0"#, "", "MAX_RECORDS is a whole number from 1"),
            (r#""FILE_PATTERN":"../{0}""#, "", "FILE_PATTERN gives '../table', which is no path"),
            ("", r#""QUERY":"SELECT 1""#, "E: QUERY: a query is CLEAN"),
        ] {
            let refused = parsed(section, event).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
