//! What a guest is: a folder with a `cdylib` crate, its sources, and the core module checked in beside them; or a folder with a
//! `guest.py`, and a packed component beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use lotmq_toolchain::WasmTarget;
use sha2::{Digest, Sha256};

/// Folders below which every folder with a `Cargo.toml` is a guest.
const PLACES: [&str; 2] = ["guests", "sdk/examples"];

/// Folders inside a crate that are results, not sources.
const RESULTS: [&str; 3] = ["target", "prebuilt", "__pycache__"];

/// One guest of the repository.
pub(crate) struct Guest {
    /// Name of the folder; also the name of the crate and of the module.
    pub(crate) name: String,
    /// Folder of the sources.
    pub(crate) folder: PathBuf,
    pub(crate) language: Language,
}

/// What a guest is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// A crate; its core module is checked in.
    Rust,
    /// `guest.py`, whose world has the guest's name and is in the folder of that name below `wit`. Its component holds the interpreter
    /// and is checked in packed.
    Python,
}

impl Guest {
    /// Where the checked-in module is.
    pub(crate) fn module(&self) -> PathBuf {
        let ending = match self.language {
            Language::Rust => "wasm",
            Language::Python => "wasm.zst",
        };
        self.folder.join("prebuilt").join(format!("{}.{ending}", self.name))
    }

    /// The folder of the world of a guest in Python.
    pub(crate) fn world(&self, root: &Path) -> PathBuf {
        root.join("wit").join(&self.name)
    }

    /// Whether its module is checked in as a component: for guests that the broker has in itself, and so must not wrap.
    ///
    /// # Errors
    /// A manifest that cannot be parsed.
    pub(crate) fn is_component(&self) -> Result<bool> {
        let said = self.said()?;
        Ok(said.get("component").and_then(toml::Value::as_bool).unwrap_or(false))
    }

    /// What it is built for: `target` of its manifest.
    ///
    /// # Errors
    /// A manifest that cannot be parsed, or a target that is none.
    pub(crate) fn target(&self) -> Result<WasmTarget> {
        match self.said()?.get("target").and_then(toml::Value::as_str) {
            None => Ok(WasmTarget::default()),
            Some(name) => {
                WasmTarget::of_name(name).with_context(|| format!("{}: no target `{name}`", self.name))
            }
        }
    }

    /// What it is compiled with besides: `cfg` of its manifest, for crates that ask for one, such as `tokio_unstable`.
    ///
    /// # Errors
    /// A manifest that cannot be parsed.
    pub(crate) fn cfgs(&self) -> Result<Vec<String>> {
        let said = self.said()?;
        let named = said.get("cfg").and_then(toml::Value::as_array);
        let names = named.into_iter().flatten().filter_map(toml::Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// What its manifest says of it below `[package.metadata.guest]`.
    fn said(&self) -> Result<toml::Table> {
        let manifest = self.folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        let table: toml::Table =
            text.parse().with_context(|| format!("cannot parse {}", manifest.display()))?;
        let of_guest = table.get("package").and_then(|package| package.get("metadata")?.get("guest"));
        Ok(of_guest.and_then(toml::Value::as_table).cloned().unwrap_or_default())
    }

    /// SHA-256, in hexadecimal, over the paths and the contents of everything the module is made of: the crate, the
    /// crates it depends on by path, and the folders its `[package.metadata.guest] inputs` names.
    ///
    /// # Errors
    /// A manifest that cannot be read or a named input that does not exist.
    pub(crate) fn source_hash(&self, root: &Path) -> Result<String> {
        let mut files = BTreeMap::new();
        for folder in self.input_folders(root)? {
            collect_files(&folder, &mut files)?;
        }
        if self.language == Language::Python {
            // What else is there is for people.
            files.retain(|path, _| {
                path.extension().is_some_and(|extension| extension == "py" || extension == "wit")
                    || path.ends_with("requirements.txt")
            });
        }
        let mut hash = Sha256::new();
        for (path, content) in files {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            hash.update(relative.to_string_lossy().as_bytes());
            hash.update([0]);
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        Ok(data_encoding::HEXLOWER.encode(&hash.finalize()))
    }

    fn input_folders(&self, root: &Path) -> Result<BTreeSet<PathBuf>> {
        if self.language == Language::Python {
            return Ok(BTreeSet::from([self.folder.clone(), self.world(root)]));
        }
        let mut found = BTreeSet::new();
        let mut waiting = vec![self.folder.clone()];
        while let Some(folder) = waiting.pop() {
            if !found.insert(folder.clone()) {
                continue;
            }
            waiting.extend(referenced_folders(&folder)?);
        }
        Ok(found)
    }
}

/// Every guest, by name.
///
/// # Errors
/// A place that cannot be listed, or two guests of one name.
pub(crate) fn all(root: &Path) -> Result<Vec<Guest>> {
    let mut guests: Vec<Guest> = Vec::new();
    for place in PLACES.map(|place| root.join(place)) {
        let Ok(entries) = std::fs::read_dir(&place) else { continue };
        for entry in entries {
            let folder = entry.with_context(|| format!("cannot list {}", place.display()))?.path();
            let language = if folder.join("Cargo.toml").is_file() {
                Language::Rust
            } else if folder.join("guest.py").is_file() {
                Language::Python
            } else {
                continue;
            };
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if guests.iter().any(|guest| guest.name == name) {
                bail!("two guests are called `{name}`");
            }
            guests.push(Guest { name, folder, language });
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Folders that a crate's manifest points to: path dependencies and declared inputs. Files below `folder` come by themselves.
fn referenced_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let manifest = folder.join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&manifest) else { return Ok(Vec::new()) };
    let table: toml::Table = text.parse().with_context(|| format!("cannot parse {}", manifest.display()))?;
    let mut named: Vec<&str> = ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flat_map(|dependencies| dependencies.values())
        .filter_map(|dependency| dependency.get("path")?.as_str())
        .collect();
    let declared = table
        .get("package")
        .and_then(|package| package.get("metadata")?.get("guest")?.get("inputs")?.as_array());
    named.extend(declared.into_iter().flatten().filter_map(toml::Value::as_str));
    named.into_iter().map(|path| existing(&normalised(&folder.join(path)), &manifest)).collect()
}

fn existing(path: &Path, manifest: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        return Ok(path.to_path_buf());
    }
    bail!("{} names {}, which is no folder", manifest.display(), path.display())
}

/// Removes `..` without asking the file system, so that hashes do not depend on symbolic links.
fn normalised(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => result.push(part),
        }
    }
    result
}

fn collect_files(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !RESULTS.contains(&name.as_str()) {
                collect_files(&path, files)?;
            }
        } else if !name.starts_with('.') {
            let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(path, content);
        }
    }
    Ok(())
}
