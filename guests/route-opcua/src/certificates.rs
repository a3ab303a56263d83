//! Certificates of a route: its own with their keys, and trusted server certificates, in the folder
//! of its section.
//!
//! | file | content |
//! |---|---|
//! | `own/cert.der` or `own/cert.pem` | certificate of this client; created if missing |
//! | `own/key.pem` | key of this client |
//! | `user/cert.der` or `user/cert.pem`, `user/key.pem` | certificate and key of the login user |
//! | `trusted/` | trusted server certificates |
//! | `rejected/` | received untrusted certificates; move one to `trusted/` to trust it |

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_guest::route::Failure;
use lotmq_guest::route::files::{FileError, Folder};
use opcua_crypto::{KeySize as _, PrivateKey, SecurityPolicy, X509, X509Data};
use opcua_types::ByteString;

use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX, KEY_BITS};

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PrivateKey,
}

impl Identity {
    /// Whether the key is that of the certificate.
    fn is_pair(&self) -> bool {
        let policy = SecurityPolicy::Basic256Sha256;
        let mut signature = vec![0; self.key.size()];
        let signed = policy.asymmetric_sign(&self.key, b"whose", &mut signature);
        let Ok(public) = self.certificate.public_key() else { return false };
        signed.is_ok() && policy.asymmetric_verify_signature(&public, b"whose", &signature).is_ok()
    }
}

/// The folder of a section.
pub(crate) struct Certificates {
    folder: Folder,
}

impl Certificates {
    /// The folder of the section, which the host has for each that needs one.
    pub(crate) fn of_section() -> Certificates {
        Certificates { folder: Folder::named("opcua") }
    }

    /// The certificate of this client; made, and kept, where there is none.
    pub(crate) fn own(&self, application_uri: &str) -> Result<Identity, Failure> {
        // Shows users the folder for server certificates. A later write reports the error if this
        // fails.
        let _ = self.folder.make_folder("trusted");
        match self.identity("own")? {
            Some(identity) => Ok(identity),
            None => self.make(application_uri),
        }
    }

    /// The certificate of the user.
    pub(crate) fn user(&self) -> Result<Identity, Failure> {
        self.identity("user")?.ok_or_else(|| {
            Failure::Fatal(
                "AUTH_MODE is 2, and STORAGE_DIR has no user/cert.der with user/key.pem".to_owned(),
            )
        })
    }

