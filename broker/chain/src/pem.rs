//! Certificates and keys in PEM.

use std::fmt;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reason why bytes are not what is wanted: the end of a sentence that begins with a name for them.
#[derive(Debug, thiserror::Error)]
pub enum NotPem {
    /// Another format.
    #[error("is PKCS#12, which is not read; `openssl pkcs12 -in FILE -out NEW.pem -nodes` converts it")]
    Pkcs12,
    /// Bytes of ASN.1 without the text round them.
    #[error(
        "is DER, not PEM; `openssl x509 -inform der -in FILE -out NEW.pem` converts a certificate, `openssl pkey -inform der` a key"
    )]
    Der,
    /// No certificate.
    #[error("holds no certificate in PEM{0}")]
    NoCertificate(PemLabel),
    /// No key.
    #[error("holds no private key in PEM that is not encrypted{0}")]
    NoKey(PemLabel),
    /// A key that needs a password.
    #[error("holds a private key that is encrypted; `openssl pkey -in FILE -out NEW.pem` decrypts it")]
    EncryptedKey,
    /// Something that begins as PEM and is none.
    #[error("is damaged: {0}")]
    Damaged(pem::Error),
}

/// What stands in a file instead: the first label of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemLabel(Option<String>);

impl fmt::Display for PemLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(label) => write!(formatter, ", but a {label}"),
            None => Ok(()),
        }
    }
}

impl PemLabel {
    fn in_bytes(bytes: &[u8]) -> Self {
        const BEGIN: &[u8] = b"-----BEGIN ";
        let start = bytes.windows(BEGIN.len()).position(|window| window == BEGIN).map(|at| at + BEGIN.len());
        let label = start.and_then(|start| bytes.get(start..)?.split(|byte| *byte == b'-').next());
        let is_label = |label: &&[u8]| {
            label.len() <= 40 && label.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ')
        };
        Self(label.filter(is_label).map(|label| String::from_utf8_lossy(label).to_lowercase()))
    }
}

/// The certificates in `bytes`, at least one.
///
/// # Errors
/// See [`NotPem`].
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    check_format(bytes)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(NotPem::Damaged)?;
    if found.is_empty() { Err(NotPem::NoCertificate(PemLabel::in_bytes(bytes))) } else { Ok(found) }
}

/// The first private key in `bytes`.
///
/// # Errors
/// See [`NotPem`].
pub fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, NotPem> {
    check_format(bytes)?;
    PrivateKeyDer::from_pem_slice(bytes).map_err(|reason| {
        if is_encrypted(bytes) {
            return NotPem::EncryptedKey;
        }
        if !matches!(reason, pem::Error::NoItemsFound) {
            return NotPem::Damaged(reason);
        }
        NotPem::NoKey(PemLabel::in_bytes(bytes))
    })
}

fn check_format(bytes: &[u8]) -> Result<(), NotPem> {
    if is_pkcs12(bytes) {
        return Err(NotPem::Pkcs12);
    }
    // A sequence, which no text begins with whose second character can be read.
    if let [0x30, 0x80..=0x84, ..] = bytes { Err(NotPem::Der) } else { Ok(()) }
}

/// Whether a key is there that PKCS#8 encrypts, which is the kind that the reader of PEM passes over, or one that PEM itself encrypts (RFC 1421 §4.6.1.1).
fn is_encrypted(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
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
        assert!(matches!(certificates(own_key.as_bytes()), Err(NotPem::NoCertificate(_))));
        assert!(matches!(key(certificate.as_bytes()), Err(NotPem::NoKey(_))));
        let encrypted = own_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(key(encrypted.as_bytes()), Err(NotPem::EncryptedKey)));
        let of_pem = own_key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1);
        assert!(matches!(key(of_pem.as_bytes()), Err(NotPem::EncryptedKey)));
        let told = [
            certificates(own_key.as_bytes()).unwrap_err().to_string(),
            key(certificate.as_bytes()).unwrap_err().to_string(),
        ];
        assert_eq!(
            told,
            [
                "holds no certificate in PEM, but a private key",
                "holds no private key in PEM that is not encrypted, but a certificate"
            ]
        );
        assert_eq!(
            key(b"nothing").unwrap_err().to_string(),
            "holds no private key in PEM that is not encrypted"
        );
        assert!(matches!(certificates(made.cert.der()), Err(NotPem::Der)));
        assert!(matches!(certificates(b"0 is a text"), Err(NotPem::NoCertificate(_))));
        let cut = &certificate.as_bytes()[..certificate.len() / 2];
        assert!(matches!(certificates(cut), Err(NotPem::Damaged(_))));
        for pfx in [&[0x30, 0x80, 2, 1, 3][..], &[0x30, 0x82, 9, 9, 2, 1, 3]] {
            assert!(matches!(certificates(pfx), Err(NotPem::Pkcs12)), "{pfx:?}");
            assert!(matches!(key(pfx), Err(NotPem::Pkcs12)), "{pfx:?}");
        }
    }
}
