//! Faults of a certificate with its private key, and paths of the files that they come from, for
//! messages.
//!
//! Invariant: nothing of the input is part of a message. A library that was given a private key is
//! asked for the kind of its error, never for its text.

use std::borrow::Cow;
use std::path::Path;

use rustls::Error;

use crate::pem;

/// Reason why a certificate and a private key cannot be used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// The key belongs to another certificate.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// X.509 version 1 or 2.
    #[error("the certificate is of X.509 version 1, which names no hosts")]
    OldVersion,
    /// A kind of key that is not supported, or damaged bytes.
    #[error("the key is damaged or of a kind that is not supported")]
    Key,
    /// Damaged bytes in the certificate, or an extension that is not supported.
    #[error("the certificate is damaged, or has a part that is not supported")]
    Certificate,
}

impl From<&Error> for IdentityFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list grows")]
    fn from(error: &Error) -> Self {
        match error {
            Error::InconsistentKeys(_) => Self::KeyMismatch,
            // The provider returns this for a key that it cannot load.
            Error::General(_) => Self::Key,
            // The verifier's own errors are of a type that is not ours to name.
            Error::InvalidCertificate(fault) if format!("{fault:?}").contains("UnsupportedCertVersion") => {
                Self::OldVersion
            }
            _ => Self::Certificate,
        }
    }
}

/// Returns the path for a message. A setting may hold the text of a key where a path is expected;
/// that text is not shown.
#[must_use]
pub fn masked_path(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    if pem::is_text_of_pem(&text) { Cow::Borrowed(NO_PATH) } else { text }
}

/// Stands in messages for a text in PEM where a path is expected.
pub const NO_PATH: &str = "a text in PEM, which is no path of a file,";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_pem_is_refused_as_a_path() {
        for (path, expected) in [
            ("/etc/key.pem", "/etc/key.pem"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", NO_PATH),
            ("MIIE-----END PRIVATE KEY-----", NO_PATH),
        ] {
            assert_eq!(masked_path(Path::new(path)), expected);
        }
    }

    #[test]
    fn the_text_of_the_library_is_dropped() {
        let fault = IdentityFault::from(&Error::General("swordfish".to_owned()));
        assert_eq!(fault, IdentityFault::Key);
        assert!(!format!("{fault} {fault:?}").contains("swordfish"));
    }
}
