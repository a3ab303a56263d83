//! Catalogue of the types of routes: their names, sections, keys and places, as data.
//!
//! Each connector describes its types in `guests/route-<name>/route.toml`. Types without a
//! connector are in `types`. The build script turns the descriptions into the static data here. The
//! compiler checks routes with it, and the broker connects with it.
//!
//! Not here: checks that are code ([`RouteCheck`] names them), and the guests themselves.

mod words;

pub use words::{OtherSide, RouteCheck, TimeUnit};

include!(concat!(env!("OUT_DIR"), "/types.rs"));

/// A type of routes.
#[derive(Debug)]
pub struct RouteType {
    /// Canonical name.
    pub name: &'static str,
    /// Other names that are accepted (routes reference §1.9).
    pub aliases: &'static [&'static str],
    /// Names that others use for it, for suggestions.
    pub wrong_names: &'static [&'static str],
    /// The systems that it connects to, in a few words; empty if lotmq does not run it.
    pub description: &'static str,
    /// Its page, from `docs/routes`.
    pub page: Option<&'static str>,
    /// Folder of its guest below `guests`; `None` if lotmq only checks it.
    pub guest: Option<&'static str>,
    /// Whether other brokers of the language have it.
    pub is_portable: bool,
    /// Sections, events, mappings and keys may have any name: only the name of the type is public
    /// so far, or a module defines what it takes.
    pub is_open: bool,
    /// Other side of its routes.
    pub other_side: OtherSide,
    /// Instances of a route without `INSTANCES`.
    pub instances: usize,
    /// Further checks of the compiler.
    pub checks: &'static [RouteCheck],
    /// Schemes of its connection strings, the usual one first.
    pub schemes: &'static [&'static str],
    /// Its sections besides [`COMMON`].
    pub sections: &'static [Section],
    /// Sections whose settings name the places to connect to.
    pub places: &'static [SectionPlace],
    /// Keys of `ADD EVENT`; `None` when the type has no events.
    pub event: Option<&'static [Key]>,
    /// Content of `ADD MAPPING`; `None` when the type has no mappings.
    pub mapping: Option<Mapping>,
    /// JSON Schema of its settings.
    pub schema: &'static str,
}

impl RouteType {
    /// Whether the compiler checks its settings with a check.
    #[must_use]
    pub fn has(&self, check: RouteCheck) -> bool {
        self.checks.contains(&check)
    }
}

/// Content of `ADD MAPPING`.
#[derive(Debug)]
pub struct Mapping {
    /// Its own keys.
    pub keys: &'static [Key],
    /// Keys of `ADD TAG` in it; `None` when there are no tags.
    pub tag: Option<&'static [Key]>,
    /// Publish topics take the wildcards of the filter that they are rewritten from (routes
    /// reference §6).
    pub rewrites: bool,
}

/// A section, `ADD …_CONFIG`.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Keys of the section.
    pub keys: &'static [Key],
    /// Whether the route means nothing without it.
    pub is_required: bool,
    /// Lines of the section in a template, in place of its keys.
    pub template: &'static [&'static str],
}

/// A key of a block.
#[derive(Debug)]
pub struct Key {
    /// Canonical name.
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// Values that it takes.
    pub value: ValueKind,
    /// Unit of a time.
    pub unit: Option<TimeUnit>,
    /// Whether it must be there.
    pub need: Need,
    /// Default value, if it does not depend on other settings.
    pub default: Option<&'static str>,
    /// Purpose of the key.
    pub purpose: KeyPurpose,
    /// Whether its value is a secret.
    pub is_secret: bool,
    /// Values that the language has and that are refused, with the reason, behind the value.
    pub refused: Option<(&'static [&'static str], &'static str)>,
    /// Whether templates have it.
    pub is_in_template: bool,
    /// Description for templates; the name by default.
    pub hint: &'static str,
}

