//! The release's binary, and what is generated with it: manual pages and completions, by a binary
//! that this machine can run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::dist::elf;
use crate::dist::target::Processor;

/// Shells with a completion, as `lotmq completion` names them.
pub(crate) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Flags of the last step alone. Relocations take a hundredth of what they do otherwise, 1.8 MB
/// less, and musl's start code knows the form. GNU's linker for aarch64 leaves them as they are.
/// `strip` of the profile does not reach a package that has a profile of its own.
const LAST_FLAGS: [&str; 2] = ["-Clink-arg=-Wl,-z,pack-relative-relocs", "-Cstrip=symbols"];

/// Results of a build.
pub(crate) struct Built {
    /// The binary for the packages.
    pub(crate) binary: PathBuf,
    /// Folder of manual pages.
    pub(crate) pages: PathBuf,
    /// Completion of each of the [`SHELLS`].
    pub(crate) completions: Vec<String>,
}

impl Built {
    /// Builds the binary.
    pub(crate) fn make(root: &Path, target: Processor) -> Result<Self> {
        let (compiler, package) = target.compiler();
        if Command::new(compiler).arg("--version").output().is_err() {
            bail!("there is no `{compiler}`: install {package}");
        }
        let triple = target.triple();
        let variable = triple.replace('-', "_");
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root).args(["rustc", "--locked", "--profile", "dist", "--package", "lotmq"]);
        cargo.args(["--bin", "lotmq", "--no-default-features", "--features", "quic", "--target", triple]);
        cargo.env(format!("CC_{variable}"), compiler);
        if let Some(linker) = target.linker() {
            cargo.env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), linker);
        }
        cargo.arg("--").args(LAST_FLAGS);
        let status = cargo.status().context("cannot start cargo")?;
        if !status.success() {
            bail!("{triple} does not build; if its standard library is missing: rustup target add {triple}");
        }
        Self::find(root, target)
    }

    /// Takes the binary that was built before.
    pub(crate) fn find(root: &Path, target: Processor) -> Result<Self> {
        let binary = folder(root, target).join("lotmq");
        if !binary.is_file() {
            bail!("there is no {}: build it first", binary.display());
        }
        let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
        if !elf::is_static(&bytes) {
            bail!("{} needs a loader, and runs nowhere: which linker has linked it?", binary.display());
        }
        let runs = runnable(root, &binary)?;
        let pages = root.join("target/dist-pages");
        if pages.exists() {
            fs::remove_dir_all(&pages).with_context(|| format!("cannot remove {}", pages.display()))?;
        }
        output(Command::new(&runs).arg("man").arg(&pages))?;
        let completion = |shell| output(Command::new(&runs).args(["completion", shell]));
        let completions = SHELLS.into_iter().map(completion).collect::<Result<_>>()?;
        Ok(Self { binary, pages, completions })
    }
}

/// Folder that cargo builds into.
fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

fn folder(root: &Path, target: Processor) -> PathBuf {
    target_folder(root).join(target.triple()).join("dist")
}

/// A binary of the same version that this machine can run: this one, or that of an earlier build.
fn runnable(root: &Path, binary: &Path) -> Result<PathBuf> {
    let others = [folder(root, Processor::X86_64), folder(root, Processor::Aarch64)]
        .map(|folder| folder.join("lotmq"));
    let builds = ["release", "debug"].map(|profile| root.join("target").join(profile).join("lotmq"));
    let wanted = format!("lotmq {}", version(root)?);
    let changed = newest(&root.join("broker"))?;
    // The pages of an earlier build would be those of other options.
    let is_fresh = |other: &PathBuf| changed_at(other).is_ok_and(|built| built >= changed);
    let others = others.into_iter().chain(builds).filter(is_fresh);
    let mut candidates = [binary.to_owned()].into_iter().chain(others);
    let answers = |candidate: &PathBuf| {
        let answer = Command::new(candidate).arg("--version").output();
        let has_pages = Command::new(candidate).args(["man", "--help"]).output();
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).trim() == wanted)
            && has_pages.is_ok_and(|answer| answer.status.success())
    };
    candidates
        .find(answers)
        .context("manual pages are written by a binary of the same sources that runs here: build one for this machine first (cargo build --package lotmq)")
}

/// When a file was written.
fn changed_at(path: &Path) -> Result<SystemTime> {
    let found = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(found.modified()?)
}

/// When the last of the sources in a folder was written.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            newest = newest.max(self::newest(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            newest = newest.max(changed_at(&path)?);
        }
    }
    Ok(newest)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed what is no text"))
}

/// Version of the workspace.
pub(crate) fn version(root: &Path) -> Result<String> {
    let path = root.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let version =
        table["workspace"]["package"]["version"].as_str().context("the workspace has no version")?;
    Ok(version.to_owned())
}

/// Time that files are dated with.
pub(crate) fn time(root: &Path) -> Result<u64> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return time.parse().context("SOURCE_DATE_EPOCH is no number of seconds");
    }
    let time = output(Command::new("git").current_dir(root).args(["log", "-1", "--format=%ct"]))?;
    time.trim().parse().context("git tells no time of the commit")
}
