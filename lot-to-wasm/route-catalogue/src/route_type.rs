//! Types of routes with their sections, keys and places, as the compiler and the broker use them.
//!
//! Made from the descriptions of our connectors and of modules by the same code.

use crate::form::{
    DescribedGuest, DescriptionError, Descriptions, KeyForm, KindForm, MappingForm, PlaceForm, PurposeForm,
    SectionForm, TlsForm, TypeForm, wrong,
};
use crate::words::{OtherSide, RouteCheck, TimeUnit};

/// A type of routes.
#[derive(Clone, Debug)]
pub struct RouteType {
    /// Canonical name.
    pub name: String,
    /// Other names that are accepted (routes reference §1.9).
    pub aliases: Vec<String>,
    /// Names that others use for it, for suggestions.
    pub wrong_names: Vec<String>,
    /// The systems that it connects to, in a few words; empty if lotmq does not run it.
    pub description: String,
    /// Its page, from `docs/routes`.
    pub page: Option<String>,
    /// Folder of its guest below `guests`; `None` if lotmq only checks it.
    pub guest: Option<String>,
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
    pub checks: Vec<RouteCheck>,
    /// Schemes of its connection strings, the usual one first.
    pub schemes: Vec<String>,
    /// Its sections besides [`COMMON`].
    pub sections: Vec<Section>,
    /// Sections whose settings name the places to connect to.
    pub places: Vec<SectionPlace>,
    /// Keys of `ADD EVENT`; `None` when the type has no events.
    pub event: Option<Vec<Key>>,
    /// Content of `ADD MAPPING`; `None` when the type has no mappings.
    pub mapping: Option<Mapping>,
    /// Module that runs it; `None` of the types that lotmq knows. Its routes are of type `WASM`.
    pub module: Option<String>,
}

impl RouteType {
    /// Whether the compiler checks its settings with a check.
    #[must_use]
    pub fn has(&self, check: RouteCheck) -> bool {
        self.checks.contains(&check)
    }

    /// Returns its name and the other names that are accepted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().chain([&self.name]).map(String::as_str)
    }

    /// Whether it is called so, in any case.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Content of `ADD MAPPING`.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its own keys.
    pub keys: Vec<Key>,
    /// Keys of `ADD TAG` in it; `None` when there are no tags.
    pub tag: Option<Vec<Key>>,
    /// Publish topics take the wildcards of the filter that they are rewritten from (routes
    /// reference §6).
    pub rewrites: bool,
}

/// A section, `ADD …_CONFIG`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Keys of the section.
    pub keys: Vec<Key>,
    /// Whether the route means nothing without it.
    pub is_required: bool,
    /// Lines of the section in a template, in place of its keys.
    pub template: Vec<String>,
}

/// A key of a block.
#[derive(Clone, Debug)]
pub struct Key {
    /// Canonical name.
    pub name: String,
    /// Other names that are accepted.
    pub aliases: Vec<String>,
    /// Values that it takes.
    pub value: ValueKind,
    /// Unit of a time.
    pub unit: Option<TimeUnit>,
    /// Whether it must be there.
    pub need: Need,
    /// Default value, if it does not depend on other settings.
    pub default: Option<String>,
    /// Purpose of the key.
    pub purpose: KeyPurpose,
    /// Whether its value is a secret.
    pub is_secret: bool,
    /// Values that the language has and that are refused, with the reason, behind the value.
    pub refused: Option<(Vec<String>, String)>,
    /// Whether templates have it.
    pub is_in_template: bool,
    /// Description for templates; the name by default.
    pub hint: String,
}

impl Key {
    /// Whether it is called so, in any case.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Returns its name and the other names that are accepted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().chain([&self.name]).map(String::as_str)
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
        is_it || ["TABLE", "INDEX", "SOURCE_TOPIC", "DESTINATION_TOPIC"].contains(&&*self.name)
    }

    /// Whether its value has to be known before the route starts, as it determines which messages
    /// are for the route.
    #[must_use]
    pub fn is_read_at_deploy(&self) -> bool {
        self.value == ValueKind::Filter || ["DIRECTION", "BROKER", "SIDE"].contains(&&*self.name)
    }
}

/// Purpose of a key.
#[derive(Debug, Clone)]
pub enum KeyPurpose {
    /// The guest of the type does something by it, or the broker does.
    Runs,
    /// Its value repeats what the type implies, and another value is refused.
    Confirms,
    /// It is for people who read the route.
    Tells,
    /// The language has it and it means nothing here, for this reason.
    Nothing(String),
}

/// Whether a key must be there.
#[derive(Debug, Clone)]
pub enum Need {
    /// It may be left out.
    Optional,
    /// The route means nothing without it.
    Always,
    /// Unless one of these keys is there.
    Unless(Vec<String>),
}

