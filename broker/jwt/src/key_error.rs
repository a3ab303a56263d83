//! Reasons why a source gives no keys. None contains a byte of a key.

use std::io;

use crate::limits::{KEY_SET_BYTES_MAX, KEYS_MAX, SECRET_BYTES_MIN};

/// Reason why keys cannot be used. Each renders as one line, to stand after the name of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// More than [`KEY_SET_BYTES_MAX`] bytes.
    #[error("has more than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// Fewer than [`SECRET_BYTES_MIN`] bytes.
    #[error(
        "has a secret of {bytes} bytes; HMAC needs at least {SECRET_BYTES_MIN}, as `openssl rand -base64 48` makes"
    )]
    SecretTooShort {
        /// Length of the secret.
        bytes: usize,
    },
    /// A key in PEM where a secret is expected. Its text is public, or may become so.
    #[error("has a key in PEM, which is no secret for HMAC; use auth.jwt.public_key_file")]
    SecretIsPem,
    /// There is no public key in PEM.
    #[error(
        "has no `BEGIN PUBLIC KEY` in PEM; `openssl pkey -in KEY -pubout` and `openssl x509 -in CERTIFICATE -pubkey -noout` print one"
    )]
    NoPublicKey,
    /// The key has another type or size.
    #[error(
        "has a key that is not supported; keys are RSA of 2048 to 8192 bits, EC on P-256 or P-384, or Ed25519"
    )]
    KeyUnsupported,
    /// The bytes are no key set in JSON.
    #[error("has no JSON Web Key Set, which is a JSON object with a list `keys`")]
    NoKeySet,
    /// More than [`KEYS_MAX`] keys.
    #[error("has {keys} keys, the limit is {KEYS_MAX}")]
    TooManyKeys {
        /// Number of keys.
        keys: usize,
    },
    /// No key of the set can verify a signature.
    #[error("has {keys} keys, and none of them verifies signatures of tokens")]
    NoUsableKey {
        /// Number of keys in the set.
        keys: usize,
    },
    /// The authorities for the server cannot be used.
    #[error("cannot be checked by the authorities: {0}")]
    Authorities(String),
    /// There is no connection to the server, or it broke.
    #[error("cannot be fetched: {0}")]
    Unreachable(String),
    /// The exchange took longer than `auth.jwt.jwks_timeout_ms`.
    #[error("was not fetched within {0} ms")]
    TimedOut(u128),
    /// The server answered with another status than 200.
    #[error("was answered with HTTP status {0}; redirections are not followed")]
    Status(u16),
}
