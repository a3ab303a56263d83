//! Passwords: Argon2id hashes as PHC strings, and imported hashes until the first login.
//! Computation only; the caller chooses the thread.

pub(crate) mod imported;

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use imported::ImportedHash;
pub use imported::ImportedHashError;
use serde::{Deserialize, Serialize};

use crate::DEFAULT_ROOT_PASSWORD;
use crate::limits::{ARGON2_MEMORY_KIB, ARGON2_PASSES};
use crate::scram::ScramVerifier;

/// Stored verifier of a password: an Argon2id PHC string, and whether the password is the one of a
/// fresh installation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// `$argon2id$v=19$m=…,t=…,p=…$<salt>$<hash>`, or an imported hash.
    phc: String,
    /// Whether the password is [`DEFAULT_ROOT_PASSWORD`]; known because it is noted when the
    /// password is set.
    #[serde(default)]
    is_default: bool,
    /// For SCRAM, where that is turned on; persisted apart from the rest.
    #[serde(skip)]
    pub(crate) scram: Option<ScramVerifier>,
}

impl Credential {
    /// Hashes a new password with a fresh random salt. Takes about 20 ms at the default cost.
    pub fn hash(password: &[u8], cost: PasswordCost) -> Result<Credential, PasswordError> {
        if password.is_empty() {
            return Err(PasswordError::Empty);
        }
        let hash: PasswordHash =
            cost.argon2()?.hash_password(password).map_err(|_| PasswordError::HashFailed)?;
        let is_default = password == DEFAULT_ROOT_PASSWORD.as_bytes();
        Ok(Credential { phc: hash.to_string(), is_default, scram: None })
    }

    /// Takes over a PHC string that was made elsewhere, such as an imported user's.
    pub fn from_phc(phc: String) -> Result<Credential, PasswordError> {
        match PasswordHash::new(&phc) {
            Ok(hash) if hash.algorithm.as_str() == "argon2id" => {
                Ok(Credential { phc, is_default: false, scram: None })
            }
            _ => Err(PasswordError::NotArgon2id),
        }
    }

    /// Takes over a hash of mosquitto: `$6$…` or `$7$…`. The first login with the password
    /// [replaces](crate::Directory::keep_rehashed) it.
    ///
    /// # Errors
    /// [`PasswordError::Imported`].
    pub fn from_imported(hash: &str) -> Result<Credential, PasswordError> {
        ImportedHash::read(hash)?;
        Ok(Credential { phc: hash.to_owned(), is_default: false, scram: None })
    }

    /// Whether this is an imported hash.
    pub(crate) fn is_imported(&self) -> bool {
        imported::is_imported(&self.phc)
    }

    /// Restores a stored credential: the PHC string and [`is_default`](Credential::is_default).
    ///
    /// Not checked again: a damaged string verifies nothing.
    pub fn restore(phc: String, is_default: bool) -> Credential {
        Credential { phc, is_default, scram: None }
    }

    /// The PHC string.
    pub fn phc(&self) -> &str {
        &self.phc
    }

    /// Whether the password is that of a fresh installation, commands reference §9.1.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// Returns the SCRAM verifier of the password. `None` if SCRAM is turned off, or until the
    /// password is seen again.
    pub fn scram(&self) -> Option<&ScramVerifier> {
        self.scram.as_ref()
    }

    /// Puts back what SCRAM verifies against.
    #[must_use]
    pub fn with_scram(self, scram: Option<ScramVerifier>) -> Credential {
        Credential { scram, ..self }
    }

    /// Whether `password` is the right one. As slow as [`Credential::hash`], unless the hash is
    /// imported; compares in constant time. A damaged PHC string verifies nothing.
    pub fn verify(&self, password: &[u8]) -> bool {
        if self.is_imported() {
            return ImportedHash::read(&self.phc).is_ok_and(|hash| hash.verify(password));
        }
        let Ok(hash) = PasswordHash::new(&self.phc) else { return false };
        // The cost is that of the string, not that of this value.
        Argon2::default().verify_password(password, &hash).is_ok()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("phc", &"****").field("is_default", &self.is_default).finish()
    }
}

/// How much memory and time one Argon2id takes. Existing hashes keep the cost with which they were
/// made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB; at least 8. Default [`ARGON2_MEMORY_KIB`].
    pub memory_kib: u32,
    /// Passes over the memory; at least 1. Default [`ARGON2_PASSES`].
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> PasswordCost {
        PasswordCost { memory_kib: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES }
    }
}

impl PasswordCost {
    /// The cheapest cost there is: for tests only, it protects nothing.
    pub const TEST: PasswordCost = PasswordCost { memory_kib: 8, passes: 1 };

    fn argon2(self) -> Result<Argon2<'static>, PasswordError> {
        let params = Params::new(self.memory_kib, self.passes, 1, None)
            .map_err(|_| PasswordError::CostInvalid { memory_kib: self.memory_kib, passes: self.passes })?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// Why a password could not be hashed or taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// A password has at least one character.
    #[error("the password is empty")]
    Empty,
    /// Argon2 refuses these parameters.
    #[error("argon2id cannot run with {memory_kib} KiB and {passes} passes")]
    CostInvalid {
        /// Memory asked for.
        memory_kib: u32,
        /// Passes asked for.
        passes: u32,
    },
    /// The system gave no random salt, or the password is longer than Argon2 takes (4 GiB).
    #[error("the password could not be hashed")]
    HashFailed,
    /// The text is not a PHC string of Argon2id.
    #[error("the text is no argon2id hash in PHC form")]
    NotArgon2id,
    /// The text is no imported hash.
    #[error(transparent)]
    Imported(#[from] ImportedHashError),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A credential that takes microseconds instead of milliseconds.
    pub(crate) fn cheap_credential(password: &str) -> Credential {
        Credential::hash(password.as_bytes(), PasswordCost::TEST).unwrap()
    }

    #[test]
    fn hash_verifies_its_own_password_only() {
        let credential = cheap_credential("coreflux1");
        assert!(credential.phc().starts_with("$argon2id$v=19$"));
        assert!(credential.verify(b"coreflux1"));
        for wrong in ["", "coreflux", "coreflux11", "Coreflux1"] {
            assert!(!credential.verify(wrong.as_bytes()), "{wrong:?}");
        }
        assert_ne!(credential.phc(), cheap_credential("coreflux1").phc(), "every hash has its own salt");
    }

    #[test]
    fn credential_detects_the_default_password() {
        assert!(cheap_credential("coreflux").is_default());
        assert!(!cheap_credential("Coreflux").is_default());
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        assert_eq!(Credential::hash(b"", PasswordCost::TEST), Err(PasswordError::Empty));
        let cost = PasswordCost { memory_kib: 1, passes: 0 };
        assert_eq!(
            Credential::hash(b"x", cost),
            Err(PasswordError::CostInvalid { memory_kib: 1, passes: 0 })
        );
        for text in ["", "plain", "$2b$12$abcdefghijklmnopqrstuu"] {
            assert_eq!(Credential::from_phc(text.into()), Err(PasswordError::NotArgon2id), "{text}");
        }
        let own = cheap_credential("pw").phc().to_owned();
        assert!(Credential::from_phc(own.clone()).unwrap().verify(b"pw"));
        let restored = Credential::restore(own, true);
        assert!(restored.verify(b"pw") && restored.is_default());
        assert!(!Credential::restore("damaged".into(), false).verify(b"pw"));
    }
}
