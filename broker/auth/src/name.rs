//! Names of users and groups: which are accepted, commands reference §7.1.

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
    /// A control character, or one of `/ + #`, which would break the name's use as a level of a topic.
    #[error("the name contains {character:?}; control characters and / + # are not allowed")]
    CharacterNotAllowed {
        /// The first such character.
        character: char,
    },
}

/// Checks a user name: 1 to 64 characters, no control characters, none of `/ + #`; case-sensitive.
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
    match name.chars().find(|c| c.is_control() || matches!(c, '/' | '+' | '#')) {
        Some(character) => Err(NameError::CharacterNotAllowed { character }),
        None => Ok(()),
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
