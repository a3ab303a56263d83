//! Password hashes of mosquitto: `$6$<salt>$<hash>` and `$7$<iterations>$<salt>$<hash>`.
//!
//! An imported account keeps one until the first login with the right password, which replaces it
//! by an Argon2id hash. `$6$` is one SHA-512 of password and salt, and not `crypt(3)`; `$7$` is
//! PBKDF2 with HMAC-SHA-512. Salt and hash are base64.
//!
//! Invariant: a hash that is read costs at most [`IMPORTED_ITERATIONS_MAX`] iterations.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

use crate::limits::{IMPORTED_ITERATIONS_MAX, IMPORTED_SALT_BYTES_MAX};

/// Bytes of a hash.
const HASH_BYTES: usize = 64;

/// Reason why a text is not taken over as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportedHashError {
    /// The text is no hash of mosquitto.
    #[error("the hash is none of mosquitto: $6$<salt>$<hash> or $7$<iterations>$<salt>$<hash>")]
    NotImportable,
    /// Each login would take too long.
    #[error("the hash has {iterations} iterations, limit {IMPORTED_ITERATIONS_MAX}")]
    TooManyIterations {
        /// Iterations of the hash.
        iterations: u64,
    },
}

/// Hash in one of the forms of mosquitto.
pub(crate) struct ImportedHash {
    /// Iterations of PBKDF2; `None` for a single SHA-512.
    iterations: Option<NonZeroU32>,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

/// Whether a text has the beginning of such a hash.
pub(crate) fn is_imported(text: &str) -> bool {
    text.starts_with("$6$") || text.starts_with("$7$")
}

impl ImportedHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// [`ImportedHashError::NotImportable`] for a text that is none, and
    /// [`ImportedHashError::TooManyIterations`].
    pub(crate) fn read(text: &str) -> Result<Self, ImportedHashError> {
        let parts: Vec<&str> = text.split('$').collect();
        let (iterations, salt, hash) = match parts[..] {
            ["", "6", salt, hash] => (None, salt, hash),
            ["", "7", iterations, salt, hash] => (Some(iterations), salt, hash),
            _ => return Err(ImportedHashError::NotImportable),
        };
        let iterations = match iterations.map(str::parse::<u64>) {
            None => None,
            Some(Ok(count @ 1..=IMPORTED_ITERATIONS_MAX)) => {
                u32::try_from(count).ok().and_then(NonZeroU32::new)
            }
            Some(Ok(iterations @ 1..)) => return Err(ImportedHashError::TooManyIterations { iterations }),
            Some(_) => return Err(ImportedHashError::NotImportable),
        };
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| ImportedHashError::NotImportable);
        let (salt, hash) = (decoded(salt)?, decoded(hash)?);
        let hash = hash.try_into().map_err(|_| ImportedHashError::NotImportable)?;
        if salt.is_empty() || salt.len() > IMPORTED_SALT_BYTES_MAX {
            return Err(ImportedHashError::NotImportable);
        }
        Ok(Self { iterations, salt, hash })
    }

    /// Whether it is the hash of this password. Compares in constant time.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        let Self { iterations, salt, hash } = self;
        let mut found = [0; HASH_BYTES];
        match iterations {
            Some(iterations) => {
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, *iterations, salt, password, &mut found);
            }
            None => found = Sha512::new().chain_update(password).chain_update(salt).finalize().into(),
        }
        found.ct_eq(hash).into()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Hashes of the password `s3cret-pump`, by `mosquitto_passwd -H sha512` and
    /// `mosquitto_passwd` of version 2.0.
    pub(crate) const HASHES: [&str; 2] = [
        "$6$sdRE259uqsMDfCcf$eV3FagDNzTxLRLV7WHvSR0xib58QmIJxhkZWbzup4C2fytuXxPnPZM2oZI0Sh1QJ7QgATqBcu44RB31AHKadhw==",
        "$7$101$ZjklghzZficO+EZQ$I1wC5h9KsLwpfBJjnXbd9kNU4937luUhZ0Rvg3hjjxyXeNkNYFZtgli0HqfhOXcHF+FVUTYtLOudv0GDtchH6g==",
    ];

    #[test]
    fn hashes_of_mosquitto_verify_their_password_only() {
        for text in HASHES {
            let hash = ImportedHash::read(text).unwrap();
            assert!(is_imported(text) && hash.verify(b"s3cret-pump"), "{text}");
            for wrong in ["", "s3cret-pum", "s3cret-pump ", "S3cret-pump"] {
                assert!(!hash.verify(wrong.as_bytes()), "{text} {wrong:?}");
            }
        }
    }

    #[test]
    fn texts_that_are_no_hash_of_mosquitto_are_refused() {
        let [six, seven] = HASHES;
        let hash = six.rsplit('$').next().unwrap();
        for text in [
            "",
            "$",
            "$6$",
            "$7$",
            "plain",
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
            &six[..six.len() - 4],
            &format!("{six}$"),
            &format!("$6$${hash}"),
            &format!("$6${}${hash}", STANDARD.encode([1; 65])),
            &format!("$7$0$c2FsdA==${hash}"),
            &format!("$7$-1$c2FsdA==${hash}"),
            &format!("$7$1e3$c2FsdA==${hash}"),
            &format!("$7$99999999999999999999$c2FsdA==${hash}"),
            &seven.replace("$7$", "$8$"),
        ] {
            assert_eq!(ImportedHash::read(text).err(), Some(ImportedHashError::NotImportable), "{text}");
        }
        for iterations in [IMPORTED_ITERATIONS_MAX + 1, u64::MAX] {
            let error = ImportedHash::read(&format!("$7${iterations}$c2FsdA==${hash}")).err();
            assert_eq!(error, Some(ImportedHashError::TooManyIterations { iterations }));
        }
        assert!(ImportedHash::read(&format!("$7${IMPORTED_ITERATIONS_MAX}$c2FsdA==${hash}")).is_ok());
    }
}
