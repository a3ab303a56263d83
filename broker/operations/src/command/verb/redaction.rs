//! Text of a command as the audit shows it. The declared arguments of the verb decide what is
//! hidden.

use sha2::{Digest as _, Sha256};

use super::argument::{VerbArgument, VisiblePart, visible_part};
use crate::command_text;

/// Text in place of a hidden argument.
const HIDDEN: &str = "****";

/// Beginnings of arguments that carry a file.
const FILES: [&str; 4] = ["zip64:", "wasm64:", "lot64:", "cert64:"];

/// Returns the text behind a verb without its secret arguments and files; `None` for an empty one.
pub(crate) fn redacted(arguments: &[VerbArgument], body: &str) -> Option<String> {
    if body.trim().is_empty() {
        return None;
    }
    Some(match visible_part(arguments) {
        VisiblePart::Words(count) => words(arguments, body, count),
        VisiblePart::Name => {
            let name = body.split_once('=').map_or(HIDDEN, |(name, _)| name.trim());
            // One of another form may be the value itself.
            if is_name(name) { format!("{name}={HIDDEN}") } else { HIDDEN.to_owned() }
        }
        VisiblePart::Digest => file("", body),
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The first words, without the values of secret options.
fn words(arguments: &[VerbArgument], body: &str, count: usize) -> String {
    // A text that cannot be split may hold anything anywhere.
    let Ok(words) = command_text::arguments(body) else { return HIDDEN.to_owned() };
    let mut hides_next = false;
    let mut shown = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let is_hidden = std::mem::replace(
            &mut hides_next,
            arguments.iter().any(|argument| argument.hides_value() && argument.is_spelled_as(word)),
        );
        let carried = FILES.iter().find_map(|prefix| Some((*prefix, word.strip_prefix(prefix)?)));
        shown.push(match carried {
            _ if is_hidden || place >= count => HIDDEN.to_owned(),
            Some((prefix, bytes)) => file(prefix, bytes),
            None => word.clone(),
        });
    }
    shown.join(" ")
}

/// Text for a file: its length and digest, as it was sent.
fn file(prefix: &str, bytes: &str) -> String {
    format!(
        "{prefix}({} bytes, sha256 {})",
        bytes.len(),
        data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
    )
}

#[cfg(test)]
mod tests {
    use super::super::argument::{name_and_value, option, program, text, word};
    use super::*;

    #[test]
    fn command_arguments_are_masked_except_allowed_ones() {
        let plain: &[VerbArgument] = &[word("user"), word("group")];
        let password: &[VerbArgument] = &[word("user"), word("password").secret()];
        let assignment: &[VerbArgument] = &[name_and_value("NAME=value")];
        let configured: &[VerbArgument] = &[word("name"), option("-config", "json").secret()];
        let anything: &[VerbArgument] = &[text("anything").secret()];
        let program: &[VerbArgument] = &[program("text")];
        for (arguments, body, expected) in [
            (plain, "", None),
            (plain, "  ", None),
            (plain, "bob operators", Some("bob operators")),
            (password, "bob s3cret", Some("bob ****")),
            (password, r#""Ann Lee" "a b" c"#, Some("Ann Lee **** ****")),
            (password, r#"bob "s3cret"#, Some("****")),
            (anything, "anything at all", Some("**** **** ****")),
            (assignment, "TOKEN=a=b c", Some("TOKEN=****")),
            (assignment, "s3cret", Some("****")),
            (assignment, "a secret = x", Some("****")),
            (configured, r#"m -config {"password":"x"} -replace"#, Some("m -config **** -replace")),
            (configured, r#"m --Config {"password":"x"} -replace"#, Some("m --Config **** -replace")),
        ] {
            assert_eq!(redacted(arguments, body).as_deref(), expected, "{body:?}");
        }
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(redacted(program, "abc"), Some(format!("(3 bytes, sha256 {digest})")));
        assert_eq!(redacted(plain, "p zip64:abc"), Some(format!("p zip64:(3 bytes, sha256 {digest})")));
    }
}
