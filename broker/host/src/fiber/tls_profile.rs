//! Trust and identity of one endpoint in TLS, and how they are read from files and texts.
//!
//! Invariants: a file is looked up below its root, and no link leads out; no error contains
//! anything that was read from it.

use super::folder::open_beneath;
use lotmq_chain::{
    ShortServerChains,
    identity::{IdentityFault, NO_PATH},
    limits::CERTIFICATE_FILE_BYTES_MAX,
    pem::{self, NotPem},
    stamp::FileStamp,
    validity,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
};
use zeroize::Zeroizing;

/// TLS profile of an endpoint: trusted servers, own identity, and versions.
#[derive(Clone, Debug)]
pub struct TlsProfile {
    /// Whom it trusts.
    pub trust: ServerTrust,
    /// Certificate and key that it shows to servers that ask for them.
    pub identity: Option<TlsIdentity>,
    /// Whether it speaks TLS 1.3 and nothing older; else 1.2 as well.
    pub only_1_3: bool,
}

/// Judge of servers, and certificates that are trusted themselves.
type Judge = (Arc<dyn ServerCertVerifier>, Vec<CertificateDer<'static>>);

/// Servers that an endpoint trusts.
#[derive(Clone, Debug)]
pub enum ServerTrust {
    /// Servers whose certificates lead to one of these authorities.
    Authorities(Arc<RootCertStore>),
    /// The same, with authorities that are read from here.
    ReadFrom(TlsSource),
    /// All servers.
    Anybody,
}

/// Certificate of our own, and its key.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// The certificate, then those of its issuers.
    pub certificate: TlsSource,
    /// The key, in the same place or another.
    pub key: TlsSource,
}

/// Place of certificates or of a key.
#[derive(Clone, Debug)]
pub struct TlsSource {
    /// Setting that names it, for messages.
    pub setting: String,
    /// The file or text that has them.
    pub contents: TlsContents,
}

/// Certificates or a key in PEM.
#[derive(Clone)]
pub enum TlsContents {
    /// In a file of this machine.
    File {
        /// As the setting names it.
        named: String,
        /// Root that the operator has set.
        root: PathBuf,
        /// Path below the root.
        below: String,
        /// The root as messages name it.
        within: String,
    },
    /// Here.
    Text(Zeroizing<String>),
}

impl fmt::Debug for TlsContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsContents::File { named, .. } => {
                let named = if pem::is_text_of_pem(named) { NO_PATH } else { named };
                f.debug_tuple("File").field(&named).finish()
            }
            TlsContents::Text(_) => f.write_str("Text"),
        }
    }
}

impl fmt::Display for TlsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.contents {
            TlsContents::File { named, .. } if pem::is_text_of_pem(named) => {
                write!(f, "{}: {NO_PATH}", self.setting)
            }
            TlsContents::File { named, .. } => write!(f, "{}: '{named}'", self.setting),
            TlsContents::Text(_) => write!(f, "{}: its text", self.setting),
        }
    }
}

/// Reason why a [`TlsProfile`] cannot be used now. Each renders as one line that names the setting,
/// and the file where it is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file could not be read.
    #[error("{what} cannot be read: {reason}; it is looked for below {within}")]
    Unreadable {
        /// Setting and file.
        what: String,
        /// Why not.
        reason: io::Error,
        /// The folder that its path begins in.
        within: String,
    },
    /// A file is too large.
    #[error("{0} is larger than {CERTIFICATE_FILE_BYTES_MAX} bytes")]
    TooLarge(String),
    /// It holds something else.
    #[error("{0} {1}")]
    NotPem(String, NotPem),
    /// An authority cannot be used.
    #[error("{0} holds an authority that cannot be used: {1}")]
    BadAuthority(String, String),
    /// There are no authorities.
    #[error("there are no authorities to trust: {0}")]
    NoAuthorities(VerifierBuilderError),
    /// The key is another one's.
    #[error("{key} holds a key that does not belong to the certificate of {certificate}")]
    KeyMismatch {
        /// Source of the certificate.
        certificate: String,
        /// Source of the key.
        key: String,
    },
    /// Certificate and key cannot be used.
    #[error("{0} cannot be used: {1}")]
    Unusable(String, IdentityFault),
    /// The certificate's time is over, since so many milliseconds since 1970.
    #[error("{0} holds a certificate that expired at {end}", end = validity::text(.1 / 1000))]
    Expired(String, u64),
    /// TLS 1.2 is wanted where only later versions are allowed.
    #[error("the other side speaks TLS 1.2, and this endpoint only 1.3 (TLS_MIN_VERSION)")]
    TooOld,
    /// The thread that was to read has ended.
    #[error("the certificates could not be read")]
    NotRead,
}

/// Stamps of the files of a profile; none of one that is not there.
pub(super) type ProfileStamps = Vec<Option<FileStamp>>;

/// Settings of connections that were made of a profile.
#[derive(Debug)]
pub(super) struct ReadProfile {
    pub(super) config: Arc<ClientConfig>,
    /// Configuration for TLS 1.2 alone; `None` if the profile excludes it.
    pub(super) config_1_2: Option<Arc<ClientConfig>>,
    /// End of our certificate's validity, in milliseconds since 1970.
    pub(super) ends_at_ms: Option<u64>,
}

impl TlsProfile {
    /// Trusts servers whose certificates lead to one of these authorities, and shows nothing.
    #[must_use]
    pub fn trusting(authorities: RootCertStore) -> TlsProfile {
        let trust = ServerTrust::Authorities(Arc::new(authorities));
        TlsProfile { trust, identity: None, only_1_3: false }
    }

