//! Certificates of listeners with TLS, and what they ask of their clients: read from files, and
//! read again when those change.
//!
//! Looked after by the housekeeping thread. A handshake uses what was current when it began.
//!
//! Invariants: what does not load replaces nothing; tickets of sessions that were made under other
//! files do not resume, and where clients are asked for certificates no session does. Not here: the
//! connections (`tls`).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lotmq_chain::ShortClientChains;
use lotmq_chain::der;
use lotmq_chain::identity::{IdentityFault, masked_path};
use lotmq_chain::limits::CERTIFICATE_FILE_BYTES_MAX;
use lotmq_chain::pem::{self, NotPem};
use lotmq_chain::report::KEYS;
use lotmq_chain::stamp::FileStamp;
use lotmq_chain::validity;
use lotmq_config::{ClientCertificate, Tls, TlsVersion};
use parking_lot::{Mutex, RwLock};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tracing::{error, info, warn};

use lotmq_core::counters::Counters;
use lotmq_process::clock::wall_ms;

/// Period at which the files are looked at: one `stat` each.
const CHECK_PERIOD: Duration = Duration::from_secs(2);

/// Time before the end of a certificate from which on it is told, once a day.
const END_TOLD_BEFORE_MS: u64 = 14 * 86_400_000;

/// Period at which the end of a certificate is told.
const END_TOLD_EVERY: Duration = Duration::from_secs(86_400);

/// Bit of a mode by which everybody on the machine reads a file. A group may read the key: that of
/// the broker, where root owns the file.
const READ_BY_ALL: u32 = 0o004;

/// Reason why the files of a listener cannot be used. Each renders as one line that names the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", masked_path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        reason: io::Error,
    },
    /// A file is too large for a certificate.
    #[error("{} is larger than {CERTIFICATE_FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file is PKCS#12.
    #[error("{path} is PKCS#12, which is not read; `openssl pkcs12 -in {path} -out lotmq.pem -nodes` converts it", path = path.display())]
    Pkcs12 {
        /// The file.
        path: PathBuf,
    },
    /// A file is not PEM.
    #[error("{} {fault}", masked_path(path))]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Difference from PEM.
        fault: NotPem,
    },
    /// The authorities for certificates of clients cannot be used.
    #[error("the authorities in {} cannot be used: {reason}", path.display())]
    BadAuthority {
        /// The file.
        path: PathBuf,
        /// Error of the library, without file content.
        reason: String,
    },
    /// The file has no lists of revoked certificates, or a damaged one.
    #[error("the lists of revoked certificates in {} cannot be used: {reason}", masked_path(path))]
    BadRevocationList {
        /// The file.
        path: PathBuf,
        /// Fault of the file, without its content.
        reason: String,
    },
    /// Key and certificate are no pair.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    KeyMismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// No file with the private key is known.
    #[error("{} has the certificate and no private key in it; set `tls.key`", certificate.display())]
    NoKey {
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The certificate has no extensions.
    #[error("{} holds a certificate of X.509 version 1, which names no hosts and is not taken; `openssl x509 -req … -extfile FILE` makes one of version 3", certificate.display())]
    OldVersion {
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The key has a form or an algorithm that is not supported.
    #[error("the key in {} cannot be used; {KEYS}", key.display())]
    BadKey {
        /// The file of the key.
        key: PathBuf,
    },
    /// TLS rejects certificate and key.
    #[error("the certificate in {} with the key in {} cannot be used: {fault}", certificate.display(), key.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Error of the pair.
        fault: IdentityFault,
    },
    /// There are no random numbers.
    #[error("the system has no random numbers for the tickets of TLS sessions")]
    NoTickets,
}

