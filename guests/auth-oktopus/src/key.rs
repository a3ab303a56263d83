//! Keys of the bucket for user names.
//!
//! A key of NATS has letters, digits, `-`, `_`, `/`, `=` and `.` only, so the endpoint identifier
//! `os::00D09E-1` cannot be one. A user name that is a valid key is its own key. Of other names,
//! each byte except letters, digits, `-` and `_` is written as `=` with two hexadecimal digits:
//! `os=3A=3A00D09E-1`.

use crate::limits::NAME_BYTES_MAX;

/// Returns the key of a user. `None` for an empty name, one that is too long, and one that would
/// reach topics of others.
pub(crate) fn of_user(user: &str) -> Option<String> {
    if !is_level(user) {
        return None;
    }
    if is_key(user) {
        return Some(user.to_owned());
    }
    let mut key = String::with_capacity(user.len() * 3);
    for byte in user.bytes() {
        match byte {
            b'-' | b'_' => key.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => key.push(char::from(byte)),
            byte => key.push_str(&format!("={byte:02X}")),
        }
    }
    Some(key)
}

/// Returns the users whose key this is: the name that is equal, and the one that it escapes.
pub(crate) fn users(key: &str) -> Vec<String> {
    let escaped = unescaped(key).filter(|user| user != key && of_user(user).as_deref() == Some(key));
    std::iter::once(key.to_owned()).chain(escaped).collect()
}

/// Whether a name is one level of a topic, and no wildcard.
pub(crate) fn is_level(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(['/', '+', '#', '\0'])
}

fn is_key(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.".contains(&byte);
    name.bytes().all(is_part) && name.split('.').all(|token| !token.is_empty())
}

fn unescaped(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nats_refuses_as_keys_are_escaped() {
        for (user, key) in [
            ("oktopus-0-mqtt", Some("oktopus-0-mqtt")),
            ("a.b_c=d", Some("a.b_c=d")),
            ("os::00D09E-1", Some("os=3A=3A00D09E-1")),
            ("os::0.1", Some("os=3A=3A0=2E1")),
            (".a", Some("=2Ea")),
            ("a%b c", Some("a=25b=20c")),
            ("", None),
            ("a/b", None),
            ("+", None),
            ("a#", None),
            ("a\0", None),
        ] {
            assert_eq!(of_user(user).as_deref(), key, "{user}");
        }
        assert_eq!(of_user(&"x".repeat(NAME_BYTES_MAX + 1)), None);
    }

    #[test]
    fn a_key_names_all_users_that_it_decides_about() {
        for (key, expected) in [
            ("a", &["a"][..]),
            ("os=3A=3Ax", &["os=3A=3Ax", "os::x"]),
            ("a=b", &["a=b"]),
            // Another way to write `os::x`, which is not its key.
            ("os=3a=3ax", &["os=3a=3ax"]),
            ("a=41", &["a=41"]),
        ] {
            assert_eq!(users(key), expected, "{key}");
        }
    }
}
