//! Certificates and keys in PEM, from files and from texts.

use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::limits::CERTIFICATE_FILE_BYTES_MAX;

/// Reason why something is no PEM that can be used. Each renders as one line that names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    #[error("cannot read {name}: {reason}")]
    Unreadable { name: String, reason: io::Error },
    #[error("{name} is larger than {CERTIFICATE_FILE_BYTES_MAX} bytes")]
    TooLarge { name: String },
    #[error(
        "{name} is PKCS#12, which is not read; `openssl pkcs12 -in {name} -out lotmq.pem -nodes` converts it"
    )]
    Pkcs12 { name: String },
    #[error("{name} holds no certificate in PEM")]
    NoCertificate { name: String },
    #[error("{name} holds no private key in PEM that is not encrypted")]
    NoKey { name: String },
    #[error("{name} is damaged: {reason}")]
    Damaged { name: String, reason: pem::Error },
}

/// Contents of a file, or of a setting, that should be PEM.
pub(crate) struct Pem {
    /// Path of the file, or name of the setting.
    name: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl Pem {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too large, or is PKCS#12.
    pub(crate) fn read(path: &Path) -> Result<Self, PemError> {
        let name = path.display().to_string();
        let unreadable = |reason| PemError::Unreadable { name: name.clone(), reason };
        if std::fs::metadata(path).map_err(unreadable)?.len() > CERTIFICATE_FILE_BYTES_MAX {
            return Err(PemError::TooLarge { name });
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
        if is_pkcs12(&bytes) { Err(PemError::Pkcs12 { name }) } else { Ok(Self { name, bytes }) }
    }

    /// Text of a setting.
    pub(crate) fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), bytes: Zeroizing::new(text.as_bytes().to_vec()) }
    }

    /// Path of the file, or name of the setting.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Certificates in it, at least one.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|reason| PemError::Damaged { name: self.name.clone(), reason })?;
        if found.is_empty() { Err(PemError::NoCertificate { name: self.name.clone() }) } else { Ok(found) }
    }

    /// The first private key in it.
    ///
    /// # Errors
    /// There is none that is not encrypted, or it is damaged.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|reason| {
            if matches!(reason, pem::Error::NoItemsFound) {
                PemError::NoKey { name: self.name.clone() }
            } else {
                PemError::Damaged { name: self.name.clone(), reason }
            }
        })
    }
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
