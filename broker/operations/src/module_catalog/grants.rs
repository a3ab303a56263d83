//! Grants of modules: what a component asks for in its manifest, and what the command that
//! installed it has named.
//!
//! The manifest is the custom section [`MANIFEST_SECTION`] with JSON such as
//! `{"asks":["read:raw/#","env-read:SCALE","state"]}`. It is shown and compared, and gives nothing:
//! what a module may do is what its command has granted, within the rights of its owner.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use lotmq_config::is_device_path;
use lotmq_host::fiber::HostPattern;
use lotmq_host::{Capability, Grants, NameGrant, TopicGrant, ValueGrant, World, custom_sections};
use lotmq_router::{filter_includes, topic_filter_valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::{MANIFEST_BYTES_MAX, MODULE_GRANTS_MAX};
use lotmq_programs::grant_intersection::{have_common_topics, reaches};
use lotmq_programs::limits::MODULE_GRANT_BYTES_MAX;
use lotmq_programs::route_drivers::asset_configuration;
use lotmq_programs::variables::is_name;

/// Name of the custom section in which a component says what it asks for.
pub(crate) const MANIFEST_SECTION: &str = "lotmq:manifest";

/// Bytes of the longest Topic Filter of which both grants fit.
pub(crate) const TOPIC_FILTER_BYTES_MAX: usize = MODULE_GRANT_BYTES_MAX - "write:".len();

/// Name that stands for all names of a kind.
const ALL: &str = "*";

/// Grant of one capability for one topic or name. Its text, such as `env-read:SCALE`, is the same
/// in manifests, options and replies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamedGrant {
    pub(crate) capability: Capability,
    /// Topic Filter, name, [`ALL`], or nothing for the state.
    pub(crate) name: Box<str>,
}

/// Grants, in the order of their capabilities and names.
pub type GrantSet = BTreeSet<NamedGrant>;

/// Reason why a text is no grant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No grant has this kind.
    #[error("'{0}' is not a grant: it begins with none of {words}", words = words())]
    Kind(String),
    /// The name of the grant is not allowed.
    #[error("'{grant}' is not a grant: {reason}")]
    Name {
        /// The text.
        grant: String,
        /// The reason.
        reason: &'static str,
    },
    /// The grant is too long.
    #[error("a grant has {bytes} bytes, limit {MODULE_GRANT_BYTES_MAX}")]
    TooLong {
        /// Length of the grant.
        bytes: usize,
    },
}

/// Reason why a manifest is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The manifest is too long.
    #[error("it has {bytes} bytes, limit {MANIFEST_BYTES_MAX}")]
    TooLarge {
        /// Length of the manifest.
        bytes: usize,
    },
    /// Several configurations.
    #[error("the component has {0} of them")]
    Several(usize),
    /// The configuration is no JSON, for a reason.
    #[error("it is not {{\"asks\":[…]}}: {0}")]
    Json(String),
    /// A configuration that is no JSON in quotes.
    #[error("it has raw strings of Rust: in manifest! grants stand in plain quotes, as in \"write:out/#\"")]
    RawString,
    /// More grants than this number.
    #[error("it asks for {0} things, limit {MODULE_GRANTS_MAX}")]
    TooMany(usize),
    /// The configuration is not valid, for a reason.
    #[error("its member configuration: {0}")]
    Configuration(String),
}

fn words() -> String {
    Capability::ALL.map(Capability::word).join(":, ")
}

impl NamedGrant {
    /// Grant of a kind and name; `None` where there is none such.
    pub(crate) fn new(capability: Capability, name: &str) -> Option<Self> {
        format!("{}:{name}", capability.word()).parse().ok()
    }
}

impl fmt::Display for NamedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capability.word())?;
        if self.capability == Capability::KeepState { Ok(()) } else { write!(f, ":{}", self.name) }
    }
}

impl From<NamedGrant> for String {
    fn from(grant: NamedGrant) -> String {
        grant.to_string()
    }
}

impl TryFrom<String> for NamedGrant {
    type Error = GrantError;

    fn try_from(text: String) -> Result<Self, GrantError> {
        text.parse()
    }
}

