//! The table of keywords against the parser.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lot_to_wasm::editor::keywords;

/// Words in capital letters that the parser knows, and that are none of the language: it refuses or explains them, or they name tokens and
/// settings of routes.
const OTHERS: [&str; 91] = [
    "ASSIGN",
    "AVERAGE",
    "AVG",
    "BIT",
    "BOOLEAN",
    "BREAK",
    "CATCH",
    "CHAR",
    "CONCAT",
    "CONCATENATE",
    "CONSOLE",
    "CONST",
    "CONTINUE",
    "DATE",
    "DATETIME",
    "DEBUG",
    "DECIMAL",
    "DEDENT",
    "DEF",
    "DELAY",
    "DICT",
    "DIM",
    "ECHO",
    "ELIF",
    "ELSEIF",
    "ELSE_IF",
    "ELSIF",
    "EMIT",
    "ENDIF",
    "END_IF",
    "EVENT",
    "EVENTS",
    "EXIT",
    "EXTRACT_FROM_TOPIC",
    "FOREACH",
    "FORMATS",
    "FUNCTION",
    "GET_TIME_HOUR",
    "INDENT",
    "INT32",
    "INT64",
    "INTEGER",
    "LEAVE",
    "LEN",
    "LET",
    "LIST",
    "LOCAL",
    "LOG",
    "LONG",
    "M",
    "MAP",
    "MAPPING",
    "METADATA",
    "MOD",
    "N",
    "NEWLINE",
    "NOW",
    "NUMBER",
    "NUMERIC",
    "POINTS",
    "PRINT",
    "PRINTLN",
    "R",
    "REAL",
    "RECORD",
    "REM",
    "REPEAT",
    "SAMPLE",
    "SAMPLES",
    "SEND",
    "SHORT",
    "SIZE",
    "SLEEP",
    "STR",
    "SUBSTRING",
    "TAG",
    "TEXT",
    "THAN",
    "THING",
    "THROW",
    "TOOL",
    "TRY",
    "VALIDATE",
    "VALIDATION_FAILURE",
    "VALUE",
    "VALUES",
    "VAR",
    "VARCHAR",
    "WAIT",
    "WHILE",
    "WRITE",
];

/// The words in capital letters among the string literals of the files that parse.
fn words_of_the_parser() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = vec![source.join("syntax/parse.rs")];
    for folder in ["syntax/parse", "statement", "trigger", "function"] {
        let entries = std::fs::read_dir(source.join(folder)).expect("a folder of the compiler");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    let mut words = BTreeSet::new();
    for file in files {
        let text = super::corpus::read(&file).expect("a readable file");
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let literals =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| line.split('"'));
        let is_word = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        words.extend(literals.filter(is_word).map(str::to_owned));
    }
    words
}

#[test]
fn the_table_has_the_words_of_the_parser() {
    let known: BTreeSet<String> = keywords().map(|keyword| keyword.word.to_owned()).collect();
    assert_eq!(known.len(), keywords().count(), "a word stands twice in the table");
    let parsed: BTreeSet<String> =
        words_of_the_parser().into_iter().filter(|word| !OTHERS.contains(&word.as_str())).collect();
    let missing: Vec<_> = parsed.difference(&known).collect();
    let unknown: Vec<_> = known.difference(&parsed).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in the table: {missing:?}; not in the parser: {unknown:?}"
    );
}
