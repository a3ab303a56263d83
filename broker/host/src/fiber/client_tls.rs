//! Whom the host trusts as a server, and what it shows of itself.
//!
//! One thread does the handshakes of all routes, and whoever answers at the other end chooses the certificates: long chains are not looked at.

use lotmq_chain::ShortServerChains;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::WebPkiServerVerifier,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use std::sync::Arc;

/// How the host speaks TLS with servers.
#[derive(Clone, Debug)]
pub struct ClientTls(pub(super) Arc<ClientConfig>);

/// Servers that are trusted.
#[derive(Clone, Debug)]
pub enum TrustedServers {
    /// Those whose certificates lead to one of these authorities, through [`ISSUERS_MAX`](lotmq_chain::limits::ISSUERS_MAX) further ones at most.
    Certified(RootCertStore),
    /// Whoever answers: nobody who listens is kept out by such a TLS, only who cannot answer.
    Anybody,
}

/// Certificate with the chain behind it, and its key.
pub type ShownCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl ClientTls {
    /// Trusts whom the system trusts. Reads a file.
    ///
    /// # Errors
    /// In words, when there are no authorities.
    pub fn of_system() -> Result<ClientTls, String> {
        let authorities = lotmq_chain::authorities::of_system()?;
        ClientTls::new(TrustedServers::Certified(authorities), None).map_err(|error| error.to_string())
    }

    /// Trusts these servers, and shows them a certificate when they ask for one.
    ///
    /// # Errors
    /// There are no authorities, or the key does not belong to the certificate ([`Error::InconsistentKeys`]), or is of a kind that is not known.
    pub fn new(trusted: TrustedServers, identity: Option<ShownCertificate>) -> Result<ClientTls, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge: Arc<dyn ServerCertVerifier> = match trusted {
            TrustedServers::Anybody => Arc::new(AnyServer(Arc::clone(&provider))),
            TrustedServers::Certified(authorities) => {
                WebPkiServerVerifier::builder_with_provider(authorities.into(), Arc::clone(&provider))
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ShortServerChains(judge)));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        Ok(ClientTls(Arc::new(config)))
    }
}

/// Judge who takes any certificate of whoever has its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
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
