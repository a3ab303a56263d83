//! Test that every command in README and docs is one that this program takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::Cli;
use crate::cmd::separate_command;

/// A command in a page.
struct Written {
    place: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// Commands of a page: in backticks within a line, and lines of blocks of code.
fn written(path: &Path) -> Vec<Written> {
    let page = std::fs::read_to_string(path).unwrap();
    let (mut found, mut is_code) = (Vec::new(), false);
    for (number, line) in page.lines().enumerate() {
        let place = format!("{}:{}", path.strip_prefix(root()).unwrap().display(), number + 1);
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let texts: Vec<&str> = match is_code {
            true => vec![line.trim().trim_start_matches("$ ")],
            false => line.split('`').skip(1).step_by(2).collect(),
        };
        let commands = texts.into_iter().filter(|text| text.starts_with("lotmq "));
        found.extend(commands.map(|text| Written { place: place.clone(), text: text.replace("\\|", "|") }));
    }
    found
}

/// Words of the first command of a line, as a shell has them; `None` if a quotation mark stays
/// open.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, '|' | '>' | '<' | '&' | ';') => break,
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Errors of commands that are shortened, or that ask for help.
const HARMLESS: [ErrorKind; 6] = [
    ErrorKind::MissingRequiredArgument,
    ErrorKind::MissingSubcommand,
    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ErrorKind::DisplayHelp,
    ErrorKind::DisplayVersion,
    ErrorKind::Io,
];

/// Commands that a page names because they are refused.
const REFUSED: [&str; 1] = ["lotmq serve -p 1883"];

/// Why a command is refused. A page may leave out arguments, name files that are not there, and
/// write a word in capital letters for a value.
fn refusal(text: &str) -> Option<String> {
    let words = words(text)?.into_iter().filter(|word| !word.contains('…')).map(OsString::from).collect();
    let error = Cli::try_parse_from(separate_command(words)).err()?;
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => value.clone(),
        Some(_) | None => String::new(),
    };
    let is_placeholder = |value: String| value.chars().all(|letter| letter.is_ascii_uppercase());
    let kind = error.kind();
    let is_value = [ErrorKind::InvalidValue, ErrorKind::ValueValidation].contains(&kind);
    let is_harmless = HARMLESS.contains(&kind)
        || (is_value && is_placeholder(value(ContextKind::InvalidValue)))
        || (kind == ErrorKind::InvalidSubcommand && is_placeholder(value(ContextKind::InvalidSubcommand)));
    (!is_harmless).then(|| error.to_string())
}

#[test]
fn every_command_of_the_pages_is_one_that_is_taken() {
    let mut paths = vec![root().join("README.md")];
    pages(&root().join("docs"), &mut paths);
    let commands: Vec<Written> = paths.iter().flat_map(|path| written(path)).collect();
    assert!(commands.len() > 300, "the pages have commands: {}", commands.len());
    let refused: Vec<String> = commands
        .iter()
        .filter(|written| !REFUSED.contains(&&*written.text))
        .filter_map(|Written { place, text }| Some(format!("{place}: `{text}`: {}", refusal(text)?)))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn a_command_that_is_not_taken_is_found() {
    for (text, is_refused) in [
        ("lotmq pub config/limit 80 --retain", true),
        ("lotmq pub -t config/limit -m 80 -r", false),
        ("lotmq nothing", true),
        ("lotmq cmd -listRules | head", false),
        ("lotmq sub", false),
    ] {
        assert_eq!(refusal(text).is_some(), is_refused, "{text}");
    }
}
