//! SCRAM verifier of a password, as a server stores it, and the source of salts.

use std::fmt;
use std::num::NonZeroU32;

use ring::pbkdf2;
use sha2::{Digest, Sha256};

use super::sign;
use crate::limits::SCRAM_ITERATIONS;

/// Layout of [`ScramVerifier::to_bytes`].
const VERSION: u8 = 1;

/// Salt, iterations, StoredKey and ServerKey of one password (RFC 5802 §3). `Debug` shows nothing
/// of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    pub(crate) salt: [u8; 16],
    pub(crate) iterations: NonZeroU32,
    pub(crate) stored_key: [u8; 32],
    pub(crate) server_key: [u8; 32],
}

impl ScramVerifier {
    /// Hashes a password, [`SCRAM_ITERATIONS`] times.
    pub(crate) fn new(password: &[u8], salt: [u8; 16]) -> Self {
        Self::with_iterations(password, salt, SCRAM_ITERATIONS)
    }

    pub(crate) fn with_iterations(password: &[u8], salt: [u8; 16], iterations: NonZeroU32) -> Self {
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, &prepared(password), &mut salted);
        let stored_key = Sha256::digest(sign(&salted, b"Client Key")).into();
        Self { salt, iterations, stored_key, server_key: sign(&salted, b"Server Key") }
    }

    /// One that looks like others from outside and that no password fits.
    pub(crate) fn unknown(salt: [u8; 16]) -> Self {
        Self { salt, iterations: SCRAM_ITERATIONS, stored_key: [0; 32], server_key: [0; 32] }
    }

    /// As it is stored: 85 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let iterations = self.iterations.get().to_be_bytes();
        [&[VERSION][..], &self.salt, &iterations, &self.stored_key, &self.server_key].concat()
    }

    /// Reads a stored verifier; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (iterations, rest) = rest.split_first_chunk()?;
        let (stored_key, rest) = rest.split_first_chunk()?;
        Some(Self {
            salt: *salt,
            iterations: NonZeroU32::new(u32::from_be_bytes(*iterations))?,
            stored_key: *stored_key,
            server_key: rest.try_into().ok()?,
        })
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(****)")
    }
}

/// A password as SCRAM hashes it: prepared by SASLprep (RFC 4013) where that is possible, else as
/// it is.
fn prepared(password: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let text = std::str::from_utf8(password).ok();
    match text.map(stringprep::saslprep) {
        Some(Ok(prepared)) => prepared.into_owned().into_bytes().into(),
        Some(Err(_)) | None => password.into(),
    }
}

/// The secret of a tenant that derives salts for names without a salt: unknown users, and users
/// without a SCRAM password. `Debug` shows nothing of it.
///
/// Such a salt is stable, like that of a password. So one look at it does not show which of the two
/// it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ScramSecret(pub [u8; 32]);

impl ScramSecret {
    pub(crate) fn salt(&self, user: &str) -> [u8; 16] {
        let tag = sign(&self.0, user.as_bytes());
        *tag.first_chunk().expect("16 of 32 bytes")
    }
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramSecret(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_comes_back_as_it_was_stored() {
        let verifier = ScramVerifier::new(b"pencil", [9; 16]);
        let stored = verifier.to_bytes();
        assert_eq!((stored.len(), ScramVerifier::from_bytes(&stored)), (85, Some(verifier)));
        for bad in [&stored[..84], &[&stored[..], &[0]].concat(), &[2; 85], &[1; 0]] {
            assert_eq!(ScramVerifier::from_bytes(bad), None);
        }
        let no_iterations = [&stored[..17], &[0; 4], &stored[21..]].concat();
        assert_eq!(ScramVerifier::from_bytes(&no_iterations), None);
    }

    /// RFC 4013 §3.
    #[test]
    fn passwords_are_prepared() {
        for (password, expected) in [
            ("I\u{AD}X", "IX"),
            ("user", "user"),
            ("\u{AA}", "a"),
            ("\u{2168}", "IX"),
            // Prohibited, and bidirectional: taken as it is.
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
        ] {
            assert_eq!(prepared(password.as_bytes()), expected.as_bytes(), "{password:?}");
        }
        assert_eq!(prepared(b"\xFF"), &b"\xFF"[..]);
    }
}
