//! Certificate authority and certificate of a broker in a local network, as files with mode 0600.
//!
//! The authority is made once and stays, because clients have a copy of its certificate. It signs
//! the broker's certificate anew when this machine has another name or address, and in time before
//! the end.
//!
//! Invariant: a file is complete or not there, also after a power loss. Not here: reading the files
//! for a listener (`lotmq_net`).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use data_encoding::{HEXLOWER, HEXUPPER};
use lotmq_chain::validity;
use lotmq_connect::random_text;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::addresses::Reachable;

const DAY_MS: u64 = 86_400_000;

/// Time before now from which on certificates are good: clocks of clients may be behind.
const GOOD_BEFORE_MS: u64 = DAY_MS;

/// Validity of the authority: clients get a copy of it by hand.
const AUTHORITY_MS: u64 = 3650 * DAY_MS;

/// Validity of the broker's certificate. Some clients refuse more than 398 days.
const CERTIFICATE_MS: u64 = 397 * DAY_MS;

/// Time before its end from which on a start signs the certificate anew.
const RENEWED_BEFORE_MS: u64 = 60 * DAY_MS;

/// Files of the authority and of the broker.
#[derive(Clone, Debug)]
pub(super) struct LanFiles {
    folder: PathBuf,
}

impl LanFiles {
    /// Those in a folder, which need not exist.
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Certificate of the authority, which clients trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn authority_key(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// Certificate of the broker, with its key.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("broker.pem")
    }

    /// Makes the files that are missing or out of date, for clients that use these names at this
    /// time. Returns the SHA-256 fingerprint of the authority.
    ///
    /// # Errors
    /// A file cannot be read, used or written; the key of an authority is missing that clients may
    /// trust already.
    pub(super) fn prepare(&self, reachable: &Reachable, now_ms: u64) -> anyhow::Result<String> {
        let folder = &self.folder;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let authority = match read(&self.authority())? {
            Some(pem) => pem,
            None => self.make_authority(now_ms)?,
        };
        let authority = parsed(&authority, &self.authority())?;
        if !self.is_current(reachable, now_ms)? {
            self.sign(&authority, reachable, now_ms)?;
        }
        Ok(fingerprint(&authority))
    }

