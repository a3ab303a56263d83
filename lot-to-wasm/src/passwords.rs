//! Passwords in texts that hold more than them: connection strings, `scheme://user:password@host`
//! and `Host=…;Password=…`.

use std::borrow::Cow;
use std::ops::Range;

/// Text in place of a password.
pub(crate) const MASK: &str = "****";

/// Keys whose values are passwords, in lower case.
const KEYS: [&str; 2] = ["password", "pwd"];

/// Returns the byte ranges of passwords in a text, in order. A placeholder such as `{secret.NAME}`
/// is no password, nor is a mask.
#[must_use]
pub fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = values(text).collect();
    found.retain(|range| {
        let value = &text[range.clone()];
        !(value.is_empty() || value == MASK || (value.starts_with('{') && value.ends_with('}')))
    });
    found.sort_by_key(|range| range.start);
    found
}

/// Whether a text has a mask in the place of a password.
pub(crate) fn has_mask(text: &str) -> bool {
    values(text).any(|range| &text[range] == MASK)
}

/// Places of passwords, whatever stands there.
fn values(text: &str) -> impl Iterator<Item = Range<usize>> {
    of_addresses(text).chain(of_pairs(text))
}

/// A text with a mask in the place of each password.
#[must_use]
pub fn masked_passwords(text: &str) -> Cow<'_, str> {
    masked(text, passwords(text))
}

/// Whether the name of a setting, in upper case, is that of a secret.
pub(crate) fn is_secret_key(key: &str) -> bool {
    const WORDS: [&str; 5] = ["PASSWORD", "TOKEN", "API_KEY", "CLIENT_CERT_PASS", "AUTHORIZATION"];
    WORDS.iter().any(|word| key.contains(word)) && key != "MAX_TOKENS"
}

/// Whether one of the lines of headers, which `;` may end, names one that logs in and has a value
/// that is written.
pub(crate) fn has_login(headers: &str) -> bool {
    const NAMES: [&str; 5] = ["authorization", "api-key", "token", "secret", "cookie"];
    headers.split([';', '\n']).filter_map(|line| line.split_once(':')).any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        NAMES.iter().any(|known| name.contains(known)) && !value.trim().is_empty() && !value.contains('{')
    })
}

/// A text with a mask in the place of these ranges, which ascend.
pub(crate) fn masked(text: &str, found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
    for range in found {
        // One may stand in another, as `password=` behind the question mark of an address.
        if range.start >= at {
            masked.push_str(&text[at..range.start]);
            masked.push_str(MASK);
            at = range.end;
        }
    }
    masked.push_str(&text[at..]);
    Cow::Owned(masked)
}

/// Passwords of addresses: between the colon of the login and the last `@` in front of the host.
/// One that has a `/` in it, which should be written as `%2F`, is found where nothing else can be
/// meant.
fn of_addresses(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(move |(at, found)| {
        let start = at + found.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || "?\"'<>`".contains(c)).unwrap_or(rest.len());
        let whole = &rest[..end];
        let authority = whole.split('/').next().unwrap_or(whole);
        let login = authority.rfind('@').or_else(|| whole.rfind('@'))?;
        let colon = whole[..login].find(':')?;
        // `http://host:80/users/@me`: a port, and no login.
        let is_port =
            whole[colon + 1..login].split('/').next().is_some_and(|port| port.parse::<u16>().is_ok());
        let is_login = authority.contains('@') || !(is_port || whole[..colon].contains('/'));
        is_login.then_some(start + colon + 1..start + login)
    })
}

/// Values of pairs: up to the end of a quoted value, or to the next `;` or `&`.
fn of_pairs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let starts = KEYS
        .iter()
        .flat_map(|key| lower.match_indices(key).map(|(at, key)| (at, at + key.len())).collect::<Vec<_>>());
    let starts: Vec<(usize, usize)> = starts.collect();
    starts.into_iter().filter_map(move |(at, end)| {
        let is_key = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let rest = text[end..].trim_start().strip_prefix('=')?.trim_start();
        let start = text.len() - rest.len();
        let length = match rest.chars().next()? {
            quote @ ('\'' | '"') => 1 + rest[1..].find(quote).unwrap_or(rest.len() - 1),
            _ => rest.find([';', '&', '\n']).unwrap_or(rest.len()),
        };
        let start = if rest.starts_with(['\'', '"']) { start + 1 } else { start };
        let end = text.len() - rest.len() + length;
        is_key.then_some(start..end.max(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_each_form() {
        for (text, expected) in [
            ("postgres://u:p@h/db", "postgres://u:****@h/db"),
            (
                "at 'postgres://u:p%40x@h:5432/db?a=b@c' failed",
                "at 'postgres://u:****@h:5432/db?a=b@c' failed",
            ),
            ("mongodb://u:p@a:1,b:2/?x=y", "mongodb://u:****@a:1,b:2/?x=y"),
            ("postgres://u:a/b@h/db", "postgres://u:****@h/db"),
            ("postgres://u:a@b@h/db", "postgres://u:****@h/db"),
            ("postgres://h/db?password=p&x=y", "postgres://h/db?password=****&x=y"),
            ("Host=h;Password=a b;Database=d", "Host=h;Password=****;Database=d"),
            ("Server=h; PWD = p", "Server=h; PWD = ****"),
            ("Password='a;b';Host=h", "Password='****';Host=h"),
            ("Password=\"p\"", "Password=\"****\""),
            ("Password=p", "Password=****"),
            ("Host=h;Password=ä;x=ö", "Host=h;Password=****;x=ö"),
        ] {
            assert_eq!(masked_passwords(text), expected);
            assert_eq!(masked_passwords(expected), expected, "a mask is none");
        }
    }

    #[test]
    fn no_password_is_detected_in_text_without_one() {
        for text in [
            "",
            "postgres://h/db",
            "postgres://u@h/db",
            "http://h:80/users/@me",
            "http://h/a:b@c",
            "Host=h;Password=",
            "Host=h;Password={secret.PG}",
            "postgres://u:{secret.PG}@h/db",
            "the password is wrong",
            "no_password=1",
            "://",
            "a://:@",
        ] {
            assert!(passwords(text).is_empty(), "{text}");
        }
    }
}