    fn identity(&self, place: &str) -> Result<Option<Identity>, Failure> {
        let wrong =
            |file: &str, reason: &str| Failure::Fatal(format!("STORAGE_DIR: {place}/{file} {reason}"));
        let der = self.read(&format!("{place}/cert.der"))?;
        let certificate = match der {
            Some(bytes) => Some(bytes),
            None => self.read(&format!("{place}/cert.pem"))?,
        };
        let key = self.read(&format!("{place}/key.pem"))?;
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(wrong("cert.der", "is missing beside key.pem")),
            (Some(_), None) => return Err(wrong("key.pem", "is missing beside the certificate")),
        };
        let certificate = parsed(&certificate).ok_or_else(|| wrong("cert.der", "holds no certificate"))?;
        let key = PrivateKey::from_pem(&key)
            .map_err(|_| wrong("key.pem", "holds no RSA key in PEM without a password"))?;
        let identity = Identity { certificate, key };
        if !identity.is_pair() {
            return Err(wrong("key.pem", "does not belong to the certificate"));
        }
        Ok(Some(identity))
    }

    fn make(&self, application_uri: &str) -> Result<Identity, Failure> {
        let failed = |reason: String| Failure::Fatal(format!("no certificate can be made: {reason}"));
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: "lotmq".to_owned(),
            organization: "lotmq".to_owned(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: X509Data::alt_host_names(application_uri, None, true, false, false),
            certificate_duration_days: 3_650,
        };
        let (certificate, key) = X509::cert_and_pkey(&data).map_err(failed)?;
        let pem = pem(key.to_der().map_err(|error| failed(error.to_string()))?.as_bytes());
        let der = certificate.to_der().map_err(|error| failed(error.to_string()))?;
        let written =
            self.write("own", "key.pem", pem.as_bytes()).and_then(|()| self.write("own", "cert.der", &der));
        written.map_err(|error| Failure::Fatal(format!("STORAGE_DIR cannot be written: {error}")))?;
        Ok(Identity { certificate, key })
    }

    /// Whether a server is trusted; kept among those that are not, where it is not.
    pub(crate) fn trusts(&self, server: &X509) -> Result<bool, Failure> {
        let der = server.to_der().map_err(|error| Failure::Reconnect(error.to_string()))?;
        for name in self.names("trusted")? {
            let bytes = self.read(&format!("trusted/{name}"))?;
            let trusted = bytes.as_deref().and_then(parsed).and_then(|certificate| certificate.to_der().ok());
            if trusted.is_some_and(|trusted| trusted == der) {
                return Ok(true);
            }
        }
        let rejected = self.names("rejected")?;
        let name = file_name(server);
        // A stranger must not fill the disk with certificates.
        if rejected.len() < CERTIFICATES_MAX && !rejected.contains(&name) {
            let written = self.write("rejected", &name, &der);
            written.map_err(|error| Failure::Reconnect(format!("STORAGE_DIR cannot be written: {error}")))?;
        }
        Ok(false)
    }

    fn names(&self, place: &str) -> Result<Vec<String>, Failure> {
        let failed =
            |error: FileError| Failure::Reconnect(format!("STORAGE_DIR: {place} cannot be read: {error}"));
        let names = match self.folder.list(place) {
            Ok(names) => names,
            Err(FileError::NotFound) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let names = names.take(CERTIFICATES_MAX).map(|entry| entry.map(|entry| entry.name));
        names.collect::<Result<_, _>>().map_err(failed)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let failed =
            |reason: String| Failure::Reconnect(format!("STORAGE_DIR: {path} cannot be read: {reason}"));
        let file = match self.folder.open(path) {
            Ok(file) => file,
            Err(FileError::NotFound) => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let mut bytes = Vec::new();
        let most = CERTIFICATE_BYTES_MAX as u64 + 1;
        file.take(most).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if bytes.len() > CERTIFICATE_BYTES_MAX {
            return Err(failed(format!("it is longer than {CERTIFICATE_BYTES_MAX} bytes")));
        }
        Ok(Some(bytes))
    }

    fn write(&self, place: &str, name: &str, bytes: &[u8]) -> Result<(), String> {
        match self.folder.make_folder(place) {
            Ok(()) | Err(FileError::Exists) => {}
            Err(error) => return Err(error.to_string()),
        }
        let mut file = self.folder.write(&format!("{place}/{name}")).map_err(|error| error.to_string())?;
        file.write_all(bytes).and_then(|()| file.flush()).map_err(|error| error.to_string())
    }
}

/// A certificate in DER or PEM.
fn parsed(bytes: &[u8]) -> Option<X509> {
    X509::from_der(bytes).or_else(|_| X509::from_pem(bytes)).ok()
}

/// The first certificate of what a server shows, which may be followed by those of its issuers.
pub(crate) fn of_server(shown: &ByteString) -> Option<X509> {
    let bytes = shown.value.as_deref()?;
    // The length of the outer sequence: a chain is one behind the other.
    let own = match bytes {
        [0x30, 0x82, high, low, ..] => bytes.get(..usize::from(u16::from_be_bytes([*high, *low])) + 4)?,
        _ => bytes,
    };
    let certificate = X509::from_der(own).ok()?;
    certificate.public_key().is_ok().then_some(certificate)
}

/// Thumbprint in hexadecimal digits, as tools of OPC UA name files by it.
pub(crate) fn thumbprint(certificate: &X509) -> String {
    certificate.thumbprint().value().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Name of the file of a certificate that has come.
pub(crate) fn file_name(certificate: &X509) -> String {
    format!("{}.der", thumbprint(certificate))
}

/// A key as PEM.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// Returns the application address of a certificate: the first address among its alternative names,
/// RFC 5280 §4.2.1.6.
pub(crate) fn application_uri(certificate: &X509) -> Option<String> {
    const ALTERNATIVE_NAMES: [u8; 5] = [0x06, 0x03, 0x55, 0x1D, 0x11];
    const ADDRESS: u8 = 0x86;
    let der = certificate.to_der().ok()?;
    let at = der.windows(ALTERNATIVE_NAMES.len()).position(|bytes| bytes == ALTERNATIVE_NAMES)?;
    let names = der.get(at + ALTERNATIVE_NAMES.len()..)?;
    let start = names.iter().position(|byte| *byte == ADDRESS)?;
    let length = usize::from(*names.get(start + 1)?);
    let address = names.get(start + 2..start + 2 + length)?;
    // Longer ones have their length in more bytes; no address of an application is.
    (length < 0x80).then(|| String::from_utf8(address.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_made_is_for_the_application_and_its_key() {
        let data = X509Data {
            key_size: KEY_BITS,
            common_name: "lotmq".to_owned(),
            organization: "lotmq".to_owned(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: X509Data::alt_host_names("urn:lotmq:Plc", None, true, false, false),
            certificate_duration_days: 1,
        };
        let (certificate, key) = X509::cert_and_pkey(&data).unwrap();
        assert_eq!(application_uri(&certificate).as_deref(), Some("urn:lotmq:Plc"));
        let read_back = PrivateKey::from_pem(pem(key.to_der().unwrap().as_bytes()).as_bytes()).unwrap();
        let mut identity = Identity { certificate, key: read_back };
        assert!(identity.is_pair());
        let shown = ByteString::from([identity.certificate.to_der().unwrap(), vec![1, 2, 3]].concat());
        assert_eq!(thumbprint(&of_server(&shown).unwrap()), thumbprint(&identity.certificate));
        assert!(of_server(&ByteString::from(vec![0x30, 0x82, 0xFF, 0xFF])).is_none());
        identity.key = PrivateKey::new(KEY_BITS).unwrap();
        assert!(!identity.is_pair());
    }
}
