//! Rules about single files of Rust.

use std::path::{Path, PathBuf};

use crate::{assert_none, root};

/// Hard stop for lines of a file without its tests.
const LINES_MAX: usize = 800;

/// Folders with our Rust code.
const FOLDERS: [&str; 6] = ["broker", "guests", "lot-to-wasm", "sdk", "tests", "xtask"];

/// A file of Rust, with its path from the root.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// Its lines but for items under `#[cfg(test)]`.
    fn lines_without_tests(&self) -> impl Iterator<Item = &str> {
        let mut is_test = false;
        self.text.lines().filter(move |line| {
            let starts_test = *line == "#[cfg(test)]";
            let was_test = is_test || starts_test;
            // An item at the left margin ends with its closing brace there, or, without a body,
            // with a semicolon.
            let ends = *line == "}" || (line.ends_with(';') && !line.starts_with(' '));
            is_test = was_test && !ends;
            !was_test
        })
    }

    /// As [`lines_without_tests`](Self::lines_without_tests), as one text.
    pub(crate) fn text_without_tests(&self) -> String {
        self.lines_without_tests().flat_map(|line| [line, "\n"]).collect()
    }

    /// Whether all of it is test code: tests of a crate, of a module, and the crates under
    /// `tests/`.
    pub(crate) fn is_test(&self) -> bool {
        let has = |name: &str| self.path.components().any(|part| part.as_os_str() == name);
        has("tests")
            || has("benches")
            || has("examples")
            || has("fuzz")
            || self.path.ends_with("tests.rs")
            || self.is_test_module()
    }

    /// Whether the file above declares this one as `#[cfg(test)] mod name;`.
    fn is_test_module(&self) -> bool {
        let Some(name) = self.path.file_stem().and_then(|stem| stem.to_str()) else { return false };
        let folder = root().join(&self.path).parent().unwrap().to_owned();
        let parents = [
            folder.join("lib.rs"),
            folder.join("main.rs"),
            folder.join("mod.rs"),
            folder.with_extension("rs"),
        ];
        parents.iter().filter_map(|parent| std::fs::read_to_string(parent).ok()).any(|text| {
            text.contains(&format!("#[cfg(test)]\nmod {name};"))
                || text.contains(&format!("#[cfg(test)]\npub(crate) mod {name};"))
        })
    }
}

pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in FOLDERS.map(|folder| root().join(folder)).iter().filter(|folder| folder.exists()) {
        collect(folder, &mut found);
    }
    assert!(found.len() > 50, "the repository has many files");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root()).unwrap().to_owned(), text });
        }
    }
}

/// The findings of `judge` in all files, each with its path.
fn findings(judge: impl Fn(&Source) -> Option<String>) -> Vec<String> {
    let judged = |source: &Source| Some(format!("{}: {}", source.path.display(), judge(source)?));
    sources().iter().filter_map(judged).collect()
}

#[test]
fn every_file_opens_with_its_purpose() {
    assert_none(&findings(|source| {
        let has_doc = source.text.starts_with("//! ") || source.text.starts_with("#!");
        // The tests of a module belong to its file, whose docs they share.
        (!has_doc && !source.path.ends_with("tests.rs")).then(|| "does not open with //!".to_owned())
    }));
}

#[test]
fn no_file_is_too_long() {
    assert_none(&findings(|source| {
        let lines = source.lines_without_tests().count();
        (lines > LINES_MAX).then(|| format!("{lines} lines without tests, at most {LINES_MAX}"))
    }));
}

#[test]
fn nothing_unwraps_outside_tests() {
    assert_none(&findings(|source| {
        let says_why = source.text.contains("#![allow(clippy::unwrap_used");
        if source.is_test() || says_why {
            return None;
        }
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let line = source.lines_without_tests().find(|line| is_code(line) && line.contains(".unwrap()"))?;
        Some(format!("unwraps: {}", line.trim()))
    }));
}