/// TLS files of one listener, with the present configuration.
pub struct ListenerTls {
    listener: &'static str,
    files: Files,
    client_certificate: ClientCertificate,
    min_version: TlsVersion,
    alpn: &'static [&'static [u8]],
    current: RwLock<Arc<ServerConfig>>,
    authorities: RwLock<Authorities>,
    /// How often the authorities or their lists of revoked certificates were replaced. Written
    /// after they and the configuration are in force.
    authorities_generation: AtomicU64,
    /// The files when they were last read, successfully or not.
    seen: Mutex<Seen>,
    /// Reason why the files that were read last replaced nothing.
    fault: Mutex<Option<String>>,
    end: Mutex<End>,
}

/// Certificate that a client has shown, then those of its issuers.
pub(crate) struct ClientChain<'a> {
    pub(crate) certificates: &'a [CertificateDer<'static>],
    /// Generation of the authorities that have judged it.
    pub(crate) generation: u64,
}

/// Authorities that sign certificates of clients.
#[derive(Default)]
struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    /// Their lists of revoked certificates.
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// `None` where clients are not asked for certificates.
    judge: Option<Arc<dyn ClientCertVerifier>>,
}

/// End of the certificate that is shown, and when somebody was told of it last.
struct End {
    /// In milliseconds since 1970.
    at_ms: u64,
    told: Option<Instant>,
}

/// Configuration of a listener, and the end of its certificate in milliseconds since 1970.
struct Loaded {
    config: ServerConfig,
    ends_at_ms: u64,
    authorities: Authorities,
}

/// Files as they were looked at.
struct Seen {
    stamps: Stamps,
    /// Digest of what is in all of them; `None` where one could not be read.
    contents: Option<[u8; 32]>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_crl: Option<PathBuf>,
}

/// Stamps of the files; none of one that is not there.
type Stamps = Vec<Option<FileStamp>>;

impl ListenerTls {
    /// Reads the files. `alpn` are the protocols that a client may ask for; one that asks for none
    /// is welcome.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn load(
        listener: &'static str,
        tls: &Tls,
        certificate: &Path,
        client_certificate: ClientCertificate,
        alpn: &'static [&'static [u8]],
    ) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: tls.key.as_deref().unwrap_or(certificate).to_owned(),
            client_ca: tls.client_ca.clone(),
            client_crl: tls.client_crl.clone(),
        };
        let seen = Mutex::new(Seen { stamps: files.stamps(), contents: files.contents() });
        let Loaded { config, ends_at_ms, authorities } =
            files.read(client_certificate, tls.min_version, alpn)?;
        let (current, authorities) = (RwLock::new(Arc::new(config)), RwLock::new(authorities));
        let (min_version, end) = (tls.min_version, Mutex::new(End { at_ms: ends_at_ms, told: None }));
        let authorities_generation = AtomicU64::new(0);
        Ok(Self {
            listener,
            files,
            client_certificate,
            min_version,
            alpn,
            current,
            authorities,
            authorities_generation,
            seen,
            fault: Mutex::default(),
            end,
        })
    }

    /// Configuration for a handshake that begins now.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    /// Number of times that its authorities were replaced. A caller that reads it before
    /// [`ListenerTls::current`] gets at least the authorities of this generation.
    pub(crate) fn authorities_generation(&self) -> u64 {
        self.authorities_generation.load(Ordering::Acquire)
    }

    /// Whether the present authorities have signed the certificate of a client. Verified only if
    /// they were replaced since it was judged.
    pub(crate) fn trusts(&self, chain: ClientChain<'_>) -> bool {
        if chain.generation == self.authorities_generation() {
            return true;
        }
        let judge = self.authorities.read().judge.clone();
        let (Some(judge), Some((own, issuers))) = (judge, chain.certificates.split_first()) else {
            return true;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(wall_ms()));
        judge.verify_client_cert(own, issuers, now).is_ok()
    }

    /// Name of the listener.
    pub(crate) fn listener(&self) -> &'static str {
        self.listener
    }

    /// End of its certificate, in milliseconds since 1970.
    pub(crate) fn ends_at_ms(&self) -> u64 {
        self.end.lock().at_ms
    }

    /// Until when its certificate is good, for people, if that is over at this time or will be
    /// soon; and whether it is over.
    pub fn near_end(&self, now_ms: u64) -> Option<(String, bool)> {
        let at_ms = self.ends_at_ms();
        let is_near = at_ms <= now_ms.saturating_add(END_TOLD_BEFORE_MS);
        is_near.then(|| (validity::text((at_ms / 1000).saturating_sub(1)), at_ms <= now_ms))
    }

    /// File of its key, and the mode of that, where whoever is on this machine can read it.
    pub fn open_key(&self) -> Option<(&Path, u32)> {
        let mode = std::fs::metadata(&self.files.key).ok()?.permissions().mode() & 0o777;
        (mode & READ_BY_ALL != 0).then_some((&self.files.key, mode))
    }

    /// Reads the files again if their content has changed; returns whether it has. Tools that write
    /// the same content again and again cost no session its resumption.
    fn check(&self, counters: &Counters) -> bool {
        let stamps = self.files.stamps();
        if self.seen.lock().stamps == stamps {
            return false;
        }
        let contents = self.files.contents();
        let before = std::mem::replace(&mut *self.seen.lock(), Seen { stamps, contents }).contents;
        if contents.is_some() && contents == before {
            return false;
        }
        match self.files.read(self.client_certificate, self.min_version, self.alpn) {
            Ok(Loaded { config, ends_at_ms, authorities }) => {
                *self.current.write() = Arc::new(config);
                let are_others = self.authorities.read().differ_from(&authorities);
                *self.authorities.write() = authorities;
                if are_others {
                    self.authorities_generation.fetch_add(1, Ordering::Release);
                }
                *self.end.lock() = End { at_ms: ends_at_ms, told: None };
                *self.fault.lock() = None;
                counters.certificate_reloads.add(1);
                info!(listener = self.listener, "certificate replaced");
            }
            Err(error) => {
                counters.certificate_reloads_failed.add(1);
                *self.fault.lock() = Some(error.to_string());
                error!(listener = self.listener, %error, "certificate not replaced; the former one stays");
            }
        }
        true
    }
}