impl Key {
    /// Whether it is called so, in any case.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// Whether it concerns the protection of a connection, or the login.
    #[must_use]
    pub fn is_about_security(&self) -> bool {
        const WORDS: [&str; 10] =
            ["TLS", "SSL", "CERT", "PASS", "USERNAME", "AUTH", "TOKEN", "SECURITY", "CLIENT_KEY", "API_KEY"];
        WORDS.iter().any(|word| self.name.contains(word))
    }

    /// Whether the route does something else without it: rows of another table, a request without
    /// its body, an answer without a recipient, files of another format, another subject.
    #[must_use]
    pub fn says_what_is_done(&self) -> bool {
        let is_it = matches!(
            self.value,
            ValueKind::Template
                | ValueKind::Topic
                | ValueKind::Rewritten
                | ValueKind::Filter
                | ValueKind::Words(_)
        );
        is_it || ["TABLE", "INDEX", "SOURCE_TOPIC", "DESTINATION_TOPIC"].contains(&self.name)
    }

    /// Whether its value has to be known before the route starts, as it determines which messages
    /// are for the route.
    #[must_use]
    pub fn is_read_at_deploy(&self) -> bool {
        self.value == ValueKind::Filter || ["DIRECTION", "BROKER", "SIDE"].contains(&self.name)
    }
}

/// Purpose of a key.
#[derive(Debug, Clone, Copy)]
pub enum KeyPurpose {
    /// The guest of the type does something by it, or the broker does.
    Runs,
    /// Its value repeats what the type implies, and another value is refused.
    Confirms,
    /// It is for people who read the route.
    Tells,
    /// The language has it and it means nothing here, for this reason.
    Nothing(&'static str),
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// It may be left out.
    Optional,
    /// The route means nothing without it.
    Always,
    /// Unless one of these keys is there.
    Unless(&'static [&'static str]),
}

/// Type of a value. Numbers and booleans may be quoted (routes reference §1.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueKind {
    /// Any text.
    Text,
    /// A whole number in this range.
    Int(i64, i64),
    /// Any number.
    Number,
    /// `TRUE` or `FALSE` in any case.
    Bool,
    /// One of these, in any case; the program gets the spelling of the table.
    Words(&'static [&'static str]),
    /// A single character.
    Character,
    /// `http://…` or `https://…`.
    Url,
    /// A path on a disk of the broker's machine, which leads nowhere else.
    Folder,
    /// `mongodb://…`, with a login in it that is not to be shown.
    MongoAddress,
    /// A Topic Filter.
    Filter,
    /// A topic that is written to, with placeholders.
    Topic,
    /// A topic that takes the wildcards of the filter which it is rewritten from.
    Rewritten,
    /// A text with placeholders.
    Template,
    /// A text with placeholders of the topic alone.
    OfTopic,
}

/// Section of a type that says a place of the network, in the words of the type.
#[derive(Debug)]
pub struct SectionPlace {
    /// Name of the section.
    pub section: &'static str,
    /// Keys of the place.
    pub far: Far,
    /// Port if none is set.
    pub port: u16,
    /// Port with TLS if none is set, if that is another one.
    pub secure_port: Option<u16>,
    /// When TLS begins.
    pub tls: TlsOf,
    /// Settings by which the same section serves HTTP as well.
    pub served: Option<ServedPlace>,
}

/// Settings by which a section serves HTTP, beside those with its certificate.
#[derive(Clone, Copy, Debug)]
pub struct ServedPlace {
    /// Key of the port.
    pub port: &'static str,
    /// Key of the address of this machine; all of them by default.
    pub bind: &'static str,
    /// Setting that switches it off.
    pub switch: &'static str,
}

