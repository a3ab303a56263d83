//! Description of a module of world `route`: its `route.toml`, which `lotmq guest build` puts into
//! the component as JSON.
//!
//! Its form is that of our own descriptions. Anybody may have written it, so it is bounded and
//! checked further. It cannot change what the broker reads of a route itself: the places that a
//! route connects to stand in the text of the route, and the keys of topics have one meaning in
//! every type.

use serde_json::Value as Json;

use crate::form::{
    DescriptionError, KeyForm, PlaceForm, RouteFile, SectionForm, TlsForm, TypeForm, is_printable, wrong,
};
use crate::limits::{
    DESCRIBED_KEYS_MAX, DESCRIBED_NAME_BYTES_MAX, DESCRIBED_SECTIONS_MAX, DESCRIBED_TEXT_BYTES_MAX,
    DESCRIBED_WORDS_MAX, DESCRIPTION_BYTES_MAX,
};
use crate::route_type::{Key, KeyPurpose, Need, RouteType, Section, ValueKind};
use crate::words::OtherSide;
use crate::{COMMON, DESCRIPTIONS, SettingPlace, all, find};

/// Custom section of a component with its description.
pub const SECTION: &str = "lotmq:route";

/// File with the description in the folder of a guest.
pub const FILE: &str = "route.toml";

/// Type of the routes that a module runs.
pub const OF_MODULE: &str = "WASM";

/// Section by which a route names its module.
pub const OWN_SECTION: &str = "WASM_CONFIG";

/// Key of the name of the module.
pub const OWN_KEY: &str = "MODULE";

/// Settings of a section that the broker reads itself, whatever module runs the route.
pub const OF_HOST: &[&str] = &[
    "ALLOW_HOSTS",
    "ALLOW_UNTRUSTED_CERTS",
    "BAUD_RATE",
    "CLIENT_CERT",
    "CLIENT_CERT_PASS",
    "CLIENT_CERT_PATH",
    "CLIENT_KEY",
    "CLIENT_KEY_PATH",
    "COM_PORT",
    "DATA_BITS",
    "EXCLUSIVE",
    "FLOW_CONTROL",
    "HOST",
    "IGNORE_CERT_ERRORS",
    "LISTEN",
    "PARITY",
    "PORT",
    "RS485",
    "SERVER",
    "SERVER_CA_CERT",
    "SERVER_CA_CERT_PATH",
    "STOP_BITS",
    "STORAGE_DIR",
    "TLS_MIN_VERSION",
    "TLS_SERVER_NAME",
    "TRUST_SERVER_CERTIFICATE",
    "USE_SSL",
    "USE_STARTTLS",
    "USE_TLS",
];

/// Settings of [`OF_HOST`] that a section with a described place cannot have: they name places
/// beside it.
const BESIDE_PLACE: [&str; 2] = ["ALLOW_HOSTS", "LISTEN"];

/// Settings that ask for TLS.
const TLS: [&str; 3] = ["USE_TLS", "USE_SSL", "USE_STARTTLS"];

/// Reads the description of a module of this name.
///
/// # Errors
/// The first place that is not valid, or that a module cannot have.
pub fn read(json: &[u8], module: &str) -> Result<RouteType, DescriptionError> {
    if json.len() > DESCRIPTION_BYTES_MAX {
        let reason = format!("it has {} bytes as JSON, limit {DESCRIPTION_BYTES_MAX}", json.len());
        return Err(wrong(FILE, reason));
    }
    let file: RouteFile = serde_json::from_slice(json).map_err(|error| wrong(FILE, error.to_string()))?;
    let [form] = &file.types[..] else {
        return Err(wrong(FILE, format!("a module has 1 type, not {}", file.types.len())));
    };
    is_name(&form.name).map_err(|reason| wrong("name", format!("'{}' {reason}", form.name)))?;
    if let Some(key) = only_ours(form) {
        return Err(wrong(&form.name, format!("`{key}` is for the types that lotmq has in itself")));
    }
    is_free(&form.name)?;
    within_bounds(form)?;
    let types = file.types(&DESCRIPTIONS.shared)?;
    let [whole] = &types[..] else { return Err(wrong(FILE, "a module has 1 type")) };
    for section in &whole.sections {
        let place = format!("{}: {}", whole.name, section.name);
        of_section(section).map_err(|reason| wrong(&place, reason))?;
    }
    let mut kind = whole.route_type()?;
    kind.module = Some(module.to_owned());
    same_as_every_type(&kind)?;
    kind.sections.insert(0, own_section(module));
    Ok(kind)
}

/// Section of a route that names its module.
fn own_section(module: &str) -> Section {
    let key = Key {
        name: OWN_KEY.to_owned(),
        aliases: Vec::new(),
        value: ValueKind::Text,
        unit: None,
        need: Need::Always,
        default: None,
        purpose: KeyPurpose::Runs,
        is_secret: false,
        refused: None,
        is_in_template: true,
        hint: "Name of the module that runs the route".to_owned(),
    };
    let template = vec![format!("WITH {OWN_KEY} \"{module}\"")];
    Section { name: OWN_SECTION.to_owned(), keys: vec![key], is_required: true, template }
}

