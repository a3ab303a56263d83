//! Citations of statements in Rust sources.

use super::statement::{Id, Version};

/// One statement that a text cites.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Citation {
    pub(super) id: Id,
    /// `violates` stands before it, or before a citation that it continues.
    pub(super) violates: bool,
}

/// A test function with the comments above it.
pub(super) struct Test {
    pub(super) name: String,
    pub(super) text: String,
}

/// How a citation begins, with the version that it is of.
const OPENINGS: [(&str, Version); 2] = [("[MQTT-", Version::V5_0), ("[3.1.1: MQTT-", Version::V3_1_1)];

/// All citations in a text, in its order.
pub(super) fn cited(text: &str) -> Vec<Citation> {
    // Docs escape the brackets.
    let text = text.replace('\\', "");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    let mut violates = false;
    while let Some((start, opening, version)) = next_opening(rest) {
        let before = rest[..start].trim_end_matches(['/', '*', '!', ' ', '\n']);
        let continues = ["", ",", " and", ", and"].contains(&before);
        violates = before.ends_with("iolates") || (violates && continues && !found.is_empty());
        let body = &rest[start + opening.len()..];
        let Some((list, behind)) = body.split_once(']') else { break };
        for number in numbers(list) {
            found.push(Citation { id: Id { version, number }, violates });
        }
        rest = behind;
    }
    found
}

fn next_opening(text: &str) -> Option<(usize, &'static str, Version)> {
    let found =
        OPENINGS.iter().filter_map(|&(opening, version)| Some((text.find(opening)?, opening, version)));
    found.min_by_key(|(start, ..)| *start)
}

/// `3.3.1-9, -10` is 3.3.1-9 and 3.3.1-10.
fn numbers(list: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for part in list.split(',').map(|part| part.trim().trim_start_matches("MQTT-")) {
        match part.strip_prefix('-') {
            Some(number) => found.push(format!("{section}-{number}")),
            None => {
                section = part.rsplit_once('-').map_or(part, |(section, _)| section);
                found.push(part.to_owned());
            }
        }
    }
    found
}

/// A function as it stands in a file.
struct Function<'a> {
    name: &'a str,
    is_test: bool,
    text: String,
}

/// The test functions of a file, each with the functions of the same file that it uses: tables of
/// rows stand in such.
pub(super) fn tests_of(text: &str) -> Vec<Test> {
    let lines: Vec<&str> = text.lines().collect();
    let functions: Vec<Function<'_>> = (0..lines.len()).filter_map(|at| function_at(&lines, at)).collect();
    let tests = functions.iter().filter(|function| function.is_test);
    tests.map(|test| Test { name: test.name.to_owned(), text: with_used(test, &functions) }).collect()
}

/// The function whose first line stands at `at`.
fn function_at<'a>(lines: &[&'a str], at: usize) -> Option<Function<'a>> {
    let head = lines[at].trim_start();
    let name = head.strip_prefix("fn ")?.split(['(', '<']).next()?;
    let belongs = |line: &&&str| {
        let line = line.trim_start();
        (line.starts_with("//") && !line.starts_with("//!")) || line.starts_with("#[")
    };
    let first = at - lines[..at].iter().rev().take_while(belongs).count();
    let end = format!("{}}}", " ".repeat(lines[at].len() - head.len()));
    let last = at + lines[at..].iter().position(|line| *line == end)?;
    let is_test = lines[first..at].iter().any(|line| line.trim() == "#[test]");
    Some(Function { name, is_test, text: lines[first..=last].join("\n") })
}

fn with_used(test: &Function<'_>, functions: &[Function<'_>]) -> String {
    let mut text = test.text.clone();
    let mut left: Vec<&Function<'_>> = functions.iter().filter(|function| !function.is_test).collect();
    while let Some(at) = left.iter().position(|function| text.contains(&format!("{}(", function.name))) {
        text.push_str("\n;\n");
        text.push_str(&left.remove(at).text);
    }
    text
}

#[test]
fn citations_are_read() {
    let read = |text: &str| {
        let all = cited(text).into_iter();
        let all = all.map(|Citation { id, violates }| format!("{}{id}", if violates { "!" } else { "" }));
        all.collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        ("nothing [here] and [MQTT]", ""),
        ("[MQTT-3.3.1-2]", "MQTT-3.3.1-2"),
        (r"/// as \[MQTT-3.3.1-2\] says", "MQTT-3.3.1-2"),
        ("[MQTT-3.3.1-9, -10, MQTT-4.0.0-1]", "MQTT-3.3.1-9 MQTT-3.3.1-10 MQTT-4.0.0-1"),
        ("[3.1.1: MQTT-3.1.2-4, -5] [MQTT-3-8.3-4]", "3.1.1: MQTT-3.1.2-4 3.1.1: MQTT-3.1.2-5 MQTT-3-8.3-4"),
        (
            "violates [MQTT-1.0.0-1, -2], [3.1.1: MQTT-1.0.0-3]",
            "!MQTT-1.0.0-1 !MQTT-1.0.0-2 !3.1.1: MQTT-1.0.0-3",
        ),
        ("violates [MQTT-1.0.0-1]; [MQTT-1.0.0-2]", "!MQTT-1.0.0-1 MQTT-1.0.0-2"),
        ("Violates [MQTT-1.0.0-1]", "!MQTT-1.0.0-1"),
        ("[MQTT-1.0.0-1] violates [MQTT-1.0.0-2]", "MQTT-1.0.0-1 !MQTT-1.0.0-2"),
        ("// violates [MQTT-1.0.0-1],\n    // [MQTT-1.0.0-2] holds", "!MQTT-1.0.0-1 !MQTT-1.0.0-2"),
        ("[MQTT-1.0.0]", "MQTT-1.0.0"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn test_functions_are_found_with_what_they_use() {
    let text = "fn rows() {\n    table()\n}\nfn table() {\n}\nfn other() {\n}\n//! not this\n/// docs\n// more\n#[test]\n#[ignore]\nfn b() {\n    if rows() {\n    }\n}\n\nmacro! {\n    #[test]\n    fn d(x in y) {\n        z\n    }\n}\n";
    let found: Vec<(String, usize)> =
        tests_of(text).into_iter().map(|test| (test.name, test.text.lines().count())).collect();
    // Eight lines of its own, and two functions behind a line each.
    assert_eq!(found, [("b".to_owned(), 8 + 1 + 3 + 1 + 2), ("d".to_owned(), 4)]);
}
