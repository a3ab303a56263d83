//! The form of a `route.toml`: types of routes with their sections, keys and places.
//!
//! The build script checks our own descriptions with it. The crate reads these, and those of
//! modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::limits::DESCRIPTION_ERROR_BYTES_MAX;
use crate::words::{OtherSide, RouteCheck, TimeUnit};

/// Contents of a `route.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteFile {
    /// Types of routes that the guest runs.
    #[serde(rename = "type")]
    pub(crate) types: Vec<TypeForm>,
}

/// A type of routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeForm {
    /// Canonical name.
    pub(crate) name: String,
    /// Other names that are accepted.
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    /// Names that others use for it, for suggestions.
    #[serde(default)]
    pub(crate) wrong_names: Vec<String>,
    /// The systems that it connects to, in a few words.
    #[serde(default)]
    pub(crate) description: String,
    /// Its page, from `docs/routes`.
    pub(crate) page: Option<String>,
    /// Type of the same file whose settings it has.
    pub(crate) like: Option<String>,
    /// Whether other brokers of the language have it.
    pub(crate) portable: Option<bool>,
    /// Whether it takes settings that are not described.
    #[serde(default)]
    pub(crate) open: bool,
    /// Other side of its routes.
    #[serde(default)]
    pub(crate) other_side: OtherSide,
    /// Instances of a route without `INSTANCES`.
    pub(crate) instances: Option<usize>,
    /// Further checks of the compiler.
    #[serde(default)]
    pub(crate) checks: Vec<RouteCheck>,
    /// Schemes of its connection strings, the usual one first.
    #[serde(default)]
    pub(crate) schemes: Vec<String>,
    /// Its sections.
    #[serde(default, rename = "section")]
    pub(crate) sections: Vec<SectionForm>,
    /// Content of `ADD EVENT`.
    pub(crate) event: Option<EventForm>,
    /// Content of `ADD MAPPING`.
    pub(crate) mapping: Option<MappingForm>,
}

/// Section of a type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SectionForm {
    /// Its name.
    pub(crate) name: String,
    /// Whether a route needs it.
    #[serde(default)]
    pub(crate) required: bool,
    /// Place that it connects to.
    pub(crate) place: Option<PlaceForm>,
    /// Keys by which it serves HTTP.
    pub(crate) serves: Option<ServesForm>,
    /// Lines of the section in a template, in place of its keys.
    #[serde(default)]
    pub(crate) template: Vec<String>,
    /// Its keys.
    #[serde(default)]
    pub(crate) keys: Vec<KeyForm>,
}

/// Keys that say where a section connects to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceForm {
    /// Key of a host.
    pub(crate) host: Option<String>,
    /// Key of its port.
    pub(crate) port: Option<String>,
    /// Key of a URL.
    pub(crate) url: Option<String>,
    /// Key of the connection string of a database.
    pub(crate) connection_string: Option<String>,
    /// Key of a list of servers.
    pub(crate) servers: Option<String>,
    /// Key of an address with the servers of a cluster.
    pub(crate) cluster_url: Option<String>,
    /// Port if none is set.
    pub(crate) default_port: u16,
    /// Port with TLS if none is set.
    pub(crate) default_port_tls: Option<u16>,
    /// When TLS begins.
    pub(crate) tls: TlsForm,
    /// Port at which TLS begins at once.
    pub(crate) tls_at_once_port: Option<u16>,
}

/// When TLS begins on a connection that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsForm {
    /// There is none.
    Never,
    /// With the first byte.
    AtOnce,
    /// When the guest asks for it.
    OnDemand,
}

/// Keys by which a section serves HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServesForm {
    /// Key of the port.
    pub(crate) port: String,
    /// Key of the address of this machine.
    pub(crate) bind: String,
    /// Key that switches it off.
    pub(crate) switch: String,
}

/// Content of `ADD EVENT`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventForm {
    /// Its keys.
    pub(crate) keys: Vec<KeyForm>,
}

