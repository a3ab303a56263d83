//! `lotmq guest build`: from sources to a component.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use lot_route_catalogue::module;
use lotmq_runner::Embedding;
use lotmq_terminal::{Exit, output};
use lotmq_toolchain::{SourceStore, Toolchain, WasmTarget, flags, install, program, remap, wrapped};
use serde_json::{Value, json};

use super::browser_crates;
use super::folder::{GuestFolder, GuestLanguage};
use super::last_build::LastBuild;
use super::{config, other_tools, verify};

/// Command that gets a toolchain, for messages.
const INSTALL: &str = "lotmq guest build";

/// Build a guest.
///
/// In Rust cargo does, for the wasm target that is installed; where there is none, it is got by
/// rustup, and where that cannot be, the standard library is built from its source. In JavaScript
/// and Python componentize-js and componentize-py do, which npm and pip get into the folder, unless
/// nothing has changed since the last time. The component is made here, looked at as a broker does,
/// and written to target/NAME.wasm.
///
/// Exit codes: 0 built, 1 it does not build or a broker would refuse it, 2 wrong usage.
#[derive(Args, Debug)]
pub(super) struct BuildArgs {
    /// Folder of the guest
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Get nothing that is missing of the toolchain, but say what it is
    #[arg(long)]
    no_install: bool,
    /// Print JSON: what `lotmq guest verify --json` prints, with the file
    #[arg(long)]
    json: bool,
}

pub(super) fn build(args: &BuildArgs) -> anyhow::Result<Exit> {
    let guest = GuestFolder::open(&args.folder)?;
    let component = built(&guest, args.no_install)?;
    let embedding = Embedding::new()?;
    verify::check_type(&embedding, &guest, &component)?;
    if args.json {
        output::tell(&verify::as_json(&embedding, &guest.component(), &component)?.to_string())?;
    } else {
        verify::tell(&embedding, &guest.component(), &component)?;
    }
    config::check(&guest, &component)?;
    Ok(Exit::Success)
}

/// Builds the component of a guest, and writes it.
///
/// # Errors
/// There is no toolchain, or it does not build.
pub(super) fn built(guest: &GuestFolder, no_install: bool) -> anyhow::Result<Vec<u8>> {
    // cargo knows by itself what has changed; the other tools take their time for the same again,
    // and never make the same bytes.
    let last_build = || (guest.language != GuestLanguage::Rust).then(|| LastBuild::of(guest)).transpose();
    if let Some(component) = last_build()?.as_ref().and_then(LastBuild::component) {
        output::note(&format!("nothing has changed since {} was built", guest.component().display()));
        return Ok(component);
    }
    let tool = other_tools::got(guest, no_install)?;
    // Behind that: npm writes into the folder which versions it got.
    let remembered = last_build()?;
    let mut component = match guest.language {
        GuestLanguage::Rust => built_by_cargo(guest, no_install)?,
        GuestLanguage::Js => other_tools::javascript(guest)?,
        GuestLanguage::Python => other_tools::python(guest, &tool)?,
    };
    if guest.asks.is_some() || guest.schema.is_some() {
        append_manifest(&mut component, guest);
    }
    if let Some(description) = &guest.routes {
        append_section(&mut component, module::SECTION, description);
    }
    write(&guest.component(), &component)?;
    if let Some(build) = remembered {
        build.remember(&component)?;
    }
    Ok(component)
}

/// Adds to a component what it asks for and what its configuration is, as the macro `manifest!`
/// does in Rust.
fn append_manifest(component: &mut Vec<u8>, guest: &GuestFolder) {
    const NAME: &str = "lotmq:manifest";
    let mut json = json!({ "asks": guest.asks.as_deref().unwrap_or_default() });
    if let Some(schema) = &guest.schema {
        json["configuration"] = schema.clone();
    }
    append_section(component, NAME, &json.to_string());
}

/// Adds a custom section to a component.
fn append_section(component: &mut Vec<u8>, name: &str, content: &str) {
    let mut section = Vec::new();
    append_length(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content.as_bytes());
    // Its kind.
    component.push(0);
    append_length(component, section.len());
    component.extend_from_slice(&section);
}

/// Adds a number as LEB128.
fn append_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            return;
        }
    }
}

