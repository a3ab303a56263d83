//! Crates of others that are inside the packages: those of the binary, and those of the guests
//! within it, by the lock files of both workspaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::dist::target::Processor;

/// Platform that guests are resolved for.
const GUEST_PLATFORM: &str = "wasm32-wasip2";

/// A crate of others.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression; empty where the crate names none.
    pub(crate) licence: String,
    /// Folder of its source.
    pub(crate) folder: PathBuf,
    /// SHA-256 of what was fetched, in hexadecimal digits, as the lock file has it.
    pub(crate) checksum: Option<String>,
    /// Programs that it is inside: `lotmq`, or names of guests.
    pub(crate) inside: BTreeSet<String>,
}

/// Binary or guest.
struct Linked<'a> {
    name: String,
    /// Folder of its crate.
    folder: PathBuf,
    lock: PathBuf,
    platform: &'a str,
}

impl Linked<'_> {
    /// Standard output of cargo, asked about the crate.
    fn ask(&self, arguments: &[&str], features: &[&str]) -> Result<String> {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).args(features).args(["--locked", "--manifest-path"]);
        let output = cargo.arg(self.folder.join("Cargo.toml")).output().context("cannot start cargo")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("cargo {} for {}: {}", arguments[0], self.name, error.trim());
        }
        String::from_utf8(output.stdout).context("cargo prints no text")
    }
}

/// By name and version.
pub(crate) type Packages = BTreeMap<(String, String), Package>;

/// Those of the binary for a processor, and of all guests.
///
/// # Errors
/// When a lock file is not what its `Cargo.toml` says, or a source is not there and cannot be
/// fetched.
pub(crate) fn all(root: &Path, target: Processor) -> Result<Packages> {
    let mut packages = Packages::new();
    let binary = Linked {
        name: "lotmq".to_owned(),
        folder: root.join("broker/cli"),
        lock: root.join("Cargo.lock"),
        platform: target.triple(),
    };
    add(&mut packages, &binary, &["--no-default-features", "--features", "quic"])?;
    for folder in guests(root)? {
        let name = folder.file_name().context("a guest has a name")?.to_string_lossy().into_owned();
        let lock = root.join("guests/Cargo.lock");
        add(&mut packages, &Linked { name, folder, lock, platform: GUEST_PLATFORM }, &[])?;
    }
    Ok(packages)
}

/// Folders of guests in Rust that are checked in built.
fn guests(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root.join("guests")).context("cannot read guests")? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() && folder.join("prebuilt").is_dir() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

fn add(packages: &mut Packages, linked: &Linked<'_>, features: &[&str]) -> Result<()> {
    let platform = linked.platform;
    let metadata = ["metadata", "--format-version", "1", "--filter-platform", platform];
    let metadata: Metadata =
        serde_json::from_str(&linked.ask(&metadata, features)?).context("cargo metadata")?;
    // `cargo metadata` unifies the features of all members of a workspace, `cargo tree` does not.
    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", platform];
    let tree = linked.ask(&tree, features)?;
    let versions = versions(&tree);
    let lock = &linked.lock;
    let lock = fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let checksums = checksums(&lock)?;
    for package in metadata.packages {
        let is_linked = versions.contains(&(package.name.as_str(), package.version.as_str()));
        // Our own crates are under our own licences.
        if package.source.is_none() || !is_linked {
            continue;
        }
        let key = (package.name, package.version);
        let known = packages.entry(key.clone()).or_insert_with(|| Package {
            checksum: checksums.get(&key).cloned(),
            name: key.0,
            version: key.1,
            licence: package.license.unwrap_or_default(),
            folder: package.manifest_path.parent().map(Path::to_path_buf).unwrap_or_default(),
            inside: BTreeSet::new(),
        });
        known.inside.insert(linked.name.clone());
    }
    Ok(())
}

/// Part of the output of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for what lies in the repository.
    source: Option<String>,
    manifest_path: PathBuf,
}

/// Names and versions of the crates in the output of `cargo tree`.
fn versions(tree: &str) -> BTreeSet<(&str, &str)> {
    let lines = tree.lines().filter_map(|line| line.split_once(" v"));
    lines.map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default())).collect()
}

/// Checksums of a lock file.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("lock file")?;
    let pairs = lock.package.into_iter();
    Ok(pairs.filter_map(|locked| Some(((locked.name, locked.version), locked.checksum?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_a_tree_have_names_and_versions() {
        let tree = "a-b v0.1.0 (/folder v2)\nc v1.2.3-rc.1+d\n\ne v4.0.0 (proc-macro)\nc v1.2.3-rc.1+d (*)\n";
        let expected = BTreeSet::from([("a-b", "0.1.0"), ("c", "1.2.3-rc.1+d"), ("e", "4.0.0")]);
        assert_eq!(versions(tree), expected);
    }

    #[test]
    fn every_guest_that_is_checked_in_built_is_looked_at() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let guests = guests(root).unwrap();
        assert!(guests.iter().any(|folder| folder.ends_with("route-opcua")), "{guests:?}");
        assert!(guests.iter().any(|folder| folder.ends_with("lot-runtime")), "{guests:?}");
    }

    #[test]
    fn checksums_come_of_the_lock_file() {
        let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"aa\"\n";
        let expected = BTreeMap::from([(("b".to_owned(), "2.0.0".to_owned()), "aa".to_owned())]);
        assert_eq!(checksums(lock).unwrap(), expected);
    }
}