    fn sources(&self) -> impl Iterator<Item = &TlsSource> {
        let authorities = match &self.trust {
            ServerTrust::ReadFrom(source) => Some(source),
            ServerTrust::Authorities(_) | ServerTrust::Anybody => None,
        };
        let identity = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        authorities.into_iter().chain(identity)
    }

    /// Whether anything of it is in files, which may change.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.sources().any(TlsSource::is_file)
    }

    /// Asks the disk.
    pub(super) fn stamps(&self) -> ProfileStamps {
        self.sources().filter(|source| source.is_file()).map(TlsSource::stamp).collect()
    }

    /// Reads everything. Asks the disk.
    pub(super) fn read(&self) -> Result<ReadProfile, TlsFault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (verifier, named) = self.verifier(&provider)?;
        let verifier = Arc::new(ShortServerChains { judge: verifier, named });
        let versions: &[&'static SupportedProtocolVersion] = match self.only_1_3 {
            false => &[&TLS13, &TLS12],
            true => &[&TLS13],
        };
        let shown = self.identity.as_ref().map(|identity| Ok((identity, identity.read()?))).transpose()?;
        let ends_at_ms =
            shown.as_ref().and_then(|(_, (chain, _))| chain.first()).map(|own| validity::ends_at_ms(own));
        let config = |versions: &[&'static SupportedProtocolVersion]| {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .expect("the provider has cipher suites for both versions")
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
            let config = match &shown {
                None => builder.with_no_client_auth(),
                Some((identity, (chain, key))) => builder
                    .with_client_auth_cert(chain.clone(), key.clone_key())
                    .map_err(|reason| identity.unusable(reason))?,
            };
            Ok::<_, TlsFault>(Arc::new(config))
        };
        let config_1_2 = (!self.only_1_3).then(|| config(&[&TLS12])).transpose()?;
        Ok(ReadProfile { config: config(versions)?, config_1_2, ends_at_ms })
    }

    /// Judge of servers, and certificates that are trusted by name.
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Judge, TlsFault> {
        let (roots, named) = match &self.trust {
            ServerTrust::Authorities(roots) => (Arc::clone(roots), Vec::new()),
            ServerTrust::ReadFrom(source) => {
                let named = source.certificates()?;
                (Arc::new(source.authorities(&named)?), named)
            }
            ServerTrust::Anybody => return Ok((Arc::new(TrustsAnybody(Arc::clone(provider))), Vec::new())),
        };
        let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        Ok((built.map_err(TlsFault::NoAuthorities)?, named))
    }

    /// Checks that our certificate has not ended, by the clock that servers' certificates are
    /// judged by.
    pub(super) fn check_time(&self, loaded: &ReadProfile) -> Result<(), TlsFault> {
        let now_ms = UnixTime::now().as_secs().saturating_mul(1000);
        match (&self.identity, loaded.ends_at_ms) {
            (Some(identity), Some(end)) if end <= now_ms => {
                Err(TlsFault::Expired(identity.certificate.to_string(), end))
            }
            _ => Ok(()),
        }
    }
}

impl TlsIdentity {
    /// Certificates and key. Asks the disk.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsFault> {
        let chain = self.certificate.certificates()?;
        let key = pem::key(&self.key.bytes()?);
        Ok((chain, key.map_err(|fault| TlsFault::NotPem(self.key.to_string(), fault))?))
    }

    /// Why they cannot be used.
    pub(super) fn unusable(&self, reason: Error) -> TlsFault {
        let certificate = self.certificate.to_string();
        match IdentityFault::from(&reason) {
            IdentityFault::KeyMismatch => TlsFault::KeyMismatch { certificate, key: self.key.to_string() },
            fault @ IdentityFault::Key => TlsFault::Unusable(self.key.to_string(), fault),
            fault @ (IdentityFault::OldVersion | IdentityFault::Certificate) => {
                TlsFault::Unusable(certificate, fault)
            }
        }
    }
}

impl TlsSource {
    /// Whether it is a file, which may change.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.contents, TlsContents::File { .. })
    }

    /// Stamp of the file; `None` when it is not there. Asks the disk.
    pub(super) fn stamp(&self) -> Option<FileStamp> {
        self.opened().ok()?.metadata().ok().map(|file| FileStamp::from(&file))
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, TlsFault> {
        let TlsContents::Text(text) = &self.contents else { return self.file_bytes() };
        // An environment value is often one line, in which others are written so.
        Ok(Zeroizing::new(text.replace("\\n", "\n").into_bytes()))
    }

    fn file_bytes(&self) -> Result<Zeroizing<Vec<u8>>, TlsFault> {
        let within = match &self.contents {
            TlsContents::File { within, .. } => within,
            TlsContents::Text(_) => "",
        };
        let unreadable =
            |reason| TlsFault::Unreadable { what: self.to_string(), reason, within: within.to_owned() };
        let file = self.opened().map_err(unreadable)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(CERTIFICATE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > CERTIFICATE_FILE_BYTES_MAX {
            Err(TlsFault::TooLarge(self.to_string()))
        } else {
            Ok(bytes)
        }
    }

    fn opened(&self) -> io::Result<File> {
        match &self.contents {
            TlsContents::File { root, below, .. } => open_beneath(root, below),
            TlsContents::Text(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        pem::certificates(&self.bytes()?).map_err(|fault| TlsFault::NotPem(self.to_string(), fault))
    }

    fn authorities(&self, named: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsFault> {
        let mut roots = RootCertStore::empty();
        for authority in named {
            roots
                .add(authority.clone())
                .map_err(|reason| TlsFault::BadAuthority(self.to_string(), reason.to_string()))?;
        }
        Ok(roots)
    }
}

/// Judge of servers' certificates that takes every one; that the server has its key is checked.
#[derive(Debug)]
struct TrustsAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
