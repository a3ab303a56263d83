//! A statement of LoT is one file and its lines in the registry: nothing else in the compiler knows
//! it.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::files::{Source, sources};
use crate::syntax::{File, Look, Walk, crates};

/// Folder of the statements.
const FOLDER: &str = "lot-to-wasm/src/statement";

/// Files that know single statements, by their nodes or by their words: Models, Rules and panels,
/// which are made of some or share words with them; what editors know of names behind a word;
/// mistakes that are common. New statements belong into none of them.
const KNOWN_ELSEWHERE: &[(&str, &[&str])] = &[
    ("lot-to-wasm/src/check/empty.rs", &["keep", "publish_topic"]),
    ("lot-to-wasm/src/check/model/instance.rs", &["instances", "set"]),
    (
        "lot-to-wasm/src/check/model/instance/publish.rs",
        &["if_else", "keep", "publish_topic", "split_message"],
    ),
    ("lot-to-wasm/src/check/model/instance/store.rs", &["if_else", "to_route"]),
    ("lot-to-wasm/src/check/route/misspelt.rs", &["for_each"]),
    ("lot-to-wasm/src/check/rule.rs", &["if_else", "verdict"]),
    (
        "lot-to-wasm/src/editor/proposal.rs",
        &[
            "call_action",
            "call_python",
            "call_route",
            "delete",
            "if_else",
            "keep",
            "loop_until",
            "publish_topic",
            "set",
            "switch",
            "trigger_event",
        ],
    ),
    (
        "lot-to-wasm/src/editor/reference.rs",
        &["call_action", "call_python", "call_route", "publish_topic", "set", "trigger_event"],
    ),
    ("lot-to-wasm/src/statement/call_module.rs", &["call_action"]),
    ("lot-to-wasm/src/statement/call_python.rs", &["call_action"]),
    ("lot-to-wasm/src/statement/call_route.rs", &["call_action"]),
    ("lot-to-wasm/src/statement/dispatch.rs", &["call_action", "publish_topic"]),
    ("lot-to-wasm/src/statement/mistake.rs", &["if_else", "loop_until", "set", "switch"]),
    ("lot-to-wasm/src/statement/publish_model.rs", &["publish_topic"]),
    ("lot-to-wasm/src/statement/switch.rs", &["if_else"]),
    ("lot-to-wasm/src/statement/trigger_event.rs", &["to_route"]),
    ("lot-to-wasm/src/syntax/parse/action.rs", &["if_else"]),
    ("lot-to-wasm/src/syntax/parse/blocks.rs", &["if_else", "loop_until", "switch"]),
    ("lot-to-wasm/src/syntax/parse/expression.rs", &["if_else", "trigger_event"]),
    ("lot-to-wasm/src/syntax/parse/foreign.rs", &["if_else"]),
    ("lot-to-wasm/src/syntax/parse/habit.rs", &["if_else"]),
    ("lot-to-wasm/src/syntax/parse/header.rs", &["call_route", "trigger_event"]),
    ("lot-to-wasm/src/syntax/parse/model.rs", &["keep", "trigger_event"]),
    ("lot-to-wasm/src/syntax/parse/panel.rs", &["set"]),
    (
        "lot-to-wasm/src/syntax/parse/primary.rs",
        &["if_else", "keep", "loop_until", "publish_topic", "set", "switch"],
    ),
    ("lot-to-wasm/src/syntax/parse/rule.rs", &["call_module", "if_else"]),
    ("lot-to-wasm/src/token/layout.rs", &["call_action", "call_route", "if_else", "publish_topic", "switch"]),
    ("lot-to-wasm/src/token/layout/level.rs", &["if_else", "loop_until", "switch"]),
    ("lot-to-wasm/src/token/layout/rest.rs", &["call_python"]),
    ("lot-to-wasm/src/token/lexer.rs", &["if_else", "loop_until"]),
    ("lot-to-wasm/src/trigger/mod.rs", &["publish_topic"]),
];

/// A statement: its file's name, its name in the enumerations of both trees, and its words.
struct Statement {
    module: String,
    name: String,
    words: Vec<String>,
}

