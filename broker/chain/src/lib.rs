//! Limits on the certificate chain of a peer, checked before the chain is verified.
//!
//! A verifier finds the issuer of each certificate by trial. If several certificates share a name
//! at each step, the number of paths grows up to 200,000. The peer chooses the certificates. The
//! peer is a stranger at a listener, or the server that a route or the command line connects to.
//!
//! This crate also reads the authorities that the system trusts and files with certificates. It
//! does not map a certificate to an identity.

pub mod authorities;
pub mod der;
pub mod identity;
pub mod limits;
pub mod pem;
pub mod stamp;
pub mod told;
pub mod validity;

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::limits::ISSUERS_MAX;

/// Judge of servers' certificates that looks at short chains only, and trusts a certificate that is
/// named itself, though it says that it is an authority's: what `openssl req -x509` makes for a
/// server is one.
#[derive(Debug)]
pub struct ShortServerChains {
    /// Judge of the rest.
    pub judge: Arc<dyn ServerCertVerifier>,
    /// Certificates that are trusted, as whoever trusts them has named them.
    pub named: Vec<CertificateDer<'static>>,
}

/// Judge of clients' certificates that looks at short chains only.
#[derive(Debug)]
pub struct ShortClientChains(pub Arc<dyn ClientCertVerifier>);

fn check_length(issuers: &[CertificateDer<'_>]) -> Result<(), Error> {
    if issuers.len() > ISSUERS_MAX {
        return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
    }
    Ok(())
}

/// Whether a certificate is refused because it is that of an authority. The verifier's own errors
/// are of a type that is not ours to name.
pub(crate) fn is_of_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

impl ServerCertVerifier for ShortServerChains {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_length(intermediates)?;
        let judged =
            self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = judged else { return judged };
        if !is_of_authority(&error) || !self.named.contains(end_entity) {
            return Err(error);
        }
        // Its time has been judged before it was asked whose it is.
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.judge.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.judge.root_hint_subjects()
    }
}

impl ClientCertVerifier for ShortClientChains {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_length(intermediates)?;
        self.0.verify_client_cert(end_entity, intermediates, now)
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

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;

    use super::*;

    fn certificate(is_ca: IsCa) -> CertificateDer<'static> {
        certificate_until(is_ca, 4096)
    }

    /// One that ends at the beginning of a year.
    fn certificate_until(is_ca: IsCa, year: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["server.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn judged(
        trusted: &[CertificateDer<'static>],
        shown: &CertificateDer<'_>,
        name: &'static str,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        trusted.iter().for_each(|root| roots.add(root.clone()).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let short = ShortServerChains { judge, named: trusted.to_vec() };
        let name = ServerName::try_from(name).unwrap();
        short.verify_server_cert(shown, &[], &name, &[], UnixTime::now()).map(drop)
    }

    /// `openssl req -x509` makes a CA certificate even for a server.
    #[test]
    fn a_certificate_that_is_named_itself_is_trusted_though_it_is_an_authoritys() {
        let authority = || certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        let (own, other) = (authority(), authority());
        assert_eq!(judged(std::slice::from_ref(&own), &own, "server.example"), Ok(()));
        let wrong_name = judged(std::slice::from_ref(&own), &own, "other.example").unwrap_err();
        assert!(matches!(
            wrong_name,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        ));
        assert!(judged(std::slice::from_ref(&other), &own, "server.example").is_err());
        let ended = certificate_until(IsCa::Ca(BasicConstraints::Unconstrained), 2020);
        let ended = judged(std::slice::from_ref(&ended), &ended, "server.example").unwrap_err();
        assert!(
            matches!(
                ended,
                Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. }
                )
            ),
            "{ended}"
        );
        let plain = certificate(IsCa::ExplicitNoCa);
        assert_eq!(judged(&[plain.clone(), own], &plain, "server.example"), Ok(()));
    }
}
