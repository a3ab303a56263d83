//! Turns the descriptions of our types of routes into static data.

#![allow(clippy::disallowed_methods, reason = "a build script reads files")]

#[path = "build/form.rs"]
mod form;
#[path = "build/schema.rs"]
mod schema;
#[path = "src/words.rs"]
#[allow(unreachable_pub, reason = "the crate exports it")]
mod words;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use form::{
    KeyForm, KindForm, MappingForm, PlaceForm, PurposeForm, RouteFile, SectionForm, SharedForms, TlsForm,
    TypeForm, wrong,
};
use schema::schema;
use words::OtherSide;

/// Name of the description in the folder of a guest.
const FILE: &str = "route.toml";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let guests = folder.join("../../guests");
    let results = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    watch(&folder.join("build"));
    watch(&folder.join("src/words.rs"));
    // Every new guest changes its manifest.
    watch(&guests.join("manifest.json"));
    watch(&folder.join("types"));
    let shared: SharedForms = toml::from_str(&read(&folder.join("shared.toml"))?)?;

    let common = shared.common()?;
    let mut types = String::new();
    for path in descriptions(&guests)? {
        let guest = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        for form in types_of(&path, &shared)? {
            writeln!(types, "    {},", route_type(&form, guest, &common)?)?;
        }
    }
    for path in sorted(&folder.join("types"))? {
        for form in types_of(&path, &shared)? {
            writeln!(types, "    {},", route_type(&form, None, &common)?)?;
        }
    }
    let common: Vec<String> = common.iter().map(section).collect();
    let text = format!(
        "/// Sections that every type takes.\npub static COMMON: &[Section] = &[{}];\n\nstatic TYPES: &[RouteType] = &[\n{types}];\n",
        common.join(", ")
    );
    std::fs::write(results.join("types.rs"), text)?;
    Ok(())
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn read(path: &Path) -> Outcome<String> {
    watch(path);
    Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Returns the entries of a folder, by name.
fn sorted(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Returns the descriptions of guests.
fn descriptions(guests: &Path) -> Outcome<Vec<PathBuf>> {
    let files = sorted(guests)?.into_iter().map(|folder| folder.join(FILE));
    Ok(files.filter(|file| file.is_file()).collect())
}

fn types_of(path: &Path, shared: &SharedForms) -> Outcome<Vec<TypeForm>> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file: RouteFile = toml::from_str(&read(path)?).map_err(|error| named(&error))?;
    Ok(file.types(shared).map_err(|error| named(&error))?)
}

/// Formats a list of texts.
fn texts(list: &[String]) -> String {
    format!("&{list:?}")
}

/// Formats a text that may be missing.
fn optional(text: Option<&str>) -> String {
    format!("{text:?}")
}

fn route_type(form: &TypeForm, guest: Option<&str>, common: &[SectionForm]) -> Outcome<String> {
    let TypeForm { name, description, open, .. } = form;
    let checks: Vec<String> = form.checks.iter().map(|check| format!("RouteCheck::{check:?}")).collect();
    let sections: Vec<String> = form.sections.iter().map(section).collect();
    let mut places = Vec::new();
    for section in &form.sections {
        if let Some(said) = &section.place {
            places
                .push(place(section, said, form.other_side).map_err(|reason| wrong(&section.name, reason))?);
        }
    }
    let event = form.event.as_ref().map(|event| keys(&event.keys));
    Ok(format!(
        "RouteType {{ name: {name:?}, aliases: {aliases}, wrong_names: {wrong_names}, description: {description:?}, page: {page}, guest: {guest}, is_portable: {portable}, is_open: {open}, other_side: OtherSide::{other_side:?}, instances: {instances}, checks: &[{checks}], schemes: {schemes}, sections: &[{sections}], places: &[{places}], event: {event}, mapping: {mapping}, schema: {schema:?} }}",
        aliases = texts(&form.aliases),
        wrong_names = texts(&form.wrong_names),
        page = optional(form.page.as_deref()),
        guest = optional(guest),
        portable = form.portable.unwrap_or(true),
        other_side = form.other_side,
        instances = form.instances.unwrap_or(1),
        checks = checks.join(", "),
        schemes = texts(&form.schemes),
        sections = sections.join(", "),
        places = places.join(", "),
        event = some(event),
        mapping = some(form.mapping.as_ref().map(mapping)),
        schema = schema(form, common).to_string(),
    ))
}

/// Formats a value that may be missing.
fn some(value: Option<String>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| format!("Some({value})"))
}

fn mapping(form: &MappingForm) -> String {
    let (own, rewrites) = (keys(&form.keys), form.rewrites);
    let tag = some(form.tag.as_ref().map(|tag| keys(tag)));
    format!("Mapping {{ keys: {own}, tag: {tag}, rewrites: {rewrites} }}")
}

