//! Encryption of secrets and of the audit: AES-256-GCM, a random nonce per value, table and key as
//! associated data.
//!
//! The key comes from the environment or from a file of mode 0600 beside the data; it is made at
//! the first start. A value that the key does not open (another key, another name, a changed byte)
//! is reported as locked, never as garbage.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt as _};
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use lotmq_changes::TenantId;
use lotmq_changes::table::{AuditRow, SecretRow, audit_key, named_key};
use zeroize::Zeroizing;

use crate::error::SecretKeyError;

/// Name of the key file within the data directory.
const KEY_FILE: &str = "secret.key";
/// Environment variable that takes precedence over the file.
const KEY_VARIABLE: &str = "LOTMQ_SECRET_KEY";

/// Source of the key for secrets.
#[derive(Clone, Default)]
pub enum KeySource {
    /// Environment variable `LOTMQ_SECRET_KEY` (64 hexadecimal digits) if it is set, else
    /// [`KeySource::File`].
    #[default]
    EnvironmentOrFile,
    /// File `secret.key` in the data directory, made with mode 0600 if it is not there.
    File,
    /// This key, for tests.
    Key([u8; 32]),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EnvironmentOrFile => "EnvironmentOrFile",
            Self::File => "File",
            Self::Key(_) => "Key(..)",
        })
    }
}

type KeyBytes = Zeroizing<[u8; 32]>;

/// Seals and opens secrets.
///
/// Records of the audit have a key of their own, derived from that of the secrets: there are so
/// many of them that random nonces of one key would come closer to their bound for both.
pub(crate) struct SecretCipher {
    cipher: Aes256Gcm,
    audit: Aes256Gcm,
    nonces: Nonces,
    /// Whether the key was made now, since there was no file with one.
    pub(crate) is_new: bool,
}

/// Source of random bytes: fills what it is given.
pub type RandomSource = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// Source of nonces.
enum Nonces {
    System,
    Given(RandomSource),
}

impl SecretCipher {
    /// Finds or makes the key.
    pub(crate) fn open(source: &KeySource, directory: &Path) -> Result<Self, SecretKeyError> {
        let (key, is_new) = match source {
            KeySource::EnvironmentOrFile => {
                match std::env::var_os(KEY_VARIABLE).filter(|text| !text.is_empty()) {
                    Some(text) => {
                        let text = Zeroizing::new(text.into_encoded_bytes());
                        (parse_key(&text).ok_or(SecretKeyError::EnvironmentMalformed)?, false)
                    }
                    None => file_key(&directory.join(KEY_FILE))?,
                }
            }
            KeySource::File => file_key(&directory.join(KEY_FILE))?,
            KeySource::Key(key) => (Zeroizing::new(*key), false),
        };
        Ok(Self { is_new, ..Self::with_key(&key) })
    }

    /// A key that is nowhere else: for a store that does not outlive the process.
    pub(crate) fn ephemeral() -> Result<Self, SecretKeyError> {
        random_key().map(|key| Self::with_key(&key))
    }

    fn with_key(key: &KeyBytes) -> Self {
        let cipher = Aes256Gcm::new((&**key).into());
        let audit = derived(&cipher, b"audit");
        Self { cipher, audit, nonces: Nonces::System, is_new: false }
    }

    /// The same with nonces of the caller's own, none of which may come twice with a key that
    /// protects anything.
    pub(crate) fn with_nonces(self, fill: RandomSource) -> Self {
        Self { nonces: Nonces::Given(fill), ..self }
    }

    /// Encrypts a value; `None` when the system gives no random numbers.
    pub(crate) fn seal(&self, tenant: TenantId, name: &str, value: &[u8]) -> Option<SecretRow> {
        let (nonce, ciphertext) = self.encrypt(&self.cipher, &named_key(tenant, name), value)?;
        Some(SecretRow { tenant, name: name.to_owned(), nonce, ciphertext })
    }

    /// Encrypts a record of the audit; `None` when the system gives no random numbers.
    pub(crate) fn seal_audit(
        &self,
        tenant: TenantId,
        number: u64,
        (at_ms, digest): (u64, [u8; 32]),
        text: &[u8],
    ) -> Option<AuditRow> {
        let sealed = [&digest, text].concat();
        let (nonce, ciphertext) = self.encrypt(&self.audit, &audit_data(tenant, number), &sealed)?;
        Some(AuditRow { tenant, number, at_ms, digest: None, nonce, ciphertext })
    }

    /// Digest and text of a record of the audit; `None` when this key is not the one, or the row
    /// was changed.
    pub(crate) fn open_audit(&self, row: &AuditRow) -> Option<([u8; 32], Vec<u8>)> {
        let aad = audit_data(row.tenant, row.number);
        let open = |cipher| decrypt(cipher, &aad, row.nonce, &row.ciphertext);
        // Records of before the audit had a key of its own.
        let opened = open(&self.audit).or_else(|| open(&self.cipher))?;
        match row.digest {
            Some(digest) => Some((digest, opened)),
            None => opened.split_first_chunk().map(|(digest, text)| (*digest, text.to_vec())),
        }
    }

    /// Decrypts a value; `None` when this key is not the one, or the row was changed.
    pub(crate) fn open_row(&self, row: &SecretRow) -> Option<Zeroizing<Vec<u8>>> {
        let aad = named_key(row.tenant, &row.name);
        decrypt(&self.cipher, &aad, row.nonce, &row.ciphertext).map(Zeroizing::new)
    }