/// Content of `ADD MAPPING`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MappingForm {
    /// Whether publish topics take the wildcards of the filter.
    #[serde(default)]
    pub(crate) rewrites: bool,
    /// Its own keys.
    pub(crate) keys: Vec<KeyForm>,
    /// Keys of `ADD TAG`.
    pub(crate) tag: Option<Vec<KeyForm>>,
}

/// A key, or a list of keys to include.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyForm {
    /// List of shared keys in place of a key.
    pub(crate) include: Option<String>,
    /// Canonical name.
    pub(crate) name: String,
    /// Other names that are accepted.
    pub(crate) also: Vec<String>,
    /// Type of its values; text by default.
    pub(crate) kind: Option<KindForm>,
    /// Least number.
    pub(crate) min: Option<i64>,
    /// Greatest number.
    pub(crate) max: Option<i64>,
    /// Words that it takes.
    pub(crate) words: Vec<String>,
    /// Whether it must be set.
    pub(crate) required: bool,
    /// Keys of which one may be set in its place.
    pub(crate) unless: Vec<String>,
    /// Value if none is set.
    pub(crate) default: Option<Json>,
    /// Unit of a time.
    pub(crate) unit: Option<TimeUnit>,
    /// Whether its value is a secret.
    pub(crate) secret: bool,
    /// Purpose of a key that changes nothing.
    pub(crate) purpose: Option<PurposeForm>,
    /// Reason why nothing reads it.
    pub(crate) unread: Option<String>,
    /// Values that are refused by name.
    pub(crate) refuses: Option<RefusedForm>,
    /// Whether templates have it; by default those that a route needs.
    pub(crate) template: Option<bool>,
    /// Description for templates.
    pub(crate) hint: Option<String>,
}

/// Type of the values of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KindForm {
    /// Any text.
    Text,
    /// A whole number.
    Int,
    /// A TCP port.
    Port,
    /// Any number.
    Number,
    /// `TRUE` or `FALSE`.
    Bool,
    /// One of some words.
    Words,
    /// A single character.
    Character,
    /// `http://…` or `https://…`.
    Url,
    /// A path on a disk of the broker's machine.
    Folder,
    /// `mongodb://…`.
    MongoAddress,
    /// A Topic Filter.
    Filter,
    /// A topic, with placeholders.
    Topic,
    /// A topic that takes the wildcards of a filter.
    Rewritten,
    /// A text with placeholders.
    Template,
    /// A text with placeholders of the topic.
    OfTopic,
}

/// Purpose of a key that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PurposeForm {
    /// It repeats what the type implies.
    Confirms,
    /// It is for people.
    Tells,
}

/// Values that a key refuses by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedForm {
    /// The values.
    pub(crate) values: Vec<String>,
    /// The reason, which follows a value.
    pub(crate) reason: String,
}

/// Keys and sections that several types have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedForms {
    /// Lists of keys by name.
    pub(crate) keys: BTreeMap<String, Vec<KeyForm>>,
    /// Sections of every type.
    #[serde(rename = "section")]
    pub(crate) sections: Vec<SectionForm>,
}

/// Descriptions of guests, with what they share.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Descriptions {
    /// Keys and sections that they include.
    pub(crate) shared: SharedForms,
    /// Their files.
    pub(crate) files: Vec<DescribedGuest>,
}

/// Description of a guest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DescribedGuest {
    /// Folder of the guest; `None` of types that lotmq only checks.
    pub(crate) guest: Option<String>,
    /// Its description.
    pub(crate) file: RouteFile,
}

/// A description that is not valid.
///
/// Its text has no control characters and a bounded length, as it may quote a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptionError {
    /// Type, section and key.
    place: String,
    reason: String,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}: {}", self.place, self.reason);
        let shown = &text[..text.floor_char_boundary(DESCRIPTION_ERROR_BYTES_MAX)];
        shown.chars().try_for_each(|letter| match is_printable(letter) {
            true => formatter.write_char(letter),
            false => write!(formatter, "{}", letter.escape_unicode()),
        })?;
        if shown.len() < text.len() { formatter.write_str("…") } else { Ok(()) }
    }
}