fn section(form: &SectionForm) -> String {
    let SectionForm { name, required, .. } = form;
    let (keys, template) = (keys(&form.keys), texts(&form.template));
    format!("Section {{ name: {name:?}, keys: {keys}, is_required: {required}, template: {template} }}")
}

fn place(section: &SectionForm, form: &PlaceForm, other_side: OtherSide) -> Result<String, &'static str> {
    let PlaceForm { host, port, url, connection_string, servers, cluster_url, .. } = form;
    let far = match (host, port, url, connection_string, servers, cluster_url) {
        (Some(host), Some(port), None, None, None, None) => match other_side {
            OtherSide::Brokers => format!("Broker {{ host: {host:?}, port: {port:?} }}"),
            OtherSide::Network | OtherSide::Disk | OtherSide::Nothing => {
                format!("Host {{ host: {host:?}, port: {port:?} }}")
            }
        },
        (None, None, Some(url), None, None, None) => format!("Url {{ url: {url:?} }}"),
        (Some(host), Some(port), Some(url), None, None, None) => {
            format!("UrlOrHost {{ url: {url:?}, host: {host:?}, port: {port:?} }}")
        }
        (Some(host), Some(port), None, Some(string), None, None) => {
            format!("HostOrConnectionString {{ host: {host:?}, port: {port:?}, string: {string:?} }}")
        }
        (None, None, None, None, Some(servers), None) => format!("Servers {{ servers: {servers:?} }}"),
        (None, None, None, None, None, Some(url)) => format!("ClusterUrl {{ url: {url:?} }}"),
        _ => return Err("`place` names keys that do not belong together"),
    };
    let tls = match (form.tls, form.tls_at_once_port) {
        (TlsForm::OnDemand, Some(port)) => format!("AtOnceAt({port})"),
        (TlsForm::Never | TlsForm::AtOnce, Some(_)) => {
            return Err("`tls_at_once_port` is for a place with TLS on demand");
        }
        (tls, None) => format!("{tls:?}"),
    };
    let served = section.serves.as_ref().map(|serves| {
        let (port, bind, switch) = (&serves.port, &serves.bind, &serves.switch);
        format!("ServedPlace {{ port: {port:?}, bind: {bind:?}, switch: {switch:?} }}")
    });
    Ok(format!(
        "SectionPlace {{ section: {:?}, far: Far::{far}, port: {}, secure_port: {:?}, tls: TlsOf::{tls}, served: {} }}",
        section.name,
        form.default_port,
        form.default_port_tls,
        some(served)
    ))
}

fn keys(forms: &[KeyForm]) -> String {
    let keys: Vec<String> = forms.iter().map(key).collect();
    format!("&[{}]", keys.join(", "))
}

fn key(form: &KeyForm) -> String {
    let need = match (form.required, form.unless.is_empty()) {
        (true, _) => "Always".to_owned(),
        (false, false) => format!("Unless({})", texts(&form.unless)),
        (false, true) => "Optional".to_owned(),
    };
    let purpose = match (&form.unread, form.purpose) {
        (Some(reason), _) => format!("Nothing({reason:?})"),
        (None, Some(PurposeForm::Confirms)) => "Confirms".to_owned(),
        (None, Some(PurposeForm::Tells)) => "Tells".to_owned(),
        (None, None) => "Runs".to_owned(),
    };
    let default = form.default.as_ref().map(|value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{text:?}")
    });
    let refused =
        form.refuses.as_ref().map(|refused| format!("({}, {:?})", texts(&refused.values), refused.reason));
    let is_needed = form.required || !form.unless.is_empty();
    let unit = some(form.unit.map(|unit| format!("TimeUnit::{unit:?}")));
    format!(
        "Key {{ name: {name:?}, aliases: {aliases}, value: ValueKind::{value}, unit: {unit}, need: Need::{need}, default: {default}, purpose: KeyPurpose::{purpose}, is_secret: {secret}, refused: {refused}, is_in_template: {is_in_template}, hint: {hint:?} }}",
        name = form.name,
        aliases = texts(&form.also),
        value = value(form),
        default = some(default),
        secret = form.secret,
        refused = some(refused),
        is_in_template = form.template.unwrap_or(is_needed),
        hint = form.hint.as_ref().unwrap_or(&form.name),
    )
}

fn value(form: &KeyForm) -> String {
    match form.kind {
        Some(KindForm::Int | KindForm::Port) => {
            format!("Int({}, {})", form.min.unwrap_or(i64::MIN), form.max.unwrap_or(i64::MAX))
        }
        Some(KindForm::Words) => format!("Words({})", texts(&form.words)),
        Some(kind) => format!("{kind:?}"),
        None => "Text".to_owned(),
    }
}
