//! Names of users and groups: which are accepted, commands reference §7.1.

use crate::ROOT;
use crate::limits::NAME_CHARS_MAX;

/// Why a user or group name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// More characters than [`NAME_CHARS_MAX`].
    #[error("the name has {chars} characters, the limit is {NAME_CHARS_MAX}")]
    TooLong {
        /// Number of characters.
        chars: usize,
    },
    /// A control character, or one of `/ + #`, which would break the name's use as a level of a
    /// topic.
    #[error("the name contains {character:?}; control characters and / + # are not allowed")]
    CharacterNotAllowed {
        /// The first such character.
        character: char,
    },
    /// A character that lists and logs do not show.
    #[error("the name contains {character:?}, which is invisible")]
    Invisible {
        /// The first such character.
        character: char,
    },
    /// White space that lists and logs do not show.
    #[error("the name begins or ends with white space")]
    SpaceAround,
    /// The name of a built-in user in other letters: lists and logs would show it as that one.
    #[error("the name looks like {name}, which is built in")]
    LooksLike {
        /// The built-in user.
        name: &'static str,
    },
}

/// Checks a user name: 1 to 64 characters, none at the ends that is white space, no control
/// characters, none that is invisible, none of `/ + #`; case-sensitive, but no other spelling of
/// `root`.
///
/// `@` is an ordinary character here; the tenant is split off before (commands reference §7.5).
pub fn check_user_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(NameError::TooLong { chars });
    }
    if let Some(character) = name.chars().find(|c| c.is_control() || "/+#".contains(*c)) {
        return Err(NameError::CharacterNotAllowed { character });
    }
    if let Some(character) = name.chars().find(|c| is_invisible(*c)) {
        return Err(NameError::Invisible { character });
    }
    if name.trim() != name {
        return Err(NameError::SpaceAround);
    }
    if name != ROOT && name.chars().map(narrow).flat_map(char::to_lowercase).eq(ROOT.chars()) {
        return Err(NameError::LooksLike { name: ROOT });
    }
    Ok(())
}

/// Characters that take no room: soft hyphen, joiners, marks of direction, invisible operators,
/// fillers, tags.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// The ASCII letter that a full-width one shows.
fn narrow(character: char) -> char {
    const FULL_WIDTH_OFFSET: u32 = 0xFEE0;
    match character {
        '\u{FF01}'..='\u{FF5E}' => {
            char::from_u32(u32::from(character) - FULL_WIDTH_OFFSET).unwrap_or(character)
        }
        other => other,
    }
}

/// Checks a group name, by the rules of [`check_user_name`].
pub fn check_group_name(name: &str) -> Result<(), NameError> {
    check_user_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_the_accounts_section() {
        for (name, expected) in [
            ("a", Ok(())),
            ("bob@example.com", Ok(())),
            ("Ünïcode name", Ok(())),
            ("", Err(NameError::Empty)),
            ("root", Ok(())),
            ("rooty", Ok(())),
            ("Root", Err(NameError::LooksLike { name: "root" })),
            ("ｒｏｏｔ", Err(NameError::LooksLike { name: "root" })),
            ("root ", Err(NameError::SpaceAround)),
            ("\u{A0}a", Err(NameError::SpaceAround)),
            ("ro\u{200B}ot", Err(NameError::Invisible { character: '\u{200B}' })),
            ("a\u{202E}b", Err(NameError::Invisible { character: '\u{202E}' })),
            ("a/b", Err(NameError::CharacterNotAllowed { character: '/' })),
            ("a+b", Err(NameError::CharacterNotAllowed { character: '+' })),
            ("#", Err(NameError::CharacterNotAllowed { character: '#' })),
            ("a\0b", Err(NameError::CharacterNotAllowed { character: '\0' })),
            ("a\u{85}b", Err(NameError::CharacterNotAllowed { character: '\u{85}' })),
        ] {
            assert_eq!(check_user_name(name), expected, "{name:?}");
        }
        assert_eq!(check_user_name(&"ü".repeat(64)), Ok(()), "the limit counts characters, not bytes");
        assert_eq!(check_user_name(&"x".repeat(65)), Err(NameError::TooLong { chars: 65 }));
    }
}
