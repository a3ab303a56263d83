//! Whom the host trusts as a server.
//!
//! One thread does the handshakes of all routes, and whoever answers at the other end chooses the certificates: long chains are not looked at.

use lotmq_chain::ShortServerChains;
use rustls::{
    ClientConfig, RootCertStore,
    client::{VerifierBuilderError, WebPkiServerVerifier},
};
use std::sync::Arc;

/// How the host speaks TLS with servers.
#[derive(Clone, Debug)]
pub struct ClientTls(pub(super) Arc<ClientConfig>);

impl ClientTls {
    /// Trusts whom the system trusts. Reads a file.
    ///
    /// # Errors
    /// In words, when there are no authorities.
    pub fn of_system() -> Result<ClientTls, String> {
        let authorities = lotmq_chain::authorities::of_system()?;
        ClientTls::trusting(authorities).map_err(|error| error.to_string())
    }

    /// Trusts servers whose certificates lead to one of these authorities through [`ISSUERS_MAX`](lotmq_chain::limits::ISSUERS_MAX) further ones at most.
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
            .with_custom_certificate_verifier(Arc::new(ShortServerChains(verifier)))
            .with_no_client_auth();
        Ok(ClientTls(Arc::new(config)))
    }
}