fn built_by_cargo(guest: &GuestFolder, no_install: bool) -> anyhow::Result<Vec<u8>> {
    let toolchain = toolchain(guest.target, no_install)?;
    let folder = std::path::absolute(&guest.path)?;
    let mut cargo = cargo(&folder, Some(guest.target))?;
    cargo.args(["rustc", "--release", "--lib", "--message-format", "json-render-diagnostics"]);
    // The same for every guest, so that those with one target directory share what they depend on;
    // what is of this one alone, its own crate gets.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&toolchain)?.join("\u{1f}"));
    cargo.env_remove("RUSTFLAGS");
    toolchain.configure(&mut cargo);
    cargo.arg("--").arg(remap(&folder, "/guest"));
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the guest does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let module = module_of(&messages, &folder)
        .context("cargo has built no module: the crate needs crate-type = [\"cdylib\"]")?;
    let module = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = wrapped(&module);
    match browser_crates::report(&messages, guest.target.name()).filter(|_| component.is_err()) {
        Some(reason) => component.context(reason),
        None => component,
    }
}

/// Cargo in the folder of a guest, with the target directory that its environment or its
/// configuration names, else that of the folder. Says so where what it does for a target, or for
/// this machine, takes long because nothing was built before.
pub(super) fn cargo(folder: &Path, target: Option<WasmTarget>) -> anyhow::Result<Command> {
    let command = || -> anyhow::Result<Command> {
        const TARGET_DIR: &str = "CARGO_TARGET_DIR";
        let mut cargo = Command::new(program("cargo"));
        cargo.current_dir(folder);
        if let Some(named) = std::env::var_os(TARGET_DIR).filter(|named| !named.is_empty()) {
            // Of the folder in which somebody has called us, as it is for cargo.
            cargo.env(TARGET_DIR, std::path::absolute(named)?);
        }
        Ok(cargo)
    };
    let mut asked = command()?;
    asked.args(["metadata", "--format-version", "1", "--no-deps", "--quiet"]);
    let asked = asked.output().context("cannot start cargo, which comes with rustup")?;
    let known = serde_json::from_slice::<Value>(&asked.stdout).ok();
    // If cargo cannot report this, it cannot build either, and the build reports the reason.
    let directory = |name: &str| known.as_ref().and_then(|known| known.get(name)?.as_str());
    // The first is where cargo keeps what it builds, which may be somewhere else; before 1.91 it
    // has no word for that.
    if let Some(directory) = directory("build_directory").or_else(|| directory("target_directory")) {
        let (whom, below) = match target {
            Some(target) => ("WebAssembly", Path::new(target.name()).join("release")),
            None => ("this machine", PathBuf::from("debug")),
        };
        if !Path::new(directory).join(below).join("deps").is_dir() {
            output::note(&format!("compiling for {whom}; the first time this takes minutes"));
        }
    }
    command()
}

/// The file that cargo says to have made of the crate in a folder.
fn module_of(messages: &str, folder: &Path) -> Option<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    let of_crate =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|message| {
            message
                .get("manifest_path")
                .and_then(Value::as_str)
                .is_some_and(|path| same_file(path, &manifest))
        });
    let files = of_crate.filter_map(|message| Some(message.get("filenames")?.as_array()?.clone())).flatten();
    let mut paths = files.filter_map(|file| Some(PathBuf::from(file.as_str()?)));
    paths.find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
}

fn same_file(path: &str, other: &Path) -> bool {
    let (one, other) = (std::fs::canonicalize(path), std::fs::canonicalize(other));
    one.is_ok_and(|one| other.is_ok_and(|other| one == other))
}

/// Whole or not at all: a component that is cut is taken for a broken guest.
pub(super) fn write(path: &Path, component: &[u8]) -> anyhow::Result<()> {
    let told = || format!("cannot write {}", path.display());
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let part = path.with_extension("wasm.part");
    let mut file = std::fs::File::create(&part).with_context(told)?;
    let written = file.write_all(component).and_then(|()| std::fs::rename(&part, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&part))).with_context(told)
}

fn toolchain(target: WasmTarget, no_install: bool) -> anyhow::Result<Toolchain> {
    let folder = sources()?;
    let place = SourceStore { folder: &folder, install: INSTALL };
    let found = Toolchain::find(place, target);
    if found.is_ok() || no_install {
        return found;
    }
    output::note(&format!("rustc cannot build for {} here; getting what is missing", target.name()));
    install(place, target, |what| output::note(&format!("trying {what}")))
}

/// Returns the folder for sources of the standard library that rustup does not know.
fn sources() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("lotmq/toolchain"))
}
