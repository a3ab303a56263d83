//! The folder of a guest: `guest.toml`, and where its component lies.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum;
use lot_route_catalogue::module;
use lotmq_router::topic_filter_valid;
use lotmq_runner::{EmbeddedModule, Embedding, at_place, render_toml_error};
use lotmq_terminal::Misuse;
use lotmq_toolchain::WasmTarget;
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::config::ConfigLines;

/// File that makes a folder one of a guest.
const FILE: &str = "guest.toml";

/// World that a guest is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum GuestType {
    /// It runs when something happens.
    Action,
    /// It says what a client may do.
    Rule,
    /// It connects the broker with another system.
    Route,
    /// It says who a client is.
    Auth,
}

impl GuestType {
    /// As options and files name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Rule => "rule",
            Self::Route => "route",
            Self::Auth => "auth",
        }
    }
}

/// Language that a guest is written in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum GuestLanguage {
    /// A crate, built by cargo
    #[value(alias = "rs")]
    #[serde(alias = "rs")]
    Rust,
    /// A module of JavaScript, built by componentize-js with Node
    #[value(alias = "javascript")]
    #[serde(alias = "javascript")]
    Js,
    /// A module of Python, built by componentize-py
    #[value(alias = "py")]
    #[serde(alias = "py")]
    Python,
}

/// Contents of `guest.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestFile {
    name: Spanned<String>,
    #[serde(rename = "type")]
    kind: GuestType,
    #[serde(rename = "lang")]
    language: GuestLanguage,
    asks: Option<Vec<Spanned<String>>>,
    schema: Option<PathBuf>,
    target: Option<Spanned<String>>,
    #[serde(default)]
    on: Vec<Spanned<String>>,
    config: Option<toml::Table>,
}

/// Folder of a guest.
#[derive(Debug)]
pub(super) struct GuestFolder {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) kind: GuestType,
    pub(super) language: GuestLanguage,
    /// Target that it is built for, in Rust.
    pub(super) target: WasmTarget,
    /// Topics whose messages start it.
    pub(super) on: Vec<String>,
    /// Rights that it asks for, if its language has no other way to say so.
    pub(super) asks: Option<Vec<String>>,
    /// JSON Schema of its configuration, where its language has no other way to say so.
    pub(super) schema: Option<Value>,
    /// Description of its routes, as JSON.
    pub(super) routes: Option<String>,
    /// Configuration of the guest.
    pub(super) config: Option<Value>,
    /// Lines of the configuration.
    pub(super) config_lines: ConfigLines,
}

impl GuestFolder {
    /// Reads what is known of a guest.
    ///
    /// # Errors
    /// The folder is none of a guest.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = path.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{} is not there; `lotmq guest new NAME` makes a folder that has one", file.display());
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let told = || file.display().to_string();
        let read: GuestFile = toml::from_str(&text)
            .map_err(|error| anyhow!(render_toml_error(&text, &error)))
            .with_context(told)?;
        let wrong = |at: Range<usize>, why: &str| anyhow!(at_place(&text, at, why)).context(told());
        // A file that is wrong is no wrong command line.
        check_name(read.name.get_ref()).map_err(|Misuse(why)| wrong(read.name.span(), &why))?;
        let config = read.config.clone().filter(|config| !config.is_empty());
        let config = config.map(serde_json::to_value).transpose().with_context(told)?;
        let GuestFile { name, kind, language, asks, schema, on, .. } = read;
        let at_target = read.target.as_ref().map_or(0..0, Spanned::span);
        let target = target(language, read.target.as_ref().map(|target| target.get_ref().as_str()))
            .map_err(|why| wrong(at_target, &why))?;
        let is_told = asks.is_some() || schema.is_some();
        if language == GuestLanguage::Rust && is_told {
            bail!(
                "{}: a guest in Rust says by `lotmq_guest::manifest!` what it asks for, and what its configuration is",
                told()
            );
        }
        if let Some(filter) = on.iter().find(|filter| topic_filter_valid(filter.get_ref()).is_err()) {
            return Err(wrong(filter.span(), &format!("on: '{}' is no topic filter", filter.get_ref())));
        }
        for grant in asks.iter().flatten() {
            if let Some(problem) = Embedding::grant_problem(grant.get_ref()) {
                return Err(wrong(grant.span(), &format!("asks: {problem}")));
            }
        }
        let inner = |texts: Vec<Spanned<String>>| -> Vec<String> {
            texts.into_iter().map(Spanned::into_inner).collect()
        };
        let (name, on, asks) = (name.into_inner(), inner(on), asks.map(inner));
        let schema = schema.map(|schema| read_schema(&path.join(schema))).transpose()?;
        let routes = read_routes(&path.join(module::FILE), &name, kind)?;
        let config_lines = ConfigLines::read(&text);
        let path = path.to_owned();
        Ok(Self { path, name, kind, language, on, asks, schema, routes, target, config, config_lines })
    }

    /// Returns the path of its component.
    pub(super) fn component(&self) -> PathBuf {
        self.below("target").join(format!("{}.wasm", self.name))
    }

    /// Path of what is in its folder, without the dot of the present one.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) }
    }

    /// The guest as a module, as `deploy` adds it.
    pub(super) fn module(&self, component: Vec<u8>) -> EmbeddedModule {
        EmbeddedModule {
            name: self.name.clone(),
            component,
            on: self.on.clone(),
            config: self.config.clone(),
            options: Vec::new(),
        }
    }
}

/// Reads the schema of a configuration; what is in it, the broker checks.
fn read_schema(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

/// Reads the description of the routes of a guest, and checks it; `None` if its folder has none.
fn read_routes(file: &Path, guest: &str, kind: GuestType) -> anyhow::Result<Option<String>> {
    let place = || file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if kind != GuestType::Route {
        bail!("{}: only a guest of type `route` has this file, not one of type `{}`", place(), kind.name());
    }
    let description: Value = toml::from_str(&text)
        .map_err(|error| anyhow!(render_toml_error(&text, &error)))
        .with_context(place)?;
    let json = description.to_string();
    module::read(json.as_bytes(), guest).with_context(place)?;
    Ok(Some(json))
}

/// Returns the target that a guest is built for.
fn target(language: GuestLanguage, named: Option<&str>) -> Result<WasmTarget, String> {
    let Some(name) = named else { return Ok(WasmTarget::default()) };
    if language != GuestLanguage::Rust {
        return Err("only guests in Rust have a `target`".to_owned());
    }
    let told = || {
        let [unknown, wasip2] = [WasmTarget::Unknown, WasmTarget::Wasip2].map(WasmTarget::name);
        format!("`{name}` is no target of guests: `{unknown}` or `{wasip2}`")
    };
    WasmTarget::of_name(name).ok_or_else(told)
}

/// Refuses what can be no name of a module.
///
/// # Errors
/// The rule, as the broker has it.
pub(super) fn check_name(name: &str) -> Result<(), Misuse> {
    let is_name = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name {
        return Ok(());
    }
    Err(Misuse(format!(
        "`{name}` is no name of a guest: it begins with a lower-case letter and has at most 64 lower-case letters, digits and hyphens"
    )))
}
