//! Sizes in bytes and files: a file or a page that takes long to read is split by responsibility.

use std::collections::BTreeMap;

use super::{Counts, GENERATED, PAGE_FOLDERS, add};
use crate::book::pages;
use crate::files::sources;

/// Most bytes of a file without its tests.
const FILE_BYTES_MAX: usize = 32_000;

/// Most bytes of a page.
const PAGE_BYTES_MAX: usize = 30_000;

/// Most files of Rust beside one another in a folder.
const FILES_MAX: usize = 25;

pub(super) fn count(counts: &mut Counts) {
    let mut folders = BTreeMap::<String, usize>::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let bytes = source.text_without_tests().len();
        if bytes > FILE_BYTES_MAX {
            add(counts, "file-kib", source.path.to_str().unwrap(), bytes.div_ceil(1024));
        }
        *folders.entry(source.path.parent().unwrap().to_str().unwrap().to_owned()).or_default() += 1;
    }
    for (folder, files) in folders.iter().filter(|(_, files)| **files > FILES_MAX) {
        add(counts, "folder-files", folder, *files);
    }
    for (page, text) in pages(&PAGE_FOLDERS) {
        if text.len() > PAGE_BYTES_MAX && !GENERATED.contains(&page.as_str()) {
            add(counts, "page-kib", &page, text.len().div_ceil(1024));
        }
    }
}
