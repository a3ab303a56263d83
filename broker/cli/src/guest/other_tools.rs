//! Building guests in JavaScript and Python: with the tools of their ecosystems, which make
//! components themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use lotmq_terminal::output;

use super::build::write;
use super::folder::{GuestFolder, GuestLanguage, GuestType};
use super::sources::entry;

/// Name of the program that makes components of Python.
const COMPONENTIZE_PY: &str = "componentize-py";

/// Package that makes components of JavaScript.
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js";

/// Why a guest for logins is made in no other language than Rust.
pub(super) const ONLY_RUST: &str =
    "a guest of type auth is made in Rust only: an interpreter would delay each login";

/// Gets what builds a guest, where it is missing; the answer is the program that makes components
/// of its language, if it is not Node.
///
/// # Errors
/// It is missing, and cannot be got.
pub(super) fn got(guest: &GuestFolder, no_install: bool) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(&guest.path)?;
    let is_made = guest.kind != GuestType::Auth || guest.language == GuestLanguage::Rust;
    anyhow::ensure!(is_made, ONLY_RUST);
    match guest.language {
        GuestLanguage::Rust => Ok(PathBuf::new()),
        GuestLanguage::Js => got_by_npm(&folder, no_install).map(|()| PathBuf::new()),
        GuestLanguage::Python => got_by_pip(&folder, no_install),
    }
}

fn got_by_npm(folder: &Path, no_install: bool) -> anyhow::Result<()> {
    // Folders in which Node looks for it: this one, and those above.
    if folder.ancestors().any(|above| above.join("node_modules").join(COMPONENTIZE_JS).is_dir()) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-fund", "--no-audit"]).current_dir(folder);
    install(npm, no_install, "it comes with Node, from version 20 on: https://nodejs.org")
}

/// That of the folder, the one on the path, else the one that pip gets.
fn got_by_pip(folder: &Path, no_install: bool) -> anyhow::Result<PathBuf> {
    let environment = folder.join("target/python");
    let own = environment.join("bin").join(COMPONENTIZE_PY);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path =
        std::env::split_paths(&path).map(|folder| folder.join(COMPONENTIZE_PY)).find(|tool| tool.is_file());
    let tool = match of_path {
        Some(tool) if !own.is_file() => tool,
        _ => own,
    };
    if !tool.is_file() {
        let mut python = Command::new("python3");
        python.args(["-m", "venv"]).arg(&environment);
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(folder.join("requirements.txt"));
        if no_install {
            bail!("what builds the guest is missing; get it by: {}; {}", line_of(&python), line_of(&pip));
        }
        install(
            python,
            no_install,
            "Python 3.10 or later with its module venv is needed, which Debian and Ubuntu have in the package python3-venv",
        )?;
        install(pip, no_install, "it comes with Python")?;
    }
    Ok(tool)
}

/// Builds a guest in JavaScript with Node and its `build.mjs`.
///
/// # Errors
/// Node is not there, or it does not build.
pub(super) fn javascript(guest: &GuestFolder) -> anyhow::Result<Vec<u8>> {
    let folder = std::path::absolute(&guest.path)?;
    made(&folder, |out| {
        let mut node = Command::new("node");
        node.arg("build.mjs").arg(out).arg(written_entry(guest, "entry.js")?);
        node.arg(contract(guest)?).arg(guest.kind.name());
        Ok(node)
    })
}

/// Builds a guest in Python with this componentize-py.
///
/// # Errors
/// It does not build.
pub(super) fn python(guest: &GuestFolder, tool: &Path) -> anyhow::Result<Vec<u8>> {
    let folder = std::path::absolute(&guest.path)?;
    write_bindings(guest, tool, &folder.join(BINDINGS))?;
    made(&folder, |out| {
        let mut componentize = Command::new(tool);
        componentize.env("PYTHONDONTWRITEBYTECODE", "1").args(["--quiet", "--wit-path"]);
        componentize.arg(contract(guest)?).args(["--world", guest.kind.name()]);
        let entry = written_entry(guest, "python-entry/entry.py")?;
        let of_entry = entry.parent().context("the entry lies in a folder")?;
        // Of WASI its libraries want more than a guest has.
        componentize
            .args(["componentize", "--stub-wasi", "--python-path", ".", "--python-path"])
            .arg(of_entry);
        componentize.args(["entry", "--output"]).arg(out);
        Ok(componentize)
    })
}

/// Folder with the modules that a guest in Python imports, for people and their editors: the
/// component has its own.
const BINDINGS: &str = "target/bindings";

/// Writes the bindings of a guest in Python, which name all that it can call.
fn write_bindings(guest: &GuestFolder, tool: &Path, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let mut bindings = Command::new(tool);
    bindings.args(["--quiet", "--wit-path"]).arg(contract(guest)?);
    bindings.args(["--world", guest.kind.name(), "bindings"]).arg(folder);
    let status = bindings.status().with_context(|| format!("cannot start {}", tool.display()))?;
    anyhow::ensure!(status.success(), "componentize-py has written no bindings: {status}");
    Ok(())
}

/// Writes what the component of a guest begins with, which calls the guest.
fn written_entry(guest: &GuestFolder, name: &str) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(&guest.path)?.join("target").join(name);
    write(&path, entry(guest.kind, guest.language).as_bytes())?;
    Ok(path)
}

/// The folder with the contract from which a tool makes its bindings: that of the guest, but for a
/// world that may still change a copy without the marks which say so. componentize-js cannot be
/// told to heed what they are on.
fn contract(guest: &GuestFolder) -> anyhow::Result<PathBuf> {
    const MARK: &str = "@unstable(feature = route)";
    let folder = std::path::absolute(&guest.path)?;
    let own = folder.join("wit");
    if guest.kind != GuestType::Route {
        return Ok(own);
    }
    let copy = folder.join("target/wit");
    let told = |path: &Path| format!("cannot read {}", path.display());
    for file in std::fs::read_dir(&own).with_context(|| told(&own))? {
        let path = file.with_context(|| told(&own))?.path();
        let text = std::fs::read_to_string(&path).with_context(|| told(&path))?;
        let unmarked = text.lines().filter(|line| line.trim() != MARK);
        let unmarked: String = unmarked.flat_map(|line| [line, "\n"]).collect();
        write(&copy.join(path.file_name().unwrap_or_default()), unmarked.as_bytes())?;
    }
    Ok(copy)
}

/// A command as it is typed.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// Gets what is missing; `needs` says what that takes where it fails.
fn install(mut command: Command, no_install: bool, needs: &str) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let line = line_of(&command);
    if no_install {
        bail!("what builds the guest is missing; get it by: {line}");
    }
    output::note(&line);
    let status = command.status().with_context(|| format!("cannot start {program}; {needs}"))?;
    anyhow::ensure!(status.success(), "{line}: {status}; {needs}");
    Ok(())
}

/// The component that a command writes into the file that it is given.
fn made(folder: &Path, command: impl FnOnce(&PathBuf) -> anyhow::Result<Command>) -> anyhow::Result<Vec<u8>> {
    let target = folder.join("target");
    std::fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    let out = target.join("component.part");
    let mut command = command(&out)?;
    let program = command.get_program().display().to_string();
    output::note("making the component, which takes half a minute");
    let status = command.current_dir(folder).status().with_context(|| format!("cannot start {program}"))?;
    anyhow::ensure!(status.success(), "the guest does not build");
    let component = std::fs::read(&out).with_context(|| format!("{program} has written no component"))?;
    std::fs::remove_file(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    Ok(component)
}
