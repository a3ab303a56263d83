//! The book: `cargo xtask docs` builds the pages of `docs` with mdBook.
//!
//! mdBook reads a copy of `docs`. The book has no files outside of `docs`, so the copy has only the
//! texts of links to them.
//! Not here: the list of pages (`docs/SUMMARY.md`) and the settings of the book (`docs/book.toml`).

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::page_links::drop_outside_links;

/// Folder of the pages, seen from the root.
const PAGES: &str = "docs";

/// Folder of the copy that mdBook reads, seen from the root.
const COPY: &str = "target/book-source";

/// Folder of the finished book, seen from the root.
const BOOK: &str = "target/book";

/// Error of a machine without mdBook.
const NOT_INSTALLED: &str = "the program `mdbook` is not installed; install it with `cargo install --locked mdbook`, \
     or from https://github.com/rust-lang/mdBook/releases";

/// Builds the book into `target/book`, and prints the path of its first page.
///
/// # Errors
/// If `mdbook` is missing or fails, or if a file cannot be read or written.
pub(crate) fn build(root: &Path) -> Result<()> {
    let source = root.join(COPY);
    remove_folder(&source)?;
    copy_pages(root, &source)?;
    let book = root.join(BOOK);
    let started = Command::new("mdbook").arg("build").arg(&source).arg("--dest-dir").arg(&book).status();
    if started.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!(NOT_INSTALLED);
    }
    let status = started.context("cannot start mdbook")?;
    if !status.success() {
        bail!("mdbook ended with {status}");
    }
    println!("{}", book.join("index.html").display());
    Ok(())
}

/// Removes a folder with its files; a folder that does not exist is no error.
fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Copies all files of `docs` into a folder, pages without links that leave `docs`.
fn copy_pages(root: &Path, out: &Path) -> Result<()> {
    let mut files = BTreeSet::new();
    collect_files(root, PAGES, &mut files)?;
    for file in &files {
        let from = root.join(file);
        let mut bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        if file.ends_with(".md") {
            let text = String::from_utf8(bytes).with_context(|| format!("{file} is not UTF-8"))?;
            bytes = drop_outside_links(file, &text, &files).into_bytes();
        }
        let to = out.join(Path::new(file).strip_prefix(PAGES)?);
        let folder = to.parent().context("a file has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// Adds the paths of all files below a folder, seen from the root.
fn collect_files(root: &Path, folder: &str, found: &mut BTreeSet<String>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("cannot read {folder}"))?;
    for entry in entries {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect_files(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copied_page_has_only_links_within_the_pages() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("docs/lot")).unwrap();
        fs::write(root.path().join("docs/tools.md"), "tools").unwrap();
        fs::write(root.path().join("docs/board.json"), "{}").unwrap();
        let page = "[tools](../tools.md), [README](../../README.md), [board](../board.json)";
        fs::write(root.path().join("docs/lot/actions.md"), page).unwrap();
        let out = root.path().join("target/book-source");
        copy_pages(root.path(), &out).unwrap();
        let copied = |file: &str| fs::read_to_string(out.join(file)).unwrap();
        assert_eq!(copied("lot/actions.md"), "[tools](../tools.md), README, [board](../board.json)");
        assert_eq!((&*copied("tools.md"), &*copied("board.json")), ("tools", "{}"));
        remove_folder(&out).unwrap();
        remove_folder(&out).unwrap();
        assert!(!out.exists());
    }
}