/// Settings that say where the other side is.
#[derive(Clone, Copy, Debug)]
pub enum Far {
    /// A host and its port.
    Host {
        /// Key of the host.
        host: &'static str,
        /// Key of the port.
        port: &'static str,
    },
    /// Host and port of an MQTT broker, which may be this one: `BROKER SELF`.
    Broker {
        /// Key of the host.
        host: &'static str,
        /// Key of the port.
        port: &'static str,
    },
    /// A URL.
    Url {
        /// Key of the URL.
        url: &'static str,
    },
    /// A URL, or a host and its port.
    UrlOrHost {
        /// Key of the URL.
        url: &'static str,
        /// Key of the host.
        host: &'static str,
        /// Key of the port.
        port: &'static str,
    },
    /// A host and its port, or the connection string of a database.
    HostOrConnectionString {
        /// Key of the host.
        host: &'static str,
        /// Key of the port.
        port: &'static str,
        /// Key of the connection string.
        string: &'static str,
    },
    /// Servers of a cluster, `host:port` with commas between. Further ones are those that they
    /// name.
    Servers {
        /// Key of the list.
        servers: &'static str,
    },
    /// An address with the servers of a cluster in it. Further ones are those that they name.
    ClusterUrl {
        /// Key of the address.
        url: &'static str,
    },
}

/// When a type begins with TLS, where `USE_TLS` or `USE_SSL` asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TlsOf {
    /// There is none.
    Never,
    /// With the first byte.
    AtOnce,
    /// When its guest asks for it.
    OnDemand,
    /// At once at this port, whether asked for or not, and at others on demand.
    AtOnceAt(u16),
}

/// Returns all types: those that lotmq runs, by the folders of their guests, and the others by
/// name.
pub fn all() -> impl Iterator<Item = &'static RouteType> + Clone {
    TYPES.iter()
}

/// Returns the type of a name or alias, in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static RouteType> {
    let is_it = |known: &str| known.eq_ignore_ascii_case(name);
    TYPES.iter().find(|kind| is_it(kind.name) || kind.aliases.iter().any(|alias| is_it(alias)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    /// Blocks of a type with their schemas.
    fn blocks(kind: &'static RouteType) -> Vec<(&'static [Key], Json)> {
        let schema: Json = serde_json::from_str(kind.schema).unwrap();
        assert_eq!(schema["title"], kind.name);
        let members = &schema["properties"];
        let of_section = |section: &'static Section| {
            (section.keys, members["sections"]["properties"][section.name].clone())
        };
        let mut blocks: Vec<_> = kind.sections.iter().chain(COMMON).map(of_section).collect();
        blocks.extend(kind.event.map(|keys| (keys, members["events"]["additionalProperties"].clone())));
        if let Some(mapping) = &kind.mapping {
            let of_mapping = &members["mappings"]["additionalProperties"];
            blocks.push((mapping.keys, of_mapping.clone()));
            let of_tag = &of_mapping["properties"]["tags"]["additionalProperties"];
            blocks.extend(mapping.tag.map(|keys| (keys, of_tag.clone())));
        }
        blocks
    }

    #[test]
    fn schemas_have_every_key_with_its_kind_range_default_and_need() {
        for (kind, (keys, schema)) in
            all().flat_map(|kind| blocks(kind).into_iter().map(move |it| (kind, it)))
        {
            for key in keys {
                let (place, of_key) =
                    (format!("{}: {}", kind.name, key.name), &schema["properties"][key.name]);
                assert!(of_key.is_object(), "{place} is missing");
                let is_required =
                    schema["required"].as_array().is_some_and(|all| all.contains(&key.name.into()));
                assert_eq!(is_required, matches!(key.need, Need::Always), "{place}");
                assert_eq!(of_key["minimum"].is_i64(), matches!(key.value, ValueKind::Int(..)), "{place}");
                assert_eq!(of_key["default"].is_null(), key.default.is_none(), "{place}");
            }
            let more = schema["properties"].as_object().unwrap().keys();
            let mut more = more.filter(|name| !keys.iter().any(|key| key.name == **name));
            assert!(more.all(|name| ["EVERY_MS", "tags"].contains(&&**name)), "{}", kind.name);
        }
    }

    #[test]
    fn types_that_run_have_a_guest_a_description_and_a_page() {
        for kind in all().filter(|kind| kind.guest.is_some()) {
            assert!(!kind.description.is_empty() && kind.page.is_some(), "{}", kind.name);
        }
        assert!(find("modbus").is_some_and(|kind| kind.guest == Some("route-modbus")));
        assert!(find("wasm").is_some_and(|kind| kind.guest.is_none()) && find("NO_SUCH_DB").is_none());
    }
}
