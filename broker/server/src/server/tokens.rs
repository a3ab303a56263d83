//! Logins by JSON Web Token at a start: checks of the files with keys, and the member of the chain.

use std::sync::Arc;

use lotmq_auth::LoginMember;
use lotmq_config::{Config, JWT_MODULE};
use lotmq_jwt::{JwtMember, KeyStoreError, check_key_files};
use tracing::warn;

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

/// The member of the login chain, if a listener asks it.
///
/// # Errors
/// [`StartError::Tokens`], [`StartError::Thread`].
pub(super) fn member(config: &Config) -> Result<Option<Arc<dyn LoginMember>>, StartError> {
    if !config.jwt.has_keys() {
        return Ok(None);
    }
    let listeners = config.listeners();
    let mut listed = listeners.iter().flat_map(|plan| plan.login_modules.names());
    if !listed.any(|name| **name == *JWT_MODULE) {
        warn!(
            module = JWT_MODULE,
            "[auth.jwt] has keys, and no listener asks for tokens: add the module to auth.modules"
        );
        return Ok(None);
    }
    Ok(Some(Arc::new(JwtMember::start(&config.jwt)?)))
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
