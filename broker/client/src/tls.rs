//! TLS of a client: what is trusted, what is shown, and rustls between the socket's bytes and ours.
//! Sans-I/O but for the files that are read.

use std::fmt;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lotmq_chain::ShortServerChains;
use lotmq_chain::identity::{IdentityFault, shown_path};
use lotmq_chain::pem::{self, NotPem};
use lotmq_chain::told::{KEYS, Side, told};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    InvalidMessage, RootCertStore, SignatureScheme,
};

use crate::limits::OWN_SESSIONS_MAX;
use crate::received::Received;

/// Trusted authorities and own certificate. The defaults: the system's authorities, no certificate
/// of our own, the name of the server is checked.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file with the authorities that are trusted; `None` for those of the system.
    pub authorities: Option<PathBuf>,
    /// PEM file with our certificate, then those of its issuers. Needs [`TlsOptions::key`].
    pub certificate: Option<PathBuf>,
    /// PEM file with our private key, not encrypted.
    pub key: Option<PathBuf>,
    /// Whether any name in the server's certificate is accepted. The issuer is checked all the
    /// same.
    pub ignores_name: bool,
    /// Protocols to ask for, as `mqtt`.
    pub alpn: Vec<String>,
}

/// TLS state that several connections share. It is made once of [`TlsOptions`] and remembers
/// sessions for resumption.
#[derive(Clone)]
pub struct TlsContext(Arc<ClientConfig>);

impl fmt::Debug for TlsContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsContext")
    }
}

/// Why [`TlsOptions`] cannot be used. Each renders as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}: {reason}", shown_path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A file is not what is wanted.
    #[error("{} {fault}", shown_path(path))]
    NotPem {
        /// The file.
        path: PathBuf,
        /// The fault of the file.
        fault: NotPem,
    },
    /// A certificate with the key of another one.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    KeyMismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// A key of a kind that is not known here.
    #[error("the key in {} cannot be used; {KEYS}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("{}: {fault}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The fault of the certificate or key.
        fault: IdentityFault,
    },
    /// There are no authorities that could be trusted.
    #[error("no certificates of authorities on this system; name a file of them")]
    NoAuthorities,
    /// A certificate without its key, or the other way round.
    #[error("a certificate and its key are used together only")]
    HalfCertificate,
}

impl TlsContext {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (roots, named) = authorities(options)?;
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions");
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|_| TlsError::NoAuthorities)?;
        let judge: Arc<dyn ServerCertVerifier> =
            if options.ignores_name { Arc::new(AnyName(judge)) } else { judge };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ShortServerChains { judge, named }));
        let mut config = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_der =
                    pem::key(&read(key)?).map_err(|fault| TlsError::NotPem { path: key.clone(), fault })?;
                builder.with_client_auth_cert(chain, key_der).map_err(|reason| {
                    match IdentityFault::from(&reason) {
                        IdentityFault::KeyMismatch => {
                            TlsError::KeyMismatch { certificate: certificate.clone(), key: key.clone() }
                        }
                        IdentityFault::Key => TlsError::BadKey { path: key.clone() },
                        fault @ (IdentityFault::OldVersion | IdentityFault::Certificate) => {
                            TlsError::Unusable { path: certificate.clone(), fault }
                        }
                    }
                })?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfCertificate),
        };
        config.alpn_protocols = options.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Self(Arc::new(config)))
    }

    /// The same, with sessions that are remembered for nobody else.
    pub(crate) fn with_own_sessions(&self) -> Self {
        self.with_resumption(Resumption::in_memory_sessions(OWN_SESSIONS_MAX))
    }

    /// The same, with no session remembered, so that each handshake is a whole one.
    pub(crate) fn without_sessions(&self) -> Self {
        self.with_resumption(Resumption::disabled())
    }

    fn with_resumption(&self, resumption: Resumption) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = resumption;
        Self(Arc::new(config))
    }

    /// Begins a handshake; `host` is the name that the server's certificate must have.
    pub(crate) fn begin(&self, host: &str) -> io::Result<Tls> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(error.to_string()))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        Ok(Tls { connection: connection.map_err(|error| invalid(error.to_string()))?, is_ended: false })
    }
}

/// Client side of TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    connection: ClientConnection,
    /// Whether the server has said that nothing more will come.
    is_ended: bool,
}

impl Tls {
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the server has said that nothing more will come.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the server resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Decrypts all of `wire` into `plain`. Replies of TLS go to `output`; after an error that is
    /// the alert for the server.
    pub(crate) fn decrypt(
        &mut self,
        mut wire: &[u8],
        plain: &mut Received,
        output: &mut Vec<u8>,
    ) -> io::Result<()> {
        // Behind close_notify nothing counts.
        while !wire.is_empty() && !self.is_ended {
            let is_handshaking = self.connection.is_handshaking();
            self.connection.read_tls(&mut wire)?;
            let processed = self.connection.process_new_packets();
            self.take_output(output);
            processed.map_err(|error| {
                let is_other = error == Error::InvalidMessage(InvalidMessage::InvalidContentType);
                let invalid = io::ErrorKind::InvalidData;
                match is_handshaking && is_other {
                    true => io::Error::new(invalid, "no answer as a server of TLS has"),
                    false => io::Error::new(invalid, told(&error, Side::Client)),
                }
            })?;
            self.read_plain(plain);
        }
        Ok(())
    }

    fn read_plain(&mut self, plain: &mut Received) {
        let mut reader = self.connection.reader();
        // It fails when nothing is there.
        while let Ok(bytes) = reader.fill_buf() {
            let len = bytes.len();
            if len == 0 {
                self.is_ended = true;
                return;
            }
            plain.push(bytes);
            reader.consume(len);
        }
    }

    pub(crate) fn encrypt(&mut self, mut bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.connection.writer().write(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.take_output(output);
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&mut self, output: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.take_output(output);
    }

    /// Appends to `output` what waits to be written.
    pub(crate) fn take_output(&mut self, output: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(output).expect("a vector takes everything");
        }
    }
}

/// Returns the authorities, and the certificates that are trusted themselves. A certificate in a
/// file may be either. If names are not checked, the second list is empty.
fn authorities(options: &TlsOptions) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.authorities {
        let named = certificates(path)?;
        for authority in &named {
            roots.add(authority.clone()).map_err(|reason| TlsError::Unusable {
                path: path.clone(),
                fault: IdentityFault::from(&reason),
            })?;
        }
        return Ok((roots, if options.ignores_name { Vec::new() } else { named }));
    }
    let path = lotmq_chain::authorities::system_file().ok_or(TlsError::NoAuthorities)?;
    // Of a system's hundred some may be of a kind that is not known here.
    roots.add_parsable_certificates(certificates(path)?);
    Ok((roots, Vec::new()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    pem::certificates(&read(path)?).map_err(|fault| TlsError::NotPem { path: path.to_owned(), fault })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |reason| TlsError::Unreadable { path: path.to_owned(), reason };
    std::fs::read(path).map_err(unreadable)
}

/// Judge that checks everything but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
