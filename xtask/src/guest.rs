//! Guests: a folder with a `cdylib` crate, its sources and the core module checked in beside them,
//! or a folder with a `guest.py` and a packed component.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use lotmq_toolchain::WasmTarget;
use sha2::{Digest, Sha256};

use crate::workspace::WorkspacePart;

/// Folders below which every folder with a `Cargo.toml` is a guest.
const PLACES: [&str; 3] = ["guests", "sdk/examples", "tests/guests"];

/// Folder of the workspace that guests below `guests` and `tests/guests` are members of.
const WORKSPACE: &str = "guests";

/// Folders that are results, not sources.
const RESULTS: [&str; 3] = ["target", "prebuilt", "__pycache__"];

/// Parts of a crate that go into its module, and into those of crates that depend on it. Cases,
/// pages and tests do not.
const OF_CRATE: [&str; 4] = ["Cargo.toml", "build.rs", "src", "wit"];

/// Modules of these names, files and folders, are compiled for tests alone.
const TESTS: [&str; 2] = ["tests.rs", "tests"];

/// One guest of the repository.
pub(crate) struct Guest {
    /// Name of the folder; also the name of the crate and of the module.
    pub(crate) name: String,
    /// Folder of the sources.
    pub(crate) folder: PathBuf,
    pub(crate) language: Language,
}

/// Language of a guest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// A crate; its core module is checked in.
    Rust,
    /// `guest.py`, whose world has the guest's name and is in the folder of that name below `wit`.
    /// Its component holds the interpreter and is checked in packed.
    Python,
}

impl Guest {
    /// Returns the path of the checked-in module.
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

    /// Whether its module is checked in as a component: for guests that the broker has in itself,
    /// and so must not wrap.
    ///
    /// # Errors
    /// A manifest that cannot be parsed.
    pub(crate) fn is_component(&self) -> Result<bool> {
        let said = self.said()?;
        Ok(said.get("component").and_then(toml::Value::as_bool).unwrap_or(false))
    }

    /// Returns the target that it is built for: `target` of its manifest.
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

