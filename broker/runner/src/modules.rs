//! Modules that a program has: each a component in a file, with options of `-addModule`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lotmq_server::embedded::{EmbeddedModule, EmbeddedProgram, Embedding};
use serde::Deserialize;

use crate::keys::Keys;

/// Bytes of a component that a broker takes at most.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// Module that a program has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModule {
    /// Its name.
    pub name: String,
    /// File with its component.
    pub file: PathBuf,
    /// Options of `-addModule`, one word each. Without a grant among them, the module gets every
    /// capability that it asks for.
    pub options: Vec<String>,
}

impl NamedModule {
    /// Reads `NAME=FILE` or `NAME=FILE:OPTIONS`, where options begin with a hyphen.
    ///
    /// # Errors
    /// The text has neither form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("expected NAME=FILE.wasm or NAME=FILE.wasm:OPTIONS")?;
        let (file, options) = match rest.find(":-") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        if name.is_empty() || file.is_empty() {
            return Err("expected NAME=FILE.wasm, both not empty".to_owned());
        }
        let options = EmbeddedModule::options_in(options).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), file: file.into(), options })
    }

    /// The configuration among its options.
    pub fn config(&self) -> Option<&str> {
        let at = self.options.iter().position(|option| option.eq_ignore_ascii_case("-config"))?;
        self.options.get(at + 1).map(String::as_str)
    }

    /// Compiles it; a relative path counts from `folder`.
    ///
    /// # Errors
    /// When the file cannot be read, or a broker would refuse its content.
    pub(crate) fn compile(&self, embedding: &Embedding, folder: &Path) -> anyhow::Result<EmbeddedProgram> {
        let component =
            read_component(&folder.join(&self.file)).with_context(|| format!("module {}", self.name))?;
        let (name, options) = (self.name.clone(), self.options.clone());
        let module = EmbeddedModule { name, component, on: Vec::new(), config: None, options };
        Ok(embedding.module(module)?)
    }
}

/// Reads a component.
///
/// # Errors
/// It cannot be read, or is larger than a broker takes.
pub fn read_component(file: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("cannot read {}", file.display());
    let mut component = Vec::new();
    let read = std::fs::File::open(file).with_context(told)?;
    read.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut component).with_context(told)?;
    if component.len() as u64 > COMPONENT_BYTES_MAX {
        bail!("{} has more than {COMPONENT_BYTES_MAX} bytes, which no broker takes", file.display());
    }
    Ok(component)
}

/// Module in a file with cases: the path of its component alone, or a table with it and options.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "toml::Value")]
pub(crate) struct CaseModule {
    file: PathBuf,
    options: Vec<String>,
}

/// The keys of such a table.
const KEYS: [&str; 9] = ["file", "world", "on", "topics", "grant", "net", "config", "memory", "time"];

impl TryFrom<toml::Value> for CaseModule {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let table = match value {
            toml::Value::String(file) => return Ok(Self { file: file.into(), options: Vec::new() }),
            toml::Value::Table(table) => table,
            other @ (toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)) => {
                return Err(format!("a module is the path of a component or a table, found {other}"));
            }
        };
        let mut keys = Keys { table, of: "a module" };
        let file = keys.text("file")?.into();
        let mut options = Vec::new();
        let mut option = |name: &str, value: String| options.extend([format!("-{name}"), value]);
        if let Some(world) = keys.optional_text("world")? {
            option("world", world);
        }
        for name in ["on", "topics", "net"] {
            let listed = keys.texts(name)?;
            if !listed.is_empty() {
                option(name, listed.join(","));
            }
        }
        keys.texts("grant")?.into_iter().for_each(|grant| option("grant", grant));
        if let Some(config) = keys.json("config")? {
            option("config", config);
        }
        for name in ["memory", "time"] {
            if let Some(number) = keys.integer(name)? {
                option(name, number.to_string());
            }
        }
        keys.finish(&[&KEYS])?;
        Ok(Self { file, options })
    }
}

impl CaseModule {
    /// The module of this name.
    pub(crate) fn named(&self, name: &str) -> NamedModule {
        NamedModule { name: name.to_owned(), file: self.file.clone(), options: self.options.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_file_with_options() {
        let named = |file: &str, options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            Ok(NamedModule { name: "m".to_owned(), file: file.into(), options })
        };
        for (text, expected) in [
            ("m=a.wasm", named("a.wasm", &[])),
            ("m=x=y/a:b.wasm", named("x=y/a:b.wasm", &[])),
            ("m=a.wasm:-on raw/#", named("a.wasm", &["-on", "raw/#"])),
            (
                "m=/t/a.wasm:-config {\"a\":-1} -grant \"write:a b\"",
                named("/t/a.wasm", &["-config", "{\"a\":-1}", "-grant", "write:a b"]),
            ),
        ] {
            assert_eq!(NamedModule::parse(text), expected, "{text}");
        }
        for (text, part) in [
            ("a.wasm", "expected NAME=FILE"),
            ("=a.wasm", "not empty"),
            ("m=", "not empty"),
            ("m=:-on a", "not empty"),
            ("m=a.wasm:-on \"a", "quotation mark"),
        ] {
            let error = NamedModule::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_table_says_the_options_of_the_command() {
        let read = |text: &str| {
            let table: toml::Table = text.parse().unwrap();
            CaseModule::try_from(table["m"].clone())
        };
        let plain = read("m = \"a.wasm\"").unwrap().named("m");
        assert_eq!(plain, NamedModule::parse("m=a.wasm").unwrap());
        let all = "m = { file = \"a.wasm\", world = \"route\", on = [\"a\", \"b\"], topics = [\"t/#\"], grant = [\"state\", \"write:x\"], \
                   net = [\"h:1\"], config = { a = [1] }, memory = 2, time = 3 }";
        let command = "m=a.wasm:-world route -on a,b -topics t/# -net h:1 -grant state -grant write:x -config {\"a\":[1]} -memory 2 -time 3";
        assert_eq!(read(all).unwrap().named("m"), NamedModule::parse(command).unwrap());
        for (text, part) in [
            ("m = 1", "a module is the path of a component or a table, found 1"),
            ("m = { on = [\"a\"] }", "a module lacks the key `file`"),
            ("m = { file = \"a\", on = \"a\" }", "`on` is a list of texts, found \"a\""),
            ("m = { file = \"a\", on = [1] }", "`on` is a list of texts"),
            (
                "m = { file = \"a\", config = { t = 07:32:00 } }",
                "`config`: write the time 07:32:00 in quotes",
            ),
            ("m = { file = \"a\", time = \"1\" }", "`time` is a whole number, found \"1\""),
            ("m = { file = \"a\", replace = true }", "unknown key `replace`; known here: `file`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
