//! The workspace of guests, `guests/Cargo.toml` and `guests/Cargo.lock`, as one guest depends on
//! it. A change for one guest leaves the modules of the others valid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Part of the workspace that goes into the module of one guest.
pub(crate) struct WorkspacePart {
    folder: PathBuf,
    /// Manifest without members, and without entries about crates and profiles that the guest does
    /// not use.
    manifest: toml::Table,
    lock: Lock,
}

/// A lock file, or the entries of it that one guest depends on.
#[derive(Serialize, Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<LockedPackage>,
}

#[derive(Clone, Serialize, Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    /// Each is a name, with a version if the lock file has several of that name.
    #[serde(default)]
    dependencies: Vec<String>,
}

impl WorkspacePart {
    /// Reads the workspace in `folder` for one guest that is built with `profile`.
    ///
    /// # Errors
    /// A manifest or a lock file that cannot be read.
    pub(crate) fn read(folder: &Path, guest: &str, profile: &str) -> Result<Self> {
        let mut manifest: toml::Table = parsed(&folder.join("Cargo.toml"))?;
        let all: Lock = parsed(&folder.join("Cargo.lock"))?;
        let lock = all.reachable(guest);
        let used: BTreeSet<&str> = lock.names().collect();
        let others: BTreeSet<&str> = all.names().filter(|name| !used.contains(name)).collect();
        let may_matter = |name: &str| !others.contains(name);
        retain(&mut manifest, &["workspace"], |key| key != "members");
        retain(&mut manifest, &["workspace", "dependencies"], may_matter);
        retain(&mut manifest, &["patch", "crates-io"], may_matter);
        retain(&mut manifest, &["profile"], |name| name == "release" || name == profile);
        retain(&mut manifest, &["profile", profile, "package"], may_matter);
        Ok(Self { folder: folder.to_path_buf(), manifest, lock })
    }

    /// Both files by path, each with the content that matters to the guest.
    ///
    /// # Errors
    /// A value that TOML cannot express.
    pub(crate) fn files(&self) -> Result<[(PathBuf, Vec<u8>); 2]> {
        let manifest = toml::to_string(&self.manifest)?;
        let lock = toml::to_string(&self.lock)?;
        Ok([
            (self.folder.join("Cargo.toml"), manifest.into_bytes()),
            (self.folder.join("Cargo.lock"), lock.into_bytes()),
        ])
    }

    /// Folder of a crate that members name by `workspace = true`; `None` for crates of the
    /// registry.
    pub(crate) fn dependency(&self, name: &str) -> Option<PathBuf> {
        let path = self.manifest.get("workspace")?.get("dependencies")?.get(name)?.get("path")?;
        Some(self.folder.join(path.as_str()?))
    }

    /// Folders of the crates that replace those of the registry.
    pub(crate) fn patches(&self) -> Vec<PathBuf> {
        let patches = self.manifest.get("patch").and_then(|patch| patch.get("crates-io")?.as_table());
        let patches = patches.into_iter().flat_map(toml::Table::values);
        let paths = patches.filter_map(|patch| patch.get("path")?.as_str());
        paths.map(|path| self.folder.join(path)).collect()
    }
}

impl Lock {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.package.iter().map(|package| package.name.as_str())
    }

    /// Entries of a package and of all that it depends on.
    fn reachable(&self, name: &str) -> Lock {
        let mut found = BTreeMap::new();
        let mut waiting = vec![name];
        while let Some(wanted) = waiting.pop() {
            let mut words = wanted.split(' ');
            let (name, version) = (words.next(), words.next());
            let is_wanted = |package: &&LockedPackage| {
                name == Some(&package.name) && version.is_none_or(|version| version == package.version)
            };
            for package in self.package.iter().filter(is_wanted) {
                if found.insert((&package.name, &package.version), package).is_none() {
                    waiting.extend(package.dependencies.iter().map(String::as_str));
                }
            }
        }
        Lock { package: found.into_values().cloned().collect() }
    }
}

/// Removes keys of the table at `path` that are not wanted. A missing table has none.
fn retain(table: &mut toml::Table, path: &[&str], is_wanted: impl Fn(&str) -> bool) {
    let Some((first, rest)) = path.split_first() else {
        table.retain(|key, _| is_wanted(key));
        return;
    };
    if let Some(below) = table.get_mut(*first).and_then(toml::Value::as_table_mut) {
        retain(below, rest, is_wanted);
    }
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        [workspace]
        members = ["one", "two"]
        [workspace.package]
        edition = "2024"
        [workspace.dependencies]
        first = { path = "lib/first" }
        second = "1"
        [patch.crates-io]
        third = { path = "third" }
        [profile.dev]
        debug = false
        [profile.release]
        lto = true
        [profile.small]
        opt-level = "z"
        [profile.small.package]
        second.opt-level = 3
        third.opt-level = 3
    "#;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "one"
        version = "0.1.0"
        dependencies = ["first", "second 1.0.0"]
        [[package]]
        name = "two"
        version = "0.1.0"
        dependencies = ["second 2.0.0", "third"]
        [[package]]
        name = "first"
        version = "0.1.0"
        [[package]]
        name = "second"
        version = "1.0.0"
        checksum = "aa"
        [[package]]
        name = "second"
        version = "2.0.0"
        checksum = "bb"
        [[package]]
        name = "third"
        version = "0.5.0"
    "#;

    /// Part of a guest after `from` became `to` in one of the files.
    fn part(guest: &str, profile: &str, (from, to): (&str, &str)) -> WorkspacePart {
        let folder = tempfile::tempdir().unwrap();
        assert!(MANIFEST.contains(from) || LOCK.contains(from), "{from}");
        std::fs::write(folder.path().join("Cargo.toml"), MANIFEST.replace(from, to)).unwrap();
        std::fs::write(folder.path().join("Cargo.lock"), LOCK.replace(from, to)).unwrap();
        let mut part = WorkspacePart::read(folder.path(), guest, profile).unwrap();
        part.folder = PathBuf::new();
        part
    }

    #[test]
    fn change_for_one_guest_leaves_the_others_valid() {
        let files = |guest, profile, change| part(guest, profile, change).files().unwrap();
        for (change, one_changes, two_changes) in [
            (("\"2024\"", "\"2027\""), true, true),
            (("lto = true", "lto = false"), true, true),
            (("lib/first", "lib/other"), true, false),
            (("\"aa\"", "\"cc\""), true, false),
            (("\"bb\"", "\"cc\""), false, true),
            (("second = \"1\"", "second = \"2\""), true, true),
            (("{ path = \"third\" }", "{ path = \"other\" }"), false, true),
            (("\"z\"", "\"s\""), false, true),
            (("third.opt-level = 3", "third.opt-level = 2"), false, true),
            (("debug = false", "debug = true"), false, false),
            (("\"one\", \"two\"", "\"*\""), false, false),
            (("version = 4", "version = 5"), false, false),
        ] {
            let changes = |guest, profile| files(guest, profile, change) != files(guest, profile, ("", ""));
            assert_eq!(changes("one", "release"), one_changes, "one: {change:?}");
            assert_eq!(changes("two", "small"), two_changes, "two: {change:?}");
        }
    }

    #[test]
    fn folders_of_dependencies_and_patches_are_relative_to_the_workspace() {
        let (one, two) = (part("one", "release", ("", "")), part("two", "small", ("", "")));
        assert_eq!(one.dependency("first"), Some(PathBuf::from("lib/first")));
        assert_eq!(one.dependency("second"), None);
        assert!(one.patches().is_empty());
        assert_eq!(two.patches(), [PathBuf::from("third")]);
    }
}
