//! Words: width of comments, first words and lengths of sentences, pronouns, names.

use super::{Counts, GENERATED, PAGE_FOLDERS, add};
use crate::book::pages;
use crate::details::CELL_MAX;
use crate::files::sources;
use crate::root;
use crate::syntax::{Look, Walk, crates};

/// Most columns of a line with a comment.
const COLUMNS_MAX: usize = 100;

/// Most words of a sentence on a page.
const WORDS_MAX: usize = 25;

/// First words of sentences whose subject is a clause, unless it is a question.
const CLAUSE_WORDS: [&str; 7] = ["What", "Who", "Which", "Where", "Whoever", "Whatever", "Whose"];

/// Pronouns of people. A user is "they", or has a role.
const PRONOUNS: [&str; 4] = ["he", "him", "his", "himself"];

/// Words that no name has: the field has better ones (`words.md` of the project).
const BANNED_NAMES: [&str; 22] = [
    "aside",
    "bell",
    "beside",
    "chance",
    "clockwork",
    "comer",
    "deed",
    "happening",
    "noted",
    "payer",
    "policed",
    "promised",
    "pulse",
    "seat",
    "shown",
    "standing",
    "tending",
    "told",
    "unheard",
    "whoever",
    "withheld",
    "witness",
];

pub(super) fn count(counts: &mut Counts) {
    for source in sources() {
        let file = source.path.to_str().unwrap();
        let is_comment = |line: &&str| line.trim_start().starts_with("//");
        let comments = source.text.lines().filter(is_comment);
        let wide = comments.filter(|line| line.chars().count() > COLUMNS_MAX).count();
        add(counts, "comment-columns", file, wide);
        let sentences = sentences_of(paragraphs_of_comments(&source.text));
        add(
            counts,
            "first-word",
            file,
            sentences.iter().filter(|sentence| begins_with_clause(sentence)).count(),
        );
        add(counts, "pronoun", file, sentences.iter().map(|sentence| pronouns(sentence)).sum());
    }
    for (page, text) in pages(&PAGE_FOLDERS) {
        count_page(&page, &text, counts);
    }
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        count_page(page, &std::fs::read_to_string(root().join(page)).unwrap(), counts);
    }
    for file in crates().into_values().flatten() {
        let found = Walk::over(&file, Names::default());
        add(counts, "name", &file.path, found.0);
    }
}

fn count_page(page: &str, text: &str, counts: &mut Counts) {
    let cells = text.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('|'));
    add(counts, "page-cell", page, cells.filter(|cell| cell.trim().chars().count() > CELL_MAX).count());
    if GENERATED.contains(&page) {
        return;
    }
    let sentences = sentences_of(paragraphs_of_page(text));
    add(counts, "page-first-word", page, sentences.iter().filter(|it| begins_with_clause(it)).count());
    add(counts, "page-pronoun", page, sentences.iter().map(|sentence| pronouns(sentence)).sum());
    let long = sentences.iter().filter(|sentence| words(sentence) > WORDS_MAX).count();
    add(counts, "page-sentence", page, long);
}

/// Texts of comments whose lines follow one another.
fn paragraphs_of_comments(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let text = line.trim_start().strip_prefix("//")?.trim_start_matches(['/', '!']).trim();
        (!text.is_empty() && !is_listed(text)).then(|| text.to_owned())
    };
    paragraphs(text.lines().map(line))
}

/// Paragraphs and list items of a page, without code, tables and headings.
fn paragraphs_of_page(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut starts_item = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        let is_text = !is_code && !is_fence && !line.is_empty() && !line.starts_with(['|', '#', '<']);
        if is_listed(line) {
            starts_item.push(None);
        }
        let text = line.trim_start_matches(['-', '*', ' ']);
        let text =
            text.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok()).map_or(text, |it| it.1);
        starts_item.push(is_text.then(|| text.to_owned()));
    }
    paragraphs(starts_item.into_iter())
}

