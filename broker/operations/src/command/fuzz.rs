//! Entry point of a fuzzer: foreign text as a command, parsed in every way that a verb may ask for.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_command`]. Not for
//! production use: it panics by design when a part of a command is not a part of its text.

use std::borrow::Cow;

use super::argument::ArgumentValues;
use super::find;
use crate::command_text::{CommandText, arguments, entity_body, normalized_verb, without_request_id};
use crate::limits::REQUEST_ID_CHARS_MAX;

/// Reads `bytes` as the payload of a command.
pub fn fuzz_command(bytes: &[u8]) {
    let payload = String::from_utf8_lossy(bytes);
    let command = CommandText::new(&payload);
    assert!(!command.verb.contains(char::is_whitespace), "a verb is one word");
    let is_whole = matches!(command.body, Cow::Borrowed(_));
    assert!(!is_whole || payload.contains(&*command.body), "a borrowed body is a part of the payload");
    if let Some(id) = command.request_id {
        assert!(!id.is_empty() && id.chars().count() <= REQUEST_ID_CHARS_MAX, "a request id is bounded");
        assert!(!id.contains(char::is_whitespace), "a request id is one word");
        let again = format!("{} -requestId {id}", command.verb);
        assert_eq!(CommandText::new(&again).request_id, Some(id), "the same id again");
    }
    if let Some(name) = normalized_verb(command.verb) {
        assert!(!name.contains('-') && !name.contains(|letter: char| letter.is_ascii_uppercase()));
        assert_eq!(
            normalized_verb(&format!("-{name}")).as_deref(),
            Some(&*name).filter(|name| !name.is_empty())
        );
        // Either outcome is right; none panics.
        let _ = find(&name).map(|verb| ArgumentValues::parse(verb.arguments, &command.body));
    }
    if let Ok(arguments) = arguments(&command.body) {
        let bytes: usize = arguments.iter().map(String::len).sum();
        assert!(bytes <= command.body.len(), "arguments are parts of the body");
    }
    let entity = entity_body(&command.body).text;
    assert!(command.body.ends_with(entity), "only the beginning of a body is skipped");
    if let Err(misplaced) = without_request_id(entity) {
        assert!(misplaced.line <= entity.lines().count(), "it is in one of its lines");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_of_commands_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/command");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_command(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_command(&bytes[..end]));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [b' ', b'"', b'\\', b'-', b'\n', b'D', 0, 0xff] {
                    changed[index] = value;
                    fuzz_command(&changed);
                }
            }
        }
    }
}
