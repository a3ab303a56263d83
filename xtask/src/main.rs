//! Repository tasks, run as `cargo xtask <task>`.
//!
//! The WebAssembly guests: rebuilding the core modules that are checked in beside their source,
//! with whatever toolchain the machine has. Packages of the broker. The book of the documentation.
//! Nothing here is needed to build or test it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod book;
mod compiler;
mod dist;
mod guest;
mod manifest;
mod page_links;
mod python;
mod rebuild;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lotmq_toolchain::{SourceStore, Toolchain, WasmTarget, install, wrapped};

const HELP: &str = "\
Repository tasks

usage: cargo xtask guests [NAME…]           rebuild the guests whose sources changed (or the named ones)
       cargo xtask guests --all             rebuild every guest
       cargo xtask guests --check           compare sources and modules with guests/manifest.json; needs no toolchain
       cargo xtask guests --reproduce       rebuild every guest aside and compare byte by byte
       cargo xtask guests --install-toolchain   get what is missing to build guests
       cargo xtask guests --toolchain       say which toolchain would be used
       cargo xtask component CORE OUT       wrap a guest's core module as a component
       cargo xtask dist [PROCESSOR]         build the packages for x86_64 (the default) or aarch64 into target/packages
       cargo xtask dist --built [PROCESSOR] the same of the binary that was built last
       cargo xtask docs                     build the book of docs/ into target/book; needs the program mdbook
";

/// Processor that packages are built for when none is named.
const DEFAULT_PROCESSOR: &str = "x86_64";

fn main() -> ExitCode {
    if let Some(root) = compiler::root_if_called() {
        return compiler::compile(&root, std::env::args_os().skip(1)).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        });
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let asks_for_help = |word: &&str| ["--help", "-h"].contains(word);
    if words.is_empty() || words[0] == "help" || words.iter().any(asks_for_help) {
        print!("{HELP}");
        return Ok(());
    }
    let root = repository_root()?;
    match words.as_slice() {
        ["guests", "--check"] => manifest::check(&root),
        ["guests", "--install-toolchain"] => {
            let toolchain =
                install(place(&sources(&root)), WasmTarget::default(), |what| println!("{what}"))?;
            println!("builds with {}", toolchain.description);
            Ok(())
        }
        ["guests", "--toolchain"] => {
            println!("{}", wasm_toolchain(&root, WasmTarget::default())?.description);
            Ok(())
        }
        ["guests", "--reproduce"] => rebuild::reproduce(&root),
        ["guests", "--all"] => rebuild::rebuild(&root, rebuild::Which::All),
        ["guests"] => rebuild::rebuild(&root, rebuild::Which::Changed),
        ["guests", names @ ..] if !names.iter().any(|name| is_option(name)) => {
            rebuild::rebuild(&root, rebuild::Which::Named(names))
        }
        ["dist"] => dist::dist(&root, DEFAULT_PROCESSOR, false),
        ["dist", "--built"] => dist::dist(&root, DEFAULT_PROCESSOR, true),
        ["dist", "--built", processor] if !is_option(processor) => dist::dist(&root, processor, true),
        ["dist", processor] if !is_option(processor) => dist::dist(&root, processor, false),
        ["docs"] => book::build(&root),
        ["component", core, out] if !is_option(core) && !is_option(out) => {
            wrap_component(Path::new(core), Path::new(out))
        }
        _ => bail!("unknown task or option: `{}`\n\n{HELP}", words.join(" ")),
    }
}

fn is_option(word: &str) -> bool {
    word.starts_with('-')
}

/// The folder of the workspace's `Cargo.toml`: the parent of this crate's.
fn repository_root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.parent().context("xtask has no parent folder")?.to_path_buf())
}

/// Returns the folder for sources of standard libraries.
fn sources(root: &Path) -> PathBuf {
    root.join("target/guests/toolchain")
}

fn place(sources: &Path) -> SourceStore<'_> {
    SourceStore { folder: sources, install: "cargo xtask guests --install-toolchain" }
}

/// The toolchain that guests are built with.
///
/// # Errors
/// There is none.
fn wasm_toolchain(root: &Path, target: WasmTarget) -> Result<Toolchain> {
    Toolchain::find(place(&sources(root)), target)
}

/// Wraps a core module that carries its world (as `wit-bindgen` embeds it) as a component.
fn wrap_component(core: &Path, out: &Path) -> Result<()> {
    let module = std::fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let component = wrapped(&module).with_context(|| core.display().to_string())?;
    std::fs::write(out, component).with_context(|| format!("cannot write {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_printed_and_unknown_options_are_errors() {
        let run = |words: &str| run(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for help in [
            "help",
            "--help",
            "dist --help",
            "dist -h",
            "dist --built --help",
            "docs --help",
            "guests --help",
        ] {
            assert!(run(help).is_ok(), "{help}");
        }
        for wrong in
            ["dist --bulit", "dist --built --x", "guests --al", "component --x out", "docs --x", "build"]
        {
            let error = run(wrong).unwrap_err().to_string();
            assert!(error.starts_with("unknown task or option"), "{wrong}: {error}");
        }
    }
}
