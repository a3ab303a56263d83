//! Building guests in JavaScript and Python: with the tools of their ecosystems, which make components themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use lotmq_terminal::output;

use super::build::write;
use super::folder::GuestFolder;
use super::sources::{JS_ENTRY, PYTHON_ENTRY};

/// Name of the program that makes components of Python.
const COMPONENTIZE_PY: &str = "componentize-py";

/// Package that makes components of JavaScript.
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js";

/// Builds a guest in JavaScript with Node and its `build.mjs`.
///
/// # Errors
/// Node is not there, or it does not build.
pub(super) fn javascript(guest: &GuestFolder, no_install: bool) -> anyhow::Result<Vec<u8>> {
    let folder = std::path::absolute(&guest.path)?;
    // Where Node looks for it: here, and in the folders above.
    let is_there = folder.ancestors().any(|above| above.join("node_modules").join(COMPONENTIZE_JS).is_dir());
    if !is_there {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-fund", "--no-audit"]).current_dir(&folder);
        install(npm, no_install)?;
    }
    made(&folder, |out| {
        let mut node = Command::new("node");
        node.arg("build.mjs").arg(out).arg(entry(&folder, "entry.js", JS_ENTRY)?);
        Ok(node)
    })
}

/// Builds a guest in Python with componentize-py: that of the folder, the one on the path, else the one that pip gets.
///
/// # Errors
/// Python is not there, or it does not build.
pub(super) fn python(guest: &GuestFolder, no_install: bool) -> anyhow::Result<Vec<u8>> {
    let folder = std::path::absolute(&guest.path)?;
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
        install(python, no_install)?;
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(folder.join("requirements.txt"));
        install(pip, no_install)?;
    }
    made(&folder, |out| {
        let mut componentize = Command::new(tool);
        componentize.env("PYTHONDONTWRITEBYTECODE", "1").args([
            "--quiet",
            "--wit-path",
            "wit",
            "--world",
            "action",
        ]);
        let entry = entry(&folder, "python-entry/entry.py", PYTHON_ENTRY)?;
        let of_entry = entry.parent().context("the entry lies in a folder")?;
        // Of WASI its libraries want more than a guest has.
        componentize
            .args(["componentize", "--stub-wasi", "--python-path", ".", "--python-path"])
            .arg(of_entry);
        componentize.args(["entry", "--output"]).arg(out);
        Ok(componentize)
    })
}

/// Writes what the component of a guest begins with, which calls the guest.
fn entry(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join("target").join(name);
    write(&path, text.as_bytes())?;
    Ok(path)
}

/// Gets what is missing.
fn install(mut command: Command, no_install: bool) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let line = [program.clone()].into_iter().chain(command.get_args().map(|word| word.display().to_string()));
    let line = line.collect::<Vec<_>>().join(" ");
    if no_install {
        bail!("what builds the guest is missing; get it by: {line}");
    }
    output::note(&line);
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    anyhow::ensure!(status.success(), "{line}: {status}");
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
