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
    /// What it is inside: `lotmq`, or names of guests.
    pub(crate) inside: BTreeSet<String>,
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
    let features = ["--no-default-features", "--features", "quic", "--filter-platform", target.triple()];
    add(&mut packages, "lotmq", &root.join("broker/cli"), &root.join("Cargo.lock"), &features)?;
    let lock = root.join("guests/Cargo.lock");
    for guest in guests(root)? {
        let name = guest.file_name().context("a guest has a name")?.to_string_lossy().into_owned();
        add(&mut packages, &name, &guest, &lock, &["--filter-platform", GUEST_PLATFORM])?;
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

fn add(packages: &mut Packages, inside: &str, folder: &Path, lock: &Path, options: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]);
    cargo.arg(folder.join("Cargo.toml")).args(options);
    let output = cargo.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata for {inside}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let checksums =
        checksums(&fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?)?;
    for package in linked(metadata)? {
        // Our own crates are under our own licences.
        if package.source.is_none() {
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
        known.inside.insert(inside.to_owned());
    }
    Ok(())
}

/// What of cargo's answer is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Described {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for what lies in the repository.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
    root: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for a dependency of the code, else `dev` or `build`.
    kind: Option<String>,
}

/// What the root is linked with: neither tests' dependencies nor those of build scripts.
fn linked(metadata: Metadata) -> Result<Vec<Described>> {
    let root = metadata.resolve.root.context("cargo metadata names no root")?;
    let edges: BTreeMap<&str, &Vec<Edge>> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), &node.deps)).collect();
    let (mut found, mut open) = (BTreeSet::from([root.as_str()]), vec![root.as_str()]);
    while let Some(id) = open.pop() {
        for edge in edges.get(id).into_iter().copied().flatten() {
            if edge.dep_kinds.iter().any(|kind| kind.kind.is_none()) && found.insert(&edge.pkg) {
                open.push(&edge.pkg);
            }
        }
    }
    let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
    Ok(metadata.packages.into_iter().filter(|package| found.contains(&package.id)).collect())
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
    fn what_is_linked_is_found_and_what_only_builds_or_tests_is_not() {
        let text = r#"{
            "packages": [
                {"id": "a", "name": "a", "version": "1.0.0", "license": "MIT", "source": null, "manifest_path": "/a/Cargo.toml"},
                {"id": "b", "name": "b", "version": "1.0.0", "license": "MIT", "source": "registry", "manifest_path": "/b/Cargo.toml"},
                {"id": "c", "name": "c", "version": "1.0.0", "license": "MIT", "source": "registry", "manifest_path": "/c/Cargo.toml"},
                {"id": "d", "name": "d", "version": "1.0.0", "license": null, "source": "registry", "manifest_path": "/d/Cargo.toml"}
            ],
            "resolve": {"root": "a", "nodes": [
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b", "deps": [{"pkg": "d", "dep_kinds": [{"kind": "build"}, {"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "c", "deps": []},
                {"id": "d", "deps": []}
            ]}
        }"#;
        let names: Vec<String> = linked(serde_json::from_str(text).unwrap())
            .unwrap()
            .into_iter()
            .map(|package| package.name)
            .collect();
        assert_eq!(names, ["a", "b", "d"]);
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
