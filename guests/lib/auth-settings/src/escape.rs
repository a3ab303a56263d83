//! Escapes of values for the place where they stand. Each one is total: a value that the place
//! cannot hold is an error, never a shorter or another value.

/// Escape of a value: appends it to the text around it.
///
/// # Errors
/// The reason why the value cannot stand there, without the value.
pub type Escape = fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str>;

/// Component of a query or of a form (RFC 3986, §2.1): all bytes but letters, digits and `-._~` are
/// percent-encoded.
///
/// # Errors
/// None.
pub fn component(value: &[u8], into: &mut Vec<u8>) -> Result<(), &'static str> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            into.push(*byte);
        } else {
            into.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    Ok(())
}

/// Part of one segment of a path. Servers and proxies decode an escaped `/` and then resolve `..`,
/// so values that could lead to another path are refused.
///
/// # Errors
/// The value is empty, `.` or `..`, or has a slash, a backslash or a control character.
pub fn path_segment(value: &[u8], into: &mut Vec<u8>) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("is empty, and a segment of the path needs it");
    }
    if matches!(value, b"." | b"..")
        || value.iter().any(|byte| b"/\\".contains(byte) || byte.is_ascii_control())
    {
        return Err("has a slash, a control character or only dots, and would lead to another path");
    }
    component(value, into)
}

/// Value of a header field (RFC 9110, §5.5).
///
/// # Errors
/// The value has a control character, or a space at an end, which receivers remove.
pub fn header(value: &[u8], into: &mut Vec<u8>) -> Result<(), &'static str> {
    if value.iter().any(u8::is_ascii_control) {
        return Err("has a control character, which no header field holds");
    }
    if value.first() == Some(&b' ') || value.last() == Some(&b' ') {
        return Err("begins or ends with a space, which a header field loses");
    }
    into.extend_from_slice(value);
    Ok(())
}

/// Text in UTF-8, as it is.
///
/// # Errors
/// The value is no UTF-8.
pub fn text(value: &[u8], into: &mut Vec<u8>) -> Result<(), &'static str> {
    str::from_utf8(value).map_err(|_| "is no UTF-8")?;
    into.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: Escape, value: &str) -> Option<String> {
        let mut into = Vec::new();
        escape(value.as_bytes(), &mut into).ok()?;
        Some(String::from_utf8(into).unwrap())
    }

    #[test]
    fn hostile_values_are_escaped_or_refused() {
        for (value, of_component, of_path, of_header) in [
            ("a-b.c_d~9", "a-b.c_d~9", Some("a-b.c_d~9"), Some("a-b.c_d~9")),
            ("a&b=c?d#e", "a%26b%3Dc%3Fd%23e", Some("a%26b%3Dc%3Fd%23e"), Some("a&b=c?d#e")),
            ("%2F", "%252F", Some("%252F"), Some("%2F")),
            ("a/b", "a%2Fb", None, Some("a/b")),
            ("..", "..", None, Some("..")),
            ("a\\b", "a%5Cb", None, Some("a\\b")),
            ("\"+\"", "%22%2B%22", Some("%22%2B%22"), Some("\"+\"")),
            ("a\r\nX: y", "a%0D%0AX%3A%20y", None, None),
            ("a\0", "a%00", None, None),
            (" a", "%20a", Some("%20a"), None),
            ("é", "%C3%A9", Some("%C3%A9"), Some("é")),
            ("", "", None, Some("")),
        ] {
            assert_eq!(escaped(component, value).as_deref(), Some(of_component), "{value:?}");
            assert_eq!(escaped(path_segment, value).as_deref(), of_path, "{value:?}");
            assert_eq!(escaped(header, value).as_deref(), of_header, "{value:?}");
            assert_eq!(escaped(text, value).as_deref(), Some(value));
        }
        assert!(text(b"\xFF", &mut Vec::new()).is_err());
    }
}