/// Whether a line begins an item of a list, or a table or heading in a comment.
fn is_listed(line: &str) -> bool {
    line.starts_with("- ")
        || line.starts_with("* ")
        || line.starts_with(['|', '#'])
        || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

fn paragraphs(lines: impl Iterator<Item = Option<String>>) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in lines {
        match line {
            Some(line) => {
                let open = found.last_mut().unwrap();
                open.push_str(&line);
                open.push(' ');
            }
            None => found.push(String::new()),
        }
    }
    found.retain(|paragraph| !paragraph.trim().is_empty());
    found
}

/// Sentences: they end with a mark before a space and a capital letter, or with the paragraph.
fn sentences_of(paragraphs: Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in paragraphs {
        let signs: Vec<char> = paragraph.trim().chars().collect();
        let mut from = 0;
        for at in 0..signs.len() {
            let ends = matches!(signs[at], '.' | '?' | '!' | ':') && signs.get(at + 1) == Some(&' ');
            let begins =
                signs.get(at + 2).is_some_and(|sign| sign.is_uppercase() || ['`', '[', '*'].contains(sign));
            if ends && begins {
                found.push(signs[from..=at].iter().collect());
                from = at + 2;
            }
        }
        found.push(signs[from..].iter().collect());
    }
    found
}

fn begins_with_clause(sentence: &str) -> bool {
    let first = sentence.split([' ', ',', '’', '\'']).next().unwrap_or_default();
    CLAUSE_WORDS.contains(&first) && !sentence.trim_end().ends_with('?')
}

fn pronouns(sentence: &str) -> usize {
    let words = sentence.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
    words.filter(|word| PRONOUNS.contains(&word.to_lowercase().as_str())).count()
}

/// Words of a sentence; a piece of code is one.
fn words(sentence: &str) -> usize {
    let plain: String =
        sentence.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "code" }).collect();
    plain.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// Names with banned words that are declared.
#[derive(Default)]
struct Names(usize);

fn is_banned(name: &str) -> bool {
    let mut snake = String::new();
    for sign in name.chars() {
        if sign.is_uppercase() {
            snake.push('_');
        }
        snake.extend(sign.to_lowercase());
    }
    snake.split('_').any(|word| BANNED_NAMES.contains(&word))
}

impl Look for Names {
    fn function(walk: &mut Walk<Self>, signature: &syn::Signature, _: &syn::Block) {
        walk.found.0 += usize::from(is_banned(&signature.ident.to_string()));
    }

    fn named_type(walk: &mut Walk<Self>, name: &syn::Ident, _: &syn::Visibility) {
        walk.found.0 += usize::from(is_banned(&name.to_string()));
    }

    fn module(walk: &mut Walk<Self>, name: &str) {
        walk.found.0 += usize::from(is_banned(name));
    }
}

#[test]
fn sentences_end_at_marks_and_each_rule_finds_its_violation() {
    let comment =
        "/// What it is. Who is it?\n/// Which one\n/// of them.\n\n//! He has his key.\nlet x = 1; // no\n";
    let sentences = sentences_of(paragraphs_of_comments(comment));
    assert_eq!(sentences, ["What it is.", "Who is it?", "Which one of them.", "He has his key."]);
    assert_eq!(sentences.iter().filter(|sentence| begins_with_clause(sentence)).count(), 2);
    assert_eq!(sentences.iter().map(|sentence| pronouns(sentence)).sum::<usize>(), 2);
    let page = "# What\n\nA `b c d` e.\n\n| What |\n\n```\nWhat\n```\n\n- One\n  item.\n- Where\n1. Third.\n";
    let sentences = sentences_of(paragraphs_of_page(page));
    assert_eq!(sentences, ["A `b c d` e.", "One item.", "Where", "Third."]);
    assert_eq!(words(&sentences[0]), 3);
    assert!(is_banned("told_in_turn") && is_banned("PayerKey") && !is_banned("stolden"));
}