impl ListenerTls {
    /// Tells of a certificate that has ended, or soon does.
    fn tell_end(&self, now_ms: u64) {
        let Some((until, is_over)) = self.near_end(now_ms) else { return };
        let mut end = self.end.lock();
        if end.told.is_some_and(|at| at.elapsed() < END_TOLD_EVERY) {
            return;
        }
        end.told = Some(Instant::now());
        let (listener, path) = (self.listener, self.files.certificate.display());
        if is_over {
            warn!(listener, %path, until, "the certificate of this listener has expired and clients refuse it: write a new one into the file, or set the clock");
        } else {
            warn!(listener, %path, until, "the certificate of this listener expires soon: write a new one into the file");
        }
    }
}

impl Files {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).chain(&self.client_crl)
    }

    fn stamps(&self) -> Stamps {
        self.paths().map(|path| std::fs::metadata(path).ok().map(|file| FileStamp::from(&file))).collect()
    }

    fn contents(&self) -> Option<[u8; 32]> {
        let mut digest = Sha256::new();
        for path in self.paths() {
            let text = zeroize::Zeroizing::new(read_file(path).ok()?);
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(&*text);
        }
        Some(digest.finalize().into())
    }

    fn read(
        &self,
        client_certificate: ClientCertificate,
        min_version: TlsVersion,
        alpn: &[&[u8]],
    ) -> Result<Loaded, CertificateError> {
        let chain = read_certificates(&self.certificate)?;
        let ends_at_ms = chain.first().map_or(0, |certificate| validity::ends_at_ms(certificate));
        let key = read_key(&self.key).map_err(|error| {
            let is_no_key = matches!(error, CertificateError::NotPem { fault: NotPem::NoKey(_), .. });
            if is_no_key && self.key == self.certificate {
                return CertificateError::NoKey { certificate: self.certificate.clone() };
            }
            error
        })?;
        let versions: &[&rustls::SupportedProtocolVersion] = match min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider has cipher suites for both versions");
        let authorities = match (&self.client_ca, client_certificate) {
            (None, _) | (_, ClientCertificate::Off) => Authorities::default(),
            (Some(path), wanted) => {
                let allows_none = wanted == ClientCertificate::Optional;
                Authorities::read(path, self.client_crl.as_deref(), &provider, allows_none)?
            }
        };
        let builder = match &authorities.judge {
            None => builder.with_no_client_auth(),
            Some(judge) => builder.with_client_cert_verifier(Arc::clone(judge)),
        };
        let asks_for_certificates = authorities.judge.is_some();
        let mut config = builder.with_single_cert(chain, key).map_err(|reason| {
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            match IdentityFault::from(&reason) {
                IdentityFault::KeyMismatch => CertificateError::KeyMismatch { certificate, key },
                IdentityFault::OldVersion => CertificateError::OldVersion { certificate },
                IdentityFault::Key => CertificateError::BadKey { key },
                fault @ IdentityFault::Certificate => CertificateError::Unusable { certificate, key, fault },
            }
        })?;
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        if asks_for_certificates {
            // A resumed session would keep a certificate that was checked long ago, and each
            // resumption would prolong that. So each connection proves anew that the certificate is
            // its own and still valid.
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            return Ok(Loaded { config, ends_at_ms, authorities });
        }
        // Tickets carry the session themselves: nothing is kept for a client that may never come
        // back.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|_| CertificateError::NoTickets)?;
        // A device resumes one session at a time, and every further ticket costs it some 250 bytes
        // at each connection.
        config.send_tls13_tickets = 1;
        Ok(Loaded { config, ends_at_ms, authorities })
    }
}