impl FromStr for NamedGrant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        if text.len() > MODULE_GRANT_BYTES_MAX {
            return Err(GrantError::TooLong { bytes: text.len() });
        }
        let (word, name) = text.split_once(':').map_or((text, None), |(word, name)| (word, Some(name)));
        let known = Capability::ALL.into_iter().find(|capability| capability.word() == word);
        let capability = known.ok_or_else(|| GrantError::Kind(visible(text)))?;
        let wrong = |reason| GrantError::Name { grant: visible(text), reason };
        let name = match (capability, name) {
            (Capability::KeepState, None) => "",
            (Capability::KeepState, Some(_)) => return Err(wrong("the state has no name")),
            (_, None) => return Err(wrong("a name is missing behind a colon")),
            (_, Some(name)) => name,
        };
        check_name(capability, name).map_err(wrong)?;
        Ok(NamedGrant { capability, name: name.into() })
    }
}

fn check_name(capability: Capability, name: &str) -> Result<(), &'static str> {
    // People read what a module asks for before they grant it.
    if name.contains(is_invisible) {
        return Err("it holds characters that are not shown as they are");
    }
    let (is_valid, reason) = match capability {
        Capability::ReadTopic | Capability::WriteTopic => {
            let is_filter = topic_filter_valid(name).is_ok() && !name.starts_with("$share/");
            (is_filter, "it names no topic filter")
        }
        Capability::ReadEnvironment
        | Capability::WriteEnvironment
        | Capability::ReadSecret
        | Capability::WriteSecret => (name == ALL || is_name(name), "it names no variable"),
        Capability::CallAction
        | Capability::PublishModel
        | Capability::CallScript
        | Capability::CallModule
        | Capability::AskRoute => (is_plain(name), "it names no definition"),
        Capability::Connect => (
            name.parse::<HostPattern>().is_ok(),
            "it is not host:port, where a host may be '*.suffix', a network such as 10.0.0.0/24 or '*', and a port a range or '*'; IPv6 in brackets",
        ),
        Capability::ReadFile | Capability::WriteFile => (is_path(name), "it names no path without '..'"),
        Capability::OpenSerialPort => {
            (name == ALL || is_device_path(name), "it is no path such as '/dev/ttyUSB0'")
        }
        Capability::KeepState => (true, ""),
    };
    if is_valid { Ok(()) } else { Err(reason) }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
}

/// Whether a character changes how a text looks without being seen: control characters, separators
/// of lines, marks of direction, joiners. The text with each invisible character as its number.
fn visible(text: &str) -> String {
    let shown = |character: char| match is_invisible(character) {
        true => character.escape_unicode().to_string(),
        false => character.into(),
    };
    text.chars().map(shown).collect()
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        )
}

/// Whether a text is a path, or stands for all of them.
fn is_path(text: &str) -> bool {
    is_plain(text) && text.split('/').all(|name| name != "..")
}

/// Manifest of a component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleManifest {
    /// Grants that it asks for.
    pub(crate) asks: Vec<NamedGrant>,
    /// Its description for users.
    #[serde(default)]
    pub(crate) description: String,
    /// JSON Schema of its configuration.
    #[serde(default)]
    pub configuration: Option<Value>,
}

/// Returns the grants that a component asks for; `None` without a manifest.
///
/// # Errors
/// [`ManifestError`].
pub fn asked(component: &[u8]) -> Result<Option<GrantSet>, ManifestError> {
    Ok(manifest(component)?.map(|manifest| manifest.asks.into_iter().collect()))
}

/// Whether one of the grants is a raw string of Rust, which the SDK's macro takes as it stands.
fn has_raw_string(section: &[u8]) -> bool {
    let text = String::from_utf8_lossy(section);
    let behind = text.split(['[', ',']).skip(1).map(str::trim_start);
    behind.into_iter().any(|item| item.starts_with("r\"") || item.starts_with("r#"))
}

