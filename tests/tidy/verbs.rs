//! Every verb of commands is sent by a test: each has its row in `docs/commands-coverage.md`, and
//! the tests of the row send it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{assert_none, root};

const PAGE: &str = "docs/commands-coverage.md";
const BEGIN: &str = "<!-- verbs, from the tests; UPDATE=1 writes them -->\n";
const END: &str = "<!-- end of verbs -->";

/// Most tests that a new row names: those that send the fewest other verbs, and so say most of this
/// one.
const NAMED_MAX: usize = 3;

/// Tests that send a verb, by the number of verbs that they send.
type Senders = BTreeSet<(usize, String)>;

fn collect(folder: &Path, senders: &mut BTreeMap<String, Senders>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" {
            collect(&path, senders);
        } else if name.ends_with(".rs") {
            for (test, body) in tests(&std::fs::read_to_string(&path).unwrap()) {
                let sent = sent(&body);
                let of_verb = |verb: &String| (verb.clone(), (sent.len(), test.clone()));
                for (verb, sender) in sent.iter().map(of_verb) {
                    senders.entry(verb).or_default().insert(sender);
                }
            }
        }
    }
}

/// The tests of a file with their texts, each up to the brace in the column of its attribute.
fn tests(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[test]") else { continue };
        let end = format!("{indent}}}");
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        let name = body.iter().find_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next());
        found.extend(name.map(|name| (name.to_owned(), body.join("\n"))));
    }
    found
}

/// Words with a dash in front, in small letters and without further dashes: commands write
/// `-list-users` as well.
fn sent(body: &str) -> BTreeSet<String> {
    let words = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let verb = |word: &str| {
        let verb = word.strip_prefix('-')?.replace('-', "");
        verb.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| verb.to_ascii_lowercase())
    };
    words.filter_map(verb).collect()
}

#[test]
fn every_verb_is_sent_by_a_test() {
    let mut senders = BTreeMap::new();
    for folder in ["broker", "tests"] {
        collect(&root().join(folder), &mut senders);
    }
    let reference = std::fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let verbs: Vec<&str> = reference.lines().filter_map(|line| line.strip_prefix("### -")).collect();
    assert!(verbs.len() > 100, "the reference has the verbs");
    let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, behind) = rest.split_once(END).unwrap();
    let rows: BTreeMap<&str, &str> = written.lines().filter_map(row).collect();
    let (mut table, mut untested) = (String::from("| verb | tests that send it |\n|---|---|\n"), Vec::new());
    for verb in verbs {
        let Some(tests) = senders.get(&verb.to_ascii_lowercase()) else {
            untested.push(format!("no test sends -{verb}"));
            continue;
        };
        // A named test that is still right stays, so that a new test makes no row stale.
        let named = rows.get(verb).copied().unwrap_or_default().split('`').skip(1).step_by(2);
        let mut named: Vec<&str> = named.filter(|name| tests.iter().any(|(_, test)| test == name)).collect();
        if named.is_empty() {
            named.extend(tests.iter().take(NAMED_MAX).map(|(_, test)| test.as_str()));
        }
        table.push_str(&format!("| `-{verb}` | `{}` |\n", named.join("`, `")));
    }
    assert_none(&untested);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root().join(PAGE), format!("{before}{BEGIN}{table}{END}{behind}")).unwrap();
    } else {
        assert_eq!(written, table, "{PAGE} is stale; run `UPDATE=1 cargo test -p tidy`");
    }
}

/// Verb of a row of the table, and its tests.
fn row(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("| `-")?.split_once("` | ")
}

#[test]
fn verbs_of_tests_are_found() {
    let text = "mod tests {\n    #[test]\n    fn a() {\n        go(\"-addUser x\");\n        go(&format!(\"--list-users -LISTENV {x-1}\"));\n    }\n}\n";
    let found = tests(text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "a");
    assert_eq!(sent(&found[0].1).into_iter().collect::<Vec<_>>(), ["adduser", "listenv", "listusers"]);
}
