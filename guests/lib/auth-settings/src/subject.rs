//! Subject of a certificate, as text of RFC 4514.

/// Returns the common name of a subject; `None` for a subject with none or several, and for one
/// whose value is in hexadecimal form.
pub fn common_name(subject: &str) -> Option<String> {
    let mut found = None;
    for attribute in split(subject, ['+', ',']) {
        let Some((kind, value)) = attribute.split_once('=') else { continue };
        let kind = kind.trim();
        if !kind.eq_ignore_ascii_case("CN") && kind != "2.5.4.3" {
            continue;
        }
        if found.is_some() || value.starts_with('#') {
            return None;
        }
        found = Some(unescaped(value)?);
    }
    found.filter(|name| !name.is_empty())
}

/// Parts of a text between separators without a backslash before them.
fn split(text: &str, separators: [char; 2]) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, next) in text.char_indices() {
        if !is_escaped && separators.contains(&next) {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        is_escaped = next == '\\' && !is_escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescaped(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let hex = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()), rest.first()) {
            (Some(byte), _) => {
                bytes.push(byte);
                rest = &rest[2..];
            }
            (None, Some(byte)) => {
                bytes.push(*byte);
                rest = &rest[1..];
            }
            (None, None) => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_name_is_found_once_and_without_escapes() {
        for (subject, expected) in [
            ("CN=os::1,O=Plant", Some("os::1")),
            ("O=a\\,CN\\=b,CN=c\\2Bd", Some("c+d")),
            ("O=x+CN=y", Some("y")),
            ("CN=a,CN=b", None),
            ("CN=#0401", None),
            ("O=Plant", None),
            ("CN=", None),
            ("CN=a\\", None),
        ] {
            assert_eq!(common_name(subject).as_deref(), expected, "{subject}");
        }
    }
}