/// Returns the manifest of a component; `None` if it has none.
///
/// # Errors
/// [`ManifestError`].
pub fn manifest(component: &[u8]) -> Result<Option<ModuleManifest>, ManifestError> {
    let sections = custom_sections(component, MANIFEST_SECTION);
    let section = match sections[..] {
        [] => return Ok(None),
        [section] => section,
        _ => return Err(ManifestError::Several(sections.len())),
    };
    if section.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge { bytes: section.len() });
    }
    // A struct may be an array to serde, and a key of a map may come twice.
    let members: Result<Map<String, Value>, _> = serde_json::from_slice(section);
    let manifest = members.and_then(|_| serde_json::from_slice::<ModuleManifest>(section));
    let manifest = manifest.map_err(|error| match not_json(section) {
        Some(reason) => ManifestError::Configuration(reason),
        None if has_raw_string(section) => ManifestError::RawString,
        None => ManifestError::Json(error.to_string()),
    })?;
    if manifest.asks.len() > MODULE_GRANTS_MAX {
        return Err(ManifestError::TooMany(manifest.asks.len()));
    }
    if let Some(schema) = &manifest.configuration {
        asset_configuration::schema_of(&schema.to_string()).map_err(ManifestError::Configuration)?;
    }
    Ok(Some(manifest))
}

/// Returns the JSON error in the configuration of a manifest, with the place in its own text.
/// `None` if something else is wrong. Our macro puts the text of the schema, as its author has
/// written it, between this and the last brace.
fn not_json(section: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(section).ok()?;
    let (before, rest) = text.split_once("],\"configuration\":")?;
    serde_json::from_str::<Value>(&format!("{before}]}}")).ok()?;
    let own = rest.strip_suffix('}')?;
    let error = serde_json::from_str::<Value>(own).err()?;
    Some(format!("it is no JSON: {error} of its text"))
}

/// Whether modules of a world can have such a grant. Routes have places of the network, files and
/// serial ports, and call nothing of the tenant; rules read topics and keep state; authentication
/// guests have places of the network and values, and publish to topics.
pub fn is_available(world: World, grant: &NamedGrant) -> bool {
    match grant.capability {
        Capability::KeepState => true,
        Capability::ReadTopic => world != World::Auth,
        _ if world == World::Rule => false,
        Capability::Connect => matches!(world, World::Route | World::Auth),
        Capability::ReadFile | Capability::WriteFile | Capability::OpenSerialPort => world == World::Route,
        Capability::CallAction
        | Capability::PublishModel
        | Capability::CallScript
        | Capability::CallModule
        | Capability::AskRoute => !matches!(world, World::Route | World::Auth),
        Capability::WriteTopic
        | Capability::ReadEnvironment
        | Capability::WriteEnvironment
        | Capability::ReadSecret
        | Capability::WriteSecret => true,
    }
}

/// Grants of a topic, to read and to write.
///
/// # Errors
/// [`GrantError`] for a Topic Filter that no grant can name.
pub(crate) fn of_topic(filter: &str) -> Result<[NamedGrant; 2], GrantError> {
    let grant = |capability: Capability| format!("{}:{filter}", capability.word()).parse();
    Ok([grant(Capability::ReadTopic)?, grant(Capability::WriteTopic)?])
}

/// Grants of these topics, to read and to write. A Topic Filter that no grant can name gives none.
pub(crate) fn of_topics<'a>(filters: impl IntoIterator<Item = &'a String>) -> GrantSet {
    filters.into_iter().filter_map(|filter| of_topic(filter).ok()).flatten().collect()
}

/// Whether a set covers a grant, in the same words or in wider ones.
pub(crate) fn covers(set: &GrantSet, wanted: &NamedGrant) -> bool {
    set.iter().filter(|granted| granted.capability == wanted.capability).any(|granted| {
        match wanted.capability {
            Capability::ReadTopic | Capability::WriteTopic => filter_includes(&granted.name, &wanted.name),
            Capability::Connect => reaches(&granted.name, &wanted.name),
            Capability::ReadFile | Capability::WriteFile => {
                for_paths(&granted.name).covers_path(&wanted.name) || granted.name == wanted.name
            }
            Capability::ReadEnvironment
            | Capability::WriteEnvironment
            | Capability::ReadSecret
            | Capability::WriteSecret
            | Capability::CallAction
            | Capability::PublishModel
            | Capability::CallScript
            | Capability::CallModule
            | Capability::AskRoute
            | Capability::OpenSerialPort
            | Capability::KeepState => granted.name == wanted.name || *granted.name == *ALL,
        }
    })
}

/// Whether a set has something of what a grant names, if it is a topic, and else covers it.
pub(crate) fn touches(set: &GrantSet, wanted: &NamedGrant) -> bool {
    let is_topic = matches!(wanted.capability, Capability::ReadTopic | Capability::WriteTopic);
    let of_kind = || set.iter().filter(|granted| granted.capability == wanted.capability);
    covers(set, wanted)
        || (is_topic && of_kind().any(|granted| have_common_topics(&granted.name, &wanted.name)))
}

