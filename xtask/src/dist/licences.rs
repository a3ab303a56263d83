//! Licences of what is inside the packages and not ours: who, under what, and each text once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::dist::sources::Packages;

/// Beginnings of the names of licence files, in upper case.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Longest text that is taken for a licence, in bytes.
const TEXT_BYTES_MAX: u64 = 256 * 1024;

/// Parts inside that are no crates: the place of their licence texts in the repository, and a
/// description.
const OTHERS: [(&str, &str); 3] = [
    ("packaging/licences", "musl, the C library (MIT), and Rust's standard library (MIT OR Apache-2.0)"),
    (
        "guests/python/LICENSES",
        "python.wasm.zst: CPython 3.14 (PSF-2.0) with what it incorporates, componentize-py, wasi-libc, LLVM's runtimes",
    ),
    ("guests/route-opcua", "route-opcua: crates under MPL-2.0"),
];

/// Texts, each with the number that it is named by.
#[derive(Default)]
struct Texts {
    numbers: BTreeMap<String, usize>,
    in_order: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: String) -> usize {
        let next = self.in_order.len() + 1;
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.in_order.push(text);
        }
        number
    }

    /// Numbers of the texts of a folder, as a list.
    fn of_folder(&mut self, folder: &Path) -> Result<String> {
        let mut numbers = Vec::new();
        for path in texts(folder)? {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            numbers.push(self.number(normal(&String::from_utf8_lossy(&bytes))).to_string());
        }
        Ok(if numbers.is_empty() { "none of its own".to_owned() } else { numbers.join(", ") })
    }
}

/// The document.
///
/// # Errors
/// When a text cannot be read.
pub(crate) fn document(root: &Path, packages: &Packages) -> Result<String> {
    let mut out = String::from(
        "Software of others inside lotmq and the guests that it carries, with the numbers of its texts, which follow below. lotmq itself is under\n\
         MIT OR Apache-2.0 (LICENSE-MIT, LICENSE-APACHE).\n\n",
    );
    let mut texts = Texts::default();
    for (folder, what) in OTHERS {
        let numbers = texts.of_folder(&root.join(folder))?;
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{what}\n    texts: {numbers}");
    }
    for package in packages.values() {
        let numbers = texts.of_folder(&package.folder)?;
        let inside: Vec<&str> = package.inside.iter().map(String::as_str).collect();
        let licence = if package.licence.is_empty() { "see its text" } else { &package.licence };
        let _ = writeln!(
            out,
            "{} {} ({licence})\n    inside: {}; texts: {numbers}",
            package.name,
            package.version,
            inside.join(", ")
        );
    }
    for (index, text) in texts.in_order.iter().enumerate() {
        let _ = write!(out, "\n---------------------------------------- {}\n\n{text}\n", index + 1);
    }
    Ok(out)
}

/// Files of a folder that hold licences, by name.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_of_licences = folder.ends_with("LICENSES") || folder.ends_with("licences");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_named = is_of_licences || NAMES.iter().any(|start| name.starts_with(start));
        let metadata = entry.metadata()?;
        if is_named && metadata.is_file() && metadata.len() <= TEXT_BYTES_MAX {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The text without what does not change it, so that the same one of two crates is one.
fn normal(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_there_once_and_each_crate_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let crates: Vec<PathBuf> =
            ["one", "other", "bare"].iter().map(|name| folder.path().join(name)).collect();
        for path in &crates {
            fs::create_dir(path).unwrap();
        }
        fs::write(crates[0].join("LICENSE-MIT"), "Permission is granted.\r\n").unwrap();
        fs::write(crates[1].join("license.txt"), "Permission is granted. \n\n").unwrap();
        fs::write(crates[1].join("NOTICE"), "Of somebody.\n").unwrap();
        fs::write(crates[1].join("lib.rs"), "code").unwrap();
        let mut texts = Texts::default();
        let numbers: Vec<String> = crates.iter().map(|path| texts.of_folder(path).unwrap()).collect();
        // In the order of names: NOTICE before license.txt.
        assert_eq!(numbers, ["1", "2, 1", "none of its own"]);
        assert_eq!(texts.in_order, ["Permission is granted.", "Of somebody."]);
    }

    #[test]
    fn non_crate_dependencies_have_licence_texts_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = document(root, &Packages::new()).unwrap();
        assert!(!text.contains("none of its own"), "{text}");
        for part in ["Rich Felker", "PYTHON SOFTWARE FOUNDATION LICENSE", "Mozilla Public License"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