/// Returns a key of the form that means something for our own types only.
fn only_ours(form: &TypeForm) -> Option<&'static str> {
    let sections = &form.sections;
    let has_place = |is_it: fn(&PlaceForm) -> bool| {
        sections.iter().filter_map(|section| section.place.as_ref()).any(is_it)
    };
    let used = [
        ("checks", !form.checks.is_empty()),
        ("schemes", !form.schemes.is_empty()),
        ("instances", form.instances.is_some()),
        ("like", form.like.is_some()),
        ("page", form.page.is_some()),
        ("open", form.open),
        ("other_side", form.other_side != OtherSide::Network),
        ("portable", form.portable.is_some()),
        ("aliases", !form.aliases.is_empty()),
        ("wrong_names", !form.wrong_names.is_empty()),
        ("serves", sections.iter().any(|section| section.serves.is_some())),
        ("template", sections.iter().any(|section| !section.template.is_empty())),
        // These places have further ones that the text of the route does not name.
        ("servers", has_place(|place| place.servers.is_some())),
        ("cluster_url", has_place(|place| place.cluster_url.is_some())),
        ("connection_string", has_place(|place| place.connection_string.is_some())),
    ];
    used.into_iter().find(|(_, is_used)| *is_used).map(|(key, _)| key)
}

/// Checks that no type of ours has a name, and that none is usually meant by it.
fn is_free(name: &str) -> Result<(), DescriptionError> {
    let is_wrong_name = |kind: &&RouteType| kind.wrong_names.iter().any(|it| it.eq_ignore_ascii_case(name));
    match find(name).or_else(|| all().find(is_wrong_name)) {
        Some(kind) => Err(wrong(name, format!("the name is that of type {} of lotmq", kind.name))),
        None => Ok(()),
    }
}

/// Checks that a name has capitals, digits and `_`, as those of our own types have.
fn is_name(name: &str) -> Result<(), String> {
    let mut letters = name.bytes();
    let is_well = letters.next().is_some_and(|first| first.is_ascii_uppercase())
        && letters.all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_');
    match is_well && name.len() <= DESCRIBED_NAME_BYTES_MAX {
        true => Ok(()),
        false => Err(format!(
            "is no name: it has up to {DESCRIBED_NAME_BYTES_MAX} capitals, digits and _, a capital first"
        )),
    }
}

/// Checks the names, texts and counts of a description, before anything is copied.
fn within_bounds(form: &TypeForm) -> Result<(), DescriptionError> {
    let of_type = |reason: String| wrong(&form.name, reason);
    if form.sections.len() > DESCRIBED_SECTIONS_MAX {
        let count = form.sections.len();
        return Err(of_type(format!("it has {count} sections, limit {DESCRIBED_SECTIONS_MAX}")));
    }
    is_text(&form.description, &[]).map_err(|reason| of_type(format!("`description` {reason}")))?;
    for section in &form.sections {
        is_name(&section.name).map_err(|reason| of_type(format!("section '{}' {reason}", section.name)))?;
        if !section.name.ends_with("_CONFIG") {
            return Err(of_type(format!("section '{}' has a name that ends with _CONFIG", section.name)));
        }
        if section.name == OWN_SECTION || COMMON.iter().any(|common| common.name == section.name) {
            return Err(of_type(format!("section {} is the broker's, in every type", section.name)));
        }
        keys_within_bounds(&section.keys)
            .map_err(|reason| wrong(&format!("{}: {}", form.name, section.name), reason))?;
    }
    let event = form.event.as_ref().map(|event| ("EVENT", &event.keys));
    let mapping = form.mapping.as_ref().map(|mapping| ("MAPPING", &mapping.keys));
    let tag = form.mapping.as_ref().and_then(|mapping| Some(("TAG", mapping.tag.as_ref()?)));
    for (block, keys) in event.into_iter().chain(mapping).chain(tag) {
        keys_within_bounds(keys).map_err(|reason| wrong(&format!("{}: {block}", form.name), reason))?;
    }
    Ok(())
}

fn keys_within_bounds(keys: &[KeyForm]) -> Result<(), String> {
    let included = |key: &KeyForm| {
        let list = key.include.as_ref().and_then(|name| DESCRIPTIONS.shared.keys.get(name));
        list.map_or(1, Vec::len)
    };
    let count: usize = keys.iter().map(included).sum();
    if count > DESCRIBED_KEYS_MAX {
        return Err(format!("it has {count} keys, limit {DESCRIBED_KEYS_MAX}"));
    }
    for key in keys.iter().filter(|key| key.include.is_none() && !key.name.is_empty()) {
        is_name(&key.name).map_err(|reason| format!("key '{}' {reason}", key.name))?;
        key_within_bounds(key).map_err(|reason| format!("{}: {reason}", key.name))?;
    }
    Ok(())
}