/// Grant of the folders that one text names.
fn for_paths(name: &str) -> NameGrant {
    if name == ALL { NameGrant::All } else { NameGrant::Names(Box::new([name.into()])) }
}

/// Topic Filters that a set names for a capability.
pub fn names(set: &GrantSet, capability: Capability) -> impl Iterator<Item = &str> {
    set.iter().filter(move |grant| grant.capability == capability).map(|grant| &*grant.name)
}

/// Grants of the host.
pub(crate) fn for_host(set: &GrantSet, config: Option<Arc<str>>) -> Grants {
    let topics = |capability| TopicGrant::Filters(names(set, capability).map(Into::into).collect());
    let named = |capability| {
        let is_all = names(set, capability).any(|name| name == ALL);
        if is_all {
            NameGrant::All
        } else {
            NameGrant::Names(names(set, capability).map(Into::into).collect())
        }
    };
    Grants {
        write: topics(Capability::WriteTopic),
        read: topics(Capability::ReadTopic),
        environment: ValueGrant {
            read: named(Capability::ReadEnvironment),
            write: named(Capability::WriteEnvironment),
        },
        secrets: ValueGrant { read: named(Capability::ReadSecret), write: named(Capability::WriteSecret) },
        actions: named(Capability::CallAction),
        models: named(Capability::PublishModel),
        scripts: named(Capability::CallScript),
        modules: named(Capability::CallModule),
        routes: named(Capability::AskRoute),
        files: ValueGrant { read: named(Capability::ReadFile), write: named(Capability::WriteFile) },
        serial_ports: named(Capability::OpenSerialPort),
        state: names(set, Capability::KeepState).next().is_some(),
        config,
        ..Grants::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> GrantSet {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn component(manifests: &[&str]) -> Vec<u8> {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        for manifest in manifests {
            let mut section = vec![u8::try_from(MANIFEST_SECTION.len()).unwrap()];
            section.extend_from_slice(MANIFEST_SECTION.as_bytes());
            section.extend_from_slice(manifest.as_bytes());
            component.push(0);
            let mut len = section.len();
            while len >= 0x80 {
                component.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
                len >>= 7;
            }
            component.push(u8::try_from(len).unwrap());
            component.extend_from_slice(&section);
        }
        component
    }

    #[test]
    fn grant_text_survives_parsing_and_rendering() {
        for text in [
            "read:raw/#",
            "write:a b/ä",
            "env-read:SCALE",
            "env-write:*",
            "secret-read:DB_PASSWORD",
            "secret-write:X",
            "action:Alarm",
            "model:M",
            "python:Script",
            "rows:R",
            "endpoint:db.example:5432",
            "endpoint:*.example:*",
            "endpoint:[::1]:80",
            "endpoint:10.0.0.0/24:2000-2010",
            "endpoint:*:9092",
            "endpoint:[2001:db8::/32]:*",
            "file-read:/data/x",
            "file-write:logs",
            "file-read:*",
            "serial:/dev/ttyUSB0",
            "serial:*",
            "state",
        ] {
            assert_eq!(text.parse::<NamedGrant>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("", "begins with none of read:, write:, env-read:"),
            ("raw/#", "begins with none of"),
            ("Read:a", "begins with none of"),
            ("read", "a name is missing"),
            ("read:a/#/b", "no topic filter"),
            ("read:harmless\ngranted nothing", "not shown as they are"),
            ("read:a\u{1b}[8m", "not shown as they are"),
            ("env-read:A\u{202E}B", "not shown as they are"),
            ("read:$share/g/a", "no topic filter"),
            ("env-read:1A", "no variable"),
            ("env-read:A*", "no variable"),
            ("action:", "no definition"),
            ("endpoint:db", "it is not host:port"),
            ("endpoint:db:0", "it is not host:port"),
            ("endpoint:a b:1", "it is not host:port"),
            ("endpoint:10.0.0.0/33:1", "it is not host:port"),
            ("endpoint:::1:1", "it is not host:port"),
            ("endpoint:db:9-1", "it is not host:port"),
            ("serial:ttyUSB0", "it is no path such as"),
            ("serial:/dev/../x", "it is no path such as"),
            ("file:/data", "begins with none of"),
            ("file-read:", "names no path"),
            ("file-write:logs/../x", "names no path"),
            ("state:x", "the state has no name"),
        ] {
            let error = text.parse::<NamedGrant>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = format!("read:{}", "a".repeat(MODULE_GRANT_BYTES_MAX));
        assert_eq!(long.parse::<NamedGrant>(), Err(GrantError::TooLong { bytes: long.len() }));
    }

    #[test]
    fn a_manifest_is_read_strictly() {
        assert_eq!(asked(&component(&[])), Ok(None));
        assert_eq!(asked(&component(&[r#"{"asks":[]}"#])), Ok(Some(GrantSet::new())));
        let two = asked(&component(&[r#"{"asks":["state","read:a/#","state"]}"#]));
        assert_eq!(two, Ok(Some(set(&["read:a/#", "state"]))));
        let many = format!(r#"{{"asks":[{}"state"]}}"#, "\"state\",".repeat(MODULE_GRANTS_MAX));
        let large = format!(r#"{{"asks":[]}}{}"#, " ".repeat(MANIFEST_BYTES_MAX));
        for (manifests, part) in [
            (&[""][..], "EOF"),
            (&["[[]]"], "expected a map"),
            (&["{}"], "missing field `asks`"),
            (&[r#"{"asks":["x"]}"#], "'x' is not a grant"),
            (&[r#"{"asks":[],"gives":1}"#], "unknown field `gives`"),
            (&[r#"{"asks":["state"],"asks":[]}"#], "duplicate field `asks`"),
            (&[r#"{"asks":[]}{"asks":[]}"#], "trailing characters"),
            (&[r#"{"asks":[]}"#, r#"{"asks":[]}"#], "has 2 of them"),
            (
                &["{\"asks\":[],\"configuration\":{\n  \"type\": \"object\"\n  \"properties\": {}\n}}"],
                "its member configuration: it is no JSON: expected `,` or `}` at line 3 column 3 of its text",
            ),
            (
                &[r#"{"asks":["x"],"configuration":{,}}"#],
                "configuration: it is no JSON: key must be a string at line 1 column 2",
            ),
            (&[r#"{"asks":[x],"configuration":{}}"#], "it is not {\"asks\":[…]}"),
            (&[r#"{"asks":["state", r"write:a"]}"#], "it has raw strings of Rust: in manifest!"),
            (&[r##"{"asks":[r#"write:a"#]}"##], "it has raw strings of Rust"),
            (&[&many], "it asks for 257 things, limit 256"),
            (&[&large], "limit 65536"),
        ] {
            let error = asked(&component(manifests)).unwrap_err().to_string();
            assert!(error.contains(part), "{manifests:.100?}: {error}");
        }
    }

    #[test]
    fn a_wider_grant_covers_a_narrower_one_of_the_same_kind() {
        let granted = set(&["read:a/#", "env-read:*", "secret-read:S", "state", "endpoint:*.example:*"]);
        for (wanted, expected) in [
            ("read:a/+", true),
            ("read:a/b/#", true),
            ("read:#", false),
            ("write:a/b", false),
            ("env-read:X", true),
            ("env-write:X", false),
            ("secret-read:S", true),
            ("secret-read:*", false),
            ("state", true),
            ("action:A", false),
            ("endpoint:a.example:1", true),
            ("endpoint:example:1", false),
        ] {
            assert_eq!(covers(&granted, &wanted.parse().unwrap()), expected, "{wanted}");
        }
    }

    #[test]
    fn the_host_gets_what_was_granted_and_nothing_else() {
        let granted = ["read:a", "env-read:E", "secret-write:*", "action:A", "python:S", "state"];
        let grants = for_host(&set(&granted), None);
        for capability in Capability::ALL {
            for name in ["a", "E", "A", "S"] {
                let text = format!("{}:{name}", capability.word());
                let expected = granted.contains(&&*text)
                    || matches!(capability, Capability::WriteSecret | Capability::KeepState);
                assert_eq!(grants.cover(capability, name), expected, "{text}");
            }
        }
        let none = for_host(&GrantSet::new(), None);
        assert!(!Capability::ALL.iter().any(|capability| none.cover(*capability, "a")));
    }
}
