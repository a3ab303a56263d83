//! Names that need no quotes (LoT reference §2), and those of modules (commands reference §14.2).

use crate::limits::MODULE_NAME_BYTES_MAX;

/// Whether a text can be written as a bare name: letters, digits and `_`, no digit at the start.
pub(crate) fn is_identifier(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty() && text.bytes().all(is_part)
}

/// The identifier that a name with other letters is usually written as; `None` when nothing
/// sensible is left of it.
pub(crate) fn identifier_like(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    for character in text.trim().chars() {
        match character {
            'ä' => name.push_str("ae"),
            'ö' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'ß' => name.push_str("ss"),
            'Ä' => name.push_str("Ae"),
            'Ö' => name.push_str("Oe"),
            'Ü' => name.push_str("Ue"),
            ' ' | '-' | '.' | '/' => name.push('_'),
            _ if character.is_ascii() => name.push(character),
            _ => return None,
        }
    }
    is_identifier(&name).then_some(name)
}

/// Whether a module may have this name.
pub(crate) fn is_module(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= MODULE_NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(is_inside)
}

/// Name of the module of `module` or `module.function`.
pub(crate) fn module_of(function: &str) -> &str {
    function.split_once('.').map_or(function, |(module, _)| module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_what_is_meant_for_one() {
        for (text, is, near) in [
            ("a_1", true, Some("a_1")),
            ("_", true, Some("_")),
            ("", false, None),
            ("1a", false, None),
            ("größe", false, Some("groesse")),
            (" a b.c-d", false, Some("a_b_c_d")),
            ("Ähre", false, Some("Aehre")),
            ("温度", false, None),
            ("a+b", false, None),
        ] {
            assert_eq!((is_identifier(text), identifier_like(text).as_deref()), (is, near), "{text}");
        }
    }
}