    /// Returns the further flags of its build: `cfg` of its manifest, for crates that ask for one,
    /// such as `tokio_unstable`.
    ///
    /// # Errors
    /// A manifest that cannot be parsed.
    pub(crate) fn cfgs(&self) -> Result<Vec<String>> {
        let said = self.said()?;
        let named = said.get("cfg").and_then(toml::Value::as_array);
        let names = named.into_iter().flatten().filter_map(toml::Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// Returns the profile that it is built with: `profile` of its manifest, by default `release`.
    ///
    /// # Errors
    /// A manifest that cannot be parsed.
    pub(crate) fn profile(&self) -> Result<String> {
        let said = self.said()?;
        Ok(said.get("profile").and_then(toml::Value::as_str).unwrap_or("release").to_owned())
    }

    /// Returns the table `[package.metadata.guest]` of its manifest.
    fn said(&self) -> Result<toml::Table> {
        let table = self.manifest()?;
        let of_guest = table.get("package").and_then(|package| package.get("metadata")?.get("guest"));
        Ok(of_guest.and_then(toml::Value::as_table).cloned().unwrap_or_default())
    }

    fn manifest(&self) -> Result<toml::Table> {
        let manifest = self.folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        text.parse().with_context(|| format!("cannot parse {}", manifest.display()))
    }

    /// Part of the workspace in `guests` that it is made of; `None` for guests with a workspace of
    /// their own, and for those that are no crate.
    fn workspace(&self, root: &Path) -> Result<Option<WorkspacePart>> {
        if self.language == Language::Python || self.manifest()?.contains_key("workspace") {
            return Ok(None);
        }
        WorkspacePart::read(&root.join(WORKSPACE), &self.name, &self.profile()?).map(Some)
    }

    /// SHA-256, in hexadecimal, over the paths and the contents of its [sources](Self::sources).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn source_hash(&self, root: &Path) -> Result<String> {
        let files = self.sources(root)?;
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

    /// Paths and contents of everything that the module is made of: the compiled files of the crate
    /// and of its path dependencies, its lock file or its [part](WorkspacePart) of the workspace,
    /// and all files of the folders that `[package.metadata.guest] inputs` names.
    ///
    /// # Errors
    /// A manifest that cannot be read or a named input that does not exist.
    pub(crate) fn sources(&self, root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        let workspace = self.workspace(root)?;
        for folder in self.input_folders(root, workspace.as_ref())? {
            if folder.join("Cargo.toml").is_file() {
                OF_CRATE.iter().try_for_each(|part| collect(&folder.join(part), &mut files))?;
            } else {
                collect(&folder, &mut files)?;
            }
        }
        match (self.language, workspace) {
            (Language::Rust, Some(workspace)) => files.extend(workspace.files()?),
            (Language::Rust, None) => collect(&self.folder.join("Cargo.lock"), &mut files)?,
            // The other files are for people.
            (Language::Python, _) => files.retain(|path, _| {
                path.extension().is_some_and(|extension| extension == "py" || extension == "wit")
                    || path.ends_with("requirements.txt")
            }),
        }
        Ok(files)
    }

    /// Files of the repository that a module was made of, as cargo's text about it says, and that
    /// are none of its [sources](Self::sources): a change of them would go unnoticed.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn unnoticed(&self, root: &Path, dep_info: &str) -> Result<Vec<String>> {
        let sources = self.sources(root)?;
        let (_, made_of) = dep_info.split_once(": ").unwrap_or_default();
        let made_of = made_of.lines().next().unwrap_or_default().replace("\\ ", "\0");
        let paths = made_of.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
        let of_repository = |path: &PathBuf| path.starts_with(root) && !path.starts_with(root.join("target"));
        let unnoticed = paths.filter(of_repository).filter(|path| !sources.contains_key(path));
        Ok(unnoticed.map(|path| path.display().to_string()).collect())
    }

    fn input_folders(&self, root: &Path, workspace: Option<&WorkspacePart>) -> Result<BTreeSet<PathBuf>> {
        if self.language == Language::Python {
            return Ok(BTreeSet::from([self.folder.clone(), self.world(root)]));
        }
        let mut found = BTreeSet::new();
        let mut waiting = workspace.map(WorkspacePart::patches).unwrap_or_default();
        waiting.push(self.folder.clone());
        while let Some(folder) = waiting.pop() {
            if !found.insert(folder.clone()) {
                continue;
            }
            waiting.extend(referenced_folders(&folder, workspace)?);
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

/// Returns the folders that a crate's manifest points to: path dependencies, also those that the
/// workspace names, and declared inputs. The parts of `folder` itself are added elsewhere.
fn referenced_folders(folder: &Path, workspace: Option<&WorkspacePart>) -> Result<Vec<PathBuf>> {
    let manifest = folder.join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&manifest) else { return Ok(Vec::new()) };
    let table: toml::Table = text.parse().with_context(|| format!("cannot parse {}", manifest.display()))?;
    let dependencies = ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flatten()
        .filter_map(|(name, dependency)| match dependency.get("path") {
            Some(path) => Some(folder.join(path.as_str()?)),
            None => dependency.get("workspace").and_then(|_| workspace?.dependency(name)),
        });
    let declared = table
        .get("package")
        .and_then(|package| package.get("metadata")?.get("guest")?.get("inputs")?.as_array());
    let declared = declared.into_iter().flatten().filter_map(|path| Some(folder.join(path.as_str()?)));
    dependencies.chain(declared).map(|path| existing(&normalised(&path), &manifest)).collect()
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

/// Adds a file, or all files of a folder but hidden ones, results and tests; nothing where there is
/// nothing.
fn collect(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    if path.is_file() {
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        files.insert(path.to_path_buf(), content);
    }
    if !path.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_result = path.is_dir() && RESULTS.contains(&name.as_str());
        let is_hidden = path.is_file() && name.starts_with('.');
        if !is_result && !is_hidden && !TESTS.contains(&name.as_str()) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one guest, of these files.
    fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Guest) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let guest = all(root.path()).unwrap().pop().unwrap();
        (root, guest)
    }

    const CRATE: [(&str, &str); 14] = [
        (
            "guests/Cargo.toml",
            "[workspace.dependencies]\nown = { path = \"lib/own\" }\n[patch.crates-io]\n\
             patched = { path = \"one/patched\" }\n[profile.release]\n",
        ),
        ("guests/Cargo.lock", "[[package]]\nname = \"one\"\nversion = \"1\"\n"),
        (
            "guests/one/Cargo.toml",
            "[dependencies]\nown.workspace = true\nother = { path = \"../lib/other\" }\n\
             [package.metadata.guest]\ninputs = [\"../../texts\"]\n",
        ),
        ("guests/one/build.rs", ""),
        ("guests/one/src/lib.rs", ""),
        ("guests/one/src/part/deep.rs", ""),
        ("guests/one/wit/world.wit", ""),
        ("guests/one/patched/Cargo.toml", ""),
        ("guests/one/patched/src/lib.rs", ""),
        ("guests/lib/other/src/lib.rs", ""),
        ("guests/lib/own/Cargo.toml", ""),
        ("guests/lib/own/src/lib.rs", ""),
        ("texts/page.md", ""),
        ("texts/cases.test.toml", ""),
    ];

    #[test]
    fn only_sources_of_a_module_change_its_hash() {
        let (root, guest) = repository(&CRATE);
        let hash = || guest.source_hash(root.path()).unwrap();
        let mut before = hash();
        for (path, content) in CRATE {
            // In a file of the workspace a comment does not count.
            let more = if path.starts_with("guests/Cargo") { "source = \"more\"" } else { "# more" };
            std::fs::write(root.path().join(path), format!("{content}{more}")).unwrap();
            let now = hash();
            assert_ne!(now, before, "{path}");
            before = now;
        }
        for path in [
            "guests/one/cases.test.toml",
            "guests/one/one.lot",
            "guests/one/one.far.jsonl",
            "guests/one/guest.toml",
            "guests/one/README.md",
            "guests/one/tests/whole.rs",
            "guests/one/src/tests.rs",
            "guests/one/src/part/tests/cases.rs",
            "guests/one/src/.hidden",
            "guests/one/prebuilt/one.wasm",
            "guests/one/target/x",
            "guests/lib/own/Cargo.lock",
            "guests/lib/README.md",
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "more").unwrap();
            assert_eq!(hash(), before, "{}", path.display());
        }
    }

    #[test]
    fn unhashed_inputs_of_a_module_are_reported() {
        let (root, guest) = repository(&CRATE);
        let root = root.path().to_str().unwrap();
        let made_of = |files: &str| {
            let text = format!("{root}/target/one.wasm: {}\n", files.replace('~', root));
            guest.unnoticed(Path::new(root), &text).unwrap()
        };
        assert!(
            made_of("~/guests/one/src/lib.rs ~/texts/page.md ~/target/out/made.rs /elsewhere/lib.rs")
                .is_empty()
        );
        assert_eq!(
            made_of("~/guests/one/a\\ text.md ~/guests/one/src/lib.rs"),
            [format!("{root}/guests/one/a text.md")]
        );
    }
}