impl std::error::Error for DescriptionError {}

pub(crate) fn wrong(place: &str, reason: impl Into<String>) -> DescriptionError {
    DescriptionError { place: place.to_owned(), reason: reason.into() }
}

/// Whether a character is safe to show: neither a control character nor one that changes the
/// direction or the width of a text.
pub(crate) fn is_printable(letter: char) -> bool {
    let is_invisible = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !letter.is_control() && !is_invisible
}

impl RouteFile {
    /// Returns the types with all keys that they include, and with the settings of the type that
    /// they are like.
    ///
    /// # Errors
    /// The first place that is not valid.
    pub(crate) fn types(&self, shared: &SharedForms) -> Result<Vec<TypeForm>, DescriptionError> {
        let mut whole: Vec<TypeForm> = Vec::with_capacity(self.types.len());
        for form in &self.types {
            if whole.iter().any(|known| known.name == form.name) {
                return Err(wrong(&form.name, "the type is described twice"));
            }
            let base = form.like.as_ref().map(|like| {
                let known = whole.iter().find(|known| known.name == *like);
                known.ok_or_else(|| wrong(&form.name, format!("no type {like} stands in front of it")))
            });
            let next = match base.transpose()? {
                Some(base) => form.like(base)?,
                None => form.with_included(shared)?,
            };
            whole.push(next);
        }
        Ok(whole)
    }
}

impl SharedForms {
    /// Returns the sections of every type.
    ///
    /// # Errors
    /// The first key that is not valid.
    pub(crate) fn common(&self) -> Result<Vec<SectionForm>, DescriptionError> {
        self.sections.iter().map(|section| section.with_included(self)).collect()
    }
}

impl TypeForm {
    /// The type with the settings of another one.
    fn like(&self, base: &TypeForm) -> Result<TypeForm, DescriptionError> {
        if !self.sections.is_empty() || self.event.is_some() || self.mapping.is_some() {
            return Err(wrong(&self.name, "a type with `like` has no settings of its own"));
        }
        let (name, aliases, wrong_names) =
            (self.name.clone(), self.aliases.clone(), self.wrong_names.clone());
        let (description, page) = (self.description.clone(), self.page.clone());
        Ok(TypeForm { name, aliases, wrong_names, description, page, ..base.clone() })
    }

    fn with_included(&self, shared: &SharedForms) -> Result<TypeForm, DescriptionError> {
        let mut whole = self.clone();
        let named = |block: &str| format!("{}: {block}", self.name);
        let mut names = BTreeSet::new();
        if let Some(twice) = self.sections.iter().find(|section| !names.insert(&section.name)) {
            return Err(wrong(&self.name, format!("the section {} stands twice", twice.name)));
        }
        for section in &mut whole.sections {
            *section =
                section.with_included(shared).map_err(|error| wrong(&named(&error.place), error.reason))?;
        }
        if let Some(event) = &mut whole.event {
            event.keys = keys(&named("EVENT"), &event.keys, shared)?;
        }
        if let Some(mapping) = &mut whole.mapping {
            mapping.keys = keys(&named("MAPPING"), &mapping.keys, shared)?;
            if let Some(tag) = &mut mapping.tag {
                *tag = keys(&named("TAG"), tag, shared)?;
            }
        }
        Ok(whole)
    }
}

impl SectionForm {
    fn with_included(&self, shared: &SharedForms) -> Result<SectionForm, DescriptionError> {
        let mut keys = keys(&self.name, &self.keys, shared)?;
        for named in self.place.iter().flat_map(PlaceForm::keys) {
            if !keys.iter().any(|key| key.name == *named) {
                return Err(wrong(&self.name, format!("`place` names {named}, which is no key of it")));
            }
        }
        if let Some(place) = &self.place {
            let port = keys.iter_mut().find(|key| Some(&key.name) == place.port.as_ref());
            if let Some(port) = port.filter(|port| port.default.is_none()) {
                port.default = Some(place.default_port.into());
            }
        }
        Ok(SectionForm { keys, ..self.clone() })
    }
}