/// Type of a value. Numbers and booleans may be quoted (routes reference §1.2).
#[derive(Debug, Clone, PartialEq)]
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
    Words(Vec<String>),
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

impl ValueKind {
    /// Returns its name in a description, with its range or words.
    #[must_use]
    pub fn name(&self) -> String {
        let name = match self {
            ValueKind::Int(least, i64::MAX) => return format!("`int` from {least}"),
            ValueKind::Int(least, most) => return format!("`int` from {least} to {most}"),
            ValueKind::Words(words) => return format!("one of {}", words.join(", ")),
            ValueKind::Text => "text",
            ValueKind::Number => "number",
            ValueKind::Bool => "bool",
            ValueKind::Character => "character",
            ValueKind::Url => "url",
            ValueKind::Folder => "folder",
            ValueKind::MongoAddress => "mongo-address",
            ValueKind::Filter => "filter",
            ValueKind::Topic => "topic",
            ValueKind::Rewritten => "rewritten",
            ValueKind::Template => "template",
            ValueKind::OfTopic => "of-topic",
        };
        format!("`{name}`")
    }
}

/// Section of a type that says a place of the network, in the words of the type.
#[derive(Clone, Debug)]
pub struct SectionPlace {
    /// Name of the section.
    pub section: String,
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
#[derive(Clone, Debug)]
pub struct ServedPlace {
    /// Key of the port.
    pub port: String,
    /// Key of the address of this machine; all of them by default.
    pub bind: String,
    /// Setting that switches it off.
    pub switch: String,
}

/// Settings that say where the other side is.
#[derive(Clone, Debug)]
pub enum Far {
    /// A host and its port.
    Host {
        /// Key of the host.
        host: String,
        /// Key of the port.
        port: String,
    },
    /// Host and port of an MQTT broker, which may be this one: `BROKER SELF`.
    Broker {
        /// Key of the host.
        host: String,
        /// Key of the port.
        port: String,
    },
    /// A URL.
    Url {
        /// Key of the URL.
        url: String,
    },
    /// A URL, or a host and its port.
    UrlOrHost {
        /// Key of the URL.
        url: String,
        /// Key of the host.
        host: String,
        /// Key of the port.
        port: String,
    },
    /// A host and its port, or the connection string of a database.
    HostOrConnectionString {
        /// Key of the host.
        host: String,
        /// Key of the port.
        port: String,
        /// Key of the connection string.
        string: String,
    },
    /// Servers of a cluster, `host:port` with commas between. Further ones are those that they
    /// name.
    Servers {
        /// Key of the list.
        servers: String,
    },
    /// An address with the servers of a cluster in it. Further ones are those that they name.
    ClusterUrl {
        /// Key of the address.
        url: String,
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

impl Descriptions {
    /// Returns the types of all descriptions, in their order.
    ///
    /// # Errors
    /// The first place that is not valid.
    pub(crate) fn route_types(&self) -> Result<Vec<RouteType>, DescriptionError> {
        let mut types = Vec::new();
        for DescribedGuest { guest, file } in &self.files {
            for form in file.types(&self.shared)? {
                types.push(RouteType { guest: guest.clone(), ..form.route_type()? });
            }
        }
        Ok(types)
    }

    /// Returns the sections that every type takes.
    ///
    /// # Errors
    /// The first key that is not valid.
    pub(crate) fn common(&self) -> Result<Vec<Section>, DescriptionError> {
        Ok(self.shared.common()?.iter().map(SectionForm::section).collect())
    }
}

impl TypeForm {
    /// Returns the type of a description without a guest. Its keys have to be those that
    /// [`types`](crate::form::RouteFile::types) returns.
    pub(crate) fn route_type(&self) -> Result<RouteType, DescriptionError> {
        let mut places = Vec::new();
        for section in &self.sections {
            if let Some(form) = &section.place {
                let place = form.section_place(section, self.other_side);
                places.push(
                    place.map_err(|reason| wrong(&format!("{}: {}", self.name, section.name), reason))?,
                );
            }
        }
        Ok(RouteType {
            name: self.name.clone(),
            aliases: self.aliases.clone(),
            wrong_names: self.wrong_names.clone(),
            description: self.description.clone(),
            page: self.page.clone(),
            guest: None,
            is_portable: self.portable.unwrap_or(true),
            is_open: self.open,
            other_side: self.other_side,
            instances: self.instances.unwrap_or(1),
            checks: self.checks.clone(),
            schemes: self.schemes.clone(),
            sections: self.sections.iter().map(SectionForm::section).collect(),
            places,
            event: self.event.as_ref().map(|event| keys(&event.keys)),
            mapping: self.mapping.as_ref().map(MappingForm::mapping),
            module: None,
        })
    }
}

impl MappingForm {
    fn mapping(&self) -> Mapping {
        Mapping {
            keys: keys(&self.keys),
            tag: self.tag.as_ref().map(|tag| keys(tag)),
            rewrites: self.rewrites,
        }
    }
}

impl SectionForm {
    fn section(&self) -> Section {
        Section {
            name: self.name.clone(),
            keys: keys(&self.keys),
            is_required: self.required,
            template: self.template.clone(),
        }
    }
}

impl PlaceForm {
    fn section_place(
        &self,
        section: &SectionForm,
        other_side: OtherSide,
    ) -> Result<SectionPlace, &'static str> {
        let tls = match (self.tls, self.tls_at_once_port) {
            (TlsForm::OnDemand, Some(port)) => TlsOf::AtOnceAt(port),
            (TlsForm::Never | TlsForm::AtOnce, Some(_)) => {
                return Err("`tls_at_once_port` is for a place with TLS on demand");
            }
            (TlsForm::Never, None) => TlsOf::Never,
            (TlsForm::AtOnce, None) => TlsOf::AtOnce,
            (TlsForm::OnDemand, None) => TlsOf::OnDemand,
        };
        let served = section.serves.as_ref().map(|serves| ServedPlace {
            port: serves.port.clone(),
            bind: serves.bind.clone(),
            switch: serves.switch.clone(),
        });
        Ok(SectionPlace {
            section: section.name.clone(),
            far: self.far(other_side)?,
            port: self.default_port,
            secure_port: self.default_port_tls,
            tls,
            served,
        })
    }

    fn far(&self, other_side: OtherSide) -> Result<Far, &'static str> {
        let PlaceForm { host, port, url, connection_string, servers, cluster_url, .. } = self.clone();
        Ok(match (host, port, url, connection_string, servers, cluster_url) {
            (Some(host), Some(port), None, None, None, None) => match other_side {
                OtherSide::Brokers => Far::Broker { host, port },
                OtherSide::Network | OtherSide::Disk | OtherSide::Nothing => Far::Host { host, port },
            },
            (None, None, Some(url), None, None, None) => Far::Url { url },
            (Some(host), Some(port), Some(url), None, None, None) => Far::UrlOrHost { url, host, port },
            (Some(host), Some(port), None, Some(string), None, None) => {
                Far::HostOrConnectionString { host, port, string }
            }
            (None, None, None, None, Some(servers), None) => Far::Servers { servers },
            (None, None, None, None, None, Some(url)) => Far::ClusterUrl { url },
            _ => return Err("`place` names keys that do not belong together"),
        })
    }
}

fn keys(forms: &[KeyForm]) -> Vec<Key> {
    forms.iter().map(KeyForm::key).collect()
}

impl KeyForm {
    fn key(&self) -> Key {
        let is_needed = self.required || !self.unless.is_empty();
        Key {
            name: self.name.clone(),
            aliases: self.also.clone(),
            value: self.value(),
            unit: self.unit,
            need: match (self.required, self.unless.is_empty()) {
                (true, _) => Need::Always,
                (false, false) => Need::Unless(self.unless.clone()),
                (false, true) => Need::Optional,
            },
            default: self
                .default
                .as_ref()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            purpose: match (&self.unread, self.purpose) {
                (Some(reason), _) => KeyPurpose::Nothing(reason.clone()),
                (None, Some(PurposeForm::Confirms)) => KeyPurpose::Confirms,
                (None, Some(PurposeForm::Tells)) => KeyPurpose::Tells,
                (None, None) => KeyPurpose::Runs,
            },
            is_secret: self.secret,
            refused: self.refuses.as_ref().map(|refused| (refused.values.clone(), refused.reason.clone())),
            is_in_template: self.template.unwrap_or(is_needed),
            hint: self.hint.as_ref().unwrap_or(&self.name).clone(),
        }
    }

    fn value(&self) -> ValueKind {
        match self.kind.unwrap_or(KindForm::Text) {
            KindForm::Text => ValueKind::Text,
            KindForm::Int | KindForm::Port => {
                ValueKind::Int(self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX))
            }
            KindForm::Number => ValueKind::Number,
            KindForm::Bool => ValueKind::Bool,
            KindForm::Words => ValueKind::Words(self.words.clone()),
            KindForm::Character => ValueKind::Character,
            KindForm::Url => ValueKind::Url,
            KindForm::Folder => ValueKind::Folder,
            KindForm::MongoAddress => ValueKind::MongoAddress,
            KindForm::Filter => ValueKind::Filter,
            KindForm::Topic => ValueKind::Topic,
            KindForm::Rewritten => ValueKind::Rewritten,
            KindForm::Template => ValueKind::Template,
            KindForm::OfTopic => ValueKind::OfTopic,
        }
    }
}
