//! The book of the documentation: its summary lists every page once, and links between pages lead
//! somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::{assert_none, root};

/// Page that lists the others, and is none of the book.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Parts of the book, in their order.
const PARTS: [&str; 4] = ["Tutorial", "How-to", "Reference", "Explanation"];

/// Folders whose links are checked, beside the pages at the root.
const FOLDERS: [&str; 5] = ["changes.d", "docs", "editors", "examples", "sdk"];

/// Text of a page by its path from the root.
pub(crate) fn pages(folders: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        collect(folder, &mut found);
    }
    found
}

fn collect(folder: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if entry.file_type().unwrap().is_dir() {
            if !["target", "node_modules"].contains(&&*name) {
                collect(&path, found);
            }
        } else if name.ends_with(".md") {
            found.insert(path, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// Pages at the root of the repository.
fn root_pages() -> BTreeMap<String, String> {
    let names = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"];
    names.map(|name| (name.to_owned(), std::fs::read_to_string(root().join(name)).unwrap())).into()
}

/// Lines of a page that are not in a block of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Targets of the links of a line; text in backticks is skipped.
fn links(line: &str) -> Vec<String> {
    let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
    let targets = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// Anchors of a page: those of its headings, as mdBook and GitHub make them, and those of
/// `<a id="…">`.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut found, mut counts) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for line in prose(page) {
        if let Some(heading) = line.strip_prefix('#') {
            let anchor = anchor(heading.trim_start_matches('#').trim());
            let count = counts.entry(anchor.clone()).or_default();
            found.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
            *count += 1;
        }
        let named = line.split("<a id=\"").skip(1).filter_map(|rest| rest.split_once('"'));
        found.extend(named.map(|(name, _)| name.to_owned()));
    }
    found
}

/// Anchor of a heading: letters in lower case, digits, `-` and `_`, and `-` for each space.
fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || [' ', '-', '_'].contains(sign));
    kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

/// Path from the root that a link of a page names; `None` if it leaves the repository.
fn target(page: &str, link: &str) -> Option<PathBuf> {
    let mut path = Path::new(page).parent().unwrap().to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir if path.file_name().is_none() => return None,
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(path)
}

/// Why a link of a page leads nowhere; `None` if it leads to a file, to a heading or out to the
/// web.
fn fault(page: &str, link: &str, anchors_of: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    if link.contains(':') {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() { PathBuf::from(page) } else { target(page, file)? };
    if !root().join(&path).exists() {
        return Some(format!("{page}: there is no file {link}"));
    }
    let anchors = anchors_of.get(path.to_str().unwrap())?;
    let leads_nowhere = !anchor.is_empty() && !anchors.contains(anchor);
    leads_nowhere.then(|| format!("{page}: there is no heading {link}"))
}

#[test]
fn summary_lists_every_page_once() {
    let pages = pages(&["docs"]);
    let summary = &pages[SUMMARY];
    let mut listed = BTreeMap::<String, usize>::new();
    for link in prose(summary).flat_map(links) {
        *listed.entry(format!("docs/{link}")).or_default() += 1;
    }
    let twice = listed.iter().filter(|(_, count)| **count > 1);
    let twice = twice.map(|(page, _)| format!("{page} is in the summary more than once"));
    let unlisted = pages.keys().filter(|page| *page != SUMMARY && !listed.contains_key(*page));
    let unlisted = unlisted.map(|page| format!("{page} is not in {SUMMARY}"));
    let gone = listed.keys().filter(|page| !pages.contains_key(*page));
    let gone = gone.map(|page| format!("{page} is in the summary and does not exist"));
    assert_none(&twice.chain(unlisted).chain(gone).collect::<Vec<_>>());
    let parts: Vec<&str> = summary.lines().filter_map(|line| line.strip_prefix("# ")).skip(1).collect();
    assert_eq!(parts, PARTS);
}

#[test]
fn links_of_pages_lead_to_files_and_headings() {
    let mut pages = pages(&FOLDERS);
    pages.extend(root_pages());
    let anchors_of: BTreeMap<String, BTreeSet<String>> =
        pages.iter().map(|(path, text)| (path.clone(), anchors(text))).collect();
    let (mut faults, mut count) = (Vec::new(), 0);
    for (page, text) in &pages {
        for link in prose(text).flat_map(links) {
            count += 1;
            faults.extend(fault(page, &link, &anchors_of));
        }
    }
    assert!(count > 500, "the pages have links: {count}");
    assert_none(&faults);
}

#[test]
fn link_that_leads_nowhere_is_found() {
    let anchors_of =
        [("docs/tools.md".to_owned(), anchors("# Tools\n\n## A lost password\n## Exit\n## Exit\n"))];
    let anchors_of = BTreeMap::from(anchors_of);
    for (link, leads_nowhere) in [
        ("tools.md", false),
        ("tools.md#a-lost-password", false),
        ("tools.md#exit-1", false),
        ("tools.md#exit-2", true),
        ("no-such-page.md", true),
        ("../README.md", false),
        ("https://example.com/no-such-page.md", false),
    ] {
        assert_eq!(fault("docs/install.md", link, &anchors_of).is_some(), leads_nowhere, "{link}");
    }
    assert_eq!(links("[a](a.md), `[b](b.md)` and [`c`](c.md#d)"), ["a.md", "c.md#d"]);
    assert_eq!(anchor("Commands and the `$SYS` tree"), "commands-and-the-sys-tree");
}