    fn encrypt(&self, cipher: &Aes256Gcm, aad: &[u8], msg: &[u8]) -> Option<([u8; 12], Vec<u8>)> {
        let mut nonce = [0; 12];
        match &self.nonces {
            Nonces::System => getrandom::fill(&mut nonce).ok()?,
            Nonces::Given(fill) => fill(&mut nonce),
        }
        let ciphertext = cipher.encrypt(&Nonce::from(nonce), Payload { msg, aad }).ok()?;
        Some((nonce, ciphertext))
    }
}

fn decrypt(cipher: &Aes256Gcm, aad: &[u8], nonce: [u8; 12], msg: &[u8]) -> Option<Vec<u8>> {
    cipher.decrypt(&Nonce::from(nonce), Payload { msg, aad }).ok()
}

/// A key for one purpose: what the cipher makes of zeros under a nonce that encrypts nothing else.
fn derived(cipher: &Aes256Gcm, purpose: &[u8]) -> Aes256Gcm {
    let mut nonce = [0xff; 12];
    nonce[..purpose.len()].copy_from_slice(purpose);
    let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg: &[0; 32], aad: purpose });
    let sealed = Zeroizing::new(sealed.expect("32 bytes are not too long to be encrypted"));
    let key: KeyBytes = Zeroizing::new(*sealed.first_chunk().expect("a ciphertext is as long as its text"));
    Aes256Gcm::new((&*key).into())
}

/// Returns the associated data that binds a record to its place. No name of a secret equals it:
/// such a name follows a tenant's number, and those are small.
fn audit_data(tenant: TenantId, number: u64) -> Vec<u8> {
    [b"audit".as_slice(), &audit_key(tenant, number)].concat()
}

fn random_key() -> Result<KeyBytes, SecretKeyError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(SecretKeyError::Random)?;
    Ok(key)
}

/// The key of a file, and whether it was made.
fn file_key(path: &Path) -> Result<(KeyBytes, bool), SecretKeyError> {
    match std::fs::read(path) {
        Ok(text) => {
            warn_if_open(path);
            let key = parse_key(&Zeroizing::new(text));
            key.map(|key| (key, false)).ok_or_else(|| SecretKeyError::FileMalformed(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random_key()?;
            write_key(path, &key).map_err(|error| SecretKeyError::Io(path.to_owned(), error))?;
            Ok((key, true))
        }
        Err(error) => Err(SecretKeyError::Io(path.to_owned(), error)),
    }
}

/// Others who can read the key can read every secret.
fn warn_if_open(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |data| data.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "key of the secrets is open to others; chmod 600 it");
    }
}

/// Written under another name first, so that a crash leaves no half key.
fn write_key(path: &Path, key: &KeyBytes) -> io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in key.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    let temporary = path.with_extension("key.new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), crate::directory::sync)
}

fn parse_key(text: &[u8]) -> Option<KeyBytes> {
    let digits = text.trim_ascii();
    if digits.len() != 64 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (hex(pair[0])? << 4) | hex(pair[1])?;
    }
    Some(key)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_file_is_made_once_with_mode_0600() {
        let directory = tempfile::tempdir().unwrap();
        let first = SecretCipher::open(&KeySource::File, directory.path()).unwrap();
        let row = first.seal(TenantId(1), "N", b"value").unwrap();
        let metadata = std::fs::metadata(directory.path().join(KEY_FILE)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let second = SecretCipher::open(&KeySource::File, directory.path()).unwrap();
        assert_eq!(second.open_row(&row).unwrap().as_slice(), b"value");
    }

    #[test]
    fn a_value_opens_only_under_its_own_tenant_and_name() {
        let cipher = SecretCipher::ephemeral().unwrap();
        let row = cipher.seal(TenantId(1), "N", b"value").unwrap();
        assert!(cipher.open_row(&SecretRow { tenant: TenantId(2), ..row.clone() }).is_none());
        assert!(cipher.open_row(&SecretRow { name: "M".into(), ..row.clone() }).is_none());
        assert!(SecretCipher::ephemeral().unwrap().open_row(&row).is_none());
        assert_ne!(cipher.seal(TenantId(1), "N", b"value").unwrap().ciphertext, row.ciphertext);
    }

    #[test]
    fn records_of_the_audit_have_a_key_of_their_own_and_older_ones_are_read() {
        let cipher = SecretCipher::ephemeral().unwrap();
        let row = cipher.seal_audit(TenantId(1), 7, (1, [2; 32]), b"text").unwrap();
        assert_eq!(cipher.open_audit(&row).unwrap(), ([2; 32], b"text".to_vec()));
        assert_eq!(row.digest, None, "it would tell who guesses the text");
        let aad = audit_data(TenantId(1), 7);
        assert!(decrypt(&cipher.cipher, &aad, row.nonce, &row.ciphertext).is_none());
        let (nonce, ciphertext) = cipher.encrypt(&cipher.cipher, &aad, b"older").unwrap();
        assert!(cipher.open_audit(&AuditRow { number: 8, ..row.clone() }).is_none());
        let older = AuditRow { nonce, ciphertext, digest: Some([3; 32]), ..row };
        assert_eq!(cipher.open_audit(&older).unwrap(), ([3; 32], b"older".to_vec()));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_a_key() {
        for (text, is_key) in [
            ("00".repeat(32), true),
            (format!("{}\n", "aF".repeat(32)), true),
            ("0".repeat(63), false),
            ("g0".repeat(32), false),
            (String::new(), false),
        ] {
            assert_eq!(parse_key(text.as_bytes()).is_some(), is_key, "{text}");
        }
    }
}