    /// Makes an authority. No client can have the certificate of one whose file is missing, so its
    /// key is replaced, and what it has signed is removed.
    fn make_authority(&self, now_ms: u64) -> anyhow::Result<String> {
        if let Err(error) = std::fs::remove_file(self.certificate())
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("cannot remove {}", self.certificate().display()));
        }
        let key = KeyPair::generate().context("cannot make the key of the authority")?;
        let pem = authority_params(&key, now_ms)
            .self_signed(&key)
            .context("cannot make the certificate of the authority")?
            .pem();
        self.write(&self.authority_key(), &Zeroizing::new(key.serialize_pem()))?;
        self.write(&self.authority(), &pem)?;
        Ok(pem)
    }

    /// Whether the certificate is there, is for all names and addresses, and is good for a while.
    fn is_current(&self, reachable: &Reachable, now_ms: u64) -> anyhow::Result<bool> {
        let Some(pem) = read(&self.certificate())? else { return Ok(false) };
        let Ok(certificate) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return Ok(false) };
        let is_lasting = validity::ends_at_ms(&certificate) > now_ms.saturating_add(RENEWED_BEFORE_MS);
        Ok(is_lasting && names(reachable).iter().all(|name| is_for(&certificate, name)))
    }

    fn sign(&self, authority: &CertificateDer<'_>, reachable: &Reachable, now_ms: u64) -> anyhow::Result<()> {
        let path = self.authority_key();
        let Some(pem) = read(&path)?.map(Zeroizing::new) else {
            bail!(
                "{} is missing, so the broker's certificate cannot be signed: put it back, or remove the folder {} for a new authority, whose ca.pem every client then needs",
                path.display(),
                self.folder.display()
            );
        };
        let key =
            KeyPair::from_pem(&pem).with_context(|| format!("{} holds no usable key", path.display()))?;
        let issuer = Issuer::new(authority_params(&key, now_ms), key);
        let mut params = CertificateParams::new(names(reachable)).context("names for the certificate")?;
        validate_from(&mut params, now_ms, CERTIFICATE_MS);
        params.distinguished_name.push(DnType::CommonName, reachable.preferred());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let own = KeyPair::generate().context("cannot make the key of the broker")?;
        let signed = params.signed_by(&own, &issuer).context("cannot sign the broker's certificate")?;
        if !is_issued_by(signed.der(), authority, now_ms) {
            bail!(
                "the key in {} is not that of the authority in {}: put the right one back, or remove the folder {} for a new authority, whose ca.pem every client then needs",
                path.display(),
                self.authority().display(),
                self.folder.display()
            );
        }
        let both = Zeroizing::new(signed.pem() + &own.serialize_pem());
        self.write(&self.certificate(), &both)
    }

    /// Writes a file that only its owner can read, at once as a whole.
    pub(super) fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let unfinished = self.folder.join(format!(".new-{}", random_text(8)?));
        let mut options = OpenOptions::new();
        let written =
            options.write(true).create_new(true).mode(0o600).open(&unfinished).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                std::fs::rename(&unfinished, path)?;
                std::fs::File::open(&self.folder)?.sync_all()
            });
        if written.is_err() {
            // It may not be there.
            let _ = std::fs::remove_file(&unfinished);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Content of a file; `None` without one.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parsed(pem: &str, path: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    certificate.ok().with_context(|| format!("{} holds no certificate", path.display()))
}

/// Parameters of the authority with this key; they differ in nothing but validity from one call to
/// the next. Part of the key is in the name, so that authorities of two brokers differ.
fn authority_params(key: &KeyPair, now_ms: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    validate_from(&mut params, now_ms, AUTHORITY_MS);
    let digest = HEXLOWER.encode(&Sha256::digest(key.public_key_raw()));
    params.distinguished_name.push(DnType::CommonName, format!("lotmq LAN authority {}", &digest[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn validate_from(params: &mut CertificateParams, now_ms: u64, for_ms: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // Whole seconds: certificates have no parts of them.
    let at = |ms: u64| epoch + Duration::from_secs(ms / 1000);
    params.not_before = at(now_ms.saturating_sub(GOOD_BEFORE_MS));
    params.not_after = at(now_ms.saturating_add(for_ms));
}

/// Names and addresses that a certificate of this machine has, those of loopback included.
fn names(reachable: &Reachable) -> Vec<String> {
    let addresses = reachable.addresses.iter().map(IpAddr::to_string);
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    reachable.names.iter().cloned().chain(addresses).chain(own).collect()
}

/// Whether a certificate is for a host name or an address.
pub(crate) fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}

/// Whether an authority has signed a certificate.
fn is_issued_by(certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>, now_ms: u64) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    if roots.add(authority.clone().into_owned()).is_err() {
        return false;
    }
    let provider = rustls::crypto::ring::default_provider();
    let supported = provider.signature_verification_algorithms.all;
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
    rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, supported).is_ok()
}

/// SHA-256 of a certificate as `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    let bytes: Vec<String> = digest.iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn reachable(address: &str) -> Reachable {
        Reachable {
            names: vec!["plant".to_owned(), "plant.local".to_owned()],
            addresses: vec![address.parse().unwrap()],
            has_ipv6: false,
        }
    }

    #[test]
    fn authority_stays_and_certificate_follows_addresses_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let files = LanFiles::of(folder.path().join("lan"));
        let now_ms = lotmq_process::clock::wall_ms();
        let first = files.prepare(&reachable("192.0.2.7"), now_ms).unwrap();
        assert_eq!((first.len(), first.matches(':').count()), (95, 31));
        let text = || std::fs::read_to_string(files.certificate()).unwrap();
        let before = text();
        for path in [files.authority(), files.authority_key(), files.certificate()] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
        let mode = std::fs::metadata(folder.path().join("lan")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(files.prepare(&reachable("192.0.2.7"), now_ms + DAY_MS).unwrap(), first);
        assert_eq!(text(), before, "nothing has changed");

        assert_eq!(files.prepare(&reachable("192.0.2.8"), now_ms).unwrap(), first);
        let of_other_address = text();
        assert_ne!(of_other_address, before);
        let der = CertificateDer::from_pem_slice(of_other_address.as_bytes()).unwrap();
        for (name, is_named) in
            [("192.0.2.8", true), ("192.0.2.7", false), ("plant.local", true), ("::1", true), ("x", false)]
        {
            assert_eq!(is_for(&der, name), is_named, "{name}");
        }
        files.prepare(&reachable("192.0.2.8"), now_ms + 340 * DAY_MS).unwrap();
        assert_ne!(text(), of_other_address, "it ends soon");
    }

    #[test]
    fn missing_or_foreign_key_of_the_authority_is_an_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let files = LanFiles::of(folder.path().to_owned());
        let now_ms = lotmq_process::clock::wall_ms();
        files.prepare(&reachable("192.0.2.7"), now_ms).unwrap();
        std::fs::write(files.authority_key(), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let told = files.prepare(&reachable("192.0.2.8"), now_ms).unwrap_err().to_string();
        assert!(told.contains("is not that of the authority") && told.contains("ca.key"), "{told}");
        std::fs::remove_file(files.authority_key()).unwrap();
        files.prepare(&reachable("192.0.2.7"), now_ms).expect("nothing has to be signed");
        let told = files.prepare(&reachable("192.0.2.8"), now_ms).unwrap_err().to_string();
        assert!(told.contains("ca.key is missing") && told.contains("put it back"), "{told}");
        std::fs::remove_file(files.authority()).unwrap();
        files.prepare(&reachable("192.0.2.8"), now_ms).expect("nobody can trust the former authority");
    }
}
