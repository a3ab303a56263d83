//! TLS of a client: what is trusted, what is shown, and the blocking stream.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lotmq_chain::ShortServerChains;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::socket::Socket;

/// Where systems keep the authorities that they trust; the first that is there is read.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is trusted and shown. The defaults: the system's authorities, no certificate of our own, the name of the server is checked.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file with the authorities that are trusted; `None` for those of the system.
    pub authorities: Option<PathBuf>,
    /// PEM file with our certificate, then those of its issuers. Needs [`TlsOptions::key`].
    pub certificate: Option<PathBuf>,
    /// PEM file with our private key, not encrypted.
    pub key: Option<PathBuf>,
    /// Whether the name in the server's certificate may be any. Who signed it is checked all the same.
    pub ignores_name: bool,
    /// Protocols to ask for, as `mqtt`.
    pub alpn: Vec<String>,
}

/// What TLS of several connections shares: made once of [`TlsOptions`], it remembers sessions, which are resumed.
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
    /// A file could not be read, or is not PEM.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: rustls::pki_types::pem::Error,
    },
    /// A file holds nothing that can be used.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Error,
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
        let roots = Arc::new(authorities(options)?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions");
        let judge = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|_| TlsError::NoAuthorities)?;
        let judge: Arc<dyn ServerCertVerifier> =
            if options.ignores_name { Arc::new(AnyName(judge)) } else { judge };
        let builder =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(ShortServerChains(judge)));
        let mut config = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_der = PrivateKeyDer::from_pem_file(key)
                    .map_err(|reason| TlsError::File { path: key.clone(), reason })?;
                let unusable = |reason| TlsError::Unusable { path: certificate.clone(), reason };
                builder.with_client_auth_cert(chain, key_der).map_err(unusable)?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfCertificate),
        };
        config.alpn_protocols = options.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Self(Arc::new(config)))
    }

    /// Does the handshake; `host` is the name that the server's certificate must have.
    pub(crate) fn connect(&self, socket: &mut Socket, host: &str) -> io::Result<TlsStream> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(error.to_string()))?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        let mut stream = TlsStream(Box::new(connection.map_err(|error| invalid(error.to_string()))?));
        while stream.0.is_handshaking() {
            stream.0.complete_io(socket)?;
        }
        Ok(stream)
    }
}

/// The blocking client side of a connection.
#[derive(Debug)]
pub(crate) struct TlsStream(Box<ClientConnection>);

impl TlsStream {
    /// Reads plain bytes; 0 at the end. Errors of the socket, a time-out among them, leave it usable.
    pub(crate) fn read(&mut self, socket: &mut Socket, target: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.reader().read(target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.0.read_tls(socket)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.0.process_new_packets() {
                // The alert tells the server why.
                let _ = self.send(socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            self.send(socket)?;
        }
    }

    pub(crate) fn write_all(&mut self, socket: &mut Socket, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.0.writer().write(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.send(socket)?;
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&mut self, socket: &mut Socket) {
        self.0.send_close_notify();
        let _ = self.send(socket);
    }

    /// Whether the server resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    fn send(&mut self, socket: &mut Socket) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }
}

fn authorities(options: &TlsOptions) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.authorities {
        for authority in certificates(path)? {
            roots.add(authority).map_err(|reason| TlsError::Unusable { path: path.clone(), reason })?;
        }
        return Ok(roots);
    }
    let found = SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let path = found.ok_or(TlsError::NoAuthorities)?;
    // Of a system's hundred some may be of a kind that is not known here.
    roots.add_parsable_certificates(certificates(path)?);
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |reason| TlsError::File { path: path.to_owned(), reason };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<_, _>>().map_err(file)?;
    if found.is_empty() { Err(file(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Checks everything but the name.
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
