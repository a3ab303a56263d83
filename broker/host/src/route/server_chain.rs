//! Whom the host trusts as a server, and the bound of the chain that a server shows with its certificate, before anybody judges it.
//!
//! Which issuer stands behind which is found by trying: with several of one name at each step the ways multiply, and whoever answers at the other end
//! chooses the certificates. One thread does that for all routes.

use crate::limits::SERVER_CHAIN_MAX;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Arc;

/// How the host speaks TLS with servers.
#[derive(Clone, Debug)]
pub struct ClientTls(pub(super) Arc<ClientConfig>);

impl ClientTls {
    /// Trusts servers whose certificates lead to one of these authorities through [`SERVER_CHAIN_MAX`] further ones at most.
    ///
    /// # Errors
    /// When there are no authorities.
    pub fn trusting(authorities: RootCertStore) -> Result<ClientTls, VerifierBuilderError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(authorities.into(), provider.clone()).build()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ShortChains(verifier)))
            .with_no_client_auth();
        Ok(ClientTls(Arc::new(config)))
    }
}

/// Judge of certificates that looks at short chains only.
#[derive(Debug)]
struct ShortChains(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for ShortChains {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if intermediates.len() > SERVER_CHAIN_MAX {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
