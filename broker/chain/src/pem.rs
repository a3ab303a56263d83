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
    Damaged(PemDamage),
}

/// Damage of a text in PEM. The library's error quotes the text, which may be a private key: only
/// its kind is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemDamage {
    /// Further text in the line of BEGIN.
    #[error("its line `-----BEGIN …-----` does not end there; write it with the line breaks of the file")]
    LineBreaksLost,
    /// No line of END.
    #[error("its line `-----END …-----` is missing")]
    NoEnd,
    /// Other letters than base64 has.
    #[error("between its lines `-----BEGIN …-----` and `-----END …-----` is no base64")]
    NoBase64,
    /// A section that is too large.
    #[error("it is too large")]
    TooLarge,
}

impl PemDamage {
    /// Kind of the damage that the library found in `bytes`.
    fn of(error: &pem::Error, bytes: &[u8]) -> Self {
        if has_no_line_break(bytes) {
            return Self::LineBreaksLost;
        }
        match error {
            pem::Error::IllegalSectionStart { .. } => Self::LineBreaksLost,
            pem::Error::Base64Decode(_) => Self::NoBase64,
            pem::Error::SectionTooLarge => Self::TooLarge,
            pem::Error::MissingSectionEnd { .. } | pem::Error::Io(_) | pem::Error::NoItemsFound => {
                Self::NoEnd
            }
            _ => Self::NoBase64,
        }
    }
}

/// Beginning of a section.
const BEGIN: &[u8] = b"-----BEGIN ";

/// Whether a line of BEGIN has text behind its dashes.
fn has_no_line_break(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        line.starts_with(BEGIN) && (!line.ends_with(b"-----") || count(line, b"-----") > 2)
    })
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

/// Whether a text is PEM, or a part of one, and not the path of a file.
#[must_use]
pub fn is_text_of_pem(text: &str) -> bool {
    text.contains("-----BEGIN") || text.contains("-----END") || text.contains("PRIVATE KEY-")
}

/// Label of the first section of PEM in a file, which is shown if it is a usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PemLabel(Option<&'static str>);

/// Labels that are shown. Others may be a part of a key whose line breaks were lost.
const LABELS: [&str; 11] = [
    "certificate request",
    "certificate",
    "encrypted private key",
    "rsa private key",
    "ec private key",
    "openssh private key",
    "private key",
    "rsa public key",
    "public key",
    "ec parameters",
    "x509 crl",
];

impl fmt::Display for PemLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(label) => write!(formatter, ", but a {label}"),
            None => Ok(()),
        }
    }
}

impl PemLabel {
    fn in_bytes(bytes: &[u8]) -> Self {
        let start = bytes.windows(BEGIN.len()).position(|window| window == BEGIN).map(|at| at + BEGIN.len());
        let label = start.and_then(|start| bytes.get(start..)?.split(|byte| *byte == b'-').next());
        let label = label.unwrap_or_default();
        Self(LABELS.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(label)))
    }
}

/// The certificates in `bytes`, at least one.
///
/// # Errors
/// See [`NotPem`].
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    check_format(bytes)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| NotPem::Damaged(PemDamage::of(&error, bytes)))?;
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
        if !matches!(reason, pem::Error::NoItemsFound) || has_no_line_break(bytes) {
            return NotPem::Damaged(PemDamage::of(&reason, bytes));
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

/// Whether a key is there that PKCS#8 encrypts, which is the kind that the reader of PEM passes
/// over, or one that PEM itself encrypts (RFC 1421 §4.6.1.1).
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
    fn pem_errors_name_the_missing_or_unsupported_content() {
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

    /// A key and a certificate in the forms in which they come of environment variables and
    /// editors.
    #[test]
    fn damage_is_named_and_nothing_of_the_text_is_quoted() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let whole = made.signing_key.serialize_pem();
        let body: String = whole.lines().filter(|line| !line.starts_with('-')).collect();
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        use PemDamage::{LineBreaksLost, NoBase64, NoEnd};
        for (text, expected) in [
            (format!("{begin} {body} {end}"), LineBreaksLost),
            (format!("{begin}{body}{end}"), LineBreaksLost),
            (format!(r"{begin}\n{body}\n{end}\n"), LineBreaksLost),
            (format!("{begin}{body}\n{end}\n"), LineBreaksLost),
            (format!("{begin}\n{body}\n"), NoEnd),
            (format!("{begin}\n{body} {end}"), NoEnd),
            (format!("{begin}\n!{body}\n{end}\n"), NoBase64),
            (format!("-----BEGIN {body}\n{end}\n"), LineBreaksLost),
            (format!("{}\n{body}\n{end}\n", &begin[..begin.len() - 1]), LineBreaksLost),
        ] {
            let faults = [key(text.as_bytes()).unwrap_err(), certificates(text.as_bytes()).unwrap_err()];
            assert!(matches!(faults[0], NotPem::Damaged(damage) if damage == expected), "{:?}", faults[0]);
            for told in faults.iter().flat_map(|fault| [fault.to_string(), format!("{fault:?}")]) {
                let quotes = |window: &[u8]| {
                    let [text, numbers] =
                        [String::from_utf8_lossy(window).into_owned(), format!("{window:?}")];
                    told.contains(&text) || told.contains(numbers.trim_matches(['[', ']']))
                };
                assert!(!body.as_bytes().windows(8).any(quotes), "{told}");
            }
        }
    }
}