/// The rows of the registry, `module::Name`, in the order of the file.
fn statements() -> Vec<Statement> {
    let all = sources();
    let text = |name: &str| {
        let path = format!("{FOLDER}/{name}.rs");
        let source = all.iter().find(|source| source.path.to_str() == Some(&path));
        source.unwrap_or_else(|| panic!("{path} is there")).text.clone()
    };
    let registry = text("mod");
    let (_, rows) = registry.split_once("\nstatements! {").expect("the registry lists the statements");
    let rows = rows.lines().take_while(|line| *line != "}").filter_map(|line| line.trim().split_once("::"));
    let statements: Vec<Statement> = rows
        .map(|(module, rest)| Statement {
            module: module.to_owned(),
            name: rest.split(' ').next().unwrap_or_default().to_owned(),
            words: between(&text(module), "word: \"", "\""),
        })
        .collect();
    assert!(statements.len() > 15, "LoT has many statements");
    statements
}

/// Returns all texts between these two.
fn between(text: &str, before: &str, behind: &str) -> Vec<String> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split_once(behind)).map(|(part, _)| part.to_owned()).collect()
}

/// Pairs of names that stand behind each other in some path.
#[derive(Default)]
struct Pairs(BTreeSet<(String, String)>);

impl Look for Pairs {
    fn path(walk: &mut Walk<Self>, segments: &[String]) {
        let pairs = segments.windows(2).filter_map(|pair| match pair {
            [one, other] => Some((one.clone(), other.clone())),
            _ => None,
        });
        walk.found.0.extend(pairs);
    }
}

impl Statement {
    /// Whether a file of the compiler names its module or its node.
    fn is_named_in(&self, file: &File) -> bool {
        let above = ["statement", "super"];
        let is_module = |one: &str| above.contains(&one) && (one != "super" || file.path.starts_with(FOLDER));
        let is_tree = |one: &str| ["StatementKind", "CheckedKind", "statement"].contains(&one);
        Walk::over(file, Pairs::default()).0.iter().any(|(one, other)| {
            (is_module(one) && *other == self.module) || (is_tree(one) && *other == self.name)
        })
    }

    /// Whether one of its words is a text of its own in a file.
    fn is_spelt_in(&self, source: &Source) -> bool {
        let text = source.text_without_tests();
        self.words.iter().any(|word| text.contains(&format!("\"{word}\"")))
    }

    /// Whether it is this file's own, or the registry's, business.
    fn owns(&self, path: &str) -> bool {
        path == format!("{FOLDER}/{}.rs", self.module) || path == format!("{FOLDER}/mod.rs")
            // Its words, and what it makes of it, are its own business too.
            || path.starts_with(&format!("{FOLDER}/{}/", self.module))
    }
}

/// Files with the statements that they know, of which they are not the file.
fn known_elsewhere() -> BTreeSet<(String, String)> {
    let statements = statements();
    let mut found = BTreeSet::new();
    let crates = crates();
    let files = crates.get("lot-to-wasm").expect("the compiler is there");
    for statement in &statements {
        let named = files.iter().filter(|file| statement.is_named_in(file)).map(|file| file.path.clone());
        found.extend(named.map(|path| (path, statement.module.clone())));
    }
    for source in sources().iter().filter(|source| !source.is_test()) {
        let path = source.path.to_str().unwrap();
        if !path.starts_with("lot-to-wasm/src/") {
            continue;
        }
        let spelt = statements.iter().filter(|statement| statement.is_spelt_in(source));
        found.extend(spelt.map(|statement| (path.to_owned(), statement.module.clone())));
    }
    found.retain(|(path, module)| {
        let statement = statements.iter().find(|statement| statement.module == *module);
        statement.is_none_or(|statement| !statement.owns(path))
    });
    found
}

#[test]
fn a_statement_is_known_in_its_file_alone() {
    let found = known_elsewhere();
    let listed: BTreeSet<(String, String)> = KNOWN_ELSEWHERE
        .iter()
        .flat_map(|(path, modules)| modules.iter().map(|module| ((*path).to_owned(), (*module).to_owned())))
        .collect();
    let new = found.difference(&listed).map(|(path, module)| {
        format!("{path} knows the statement {module}: what it is for belongs into {FOLDER}/{module}.rs")
    });
    let gone = listed.difference(&found).map(|(path, module)| {
        format!("{path} does not know the statement {module}; take it out of the list of exceptions")
    });
    assert_none(&new.chain(gone).collect::<Vec<_>>());
}
