//! Texts from elsewhere, made safe for a terminal: replies of a broker, payloads, names of files
//! and of certificates.
//!
//! [`output`](crate::output) escapes everything that it writes. A caller needs [`printable`] for a
//! cell of a table and for one line of a longer text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal takes a character for an order: it moves the cursor, or turns the direction
/// of the text around it.
///
/// True for C0, DEL, C1 (U+0080 to U+009F) and the marks of direction of Unicode (UAX #9 §2).
#[must_use]
pub fn is_order(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The text in one line: a blank for each end of a line, and `?` for every other [order](is_order)
/// to the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => ' ',
        c if is_order(c) => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The lines of a text with `?` for every [order](is_order) to the terminal but tabs.
pub fn printable_lines(text: &str) -> impl Iterator<Item = String> {
    let shown = |c: char| if is_order(c) && c != '\t' { '?' } else { c };
    text.lines().map(move |line| line.chars().map(shown).collect())
}

/// The text with `\u001b` and the like for every [order](is_order) to the terminal except tabs and
/// ends of lines. CR LF is one end of a line.
///
/// JSON stays JSON: inside of its strings this is the escape of RFC 8259 §7.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| matches!(c, '\n' | '\t') || !is_order(c);
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\r' && characters.peek() == Some(&'\n') {
            continue;
        }
        if is_kept(character) {
            escaped.push(character);
        } else {
            // All of them are in the Basic Multilingual Plane. A `String` takes what is written to
            // it.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_tabs_and_move_no_cursor() {
        let lines: Vec<String> = printable_lines("a\tb\u{1b}[31m\u{9b}\r\nc\u{7}\u{202e}d").collect();
        assert_eq!(lines, ["a\tb?[31m?", "c??d"]);
    }

    #[test]
    fn escaped_text_has_no_order_to_the_terminal() {
        for (text, expected) in [
            ("plain, ä€😀\twith\nlines", "plain, ä€😀\twith\nlines"),
            ("a\r\nb\rc", "a\nb\\u000dc"),
            ("\u{1b}]0;x\u{7}", "\\u001b]0;x\\u0007"),
            ("\u{9b}2J\u{7f}\u{202e}\u{200f}\u{61c}", "\\u009b2J\\u007f\\u202e\\u200f\\u061c"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
}
