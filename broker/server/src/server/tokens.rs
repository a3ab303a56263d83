//! Logins by JSON Web Token at a start: checks of the files with keys.

use lotmq_config::Config;
use lotmq_jwt::{KeyStoreError, check_key_files};

use super::StartError;

/// Refuses files of `[auth.jwt]` without usable keys.
///
/// # Errors
/// [`StartError::Tokens`], [`StartError::Thread`].
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    Ok(check_key_files(&config.jwt)?)
}

/// Key of the first file of `[auth.jwt]` without usable keys, and the reason.
pub(super) fn refused(config: &Config) -> Option<(&'static str, String)> {
    let KeyStoreError::Source { setting, place, fault } = check_key_files(&config.jwt).err()? else {
        return None;
    };
    Some((setting, format!("{place} {fault}")))
}

impl From<KeyStoreError> for StartError {
    fn from(error: KeyStoreError) -> Self {
        match error {
            KeyStoreError::Source { setting, place, fault } => {
                Self::Tokens { setting, reason: format!("{place} {fault}") }
            }
            KeyStoreError::Thread(error) => Self::Thread(error),
        }
    }
}