impl PlaceForm {
    /// Returns the keys that it names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        let PlaceForm { host, port, url, connection_string, servers, cluster_url, .. } = self;
        [host, port, url, connection_string, servers, cluster_url].into_iter().flatten()
    }
}

/// Keys of a block with those that they include, checked.
fn keys(block: &str, own: &[KeyForm], shared: &SharedForms) -> Result<Vec<KeyForm>, DescriptionError> {
    let mut whole = Vec::with_capacity(own.len());
    for form in own {
        match &form.include {
            None => whole.push(form.normal(block)?),
            Some(name) => {
                let included = shared.keys.get(name);
                let included = included
                    .ok_or_else(|| wrong(block, format!("there is no list `{name}` of keys to include")))?;
                for key in included {
                    whole.push(key.normal(block)?);
                }
            }
        }
    }
    let mut names = BTreeSet::new();
    for key in &whole {
        if let Some(twice) = key.also.iter().chain([&key.name]).find(|name| !names.insert(name.as_str())) {
            return Err(wrong(block, format!("the name {twice} stands twice")));
        }
    }
    for key in &whole {
        if let Some(other) = key.unless.iter().find(|other| !names.contains(other.as_str())) {
            let reason = format!("{}: `unless` names {other}, which is no key of it", key.name);
            return Err(wrong(block, reason));
        }
    }
    Ok(whole)
}

impl KeyForm {
    /// The key with its kind and its range written out.
    fn normal(&self, block: &str) -> Result<KeyForm, DescriptionError> {
        if self.name.is_empty() {
            return Err(wrong(block, "a key has neither `name` nor `include`"));
        }
        let place = format!("{block}: {}", self.name);
        let mut key = self.clone();
        let kind = match (key.kind, key.words.is_empty()) {
            (None, true) => KindForm::Text,
            (None | Some(KindForm::Words), false) => KindForm::Words,
            (Some(KindForm::Words), true) => return Err(wrong(&place, "`words` is missing")),
            (Some(_), false) => return Err(wrong(&place, "only keys without another kind have `words`")),
            (Some(kind), true) => kind,
        };
        if kind != KindForm::Int && (key.min.is_some() || key.max.is_some()) {
            return Err(wrong(&place, "only keys of kind `int` have `min` and `max`"));
        }
        if kind == KindForm::Int {
            let least = key.min.ok_or_else(|| wrong(&place, "a key of kind `int` needs `min`"))?;
            if key.max.is_some_and(|most| most < least) {
                return Err(wrong(&place, "`max` is below `min`"));
            }
        }
        key.kind = Some(kind);
        if kind == KindForm::Port {
            (key.kind, key.min, key.max) = (Some(KindForm::Int), Some(1), Some(u16::MAX.into()));
        }
        if key.default.as_ref().is_some_and(|default| !key.takes(default)) {
            return Err(wrong(&place, "`default` is no value of the key"));
        }
        Ok(key)
    }

    /// Whether a default is a value of the key.
    fn takes(&self, default: &Json) -> bool {
        match self.kind {
            Some(KindForm::Int | KindForm::Port) => default.as_i64().is_some_and(|number| {
                self.min.is_none_or(|least| least <= number) && self.max.is_none_or(|most| number <= most)
            }),
            Some(KindForm::Number) => default.is_i64(),
            Some(KindForm::Bool) => default.is_boolean(),
            Some(KindForm::Words) => {
                default.as_str().is_some_and(|word| self.words.iter().any(|w| w == word))
            }
            Some(KindForm::Character) => default.as_str().is_some_and(|text| text.chars().count() == 1),
            Some(_) | None => default.is_string(),
        }
    }
}
