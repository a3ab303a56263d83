//! Connection strings of databases, in both forms: `Host=…;Port=…;Database=…`, and
//! `scheme://user:password@host:port/database?…`.
//!
//! The host reads the server's address and the use of TLS from them; the guest reads login and
//! database. Both use this crate, so that they cannot read the same text differently.
//! Not here: the meaning of keys of one database.

use percent_encoding::percent_decode_str;

/// Returns the keys, in lower case, and their values. For an address these are the pairs after its
/// question mark. Quotes may enclose a value and are doubled within it. Only values without quotes
/// are trimmed.
///
/// ```
/// use lotmq_connection_string::pairs;
/// let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
/// assert_eq!(pairs("Host=db; Pwd='a;''b'"), [text("host", "db"), text("pwd", "a;'b")]);
/// let pairs = pairs("postgres://app:x@db/plant?SSLMode=veri%66y-full");
/// assert_eq!(pairs, [text("sslmode", "verify-full")]);
/// ```
#[must_use]
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    if !is_address(text) {
        return separated(text);
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (lower(&decoded(key)), decoded(value))).collect()
}

/// Whether it is an address, `scheme://…`, and no pairs.
#[must_use]
pub fn is_address(text: &str) -> bool {
    text.contains("://")
}

/// Decodes the percent escapes in a part of an address. Invalid UTF-8 becomes U+FFFD.
#[must_use]
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether pairs ask for TLS; `None` where they say nothing of it. The first one that does counts.
#[must_use]
pub fn asks_for_tls(pairs: &[(String, String)]) -> Option<bool> {
    pairs.iter().find_map(|(key, value)| {
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(value.trim()));
        match key.as_str() {
            "sslmode" | "ssl mode" | "ssl-mode" => {
                Some(!is_one_of(&["disable", "disabled", "none", "allow", "prefer", "preferred"]))
            }
            "encrypt" | "usessl" | "use ssl" => Some(is_one_of(&["true", "yes", "strict", "mandatory"])),
            _ => None,
        }
    })
}

fn separated(text: &str) -> Vec<(String, String)> {
    let (mut pairs, mut rest) = (Vec::new(), text);
    while let Some((key, behind)) = rest.split_once('=') {
        let value = behind.trim_start();
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, behind) = match quote {
            Some(quote) => quoted(&value[1..], quote),
            None => {
                let (value, behind) = value.split_once(';').unwrap_or((value, ""));
                (value.trim().to_owned(), behind)
            }
        };
        pairs.push((lower(key.trim_start_matches([';', ' '])), value));
        rest = behind;
    }
    pairs
}

/// Returns the text before the quote that ends a value, and the text after it.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let (mut value, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(quote) {
        value.push_str(before);
        match behind.strip_prefix(quote) {
            Some(behind) => {
                value.push(quote);
                rest = behind;
            }
            None => return (value, behind),
        }
    }
    value.push_str(rest);
    (value, "")
}

fn lower(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_asked_for_in_both_forms() {
        for (text, expected) in [
            ("Host=db", None),
            ("Host=db;SSL Mode=Require", Some(true)),
            ("Host=db;SSL Mode= prefer ", Some(false)),
            ("Server=db;Encrypt=Strict", Some(true)),
            ("Server=db;Encrypt=no;SSLMode=require", Some(false)),
            ("postgres://db/plant", None),
            ("postgres://db/plant?sslmode=verify-full", Some(true)),
            ("postgres://db/plant?ssl%6Dode=dis%61ble", Some(false)),
        ] {
            assert_eq!(asks_for_tls(&pairs(text)), expected, "{text}");
        }
    }

    #[test]
    fn quotes_that_do_not_end_and_keys_without_a_value_are_taken_as_they_are() {
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs("pwd='a"), [text("pwd", "a")]);
        assert_eq!(pairs("pwd=\"a\"\"b\";x"), [text("pwd", "a\"b")]);
        assert_eq!(pairs("=;;a=b=c"), [text("", ""), text("a", "b=c")]);
        assert!(pairs("").is_empty() && pairs("scheme://?&a").is_empty());
    }
}
