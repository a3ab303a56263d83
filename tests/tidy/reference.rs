//! `docs/lot/reference.md` and `docs/lot/words.md`: the language on one page, and its words, with
//! functions and limits from the tables of the compiler.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use lot_to_wasm::editor::{Family, first_words, keywords};
use lot_to_wasm::function::CALLS;
use lot_to_wasm::{CompileOptions, RULE_SCOPES, Severity};

use crate::details::fold;

const PAGE: &str = include_str!("reference.md");

const WORDS: &str = "\
<!-- generated from the words of the compiler by `UPDATE=1 cargo test -p tidy`; do not edit -->
# Words of LoT

The words are in the order of the compiler. Outside of its place a word is a name like any other. A † marks words that other brokers with LoT may refuse.
[The language on one page](reference.md) shows the words in their statements.

";

/// Families of words with their titles.
const FAMILIES: [(Family, &str); 6] = [
    (Family::Statement, "Entities, triggers, statements and their clauses"),
    (Family::Operator, "Operators"),
    (Family::Value, "Values"),
    (Family::Function, "Functions and transforms"),
    (Family::Type, "Types"),
    (Family::Time, "Times and days"),
];

/// Words that only old or unfinished programs have.
const OTHERS: [&str; 3] = ["TIME", "FLOAT", "NAVIGATE"];

/// Scopes of rules in a line of their list.
const SCOPES_PER_LINE: usize = 5;

/// The page about the language.
pub(crate) fn page() -> String {
    let scopes = RULE_SCOPES.chunks(SCOPES_PER_LINE).map(|scopes| format!("- `{}`", scopes.join("`, `")));
    let scopes: Vec<String> = scopes.collect();
    let page = PAGE
        .replace("{functions}", functions().trim_end())
        .replace("{scopes}", &scopes.join("\n"))
        .replace("{limits}", crate::limits::rows("lot-to-wasm/src").trim_end());
    fold(&page, &[])
}

/// The page about the words.
pub(crate) fn words_page() -> String {
    fold(&format!("{WORDS}{}\n", words().trim_end()), &[])
}

fn functions() -> String {
    let mut rows = String::new();
    for row in CALLS {
        let (example, gives) = row.example;
        let _ = writeln!(rows, "| `{}` | {} | `{example}` | `{gives}` |", row.keyword, count(&row.arguments));
    }
    rows
}

fn count(arguments: &RangeInclusive<usize>) -> String {
    let (least, most) = (arguments.start(), arguments.end());
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

fn words() -> String {
    let mut text = String::new();
    for (family, title) in FAMILIES {
        let _ = write!(text, "## {title}\n\n| word | |\n|---|---|\n");
        for word in keywords().filter(|word| word.family == family) {
            let _ = writeln!(text, "| `{}` | {} |", word.word, word.text.replace('|', "\\|"));
        }
        text.push('\n');
    }
    text
}

/// Programs in the fenced blocks of a page.
fn programs(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix("lot"))
        .filter_map(|block| Some(block.split_once('\n')?.1))
        .collect()
}

/// Each program of the page compiles; `lot_pages` runs them, too.
#[test]
fn programs_of_the_page_compile() {
    let programs = programs(PAGE);
    assert!(programs.len() > 4, "the page has programs");
    for program in programs {
        let found = lot_to_wasm::compile(program, &CompileOptions::default()).all_diagnostics();
        let errors: Vec<_> = found.iter().filter(|found| found.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?} in\n{program}");
    }
}

/// The hand-written part of the page names each statement, trigger and type.
#[test]
fn the_page_tells_of_every_statement_trigger_and_type() {
    let types = keywords().filter(|word| word.family == Family::Type).map(|word| word.word);
    let tells =
        |word: &str| PAGE.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|it| it == word);
    let missing: Vec<&str> =
        first_words().chain(types).filter(|word| !tells(word) && !OTHERS.contains(word)).collect();
    assert!(missing.is_empty(), "the page says nothing of {missing:?}");
}
