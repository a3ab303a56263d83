//! Last build of a guest whose tools cannot tell that nothing has changed: digests of its sources
//! and of the component that was made of them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lotmq_runner::SUFFIX;
use sha2::{Digest as _, Sha256};

use super::build::write;
use super::folder::GuestFolder;
use super::sources::entry;
use super::verify::sha256;

/// Folders of a guest that hold what is made or got, and its cases.
const NOT_SOURCES: [&str; 4] = ["target", "node_modules", "__pycache__", "tests"];

/// Ends of the names of files that no component is made of: cases, the programs that they name,
/// what they play, and signatures.
const NOT_PARTS: [&str; 6] = [SUFFIX, ".lot", ".lotnb", ".jsonl", ".sig", ".md"];

/// File of which the component is made as far as [`parts_of`] says.
const SETTINGS: &str = "guest.toml";

/// Sources of a guest as they are now, and where their last build is remembered.
pub(super) struct LastBuild {
    /// Digest of the sources, in hexadecimal.
    sources: String,
    component: PathBuf,
    memory: PathBuf,
}

impl LastBuild {
    /// Reads the sources of a guest.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn of(guest: &GuestFolder) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        collect(&guest.path, &mut files).with_context(|| format!("cannot read {}", guest.path.display()))?;
        files.sort();
        let mut digest = Sha256::new();
        // The entry depends on the version of this program, and another entry makes another
        // component.
        digest.update(entry(guest.kind, guest.language));
        digest.update(parts_of(guest));
        for file in files {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.strip_prefix(&guest.path).unwrap_or(&file).to_string_lossy().into_owned();
            digest.update(format!("{} {name} {}\n", name.len(), bytes.len()));
            digest.update(&bytes);
        }
        let component = guest.component();
        let memory = component.with_extension("built");
        Ok(Self { sources: data_encoding::HEXLOWER.encode(&digest.finalize()), component, memory })
    }

    /// The component, if it was made of these sources and is what it was then.
    pub(super) fn component(&self) -> Option<Vec<u8>> {
        let memory = std::fs::read_to_string(&self.memory).ok()?;
        let component = std::fs::read(&self.component).ok()?;
        (memory == self.remembered(&component)).then_some(component)
    }

    /// Remembers the component that was made of these sources.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn remember(&self, component: &[u8]) -> anyhow::Result<()> {
        write(&self.memory, self.remembered(component).as_bytes())
    }

    fn remembered(&self, component: &[u8]) -> String {
        format!("sources {}\ncomponent {}\n", self.sources, sha256(component))
    }
}

/// Returns the parts of `guest.toml` that are in the component: its world, the rights that it asks
/// for, and the schema of its configuration. Its triggers and its configuration are options of the
/// command that adds it.
fn parts_of(guest: &GuestFolder) -> String {
    format!("{} {:?} {:?}\n", guest.kind.name(), guest.asks, guest.schema)
}

/// Files below a folder that a component may be made of: without what is hidden, made or got.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let is_left_out = NOT_SOURCES.iter().any(|other| name == *other);
        if is_left_out || text.starts_with('.') {
            continue;
        }
        let kind = entry.file_type()?;
        let is_no_part = text == SETTINGS || NOT_PARTS.iter().any(|end| text.ends_with(end));
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() && !is_no_part {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_used_again_while_neither_sources_nor_component_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("guest.toml"), "name = \"a\"\ntype = \"action\"\nlang = \"python\"\n").unwrap();
        std::fs::write(path("guest.py"), "x").unwrap();
        std::fs::create_dir_all(path("target")).unwrap();
        let build = || LastBuild::of(&GuestFolder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(build().component(), None);
        std::fs::write(path("target/a.wasm"), b"wasm").unwrap();
        build().remember(b"wasm").unwrap();
        assert_eq!(build().component().as_deref(), Some(&b"wasm"[..]));
        // Built and hidden files are no sources.
        std::fs::write(path("target/other"), "x").unwrap();
        std::fs::write(path(".cache"), "x").unwrap();
        assert!(build().component().is_some());
        // Neither are its tests, nor the options of the command that adds it.
        std::fs::create_dir_all(path("tests")).unwrap();
        let settings =
            "name = \"a\"\ntype = \"action\"\nlang = \"python\"\non = [\"a/#\"]\n\n[config]\nrate = 1\n";
        for (name, text) in [
            ("cases.test.toml", "x"),
            ("tests/helper.py", "x"),
            ("line.lot", "x"),
            ("line.far.jsonl", "x"),
            ("guest.toml", settings),
        ] {
            std::fs::write(path(name), text).unwrap();
            assert!(build().component().is_some(), "{name}");
        }
        std::fs::write(path("guest.toml"), format!("asks = [\"state\"]\n{settings}")).unwrap();
        assert_eq!(build().component(), None, "it asks for more");
        std::fs::write(path("guest.toml"), settings).unwrap();
        std::fs::write(path("target/a.wasm"), b"cut").unwrap();
        assert_eq!(build().component(), None);
        std::fs::write(path("target/a.wasm"), b"wasm").unwrap();
        for (name, text) in [("guest.py", "y"), ("guest.py", "x"), ("helper.py", "")] {
            std::fs::write(path(name), text).unwrap();
            assert_eq!(build().component().is_some(), (name, text) == ("guest.py", "x"), "{name} {text}");
        }
    }
}
