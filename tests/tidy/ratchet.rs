//! Ratchet: rules that some files still break, with the count of each file in `ratchet.txt`. Counts
//! only shrink, and a new file starts at 0.
//!
//! `UPDATE=1 cargo test -p tidy` lowers the counts in the list. It raises none, except for a rule
//! that the list does not have yet.

mod ports;
mod prose;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::{assert_none, root};

/// List of counts, from the root.
const LIST: &str = "tests/tidy/ratchet.txt";

const HEAD: &str =
    "# Rule, file, and how often the file may break the rule. Lower it: UPDATE=1 cargo test -p tidy\n";

/// Pages that a program writes. Their texts come from comments.
const GENERATED: [&str; 8] = [
    "docs/codes.md",
    "docs/commands-coverage.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/limits.md",
    "docs/lot-coverage.md",
    "docs/metrics.md",
    "docs/sdk/reference.md",
];

/// Folders with pages.
const PAGE_FOLDERS: [&str; 2] = ["docs", "changes.d"];

/// Rules that no file breaks any more. An update does not take them for new ones.
const FINISHED: [&str; 5] = ["page-cell", "page-first-word", "page-kib", "page-pronoun", "page-sentence"];

/// Counts of violations by rule and file.
type Counts = BTreeMap<(String, String), usize>;

/// Adds violations of a rule in a file.
fn add(counts: &mut Counts, rule: &str, file: &str, count: usize) {
    if count > 0 {
        *counts.entry((rule.to_owned(), file.to_owned())).or_default() += count;
    }
}

fn read(text: &str) -> Counts {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let mut parts = line.split(' ');
        let mut next = || parts.next().unwrap_or_else(|| panic!("{LIST}: {line}")).to_owned();
        let key = (next(), next());
        (key, next().parse().unwrap_or_else(|_| panic!("{LIST}: {line}")))
    };
    lines.map(entry).collect()
}

fn write(counts: &Counts) -> String {
    let mut text = HEAD.to_owned();
    for ((rule, file), count) in counts {
        writeln!(text, "{rule} {file} {count}").unwrap();
    }
    text
}

/// Sentences about files that break a rule more often than listed, or less often.
fn compare(found: &Counts, listed: &Counts) -> Vec<String> {
    let keys: BTreeSet<_> = found.keys().chain(listed.keys()).collect();
    let judged = keys.into_iter().filter_map(|key @ (rule, file)| {
        let of = |counts: &Counts| counts.get(key).copied().unwrap_or(0);
        let (found, listed) = (of(found), of(listed));
        match found.cmp(&listed) {
            std::cmp::Ordering::Greater => Some(format!("{file}: {rule}: {found}, at most {listed}")),
            std::cmp::Ordering::Less => {
                Some(format!("{file}: {rule}: {found} and no more {listed}; lower it with UPDATE=1"))
            }
            std::cmp::Ordering::Equal => None,
        }
    });
    judged.collect()
}

/// The list after an update: the smaller count of both, and all counts of rules that are new.
fn lowered(found: &Counts, listed: &Counts) -> Counts {
    let known: BTreeSet<&str> = listed.keys().map(|(rule, _)| rule.as_str()).chain(FINISHED).collect();
    let counts = found.iter().map(|(key, count)| {
        let is_new_rule = !known.contains(key.0.as_str());
        let most = if is_new_rule { *count } else { listed.get(key).copied().unwrap_or(0) };
        (key.clone(), most.min(*count))
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn no_file_breaks_a_rule_more_often_than_before() {
    let mut found = Counts::new();
    prose::count(&mut found);
    ports::count(&mut found);
    sizes::count(&mut found);
    let path = root().join(LIST);
    let mut listed = read(&std::fs::read_to_string(&path).unwrap_or_default());
    if std::env::var_os("UPDATE").is_some() {
        listed = lowered(&found, &listed);
        std::fs::write(&path, write(&listed)).unwrap();
    }
    assert_none(&compare(&found, &listed));
}

#[test]
fn counts_shrink_and_do_not_grow() {
    let counts = |entries: &[(&str, &str, usize)]| -> Counts {
        let entry =
            |(rule, file, count): &(&str, &str, usize)| (((*rule).to_owned(), (*file).to_owned()), *count);
        entries.iter().map(entry).collect()
    };
    let listed = counts(&[("wide", "a.rs", 3), ("wide", "b.rs", 2), ("wide", "gone.rs", 1)]);
    let found =
        counts(&[("wide", "a.rs", 4), ("wide", "b.rs", 1), ("wide", "new.rs", 1), ("fresh", "a.rs", 5)]);
    assert_eq!(compare(&found, &listed).len(), 5);
    let expected = counts(&[("wide", "a.rs", 3), ("wide", "b.rs", 1), ("fresh", "a.rs", 5)]);
    assert_eq!(lowered(&found, &listed), expected);
    let finished = counts(&[(FINISHED[0], "a.md", 1)]);
    assert_eq!(lowered(&finished, &listed), Counts::new());
    assert_eq!(read(&write(&expected)), expected);
}
