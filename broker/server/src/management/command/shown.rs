//! Arguments of commands that the audit may show. Each verb declares them, so that none is
//! forgotten; the others are not shown.

use sha2::{Digest as _, Sha256};

use crate::management::command_text;

/// Text in place of a hidden argument.
const HIDDEN: &str = "****";

/// Options whose value may hold anything.
const HIDDEN_OPTIONS: [&str; 1] = ["-config"];

/// Beginnings of arguments that carry a file.
const FILES: [&str; 4] = ["zip64:", "wasm64:", "lot64:", "cert64:"];

/// Part of a command's arguments that the audit may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All arguments, but for files and the values of options that may hold anything.
    All,
    /// The first arguments; the others are hidden.
    First(usize),
    /// The name of `NAME=value`.
    Name,
    /// Length and digest of the body.
    Digest,
}

impl Shown {
    /// Shown part of a body; `None` for an empty one.
    pub(super) fn of(self, body: &str) -> Option<String> {
        if body.trim().is_empty() {
            return None;
        }
        Some(match self {
            Self::All => arguments(body, usize::MAX),
            Self::First(count) => arguments(body, count),
            Self::Name => {
                let name = body.split_once('=').map_or(HIDDEN, |(name, _)| name.trim());
                // One of another form may be the value itself.
                if is_name(name) { format!("{name}={HIDDEN}") } else { HIDDEN.to_owned() }
            }
            Self::Digest => file("", body),
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn arguments(body: &str, count: usize) -> String {
    // One that cannot be taken apart may hold anything anywhere.
    let Ok(arguments) = command_text::arguments(body) else { return HIDDEN.to_owned() };
    let mut hides_next = false;
    let mut shown = Vec::new();
    for (place, argument) in arguments.iter().enumerate() {
        let hides = std::mem::replace(
            &mut hides_next,
            HIDDEN_OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(argument)),
        );
        let carried = FILES.iter().find_map(|prefix| Some((*prefix, argument.strip_prefix(prefix)?)));
        shown.push(match carried {
            _ if hides || place >= count => HIDDEN.to_owned(),
            Some((prefix, bytes)) => file(prefix, bytes),
            None => argument.clone(),
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
    use super::*;

    #[test]
    fn command_arguments_are_masked_except_allowed_ones() {
        for (shown, body, expected) in [
            (Shown::All, "", None),
            (Shown::All, "  ", None),
            (Shown::All, "bob operators", Some("bob operators")),
            (Shown::First(1), "bob s3cret", Some("bob ****")),
            (Shown::First(1), r#""Ann Lee" "a b" c"#, Some("Ann Lee **** ****")),
            (Shown::First(1), r#"bob "s3cret"#, Some("****")),
            (Shown::First(0), "anything at all", Some("**** **** ****")),
            (Shown::Name, "TOKEN=a=b c", Some("TOKEN=****")),
            (Shown::Name, "s3cret", Some("****")),
            (Shown::Name, "a secret = x", Some("****")),
            (Shown::All, r#"m -config {"password":"x"} -replace"#, Some("m -config **** -replace")),
        ] {
            assert_eq!(shown.of(body).as_deref(), expected, "{shown:?} {body:?}");
        }
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Shown::Digest.of("abc"), Some(format!("(3 bytes, sha256 {digest})")));
        assert_eq!(Shown::All.of("p zip64:abc"), Some(format!("p zip64:(3 bytes, sha256 {digest})")));
    }
}