impl Authorities {
    /// Whether others are trusted, or other certificates are revoked.
    fn differ_from(&self, other: &Self) -> bool {
        self.certificates != other.certificates || self.revoked != other.revoked
    }

    /// Reads the authorities in a file, and the lists of revoked certificates in another one.
    fn read(
        path: &Path,
        revoked: Option<&Path>,
        provider: &Arc<rustls::crypto::CryptoProvider>,
        allows_none: bool,
    ) -> Result<Self, CertificateError> {
        let bad = |reason: String| CertificateError::BadAuthority { path: path.to_owned(), reason };
        let certificates = read_certificates(path)?;
        let mut roots = RootCertStore::empty();
        for authority in &certificates {
            roots.add(authority.clone()).map_err(|reason| bad(reason.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = if allows_none { builder.allow_unauthenticated() } else { builder };
        let lists = revoked.map(read_revoked).transpose()?.unwrap_or_default();
        // The verifier then refuses certificates of an authority without a list.
        let judge = builder.with_crls(lists.clone()).build().map_err(|error| match (error, revoked) {
            (VerifierBuilderError::InvalidCrl(reason), Some(path)) => {
                // Names of the library's variants, such as `BadSignature`.
                CertificateError::BadRevocationList { path: path.to_owned(), reason: format!("{reason:?}") }
            }
            (error, _) => bad(error.to_string()),
        })?;
        Ok(Self { certificates, revoked: lists, judge: Some(Arc::new(ShortClientChains(judge))) })
    }
}

/// Reads lists of revoked certificates: several in PEM, or one in DER, as authorities publish it.
fn read_revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, CertificateError> {
    let bytes = read_file(path)?;
    if bytes.first() == Some(&der::tag::SEQUENCE) {
        return Ok(vec![bytes.into()]);
    }
    let bad = |reason: &str| {
        let reason = reason.to_owned();
        CertificateError::BadRevocationList { path: path.to_owned(), reason }
    };
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| bad("it is damaged"))?;
    if found.is_empty() { Err(bad("it has no `BEGIN X509 CRL`")) } else { Ok(found) }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    pem::certificates(&read_file(path)?).map_err(|fault| not_pem(path, fault))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = zeroize::Zeroizing::new(read_file(path)?);
    pem::key(&text).map_err(|fault| not_pem(path, fault))
}

fn not_pem(path: &Path, fault: NotPem) -> CertificateError {
    let path = path.to_owned();
    let is_pkcs12 = matches!(fault, NotPem::Pkcs12);
    if is_pkcs12 { CertificateError::Pkcs12 { path } } else { CertificateError::NotPem { path, fault } }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |reason| CertificateError::Unreadable { path: path.to_owned(), reason };
    if std::fs::metadata(path).map_err(unreadable)?.len() > CERTIFICATE_FILE_BYTES_MAX {
        return Err(CertificateError::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map_err(unreadable)
}

/// TLS files of all listeners.
#[derive(Default)]
pub struct Certificates {
    listeners: Mutex<Vec<Arc<ListenerTls>>>,
    next_check: Mutex<Option<Instant>>,
    is_wanted: AtomicBool,
    /// Files of keys that everybody can read, as was told.
    open_keys: Mutex<BTreeMap<PathBuf, u32>>,
}

impl Certificates {
    /// Adds the files of a listener.
    pub fn add(&self, tls: &Arc<ListenerTls>) {
        self.listeners.lock().push(Arc::clone(tls));
    }

    /// Ends of the certificates that listeners show now, in milliseconds since 1970, by the names
    /// of the listeners.
    pub fn ends(&self) -> BTreeMap<&'static str, u64> {
        self.listeners.lock().iter().map(|tls| (tls.listener(), tls.ends_at_ms())).collect()
    }

    /// Listeners that still use files which were replaced since, with the reason why the present
    /// files cannot be used.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let listeners = self.listeners.lock();
        listeners.iter().filter_map(|tls| Some((tls.listener(), tls.fault.lock().clone()?))).collect()
    }

    /// Makes the next [`Certificates::check`] look at the files, whatever the time.
    pub fn request_check(&self) {
        self.is_wanted.store(true, Ordering::Release);
    }

    /// How often authorities of any listener were replaced.
    pub fn authorities_generation(&self) -> u64 {
        self.listeners.lock().iter().map(|tls| tls.authorities_generation()).sum()
    }

    /// Reads changed files, if it is time for that.
    pub fn check(&self, counters: &Counters) {
        let listeners = self.listeners.lock().clone();
        if listeners.is_empty() {
            return;
        }
        let now = Instant::now();
        let is_due = self.next_check.lock().is_none_or(|at| at <= now);
        if !self.is_wanted.swap(false, Ordering::AcqRel) && !is_due {
            return;
        }
        *self.next_check.lock() = Some(now + CHECK_PERIOD);
        for listener in listeners {
            let was_read = listener.check(counters);
            listener.tell_end(wall_ms());
            self.tell_open_key(&listener, was_read);
        }
    }

    /// Tells of a key that everybody on this machine can read: once, and again when it has another
    /// mode or the files were read anew.
    fn tell_open_key(&self, listener: &ListenerTls, was_read: bool) {
        let mut told = self.open_keys.lock();
        let Some((path, mode)) = listener.open_key() else {
            told.remove(&listener.files.key);
            return;
        };
        if told.insert(path.to_owned(), mode) != Some(mode) || was_read {
            warn!(path = %path.display(), mode = format!("{mode:o}"), "the private key of TLS can be read by everybody on this machine; chmod 640 it, or 600");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the same, or something else, as tools for configuration do: beside the file, and then
    /// in its place.
    fn replace(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, path).unwrap();
    }

    fn signed() -> (String, String) {
        let signed = rcgen::generate_simple_self_signed(vec!["broker".to_owned()]).unwrap();
        (signed.cert.pem(), signed.signing_key.serialize_pem())
    }

    /// A certificate and its key, in files of a folder.
    fn files() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        let (pem, key_pem) = signed();
        replace(&certificate, &pem);
        replace(&key, &key_pem);
        (folder, certificate, key)
    }

    #[test]
    fn certificate_expiry_is_reported_once_a_day_when_near() {
        let (_folder, certificate, key) = files();
        let mut tls = Tls::default();
        tls.key = Some(key);
        let listener = ListenerTls::load("mqtts", &tls, &certificate, ClientCertificate::Off, &[]).unwrap();
        let end = listener.end.lock().at_ms;
        let is_told = || listener.end.lock().told;
        listener.tell_end(end - END_TOLD_BEFORE_MS - 1);
        assert_eq!(is_told(), None);
        listener.tell_end(end - 1);
        let first = is_told().expect("it is near");
        listener.tell_end(end);
        assert_eq!(is_told(), Some(first), "not again on the same day");
    }

    #[test]
    fn world_readable_key_is_reported_once() {
        let (_folder, certificate, key) = files();
        let mut tls = Tls::default();
        tls.key = Some(key.clone());
        let load = || ListenerTls::load("mqtts", &tls, &certificate, ClientCertificate::Off, &[]).unwrap();
        let give = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let certificates = Certificates::default();
        certificates.add(&Arc::new(load()));
        for (mode, is_open) in [(0o644, true), (0o640, false), (0o600, false), (0o604, true)] {
            give(mode);
            assert_eq!(load().open_key().map(|(_, mode)| mode), is_open.then_some(mode), "{mode:o}");
            certificates.request_check();
            certificates.check(&Counters::default());
            assert_eq!(certificates.open_keys.lock().get(&key).copied(), is_open.then_some(mode), "{mode:o}");
        }
    }

    #[test]
    fn emptied_authorities_are_a_fault_of_the_listener_and_admit_nobody() {
        let (folder, certificate, key) = files();
        let authorities = folder.path().join("authorities.pem");
        let (authority, other) = (signed().0, signed().0);
        replace(&authorities, &authority);
        let mut tls = Tls::default();
        (tls.key, tls.client_ca) = (Some(key), Some(authorities.clone()));
        let load = || ListenerTls::load("mqtts", &tls, &certificate, ClientCertificate::Required, &[]);
        let certificates = Certificates::default();
        certificates.add(&Arc::new(load().unwrap()));
        let look = |text: &str| {
            replace(&authorities, text);
            certificates.request_check();
            certificates.check(&Counters::default());
            (certificates.faults(), certificates.authorities_generation())
        };
        for emptied in ["", "# authorities\n"] {
            let (faults, generation) = look(emptied);
            assert_eq!(generation, 0, "the former authorities stay");
            assert_eq!(faults.len(), 1);
            let (listener, reason) = &faults[0];
            assert!(*listener == "mqtts" && reason.contains("authorities.pem"), "{faults:?}");
            assert!(load().is_err(), "a start is refused");
        }
        assert_eq!(look(&other), (Vec::new(), 1));
    }

    #[test]
    fn files_with_the_same_in_them_are_not_read_again() {
        let (_folder, certificate, key) = files();
        let mut tls = Tls::default();
        tls.key = Some(key.clone());
        let listener = ListenerTls::load("mqtts", &tls, &certificate, ClientCertificate::Off, &[]).unwrap();
        let (counters, first) = (Counters::default(), listener.current());
        let counts =
            || [&counters.certificate_reloads, &counters.certificate_reloads_failed].map(|it| it.get());
        for _ in 0..3 {
            for path in [&certificate, &key] {
                replace(path, &std::fs::read_to_string(path).unwrap());
            }
            listener.check(&counters);
            assert!(Arc::ptr_eq(&listener.current(), &first), "its tickets are good for as long as it is");
        }
        assert_eq!(counts(), [0, 0]);
        for _ in 0..3 {
            replace(&key, "no key");
            listener.check(&counters);
        }
        assert_eq!(counts(), [0, 1], "the same mistake is told once");
        let (other, other_key) = signed();
        replace(&certificate, &other);
        replace(&key, &other_key);
        listener.check(&counters);
        assert_eq!(counts(), [1, 1]);
        assert!(!Arc::ptr_eq(&listener.current(), &first));
    }
}
