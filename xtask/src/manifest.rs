//! `guests/manifest.json`: which sources each checked-in module was built from, by which toolchain.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::guest::{self, Guest};

/// The manifest: one entry per guest, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Manifest {
    pub(crate) guests: BTreeMap<String, Entry>,
}

/// Record of one checked-in module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// [`Guest::source_hash`] of the sources it was built from.
    pub(crate) sources: String,
    /// SHA-256 of the module.
    pub(crate) module: String,
    /// Compiler and standard library that built it; only the same ones give the same bytes.
    pub(crate) toolchain: String,
}

impl Manifest {
    /// Reads the manifest; an absent one is empty.
    ///
    /// # Errors
    /// A file that is no manifest.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("guests/manifest.json");
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Self::default()) };
        serde_json::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let path = root.join("guests/manifest.json");
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Returns the mistake in one guest's checked-in module, if there is one.
///
/// # Errors
/// Sources that cannot be read.
pub(crate) fn staleness(root: &Path, guest: &Guest, manifest: &Manifest) -> Result<Option<&'static str>> {
    let Some(entry) = manifest.guests.get(&guest.name) else {
        return Ok(Some("has no entry in guests/manifest.json"));
    };
    let Ok(module) = std::fs::read(guest.module()) else { return Ok(Some("has no prebuilt module")) };
    if guest::sha256(&module) != entry.module {
        return Ok(Some("has a prebuilt module that is not the one in guests/manifest.json"));
    }
    if guest.source_hash(root)? != entry.sources {
        return Ok(Some("has sources newer than its prebuilt module"));
    }
    Ok(None)
}

/// Compares all guests with the manifest; needs no toolchain.
///
/// # Errors
/// Names every guest that must be rebuilt.
pub(crate) fn check(root: &Path) -> Result<()> {
    let manifest = Manifest::read(root)?;
    let guests = guest::all(root)?;
    let mut wrong = Vec::new();
    for guest in &guests {
        if let Some(reason) = staleness(root, guest, &manifest)? {
            wrong.push(format!("guest `{}` {reason}", guest.name));
        }
    }
    for name in manifest.guests.keys().filter(|name| guests.iter().all(|guest| guest.name != **name)) {
        wrong.push(format!("guests/manifest.json names `{name}`, which does not exist"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}\nrun `cargo xtask guests`", wrong.join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn prebuilt_modules_belong_to_their_sources() {
        let root = crate::repository_root().unwrap();
        if let Err(error) = super::check(&root) {
            panic!("{error:#}");
        }
    }
}