fn key_within_bounds(key: &KeyForm) -> Result<(), String> {
    let refused = key.refuses.as_ref();
    let values = refused.map_or(&[][..], |refused| &refused.values[..]);
    for (field, list) in [("also", &key.also[..]), ("words", &key.words[..]), ("values", values)] {
        if list.len() > DESCRIBED_WORDS_MAX {
            return Err(format!("`{field}` has {} entries, limit {DESCRIBED_WORDS_MAX}", list.len()));
        }
    }
    for name in key.also.iter().chain(&key.unless) {
        is_name(name).map_err(|reason| format!("'{name}' {reason}"))?;
    }
    // A template has these texts between commas, and words between `|`.
    for word in key.words.iter().chain(values) {
        is_text(word, &[',', '#', '|', '"']).map_err(|reason| format!("the word '{word}' {reason}"))?;
    }
    let hint = key.hint.as_deref().unwrap_or_default();
    is_text(hint, &[',', '#']).map_err(|reason| format!("`hint` {reason}"))?;
    let default = key.default.as_ref().and_then(Json::as_str);
    let reasons = [key.unread.as_deref(), refused.map(|refused| refused.reason.as_str()), default];
    let mut reasons = reasons.into_iter().flatten();
    reasons.try_for_each(|text| is_text(text, &[])).map_err(|reason| format!("a text {reason}"))
}

/// Checks that a text is safe to show, short, and without these characters.
fn is_text(text: &str, without: &[char]) -> Result<(), String> {
    if text.len() > DESCRIBED_TEXT_BYTES_MAX {
        return Err(format!("has {} bytes, limit {DESCRIBED_TEXT_BYTES_MAX}", text.len()));
    }
    match text.chars().find(|letter| !is_printable(*letter) || without.contains(letter)) {
        Some(letter) => Err(format!("has the character {letter:?}, which it cannot have")),
        None => Ok(()),
    }
}

/// Whether both are names of the setting that asks for TLS.
fn are_one(names: [&str; 2]) -> bool {
    names.iter().all(|name| ["USE_TLS", "USE_SSL"].contains(name))
}

/// Checks that a section leaves to the text of a route what the broker reads there.
fn of_section(section: &SectionForm) -> Result<(), String> {
    let place = section.place.as_ref();
    for key in &section.keys {
        let names_place = place.is_some_and(|place| place.keys().any(|named| *named == key.name));
        let is_port = place.is_some_and(|place| place.port.as_ref() == Some(&key.name)) || key.name == "PORT";
        let is_no = key.default.as_ref().is_none_or(|default| *default == Json::Bool(false));
        if (names_place || OF_HOST.contains(&&*key.name)) && !is_port && !is_no {
            let reason = "the broker reads it in the text of the route, so it has no `default` but false";
            return Err(format!("{}: {reason}", key.name));
        }
        let is_taken =
            |name: &String| OF_HOST.contains(&&**name) && !are_one([name.as_str(), key.name.as_str()]);
        if key.also.iter().any(is_taken) && !names_place {
            let reason = "`also` has the name of a setting that the broker reads itself";
            return Err(format!("{}: {reason}", key.name));
        }
        let Some(place) = place else { continue };
        let is_beside = BESIDE_PLACE.contains(&&*key.name);
        if is_beside || ["HOST", "SERVER"].contains(&&*key.name) && !names_place {
            return Err(format!("{}: it names a place beside that of `place`", key.name));
        }
        if place.tls == TlsForm::Never && TLS.contains(&&*key.name) {
            return Err(format!("{}: `tls` of `place` is `never`", key.name));
        }
    }
    Ok(())
}

/// Checks that the keys of topics, and others that the broker reads in events, mappings and tags,
/// are those that they are in every route of a module.
fn same_as_every_type(kind: &RouteType) -> Result<(), DescriptionError> {
    let Some(every) = find(OF_MODULE) else { return Ok(()) };
    let blocks =
        [("EVENT", SettingPlace::Event), ("MAPPING", SettingPlace::Mapping), ("TAG", SettingPlace::Tag)];
    for (block, place) in blocks {
        for key in kind.keys(place) {
            let known = every.keys(place).iter().find(|known| key.is_called(&known.name));
            let Some(known) = known else { continue };
            let place = format!("{}: {block}: {}", kind.name, key.name);
            if key.name != known.name {
                return Err(wrong(&place, format!("the broker reads {} itself", known.name)));
            }
            if !narrows(&key.value, &known.value) {
                return Err(wrong(&place, format!("the broker reads it, and it is {}", known.value.name())));
            }
            if key.default.is_some() && key.default != known.default {
                return Err(wrong(&place, "the broker reads it, and has another default"));
            }
        }
    }
    if kind.mapping.as_ref().is_some_and(|mapping| !mapping.rewrites) {
        return Err(wrong(&kind.name, "MAPPING: a mapping of a module has `rewrites = true`"));
    }
    Ok(())
}

/// Whether every value of a kind is one of another kind.
fn narrows(kind: &ValueKind, of: &ValueKind) -> bool {
    match (kind, of) {
        (ValueKind::Words(words), ValueKind::Words(all)) => words.iter().all(|word| all.contains(word)),
        (ValueKind::Int(least, most), ValueKind::Int(from, to)) => from <= least && most <= to,
        (kind, of) => kind == of,
    }
}

#[cfg(test)]
mod tests;
