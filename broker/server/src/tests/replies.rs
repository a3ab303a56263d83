//! Snapshot of the replies to the rows of [`verbs`](super::verbs): each success and each refusal,
//! with figures masked. It shows that a change of the code keeps every reply as it was.

use super::verbs::{ROWS, RowTexts, command};
use crate::testing::Running;

/// Characters of a reply that the snapshot has; a checksum stands for the others.
const CHARACTERS_SHOWN: usize = 600;

/// Characters of the replies of which the file has the beginning alone.
const BEGINNING_CHARACTERS: usize = 60;

/// Commands of which the file has the beginning alone: their replies name all verbs, or parts of
/// the machine.
const BEGINNING_ALONE: [&str; 2] = ["-help", "-brokerStatus"];

/// Replaces each word that has a digit by `#`: times, sizes, identifiers and checksums differ from
/// run to run. `#` stands for numbers with a fraction, too. A route that starts counts as one that
/// runs: its thread may be faster than the reply.
fn masked(reply: &str) -> String {
    let mut text = String::new();
    let is_separator = |c: char| !c.is_ascii_alphanumeric();
    for word in reply.split_inclusive(is_separator) {
        let (word, separator) = word.split_at(word.trim_end_matches(is_separator).len());
        let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
        text.push_str(if has_digit { "#" } else { word });
        text.push_str(separator);
    }
    while text.contains("#.#") || text.contains("#-#") {
        text = text.replace("#.#", "#").replace("#-#", "#");
    }
    text.replace("-#", "#").replace(r#""state":"starting""#, r#""state":"running""#)
}

/// FNV-1a checksum of a text.
fn checksum(text: &str) -> u64 {
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Line of the snapshot: beginning of the command, and its reply.
fn line(text: &str, reply: &str) -> String {
    let is_beginning = BEGINNING_ALONE.contains(&text);
    let characters = if is_beginning { BEGINNING_CHARACTERS } else { CHARACTERS_SHOWN };
    let shown: String = masked(reply).chars().take(characters).collect();
    let command: String = text.chars().take(60).collect::<String>().replace('\n', " ");
    let rest = match masked(reply).strip_prefix(&shown) {
        Some("") | None => String::new(),
        Some(_) if is_beginning => "…".to_owned(),
        Some(rest) => format!("… {:016x}", checksum(rest)),
    };
    format!("{command}\t{shown}{rest}\n")
}

/// `UPDATE=1` writes the file.
#[test]
fn replies_are_those_of_the_snapshot() {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/replies.tsv");
    let (running, texts) = (Running::start("none"), RowTexts::new());
    let mut found = String::new();
    for (user, text, _, _) in ROWS {
        let (_, reply, _) = command(&running, user, &texts.fill(text));
        found += &line(text, &reply);
    }
    running.server.stop();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(place, &found).unwrap();
    }
    let expected = std::fs::read_to_string(place).unwrap();
    let wrong: Vec<_> = found.lines().zip(expected.lines()).filter(|(found, line)| found != line).collect();
    assert!(found == expected, "{wrong:#?}");
}

#[test]
fn figures_are_masked_in_a_snapshot() {
    assert_eq!(masked(r#"{"at":"2026-12-01T10:00:00.5Z","n":-1.5}"#), r##"{"at":"#:#:#","n":#}"##);
    assert_eq!(masked("plant-2 is 3 s old."), "plant# is # s old.");
}
