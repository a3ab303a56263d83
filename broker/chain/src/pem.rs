//! Certificates and keys in PEM.

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reason why bytes are not what is wanted: the end of a sentence that begins with a name for them.
#[derive(Debug, thiserror::Error)]
pub enum NotPem {
    /// Another format.
    #[error("is PKCS#12, which is not read; `openssl pkcs12 -in FILE -out NEW.pem -nodes` converts it")]
    Pkcs12,
    /// No certificate.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// No key.
    #[error("holds no private key in PEM that is not encrypted")]
    NoKey,
    /// A key that needs a password.
    #[error("holds a private key that is encrypted; `openssl pkey -in FILE -out NEW.pem` decrypts it")]
    EncryptedKey,
    /// Something that begins as PEM and is none.
    #[error("is damaged: {0}")]
    Damaged(pem::Error),
}

/// The certificates in `bytes`, at least one.
///
/// # Errors
/// See [`NotPem`].
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    check_format(bytes)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(NotPem::Damaged)?;
    if found.is_empty() { Err(NotPem::NoCertificate) } else { Ok(found) }
}

/// The first private key in `bytes`.
///
/// # Errors
/// See [`NotPem`].
pub fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, NotPem> {
    check_format(bytes)?;
    PrivateKeyDer::from_pem_slice(bytes).map_err(|reason| {
        if !matches!(reason, pem::Error::NoItemsFound) {
            return NotPem::Damaged(reason);
        }
        if is_encrypted(bytes) { NotPem::EncryptedKey } else { NotPem::NoKey }
    })
}

fn check_format(bytes: &[u8]) -> Result<(), NotPem> {
    if is_pkcs12(bytes) { Err(NotPem::Pkcs12) } else { Ok(()) }
}

/// Whether a key is there that PKCS#8 encrypts, which is the kind that the reader of PEM passes over.
fn is_encrypted(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// Whether bytes begin as PFX of RFC 7292 §4 does: a sequence with the version, which is 3.
fn is_pkcs12(bytes: &[u8]) -> bool {
    let length_bytes = match bytes {
        [0x30, 0x80, ..] => 0,
        [0x30, first @ 0x81..=0x84, ..] => usize::from(first & 0x7F),
        _ => return false,
    };
    bytes.get(2 + length_bytes..).is_some_and(|contents| contents.starts_with(&[2, 1, 3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let (certificate, own_key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = format!("{certificate}{own_key}{certificate}");
        assert_eq!(certificates(both.as_bytes()).unwrap().len(), 2);
        assert!(key(both.as_bytes()).is_ok());
        assert!(matches!(certificates(own_key.as_bytes()), Err(NotPem::NoCertificate)));
        assert!(matches!(key(certificate.as_bytes()), Err(NotPem::NoKey)));
        let encrypted = own_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(key(encrypted.as_bytes()), Err(NotPem::EncryptedKey)));
        let cut = &certificate.as_bytes()[..certificate.len() / 2];
        assert!(matches!(certificates(cut), Err(NotPem::Damaged(_))));
        for pfx in [&[0x30, 0x80, 2, 1, 3][..], &[0x30, 0x82, 9, 9, 2, 1, 3]] {
            assert!(matches!(certificates(pfx), Err(NotPem::Pkcs12)), "{pfx:?}");
            assert!(matches!(key(pfx), Err(NotPem::Pkcs12)), "{pfx:?}");
        }
    }
}
